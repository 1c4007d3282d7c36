# SPDX-License-Identifier: Apache-2.0
"""The demo's output: a line that is updated while a phase runs, and the tables at the end.

Everything fits a terminal of 100 columns.
"""

import collections
import sys

from lab import verdict
from lab.publishers import Paho
from lab.traffic import kind_of

_BAR = 24


class Progress:
    """One line, rewritten on a terminal; anywhere else it is written once, when it is final."""

    def __init__(self, stream=sys.stdout):
        self._stream = stream
        self._live = stream.isatty()

    def show(self, text):
        if self._live:
            self._stream.write(f"\r\x1b[K{text[:99]}")
            self._stream.flush()

    def finish(self, text):
        self._stream.write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")
        self._stream.flush()


def running_line(label, done_s, all_s, sent, delivered, note=""):
    filled = round(_BAR * min(done_s / all_s, 1.0)) if all_s else _BAR
    bar = "█" * filled + "░" * (_BAR - filled)
    return (
        f"{label:<26} {bar} {done_s:3.0f}/{all_s:.0f} s  sent {sent:<5} got {delivered:<5} {note}"
    )


def finished_line(phase):
    return (
        f"{label(phase):<26} sent {len(phase.sent):<5} delivered {len(phase.deliveries):<5} "
        f"wrong group {phase.wrong_group:<4} mispredicts {phase.counted.get('MISPREDICT', 0):<3} "
        f"resets {phase.counted.get('RESET', 0)}"
    )


def label(phase):
    return f"phase {phase.name}  {phase.title}"


def client_table(phases, brokers):
    """Deliveries by client and broker over all phases, one row for each client and topic."""
    sent = collections.Counter()
    delivered = {}
    for phase in phases:
        for key, (number, per_broker) in phase.rows().items():
            sent[key] += number
            delivered.setdefault(key, collections.Counter()).update(per_broker)
    width = max(4, min(8, 48 // len(brokers)))
    head = f"{'client':<8}{'program':<14}{'topic':<12}{'sent':>6}{'delivered':>11} "
    lines = [head + "".join(f"{_short(name, width):>{width}}" for name in brokers)]
    total = collections.Counter()
    # Messages that are not the demo's have no client; they come last.
    for key in sorted(sent, key=lambda k: (str(k[0]), k[1])):
        client, topic = key
        row = delivered[key]
        total.update(row)
        program = "paho" if kind_of(client) is Paho else "mosquitto_pub"
        lines.append(
            f"{client:<8}{program:<14}{topic.removeprefix('measurements/'):<12}{sent[key]:>6}"
            f"{row.total():>11} " + _cells(row, brokers, width)
        )
    lines.append(
        f"{'all':<34}{sent.total():>6}{total.total():>11} " + _cells(total, brokers, width)
    )
    return lines


def _short(name, width):
    return name if len(name) < width else "b" + name.removeprefix("broker")


def _cells(row, brokers, width):
    return "".join(f"{row[name] or '·':>{width}}" for name in brokers)


def phase_table(phases):
    lines = [
        f"{'':<20}{'':>6}{'':>11}{'wrong':>7}{'mis-':>9}{'':>8}"
        f"{'reset, ms':>17}{'recovery, ms':>20}",
        f"{'phase':<20}{'sent':>6}{'delivered':>11}{'group':>7}{'predicts':>9}{'resets':>8}"
        f"{'p50 / p99 / n':>17}{'p50 / p99 / n':>20}",
    ]
    for phase in phases:
        row = verdict.summary([m.reset_ms for m in phase.mispredicts])
        back = verdict.summary([m.recovery_ms for m in phase.mispredicts])
        lines.append(
            f"{phase.name + ' ' + phase.title:<20}{len(phase.sent):>6}{len(phase.deliveries):>11}"
            f"{phase.wrong_group:>7}{phase.counted.get('MISPREDICT', 0):>9}"
            f"{phase.counted.get('RESET', 0):>8}{_times(row, 2):>17}{_times(back, 0):>20}"
        )
    return lines


def _times(values, digits):
    if values["n"] == 0:
        return "·"
    return f"{values['p50']:.{digits}f} / {values['p99']:.{digits}f} / {values['n']}"


def claim_lines(claims):
    return [f"{'ok  ' if c.holds else 'FAIL'}  {c.text}: {c.found}" for c in claims]
