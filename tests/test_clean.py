"""Removing runs from hosts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hybridnb.errors import HostError
from hybridnb.hosts.files.clean import clean
from hybridnb.hosts.local import LocalTransport
from testbed.processes import program

RUN = "2026-11-22-2015-ab3z"
HOST = LocalTransport("host")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    attempt(tmp_path / "hn b/$x", 1, rc="0 exit\n", claim="1 2 3\n")
    return tmp_path / "hn b/$x"


def attempt(
    directory: Path, number: int, *, run: str = RUN, rc: str = "", claim: str | None = None, spec: str = "hybridnb_token=ab\n"
) -> Path:
    folder = directory / "runs" / run / f"{number}/1"
    folder.mkdir(parents=True)
    (folder / "spec").write_text(spec)
    if rc:
        (folder / "rc").write_text(rc)
    if claim is not None:
        (folder / "claim").write_text(claim)
    return folder


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("machine", ["this", "busybox"])
def test_a_run_is_removed_with_all_that_is_in_it_and_nothing_beside_it(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    if machine == "busybox":
        (tmp_path / "bin").mkdir()
        subprocess.run([program("busybox"), "--install", "-s", str(tmp_path / "bin")], check=True)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    attempt(directory, 1, run="2026-11-22-2015-ab3y", rc="0 exit\n")
    (directory / "runner").mkdir()
    others = everything(directory) - everything(directory / "runs" / RUN) - {directory / "runs" / RUN}
    work = directory / "runs" / RUN / "work"
    (work / "-rf/$(x)/line\nbreak").mkdir(parents=True)
    (work / "large").write_bytes(bytes(3_000_000))
    (work / "closed/in").mkdir(parents=True)
    (work / "closed").chmod(0o500)
    assert 3_000_000 <= clean(HOST, str(directory), RUN) < 3_200_000
    assert everything(directory) == others
    assert clean(HOST, str(directory), RUN) == 0


def test_where_nothing_ever_ran_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert clean(HOST, str(tmp_path / "never"), RUN) == 0


def test_what_links_lead_to_stays(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/deep").mkdir(parents=True)
    (tmp_path / "mine/deep/file").write_text("mine")
    work = directory / "runs" / RUN / "work"
    work.mkdir()
    (work / "folder").symlink_to(tmp_path / "mine")
    (work / "file").symlink_to(tmp_path / "mine/deep/file")
    os.link(tmp_path / "mine/deep/file", work / "hard")
    clean(HOST, str(directory), RUN)
    assert (tmp_path / "mine/deep/file").read_text() == "mine"
    assert not work.exists()


def test_a_run_that_is_a_link_stays(directory: Path, tmp_path: Path) -> None:
    (directory / "runs" / RUN).rename(tmp_path / "mine")
    (directory / "runs" / RUN).symlink_to(tmp_path / "mine")
    with pytest.raises(HostError, match=r"^host 'host': .*/hn b/\$x/runs/2026-11-22-2015-ab3z is no folder; it stays$"):
        clean(HOST, str(directory), RUN)
    assert (tmp_path / "mine/1/1/spec").exists()


def test_a_mount_in_it_stays_and_is_told(directory: Path) -> None:
    disk = directory / "runs" / RUN / "work/disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True)
    aside = directory / "runs" / f".{RUN}.gone"
    try:
        (disk / "mine").write_text("mine")
        with pytest.raises(HostError, match=r"work/disk.*busy"):
            clean(HOST, str(directory), RUN)
        assert (aside / "work/disk/mine").read_text() == "mine"
    finally:
        subprocess.run(["umount", str(aside / "work/disk")], check=True)
    clean(HOST, str(directory), RUN)
    assert list((directory / "runs").iterdir()) == []


@pytest.mark.parametrize("spec", ["", "echo\n", "# hybridnb_token=ab\n"])
def test_a_folder_without_our_mark_stays(tmp_path: Path, spec: str) -> None:
    attempt(tmp_path, 1, rc="0 exit\n", spec=spec)
    before = everything(tmp_path)
    with pytest.raises(HostError, match="holds no attempt of a job, so it may not be ours; it stays"):
        clean(HOST, str(tmp_path), RUN)
    assert everything(tmp_path) == before


def test_a_mark_behind_a_link_is_none(tmp_path: Path) -> None:
    attempt(tmp_path / "other", 1, rc="0 exit\n")
    run = tmp_path / "runs" / RUN
    run.mkdir(parents=True)
    (run / "1").symlink_to(tmp_path / "other/runs" / RUN / "1")
    (run / "mine").write_text("mine")
    with pytest.raises(HostError, match="it may not be ours"):
        clean(HOST, str(tmp_path), RUN)
    assert (run / "mine").exists()


@pytest.mark.parametrize(
    "run",
    ["", ".", "..", "*", "x", f"../runs/{RUN}", f"{RUN}/", f"{RUN}\n", f"{RUN}/work", "2026-11-22-2015-ab0l", f"-{RUN}", f" {RUN}"],
)
def test_what_is_no_id_of_a_run_is_refused(directory: Path, run: str) -> None:
    before = everything(directory)
    with pytest.raises(HostError, match="is not the id of a run; nothing is removed"):
        clean(HOST, str(directory), run)
    assert everything(directory) == before


@pytest.mark.parametrize("folder", ["", "hn", "~/.hybridnb", "/a/../b", "/a\nb"])
def test_a_directory_is_an_absolute_path(folder: str) -> None:
    with pytest.raises(HostError, match="is no absolute path; nothing is removed"):
        clean(HOST, folder, RUN)


@pytest.fixture
def job() -> Iterator[psutil.Process]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def claim_of(pid: int) -> str:
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
    return f"{pid} {started} {Path('/proc/sys/kernel/random/boot_id').read_text()}"


def test_jobs_that_run_hold_their_run_and_those_that_died_do_not(directory: Path, job: psutil.Process) -> None:
    attempt(directory, 2, claim=claim_of(job.pid))
    with pytest.raises(HostError, match=r"/runs/2026-11-22-2015-ab3z has jobs that have not ended: 2/1; cancel them first$"):
        clean(HOST, str(directory), RUN)
    job.kill()
    job.wait(30)
    assert clean(HOST, str(directory), RUN) > 0


@pytest.mark.parametrize("claim", [f"{os.getpid()} 1 x\n", "999999 1 -\n"], ids=["of before the last boot", "of nobody"])
def test_a_claim_whose_process_is_another_or_none_holds_nothing(directory: Path, claim: str) -> None:
    attempt(directory, 2, claim=claim)
    clean(HOST, str(directory), RUN)
    assert not (directory / "runs" / RUN).exists()


@pytest.mark.parametrize(("rc", "claim"), [("", None), ("0 exi", None), ("", "")], ids=["not begun", "torn", "beginning"])
def test_jobs_that_have_not_begun_hold_their_run(directory: Path, rc: str, claim: str | None) -> None:
    folder = attempt(directory, 12, rc=rc, claim=claim)
    with pytest.raises(HostError, match="has jobs that have not ended: 12/1; cancel them first"):
        clean(HOST, str(directory), RUN)
    assert folder.exists()


def test_a_job_that_was_cancelled_before_it_began_holds_nothing(directory: Path) -> None:
    (attempt(directory, 2).parent / "cancel").write_text("\n")
    assert clean(HOST, str(directory), RUN) > 0


@pytest.mark.parametrize(
    ("squeue", "words"),
    [
        ("echo other; echo hn-ab12", "has jobs that have not ended: hn-ab12; cancel"),
        ("echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1", "Unable to contact"),
    ],
)
def test_what_slurm_has_in_its_queue_or_does_not_tell_holds_the_run(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squeue: str, words: str
) -> None:
    (attempt(directory, 2) / "unit").write_text("ab12 0\n")
    (directory / "runs" / RUN / "units/ab12").mkdir(parents=True)
    fake = tmp_path / "bin/squeue"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{squeue}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(HostError, match=words):
        clean(HOST, str(directory), RUN)
    fake.write_text("#!/bin/sh\necho hn-ab1\necho hn-ab123\n")
    assert clean(HOST, str(directory), RUN) > 0


def test_what_a_cut_left_goes_next_time(directory: Path) -> None:
    (directory / "runs" / RUN).rename(directory / "runs" / f".{RUN}.gone")
    assert clean(HOST, str(directory), RUN) > 0
    attempt(directory, 1, rc="0 exit\n")
    attempt(directory, 1, run=f".{RUN}.gone", rc="0 exit\n")
    assert clean(HOST, str(directory), RUN) > 0
    assert list((directory / "runs").iterdir()) == []
