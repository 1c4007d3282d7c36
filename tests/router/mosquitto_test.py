#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The router alone between real clients and three mosquittos on this host.

    mosquitto_test.py ROUTER_ALONE

A subscriber at each broker counts. Every message carries a number, and must arrive at the broker
of its topic's group, once at QoS 0 and 2.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import Counter
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

GROUPS = ("other", "temperature", "humidity")
DEADLINE = 60  # seconds, for what hangs


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(fact, what):
    end = time.monotonic() + DEADLINE
    while not fact():
        if time.monotonic() > end:
            raise AssertionError(f"waited too long for {what}")
        time.sleep(0.01)


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Broker:
    """A mosquitto, and a subscriber that notes all it gets."""

    def __init__(self, folder, name):
        self.port = free_port()
        self.got = Counter()
        self._lock = threading.Lock()
        passwords = Path(folder, f"{name}.passwords")
        passwords.touch()
        subprocess.run(["mosquitto_passwd", "-b", passwords, "device", "right"], check=True)
        config = Path(folder, f"{name}.conf")
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"password_file {passwords}\nuser root\nmax_queued_messages 0\n")
        self._process = subprocess.Popen(
            ["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: accepts(self.port), "mosquitto")
        self._subscriber = mqtt.Client()
        self._subscriber.on_message = self._on_message
        subscribed = threading.Event()
        self._subscriber.on_subscribe = lambda *_: subscribed.set()
        self._subscriber.connect("127.0.0.1", self.port)
        self._subscriber.loop_start()
        self._subscriber.subscribe("#", qos=2)
        assert subscribed.wait(DEADLINE)

    def _on_message(self, _client, _data, message):
        with self._lock:
            self.got[message.topic, bytes(message.payload)[:20]] += 1

    def count(self):
        with self._lock:
            return sum(self.got.values())

    def clear(self):
        with self._lock:
            self.got.clear()

    def stop(self):
        self._subscriber.loop_stop()
        self._process.kill()
        self._process.wait()


class RouterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.brokers = {name: Broker(cls.folder.name, name) for name in GROUPS}
        cls.port = free_port()
        routes = [f"{name}/#={cls.brokers[name].port}" for name in GROUPS[1:]]
        cls.router = subprocess.Popen(
            [ROUTER, str(cls.port), str(cls.brokers["other"].port), *routes],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert cls.router.stdout.readline() == b"ready\n"

    @classmethod
    def tearDownClass(cls):
        cls.router.stdin.close()
        cls.router.wait(DEADLINE)
        cls.router.stdout.close()
        for broker in cls.brokers.values():
            broker.stop()
        cls.folder.cleanup()

    def setUp(self):
        for broker in self.brokers.values():
            broker.clear()

    def publish(self, topic, *options, text=None):
        return subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, *options],
            input=text, timeout=DEADLINE, capture_output=True)

    def expect(self, **counts):
        """So many messages at each group, and none twice or at another group."""
        wait_until(lambda: all(self.brokers[name].count() >= count
                               for name, count in counts.items()), f"{counts}")
        for name, broker in self.brokers.items():
            self.assertEqual(broker.count(), counts.get(name, 0), name)
            self.assertTrue(all(count == 1 for count in broker.got.values()), name)
            for topic, _ in broker.got:
                group = topic.split("/")[0]
                self.assertEqual(group if group in GROUPS else "other", name)

    def test_one_shot(self):
        sent = 0
        for version in ("mqttv31", "mqttv311", "mqttv5"):
            for qos in ("0", "1", "2"):
                for size in (10, 1_000, 1_000_000):
                    text = f"{sent} ".encode() + b"x" * size
                    result = self.publish("temperature/a", "-V", version, "-q", qos, "-s", text=text)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    sent += 1
        self.expect(temperature=sent)

    def test_lines(self):
        for qos in ("0", "1", "2"):
            lines = "".join(f"{qos} {i}\n" for i in range(500)).encode()
            self.assertEqual(self.publish("humidity/a", "-l", "-q", qos, text=lines).returncode, 0)
        self.expect(humidity=1500)

    def test_several_topics(self):
        for protocol in (mqtt.MQTTv311, mqtt.MQTTv5):
            for qos in (0, 1, 2):
                client = mqtt.Client(protocol=protocol)
                client.max_inflight_messages_set(20)  # mosquitto's Receive Maximum
                client.connect("127.0.0.1", self.port)
                client.loop_start()
                infos = [client.publish(f"{GROUPS[i % 3]}/t", f"{protocol} {qos} {i}", qos)
                         for i in range(300)]
                for info in infos:
                    info.wait_for_publish(DEADLINE)
                client.disconnect()
                client.loop_stop()
        self.expect(other=600, temperature=600, humidity=600)

    def test_aliases(self):
        client = mqtt.Client(protocol=mqtt.MQTTv5)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        wait_until(client.is_connected, "the CONNACK")
        properties = Properties(PacketTypes.PUBLISH)
        properties.TopicAlias = 3
        client.publish("temperature/alias", "first", 1, properties=properties).wait_for_publish()
        client.publish("", "second", 1, properties=properties).wait_for_publish()
        client.disconnect()
        client.loop_stop()
        self.expect(temperature=2)

    def test_wrong_password(self):
        login = ("-u", "device", "-P")
        self.assertEqual(self.publish("temperature/a", "-m", "1", *login, "right").returncode, 0)
        direct = subprocess.run(
            ["mosquitto_pub", "-p", str(self.brokers["other"].port), "-t", "t", "-m", "1", *login,
             "wrong"], timeout=DEADLINE, capture_output=True)
        routed = self.publish("temperature/a", "-m", "1", *login, "wrong")
        self.assertEqual((routed.returncode, routed.stderr), (direct.returncode, direct.stderr))
        self.assertNotEqual(routed.returncode, 0)
        self.expect(temperature=1)

    def test_device(self):
        """A Will, two published topics and a subscription, as Tasmota has them."""
        got = []
        subscribed = threading.Event()
        client = mqtt.Client()
        client.will_set("temperature/will", "gone")
        client.on_message = lambda _client, _data, message: got.append(message.payload)
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        client.publish("temperature/state", "online", 1).wait_for_publish(DEADLINE)
        client.subscribe("temperature/command", 1)
        self.assertTrue(subscribed.wait(DEADLINE))
        client.publish("humidity/state", "1", 1).wait_for_publish(DEADLINE)
        # The client's home is the broker of its first message.
        self.publish("temperature/command", "-m", "now", "-q", "1")
        wait_until(lambda: got == [b"now"], "the command")
        client._sock_close()  # as if the network had failed
        client.loop_stop()
        self.expect(temperature=3, humidity=1)


if __name__ == "__main__":
    ROUTER = sys.argv.pop(1)
    unittest.main()
