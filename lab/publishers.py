# SPDX-License-Identifier: Apache-2.0
"""Publishing clients: processes in their namespaces that are fed message by message."""

import os
import signal
import subprocess

from lab import namespaces, topology
from lab.waiting import PATIENCE_S

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "publisher.py")


class Publisher:
    """A process that publishes each line it is given, until close()."""

    kind = ""

    def __init__(self, lab, node, argv, wrapper=()):
        """`wrapper`: a command that becomes `argv`, such as env(1), with its arguments."""
        self.node = node
        self._process = namespaces.spawn(
            lab.namespace(node), [*wrapper, *argv], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, bufsize=0,
        )

    def _feed(self, line):
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            errors = self._process.communicate()[1].decode(errors="replace")
            raise RuntimeError(f"{self.kind} in {self.node} has ended: {errors.strip()}") from None

    def close(self, patience_s=PATIENCE_S):
        """Closes the input and waits until the client has sent everything and ended."""
        try:
            self._process.stdin.close()
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self.kind} in {self.node} does not end") from None
        finally:
            self.kill()

    def freeze(self):
        """Stops the process: its connection stays open, but it sends nothing any more."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self):
        """Kills the process."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class MosquittoPub(Publisher):
    """mosquitto_pub -l: publishes to one topic."""

    kind = "mosquitto_pub"

    def __init__(self, lab, node, topic, *, qos=0, keepalive_s=60, client_id=None,
                 version="mqttv311"):
        self.topic = topic
        super().__init__(lab, node, [
            "mosquitto_pub", "-l", "-h", lab.layout.service_address, "-p", str(topology.MQTT_PORT),
            "-i", client_id or node, "-t", topic, "-q", str(qos), "-k", str(keepalive_s),
            "-V", version,
        ])

    def publish(self, topic, payload):
        if topic != self.topic:
            raise ValueError(f"mosquitto_pub publishes to {self.topic} only, not to {topic}")
        self._feed(payload)


class Paho(Publisher):
    """lab/publisher.py: may change its topic, and reconnects by itself."""

    kind = "paho"

    def __init__(self, lab, node, *, qos=0, keepalive_s=60, client_id=None, will=None,
                 wrapper=()):
        super().__init__(lab, node, [
            "/usr/bin/python3", _PROGRAM, lab.layout.service_address, str(topology.MQTT_PORT),
            client_id or node, "--qos", str(qos), "--keepalive", str(keepalive_s),
            *(["--will", will] if will else []),
        ], wrapper)

    def publish(self, topic, payload):
        self._feed(f"{topic} {payload}")
