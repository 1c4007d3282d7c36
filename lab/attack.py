# SPDX-License-Identifier: Apache-2.0
"""The attacks of lab/attacks.py, one after the other, and a table of promises and figures.

Exits with 0 if every promise holds, with 1 if one does not, and with 2 if an attack could not run.
"""

import argparse
import os
import signal
import sys
import textwrap

from lab import attacks
from lab.build import LabError, build, require_root
from lab.lab import INTERRUPTS, Lab, taken_down
from lab.progress import Progress

CLIENTS, BROKERS = 2, 3

_WIDTHS = (18, 23, 29)  # of the first columns; the verdict has 4 more: 80 in all


def row(*cells):
    """One row of the table, as many lines as its longest cell needs."""
    columns = [
        textwrap.wrap(cell, width) for cell, width in zip(cells, (*_WIDTHS, 4))
    ]
    height = max(map(len, columns))
    lines = zip(*(column + [""] * (height - len(column)) for column in columns))
    widths = (*_WIDTHS, 4)
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip()
        for line in lines
    )


def run_one(kind, progress):
    """Runs one attack in a lab of its own."""
    lab = Lab(os.environ.get("REMORA_LAB", "attack"))
    lab.clear_abandoned()
    progress.show(f"{kind.title}: starting the lab")
    with taken_down(lab, "attack"):
        lab.up(CLIENTS, BROKERS, kind.settings, is_ours=True)
        return kind(lab, lambda text: progress.show(f"{kind.title}: {text}")).run()


def parse(argv):
    parser = argparse.ArgumentParser(prog="./scripts/attack", description=__doc__.splitlines()[0])
    parser.add_argument("attack", nargs="*", type=int, metavar="NUMBER",
                        help="only these: " + "; ".join(
                            f"{n} {kind.title}" for n, kind in enumerate(attacks.ATTACKS, 1)))
    arguments = parser.parse_args(argv)
    if not all(1 <= number <= len(attacks.ATTACKS) for number in arguments.attack):
        parser.error(f"NUMBER: 1 to {len(attacks.ATTACKS)}")
    return arguments


def main(argv):
    def interrupted(*_):
        raise KeyboardInterrupt

    arguments = parse(argv)
    results = []
    try:
        require_root()
        build()
        chosen = arguments.attack or range(1, len(attacks.ATTACKS) + 1)
        print(f"{len(chosen)} attacks, each on a lab of its own: less than a minute", flush=True)
        progress = Progress()
        for number in chosen:
            for signal_number in INTERRUPTS:
                signal.signal(signal_number, interrupted)
            kind = attacks.ATTACKS[number - 1]
            result = run_one(kind, progress)
            results.append((f"{number} {kind.title}", result))
            progress.finish(f"{number} {kind.title}: {'ok' if result.holds else 'FAIL'}")
    except KeyboardInterrupt:
        print("\nattack: interrupted, everything is removed", file=sys.stderr)
        return 130
    except (LabError, OSError, RuntimeError, TimeoutError) as error:
        print(f"\nattack: {error}", file=sys.stderr)
        return 2
    print("\n" + row("attack", "promise", "found", ""))
    for title, result in results:
        print("\n" + row(title, result.promise, result.found, "ok" if result.holds else "FAIL"))
    return 0 if all(result.holds for _, result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
