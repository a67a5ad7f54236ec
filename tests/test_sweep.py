"""A sweep is written once and stands for a job for each combination of its values."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnb import launch, sweep, view
from hybridnb.definition import dump, from_mapping, parse, to_mapping
from hybridnb.engine import Engine
from hybridnb.errors import DefinitionError, NotFound
from hybridnb.model import Dependency, Job, Kind, Workflow, about_name
from hybridnb.run import Run, State
from hybridnb.store import Store
from hybridnb.sweep import expand, members, put

DEADLINE = 60.0  # seconds
STUDY = """\
name: study
jobs:
  fetch: echo fetch
  train:
    after: [fetch]
    params: {seed: 1}
    sweep: {lr: [0.1, 1e-3], depth: [2, 4]}
    inputs: ["data/{depth}.csv"]
    outputs: ["{lr}/{other}-{depth}.txt", "{lr"]
    script: echo $lr $depth $seed
  report: {after: [train:any], script: echo report}
layout: {fetch: [0, 0], train: [200, 0]}
"""
NAMES = ["train-lr=0.1-depth=2", "train-lr=0.1-depth=4", "train-lr=0.001-depth=2", "train-lr=0.001-depth=4"]


def job(name: str, *after: str, **fields: Any) -> Job:
    return Job(name, script="true", after=tuple(map(Dependency.parse, after)), **fields)


def after(workflow: Workflow, name: str) -> list[str]:
    return [str(dependency) for dependency in workflow[name].after]


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(DefinitionError) as error:
        parse(text)
    return [(p.line, p.column, p.message) for p in error.value.problems]


# -- the file -------------------------------------------------------------------------------------------------------------
def test_what_waits_for_all_jobs_of_a_sweep_is_told_by_its_name() -> None:
    swept = [job("first"), job("train", sweep={"lr": (1, 2)}), job("all", "first", "train"), job("however", "train:any")]
    jobs = expand(Workflow.of("w", swept)).jobs
    assert [str(d) for d in sweep.shortened(jobs["all"], jobs).after] == ["first", "train"]
    assert [str(d) for d in sweep.shortened(jobs["however"], jobs).after] == ["train:any"]
    some = replace(jobs["all"], after=jobs["all"].after[:-1])
    assert sweep.shortened(some, jobs) == some


def test_a_sweep_is_read_and_written_as_it_was_given() -> None:
    train = parse(STUDY)["train"]
    assert train.sweep == {"lr": (0.1, 0.001), "depth": (2, 4)}
    assert sweep.count(train) == 4
    assert parse(dump(parse(STUDY))) == parse(STUDY)
    grouped = job("a", group="some")
    for one in (train, grouped):
        data = json.loads(json.dumps(to_mapping(one)))
        assert from_mapping(one.name, data) == one
        assert to_mapping(from_mapping(one.name, data)) == data


A = "jobs:\n  a:\n    script: x\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (A + "    swep: {lr: [1]}\n", 4, 5, "'swep' is not a field of job 'a'; did you mean 'sweep'?"),
        (A + "    sweep: [1, 2]\n", 4, 12, "sweep of job 'a': expected a mapping, not a list"),
        (
            A + "    sweep: {lr: 0.1}\n",
            4,
            17,
            "lr in sweep of job 'a': expected a list of values, not a number; for one value write [0.1]",
        ),
        (A + "    sweep: {lr: []}\n", 4, 17, "lr in sweep of job 'a': a list without values makes no job"),
        (A + "    sweep: {lr: [1, [2]]}\n", 4, 21, "a value of a sweep is a text, a number, true, false or null, not [2]"),
        (A + "    sweep: {lr: [1, {b: 2}]}\n", 4, 21, "a value of a sweep is a text, a number, true, false or null"),
        (A + '    sweep: {lr: ["a\\nb"]}\n', 4, 18, "a value of a sweep has one line"),
        (A + "    sweep: {lr: [1, .nan]}\n", 4, 21, ".nan is not a number that every language knows"),
        (A + "    sweep: {lr: [0.1, 2, 0.10]}\n", 4, 26, "'0.10' comes twice"),
        (A + "    sweep: {1r: [1]}\n", 4, 13, "'1r' cannot be an environment variable"),
        (A + "    sweep: {PATH: [1]}\n", 4, 13, "'PATH' cannot be a param"),
        (A + "    sweep: {lr: [1], lr: [2]}\n", 4, 22, "'lr' is defined twice in sweep of job 'a'"),
        (A + "    params: {lr: 1}\n    sweep: {lr: [1]}\n", 5, 13, "'lr' is both in params and in sweep of job 'a'"),
        (A + "    sweep: {lr: [1]}\n    group: g\n", 5, 5, "job 'a' is a sweep, whose jobs are a group of its name"),
        (
            A + f"    sweep: {{x: {list(range(101))}, y: {list(range(100))}}}\n",
            4,
            12,
            "10,100 combinations are too many (at most 10,000)",
        ),
        (A + "    group: a/b\n", 4, 12, "the group name 'a/b' cannot be used"),
        (A + "    group: [b]\n", 4, 12, "group of job 'a': expected a text, not a list"),
        (A + "    group: b\n  b: x\n", 4, 12, "group of job 'a': 'b' is the name of a job"),
        (A + "    group: a\n", 4, 12, "group of job 'a': 'a' is the name of a job"),
        (A + "    group: B\n  b: {script: x, sweep: {k: [1]}}\n", 4, 12, "group of job 'a': 'B' is the name of a job"),
        (A + "    group: g\n  b: {script: x, group: G}\n", 5, 25, "the groups 'g' and 'G' differ by upper and lower case only"),
    ],
)
def test_what_is_wrong_with_a_sweep_or_group_is_told_with_its_place(text: str, line: int, column: int, message: str) -> None:
    found = problems(text)
    assert [problem[:2] for problem in found] == [(line, column)]
    assert message in found[0][2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sweep": {"lr": ()}}, "has no values"),
        ({"sweep": {"lr": (1, 1)}}, "has a value twice"),
        ({"sweep": {"lr": ([1],)}}, "a value of a sweep is a text"),
        ({"sweep": {"lr": (float("inf"),)}}, "that every language knows"),
        ({"sweep": {"lr": (1,)}, "params": {"lr": 1}}, "both in params and in sweep"),
        ({"sweep": {"lr": (1,)}, "group": "g"}, "take 'group' away"),
        ({"sweep": {"a": tuple(range(200)), "b": tuple(range(200))}}, "40,000 combinations are too many"),
        ({"group": "a b"}, "the group name 'a b' cannot be used"),
    ],
)
def test_a_sweep_that_means_nothing_cannot_be_made(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        job("a", **fields)


def test_no_group_of_a_workflow_has_the_name_of_a_job() -> None:
    with pytest.raises(DefinitionError, match="'b' is the name of a job"):
        Workflow.of("w", [job("a", group="b"), job("b")])


def test_values_that_python_takes_for_equal_are_different_values() -> None:
    text = A + "    sweep: {v: [1, 1.0, true, '1', ~]}\n"
    assert list(map(repr, parse(text)["a"].sweep["v"])) == ["1", "1.0", "True", "'1'", "None"]
    names = list(expand(parse(text)).jobs)
    assert [name for name in names if len(name) <= 8] == ["a-v=1", "a-v=1.0", "a-v=true", "a-v=null"]
    assert len(names) == 5


# -- the jobs -------------------------------------------------------------------------------------------------------------
def test_a_sweep_becomes_a_job_for_each_combination_in_its_place() -> None:
    expanded = expand(parse(STUDY))
    assert list(expanded.jobs) == ["fetch", *NAMES, "report"]
    last = expanded[NAMES[-1]]
    assert (dict(last.params), last.sweep, last.group) == ({"seed": 1, "lr": 0.001, "depth": 4}, {}, "train")
    assert (after(expanded, NAMES[0]), after(expanded, "report")) == (["fetch"], [f"{name}:any" for name in NAMES])
    assert expanded.layout["train"] == (200, 0)


def test_values_stand_in_names_of_files_and_other_braces_stay() -> None:
    last = expand(parse(STUDY))[NAMES[-1]]
    assert last.inputs == ("data/4.csv",)
    assert last.outputs == ("0.001/{other}-4.txt", "{lr")


def test_a_workflow_without_sweeps_is_returned_as_it_is() -> None:
    workflow = Workflow.of("w", [job("a"), job("b", "a", group="g")])
    assert expand(workflow) is workflow
    assert expand(expanded := expand(parse(STUDY))) is expanded


def test_a_sweep_after_a_sweep_waits_for_all_of_it() -> None:
    expanded = expand(Workflow.of("w", [job("b", "a:failed", sweep={"y": (1, 2)}), job("a", sweep={"x": (1, 2, 3)})]))
    assert after(expanded, "b-y=2") == ["a-x=1:failed", "a-x=2:failed", "a-x=3:failed"]


def test_too_many_edges_between_sweeps_are_refused_with_a_way_out() -> None:
    many = {"x": tuple(range(1000))}
    with pytest.raises(DefinitionError, match=r"'b' would wait for others by 1,000,000 edges .*; let one job wait in between"):
        expand(Workflow.of("w", [job("a", sweep=many), job("b", "a", sweep=many)]))
    with pytest.raises(DefinitionError, match="1,000,000 edges"):
        put(expand(Workflow.of("w", [job("a", sweep=many)])), job("b", "a", sweep=many))
    between = Workflow.of("w", [job("a", sweep=many), job("all", "a"), job("b", "all", sweep=many)])
    assert len(expand(between).jobs) == 2001


VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=150), st.integers(), st.booleans()
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(VALUES, min_size=1, max_size=6, unique_by=lambda v: (type(v), v)),
    st.sampled_from(["a", "größe", "数" * 60, "x" * 100]),
)
def test_every_job_of_a_sweep_has_a_name_of_its_own_that_can_be_used(values: list[Any], name: str) -> None:
    taken = job("a-v=1")
    expanded = expand(Workflow.of("w", [job(name, sweep={"v": tuple(values)}), taken]))
    assert [about_name(found) for found in expanded.jobs] == [None] * (len(values) + 1)
    assert expanded["a-v=1"] == taken
    assert [made.params["v"] for made in expanded.jobs.values() if made.group == name] == values


def test_a_job_keeps_its_name_when_values_are_added_behind() -> None:
    few, many = ({"v": ("a b", "A b", *more)} for more in ((), ("a/b", 1)))
    one, other = (list(expand(Workflow.of("w", [job("a", sweep=values)])).jobs) for values in (few, many))
    assert other[:2] == one
    assert one[0] == "a-v=a_b"


def test_a_group_is_meant_by_its_name() -> None:
    jobs = expand(parse(STUDY)).jobs
    assert (members(jobs, "train"), members(jobs, "fetch"), members(jobs, NAMES[1])) == (NAMES, ["fetch"], [NAMES[1]])
    with pytest.raises(NotFound, match="run r has no job 'trian'; did you mean 'train'"):
        members(jobs, "trian", of="run r")


def test_what_waited_for_a_group_waits_for_the_jobs_that_take_its_place() -> None:
    before = expand(parse(STUDY)).with_job(job("some", NAMES[0], NAMES[1]))
    changed = put(before, job("train", "fetch", sweep={"lr": (0.1,), "depth": (2, 3)}))
    assert list(changed.jobs) == ["fetch", "train-lr=0.1-depth=2", "train-lr=0.1-depth=3", "report", "some"]
    assert after(changed, "report") == ["train-lr=0.1-depth=2:any", "train-lr=0.1-depth=3:any"]
    assert after(changed, "some") == ["train-lr=0.1-depth=2"]
    alone = put(before, job("train"))
    assert (list(alone.jobs), after(alone, "report")) == (["fetch", "train", "report", "some"], ["train:any"])


def test_a_job_that_is_put_in_may_wait_for_a_group() -> None:
    made = put(expand(parse(STUDY)), job("more", "train:failed", "fetch"))
    assert made["more"].after == (*(Dependency(name, Kind.FAILED) for name in NAMES), Dependency("fetch"))
    with pytest.raises(DefinitionError, match="'nobody' is not defined"):
        put(made, job("more", "nobody"))


# -- runs -----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[int]:
    """A FIFO: a job that says `read x <gate` goes on after a line is written to it."""
    os.mkfifo(tmp_path / "gate")
    fd = os.open(tmp_path / "gate", os.O_RDWR)
    yield fd
    os.write(fd, b"go\n" * 100)
    os.close(fd)


def write(folder: Path, text: str) -> Path:
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def run(engine: Engine, file: Path, **options: Any) -> dict[str, Any]:
    return launch.launch(engine, file, variables={"PATH": os.environ["PATH"]}, **options)


def states(engine: Engine, made: dict[str, Any]) -> dict[str, str]:
    assert engine.until_idle(timeout=DEADLINE)
    return {name: state.value for name, state in engine.run(made["run"]).states.items()}


def swept(values: str, *, script: str = "echo $v", gated: bool = True) -> str:
    first = "  first: read x <gate\n" if gated else "  first: echo first\n"
    return f"jobs:\n{first}  all: {{after: [first], sweep: {{v: [{values}]}}, script: '{script}'}}\n  last: {{after: [all], script: echo last}}\n"


def test_a_run_is_made_of_the_jobs_and_each_has_its_own_params(engine: Engine, tmp_path: Path) -> None:
    made = run(
        engine,
        write(
            tmp_path,
            STUDY.replace('    inputs: ["data/{depth}.csv"]\n', "")
            .replace(', "{lr"]', "]")
            .replace("echo $lr $depth $seed", "mkdir -p $lr; echo $lr $depth $seed >$lr/{other}-$depth.txt"),
        ),
    )
    assert states(engine, made) == dict.fromkeys(["fetch", *NAMES, "report"], "done")
    assert (tmp_path / "0.001" / "{other}-4.txt").read_text() == "0.001 4 1\n"
    folder = Path(made["folder"])
    assert json.loads((folder / "jobs" / NAMES[1] / "params.json").read_text()) == {"seed": 1, "lr": 0.1, "depth": 4}
    frozen = parse((folder / "workflow.yaml").read_text())
    assert [(name, j.group) for name, j in frozen.jobs.items()] == [
        ("fetch", ""),
        *((name, "train") for name in NAMES),
        ("report", ""),
    ]
    assert Store.open(folder).run.jobs == engine.run(made["run"]).jobs


def test_values_that_change_while_a_run_goes_on_add_and_remove_jobs(engine: Engine, tmp_path: Path, gate: int) -> None:
    first = run(engine, write(tmp_path, swept("1, 2, 3")))
    second = run(engine, write(tmp_path, swept("2, 3, 4")))
    told = {key: second[key] for key in ("run", "added", "changed", "removed", "kept")}
    assert told == {"run": first["run"], "added": ["all-v=4"], "changed": ["last"], "removed": ["all-v=1"], "kept": []}
    write(tmp_path, swept("2, 4, 5"))
    told = launch.change(engine, first["run"])
    assert told == {"added": ["all-v=5"], "changed": ["last"], "removed": ["all-v=3"], "kept": []}
    os.write(gate, b"go\n")
    assert states(engine, first) == dict.fromkeys(["first", "all-v=2", "last", "all-v=4", "all-v=5"], "done")


def test_what_has_started_of_a_sweep_stays_when_a_job_takes_its_name(engine: Engine, tmp_path: Path, gate: int) -> None:
    made = run(engine, write(tmp_path, "jobs:\n  a: {sweep: {v: [1]}, script: read x <gate}\n"))
    end = time.monotonic() + DEADLINE
    while engine.run(made["run"]).states["a-v=1"] is not State.RUNNING:
        assert time.monotonic() < end
        engine.step(0.1)
    assert run(engine, write(tmp_path, "jobs:\n  a: echo a\n"))["kept"] == ["a-v=1"]
    assert {n: j.group for n, j in engine.run(made["run"]).workflow.jobs.items()} == {"a-v=1": "", "a": ""}
    os.write(gate, b"go\n")
    assert states(engine, made) == {"a-v=1": "done", "a": "done"}


def test_the_name_of_a_sweep_chooses_all_of_it(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, swept("1, 2", gated=False))
    assert set(states(engine, run(engine, file, jobs=["all", "first"]))) == {"first", "all-v=1", "all-v=2"}
    assert set(states(engine, run(engine, file, start="all"))) == {"all-v=1", "all-v=2", "last"}
    with pytest.raises(NotFound, match="workflow 'study' has no job 'al'; did you mean 'all'"):
        run(engine, file, start="al")


def test_what_failed_of_a_sweep_is_run_again_alone(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, swept("1, 2", script="[ $v = 1 ] || [ -e ok ]", gated=False))
    assert states(engine, run(engine, file)) == {"first": "done", "all-v=1": "done", "all-v=2": "failed", "last": "skipped"}
    (tmp_path / "ok").touch()
    assert states(engine, run(engine, file, failed=True)) == {"all-v=2": "done", "last": "done"}


def test_a_retry_of_a_sweep_tries_what_did_not_end_well_and_a_named_job_in_any_case(engine: Engine, tmp_path: Path) -> None:
    made = run(engine, write(tmp_path, swept("1, 2", script="[ $v = 1 ] || [ -e ok ]", gated=False)))
    states(engine, made)
    (tmp_path / "ok").touch()
    assert launch.retry(engine, made["run"], ["all"], variables={}) == ["all-v=2", "last"]
    assert set(states(engine, made).values()) == {"done"}
    assert launch.retry(engine, made["run"], ["all"], variables={}) == []
    assert launch.retry(engine, made["run"], ["all-v=1"], variables={}) == ["all-v=1"]


def test_a_sweep_is_cancelled_defined_anew_and_removed_by_its_name(engine: Engine, tmp_path: Path, gate: int) -> None:
    made = run(engine, write(tmp_path, swept("1, 2")))
    told = launch.define(engine, made["run"], "all", {"after": ["first"], "sweep": {"v": [2, 3]}, "script": "echo $v"})
    assert told == {"added": ["all-v=3"], "changed": ["last"], "removed": ["all-v=1"], "kept": []}
    assert launch.define(engine, made["run"], "other", {"after": ["all:any"], "script": "echo"})["added"] == ["other"]
    assert launch.cancel(engine, made["run"], ["all"]) == ["all-v=2", "all-v=3"]
    launch.define(engine, made["run"], "more", {"after": ["first"], "sweep": {"w": [1, 2]}, "script": "echo"})
    assert launch.remove(engine, made["run"], "more")["removed"] == ["more-w=1", "more-w=2"]
    with pytest.raises(NotFound, match=f"run {made['run']} has no job 'mor'"):
        launch.remove(engine, made["run"], "mor")
    os.write(gate, b"go\n")
    expected = {"first": "done", "all-v=2": "cancelled", "all-v=3": "cancelled", "last": "skipped", "other": "done"}
    assert states(engine, made) == expected


def test_a_sweep_has_no_log_but_names_the_jobs_that_have(engine: Engine, tmp_path: Path) -> None:
    made = run(engine, write(tmp_path, swept(", ".join(map(str, range(10))), gated=False)))
    states(engine, made)
    with pytest.raises(
        NotFound, match=r"'all' is a group of 10 jobs, each of which has its own log: all-v=0, .*, all-v=7 and 2 more"
    ):
        view.log(Path(made["folder"]), "all")
    assert view.log(Path(made["folder"]), "all-v=7")[0] == b"7\n"


def test_a_record_of_a_sweep_can_be_taken_in() -> None:
    run = Run()
    run.apply({"event": "defined", "job": "a", "definition": {"script": "x", "sweep": {"v": [1, 2]}}})
    assert run.jobs["a"].sweep == {"v": (1, 2)}


def test_nothing_is_no_name_of_all_jobs_without_a_group() -> None:
    with pytest.raises(NotFound):
        members({"a": Job("a", exec="true")}, "")
