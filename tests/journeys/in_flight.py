#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A mispredicted PUBLISH follows a hundred whose PUBACKs are still under way. The client is reset
nevertheless, its session ends cleanly at the wrong broker, and its next packet brings it to the
right one. The broker's answers make the sequence number of any one RST stale before it arrives
(RFC 5961). bench/reset-time measures the time of this.
"""

from support import Addressing, Journey, Session, Settings, main, mqtt
from lab.session import teach_path_mtu

TOPICS = ("measurements/temperature", "measurements/humidity")
CONNECTIONS = 30
IN_FLIGHT = 100


class InFlight(Journey):
    settings = Settings(resets_per_client=1000, changes_per_day=0)

    def publish_and_be_reset(self, name, right, wrong):
        """Sends a hundred PUBLISHes without waiting, then one to a topic of another group."""
        with Session(self.lab, "client0") as session:
            session.send(*(
                mqtt.publish(right, mqtt.message("client0", name, number), qos=1, packet_id=number)
                for number in range(1, IN_FLIGHT + 1)
            ))
            session.publish(
                wrong, mqtt.message("client0", name, IN_FLIGHT + 1), qos=1,
                packet_id=IN_FLIGHT + 1,
            )
            self.assertTrue(session.wait_for_reset(), f"connection {name} is reset")

    def test_each_is_reset_and_comes_back(self):
        self.teach("client0", TOPICS[0])
        teach_path_mtu(self.lab, "client0", TOPICS[0])
        witness = self.watch()
        with self.expect_counted(MISPREDICT=CONNECTIONS, RESET=CONNECTIONS):
            for number in range(CONNECTIONS):
                self.publish_and_be_reset(
                    str(number), TOPICS[number % 2], TOPICS[(number + 1) % 2])
        with Session(self.lab, "client0") as session:
            session.publish(TOPICS[CONNECTIONS % 2], mqtt.message("client0", "last", 1), qos=1,
                            packet_id=1)
            session.read(mqtt.PUBACK)
            session.disconnect()

        mispredicts = witness.mispredicts(self.brokers_of)
        self.assertEqual(len(mispredicts), CONNECTIONS)
        # The client ended by a RST that it accepted, not by a timeout of its own.
        self.assertEqual([m for m in mispredicts if m.reset_ms is None], [])
        self.wait_for_ends(mispredicts, "disconnect")
        self.assertEqual([m for m in mispredicts if m.recovery_ms is None], [])
        self.expect_no_wrong_group()


class InFlightIpv6(InFlight):
    addressing = Addressing.IPV6


if __name__ == "__main__":
    main()
