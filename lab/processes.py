# SPDX-License-Identifier: Apache-2.0
"""Ends processes that outlive the one that started them, and no other processes.

A process id may be reused; together with the start time from /proc/PID/stat it identifies one
process for good.
"""

import os
import select
import signal
import time

from lab.waiting import PATIENCE_S


def started_at(pid, even_if_ended=False):
    """Start time of `pid` in clock ticks since boot; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, field 2, may hold blanks and brackets; field 22 is the start time.
    fields = text[text.rindex(")") + 2 :].split()
    state, start = fields[0], int(fields[19])
    return None if state in "ZX" and not even_if_ended else start


def is_running(process):
    """`process`: {"pid", "started"} as recorded at its start."""
    # A process without a start time had ended before it could be recorded.
    return process["started"] is not None and started_at(process["pid"]) == process["started"]


def end(processes, patience_s=PATIENCE_S):
    """SIGTERM to all, SIGKILL to those that ignore it; returns once they are gone."""
    open_fds = {}
    try:
        for process in processes:
            try:
                fd = os.pidfd_open(process["pid"])
            except ProcessLookupError:
                continue
            # Checked while the descriptor is open: from here on the id cannot be reused. Other
            # threads, and with them the process's sockets, may outlive the first one.
            started = process["started"]
            if started is not None and started_at(process["pid"], even_if_ended=True) == started:
                open_fds[fd] = process
            else:
                os.close(fd)
        for signal_number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, PATIENCE_S)):
            for fd in open_fds:
                _send(fd, signal_number)
            for fd in _wait_for_ends(open_fds, wait_s):
                del open_fds[fd]
                os.close(fd)
    finally:
        for fd in open_fds:
            os.close(fd)
    if open_fds:
        names = ", ".join(f"{p['what']} ({p['pid']})" for p in open_fds.values())
        raise RuntimeError(f"cannot end {names}: still there after SIGKILL")


def _send(pidfd, signal_number):
    try:
        signal.pidfd_send_signal(pidfd, signal_number)
    except ProcessLookupError:
        pass


def _wait_for_ends(pidfds, wait_s):
    """Returns those of `pidfds` whose process ended within `wait_s` seconds."""
    poller = select.poll()
    waiting = set(pidfds)
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    ended = []
    deadline = time.monotonic() + wait_s
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poller.poll(left * 1000):
            poller.unregister(fd)
            waiting.discard(fd)
            ended.append(fd)
            _reap(fd)
    return ended


def _reap(pidfd):
    """Collects the exit status of a child of ours, which would stay a zombie otherwise."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        pass
