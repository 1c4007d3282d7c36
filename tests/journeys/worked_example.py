#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/examples/sensors/README.md in the lab: its configuration, its publisher, its evacuation."""

import pathlib
import unittest.mock

from support import Journey, PATIENCE_S, config, main, namespaces, with_forwarders

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "examples" / "sensors"
TOPIC = "halls/1/temperature"
GROUPS = {"hall-1": [1, 2], "hall-2": [3, 4], "rest": [5, 6]}


def write_the_examples_configuration(path, layout, _settings, history):
    """The file of the example; only what the lab needs for itself is added."""
    text = (EXAMPLE / "remora.toml").read_text(encoding="utf-8")
    interface = 'interface = "eth0"\n'
    text = text.replace(interface, f'{interface}instance = "{layout.instance}"\n')
    pathlib.Path(path).write_text(
        text + f'\n[health]\ninterval_s = 4\n\n[store]\npath = "{history}"\n', encoding="utf-8")


class WorkedExample(Journey):
    def setUp(self):
        with unittest.mock.patch.object(config, "write", write_the_examples_configuration):
            super().setUp()
        self.group_brokers = {
            group: {f"broker{number}" for number in numbers} for group, numbers in GROUPS.items()
        }

    def test_it_does_what_the_page_says(self):
        published = namespaces.run(
            self.lab.namespace("client0"),
            [EXAMPLE / "publish.sh", self.lab.layout.service_address, "hall-1-sensor-7", TOPIC,
             "5"],
            timeout=PATIENCE_S, capture_output=True,
        )
        self.assertEqual(published.returncode, 0, published.stderr)
        counters = self.counters()
        expected = {"SYN_ROUTED": 1, "SYN_PREDICTED": 4, "MISPREDICT": 0, "RESET": 0}
        self.assertEqual({name: counters[name] for name in expected}, expected)
        self.wait_until(
            lambda: self.history("SELECT topic, group_name FROM v_clients") == [(TOPIC, "hall-1")],
            "the client in the history")
        with self.expect_counted(SYN_PREDICTED=1, MISPREDICT=0):
            self.teach("client0", TOPIC)

        self.daemon.ask("reals", "evacuate", "10.1.3.101", "--per-second", "50")
        self.wait_until(lambda: self.real("broker1")["flows"] == 0, "the end of its connections")
        self.daemon.ask("reals", "enable", "10.1.3.101")
        self.assertEqual(self.real("broker1")["state"], "enabled")


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, why="it has no VIPs"))
