"""What magics return: ordinary lists and mappings, which show themselves as tables, or say what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import show
from ..api import Run
from ..errors import HybridnbError
from ..view import summary
from . import card, telling


class RunList(list[Run]):
    """Runs, the newest first."""

    def __init__(self, runs: Iterable[Run], told: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(runs)
        self._known = {Path(run["folder"]): run for run in told}

    def __repr__(self) -> str:
        return str(self._card()["text/plain"])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return self._card()

    def _card(self) -> dict[str, Any]:
        """Tell of those that are in it now."""
        told = [self._known.get(run.folder) or {**summary(run.folder), "source": ""} for run in self]
        params = [{"params": _params(run)} for run in self[: card.JOBS]]
        return card.runs_card([*({**about, **more} for about, more in zip(told, params)), *told[card.JOBS :]])


def _params(run: Run) -> dict[str, Any]:
    """Return what the jobs of a run were given, by name; several values when they differ."""
    found: dict[str, list[Any]] = {}
    with suppress(HybridnbError):  # a damaged run says so by its state
        for name, value in (pair for params in run.params.values() for pair in params.items()):
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return {name: values[0] if len(values) == 1 else ",".join(map(telling.value, values)) for name, values in found.items()}


class HostTable(dict[str, dict[str, Any]]):
    """Hosts by their names, as they are described."""

    def __repr__(self) -> str:
        return "\n".join(show.hosts(self, show.Screen()))

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return card.hosts_card(self)


class Names(list[str]):
    """Names of jobs to which something was done; a notebook shows that in words."""

    def __init__(self, names: Iterable[str], *, done: str, nothing: str) -> None:
        super().__init__(names)
        self._done, self._nothing = done, nothing

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001  IPython calls it so
        printer.text(f"{self._done}: {', '.join(telling.some(self, 2000))}" if self else self._nothing)


class Freed(dict[str, int]):
    """How many bytes were freed on each host."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001  IPython calls it so
        told = (f"{host}: {f'{telling.size(count)} freed' if count else 'nothing was left'}" for host, count in self.items())
        printer.text("\n".join(told) or "nothing was left")
