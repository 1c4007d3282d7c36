# SPDX-License-Identifier: Apache-2.0
"""The command line of scripts/lab."""

import argparse
import os
import shlex
import sys

from lab import namespaces, processes, topology
from lab.build import LAB_COMMAND, LabError, build, require_root
from lab.lab import Lab


def main(argv):
    try:
        require_root()
        arguments = parser().parse_args(argv)
        return arguments.run(arguments)
    except (LabError, OSError, RuntimeError, ValueError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser():
    top = argparse.ArgumentParser(
        prog=LAB_COMMAND,
        description="Clients, a gateway, a load balancer with remorad and brokers in network "
        "namespaces of this machine. REMORA_LAB=name makes a second lab beside the first.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("up", help="build, make the namespaces, start everything")
    command.add_argument("--clients", type=int, default=10, metavar="N")
    command.add_argument("--brokers", type=int, default=6, metavar="N")
    ip = command.add_mutually_exclusive_group()
    for addressing, meaning in (
        (topology.Addressing.IPV6, "clients, service and brokers speak IPv6"),
        (topology.Addressing.IPV4_OVER_IPV6, "brokers of an IPv4 service are reached over IPv6"),
    ):
        ip.add_argument(f"--{addressing.value}", dest="addressing", action="store_const",
                        const=addressing, default=topology.Addressing.IPV4, help=meaning)
    command.add_argument("--config", metavar="FILE", help="for remorad, instead of the lab's own")
    command.set_defaults(run=up)

    command = commands.add_parser("down", help="remove everything, also after a crash")
    command.set_defaults(run=down)

    command = commands.add_parser("status", help="show what runs, and remorad's counters")
    command.set_defaults(run=status)

    command = commands.add_parser("env", help=f"print shell variables: eval \"$({LAB_COMMAND} env)\"")
    command.set_defaults(run=env)

    command = commands.add_parser("exec", help="run a command in a node's namespace")
    command.add_argument("node", metavar="NODE")
    command.add_argument("argv", metavar="CMD", nargs=argparse.REMAINDER)
    command.set_defaults(run=execute)
    return top


def up(arguments):
    lab = Lab()
    if lab.is_up():
        raise LabError(f"this lab is up already: `{LAB_COMMAND} down` first")
    build()
    lab.up(
        arguments.clients, arguments.brokers, config_file=arguments.config,
        addressing=arguments.addressing,
    )
    print(f"up: {arguments.clients} clients, {arguments.brokers} brokers, remorad in lb")
    print(f'use: eval "$({LAB_COMMAND} env)"')
    print(f'     {LAB_COMMAND} exec client1 mosquitto_pub -h "$MQTT_VIP" '
          "-t measurements/temperature -m hi")
    return 0


def down(_arguments):
    problems = Lab().down()
    for problem in problems:
        print(f"lab: {problem}", file=sys.stderr)
    return 1 if problems else 0


def running():
    lab = Lab()
    if not lab.is_up():
        raise LabError(f"no lab is up: `{LAB_COMMAND} up` first")
    return lab


def status(_arguments):
    lab = running()
    faults = 0
    for node in lab.layout.nodes:
        if not namespaces.exists(lab.namespace(node)):
            print(f"{node:<10} missing")
            faults += 1
        elif node.startswith("broker"):
            process = lab.brokers.process(node)
            faults += process is None
            what = f"mosquitto, pid {process['pid']}" if process else "mosquitto has ended"
            print(f"{node:<10} {lab.layout.broker_address(topology.number_of(node)):<13} {what}")
        elif node.startswith("client"):
            print(f"{node:<10} {lab.clients.address(node)}")
    process = lab.daemon and lab.daemon.process()
    if process is None or not processes.is_running(process):
        print("remorad    not running")
        return 1
    answer = lab.daemon.status()
    print(f"remorad    pid {process['pid']}, {'answers' if answer else 'does not answer'}")
    if answer:
        seen = {name: c["value"] for name, c in answer["counters"].items() if c["value"]}
        print("           " + ", ".join(f"{name} {value}" for name, value in seen.items()))
    return 0 if answer and not faults else 1


def env(_arguments):
    for name, value in environment(running()).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def environment(lab):
    """Shell variables for use by hand."""
    values = {
        "MQTT_VIP": lab.layout.service_address,
        "MQTT_PORT": str(topology.MQTT_PORT),
        "REMORA_LAB": lab.name,
        "REMORA_STATE": lab.state.folder,
    }
    if lab.daemon:
        values |= {
            "REMORA_CONFIG": lab.daemon.config.path,
            "REMORA_INSTANCE": lab.daemon.config.instance,
            "REMORA_RUNTIME_DIR": lab.daemon.runtime_dir,
            "REMORA_HISTORY": lab.daemon.config.history,
            "REMORA_LOG": lab.daemon.log,
            "REMORA_PINS": lab.daemon.pins,
        }
    return values


def execute(arguments):
    if not arguments.argv:
        raise LabError("exec: no command given")
    namespaces.enter(running().namespace(arguments.node))
    try:
        os.execvp(arguments.argv[0], arguments.argv)
    except FileNotFoundError:
        raise LabError(f"{arguments.argv[0]}: command not found") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
