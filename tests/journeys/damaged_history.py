#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A damaged history is set aside, never deleted; one that cannot be read yet is loaded later."""

import contextlib
import os
import pathlib
import sqlite3

from support import Journey, Paho, main

TOPIC = "measurements/temperature"


class DamagedHistory(Journey):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.daemon.config.history)
        self.teach("client0", TOPIC)
        self.wait_until(
            lambda: self.history("SELECT topic FROM clients") == [(TOPIC,)],
            "the client in the history",
        )
        self.daemon.stop()

    def damage(self, offset, length):
        size = self.path.stat().st_size
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(os.urandom(min(length, size - offset)))
        return self.path.read_bytes()

    def expect_a_new_one_beside(self, damaged):
        status = self.daemon.status()["history"]
        self.assertTrue(status["ok"])
        self.assertEqual(pathlib.Path(status["set_aside"]).read_bytes(), damaged)
        log = pathlib.Path(self.daemon.log).read_text(encoding="utf-8")
        self.assertRegex(log, f"error: .*damaged.*{status['set_aside']}")
        self.assertEqual(self.history("SELECT count(*) FROM clients"), [(0,)])

    def test_what_the_kernel_knows_is_not_forgotten(self):
        damaged = self.damage(0, 1 << 20)
        self.daemon.start()
        self.expect_a_new_one_beside(damaged)
        with self.expect_counted(MISPREDICT=0, RESET=0), Paho(self.lab, "client0") as paho:
            self.feed(paho, TOPIC, 5)
            paho.close()
            self.expect_all_delivered()
        self.teach("client0", "measurements/humidity")
        self.wait_until(
            lambda: self.history("SELECT topic FROM clients") == [("measurements/humidity",)],
            "the client in the new history",
        )

    def test_with_nothing_left_everybody_is_new(self):
        self.daemon.throw_away()
        damaged = self.damage(4096, 1 << 20)  # after an intact header
        self.daemon.start()
        self.expect_a_new_one_beside(damaged)
        with self.expect_counted(SYN_UNKNOWN=1, MISPREDICT=1, RESET=1):
            self.teach("client0", TOPIC)

    def test_a_locked_one_is_loaded_when_the_lock_is_gone(self):
        self.daemon.throw_away()
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            self.daemon.start()
            self.assertIn("locked", self.daemon.status()["history"]["error"])
        self.wait_until(
            lambda: self.daemon.status()["tables"]["predictions"]["used"] == 1,
            "the prediction from the history",
        )
        with self.expect_counted(MISPREDICT=0, RESET=0), Paho(self.lab, "client0") as paho:
            self.feed(paho, TOPIC, 5)
            paho.close()
            self.expect_all_delivered()

    def test_a_directory_in_its_place_does_not_stop_the_start(self):
        self.path.rename(self.path.with_suffix(".away"))
        self.path.mkdir()
        self.daemon.start()
        self.assertIn("is a directory", self.daemon.status()["history"]["error"])
        with self.expect_counted(MISPREDICT=0, RESET=0), Paho(self.lab, "client0") as paho:
            self.feed(paho, TOPIC, 5)
            paho.close()
            self.expect_all_delivered()


if __name__ == "__main__":
    main()
