# SPDX-License-Identifier: Apache-2.0
"""The demo's clients: their topics, and their steady stream of messages."""

import dataclasses
import time

from lab import mqtt
from lab.publishers import MosquittoPub, Paho

TEMPERATURE = "measurements/temperature"
HUMIDITY = "measurements/humidity"
OTHER = "measurements/other"

MESSAGES_PER_SECOND = 10
MESSAGE_SIZE = 100

# Even clients are mosquitto_pub, odd ones paho.
FIRST_TOPICS = {f"client{n}": TEMPERATURE for n in range(0, 4)}
FIRST_TOPICS |= {f"client{n}": HUMIDITY for n in range(4, 9)}
FIRST_TOPICS |= {"client9": OTHER}


def kind_of(client):
    return Paho if int(client.removeprefix("client")) % 2 else MosquittoPub


@dataclasses.dataclass(frozen=True)
class Sent:
    """A message that was given to its client at `at` (CLOCK_REALTIME, seconds)."""

    client: str
    phase: str
    number: int
    topic: str
    at: float


class Traffic:
    """All clients of one phase. Each numbers its messages through the whole phase."""

    def __init__(self, lab, phase, keepalive_s, sent):
        self._lab = lab
        self._phase = phase
        self._keepalive_s = keepalive_s
        self._sent = sent
        self._numbers = {}
        self._publishers = {}

    def connect(self, topics):
        """Starts every client of {client: topic}."""
        self._publishers = {}
        for client, topic in topics.items():
            kind = kind_of(client)
            arguments = (topic,) if kind is MosquittoPub else ()
            self._publishers[client] = kind(
                self._lab, client, *arguments, keepalive_s=self._keepalive_s
            )

    def publish(self, topics, seconds, on_tick):
        """Gives every client ten messages a second, evenly spread; calls on_tick(seconds)."""
        interval = 1 / MESSAGES_PER_SECOND
        start = time.monotonic()
        for tick in range(round(seconds * MESSAGES_PER_SECOND)):
            for index, (client, publisher) in enumerate(self._publishers.items()):
                due = start + (tick + index / len(self._publishers)) * interval
                time.sleep(max(0.0, due - time.monotonic()))
                self._publish_one(client, publisher, topics[client])
            on_tick((tick + 1) * interval)

    def _publish_one(self, client, publisher, topic):
        number = self._numbers.get(client, 0) + 1
        self._numbers[client] = number
        self._sent.append(Sent(client, self._phase, number, topic, time.time()))
        publisher.publish(topic, mqtt.message(client, self._phase, number, MESSAGE_SIZE))

    def disconnect(self):
        """Ends every client's session properly."""
        for publisher in self._publishers.values():
            publisher.close()
        self._publishers = {}

    def kill(self):
        for publisher in self._publishers.values():
            publisher.kill()
        self._publishers = {}
