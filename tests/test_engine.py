"""The engine on this machine: real runners, real scripts, killed and cut at every step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from hybridnb import environment
from hybridnb import home as home_folder
from hybridnb.engine import Engine
from hybridnb.errors import NotFound, RunBusy, StoreError
from hybridnb.hosts.config import Hosts
from hybridnb.hosts.host import PlainHost
from hybridnb.model import Dependency, Job, Kind, Workflow
from hybridnb.run import Run, State
from hybridnb.store import Store, listed

DEADLINE = 60.0  # seconds


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def job(name: str, script: str = "true", *after: str, **fields: object) -> Job:
    return Job(name, script=script, after=tuple(map(Dependency.parse, after)), **fields)  # type: ignore[arg-type]


def start(engine: Engine, folder: Path, *jobs: Job) -> Store:
    return engine.create(Workflow.of("test", jobs), folder / "test.yaml")


def until(engine: Engine, what: Callable[[], bool]) -> None:
    """Step until something holds."""
    end = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < end, "the deadline passed"
        engine.step(0.2)


def finish(engine: Engine) -> None:
    assert engine.until_idle(timeout=DEADLINE)


def states(run: Run) -> dict[str, str]:
    return {name: state.value for name, state in run.states.items()}


def test_each_job_ends_in_the_state_that_its_evidence_tells(engine: Engine, tmp_path: Path) -> None:
    store = start(
        engine,
        tmp_path,
        job("good"),
        job("bad", "exit 3"),
        job("below", "true", "bad"),
        job("handler", "true", "bad:failed"),
        job("anyway", "true", "below:any"),
        job("slow", "sleep 60", timeout=1),
        job("forgetful", "true", outputs=("never.csv",)),
    )
    finish(engine)
    assert states(store.run) == {
        "good": "done",
        "bad": "failed",
        "below": "skipped",
        "handler": "done",
        "anyway": "done",
        "slow": "failed",
        "forgetful": "failed",
    }
    assert store.run.state is State.FAILED
    bad = store.run.attempt("bad")
    assert bad and (bad.exit_code, bad.reason) == (3, "exit code 3")
    assert bad.submitted_at and bad.started_at and bad.ended_at
    assert bad.submitted_at <= bad.started_at <= bad.ended_at


def test_a_run_that_is_opened_again_is_the_same(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a", "echo '# hybridnb progress=50 loss=0.5'"), job("b", "exit 1", "a", retries=1))
    finish(engine)
    assert Store.open(store.folder).run == store.run


def test_retries_are_attempts_of_their_own(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a", "[ $HYBRIDNB_ATTEMPT = 3 ]", retries=4), job("b", "true", "a"))
    finish(engine)
    assert [(a.number, a.state, a.exit_code) for a in store.run.attempts["a"]] == [
        (1, State.FAILED, 1),
        (2, State.FAILED, 1),
        (3, State.DONE, 0),
    ]
    assert states(store.run) == {"a": "done", "b": "done"}


def test_who_hears_of_the_end_finds_the_snapshot_written(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    commit = Store.commit

    def told_by_the_snapshot(store: Store, *, sync: bool = False) -> None:
        if store.run.ended_at:
            told.append(yaml.safe_load((store.folder / "run.yaml").read_text())["state"])
        commit(store, sync=sync)

    monkeypatch.setattr(Store, "commit", told_by_the_snapshot)
    start(engine, tmp_path, job("a"))
    finish(engine)
    assert set(told) == {"done"}


def test_scripts_get_params_environment_and_folder(engine: Engine, tmp_path: Path) -> None:
    script = 'printf "%s|%s|%s|%s|%s\\n" "$lr" "$note" "$COLOUR" "$PWD" "$HYBRIDNB_JOB"; cat "$HYBRIDNB_PARAMS"'
    hostile = 'it\'s "$(touch pwned)" `id` \\ ☃\nline'
    store = start(
        engine, tmp_path, job("a", script, params={"lr": 0.1, "note": hostile, "deep": [1, {"x": None}]}, env={"COLOUR": "r e d"})
    )
    finish(engine)
    attempt = store.run.attempt("a")
    assert attempt
    head, _, params = store.log(attempt).read_text().partition("{")
    assert head == f"0.1|{hostile}|r e d|{tmp_path}|a\n"
    assert json.loads("{" + params) == {"lr": 0.1, "note": hostile, "deep": [1, {"x": None}]}
    assert not (tmp_path / "pwned").exists()


def test_the_language_is_chosen_by_shebang_or_suffix(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "beside.py").write_text("answer = 42\n")
    (tmp_path / "lib" / "main.py").write_text("import beside; print(beside.answer)\n")
    (tmp_path / "tool.sh").write_text('[[ $BASH_VERSION ]] && echo "bash $lr"\n')
    store = start(
        engine,
        tmp_path,
        job("python", "#!/usr/bin/env python3\nimport sys\nprint('py', sys.version_info[0])"),
        job("beside", "lib/main.py"),
        job("shell", "tool.sh", params={"lr": 1}),
        Job("words", exec=("printf", "%s-", "a b", "$HOME")),
        Job("line", exec="echo one | tr o 0"),
    )
    finish(engine)
    assert {n: store.log(a).read_text() for n in store.run.jobs if (a := store.run.attempt(n))} == {
        "python": "py 3\n",
        "beside": "42\n",
        "shell": "bash 1\n",
        "words": "a b-$HOME-",
        "line": "0ne\n",
    }


def test_a_notebook_is_a_job_and_takes_params(engine: Engine, tmp_path: Path) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": "a",
            "metadata": {"tags": ["parameters"]},
            "source": "lr = 1",
            "outputs": [],
            "execution_count": None,
        },
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {},
            "source": "print('# hybridnb progress=100 seen=%s' % lr)",
            "outputs": [],
            "execution_count": None,
        },
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    store = start(engine, tmp_path, job("n", "n.ipynb", params={"lr": 7}))
    finish(engine)
    attempt = store.run.attempt("n")
    assert attempt and attempt.state is State.DONE, store.log(attempt, "err").read_text() if attempt else ""
    assert attempt.metrics == {"seen": 7}
    assert "progress=100 seen=7" in store.log(attempt).with_name("executed.ipynb").read_text()


def test_progress_is_seen_while_the_job_runs(engine: Engine, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    store = start(
        engine,
        tmp_path,
        job("a", f"echo '# hybridnb progress=50.5 loss=1e-7'; read line <'{gate}'; echo '#\thybridnb\tprogress=100%'"),
    )
    until(engine, lambda: bool(store.run.counts[State.RUNNING] and store.run.attempt("a").progress == 50.5))  # type: ignore[union-attr]
    gate.write_text("go\n")
    finish(engine)
    attempt = store.run.attempt("a")
    assert attempt and (attempt.progress, attempt.metrics) == (100.0, {"loss": 1e-7})


def test_the_record_holds_what_an_experiment_needs(engine: Engine, tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    (tmp_path / "in.csv").write_text("1\n")
    (tmp_path / "code.py").write_text("old\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "code.py").write_text("new\n")
    store = start(engine, tmp_path, job("a", "cat in.csv > out.csv", inputs=("in.csv",), outputs=("*.csv",)))
    finish(engine)
    facts = store.run.facts
    assert facts["git"]["dirty"] and len(facts["git"]["commit"]) == 40
    assert "+new" in (store.folder / "git.diff").read_text()
    assert facts["host local"]["cores"] and facts["host local"]["machine"] and facts["versions"]["hybridnb"]
    attempt = store.run.attempt("a")
    assert attempt and attempt.files["inputs"]["in.csv"]["size"] == 2
    assert attempt.files["outputs"]["out.csv"]["sha256"] == "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
    assert (store.folder / "graph.svg").read_text().startswith("<svg")
    assert (store.folder / "workflow.yaml").is_file()


def test_jobs_start_with_the_variables_of_whoever_asked_and_the_record_does_not_keep_them(engine: Engine, tmp_path: Path) -> None:
    workflow = Workflow.of("test", [job("a", 'echo "$SECRET"')])
    store = engine.create(workflow, tmp_path / "test.yaml", variables={"SECRET": "s3cr3t", "PATH": os.environ["PATH"]})
    kept = environment.path(store.run.id)
    assert kept.stat().st_mode & 0o777 == 0o600
    finish(engine)
    assert store.log(store.run.attempt("a")).read_text() == "s3cr3t\n"  # type: ignore[arg-type]
    assert not kept.exists()
    told = [p for p in store.folder.rglob("*") if p.is_file() and p.name != "out" and "s3cr3t" in p.read_text(errors="replace")]
    assert not told


def test_edges_between_hosts_are_kept_by_the_engine(engine: Engine, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  one: {slots: 1}\n  two: {transport: local, scheduler: process, slots: 2}\n")
    order = tmp_path / "order"
    jobs = [
        job("a", f"echo a >>'{order}'", host="one"),
        job("b", f"echo b >>'{order}'", "a", host="two"),
        job("c", f"echo c >>'{order}'", "b", host="one"),
    ]
    store = start(engine, tmp_path, *jobs, job("d", "true", "a:failed", host="two"), job("e", "true", "d:any", host="one"))
    finish(engine)
    assert order.read_text().split() == ["a", "b", "c"]
    assert states(store.run) == {"a": "done", "b": "done", "c": "done", "d": "skipped", "e": "done"}
    assert store.run.reasons["d"] == "'a', which was to fail, is done"


def test_an_unknown_host_is_refused_before_anything_is_written(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"host 'locl' is not known; did you mean 'local'\?"):
        start(engine, tmp_path, job("a", host="locl"))
    assert not list(tmp_path.glob("*.runs"))


def test_all_runs_of_a_user_share_the_slots_of_a_host(engine: Engine, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  local: {slots: 1}\n")
    inside, crowd = tmp_path / "inside", tmp_path / "crowd"
    script = f"mkdir '{inside}' || echo x >>'{crowd}'; sleep 0.1; rmdir '{inside}'"
    for name in ("first", "second"):
        engine.create(Workflow.of(name, [job(f"j{i}", script) for i in range(4)]), tmp_path / f"{name}.yaml")
    finish(engine)
    assert not crowd.exists()


def test_a_run_whose_folder_cannot_be_written_does_not_hold_up_the_others(engine: Engine, tmp_path: Path) -> None:
    blocked = start(engine, tmp_path, job("a"))
    (blocked.folder / "jobs").write_text("in the way")
    other = engine.create(Workflow.of("other", [job("b")]), tmp_path / "other.yaml")
    until(engine, lambda: other.run.state is State.DONE)
    assert "jobs" in engine.problems["local"]
    (blocked.folder / "jobs").unlink()
    engine._again.clear()
    finish(engine)
    assert blocked.run.state is State.DONE


def test_cancelling_reaches_running_queued_and_waiting_jobs(engine: Engine, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  local: {slots: 1, grace: 1}\n  other: {}\n")
    store = start(
        engine, tmp_path, job("a", "sleep 60"), job("b", "true"), job("c", "true", "b"), job("d", "true", "a", host="other")
    )
    until(engine, lambda: store.run.states["a"] is State.RUNNING)
    engine.execution(store.run.id).cancel()
    assert store.run.state is State.CANCELLING
    finish(engine)
    assert states(store.run) == dict.fromkeys("abcd", "cancelled")


def test_retry_tries_again_what_ended_badly_and_what_was_skipped(engine: Engine, tmp_path: Path) -> None:
    store = start(
        engine,
        tmp_path,
        job("good", f"echo x >>'{tmp_path}/good'"),
        job("bad", f"[ -e '{tmp_path}/fixed' ]"),
        job("below", "true", "bad"),
    )
    finish(engine)
    assert states(store.run) == {"good": "done", "bad": "failed", "below": "skipped"}
    (tmp_path / "fixed").touch()
    engine.execution(store.run.id).retry()
    finish(engine)
    assert states(store.run) == {"good": "done", "bad": "done", "below": "done"}
    assert (tmp_path / "good").read_text() == "x\n"


def test_a_cancelled_job_can_be_retried(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a", f"[ -e '{tmp_path}/go' ] || sleep 60"))
    until(engine, lambda: store.run.states["a"] is State.RUNNING)
    engine.execution(store.run.id).cancel(["a"])
    finish(engine)
    (tmp_path / "go").touch()
    engine.execution(store.run.id).retry(["a"])
    finish(engine)
    assert states(store.run) == {"a": "done"}


def test_what_has_not_started_follows_a_change_of_the_workflow(engine: Engine, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  local: {slots: 1}\n")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    hold = job("hold", f"read line <'{gate}'")
    store = start(
        engine, tmp_path, hold, job("changed", "echo old", "hold"), job("gone", "true", "hold"), job("below", "cat out", "changed")
    )
    until(engine, lambda: store.run.states["hold"] is State.RUNNING)
    told = engine.execution(store.run.id).change(
        Workflow.of(
            "test",
            [
                job("hold", "echo never"),
                job("changed", "echo new >out", "hold"),
                job("below", "cat out", "changed"),
                job("added", "true", "below"),
            ],
        )
    )
    assert told == {"added": ["added"], "changed": ["changed"], "removed": ["gone"], "kept": ["hold"]}
    until(engine, lambda: not store.run.pending)
    gate.write_text("go\n")
    finish(engine)
    assert states(store.run) == {"hold": "done", "changed": "done", "below": "done", "added": "done"}
    assert store.log(store.run.attempt("below")).read_text() == "new\n"  # type: ignore[arg-type]


def test_a_killed_runner_is_started_again_by_whoever_watches(engine: Engine, tmp_path: Path) -> None:
    held = f"until [ -e '{tmp_path}/killed' ]; do sleep 0.05; done"
    scripts = (f"echo j{i} >>'{tmp_path}/ran'; {held if i > 1 else 'sleep 0.2'}" for i in range(10))
    store = start(engine, tmp_path, *(job(f"j{i}", script) for i, script in enumerate(scripts)))
    until(engine, lambda: store.run.counts[State.DONE] >= 2)
    lock = next(home_folder.state().glob("runner/local-*/lock"))
    os.kill(int(lock.read_text()), signal.SIGKILL)
    (tmp_path / "killed").touch()
    finish(engine)
    assert Counter((tmp_path / "ran").read_text().split()) == Counter(f"j{i}" for i in range(10))
    assert store.run.state is State.DONE


def test_a_record_that_went_missing_is_asked_for_again(engine: Engine, tmp_path: Path) -> None:
    """The follower is killed while the jobs end, and what it had to read is gone as well."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    store = start(engine, tmp_path, job("a", f"read line <'{gate}'"), job("b", "true", "a"))
    until(engine, lambda: store.run.states["a"] is State.RUNNING)
    record = next(home_folder.state().glob("runner/local-*/record"))
    tails = [p for p in psutil.Process().children() if p.name() == "tail"]
    for p in tails:
        p.suspend()
    runner = psutil.Process(int(record.with_name("lock").read_text()))
    gate.write_text("go\n")
    psutil.wait_procs([runner], timeout=DEADLINE)
    record.write_text("")
    for p in tails:
        p.kill()
    finish(engine)
    assert states(store.run) == {"a": "done", "b": "done"}


def test_a_run_has_one_writer_and_the_other_is_told_who_it_is(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a"))
    with pytest.raises(RunBusy, match=rf"run {store.run.id} is moved forward by process {os.getpid()} on "):
        Engine().open(store.folder)
    finish(engine)


CRASHING = """
    import os, sys
    from pathlib import Path
    from hybridnb.engine import Engine
    from hybridnb.journal import Journal
    from hybridnb.model import Dependency, Job, Workflow

    last, base, before = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "before"
    commit, count = Journal.commit, 0

    def dying(self, *, sync=False):
        global count
        count += bool(self._pending)
        if before and count > last:
            os._exit(9)
        commit(self, sync=sync)
        if count > last:
            os._exit(9)

    Journal.commit = dying
    script = f"echo $HYBRIDNB_JOB >>'{base}/ran'"
    jobs = [Job("a", script=script), Job("b", script=script + "; exit 1", after=(Dependency("a"),), retries=1)]
    jobs += [Job("c", script=script, after=(Dependency("b"),)), Job("d", script=script, after=(Dependency.parse("b:failed"),))]
    engine = Engine()
    engine.create(Workflow.of("crash", jobs), base / "crash.yaml")
    sys.exit(0 if engine.until_idle(timeout=60) else 3)
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_and_opened_again_each_job_runs_exactly_once(tmp_path: Path, when: str) -> None:
    program = tmp_path / "crashing.py"
    program.write_text(textwrap.dedent(CRASHING))
    for last in range(100):
        base = tmp_path / f"{last}"
        base.mkdir()
        code = subprocess.run([sys.executable, str(program), str(last), str(base), when], timeout=DEADLINE, check=False).returncode
        if code == 0:
            break
        assert code == 9
        complete(base)
    assert last > 3, "the run took too few steps to mean anything"


def complete(base: Path) -> None:
    """Open the run that was cut, if it came to be, and see it end as it should."""
    folders = [f.parent for f in base.glob("crash.runs/*/journal.yaml") if f.stat().st_size]
    if not folders:
        assert not (base / "ran").exists()
        return
    engine = Engine()
    store = engine.open(folders[0])
    finish(engine)
    engine.close()
    if len(store.run.jobs) == 4:
        assert states(store.run) == {"a": "done", "b": "failed", "c": "skipped", "d": "done"}
        assert Counter((base / "ran").read_text().split()) == {"a": 1, "b": 2, "d": 1}


def test_hosts_are_listed_with_this_machine_among_them(home: Path) -> None:
    assert "local" in Hosts().entries()


def test_a_failed_edge_counts_a_lost_parent(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a", "sleep 60"), Job("b", script="true", after=(Dependency("a", Kind.FAILED),)))
    until(engine, lambda: store.run.states["a"] is State.RUNNING)
    group = int((store.job_folder("a") / "1" / "claim").read_text().split()[0])
    os.killpg(group, signal.SIGKILL)
    finish(engine)
    assert states(store.run) == {"a": "lost", "b": "done"}


def test_a_log_that_cannot_be_read_holds_nothing_up(engine: Engine, tmp_path: Path) -> None:
    log = '"${0%/*}/out"'
    store = start(engine, tmp_path, job("a", f"rm {log}; mkdir {log}; sleep 1"), job("b", "true", "a"))
    finish(engine)
    assert states(store.run) == {"a": "done", "b": "done"}


def test_the_last_progress_of_a_huge_log_is_found_without_reading_all_of_it(engine: Engine, tmp_path: Path) -> None:
    store = start(
        engine, tmp_path, job("a", "echo; truncate -s 300G ${0%/*}/out; echo '# hybridnb progress=70 loss=0.5' >>${0%/*}/out")
    )
    finish(engine)
    attempt = store.run.attempt("a")
    assert attempt and (attempt.progress, attempt.metrics) == (70.0, {"loss": 0.5})


def test_a_host_that_could_not_be_followed_at_first_is_heard_as_soon_as_it_can_be(engine: Engine, tmp_path: Path) -> None:
    in_the_way = home_folder.state() / "runner"
    in_the_way.write_text("")
    store = start(engine, tmp_path, job("a"))
    engine.step()
    assert "host 'local'" in engine.problems["local"]
    in_the_way.unlink()
    finish(engine)
    assert states(store.run) == {"a": "done"}


def test_a_run_that_cannot_be_opened_is_not_left_half_open(engine: Engine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "tool.sh").write_text("read line <gate\n")
    store = start(engine, tmp_path, job("a", "tool.sh"))
    until(engine, lambda: store.run.states["a"] is State.RUNNING)
    engine.drop(store.run.id)
    frozen = store.folder / "scripts" / "a.sh"
    frozen.rename(tmp_path / "away")
    other = Engine()
    with pytest.raises(StoreError, match="the frozen script is gone"):
        other.open(store.folder)
    (tmp_path / "away").rename(frozen)
    store = other.open(store.folder)
    (tmp_path / "gate").write_text("go\n")
    finish(other)
    other.close()
    assert states(store.run) == {"a": "done"}


def test_a_run_whose_end_was_cut_short_is_laid_to_rest_when_it_is_opened(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a"))
    finish(engine)
    engine.drop(store.run.id)
    (store.folder / "run.yaml").unlink()
    store.wake()
    environment.save(store.run.id, {})
    engine.open(store.folder)
    assert not listed(store.folder)
    assert not environment.path(store.run.id).exists()
    assert 'state: "done"' in (store.folder / "run.yaml").read_text()


def test_what_takes_long_for_one_run_does_not_keep_another_from_its_end(engine: Engine, tmp_path: Path) -> None:
    done = threading.Event()
    slow, quick = start(engine, tmp_path, job("a")), start(engine, tmp_path, job("a"))

    def slowly() -> None:
        done.wait(DEADLINE)

    engine._later(slow, slowly)
    until(engine, lambda: quick.run.ended_at is not None)
    until(engine, lambda: slow.run.id in engine.problems)
    assert slow.run.ended_at is None
    done.set()
    finish(engine)
    assert not engine.problems


def test_the_record_is_completed_when_its_maker_was_killed_meanwhile(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("1\n")
    store = start(engine, tmp_path, job("a", "cat in.csv >out.csv", inputs=("in.csv",), outputs=("out.csv",)))
    engine.drop(store.run.id)
    again = Engine()
    store = again.open(store.folder)
    until(again, lambda: store.run.states["a"] is State.DONE)
    again.close()
    last = Engine()
    store = last.open(store.folder)
    finish(last)
    last.close()
    attempt = store.run.attempt("a")
    assert attempt and attempt.files["inputs"]["in.csv"]["size"] == attempt.files["outputs"]["out.csv"]["size"] == 2
    assert "git" in store.run.facts and "versions" in store.run.facts


def test_a_job_that_is_cancelled_while_it_is_taken_back_does_not_run(engine: Engine, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  local: {slots: 1}\n")
    os.mkfifo(tmp_path / "gate")
    hold = job("hold", "read line <gate")
    store = start(engine, tmp_path, hold, job("a", f"echo old >'{tmp_path}/ran'"), job("b", "true", "a"))
    until(engine, lambda: store.run.states["hold"] is State.RUNNING)
    execution = engine.execution(store.run.id)
    execution.change(Workflow.of("test", [hold, job("a", f"echo new >'{tmp_path}/ran'"), job("b", "true", "a")]))
    execution.cancel(["a"])
    until(engine, lambda: store.run.states["a"].final and store.run.states["b"].final)
    (tmp_path / "gate").write_text("go\n")
    finish(engine)
    assert states(store.run) == {"hold": "done", "a": "cancelled", "b": "skipped"}
    assert not (tmp_path / "ran").exists()


def test_a_host_forgets_a_run_that_is_let_go_of(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a"), job("b", "true", "a"))
    finish(engine)
    host = engine.hosts.get("local")
    assert isinstance(host, PlainHost) and host._asked
    engine.drop(store.run.id)
    assert not (host._asked or host._folders or host._unheard)


def test_the_slots_of_a_host_follow_its_file(engine: Engine, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  local: {slots: 1}\n")
    os.mkfifo(tmp_path / "gate")
    first = start(engine, tmp_path, job("a", "read line <gate"))
    until(engine, lambda: first.run.states["a"] is State.RUNNING)
    (home / "hosts.yaml").write_text("hosts:\n  local: {slots: 2}\n")
    second = start(engine, tmp_path, job("b"))
    until(engine, lambda: second.run.states["b"] is State.DONE)
    (tmp_path / "gate").write_text("go\n")
    finish(engine)


def test_a_job_that_began_and_ended_while_nobody_watched_has_all_its_times(engine: Engine, tmp_path: Path) -> None:
    store = start(engine, tmp_path, job("a", "[ $HYBRIDNB_ATTEMPT = 2 ]", retries=1))
    engine.step()
    engine.drop(store.run.id)
    until(engine, lambda: (store.folder / "jobs/a/2/rc").exists())
    other = Engine()
    store = other.open(store.folder)
    finish(other)
    other.close()
    assert [(a.state, bool(a.native_id), (a.started_at or "~") <= (a.ended_at or "")) for a in store.run.attempts["a"]] == [
        (State.FAILED, True, True),
        (State.DONE, True, True),
    ]
