"""What ssh(1) asks a person, by SSH_ASKPASS: a small program of ours that hands the question to this process."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ...errors import HostError, Refused

_PROGRAM = """
import os, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])
door.sendall(os.fsencode(os.environ.get("SSH_ASKPASS_PROMPT", "") + "\\0" + sys.argv[2]))
door.shutdown(socket.SHUT_WR)
answer = b"".join(iter(lambda: door.recv(4096), b""))
if not answer:
    sys.exit(1)
sys.stdout.buffer.write(answer[1:] + b"\\n")
"""
_kept: dict[str, str] = {}  # passphrases that opened a key, by the words that asked for them, for the life of this process


class Askpass:
    """The questions of one login. `trouble` is why it has to end, `since` when the last answer was given."""

    def __init__(self, folder: Path, ask: Callable[..., str]) -> None:
        self.trouble: HostError | None = None
        self.since = 0.0
        self._ask = ask
        self._given: dict[str, str] = {}
        door, program = folder / "ask", folder / "askpass"
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(door))
        self._door.listen()
        words = shlex.join([sys.executable, "-Ic", _PROGRAM, str(door)])
        program.write_text(f'#!/bin/sh\nexec {words} "$1"\n')
        program.chmod(0o700)
        # DISPLAY: before 8.4, OpenSSH asks nobody where no screen is
        self.environment = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}

        threading.Thread(target=self._serve, name="askpass", daemon=True).start()

    def close(self) -> None:
        """Ask nothing more."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def keep(self) -> None:
        """Remember passphrases, since the login succeeded; passwords and codes are forgotten."""
        _kept.update({text: answer for text, answer in self._given.items() if text.startswith("Enter passphrase for key")})

    def _serve(self) -> None:
        with suppress(OSError):  # the login has ended
            while True:
                visitor, _ = self._door.accept()
                with visitor, suppress(OSError):
                    asked = b"".join(iter(lambda visitor=visitor: visitor.recv(4096), b""))  # type: ignore[misc]
                    kind, _, text = asked.decode(errors="replace").partition("\0")
                    if (answer := self._answer(kind, text)) is not None:
                        visitor.sendall(b"+" + answer.encode())

    def _answer(self, kind: str, text: str) -> str | None:
        """Ask a person, each question once: a second time it means that the answer was wrong."""
        if kind == "none":  # only told, until something happens, like a touch
            return ""
        if text in _kept and text not in self._given:
            self._given[text] = _kept.pop(text)
            return self._given[text]
        try:
            if text in self._given:
                raise Refused(f"the answer to '{text.strip()}' was not accepted")
            closed = kind == "confirm" or "(yes/no" in text
            shown = "".join(c for c in text if c.isprintable() or c == "\n")
            answer = self._ask(shown, hidden=not closed, choices=("yes", "no") if closed else ())
        except HostError as error:
            self.trouble = error
            return None
        self.since = time.monotonic()
        self._given[text] = answer
        return None if kind == "confirm" and answer.strip().lower() != "yes" else answer
