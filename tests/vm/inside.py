# SPDX-License-Identifier: Apache-2.0
"""The guest's first process: runs the checks of a job and reports them on the second serial line.

A job is a JSON file: {"modules": folder, "checks": [{"name", "argv", "patience_s", "environment",
"needs"}]}. A check is left out if one of the checks named in "needs" has failed.

An event is a line of JSON: {"booted": release}, {"begun": name}, {"ended": name, "code", "seconds",
"output"}, {"finished": true}, and in between {"alive": true}. Seconds are the guest's own. A check
that took too long has no code.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import termios
import threading
import time
import tty

_MOST_OUTPUT = 200_000
_SIGN_OF_LIFE_S = 2.0


class Line:
    """The serial line to the machine outside."""

    def __init__(self):
        self._fd = os.open("/dev/ttyS1", os.O_WRONLY | os.O_NOCTTY)
        self._lock = threading.Lock()
        tty.setraw(self._fd, termios.TCSANOW)

    def tell(self, **event):
        data = json.dumps(event).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._fd, data) :]
            termios.tcdrain(self._fd)


def main(job_file):
    job = json.loads(pathlib.Path(job_file).read_text(encoding="utf-8"))
    line = Line()
    set_up(job)
    line.tell(booted=os.uname().release)
    failed = set()
    for check in job["checks"]:
        if failed.intersection(check["needs"]):
            continue
        line.tell(begun=check["name"])
        over = threading.Event()
        signs_of_life = threading.Thread(target=give_signs_of_life, args=(line, over))
        signs_of_life.start()
        result = run(check)
        over.set()
        signs_of_life.join()
        if result["code"] != 0:
            failed.add(check["name"])
        line.tell(ended=check["name"], **result)
    line.tell(finished=True)


def give_signs_of_life(line, over):
    while not over.wait(_SIGN_OF_LIFE_S):
        line.tell(alive=True)


def set_up(job):
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.environ["LC_ALL"] = "C.UTF-8"
    modules = pathlib.Path(job["modules"])
    pathlib.Path("/lib/modules").mkdir(exist_ok=True)
    pathlib.Path("/lib/modules", modules.name).symlink_to(modules)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Systemd mounts it by itself, and a second one would hide its pins.
    if not os.path.ismount("/sys/fs/bpf"):
        subprocess.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], check=True)


def run(check):
    """Runs a check; returns its part of the event."""
    output = pathlib.Path("/run/output")
    began = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(
            check["argv"], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env=os.environ | check["environment"],
        )
        try:
            code = process.wait(check["patience_s"])
        except subprocess.TimeoutExpired:
            code = None
            # End its children, too: besides them only this and the first process run here.
            os.kill(-1, signal.SIGKILL)
            process.wait()
    text = output.read_bytes()[-_MOST_OUTPUT:].decode(errors="replace")
    return {"code": code, "seconds": round(time.monotonic() - began, 1), "output": text}


def serve_as_first_process(job_file):
    """Runs main() in a child, reaps every orphan meanwhile, and then ends the machine."""
    child = os.fork()
    if child == 0:
        main(job_file)
        os._exit(0)
    while os.wait()[0] != child:
        pass
    subprocess.run(["busybox", "reboot", "-f"], check=False)


if __name__ == "__main__":
    serve_as_first_process(sys.argv[1])
