"""A wake-up call between processes of this machine, where there are no FIFOs: a datagram over loopback. It says nothing but "look"."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

_LOOPBACK = "127.0.0.1"


class Bell:
    """What rings when somebody calls `ring` on its folder, where it is known by the name of a file: its port."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_LOOPBACK, 0))
        self._file = folder / str(self._socket.getsockname()[1])
        self.hang()

    def __repr__(self) -> str:
        return f"Bell({str(self._file)!r})"

    def hang(self) -> None:
        """Be found, also when somebody took the file away; while its folder is being removed, the next call does it."""
        if not self._file.exists():
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.touch(mode=0o600)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it rings, at most so many seconds."""
        self._socket.settimeout(timeout)
        with suppress(TimeoutError):
            self._socket.recv(1)

    def close(self) -> None:
        """Take it down, and wake who waits."""
        with suppress(OSError):
            self._file.unlink()
        _call(self._socket.getsockname()[1])

    def __del__(self) -> None:
        self._socket.close()


def ring(folder: Path) -> None:
    """Ring all bells of a folder. One that hangs no more does not hear it, and that is no matter: whoever listens also looks."""
    with suppress(OSError):
        for file in folder.iterdir():
            _call(int(file.name))


def _call(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller, suppress(OSError):
        caller.sendto(b"\n", (_LOOPBACK, port))
