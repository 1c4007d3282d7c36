# SPDX-License-Identifier: Apache-2.0
"""The guest's first process: does the checks of a job and tells of them on the second serial line.

A job is a JSON file: {"modules": folder, "checks": [{"name", "argv", "patience_s", "environment"}]}.
An event is a line of JSON. It says what has begun or ended, and how long the next event may take.
"""

import json
import os
import pathlib
import subprocess
import sys
import termios
import time
import tty

_MOST_OUTPUT = 200_000
_SLACK_S = 60.0


def main(job_file):
    events = os.open("/dev/ttyS1", os.O_WRONLY | os.O_NOCTTY)
    tty.setraw(events, termios.TCSANOW)
    job = json.loads(pathlib.Path(job_file).read_text(encoding="utf-8"))

    def tell(patience_s, **event):
        data = json.dumps(event | {"patience_s": patience_s}).encode() + b"\n"
        while data:
            data = data[os.write(events, data) :]
        termios.tcdrain(events)

    set_up(job)
    tell(_SLACK_S, booted=os.uname().release)
    for check in job["checks"]:
        tell(check["patience_s"] + _SLACK_S, begun=check["name"])
        tell(_SLACK_S, ended=check["name"], **run(check))
    tell(_SLACK_S, done=True)


def set_up(job):
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.environ["LC_ALL"] = "C.UTF-8"
    modules = pathlib.Path(job["modules"])
    pathlib.Path("/lib/modules").mkdir(exist_ok=True)
    pathlib.Path("/lib/modules", modules.name).symlink_to(modules)
    for argv in (["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], ["ip", "link", "set", "lo", "up"]):
        subprocess.run(argv, check=True)


def run(check):
    """Exit code, seconds and output of a check; what it leaves behind is not waited for."""
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
            process.kill()
            process.wait()
            code = None
    text = output.read_bytes()[-_MOST_OUTPUT:].decode(errors="replace")
    return {"code": code, "seconds": round(time.monotonic() - began, 1), "output": text}


def serve_as_first_process(job_file):
    """Runs main() in a child and takes in every orphan meanwhile; then the machine ends."""
    child = os.fork()
    if child == 0:
        main(job_file)
        os._exit(0)
    while os.wait()[0] != child:
        pass
    subprocess.run(["busybox", "reboot", "-f"], check=False)


if __name__ == "__main__":
    serve_as_first_process(sys.argv[1])
