#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/lab by hand: up, env, exec, status, and down, also after everything has crashed."""

import os
import re
import signal
import subprocess
import tempfile
import unittest

from support import PATIENCE_S, main, namespaces
from lab.build import PROJECT
from lab.waiting import wait_until

NAME = "j-hand"


class LabCommand(unittest.TestCase):
    def lab(self, *arguments, expect=0, through=()):
        result = subprocess.run(
            [*through, os.path.join(PROJECT, "scripts", "lab"), *arguments],
            env={**os.environ, "REMORA_LAB": NAME}, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )
        self.assertEqual(result.returncode, expect, result.stdout + result.stderr)
        return result.stdout if expect == 0 else result.stderr

    def setUp(self):
        self.addCleanup(self.lab, "down")
        self.lab("down")
        self.lab("up", "--clients", "2", "--brokers", "3")
        self.env = dict(re.findall(r"^export (\w+)=(.*)$", self.lab("env"), re.MULTILINE))

    def expect_nothing_left(self):
        left = [name for name in os.listdir(namespaces.NETNS_FOLDER) if name.startswith(NAME)]
        self.assertEqual(left, [])
        self.assertFalse(os.path.exists(self.env["REMORA_PINS"]))
        self.assertFalse(os.path.exists(self.env["REMORA_STATE"]))

    def test_publish_by_hand(self):
        subscriber = subprocess.Popen(
            [os.path.join(PROJECT, "scripts", "lab"), "exec", "broker3", "mosquitto_sub",
             "-h", "127.0.0.1", "-t", "#", "-C", "1", "-W", str(round(PATIENCE_S))],
            env={**os.environ, "REMORA_LAB": NAME}, stdout=subprocess.PIPE, text=True,
        )
        with subscriber:
            def has_got_it():
                # A subscriber misses messages published before it has subscribed.
                self.lab("exec", "client1", "mosquitto_pub", "-h", self.env["MQTT_VIP"],
                         "-t", "anything", "-m", "hi")
                return subscriber.poll() is not None

            wait_until(has_got_it, "the subscriber to get a message")
            self.assertEqual(subscriber.stdout.read(), "hi\n")
        self.assertRegex(self.lab("status"), r"ESTABLISHED \d+")

    def test_up_twice_is_refused(self):
        self.assertIn("up already", self.lab("up", expect=1))

    def test_a_bad_configuration_is_said_at_once_and_leaves_nothing(self):
        self.lab("down")
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write('[lb]\ninterface = "eth0"\nport = 1883\n')
            file.flush()
            told = self.lab("up", "--config", file.name, expect=1)
        self.assertIn("remorad has ended", told)
        self.assertIn(f"{file.name}:3:", told)
        self.expect_nothing_left()

    def test_unknown_node_and_command(self):
        self.assertIn("no node client9", self.lab("exec", "client9", "true", expect=1))
        self.assertIn("command not found", self.lab("exec", "lb", "no-such-command", expect=1))

    def test_down_leaves_nothing_and_can_be_repeated(self):
        self.lab("down")
        self.expect_nothing_left()
        self.lab("down")

    def test_down_after_a_crash_of_everything(self):
        pids = re.findall(r"pid (\d+)", self.lab("status"))
        self.assertEqual(len(pids), 4, "remorad and three brokers")
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        self.lab("status", expect=1)
        self.lab("down")
        self.expect_nothing_left()

    def test_only_root(self):
        # Another user may read a checkout in root's home nevertheless.
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                  "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        self.assertIn("root", self.lab("up", expect=1, through=nobody))


if __name__ == "__main__":
    main()
