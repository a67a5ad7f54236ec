"""The command line as people and scripts meet it: real processes, real pipes, real terminals."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from hybridnb import cli

COMMAND = [sys.executable, "-m", "hybridnb"]
PATIENCE = 60  # seconds
KEYS = ["state", "host", "attempt", "exit_code", "native_id", "submitted_at", "started_at", "ended_at", "progress", "log"]
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MIX = """\
name: mix
jobs:
  fetch: {script: "echo hi"}
  train: {after: [fetch], script: "echo '# hybridnb progress=40 loss=0.31'; echo oh no >&2; exit 3"}
  report: {after: [train], script: "echo report"}
  clean: {after: ["train:any"], script: "echo clean"}
"""
GOOD = """\
name: good
jobs:
  a: {script: "echo one"}
  b: {after: [a], script: "echo two"}
"""
# `a` tells that it runs, then waits for the test to open the gate.
GATED = """\
name: gated
jobs:
  a: {script: "echo before; read line < gate; echo $line"}
  b: {after: [a], script: "echo b"}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parent.parent))
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def workflow(folder: Path, text: str, name: str = "flow.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.fixture
def gated(folder: Path) -> Path:
    os.mkfifo(folder / "gate")
    return workflow(folder, GATED)


def open_gate(folder: Path, line: str = "after") -> None:
    """Let job `a` go on; this waits until it is there."""
    (folder / "gate").write_text(line + "\n")


def go_on(folder: Path, file: Path, *, status: int = 0) -> str:
    """Follow the run, open its gate, and return what was told until the end."""
    child = subprocess.Popen([*COMMAND, "run", str(file)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline().startswith("following run ")
    open_gate(folder)
    out, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == status
    return out


def hybridnb(*words: str | Path, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a pipe, and look at its exit status."""
    command = [*COMMAND, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **environment})
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def terminal(*words: str | Path, size: tuple[int, int] = (24, 100)) -> pexpect.spawn[str]:
    """Run a command on a terminal."""
    environment = {**os.environ, "TERM": "xterm-256color"}
    return pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], *map(str, words)], dimensions=size, env=environment, encoding="utf-8", timeout=PATIENCE
    )


def ended(child: pexpect.spawn[str]) -> tuple[int | None, str]:
    """Wait for the end; return the exit status and what was shown since the last expectation, without colours."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", child.before or "")


def states(told: dict[str, Any]) -> dict[str, str]:
    return {name: job["state"] for name, job in told["jobs"].items()}


def status_of(run: str | Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(hybridnb("status", run, "--json").stdout)
    return told


# -- run in a pipe --------------------------------------------------------------------------------------------------------
def test_run_in_a_pipe_prints_a_line_for_each_change_and_a_summary(folder: Path) -> None:
    out = hybridnb("run", workflow(folder, GOOD), "--here").stdout
    assert re.search(r"^\d\d:\d\d:\d\d a running \(local, \d+\)$", out, re.M)
    assert re.search(r"^\d\d:\d\d:\d\d b done \(\d+\.\d s\)$", out, re.M)
    assert re.search(r"^2 jobs in [\d.]+ s: ✔ 2 done$", out, re.M)
    assert re.search(r"^record: flow\.runs/\S+$", out, re.M)
    assert "\x1b" not in out


def test_a_failure_is_exit_status_1_and_told_with_the_last_lines_of_its_log(folder: Path) -> None:
    out = hybridnb("run", workflow(folder, MIX), "--here", status=1).stdout
    found = re.search(r"^train failed \(exit code 3\): last lines of (\S+)\n    oh no$", out, re.M)
    assert found
    assert (folder / found[1]).read_text() == "oh no\n"
    assert "try again: hybridnb retry" in out


def test_a_retry_by_the_host_is_told_as_such(folder: Path) -> None:
    text = 'jobs:\n  a: {script: "[ -e tried ] || { touch tried; exit 5; }", retries: 1}\n'
    out = hybridnb("run", workflow(folder, text), "--here").stdout
    assert "a attempt 1 failed (exit code 5), it is tried again" in out
    assert "a queued (attempt 2" in out


def test_run_json_prints_the_status_and_nothing_else(folder: Path) -> None:
    done = hybridnb("run", workflow(folder, MIX), "--here", "--json", status=1)
    assert states(json.loads(done.stdout)) == {"fetch": "done", "train": "failed", "report": "skipped", "clean": "done"}


def test_run_through_the_service_ends_as_under_here(folder: Path) -> None:
    assert "2 jobs" in hybridnb("run", workflow(folder, GOOD)).stdout
    hybridnb("run", workflow(folder, MIX, "mix.yaml"), status=1)


def test_only_the_chosen_jobs_are_run(folder: Path) -> None:
    told = json.loads(hybridnb("run", workflow(folder, GOOD), "--here", "--json", "--job", "b").stdout)
    assert list(told["jobs"]) == ["b"]


def test_what_failed_can_be_run_again(folder: Path) -> None:
    text = 'jobs:\n  good: {script: "true"}\n  bad: {script: "test -e mended"}\n  last: {after: [bad], script: "true"}\n'
    file = workflow(folder, text)
    hybridnb("run", file, "--here", status=1)
    (folder / "mended").touch()
    told = json.loads(hybridnb("run", file, "--here", "--json", "--failed").stdout)
    assert states(told) == {"bad": "done", "last": "done"}


def test_detach_returns_while_the_run_goes_on(folder: Path, gated: Path) -> None:
    out = hybridnb("run", gated, "--detach").stdout
    run = re.findall(r"run (\S+) has begun", out)[0]
    assert status_of(run)["state"] in ("waiting", "running")
    assert "2 jobs in" in go_on(folder, gated)
    assert states(status_of(run)) == {"a": "done", "b": "done"}


def test_a_run_that_goes_on_is_followed_and_given_what_is_new(folder: Path, gated: Path) -> None:
    hybridnb("run", gated, "--detach")
    log = subprocess.Popen([*COMMAND, "log", str(gated), "a", "-f"], stdout=subprocess.PIPE)
    assert log.stdout
    assert log.stdout.readline() == b"before\n"
    workflow(
        folder, GATED.replace("echo before", "echo else").replace("echo b}", "echo B}") + '  c: {after: [b], script: "echo c"}\n'
    )
    child = terminal("run", gated)
    child.expect(r"following run \S+; added: c; already started and kept: a")
    open_gate(folder)
    assert ended(child)[0] == 0
    assert log.communicate(timeout=PATIENCE)[0] == b"after\n"
    assert set(status_of(gated)["jobs"]) == {"a", "b", "c"}


# -- run on a terminal ----------------------------------------------------------------------------------------------------
def test_a_terminal_shows_progress_while_jobs_run_and_what_failed_at_the_end(folder: Path) -> None:
    os.mkfifo(folder / "gate")
    text = "jobs:\n  train: {script: \"echo '# hybridnb progress=40 loss=0.31'; read line < gate; echo oops >&2; exit 3\"}\n"
    child = terminal("run", workflow(folder, text), "--here")
    child.expect("▶ running")
    child.expect(r" 40% ━━━━━━──────────  loss=0\.31")
    open_gate(folder)
    child.expect("✘ failed")
    code, text = ended(child)
    assert code == 1
    assert "train failed (exit code 3): last lines of flow.runs/" in text
    assert "    oops" in text


def test_a_cell_of_a_notebook_gets_lines_since_it_cannot_draw_over_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel gives the commands of a cell a terminal, whose cursor cannot go up; jupyter_client tells its children by this name."""
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    child = terminal("run", workflow(folder, "jobs: {train: exit 3}\n"), "--here")
    child.expect(pexpect.EOF)
    text = child.before or ""
    assert not re.findall(r"\x1b\[[\d;?]*[^\d;?m]", text), "only colours, no moves"
    assert re.search(r"^\d\d:\d\d:\d\d train failed \(exit code 3", text, re.M)


def test_a_live_view_keeps_to_the_width_of_its_terminal(folder: Path) -> None:
    long = "a-job-with-a-name-that-is-longer-than-the-terminal-is-wide"
    text = f"jobs:\n  {long}: {{script: \"echo '# hybridnb progress=100 note={'x' * 150}'\"}}\n"
    code, text = ended(terminal("run", workflow(folder, text), "--here", size=(24, 40)))
    view, _, _ = text.partition("record:")
    assert code == 0
    assert max(len(line) for line in re.split(r"[\r\n]+", view)) <= 40


def test_ctrl_c_leaves_a_run_of_the_service_going_and_tells_how_to_go_on(folder: Path, gated: Path) -> None:
    child = terminal("run", gated)
    child.expect("▶ running")
    child.sendintr()
    code, text = ended(child)
    assert code == 130
    run = re.findall(r"left run (\S+): it goes on", text)[0]
    assert f"hybridnb status {run}" in text
    assert f"hybridnb cancel {run}" in text
    go_on(folder, gated)
    assert states(status_of(run)) == {"a": "done", "b": "done"}


def test_ctrl_c_under_here_stops_the_jobs_and_waits_for_them(gated: Path) -> None:
    child = terminal("run", gated, "--here")
    child.expect("▶ running")
    child.sendintr()
    assert ended(child)[0] == 130
    assert states(status_of(gated)) == {"a": "cancelled", "b": "cancelled"}


def test_a_second_ctrl_c_under_here_leaves_the_jobs_to_themselves(folder: Path) -> None:
    os.mkfifo(folder / "gate")
    stubborn = "jobs:\n  a: {script: \"trap '' INT TERM; echo ready; read line < gate; echo $line > result\"}\n"
    file = workflow(folder, stubborn)
    child = terminal("run", file, "--here")
    child.expect("▶ running")
    child.sendintr()
    child.expect("asking the jobs to stop")
    child.sendintr()
    code, text = ended(child)
    assert code == 130
    assert "its jobs go on without this process" in text


def test_a_signal_to_a_run_in_a_pipe_is_understood_too(gated: Path) -> None:
    child = subprocess.Popen([*COMMAND, "run", str(gated), "--here"], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert any("a running" in line for line in child.stdout)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert "2 cancelled" in out


# -- status, runs, log ----------------------------------------------------------------------------------------------------
def test_status_json_has_exactly_the_promised_keys(folder: Path) -> None:
    file = workflow(folder, MIX)
    hybridnb("run", file, "--here", status=1)
    told = status_of(file)
    assert list(told) == ["run", "workflow", "state", "jobs"]
    assert (told["workflow"], told["state"]) == ("mix", "failed")
    assert all(list(job) == KEYS for job in told["jobs"].values())
    train = told["jobs"]["train"]
    assert (train["state"], train["exit_code"], train["attempt"], train["progress"]) == ("failed", 3, 1, 40.0)
    assert all(UTC.fullmatch(train[key]) for key in ("submitted_at", "started_at", "ended_at"))
    assert Path(train["log"]).read_text() == "# hybridnb progress=40 loss=0.31\n"


def test_status_shows_states_exit_codes_reasons_and_metrics(folder: Path) -> None:
    file = workflow(folder, MIX)
    hybridnb("run", file, "--here", status=1)
    out = hybridnb("status", file).stdout
    assert re.search(r"^✘ failed +train +local +1 +3 .* loss=0\.31$", out, re.M)
    assert re.search(r"^» skipped +report ", out, re.M)


def test_status_alone_means_the_only_workflow_here_and_else_the_newest_run(folder: Path) -> None:
    hybridnb("status", status=2)
    for name in ("one", "two"):
        (folder / name).mkdir()
        hybridnb("run", workflow(folder / name, GOOD.replace("good", name)), "--here")
    inside = subprocess.run([*COMMAND, "status", "--json"], cwd=folder / "one", capture_output=True, timeout=PATIENCE)
    assert json.loads(inside.stdout)["workflow"] == "one"
    assert json.loads(hybridnb("status", "--json").stdout)["workflow"] == "two"


def test_a_run_can_be_named_by_its_id_its_folder_or_its_workflow(folder: Path) -> None:
    file = workflow(folder, GOOD)
    run = json.loads(hybridnb("run", file, "--here", "--json").stdout)["run"]
    assert status_of(run) == status_of(folder / "flow.runs" / run) == status_of(file)


@pytest.mark.parametrize("service", ["start", "stop"])
def test_the_folder_of_a_run_that_came_from_elsewhere_can_be_read(folder: Path, service: str) -> None:
    run = json.loads(hybridnb("run", workflow(folder, GOOD), "--here", "--json").stdout)["run"]
    copy = shutil.move(folder / "flow.runs" / run, folder / "archived")
    hybridnb("service", service)
    assert status_of(copy)["run"] == run
    assert hybridnb("log", copy, "b").stdout == "two\n"
    assert ">a<" in hybridnb("graph", copy).stdout


def test_runs_are_listed_the_newest_first(folder: Path) -> None:
    assert "no runs yet" in hybridnb("runs").stdout
    ids = [json.loads(hybridnb("run", workflow(folder, GOOD), "--here", "--json").stdout)["run"]]
    ids.append(json.loads(hybridnb("run", workflow(folder, MIX, "mix.yaml"), "--here", "--json", status=1).stdout)["run"])
    listed = json.loads(hybridnb("runs", "--json").stdout)
    assert {run["run"]: run["state"] for run in listed} == {ids[0]: "done", ids[1]: "failed"}
    assert re.search(rf"^✘ failed +{ids[1]} +mix +2 done, 1 failed, 1 skipped ", hybridnb("runs").stdout, re.M)


def test_a_log_is_printed_byte_for_byte(folder: Path) -> None:
    wanted = bytes(range(256)) * 1000
    (folder / "bytes").write_bytes(wanted)
    file = workflow(folder, 'jobs:\n  a: {script: "cat bytes; cat bytes bytes >&2"}\n')
    hybridnb("run", file, "--here")
    assert subprocess.check_output([*COMMAND, "log", str(file), "a"], timeout=PATIENCE) == wanted
    assert subprocess.check_output([*COMMAND, "log", str(file), "a", "--err"], timeout=PATIENCE) == wanted * 2


def test_a_log_without_a_byte_says_where_else_to_look(folder: Path) -> None:
    file = workflow(folder, "jobs:\n  a: {script: echo oh >&2; exit 1}\n  b: echo hi\n")
    hybridnb("run", file, "--here", status=1)
    told = hybridnb("log", file, "a")
    assert (told.stdout, told.stderr.count("\n")) == ("", 1)
    assert "'a' wrote nothing here; it is failed. For what it wrote to standard error, add --err" in told.stderr
    assert "For what it wrote to standard output, leave --err out" in hybridnb("log", file, "b", "--err").stderr


def test_of_several_attempts_the_last_is_shown_unless_another_is_asked_for(folder: Path) -> None:
    file = workflow(folder, 'jobs:\n  a: {script: "echo try $HYBRIDNB_ATTEMPT; exit 1", retries: 1}\n')
    hybridnb("run", file, "--here", status=1)
    last = hybridnb("log", file, "a")
    assert (last.stdout, last.stderr) == ("try 2\n", "a: attempt 2 of 2\n")
    assert hybridnb("log", file, "a", "--attempt", "1").stdout == "try 1\n"
    assert "has no attempt 3; there are 2 attempts" in hybridnb("log", file, "a", "--attempt", "3", status=2).stderr


def test_a_log_is_followed_until_its_job_ends_also_before_it_began(folder: Path, gated: Path) -> None:
    hybridnb("run", gated, "--detach")
    first, second = (subprocess.Popen([*COMMAND, "log", str(gated), job, "-f"], stdout=subprocess.PIPE) for job in "ab")
    assert first.stdout
    assert first.stdout.readline() == b"before\n"
    open_gate(folder)
    assert first.communicate(timeout=PATIENCE)[0] == b"after\n"
    assert second.communicate(timeout=PATIENCE)[0] == b"b\n"
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_missing_job_or_run_is_exit_status_2_with_the_nearest_match(folder: Path) -> None:
    file = workflow(folder, MIX)
    run = json.loads(hybridnb("run", file, "--here", "--json", status=1).stdout)["run"]
    assert "did you mean 'train'?" in hybridnb("log", file, "trian", status=2).stderr
    assert f"did you mean '{run}'?" in hybridnb("status", run[:-1], status=2).stderr


# -- acting ---------------------------------------------------------------------------------------------------------------
def test_a_run_is_cancelled_and_tried_again(folder: Path, gated: Path) -> None:
    hybridnb("run", gated, "--detach")
    assert "asked to stop: a, b" in hybridnb("cancel", gated).stdout
    hybridnb("log", gated, "a", "-f")
    assert "nothing to stop" in hybridnb("cancel", gated).stdout
    assert "trying again: a, b" in hybridnb("retry", gated).stdout
    go_on(folder, gated)
    assert "nothing to try again" in hybridnb("retry", gated).stdout


def test_only_a_run_that_has_ended_is_deleted_and_only_by_its_own_name(folder: Path, gated: Path) -> None:
    out = hybridnb("run", gated, "--detach").stdout
    run = re.findall(r"run (\S+) has begun", out)[0]
    assert "has not ended" in hybridnb("delete", run, status=2).stderr
    go_on(folder, gated)
    assert "name the run" in hybridnb("delete", gated, status=2).stderr
    hybridnb("delete", run)
    assert not (folder / "flow.runs" / run).exists()
    assert "no runs yet" in hybridnb("runs").stdout


def test_the_service_is_started_looked_at_and_stopped() -> None:
    assert "no service runs" in hybridnb("service", "status", status=1).stdout
    assert "the service runs: process" in hybridnb("service", "start").stdout
    assert "the service runs: process" in hybridnb("service", "status").stdout
    assert "stopped" in hybridnb("service", "stop").stdout
    assert "no service runs" in hybridnb("service", "stop").stdout


def test_looking_starts_no_service(folder: Path) -> None:
    file = workflow(folder, GOOD)
    hybridnb("run", file, "--here")
    for words in (["status", file], ["runs"], ["log", file, "a"], ["hosts"], ["check", file], ["graph", file]):
        hybridnb(*words)
    hybridnb("service", "status", status=1)


# -- check, graph ---------------------------------------------------------------------------------------------------------
def test_check_counts_what_is_in_a_workflow(folder: Path) -> None:
    assert hybridnb("check", workflow(folder, MIX)).stdout == f"{folder}/flow.yaml: 4 jobs, 3 edges, hosts local\n"


def test_check_tells_everything_that_is_wrong_with_its_line_and_unknown_hosts_too(folder: Path) -> None:
    text = "jobs:\n  train: {script: a}\n  test: {after: [trian], script: b}\n  far: {host: lokal, script: c}\n  no: {skript: d}\n"
    done = hybridnb("check", workflow(folder, text), status=2)
    lines = done.stderr.splitlines()
    assert done.stdout == ""
    assert [re.findall(r"flow\.yaml:(\d+): ", line) for line in lines[:2]] == [["3"], ["4"]]
    assert "did you mean 'train'?" in lines[0]
    assert "did you mean 'local'?" in lines[1]
    assert all(line.startswith(f"hybridnb: {folder}/flow.yaml:") for line in lines)


@pytest.mark.parametrize("command", ["run", "check", "graph"])
@pytest.mark.parametrize(
    "text",
    [
        "jobs: [",
        "jobs:\n  'a b': {script: x}\n",
        'jobs:\n  "$(touch x)": {script: x}\n',
        "jobs:\n  a: {script: x, after: [a]}\n",
        "a: &a [*a]\n",
        "",
    ],
)
def test_a_wrong_definition_is_exit_status_2_with_its_place(folder: Path, command: str, text: str) -> None:
    done = hybridnb(command, workflow(folder, text), status=2)
    assert f"{folder}/flow.yaml" in done.stderr
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "missing.yaml"],
        ["run", "flow.yaml", "--here", "--detach"],
        ["run", "flow.yaml", "--job", "nobody"],
        ["run", "flow.yaml", "--job", "a", "--from", "b"],
        ["run"],
        ["log", "flow.yaml"],
        ["status", "\x1b[31mred"],
        ["graph", "flow.yaml", "-o", "flow.gif"],
        ["graph", "flow.yaml", "-o", "missing/flow.svg"],
        ["graph", "flow.yaml", "--label", "{name.__class__}"],
        ["dance"],
        [],
    ],
)
def test_a_wrong_call_is_exit_status_2_and_says_why(folder: Path, words: list[str]) -> None:
    workflow(folder, GOOD)
    done = hybridnb(*words, status=2)
    assert done.stdout == ""
    assert done.stderr
    assert "\x1b" not in done.stderr


def test_a_workflow_is_drawn_as_svg_dot_and_mermaid(folder: Path) -> None:
    file = workflow(folder, MIX)
    assert hybridnb("graph", file).stdout.startswith("<svg ")
    for name, begin in (("o.svg", "<svg "), ("o.dot", "digraph "), ("o.mmd", "flowchart ")):
        hybridnb("graph", file, "-o", name)
        assert (folder / name).read_text().startswith(begin)


def test_a_run_is_drawn_with_its_states_and_labels(folder: Path) -> None:
    run = json.loads(hybridnb("run", workflow(folder, MIX), "--here", "--json", status=1).stdout)["run"]
    assert ">train: failed<" in hybridnb("graph", run, "--label", "{name}: {state}").stdout


# -- sweeps ---------------------------------------------------------------------------------------------------------------
SWEPT = """\
name: swept
jobs:
  first: {script: "read line < gate"}
  train: {after: [first], sweep: {lr: [0.1, 0.01, 0.001], depth: [1, 2, 3, 4]}, script: "echo $lr $depth"}
  last: {after: [train], script: "echo last"}
"""


def test_a_sweep_is_run_looked_at_cancelled_and_tried_again_by_its_name(folder: Path) -> None:
    os.mkfifo(folder / "gate")
    file = workflow(folder, SWEPT)
    assert hybridnb("check", file).stdout == f"{file}: 14 jobs, 24 edges, hosts local\n"
    hybridnb("run", file, "--detach")
    assert list(states(status_of(file)))[1:3] == ["train-lr=0.1-depth=1", "train-lr=0.1-depth=2"]
    assert hybridnb("cancel", file, "train").stdout.startswith("asked to stop: train-lr=0.1-depth=1, ")
    go_on(folder, file, status=1)
    told = states(status_of(file))
    assert (told.pop("first"), told.pop("last"), set(told.values())) == ("done", "skipped", {"cancelled"})
    assert hybridnb("retry", file, "train").stdout.startswith("trying again: train-lr=0.1-depth=1, ")
    assert hybridnb("log", file, "last", "-f").stdout == "last\n"
    assert list(states(status_of(file)).values()) == ["done"] * 14
    assert hybridnb("log", file, "train-lr=0.01-depth=3").stdout == "0.01 3\n"
    assert "'train' is a group of 12 jobs, each of which has its own log" in hybridnb("log", file, "train", status=2).stderr
    assert "all that is named is done" in hybridnb("retry", file, "train").stdout


def test_a_sweep_is_drawn_as_a_stack_or_job_by_job(folder: Path) -> None:
    file = workflow(folder, SWEPT)
    assert ">×12<" in hybridnb("graph", file).stdout
    flat = hybridnb("graph", file, "--flat").stdout
    assert flat.count(">train-lr=") >= 12
    assert "×" not in flat


# -- everywhere -----------------------------------------------------------------------------------------------------------
def commands(
    top: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield words, top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from commands(below, (*words, name))


@pytest.mark.parametrize(("words", "parser"), list(commands(cli.parser())))
def test_every_command_explains_itself_with_an_example_that_parses(words: tuple[str, ...], parser: argparse.ArgumentParser) -> None:
    text = parser.format_help()
    example = re.findall(r"^example: hybridnb (.*)$", text, re.M)
    assert len(example) == 1
    assert cli.parser().parse_args(example[0].split())
    assert example[0].startswith(" ".join(words))
    assert all(action.help for action in parser._actions if not isinstance(action, argparse._SubParsersAction))


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"hybridnb \d+\.\d+\.\d+\n", hybridnb("--version").stdout)


@pytest.mark.parametrize("words", ["--version", "status", "runs", "service status"])
def test_what_is_asked_often_starts_without_heavy_modules(folder: Path, words: str) -> None:
    hybridnb("run", workflow(folder, GOOD), "--here")
    command = [sys.executable, "-X", "importtime", "-m", "hybridnb", *words.split()]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stderr
    assert "hybridnb.cli" in loaded
    assert not re.search(r"\| +(rich|fastapi|uvicorn|networkx|asyncio)$", loaded, re.M)


def test_a_reader_that_goes_away_ends_it_quietly(folder: Path) -> None:
    file = workflow(folder, 'jobs:\n  a: {script: "head -c 1000000 /dev/zero"}\n')
    hybridnb("run", file, "--here")
    with subprocess.Popen([*COMMAND, "log", str(file), "a"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.read(10) == bytes(10)
        child.stdout.close()
        assert child.wait(PATIENCE) == 141
        assert child.stderr.read() == b""


def test_an_old_terminal_gets_ascii_and_no_crash(folder: Path) -> None:
    file = workflow(folder, "jobs:\n  größe: {script: 'echo ü >&2; exit 1'}\n")
    out = hybridnb("run", file, "--here", status=1, PYTHONIOENCODING="ascii").stdout
    assert "x 1 failed" in out
    assert "gr??e failed" in out


def test_json_is_whole_whatever_the_terminal_can_show(folder: Path) -> None:
    file = workflow(folder, "jobs:\n  größe: {script: echo}\n")
    assert list(json.loads(hybridnb("run", file, "--here", "--json", PYTHONIOENCODING="ascii").stdout)["jobs"]) == ["größe"]


def test_a_full_disk_or_a_home_that_cannot_be_is_said_without_a_traceback(folder: Path) -> None:
    file = workflow(folder, GOOD)
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "graph", str(file)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (1, "hybridnb: the output: No space left on device\n")
    assert "/dev/null/home" in hybridnb("run", file, status=1, HYBRIDNB_HOME="/dev/null/home").stderr


def test_what_a_job_wrote_cannot_act_on_the_terminal(folder: Path) -> None:
    evil = r"""jobs: {a: {script: "printf '\\033]0;owned\\007 \\033[2J# hybridnb x=\\033[31m\\n' >&2; exit 1"}}"""
    file = workflow(folder, evil)
    assert "\x1b" not in hybridnb("run", file, "--here", status=1).stdout
    assert "\x1b" not in hybridnb("status", file).stdout
