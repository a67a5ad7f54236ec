"""The user's hosts, from hosts.yaml: the user's own, and beside the workflow. `local` is always there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import home
from ..errors import DefinitionError, NotFound, Problem, did_you_mean
from . import entries
from .entries import Entry, Found
from .host import Host, PlainHost
from .local import LocalTransport
from .questions import Questions

_LIMITS = ("slots", "grace")  # a host that is open takes these over

Sign = tuple[int, ...]  # what changes when a file is written; () without one


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def file() -> Path:
    """The user-level hosts.yaml."""
    return home.config() / "hosts.yaml"


class Hosts:
    """All hosts by name, opened when first needed. A name may mean another host in another folder, that of a workflow."""

    def __init__(self, *, file: Path | None = None) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.questions = Questions()
        self.questions.changed = lambda: self.wake()
        self._file = file
        self._texts: dict[Path, tuple[Sign, Found]] = {}
        self._open: dict[tuple[str, str], Host] = {}
        self._last: dict[tuple[str, Path | None], Host] = {}

    def __repr__(self) -> str:
        return f"Hosts({sorted(self.described().good)})"

    def entries(self, folder: Path | None = None) -> dict[str, Entry]:
        """What the user-level file says of each host, or instead the one in the folder; `local` is always there.

        Raises DefinitionError with everything that is wrong in them.
        """
        return {"local": {}, **{name: entry for found in self._files(folder) for name, entry in found.checked().items()}}

    def described(self, folder: Path | None = None) -> Found:
        """Return the same, also when some are wrong; raise DefinitionError only when a file as a whole is."""
        good, bad = dict[str, Entry](local={}), dict[str, tuple[Problem, ...]]()
        for found in self._files(folder):
            good = {**{name: entry for name, entry in good.items() if name not in found.bad}, **found.good}
            bad = {**{name: problems for name, problems in bad.items() if name not in found.good}, **found.bad}
        return Found(good, bad)

    def known(self, name: str, folder: Path | None = None) -> Entry:
        """Return a host's entry, which a host that is open follows from now on.

        Raises NotFound with the known ones; DefinitionError with what is wrong with this one, whatever is with others.
        """
        found = self.described(folder)
        if name in found.bad:
            raise DefinitionError(found.bad[name])
        known = found.good
        if name not in known:
            names = sorted([*known, *found.bad])
            near = did_you_mean(name, names) or "."
            raise NotFound(f"host '{name}' is not known{near} Known are {', '.join(names)}; describe it in {self._user_level()}")
        if host := self._open.get(_key(name, known[name])):
            host.limit(**limits(known[name]))
        return known[name]

    def get(self, name: str, folder: Path | None = None) -> Host:
        """Return the host, opened. While its entry cannot be read, it is the one that it was."""
        try:
            entry = self.known(name, folder)
        except (DefinitionError, NotFound):
            if last := self._last.get((name, folder)):
                return last
            raise
        key = _key(name, entry)
        if key not in self._open:
            self._open[key] = self._make(name, entry)
        self._last[name, folder] = self._open[key]
        return self._open[key]

    def open(self) -> list[Host]:
        """The hosts that are open."""
        return list(self._open.values())

    def close(self) -> None:
        """Let go of all."""
        for host in self._open.values():
            host.close()
        self._open.clear()
        self._last.clear()

    def _make(self, name: str, entry: Entry) -> Host:
        if plain(entry):
            return _here(name, directory=str(home.state()), wake=lambda: self.wake(), **limits(entry))
        from . import build

        return build.far(name, entry, questions=self.questions, wake=lambda: self.wake())

    def _user_level(self) -> Path:
        return self._file or file()

    def _files(self, folder: Path | None) -> list[Found]:
        return [self._read(path) for path in (self._user_level(), *([folder / "hosts.yaml"] if folder else []))]

    def _read(self, path: Path) -> Found:
        """Read a file, unless it is as it was: hosts are asked for again and again."""
        sign = _sign(path)
        known = self._texts.get(path)
        if known is None or known[0] != sign:
            known = self._texts[path] = sign, entries.read(path)
        return known[1]


def _here(name: str, **more: Any) -> Host:
    """Make the host that is this machine; without a POSIX shell another runner is its queue."""
    if os.name != "nt":
        return PlainHost(name, LocalTransport(name), **more)
    from .windows.host import WindowsHost, WindowsTransport

    return WindowsHost(name, WindowsTransport(name), **more)


def limits(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many attempts a host takes at once (0: as many as it sees fit), and the seconds from the request to stop until the kill."""
    return {"slots": entry.get("slots", cores() if plain(entry) else 0), "grace": entry.get("grace", 10)}


def plain(entry: Mapping[str, Any]) -> bool:
    """Is this the machine itself, without a scheduler or anything that comes before its jobs?"""
    here = (entry.get("transport", "local"), entry.get("scheduler", "process")) == ("local", "process")
    return here and not (entry.get("setup") or entry.get("shell"))


def _key(name: str, entry: Entry) -> tuple[str, str]:
    return name, repr(sorted((key, value) for key, value in entry.items() if key not in _LIMITS))


def _sign(path: Path) -> Sign:
    try:
        about = os.stat(path)
    except OSError:
        return ()
    return about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino
