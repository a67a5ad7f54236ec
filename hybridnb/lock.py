"""A lock that the kernel holds for a process: it ends with the process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path


class Lock:
    """An exclusive lock on a file whose text tells who holds it: "machine pid"."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def __repr__(self) -> str:
        return f"Lock({str(self.path)!r}, {'held' if self._fd is not None else 'free'})"

    def acquire(self) -> bool:
        """Take the lock if it is free; raise OSError when the file cannot be written or locked at all."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._fd = fd
        with suppress(OSError):  # the disk is full: the lock holds without its text
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{socket.gethostname()} {os.getpid()}\n".encode(), 0)
        return True

    def release(self) -> None:
        """Give the lock back; without effect when it is not held."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # a process that is just being started may have the descriptor as well
            os.close(self._fd)
            self._fd = None

    def in_place(self) -> bool:
        """Is the file that this process has locked still the one at the path? A removed one keeps nobody out."""
        try:
            return self._fd is not None and os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except FileNotFoundError:
            return False

    def held(self) -> bool:
        """Does any process, this one too, hold the lock?"""
        if self._fd is not None:
            return True
        try:
            fd = os.open(self.path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def holder(self) -> str:
        """Name the last holder for a message: "process 4711 on machine"."""
        try:
            machine, pid = self.path.read_text().split()
        except (OSError, ValueError):
            return "another process"
        return f"process {pid} on {machine}"
