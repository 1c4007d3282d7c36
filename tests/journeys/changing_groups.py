#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Addresses that change between groups all the time: after a few resets their connections are kept.

A reset helps such clients only until their next message, so it costs more than it gains.
"""

from support import Journey, Paho, Session, Settings, main, mqtt

TELE, STAT = "measurements/temperature", "measurements/humidity"
# Two mispredicts until the address is questioned, and four changes of its own.
MOST_RESETS = 8
MOST_CYCLES = 20


class ChangingGroups(Journey):
    # Without this, the limit per minute would keep the connections, too.
    settings = Settings(resets_per_client=1000)

    def run_until_kept(self, cycle):
        for _ in range(MOST_CYCLES):
            if self.counters()["KEPT_CHANGING"]:
                break
            cycle()
        counters = self.counters()
        self.assertGreater(counters["KEPT_CHANGING"], 0)
        self.assertLessEqual(counters["RESET"], MOST_RESETS)
        self.wait_until(
            lambda: self.history("SELECT count(*) FROM v_changes WHERE action = 'changing'")
            != [(0,)],
            "the kept changes in the history",
        )


class Device(ChangingGroups):
    """It publishes to topics of two groups, as Tasmota does: telemetry and state, with a Will."""

    def test_it_is_reset_a_few_times_and_then_kept(self):
        with Paho(self.lab, "client0", will="wills/client0") as paho:
            def cycle():
                self.feed_until_back(paho, TELE)
                self.feed(paho, STAT, 1)

            self.run_until_kept(cycle)
            with self.expect_counted(RESET=0):
                for _ in range(10):
                    self.feed_in_step(paho, TELE, 1)
                    self.feed_in_step(paho, STAT, 1)
            paho.close()


class OneAddress(ChangingGroups):
    """Two clients, each with topics of one group, behind one address."""

    def publish_once(self, client_id, topic):
        """Connects, publishes and disconnects; does so again after a reset."""
        for _ in range(3):
            try:
                with Session(self.lab, "client0", client_id) as session:
                    session.publish(topic, mqtt.message("client0", client_id, 1), qos=1,
                                    packet_id=1)
                    session.read(mqtt.PUBACK)
                    session.disconnect()
                    return
            except ConnectionResetError:
                continue
        self.fail(f"{client_id} is reset each time")

    def cycle(self):
        self.publish_once("tele", TELE)
        self.publish_once("stat", STAT)

    def test_they_are_reset_a_few_times_and_then_kept(self):
        self.run_until_kept(self.cycle)
        with self.expect_counted(RESET=0):
            for _ in range(10):
                self.cycle()


if __name__ == "__main__":
    main()
