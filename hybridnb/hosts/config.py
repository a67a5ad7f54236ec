"""The user's hosts, from hosts.yaml: the user's own, and beside the workflow. `local` is always there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import home
from ..errors import DefinitionError, NotFound, Problem, did_you_mean
from .host import Host, PlainHost
from .local import LocalTransport

KEYS = ("transport", "scheduler", "slots", "grace")
_TRANSPORTS = {"local": LocalTransport}
_SCHEDULERS = ("process",)


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Hosts:
    """All hosts by name, opened when first needed."""

    def __init__(self, *, file: Path | None = None) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._file = file or home.config() / "hosts.yaml"
        self._open: dict[str, Host] = {}

    def __repr__(self) -> str:
        return f"Hosts({sorted(self.entries())})"

    def entries(self) -> dict[str, dict[str, Any]]:
        """What the file says of each host; `local` with this machine's cores when it does not say otherwise."""
        return {"local": {}, **_read(self._file)}

    def known(self, name: str) -> dict[str, Any]:
        """Return a host's entry; raise NotFound with the known ones."""
        entries = self.entries()
        if name not in entries:
            near = did_you_mean(name, entries) or "."
            raise NotFound(f"host '{name}' is not known{near} Known are {', '.join(sorted(entries))}; describe it in {self._file}")
        return entries[name]

    def get(self, name: str) -> Host:
        """Return the host, opened."""
        if name not in self._open:
            entry = self.known(name)
            transport = _TRANSPORTS[entry.get("transport", "local")](name)
            slots, grace = entry.get("slots", cores()), entry.get("grace", 10)
            self._open[name] = PlainHost(name, transport, directory=str(home.state()), slots=slots, wake=lambda: self.wake(), grace=grace)
        return self._open[name]

    def open(self) -> list[Host]:
        """The hosts that are open."""
        return list(self._open.values())

    def close(self) -> None:
        """Let go of all."""
        for host in self._open.values():
            host.close()
        self._open.clear()


def _read(file: Path) -> dict[str, dict[str, Any]]:
    if not file.is_file():
        return {}
    import yaml

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DefinitionError([Problem(f"cannot be read: {error}", str(file))]) from error
    hosts = data.get("hosts") if isinstance(data, dict) else None
    if not isinstance(hosts, dict):
        raise DefinitionError([Problem("expected 'hosts:' with a name and its keys for each host", str(file))])
    if problems := [Problem(text, str(file)) for name, entry in hosts.items() for text in _wrong(name, entry or {})]:
        raise DefinitionError(problems)
    return {str(name): entry or {} for name, entry in hosts.items()}


def _wrong(name: object, entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return [f"host '{name}': expected keys and values"]
    wrong = [f"host '{name}': '{key}' is not a key of a host{did_you_mean(str(key), KEYS)} (keys: {', '.join(KEYS)})" for key in entry if key not in KEYS]
    if entry.get("transport", "local") not in _TRANSPORTS:
        wrong.append(f"host '{name}': transport '{entry['transport']}' is not there yet; this version has {', '.join(_TRANSPORTS)}")
    if entry.get("scheduler", "process") not in _SCHEDULERS:
        wrong.append(f"host '{name}': scheduler '{entry['scheduler']}' is not there yet; this version has {', '.join(_SCHEDULERS)}")
    slots = entry.get("slots", 1)
    if not isinstance(slots, int) or isinstance(slots, bool) or slots < 1:
        wrong.append(f"host '{name}': slots is a whole number above 0, not {slots!r}")
    grace = entry.get("grace", 10)
    if not isinstance(grace, (int, float)) or isinstance(grace, bool) or grace < 0:
        wrong.append(f"host '{name}': grace is a number of seconds, not {grace!r}")
    return wrong
