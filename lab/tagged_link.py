# SPDX-License-Identifier: Apache-2.0
"""Puts a VLAN tag on the frames of the load balancer's link; see lab/tagged_link.bpf.c."""

import os

from lab import network, topology


def tag(layout, build, pins):
    """Tags frames from here on; `pins` is a folder of the bpffs that goes with the lab.

    The load balancer's own stack has no VLAN interface and does not get the gateway's answers, so
    each must know the other's Ethernet address.
    """
    ends = {
        (topology.GATEWAY, "lb0"): [plan.lb for plan in layout.addressing.plans],
        (topology.LB, "eth0"): [plan.lb_link_gateway for plan in layout.addressing.plans],
    }
    macs = {node: network.mac_of(layout.namespace(node), device) for node, device in ends}
    for (node, device), neighbours in ends.items():
        other = macs[topology.LB if node == topology.GATEWAY else topology.GATEWAY]
        network.ip_batch(
            [f"neighbour replace {address} lladdr {other} dev {device} nud permanent"
             for address in neighbours],
            layout.namespace(node),
        )
    # The tag must be in the frame, because XDP does not see tags kept outside it.
    network.run(layout.namespace(topology.GATEWAY), "ethtool", "-K", "lb0", "txvlan", "off")
    network.attach_tc(
        layout, os.path.join(build, "bpf", "tagged_link.bpf.o"), pins,
        egress="add_tag", ingress="remove_tag",
    )
