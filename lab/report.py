# SPDX-License-Identifier: Apache-2.0
"""The demo's output: a line that is updated while a phase runs, and the tables at the end.

Everything fits a terminal of 80 columns.
"""

import collections
import textwrap

from lab import verdict
from lab.publishers import Paho
from lab.traffic import kind_of

_COLUMNS = 80
_BAR = 10


def running_line(label, done_s, all_s, sent, delivered, note=""):
    filled = round(_BAR * min(done_s / all_s, 1.0)) if all_s else _BAR
    bar = "█" * filled + "░" * (_BAR - filled)
    return (
        f"{label:<25} {bar} {done_s:2.0f}/{all_s:.0f} s  sent {sent:<4} got {delivered:<4} {note}"
    )


def finished_line(phase):
    return (
        f"{label(phase):<25} sent {len(phase.sent):<4} delivered {len(phase.deliveries):<4} "
        f"wrong group {phase.wrong_group:<3} resets {phase.counted.get('RESET', 0)}"
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
    width = max(4, min(8, 30 // len(brokers)))
    head = f"{'client':<8}{'program':<14}{'topic':<12}{'sent':>5}{'delivered':>10} "
    lines = [head + "".join(f"{_short(name, width):>{width}}" for name in brokers)]
    total = collections.Counter()
    # Messages that the demo did not send have no client; they come last.
    for key in sorted(sent, key=lambda k: (str(k[0]), k[1])):
        client, topic = key
        row = delivered[key]
        total.update(row)
        program = "paho" if kind_of(client) is Paho else "mosquitto_pub"
        lines.append(
            f"{client:<8}{program:<14}{topic.removeprefix('measurements/'):<12}{sent[key]:>5}"
            f"{row.total():>10} " + _cells(row, brokers, width)
        )
    lines.append(
        f"{'all':<34}{sent.total():>5}{total.total():>10} " + _cells(total, brokers, width)
    )
    return lines


def _short(name, width):
    return name if len(name) < width else "b" + name.removeprefix("broker")


def _cells(row, brokers, width):
    return "".join(f"{row[name] or '·':>{width}}" for name in brokers)


def phase_table(phases):
    lines = [
        f"{'':<18}{'':>5}{'':>10}{'wrong':>7}{'mis-':>9}{'':>7}{'reset, ms':>12}{'recovery':>12}",
        f"{'phase':<18}{'sent':>5}{'delivered':>10}{'group':>7}{'predicts':>9}{'resets':>7}"
        f"{'p50 / p99':>12}{'p50 / p99':>12}",
    ]
    for phase in phases:
        row = verdict.summary([m.reset_ms for m in phase.mispredicts])
        back = verdict.summary([m.recovery_ms for m in phase.mispredicts])
        lines.append(
            f"{phase.name + ' ' + phase.title:<18}{len(phase.sent):>5}{len(phase.deliveries):>10}"
            f"{phase.wrong_group:>7}{phase.counted.get('MISPREDICT', 0):>9}"
            f"{phase.counted.get('RESET', 0):>7}{_times(row, 2):>12}{_times(back, 0):>12}"
        )
    return lines


def _times(values, digits):
    if values["n"] == 0:
        return "·"
    return f"{values['p50']:.{digits}f} / {values['p99']:.{digits}f}"


def claim_lines(claims):
    return [
        textwrap.fill(
            f"{c.text}: {c.found}", _COLUMNS, subsequent_indent=" " * 6,
            initial_indent="ok    " if c.holds else "FAIL  ",
        )
        for c in claims
    ]
