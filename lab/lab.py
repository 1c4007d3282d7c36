# SPDX-License-Identifier: Apache-2.0
"""The lab as a whole: up, down, and the handles to what is in it."""

import dataclasses
import os
import signal
import subprocess

from lab import (
    bad_link, brokers, config, namespaces, network, processes, tagged_link, topology,
)
from lab.daemon import Daemon
from lab.katran_server import KatranServer
from lab.state import State, only_one
from lab.waiting import wait_until

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class LabError(RuntimeError):
    """Something that the person at the keyboard can put right; said in one line."""


def build_folder():
    """Where remorad is: REMORA_BUILD, else the release preset's folder."""
    return os.environ.get("REMORA_BUILD", os.path.join(PROJECT, "build", "release"))


def build():
    """Builds the release preset, unless REMORA_BUILD names a build to be taken as it is."""
    if "REMORA_BUILD" not in os.environ:
        for argv in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
            result = subprocess.run(
                argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                check=False,
            )
            if result.returncode != 0:
                raise LabError(f"{' '.join(argv)} failed:\n{result.stdout[-4000:]}")
    for name in ("remorad", "remoractl", "bpf/xdp_pass.bpf.o"):
        path = os.path.join(build_folder(), name)
        if not os.path.exists(path):
            raise LabError(f"{path} is missing: build the project first")


def require_root():
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and loads BPF programs: run it as root")


class Lab:
    """One lab. Making the object touches nothing; `up` and `down` do."""

    def __init__(self, name=None):
        self.name = os.environ.get("REMORA_LAB", "") if name is None else name
        self.layout = topology.Topology(self.name)
        self.state = State(self.name)
        self.daemon = None
        self.katran = None  # the server, with forwarder = "katran-shared"
        if self.state.exists():
            self._resume()

    def _resume(self):
        values = self.state.values
        self.layout = topology.Topology(
            self.name, values["clients"], values["brokers"],
            topology.Addressing(values["addressing"]),
        )
        if "config" in values:
            self.daemon = Daemon(
                self.layout, self.state, values["build"], config.Config(**values["config"])
            )
            self.katran = self._katran_server(values["build"])

    @property
    def _link_pins(self):
        """Folder of the bpffs for what the lab itself puts on the load balancer's link."""
        return os.path.join(network.BPFFS, f"{self.layout.instance}-link")

    def is_up(self):
        return self.state.exists()

    def namespace(self, node):
        if node not in self.layout.nodes:
            raise LabError(f"no node {node}: there are {', '.join(self.layout.nodes)}")
        return self.layout.namespace(node)

    # ---- up ------------------------------------------------------------------

    def up(self, clients=10, broker_count=6, settings=None, config_file=None, is_ours=False,
           addressing=topology.Addressing.IPV4):
        """Brings everything up, with remorad running. What is half up is taken down again.

        A lab that `is_ours` belongs to this process: see clear_abandoned().
        """
        layout = topology.Topology(self.name, clients, broker_count, addressing)
        with only_one():
            self.state = State(self.name)
            if self.state.exists():
                raise LabError("this lab is up already: `scripts/lab down` first")
            self._refuse_foreign_namespaces(layout)
            self.layout = layout
            try:
                self._claim(is_ours)
                self._build_up(settings or config.Settings(), config_file)
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
        """Writes down what is about to be made, and for whom."""
        owner = {"pid": os.getpid(), "started": processes.started_at(os.getpid())}
        self.state.save(
            clients=self.layout.clients,
            brokers=self.layout.brokers,
            addressing=self.layout.addressing.value,
            build=build_folder(),
            namespaces=[self.layout.namespace(node) for node in self.layout.nodes],
            owner=owner if is_ours else None,
        )

    def _build_up(self, settings, config_file):
        layout = self.layout
        network.mount_bpffs()
        network.create(layout)
        self._start_brokers()
        network.prepare_lb_link(
            layout,
            os.path.join(build_folder(), "bpf", "xdp_pass.bpf.o"),
            os.path.join(network.BPFFS, f"{layout.instance}-xdp-pass"),
        )
        self._configure(settings, config_file)
        self._strip_outer_headers()
        for node in layout.broker_nodes:
            brokers.wait_until_listening(layout, node)
        self.daemon.start()
        if self.katran:
            self.katran.start()
            self._wait_until_katran_is_noticed()

    def _start_brokers(self):
        brokers.write_config(self.state.file("mosquitto.conf"))
        for node in self.layout.broker_nodes:
            self._start_broker(node)

    def _start_broker(self, node):
        config_file, log = self.state.file("mosquitto.conf"), self.state.file(f"{node}.log")
        self.state.record(node, brokers.start(self.layout, node, config_file, log))

    def _configure(self, settings, config_file):
        if config_file is None:
            config_file = self.state.file("remora.toml")
            text = config.render(self.layout, settings, self.state.file("history.db"))
            with open(config_file, "w", encoding="utf-8") as file:
                file.write(text)
        read = config.Config.read(config_file, settings.receiving)
        self.daemon = Daemon(self.layout, self.state, build_folder(), read)
        self.state.save(config=dataclasses.asdict(read))
        self.katran = self._katran_server(build_folder())
        if self.katran:
            self._plan_katran(settings)

    def _katran_server(self, build):
        if self.daemon.config.forwarder != config.KATRAN_SHARED:
            return None
        return KatranServer(self.layout, self.state, build, self.daemon.root_array)

    def _wait_until_katran_is_noticed(self):
        """remorad looks now and then; until then it allows for the longer of the outer headers."""
        wait_until(
            lambda: all(group["katran"] == "forwards"
                        for group in self.daemon.status()["groups"] if group["configured"]),
            "remorad to see that Katran forwards",
        )

    def _plan_katran(self, settings):
        groups = config.groups_of(self.layout, settings).values()
        self.katran.plan(groups, config.read_services(self.daemon.config.path))

    def reconfigure(self, settings):
        """Writes another configuration file; remorad reads it when it is told to.

        Who else has to know of it is told here: a Katran server, the brokers.
        """
        text = config.render(self.layout, settings, self.daemon.config.history)
        with open(self.daemon.config.path, "w", encoding="utf-8") as file:
            file.write(text)
        if self.katran:
            self._plan_katran(settings)
            self.katran.reload()
        if self.daemon.config.forwarder != config.EMBEDDED:
            self._tell_brokers()

    def _strip_outer_headers(self):
        if self._kernel_strips():
            for node in self.layout.broker_nodes:
                brokers.strip_with_kernel(self.layout, node)
            return
        self._tell_brokers()

    def _kernel_strips(self):
        # What comes from Katran is addressed to the group's VIP, which a device leaves as it is.
        is_embedded = self.daemon.config.forwarder == config.EMBEDDED
        return is_embedded and brokers.kernel_strips(self.layout)

    @property
    def _decap_tool(self):
        tool = os.path.join(build_folder(), "remora-decap")
        if not os.path.exists(tool):
            raise LabError(f"{tool} is missing: build the project first")
        return tool

    def _tell_brokers(self):
        """Gives the brokers the VIPs of their groups, as far as they do not have them yet.

        None is taken away: a broker that has left a group keeps the connections that it had.
        """
        tool = self._decap_tool
        file = self.daemon.config.path
        services = config.read_services(file)
        groups = []
        if self.katran:
            groups = self.katran.groups()
        elif self.daemon.config.forwarder == config.KATRAN_OBJECT:
            groups = config.read_groups(file)
        for number, node in enumerate(self.layout.broker_nodes, start=1):
            address, path = self.layout.broker_address(number), self.state.file(f"{node}.toml")
            known = config.read_decap(path) if os.path.exists(path) else None
            entries = known or set()
            for group in groups:
                if address in group.reals:
                    entries = entries | {(group.vip, *service) for service in services}
            if entries != known:
                config.write_decap(path, entries)
                brokers.strip_with_decap(self.layout, node, tool, path)

    # ---- down ----------------------------------------------------------------

    def down(self):
        """Removes everything that the state names, however little of it is left.

        Returns one line for each thing that could not be removed.
        """
        with only_one():
            self.state = State(self.name)
            if not self.state.exists():
                return []
            self._resume()
            return self._tear_down()

    def clear_abandoned(self):
        """Takes the lab down if the process whose own it was has ended without doing so."""
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
            attempt(self._remove_shared_array)
        names = self.state.values.get("namespaces", [])
        for name, pids in network.inhabitants(names).items():
            numbers = ", ".join(map(str, pids))
            problems.append(f"{name} lives on until process {numbers} ends")
        # The links go with the gateway's namespace only if nobody is left in it.
        attempt(self._remove_links)
        attempt(network.remove_pins, self._link_pins)
        attempt(network.remove, names)
        self.state.remove()
        self.daemon = self.katran = None
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

    def _remove_shared_array(self):
        # It outlives `remorad --detach`, for Katran's sake.
        if self.katran and os.path.exists(self.daemon.root_array):
            os.unlink(self.daemon.root_array)

    def _remove_links(self):
        gateway = self.layout.namespace(topology.GATEWAY)
        if not namespaces.exists(gateway):
            return
        devices = ["lb0"]
        devices += [f"c{number}" for number in range(self.layout.clients)]
        devices += [f"b{number}" for number in range(1, self.layout.brokers + 1)]
        with namespaces.inside(gateway):
            present = [d for d in devices if os.path.exists(f"/proc/sys/net/ipv4/conf/{d}")]
        if present:
            network.ip_batch([f"link delete {device}" for device in present], gateway, force=True)

    # ---- in between ----------------------------------------------------------

    def client_address(self, node):
        """The present address of a client node."""
        moves = self.state.values.get("moves", {}).get(node, 0)
        return self.layout.client_address(topology.number_of(node), moves)

    def kill_broker(self, node):
        """SIGKILL to the mosquitto of `node`."""
        process = self.state.find(node)
        os.kill(process["pid"], signal.SIGKILL)
        processes.end([process])

    def start_broker(self, node):
        """Starts the mosquitto of `node` again; returns when it listens."""
        self._start_broker(node)
        brokers.wait_until_listening(self.layout, node)

    def stop_stripping(self, node):
        """The outer headers of packets to a broker stay on."""
        if self._kernel_strips():
            brokers.stop_kernel(self.layout, node)
        else:
            brokers.stop_decap(self.layout, node, self._decap_tool)

    def strip(self, node):
        """They are taken off again."""
        if self._kernel_strips():
            brokers.strip_with_kernel(self.layout, node)
        else:
            brokers.strip_with_decap(
                self.layout, node, self._decap_tool, self.state.file(f"{node}.toml"))

    def ip(self, node, *lines):
        """`ip` commands in the namespace of `node`."""
        network.ip_batch(lines, self.namespace(node))

    def change_address(self, node):
        """Gives a client an address in another network, as DHCP would; returns the new one."""
        moves = dict(self.state.values.get("moves", {}))
        old = self.client_address(node)
        moves[node] = moves.get(node, 0) + 1
        new = self.layout.client_address(topology.number_of(node), moves[node])
        device = f"c{topology.number_of(node)}"
        plan = self.layout.addressing.service
        network.ip_batch(
            # In this order: the interface's routes would go with its last address.
            [plan.add(new, "eth0"), plan.delete(old, "eth0")], self.namespace(node)
        )
        network.ip_batch(
            [plan.add_route(new, device), plan.delete_route(old, device)],
            self.namespace(topology.GATEWAY),
        )
        self.state.save(moves=moves)
        return new

    def spoil_link(self, *, lose, delay, seed):
        """Makes the link from the gateway to the load balancer bad; returns the BadLink."""
        return bad_link.BadLink(
            self.layout, build_folder(), os.path.join(self._link_pins, "bad_link"),
            lose=lose, delay=delay, seed=seed,
        )

    def tag_link(self):
        """From here on frames between the gateway and the load balancer carry a VLAN tag."""
        tagged_link.tag(
            self.layout, build_folder(), os.path.join(self._link_pins, "tagged_link")
        )

    def environment(self):
        """What `scripts/lab env` prints: names for use by hand."""
        values = {
            "MQTT_VIP": self.layout.service_address,
            "MQTT_PORT": str(topology.MQTT_PORT),
            "REMORA_LAB": self.name,
            "REMORA_STATE": self.state.folder,
        }
        if self.daemon:
            values |= {
                "REMORA_CONFIG": self.daemon.config.path,
                "REMORA_INSTANCE": self.daemon.config.instance,
                "REMORA_RUNTIME_DIR": self.daemon.runtime_dir,
                "REMORA_HISTORY": self.daemon.config.history,
                "REMORA_LOG": self.daemon.log,
                "REMORA_PINS": self.daemon.pins,
            }
        return values
