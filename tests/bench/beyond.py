"""A far host for the measures: a real sshd of the testbed, and if wanted Slurm behind it, through a network of 40 ms round trip."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import clock
import work
from tools import HERE
from work import Graph

sys.path.append(str(HERE.parent))

from testbed.accounts import Accounts
from testbed.guard import Guard
from testbed.laptop import Laptop, entry, settle
from testbed.slurm import Slurm
from testbed.sshd import Door, Server, Sshd

from hybridnb.hosts.far import FarHost
from hybridnb.model import Dependency, Job
from hybridnb.store import Store

TRIP = 0.04  # seconds there and back


@dataclass(frozen=True)
class Beyond:
    """The server, the door to it that is far away, and a laptop that knows it as `far`."""

    server: Server
    door: Door
    laptop: Laptop
    slurm: Slurm | None
    variables: Mapping[str, str]  # by which a program finds its way there

    @property
    def host(self) -> FarHost:
        return self.laptop.host()

    def run(self, jobs: Sequence[Job], name: str = "bench") -> tuple[Store, float, float]:
        """Run jobs until all are done; return the run, the seconds that it took, and the seconds of this process's processor."""
        began, used = time.perf_counter(), time.process_time()
        store = self.laptop.run(*jobs, name=name)
        if not self.laptop.engine.until_idle(timeout=clock.PATIENCE):
            raise clock.Failed(f"{name}: {self.laptop.states(store)}; {self.laptop.engine.problems}")
        seconds, used = time.perf_counter() - began, time.process_time() - used
        self.laptop.engine.drop(store.run.id)
        return store, seconds, used

    def echo(self, graph: Graph, name: str = "bench") -> tuple[float, float]:
        """Run a graph of `echo hi`; Failed when a log or an exit code is not here at the end."""
        jobs = [Job(job, host="far", script=work.SCRIPT, after=tuple(map(Dependency, parents))) for job, parents in graph.items()]
        store, seconds, used = self.run(jobs, name)
        attempts = [store.run.attempt(job) for job in graph]
        if wrong := sum(not a or a.exit_code != 0 or store.log(a, "out").read_text() != "hi\n" for a in attempts):
            raise clock.Failed(f"{name}: {wrong} of {len(graph)} jobs have not done what they should")
        return seconds, used


@contextmanager
def beyond(root: Path, *, slurm: bool = False) -> Iterator[Beyond]:
    """Start all of it; at the end nothing of it is left."""
    with ExitStack() as stack:
        guard = stack.enter_context(closing(Guard()))
        folder = Path(tempfile.mkdtemp(prefix=f"hnb{os.getpid()}-", dir=root))
        guard.watch("folder", folder)
        for place in (root, folder):
            place.chmod(0o755)
        cluster = stack.enter_context(closing(Slurm(_folder(folder / "slurm"), guard))).up() if slurm else None
        sshd = stack.enter_context(closing(Sshd(_folder(folder / "sshd"), Accounts(folder, guard), guard)))
        server = sshd.up("near", env=cluster.env if cluster else None)
        door = stack.enter_context(_delayed(server))
        path = settle(door, _folder(folder / "laptop"))
        variables = {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "HYBRIDNB_HOME": str(_folder(folder / "home"))}
        stack.enter_context(_set(variables))
        options = {"scheduler": "slurm", "slots": 1000} if cluster else {}
        laptop = stack.enter_context(closing(Laptop(folder / "laptop", {"far": entry(door, **options)})))
        laptop.host().connect()
        yield Beyond(server, door, laptop, cluster, variables)


def _folder(path: Path) -> Path:
    path.mkdir()
    path.chmod(0o755)
    return path


@contextmanager
def _delayed(server: Server) -> Iterator[Door]:
    """Put the proxy before a server."""
    words = [sys.executable, str(HERE / "delay.py"), server.address, str(server.port), str(TRIP / 2)]
    variables = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables) as proxy:
        assert proxy.stdout and proxy.stdin
        yield server.through(int(proxy.stdout.readline()))
        proxy.stdin.close()


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
