# SPDX-License-Identifier: Apache-2.0
"""Common parts of the measurements in the lab.

They print figures and judge none: a figure belongs to the machine it was measured on. A run fails
only if it could not measure what it claims to.
"""

import contextlib
import os
import signal
import sys

from lab.build import LabError, build, require_root
from lab.lab import Lab


@contextlib.contextmanager
def own_lab(name, **up):
    """A lab that this process builds, brings up and takes down again; the arguments are Lab.up()'s.

    All its processes run with priority over the machine's other work. Otherwise the machine's
    scheduler would decide how slow the slowest of many events is.
    """
    require_root()
    # With --json, stdout is for the figures alone.
    with contextlib.redirect_stdout(sys.stderr):
        build()
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    lab = Lab(name)
    lab.clear_abandoned()
    lab.up(is_ours=True, **up)
    try:
        yield lab
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for problem in lab.down():
            print(f"bench: {problem}", file=sys.stderr)


def run(measure):
    """Runs `measure` and ends the process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    try:
        measure()
    except KeyboardInterrupt:
        sys.exit(130)
    except (LabError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"bench: {error}")
