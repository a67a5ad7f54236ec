"""The Python interface: a workflow's file, its runs and their jobs, with the real service and an engine in this process."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from IPython.lib.pretty import pretty
from testbed.processes import until

import hybridnb
from hybridnb import Job, Run, State, Workflow, hosts, runs
from hybridnb.api import Log, RunGroup, RunJob
from hybridnb.errors import CallError, Conflict, DefinitionError, NotFound, RunFailed, StoreError
from hybridnb.model import Resources
from hybridnb.service import process

ROOT = Path(__file__).parent.parent
DEADLINE = 60.0  # seconds
MODULES = [f"hybridnb.api.{path.stem}".removesuffix(".__init__") for path in sorted((ROOT / "hybridnb/api").glob("*.py"))]


class Gate:
    """Lets jobs that say `read x <gate` go on, one by one."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)

    def open(self, times: int = 1) -> None:
        os.write(self._fd, b"go\n" * times)

    def close(self) -> None:
        self.open(100)
        os.close(self._fd)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path / "gate")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def workflow(**jobs: Any) -> Workflow:
    """Make a workflow of commands, or of fields."""
    made = Workflow("w.yaml")
    for name, fields in jobs.items():
        made.add(name, **({"exec": fields} if isinstance(fields, str) else fields))
    return made


def job(run: Run, name: str) -> RunJob:
    return run.jobs[name]


def kill_service() -> int:
    address = process.find()
    assert address
    os.kill(address.pid, signal.SIGKILL)
    process.wait_for_end(address, timeout=DEADLINE)
    return address.pid


def test_a_run_that_goes_on_with_a_job_as_it_was_is_a_warning_and_to_wait_for_it_a_conflict(gate: Gate) -> None:
    workflow = Workflow("late.yaml")
    workflow.add("a", script="read x <gate")
    run = workflow.run()
    until(lambda: run["a"].state is State.RUNNING, "it runs")
    workflow.add("a", script="echo otherwise")
    with pytest.raises(Conflict, match="new=True"):
        workflow.run(wait=True)
    with pytest.warns(UserWarning, match=f"run {run.id} goes on with a as before the last change"):
        assert workflow.run() == run
    gate.open()
    run.wait()


@pytest.mark.parametrize("module", MODULES)
def test_every_example_is_true(module: str) -> None:
    told = doctest.testmod(importlib.import_module(module), raise_on_error=False)
    assert told.failed == 0


def test_the_example_in_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    section = (ROOT / "README.md").read_text().partition("\n## From Python\n")[2].partition("\n## ")[0]
    program, output = re.findall(r"^```(?:python)?\n(.*?)^```", section, re.M | re.S)
    exec(program, {})
    assert re.sub(r"\d\.\d\d s", "0.01 s", capsys.readouterr().out) == output


def test_every_public_class_and_function_has_an_example() -> None:
    named = (getattr(hybridnb, name) for name in ("Run", "Workflow", "hosts", "runs"))
    assert [thing for thing in (*named, RunJob, RunGroup) if ">>> " not in (thing.__doc__ or "")] == []


# -- a workflow's file ----------------------------------------------------------------------------------------------------
def test_what_is_in_a_workflow_is_what_its_file_says_now(folder: Path) -> None:
    made = workflow(a="true")
    (folder / "w.yaml").write_text("name: other\njobs:\n  b: {exec: 'true', after: [c]}\n  c: {exec: 'true'}\n")
    assert (made.name, list(made), len(made), "a" in made, made["b"].parents) == ("other", ["b", "c"], 2, False, ("c",))
    with pytest.raises(NotFound, match="workflow 'other' has no job 'a'"):
        made["a"]
    assert made.get("a") is None


def test_an_edit_leaves_what_others_wrote(folder: Path) -> None:
    (folder / "w.yaml").write_text("# mine\njobs:\n  a:\n    exec: echo a   # loud\n")
    made = Workflow.load("w.yaml")
    made.add("b", exec="true", after="a")
    made.rename("a", "first")
    text = (folder / "w.yaml").read_text()
    assert "# mine" in text
    assert "echo a   # loud" in text
    assert [str(d) for d in Workflow("w.yaml")["b"].after] == ["first"]


def test_edges_are_made_changed_and_taken_away(folder: Path) -> None:
    made = workflow(a="true", b="true")
    made.connect("a", "b")
    made.connect("a", "b", kind=hybridnb.Kind.ANY)
    assert [str(d) for d in made["b"].after] == ["a:any"]
    with pytest.raises(DefinitionError, match="wait for each other"):
        made.connect("b", "a")
    with pytest.raises(NotFound, match="no job 'c'"):
        made.connect("c", "b")
    with pytest.raises(DefinitionError, match="one of ok, any, failed, not 'fail'; did you mean 'failed'"):
        made.connect("a", "b", kind="fail")
    made.disconnect("a", "b")
    assert made["b"].after == ()
    with pytest.raises(NotFound, match="'b' does not wait for 'a'; it waits for nothing"):
        made.disconnect("a", "b")
    made.remove("a")
    assert list(made) == ["b"]


def test_a_job_is_added_as_it_is_or_by_its_fields_but_not_by_both() -> None:
    made = workflow()
    assert made.add(Job("a", exec="true")) == made["a"]
    assert made.add("a", exec="false", resources={"gpus": 1}).resources.gpus == "1"
    with pytest.raises(CallError, match="'b' has both"):
        made.add(Job("b", exec="true"), host="rivanna")
    with pytest.raises(DefinitionError, match="did you mean 'exec'"):
        made.add("b", exce="true")
    assert list(made) == ["a"]


def test_a_job_as_an_object_asks_for_nothing_that_sbatch_cannot_read(folder: Path) -> None:
    with pytest.raises(DefinitionError, match="mem in resources of job 'a': expected a whole number of megabytes"):
        Workflow("new.yaml").add(Job("a", exec="true", resources=Resources(mem="lots")))
    assert not (folder / "new.yaml").exists()


def test_a_file_that_must_be_there_is_loaded_with_all_its_problems_or_near_names(folder: Path) -> None:
    workflow(a="true")
    assert Workflow.load("w.yaml") == Workflow(folder / "w.yaml")
    with pytest.raises(NotFound, match=r"did you mean 'w.yaml'"):
        Workflow.load("v.yaml")
    (folder / "w.yaml").write_text("jobs:\n  a: {exce: x}\n  b: {exec: 'true', after: [x]}\n")
    with pytest.raises(DefinitionError) as error:
        Workflow.load("w.yaml")
    assert len(error.value.problems) > 1


def test_workflows_show_shortly_what_they_are(folder: Path) -> None:
    assert repr(Workflow(folder / "new.yaml")) == "Workflow('new.yaml', 0 jobs)"
    assert Workflow("new.yaml"), "it is there, though it is empty"
    assert repr(workflow(a="true")) == "Workflow('w.yaml', 1 job)"
    (folder / "w.yaml").write_text("jobs: [")
    assert repr(Workflow("w.yaml")).startswith("<Workflow: ")


def test_pictures_are_returned_and_written(folder: Path) -> None:
    made = workflow(a="true")
    assert made.svg("a.svg") == (folder / "a.svg").read_text()
    run = made.run(here=True)
    assert "a is done" in run.svg("b.svg", label="{name} is {state}")
    with pytest.raises(CallError, match="cannot be written"):
        made.svg(folder / "none" / "a.svg")
    with pytest.raises(CallError, match=r"a picture is written as \.svg"):
        made.svg(folder)
    with pytest.raises(CallError, match="name"):
        run.svg(label="{nmae}")


# -- running --------------------------------------------------------------------------------------------------------------
def test_a_run_can_be_moved_by_this_process_without_a_service() -> None:
    run = workflow(a="echo hi", b={"exec": "exit 3", "after": "a"}).run(here=True)
    assert (run.state, run.ended, process.find()) == (State.FAILED, True, None)
    with pytest.raises(RunFailed):
        workflow().run(here=True, wait=True)


def test_some_jobs_are_run_and_a_going_run_is_followed(gate: Gate) -> None:
    made = workflow(a="read x <gate", b={"exec": "true", "after": "a"}, c="true")
    run = made.run(start="a")
    assert list(run) == ["a", "b"]
    assert made.run(jobs="a") == run
    other = made.run(new=True, jobs=["c"], wait=True)
    assert (other.counts, made.runs(), made.latest) == ({State.DONE: 1}, [other, run], other)
    gate.open()
    run.wait(DEADLINE)
    with pytest.raises(NotFound, match="no job 'd'"):
        made.run(jobs=["d"])
    with pytest.raises(CallError, match="each choose the jobs"):
        made.run(failed=True, jobs=["a"])


def test_everything_that_is_known_of_a_run_is_told(folder: Path) -> None:
    begun = datetime.now(timezone.utc) - timedelta(seconds=1)
    run = workflow(a={"exec": "echo '# hybridnb progress=50 loss=0.5'; exit 3", "params": {"lr": 0.1}}).run().wait(check=False)
    assert (run.name, run.file, run.state, run.counts) == ("w", folder / "w.yaml", State.FAILED, {State.FAILED: 1})
    assert run.ended_at
    assert begun < run.created_at < run.ended_at < datetime.now(timezone.utc) + timedelta(seconds=1)
    assert (run.params, run.status()["state"], run.folder.parent) == ({"a": {"lr": 0.1}}, "failed", folder / "w.runs")
    a = job(run, "a")
    assert (a.host, a.attempt, a.exit_code, a.reason, a.progress) == ("local", 1, 3, "exit code 3", 50.0)
    assert (a.metrics, a.params, a.folder) == ({"loss": 0.5}, {"lr": 0.1}, run.folder / "jobs/a/1")
    assert a.native_id
    assert a.submitted_at
    assert a.started_at
    assert a.ended_at
    assert a.elapsed == pytest.approx((a.ended_at - a.started_at).total_seconds())
    assert repr(run) == f"Run('{run.id}', w, failed: 1 failed)"
    assert repr(a) == f"RunJob('a', failed, run {run.id})"


def test_a_job_that_has_not_begun_has_nothing_to_tell(folder: Path, gate: Gate) -> None:
    (folder / "hosts.yaml").write_text("hosts:\n  other: {slots: 1}\n")
    run = workflow(a="read x <gate", b={"exec": "true", "after": "a", "host": "other"}).run()
    b = job(run, "b")
    assert (b.state, b.attempt, b.elapsed, b.folder, b.outputs, b.log()) == (State.WAITING, 0, None, None, [], "")
    assert (run.ended_at, run.ended) == (None, False)
    run.cancel()
    run.wait(DEADLINE, check=False)
    assert run.state is State.CANCELLED


def test_outputs_are_the_files_that_were_recorded_and_only_those_inside(folder: Path) -> None:
    made = Workflow(folder / "in/w.yaml")
    (folder / "in").mkdir()
    (folder / "out.txt").write_text("x")
    made.add("a", exec="mkdir d; echo 1 >d/x; echo 2 >y", outputs=["d", "y", "../out.txt"])
    run = made.run(here=True)
    assert job(run, "a").outputs == [folder / "in/d/x", folder / "in/y"]


def test_the_log_of_each_attempt_is_a_text_that_a_notebook_shows_as_it_is(folder: Path) -> None:
    script = "echo bad >&2; [ -f tried ] && printf 'two\\n\\377' || { touch tried; echo one; exit 3; }"
    a = job(workflow(a={"exec": script, "retries": 1}).run(here=True), "a")
    assert (a.attempt, a.log(), a.log(attempt=1), a.log("err")) == (2, "two\n\ufffd", "one\n", "bad\n")
    assert isinstance(a.log(), Log)
    assert pretty(a.log()) == "two\n\ufffd"  # type: ignore[no-untyped-call]
    with pytest.raises(NotFound, match="'a' has no attempt 7; there are 2 attempts"):
        a.log(attempt=7)
    with pytest.raises(CallError, match="not 'both'"):
        a.log("both")


# -- the present truth ----------------------------------------------------------------------------------------------------
def test_a_run_that_is_over_is_read_without_a_service() -> None:
    run = workflow(a="echo hi").run(wait=True)
    address = process.find()
    assert address
    process.stop(address)
    again = Run.find(run.id)
    assert (again, again.state, again.wait(), job(again, "a").log()) == (run, State.DONE, run, "hi\n")
    assert process.find() is None


def test_a_run_is_found_by_id_folder_and_file(folder: Path) -> None:
    run = workflow(a="true").run(here=True)
    assert Run.find(run.id) == Run.find(run.folder) == Run.find("w.yaml") == Run(run.folder)
    assert len({run, Run.find(run.id)}) == 1
    with pytest.raises(NotFound, match="there is no run"):
        Run.find("w")


def test_a_run_tells_how_it_stands_also_from_a_moved_folder(folder: Path) -> None:
    run = workflow(a="exit 3").run(here=True)
    assert run.ended
    moved = Run.find(shutil.move(run.folder, folder / "archive"))
    assert (moved.id, moved.state, job(moved, "a").exit_code) == (run.id, State.FAILED, 3)
    with pytest.raises(RunFailed, match=rf"try again: hybridnb retry {folder}/archive"):
        moved.wait()
    with pytest.raises(NotFound, match="no run here any more"):
        _ = run.state
    assert repr(run).startswith("<Run: ")
    assert run.id == moved.id


def test_a_damaged_journal_is_an_error_but_a_torn_line_is_not() -> None:
    run = workflow(a="true").run(here=True)
    journal = run.folder / "journal.yaml"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines) + lines[-1][:20])
    assert Run(run.folder).state is State.DONE
    journal.write_bytes(b"".join([*lines[:3], b"xx" + lines[3], *lines[4:]]))
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged here"):
            _ = Run(run.folder).state
    assert "damaged" in repr(Run(run.folder))
    journal.write_bytes(b"")
    with pytest.raises(NotFound, match="never began"):
        _ = Run(run.folder).state


def test_what_is_new_in_the_journal_is_in_the_next_answer(gate: Gate) -> None:
    run = workflow(a="read x <gate", b={"exec": "read x <gate", "after": "a"}).run()
    gate.open()
    run["a"].wait(DEADLINE)
    assert (job(run, "a").state, run.state, run.ended) == (State.DONE, State.RUNNING, False)
    gate.open()
    assert run.wait(DEADLINE).counts == {State.DONE: 2}


def test_several_threads_may_ask_a_run_that_goes_on(gate: Gate) -> None:
    names = [f"j{n}" for n in range(20)]
    run = workflow(**dict.fromkeys(names, "read x <gate")).run()

    def ask(_: int) -> bool:
        told = []
        while not run.ended:
            told.append(sum(run.counts.values()))
        return set(told) <= {20}

    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(ask, range(4))
        gate.open(20)
        assert all(asked)
    assert run.counts == {State.DONE: 20}


# -- waiting --------------------------------------------------------------------------------------------------------------
def test_a_run_that_failed_says_what_why_with_which_last_words_and_how_to_try_again() -> None:
    loud = "for n in $(seq 20); do echo line $n; done; exit 3"
    fields = {f"f{n}": loud for n in range(6)}
    quiet = "echo out; printf '\\033[31mwrong\\033[0m\\n' >&2; exit 4"
    run = workflow(good="true", **fields, below={"exec": "true", "after": "f0"}, quiet=quiet).run()
    with pytest.raises(RunFailed) as error:
        run.wait(DEADLINE)
    text = str(error.value)
    assert (error.value.run, set(error.value.jobs)) == (run.id, {*fields, "quiet"})
    assert text.startswith(f"run {run.id} of w failed (1 done, 7 failed, 1 skipped)\n")
    assert "f0 failed (exit code 3" in text
    assert "    line 20\n" in text
    assert "    line 11\n" in text
    assert "    line 10\n" not in text
    assert "f5" not in text
    assert text.endswith(
        f"\n\nrecord: w.runs/{run.id}\n2 more jobs failed: hybridnb status {run.id}\ntry again: hybridnb retry {run.id}"
    )
    with pytest.raises(RunFailed, match=rf"^'quiet' of run {run.id} of w failed[^£]*    wrong\n"):
        run["quiet"].wait()
    with pytest.raises(RunFailed, match=r"^'below' of run .* was skipped .*\nwhat it waits for ended otherwise\n"):
        run["below"].wait()
    assert run["good"].wait() == run["good"]


def test_a_run_that_was_cancelled_did_not_end_well(gate: Gate) -> None:
    run = workflow(a="read x <gate", b={"exec": "true", "after": "a"}).run()
    assert set(run.cancel()) == {"a", "b"}
    with pytest.raises(RunFailed, match=rf"was cancelled \(2 cancelled\)[^£]*try again: hybridnb retry {run.id}"):
        run.wait(DEADLINE)


def test_the_wait_for_a_run_has_an_end_when_the_time_is_up(gate: Gate) -> None:
    run = workflow(a="read x <gate").run()
    for seconds in (0, 0.1):
        with pytest.raises(TimeoutError, match=rf"Run\('{run.id}', w, .*\) has not ended within {seconds} s; it goes on"):
            run.wait(seconds)
    with pytest.raises(TimeoutError, match=r"RunJob\('a'"):
        run["a"].wait(0)
    gate.open()
    assert run.wait(DEADLINE).state is State.DONE


def test_ctrl_c_ends_the_wait_and_the_run_goes_on(gate: Gate) -> None:
    run = workflow(a="read x <gate").run()
    main = threading.get_ident()
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=f"^interrupted: run {run.id} goes on; ") as interrupt:
        timer.start()
        run.wait(DEADLINE)
    assert type(interrupt.value) is KeyboardInterrupt, "by which Python ends as one that was interrupted"
    gate.open()
    assert run.wait(DEADLINE).state is State.DONE


def test_the_wait_takes_a_run_on_when_the_service_was_killed(gate: Gate) -> None:
    run = workflow(a="read x <gate", b={"exec": "true", "after": "a"}).run()
    killed = kill_service()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.wait, DEADLINE)
        gate.open()
        assert waiting.result().state is State.DONE
    address = process.find()
    assert address
    assert address.pid != killed


def test_what_failed_is_tried_again_and_waited_for_again(folder: Path) -> None:
    run = workflow(a="ls ready", b={"exec": "true", "after": "a"}).run().wait(check=False)
    (folder / "ready").touch()
    assert set(run["a"].retry()) == {"a", "b"}
    assert run.wait(DEADLINE).counts == {State.DONE: 2}
    assert (job(run, "a").attempt, job(run, "a").log()) == (2, "ready\n")
    assert job(run, "a").log("err", attempt=1)


def test_runs_are_awaited_together_and_a_failure_is_raised(gate: Gate) -> None:
    made = workflow(a="read x <gate", b="exit 3")

    async def both() -> tuple[Run | BaseException, Run | BaseException]:
        first, second = made.run(jobs=["a"]), made.run(new=True, jobs=["b"])
        gate.open()
        return await asyncio.gather(_await(first), _await(second), return_exceptions=True)

    first, second = asyncio.run(asyncio.wait_for(both(), DEADLINE))
    assert isinstance(first, Run)
    assert first.state is State.DONE
    assert isinstance(second, RunFailed)


async def _await(run: Run) -> Run:
    return await run


def test_who_gives_up_waiting_in_an_event_loop_can_end_at_once(folder: Path, gate: Gate) -> None:
    run = workflow(a="read x <gate").run()
    program = """
import asyncio, sys
from hybridnb import Run
async def main():
    run = Run(sys.argv[1])
    async def wait():
        await run
    try:
        await asyncio.wait_for(wait(), 0.2)
    except asyncio.TimeoutError:
        print("left", run.state)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, run.folder],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment,
    )
    assert (told.returncode, told.stdout.split()[0], told.stderr) == (0, "left", "")
    assert not run.ended


def test_an_awaited_run_that_is_let_go_says_so_and_nothing_of_asyncio_is_put_out(gate: Gate) -> None:
    run = workflow(a="read x <gate").run()

    async def let_go() -> None:
        waiting = asyncio.ensure_future(_await(run))
        await asyncio.sleep(0)  # it has begun then
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError, match=f"^interrupted: run {run.id} goes on; ") as cancelled:
            await waiting
        assert type(cancelled.value) is asyncio.CancelledError, "for which asyncio.timeout looks"
        assert cancelled.value._render_traceback_() == [str(cancelled.value)]  # type: ignore[attr-defined]

    asyncio.run(let_go())
    gate.open()
    assert run.wait(DEADLINE).state is State.DONE


# -- sweeps ---------------------------------------------------------------------------------------------------------------
def test_the_jobs_of_a_sweep_are_seen_together(folder: Path, gate: Gate) -> None:
    script = 'read x <gate; echo "# hybridnb score=$lr"; echo wrong >&2; touch $lr'
    fields = {"exec": script, "sweep": {"lr": [1, 2]}, "outputs": ["{lr}"]}
    run = workflow(fit=fields, after={"exec": "read x <gate", "after": "fit"}).run()
    group = run["fit"]
    assert isinstance(group, RunGroup)
    assert (list(group), len(group), "fit-lr=1" in group) == (["fit-lr=1", "fit-lr=2"], 2, True)
    assert group["fit-lr=1"] == run["fit-lr=1"]
    assert group.params == {"fit-lr=1": {"lr": 1}, "fit-lr=2": {"lr": 2}}
    assert group.outputs == {"fit-lr=1": [], "fit-lr=2": []}
    with pytest.raises(NotFound, match="'fit' has no job 'fit-lr=3'; did you mean 'fit-lr="):
        group["fit-lr=3"]
    with pytest.raises(NotFound, match="has no job 'fti'; did you mean 'fit'"):
        run["fti"]
    gate.open(2)
    assert group.wait(DEADLINE) == run["fit"]
    assert (group.state, group.counts, run.ended) == (State.DONE, {State.DONE: 2}, False)
    assert group.metrics == {"fit-lr=1": {"score": 1}, "fit-lr=2": {"score": 2}}
    assert group.elapsed == {name: member.elapsed for name, member in group.items()}
    assert group.outputs == {"fit-lr=1": [folder / "1"], "fit-lr=2": [folder / "2"]}
    assert group.log() == {name: f"# hybridnb score={name[-1]}\n" for name in group}
    assert group.log("err") == dict.fromkeys(group, "wrong\n")
    assert repr(group) == f"RunGroup('fit', done: 2 done, run {run.id})"
    run.cancel("after")
    run.wait(DEADLINE, check=False)


def test_a_sweep_is_cancelled_and_tried_again_as_one(gate: Gate) -> None:
    run = workflow(fit={"exec": "read x <gate", "sweep": {"lr": [1, 2]}}).run()
    assert run["fit"].cancel() == ["fit-lr=1", "fit-lr=2"]
    with pytest.raises(RunFailed, match=r"^'fit' of run .* was cancelled") as error:
        run["fit"].wait(DEADLINE)
    assert error.value.jobs == ("fit-lr=1", "fit-lr=2")
    run.wait(DEADLINE, check=False)
    assert run["fit"].retry() == ["fit-lr=1", "fit-lr=2"]
    gate.open(2)
    assert run.wait(DEADLINE).state is State.DONE


# -- lists ----------------------------------------------------------------------------------------------------------------
def test_runs_are_listed_by_file_or_all_newest_first(folder: Path) -> None:
    first = workflow(a="true").run(here=True)
    other = Workflow("other.yaml")
    other.add("b", exec="true")
    second = other.run(here=True)
    assert (runs("w.yaml"), runs(), other.latest, Workflow("none.yaml").latest) == ([first], [second, first], second, None)


def test_the_hosts_of_this_folder_are_listed_too(folder: Path) -> None:
    (folder / "hosts.yaml").write_text("hosts:\n  one: {slots: 1}\n")
    assert hosts()["one"]["slots"] == 1


# -- the root -------------------------------------------------------------------------------------------------------------
def test_hosts_stays_a_function_when_the_package_of_that_name_is_loaded() -> None:
    program = "import hybridnb.hosts.config, hybridnb; print(callable(hybridnb.hosts)); from hybridnb.hosts import config; print(config.__name__)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == ["True", "hybridnb.hosts.config"]


def test_a_notebook_shows_the_end_of_a_very_long_log() -> None:
    log = Log("x" * 300_000 + "the end")
    text: str = pretty(log)  # type: ignore[no-untyped-call]
    assert len(text) < 110_000
    assert text.startswith("… 200,007 characters before this")
    assert text.endswith("the end")
    assert len(log) == 300_007
