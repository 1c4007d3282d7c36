# SPDX-License-Identifier: Apache-2.0
"""A machine in QEMU, without KVM, that shares the files of this one.

The kernel starts with an initial file system that holds busybox and the modules for the rest:
virtiofs brings all files of this machine, read-only, and what the guest writes stays in its
memory. So what is installed here is installed there, at the same place, and no image is made.
"""

import contextlib
import json
import lzma
import os
import pathlib
import selectors
import signal
import subprocess
import time

_HERE = pathlib.Path(__file__).resolve().parent
_INSIDE = _HERE / "inside.py"
_VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
_BUSYBOX = "/usr/bin/busybox"

# Needed for the files; other modules are loaded on demand.
_MODULES = ("virtio_pci", "virtiofs", "overlay")

_KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 oops=panic "
    # Protection against other guests on the same CPU is slow to emulate.
    "mitigations=off "
    # The clock that is cheapest to emulate, taken as reliable.
    "tsc=reliable random.trust_cpu=on"
)

_SYSTEMD_ARGUMENTS = "systemd.unit=job.target systemd.show_status=0"

# The simplest CPU: the features of newer ones are slow to emulate. RDRAND saves the wait for random
# numbers.
_CPU = "qemu64,+rdrand"
_MEMORY_MIB = 1024

# The guest's clock counts instructions, a nanosecond each, and follows this machine's only while
# the guest is idle. So in its own time the guest is as fast as an ordinary machine, however slow
# the emulation is, and deadlines in the guest need not be longer than elsewhere.
_CLOCK = ("-icount", "shift=0", "-rtc", "clock=vm")

# Signs of life come every two seconds of the guest's time, which may be many of ours.
_PATIENCE_S = 180.0


class Silence(RuntimeError):
    """The guest has been silent for too long."""


class Machine:
    """A guest that boots `kernel` and runs `job` (see inside.py); its files go into `folder`.

    `folder` must not be another machine's. The guest sees `files`, a folder with a whole system.
    With `boots_systemd` that system's systemd is its first process, and must start the job itself.
    """

    def __init__(self, kernel, folder, job, files="/", boots_systemd=False):
        self._kernel = kernel
        self._shared = files
        self._boot = "BOOT=systemd " + _SYSTEMD_ARGUMENTS if boots_systemd else ""
        self._folder = folder
        self._socket = folder / "files.sock"
        self._job = folder / "job.json"
        self._job.write_text(json.dumps(job))
        self.console = folder / "console.log"

    def events(self):
        """Yields the guest's events as dictionaries until it has ended.

        Throws Silence if no event comes for too long.
        """
        initial = self._folder / "initial.cpio"
        _write_initial_files(initial, self._kernel)
        with self._files(), self._qemu(initial) as qemu:
            rest = b""
            with selectors.DefaultSelector() as selector:
                selector.register(qemu.stdout, selectors.EVENT_READ)
                while True:
                    if not selector.select(_PATIENCE_S):
                        raise Silence(f"nothing heard for {_PATIENCE_S:.0f} s")
                    data = os.read(qemu.stdout.fileno(), 1 << 16)
                    if not data:
                        return
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        yield json.loads(line)

    @contextlib.contextmanager
    def _files(self):
        """The daemon that serves this machine's files to the guest."""
        with _ended(
            [_VIRTIOFSD, f"--socket-path={self._socket}", "-o", f"source={self._shared}",
             "-o", "cache=always", "-o", "sandbox=chroot", "-o", "log_level=err",
             "--rlimit-nofile=0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as process:
            while not self._socket.exists():
                if process.poll() is not None:
                    raise RuntimeError(f"virtiofsd: {process.stderr.read().decode().strip()}")
                time.sleep(0.01)
            yield

    def _qemu(self, initial):
        memory = f"memory-backend-memfd,id=memory,size={_MEMORY_MIB}M,share=on"
        append = f"{_KERNEL_ARGUMENTS} {self._boot} JOB_PROGRAM={_INSIDE} JOB={self._job}"
        return _ended(
            ["nice", "-n", "5", "qemu-system-x86_64", "-accel", "tcg", *_CLOCK, "-cpu", _CPU,
             "-machine", "q35,memory-backend=memory,hpet=off", "-object", memory,
             "-m", str(_MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none",
             "-no-reboot", "-kernel", str(self._kernel.image), "-initrd", str(initial),
             "-append", append,
             "-serial", f"file:{self.console}",
             "-chardev", "stdio,id=events,signal=off", "-serial", "chardev:events",
             "-chardev", f"socket,id=files,path={self._socket}",
             "-device", "vhost-user-fs-pci,chardev=files,tag=machine"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )


@contextlib.contextmanager
def _ended(argv, **options):
    """Starts `argv`, and ends it with the block, or with this process."""
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


# ---- the initial file system -----------------------------------------------------


def _write_initial_files(path, kernel):
    """A cpio archive in the "newc" format (the kernel's Documentation, initramfs buffer format)."""
    with open(path, "wb") as archive:
        for folder in ("bin", "dev", "layer", "machine", "modules", "proc", "root", "sys"):
            _add(archive, folder, 0o040755)
        _add(archive, "bin/busybox", 0o100755, pathlib.Path(_BUSYBOX).read_bytes())
        _add(archive, "init", 0o100755, (_HERE / "init").read_bytes())
        for index, module in enumerate(kernel.module_files(_MODULES)):
            data = module.read_bytes()
            if module.suffix == ".xz":
                data = lzma.decompress(data)
            # The shell processes them in the order of their names.
            _add(archive, f"modules/{index:02}-{module.name.split('.')[0]}", 0o100644, data)
        _add(archive, "TRAILER!!!", 0)


def _add(archive, name, mode, data=b""):
    encoded = name.encode() + b"\0"
    # inode, mode, user, group, links, time, size, two device numbers twice, length of the name, sum
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    _write_padded(archive, header + encoded)
    _write_padded(archive, data)


def _write_padded(archive, data):
    archive.write(data + bytes(-len(data) % 4))
