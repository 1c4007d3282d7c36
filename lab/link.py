# SPDX-License-Identifier: Apache-2.0
"""The link between the gateway and the load balancer, and its changes in journeys."""

import os

from lab import namespaces, network, tagged_link, topology
from lab.bad_link import BadLink


class Link:
    """The load balancer's link of one lab."""

    def __init__(self, layout, build_folder):
        self._layout = layout
        self._build_folder = build_folder
        # A folder of the bpffs.
        self.pins = os.path.join(network.BPFFS, f"{layout.instance}-link")

    def prepare(self):
        """Makes the link fit for native XDP, before the load balancer's programs are attached."""
        network.prepare_lb_link(
            self._layout,
            os.path.join(self._build_folder, "bpf", "xdp_pass.bpf.o"),
            os.path.join(network.BPFFS, f"{self._layout.instance}-xdp-pass"),
        )

    def delete(self):
        network.ip_batch(["link delete lb0"], self._layout.namespace(topology.GATEWAY))

    def make_anew(self):
        """Makes the link again after delete(): the same names and addresses, on new devices."""
        gateway = self._layout.namespace(topology.GATEWAY)
        network.ip_batch(topology.lb_link_commands(self._layout), gateway)
        network.ip_batch(topology.node_commands(self._layout, topology.LB),
                         self._layout.namespace(topology.LB))
        self.prepare()

    def configure_lb(self):
        """Gives the load balancer's eth0 its addresses and routes again after it lost them."""
        network.ip_batch(topology.node_commands(self._layout, topology.LB),
                         self._layout.namespace(topology.LB))

    def spoil(self, *, lose, delay, seed):
        """Makes the link towards the load balancer bad; returns the BadLink."""
        return BadLink(
            self._layout, self._build_folder, os.path.join(self.pins, "bad_link"),
            lose=lose, delay=delay, seed=seed,
        )

    def tag(self):
        """From now on the link's frames carry a VLAN tag."""
        tagged_link.tag(
            self._layout, self._build_folder, os.path.join(self.pins, "tagged_link"))

    def remove_pins(self):
        network.remove_pins(self.pins)
