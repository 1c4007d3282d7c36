# SPDX-License-Identifier: Apache-2.0
"""Removal of the outer header before a packet reaches its broker: by the kernel's own tunnel device
or by remora-decap."""

import dataclasses
import os
import subprocess
import tomllib

from lab import build, config, namespaces

_KERNEL_DEVICES = {  # {IP version of the outer header: (module, kind of link)}
    4: ("ipip", ["ipip"]),
    6: ("ip6_tunnel", ["ip6tnl", "mode", "any"]),
}


@dataclasses.dataclass(frozen=True)
class Admitted:
    """The services and VIPs that remora-decap accepts for a broker."""

    services: frozenset = frozenset()  # (address, port)
    vips: frozenset = frozenset()  # (VIP, service's address, port)


class Decapsulation:
    """Controls decapsulation on all brokers of one lab."""

    def __init__(self, layout, state, build_folder, forwarder):
        self._layout = layout
        self._state = state
        self._build_folder = build_folder
        self._forwarder = forwarder

    def is_the_kernels(self):
        """Whether the kernel's device removes the header; loads its module if necessary."""
        # Katran's packets are addressed to the group's VIP, which a device leaves as it is.
        if self._forwarder != config.EMBEDDED:
            return False
        module, _ = self._kernel_device
        if os.path.exists(f"/sys/module/{module}"):
            return True
        try:
            return subprocess.run(["modprobe", "-q", module], check=False).returncode == 0
        except FileNotFoundError:
            return False

    def start_all(self, services, groups):
        """The arguments are those of tell()."""
        if self.is_the_kernels():
            for node in self._layout.broker_nodes:
                self._add_device(node)
        else:
            self.tell(services, groups)

    def start(self, node):
        """Starts the decapsulation of a broker again after stop()."""
        if self.is_the_kernels():
            self._add_device(node)
        else:
            self._run(node, "--config", self._config_file(node))

    def stop(self, node):
        """Stops removing outer headers on a broker."""
        if self.is_the_kernels():
            namespaces.run(
                self._layout.namespace(node), ["ip", "link", "delete", "outer0"], check=True)
        else:
            self._run(node, "--detach")

    def tell(self, services, groups):
        """Gives remora-decap on each broker the services, and the VIPs of its groups, that it does
        not know yet.

        `services` are pairs of address and port, `groups` config.GroupOfReals. Nothing is taken
        away: a broker that has left a group keeps the connections that it had.
        """
        if self.is_the_kernels():
            return
        for number, node in enumerate(self._layout.broker_nodes, start=1):
            address, path = self._layout.broker_address(number), self._config_file(node)
            known = _read(path) if os.path.exists(path) else Admitted()
            vips = {
                (group.vip, *service)
                for group in groups if address in group.reals for service in services
            }
            wanted = Admitted(known.services | services, known.vips | vips)
            if wanted != known:
                _write(path, wanted)
                self._run(node, "--config", path)

    @property
    def _kernel_device(self):
        return _KERNEL_DEVICES[self._layout.addressing.reals.version]

    def _add_device(self, node):
        """A collect-metadata tunnel takes packets from any outer source."""
        _, kind = self._kernel_device
        for argv in (
            ["ip", "link", "add", "outer0", "type", *kind, "external"],
            ["ip", "link", "set", "outer0", "up"],
        ):
            namespaces.run(self._layout.namespace(node), argv, check=True)

    def _config_file(self, node):
        return self._state.file(f"{node}.toml")

    def _run(self, node, *arguments):
        """remora-decap on eth0; its program stays attached after the tool has ended."""
        tool = build.program(self._build_folder, "remora-decap")
        result = namespaces.run(
            self._layout.namespace(node), [tool, "eth0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if result.returncode != 0:
            raise RuntimeError(f"remora-decap in {node}: {' '.join(result.stdout.split())}")


def _write(path, admitted):
    """Writes remora-decap's file."""
    parts = ["# SPDX-License-Identifier: Apache-2.0", "# Written by the lab."]
    for address, port in sorted(admitted.services):
        parts += ["", "[[service]]", f'address = "{address}"', f"port = {port}"]
    for vip, service, port in sorted(admitted.vips):
        parts += ["", "[[vip]]", f'vip = "{vip}"', f'service = "{service}"', f"port = {port}"]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n")


def _read(path):
    with open(path, "rb") as file:
        tables = tomllib.load(file)
    return Admitted(
        frozenset((entry["address"], entry["port"]) for entry in tables.get("service", [])),
        frozenset((vip["vip"], vip["service"], vip["port"]) for vip in tables.get("vip", [])),
    )
