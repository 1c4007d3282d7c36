# SPDX-License-Identifier: Apache-2.0
"""Names, addresses and links of the lab, as values.

    client0 ── c0 ┐                     ┌ b1 ── broker1   10.1.3.101, service address on lo
    client1 ── c1 ┤ gateway 10.1.0.1    ┤ b2 ── broker2
        …         ┘      │ lb0          └   …
                         │ 10.1.2.1/24
                     lb: eth0 10.1.2.2, one leg

Every link is a veth whose end in the node is called eth0. Each client and broker has one address,
and the gateway routes it, so no bridge is needed. Brokers answer clients through the gateway (DSR).
IPv6 addresses have the same numbers in the same places: fc00:3::101 for 10.1.3.101.
"""

import dataclasses
import enum
import ipaddress
import re
import socket

GATEWAY = "gateway"
LB = "lb"
MQTT_PORT = 1883
OTHER_MQTT_PORT = 1893  # of brokers, too

# The gateway has this address on each of its links. An address on its lo, as with IPv4, would not
# answer neighbour solicitations that arrive on another device (RFC 4861 §7.2.3).
_GATEWAY_LINK_LOCAL = "fe80::1"

MOST_CLIENTS = 150
MOST_BROKERS = 100


@dataclasses.dataclass(frozen=True)
class AddressPlan:
    """The addresses of one version of IP; both have the same networks and hosts."""

    version: int
    pattern: str
    address_bits: int
    network_bits: int

    def address(self, network, host):
        # In the kernel's and remorad's notation: fc00::1, not fc00:0::1.
        return str(ipaddress.ip_address(self.pattern.format(network, host)))

    def subnet(self, network):
        return f"{self.address(network, 0)}/{self.network_bits}"

    @property
    def family(self):
        return socket.AF_INET if self.version == 4 else socket.AF_INET6

    @property
    def gateway(self):
        return self.address(0, 1)

    @property
    def lb_link_gateway(self):
        return self.address(2, 1)

    @property
    def lb(self):
        return self.address(2, 2)

    @property
    def service(self):
        return self.address(50, 200)

    def group(self, index):
        return self.address(50, 201 + index)

    def broker(self, number):
        return self.address(3, 100 + number)

    def client(self, number, moves=0):
        """Address of client `number` after `moves` moves to another network."""
        return self.address(1 if moves == 0 else 10 + (moves - 1) % 40, 100 + number)

    # ---- `ip -batch` lines -------------------------------------------------

    def add(self, address, device):
        # nodad: usable at once, since no other host is on the link.
        nodad = " nodad" if self.version == 6 else ""
        return f"address add {address}/{self.address_bits} dev {device}{nodad}"

    def delete(self, address, device):
        return f"address delete {address}/{self.address_bits} dev {device}"

    def add_route(self, address, device):
        return f"route add {address}/{self.address_bits} dev {device}"

    def delete_route(self, address, device):
        return f"route delete {address}/{self.address_bits} dev {device}"

    def route_to_gateway(self):
        if self.version == 6:
            return f"route add default via {_GATEWAY_LINK_LOCAL} dev eth0"
        # onlink: the node has no network that contains the gateway's address.
        return f"route add default via {self.gateway} dev eth0 onlink"


IPV4 = AddressPlan(4, "10.1.{}.{}", 32, 24)
IPV6 = AddressPlan(6, "fc00:{}::{}", 128, 64)


class Addressing(enum.Enum):
    """The IP versions of clients and service, and of the reals."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    IPV4_OVER_IPV6 = "ipv4-over-ipv6"

    @property
    def service(self):
        return IPV6 if self is Addressing.IPV6 else IPV4

    @property
    def reals(self):
        return IPV4 if self is Addressing.IPV4 else IPV6

    @property
    def plans(self):
        """The plans that the lab needs, without repetition."""
        return [self.service] if self.service is self.reals else [self.service, self.reals]


@dataclasses.dataclass(frozen=True)
class Topology:
    """The lab `name` (empty for the one used by hand) with its numbers of clients and brokers."""

    name: str = ""
    clients: int = 10
    brokers: int = 6
    addressing: Addressing = Addressing.IPV4

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
        """Name of remorad's instance, and so of its pins, its lock and its socket."""
        return self.namespace(LB)

    @property
    def service_address(self):
        return self.addressing.service.service

    @property
    def service_family(self):
        return self.addressing.service.family

    def client_address(self, number, moves=0):
        return self.addressing.service.client(number, moves)

    def broker_address(self, number):
        return self.addressing.reals.broker(number)

    def group_address(self, index):
        return self.addressing.service.group(index)

    def namespace(self, node):
        return f"{self.name}-{node}" if self.name else node

    def group_brokers(self):
        """{group: numbers of its brokers}: thirds, with the rest in the first groups."""
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
    """The number in a name: 7 for client7."""
    return int(re.search(r"\d+$", node).group())


def _link(topology, device, node):
    lines = [
        f"link add {device} type veth peer name eth0 netns {topology.namespace(node)}",
        f"link set {device} up",
    ]
    if IPV6 in topology.addressing.plans:
        lines.append(f"address add {_GATEWAY_LINK_LOCAL}/64 dev {device} nodad")
    return lines


def lb_link_commands(topology):
    """`ip -batch` lines for the gateway's namespace: the load balancer's link and its route."""
    plans, service = topology.addressing.plans, topology.addressing.service
    return [
        *_link(topology, "lb0", LB),
        *(f"address add {plan.lb_link_gateway}/{plan.network_bits} dev lb0" for plan in plans),
        f"route add {service.subnet(50)} via {service.lb} dev lb0",
    ]


def link_commands(topology):
    """`ip -batch` lines for the gateway's namespace: all links, its addresses and routes."""
    addressing = topology.addressing
    plans, service, reals = addressing.plans, addressing.service, addressing.reals
    lines = ["link set lo up", *(plan.add(plan.gateway, "lo") for plan in plans)]
    lines += lb_link_commands(topology)
    for number, node in enumerate(topology.client_nodes):
        lines += _link(topology, f"c{number}", node)
        lines.append(service.add_route(service.client(number), f"c{number}"))
    for number, node in enumerate(topology.broker_nodes, start=1):
        lines += _link(topology, f"b{number}", node)
        lines.append(reals.add_route(reals.broker(number), f"b{number}"))
    return lines


def node_commands(topology, node):
    """`ip -batch` lines for the namespace of any other node, once its link exists."""
    addressing = topology.addressing
    plans, service, reals = addressing.plans, addressing.service, addressing.reals
    lines = ["link set lo up", "link set eth0 up"]
    if node == LB:
        for plan in plans:
            lines.append(f"address add {plan.lb}/{plan.network_bits} dev eth0")
            lines.append(f"route add default via {plan.lb_link_gateway}")
        return lines
    if node.startswith("broker"):
        lines.append(reals.add(reals.broker(number_of(node)), "eth0"))
        # On lo: the broker accepts packets to it, but announces it to no neighbour.
        lines.append(service.add(service.service, "lo"))
        # Routes to the clients, and to hosts that address the broker itself.
        return lines + [plan.route_to_gateway() for plan in plans]
    lines.append(service.add(service.client(number_of(node)), "eth0"))
    lines.append(service.route_to_gateway())
    return lines


def node_sysctls(topology, node):
    """{path below /proc/sys: value}. Set them before the links exist, which take `default`.

    rp_filter: the outer source of an encapsulated packet is not routable on the LB's leg, and with
    DSR a broker's answer comes from an address that is routed elsewhere. With forwarding on the LB,
    packets that XDP passes up would loop between it and the gateway.
    """
    values = {}
    forwards = 1 if node == GATEWAY else 0
    speaks_ipv6 = IPV6 in topology.addressing.plans
    for scope in ("all", "default"):
        values[f"net/ipv4/conf/{scope}/rp_filter"] = 0
        values[f"net/ipv4/conf/{scope}/send_redirects"] = 0
        ipv6 = f"net/ipv6/conf/{scope}"
        values[f"{ipv6}/disable_ipv6"] = 0 if speaks_ipv6 else 1
        if speaks_ipv6:
            values[f"{ipv6}/forwarding"] = forwards
            # No autoconfiguration, and no address that is tentative at first.
            values[f"{ipv6}/accept_ra"] = 0
            values[f"{ipv6}/router_solicitations"] = 0
            values[f"{ipv6}/accept_dad"] = 0
            values[f"{ipv6}/dad_transmits"] = 0
    values["net/ipv4/ip_forward"] = forwards
    return values
