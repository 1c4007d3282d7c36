#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Paho C++ is reset once for its unknown first topic, comes back by itself, and then stays."""

from support import Journey, main
from clients import PahoCpp

TOPIC = "measurements/humidity"


class PahoCppClient(Journey):
    def test_it_comes_back_by_itself(self):
        witness = self.watch()
        with PahoCpp(self.lab, "client0") as publisher:
            self.feed_until_back(publisher, TOPIC, "unknown")
            publisher.close()
        mispredicts = self.expect_losses_only_in_gaps(witness, "unknown")
        self.assertEqual(len(mispredicts), 1)

        with self.expect_counted(MISPREDICT=0), PahoCpp(self.lab, "client0") as publisher:
            self.feed_in_step(publisher, TOPIC, 20, phase="known")
            publisher.close()
            self.expect_all_delivered("known")


if __name__ == "__main__":
    main()
