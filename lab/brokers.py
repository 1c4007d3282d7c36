# SPDX-License-Identifier: Apache-2.0
"""A mosquitto in each broker namespace."""

import os
import signal
import socket

from lab import namespaces, processes, topology
from lab.waiting import PATIENCE_S, wait_until

MOSQUITTO = "/usr/sbin/mosquitto"

# Queues are unlimited: a message that is missing was lost on the way, not dropped by a broker whose
# subscriber was slow.
CONFIG = """\
listener {port}
listener {other_port}
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


class Brokers:
    """Controls the brokers of one lab."""

    def __init__(self, layout, state):
        self._layout = layout
        self._state = state
        self._config = state.file("mosquitto.conf")

    def launch_all(self):
        """Starts all of them, without waiting."""
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(port=topology.MQTT_PORT, other_port=topology.OTHER_MQTT_PORT))
        for node in self._layout.broker_nodes:
            self._launch(node)

    def start(self, node, wrapper=()):
        """Starts the broker of `node` again; returns when it listens.

        `wrapper`: a command that becomes the broker, such as env(1), with its arguments.
        """
        self._launch(node, wrapper)
        self.wait_until_listening(node)

    def _launch(self, node, wrapper=()):
        pid = namespaces.spawn_service(
            self._layout.namespace(node), [*wrapper, MOSQUITTO, "-c", self._config],
            self.log(node),
        )
        self._state.record(node, pid)

    def log(self, node):
        """The path of what the broker of `node` writes."""
        return self._state.file(f"{node}.log")

    def wait_until_listening(self, node):
        """Returns once the broker of `node` accepts connections."""
        def listens():
            with namespaces.inside(self._layout.namespace(node)):
                probe = socket.socket()
            with probe:
                probe.settimeout(PATIENCE_S)
                try:
                    probe.connect(("127.0.0.1", topology.MQTT_PORT))
                except ConnectionRefusedError:
                    return False
            return True

        wait_until(listens, f"mosquitto in {node} to listen")

    def process(self, node):
        """The running mosquitto of `node` as recorded, or None."""
        return self._state.find(node)

    def kill(self, node):
        """SIGKILL to the mosquitto of `node`."""
        process = self.process(node)
        os.kill(process["pid"], signal.SIGKILL)
        processes.end([process])
