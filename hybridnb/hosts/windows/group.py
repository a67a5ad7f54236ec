"""All processes of one attempt: a process group, and on Windows, which has none, a Job Object.

They are known by their leader, the wrapper: its process id, and when it began, for a number is given again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple


class Group(NamedTuple):
    """The text of it is what a claim holds: "PID START BOOT", "-" for what the system does not tell."""

    pid: int
    since: str = "-"
    boot: str = "-"

    def __str__(self) -> str:
        return f"{self.pid} {self.since} {self.boot}"


def own() -> Group:
    """Return the one that this process leads, or will."""
    return Group(os.getpid(), _since(os.getpid()) or "-", _boot())


def read(text: str) -> Group | None:
    """Read a claim; None when it is none."""
    match text.split():
        case [pid, since, boot] if pid.isdigit():
            return Group(int(pid), since, boot)
        case _:
            return None


if sys.platform == "win32":
    from . import windll

    _ALONE = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    _held: list[windll.Handle] = []  # the Job Object of this wrapper: all in it ends when nobody holds it any more

    def lead(command: Sequence[str], *, folder: str, out: IO[bytes] | int, err: IO[bytes] | int | None) -> subprocess.Popen[bytes]:
        """Start a process that outlives this one, unseen by any terminal. It leaves the Job Object of this one where it may."""
        for flags in (_ALONE | subprocess.CREATE_BREAKAWAY_FROM_JOB, _ALONE):
            with suppress(PermissionError):
                return subprocess.Popen(  # noqa: S603
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, creationflags=flags
                )
        raise PermissionError(f"{command[0]} may not be started")

    def start(
        command: Sequence[str], *, folder: str, environment: Mapping[str, str], out: IO[bytes], err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start the script in the group of this process. It does not run before it is in the Job Object, so nothing of it gets away."""
        _held.append(windll.make_job(_name(own())))
        process = subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, creationflags=windll.SUSPENDED
        )
        windll.take_in(_held[-1], process)
        return process

    def alive(group: Group) -> bool:
        """Does its leader live? Without it nothing does."""
        return _since(group.pid) == group.since

    def ask(group: Group) -> None:
        """Stop it. There is no polite way that every program of Windows knows."""
        kill(group)

    def kill(group: Group) -> None:
        """Kill all that the script is and has started."""
        windll.end_job(_name(group), code=128 + 9)

    def _name(group: Group) -> str:
        return f"Local\\hybridnb-{group.pid}-{group.since}"

    def _since(pid: int) -> str:
        return windll.began(pid)

    def _boot() -> str:
        return "-"

else:

    def lead(command: Sequence[str], *, folder: str, out: IO[bytes] | int, err: IO[bytes] | int | None) -> subprocess.Popen[bytes]:
        """Start a process that outlives this one, and leads a group."""
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)  # noqa: S603

    def start(
        command: Sequence[str], *, folder: str, environment: Mapping[str, str], out: IO[bytes], err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start the script in the group of this process."""
        return subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)  # noqa: S603

    def alive(group: Group) -> bool:
        """Might any process of it live?"""
        if group.boot != _boot() or _since(group.pid) not in ("", group.since):
            return False
        with suppress(OSError):
            os.killpg(group.pid, 0)
            return True
        return False

    def ask(group: Group) -> None:
        """Ask all of it to end."""
        with suppress(OSError):
            os.killpg(group.pid, signal.SIGTERM)

    def kill(group: Group) -> None:
        """Kill all of it, this process too when it leads it."""
        with suppress(OSError):
            os.killpg(group.pid, signal.SIGKILL)

    def _since(pid: int) -> str:
        """When a process began; "" when it is gone, "-" when the system does not tell."""
        try:
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()  # proc_pid_stat(5): field 22
        except OSError:
            return "" if os.path.exists("/proc/self/stat") else "-"

    def _boot() -> str:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return "-"
