# SPDX-License-Identifier: Apache-2.0
"""Waiting for facts.

A deadline keeps a run that hangs from hanging for ever. It is generous, and never a verdict on
speed: a machine that is ten times slower must reach the same result.
"""

import time

PATIENCE_S = 60.0
_ASK_EVERY_S = 0.02


def wait_until(predicate, what, patience_s=PATIENCE_S):
    """Polls until `predicate()` holds, for facts that give no sign of their own.

    Returns its value. Throws TimeoutError, which names `what`.
    """
    deadline = time.monotonic() + patience_s
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting for {what} after {patience_s:.0f} s")
        time.sleep(_ASK_EVERY_S)
    return answer
