"""The partitions of Slurm clusters, for those who type: told of what is connected, and never at the price of a login."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..errors import HybridnbError
from .config import Hosts
from .far import FarHost
from .transport import Transport

_FRESH = 300.0  # seconds for which an answer is good; sinfo asks the controller, which has better things to do
_PATIENCE = 20.0  # seconds for sinfo


class Partitions:
    """Remembers what clusters said."""

    def __init__(self, hosts: Hosts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts, self._clock = hosts, clock
        self._known: dict[Transport, tuple[float, list[str]]] = {}

    def __repr__(self) -> str:
        return f"Partitions({self._hosts!r})"

    def of(self, name: str, folder: Path | None = None) -> list[str]:
        """Return the names of a host's partitions in Slurm's order; [] when it is no cluster, not connected, or does not answer."""
        way = self.way(name, folder)
        return self.ask(way) if way else []

    def way(self, name: str, folder: Path | None = None) -> Transport | None:
        """Return the open way to a cluster, if there is one; in the thread of those who use the hosts."""
        try:
            if self._hosts.known(name, folder).get("scheduler") != "slurm":
                return None
            host = self._hosts.get(name, folder)
        except HybridnbError:
            return None
        return host.transport if isinstance(host, FarHost) and host.transport.alive else None

    def ask(self, way: Transport) -> list[str]:
        """Ask, unless that was done some minutes ago; in any thread."""
        told, names = self._known.get(way, (0.0, []))
        if way not in self._known or self._clock() - told > _FRESH:
            try:
                names = list(dict.fromkeys(way.run("sinfo -h -o %R", timeout=_PATIENCE).split()))
            except HybridnbError:
                return names
            self._known[way] = self._clock(), names
        return names
