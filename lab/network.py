# SPDX-License-Identifier: Apache-2.0
"""Makes and removes the namespaces and links that the topology describes."""

import json
import os
import subprocess

from lab import namespaces, topology

BPFFS = "/sys/fs/bpf"


def ip_batch(lines, namespace=None, *, force=False):
    """Runs many `ip` commands in one process."""
    process = _start_batch(lines, namespace, force=force)
    _finish_batch(process, namespace)


def _start_batch(lines, namespace, *, force=False):
    argv = ["ip"]
    if namespace:
        argv += ["-n", namespace]
    if force:
        argv.append("-force")
    process = subprocess.Popen(
        [*argv, "-batch", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.write("\n".join(lines) + "\n")
    process.stdin.close()
    process.stdin = None
    return process


def _finish_batch(process, namespace):
    _, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"ip in {namespace or 'the host'}: {' '.join(errors.split())}")


def create(layout):
    """Makes all namespaces of `layout`, cabled and addressed."""
    ip_batch([f"netns add {layout.namespace(node)}" for node in layout.nodes])
    for node in layout.nodes:
        namespaces.set_sysctls(layout.namespace(node), topology.node_sysctls(layout, node))
    gateway = layout.namespace(topology.GATEWAY)
    ip_batch(topology.link_commands(layout), gateway)
    batches = [
        (_start_batch(topology.node_commands(layout, node), layout.namespace(node)), node)
        for node in layout.nodes
        if node != topology.GATEWAY
    ]
    for process, node in batches:
        _finish_batch(process, layout.namespace(node))


def prepare_lb_link(layout, xdp_pass_object, pin):
    """Makes the gateway's end of the LB's link fit for native XDP at the other end.

    Without `tx off` frames reach the LB with an incomplete checksum (CHECKSUM_PARTIAL), which stays
    incomplete after XDP_TX. Without a program on this end XDP_TX has no queue to use.
    """
    gateway = layout.namespace(topology.GATEWAY)
    try:
        run(gateway, "ethtool", "-K", "lb0", "tx", "off")
        run(gateway, "bpftool", "prog", "load", xdp_pass_object, pin, "type", "xdp")
        run(gateway, "bpftool", "net", "attach", "xdp", "pinned", pin, "dev", "lb0")
    finally:
        # The device now holds the program.
        if os.path.exists(pin):
            os.unlink(pin)


def attach_tc(layout, bpf_object, pins, **programs):
    """Attaches {direction: program of `bpf_object`} to the gateway's end of the LB's link.

    Programs and maps are pinned in the folder `pins` of the bpffs by their names.
    """
    gateway = layout.namespace(topology.GATEWAY)
    os.makedirs(pins, exist_ok=True)
    run(gateway, "bpftool", "prog", "loadall", bpf_object, pins, "type", "classifier",
        "pinmaps", pins)
    run(gateway, "tc", "qdisc", "replace", "dev", "lb0", "clsact")
    for direction, program in programs.items():
        run(gateway, "tc", "filter", "add", "dev", "lb0", direction, "bpf", "direct-action",
            "object-pinned", os.path.join(pins, program))


def mac_of(namespace, device):
    """The Ethernet address of `device`."""
    shown = namespaces.run(
        namespace, ["ip", "-json", "link", "show", "dev", device], capture_output=True, check=True
    )
    return json.loads(shown.stdout)[0]["address"]


def run(namespace, *argv):
    """Runs a command that prints nothing when it succeeds."""
    result = namespaces.run(
        namespace, argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {' '.join(result.stderr.split())}")


def remove(names):
    """Deletes the namespaces `names`, as far as they exist."""
    present = [name for name in names if namespaces.exists(name)]
    if present:
        ip_batch([f"netns delete {name}" for name in present], force=True)


def remove_links(layout):
    """Deletes the gateway's links, as far as they exist."""
    gateway = layout.namespace(topology.GATEWAY)
    if not namespaces.exists(gateway):
        return
    devices = ["lb0"]
    devices += [f"c{number}" for number in range(layout.clients)]
    devices += [f"b{number}" for number in range(1, layout.brokers + 1)]
    with namespaces.inside(gateway):
        present = [d for d in devices if os.path.exists(f"/proc/sys/net/ipv4/conf/{d}")]
    if present:
        ip_batch([f"link delete {device}" for device in present], gateway, force=True)


def inhabitants(names):
    """{namespace: process ids} of all processes in the namespaces `names`."""
    inodes = {}
    for name in names:
        if namespaces.exists(name):
            inodes[os.stat(namespaces.path_of(name)).st_ino] = name
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            inode = os.stat(f"/proc/{entry}/ns/net").st_ino
        except OSError:
            continue
        if inode in inodes:
            found.setdefault(inodes[inode], []).append(int(entry))
    return found


def mount_bpffs():
    """Mounts the BPF file system unless it is mounted: a second mount would hide all pins."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, where, kind, *_ = line.split()
            if where == BPFFS and kind == "bpf":
                return
    os.makedirs(BPFFS, exist_ok=True)
    subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True)


def remove_pins(folder):
    """Unlinks everything below `folder` on the bpffs, and the folder."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(parent, name))
        for name in folders:
            os.rmdir(os.path.join(parent, name))
    if os.path.isdir(folder):
        os.rmdir(folder)
