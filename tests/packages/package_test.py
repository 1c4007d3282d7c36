# SPDX-License-Identifier: Apache-2.0
"""The packages in the life of a host: installed, started, upgraded under traffic, removed, purged.

The tests run in this order, in one root: each begins where the one before it ended.
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests" / "journeys"))

from support import Journey, Paho, Settings, namespaces, topology  # noqa: E402 (path first)
from tests.packages import debs  # noqa: E402

TOPICS = {"client0": "measurements/temperature", "client1": "measurements/humidity"}
CONFIG = "etc/remora/remora.toml"
HISTORY = "var/lib/remora/history.db"


class Surroundings:
    """What the tests share, set before the first of them."""

    root = None  # the CleanRoot
    packages = {}  # {name: file}
    successors = {}  # the same, of a later version


def suite():
    order = (
        Install("test_a_broker_host_gets_neither_paho_nor_sqlite"),
        Install("test_a_load_balancer_gets_everything_in_its_place"),
        Install("test_nothing_is_started_and_programs_are_stripped"),
        Install("test_the_packages_own_tests_pass"),
        Upgrade("test_forwarding_never_stops_and_nothing_is_lost"),
        Removal("test_a_removed_package_leaves_configuration_and_history_alone"),
        Removal("test_a_purged_package_leaves_nothing"),
    )
    return unittest.TestSuite(order)


class Packaged:
    """Verbs for tests of the packages in the common root."""

    @property
    def root(self):
        return Surroundings.root

    def install(self, *names):
        """Installs packages and what they depend on."""
        for name in names:
            shutil.copy(Surroundings.packages[name], self.root.path / "tmp")
        self.root.run("apt-get", "-qq", "-y", "--no-install-recommends", "install",
                      *(f"/tmp/{Surroundings.packages[name].name}" for name in names))

    def installed(self):
        """{name: version} of all packages that are installed."""
        wanted = "${Package} ${Version} ${db:Status-Status}\n"
        rows = self.root.run("dpkg-query", "-W", "-f", wanted)
        return {
            name: version for name, version, status in map(str.split, rows.splitlines())
            if status == "installed"
        }

    def has(self, path):
        return (self.root.path / path).exists()


class Install(Packaged, unittest.TestCase):
    def test_a_broker_host_gets_neither_paho_nor_sqlite(self):
        self.install("remora-common", "remora-broker")
        packages = self.installed()
        self.assertIn("remora-broker", packages)
        self.assertEqual([name for name in packages if "paho" in name or "sqlite" in name], [])
        for path in ("usr/sbin/remora-decap", "usr/sbin/remoractl", "etc/remora/decap.toml",
                     "lib/systemd/system/remora-decap@.service",
                     "usr/share/bash-completion/completions/remora-decap"):
            self.assertTrue(self.has(path), path)
        self.assertFalse(self.has("usr/sbin/remorad"))

    def test_a_load_balancer_gets_everything_in_its_place(self):
        self.install("remora")
        for path in ("usr/sbin/remorad", CONFIG, "lib/systemd/system/remora.service",
                     "usr/share/bash-completion/completions/remorad",
                     "usr/share/fish/vendor_completions.d/remoractl.fish",
                     "usr/share/zsh/vendor-completions/_remora"):
            self.assertTrue(self.has(path), path)
        for name, files in self.contents().items():
            manuals = [file for file in files if "/man/" in file and not file.endswith("/")]
            self.assertTrue(all(file.endswith(".gz") for file in manuals), manuals)
            self.assertTrue(manuals, f"{name} has no manual page")
        for program in ("remorad", "remoractl", "remora-decap"):
            self.assertIn(program, self.root.run(f"/usr/sbin/{program}", "--version"))

    def contents(self):
        return {
            name: [line.split()[5] for line in subprocess.run(
                ["dpkg-deb", "--contents", deb], stdout=subprocess.PIPE, text=True, check=True,
            ).stdout.splitlines()]
            for name, deb in Surroundings.packages.items()
        }

    def test_nothing_is_started_and_programs_are_stripped(self):
        wanted = list((self.root.path / "etc/systemd/system").rglob("remora*"))
        self.assertEqual(wanted, [], "no unit is enabled before its configuration is written")
        for program in ("remorad", "remoractl", "remora-decap"):
            sections = subprocess.run(
                ["readelf", "--sections", "--wide", self.root.path / "usr/sbin" / program],
                stdout=subprocess.PIPE, text=True, check=True,
            ).stdout
            self.assertIn(" .text ", sections)
            self.assertNotRegex(sections, r" \.(debug_info|symtab) ", program)
        for deb in Surroundings.packages.values():
            symbols = deb.with_name(deb.name.replace("_", "-dbgsym_", 1))
            self.assertTrue(symbols.exists(), f"{symbols.name}: debug symbols, apart")

    def test_the_packages_own_tests_pass(self):
        self.root.run("apt-get", "-qq", "-y", "--no-install-recommends", "install",
                      "iproute2", "sqlite3")
        shutil.copytree(PROJECT / "debian/tests", self.root.path / "tmp/tests")
        for name in ("load-balancer", "broker"):
            said = self.root.run(f"/tmp/tests/{name}")
            self.assertIn("ok: programs after --detach\n", said)


class WithTraffic(Packaged, Journey):
    """Runs the remorad of the root in a lab, with the paths that an operator uses."""

    clients = 2
    settings = Settings(groups={"temperature": [1, 2], "humidity": [3, 4], "default": [5, 6]})

    def setUp(self):
        if "remora" not in self.installed():
            self.fail("remora is not installed: a test before this one has failed")
        self.root.share(self.state_folder())
        super().setUp()
        self.daemon.throw_away()
        self.move_to_the_usual_places()
        self.daemon.start()

    def state_folder(self):
        folder = pathlib.Path("/run/remora-lab")
        folder.mkdir(exist_ok=True)
        return folder

    def move_to_the_usual_places(self):
        """Moves remorad's files from the lab's folder to those below /etc, /run and /var."""
        lab_config = self.daemon.config
        text = pathlib.Path(lab_config.path).read_text(encoding="utf-8")
        config = self.root.path / CONFIG
        config.write_text(text.replace(lab_config.history, f"/{HISTORY}"), encoding="utf-8")
        self.daemon.config = dataclasses.replace(
            lab_config, path=str(config), history=str(self.root.path / HISTORY))
        self.daemon.runtime_dir = str(self.root.path / "run/remora")
        (self.root.path / HISTORY).parent.mkdir(exist_ok=True)

    def dpkg(self, *arguments):
        """dpkg on the load balancer's host."""
        with namespaces.inside(self.lab.namespace(topology.LB)):
            return self.root.run("dpkg", *arguments)

    def programs_on_the_interface(self):
        shown = namespaces.run(
            self.lab.namespace(topology.LB), ["ip", "-d", "link", "show", "dev", "eth0"],
            stdout=subprocess.PIPE, text=True, check=True)
        return shown.stdout.count("prog/xdp")


class Upgrade(WithTraffic):
    def test_forwarding_never_stops_and_nothing_is_lost(self):
        publishers = []
        for node, topic in TOPICS.items():
            self.teach(node, topic)
            publishers.append(Paho(self.lab, node))
            self.addCleanup(publishers[-1].kill)
            self.feed_in_step(publishers[-1], topic, 3)
        home, = self.brokers_that_got("client0")
        self.daemon.ask("reals", "drain", self.lab.layout.broker_address(topology.number_of(home)))
        self.wait_until(lambda: self.history("SELECT count(*) FROM clients") == [(2,)], "the rows")
        tables = self.pinned_tables()
        with open(self.daemon.config.path, "a", encoding="utf-8") as config:
            config.write("# Edited by the operator.\n")
        edited = pathlib.Path(self.daemon.config.path).read_text(encoding="utf-8")

        def publish():
            for publisher in publishers:
                self.feed_in_step(publisher, TOPICS[publisher.node], 1)

        with self.expect_counted(MISPREDICT=0, RESET=0, NO_FLOW=0, ESTABLISHED=0):
            with self.meanwhile(publish):
                self.upgrade()
                # Without systemd nobody else does.
                self.daemon.stop()
                self.daemon.start()
            for publisher in publishers:
                self.feed_in_step(publisher, TOPICS[publisher.node], 3)
                publisher.close()
        self.expect_all_delivered()

        self.assertEqual(self.brokers_that_got("client0"), {home})
        self.assertEqual(self.pinned_tables(), tables, "taken over, not made anew")
        self.assertEqual(self.real(home)["state"], "draining")
        self.assertEqual(self.history("SELECT count(*) FROM clients"), [(2,)])
        self.assertEqual(
            pathlib.Path(self.daemon.config.path).read_text(encoding="utf-8"), edited)
        self.assertIn("later version", (self.root.path / f"{CONFIG}.dpkg-dist").read_text())

    def upgrade(self):
        before = self.installed()
        later = Surroundings.successors.values()
        files = [shutil.copy(deb, self.root.path / "tmp") for deb in later]
        self.dpkg("--force-confold", "--install",
                  *(f"/tmp/{pathlib.Path(file).name}" for file in files))
        for name in debs.NAMES:
            self.assertEqual(self.installed()[name], debs.successor_of(before[name]))


class Removal(WithTraffic):
    def test_a_removed_package_leaves_configuration_and_history_alone(self):
        self.teach("client0", TOPICS["client0"])
        self.daemon.stop()
        self.assertEqual(self.programs_on_the_interface(), 1)

        self.dpkg("--remove", "remora")
        self.assertEqual(self.programs_on_the_interface(), 0)
        self.assertFalse(self.has("usr/sbin/remorad"))
        self.assertTrue(self.has(CONFIG))
        self.assertTrue(self.has(HISTORY))

        self.dpkg("--install", f"/tmp/{Surroundings.successors['remora'].name}")
        self.daemon.start()
        with self.expect_counted(MISPREDICT=0, SYN_PREDICTED=1):
            self.teach("client0", TOPICS["client0"])

    def test_a_purged_package_leaves_nothing(self):
        self.daemon.stop()
        self.dpkg("--purge", "remora", "remora-broker", "remora-common")
        self.assertEqual(self.programs_on_the_interface(), 0)
        left = self.root.run(
            "find", "/bin", "/etc", "/lib", "/sbin", "/usr", "/var", "/run", "-xdev",
            "-iname", "*remora*",
            "-not", "-path", "/run/remora-lab*", "-not", "-path", "/var/lib/systemd/*")
        self.assertEqual(left.split(), [])
