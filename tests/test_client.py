"""Client and Here: the same methods, the same answers; and what a client does when the service is killed under it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from hybridnb import home as places, store
from hybridnb.client import Client, Here
from hybridnb.errors import CallError, DefinitionError, NotFound, RunBusy, ServiceError
from hybridnb.service import process
from testbed import processes

DEADLINE = 60.0  # seconds
ROOT = Path(__file__).parent.parent


@pytest.fixture(params=[Client, Here])
def face(request: pytest.FixtureRequest) -> Iterator[Client | Here]:
    made = request.param()
    yield made
    made.close()


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


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def write(folder: Path, **jobs: str) -> Path:
    """Write a workflow: name="parents | script"."""
    text = ["name: w", "jobs:"]
    for name, words in jobs.items():
        parents, _, script = words.rpartition(" | ")
        text += [f"  {name}:", f"    after: [{parents}]", f"    script: {script}"]
    (folder / "w.yaml").write_text("\n".join(text) + "\n")
    return folder / "w.yaml"


def until(face: Client | Here, run: str, **wanted: Any) -> int:
    """Read events until one holds these values; return its number."""
    for record in face.events(run):
        if record and all(record.get(key) == value for key, value in wanted.items()):
            return int(record["n"])
    raise AssertionError(f"the run ended without {wanted}")


def copied(folder: Path | str, to: Path) -> Path:
    """Copy a folder that the service writes to: as a person would, again if something in it went meanwhile."""

    def whole() -> bool:
        with suppress(shutil.Error, FileNotFoundError):
            return bool(shutil.copytree(folder, to))
        shutil.rmtree(to, ignore_errors=True)
        return False

    processes.until(whole, f"a copy of {folder}")
    return to


def rested(folder: Path | str) -> None:
    """Wait until the last word on a run that has ended is written: those who follow it are told before."""
    processes.until(lambda: not store.listed(Path(folder)), f"{folder} at rest")


def finish(face: Client | Here, run: str) -> dict[str, str]:
    for _ in face.events(run):
        pass
    return {name: job["state"] for name, job in face.status(run)["jobs"].items()}


# -- the same by both ways ------------------------------------------------------------------------------------------------
def test_a_workflow_runs_and_everything_about_it_can_be_read(face: Client | Here, tmp_path: Path) -> None:
    made = face.run(write(tmp_path, a="echo hi; echo ho >&2", b="a | exit 3"))
    assert finish(face, made["run"]) == {"a": "done", "b": "failed"}
    status = face.status(made["run"])
    assert (status["state"], status["problems"], status["jobs"]["b"]["exit_code"]) == ("failed", {}, 3)
    listed = face.runs()[0]
    assert (listed["run"], listed["workflow"], listed["state"], listed["counts"]) == (
        made["run"],
        "w",
        "failed",
        {"done": 1, "failed": 1},
    )
    assert (listed["source"], listed["folder"]) == (str(tmp_path / "w.yaml"), made["folder"])
    assert face.log(made["run"], "a") == (b"hi\n", 3)
    assert face.log(made["run"], "a", stream="err", offset=1, limit=1) == (b"o", 2)
    assert face.hosts()["local"]["problem"] == ""


def test_jobs_get_the_callers_variables_and_folder(face: Client | Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARK", 'it\'s $HOME; "x"\nü')
    os.environb[b"ODD"] = b"\xff"
    try:
        made = face.run(write(tmp_path, a='printf %s "$MARK$ODD" >out; pwd >>out'))
    finally:
        del os.environb[b"ODD"]
    finish(face, made["run"])
    assert (tmp_path / "out").read_bytes() == 'it\'s $HOME; "x"\nü'.encode() + b"\xff" + f"{tmp_path}\n".encode()


def test_jobs_of_a_run_that_goes_on_are_added_changed_and_removed(face: Client | Here, tmp_path: Path, gate: Gate) -> None:
    run = face.run(write(tmp_path, a="read x <gate", b="a | echo b", c="a | echo c"))["run"]
    until(face, run, job="a", state="running")
    assert face.define(run, "d", {"after": ["a"], "script": "echo d"})["added"] == ["d"]
    assert face.remove(run, "b")["removed"] == ["b"]
    until(face, run, job="b", event="withdrawn")
    changed = face.change(run, write(tmp_path, a="read x <gate", c="a | echo new", e="c | echo e"))
    assert changed == {"added": ["e"], "changed": ["c"], "removed": ["d"], "kept": []}
    until(face, run, job="c", event="withdrawn")
    gate.open()
    assert finish(face, run) == {"a": "done", "c": "done", "e": "done"}
    assert face.log(run, "c")[0] == b"new\n"


def test_a_job_is_cancelled_and_tried_again(face: Client | Here, tmp_path: Path, gate: Gate) -> None:
    run = face.run(write(tmp_path, a="read x <gate", b="a | echo b"))["run"]
    until(face, run, job="a", state="running")
    assert face.cancel(run) == ["a", "b"]
    assert set(finish(face, run).values()) <= {"cancelled", "skipped"}
    gate.open()
    assert face.retry(run) == ["a", "b"]
    assert finish(face, run) == {"a": "done", "b": "done"}


def test_only_a_run_that_has_ended_is_deleted(face: Client | Here, tmp_path: Path, gate: Gate) -> None:
    made = face.run(write(tmp_path, a="read x <gate"))
    with pytest.raises(CallError, match="has not ended"):
        face.delete(made["run"])
    gate.open()
    finish(face, made["run"])
    face.delete(made["run"])
    assert not Path(made["folder"]).exists()
    with pytest.raises(NotFound):
        face.status(made["run"])


def test_what_is_meant_for_a_copy_does_not_happen_to_the_run_itself(tmp_path: Path) -> None:
    client = Client()
    made = client.run(write(tmp_path, a="echo a"))
    finish(client, made["run"])
    copy = copied(made["folder"], tmp_path / "archive" / made["run"])
    for act in (client.delete, client.retry, client.cancel):
        with pytest.raises(CallError, match=rf"is a copy, .*; the run itself is {made['folder']}$"):
            act(str(copy))
    assert client.status(str(copy))["folder"] == str(copy)
    assert copy.is_dir()
    assert Path(made["folder"]).is_dir()


def test_a_copied_workflow_does_not_follow_the_run_of_the_first_one(tmp_path: Path, gate: Gate) -> None:
    client = Client()
    (tmp_path / "first").mkdir()
    made = client.run(write(tmp_path / "first", a="read x <../gate"))
    copied(tmp_path / "first", tmp_path / "second")
    other = client.run(tmp_path / "second" / "w.yaml")
    assert (other["followed"], other["folder"]) == (False, str(tmp_path / "second" / "w.runs" / other["run"]))
    gate.open(2)
    assert finish(client, made["run"]) == finish(client, other["run"]) == {"a": "done"}


def test_a_run_whose_folder_was_moved_can_be_tried_again_and_deleted(tmp_path: Path) -> None:
    client = Client()
    (tmp_path / "before").mkdir()
    run = client.run(write(tmp_path / "before", a="exit 1"))["run"]
    finish(client, run)
    rested(tmp_path / "before" / "w.runs" / run)
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "before").mkdir()
    folder = tmp_path / "after" / "w.runs" / run
    assert client.retry(str(folder)) == ["a"]
    assert finish(client, run) == {"a": "failed"}
    rested(folder)
    with pytest.raises(CallError, match=f"this is run {run}; give the folder its name back"):
        client.delete(str(folder.rename(folder.with_name("best"))))
    client.delete(str(folder.with_name("best").rename(folder)))
    assert not folder.exists()


def test_a_run_that_nobody_moves_because_its_folder_was_moved_says_so(tmp_path: Path, gate: Gate) -> None:
    client = Client()
    made = client.run(write(tmp_path, a="read x <gate"))
    copy = copied(made["folder"], tmp_path / "archive" / made["run"])
    assert list(client.status(str(copy))["problems"].values()) == [
        "nobody moves it forward here: its folder was moved or copied, or it belongs to another machine"
    ]
    assert client.status(made["run"])["problems"] == {}
    gate.open()
    finish(client, made["run"])


def test_all_problems_of_a_definition_come_back_with_their_places(face: Client | Here, tmp_path: Path) -> None:
    file = write(tmp_path, train="nobody | echo a", b="trian | echo b")
    with pytest.raises(DefinitionError) as caught:
        face.run(file)
    assert [(p.file, p.line) for p in caught.value.problems] == [(str(file), 4), (str(file), 7)]
    assert "did you mean 'train'" in str(caught.value)


def test_what_is_not_there_is_told_with_what_is_near(face: Client | Here, tmp_path: Path) -> None:
    made = face.run(write(tmp_path, train="echo a"))
    with pytest.raises(NotFound, match="did you mean 'train'"):
        face.log(made["run"], "trian")
    with pytest.raises(NotFound, match=f"did you mean '{made['run']}'"):
        face.cancel(made["run"][:-1])
    finish(face, made["run"])


def test_events_are_told_once_each_from_any_number_on(face: Client | Here, tmp_path: Path) -> None:
    run = face.run(write(tmp_path, **{f"j{i}": "echo hi" for i in range(10)}))["run"]
    everything = [r for r in face.events(run) if r]
    assert [r["n"] for r in everything] == list(range(1, len(everything) + 1))
    assert everything[-1]["event"] == "finished"
    for since in (0, 1, 7, len(everything) - 1, len(everything)):
        assert list(face.events(run, since=since, live=False)) == everything[since:]
        assert [r for r in face.events(run, since=since) if r] == everything[since:]


# -- hosts ----------------------------------------------------------------------------------------------------------------
def test_hosts_beside_the_workflow_are_told_too(face: Client | Here, tmp_path: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  a: {transport: ssh, address: x.org, resources: {partition: gpu}}\n")
    (tmp_path / "hosts.yaml").write_text("hosts:\n  b: {slots: 2, setup: export A=1}\n")
    process.start()
    assert list(face.hosts()) == ["local", "a"]
    assert face.hosts(folder=tmp_path) == {
        "local": {"transport": "local", "scheduler": "process", "problem": ""},
        "a": {"transport": "ssh", "scheduler": "process", "address": "x.org", "resources": {"partition": "gpu"}, "problem": ""},
        "b": {"transport": "local", "scheduler": "process", "slots": 2, "setup": ["export A=1"], "problem": ""},
    }


def test_a_host_is_tried_step_by_step(face: Client | Here, tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text("hosts:\n  b: {slots: 3}\n")
    steps = [step for step in face.check("b", folder=tmp_path) if step]
    assert [step["ok"] for step in steps] == [None, True] * (len(steps) // 2)
    assert steps[-1]["told"].endswith("3 jobs at once")
    with pytest.raises(NotFound, match="host 'b' is not known"):
        list(face.check("b"))


def test_nobody_asks_where_nothing_is_asked(face: Client | Here) -> None:
    assert face.questions() == []
    assert not face.asked
    assert face.problems() == {}
    with pytest.raises(NotFound, match="waits for no answer"):
        face.answer(1, "x")


# -- without a service ----------------------------------------------------------------------------------------------------
def test_reading_starts_no_service(tmp_path: Path) -> None:
    here = Here()
    made = here.run(write(tmp_path, a="echo hi"))
    finish(here, made["run"])
    here.close()
    client = Client()
    assert client.status(made["run"])["state"] == client.runs()[0]["state"] == "done"
    assert client.log(made["run"], "a") == (b"hi\n", 3)
    assert client.log(made["folder"], "a", attempt=2) == (b"", 0)
    assert [r["event"] for r in client.events(made["run"])][-1] == "finished"
    assert list(client.hosts()) == ["local"]
    assert client.questions() == []
    assert process.find() is None


def test_the_client_is_fast_to_import_and_brings_nothing_heavy() -> None:
    code = "import hybridnb.client, sys; print(sorted({'fastapi', 'yaml', 'asyncio', 'hybridnb.engine', 'hybridnb.store'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stdout == "[]\n"


# -- one writer -----------------------------------------------------------------------------------------------------------
def test_a_run_that_is_moved_here_is_not_taken_by_the_service(tmp_path: Path, gate: Gate) -> None:
    here, client = Here(), Client()
    file = write(tmp_path, a="read x <gate")
    made = here.run(file)
    until(here, made["run"], job="a", state="running")
    process.start()
    for ask in (lambda: client.run(file), lambda: client.cancel(made["run"])):
        with pytest.raises(RunBusy, match=f"process {os.getpid()}"):
            ask()
    assert client.status(made["run"])["jobs"]["a"]["state"] == "running"
    gate.open()
    assert finish(here, made["run"]) == {"a": "done"}
    assert finish(client, made["run"]) == {"a": "done"}
    here.close()


def test_a_run_of_the_service_is_not_taken_here(tmp_path: Path, gate: Gate) -> None:
    file, here = write(tmp_path, a="read x <gate"), Here()
    run = Client().run(file)["run"]
    with pytest.raises(RunBusy, match=f"process {process.start().pid}"):
        here.run(file)
    here.close()
    gate.open()
    assert finish(Client(), run) == {"a": "done"}


def test_the_service_tells_of_a_run_that_another_process_moves(tmp_path: Path, gate: Gate) -> None:
    here, client = Here(), Client()
    run = here.run(write(tmp_path, a="read x <gate"))["run"]
    until(here, run, job="a", state="running")
    process.start()
    records = client.events(run)
    seen = [next(r for r in records if r.get("state") == "running")["n"]]
    gate.open()
    finish(here, run)
    seen += [r["n"] for r in records if r]
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    here.close()


# -- kills ----------------------------------------------------------------------------------------------------------------
def kill_service() -> None:
    if address := process.find():
        with suppress(psutil.NoSuchProcess):
            psutil.Process(address.pid).kill()
        while address.alive:
            os.sched_yield()


def test_the_service_is_killed_again_and_again_and_every_job_runs_once(tmp_path: Path) -> None:
    """60 jobs in 12 chains; a chain's script appends a line, so that running twice would be seen."""
    chance = random.Random(4711)
    names = [f"c{chain}-{link}" for chain in range(12) for link in range(5)]
    jobs = {
        n: (f"{n[:-1]}{int(n[-1]) - 1} | " if n[-1] != "0" else "") + f"echo {n} >>ran; sleep 0.0{chance.randrange(1, 9)}"
        for n in names
    }
    client = Client()
    run = client.run(write(tmp_path, **jobs))["run"]
    numbers, kills = [], {chance.randrange(70, 200) for _ in range(6)}
    for record in client.events(run):
        if record:
            numbers.append(record["n"])
            if record["n"] in kills:
                kill_service()
    assert numbers == list(range(1, len(numbers) + 1))
    ended = finish(client, run)
    assert {n: s for n, s in ended.items() if s != "done"} == {}
    assert sorted((tmp_path / "ran").read_text().split()) == sorted(names)
    kill_service()
    assert client.status(run)["state"] == "done"


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.04])
def test_a_run_is_started_once_though_the_service_is_killed_while_it_is_asked(tmp_path: Path, delay: float) -> None:
    file = write(tmp_path, a="echo a >>ran")
    victim = process.start()
    killer = (
        "import os, signal, sys, time; sys.stdin.read(1); time.sleep(float(sys.argv[1])); os.kill(int(sys.argv[2]), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", killer, str(delay), str(victim.pid)], stdin=subprocess.PIPE) as other:
        assert other.stdin
        other.stdin.write(b"x")
        other.stdin.flush()
        made = Client().run(file, new=True)
        other.wait(DEADLINE)
    assert finish(Client(), made["run"]) == {"a": "done"}
    assert len(list((tmp_path / "w.runs").iterdir())) == len(Client().runs()) == 1
    assert (tmp_path / "ran").read_text() == "a\n"


def test_killing_the_client_changes_nothing(tmp_path: Path, gate: Gate) -> None:
    file = write(tmp_path, a="read x <gate", b="a | echo b >>ran")
    code = """
import pathlib, sys
from hybridnb.client import Client
client = Client()
run = client.run(pathlib.Path(sys.argv[1]))["run"]
for record in client.events(run):
    if record.get("state") == "running": print(run, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True, env=environment()) as victim:
        assert victim.stdout
        run = victim.stdout.readline().strip()
        os.kill(victim.pid, signal.SIGKILL)
    gate.open()
    assert finish(Client(), run) == {"a": "done", "b": "done"}
    assert (tmp_path / "ran").read_text() == "b\n"


def test_a_call_after_a_kill_reaches_the_next_service(tmp_path: Path, gate: Gate) -> None:
    client = Client()
    run = client.run(write(tmp_path, a="read x <gate"))["run"]
    until(client, run, job="a", state="running")
    kill_service()
    assert client.cancel(run) == ["a"]
    assert finish(client, run) == {"a": "cancelled"}


# -- versions -------------------------------------------------------------------------------------------------------------
def pretend(version: str) -> None:
    path = places.state() / "service.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))


def test_a_service_of_an_earlier_version_is_replaced_and_its_runs_go_on(tmp_path: Path, gate: Gate) -> None:
    client = Client()
    run = client.run(write(tmp_path, a="read x <gate"))["run"]
    until(client, run, job="a", state="running")
    before = process.start()
    pretend("0.0.9")
    assert client.cancel(run) == ["a"]
    assert process.start().pid != before.pid
    assert finish(client, run) == {"a": "cancelled"}


def test_a_service_of_a_later_version_is_left_alone_and_told_of(tmp_path: Path) -> None:
    before = process.start()
    pretend("99.0")
    with pytest.raises(ServiceError, match=r"hybridnb 99\.0.*hybridnb service stop"):
        Client().run(write(tmp_path, a="echo a"))
    assert before.pid == process.start().pid


def test_waiting_for_a_quiet_job_yields_a_sign_of_life(face: Client | Here, tmp_path: Path, gate: Gate) -> None:
    run = face.run(write(tmp_path, a="read x <gate"))["run"]
    begun = time.monotonic()
    for record in face.events(run):
        if record == {} and face.status(run)["jobs"]["a"]["state"] == "running":
            gate.open()
        assert time.monotonic() - begun < DEADLINE
    assert face.status(run)["state"] == "done"
