# SPDX-License-Identifier: Apache-2.0
"""Counts the messages that the brokers got, with a subscriber to everything at each broker.

A message counts as delivered when a mosquitto_sub that is connected to that broker over its
loopback prints it. Nothing is inferred.
"""

import collections
import dataclasses
import itertools
import selectors
import socket
import subprocess
import threading
import time

from lab import mqtt, namespaces, topology
from lab.waiting import PATIENCE_S

# Time, topic and payload, with tabs between; the payload may contain anything but a line end.
_FORMAT = "%U\t%t\t%p"
_FENCE = "lab/fence"
_REPEAT_FENCE_S = 1.0  # a subscriber that is still reconnecting misses a fence


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One message at one broker.

    `at` is CLOCK_REALTIME in seconds. `client`, `phase` and `number` come from the payload, and are
    None if the message is not one of the lab's.
    """

    broker: str
    at: float
    topic: str
    client: str | None
    phase: str | None
    number: int | None
    payload: bytes


class Deliveries:
    """Subscribes at each broker while open. Thread-safe; a thread of its own reads."""

    def __init__(self, lab):
        self._lab = lab
        self._changed = threading.Condition()
        self._all = []
        self._counts = collections.Counter()
        self._fences = itertools.count(1)
        self._last_fence = {}  # broker: number of the latest fence that came back
        self._subscribers = {}
        self._reader = threading.Thread(target=self._read, name="deliveries", daemon=True)
        for node in lab.layout.broker_nodes:
            self._subscribers[node] = namespaces.spawn(
                lab.namespace(node),
                ["mosquitto_sub", "-h", "127.0.0.1", "-t", "#", "-F", _FORMAT,
                 "-i", "lab-witness", "-k", "600"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        self._reader.start()
        try:
            # A subscription is in force when a message to oneself comes back.
            self.settle(repeat_s=0.05)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self._subscribers.values():
            process.terminate()
        for process in self._subscribers.values():
            process.wait()
        self._reader.join()
        for process in self._subscribers.values():
            process.stdout.close()

    # ---- the reader's thread -------------------------------------------------

    def _read(self):
        with selectors.DefaultSelector() as selector:
            rests = {}
            for node, process in self._subscribers.items():
                selector.register(process.stdout, selectors.EVENT_READ, node)
                rests[node] = b""
            while rests:
                for key, _ in selector.select():
                    node = key.data
                    data = key.fileobj.read(1 << 18)
                    if not data:
                        selector.unregister(key.fileobj)
                        del rests[node]
                        continue
                    *lines, rests[node] = (rests[node] + data).split(b"\n")
                    self._take(node, lines)

    def _take(self, node, lines):
        fresh = []
        last_fence = 0
        for line in lines:
            at, topic, payload = line.split(b"\t", 2)
            if topic == _FENCE.encode():
                last_fence = int(payload)
                continue
            named = mqtt.parse_message(payload) or (None, None, None)
            fresh.append(
                Delivery(node, float(at), topic.decode(errors="replace"), *named, payload)
            )
        with self._changed:
            self._all += fresh
            self._counts.update((d.client, d.phase) for d in fresh)
            self._last_fence[node] = max(last_fence, self._last_fence.get(node, 0))
            self._changed.notify_all()

    # ---- other threads ---------------------------------------------------------

    def all(self):
        with self._changed:
            return list(self._all)

    def count(self, client=None, phase=None):
        """How many messages arrived, of one client and phase or of all."""
        with self._changed:
            return self._count(client, phase)

    def _count(self, client, phase):
        return sum(
            n for (c, p), n in self._counts.items() if client in (None, c) and phase in (None, p)
        )

    def wait_for(self, predicate, patience_s=PATIENCE_S):
        """Waits until predicate(list of all deliveries) holds; returns whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: predicate(self._all), timeout=patience_s)

    def wait_for_count(self, least, client=None, phase=None, patience_s=PATIENCE_S):
        """Waits until count() is at least `least`; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._count(client, phase) >= least, timeout=patience_s)

    def settle(self, patience_s=PATIENCE_S, repeat_s=_REPEAT_FENCE_S):
        """Waits until everything that has reached a broker by now is counted here.

        A message that is published at the broker itself now arrives after all earlier ones.
        """
        number = next(self._fences)
        deadline = time.monotonic() + patience_s
        missing = set(self._subscribers)
        while missing:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no subscription at {', '.join(sorted(missing))}")
            for node in list(missing):
                if not self._publish_fence(node, number):
                    missing.remove(node)
            with self._changed:
                self._changed.wait_for(lambda: not self._behind(missing, number), timeout=repeat_s)
                missing = self._behind(missing, number)

    def _behind(self, nodes, fence):
        return {node for node in nodes if self._last_fence.get(node, 0) < fence}

    def _publish_fence(self, node, number):
        """Publishes a fence. Returns whether the broker took it."""
        with namespaces.inside(self._lab.namespace(node)):
            connection = socket.socket()
        with connection:
            connection.settimeout(PATIENCE_S)
            try:
                connection.connect(("127.0.0.1", topology.MQTT_PORT))
            except ConnectionRefusedError:
                return False
            connection.sendall(mqtt.connect(f"lab-fence-{number}"))
            # Before it answers, the broker has looked at all its other connections.
            connection.recv(4, socket.MSG_WAITALL)
            connection.sendall(mqtt.publish(_FENCE, str(number)) + mqtt.disconnect())
            while connection.recv(1 << 10):
                pass
        return True
