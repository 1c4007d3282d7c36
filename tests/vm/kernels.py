# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels, fetched with apt and unpacked into a folder: nothing is installed.

A series that the machine's own apt sources do not have is looked for in the backports of the same
release, with an apt configuration of our own next to the kernels.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

SERIES = ("6.1", "6.12")

_RELEASE = "bookworm"
# The signed kernel of the cloud flavour: it is small, and has all that the lab needs.
_PACKAGE = r"linux-image-{series}\.[\w.+-]*cloud-amd64"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel that is unpacked in `folder`."""

    series: str
    release: str  # as `uname -r` says it
    folder: pathlib.Path

    @property
    def image(self):
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self):
        return self.folder / "lib" / "modules" / self.release

    def module_files(self, names):
        """The files of the modules `names` and of what they need, in the order to load them.

        One that is built into the kernel needs no file.
        """
        needs, paths = {}, {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            path, _, others = line.partition(":")
            paths[_module_name(path)] = self.modules / path
            needs[_module_name(path)] = [_module_name(other) for other in others.split()]
        builtin = {
            _module_name(line)
            for line in (self.modules / "modules.builtin").read_text().splitlines()
        }
        files = []

        def add(name):
            if name in builtin:
                return
            if name not in paths:
                raise RuntimeError(f"Linux {self.release} has no module {name}")
            for other in needs[name]:
                add(other)
            if paths[name] not in files:
                files.append(paths[name])

        for name in names:
            add(name)
        return files


def _module_name(path):
    return os.path.basename(path).split(".")[0].replace("-", "_")


def fetch(series, cache):
    """The newest kernel of `series`, from the folder `cache` if it has been fetched before.

    A kernel in the cache is taken as it is, however old: remove the folder to get the newest.
    """
    folder = cache / series
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            unpacked = pathlib.Path(scratch) / "kernel"
            _unpack(_download(series, cache, pathlib.Path(scratch)), unpacked)
            unpacked.rename(folder)
    (release,) = os.listdir(folder / "lib" / "modules")
    return Kernel(series, release, folder)


def _unpack(package, folder):
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    shutil.rmtree(folder / "usr", ignore_errors=True)  # documentation
    (release,) = os.listdir(folder / "lib" / "modules")
    subprocess.run(["depmod", "-b", folder, release], check=True)


def _download(series, cache, folder):
    """The file of the newest package of `series`."""
    configuration = {}
    package = _newest(series, configuration)
    if package is None:
        configuration = _backports(cache / "apt")
        _apt("apt-get", "-qq", "update", configuration=configuration)
        package = _newest(series, configuration)
    if package is None:
        raise RuntimeError(f"no package of Linux {series} in the apt sources or the backports")
    # apt downloads as a user of its own, who may not write into this folder.
    _apt(
        "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package, cwd=folder,
        configuration=configuration,
    )
    (file,) = folder.glob("*.deb")
    return file


def _newest(series, configuration):
    """NAME=VERSION of the newest package of `series`, or None."""
    pattern = _PACKAGE.format(series=re.escape(series))
    names = [
        name
        for name in _apt("apt-cache", "pkgnames", f"linux-image-{series}.",
                         configuration=configuration).split()
        if re.fullmatch(pattern, name)
    ]
    found = []
    for line in _apt("apt-cache", "madison", *names, configuration=configuration).splitlines():
        name, version, *_ = (part.strip() for part in line.split("|"))
        found.append((name, version))
    newest = None
    for name, version in found:
        if newest is None or _is_newer(version, newest[1]):
            newest = (name, version)
    return newest and "=".join(newest)


def _is_newer(version, than):
    return subprocess.run(
        ["dpkg", "--compare-versions", version, "gt", than], check=False
    ).returncode == 0


def _backports(folder):
    """The environment for an apt that knows the backports of this machine's mirrors."""
    lines = set()
    for uri in _apt(
        "apt-get", "indextargets", "--format", "$(REPO_URI)",
        "Created-By: Packages", "Origin: Debian", f"Codename: {_RELEASE}", "Component: main",
    ).splitlines():
        lines.add(f"deb {uri} {_RELEASE}-backports main\n")
    if not lines:
        raise RuntimeError(f"this machine's apt sources have no Debian {_RELEASE} to start from")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("".join(sorted(lines)))
    options = folder / "apt.conf"
    options.write_text(
        f'Dir::Etc::sourcelist "{folder}/sources.list";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::lists "{folder}/lists";\n'
        f'Dir::Cache "{folder}/cache";\n'
        'APT::Sandbox::User "root";\n'
    )
    return {"APT_CONFIG": str(options)}


def _apt(*argv, configuration=None, cwd=None):
    """The output of `argv`; throws with its error output if it fails."""
    result = subprocess.run(
        argv, cwd=cwd, env=os.environ | {"LC_ALL": "C"} | (configuration or {}),
        capture_output=True, text=True, check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:3])}: {' '.join(result.stderr.split())}")
    return result.stdout
