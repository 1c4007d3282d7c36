# SPDX-License-Identifier: Apache-2.0
"""Attacks on a load balancer from a client's network, and their results.

Each attack is a class: the attacker's packets, the promise that Remora makes, and how often it was
kept. Promises are judged by counting; the times that are printed as well judge nothing.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import random
import socket
import statistics
import struct
import threading
import time

from lab import mqtt, namespaces, topology
from lab.config import Settings
from lab.forging import ACK, FIN, PSH, Connection, Forger, addresses
from lab.session import Session
from lab.traffic import HUMIDITY, OTHER, TEMPERATURE
from lab.waiting import wait_until

ATTACKER, VICTIM = "client0", "client1"

_FULL_SEGMENT = 1400  # bytes, at most
_STATS = "/proc/sys/kernel/bpf_stats_enabled"


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of an attack."""

    promise: str
    found: str
    holds: bool


class Attack:
    """Base class of the attacks: a lab of its own is up when run() is called."""

    title = ""
    settings = Settings()

    def __init__(self, lab, show):
        self.lab = lab
        self.show = show  # shows a line of progress
        self._before = lab.daemon.counters()

    def run(self):
        raise NotImplementedError

    def forger(self):
        return Forger(self.lab, ATTACKER)

    def victim(self, **options):
        """A connection that has published, so that it went beyond its CONNECT."""
        session = Session(self.lab, VICTIM, **options)
        self.publish(session, OTHER)
        return session

    @staticmethod
    def publish(session, topic, packet_id=1):
        session.publish(topic, mqtt.message(VICTIM, "1", packet_id), qos=1, packet_id=packet_id)
        session.read(mqtt.PUBACK)

    def counted(self, name):
        """The growth of a counter since the lab came up."""
        return self.lab.daemon.counters()[name] - self._before[name]

    def wait_for_packets(self):
        """Waits until all that was sent has been handled: the counters stand still."""
        last = None

        def is_still():
            nonlocal last
            now = self.lab.daemon.counters()
            last, was = now, last
            return now == was

        wait_until(is_still, "the last packet")


class DearPackets(Attack):
    """A gap, thousands of full segments of tiny messages, and then the missing bytes."""

    title = "one packet that holds a CPU"
    _segments = 3990
    _topics = (b"a", b"b")

    def run(self):
        each = b"".join(bytes([0x30, 3, 0, 1]) + topic for topic in self._topics)
        payload = each * (_FULL_SEGMENT // len(each))
        with self.victim() as session, _Pings(session) as pings, self.forger() as forger:
            client = Connection(forger, "10.9.0.1")
            missing, rest = payload[:2], payload[2:] + payload[:2]
            with _programs_measured(self.lab) as measured:
                for number in range(self._segments):
                    client.send_at(2 + number * len(rest), rest)
                    if number % 400 == 0:
                        self.show(f"{number} of {self._segments} segments")
                self.wait_for_packets()
                before = measured()
                client.send(missing)
                self.wait_for_packets()
                runs, took_ns = (now - was for now, was in zip(measured(), before))
        sent = self._segments * (len(rest) // 5)
        return Result(
            "the packet that fills the gap takes no time that others notice; their pings are "
            "answered",
            f"{sent} messages in {self._segments} segments; {runs} packets after that took "
            f"{took_ns / 1000:.0f} µs, pings {pings.summary()}",
            took_ns < 10_000_000 and pings.all_answered(),
        )


class BlindSender(Attack):
    """An attacker that knows the addresses and the port, and guesses the sequence numbers."""

    title = "FINs and data at guessed numbers"
    _fins = 256
    _offsets = range(180)
    _connections = 16
    _guess = random.Random(1)

    def run(self):
        with self.forger() as forger:
            closed, lives = self._forge_fins(forger)
            ended, lives_on = self._forge_data(forger)
            is_tracked = self._forge_connections(forger)
        return Result(
            "the connections go on, and are tracked",
            f"{self._fins} FINs: {closed} closed, "
            f"{'PUBLISH answered' if lives else 'then dead'}; "
            f"{len(self._offsets)} sleds of 0x20: {ended} ended, "
            f"{'PUBLISH answered' if lives_on else 'then dead'}; "
            f"{self._connections} connections on its port: "
            f"{'PUBLISH answered' if is_tracked else 'then dead or not tracked'}",
            not closed and lives and not ended and lives_on and is_tracked,
        )

    def _forge_fins(self, forger):
        """FINs everywhere, 16 MiB apart. Returns how many closed the flow, and whether it lives."""
        with self.victim() as session:
            for number in range(self._fins):
                self._forge(forger, session, number << 24, FIN | ACK)
            self.wait_for_packets()
            return self.counted("CLOSED"), _is_alive(lambda: self.publish(session, OTHER, 2))

    def _forge_data(self, forger):
        """Near the right number. Returns how many ended the flow, and whether it lives."""
        before = self.counted("MISPREDICT")
        sled = _sled(mqtt.publish(TEMPERATURE, "x"))
        with self.victim() as session:
            right = _next_seq(session.socket)
            for offset in self._offsets:
                self.show(f"offset {offset}")
                self._forge(forger, session, right - offset, PSH | ACK, sled)
            self.wait_for_packets()
            ended = self.counted("MISPREDICT") - before
            return ended, _is_alive(lambda: self.publish(session, OTHER, 2))

    def _forge_connections(self, forger):
        """On the port of a connection that lives; each publishes to another group. Returns whether
        that one lives, and is tracked."""
        with self.victim() as session:
            for number in range(self._connections):
                other = Connection(forger, *session.socket.getsockname(), isn=number << 28)
                other.send(mqtt.publish(TEMPERATURE, "x"))
            self.wait_for_packets()
            before = self.counted("PUBLISH")
            lives = _is_alive(lambda: self.publish(session, OTHER, 2))
            return lives and self.counted("PUBLISH") == before + 1

    def _forge(self, forger, session, seq, flags, payload=b""):
        forger.send(*session.socket.getsockname(), seq & 0xFFFFFFFF, self._guess.getrandbits(32),
                    flags, payload)


class FullTable(Attack):
    """SYN and CONNECT from twice as many made-up sources as the tables have room for."""

    title = "a flow table full of CONNECTs"
    _flows = 2000
    _victims = 20
    settings = Settings(flows=_flows, clients=10_000)

    def run(self):
        sources = self.lab.clients.add_addresses(VICTIM, self._victims + 1)
        with contextlib.ExitStack() as stack:
            victims = [
                stack.enter_context(self.victim(client_id=source, source=source))
                for source in sources[1:]
            ]
            with self.forger() as forger:
                for number, source in enumerate(addresses("10.9.0.0/16", 2 * self._flows)):
                    Connection(forger, source)
                    if number % 200 == 0:
                        self.show(f"{number} of {2 * self._flows} connections")
                self.wait_for_packets()
            untracked = self.counted("NO_FLOW")
            kept = sum(
                _is_alive(lambda session=session: self.publish(session, OTHER, 2))
                for session in victims)
            lost = self.counted("NO_FLOW") - untracked
            established = self.counted("ESTABLISHED")
            with Session(self.lab, VICTIM, source=sources[0]):
                pass
            tracked = self.counted("ESTABLISHED") - established
        return Result(
            "those who went beyond their CONNECT keep their place, and a new client gets one",
            f"{2 * self._flows} sources for {self._flows} places: {kept} of {len(victims)} kept, "
            f"{lost} of their packets untracked; a new client is "
            f"{'tracked' if tracked else 'not tracked'}",
            kept == len(victims) and lost == 0 and tracked == 1,
        )


class SpentResets(Attack):
    """Mispredicts of made-up clients of one network, more than may be reset in a second."""

    title = "mispredicts that use up resets"
    _per_second = 50
    _clients = 40
    _pause_s = 0.1
    settings = Settings(resets_per_second=_per_second)

    def run(self):
        sources = self.lab.clients.add_addresses(VICTIM, self._clients)
        is_over = threading.Event()
        with self.forger() as forger, concurrent.futures.ThreadPoolExecutor(1) as pool:
            attack = pool.submit(self._attack, forger, is_over)
            try:
                with contextlib.suppress(TimeoutError):  # never, if the network has a share only
                    wait_until(lambda: self.counted("KEPT_RATE"), "used up resets", 5)
                reset = sum(
                    self._is_reset(number, source) for number, source in enumerate(sources))
            finally:
                is_over.set()
            forged = attack.result()
        return Result(
            "9 of 10 first mispredicts of others are reset",
            f"{forged} forged from one /24, {self._per_second} resets a second: "
            f"{reset} of {len(sources)} others reset",
            reset >= 0.9 * len(sources),
        )

    def _attack(self, forger, is_over):
        """Sends four times as many as may be reset, until told to stop. Returns their number."""
        topics = (TEMPERATURE, HUMIDITY)
        forged = 0
        started = time.monotonic()
        for turn in range(1000):
            for source in addresses("10.9.9.0/24", 254):
                if is_over.is_set():
                    return forged
                client = Connection(forger, source, port=20000 + turn)
                client.send(mqtt.publish(topics[turn % 2], "x"))
                forged += 1
                ahead_s = forged / (4 * self._per_second) - (time.monotonic() - started)
                if ahead_s > 0:
                    time.sleep(ahead_s)
        return forged

    def _is_reset(self, number, source):
        """Whether the first mispredict of a client is reset; otherwise the broker answers."""
        self.show(f"client {number} of {self._clients}")
        time.sleep(self._pause_s)  # the load, not a wait
        with Session(self.lab, VICTIM, source=source) as session:
            return not _is_alive(lambda: self.publish(session, TEMPERATURE))


class EarlySegments(Attack):
    """Thousands of tiny segments after a gap, while honest clients have gaps of their own."""

    title = "early segments of others"
    _connections = 4
    _segments = 8200

    def run(self):
        message = mqtt.publish(TEMPERATURE, "x")
        with self.forger() as forger:
            victim = Connection(forger, "10.8.0.1")
            others = [Connection(forger, source)
                      for source in addresses("10.9.0.0/24", self._connections)]
            victim.send_at(2, message)
            for number in range(self._segments):
                # Each segment leaves a gap of one byte.
                others[number % len(others)].send_at(2 + 2 * (number // len(others)), b"x")
            self.wait_for_packets()
            kept = self.counted("EARLY")
            victim.send(mqtt.pingreq())
            self.wait_for_packets()
        judged = self.counted("RESET")
        return Result(
            "a mispredicted PUBLISH of another client is judged when its gap is filled",
            f"{self._segments} segments, {kept} kept: the victim's is "
            f"{'judged' if judged else 'not judged'}",
            judged == 1,
        )


ATTACKS = (DearPackets, BlindSender, FullTable, SpentResets, EarlySegments)


# ---- parts of the attacks ------------------------------------------------------


class _Pings:
    """Pings the broker through a session, one after the other, while open."""

    def __init__(self, session):
        self._session = session
        self._is_over = threading.Event()
        self._took_s = []
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        try:
            while not self._is_over.wait(0.005):
                began = time.monotonic()
                self._session.send(mqtt.pingreq())
                self._session.read(mqtt.PINGRESP)
                self._took_s.append(time.monotonic() - began)
        except OSError as error:
            self._error = error

    def all_answered(self):
        return self._error is None and bool(self._took_s)

    def summary(self):
        if not self.all_answered():
            return f"failed: {self._error}"
        return (f"{len(self._took_s)} answered in {statistics.median(self._took_s) * 1000:.1f} ms, "
                f"{max(self._took_s) * 1000:.0f} at most")


@contextlib.contextmanager
def _programs_measured(lab):
    """Yields a function: (packets, nanoseconds) that the load balancer's programs ran for."""
    shown = namespaces.run(
        lab.namespace(topology.LB), ["ip", "-json", "link", "show", "dev", "eth0"],
        capture_output=True, check=True)
    number = json.loads(shown.stdout)[0]["xdp"]["prog"]["id"]

    def measured():
        shown = namespaces.run(
            lab.namespace(topology.LB), ["bpftool", "--json", "prog", "show", "id", str(number)],
            capture_output=True, check=True)
        found = json.loads(shown.stdout)
        return found.get("run_cnt", 0), found.get("run_time_ns", 0)

    with open(_STATS, encoding="ascii") as file:
        was = file.read()
    _write(_STATS, "1")
    try:
        yield measured
    finally:
        _write(_STATS, was)


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _is_alive(step):
    """Whether `step` succeeds on a connection."""
    try:
        step()
        return True
    except OSError:
        return False


def _next_seq(connection):
    """The sequence number of the next byte that a socket sends (TCP_REPAIR, tcp(7))."""
    repair, queue, seq = 19, 20, 21
    send_queue, off_without_probe = 2, -1
    connection.setsockopt(socket.IPPROTO_TCP, repair, 1)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, queue, send_queue)
        return struct.unpack("=I", connection.getsockopt(socket.IPPROTO_TCP, seq, 4))[0]
    finally:
        connection.setsockopt(socket.IPPROTO_TCP, repair, off_without_probe)


def _sled(packet):
    """Bytes in which a walk that starts anywhere in the first half arrives at `packet`.

    Each byte of the first half, the sled, works as a packet's type and as its remaining length,
    0x20, so each step goes 34 bytes further. A byte of the second half is the distance to `packet`.
    """
    zone = bytes(range(0x7F, 0x3F, -1))
    return b"\x20" * 400 + zone + b"\x20" * 0x40 + packet
