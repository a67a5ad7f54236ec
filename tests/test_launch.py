"""What "run FILE" means, and what else a person asks of runs: real engines, real jobs on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridnb import environment, launch, store, view
from hybridnb.engine import Engine
from hybridnb.errors import CallError, Conflict, DefinitionError, NotFound, RunBusy
from hybridnb.run import State

DEADLINE = 60.0  # seconds
VARIABLES = {"PATH": os.environ["PATH"]}


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


def write(folder: Path, **jobs: str) -> Path:
    """Write a workflow: name="parents | script"."""
    text = ["name: w", "jobs:"]
    for name, words in jobs.items():
        parents, _, script = words.rpartition(" | ")
        text += [f"  {name}:", f"    after: [{parents}]", f"    script: {script}"]
    (folder / "w.yaml").write_text("\n".join(text) + "\n")
    return folder / "w.yaml"


def run(engine: Engine, file: Path, **options: Any) -> dict[str, Any]:
    return launch.launch(engine, file, variables=VARIABLES, **options)


def states(engine: Engine, made: dict[str, Any]) -> dict[str, str]:
    assert engine.until_idle(timeout=DEADLINE)
    return {name: state.value for name, state in engine.run(made["run"]).states.items()}


def until(engine: Engine, made: dict[str, Any], job: str, state: State | None) -> None:
    """Step until the job is in that state, or, with None, until there is no such job and no change waits for a host."""
    end = time.monotonic() + DEADLINE
    while (now := engine.run(made["run"]).states.get(job)) is not state or (state is None and engine.run(made["run"]).pending):
        assert time.monotonic() < end, f"{job} is {now}"
        engine.step(0.1)


def test_a_file_is_run_anew_when_its_last_run_has_ended(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="echo hi", b="a | echo ho")
    first = run(engine, file)
    assert states(engine, first) == {"a": "done", "b": "done"}
    second = run(engine, file)
    assert second["run"] != first["run"]
    assert (second["followed"], second["added"]) == (False, ["a", "b"])


def test_a_run_that_goes_on_is_followed_and_follows_its_file(engine: Engine, tmp_path: Path, gate: int) -> None:
    first = run(engine, write(tmp_path, a="read x <gate", b="a | echo old", c="a | echo c"))
    until(engine, first, "a", State.RUNNING)
    second = run(engine, write(tmp_path, a="echo changed", b="a | echo new", d="b | echo d"))
    told = {key: second[key] for key in ("run", "followed", "added", "changed", "removed", "kept")}
    assert told == {"run": first["run"], "followed": True, "added": ["d"], "changed": ["b"], "removed": ["c"], "kept": ["a"]}
    until(engine, first, "c", None)
    os.write(gate, b"go\n")
    assert states(engine, first) == {"a": "done", "b": "done", "d": "done"}
    assert view.log(Path(first["folder"]), "b", attempt=engine.run(first["run"]).attempts["b"][-1].number)[0] == b"new\n"


def test_new_starts_another_although_one_goes_on(engine: Engine, tmp_path: Path, gate: int) -> None:
    file = write(tmp_path, a="read x <gate")
    assert run(engine, file)["run"] != run(engine, file, new=True)["run"]


def test_chosen_jobs_run_without_the_edges_from_others(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="echo a", b="a | echo b", c="b | echo c", d="a | echo d")
    assert states(engine, run(engine, file, jobs=["c", "d"])) == {"c": "done", "d": "done"}
    assert states(engine, run(engine, file, start="b")) == {"b": "done", "c": "done"}


def test_one_way_of_choosing_jobs_is_enough(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="one of them"):
        run(engine, write(tmp_path, a="echo a"), jobs=["a"], start="a")


@pytest.mark.parametrize("options", [{"jobs": ["trian"]}, {"start": "trian"}])
def test_an_unknown_job_is_told_with_the_nearest_one(engine: Engine, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="did you mean 'train'"):
        run(engine, write(tmp_path, train="echo a"), **options)
    assert not list(store.runs())


def test_failed_runs_what_did_not_end_well_with_what_was_skipped_for_it(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="echo a", b="a | test -e ok", c="b | echo c", tidy="'a:failed' | echo tidy")
    assert states(engine, run(engine, file)) == {"a": "done", "b": "failed", "c": "skipped", "tidy": "skipped"}
    (tmp_path / "ok").touch()
    write(tmp_path, a="echo a", b="a | test -e ok", c="b | echo c", tidy="'a:failed' | echo tidy", e="a | echo new")
    assert states(engine, run(engine, file, failed=True)) == {"b": "done", "c": "done", "e": "done"}


def test_failed_leaves_alone_what_an_earlier_run_has_done(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="test -e ok", b="echo b", c="a | echo c")
    assert states(engine, run(engine, file)) == {"a": "failed", "b": "done", "c": "skipped"}
    assert states(engine, run(engine, file, jobs=["b"])) == {"b": "done"}
    (tmp_path / "ok").touch()
    assert states(engine, run(engine, file, failed=True)) == {"a": "done", "c": "done"}
    with pytest.raises(CallError, match="nothing to do"):
        run(engine, file, failed=True)


def test_an_old_run_that_is_damaged_does_not_keep_from_trying_again_what_failed_since(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="test -e ok", b="echo b")
    old = run(engine, file)
    states(engine, old)
    states(engine, run(engine, file))
    journal = Path(old["folder"]) / "journal.yaml"
    journal.write_bytes(journal.read_bytes().replace(b'"state"', b'"stat"', 1))
    (tmp_path / "ok").touch()
    file = write(tmp_path, a="test -e ok", b="echo b", c="echo new")
    assert states(engine, run(engine, file, failed=True)) == {"a": "done", "c": "done"}


def test_a_run_that_has_begun_a_job_otherwise_is_not_gone_on_with_as_a_whole(engine: Engine, tmp_path: Path, gate: int) -> None:
    first = run(engine, write(tmp_path, a="read x <gate", b="a | echo old"))
    until(engine, first, "a", State.RUNNING)
    changed = write(tmp_path, a="echo changed", b="a | echo new")
    with pytest.raises(Conflict, match=f"run {first['run']} goes on, and has begun 'a' as it was .* another run by --new"):
        run(engine, changed, whole=True)
    assert view.status(store.Store.open(Path(first["folder"])))["jobs"]["b"]["state"] != "done"
    assert run(engine, changed, jobs=["b"], whole=True)["changed"] == ["b"], "which is not begun, and was not changed before"


def test_failed_with_nothing_to_do_says_so(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="echo a")
    with pytest.raises(CallError, match="has not been run yet"):
        run(engine, file, failed=True)
    states(engine, run(engine, file))
    with pytest.raises(CallError, match="nothing to do: all 1 jobs of workflow 'w' are done"):
        run(engine, file, failed=True)


def test_failed_tries_again_within_a_run_that_goes_on(engine: Engine, tmp_path: Path, gate: int) -> None:
    file = write(tmp_path, a="read x <gate", b="test -e ok")
    made = run(engine, file)
    until(engine, made, "b", State.FAILED)
    until(engine, made, "a", State.RUNNING)
    (tmp_path / "ok").touch()
    assert run(engine, file, failed=True)["run"] == made["run"]
    until(engine, made, "b", State.DONE)


def test_chosen_jobs_of_a_run_that_goes_on_leave_the_rest_untouched(engine: Engine, tmp_path: Path, gate: int) -> None:
    first = run(engine, write(tmp_path, a="read x <gate", b="a | echo old", c="a | echo old"))
    until(engine, first, "a", State.RUNNING)
    second = run(engine, write(tmp_path, b="echo new", d="b | echo d", e="echo e"), jobs=["b", "d"])
    assert (second["run"], second["added"], second["changed"], second["removed"]) == (first["run"], ["d"], ["b"], [])
    os.write(gate, b"go\n")
    assert states(engine, first) == {"a": "done", "b": "done", "c": "done", "d": "done"}


def test_every_problem_of_a_file_is_told_and_nothing_is_made(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        run(engine, write(tmp_path, a="x | echo a", b="y | echo b"))
    assert len(caught.value.problems) == 2
    assert not (tmp_path / "w.runs").exists()


def test_an_unknown_host_is_a_problem_of_the_definition(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="echo a")
    file.write_text(file.read_text() + "    host: locl\n")
    with pytest.raises(DefinitionError, match="job 'a': host 'locl' is not known; did you mean 'local'"):
        run(engine, file)


def test_an_unknown_host_is_told_with_its_line_and_how_it_is_added(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("jobs:\n  a: true\n  b:\n    host: far\n    sweep: {x: [1, 2]}\n    script: echo\n")
    with pytest.raises(DefinitionError) as told:
        run(engine, tmp_path / "w.yaml")
    (problem,) = told.value.problems
    assert (problem.file, problem.line) == (str(tmp_path / "w.yaml"), 4)
    assert problem.message.endswith("or by 'hybridnb hosts add far'")


def test_what_is_wrong_with_a_host_is_told_with_the_job_that_goes_there(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text("hosts:\n  far: {adress: x}\n")
    (tmp_path / "w.yaml").write_text("jobs:\n  a: {host: far, script: echo}\n")
    with pytest.raises(
        DefinitionError, match=r"w.yaml:2: job 'a' goes to host 'far', whose .* wrong: .*hosts.yaml:2: 'adress' is not"
    ):
        run(engine, tmp_path / "w.yaml")


def test_hosts_and_scripts_of_jobs_that_are_not_chosen_do_not_matter(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("jobs:\n  a: {host: gone, script: echo}\n  b: {script: gone.sh}\n  c: gone.py\n  d: echo d\n")
    assert states(engine, run(engine, file, jobs=["d"])) == {"d": "done"}
    with pytest.raises(DefinitionError, match=r"w.yaml:3: script of job 'b': there is no file 'gone.sh'"):
        run(engine, file, jobs=["b", "d"])
    with pytest.raises(DefinitionError) as told:
        run(engine, file)
    assert [(problem.line, problem.message.partition(":")[0]) for problem in told.value.problems] == [
        (2, "job 'a'"),
        (3, "script of job 'b'"),
        (4, "script of job 'c'"),
    ]


def test_a_request_made_again_starts_nothing_twice(engine: Engine, tmp_path: Path) -> None:
    file = write(tmp_path, a="echo a")
    first = run(engine, file, new=True, request="r1")
    other = run(engine, file, new=True, request="r2")
    assert run(engine, file, new=True, request="r1", again=True)["run"] == first["run"]
    states(engine, first)
    assert run(engine, file, request="r2", again=True)["run"] == other["run"]
    assert len(list(store.runs())) == 2


def test_a_request_to_follow_made_again_after_the_run_has_ended_starts_nothing(engine: Engine, tmp_path: Path, gate: int) -> None:
    file = write(tmp_path, a="read x <gate")
    made = run(engine, file)
    assert run(engine, file, request="r1")["followed"]
    os.write(gate, b"go\n")
    states(engine, made)
    assert run(engine, file, request="r1", again=True)["run"] == made["run"]


def test_a_run_of_another_process_is_not_written_and_its_holder_named(engine: Engine, tmp_path: Path, gate: int) -> None:
    file = write(tmp_path, a="read x <gate")
    made = run(engine, file)
    engine.step(0.1)
    engine.drop(made["run"])
    hold = "import sys, pathlib; from hybridnb.store import Store; s = Store.open(pathlib.Path(sys.argv[1]), write=True); print(); input()"
    command = [sys.executable, "-c", hold, made["folder"]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as other:
        assert other.stdout and other.stdout.readline()
        before = Path(made["folder"], "journal.yaml").read_bytes()
        with pytest.raises(RunBusy, match=rf"process {other.pid} .*--new"):
            run(engine, file)
        with pytest.raises(RunBusy, match=f"process {other.pid}"):
            launch.cancel(engine, made["run"])
        assert Path(made["folder"], "journal.yaml").read_bytes() == before
        other.kill()
    assert run(engine, file)["followed"]


ROOT = Path(__file__).parent.parent


def test_a_retry_of_a_run_that_has_ended_gets_its_variables_again_and_is_resumed_by_others(engine: Engine, tmp_path: Path) -> None:
    made = run(engine, write(tmp_path, a='test "$MARK" = yes'))
    assert states(engine, made) == {"a": "failed"}
    assert not environment.path(made["run"]).exists()
    assert launch.retry(engine, made["run"], variables={**VARIABLES, "MARK": "yes"}) == ["a"]
    assert [folder.name for folder in store.active()] == [made["run"]]
    assert states(engine, made) == {"a": "done"}
    assert not list(store.active())


def test_a_retry_made_again_tries_once(engine: Engine, tmp_path: Path) -> None:
    made = run(engine, write(tmp_path, a="echo x >>tries; false"))
    states(engine, made)
    assert launch.retry(engine, made["run"], variables=VARIABLES, request="r1") == ["a"]
    states(engine, made)
    assert launch.retry(engine, made["run"], variables=VARIABLES, request="r1", again=True) == []
    states(engine, made)
    assert (tmp_path / "tries").read_text() == "x\n" * 2


def test_jobs_are_added_changed_and_removed_one_by_one(engine: Engine, tmp_path: Path, gate: int) -> None:
    made = run(engine, write(tmp_path, a="read x <gate", b="a | echo b", c="b | echo c"))
    until(engine, made, "a", State.RUNNING)
    assert launch.define(engine, made["run"], "d", {"after": ["a"], "script": "echo d"})["added"] == ["d"]
    assert launch.define(engine, made["run"], "a", {"script": "echo other"})["kept"] == ["a"]
    assert launch.remove(engine, made["run"], "b")["removed"] == ["b"]
    until(engine, made, "b", None)
    os.write(gate, b"go\n")
    assert states(engine, made) == {"a": "done", "c": "done", "d": "done"}
    with pytest.raises(CallError, match="has ended"):
        launch.define(engine, made["run"], "e", {"script": "echo e"})


def test_a_job_that_something_running_waited_for_can_be_removed(engine: Engine, tmp_path: Path, gate: int) -> None:
    made = run(engine, write(tmp_path, a="false", z="read x <gate"))
    until(engine, made, "a", State.FAILED)
    launch.define(engine, made["run"], "b", {"after": ["a"], "script": "echo b"})
    until(engine, made, "b", State.SKIPPED)
    launch.define(engine, made["run"], "c", {"after": ["b:any"], "script": "read x <gate"})
    until(engine, made, "c", State.RUNNING)
    assert launch.remove(engine, made["run"], "b") == {"added": [], "changed": [], "removed": ["b"], "kept": ["c"]}
    engine.execution(made["run"]).store.snapshot(force=True)
    os.write(gate, b"go\n" * 2)
    assert states(engine, made) == {"a": "failed", "z": "done", "c": "done"}


@pytest.mark.parametrize(
    "mapping", [{"script": "echo"}, {"scrpt": "echo"}, {"script": "echo", "after": ["nobody"]}, {"script": "\ud800"}]
)
def test_a_wrong_job_changes_nothing(engine: Engine, tmp_path: Path, gate: int, mapping: dict[str, Any]) -> None:
    made = run(engine, write(tmp_path, a="read x <gate"))
    with pytest.raises(DefinitionError):
        launch.define(engine, made["run"], "../b" if mapping == {"script": "echo"} else "b", mapping)
    assert list(engine.run(made["run"]).jobs) == ["a"]


def test_only_a_run_that_has_ended_is_deleted(engine: Engine, tmp_path: Path, gate: int) -> None:
    made = run(engine, write(tmp_path, a="read x <gate"))
    with pytest.raises(CallError, match="has not ended"):
        launch.delete(engine, made["run"])
    os.write(gate, b"go\n")
    states(engine, made)
    launch.delete(engine, made["run"])
    assert not Path(made["folder"]).exists()
    assert not list(store.runs())
    with pytest.raises(NotFound):
        launch.delete(engine, made["run"])


def test_a_run_with_nothing_to_try_again_rests_on(engine: Engine, tmp_path: Path) -> None:
    made = run(engine, write(tmp_path, a="echo hi"))
    states(engine, made)
    before = store.Store.open(Path(made["folder"])).sequence
    assert launch.retry(engine, made["run"], variables=VARIABLES) == []
    with pytest.raises(NotFound):
        launch.retry(engine, made["run"], ["b"], variables=VARIABLES)
    assert not store.listed(Path(made["folder"]))
    assert not environment.path(made["run"]).exists()
    assert store.Store.open(Path(made["folder"])).sequence == before
