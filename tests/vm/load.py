# SPDX-License-Identifier: Apache-2.0
"""Loads one BPF object and prints what that cost the verifier: load.py OBJECT.

Prints a line for each program: its name, the number of instructions that the verifier processed,
and the seconds it took. If the kernel refuses, the end of the verifier's log follows on stderr, and
the exit code is 1. libbpf is used through ctypes, so the object may come from any build.
"""

import ctypes
import re
import sys

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
for _name in ("bpf_object__open_file", "bpf_object__next_program"):
    getattr(_libbpf, _name).restype = ctypes.c_void_p
_libbpf.bpf_program__name.restype = ctypes.c_char_p
_libbpf.bpf_object__next_program.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
_libbpf.bpf_program__name.argtypes = [ctypes.c_void_p]
_libbpf.bpf_program__set_log_level.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
_libbpf.bpf_program__set_log_buf.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
_libbpf.bpf_program__fd.argtypes = [ctypes.c_void_p]
_libbpf.bpf_obj_get_info_by_fd.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)]
_libbpf.bpf_object__load.argtypes = [ctypes.c_void_p]
_libbpf.bpf_object__open_file.argtypes = [ctypes.c_char_p, ctypes.c_void_p]

# Log levels of the kernel's verifier: every instruction, or the totals only.
_STEPS, _TOTALS = 1, 4

# Before Linux 6.4 loading fails if the log does not fit.
_STEPS_SIZE = 64 << 20


class Object:
    """An object that is open, with the verifier's log for each program."""

    def __init__(self, path, log_level, log_size):
        self._object = _libbpf.bpf_object__open_file(path.encode(), None)
        if not self._object:
            raise OSError(ctypes.get_errno(), f"libbpf cannot open {path}")
        self.logs = {}
        self._programs = {}
        program = _libbpf.bpf_object__next_program(self._object, None)
        while program:
            log = ctypes.create_string_buffer(log_size)
            name = _libbpf.bpf_program__name(program).decode()
            self.logs[name] = log
            self._programs[name] = program
            _libbpf.bpf_program__set_log_level(program, log_level)
            _libbpf.bpf_program__set_log_buf(program, log, log_size)
            program = _libbpf.bpf_object__next_program(self._object, program)

    def load(self):
        return _libbpf.bpf_object__load(self._object) == 0

    def id_of(self, name):
        """The kernel's number of that program, once it is loaded."""
        info = (ctypes.c_uint32 * 2)()  # the first fields of struct bpf_prog_info: type, id
        size = ctypes.c_uint32(ctypes.sizeof(info))
        fd = _libbpf.bpf_program__fd(self._programs[name])
        if _libbpf.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)):
            raise OSError(ctypes.get_errno(), f"no information about {name}")
        return info[1]


def main(path):
    totals = Object(path, _TOTALS, 1 << 16)
    if totals.load():
        for name, log in totals.logs.items():
            text = log.value.decode(errors="replace")
            instructions = re.search(r"processed (\d+) insns", text)
            microseconds = re.search(r"verification time (\d+) usec", text)
            print(name, instructions[1], int(microseconds[1]) / 1e6)
        return 0
    # The reason is known at once; the full log takes an emulator minutes.
    for name, log in totals.logs.items():
        lines = log.value.decode(errors="replace").splitlines()
        print(f"the verifier on {name}:", *lines[-6:], sep="\n", file=sys.stderr, flush=True)
    steps = Object(path, _STEPS, _STEPS_SIZE)
    steps.load()
    for name, log in steps.logs.items():
        lines = log.value.decode(errors="replace").splitlines()
        print(f"the verifier on {name}, its last lines:", *lines[-60:], sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
