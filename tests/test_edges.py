"""The edges of submissions on one host, and what an end does to them."""

from __future__ import annotations

import pytest

from hybridnb.hosts.attempts import Submission
from hybridnb.hosts.slurm.edges import Edges
from hybridnb.model import Dependency, Job, Kind
from hybridnb.run import State


def child(kind: Kind) -> Submission:
    edge = Dependency("a", kind)
    return Submission("r", Job("b", script="true", after=(edge,)), 2, 1, "t", "/r/2", "true", after=(("r_1_1", edge),))


TABLE = [
    (State.DONE, {Kind.FAILED}),
    (State.FAILED, {Kind.OK}),
    (State.CANCELLED, {Kind.OK}),
    (State.LOST, {Kind.OK}),
    (State.SKIPPED, {Kind.OK, Kind.FAILED}),
]


@pytest.mark.parametrize(("end", "doomed"), TABLE)
def test_an_end_dooms_what_waits_for_another(end: State, doomed: set[Kind]) -> None:
    for kind in Kind:
        edges, waits = Edges(), child(kind)
        edges.add(waits)
        assert not edges.doomed(waits)
        assert edges.end("r_1_1", end) == ["r_2_1"]
        assert edges.doomed(waits) is (kind in doomed)


def test_a_parent_that_was_withdrawn_dooms_nobody() -> None:
    edges, waits = Edges(), child(Kind.OK)
    edges.add(waits)
    assert edges.end("r_1_1", "withdrawn") == []
    assert not edges.doomed(waits)
