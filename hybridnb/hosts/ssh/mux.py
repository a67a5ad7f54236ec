"""What a client says to an ssh that is master of a connection (OpenSSH's PROTOCOL.mux), to run a program over it."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .sessions import Full

_HELLO, _VERSION = 1, 4
_NEW_SESSION = 0x10000002
_DENIED, _FAILURE, _EXIT, _OPENED = 0x80000002, 0x80000003, 0x80000004, 0x80000006
_NO_ESCAPE = 0xFFFFFFFF
_PATIENCE = 15.0  # seconds for a session to open
_MOMENT = 2.0  # seconds between the end of the output and the word that the program has ended
_BUFFER = 1 << 20


@dataclass(slots=True, eq=False)
class Session:
    """A program there: sockets to its standard input and from its standard output, and the master's ear."""

    input: socket.socket
    output: socket.socket
    master: socket.socket
    ended: bool = False
    _listening: threading.Lock = field(default_factory=threading.Lock)

    def over(self) -> bool:
        """Did the program end, or we let go of it? False when the master went away instead."""
        with self._listening, suppress(OSError, EOFError):
            while not self.ended:
                self.master.settimeout(_MOMENT)
                kind, _ = _receive(self.master)
                self.ended = kind == _EXIT
        return self.ended

    def close(self) -> None:
        """Let go of it, and wake whoever waits."""
        self.ended = True
        for end in (self.input, self.output, self.master):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    __del__ = close


def session(path: Path, command: str) -> Session:
    """Let the master at a socket run a command; raise Full when the host opens no further session, OSError or EOFError."""
    master = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (ours, source), (output, theirs) = socket.socketpair(), socket.socketpair()
    try:
        with source, theirs, open(os.devnull, "wb") as nothing:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            master.settimeout(_PATIENCE)
            master.connect(str(path))
            _send(master, struct.pack(">II", _HELLO, _VERSION))
            _receive(master)
            flags = struct.pack(">5I", 0, 0, 0, 0, _NO_ESCAPE)  # no terminal, X11, agent, subsystem
            _send(master, struct.pack(">II", _NEW_SESSION, 0) + _text("") + flags + _text("") + _text(command))
            for stream in (source, theirs, nothing):
                socket.send_fds(master, [b"\0"], [stream.fileno()])
            kind, rest = _receive(master)
        if kind != _OPENED:
            raise Full(rest[8:].decode(errors="replace") or "denied")
    except BaseException:
        for end in (ours, output, master):
            end.close()
        raise
    return Session(ours, output, master)


def _text(text: str) -> bytes:
    return struct.pack(">I", len(text.encode())) + text.encode()


def _send(master: socket.socket, message: bytes) -> None:
    master.sendall(struct.pack(">I", len(message)) + message)


def _receive(master: socket.socket) -> tuple[int, bytes]:
    """Return the next message: its kind, and what follows."""
    message = _exactly(master, int.from_bytes(_exactly(master, 4), "big"))
    return int.from_bytes(message[:4], "big"), message[4:]


def _exactly(master: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = master.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found
