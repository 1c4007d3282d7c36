# SPDX-License-Identifier: Apache-2.0
"""An MQTT client on a bare socket, for things that no library allows: two PUBLISHes in one segment,
an immediate reconnect, telling a reset from a close."""

import contextlib
import select
import socket
import time

from lab import mqtt, namespaces, topology
from lab.waiting import PATIENCE_S


def teach(lab, node, topic, **options):
    """Makes Remora know that `node` publishes to `topic`, so that its next connection is right.

    The options are Session's.
    """
    for _ in range(3):
        with contextlib.suppress(ConnectionResetError):
            with Session(lab, node, **options) as session:
                session.publish(topic, mqtt.message(node, "teach", 0), qos=1, packet_id=1)
                session.read(mqtt.PUBACK)
                session.disconnect()
                return
    raise RuntimeError(f"{node} cannot publish to {topic}: reset three times")


def teach_path_mtu(lab, node, topic):
    """Makes the client's kernel know the path MTU, so that later connections lose no full segment.

    `topic` is one for which the client's connections are right.
    """
    with Session(lab, node) as session:
        session.publish(topic, mqtt.message(node, "teach", 0, size=10_000), qos=1, packet_id=1)
        session.read(mqtt.PUBACK)
        session.disconnect()


class Session:
    """One connection to the service from a client's namespace, CONNECT already acknowledged.

    It never pings, so by default its broker does not expect it to.
    """

    def __init__(self, lab, node, client_id=None, *, source=None, patience_s=PATIENCE_S,
                 followed_by=(), **connect):
        """`followed_by`: packets that do not wait for the CONNACK. Others are for mqtt.connect()."""
        with namespaces.inside(lab.namespace(node)):
            self.socket = socket.socket(lab.layout.service_family)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.settimeout(patience_s)
            if source:
                self.socket.bind((source, 0))
            self._walker = mqtt.Walker()
            self._packets = []
            self.socket.connect((lab.layout.service_address, topology.MQTT_PORT))
            first = mqtt.connect(client_id or node, **{"keepalive_s": 0, **connect})
            self.socket.sendall(b"".join([first, *followed_by]))
            # Whether the broker had kept the session (MQTT 3.1.1 §3.2.2.2).
            self.was_present = bool(self.read(mqtt.CONNACK)[0] & 1)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *packets):
        """Sends all of `packets` in one segment, as far as they fit."""
        self.socket.sendall(b"".join(packets))

    def publish(self, topic, payload, **options):
        self.send(mqtt.publish(topic, payload, **options))

    def read(self, kind):
        """Waits for the next packet of `kind` and returns its body. Others are skipped."""
        while True:
            for index, (first, body) in enumerate(self._packets):
                if first >> 4 == kind:
                    del self._packets[: index + 1]
                    return body
            self._packets.clear()
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the broker has closed the connection")
            self._packets += self._walker.feed(data)

    def read_available(self):
        """Returns the packets that have arrived, as (first byte, body)."""
        while select.select([self.socket], [], [], 0)[0]:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the broker has closed the connection")
            self._packets += self._walker.feed(data)
        packets, self._packets = self._packets, []
        return packets

    def wait_for_reset(self, patience_s=PATIENCE_S):
        """Returns whether the connection was reset, and not closed."""
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(1 << 16):
                    return False
            except ConnectionResetError:
                return True
            except TimeoutError:
                return False
        return False

    def disconnect(self):
        """Ends the session properly: sends DISCONNECT and waits until the broker closes."""
        self.send(mqtt.disconnect())
        try:
            while self.socket.recv(1 << 16):
                pass
        finally:
            self.close()
