"""The transports and schedulers that there are, by name. Other packages add theirs by entry points; each is loaded when it is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..errors import HostError, NotFound, did_you_mean

TRANSPORTS, SCHEDULERS = "hybridnb.transports", "hybridnb.schedulers"  # groups of entry points

_OWN = {
    TRANSPORTS: {"local": "local:LocalTransport", "ssh": "ssh.link:SSH", "openssh": "ssh.openssh:OpenSSH", "wsl": "wsl:Wsl"},
    SCHEDULERS: {"process": "host:PlainHost", "slurm": "slurm.cluster:ClusterHost"},
}


def own(group: str) -> tuple[str, ...]:
    """Return the names of those that come with hybridnb."""
    return tuple(_OWN[group])


def names(group: str) -> tuple[str, ...]:
    """Return the names of all, our own first."""
    return tuple(dict.fromkeys((*_OWN[group], *_added(group))))


def known(group: str, name: str) -> bool:
    """Is there one of this name? Other packages are looked at only when it is none of ours."""
    return name in _OWN[group] or name in _added(group)


def load(group: str, name: str) -> Callable[..., Any]:
    """Return what makes one; raise NotFound, or HostError when another package's cannot be loaded."""
    if place := _OWN[group].get(name):
        module, _, factory = place.partition(":")
        made: Callable[..., Any] = getattr(import_module(f".{module}", __package__), factory)
        return made
    if not (point := _added(group).get(name)):
        raise NotFound(f"'{name}' is none of {', '.join(names(group))}{did_you_mean(name, names(group))}")
    try:
        made = point.load()
    except Exception as error:
        raise HostError(f"'{name}' ({point.value}, by the entry point {group}) cannot be loaded: {error}") from error
    return made


def _added(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
