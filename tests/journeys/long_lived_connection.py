#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The seed's Test 3: a paho client that stays connected. The prototype lost all of its messages."""

from support import Journey, Paho, Settings, main


class LongLivedConnection(Journey):
    brokers = 3
    settings = Settings(
        groups={"one": [1], "two": [2], "default": [3]},
        routes=(("sensors/", "one"), ("living-room/", "two")),
    )

    def test_it_is_reset_once_and_comes_back_to_the_right_broker(self):
        witness = self.watch()
        with Paho(self.lab, "client0", keepalive_s=3) as paho:
            self.feed_until_back(paho, "living-room/", "unknown")
            paho.close()
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(len(mispredicts), 1)

        with self.expect_counted(MISPREDICT=0, RESET=0), \
                Paho(self.lab, "client0", keepalive_s=3) as paho:
            self.feed_in_step(paho, "living-room/", 6, phase="known")
            paho.close()
            self.expect_all_delivered("known")

    def test_a_living_connection_changes_its_topic(self):
        self.teach("client0", "living-room/")
        witness = self.watch()
        with self.expect_counted(MISPREDICT=1, RESET=1), Paho(self.lab, "client0") as paho:
            self.feed_in_step(paho, "living-room/", 5)
            self.feed_until_back(paho, "sensors/")
            paho.close()
            mispredicts = self.expect_losses_only_in_gaps(witness)
        self.assertEqual([m.publish.number for m in mispredicts], [6])
        self.wait_for_ends(mispredicts, "disconnect")
        self.assertEqual(self.numbers("client0")[:5], [1, 2, 3, 4, 5])


if __name__ == "__main__":
    main()
