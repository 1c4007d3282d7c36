#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A broker is evacuated: its clients are reset, or told if the configuration says so, and come back
elsewhere. No Will is published, nothing is lost, and the clients of the other broker stay.

tests/daemon/evacuation_test.cpp checks, with a clock of its own, that no more clients are asked in
a second than were ordered."""

import time

from support import Journey, Session, Settings, config, main, mqtt, with_forwarders

CLIENTS = 120
PER_SECOND = 50
SILENCE_S = 1.5  # a second, and a late ACK
TOPIC = "anything"
USE_ANOTHER_SERVER = b"\x9c"


class Evacuate(Journey):
    brokers = 2
    settings = Settings(groups={"default": [1, 2]}, routes=())

    def setUp(self):
        super().setUp()
        addresses = self.lab.clients.add_addresses("client0", CLIENTS)
        self.sessions = {}
        for number, address in enumerate(addresses):
            self.open(f"c{number}", address, 4 + number % 2, "before")
        # A PUBACK may arrive before the message is counted.
        self.wait_until(
            lambda: len(self.brokers_by_client("before")) == len(addresses), "all first messages"
        )
        self.homes = self.brokers_by_client("before")
        self.assertEqual(set(self.homes.values()), {"broker1", "broker2"})

    def open(self, name, address, version, phase):
        session = Session(self.lab, "client0", name, source=address, version=version,
                          will=(f"wills/{name}", "gone"))
        self.addCleanup(session.close)
        session.version = version
        session.address = address
        self.sessions[name] = session
        self.publish(name, phase)

    def publish(self, name, phase):
        session = self.sessions[name]
        session.send(mqtt.publish(TOPIC, mqtt.message(name, phase, 1), qos=1, packet_id=1,
                                  version=session.version))
        session.read(mqtt.PUBACK)
        self.last_packet_at = time.monotonic()

    def brokers_by_client(self, phase):
        return {d.client: d.broker for d in self.deliveries.all() if d.phase == phase}

    def ending(self, session):
        """How a session ends: `told` (DISCONNECT with its reason) or `reset`."""
        told = False
        try:
            body = session.read(mqtt.DISCONNECT)
            self.assertEqual(body, USE_ANOTHER_SERVER)
            told = True
            return "told and reset" if session.wait_for_reset() else "told, no end"
        except ConnectionResetError:
            return "told and reset" if told else "reset"

    def test_all_come_back_elsewhere(self):
        # Only a client that has been silent for a second is told (docs/decisions/015).
        self.wait_until(lambda: time.monotonic() - self.last_packet_at > SILENCE_S, "silence")
        self.wait_until(
            lambda: self.real("broker1")["flows"] == list(self.homes.values()).count("broker1"),
            "the count of flows")
        leaving = sorted(name for name, home in self.homes.items() if home == "broker1")

        changed = self.daemon.ask("reals", "evacuate", self.lab.layout.broker_address(1),
                                  "--per-second", str(PER_SECOND))
        self.assertEqual([r["state"] for r in changed["reals"]], ["draining"])
        endings = {name: self.ending(self.sessions[name]) for name in leaving}
        for name, ending in endings.items():
            version = self.sessions[name].version
            told = version == 5 and self.settings.farewell == "mqtt5"
            self.assertEqual(ending, "told and reset" if told else "reset", name)
        self.wait_until(lambda: not self.real("broker1")["evacuated"], "the end of the evacuation")
        daemon = self.daemon.own_counters()
        self.assertEqual(daemon["evacuation_asked"], len(leaving))
        self.assertEqual(daemon["evacuation_forced"], 0)
        self.assertEqual(daemon["clean_ends"], len(leaving))
        self.assertEqual(self.counters()["EVACUATED"], len(leaving))
        self.assertEqual(self.counters()["MISPREDICT"], 0)

        for name in leaving:
            old = self.sessions[name]
            self.open(name, old.address, old.version, "after")
        for name in self.homes.keys() - leaving:
            self.publish(name, "after")
        self.wait_until(
            lambda: len(self.brokers_by_client("after")) == len(self.homes), "all messages after it"
        )
        self.deliveries.settle()
        self.assertEqual(self.brokers_by_client("after"), dict.fromkeys(self.homes, "broker2"))
        self.assertEqual(
            [d.topic for d in self.deliveries.all() if d.topic.startswith("wills/")], [])

    def test_the_last_real_cannot_be_evacuated(self):
        first, second = (self.lab.layout.broker_address(n) for n in (1, 2))
        self.daemon.ask("reals", "drain", first)
        with self.assertRaisesRegex(RuntimeError, 'group "default" has no other real'):
            self.daemon.ask("reals", "evacuate", second, "--per-second", "1")
        states = {r["real"]: r["state"] for r in self.daemon.ask("reals", "list")["reals"]}
        self.assertEqual(states, {first: "draining", second: "enabled"})


class EvacuateWithFarewell(Evacuate):
    settings = Settings(groups={"default": [1, 2]}, routes=(), farewell="mqtt5")

    def setUp(self):
        super().setUp()
        # Only a client that has been silent for a second is told.
        silent_at = time.monotonic() + 1.1
        self.wait_until(lambda: time.monotonic() > silent_at, "a second of silence")


if __name__ == "__main__":
    main(with_forwarders(config.EMBEDDED, config.KATRAN_OBJECT, why="the reals are the server's"))
