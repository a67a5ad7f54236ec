"""A terminal in which IPython runs, at which somebody types."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect

from testbed.processes import DEADLINE

_ESCAPES = r"(?:\x1b\[[\d;?]*[A-Za-z])*"


class Terminal:
    """IPython in a folder, with its usual prompt."""

    def __init__(self, folder: Path) -> None:
        known = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "LANG": "C.UTF-8"}
        words = ["-m", "IPython", "--no-banner", "--no-confirm-exit"]
        self._child = pexpect.spawn(
            sys.executable, words, cwd=str(folder), env=known, dimensions=(40, 120), encoding="utf-8", timeout=DEADLINE
        )
        self._number = 1
        self._prompt()

    def run(self, code: str) -> str:
        """Type a cell; return what it shows."""
        self.begin(code)
        return self.finish()

    def begin(self, code: str) -> None:
        """Type a cell and do not wait for its end: pasted, so that nothing is indented or completed on the way."""
        self._child.send(f"\x1b[200~{code}\x1b[201~" + ("\r\r\r" if code.startswith("%%") else "\r"))  # an empty line ends a cell

    def finish(self, *, seconds: float = DEADLINE) -> str:
        self._number += 1
        return self._prompt(seconds=seconds)

    def type(self, keys: str) -> None:
        self._child.send(keys)

    def see(self, words: str, *, seconds: float = DEADLINE) -> None:
        """Wait until there are some words on the screen."""
        self._child.expect(re.escape(words).replace(r"\ ", rf"{_ESCAPES}\ {_ESCAPES}"), timeout=seconds)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.sendintr()

    def close(self) -> None:
        self._child.close(force=True)

    def _prompt(self, *, seconds: float = DEADLINE) -> str:
        self._child.expect(rf"In {_ESCAPES}\[{_ESCAPES}{self._number}{_ESCAPES}\]", timeout=seconds)
        return plain(self._child.before or "")


def plain(text: str) -> str:
    """What a person reads of it."""
    return re.sub(r"\x1b(\[[\d;?]*[A-Za-z]|\][^\x07]*\x07)", "", text).replace("\r", "")
