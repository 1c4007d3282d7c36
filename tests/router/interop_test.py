#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""interop_test.py ROUTER_ALONE: suites of others judge the router as they judge a broker.

Each test of a suite runs twice, with a mosquitto directly and with the same mosquitto through the
router; both runs must have the same verdict. The suites are not part of this project:

  REMORA_PAHO_TESTING   a checkout of eclipse/paho.mqtt.testing
  REMORA_MOSQUITTO      a checkout of eclipse/mosquitto, whose test/broker/data has the vectors

Without them the test is skipped.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROUTER_ALONE = ""
MOSQUITTO = "/usr/sbin/mosquitto"
PATIENCE_S = 60
# Time in which a broker answers or closes; a verdict of silence needs all of it.
ANSWER_S = 2

CONNECT = {
    3: bytes.fromhex("100f 0006 4d5149736470 03 02 003c 0001 78"),
    4: bytes.fromhex("100d 0004 4d515454 04 02 003c 0001 78"),
    5: bytes.fromhex("100e 0004 4d515454 05 02 003c 00 0001 78"),
}
PINGREQ, PINGRESP = b"\xc0\0", b"\xd0\0"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise


class Pair:
    """A mosquitto, and a router before it."""

    def __enter__(self):
        self.direct, self.routed = free_port(), free_port()
        self._folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(self._folder.name, "mosquitto.conf")
        config.write_text(f"listener {self.direct} 127.0.0.1\nallow_anonymous true\n"
                          "persistence false\nlog_type none\n")
        self._broker = subprocess.Popen([MOSQUITTO, "-c", config], stderr=subprocess.DEVNULL)
        wait_for(self.direct)
        self._router = subprocess.Popen(
            [ROUTER_ALONE, str(self.routed), str(self.direct)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        if self._router.stdout.readline() != "ready\n":
            raise RuntimeError("the router does not listen")
        return self

    def __exit__(self, *_):
        self._router.stdin.close()
        self._router.stdout.close()
        self._router.wait()
        self._broker.kill()
        self._broker.wait()
        self._folder.cleanup()


def suite(variable, part):
    """The folder of a suite, or a skipped test."""
    root = os.environ.get(variable)
    if not root:
        raise unittest.SkipTest(f"{variable} is not set")
    return pathlib.Path(root, part)


class Vectors(unittest.TestCase):
    """Mosquitto's sequences of packets: what is sent, what must be answered, who must close."""

    def read(self, connection, size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                break
            data += more
        return data

    def is_alive(self, connection):
        connection.sendall(PINGREQ)
        return self.read(connection, 2) == PINGRESP

    def verdict(self, port, vector):
        version = vector.get("ver", 4)
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as connection:
            try:
                if vector.get("connect", True):
                    connection.sendall(CONNECT[version])
                    head = self.read(connection, 2)
                    self.read(connection, head[1])
                for message in vector["msgs"]:
                    if message["type"] == "publish":
                        self.publish(port, message)
                        continue
                    payload = bytes.fromhex(message["payload"])
                    if message["type"] == "send":
                        connection.sendall(payload)
                    elif self.read(connection, len(payload)) != payload:
                        return "other answer"
                if vector.get("expect_disconnect", True):
                    return "still connected" if connection.recv(1) else "passed"
                return "passed" if self.is_alive(connection) else "not connected"
            except (ConnectionResetError, BrokenPipeError):
                return "passed" if vector.get("expect_disconnect", True) else "reset"
            except TimeoutError:
                return "silent"

    @staticmethod
    def publish(port, message):
        subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", message["topic"],
             "-m", message["payload"], "-q", str(message["qos"])], check=True)

    def test_the_verdicts_are_the_same(self):
        folder = suite("REMORA_MOSQUITTO", "test/broker/data")
        different, passed, count = [], 0, 0
        with Pair() as pair:
            for file in sorted(folder.glob("*.json")):
                for group in json.loads(file.read_text()):
                    if group.get("disable"):
                        continue
                    for vector in group["tests"]:
                        direct = self.verdict(pair.direct, vector)
                        routed = self.verdict(pair.routed, vector)
                        count += 1
                        passed += routed == "passed"
                        if direct != routed:
                            different.append((group["group"], vector["name"], direct, routed))
        print(f"\n{count} vectors, {passed} passed through the router, "
              f"{len(different)} with another verdict")
        self.assertGreater(count, 0)
        self.assertEqual(different, [])


class Paho(unittest.TestCase):
    """The interoperability suite of Eclipse Paho, for MQTT 3.1.1 and 5."""

    def verdicts(self, folder, script, port):
        # The script takes its options out of the arguments before unittest reads them.
        code = (f"import sys, runpy, unittest; sys.argv = ['{script}', '--port', '{port}']\n"
                f"main = unittest.main\n"
                f"unittest.main = lambda: main(module='__main__', argv=['{script}', '-v'])\n"
                f"runpy.run_path('{script}', run_name='__main__')")
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                              text=True, timeout=900)
        found = re.findall(r"^(?:FAIL|ERROR): (\w+)", done.stderr, re.MULTILINE)
        ran = re.search(r"^Ran (\d+) tests?", done.stderr, re.MULTILINE)
        self.assertTrue(ran, done.stderr[-2000:])
        return int(ran[1]), sorted(set(found))

    def compare(self, script):
        folder = suite("REMORA_PAHO_TESTING", "interoperability")
        with Pair() as pair:
            direct = self.verdicts(folder, script, pair.direct)
        with Pair() as pair:
            routed = self.verdicts(folder, script, pair.routed)
        print(f"\n{script}: {routed[0]} tests, failed directly: {direct[1]}, "
              f"through the router: {routed[1]}")
        self.assertGreater(routed[0], 0)
        self.assertEqual(routed, direct)

    def test_mqtt_3_1_1(self):
        self.compare("client_test.py")

    def test_mqtt_5(self):
        self.compare("client_test5.py")


if __name__ == "__main__":
    ROUTER_ALONE = sys.argv.pop(1)
    unittest.main(verbosity=2)
