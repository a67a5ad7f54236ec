"""A plain host: attempts go to its runner in portions, and what it tells comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from hybridnb.hosts.attempts import Report, Submission, key
from hybridnb.hosts.host import PlainHost
from hybridnb.hosts.local import LocalTransport
from hybridnb.model import Dependency, Job
from hybridnb.run import State

DEADLINE = 30.0  # seconds


def submission(folder: Path, number: int, *parents: int) -> Submission:
    after = tuple((key("r", p, 1), Dependency(f"j{p}")) for p in parents)
    job = Job(f"j{number}", script="#!/bin/sh\ntrue\n", after=tuple(edge for _, edge in after))
    place = folder / "jobs" / job.name
    return Submission("r", job, number, 1, "token", str(place), job.script or "", after=after, work=str(folder))


def heard(host: PlainHost, wake: threading.Event, until: Callable[[list[Report]], bool]) -> list[Report]:
    """Collect what the host tells until it is enough."""
    reports: list[Report] = []
    end = time.monotonic() + DEADLINE
    while not until(reports) and time.monotonic() < end:
        wake.wait(1)
        wake.clear()
        reports += host.hear()
    return reports


def test_a_child_runs_though_its_parents_runner_has_ended_before_it_came(tmp_path: Path, home: Path) -> None:
    wake = threading.Event()
    host = PlainHost("local", LocalTransport(), directory=str(home), slots=1, wake=wake.set)
    host.submit([submission(tmp_path, 0)])
    parent = heard(host, wake, lambda reports: any(r.what is State.DONE for r in reports))
    assert [r.what for r in parent] == [State.RUNNING, State.DONE]
    runner = next((home / "runner").glob("local*"))
    end = time.monotonic() + DEADLINE
    while (runner / "taken").exists():  # the last that a runner removes
        assert time.monotonic() < end
        threading.Event().wait(0.01)
    host.submit([submission(tmp_path, 1, 0)])  # made before the parent's end was heard
    ends = heard(
        host, wake, lambda reports: any(r.key == key("r", 1, 1) and isinstance(r.what, State) and r.what.final for r in reports)
    )
    assert [r.what for r in ends if r.key == key("r", 1, 1)] == [State.RUNNING, State.DONE]
    host.close()
