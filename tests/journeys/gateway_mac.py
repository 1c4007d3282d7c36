#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway gets another Ethernet address under load: remorad follows, and TCP repeats the lost
segments. An address that the configuration fixes is kept, whatever the neighbour announces."""

import dataclasses

from support import (
    Addressing, Journey, Paho, config, main, namespaces, network, topology, with_forwarders,
)

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}
MACS = ("02:00:00:00:0a:01", "02:00:00:00:0a:02")
RETRANSMISSIONS = 2  # of each client: they show that nothing gets through
PACE_S = 0.02


class GatewayMac(Journey):
    clients = 2

    def setUp(self):
        super().setUp()
        for node, topic in TOPICS.items():
            self.teach(node, topic)
        self.gateway = self.lab.namespace(topology.GATEWAY)
        self.first_mac = network.mac_of(self.gateway, "lb0")
        self.assertEqual(self.followed_mac(), self.first_mac)
        self.witness = self.watch()
        self.publishers = [Paho(self.lab, node) for node in TOPICS]
        for publisher in self.publishers:
            self.addCleanup(publisher.kill)
        self.publish(5)
        self.expect_all_delivered()

    def followed_mac(self):
        return self.daemon.status()["gateway_mac"]

    def move_gateway(self, mac):
        network.ip_batch([f"link set lb0 address {mac}"], self.gateway)

    def announce_changes(self):
        """Announces it as routers do: gratuitous ARP, unsolicited neighbour advertisements."""
        version = self.addressing.service.version
        name = "ipv4/conf/lb0/arp_notify" if version == 4 else "ipv6/conf/lb0/ndisc_notify"
        namespaces.set_sysctls(self.gateway, {f"net/{name}": 1})

    def publish(self, count=1):
        for publisher in self.publishers:
            self.feed(publisher, TOPICS[publisher.node], count)

    def expect_all_on_the_same_connections(self):
        for publisher in self.publishers:
            publisher.close()
        self.expect_all_delivered()
        connections = self.witness.all()
        self.assertEqual(sorted(c.node for c in connections), list(TOPICS))
        self.assertEqual(sum(c.resets + c.strays for c in connections), 0)
        repeated = {node: self.retransmitted(node) for node in TOPICS}
        print(f"segments sent again: {repeated}, of {len(self.sent)} messages")

    def wait_for_mac(self, mac):
        self.wait_until(lambda: self.followed_mac() == mac, f"the gateway at {mac}")

    def test_a_gateway_that_says_so_is_followed_at_once(self):
        self.announce_changes()

        with self.meanwhile(self.publish, PACE_S):
            for mac in MACS:
                self.move_gateway(mac)
                self.wait_for_mac(mac)
                arrived = self.deliveries.count()
                self.deliveries.wait_for_count(arrived + 10)
        self.expect_all_on_the_same_connections()

    def test_a_fixed_address_is_left_alone(self):
        self.configure(dataclasses.replace(self.settings, gateway_mac=self.first_mac))
        self.reload("configuration reloaded")
        self.announce_changes()
        # A neighbour that claims the gateway's IP address does not get the packets.
        plan = self.addressing.service
        network.ip_batch(
            [f"neighbour replace {plan.lb_link_gateway} lladdr {MACS[0]} dev eth0 nud permanent"],
            self.lab.namespace(topology.LB),
        )
        self.publish(20)
        self.expect_all_delivered()
        self.assertEqual(self.followed_mac(), self.first_mac)
        network.ip_batch(
            [f"neighbour delete {plan.lb_link_gateway} dev eth0"], self.lab.namespace(topology.LB))

        # Nor does remorad follow the gateway itself, until the configuration says so.
        arrived = self.deliveries.count()
        self.move_gateway(MACS[1])
        before = {node: self.retransmitted(node) for node in TOPICS}
        self.publish(20)
        self.wait_until(
            lambda: all(self.retransmitted(n) >= before[n] + RETRANSMISSIONS for n in TOPICS),
            "segments that are repeated in vain")
        self.assertEqual(self.followed_mac(), self.first_mac)
        self.assertEqual(self.deliveries.count(), arrived)
        self.configure(self.settings)
        self.reload("configuration reloaded")
        self.wait_for_mac(MACS[1])
        self.publish(5)
        self.expect_all_on_the_same_connections()


class GatewayMacIpv6(GatewayMac):
    addressing = Addressing.IPV6


class SilentGateway(GatewayMac):
    """The gateway changes its address without announcing it, and asks for no neighbour."""

    test_a_gateway_that_says_so_is_followed_at_once = None
    test_a_fixed_address_is_left_alone = None

    def setUp(self):
        super().setUp()
        # Ten times faster than by default (RFC 4861 §10 has the numbers).
        namespaces.set_sysctls(self.lab.namespace(topology.LB), {
            "net/ipv4/neigh/eth0/delay_first_probe_time": 1,
            "net/ipv4/neigh/eth0/retrans_time_ms": 100,
        })
        # Along with its address the gateway forgets its neighbours on the link. It must not ask for
        # the load balancer, which would learn the new address from the question.
        namespaces.set_sysctls(self.gateway, {
            "net/ipv4/neigh/lb0/mcast_solicit": 0,
            "net/ipv4/neigh/lb0/ucast_solicit": 0,
        })

    def let_time_pass(self):
        """Does what the kernel does half a minute after it last heard from the gateway."""
        network.ip_batch(
            [f"neighbour replace {self.addressing.service.lb_link_gateway} "
             f"lladdr {self.first_mac} dev eth0 nud stale"],
            self.lab.namespace(topology.LB),
        )

    def move_gateway(self, mac):
        lb_mac = network.mac_of(self.lab.namespace(topology.LB), "eth0")
        lb = self.addressing.service.lb
        network.ip_batch([
            f"link set lb0 address {mac}",
            f"neighbour replace {lb} lladdr {lb_mac} dev lb0 nud permanent",
        ], self.gateway)

    def test_it_is_asked_after(self):
        with self.meanwhile(self.publish, PACE_S):
            self.move_gateway(MACS[0])
            self.assertEqual(self.followed_mac(), self.first_mac, "it was heard")
            self.let_time_pass()
            self.wait_for_mac(MACS[0])
        self.publish(5)
        self.expect_all_on_the_same_connections()


if __name__ == "__main__":
    main(with_forwarders(
        config.EMBEDDED, config.KATRAN_OBJECT, why="the gateway is the server's to find"))
