# SPDX-License-Identifier: Apache-2.0
"""Who is where: names, addresses and links of the lab. Values only; nothing is touched here.

    client0 ── c0 ┐                     ┌ b1 ── broker1   10.1.3.101, service address on lo
    client1 ── c1 ┤ gateway 10.1.0.1    ┤ b2 ── broker2
        …         ┘      │ lb0          └   …
                         │ 10.1.2.1/24
                     lb: eth0 10.1.2.2, one leg

Every link is a veth with the node's end called eth0; clients and brokers own one /32 each and
the gateway routes it, so no bridge is needed. Brokers answer clients through the gateway (DSR).
"""

import dataclasses
import re

GATEWAY = "gateway"
LB = "lb"

GATEWAY_ADDRESS = "10.1.0.1"
LB_LINK_GATEWAY = "10.1.2.1"
LB_ADDRESS = "10.1.2.2"
SERVICE_ADDRESS = "10.1.50.200"
MQTT_PORT = 1883

MOST_CLIENTS = 150
MOST_BROKERS = 100


def client_address(number, moves=0):
    """Address of client `number` after it has moved to another network `moves` times."""
    network = 1 if moves == 0 else 10 + (moves - 1) % 40
    return f"10.1.{network}.{100 + number}"


def broker_address(number):
    return f"10.1.3.{100 + number}"


def group_address(index):
    return f"10.1.50.{201 + index}"


@dataclasses.dataclass(frozen=True)
class Topology:
    """The lab `name` (empty for the one used by hand) with its numbers of clients and brokers."""

    name: str = ""
    clients: int = 10
    brokers: int = 6

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9-]{0,20}", self.name):
            raise ValueError(f"lab name {self.name!r}: up to 20 of a-z, 0-9 and '-'")
        if not 1 <= self.clients <= MOST_CLIENTS:
            raise ValueError(f"{self.clients} clients: 1 to {MOST_CLIENTS} fit the client network")
        if not 1 <= self.brokers <= MOST_BROKERS:
            raise ValueError(f"{self.brokers} brokers: 1 to {MOST_BROKERS} fit the broker network")

    @property
    def client_nodes(self):
        return [f"client{number}" for number in range(self.clients)]

    @property
    def broker_nodes(self):
        return [f"broker{number}" for number in range(1, self.brokers + 1)]

    @property
    def nodes(self):
        return [*self.client_nodes, GATEWAY, LB, *self.broker_nodes]

    @property
    def instance(self):
        """Name of remorad's instance: of its pins, its lock and its socket."""
        return self.namespace(LB)

    def namespace(self, node):
        return f"{self.name}-{node}" if self.name else node

    def group_brokers(self):
        """{group: numbers of its brokers}: thirds, the first groups getting what is left over."""
        names = ("temperature", "humidity", "default")
        everyone = list(range(1, self.brokers + 1))
        if self.brokers < len(names):
            return dict(zip(names, ([everyone[0]], [everyone[-1]], everyone)))
        share, left = divmod(self.brokers, len(names))
        groups = {}
        for index, name in enumerate(names):
            size = share + (1 if index < left else 0)
            groups[name], everyone = everyone[:size], everyone[size:]
        return groups


def number_of(node):
    """7 of client7."""
    return int(re.search(r"\d+$", node).group())


def link_commands(topology):
    """`ip -batch` lines for the gateway's namespace: all links, its addresses and routes."""
    lines = ["link set lo up", f"address add {GATEWAY_ADDRESS}/32 dev lo"]

    def link(device, node):
        lines.append(f"link add {device} type veth peer name eth0 netns {topology.namespace(node)}")
        lines.append(f"link set {device} up")

    link("lb0", LB)
    lines.append(f"address add {LB_LINK_GATEWAY}/24 dev lb0")
    lines.append(f"route add 10.1.50.0/24 via {LB_ADDRESS} dev lb0")
    for number, node in enumerate(topology.client_nodes):
        link(f"c{number}", node)
        lines.append(f"route add {client_address(number)}/32 dev c{number}")
    for number, node in enumerate(topology.broker_nodes, start=1):
        link(f"b{number}", node)
        lines.append(f"route add {broker_address(number)}/32 dev b{number}")
    return lines


def node_commands(node):
    """`ip -batch` lines for the namespace of any other node, once its link exists."""
    lines = ["link set lo up", "link set eth0 up"]
    if node == LB:
        return [
            *lines,
            f"address add {LB_ADDRESS}/24 dev eth0",
            f"route add default via {LB_LINK_GATEWAY}",
        ]
    if node.startswith("broker"):
        lines.append(f"address add {broker_address(number_of(node))}/32 dev eth0")
        # On lo, so that nobody answers ARP for it and the broker still takes its packets.
        lines.append(f"address add {SERVICE_ADDRESS}/32 dev lo")
    else:
        lines.append(f"address add {client_address(number_of(node))}/32 dev eth0")
    # onlink: the gateway's address lies in no network of this node's own.
    lines.append(f"route add default via {GATEWAY_ADDRESS} dev eth0 onlink")
    return lines


def node_sysctls(node):
    """Set before the links exist: a new device takes `default`, and `all` may only add to it.

    rp_filter: the outer source of an encapsulated packet is not routable on the LB's leg, and with
    DSR a broker's answer comes from an address that is routed elsewhere. ip_forward on the LB would
    send what XDP passes up round and round between it and the gateway.
    """
    values = {}
    for scope in ("all", "default"):
        values[f"net/ipv4/conf/{scope}/rp_filter"] = 0
        values[f"net/ipv4/conf/{scope}/send_redirects"] = 0
    values["net/ipv4/ip_forward"] = 1 if node == GATEWAY else 0
    values["net/ipv6/conf/all/disable_ipv6"] = 1
    values["net/ipv6/conf/default/disable_ipv6"] = 1
    return values
