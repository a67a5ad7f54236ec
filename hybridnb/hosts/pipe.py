"""A channel that is a program of this machine: what is sent is its standard input, what is received its standard output."""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from subprocess import PIPE
from typing import IO

from ..errors import Unreachable

_PIECE = 1 << 18  # bytes
_AHEAD = 4 << 20  # bytes that wait for whoever receives; then the program waits
_WORDS = 4000  # bytes of standard error that are kept: its last ones
_HIDDEN: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows opens a window for each program otherwise


class Pipe:
    """See Channel. Threads read, because a pipe of Windows cannot be waited for together with anything else."""

    def __init__(self, command: Sequence[str], *, host: str, environment: Mapping[str, str] | None = None) -> None:
        """Start the program; raises OSError when it cannot be. It leads a session, so that no Ctrl-C of a terminal reaches it."""
        self.process = subprocess.Popen(  # noqa: S603
            command, bufsize=0, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True, creationflags=_HIDDEN
        )
        self._host = host
        self._pieces: deque[bytes] = deque()
        self._waiting = 0  # bytes of them
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._last = bytearray()
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self._input = self.process.stdin
        self._listening = threading.Thread(target=self._overhear, args=(self.process.stderr,), name=f"words-{host}", daemon=True)
        self._listening.start()
        threading.Thread(target=self._read, args=(self.process.stdout,), name=f"pipe-{host}", daemon=True).start()

    def __repr__(self) -> str:
        return f"Pipe({self.process.args!r})"

    @property
    def alive(self) -> bool:
        """Does the program run?"""
        return not self._closed and self.process.poll() is None

    @property
    def words(self) -> bytes:
        """The last of what the program wrote to standard error; of one that has ended, all of it."""
        if self.process.poll() is not None:
            self._listening.join(1.0)  # what it has started may hold it open
        return bytes(self._last)

    def send(self, data: bytes) -> None:
        """Write it; see Channel."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._input.write(rest) :]
        except (OSError, ValueError) as error:
            raise Unreachable(f"host '{self._host}': the connection was lost: {error}") from error

    def receive(self, timeout: float | None = None) -> bytes:
        """Return what came; see Channel."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pieces or self._ended or self._closed, timeout):
                raise TimeoutError
            piece = self._pieces.popleft() if self._pieces and not self._closed else b""
            self._waiting -= len(piece)
            self._changed.notify_all()
            return piece

    def finish(self) -> None:
        """End its input; see Channel."""
        with suppress(OSError, ValueError):
            self._input.close()

    def close(self) -> None:
        """Kill the program; see Channel."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self.process.kill()
        threading.Thread(target=self._bury, name=f"end-{self._host}", daemon=True).start()

    def _bury(self) -> None:
        self.process.wait()
        self.finish()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while (piece := stream.read(_PIECE)) and not self._closed:
                with self._changed:
                    self._pieces.append(piece)
                    self._waiting += len(piece)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._waiting < _AHEAD or self._closed)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _overhear(self, stream: IO[bytes]) -> None:
        with stream:
            while piece := stream.read(_PIECE):
                self._last += piece
                del self._last[:-_WORDS]
