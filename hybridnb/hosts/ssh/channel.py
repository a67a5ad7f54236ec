"""The standard streams of a program at the other end of paramiko's connection."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA

from ...errors import Unreachable
from .sessions import Sessions

if TYPE_CHECKING:
    from .wire import Wire

_SLICE = 1.0  # seconds between two looks for what was written to standard error
_ALL = 1 << 25  # bytes: as much as there is
_PIECE = (1 << 15) - 64  # bytes: the most that paramiko puts into a packet for OpenSSH


class SSHChannel:
    """A session that runs LOADER; see Channel."""

    def __init__(self, host: str, session: paramiko.Channel, sessions: Sessions) -> None:
        self._host, self._session, self._sessions = host, session, sessions
        self._wire = cast("Wire", session.get_transport())
        self._once = threading.Lock()
        self._closed = False

    def send(self, data: bytes) -> None:
        """Write all of it. What a program that has ended would have read is thrown away: `receive` tells its end."""
        at = 0
        while at < len(data):
            self._drain()
            try:
                sent = self._give(data[at : at + _PIECE])
            except TimeoutError:
                continue  # it is the time-out of who receives
            except (OSError, EOFError, paramiko.SSHException):
                sent = 0
            if not sent:
                self._ended()
                return
            at += sent
        if not self._wire.is_active():
            self._ended()

    def _give(self, piece: bytes) -> int:
        """Send one packet, unless the channel is closed by then: see Wire."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_DATA)
        message.add_int(self._session.remote_chanid)
        message.channel = self._session  # type: ignore[attr-defined]
        return int(self._session._send(piece, message))  # type: ignore[attr-defined]  # noqa: SLF001

    def receive(self, timeout: float | None = None) -> bytes:
        """Return what came; see Channel."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._drain()
            left = _SLICE if deadline is None else min(_SLICE, max(0.001, deadline - time.monotonic()))
            self._session.settimeout(left)
            try:
                data = self._session.recv(_ALL)
            except TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    raise
                continue
            except (OSError, EOFError, paramiko.SSHException):
                data = b""
            if not data:
                self._ended()
                self._leave()
            return data

    def _drain(self) -> None:
        """Throw away what came from standard error, so that the program can go on writing."""
        while self._session.recv_stderr_ready():
            self._session.recv_stderr(_ALL)

    def _ended(self) -> None:
        """Raise Unreachable unless it is the program that ended, or we who closed it."""
        if not self._session.eof_received and not self._closed:
            self._wire.join(_SLICE)  # a connection that was lost ends its channels just before itself
        if not self._wire.is_active():
            raise Unreachable(f"host '{self._host}': the connection was lost")

    def finish(self) -> None:
        """End the program's standard input."""
        with self._session.lock:
            message = self._session._send_eof()  # type: ignore[attr-defined]  # noqa: SLF001
        if message:
            message.channel = self._session
            with suppress(OSError, EOFError, paramiko.SSHException):
                self._wire._send_user_message(message)  # noqa: SLF001

    def close(self) -> None:
        """Let go of it; see Channel."""
        self._closed = True
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._session.close()
        self._leave()

    def _leave(self) -> None:
        if self._once.acquire(blocking=False):
            self._sessions.left()
