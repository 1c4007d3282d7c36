# SPDX-License-Identifier: Apache-2.0
"""The addresses of the client namespaces, which change while a lab is up."""

from lab import network, topology

_MORE_NETWORK = 60


class Clients:
    """The clients of one lab."""

    def __init__(self, layout, state):
        self._layout = layout
        self._state = state
        self._plan = layout.addressing.service

    def address(self, node):
        """The present address of a client node."""
        return self._layout.client_address(topology.number_of(node), self._moves.get(node, 0))

    def change_address(self, node):
        """Gives a client an address in another network, as DHCP would; returns the new one."""
        old = self.address(node)
        self._state.save(moves={**self._moves, node: self._moves.get(node, 0) + 1})
        new = self.address(node)
        network.ip_batch(
            # In this order, because the interface's routes would vanish with its last address.
            [self._plan.add(new, "eth0"), self._plan.delete(old, "eth0")],
            self._layout.namespace(node),
        )
        device = _device(node)
        network.ip_batch(
            [self._plan.add_route(new, device), self._plan.delete_route(old, device)],
            self._layout.namespace(topology.GATEWAY),
        )
        return new

    def add_addresses(self, node, count):
        """Gives one client `count` more addresses, each of which is a client to Remora."""
        addresses = [self._plan.address(_MORE_NETWORK, number) for number in range(1, count + 1)]
        network.ip_batch(
            [self._plan.add(address, "eth0") for address in addresses],
            self._layout.namespace(node),
        )
        network.ip_batch(
            [f"route add {self._plan.subnet(_MORE_NETWORK)} dev {_device(node)}"],
            self._layout.namespace(topology.GATEWAY),
        )
        return addresses

    @property
    def _moves(self):
        return self._state.values.get("moves", {})


def _device(node):
    """The gateway's end of the client's link."""
    return f"c{topology.number_of(node)}"
