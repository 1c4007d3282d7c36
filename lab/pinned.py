# SPDX-License-Identifier: Apache-2.0
"""Reads and changes remorad's pinned maps without remorad: rings, heartbeat, the forwarder's slot.

It uses libbpf, which remorad needs as well: bpftool would take seconds for a whole ring.
"""

import array
import contextlib
import ctypes
import ipaddress
import json
import os
import subprocess
import time

# bpf/abi.h
RING_SIZE = 65537
HEARTBEAT_STALE_S = 3
FORWARDER_SLOT = 2  # of the root array
_MOST_REALS = 4096
_LONGEST_NAME = 15  # BPF_OBJ_NAME_LEN, without its NUL
_REAL_SIZE = 20  # address, flags

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


def _call(name, *arguments):
    """Calls a function of libbpf that returns a negative number if it fails."""
    result = getattr(_libbpf, name)(*arguments)
    if result < 0:
        errno = ctypes.get_errno() or -result
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    return result


@contextlib.contextmanager
def _open_map(path):
    fd = _call("bpf_obj_get", path.encode())
    try:
        yield fd
    finally:
        os.close(fd)


def ring_of(pins, vip_num):
    """The ring of the group whose VIP has this number: slot -> index of a real."""
    slots = array.array("I", bytes(4 * RING_SIZE))
    keys = (ctypes.c_uint32 * RING_SIZE)()
    count = ctypes.c_uint32(RING_SIZE)
    # For an array, a batch starts after this key.
    last = ctypes.c_uint32(vip_num * RING_SIZE - 1)
    after = ctypes.c_uint32()
    with _open_map(os.path.join(pins, "ch_rings")) as fd:
        _call(
            "bpf_map_lookup_batch", fd, ctypes.byref(last) if vip_num else None,
            ctypes.byref(after), keys, (ctypes.c_uint32 * RING_SIZE).from_buffer(slots),
            ctypes.byref(count), None,
        )
    if count.value != RING_SIZE or keys[0] != vip_num * RING_SIZE:
        raise RuntimeError(f"ch_rings: {count.value} slots from {keys[0]} on")
    return slots


def index_of_real(pins, address):
    """The real's index in `reals`, which rings contain; 0 if there is none."""
    wanted = ipaddress.ip_address(address).packed
    value = ctypes.create_string_buffer(_REAL_SIZE)
    with _open_map(os.path.join(pins, "reals")) as fd:
        for index in range(1, _MOST_REALS):
            key = ctypes.c_uint32(index)
            _call("bpf_map_lookup_elem", fd, ctypes.byref(key), value)
            if value.raw[: len(wanted)] == wanted:
                return index
    return 0


def heartbeat_age_s(pins):
    """Seconds since remorad's last heartbeat in the kernel's map."""
    key, beat_at_ns = ctypes.c_uint32(0), ctypes.c_uint64()
    with _open_map(os.path.join(pins, "heartbeat")) as fd:
        _call("bpf_map_lookup_elem", fd, ctypes.byref(key), ctypes.byref(beat_at_ns))
    return (time.monotonic_ns() - beat_at_ns.value) / 1e9


def beat(pins):
    """Writes a fresh heartbeat in remorad's place."""
    key, beat_at_ns = ctypes.c_uint32(0), ctypes.c_uint64(time.monotonic_ns())
    with _open_map(os.path.join(pins, "heartbeat")) as fd:
        _call("bpf_map_update_elem", fd, ctypes.byref(key), ctypes.byref(beat_at_ns),
              ctypes.c_uint64(0))


class ForwarderSlot:
    """Slot 2 of the root array that is pinned at `path`."""

    def __init__(self, path):
        self._path = path
        self._key = ctypes.byref(ctypes.c_uint32(FORWARDER_SLOT))

    def program(self):
        """Id of the program in the slot; None: it is empty."""
        found = ctypes.c_uint32()
        with _open_map(self._path) as fd:
            try:
                _call("bpf_map_lookup_elem", fd, self._key, ctypes.byref(found))
            except FileNotFoundError:
                return None
        return found.value

    def put(self, program_id):
        fd = _call("bpf_prog_get_fd_by_id", ctypes.c_uint32(program_id))
        value = ctypes.c_uint32(fd)
        try:
            with _open_map(self._path) as slots:
                _call("bpf_map_update_elem", slots, self._key, ctypes.byref(value),
                      ctypes.c_uint64(0))
        finally:
            os.close(fd)

    def clear(self):
        with _open_map(self._path) as fd:
            _call("bpf_map_delete_elem", fd, self._key)


@contextlib.contextmanager
def copy_of(program_id, bpf_object, pin):
    """Loads a second program from the file `bpf_object`, with the maps of the first; yields its id.

    It stays loaded during the block, and while something else holds it.
    """
    arguments = []
    for map_id in _show("prog", program_id)["map_ids"]:
        name = _show("map", map_id)["name"]
        # Constants have the same values in both. Maps of Katran with long names, which are cut,
        # belong to features that are not used here.
        if "." not in name and len(name) < _LONGEST_NAME:
            arguments += ["map", "name", name, "id", str(map_id)]
    os.makedirs(os.path.dirname(pin), exist_ok=True)
    loaded = subprocess.run(
        ["bpftool", "prog", "load", bpf_object, pin, *arguments],
        capture_output=True, text=True, check=False,
    )
    if loaded.returncode != 0:
        raise RuntimeError(f"bpftool: {loaded.stderr.strip()}")
    try:
        yield _show_pinned(pin)["id"]
    finally:
        os.unlink(pin)


def _show(kind, number):
    return _ask(kind, "id", str(number))


def _show_pinned(path):
    return _ask("prog", "pinned", path)


def _ask(kind, *what):
    shown = subprocess.run(
        ["bpftool", "--json", kind, "show", *what], capture_output=True, check=True
    )
    return json.loads(shown.stdout)
