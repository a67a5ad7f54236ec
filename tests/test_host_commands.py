"""The commands about hosts: listing, adding, trying. Real processes, pipes and terminals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from hybridnb import cli
from hybridnb.host_commands import _shown
from hybridnb.hosts import entries
from hybridnb.show import Screen, columns

COMMAND = [sys.executable, "-m", "hybridnb"]
PATIENCE = 60  # seconds


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parent.parent))
    return tmp_path


def hybridnb(*words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in a pipe, and look at its exit status."""
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_hosts_are_listed_with_those_of_this_folder(folder: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  rivanna: {transport: ssh, address: rivanna.hpc.virginia.edu, scheduler: slurm}\n")
    (folder / "hosts.yaml").write_text("hosts:\n  mine: {slots: 2}\n")
    out = hybridnb("hosts").stdout
    assert re.search(r"^local +local +process", out, re.M)
    assert re.search(r"^rivanna +ssh +slurm +rivanna\.hpc\.virginia\.edu", out, re.M)
    assert re.search(r"^mine +local +process +2$", out, re.M)


def test_a_host_whose_entry_is_wrong_is_listed_with_its_problem_beside_the_others(folder: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  box: {slots: 2}\n  rivanna: {adress: x}\n")
    out = hybridnb("hosts").stdout
    assert re.search(r"^box +local +process +2$", out, re.M)
    assert re.search(r"^rivanna +cannot be used, see below$", out, re.M)
    assert f"host 'rivanna': {home / 'hosts.yaml'}:3: 'adress' is not a field of host 'rivanna'; did you mean 'address'?" in out


def test_a_workflow_is_checked_whatever_is_wrong_with_hosts_that_it_does_not_name(folder: Path) -> None:
    (folder / "hosts.yaml").write_text("hosts:\n  mine: {slots: 2}\n  theirs: {slots: 0}\n")
    (folder / "flow.yaml").write_text("jobs:\n  a: {host: mine, script: echo}\n")
    assert "hosts mine" in hybridnb("check", folder / "flow.yaml").stdout


def test_a_workflow_is_checked_with_the_hosts_beside_it(folder: Path) -> None:
    (folder / "hosts.yaml").write_text("hosts:\n  mine: {slots: 2}\n")
    file = folder / "flow.yaml"
    file.write_text("jobs:\n  a: {host: mine, script: echo}\n")
    assert "hosts mine" in hybridnb("check", file).stdout
    (folder / "hosts.yaml").write_text("hosts:\n  mine: {slots: 0}\n")
    assert "hosts.yaml:2: slots of host 'mine': expected 1 or more" in hybridnb("check", file, status=2).stderr


def test_two_workflows_mean_different_hosts_by_one_name(folder: Path, home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  box: {setup: export MARK=user}\n")
    (folder / "mine").mkdir()
    (folder / "mine/hosts.yaml").write_text("hosts:\n  box: {setup: [export MARK=mine, true], shell: bash}\n")
    for name in ("", "mine"):
        file = folder / name / "flow.yaml"
        file.write_text("jobs:\n  a: {host: box, script: echo $MARK >mark}\n")
        hybridnb("run", file)
    assert [(folder / name / "mark").read_text() for name in ("", "mine")] == ["user\n", "mine\n"]


def test_a_host_is_added_with_all_that_can_be_said(home: Path) -> None:
    words = ["--address", "r.edu", "--user", "ab1cd", "--port", "2222", "--identity", "~/.ssh/id", "--scheduler", "slurm"]
    words += ["--directory", "/scratch/me", "--slots", "100", "--shell", "bash -l", "--setup", "module load x", "--setup", "true"]
    words += ["--partition", "gpu", "--account", "bii", "--qos", "high", "--time", "1:00:00"]
    out = hybridnb("hosts", "add", "rivanna", *words).stdout
    assert out == f"host 'rivanna' is in {home}/hosts.yaml; try it by 'hybridnb hosts check rivanna'\n"
    assert entries.plain(entries.read(home / "hosts.yaml").checked()["rivanna"]) == {
        "transport": "ssh",
        "address": "r.edu",
        "user": "ab1cd",
        "port": 2222,
        "identity": str(Path("~/.ssh/id").expanduser()),
        "scheduler": "slurm",
        "directory": "/scratch/me",
        "slots": 100,
        "setup": ["module load x", "true"],
        "shell": "bash -l",
        "resources": {"partition": "gpu", "account": "bii", "qos": "high", "time": "1:00:00"},
    }


def test_an_added_host_is_by_ssh_unless_it_is_said_otherwise(home: Path, folder: Path) -> None:
    for name, words in {"a": (), "b": ("--distro", "Debian"), "c": ("--transport", "local", "--slots", "1")}.items():
        hybridnb("hosts", "add", name, *words)
    hybridnb("hosts", "add", "d", "--identity", "key")
    found = entries.read(home / "hosts.yaml").checked()
    assert [entry["transport"] for entry in found.values()] == ["ssh", "wsl", "local", "ssh"]
    assert found["d"]["identity"] == str(folder / "key")


def test_a_host_that_is_there_is_replaced_only_on_request(home: Path) -> None:
    (home / "hosts.yaml").write_text("# mine\nhosts:\n  a: {slots: 2}\n")
    assert "--replace" in hybridnb("hosts", "add", "a", status=2).stderr
    hybridnb("hosts", "add", "a", "--replace")
    assert (home / "hosts.yaml").read_text() == "# mine\nhosts:\n  a:\n    transport: ssh\n"


def test_a_check_of_a_host_tells_each_step_and_ends_with_its_verdict() -> None:
    out = hybridnb("hosts", "check", "local").stdout
    assert [line.split()[:2] for line in out.splitlines()[:2]] == [["✔", "shell"], ["✔", "directory"]]
    assert out.endswith("\nhost 'local': jobs can go there\n")
    assert "did you mean 'local'?" in hybridnb("hosts", "check", "lokal", status=2).stderr


def test_a_check_that_fails_is_exit_status_1_and_says_what_to_do(home: Path) -> None:
    (home / "hosts.yaml").write_text("hosts:\n  box: {setup: exit 3}\n")
    out = hybridnb("hosts", "check", "box", status=1).stdout
    assert "✘ set-up" in out
    assert "→ correct 'setup' or 'shell' in hosts.yaml" in out
    assert out.endswith("\nhost 'box': 1 step failed\n")


def test_a_check_on_a_terminal_shows_the_step_that_is_under_way() -> None:
    environment = {**os.environ, "TERM": "xterm-256color"}
    child = pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], "hosts", "check", "local"], env=environment, encoding="utf-8", timeout=PATIENCE
    )
    child.expect("○.* shell")
    child.expect("✔.* shell")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (child.before or "").splitlines()[-1] == "host 'local': jobs can go there"


def test_a_step_is_told_with_its_time_and_what_to_do() -> None:
    good = {"what": "login", "ok": True, "told": "by key", "seconds": 0.041, "advice": ""}
    assert _shown(good, Screen()) == ["✔ login       by key (41 ms)"]
    bad = {"what": "directory", "ok": False, "told": "no " * 30, "seconds": 1.5, "advice": "set another"}
    lines = _shown(bad, Screen(60, 24, unicode=False))
    assert lines[0].startswith("x directory   no no")
    assert lines[-1] == " " * 14 + "> set another"
    assert all(columns(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 14) for line in lines[1:])


def test_a_step_cannot_act_on_the_terminal() -> None:
    told = {"what": "shell", "ok": True, "told": "\x1b[2Jbash\r\n", "seconds": 0, "advice": "\x07"}
    assert "\x1b" not in "".join(_shown(told, Screen()))
    assert "\x07" not in "".join(_shown(told, Screen()))
