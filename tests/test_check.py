"""Trying a host: each step is told with what was found, and what fails with what to do. Real sshds and a real Slurm."""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hybridnb.errors import NotFound
from hybridnb.hosts import build, check
from hybridnb.hosts.check import Step, Trial, steps
from hybridnb.hosts.config import Hosts
from hybridnb.hosts.local import LocalTransport
from hybridnb.hosts.questions import Questions
from hybridnb.model import Resources
from testbed.slurm import Slurm
from testbed.sshd import PASSWORD, Server, Sshd, code
from testbed.wsl import Wsl


@pytest.fixture(autouse=True)
def configured(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have OpenSSH read the servers' configuration as that of the user."""
    real = shutil.which("ssh")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {real} -F {sshd.config} "$@"\n')
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def tried(entry: dict[str, Any], name: str = "server") -> dict[str, Step]:
    """Try a host; return what came of each step, in their order."""
    entry = {"transport": "ssh", **entry}
    with closing(build.far(name, entry, questions=Questions(), wake=lambda: None)) as host:
        told = list(steps(host.transport, entry, connect=host.connect))
    begun = [step.what for step in told if step.ok is None]
    assert begun == list(dict.fromkeys(begun)), "each step begins once"
    return {step.what: step for step in told if step.ok is not None}


def failed(found: dict[str, Step]) -> list[str]:
    return [what for what, step in found.items() if not step.ok]


# -- what goes well -------------------------------------------------------------------------------------------------------
def test_a_host_that_can_be_used_passes_all_steps(server: Server) -> None:
    found = tried({})
    assert list(found) == [
        *("name", "connection", "host key", "login", "shell"),
        *("directory", "tools", "clock", "round trip", "scheduler"),
    ]
    assert failed(found) == []
    assert found["name"].told == f"127.0.0.1, port {server.port}"
    assert found["host key"].told.startswith("ED25519 SHA256:")
    assert found["login"].told.startswith(f"{server.user}@127.0.0.1")
    assert "id_ed25519" in found["login"].told
    assert found["directory"].told.startswith(f"{server.account.home}/.hybridnb, ")
    assert found["directory"].told.endswith(" GiB free")
    assert found["tools"].told == "all that is needed"
    assert found["clock"].told == "as here, within a second"
    assert all(found[what].seconds > 0 for what in ("connection", "shell", "round trip"))
    assert f"{os.cpu_count()} cores" in found["scheduler"].told


def test_the_systems_ssh_is_tried_by_the_same_steps(server: Server) -> None:
    found = tried({"transport": "openssh"})
    assert failed(found) == []
    assert found["login"].told.startswith(f"{server.user}@127.0.0.1")


def test_a_distribution_of_wsl_is_tried_without_the_steps_of_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Wsl(tmp_path / "windows")) as windows:
        windows.add("Debian")
        for name, value in windows.env.items():
            monkeypatch.setenv(name, value)
        found = tried({"transport": "wsl", "distro": "Debian"}, "debian")
    assert failed(found) == []
    assert list(found)[:2] == ["connection", "shell"]
    assert "Debian" in found["connection"].told


def test_what_was_tried_in_the_directory_of_a_host_does_not_stay(server: Server) -> None:
    tried({"directory": "jobs/here"})
    assert sorted(os.listdir(server.account.home / "jobs/here")) == ["runner", "runs"]


@pytest.mark.parametrize("directory", ["~/a b", "a b", "/tmp/{user}-a b"])
def test_a_directory_is_read_as_a_job_will_find_it(server: Server, directory: str) -> None:
    directory = directory.format(user=server.user)
    told = tried({"directory": directory})["directory"].told
    path, _, _ = told.partition(", ")
    assert path == (directory if directory.startswith("/") else f"{server.account.home}/a b")
    shutil.rmtree(path)


def test_a_host_behind_another_is_told_with_the_way(sshd: Sshd) -> None:
    sshd.up("login")
    behind = sshd.up("behind", client=["ProxyJump login"])
    found = tried({}, "behind")
    assert failed(found) == []
    assert f", then {behind.user}@127.0.0.1:{behind.port}" in found["name"].told
    assert found["connection"].told.startswith("through ")


def test_this_machine_can_be_tried_too(home: Path) -> None:
    found = [step for step in Trial(Hosts(), "local") if step and step.ok is not None]
    assert [step.what for step in found] == ["shell", "directory", "tools", "clock", "round trip", "scheduler"]
    assert all(step.ok for step in found)
    assert found[1].told.startswith(str(home))


# -- what fails -----------------------------------------------------------------------------------------------------------
def test_a_name_that_nobody_knows_is_told(server: Server) -> None:
    found = tried({"address": "no-such-machine.invalid"})
    assert failed(found) == ["name", "connection"]
    assert "'no-such-machine.invalid' is not found" in found["name"].told
    assert "address" in found["name"].advice


def test_a_machine_that_does_not_answer_is_told_and_tried_no_further(server: Server) -> None:
    server.stop()
    found = tried({})
    assert failed(found) == ["connection"]
    assert list(found) == ["name", "connection"]
    assert "ssh server" in found["connection"].advice


def test_a_login_that_is_refused_is_told_with_what_to_do(server: Server) -> None:
    server.authorized_keys.write_text("")
    found = tried({})
    assert failed(found) == ["login"]
    assert "did not accept the login" in found["login"].told
    assert found["login"].advice


def test_a_changed_host_key_is_told_as_such(server: Server) -> None:
    server.kill()
    server.rekey()
    server.start()
    found = tried({})
    assert failed(found) == ["host key"]
    assert found["host key"].told.startswith("its host key has changed")


def test_a_shell_that_ends_is_told_apart_from_a_connection_that_fails(sshd: Sshd) -> None:
    sshd.up(files={".bashrc": "echo leaving; exit 1\n"}, shell="bash")
    found = tried({})
    assert failed(found) == ["shell"]
    assert found["login"].ok
    assert "start-up files" in found["shell"].advice


def test_a_directory_where_one_may_not_write_is_told_and_the_rest_is_tried(server: Server) -> None:
    found = tried({"directory": "/proc/jobs"})
    assert failed(found) == ["directory"]
    assert "cannot create directory" in found["directory"].told
    assert "'directory' in hosts.yaml" in found["directory"].advice
    assert found["scheduler"].ok


def test_set_up_lines_are_tried_in_the_shell_of_the_jobs(server: Server) -> None:
    assert tried({"setup": ("export A=1", "shopt -q login_shell"), "shell": "bash -l"})["set-up"].told == "2 lines"
    found = tried({"setup": ("module load python",)})
    assert failed(found) == ["set-up"]
    assert "module: command not found" in found["set-up"].told
    said = tried({"setup": ("module load python", "true")})["set-up"]
    assert said.ok
    assert "module: command not found" in said.told
    assert said.advice


class Bare(LocalTransport):
    """This machine with the programs of one folder alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__("bare")
        self.folder = folder

    def run(self, script: str, *args: str, **more: Any) -> str:
        return super().run(f"PATH={self.folder}\n{script}", *args, **more)


def test_programs_that_are_missing_are_told_unless_others_do_their_work(tmp_path: Path) -> None:
    for name in ("tar", "gzip", "openssl"):
        (tmp_path / name).symlink_to(shutil.which(name) or "/bin/false")
    told, _ = check._tools(Bare(tmp_path), {})
    assert told == "without setsid, flock, sha256sum, base64, in whose place others do the work"
    (tmp_path / "openssl").unlink()
    (tmp_path / "tar").unlink()
    with pytest.raises(check._Wrong) as wrong:
        check._tools(Bare(tmp_path), {})
    assert wrong.value.args[0] == "there is no tar, sha256sum, base64"


class Late(LocalTransport):
    """This machine with a clock that is wrong."""

    def __init__(self, seconds: float) -> None:
        super().__init__("late")
        self.seconds = seconds

    def run(self, script: str, *args: str, **more: Any) -> str:
        return f"{time.time() + self.seconds:.0f}\n"


@pytest.mark.parametrize(("seconds", "told", "advised"), [(-600, " behind", True), (5, " ahead", False), (0.4, "as here", False)])
def test_a_clock_that_is_wrong_is_told(seconds: float, told: str, advised: bool) -> None:
    found, advice = check._clock(Late(seconds), {})
    assert told in found
    assert bool(advice) is advised


@pytest.mark.parametrize(
    ("line", "free"),
    [
        ("/dev/vda 100 50 2097152 50% /", "2.0 GiB free"),
        ("server:/a b 7516192768 4294967296 3221225472 58% /home", "3072.0 GiB free"),
        ("tmpfs 100 50 10 - /tmp", "0.0 GiB free"),
    ],
)
def test_free_space_is_read_from_df_whatever_is_mounted(line: str, free: str) -> None:
    class Told(LocalTransport):
        def run(self, script: str, *args: str, **more: Any) -> str:
            return f"/home/me/.hybridnb\n{line}\n"

    assert check._directory(Told(), {"transport": "ssh"})[0] == f"/home/me/.hybridnb, {free}"


# -- Slurm ----------------------------------------------------------------------------------------------------------------
def test_a_cluster_tells_its_version_and_limits(slurm_server: Server) -> None:
    found = tried({"scheduler": "slurm"}, "login")
    assert failed(found) == []
    assert re.fullmatch(r"slurm\S* \d+\.\d+\.\d+", found["scheduler"].told)
    assert "main* (up to " in found["limits"].told
    assert "MaxArraySize 10001" in found["limits"].told


def test_the_default_account_is_told_where_there_is_accounting(sshd: Sshd, slurm_dbd: Slurm) -> None:
    sshd.up("login", env=slurm_dbd.env)
    assert failed(tried({"scheduler": "slurm"}, "login")) == []


def test_a_partition_that_is_not_there_is_told_with_those_that_are(slurm_server: Server) -> None:
    found = tried({"scheduler": "slurm", "resources": Resources(partition="gpu")}, "login")
    assert failed(found) == ["limits"]
    assert "there is no partition 'gpu'; there are main*" in found["limits"].told


def test_an_option_of_sbatch_that_no_job_can_have_is_told(slurm_server: Server) -> None:
    found = tried({"scheduler": "slurm", "resources": Resources(sbatch=("--array=1-3",))}, "login")
    assert failed(found) == ["limits"]
    assert "the option --array=1-3 cannot be used" in found["limits"].told


def test_a_cluster_whose_controller_is_down_is_told(slurm_server: Server, slurm: Slurm) -> None:
    slurm.stop("slurmctld")
    found = tried({"scheduler": "slurm"}, "login")
    assert failed(found) == ["limits"]
    assert "Unable to contact slurm controller" in found["limits"].told


# -- beside everything else -----------------------------------------------------------------------------------------------
def test_steps_are_told_as_they_happen_while_a_question_waits(totp_server: Server, home: Path) -> None:
    (home / "hosts.yaml").write_text(f"hosts:\n  far: {{transport: ssh, address: {totp_server.name}}}\n")
    hosts = Hosts()
    told: list[Step] = []
    with closing(hosts):
        answers = iter([PASSWORD, code()])
        for step in Trial(hosts, "far"):
            if step:
                told.append(step)
            for question in hosts.questions.open():
                assert (told[-1].what, told[-1].ok) == ("connection", None)
                hosts.questions.answer(question.id, next(answers))
    assert [step.what for step in told if step.ok][:4] == ["name", "connection", "host key", "login"]
    assert next(step.told for step in told if step.what == "login").endswith("keyboard-interactive")


def test_an_unknown_host_is_told_before_anything_is_tried() -> None:
    with pytest.raises(NotFound, match="host 'nobody' is not known"):
        Trial(Hosts(), "nobody")


def test_a_fault_of_our_own_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_shell", lambda *_: 1 / 0)
    last = [step for step in Trial(Hosts(), "local") if step][-1]
    assert (last.ok, last.told, last.advice) == (False, "ZeroDivisionError: division by zero", "this is a fault of hybridnb")


def test_a_host_that_is_lost_while_it_is_tried_fails_step_by_step(server: Server) -> None:
    entry = {"transport": "ssh"}
    with closing(build.far("server", entry, questions=Questions(), wake=lambda: None)) as host:
        found = []
        for step in steps(host.transport, entry, connect=host.connect):
            found.append(step)
            if step.what == "shell" and step.ok:
                server.kill()
    assert [step.ok for step in found if step.what in ("directory", "scheduler") and step.ok is not None] == [False, False]
