# SPDX-License-Identifier: Apache-2.0
"""The demo: ten clients, six brokers, five phases, counted at the brokers.

Exits with 0 if everything holds that Remora promises for the policy, with 1 if something does not,
and with 2 if the demo itself could not run.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading

from lab import config, report, topology, verdict
from lab.build import LAB_COMMAND, LabError, build, require_root
from lab.deliveries import Deliveries
from lab.lab import INTERRUPTS, Lab, taken_down
from lab.progress import Progress
from lab.traffic import FIRST_TOPICS, HUMIDITY, MESSAGES_PER_SECOND, OTHER, TEMPERATURE, Traffic
from lab.waiting import wait_until
from lab.witness import Witness

CLIENTS, BROKERS = 10, 6
GROUP_OF = {TEMPERATURE: "temperature", HUMIDITY: "humidity", OTHER: "default"}

# With `drop` a client notices only by its own keepalive, after about twice that time.
KEEPALIVE_S = {"reset": 60, "keep": 60, "drop": 5}
SECONDS_PER_PHASE = {"reset": 20, "keep": 20, "drop": 30}

# Time that the last messages of a phase may take on a busy machine.
LATEST_DELIVERY_S = 10



class Demo:
    """Plays the phases and keeps what was observed."""

    def __init__(self, lab, policy, seconds, deliveries, witness):
        self._lab = lab
        self._daemon = lab.daemon
        self._policy = policy
        self._seconds = seconds
        self._deliveries = deliveries
        self._witness = witness
        self._progress = Progress()
        self._traffic = None
        self._sent = []
        self.phases = []
        brokers = lab.layout.group_brokers()
        self._group_brokers = {
            topic: {f"broker{number}" for number in brokers[group]}
            for topic, group in GROUP_OF.items()
        }

    def play(self):
        wait_until(lambda: self._router()["open"], "the router to be open")
        self._phase("1", "unknown clients", lambda: self._simple(FIRST_TOPICS))
        self._phase("2", "known clients", lambda: self._simple(FIRST_TOPICS))
        self._phase("3", "new addresses", self._new_addresses)
        self._phase("4", "killed, rebuilt", self._killed_and_rebuilt)
        self._phase("5", "new topics", self._new_topics)

    def stop(self):
        """Ends the clients at once."""
        if self._traffic:
            self._traffic.kill()

    # ---- the phases ------------------------------------------------------------

    def _simple(self, topics):
        self._traffic.connect(topics)
        self._publish(topics, 0, self._seconds)
        self._traffic.disconnect()

    def _new_addresses(self):
        for client in FIRST_TOPICS:
            self._lab.clients.change_address(client)
        self._simple(FIRST_TOPICS)

    def _killed_and_rebuilt(self):
        """Kills and restarts remorad under traffic, then starts it with nothing but SQLite."""
        part = self._seconds / 3
        self._traffic.connect(FIRST_TOPICS)
        self._publish(FIRST_TOPICS, 0, part)
        self._daemon.kill()
        self._publish(FIRST_TOPICS, part, part, "remorad killed")
        starting = _Background(self._daemon.start)
        self._publish(FIRST_TOPICS, 2 * part, part, "started again")
        starting.join()
        self._traffic.disconnect()

        self._keep_counters()
        self._daemon.throw_away()
        self._daemon.start()
        self._forget_counters()
        self._traffic.connect(FIRST_TOPICS)
        self._publish(FIRST_TOPICS, self._seconds, self._seconds / 2, "from SQLite")
        self._traffic.disconnect()

    def _new_topics(self):
        """client0 and client9 start with a new topic. client5 and client9 change theirs while
        connected."""
        topics = FIRST_TOPICS | {"client0": HUMIDITY, "client9": TEMPERATURE}
        self._traffic.connect(topics)
        early = self._seconds / 3
        self._publish(topics, 0, early)
        topics |= {"client5": TEMPERATURE, "client9": HUMIDITY}
        self._publish(topics, early, self._seconds - early, "while connected")
        self._traffic.disconnect()

    # ---- around them -------------------------------------------------------------

    def _phase(self, name, title, play):
        self._name, self._title = name, title
        self._sent = []
        self._counted = {}
        self._all_s = self._seconds * (1.5 if name == "4" else 1)
        self._forget_counters()
        self._traffic = Traffic(self._lab, name, KEEPALIVE_S[self._policy], self._sent)
        play()
        # A message that is still missing after that was lost, and is judged as such.
        with contextlib.suppress(TimeoutError):
            wait_until(
                lambda: not self._observed().unexplained_losses(), "deliveries", LATEST_DELIVERY_S)
        self._deliveries.settle()
        # When their connections have ended, clients of the router are known.
        wait_until(lambda: self._router()["connections"] == 0, "the end of routed connections")
        self._keep_counters()
        phase = self._observed()
        self.phases.append(phase)
        self._progress.finish(report.finished_line(phase))

    def _observed(self):
        """The present phase as far as it has come."""
        return verdict.Phase(
            self._name, self._title, self._sent, self._arrived(), self._mispredicts(),
            self._counted, self._group_brokers,
        )

    def _publish(self, topics, done_s, seconds, note=""):
        def show(so_far_s):
            self._progress.show(
                report.running_line(
                    f"phase {self._name}  {self._title}", done_s + so_far_s, self._all_s,
                    len(self._sent), self._deliveries.count(phase=self._name), note,
                )
            )

        self._traffic.publish(topics, seconds, show)

    def _router(self):
        return self._daemon.ask("status")["router"]

    def _forget_counters(self):
        self._counters_before = self._daemon.counters()

    def _keep_counters(self):
        """Adds what the counters grew by since _forget_counters()."""
        for name, value in self._daemon.counters().items():
            grown = value - self._counters_before.get(name, 0)
            self._counted[name] = self._counted.get(name, 0) + grown

    def _arrived(self):
        return [d for d in self._deliveries.all() if d.phase == self._name]

    def _mispredicts(self):
        found = self._witness.mispredicts(lambda topic: self._group_brokers[topic])
        return [m for m in found if m.publish.phase == self._name]


class _Background(threading.Thread):
    """Runs a function in parallel to the traffic; join() throws what it threw."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self._function = function
        self._error = None
        self.start()

    def run(self):
        try:
            self._function()
        except Exception as error:  # join() throws it
            self._error = error

    def join(self, timeout=None):
        super().join(timeout)
        if self._error:
            raise self._error


def parse(argv):
    parser = argparse.ArgumentParser(
        prog=os.environ.get("REMORA_DEMO_COMMAND", "./scripts/demo"),
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--policy", choices=("reset", "keep", "drop"), default="reset",
                        help="what Remora does with a mispredicted connection (default: reset)")
    parser.add_argument("--ipv6", action="store_true",
                        help="clients, service and brokers speak IPv6 (default: IPv4)")
    parser.add_argument("--json", metavar="FILE", type=argparse.FileType("w", encoding="utf-8"),
                        help="write everything that was counted")
    parser.add_argument("--seconds-per-phase", type=float, metavar="S",
                        help="default: 20; 30 with --policy drop")
    arguments = parser.parse_args(argv)
    if arguments.seconds_per_phase is None:
        arguments.seconds_per_phase = SECONDS_PER_PHASE[arguments.policy]
    if arguments.seconds_per_phase < 6:
        parser.error("--seconds-per-phase: at least 6, a client takes a second to come back")
    return arguments


def run(arguments):
    """Plays the demo in its own lab; returns the phases and the claims."""
    lab = Lab()
    lab.clear_abandoned()
    if lab.is_up():
        raise LabError(
            f"a lab is up already: `{LAB_COMMAND} down` first, or choose another with REMORA_LAB=name"
        )
    build()
    with taken_down(lab, "demo"):
        print("starting the lab", flush=True)
        lab.up(
            CLIENTS, BROKERS,
            config.Settings(policy=arguments.policy, unknown_clients="router"), is_ours=True,
            addressing=topology.Addressing.IPV6 if arguments.ipv6 else topology.Addressing.IPV4,
        )
        print(
            f"policy {arguments.policy}: {CLIENTS} clients send {MESSAGES_PER_SECOND} messages a "
            f"second each to {lab.layout.service_address}",
            flush=True,
        )
        with Deliveries(lab) as deliveries, Witness(lab) as witness:
            demo = Demo(lab, arguments.policy, arguments.seconds_per_phase, deliveries, witness)
            try:
                demo.play()
            finally:
                demo.stop()
        return demo.phases, verdict.judge(arguments.policy, demo.phases)


def main(argv):
    def interrupted(*_):
        raise KeyboardInterrupt

    for number in INTERRUPTS:
        signal.signal(number, interrupted)
    arguments = parse(argv)
    try:
        require_root()
        phases, claims = run(arguments)
    except KeyboardInterrupt:
        print("\ndemo: interrupted, everything is removed", file=sys.stderr)
        return 130
    except (LabError, OSError, RuntimeError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 2
    brokers = [f"broker{number}" for number in range(1, BROKERS + 1)]
    for lines in (
        report.client_table(phases, brokers), report.phase_table(phases), report.claim_lines(claims)
    ):
        print("\n" + "\n".join(lines))
    if arguments.json:
        with arguments.json as file:
            json.dump(verdict.as_json(phases, claims), file, indent=1)
            file.write("\n")
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
