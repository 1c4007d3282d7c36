#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Paho C++: reset once by its unknown first topic, back by itself, at home from then on."""

from support import Journey, main
from clients import PahoCpp

TOPIC = "measurements/humidity"


class PahoCppClient(Journey):
    def test_it_comes_back_by_itself(self):
        witness = self.watch()
        with PahoCpp(self.lab, "client0") as publisher:
            last = self.feed_until_back(publisher, TOPIC, "unknown")
            publisher.close()
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(len(mispredicts), 1)
        self.assertIn(last, self.numbers("client0", "unknown"))

        with self.expect_counted(MISPREDICT=0), PahoCpp(self.lab, "client0") as publisher:
            self.feed(publisher, TOPIC, 20, every_s=0.02, phase="known")
            publisher.close()
            self.expect_all_delivered("known")


if __name__ == "__main__":
    main()
