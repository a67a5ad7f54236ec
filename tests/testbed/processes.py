"""Start processes, find those that are ours, end them. psutil knows a process by id *and* start time, so no other is ever ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

PACKAGES = Path(__file__).with_name("packages")
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # where daemons are is not on every PATH
DEADLINE = 30.0  # seconds
OURS = ("HYBRIDNB_HOME", "SLURM_CONF", "HOME")  # variables by which a process tells whose it is


def program(name: str) -> str:
    """Find a program that tests need; where it is not installed, skip the test and name the Debian package."""
    if found := shutil.which(name, path=PATH):
        return found
    pytest.skip(f"needs {name}: apt install {package(name)}")


def library(name: str) -> str:
    """Find a shared library as program() finds programs."""
    for found in [*Path("/usr/lib").glob(f"*/{name}"), *Path("/usr/lib64").glob(name)]:
        return str(found)
    pytest.skip(f"needs {name}: apt install {package(name)}")


def package(name: str) -> str:
    """Return the Debian package that has a program or library, by the list of what tests need."""
    rows = (line.split() for line in PACKAGES.read_text().splitlines() if line and not line.startswith("#"))
    return dict(row[:2] for row in rows)[name]


def until(condition: Callable[[], object], what: str, *, seconds: float = DEADLINE, log: Path | None = None) -> None:
    """Wait until something is so; name it, with the end of a log, when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            told = log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
            raise TimeoutError(f"{what}: not within {seconds:g} s\n{told}")
        time.sleep(0.01)


class Daemon:
    """A process in a session of its own whose output goes to a log; it can be ended and started again."""

    def __init__(self, words: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.words, self.log, self.env = list(words), log, dict(env) if env is not None else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process, f"{self.words[0]} was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, unless it lives."""
        if not self.alive:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True
                )

    def stop(self, *, seconds: float = DEADLINE) -> None:
        """Ask it to end by TERM; one that does not is killed."""
        if self._process and self.alive:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        if self._process and self.alive:
            self._process.send_signal(signal.SIGCONT)  # may have been stopped
            self._process.kill()
        if self._process:
            self._process.wait()

    def children(self) -> list[psutil.Process]:
        """Return what it has started and what those have, the eldest first."""
        return family(psutil.Process(self.pid))[1:] if self.alive else []


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    ending = list(processes)
    for process in ending:
        with suppress(psutil.Error):
            process.kill()
    finish = time.monotonic() + DEADLINE
    while any(lives(process) for process in ending) and time.monotonic() < finish:
        time.sleep(0.005)


def lives(process: psutil.Process) -> bool:
    """Does it still run? One that has ended and that nobody has asked about yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end_those(are_ours: Callable[[psutil.Process], bool]) -> None:
    """End all processes of which something is true, with their children; again, as they may have started more meanwhile."""
    for _ in range(5):
        if not (ours := [p for process in psutil.process_iter() if are_ours(process) for p in family(process) if lives(p)]):
            break
        end(ours)


def end_those_of(folder: Path) -> None:
    """End what has a folder among its words, or in a variable that tells whose it is, and all that those have started."""
    end_those(lambda process: knows(process, folder))


def end_those_in(folder: Path) -> None:
    """End what works in a folder or below it, and all that those have started: a worker of a killed runner has no other sign of whose it is."""

    def works_there(process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            return process.pid != os.getpid() and within(process.cwd(), folder)
        return False

    end_those(works_there)


def knows(process: psutil.Process, folder: Path) -> bool:
    """Does another process know the folder?"""
    with suppress(psutil.Error, OSError):
        words = process.cmdline()
        if process.pid == os.getpid():
            return False
        variables = process.environ()
        return any(str(folder) in word for word in words) or any(within(variables.get(name), folder) for name in OURS)
    return False


def name(process: psutil.Process) -> str:
    """What a process is called; nothing, once it is gone: it may have ended since it was found."""
    with suppress(psutil.Error):
        return process.name()
    return ""


def within(path: str | None, folder: Path) -> bool:
    return path is not None and (path == str(folder) or path.startswith(f"{folder}/"))


def family(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []
