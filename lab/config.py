# SPDX-License-Identifier: Apache-2.0
"""remorad's configuration file for the lab, written and read."""

import dataclasses
import ipaddress
import os
import tomllib

from lab import network, topology

EMBEDDED = "embedded"
KATRAN_OBJECT = "katran-object"
KATRAN_SHARED = "katran-shared"

# Which CPU takes a packet that the load balancer receives: see lab/receive_cpu.py.
LIKE_A_NIC = "like a NIC"
LIKE_VETH = "like veth"

DEMO_ROUTES = (
    ("measurements/temperature", "temperature"),
    ("measurements/humidity", "humidity"),
)


@dataclasses.dataclass
class Settings:
    """The settings that differ between labs. The defaults are the demo's.

    The default forwarder is REMORA_FORWARDER, so that a journey can run with each of them. Katran
    forwarders use the object REMORA_KATRAN_OBJ.
    """

    forwarder: str = dataclasses.field(
        default_factory=lambda: os.environ.get("REMORA_FORWARDER", EMBEDDED))
    mode: str = "active"  # or "shadow"
    xdp_mode: str = "native"
    gateway_mac: str = "auto"
    outer_source: str = "katran"  # or "lb": the load balancer's own address
    unknown_clients: str = "default"  # or "router"
    policy: str = "reset"
    group_policies: dict = dataclasses.field(default_factory=dict)  # {group: policy}
    affinity: str = "connection"  # of all groups
    resets_per_second: int = 1000
    resets_per_client: int = 3
    changes_per_day: int = 4
    session_end: str = "disconnect"
    farewell: str = "off"
    routes: tuple = DEMO_ROUTES
    groups: dict | None = None  # {group: broker numbers}; None: thirds of all brokers
    router_ports: dict = dataclasses.field(default_factory=dict)  # {broker number: port}
    proxy_ports: dict = dataclasses.field(default_factory=dict)  # {group: port}
    weights: dict = dataclasses.field(default_factory=dict)  # {broker number: weight}; else 1
    health: str = ""  # keys of [health]; empty: no checks, whose packets would be counted, too
    clients: int = 100_000
    flows: int = 100_000
    extra: str = ""  # more TOML, at the end
    receiving: str = LIKE_A_NIC  # or LIKE_VETH; with Katran only


@dataclasses.dataclass(frozen=True)
class GroupOfReals:
    """A group in Katran's terms: its VIP, and the weights of its reals."""

    vip: str
    reals: dict  # {address: weight}
    # {address: port} of those that the router reaches at another port.
    ports: dict = dataclasses.field(default_factory=dict)


def groups_of(layout, settings):
    """{name: GroupOfReals}"""
    groups = settings.groups or layout.group_brokers()
    return {
        name: GroupOfReals(
            layout.group_address(index),
            {layout.broker_address(n): settings.weights.get(n, 1) for n in brokers},
            {layout.broker_address(n): settings.router_ports[n] for n in brokers
             if n in settings.router_ports})
        for index, (name, brokers) in enumerate(groups.items())
    }


def render(layout, settings, history):
    """The file's text for the topology `layout`."""
    outer_source = settings.outer_source
    if outer_source == "lb":
        outer_source = layout.addressing.reals.lb
    parts = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Written by the lab.",
        "[lb]",
        f'instance = "{layout.instance}"',
        'interface = "eth0"',
        *(['mode = "shadow"'] if settings.mode == "shadow" else []),
        f'gateway_mac = "{settings.gateway_mac}"',
        f'xdp_mode = "{settings.xdp_mode}"',
        f'forwarder = "{settings.forwarder}"',
        *_forwarder_keys(layout, settings.forwarder, outer_source),
        "",
        "[[service]]",
        'name = "mqtt"',
        f'address = "{layout.service_address}"',
        f"port = {topology.MQTT_PORT}",
        'default_group = "default"',
        f'unknown_clients = "{settings.unknown_clients}"',
    ]
    for name, group in groups_of(layout, settings).items():
        parts += ["", "[[group]]", f'name = "{name}"', f'vip = "{group.vip}"']
        # A Katran server has its own list of reals.
        if settings.forwarder != KATRAN_SHARED:
            reals = ", ".join(
                f'{{ address = "{address}", weight = {weight}{_port_of(group, address)} }}'
                for address, weight in group.reals.items()
            )
            parts.append(f"reals = [ {reals} ]")
        if name in settings.proxy_ports:
            parts.append(f"proxy_port = {settings.proxy_ports[name]}")
        if settings.affinity != "connection":
            parts.append(f'affinity = "{settings.affinity}"')
        if name in settings.group_policies:
            parts.append(f'policy = "{settings.group_policies[name]}"')
    for topic_filter, group in settings.routes:
        parts += ["", "[[route]]", f'filter = "{topic_filter}"', f'group = "{group}"']
    parts += [
        "",
        "[mispredict]",
        f'policy = "{settings.policy}"',
        f"resets_per_second = {settings.resets_per_second}",
        f"resets_per_client = {settings.resets_per_client}",
        f"changes_per_day = {settings.changes_per_day}",
        f'session_end = "{settings.session_end}"',
        "",
        "[evacuate]",
        f'farewell = "{settings.farewell}"',
        "",
        "[health]",
        settings.health or 'check = "off"',
        "",
        "[limits]",
        f"clients = {settings.clients}",
        f"flows = {settings.flows}",
        "",
        "[store]",
        f'path = "{history}"',
        settings.extra,
    ]
    return "\n".join(parts) + "\n"


def _port_of(group, address):
    return f", port = {group.ports[address]}" if address in group.ports else ""


def write(path, layout, settings, history):
    """Writes the file for the topology `layout`."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(render(layout, settings, history))


def katran_object():
    """The path of Katran's object; throws if none is named."""
    path = os.environ.get("REMORA_KATRAN_OBJ")
    if not path:
        raise ValueError("set REMORA_KATRAN_OBJ to the file of Katran's object (balancer.bpf.o)")
    return os.path.abspath(path)


def shared_root_array(layout):
    """The prog array that remorad shares with a Katran server."""
    return os.path.join(network.BPFFS, f"{layout.instance}-root")


def _forwarder_keys(layout, forwarder, outer_source):
    # Katran uses its own outer source.
    if forwarder == KATRAN_OBJECT:
        return [f'katran_object = "{katran_object()}"']
    if forwarder == KATRAN_SHARED:
        return [f'katran_root_array = "{shared_root_array(layout)}"']
    return [f'outer_source = "{outer_source}"']


@dataclasses.dataclass(frozen=True)
class Config:
    """The parts of a configuration file that the lab needs, its own file or the user's."""

    path: str
    instance: str
    history: str
    forwarder: str
    receiving: str = LIKE_VETH

    @classmethod
    def read(cls, path, receiving=LIKE_A_NIC):
        with open(path, "rb") as file:
            try:
                values = tomllib.load(file)
            except tomllib.TOMLDecodeError as error:
                raise ValueError(f"{path}: {error}") from error
        lb = values.get("lb", {})
        instance = lb.get("instance", lb.get("interface"))
        if instance is None:
            raise ValueError(f"{path}: [lb] names neither an instance nor an interface")
        store = values.get("store", {})
        forwarder = lb.get("forwarder", EMBEDDED)
        has_queue = lb.get("xdp_mode", "native") == "native"
        return cls(
            os.path.abspath(path), instance, store.get("path", "/var/lib/remora/history.db"),
            forwarder, receiving if has_queue and forwarder != EMBEDDED else LIKE_VETH,
        )


def _written(address):
    """The file that the topology writes."""
    return str(ipaddress.ip_address(address))


def read_groups(path):
    """The groups of remorad's configuration file."""
    with open(path, "rb") as file:
        groups = tomllib.load(file).get("group", [])
    return [
        GroupOfReals(g["vip"], {_written(r["address"]): r.get("weight", 1) for r in g["reals"]})
        for g in groups
    ]


def read_services(path):
    """The (address, port) of the services in remorad's configuration file."""
    with open(path, "rb") as file:
        services = tomllib.load(file).get("service", [])
    return {(_written(s["address"]), s["port"]) for s in services}
