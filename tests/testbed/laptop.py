"""A user's side of the connection: an engine with a hosts.yaml and an ssh_config of its own, and what came of its runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hybridnb.engine import Engine
from hybridnb.hosts.config import Hosts
from hybridnb.hosts.far import FarHost
from hybridnb.model import Dependency, Job, Workflow
from hybridnb.store import Store
from testbed.accounts import Account
from testbed.processes import program
from testbed.sshd import Door, Sshd

DEADLINE = 60.0  # seconds
NOTE = 'echo "$HYBRIDNB_JOB.$HYBRIDNB_ATTEMPT" >>"$HOME/ran"'  # what each script begins with, so that runs can be counted


class Laptop:
    """Has hosts by name, moves runs, and can be closed and opened again."""

    def __init__(self, folder: Path, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        self.file = folder / "hosts.yaml"
        self.file.write_text(json.dumps({"hosts": dict(hosts)}))
        self.stores: list[Store] = []
        self.open()

    def open(self) -> None:
        self.engine = Engine(Hosts(file=self.file))

    def close(self) -> None:
        self.engine.close()

    def run(self, *jobs: Job, name: str = "test") -> Store:
        """Begin a run."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        store = self.engine.create(Workflow.of(name, jobs), work / f"{name}.yaml", variables={})
        self.stores.append(store)
        return store

    def host(self, name: str = "far") -> FarHost:
        host = self.engine.hosts.get(name, self.folder / "work")
        assert isinstance(host, FarHost)
        return host

    def until(self, what: Callable[[], object], *, seconds: float = DEADLINE) -> None:
        """Step until something holds."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (
                f"the deadline passed; {self.engine.problems}; {[self.states(store) for store in self.stores]}"
            )
            self.engine.step(0.1)

    def finish(self) -> None:
        """Step until all runs have ended."""
        self.until(lambda: self.engine.idle)

    def states(self, store: Store) -> dict[str, str]:
        return {name: state.value for name, state in store.run.states.items()}

    def log(self, store: Store, name: str, stream: str = "out") -> str:
        attempt = store.run.attempt(name)
        assert attempt
        return store.log(attempt, stream).read_text()


def settle(door: Door | Sshd, folder: Path) -> Path:
    """Make what is to come first on PATH for OpenSSH to read the servers' configuration as that of the user."""
    program_there = folder / "bin" / "ssh"
    program_there.parent.mkdir(exist_ok=True)
    program_there.write_text(f'#!/bin/sh\nexec {program("ssh")} -F {door.config} "$@"\n')
    program_there.chmod(0o755)
    return program_there.parent


def entry(door: Door, **more: Any) -> dict[str, Any]:
    """Say in hosts.yaml how to get there."""
    return {"transport": "ssh", "address": door.name, "slots": 2, **more}


def job(name: str, script: str = "", *after: str, host: str = "far", **fields: Any) -> Job:
    """Make a job that notes on its host that it runs."""
    return Job(name, host=host, script=f"{NOTE}\n{script}\n", after=tuple(map(Dependency.parse, after)), **fields)


def ran(account: Account, home: Path | None = None) -> dict[str, int]:
    """Count how often each attempt ran there."""
    try:
        return dict(Counter(((home or account.home) / "ran").read_text().split()))
    except FileNotFoundError:
        return {}
