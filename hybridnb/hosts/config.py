"""The user's hosts, from hosts.yaml: the user's own, and beside the workflow. `local` is always there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import document, home
from ..document import Node, Scalar
from ..errors import DefinitionError, NotFound, Problem, did_you_mean
from ..grammar import Reader
from ..model import about_name
from .host import Host, PlainHost
from .local import LocalTransport

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
        """Return a host's entry, which a host that is open follows from now on; raise NotFound with the known ones."""
        entries = self.entries()
        if name not in entries:
            near = did_you_mean(name, entries) or "."
            raise NotFound(f"host '{name}' is not known{near} Known are {', '.join(sorted(entries))}; describe it in {self._file}")
        if name in self._open:
            self._open[name].limit(**_limits(entries[name]))
        return entries[name]

    def get(self, name: str) -> Host:
        """Return the host, opened."""
        if name not in self._open:
            entry = self.known(name)
            transport = _TRANSPORTS[entry.get("transport", "local")](name)
            self._open[name] = PlainHost(name, transport, directory=str(home.state()), wake=lambda: self.wake(), **_limits(entry))
        return self._open[name]

    def open(self) -> list[Host]:
        """The hosts that are open."""
        return list(self._open.values())

    def close(self) -> None:
        """Let go of all."""
        for host in self._open.values():
            host.close()
        self._open.clear()


def _limits(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"slots": entry.get("slots", cores()), "grace": entry.get("grace", 10)}


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """Read what hosts.yaml says of each host; raise DefinitionError with everything that is wrong, each with its line."""
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError([Problem(f"cannot be read: {error}", str(file))]) from error
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return {}
    reader = Reader(str(file), None)
    found = reader.fields(document.compose(text, file=str(file)), "a hosts file", {"hosts": 0})
    entries = reader.fields(found["hosts"][1], "hosts", None) if "hosts" in found else {}
    hosts = {name: _entry(reader, key, node) for name, (key, node) in entries.items()}
    if reader.problems:
        reader.problems.sort(key=lambda problem: (problem.line, problem.column))
        raise DefinitionError(reader.problems)
    return hosts


def _entry(reader: Reader, key: Scalar, node: Node) -> dict[str, Any]:
    name = key.text
    if wrong := about_name(name, what="host"):
        reader.wrong(key, wrong)
    elif not key.style and not isinstance(document.plain(name), str):
        reader.wrong(key, f"the host name {name} is not a text to YAML; put it in quotes")
    fields = reader.fields(node, f"host '{name}'", _KEYS)
    return {field: _KEYS[field](reader, value, f"{field} of host '{name}'") for field, (_, value) in fields.items()}


def _one_of(known: Iterable[str]) -> Callable[[Reader, Node, str], str]:
    def read(reader: Reader, node: Node, what: str) -> str:
        text = reader.text(node, what)
        if text and text not in known:
            reader.wrong(
                node, f"{what}: '{text:.60}' is not there{did_you_mean(text[:60], known)} (this version has {', '.join(known)})"
            )
        return text

    return read


def _grace(reader: Reader, node: Node, what: str) -> float:
    """Read seconds, as a job's timeout is written; 0 kills at once."""
    return 0.0 if isinstance(node, Scalar) and node.text == "0" else reader.timeout(node, what)


_KEYS: dict[str, Callable[[Reader, Node, str], Any]] = {
    "transport": _one_of(_TRANSPORTS),
    "scheduler": _one_of(_SCHEDULERS),
    "slots": Reader.count,
    "grace": _grace,
}
