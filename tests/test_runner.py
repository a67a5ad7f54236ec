"""runner.sh and wrap.sh: the queue of a plain host, on every shell that is here."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import psutil
import pytest

from hybridnb.hosts import process
from hybridnb.hosts.local import LocalTransport
from testbed.processes import end_those_in, until

DEADLINE = 60.0  # seconds
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
HERE = [name for name, words in SHELLS.items() if shutil.which(words[0])]
PROGRAMS = Path(str(files("hybridnb.hosts")))


class Queue:
    """A runner's folder, and what a submitter does with it."""

    def __init__(self, folder: Path, shell: str, slots: int) -> None:
        self.folder, self.slots = folder / "runner", slots
        self.jobs = folder / "jobs"
        self.lines: list[str] = []
        self._shell = shell
        self._heard: queue.Queue[str] = queue.Queue()
        self._batches = 0
        self._transport = LocalTransport()
        self.folder.mkdir()
        (self.folder / "record").touch()
        self._transport.follow(str(self.folder / "record"), 0, hear=self._heard.put)

    def job(
        self, key: str, script: str, *, after: str = "-", retries: int = 0, backoff: int = 0, spec: str = "", attempt: int = 1
    ) -> str:
        """Write an attempt's folder; return the line that asks for it."""
        folder = self.jobs / key / str(attempt)
        folder.mkdir(parents=True)
        (folder / "script").write_text(script + "\n")
        (folder / "spec").write_text(f"{spec}\ncd '{self.jobs.parent}'\nset -- sh \"$hybridnb_here/script\"\n")
        return self.line(key, after=after, retries=retries, backoff=backoff, attempt=attempt)

    def line(self, key: str, *, after: str = "-", retries: int = 0, backoff: int = 0, attempt: int = 1) -> str:
        return f"add {key} {attempt} {retries} {backoff} {after} {self.jobs}/{key}/\n"

    def send(self, *lines: str) -> None:
        """Hand a batch over as the product does."""
        self._batches += 1
        name = f"batch{self._batches:06}" if lines else ""
        if shutil.which(SHELLS[self._shell][0]) and self._shell != "dash":
            self._use_shell()
        programs = self.folder.parent / "programs" if self._shell != "dash" else PROGRAMS
        self._transport.run(
            process.HAND_OVER, str(self.folder), str(self.slots), str(programs), name, input="".join(lines).encode()
        )

    def _use_shell(self) -> None:
        """Have runner and wrapper run by the shell under test: each starts by handing itself to it."""
        programs = self.folder.parent / "programs"
        if programs.exists():
            return
        programs.mkdir()
        for name in ("runner.sh", "wrap.sh"):
            text = (PROGRAMS / name).read_text()
            words = " ".join(SHELLS[self._shell])
            again = f'#!/bin/sh\n[ "${{UNDER_TEST-}}" = {name} ] || {{ export UNDER_TEST={name}; exec {words} "$0" "$@"; }}\n'
            (programs / name).write_text(again + text.removeprefix("#!/bin/sh\n"))

    def wait(self, *wanted: str) -> None:
        """Wait until the record has lines that begin so, each."""
        end = time.monotonic() + DEADLINE
        while missing := [w for w in wanted if not any(line.startswith(w + " ") or line == w for line in self.lines)]:
            try:
                self.lines.append(self._heard.get(timeout=max(0.0, end - time.monotonic())).strip())
            except queue.Empty:
                pytest.fail(f"the record has no {missing}: {self.lines[-20:]}")

    def pid(self) -> int:
        return int((self.folder / "lock").read_text())

    def rc(self, key: str, attempt: int = 1) -> str:
        return (self.jobs / key / str(attempt) / "rc").read_text().strip()

    def out(self, key: str) -> str:
        return (self.jobs / key / "1" / "out").read_text()

    def native(self, key: str) -> int:
        """The process group of a started attempt."""
        return int((self.jobs / key / "1" / "claim").read_text().split()[0])

    def finished(self) -> None:
        """Wait until the runner has ended by itself."""
        with suppress(psutil.NoSuchProcess):
            psutil.wait_procs([psutil.Process(self.pid())], timeout=DEADLINE)

    def close(self) -> None:
        self._transport.close()
        for p in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word or str(self.jobs) in word for word in p.info["cmdline"] or []):
                with suppress(psutil.NoSuchProcess):
                    p.kill()


@pytest.fixture(params=HERE)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Queue]]:
    made: list[Queue] = []

    def build(*, slots: int = 2, folder: Path = tmp_path) -> Queue:
        made.append(Queue(folder, request.param, slots))
        return made[-1]

    yield build
    for each in made:
        each.close()
    end_those_in(tmp_path)


def test_exit_codes_and_logs_are_kept_for_each_job(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(*(q.job(f"k{i}", f"echo out {i}; echo err {i} >&2; exit {i % 4}") for i in range(20)))
    q.wait(*(f"end k{i} 1 {i % 4} exit" for i in range(20)))
    assert [q.rc(f"k{i}") for i in range(20)] == [f"{i % 4} exit" for i in range(20)]
    assert q.out("k7") == "out 7\n"
    assert (q.jobs / "k7/1/err").read_text() == "err 7\n"


def test_a_runner_ends_when_nothing_is_open_and_leaves_no_process(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", "true"))
    q.wait("end k")
    q.finished()
    assert not (q.folder / "inbox").exists()
    workers = [
        p
        for p in psutil.process_iter(["cmdline"])
        if any(str(q.folder) in w for w in p.info["cmdline"] or []) and "tail" not in p.info["cmdline"]
    ]
    psutil.wait_procs(workers, timeout=DEADLINE)


def test_edges_wait_for_the_end_that_they_name(make: Callable[..., Queue]) -> None:
    q = make()
    order = q.jobs.parent / "order"
    note = f"echo $0 | sed 's!.*jobs/!!; s!/.*!!' >>'{order}'"
    q.send(
        q.job("good", note),
        q.job("bad", f"{note}; exit 3"),
        q.job("ok_good", note, after="good:ok"),
        q.job("ok_bad", note, after="good:ok,bad:ok"),
        q.job("below", note, after="ok_bad"),
        q.job("any_bad", note, after="bad:any"),
        q.job("any_skipped", note, after="below:any"),
        q.job("failed_bad", note, after="bad:failed"),
        q.job("failed_good", note, after="good:failed"),
    )
    q.wait(*(f"end {k}" for k in ("ok_good", "ok_bad", "below", "any_bad", "any_skipped", "failed_bad", "failed_good")))
    assert {k for k in ("ok_bad", "below", "failed_good") if q.rc(k) == "75 skipped"} == {"ok_bad", "below", "failed_good"}
    assert sorted(order.read_text().split()) == sorted(["good", "bad", "ok_good", "any_bad", "any_skipped", "failed_bad"])


def test_a_long_chain_is_skipped_without_exhausting_the_stack(make: Callable[..., Queue]) -> None:
    q = make()
    n = 1500
    q.send(q.job("k0", "exit 1"), *(q.job(f"k{i}", "true", after=f"k{i - 1}") for i in range(1, n)))
    q.wait(f"end k{n - 1} 1 75 skipped")
    assert sum(line.endswith("skipped") for line in q.lines) == n - 1


def test_no_more_than_the_slots_run_at_once_and_they_can_be_changed(make: Callable[..., Queue]) -> None:
    q = make(slots=2)
    gate = q.jobs.parent / "gate"
    os.mkfifo(gate)
    q.send(*(q.job(f"k{i}", f"read line <'{gate}'") for i in range(4)))
    q.wait("start k0", "start k1")
    q.send("slots 3\n")
    q.wait("start k2")
    assert not any(line.startswith("start k3") for line in q.lines)
    q.send("cancel k0 1\n", "cancel k1 1\n", "cancel k2 1\n")
    q.wait("start k3")
    q.send("cancel k3 1\n")
    q.wait("end k3")


def test_a_twin_finds_the_claim_taken_and_runs_nothing(make: Callable[..., Queue], tmp_path: Path) -> None:
    q = make()
    q.job("k", f"echo ran >>'{tmp_path}/ran'")
    programs = [subprocess.Popen(["setsid", "sh", str(PROGRAMS / "wrap.sh"), str(q.jobs / "k/1")]) for _ in range(8)]
    assert sorted(p.wait(DEADLINE) for p in programs) == [0] + [75] * 7
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_submission_sent_again_is_told_of_and_not_run_again(make: Callable[..., Queue], tmp_path: Path) -> None:
    q = make()
    q.send(q.job("k", f"echo ran >>'{tmp_path}/ran'; exit 4"), q.job("hold", "sleep 60"))
    q.wait("end k 1 4 exit")
    q.lines.clear()
    q.send(q.line("k"), q.line("hold"))
    q.wait("end k 1 4 exit", "start hold")
    q.send("cancel hold 1\n")
    q.wait("end hold")
    q.finished()
    q.lines.clear()
    q.send(q.line("k"))
    q.wait("end k 1 4 exit")
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_cancel_reaches_what_runs_what_waits_and_what_ignores_it(make: Callable[..., Queue]) -> None:
    q = make(slots=3)
    q.send(
        q.job("polite", "sleep 60"),
        q.job("deaf", "trap '' TERM; echo deaf; sleep 60 & wait; while :; do sleep 60; done"),
        q.job("family", "sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 60; done' & wait"),
        q.job("later", "true", after="polite"),
    )
    q.wait("start polite", "start deaf", "start family")
    until(lambda: all((q.jobs / f"{k}/1/out").exists() and q.out(k) for k in ("deaf", "family")), "they are deaf")
    groups = [q.native(k) for k in ("polite", "deaf", "family")]
    q.send("cancel polite 1\n", "cancel deaf 1\n", "cancel family 1\n", "cancel later 1\n")
    q.wait("end polite 1 143 cancelled", "end deaf 1 137 cancelled", "end family 1", "end later 1 75 cancelled")
    until(lambda: not [p.pid for p in psutil.process_iter() if alive_in(p, groups)], "the end of all that were killed")


def alive_in(p: psutil.Process, groups: list[int]) -> bool:
    try:
        return os.getpgid(p.pid) in groups and p.status() != psutil.STATUS_ZOMBIE and "sleep" in p.name()
    except (psutil.Error, OSError):
        return False


def test_a_time_limit_ends_the_polite_and_the_deaf(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(
        q.job("polite", "sleep 60", spec="hybridnb_limit=1 hybridnb_grace=1"),
        q.job("deaf", "trap '' TERM; while :; do sleep 60; done", spec="hybridnb_limit=1 hybridnb_grace=1"),
        q.job("quick", "exit 2", spec="hybridnb_limit=50"),
    )
    q.wait("end polite 1 143 timeout", "end deaf 1 137 timeout", "end quick 1 2 exit")
    until(
        lambda: not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "50"]], "the end of what watched"
    )


def test_a_declared_output_must_be_there(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(
        q.job("kept", "echo > 'a b.csv'", spec="hybridnb_outputs='a b.csv'"),
        q.job("glob", "echo > part-1.csv", spec="hybridnb_outputs='part-*.csv'"),
        q.job("broken", "true", spec="hybridnb_outputs='no such.csv'"),
        q.job("failed", "exit 9", spec="hybridnb_outputs='no such.csv'"),
    )
    q.wait("end kept 1 0 exit", "end glob 1 0 exit", "end broken 1 0 missing", "end failed 1 9 exit")
    assert "no such.csv" in (q.jobs / "broken/1/err").read_text()


def test_retries_follow_with_growing_pauses_until_one_is_good(make: Callable[..., Queue], tmp_path: Path) -> None:
    q = make()
    count = f"echo x >>'{tmp_path}/count'; [ $(wc -l <'{tmp_path}/count') -ge 3 ]"
    q.send(q.job("k", count, retries=3, backoff=1), q.job("child", "true", after="k"))
    q.wait("fail k 1 1 exit", "retry k 2 1", "fail k 2 1 exit", "retry k 3 2", "end k 3 0 exit", "end child 1 0 exit")
    assert [q.rc("k", n) for n in (1, 2, 3)] == ["1 exit", "1 exit", "0 exit"]


def test_withdraw_takes_back_what_has_not_started(make: Callable[..., Queue]) -> None:
    q = make(slots=1)
    q.send(q.job("k", "sleep 60"), q.job("next", "true"), q.job("below", "true", after="next"))
    q.wait("start k")
    q.send("withdraw k\n", "withdraw next\n", "withdraw below\n", "cancel k 1\n")
    q.wait("kept k 1", "end next 1 75 withdrawn", "end below 1 75 withdrawn", "end k")
    assert not (q.jobs / "next/1/claim").exists()


@pytest.mark.parametrize("whole_group", [False, True], ids=["runner", "its-group"])
def test_a_killed_runner_is_taken_over_without_losing_or_doubling_a_job(
    make: Callable[..., Queue], tmp_path: Path, whole_group: bool
) -> None:
    q = make()
    n, kills = 60, (3, 20, 40)
    # the last of a chain waits for the kills: none comes when all is over
    script = f"echo $0 >>'{tmp_path}/ran'; sleep 0.05; exit 5"
    held = f"until [ -e '{tmp_path}/killed' ]; do sleep 0.05; done; {script}"
    q.send(*(q.job(f"k{i}", held if i == n - 1 else script, after=f"k{i - 1}:failed" if i % 3 else "-") for i in range(n)))
    for kill_after in kills:
        q.wait(*(f"start k{i}" for i in range(0, kill_after, 3)))
        pid = q.pid()
        runner = psutil.Process(pid)
        os.killpg(pid, signal.SIGKILL) if whole_group else runner.kill()
        psutil.wait_procs([runner], timeout=DEADLINE)  # its lock goes with it, not with the signal
        q.send()
    (tmp_path / "killed").touch()
    q.wait(*(f"end k{i} 1 5 exit" for i in range(n)))
    assert sorted(Path(p).parts[-3] for p in (tmp_path / "ran").read_text().split()) == sorted(f"k{i}" for i in range(n))


def test_jobs_whose_wrapper_was_killed_are_lost_and_the_queue_goes_on(make: Callable[..., Queue]) -> None:
    q = make(slots=1)
    q.send(q.job("k", "sleep 60"), q.job("child", "true", after="k"), q.job("other", "true"))
    q.wait("start k")
    os.killpg(q.native("k"), signal.SIGKILL)
    q.wait("end k 1 75 lost", "end child 1 75 skipped", "end other 1 0 exit")


def test_a_runner_that_is_asked_finds_the_end_that_nobody_is_left_to_tell_of(make: Callable[..., Queue]) -> None:
    q = make(slots=1)
    q.send(q.job("a", "sleep 1000"), q.job("b", "echo b"))
    q.wait("start a 1")
    for waiter in psutil.Process(q.pid()).children():
        waiter.kill()
    os.killpg(q.native("a"), signal.SIGKILL)
    end = time.monotonic() + DEADLINE
    while not (q.jobs / "a" / "1" / "rc").exists() and time.monotonic() < end:
        q.send()  # as an engine does from time to time
    q.wait("end a 1 75 lost", "end b 1 0 exit")
    q.finished()


def test_a_runner_that_is_asked_leaves_what_runs_alone(make: Callable[..., Queue], tmp_path: Path) -> None:
    q = make(slots=2)
    os.mkfifo(tmp_path / "gate")
    q.send(q.job("a", "read x <gate"), q.job("b", "read x <gate; exit 3", retries=1))
    q.wait("start a 1", "start b 1")
    q.send()
    q.send(q.job("c", "echo c"))
    with open(tmp_path / "gate", "r+b", buffering=0) as gate:
        gate.write(b"go\n" * 4)
        q.wait("end a 1 0 exit", "fail b 1 3 exit", "end b 2 3 exit", "end c 1 0 exit")
    q.finished()


def test_a_script_that_outlives_its_wrapper_is_waited_for(make: Callable[..., Queue]) -> None:
    q = make(slots=1)
    begun, gate = q.jobs.parent / "begun", q.jobs.parent / "gate"
    os.mkfifo(begun)
    os.mkfifo(gate)
    q.send(q.job("k", f"echo >'{begun}'; read line <'{gate}'"), q.job("other", "true"))
    begun.read_text()
    os.kill(q.native("k"), signal.SIGKILL)
    q.send(q.job("third", "true"))
    assert not any(line.startswith("end k") for line in q.lines)
    gate.write_text("go\n")
    q.wait("end k 1 75 lost", "end other 1 0 exit", "end third 1 0 exit")


@pytest.mark.parametrize(
    "name", ["plain", "a b  c ", "it's", 'say "hi"', "$(touch pwned)", "back\\slash\\new", "ünïcode ☃", "*", "-n"]
)
def test_folders_of_any_name_are_carried_safely(make: Callable[..., Queue], tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    q = make(folder=folder)
    folder = q.jobs / "k/1"
    folder.mkdir(parents=True)
    (folder / "script").write_text("echo hi\n")
    (folder / "spec").write_text('set -- sh "$hybridnb_here/script"\n')
    q.send(q.line("k"))
    q.wait("end k 1 0 exit")
    assert q.out("k") == "hi\n"
    assert not (tmp_path / "pwned").exists()


def test_a_runner_whose_folder_is_removed_ends_with_its_last_job(make: Callable[..., Queue], tmp_path: Path) -> None:
    q = make()
    os.mkfifo(tmp_path / "gate")
    q.send(q.job("k", "read line <gate"))
    q.wait("start k")
    runner = psutil.Process(q.pid())
    shutil.rmtree(q.folder)
    (tmp_path / "gate").write_text("go\n")
    runner.wait(DEADLINE)
    assert q.rc("k") == "0 exit"


def test_a_successor_leaves_deleted_jobs_alone(make: Callable[..., Queue], tmp_path: Path) -> None:
    q = make(slots=3)
    os.mkfifo(tmp_path / "gate")
    q.send(q.job("hold", "read line <gate"), *(q.job(f"k{i}", "true") for i in range(20)), q.job("child", "true", after="k0"))
    q.wait("start hold", "end child", *(f"end k{i}" for i in range(20)))
    for name in ("child", *(f"k{i}" for i in range(20))):
        shutil.rmtree(q.jobs / name)
    runner = psutil.Process(q.pid())
    runner.kill()
    psutil.wait_procs([runner], timeout=DEADLINE)  # its lock goes with it, not with the signal
    q.lines.clear()
    q.send(q.job("next", "true"))
    q.wait("start hold", "end next")
    assert sorted(os.listdir(q.jobs)) == ["hold", "next"]
    (tmp_path / "gate").write_text("go\n")
    q.wait("end hold 1 0 exit")


def test_the_pause_before_the_first_retry_is_the_same_for_every_submission(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", "exit 1", retries=2, backoff=1, attempt=7))
    q.wait("retry k 8 1", "retry k 9 2", "end k 9 1 exit")


def test_jobs_that_wait_for_their_retry_take_no_process_each(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(*(q.job(f"k{i}", "exit 1", retries=1, backoff=60) for i in range(30)))
    q.wait(*(f"retry k{i} 2 60" for i in range(30)))
    assert len(psutil.Process(q.pid()).children(recursive=True)) < 15
    q.send(*(f"cancel k{i} 1\n" for i in range(30)))
    q.wait(*(f"end k{i} 2 75 cancelled" for i in range(30)))


def test_a_script_can_be_interrupted(make: Callable[..., Queue]) -> None:
    """A shell has what it starts in the background ignore SIGINT, and so would `timeout -s INT` in a script be in vain."""
    q = make()
    q.send(q.job("k", "sh -c 'kill -INT $$; echo deaf'; sh -c 'kill -QUIT $$; echo deaf'"))
    q.wait("end k")
    assert q.out("k") == ""


def test_no_batch_falls_between_a_runner_that_ends_and_the_next(make: Callable[..., Queue]) -> None:
    q = make()
    for i in range(60):
        q.send(q.job(f"k{i}", "true"))
        if i % 3 == 0:
            q.wait(f"end k{i}")
    q.wait(*(f"end k{i} 1 0 exit" for i in range(60)))


def test_on_ci_no_shell_is_left_out() -> None:
    assert not os.environ.get("CI") or list(SHELLS) == HERE


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which root may do")
def test_a_full_disk_delays_the_evidence_and_does_not_lose_it(make: Callable[..., Queue], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        q = make()
        q.jobs = disk / "jobs"
        line = q.job("k", f"head -c 400k /dev/zero >'{disk}/ballast'; echo filled >'{tmp_path}/filled'; exit 6")
        os.mkfifo(tmp_path / "filled")
        q.send(line)
        assert (tmp_path / "filled").read_text() == "filled\n"
        (disk / "ballast").unlink()
        q.wait("end k 1 6 exit")
    finally:
        q.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)
