#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""remorad is killed repeatedly under load: nothing that it has read is lost or counted twice."""

import random

from support import Journey, main

from lab.kills import Kills

SEED = 12


class KilledDaemon(Journey):
    brokers = 2

    def test_no_report_is_lost_and_none_is_counted_twice(self):
        outcome = Kills(self.lab, random.Random(SEED)).run(kills=8, per_second=500)

        self.assertEqual(outcome.problems(), {})
        self.assertGreater(outcome.messages, 1000)
        self.assertEqual(self.counters()["RESET"], 0)


if __name__ == "__main__":
    main()
