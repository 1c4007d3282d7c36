# SPDX-License-Identifier: Apache-2.0
"""One line that shows how far a long step has come."""

import shutil
import sys


class Progress:
    """Rewrites its line on a terminal; elsewhere it prints only final lines and milestones."""

    def __init__(self, stream=None):
        self._stream = stream = stream or sys.stdout
        self._live = stream.isatty()
        self._tenths = 0

    def show(self, text):
        if self._live:
            columns = shutil.get_terminal_size().columns
            self._stream.write(f"\r\x1b[K{text[: columns - 1]}")
            self._stream.flush()

    def count(self, what, done, total):
        """Shows "WHAT 37/96"; where there is no terminal, in ten steps at most."""
        text = f"{what} {done}/{total}"
        self.show(text)
        tenths = 10 * done // total
        if not self._live and tenths > self._tenths:
            print(text, file=self._stream, flush=True)
        self._tenths = tenths

    def finish(self, text):
        self._stream.write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")
        self._stream.flush()
