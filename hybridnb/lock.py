"""A lock that the kernel holds for a process: it ends with the process, however that ends."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 30  # where no text is: what Windows locks, nobody else can read

    def _take(fd: int) -> None:
        os.lseek(fd, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError as error:  # EACCES on Windows, nothing on Wine
            raise BlockingIOError(errno.EWOULDBLOCK, "it is locked") from error

    def _try(fd: int) -> None:
        _take(fd)
        _give(fd)

    def _give(fd: int) -> None:
        os.lseek(fd, _BEYOND, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _try(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _give(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


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
            _take(fd)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._fd = fd
        with suppress(OSError):  # the disk is full: the lock holds without its text
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, f"{socket.gethostname()} {os.getpid()}\n".encode())
        return True

    def release(self) -> None:
        """Give the lock back; without effect when it is not held."""
        if self._fd is not None:
            _give(self._fd)  # a process that is just being started may have the descriptor as well
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
            _try(fd)
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
