#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the parts of the lab that judge Remora. Needs neither root nor a network."""

import pathlib
import socket
import struct
import subprocess
import sys
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from lab import attack, attacks, forging  # noqa: E402  (the path comes first)
from lab import mqtt, processes, topology, verdict, waiting, witness  # noqa: E402
from lab.deliveries import Delivery  # noqa: E402
from lab.traffic import Sent  # noqa: E402


class WalkerTest(unittest.TestCase):
    STREAM = (
        mqtt.connect("c", will=("w", "gone"))
        + mqtt.publish("a/b", "x" * 300)
        + mqtt.publish("a/b", "", qos=1, packet_id=7)
        + mqtt.pingreq()
        + mqtt.disconnect()
    )

    def test_packets_are_found_wherever_the_stream_is_cut(self):
        whole = mqtt.Walker().feed(self.STREAM)
        self.assertEqual([first >> 4 for first, _ in whole], [1, 3, 3, 12, 14])
        for cut in range(len(self.STREAM)):
            walker = mqtt.Walker()
            self.assertEqual(walker.feed(self.STREAM[:cut]) + walker.feed(self.STREAM[cut:]), whole)

    def test_topic_and_payload(self):
        packets = mqtt.Walker().feed(self.STREAM)
        self.assertEqual(mqtt.published(*packets[1]), ("a/b", b"x" * 300))
        self.assertEqual(mqtt.published(*packets[2]), ("a/b", b""))

    def test_a_message_names_itself(self):
        payload = mqtt.message("client1", "2", 30, size=100).encode()
        self.assertEqual(len(payload), 100)
        self.assertEqual(mqtt.parse_message(payload), ("client1", "2", 30))
        self.assertIsNone(mqtt.parse_message(b"somebody else's"))


class ProcessesTest(unittest.TestCase):
    # Its first thread ends; the other one, and the process's descriptors, live on.
    PROGRAM = ("import ctypes, threading, time; "
               "threading.Thread(target=time.sleep, args=(60,)).start(); "
               "ctypes.CDLL(None).pthread_exit(None)")

    def test_a_process_has_ended_when_its_last_thread_has(self):
        with subprocess.Popen([sys.executable, "-c", self.PROGRAM]) as child:
            process = {"what": "child", "pid": child.pid,
                       "started": processes.started_at(child.pid)}
            waiting.wait_until(lambda: not processes.is_running(process), "its first thread's end")
            self.assertEqual(len(list(pathlib.Path(f"/proc/{child.pid}/task").iterdir())), 2)

            processes.end([process])

            self.assertFalse(pathlib.Path(f"/proc/{child.pid}").exists())


class StreamTest(unittest.TestCase):
    PACKETS = [mqtt.publish("t", f"{n:04}") for n in range(4)]

    def payloads(self, *segments, start=0):
        stream = witness.Stream(start)
        found = []
        for seq, data in segments:
            found += [mqtt.published(*packet)[1] for packet in stream.feed(seq, data)]
        return found

    def test_retransmitted_overlapping_and_reordered_segments_count_once(self):
        a, b, c, d = self.PACKETS
        size = len(a)
        everything = [b"0000", b"0001", b"0002", b"0003"]
        self.assertEqual(
            self.payloads((0, a), (0, a + b), (3 * size, d), (size, b + c), (2 * size, c)),
            everything,
        )

    def test_sequence_numbers_wrap(self):
        a, b, *_ = self.PACKETS
        start = 0xFFFFFFFF - 3
        after = (start + len(a)) & 0xFFFFFFFF
        self.assertEqual(self.payloads((after, b), (start, a), start=start), [b"0000", b"0001"])


class ParseTest(unittest.TestCase):
    TCP = struct.pack("!HHIIBBHHH", 40000, 1883, 7, 0, 5 << 4, 0x10, 100, 0, 0) + b"data"

    @staticmethod
    def ipv4(protocol, payload, source="10.1.1.100", to="10.1.50.200"):
        return struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0,
            socket.inet_aton(source), socket.inet_aton(to),
        ) + payload

    @staticmethod
    def ipv6(protocol, payload, source="fc00:1::100", to="fc00:50::200"):
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + b"".join(
            socket.inet_pton(socket.AF_INET6, address) for address in (source, to)
        ) + payload

    def test_the_segment_is_found_behind_an_outer_header_of_either_ip(self):
        outer4 = {"source": "172.16.1.1", "to": "10.1.3.101"}
        outer6 = {"source": "100::1", "to": "fc00:3::101"}
        for source, packet in (
            ("10.1.1.100", self.ipv4(6, self.TCP)),
            ("10.1.1.100", self.ipv4(4, self.ipv4(6, self.TCP), **outer4)),
            ("10.1.1.100", self.ipv6(4, self.ipv4(6, self.TCP), **outer6)),
            ("fc00:1::100", self.ipv6(6, self.TCP)),
            ("fc00:1::100", self.ipv6(41, self.ipv6(6, self.TCP), **outer6)),
        ):
            # A frame of minimum size ends in padding that is not part of the packet.
            segment = witness._parse(packet + bytes(8))
            self.assertEqual(
                (segment.source, segment.from_port, segment.to_port, segment.seq, segment.payload),
                (source, 40000, 1883, 7, b"data"),
            )

    def test_what_is_no_whole_tcp_is_none(self):
        for packet in (self.ipv4(17, self.TCP), self.ipv6(58, self.TCP), self.ipv4(6, b"short"),
                       self.ipv6(41, b"\x60"), b""):
            self.assertIsNone(witness._parse(packet))


class QuestionTest(unittest.TestCase):
    """The SYN-ACK with which the stage questions a client, and the client's answer."""

    CLIENT, SERVICE = ("10.1.1.100", 40000), ("10.1.50.200", 1883)

    def seen(self, *acknowledged):
        """A connection whose SYN has the number 9, after SYN-ACKs, and RSTs of their numbers."""
        watch = witness.Witness.__new__(witness.Witness)
        connection = witness.Connection("client0", *self.CLIENT, 9, 0.0)
        watch._by_tuple = {self.CLIENT: connection}
        for number in acknowledged:
            (client, port), (service, service_port) = self.CLIENT, self.SERVICE
            watch._to_client(1.0, witness._Segment(
                service, client, service_port, port, 500, number, 0x12, b""))
            watch._from_client("client0", 1.0, witness._Segment(
                client, service, port, service_port, number, 0, 0x04, b""))
        return connection

    def test_it_neither_opens_nor_ends_the_connection(self):
        asked = self.seen(77)
        self.assertIsNone(asked.received)
        self.assertIsNone(asked.closed_at)

    def test_the_brokers_does(self):
        refused = self.seen(77, 10)
        self.assertEqual(refused.received.next_seq, 501)
        self.assertEqual(refused.closed_at, 1.0)


class EndTest(unittest.TestCase):
    """How a connection ends at its broker."""

    def ended_by(self, *segments):
        """The end of a connection whose SYN has the number 9; segments: (seq, flags, payload)."""
        seen = witness.Connection("client0", "10.1.1.100", 40000, 9, 0.0, broker="broker1")
        watch = witness.Witness.__new__(witness.Witness)
        watch._by_tuple = {("10.1.1.100", 40000): seen}
        for seq, flags, payload in segments:
            watch._at_broker("broker1", 0.0, witness._Segment(
                "10.1.1.100", "10.1.50.200", 40000, 1883, seq, 0, flags, payload))
        return seen.ended_by

    GOOD, BYE = mqtt.publish("t", "m"), mqtt.disconnect()
    AFTER = 10 + len(GOOD)
    END = AFTER + len(BYE)

    def test_a_disconnect_a_reset_or_a_fin(self):
        good, bye = (10, 0x10, self.GOOD), (self.AFTER, 0x10, self.BYE)
        self.assertEqual(self.ended_by(good, bye, (self.END, 0x04, b"")), "disconnect")
        self.assertEqual(self.ended_by(good, (self.AFTER, 0x04, b"")), "reset")
        self.assertEqual(self.ended_by(good, (self.AFTER, 0x11, b"")), "fin")
        self.assertIsNone(self.ended_by(good))

    def test_a_reset_that_comes_too_early_is_ignored(self):
        late_good = (10, 0x10, self.GOOD)
        self.assertEqual(
            self.ended_by((self.AFTER, 0x10, self.BYE), (self.END, 0x04, b""), late_good),
            "disconnect")


class VerdictTest(unittest.TestCase):
    TOPIC = "measurements/temperature"

    def phase(self, name="5", arrived=(1, 2, 3, 4, 5), broker="broker1", gap=None,
              routed=0):
        mispredicts = []
        if gap:
            first, back_at = gap
            publish = witness.Publish(first - 0.01, self.TOPIC, "client0", name, first)
            mispredicts.append(witness.Mispredict(None, publish, 0.1, back_at=back_at))
        return verdict.Phase(
            name, "", [Sent("client0", name, n, self.TOPIC, float(n)) for n in range(1, 6)],
            [Delivery(broker, n, self.TOPIC, "client0", name, n, b"") for n in arrived],
            mispredicts,
            {"MISPREDICT": len(mispredicts), "RESET": len(mispredicts), "SYN_ROUTED": routed},
            {self.TOPIC: {"broker1", "broker2"}},
        )

    def failing(self, policy, *phases):
        return [claim.text.split()[0] for claim in verdict.judge(policy, phases) if not claim.holds]

    def test_all_is_well(self):
        self.assertEqual(
            self.failing("reset", self.phase("1", routed=1), self.phase("2"), self.phase()), [])

    def test_unknown_clients_are_routed_and_lose_nothing(self):
        for broken in ({"routed": 0}, {"routed": 2}):
            with self.subTest(**broken):
                self.assertEqual(self.failing("reset", self.phase("1", **broken)), ["unknown"])
        self.assertEqual(
            self.failing("reset", self.phase("3", arrived=(1, 4, 5), gap=(2, 3.5), routed=1)),
            ["unknown", "unknown"])

    def test_a_loss_within_the_gap_is_explained(self):
        self.assertEqual(self.failing("reset", self.phase(arrived=(1, 4, 5), gap=(2, 3.5))), [])

    def test_losses_before_after_and_without_a_gap_are_not(self):
        for arrived, gap in (
            ((2, 5), (3, 4.5)),
            ((1, 4), (2, 3.5)),
            ((1, 2, 3, 4), None),
            ((1,), (2, None)),
        ):
            with self.subTest(arrived=arrived, gap=gap):
                self.assertEqual(
                    self.failing("reset", self.phase(arrived=arrived, gap=gap)), ["losses"]
                )

    def test_known_clients_may_lose_nothing_even_in_a_gap(self):
        self.assertEqual(
            self.failing("reset", self.phase("2", arrived=(1, 4, 5), gap=(2, 3.5))), ["known"]
        )

    def test_a_wrong_group_is_told(self):
        self.assertEqual(self.failing("drop", self.phase(broker="broker3")), ["nothing"])
        self.assertEqual(self.failing("keep", self.phase(broker="broker3")), [])

    def test_a_mispredict_that_had_no_consequence_is_told(self):
        def changed(**values):
            phase = self.phase(arrived=(1, 4, 5), gap=(2, 3.5))
            for name, value in values.items():
                if name == "reset_ms":
                    phase.mispredicts[0].reset_ms = value
                else:
                    phase.counted[name] = value
            return phase

        for policy, values in (
            ("reset", {"MISPREDICT": 0}),
            ("reset", {"RESET": 0}),
            ("reset", {"RESET": 2}),
            ("reset", {"reset_ms": None}),
            ("drop", {}),
            ("drop", {"RESET": 0}),
            ("drop", {"MISPREDICT": 0, "RESET": 0, "reset_ms": None}),
        ):
            with self.subTest(policy=policy, **values):
                self.assertEqual(self.failing(policy, changed(**values)), ["every"])
        self.assertEqual(self.failing("drop", changed(RESET=0, reset_ms=None)), [])

    def test_repeated_messages_are_not_taken_for_delivered_ones(self):
        self.assertEqual(self.failing("keep", self.phase(arrived=(1, 2, 3, 4, 4))), ["every"])
        self.assertEqual(self.failing("keep", self.phase(arrived=(1, 2, 3, 4, 5, 5))), ["every"])

    def test_percentiles_are_nearest_rank(self):
        values = list(range(1, 101))
        self.assertEqual(verdict.percentile(values, 50), 50)
        self.assertEqual(verdict.percentile(values, 99), 99)
        self.assertEqual(verdict.percentile([7], 99), 7)
        self.assertEqual(verdict.summary([None]), {"p50": None, "p99": None, "n": 0})


class WaitingTest(unittest.TestCase):
    def test_it_asks_until_there_is_an_answer_and_returns_it(self):
        answers = iter([None, 0, "", "here"])
        self.assertEqual(waiting.wait_until(lambda: next(answers), "an answer"), "here")

    def test_what_never_happens_is_named(self):
        with self.assertRaisesRegex(TimeoutError, "still waiting for a miracle"):
            waiting.wait_until(lambda: False, "a miracle", patience_s=0)


class AttackTest(unittest.TestCase):
    """The attacks themselves are run by hand: docs/testing.md."""

    def test_the_table_fits_80_columns(self):
        for kind in attacks.ATTACKS:
            lines = attack.row(f"1 {kind.title}", "promise " * 12, "figure " * 20, "FAIL")
            self.assertLessEqual(max(map(len, lines.splitlines())), 80)

    def test_a_sled_leads_to_its_packet_from_anywhere_in_its_first_half(self):
        packet = mqtt.publish("topic", "x")
        sled = attacks._sled(packet)
        for offset in range(200):
            found = mqtt.Walker().feed(sled[offset:])
            self.assertEqual(found[-1], (packet[0], packet[2:]), offset)

    def test_forged_segments_have_valid_checksums(self):
        for payload in (b"", b"odd", b"even"):
            packet = forging._packet("10.9.0.1", "10.1.50.200", 40000, 7, 9, forging.ACK, payload)
            pseudo = packet[12:20] + struct.pack("!HH", 6, 20 + len(payload))
            self.assertEqual(forging._checksum(pseudo + packet[20:]), 0)


class BenchTest(unittest.TestCase):
    """The measurements themselves are run by hand: docs/performance.md."""

    def test_the_commands_of_the_lab_start(self):
        for name in ("reset-time", "lossy"):
            help_text = subprocess.run(
                [PROJECT / "bench" / name, "--help"], capture_output=True, text=True, check=True,
            ).stdout
            self.assertIn("--json", help_text, name)


class TopologyTest(unittest.TestCase):
    def test_brokers_are_shared_out_in_thirds(self):
        for brokers, sizes in ((6, [2, 2, 2]), (4, [2, 1, 1]), (2, [1, 1, 2]), (1, [1, 1, 1])):
            groups = topology.Topology("", 1, brokers).group_brokers()
            self.assertEqual([len(numbers) for numbers in groups.values()], sizes)

    def test_addresses_are_all_different(self):
        for addressing in topology.Addressing:
            layout = topology.Topology("", topology.MOST_CLIENTS, topology.MOST_BROKERS, addressing)
            addresses = [layout.client_address(n, moves) for n in range(layout.clients)
                         for moves in range(40)]
            addresses += [layout.broker_address(n) for n in range(1, layout.brokers + 1)]
            addresses += [layout.group_address(n) for n in range(3)] + [layout.service_address]
            self.assertEqual(len(addresses), len(set(addresses)), addressing)

    def test_bad_numbers_and_names_are_refused(self):
        for arguments in (("", 0, 6), ("", 10, 0), ("", 151, 6), ("a b", 1, 1)):
            with self.assertRaises(ValueError):
                topology.Topology(*arguments)


if __name__ == "__main__":
    unittest.main(verbosity=2)
