#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""10 000 routes are reloaded again and again while a client publishes: each packet is judged by one
set of routes or by the other, never by parts of both."""

from support import Journey, Session, Settings, main, mqtt

ONE, OTHER = "measurements/one", "measurements/other"
UNCHANGED = tuple((f"load/{number}/state", "default") for number in range(9_998))
SETS = tuple(
    Settings(policy="keep", routes=((ONE, first), (OTHER, second), *UNCHANGED))
    for first, second in (("temperature", "humidity"), ("humidity", "temperature"))
)
RELOADS = 20
PACKETS = 20  # per connection


class ReloadUnderLoad(Journey):
    settings = SETS[0]

    def setUp(self):
        super().setUp()
        self.packets = 0

    def publish(self):
        """Sends packets with a PUBLISH for each of the two topics, one packet at a time.

        By either set, exactly one of the two belongs to another group than the connection.
        """
        with Session(self.lab, "client0") as session:
            for number in range(PACKETS):
                session.send(mqtt.publish(ONE, "x", qos=1, packet_id=2 * number + 1),
                             mqtt.publish(OTHER, "x", qos=1, packet_id=2 * number + 2))
                session.read(mqtt.PUBACK)
                session.read(mqtt.PUBACK)
                self.packets += 1
            session.disconnect()

    def test_each_packet_is_judged_by_one_set_of_routes(self):
        # From here on a connection begins in one of the two groups, whichever set is in force.
        self.teach("client0", ONE)
        before = self.counters()
        with self.meanwhile(self.publish):
            for number in range(RELOADS):
                self.configure(SETS[(number + 1) % 2])
                changes = self.daemon.ask("reload")["changes"]
                self.assertEqual(len(changes), 2, changes)
        after = self.counters()
        counted = {name: after[name] - before[name] for name in ("PUBLISH", "MISPREDICT", "BLIND")}
        self.assertGreater(self.packets, RELOADS)
        self.assertEqual(
            counted, {"PUBLISH": 2 * self.packets, "MISPREDICT": self.packets, "BLIND": 0})
        self.assertEqual(self.unjudged(before), 0)


if __name__ == "__main__":
    main()
