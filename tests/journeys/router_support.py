# SPDX-License-Identifier: Apache-2.0
"""What the journeys of routed clients share."""

import contextlib

from support import Journey, Settings

TEMPERATURE, HUMIDITY, OTHER = "measurements/temperature", "measurements/humidity", "anything"
TOPICS = (TEMPERATURE, HUMIDITY, OTHER)


class RouterJourney(Journey):
    settings = Settings(unknown_clients="router")

    def setUp(self):
        super().setUp()
        self.wait_for_router()

    def router(self):
        """What `remoractl status` says of the router."""
        return self.daemon.ask("status")["router"]

    def wait_for_router(self):
        """Waits until an unknown client is routed."""
        self.wait_until(lambda: self.router()["open"], "the router to be open")

    def routed_at(self, group):
        """{broker: number of sessions of routed clients} of a group, without those that have none.
        """
        return {broker: count for broker in self.group_brokers[group]
                if (count := self.real(broker)["routed"]) > 0}

    @contextlib.contextmanager
    def nothing_reset(self):
        with self.expect_counted(RESET=0, MISPREDICT=0, CONDEMNED_RST=0, NO_FLOW=0):
            yield
