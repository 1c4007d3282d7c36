# SPDX-License-Identifier: Apache-2.0
"""A mosquitto in each broker namespace, and what strips the outer header in front of it."""

import os
import socket
import subprocess

from lab import namespaces, topology
from lab.waiting import PATIENCE_S, wait_until

MOSQUITTO = "/usr/sbin/mosquitto"

# Unlimited queues: a message that is missing was lost on the way, not thrown away by a broker that
# could not keep up with its subscriber.
CONFIG = """\
listener {port}
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 0
sys_interval 0
log_dest stdout
log_type error
log_type warning
connection_messages false
"""


def write_config(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(port=topology.MQTT_PORT))


def start(layout, node, config, log):
    """Starts the broker of `node` and returns its process id; see wait_until_listening()."""
    return namespaces.spawn_service(layout.namespace(node), [MOSQUITTO, "-c", config], log)


def wait_until_listening(layout, node):
    """Returns once the broker of `node` accepts connections."""
    def listens():
        with namespaces.inside(layout.namespace(node)):
            probe = socket.socket()
        with probe:
            probe.settimeout(PATIENCE_S)
            try:
                probe.connect(("127.0.0.1", topology.MQTT_PORT))
            except ConnectionRefusedError:
                return False
        return True

    wait_until(listens, f"mosquitto in {node} to listen")


_KERNEL_DEVICES = {  # {IP version of the outer header: (module, kind of link)}
    4: ("ipip", ["ipip"]),
    6: ("ip6_tunnel", ["ip6tnl", "mode", "any"]),
}


def kernel_strips(layout):
    """Whether this kernel has the device for the outer header, loading its module if need be."""
    module, _ = _KERNEL_DEVICES[layout.addressing.reals.version]
    if os.path.exists(f"/sys/module/{module}"):
        return True
    try:
        return subprocess.run(["modprobe", "-q", module], check=False).returncode == 0
    except FileNotFoundError:
        return False


def strip_with_kernel(layout, node):
    """A collect-metadata tunnel takes packets from any outer source."""
    _, kind = _KERNEL_DEVICES[layout.addressing.reals.version]
    for argv in (
        ["ip", "link", "add", "outer0", "type", *kind, "external"],
        ["ip", "link", "set", "outer0", "up"],
    ):
        namespaces.run(layout.namespace(node), argv, check=True)


def stop_kernel(layout, node):
    namespaces.run(layout.namespace(node), ["ip", "link", "delete", "outer0"], check=True)


def strip_with_decap(layout, node, tool, decap_config):
    """Our own decap on eth0; it stays attached after the tool has ended, until the next one."""
    _run_decap(layout, node, [tool, "eth0", "--config", decap_config])


def stop_decap(layout, node, tool):
    _run_decap(layout, node, [tool, "eth0", "--detach"])


def _run_decap(layout, node, argv):
    result = namespaces.run(
        layout.namespace(node), argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if result.returncode != 0:
        raise RuntimeError(f"remora-decap in {node}: {' '.join(result.stdout.split())}")
