# SPDX-License-Identifier: Apache-2.0
"""Folders with a Debian 12 of their own, made by mmdebstrap and kept for the next run.

What a test writes goes to a layer of memory on top of such a folder. The layer and all mounts
vanish with the mount namespace that enter_private_mounts() makes.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

_RELEASE = "bookworm"
_OF_THE_KERNEL = ("sys", "dev")
_MARK = "REMORA_PRIVATE_MOUNTS"


def enter_private_mounts():
    """Runs this program again, in a mount namespace of its own, unless it is in one."""
    if os.environ.pop(_MARK, None) is None:
        os.environ[_MARK] = "yes"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-B", *sys.argv])


def fetch(folder, packages=()):
    """Makes `folder` a Debian with `packages`, unless it exists. Remove it to get a newer one."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"making {folder} with mmdebstrap", flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        fresh = pathlib.Path(scratch) / "root"
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--skip=cleanup/apt/lists",
             *([f"--include={','.join(packages)}"] if packages else []), _RELEASE, fresh],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )
        if made.returncode != 0:
            raise RuntimeError(f"mmdebstrap failed:\n{made.stdout[-4000:]}")
        fresh.rename(folder)
    return folder


class CleanRoot:
    """A layer of memory on top of `lower`. Needs enter_private_mounts() before."""

    def __init__(self, lower):
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="remora-root-"))
        _mount("-t", "tmpfs", "tmpfs", scratch)
        for name in ("root", "upper", "work"):
            (scratch / name).mkdir()
        self.path = scratch / "root"
        self._scratch = scratch
        layers = f"lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work"
        _mount("-t", "overlay", "-o", layers, "overlay", self.path)
        _mount("-t", "proc", "proc", self.path / "proc")
        for name in _OF_THE_KERNEL:
            _mount("--rbind", f"/{name}", self.path / name)
        resolver = self.path / "etc/resolv.conf"
        resolver.write_bytes(pathlib.Path("/etc/resolv.conf").read_bytes())

    def share(self, folder):
        """Makes `folder` of this machine visible at the same path."""
        inside = self.path / str(folder).lstrip("/")
        inside.mkdir(parents=True, exist_ok=True)
        _mount("--rbind", folder, inside)

    def hide_kernel(self):
        """Unmounts what the kernel shows in it, so that it is nothing but files."""
        for name in ("proc", *_OF_THE_KERNEL):
            subprocess.run(["umount", "--recursive", "--lazy", self.path / name], check=True)

    def run(self, *argv):
        """Runs a command in it; returns its output. Throws RuntimeError if it fails."""
        result = self.attempt(*argv)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, argv))}: {result.stdout[-4000:]}")
        return result.stdout

    def attempt(self, *argv):
        """Runs a command in it, in the network namespace of the calling thread."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        environment |= {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
        return subprocess.run(
            ["chroot", self.path, *argv], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )

    def remove(self):
        subprocess.run(["umount", "--recursive", "--lazy", self._scratch], check=False)
        self._scratch.rmdir()


def _mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
