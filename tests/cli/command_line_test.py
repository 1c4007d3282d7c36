#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command lines of all programs: exit codes, suggestions, places of options, the environment.

    command_line_test.py REMORAD REMORACTL REMORA_DECAP
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

DONE, FAILED, WRONG_USAGE = 0, 1, 2
REMORAD, REMORACTL, REMORA_DECAP = sys.argv[1:4]
COMPLETION = pathlib.Path(__file__).resolve().parents[2] / "cli" / "completion"


def run(*argv, **environment):
    """Its exit code, and what it prints."""
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False,
                            env=os.environ | environment)
    return result.returncode, result.stdout + result.stderr


class CommandLine(unittest.TestCase):
    def expect(self, code, words, *argv, **environment):
        result = run(*argv, **environment)
        self.assertEqual(result[0], code, result[1])
        self.assertIn(words, result[1])

    def test_wrong_usage_has_one_exit_code_and_one_line(self):
        for argv in (
            (REMORAD, "--no-such"), (REMORAD, "surplus"), (REMORAD, "--log-level", "loud"),
            (REMORACTL,), (REMORACTL, "no-such"), (REMORACTL, "reals"),
            (REMORACTL, "reals", "drain"), (REMORACTL, "status", "surplus"),
            (REMORACTL, "doctor", "--client", "nobody", "--broker"),
            (REMORACTL, "status", "reload"), (REMORA_DECAP, "--no-such"),
            (REMORA_DECAP, "eth0", "surplus"), (REMORA_DECAP, "--service", "10.1.50.200"),
        ):
            with self.subTest(argv=argv):
                code, text = run(*argv)
                self.assertEqual(code, WRONG_USAGE, text)
                self.assertEqual(text.count("\n"), 1, text)
                self.assertTrue(text.startswith(os.path.basename(argv[0]) + ": "), text)

    def test_help_and_version_succeed(self):
        for program in (REMORAD, REMORACTL, REMORA_DECAP):
            self.expect(DONE, os.path.basename(program), program, "--help")
            self.expect(DONE, os.path.basename(program), program, "--version")
        self.expect(DONE, "--per-second", REMORACTL, "reals", "evacuate", "--help")

    def test_an_invalid_configuration_is_told_from_a_failure(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("[nonsense]\n")
            file.flush()
            for program in (REMORAD, REMORA_DECAP):
                self.expect(WRONG_USAGE, file.name + ":1: ", program, "--check", file.name)
        with tempfile.TemporaryDirectory() as folder:
            self.expect(FAILED, "no remorad runs here", REMORACTL, "--runtime-dir", folder,
                        "status")

    def test_the_nearest_word_is_suggested(self):
        for words, *argv in (
            ('unknown command "statsu"; did you mean "status"?', REMORACTL, "statsu"),
            ('unknown command "drian"; did you mean "drain"?', REMORACTL, "reals", "drian"),
            ('unknown option "--instnace"; did you mean "--instance"?',
             REMORACTL, "status", "--instnace", "x"),
            ('unknown option "--brokr"; did you mean "--broker"?', REMORACTL, "doctor", "--brokr"),
            ('unknown option "--confg"; did you mean "--config"?', REMORAD, "--confg=x"),
            ('unknown option "--detahc"; did you mean "--detach"?', REMORA_DECAP, "--detahc"),
            ('unknown command "xyzzy"; there are: ', REMORACTL, "xyzzy"),
            ("a command is missing; there are: ", REMORACTL),
            ("a command is missing; there are: ", REMORACTL, "reals"),
            ('unexpected argument "surplus"', REMORACTL, "status", "surplus"),
        ):
            with self.subTest(argv=argv):
                self.expect(WRONG_USAGE, words, *argv)

    def test_options_work_before_and_after_the_command(self):
        with tempfile.TemporaryDirectory() as folder:
            words = f"no remorad runs here (no socket in {folder})"
            for argv in (
                ("--runtime-dir", folder, "--json", "status"),
                ("status", "--runtime-dir", folder, "--json"),
                ("reals", "--runtime-dir", folder, "list"),
                ("reals", "drain", "10.1.3.101", "--runtime-dir", folder),
                ("reals", "drain", "--runtime-dir", folder, "10.1.3.101"),
            ):
                with self.subTest(argv=argv):
                    self.expect(FAILED, words, REMORACTL, *argv)

    def test_the_runtime_folder_is_that_of_the_environment(self):
        with tempfile.TemporaryDirectory() as folder:
            self.expect(FAILED, folder, REMORACTL, "status", REMORA_RUNTIME_DIR=folder)
            self.expect(FAILED, "/no/such", REMORACTL, "status", "--runtime-dir", "/no/such",
                        REMORA_RUNTIME_DIR=folder)
            config = os.path.join(folder, "bad.toml")
            pathlib.Path(config).write_text("[nonsense]\n", encoding="utf-8")
            self.expect(WRONG_USAGE, config, REMORAD, "--config", config, REMORA_RUNTIME_DIR=folder)
            self.assertTrue(os.path.exists(os.path.join(folder, "bad.failed")))

    def words_of_help(self, *argv):
        """The options and commands that `--help` shows."""
        text = run(*argv, "--help")[1]
        options = re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", text, re.M)
        _, _, commands = text.partition("Subcommands:")
        return options, re.findall(r"^  ([a-z]+) ", commands, re.M)

    def test_the_shells_complete_all_options_and_commands(self):
        expected = set()
        pending = [(program,) for program in (REMORAD, REMORACTL, REMORA_DECAP)]
        while pending:
            argv = pending.pop()
            options, commands = self.words_of_help(*argv)
            expected.update(options, commands)
            pending += [(*argv, command) for command in commands]
        self.assertTrue({"--per-second", "drain", "doctor", "--generic"} < expected, expected)
        for name in ("remora.bash", "_remora", "remora.fish"):
            text = (COMPLETION / name).read_text(encoding="utf-8")
            known = set(re.findall(r"(?<![\w-])(?:--)?[a-z]+(?:-[a-z]+)*(?![\w-])", text))
            known |= {f"--{word}" for word in re.findall(r" -l ([a-z-]+)", text)}  # fish
            self.assertEqual(expected - known, set(), name)

    def complete(self, *words):
        """What bash offers for the last of `words`."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '"$(complete -p "$1" | sed "s/.*-F //; s/ .*//")"; printf "%s\\n" "${COMPREPLY[@]}"')
        code, text = run("bash", "-c", script, "bash", str(COMPLETION / "remora.bash"), *words)
        self.assertEqual(code, DONE, text)
        return set(text.split())

    def test_bash_offers_what_fits(self):
        self.assertEqual(self.complete("remoractl", "re"), {"reload", "reals", "ready"})
        self.assertEqual(self.complete("remoractl", "--json", "reals", "e"), {"evacuate", "enable"})
        self.assertEqual(self.complete("remoractl", "check", "--d"), {"--diff"})
        self.assertEqual(self.complete("remoractl", "reals", "evacuate", "--per"), {"--per-second"})
        self.assertEqual(self.complete("remorad", "--log-level", "w"), {"warning"})
        self.assertIn("lo", self.complete("remora-decap", ""))

    def test_a_mistake_in_the_unit_is_a_failed_start(self):
        with tempfile.TemporaryDirectory() as folder:
            left = pathlib.Path(folder, "remora.failed")
            argv = (REMORAD, "--runtime-dir", folder, "--confg=x")
            self.expect(WRONG_USAGE, "--confg", *argv)
            self.assertFalse(left.exists(), "at a shell")
            self.expect(WRONG_USAGE, "--confg", *argv, NOTIFY_SOCKET="/no/such")
            text = left.read_text(encoding="utf-8")
            self.assertIn('unknown option "--confg"; did you mean "--config"?', text)
            self.assertIn("; correct ExecStart=", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
