#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""remorad is killed, and started again with or without the state that the kernel held."""

import concurrent.futures
import dataclasses
import fcntl
import os
import signal
import subprocess

from support import Addressing, Journey, Paho, build_folder, main, namespaces, topology

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}


class Restart(Journey):
    clients = 2

    def setUp(self):
        super().setUp()
        for node, topic in TOPICS.items():
            self.teach(node, topic)

    def connect(self):
        publishers = [Paho(self.lab, node) for node in TOPICS]
        for publisher in publishers:
            self.addCleanup(publisher.kill)
        return publishers

    def publish(self, publishers, count):
        """Publishes, and returns once everything has arrived."""
        for publisher in publishers:
            self.feed_in_step(publisher, TOPICS[publisher.node], count)
        self.expect_all_delivered()

    def wait_for_the_history(self):
        self.wait_until(
            lambda: self.history("SELECT count(*) FROM clients") == [(len(TOPICS),)],
            "both clients in the history",
        )

    def test_status_names_the_version_of_the_program(self):
        program = os.path.join(build_folder(), "remorad")
        named = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True
        ).stdout
        self.assertEqual(f"remorad {self.daemon.status()['version']}\n", named)

    def is_locked(self):
        with open(os.path.join(self.daemon.runtime_dir, f"{self.lab.layout.instance}.lock"),
                  encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def log_lines(self, words):
        with open(self.daemon.log, encoding="utf-8", errors="replace") as log:
            return sum(words in line for line in log)

    def test_a_reload_that_comes_during_the_start_follows_it(self):
        self.daemon.stop()
        reloads = self.log_lines("configuration reloaded")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            starting = pool.submit(self.daemon.start)
            self.wait_until(lambda: self.daemon.process() and self.is_locked(), "the start")
            self.daemon.reload()
            starting.result()
        self.wait_until(
            lambda: self.log_lines("configuration reloaded") == reloads + 1, "the reload")

    def test_a_log_that_nobody_reads_ends_nothing(self):
        self.daemon.stop()
        command = [os.path.join(build_folder(), "remorad"), "--config", self.daemon.config.path,
                   "--runtime-dir", self.daemon.runtime_dir]
        unread, log = os.pipe()
        os.close(unread)
        by_hand = namespaces.spawn(self.lab.namespace(topology.LB), command, stdout=log, stderr=log)
        os.close(log)
        self.addCleanup(by_hand.wait)
        self.addCleanup(by_hand.kill)
        self.wait_until(self.daemon.status, "an answer")
        by_hand.send_signal(signal.SIGHUP)
        self.daemon.ask("reload")  # each reload writes to the log
        self.assertIsNotNone(self.daemon.status())
        self.assertIsNone(by_hand.poll())

    def test_with_pinned_state_nobody_notices(self):
        with self.expect_counted(MISPREDICT=0, RESET=0):
            tables = self.pinned_tables()
            publishers = self.connect()
            self.publish(publishers, 10)
            self.daemon.kill()
            self.publish(publishers, 10)
            more = [Paho(self.lab, node, client_id=f"{node}-again") for node in TOPICS]
            for publisher in more:
                self.addCleanup(publisher.kill)
            self.publish(more, 10)
            self.daemon.start()
            self.publish(publishers, 10)
            for publisher in publishers + more:
                publisher.close()
        self.assertIn("flows", tables)
        self.assertEqual(self.pinned_tables(), tables, "taken over, not made anew")

    def test_a_clean_stop_leaves_forwarding_on(self):
        publishers = self.connect()
        self.publish(publishers, 5)
        self.daemon.stop()
        self.publish(publishers, 5)
        for publisher in publishers:
            publisher.close()
        self.daemon.start()

    def test_tables_of_another_size_take_their_entries_along(self):
        publishers = self.connect()
        self.publish(publishers, 5)
        self.daemon.stop()
        self.configure(dataclasses.replace(self.settings, clients=50_000, flows=200_000))
        self.daemon.start()
        tables = self.daemon.status()["tables"]
        self.assertEqual((tables["predictions"]["limit"], tables["flows"]["limit"]),
                         (50_000, 200_000))
        self.assertEqual(tables["predictions"]["used"], len(TOPICS))
        with self.expect_counted(MISPREDICT=0, RESET=0, NO_FLOW=0, SYN_UNKNOWN=0):
            publishers += [Paho(self.lab, node, client_id=f"{node}-again") for node in TOPICS]
            for publisher in publishers:
                self.addCleanup(publisher.kill)
            self.publish(publishers, 5)
            for publisher in publishers:
                publisher.close()

    def test_without_pinned_state_everything_is_rebuilt_from_the_history(self):
        self.wait_for_the_history()
        self.daemon.throw_away()
        self.daemon.start()
        with self.expect_counted(MISPREDICT=0, RESET=0, SYN_PREDICTED=2):
            publishers = self.connect()
            self.publish(publishers, 10)
            for publisher in publishers:
                publisher.close()

    def test_a_living_connection_outlives_the_loss_of_all_state(self):
        self.wait_for_the_history()
        publishers = self.connect()
        self.publish(publishers, 10)
        self.daemon.throw_away()
        self.daemon.start()
        self.publish(publishers, 20)
        for publisher in publishers:
            publisher.close()
        self.assertEqual(self.counters()["RESET"], 0)


class RestartIpv6(Restart):
    """For the code that writes addresses and parses them again."""

    addressing = Addressing.IPV6

    test_a_clean_stop_leaves_forwarding_on = None
    test_a_living_connection_outlives_the_loss_of_all_state = None


if __name__ == "__main__":
    main()
