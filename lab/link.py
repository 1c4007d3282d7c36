# SPDX-License-Identifier: Apache-2.0
"""The link between the gateway and the load balancer, and what a story may do to it."""

import os

from lab import network, tagged_link
from lab.bad_link import BadLink


class Link:
    """The load balancer's link of one lab."""

    def __init__(self, layout, build_folder):
        self._layout = layout
        self._build_folder = build_folder
        # A folder of the bpffs.
        self.pins = os.path.join(network.BPFFS, f"{layout.instance}-link")

    def prepare(self):
        """Makes it fit for native XDP; the load balancer's programs come after it."""
        network.prepare_lb_link(
            self._layout,
            os.path.join(self._build_folder, "bpf", "xdp_pass.bpf.o"),
            os.path.join(network.BPFFS, f"{self._layout.instance}-xdp-pass"),
        )

    def spoil(self, *, lose, delay, seed):
        """Makes it bad towards the load balancer; returns the BadLink."""
        return BadLink(
            self._layout, self._build_folder, os.path.join(self.pins, "bad_link"),
            lose=lose, delay=delay, seed=seed,
        )

    def tag(self):
        """From here on its frames carry a VLAN tag."""
        tagged_link.tag(
            self._layout, self._build_folder, os.path.join(self.pins, "tagged_link"))

    def remove_pins(self):
        network.remove_pins(self.pins)
