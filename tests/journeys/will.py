#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A hundred mispredicted clients with a Will: no Will is published, and no good message is lost."""

from support import Addressing, Journey, Session, Settings, main, mqtt, namespaces, topology

CLIENTS = 100
GOOD, WRONG = "measurements/other", "measurements/temperature"


class WillJourney(Journey):
    def setUp(self):
        super().setUp()
        self.addresses = self.lab.clients.add_addresses("client0", CLIENTS)

    def mispredict_everyone(self):
        """Every second client has a good message before the wrong one, in the same segment."""
        for number, address in enumerate(self.addresses):
            name = f"will{number}"
            with Session(self.lab, "client0", name, source=address,
                         will=(f"wills/{name}", "gone")) as session:
                wrong = mqtt.publish(WRONG, mqtt.message(name, "wrong", 1))
                if number % 2:
                    session.send(mqtt.publish(GOOD, mqtt.message(name, "good", 1)), wrong)
                else:
                    session.send(wrong)
                self.assertTrue(session.wait_for_reset(), f"{name} is reset")

    def left_behind(self):
        """Client connections that a broker still has. Each of them may end with its Will."""
        found = []
        for node in self.lab.layout.broker_nodes:
            shown = namespaces.run(
                self.lab.namespace(node),
                ["ss", "--no-header", "--tcp", "--numeric", f"sport = :{topology.MQTT_PORT}"],
                capture_output=True, text=True, check=True,
            ).stdout.splitlines()
            found += [line for line in shown if "127.0.0.1" not in line]
        return found

    def wills(self, deliveries):
        return {d.topic for d in deliveries if d.topic.startswith("wills/")}


class CleanEnd(WillJourney):
    def test_no_will_is_published_and_all_good_messages_arrive(self):
        self.mispredict_everyone()
        self.wait_until(
            lambda: self.daemon.own_counters()["clean_ends"] == CLIENTS, "all sessions to end"
        )
        self.wait_until(lambda: not self.left_behind(), "the brokers to close their ends")
        self.deliveries.settle()
        self.assertEqual(self.wills(self.deliveries.all()), set())
        self.assertEqual(
            {d.client for d in self.deliveries.all() if d.phase == "good"},
            {f"will{number}" for number in range(1, CLIENTS, 2)},
        )
        self.assertEqual([d for d in self.deliveries.all() if d.phase == "wrong"], [])
        self.expect_no_wrong_group()


class AnswersOwed(WillJourney):
    """The broker has to answer a packet before the wrong message, and the answer must not fail."""

    def before_the_wrong_one(self, number, name):
        """Packets that the broker answers, of a different kind for every fourth client."""
        good = mqtt.message(name, "good", 1)
        return [
            [mqtt.publish(GOOD, good, qos=1, packet_id=1)],
            [mqtt.pingreq(), mqtt.publish(GOOD, good)],
            [mqtt.subscribe("commands/#", packet_id=2), mqtt.publish(GOOD, good)],
            [mqtt.publish(GOOD, good), mqtt.publish(GOOD, good, qos=2, packet_id=3)],
        ][number % 4]

    def test_no_will_is_published_and_all_good_messages_arrive(self):
        for number, address in enumerate(self.addresses):
            name = f"will{number}"
            with Session(self.lab, "client0", name, source=address,
                         will=(f"wills/{name}", "gone")) as session:
                session.send(*self.before_the_wrong_one(number, name),
                             mqtt.publish(WRONG, mqtt.message(name, "wrong", 1)))
                self.assertTrue(session.wait_for_reset(), f"{name} is reset")
        self.wait_until(
            lambda: self.daemon.own_counters()["clean_ends"] == CLIENTS, "all sessions to end"
        )
        self.wait_until(lambda: not self.left_behind(), "the brokers to close their ends")
        self.deliveries.settle()
        self.assertEqual(self.wills(self.deliveries.all()), set())
        self.assertEqual(
            {d.client for d in self.deliveries.all() if d.phase == "good"},
            {f"will{number}" for number in range(CLIENTS)},
        )
        self.assertEqual([d for d in self.deliveries.all() if d.phase == "wrong"], [])
        self.expect_no_wrong_group()


class NoCleanEnd(WillJourney):
    """The control: with RSTs alone, every Will is published."""

    settings = Settings(session_end="reset")

    def test_every_will_is_published(self):
        self.mispredict_everyone()
        self.deliveries.wait_for(lambda all_: len(self.wills(all_)) == CLIENTS)
        self.assertEqual(len(self.wills(self.deliveries.all())), CLIENTS)


class CleanEndIpv6(CleanEnd):
    addressing = Addressing.IPV6


class CleanEndIpv4OverIpv6(CleanEnd):
    addressing = Addressing.IPV4_OVER_IPV6


if __name__ == "__main__":
    main()
