"""The magics in a terminal's IPython: the same words, told as text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from testbed.laptop import entry, settle
from testbed.notebook import Notebook
from testbed.processes import until
from testbed.sshd import PASSWORD, Server, code
from testbed.terminal import Terminal

from hybridnb import definition

WAITS = "until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def terminals(jupyter: Path) -> Iterator[Callable[[], Terminal]]:
    """Give what starts IPython in a terminal; the extension is loaded."""
    with ExitStack() as alive:

        def start() -> Terminal:
            terminal = alive.enter_context(closing(Terminal(jupyter)))
            terminal.run("%load_ext hybridnb")
            return terminal

        yield start


@pytest.fixture
def terminal(terminals: Callable[[], Terminal]) -> Terminal:
    return terminals()


def test_a_job_is_recorded_run_and_told_as_text(terminal: Terminal, jupyter: Path) -> None:
    assert "recorded in workflow.yaml, not run yet" in terminal.run("%%job local train -p lr=0.1\necho learned at $lr")
    told = terminal.run("r = %workflow run --wait")
    assert "1 done" in told
    assert "train" in told
    assert "waiting" not in told, "only how it goes on is shown"
    assert "learned at 0.1" in terminal.run("%workflow log train")
    assert "Out" in terminal.run("str(r['train'].state)")
    status = terminal.run("%workflow status")
    assert "1 done" in status
    assert "<div" not in status
    assert "local" in terminal.run("%hosts")
    assert "lr=0.1" in terminal.run("%runs")
    assert definition.load(jupyter / "workflow.yaml")["train"].params == {"lr": 0.1}


def test_a_job_that_fails_is_told_with_its_last_words_and_no_traceback(terminal: Terminal) -> None:
    terminal.run("%%job local train\necho 'no such column: pixel' >&2\nexit 3")
    told = terminal.run("%workflow run --wait")
    assert "RunFailed" in told
    assert "train failed (exit code 3)" in told
    assert "no such column: pixel" in told
    assert "Traceback" not in told
    assert "UsageError" in terminal.run("%workflow rnu")


def test_ctrl_c_while_waiting_leaves_the_run_going(terminal: Terminal, jupyter: Path) -> None:
    terminal.run(f"%%job local slow\ntouch begun\n{WAITS}")
    terminal.begin("r = %workflow run --wait")
    until((jupyter / "begun").exists, "the job runs")
    terminal.interrupt()
    told = terminal.finish()
    assert "goes on" in told
    assert "Traceback" not in told
    (jupyter / "go").touch()
    assert "1 done" in terminal.run("%workflow run --wait")


def test_a_cell_that_is_typed_again_updates_its_job(terminal: Terminal, jupyter: Path) -> None:
    terminal.run("%%job local train\necho one")
    assert "Error" not in terminal.run("%%job local train\necho two")
    assert list(definition.load(jupyter / "workflow.yaml").jobs) == ["train"]


def test_tab_completes_a_host(terminal: Terminal, jupyter: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  rivanna: {transport: ssh}\n")
    terminal.run("from hybridnb.notebook import complete; complete._PATIENCE = 60")  # nobody presses Tab again here
    terminal.type("%%job riv\t")
    terminal.see("anna")
    terminal.type(" train\rtrue\r\r\r")
    terminal.finish()
    assert definition.load(jupyter / "workflow.yaml")["train"].host == "rivanna"


def test_jobs_go_to_this_machine_a_server_and_a_cluster(
    server: Server,
    slurm_server: Server,
    home: Path,
    jupyter: Path,
    monkeypatch: pytest.MonkeyPatch,
    terminals: Callable[[], Terminal],
) -> None:
    monkeypatch.setenv("PATH", str(settle(server, jupyter)), prepend=os.pathsep)
    cluster = entry(slurm_server, scheduler="slurm", slots=100)
    (home / "hosts.yaml").write_text(json.dumps({"hosts": {"far": entry(server), "cluster": cluster}}))
    terminal = terminals()
    terminal.run("%%job local here --out here.txt\necho here > here.txt")
    terminal.run("%%job far there --after here --in here.txt --out there.txt\ncat here.txt - <<< there > there.txt")
    terminal.run("%%job cluster last --after there --in there.txt --time 5\ncat there.txt\necho in ${SLURM_JOB_ID:+Slurm}")
    terminal.begin("r = %workflow run --wait")
    assert "3 done" in terminal.finish(seconds=60)
    assert "here\nthere\nin Slurm" in terminal.run("%workflow log last")


def test_a_host_that_asks_is_answered_on_the_terminal(
    totp_server: Server, home: Path, jupyter: Path, monkeypatch: pytest.MonkeyPatch, terminals: Callable[[], Terminal]
) -> None:
    monkeypatch.setenv("PATH", str(settle(totp_server, jupyter)), prepend=os.pathsep)
    (home / "hosts.yaml").write_text(json.dumps({"hosts": {"far": entry(totp_server)}}))
    terminal = terminals()
    terminal.begin("%%job far train --wait\necho inside")
    terminal.see("host 'far' asks:")
    terminal.see("Password:")
    terminal.type(f"{PASSWORD}\r")
    terminal.see("Verification code:")
    terminal.type(f"{code()}\r")
    told = terminal.finish()
    assert "1 done" in told
    assert PASSWORD not in told
    assert "inside" in terminal.run("%workflow log train")


def test_a_terminal_keeps_to_its_workflow_whatever_notebooks_hold(terminal: Terminal, jupyter: Path) -> None:
    Notebook(jupyter / "old.ipynb", "%%job local train\necho one")
    terminal.run("%workflow add first --exec hostname")
    terminal.run("%%job local train\necho one")
    assert list(definition.load(jupyter / "workflow.yaml").jobs) == ["first", "train"]
    assert not (jupyter / "old.yaml").exists()


def test_a_cell_at_a_terminal_waits_for_its_job_and_not_for_the_others_of_the_run(terminal: Terminal, jupyter: Path) -> None:
    terminal.run(f"%%job local slow --run\ntouch begun\n{WAITS}")
    until((jupyter / "begun").exists, "the job runs")
    told = terminal.run("%%job local quick --wait\ntouch quick")
    assert (jupyter / "quick").exists()
    assert "Error" not in told
    assert "1 running" in terminal.run("%workflow status")
    (jupyter / "go").touch()


def test_what_is_no_persons_home_is_told_in_words(terminal: Terminal) -> None:
    told = terminal.run("%workflow open ~nobody-here/x.yaml")
    assert "no such user" in told
    assert "Traceback" not in told
