#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A link after the load balancer has a smaller MTU than its own: the gateway sends an ICMP error to
the outer source, and the client must be told."""

from support import (
    Addressing, Journey, Session, Settings, config, main, mqtt, network, topology, with_forwarders,
)

TOPIC = "measurements/temperature"
SIZE = 1000
MESSAGES = 10_000
NARROW = 1400
RETRANSMISSIONS = 3


class NarrowLink(Journey):
    def setUp(self):
        super().setUp()
        self.teach("client0", TOPIC)
        for broker in self.group_brokers["temperature"]:
            number = topology.number_of(broker)
            network.ip_batch(
                [f"link set b{number} mtu {NARROW}"], self.lab.namespace(topology.GATEWAY)
            )


class LbAddress(NarrowLink):
    settings = Settings(outer_source="lb")

    def test_everything_arrives(self):
        with self.expect_all_judged(MESSAGES, MISPREDICT=0):
            with Session(self.lab, "client0") as session:
                for number in range(1, MESSAGES + 1):
                    session.publish(TOPIC, mqtt.message("client0", "1", number, SIZE))
                session.disconnect()
            self.expect_delivered("client0", range(1, MESSAGES + 1))
        counters = self.counters()
        self.assertGreater(counters["ICMP_TRANSLATED"], 0)
        self.assertEqual(counters["ICMP_UNTRANSLATED"], 0)


class LbAddressIpv6(LbAddress):
    addressing = Addressing.IPV6


class LbAddressIpv4OverIpv6(LbAddress):
    addressing = Addressing.IPV4_OVER_IPV6


class KatransAddress(NarrowLink):
    """The control: Katran's outer source is not routed, and full segments do not get through.

    Over IPv6 no router fragments (RFC 8200 §5). Over IPv4 the gateway does, and whether that helps
    depends on what removes the outer header: XDP cannot reassemble fragments.
    """

    addressing = Addressing.IPV6

    def test_full_segments_do_not_arrive(self):
        with Session(self.lab, "client0") as session:
            session.publish(TOPIC, mqtt.message("client0", "1", 1))
            self.expect_delivered("client0", [1])
            before = self.retransmitted("client0")
            session.send(*(
                mqtt.publish(TOPIC, mqtt.message("client0", "1", number, SIZE))
                for number in range(2, 12)
            ))
            self.wait_until(lambda: self.retransmitted("client0") >= before + RETRANSMISSIONS,
                            "a segment that is repeated in vain")
        self.deliveries.settle()
        self.assertEqual(self.numbers("client0"), [1])
        self.assertEqual(self.counters()["ICMP_TRANSLATED"], 0)


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, why="Katran has an outer source of its own"))
