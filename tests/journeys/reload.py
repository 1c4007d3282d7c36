#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP affects only clients whose topic has changed groups; a bad file changes nothing."""

import dataclasses
import os
import re
import subprocess

from support import Journey, PATIENCE_S, Paho, Settings, build_folder, main, topology

from lab.daemon import PROBLEM

MOVED, UNMOVED = "measurements/temperature", "measurements/humidity"
OLD = Settings(routes=((MOVED, "temperature"), (UNMOVED, "humidity")))
NEW = dataclasses.replace(OLD, routes=((MOVED, "humidity"), (UNMOVED, "humidity")))


class Reload(Journey):
    clients = 2
    settings = OLD

    def setUp(self):
        super().setUp()
        self.teach("client0", MOVED)
        self.teach("client1", UNMOVED)
        self.witness = self.watch()
        self.moved, self.unmoved = Paho(self.lab, "client0"), Paho(self.lab, "client1")
        for publisher in (self.moved, self.unmoved):
            self.addCleanup(publisher.kill)
        self.publish(5, "before")

    def publish(self, count, phase):
        """Feeds clients that are not reset. Returns when every message has arrived."""
        for _ in range(count):
            self.feed_in_step(self.moved, MOVED, 1, phase=phase)
            self.feed_in_step(self.unmoved, UNMOVED, 1, phase=phase)

    def close(self):
        for publisher in (self.moved, self.unmoved):
            publisher.close()
        self.deliveries.settle()

    def connections(self, node):
        return [c for c in self.witness.all() if c.node == node]

    def groups_of(self, client, phase):
        """The groups whose brokers got messages of `client` in `phase`."""
        return {
            group for group, brokers in self.group_brokers.items()
            if brokers & self.brokers_that_got(client, phase)
        }

    def test_a_changed_route_moves_a_living_client_and_nobody_else(self):
        with self.expect_counted(MISPREDICT=1, RESET=1):
            self.configure(NEW)
            self.reload("clients that move to another group: 1;")
            self.feed_until_back(self.moved, MOVED, "after")
            self.feed_in_step(self.unmoved, UNMOVED, 20, phase="after")
            self.close()
        self.assertEqual(self.groups_of("client0", "before"), {"temperature"})
        self.assertEqual(self.groups_of("client0", "after"), {"humidity"})
        self.assertEqual(len(self.connections("client0")), 2)
        self.assertEqual(self.connections("client0")[0].ended_by, "disconnect")

        self.assertEqual(len(self.connections("client1")), 1)
        self.assertEqual(self.numbers("client1", "after"), list(range(1, 21)))

    def test_a_client_that_was_away_comes_back_right(self):
        self.close()
        self.configure(NEW)
        self.reload("clients that move to another group: 1;")
        with self.expect_counted(MISPREDICT=0, RESET=0), Paho(self.lab, "client0") as paho:
            self.feed_in_step(paho, MOVED, 5, phase="after")
            paho.close()
        self.deliveries.settle()
        self.assertEqual(self.numbers("client0", "after"), [1, 2, 3, 4, 5])
        self.assertEqual(self.groups_of("client0", "after"), {"humidity"})

    def test_a_real_that_is_taken_out_keeps_its_connections(self):
        home = self.connections("client0")[0].broker
        staying = next(b for b in self.group_brokers["temperature"] if b != home)
        groups = {name: sorted(map(topology.number_of, brokers))
                  for name, brokers in self.group_brokers.items()}
        groups["temperature"] = [topology.number_of(staying)]
        self.configure(dataclasses.replace(OLD, groups=groups))
        self.reload("configuration reloaded")
        with self.expect_counted(MISPREDICT=0, RESET=0):
            self.publish(5, "after")
            self.close()
            with Paho(self.lab, "client0") as paho:
                self.feed_in_step(paho, MOVED, 5, phase="again")
                paho.close()
            self.deliveries.settle()
        got = [(d.phase, d.broker) for d in self.deliveries.all() if d.client == "client0"]
        self.assertEqual([b for phase, b in got if phase == "after"], [home] * 5)
        self.assertEqual([b for phase, b in got if phase == "again"], [staying] * 5)

    def check_diff(self):
        """`remoractl check --diff`: its exit code and what it prints."""
        result = subprocess.run(
            [os.path.join(build_folder(), "remoractl"), "--runtime-dir", self.daemon.runtime_dir,
             "--instance", self.lab.layout.instance, "check", "--diff"],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return result.returncode, result.stdout + result.stderr

    def test_the_changes_are_shown_before_the_reload_and_told_by_it(self):
        code, text = self.check_diff()
        self.assertEqual((code, text.splitlines()[-1]), (0, "nothing would change"))
        self.configure(dataclasses.replace(OLD, flows=50_000))
        code, text = self.check_diff()
        self.assertEqual(code, PROBLEM)
        self.assertIn("a reload would be REFUSED: [limits] flows cannot change", text)

        self.configure(NEW)
        code, text = self.check_diff()
        self.assertEqual(code, 0)
        _, _, told = text.partition(": ok\n")  # warnings come first
        *changes, last = told.splitlines()
        self.assertTrue(changes)
        self.assertIn("a reload would apply", last)
        self.assertEqual(self.daemon.ask("reload")["changes"], changes)
        self.assertEqual(self.daemon.status()["last_reload"]["changes"], changes)
        for change in changes:
            self.assertIn(f"reload: {change}", self.daemon.last_words(30))

    def test_a_bad_file_changes_nothing_and_says_so(self):
        bad = dataclasses.replace(NEW, routes=(*NEW.routes, ("a/#/b", "humidity")))
        unchangeable = dataclasses.replace(NEW, flows=50_000)
        with self.expect_counted(MISPREDICT=0, RESET=0):
            for settings, why in ((bad, "a/#/b"), (unchangeable, "[limits]")):
                self.configure(settings)
                line = self.reload("reload REFUSED")
                self.assertIn(why, line)
                with self.assertRaisesRegex(RuntimeError, re.escape(why)):
                    self.daemon.ask("reload")  # the command of systemctl reload
                self.assertIn(why, self.daemon.status()["last_reload"]["refused"])
                self.publish(5, "after")
            self.close()
        self.configure(NEW)
        self.assertEqual(self.daemon.ask("reload")["file"], self.daemon.config.path)
        self.assertIsNone(self.daemon.status()["last_reload"]["refused"])
        for client, group in (("client0", "temperature"), ("client1", "humidity")):
            self.assertEqual(self.numbers(client, "after"), list(range(1, 11)))
            self.assertEqual(self.groups_of(client, "after"), {group})
            self.assertEqual(len(self.connections(client)), 1)


if __name__ == "__main__":
    main()
