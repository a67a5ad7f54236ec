"""The fold: from the records of a journal to the states of a run."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hybridnb.definition import to_mapping
from hybridnb.errors import NotFound
from hybridnb.model import Dependency, Job, Kind, Resources
from hybridnb.run import Run, State, iso, now

FULL = Job(
    "full",
    host="rivanna",
    exec=("python3", "-c", "print(1)"),
    after=(Dependency("a", Kind.ANY),),
    resources=Resources(time="1:00:00", gpus="a100:2", nodes=2, sbatch=("--exclusive",)),
    params={"lr": 1e-07, "layers": [1, {"x": None}]},
    env={"OMP_NUM_THREADS": "2"},
    inputs=("data.csv",),
    outputs=("*.h5", "log"),
    retries=2,
    timeout=0.5,
)


def at(second: int) -> str:
    return f"2026-11-22T10:15:{second:02}.000Z"


def defined(job: Job) -> dict[str, Any]:
    return {"event": "defined", "at": at(0), "job": job.name, "definition": to_mapping(job)}


def started(*names: str) -> Run:
    """A run whose jobs are in the hands of the host."""
    run = fold({"event": "created", "run": "r", "workflow": "w", "source": "/d/w.yaml", "folder": "/d", "at": at(0)})
    for name in names:
        run.apply(defined(Job(name, script="true")))
        run.apply(attempt(name))
    run.apply({"event": "queued", "at": at(1), "attempts": [[name, 1] for name in names]})
    return run


def attempt(name: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"event": "attempt", "at": at(0), "job": name, "attempt": number, "token": "t", "host": "local", **more}


def state(name: str, word: str, second: int = 9, *, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"event": "state", "at": at(second), "job": name, "attempt": number, "state": word, **more}


def fold(*records: dict[str, Any]) -> Run:
    run = Run()
    for record in records:
        run.apply(record)
    return run


def test_a_state_is_its_word_wherever_it_is_compared_written_or_looked_up() -> None:
    state: Any = State.DONE
    assert (state == "done", {state: 1}["done"], {"done": 1}[state]) == (True, 1, 1)
    assert (str(state), f"{state} {state:>5}", json.dumps({state: [state]})) == ("done", "done  done", '{"done": ["done"]}')
    assert (State("done") is state, state.final, state.active) == (True, True, False)


# -- definitions ----------------------------------------------------------------------------------------------------------
def test_a_definition_comes_back_from_its_record_as_it_was() -> None:
    for job in (FULL, Job("a", script="echo hi"), Job("b", exec="make all", env={"A": ""})):
        assert fold(defined(job)).jobs[job.name] == job


def test_a_job_keeps_its_number_and_a_number_is_not_given_twice() -> None:
    run = fold(defined(Job("a", script="1")), defined(Job("b", script="1")), {"event": "removed", "at": at(1), "job": "a"})
    run.apply(defined(Job("b", script="2")))
    run.apply(defined(Job("c", script="1")))
    assert (run.numbers["b"], run.numbers["c"]) == (1, 2)
    run.apply(defined(Job("a", script="3")))
    assert run.numbers["a"] == 0


def test_the_layout_is_kept() -> None:
    run = fold(
        {"event": "created", "run": "r", "workflow": "w", "source": "/s", "folder": "/", "at": at(0), "layout": {"a": [1, 2.5]}}
    )
    assert run.layout == {"a": (1, 2.5)}


def test_what_a_later_version_writes_is_left_aside() -> None:
    run = started("a")
    before = repr(run)
    run.apply({"event": "teleported", "at": at(3), "job": "a", "where": "mars"})
    run.apply({"event": "asked", "at": at(3), "request": ""})
    assert repr(run) == before


def test_facts_are_gathered() -> None:
    run = fold({"event": "facts", "facts": {"git": {"dirty": False}}}, {"event": "facts", "facts": {"versions": {"hybridnb": "1"}}})
    assert run.facts == {"git": {"dirty": False}, "versions": {"hybridnb": "1"}}


# -- attempts -------------------------------------------------------------------------------------------------------------
def test_an_attempt_goes_from_its_intent_to_its_end_with_all_its_times() -> None:
    run = started("a")
    run.apply(state("a", "running", 2, native_id="4711"))
    run.apply(state("a", "failed", 5, exit_code=3, reason="exit code 3"))
    made = run.attempt("a")
    assert made is not None
    assert (made.state, made.exit_code, made.native_id, made.reason) == (State.FAILED, 3, "4711", "exit code 3")
    assert (made.submitted_at, made.started_at, made.ended_at) == (at(0), at(2), at(5))
    assert run.states["a"] is State.FAILED


ORDER = ["submitting", "queued", "running", "cancelling", "done"]


@pytest.mark.parametrize(("first", "late"), [(first, late) for i, first in enumerate(ORDER) for late in ORDER[: i + 1] if i])
def test_a_late_or_doubled_report_moves_nothing_back(first: str, late: str) -> None:
    run = started("a")
    run.apply(state("a", first, 3, native_id="1"))
    before = run.states["a"], repr(run.attempts)
    run.apply(state("a", late, 8, native_id="2", reason="late"))
    assert before == (State(first), repr(run.attempts))
    assert run.states["a"] is State(first)


@pytest.mark.parametrize("first", ["done", "failed", "cancelled", "skipped", "lost"])
@pytest.mark.parametrize("then", ["done", "failed", "cancelled", "lost", "running"])
def test_the_first_end_of_an_attempt_is_its_end(first: str, then: str) -> None:
    run = started("a")
    run.apply(state("a", first, 3, exit_code=1))
    run.apply(state("a", then, 8, exit_code=2))
    made = run.attempt("a")
    assert made and (made.state.value, made.exit_code, made.ended_at) == (first, 1, at(3))
    assert +run.counts == {State(first): 1}


def test_a_job_that_started_before_its_batch_was_noted_is_not_queued_again() -> None:
    run = fold(defined(Job("a", script="true")), attempt("a"), state("a", "running"))
    run.apply({"event": "queued", "at": at(9), "attempts": [["a", 1], ["gone", 1], ["a", 7]]})
    assert run.states == {"a": State.RUNNING}


def test_reports_of_what_is_not_there_are_left_aside() -> None:
    run = started("a")
    for record in (
        state("gone", "done"),
        state("a", "done", number=2),
        {"event": "progress", "job": "gone", "attempt": 1, "progress": 3.0},
    ):
        run.apply(record)
    run.apply({"event": "files", "job": "a", "attempt": 9, "files": {"inputs": {}}})
    run.apply({"event": "withdrawn", "job": "a", "attempt": 9, "at": at(3)})
    run.apply({"event": "removed", "job": "gone", "at": at(3)})
    run.apply({"event": "again", "jobs": ["gone"], "at": at(3)})
    run.apply({"event": "ended", "jobs": ["gone"], "state": "skipped", "at": at(3)})
    assert run.states == {"a": State.QUEUED}


def test_a_failure_that_the_host_tries_again_does_not_end_the_job() -> None:
    run = started("a")
    run.apply(state("a", "running", 2))
    run.apply(state("a", "failed", 3, exit_code=1, retries=True))
    assert (run.states["a"], run.state) == (State.RUNNING, State.RUNNING)
    run.apply(attempt("a", 2, first=1, state="queued", reason="retry in 1 s"))
    assert run.states == {"a": State.QUEUED}
    run.apply(state("a", "running", 5, number=2))
    run.apply(state("a", "done", 6, number=2, exit_code=0))
    first, second = run.attempts["a"]
    assert (first.state, first.exit_code, second.state, second.first, second.reason) == (State.FAILED, 1, State.DONE, 1, "")
    assert run.states["a"] is State.DONE


def test_a_late_end_of_an_earlier_attempt_is_its_own_and_not_the_job_s() -> None:
    run = started("a")
    run.apply(attempt("a", 2, first=1, state="queued"))
    run.apply(state("a", "running", 5, number=2))
    run.apply(state("a", "failed", 6, exit_code=1))
    assert run.states["a"] is State.RUNNING
    first = run.attempt("a", 1)
    assert first and first.state is State.FAILED


def test_progress_and_files_are_gathered_by_attempt() -> None:
    run = started("a")
    run.apply({"event": "progress", "job": "a", "attempt": 1, "progress": 40.0, "metrics": {"loss": 0.5, "epoch": 1}})
    run.apply({"event": "progress", "job": "a", "attempt": 1, "metrics": {"loss": 0.25}})
    run.apply({"event": "files", "job": "a", "attempt": 1, "files": {"inputs": {"in": {"size": 1}}}})
    run.apply({"event": "files", "job": "a", "attempt": 1, "files": {"outputs": {"out": {"missing": True}}}})
    made = run.attempt("a")
    assert made and (made.progress, made.metrics) == (40.0, {"loss": 0.25, "epoch": 1})
    assert made.files == {"inputs": {"in": {"size": 1}}, "outputs": {"out": {"missing": True}}}


# -- changes --------------------------------------------------------------------------------------------------------------
def test_a_change_waits_until_the_host_has_let_the_job_go() -> None:
    run = started("a")
    run.apply({"event": "changing", "at": at(2), "job": "a", "definition": {"script": "new"}})
    assert (run.jobs["a"].script, run.state) == ("true", State.RUNNING)
    run.apply({"event": "withdrawn", "at": at(3), "job": "a", "attempt": 1})
    made = run.attempt("a")
    assert (run.jobs["a"].script, run.states["a"], run.pending) == ("new", State.WAITING, {})
    assert made and (made.state, made.ended_at) == (State.CANCELLED, at(3))


def test_a_removal_waits_until_the_host_has_let_the_job_go() -> None:
    run = started("a", "b")
    run.apply({"event": "changing", "at": at(2), "job": "a", "definition": None})
    assert "a" in run.jobs
    run.apply({"event": "withdrawn", "at": at(3), "job": "a", "attempt": 1})
    assert (list(run.jobs), run.states, +run.counts) == (["b"], {"b": State.QUEUED}, {State.QUEUED: 1})


@pytest.mark.parametrize(
    "late", [state("a", "running"), state("a", "done"), {"event": "kept", "job": "a", "attempt": 1, "at": at(3)}]
)
def test_a_change_that_comes_too_late_is_dropped(late: dict[str, Any]) -> None:
    run = started("a")
    run.apply({"event": "changing", "at": at(2), "job": "a", "definition": {"script": "new"}})
    run.apply(late)
    assert (run.jobs["a"].script, run.pending) == ("true", {})


def test_jobs_that_are_not_tried_end_with_a_reason_and_can_be_tried_again() -> None:
    run = fold(
        defined(Job("a", script="true")), {"event": "ended", "at": at(1), "jobs": ["a"], "state": "skipped", "reason": "why"}
    )
    run.apply({"event": "finished", "at": at(2), "state": "done"})
    assert (run.states["a"], run.reasons, run.ended_at) == (State.SKIPPED, {"a": "why"}, at(2))
    run.apply({"event": "again", "at": at(3), "jobs": ["a"]})
    assert (run.states["a"], run.reasons, run.ended_at) == (State.WAITING, {}, None)


def test_a_job_that_has_not_ended_is_not_tried_again() -> None:
    run = started("a")
    run.apply({"event": "again", "at": at(3), "jobs": ["a"]})
    assert run.states["a"] is State.QUEUED


def test_the_workflow_of_a_run_drops_edges_from_jobs_that_were_removed() -> None:
    run = fold(defined(Job("a", script="1")), defined(Job("b", script="1", after=(Dependency("a"),))))
    run.workflow_name = "w"
    assert run.workflow.parents() == {"a": (), "b": ("a",)}
    run.apply({"event": "removed", "at": at(1), "job": "a"})
    assert run.workflow.parents() == {"b": ()}


# -- questions ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("", "done"),
        ("done done", "done"),
        ("done skipped", "done"),
        ("done failed skipped", "failed"),
        ("done lost", "failed"),
        ("cancelled failed", "failed"),
        ("cancelled done", "cancelled"),
        ("waiting waiting", "waiting"),
        ("waiting done", "running"),
        ("waiting failed", "running"),
        ("queued failed", "running"),
        ("submitting", "running"),
        ("running done", "running"),
        ("cancelling failed running", "cancelling"),
    ],
)
def test_the_state_of_a_run_is_that_of_its_jobs(words: str, word: str) -> None:
    run = Run()
    for number, each in enumerate(words.split()):
        run.define(Job(f"j{number}", script="true"))
        run._set(f"j{number}", State(each))
    assert run.state.value == word


VERDICTS = [
    ("done", True, True, False),
    ("failed", False, True, True),
    ("lost", False, True, True),
    ("cancelled", False, True, True),
    ("skipped", False, True, False),
    *((word, None, None, None) for word in ("waiting", "submitting", "queued", "running", "cancelling")),
]


@pytest.mark.parametrize(("word", "ok", "any_end", "failed"), VERDICTS)
def test_an_edge_is_satisfied_by_the_end_that_it_names(
    word: str, ok: bool | None, any_end: bool | None, failed: bool | None
) -> None:
    run = fold(defined(Job("a", script="true")))
    run._set("a", State(word))
    verdicts = [run.verdict(Dependency("a", kind)) for kind in (Kind.OK, Kind.ANY, Kind.FAILED)]
    assert verdicts == [ok, any_end, failed]


def test_an_edge_from_a_job_that_was_removed_holds_nothing_up() -> None:
    assert Run().verdict(Dependency("gone", Kind.ANY)) is True


def test_every_state_is_waiting_in_the_hands_of_a_host_or_final() -> None:
    assert [s.value for s in State if s.active] == ["submitting", "queued", "running", "cancelling"]
    assert [s.value for s in State if s.final] == ["done", "failed", "cancelled", "skipped", "lost"]


def test_what_is_unfinished_is_told_by_its_last_attempts() -> None:
    run = started("a", "b", "c")
    run.apply(state("a", "done"))
    run.apply(attempt("c", 2, first=1))
    assert [(a.job, a.number) for a in run.unfinished()] == [("b", 1), ("c", 2)]


def test_an_unknown_job_is_told_with_the_nearest_name() -> None:
    run = started("train")
    with pytest.raises(NotFound, match=r"^run r has no job 'trian'; did you mean 'train'\?$"):
        run.job("trian")
    assert run.job("train").name == "train"
    assert (run.attempt("trian"), run.attempt("train", 5)) == (None, None)


def test_times_are_utc_with_milliseconds() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1795342529.9996) == "2026-11-22T10:15:29.999Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())


def test_a_run_shows_its_state_and_size() -> None:
    assert repr(started("a", "b")) == "Run('r', 'w', running, jobs=2)"
