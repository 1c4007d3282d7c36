#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`remoractl doctor` reports what is wrong on an LB and on a broker host, and how to fix it."""

import contextlib
import dataclasses
import json
import os
import socket
import struct
import subprocess

from support import (
    Addressing, Journey, PATIENCE_S, Session, build_folder, main, mqtt, namespaces, topology,
)
from lab import processes

TOOL = os.path.join(build_folder(), "remoractl")
BROKER = "broker1"
SOUND = set()  # no complaints


class Doctor(Journey):
    """Verbs for both kinds of host. Complaints are a set of (state, check)."""

    brokers = 3

    def setUp(self):
        super().setUp()
        # docs/operations.md asks for this; the lab's own brokers have no neighbours and do without.
        self.on(BROKER, "sysctl -qw net.ipv4.conf.all.arp_ignore=1 "
                        "net.ipv4.conf.all.arp_announce=2")
        self.service = self.lab.layout.service_address
        host = f"[{self.service}]" if ":" in self.service else self.service
        self.lb = ["--runtime-dir", self.daemon.runtime_dir, "doctor", "--config",
                   self.daemon.config.path]
        self.broker = ["doctor", "--broker", "--service", f"{host}:{topology.MQTT_PORT}"]

    def on(self, node, command):
        """Runs a shell command on a node, with our tools in its PATH; returns its output."""
        path = f"{build_folder()}:{os.environ['PATH']}"
        result = namespaces.run(
            self.lab.namespace(node), ["sh", "-c", command], env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
        )
        self.assertEqual(result.returncode, 0, f"{command}: {result.stdout}")
        return result.stdout

    def remoractl(self, node, *arguments, prefix=()):
        return namespaces.run(
            self.lab.namespace(node), [*prefix, TOOL, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S,
        )

    def ask(self, node, *arguments):
        """The complaints, and all findings."""
        result = self.remoractl(node, *arguments, "--json")
        self.assertEqual(result.stderr, "")
        findings = json.loads(result.stdout)["findings"]
        seen = {(f["state"], f["check"]) for f in findings if f["state"] != "ok"}
        states = {state for state, _ in seen}
        expected = 1 if "error" in states else 2 if "unknown" in states else 0
        self.assertEqual(result.returncode, expected, result.stdout)
        return seen, findings

    def complaints(self, node):
        """Ignores the fence: the lab's kernel devices have none. One test adds it."""
        seen, _ = self.ask(node, *(self.lb if node == topology.LB else self.broker))
        return seen - {("warning", "fence")}

    def remedy(self, node, check):
        """The command that the doctor suggests for a failed check."""
        _, findings = self.ask(node, *(self.lb if node == topology.LB else self.broker))
        return next(f["remedy"] for f in findings if f["check"] == check and f["state"] != "ok")

    @contextlib.contextmanager
    def complaining(self, node, *complaints, mend=None):
        """Expects exactly these complaints after the block, then repairs the host and expects none.

        Without `mend` it runs the command that the doctor suggests.
        """
        self.assertEqual(self.complaints(node), SOUND)
        yield
        self.wait_until(lambda: self.complaints(node) == set(complaints), f"{complaints} of {node}")
        if mend:
            mend()
        else:
            self.on(node, self.remedy(node, complaints[0][1]))
        self.wait_until(lambda: self.complaints(node) == SOUND, f"{node} to be sound again")

    def restart(self):
        """Replaces the remedies that use systemctl."""
        self.daemon.stop()
        self.daemon.start()


class LoadBalancer(Doctor):
    def test_a_sound_one_is_told_in_a_terminal(self):
        self.assertEqual(self.complaints(topology.LB), SOUND)
        self.expect_readable(topology.LB, self.lb)

    def expect_readable(self, node, arguments):
        result = self.remoractl(node, *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("\n0 errors, ", result.stdout)
        for line in result.stdout.splitlines():
            is_command = line.startswith("         # ")
            self.assertTrue(len(line) <= 80 or is_command or " " not in line[25:], line)

    def test_what_is_wrong_with_the_host_is_named(self):
        with self.complaining(topology.LB, ("error", "ip_forward")):
            self.on(topology.LB, "sysctl -qw net.ipv4.ip_forward=1")
        with self.complaining(topology.LB, ("warning", "mtu")):
            # The link has two ends.
            self.on(topology.GATEWAY, "ip link set lb0 mtu 1600")
            self.on(topology.LB, "ip link set eth0 mtu 1600")
        gateway = self.lab.layout.addressing.service.lb_link_gateway
        # The doctor does not know the router's address, so only the test can restore the route.
        with self.complaining(topology.LB, ("error", "gateway"), ("warning", "routes"),
                              mend=lambda: self.on(topology.LB,
                                                   f"ip route add default via {gateway}")):
            self.on(topology.LB, "ip route delete default")

    def test_frames_that_veth_throws_away_are_named(self):
        """Health checks succeed, but no client can connect, and nothing else shows it."""
        self.assertEqual(self.complaints(topology.LB), SOUND)
        self.on(topology.GATEWAY, "bpftool net detach xdp dev lb0; ethtool -K lb0 gro off")

        self.on("client0", f"timeout 3 mosquitto_pub -h {self.service} -t a -m b || true")
        self.wait_until(lambda: ("error", "xdp_tx") in self.complaints(topology.LB),
                        "lost frames to be named")

        self.assertIn("XDP", self.remedy(topology.LB, "xdp_tx").upper())
        status = self.remoractl(topology.LB, *self.lb[:2], "status")
        self.assertIn("PROBLEM  the driver veth throws away frames", status.stdout)

    def test_what_is_wrong_with_the_instance_is_named(self):
        with self.complaining(topology.LB, ("error", "slots"), mend=self.restart):
            self.on(topology.LB, f"bpftool map delete pinned {self.daemon.pins}/root_array "
                                 "key 2 0 0 0")
        with self.complaining(topology.LB, ("error", "probe"), mend=self.restart):
            self.on(topology.LB, "tc filter delete dev eth0 ingress")
        with self.complaining(topology.LB, ("error", "daemon"), mend=self.daemon.start):
            self.daemon.stop()
        with self.complaining(topology.LB, ("error", "daemon"), mend=self.daemon.start):
            self.daemon.kill()
        nothing_is_attached = [("error", check) for check in ("daemon", "xdp", "slots", "probe")]
        with self.complaining(topology.LB, *nothing_is_attached, mend=self.daemon.start):
            self.daemon.throw_away()

    def test_a_changed_file_and_a_drained_real_are_named(self):
        with self.complaining(topology.LB, ("warning", "config_in_force"),
                              mend=lambda: self.reload("configuration reloaded")):
            self.configure(dataclasses.replace(self.settings, policy="keep"))
            self.assertEqual(self.remedy(topology.LB, "config_in_force"),
                             "systemctl reload remora")
        real = self.lab.layout.broker_address(1)
        with self.complaining(topology.LB, ("warning", "reals"),
                              mend=lambda: self.daemon.ask("reals", "enable", real)):
            self.daemon.ask("reals", "drain", real)

    def test_packets_that_were_dropped_are_named(self):
        # The slot is filled again, so that only the counter tells.
        self.on(topology.LB, f"bpftool map delete pinned {self.daemon.pins}/root_array key 2 0 0 0")
        with namespaces.inside(self.lab.namespace("client0")):
            client = socket.socket()
        with client:
            client.setblocking(False)
            client.connect_ex((self.service, topology.MQTT_PORT))
            self.wait_until(lambda: self.counters()["NO_FORWARDER"] > 0, "a SYN to be dropped")
        self.restart()
        self.assertEqual(self.complaints(topology.LB), {("warning", "counters")})

    def test_who_may_not_look_is_told_so(self):
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        result = self.remoractl(topology.LB, *self.lb, prefix=nobody)
        self.assertEqual((result.returncode, result.stderr), (3, ""), result.stdout)
        self.assertIn("Permission denied", result.stdout)
        self.assertNotIn("ERROR", result.stdout)

        wrong = self.remoractl(topology.LB, "doctor", "--broker", "--service", "nonsense")
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertIn('"nonsense" is no service', wrong.stderr)

    def test_a_wrong_file_is_told_as_remorad_tells_it(self):
        path = self.lab.state.file("wrong.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[lb]\ninterfaces = 5\n")
        seen, findings = self.ask(topology.LB, "doctor", "--config", path)
        self.assertEqual(seen, {("error", "config"), ("unknown", "daemon")})
        self.assertIn("did you mean \"interface\"", next(
            f["says"] for f in findings if f["check"] == "config"))


class Broker(Doctor):
    def setUp(self):
        super().setUp()
        self.kernel_strips = self.lab.decapsulation.is_the_kernels()

    def test_what_is_wrong_is_named_and_mended(self):
        with self.complaining(BROKER, ("error", "service_address")):
            self.on(BROKER, f"ip address delete {self.service}/32 dev lo")
        with self.complaining(BROKER, ("error", "arp")):
            self.on(BROKER, f"ip address delete {self.service}/32 dev lo")
            self.on(BROKER, f"ip address add {self.service}/32 dev eth0")
        with self.complaining(BROKER, ("warning", "arp")):
            self.on(BROKER, "sysctl -qw net.ipv4.conf.all.arp_ignore=0")
        with self.complaining(BROKER, ("warning", "mtu")):
            self.on(BROKER, "ip link set eth0 mtu 1400")
        with self.complaining(BROKER, ("error", "outer_header")):
            self.on(BROKER, "ip link set outer0 down" if self.kernel_strips
                    else "remora-decap --detach eth0")
        with self.complaining(BROKER, ("error", "listener"), 
                              mend=lambda: self.lab.brokers.start(BROKER)):
            processes.end([self.lab.brokers.process(BROKER)])

    def test_a_reverse_path_filter_is_judged_by_the_kernel(self):
        # Answers to the client leave through another link than its packets arrive on.
        self.on(BROKER, "ip link add other type veth peer name end && "
                        "ip link set other up && ip link set end up")
        client = self.lab.layout.client_address(0)
        self.broker += ["--client", client]
        self.on(BROKER, f"ip route add {client}/32 dev other")
        # The filter applies where the inner packet arrives.
        where = "outer0" if self.kernel_strips else "all"
        with self.complaining(BROKER, ("error", "rp_filter")):
            self.on(BROKER, f"sysctl -qw net.ipv4.conf.{where}.rp_filter=1")
        # While both use the same link this does no harm.
        self.on(BROKER, f"ip route delete {client}/32 dev other")
        if not self.kernel_strips:
            with self.complaining(BROKER, ("warning", "rp_filter")):
                self.on(BROKER, "sysctl -qw net.ipv4.conf.all.rp_filter=1")

    def test_vips_that_are_not_in_force_are_named(self):
        if self.kernel_strips:
            self.skipTest("here the kernel takes outer headers off")
        path = self.lab.state.file("decap.toml")

        def write(*vips):
            with open(path, "w", encoding="utf-8") as file:
                file.write(f'[[service]]\naddress = "{self.service}"\nport = {topology.MQTT_PORT}\n')
                file.write("".join(
                    f'[[vip]]\nvip = "{vip}"\nservice = "{self.service}"\n' for vip in vips))

        group = self.lab.layout.group_address
        write(group(0))
        self.on(BROKER, f"remora-decap --config {path} eth0")
        self.broker += ["--config", path]
        with self.complaining(BROKER, ("error", "vips")):
            write(group(0), group(1))
        self.broker += ["--vip", group(2)]
        self.assertEqual(self.complaints(BROKER), {("error", "vips")})
        write(group(0), group(1), group(2))
        self.on(BROKER, self.remedy(BROKER, "vips"))
        self.assertEqual(self.complaints(BROKER), SOUND)

    def send_through_a_tunnel(self, payload, port):
        """Sends UDP in IPIP from a client to the broker's own address, as anybody can."""
        broker = self.lab.layout.broker_address(1)
        source, destination = (socket.inet_aton(a) for a in (self.lab.layout.client_address(0), broker))
        udp = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0,
                           source, destination)
        with namespaces.inside(self.lab.namespace("client0")):
            tunnel = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
        with tunnel:
            tunnel.sendto(head + udp, (broker, 0))

    def test_a_tunnel_into_the_broker_is_closed_and_named(self):
        if self.kernel_strips:
            self.skipTest("here the kernel takes outer headers off")
        with namespaces.inside(self.lab.namespace(BROKER)):
            service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with service:
            service.bind((self.lab.layout.broker_address(1), 0))
            service.setblocking(False)

            self.send_through_a_tunnel(b"hello", service.getsockname()[1])

            self.wait_until(lambda: self.complaints(BROKER) == {("warning", "refused")},
                            "the packet to be refused")
            with self.assertRaises(BlockingIOError):
                service.recv(100)
        # A program that is attached again counts from 0.
        self.lab.decapsulation.start(BROKER)
        self.assertEqual(self.complaints(BROKER), SOUND)

    def test_a_device_that_lets_everything_through_is_named(self):
        if not self.kernel_strips:
            self.skipTest("this kernel has no device for outer headers")
        fence = ("warning", "fence")
        self.assertIn(fence, self.ask(BROKER, *self.broker)[0])
        self.on(BROKER, self.remedy(BROKER, "fence"))
        self.assertNotIn(fence, self.ask(BROKER, *self.broker)[0])
        # The service's packets still pass.
        self.teach("client0", "measurements/temperature")

    def test_fragments_of_outer_packets_are_named(self):
        if self.kernel_strips:
            self.skipTest("here the kernel puts fragments together")
        # Only the load balancer's link is larger, so the gateway fragments.
        self.on(topology.GATEWAY, "ip link set lb0 mtu 1600")
        self.on(topology.LB, "ip link set eth0 mtu 1600")
        self.wait_until(lambda: ("error", "mtu") not in self.complaints(topology.LB),
                        "remorad to see the link's MTU")
        with Session(self.lab, "client0") as session:
            session.publish("measurements/other", mqtt.message("client0", "1", 1, size=4000))
            self.wait_until(
                lambda: any(("warning", "fragments") in self.complaints(node)
                            for node in self.lab.layout.broker_nodes), "fragments at a broker")


class OverIpv6(Doctor):
    addressing = Addressing.IPV6

    def test_sound_hosts_are_ok(self):
        self.assertEqual(self.complaints(topology.LB), SOUND)
        self.assertEqual(self.complaints(BROKER), SOUND)

    def test_what_is_wrong_is_named_and_mended(self):
        with self.complaining(topology.LB, ("error", "ip_forward")):
            self.on(topology.LB, "sysctl -qw net.ipv6.conf.all.forwarding=1")
        with self.complaining(BROKER, ("error", "service_address")):
            self.on(BROKER, f"ip address delete {self.service}/128 dev lo")
        with self.complaining(BROKER, ("error", "arp")):
            self.on(BROKER, f"ip address add {self.service}/128 dev eth0 nodad")


class Ipv4OverIpv6(Doctor):
    addressing = Addressing.IPV4_OVER_IPV6

    def test_sound_hosts_are_ok(self):
        self.assertEqual(self.complaints(topology.LB), SOUND)
        self.assertEqual(self.complaints(BROKER), SOUND)


if __name__ == "__main__":
    main()
