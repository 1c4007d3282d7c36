# SPDX-License-Identifier: Apache-2.0
"""Works inside a network namespace without another process.

`ip netns exec` remounts /sys, which hides the bpffs. setns(2) changes nothing but the network, and
moves one thread, not the whole process.
"""

import contextlib
import ctypes
import os
import subprocess

NETNS_FOLDER = "/run/netns"

_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def path_of(namespace):
    return os.path.join(NETNS_FOLDER, namespace)


def exists(namespace):
    return os.path.exists(path_of(namespace))


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"setns: {os.strerror(errno)}")


def enter(namespace):
    """Moves the calling thread into `namespace` for good."""
    fd = os.open(path_of(namespace), os.O_RDONLY)
    try:
        _setns(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def inside(namespace):
    """Moves the calling thread into `namespace` and back. Sockets made inside stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(namespace)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def spawn(namespace, argv, **options):
    """Starts `argv` inside `namespace` and returns its Popen.

    The kernel kills it when the thread that started it ends, so that a demo that is killed leaves
    no publisher behind.
    """
    # A child starts in the namespace of the thread that starts it.
    with inside(namespace):
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv], start_new_session=True, **options
        )


def spawn_service(namespace, argv, log):
    """Starts `argv` inside `namespace` as a process that outlives this one; returns its id.

    Its output is appended to the file `log`.
    """
    to_log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with inside(namespace):
        return os.posix_spawn(
            argv[0], argv, os.environ, setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, to_log, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )


def run(namespace, argv, **options):
    """Runs `argv` inside `namespace` to its end; the arguments are those of subprocess.run."""
    with inside(namespace):
        return subprocess.run(argv, **options)


def set_sysctls(namespace, values):
    """Writes {path below /proc/sys: value}."""
    with inside(namespace):
        for path, value in values.items():
            with open(os.path.join("/proc/sys", path), "w", encoding="ascii") as file:
                file.write(str(value))
