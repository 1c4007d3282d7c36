# SPDX-License-Identifier: Apache-2.0
"""Observes every TCP connection to the service, at the clients' and the brokers' interfaces.

One thread reads a packet socket in each namespace. Times are the kernel's own, taken as a frame
leaves or arrives (SO_TIMESTAMPNS, CLOCK_REALTIME), so a late reader costs no accuracy.
"""

import bisect
import dataclasses
import selectors
import socket
import struct
import threading
import time

from lab import mqtt, namespaces, topology
from lab.waiting import PATIENCE_S

_ETH_P_ALL = 0x0003  # the outgoing frames too
_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_PACKET_OUTGOING = 4
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_LONGEST_FRAME = 1 << 16
_STOP, _LOOK = b"s", b"l"  # what wakes the thread
# Time from a frame's time stamp until it is in the socket: microseconds, unless the thread loses
# the CPU in between.
_SETTLING_S = 0.02


@dataclasses.dataclass
class Publish:
    """A PUBLISH that was complete on the wire at `at`."""

    at: float
    topic: str
    client: str | None
    phase: str | None
    number: int | None


class Stream:
    """One direction of a TCP connection, in which each byte is read once and in order."""

    def __init__(self, next_seq):
        self.next_seq = next_seq
        self._early = []
        self._walker = mqtt.Walker()

    def feed(self, seq, data):
        """The MQTT packets that the segment completes."""
        if data:
            self._early.append((seq, data))
        packets = []
        progress = True
        while progress:
            progress = False
            for piece in list(self._early):
                ahead = _difference(piece[0], self.next_seq)
                if ahead > 0:
                    continue
                self._early.remove(piece)
                fresh = piece[1][-ahead:]
                self.next_seq = (self.next_seq + len(fresh)) & 0xFFFFFFFF
                packets += self._walker.feed(fresh)
                progress = True
        return packets

    def feed_fin(self, seq):
        """A FIN at `seq` uses up one sequence number."""
        if seq == self.next_seq:
            self.next_seq = (self.next_seq + 1) & 0xFFFFFFFF


def _difference(a, b):
    """a - b of two sequence numbers (RFC 9293 §3.4), negative when a is older."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@dataclasses.dataclass
class Connection:
    """One connection as both ends saw it. Times are in seconds; None if it did not happen."""

    node: str
    address: str
    port: int
    isn: int
    syn_at: float
    connack_at: float | None = None
    publishes: list = dataclasses.field(default_factory=list)
    reset_at: float | None = None  # arrival of the first RST that the client accepts
    resets: int = 0  # all RSTs that arrived, including ignored ones
    closed_at: float | None = None  # the client's FIN or RST
    broker: str | None = None  # the broker that got its SYN
    arrivals: list = dataclasses.field(default_factory=list)  # PUBLISHes that reached the broker
    ended_by: str | None = None  # its end at the broker: disconnect, reset, fin
    strays: int = 0  # its segments that reached other brokers

    def __post_init__(self):
        self.sent = Stream((self.isn + 1) & 0xFFFFFFFF)
        self.at_broker = Stream((self.isn + 1) & 0xFFFFFFFF)
        self.received = None


@dataclasses.dataclass
class Mispredict:
    """A connection that was reset, or would have been, because of `publish`."""

    connection: Connection
    publish: Publish
    reset_ms: float | None = None
    recovery_ms: float | None = None
    back_at: float | None = None  # CONNACK of the client's next connection


class Witness:
    """Watches all connections while open."""

    def __init__(self, lab):
        self._changed = threading.Condition()
        self.connections = []
        self._by_tuple = {}
        self._waiting = []  # frames as (time, node, outgoing, segment), not yet looked at
        self._taken_until = 0.0  # all frames up to this time have been looked at
        self._wanted_until = 0.0
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        for node in [*lab.layout.client_nodes, *lab.layout.broker_nodes]:
            self._selector.register(_tap(lab.namespace(node)), selectors.EVENT_READ, node)
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._wake_writer.send(_STOP)
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
        self._wake_writer.close()

    def all(self):
        """All connections, including everything that has passed an interface before this call."""
        called_at = time.time()
        with self._changed:
            self._wanted_until = called_at
            self._wake_writer.send(_LOOK)
            if not self._changed.wait_for(lambda: self._taken_until >= called_at, PATIENCE_S):
                raise RuntimeError("the witness is stuck")
            return list(self.connections)

    # ---- the thread of the witness ----------------------------------------------

    def _run(self):
        stopping = False
        while not stopping:
            # Frames are read socket by socket, but have to be processed in the order of their
            # times. Every frame from before `horizon` is in its socket by now; later ones wait.
            horizon = time.time() - _SETTLING_S
            is_behind = self._waiting or self._wanted_until > self._taken_until
            for key, _ in self._selector.select(_SETTLING_S if is_behind else None):
                if key.data is None:
                    stopping = _STOP in key.fileobj.recv(4096)
                else:
                    self._drain(key.fileobj, key.data)
            self._waiting.sort(key=lambda frame: frame[0])
            if stopping:
                horizon = time.time()
            ripe = bisect.bisect(self._waiting, horizon, key=lambda frame: frame[0])
            with self._changed:
                for frame in self._waiting[:ripe]:
                    self._take(*frame)
                self._taken_until = horizon
                self._changed.notify_all()
            del self._waiting[:ripe]

    def _drain(self, tap, node):
        while True:
            try:
                frame, ancillary, _, source = tap.recvmsg(_LONGEST_FRAME, 64)
            except BlockingIOError:
                return
            if source[1] in (_ETH_P_IP, _ETH_P_IPV6) and (segment := _parse(frame)):
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
                outgoing = source[2] == _PACKET_OUTGOING
                self._waiting.append((seconds + nanoseconds / 1e9, node, outgoing, segment))

    def _take(self, at, node, outgoing, segment):
        to_service = segment.to_port == topology.MQTT_PORT
        if node.startswith("broker"):
            if not outgoing and to_service:
                self._at_broker(node, at, segment)
        elif outgoing and to_service:
            self._from_client(node, at, segment)
        elif not outgoing and segment.from_port == topology.MQTT_PORT:
            self._to_client(at, segment)

    def _from_client(self, node, at, segment):
        key = (segment.source, segment.from_port)
        known = self._by_tuple.get(key)
        if segment.flags & _SYN:
            if known is None or known.isn != segment.seq:
                known = Connection(node, *key, segment.seq, at)
                self._by_tuple[key] = known
                self.connections.append(known)
            return
        if known is None:
            return
        for first, body in known.sent.feed(segment.seq, segment.payload):
            if first >> 4 == mqtt.PUBLISH:
                known.publishes.append(_publish(at, first, body))
        # Before the broker's SYN-ACK, a RST answers the stage's question and the client goes on.
        is_end = segment.flags & _FIN or (segment.flags & _RST and known.received)
        if is_end and known.closed_at is None:
            known.closed_at = at

    def _to_client(self, at, segment):
        known = self._by_tuple.get((segment.destination, segment.to_port))
        if known is None:
            return
        if segment.flags & _RST:
            known.resets += 1
            # RFC 5961 §3.2: only a RST with exactly the expected number takes effect at once.
            expected = known.received.next_seq if known.received else None
            if known.reset_at is None and expected in (None, segment.seq):
                known.reset_at = at
            return
        if segment.flags & _SYN:
            # The stage's question acknowledges another number (xdp/questions.h).
            if segment.ack == (known.isn + 1) & 0xFFFFFFFF:
                known.received = known.received or Stream((segment.seq + 1) & 0xFFFFFFFF)
        elif known.received:
            for first, _ in known.received.feed(segment.seq, segment.payload):
                if first >> 4 == mqtt.CONNACK and known.connack_at is None:
                    known.connack_at = at
            if segment.flags & _FIN:
                known.received.feed_fin((segment.seq + len(segment.payload)) & 0xFFFFFFFF)

    def _at_broker(self, node, at, segment):
        known = self._by_tuple.get((segment.source, segment.from_port))
        if known is None:
            return
        if segment.flags & _SYN and segment.seq == known.isn:
            known.broker = known.broker or node
        if known.broker != node:
            known.strays += 1
            return
        for first, body in known.at_broker.feed(segment.seq, segment.payload):
            if first >> 4 == mqtt.PUBLISH:
                known.arrivals.append(_publish(at, first, body))
            elif first >> 4 == mqtt.DISCONNECT:
                known.ended_by = known.ended_by or "disconnect"
        if segment.flags & _RST:
            # The broker ignores a RST that has overtaken earlier bytes (RFC 5961 §3.2).
            if segment.seq == known.at_broker.next_seq:
                known.ended_by = known.ended_by or "reset"
        elif segment.flags & _FIN:
            known.ended_by = known.ended_by or "fin"

    # ---- conclusions -----------------------------------------------------------

    def mispredicts(self, brokers_of, since=0.0):
        """Every connection with a PUBLISH to a topic of another group than its broker's.

        `brokers_of(topic)` names the brokers of the topic's group.
        """
        connections = self.all()
        found = []
        for connection in connections:
            if connection.broker is None or connection.syn_at < since:
                continue
            wrong = next(
                (p for p in connection.publishes if connection.broker not in brokers_of(p.topic)),
                None,
            )
            if wrong is None:
                continue
            mispredict = Mispredict(connection, wrong)
            self._time(mispredict, connections, brokers_of)
            found.append(mispredict)
        return found

    @staticmethod
    def _time(mispredict, connections, brokers_of):
        connection, publish = mispredict.connection, mispredict.publish
        later = [
            c for c in connections if c.node == connection.node and c.syn_at > connection.syn_at
        ]
        mispredict.back_at = min((c.connack_at for c in later if c.connack_at), default=None)
        if connection.reset_at is None or connection.reset_at < publish.at:
            return
        mispredict.reset_ms = (connection.reset_at - publish.at) * 1e3
        arrivals = (
            p.at for c in later if c.broker in brokers_of(publish.topic)
            for p in c.arrivals if c.broker in brokers_of(p.topic)
        )
        if (first := min(arrivals, default=None)) is not None:
            mispredict.recovery_ms = (first - connection.reset_at) * 1e3


@dataclasses.dataclass
class _Segment:
    source: str
    destination: str
    from_port: int
    to_port: int
    seq: int
    ack: int
    flags: int
    payload: bytes


def _parse(packet):
    """The TCP segment in an IP packet, with or without an outer IP header; None if there is none.

    IPv6 extension headers are not parsed: the lab's TCP has none.
    """
    for _ in range(2):
        if len(packet) < 20:
            return None
        if packet[0] >> 4 == 6:
            if len(packet) < 40:
                return None
            length, protocol = struct.unpack_from("!HB", packet, 4)
            family, addresses = socket.AF_INET6, (packet[8:24], packet[24:40])
            packet = packet[40 : 40 + length]
        else:
            total, protocol = struct.unpack_from("!2xH5xB", packet)
            family, addresses = socket.AF_INET, (packet[12:16], packet[16:20])
            packet = packet[(packet[0] & 0x0F) * 4 : total]
        if protocol not in (socket.IPPROTO_IPIP, socket.IPPROTO_IPV6):
            break
    if protocol != socket.IPPROTO_TCP or len(packet) < 20:
        return None
    from_port, to_port, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", packet)
    return _Segment(
        *(socket.inet_ntop(family, address) for address in addresses),
        from_port, to_port, seq, ack, flags, packet[(offset >> 4) * 4 :],
    )


def _publish(at, first, body):
    topic, payload = mqtt.published(first, body)
    return Publish(at, topic, *(mqtt.parse_message(payload) or (None, None, None)))


def _tap(namespace):
    """A packet socket on `eth0` of `namespace`: both directions, from the IP header on."""
    with namespaces.inside(namespace):
        # Protocol 0 until bind() keeps out frames of other devices.
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        tap.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        tap.bind(("eth0", _ETH_P_ALL))
    tap.setblocking(False)
    return tap
