# SPDX-License-Identifier: Apache-2.0
"""What the brokers got: a subscriber to everything in each broker's namespace, read here.

Counted at the brokers and never inferred: a message is delivered when a mosquitto_sub that is
connected to that broker over its loopback prints it.
"""

import collections
import dataclasses
import selectors
import subprocess
import threading
import time

from lab import mqtt, namespaces

# Time, topic and payload, with tabs between; the payload may contain anything but a line end.
_FORMAT = "%U\t%t\t%p"
_HELLO = "lab/hello"


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One message at one broker. `at` is CLOCK_REALTIME in seconds, `client`, `phase` and `number`
    are what the payload says; None where it is not one of the lab's."""

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
        self._lock = threading.Condition()
        self._all = []
        self._counts = collections.Counter()
        self._greeted = set()
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
            self._wait_until_subscribed()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _wait_until_subscribed(self, patience_s=10.0):
        """A subscription is in force when a message to oneself comes back."""
        deadline = time.monotonic() + patience_s
        while True:
            with self._lock:
                missing = set(self._subscribers) - self._greeted
            if not missing:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"no subscription at {', '.join(sorted(missing))}")
            for node in missing:
                namespaces.run(
                    self._lab.namespace(node),
                    ["mosquitto_pub", "-h", "127.0.0.1", "-t", _HELLO, "-m", "hello"],
                    stderr=subprocess.DEVNULL,
                )
            with self._lock:
                self._lock.wait_for(lambda: missing <= self._greeted, timeout=0.05)

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
        for line in lines:
            at, topic, payload = line.split(b"\t", 2)
            if topic == _HELLO.encode():
                self._greeted.add(node)
                continue
            named = mqtt.parse_message(payload) or (None, None, None)
            fresh.append(
                Delivery(node, float(at), topic.decode(errors="replace"), *named, payload)
            )
        with self._lock:
            self._all += fresh
            self._counts.update((d.client, d.phase) for d in fresh)
            self._lock.notify_all()

    # ---- everybody else's ----------------------------------------------------

    def all(self):
        with self._lock:
            return list(self._all)

    def count(self, client=None, phase=None):
        """How many messages arrived, of one client and phase or of all."""
        with self._lock:
            return sum(
                n
                for (c, p), n in self._counts.items()
                if client in (None, c) and phase in (None, p)
            )

    def wait_for(self, predicate, patience_s=10.0):
        """Waits until predicate(list of all deliveries); whether it came true."""
        with self._lock:
            return self._lock.wait_for(lambda: predicate(self._all), timeout=patience_s)

    def wait_until_quiet(self, quiet_s=0.3, patience_s=10.0):
        """Waits until nothing has arrived for `quiet_s` seconds."""
        deadline = time.monotonic() + patience_s
        with self._lock:
            while time.monotonic() < deadline:
                seen = len(self._all)
                if not self._lock.wait_for(lambda: len(self._all) != seen, timeout=quiet_s):
                    return
