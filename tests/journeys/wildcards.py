#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Routes with `+` and `#`: the most specific one takes the topic."""

from support import Journey, Settings, main

GROUPS = {"kitchen": [1], "rooms": [2], "house": [3], "alarms": [4], "rest": [5], "default": [6]}
ROUTES = (
    ("house/kitchen/temperature", "kitchen"),
    ("house/+/temperature", "rooms"),
    ("house/#", "house"),
    ("+/+/alarm", "alarms"),
    ("#", "rest"),
)
# MQTT 5.0 §4.7. The filter with a literal level further left is more specific.
GROUP_OF = {
    "house/kitchen/temperature": "kitchen",
    "house/bath/temperature": "rooms",
    "house//temperature": "rooms",
    "house": "house",
    "house/kitchen": "house",
    "house/bath/temperature/mean": "house",
    "house/bath/alarm": "house",
    "garage/door/alarm": "alarms",
    "garage/door/alarm/old": "rest",
    "/door/alarm": "alarms",
    "Garage": "rest",
    "$garage/door/alarm": "default",
    "$house": "default",
}


class Wildcards(Journey):
    settings = Settings(groups=GROUPS, routes=ROUTES, resets_per_client=1000, changes_per_day=0,
                        extra="events_per_minute = 100")

    def setUp(self):
        super().setUp()
        self.brokers_of = lambda topic: self.group_brokers[GROUP_OF[topic]]

    def test_each_topic_is_taught_to_and_found_at_its_group(self):
        # One client publishes them in turn, so each topic has to leave the group of the last one.
        topics = list(GROUP_OF)
        changes = sum(
            GROUP_OF[topic] != before
            for topic, before in zip(topics, ["default", *GROUP_OF.values()])
        )
        with self.expect_counted(MISPREDICT=changes, RESET=changes, LEARNED=len(topics)):
            for topic in topics:
                self.teach("client0", topic)
        # The subscription to `#` does not match topics that begin with `$`.
        visible = [topic for topic in topics if not topic.startswith("$")]
        self.deliveries.wait_for(lambda all_: len(all_) == len(visible))
        self.expect_no_wrong_group()
        self.assertEqual({d.topic for d in self.deliveries.all()}, set(visible))

        address = self.lab.clients.address("client0")
        expected = sorted(GROUP_OF.items())
        self.wait_until(
            lambda: sorted(set(self.history(
                "SELECT new_topic, to_group FROM v_events WHERE client = ?", address
            ))) == expected,
            "every topic in the history, with its group",
        )


if __name__ == "__main__":
    main()
