"""Putting hosts together, a transport and a scheduler each, as their entries in hosts.yaml describe them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import home
from ..model import Resources
from . import registry
from .far import FarHost
from .host import Inner, PlainHost
from .local import LocalTransport
from .questions import Questions
from .shell import ShellTransport
from .transport import Transport


def far(name: str, entry: Mapping[str, Any], *, questions: Questions, wake: Callable[[], None]) -> FarHost:
    """Make a host that has a thread of its own."""
    way = registry.load(registry.TRANSPORTS, entry.get("transport", "local"))
    near = way is LocalTransport
    transport: Transport = LocalTransport(name) if near else ShellTransport(name, way(name, entry, questions=questions))
    scheduler = registry.load(registry.SCHEDULERS, entry.get("scheduler", "process"))

    def make(directory: str) -> Inner:
        inner: Inner = scheduler(
            name, transport, directory=directory, slots=entry.get("slots", 0), wake=host.look, grace=entry.get("grace", 10)
        )
        return inner

    host = FarHost(
        name,
        transport,
        make,
        directory=entry.get("directory", str(home.state() / "hosts") if near else ".hybridnb"),
        resources=entry.get("resources", Resources()),
        setup=entry.get("setup", ()),
        shell=entry.get("shell", ""),
        pinned=scheduler is PlainHost,
        wake=wake,
    )
    host.limit(slots=entry.get("slots", 0), grace=entry.get("grace", 10))
    return host
