# SPDX-License-Identifier: Apache-2.0
"""remorad's configuration file for the lab, written and read."""

import dataclasses
import os
import tomllib

from lab import topology

DEMO_ROUTES = (
    ("measurements/temperature", "temperature"),
    ("measurements/humidity", "humidity"),
)


@dataclasses.dataclass
class Settings:
    """What differs from one lab to the next. The defaults are the demo's."""

    xdp_mode: str = "native"
    gateway_mac: str = "auto"
    outer_source: str = "katran"  # or "lb": the load balancer's own address
    policy: str = "reset"
    group_policies: dict = dataclasses.field(default_factory=dict)  # {group: policy}
    resets_per_second: int = 1000
    resets_per_client: int = 3
    session_end: str = "disconnect"
    routes: tuple = DEMO_ROUTES
    groups: dict | None = None  # {group: broker numbers}; None: thirds of all brokers
    weights: dict = dataclasses.field(default_factory=dict)  # {broker number: weight}; else 1
    clients: int = 100_000
    flows: int = 100_000
    extra: str = ""  # more TOML, at the end


def render(layout, settings, history):
    """The file's text for the topology `layout`."""
    groups = settings.groups or layout.group_brokers()
    outer_source = settings.outer_source
    if outer_source == "lb":
        outer_source = layout.addressing.reals.lb
    parts = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Written by the lab.",
        "[lb]",
        f'instance = "{layout.instance}"',
        'interface = "eth0"',
        f'gateway_mac = "{settings.gateway_mac}"',
        f'xdp_mode = "{settings.xdp_mode}"',
        f'outer_source = "{outer_source}"',
        'forwarder = "embedded"',
        "",
        "[[service]]",
        'name = "mqtt"',
        f'address = "{layout.service_address}"',
        f"port = {topology.MQTT_PORT}",
        'default_group = "default"',
        'unknown_clients = "default"',
    ]
    for index, (name, brokers) in enumerate(groups.items()):
        reals = ", ".join(
            f'{{ address = "{layout.broker_address(n)}", weight = {settings.weights.get(n, 1)} }}'
            for n in brokers
        )
        parts += [
            "",
            "[[group]]",
            f'name = "{name}"',
            f'vip = "{layout.group_address(index)}"',
            f"reals = [ {reals} ]",
        ]
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
        f'session_end = "{settings.session_end}"',
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


@dataclasses.dataclass(frozen=True)
class Config:
    """What the lab itself must know of a configuration file, whoever wrote it."""

    path: str
    instance: str
    history: str

    @classmethod
    def read(cls, path):
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
        return cls(
            os.path.abspath(path), instance, store.get("path", "/var/lib/remora/history.db")
        )
