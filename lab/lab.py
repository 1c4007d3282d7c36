# SPDX-License-Identifier: Apache-2.0
"""The lab as a whole: up, down, and its parts."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys

from lab import config, namespaces, network, processes, topology
from lab.brokers import Brokers
from lab.build import LAB_COMMAND, LabError, build_folder
from lab.clients import Clients
from lab.daemon import Daemon
from lab.decapsulation import Decapsulation
from lab.katran_server import KatranServer
from lab.link import Link
from lab.state import State, only_one

# Signals that end a command after its clean-up.
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def taken_down(lab, command):
    """Takes the lab down at the end, however the block ends; after an error shows remorad's log."""
    try:
        yield
    except Exception:
        if lab.daemon:
            print(f"\nremorad's last words: {lab.daemon.last_words(10)}", file=sys.stderr)
        raise
    finally:
        # A second Ctrl-C must not interrupt the clean-up.
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        for problem in lab.down():
            print(f"{command}: {problem}", file=sys.stderr)


class Lab:
    """One lab. Making the object touches nothing; `up` and `down` do.

    While it is up it has these parts: `clients`, `brokers`, `decapsulation`, `link`, `daemon`, and
    `katran`, the server, which is None unless the forwarder is "katran-shared".
    """

    daemon_type = Daemon

    def __init__(self, name=None):
        self.name = os.environ.get("REMORA_LAB", "") if name is None else name
        self.layout = topology.Topology(self.name)
        self.state = State(self.name)
        self._forget_parts()
        if self.state.exists():
            self._resume()

    def _forget_parts(self):
        self.clients = self.brokers = self.link = None
        self.decapsulation = self.daemon = self.katran = None

    def _resume(self):
        values = self.state.values
        self.layout = topology.Topology(
            self.name, values["clients"], values["brokers"],
            topology.Addressing(values["addressing"]),
        )
        self._assemble_hosts()
        if "config" in values:
            self._assemble_service(config.Config(**values["config"]))

    def _assemble_hosts(self):
        self.clients = Clients(self.layout, self.state)
        self.brokers = Brokers(self.layout, self.state)
        self.link = Link(self.layout, self.state.values["build"])

    def _assemble_service(self, read):
        """The parts that depend on remorad's configuration, `read`."""
        built = self.state.values["build"]
        self.daemon = self.daemon_type(self.layout, self.state, built, read)
        self.decapsulation = Decapsulation(self.layout, self.state, built, read.forwarder)
        if read.forwarder == config.KATRAN_SHARED:
            self.katran = KatranServer(self.layout, self.state, built, self.daemon.root_array)

    def is_up(self):
        return self.state.exists()

    def namespace(self, node):
        if node not in self.layout.nodes:
            raise LabError(f"no node {node}: there are {', '.join(self.layout.nodes)}")
        return self.layout.namespace(node)

    # ---- up ------------------------------------------------------------------

    def up(self, clients=10, broker_count=6, settings=None, config_file=None, is_ours=False,
           addressing=topology.Addressing.IPV4):
        """Brings everything up, with remorad running. If that fails it is taken down again.

        A lab that `is_ours` belongs to this process: see clear_abandoned().
        """
        layout = topology.Topology(self.name, clients, broker_count, addressing)
        with only_one():
            self.state = State(self.name)
            if self.state.exists():
                raise LabError(f"this lab is up already: `{LAB_COMMAND} down` first")
            self._refuse_foreign_namespaces(layout)
            self.layout = layout
            try:
                self._claim(is_ours)
                self._bring_up(settings or config.Settings(), config_file)
            except BaseException:
                self._tear_down()
                raise

    def _refuse_foreign_namespaces(self, layout):
        taken = [name for name in map(layout.namespace, layout.nodes) if namespaces.exists(name)]
        if taken:
            raise LabError(
                f"network namespace {taken[0]} exists and is not this lab's: "
                "choose another name with REMORA_LAB=…"
            )

    def _claim(self, is_ours):
        """Records what is about to be made, and for which process."""
        owner = {"pid": os.getpid(), "started": processes.started_at(os.getpid())}
        self.state.save(
            clients=self.layout.clients,
            brokers=self.layout.brokers,
            addressing=self.layout.addressing.value,
            build=build_folder(),
            namespaces=[self.layout.namespace(node) for node in self.layout.nodes],
            owner=owner if is_ours else None,
        )

    def _bring_up(self, settings, config_file):
        self._assemble_hosts()
        network.mount_bpffs()
        network.create(self.layout)
        self.brokers.launch_all()
        self.link.prepare()
        self._configure(settings, config_file)
        self.decapsulation.start_all(*self._services())
        for node in self.layout.broker_nodes:
            self.brokers.wait_until_listening(node)
        self.daemon.start()
        if self.katran:
            self.katran.start()
            self.katran.wait_until_noticed(self.daemon)

    def _configure(self, settings, config_file):
        if config_file is None:
            config_file = self.state.file("remora.toml")
            config.write(config_file, self.layout, settings, self.state.file("history.db"))
        read = config.Config.read(config_file, settings.receiving)
        self.state.save(config=dataclasses.asdict(read))
        self._assemble_service(read)
        if self.katran:
            self._plan_katran(settings)

    def _plan_katran(self, settings):
        self.katran.plan(
            config.groups_of(self.layout, settings).values(),
            config.read_services(self.daemon.config.path),
        )

    def _services(self):
        """The services, and the groups whose VIPs Katran writes into packets."""
        path = self.daemon.config.path
        groups = []
        if self.katran:
            groups = self.katran.groups()
        elif self.daemon.config.forwarder == config.KATRAN_OBJECT:
            groups = config.read_groups(path)
        return config.read_services(path), groups

    def reconfigure(self, settings):
        """Writes another configuration file, which remorad reads on reload.

        A Katran server and the brokers get it at once.
        """
        config.write(self.daemon.config.path, self.layout, settings, self.daemon.config.history)
        if self.katran:
            self._plan_katran(settings)
            self.katran.reload()
        self.decapsulation.tell(*self._services())

    # ---- down ----------------------------------------------------------------

    def down(self):
        """Removes everything that the state names, even if only parts of it are left.

        Returns one line for each thing that could not be removed.
        """
        with only_one():
            self.state = State(self.name)
            if not self.state.exists():
                return []
            self._resume()
            return self._tear_down()

    def clear_abandoned(self):
        """Takes the lab down if the process that it belonged to has ended without doing so."""
        owner = self.state.values.get("owner")
        if owner and not processes.is_running(owner):
            self.down()

    def _tear_down(self):
        problems = []

        def attempt(step, *arguments):
            try:
                step(*arguments)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                problems.append(str(error))

        attempt(processes.end, self.state.processes)
        if self.daemon:
            attempt(self._remove_bpf)
        if self.katran:
            attempt(self.katran.remove_root_array)
        names = self.state.values.get("namespaces", [])
        for name, pids in network.inhabitants(names).items():
            numbers = ", ".join(map(str, pids))
            problems.append(f"{name} lives on until process {numbers} ends")
        # The links vanish with the gateway's namespace only if no process is left in it.
        attempt(network.remove_links, self.layout)
        if self.link:
            attempt(self.link.remove_pins)
        attempt(network.remove, names)
        self.state.remove()
        self._forget_parts()
        return problems

    def _remove_bpf(self):
        if namespaces.exists(self.layout.namespace(topology.LB)):
            try:
                self.daemon.throw_away()
                return
            except (OSError, RuntimeError, subprocess.SubprocessError):
                # The namespace takes the interface and its programs with it: the pins remain.
                pass
        network.remove_pins(self.daemon.pins)
