"""A process beside the tests that ends what they made when they are gone, in whatever way: it waits for the end of its input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from testbed import processes


class Guard:
    """Tell it what is there as soon as it is: a process, an account, a folder, a file, a namespace, a link."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        words = [sys.executable, "-m", "testbed.guard"]
        # Ctrl-C goes to the process group of the terminal: not to a session of its own.
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, env=environment, start_new_session=True)

    def watch(self, kind: str, name: str | int | Path) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{kind} {name}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End all that it was told of."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


def process(name: str) -> Callable[[], None]:
    """Look at it now, so that it is known by its start time."""
    with suppress(psutil.Error):
        watched = psutil.Process(int(name))
        return lambda: processes.end(processes.family(watched) if watched.is_running() else [])
    return lambda: None


def account(name: str) -> Callable[[], None]:
    def remove() -> None:
        from testbed.accounts import end_account

        end_account(name)

    return remove


def folder(name: str) -> Callable[[], None]:
    def remove() -> None:
        processes.end_those_of(Path(name))
        shutil.rmtree(name, ignore_errors=True)

    return remove


def file(name: str) -> Callable[[], None]:
    return lambda: Path(name).unlink(missing_ok=True)


def namespace(name: str) -> Callable[[], None]:
    return lambda: quietly("ip", "netns", "del", name)


def link(name: str) -> Callable[[], None]:
    return lambda: quietly("ip", "link", "del", name)


def quietly(*words: str) -> None:
    """Run what may find its work done already."""
    subprocess.run(words, env={**os.environ, "PATH": processes.PATH}, capture_output=True)


KINDS = {kind.__name__: kind for kind in (process, account, folder, file, namespace, link)}


def main() -> None:
    """Remember each line, and at the end of them undo the latest first."""
    undo: list[Callable[[], None]] = []
    for line in sys.stdin:
        kind, _, name = line.rstrip("\n").partition(" ")
        undo.append(KINDS[kind](name))
    for one in reversed(undo):
        one()


if __name__ == "__main__":
    main()
