"""runner.py and wrapper.py: the queue of a plain host without a POSIX shell. What a job does is written in Python, to run on Windows too."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hybridnb.hosts.windows import group
from hybridnb.hosts.windows.runner import ROOT
from hybridnb.hosts.windows.host import WindowsTransport, hand_over

DEADLINE = 60.0  # seconds
POSIX = os.name == "posix"
ENDED = 143 if POSIX else 137  # the exit code of what a stop has ended: Windows knows no polite one
SLEEP = "import time; time.sleep(600)"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nimport time; time.sleep(600)"


class Queue:
    """A runner's folder, and what a submitter does with it."""

    def __init__(self, folder: Path, slots: int) -> None:
        self.folder, self.slots = folder / "runner", slots
        self.jobs = folder / "jobs"
        self.lines: list[str] = []
        self._heard: queue.Queue[str] = queue.Queue()
        self._transport = WindowsTransport()
        self.folder.mkdir()
        (self.folder / "record").touch()
        self._transport.follow(str(self.folder / "record"), 0, hear=self._heard.put)

    def job(
        self, key: str, script: str, *, after: str = "-", retries: int = 0, backoff: int = 0, attempt: int = 1, **spec: object
    ) -> str:
        """Write an attempt's folder; return the line that asks for it."""
        folder = self.jobs / key / str(attempt)
        folder.mkdir(parents=True)
        (folder / "script").write_text(script + "\n", encoding="utf-8")
        (folder / "spec.json").write_text(json.dumps({**PLAIN, "work": str(self.jobs.parent), **spec}), encoding="utf-8")
        return self.line(key, after=after, retries=retries, backoff=backoff, attempt=attempt)

    def line(self, key: str, *, after: str = "-", retries: int = 0, backoff: int = 0, attempt: int = 1) -> str:
        return f"add {key} {attempt} {retries} {backoff} {after} {self.jobs / key}/\n"

    def send(self, *lines: str) -> bool:
        """Hand a batch over as the product does."""
        return hand_over(self.folder, slots=self.slots, batch="".join(lines).encode())

    def wait(self, *wanted: str) -> None:
        """Wait until the record has lines that begin so, each."""
        end = time.monotonic() + DEADLINE
        while missing := [w for w in wanted if not any(line.startswith(w + " ") or line == w for line in self.lines)]:
            try:
                self.lines.append(self._heard.get(timeout=max(0.0, end - time.monotonic())).strip())
            except queue.Empty:
                pytest.fail(f"no {missing}: {self.lines[-20:]}; {(self.folder / 'runner.log').read_text()[-2000:]}")

    def runner(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "lock").read_text().split()[1]))

    def rc(self, key: str, attempt: int = 1) -> str:
        return (self.jobs / key / str(attempt) / "rc").read_text().strip()

    def out(self, key: str, name: str = "out") -> str:
        return (self.jobs / key / "1" / name).read_text()

    def wrapper(self, key: str) -> psutil.Process:
        return psutil.Process(int((self.jobs / key / "1" / "claim").read_text().split()[0]))

    def finished(self) -> None:
        """Wait until the runner has ended by itself."""
        try:
            ended, _ = psutil.wait_procs([self.runner()], timeout=DEADLINE)
        except psutil.NoSuchProcess:
            return
        assert ended

    def close(self) -> None:
        self._transport.close()
        for p in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word or str(self.jobs) in word for word in p.info["cmdline"] or []):
                with suppress(psutil.Error):
                    for one in [*p.children(recursive=True), p]:
                        one.kill()


PLAIN = {
    "token": "t", "grace": 10, "limit": None, "outputs": [], "environment": "", "variables": {}, "exec": [],
    "interpreter": [], "suffix": ".py", "beside": "", "setup": [], "shell": [],
}  # fmt: skip


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Queue]]:
    made: list[Queue] = []

    def build(*, slots: int = 2) -> Queue:
        made.append(Queue(tmp_path, slots))
        return made[-1]

    yield build
    for each in made:
        each.close()


def until(condition: Callable[[], object]) -> None:
    """Look until it is so: a file, a process, where nobody tells."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_exit_codes_and_logs_are_kept_for_each_job(make: Callable[..., Queue]) -> None:
    q = make()
    script = "import sys; print('out', {0}); print('err', {0}, file=sys.stderr); sys.exit({1})"
    q.send(*(q.job(f"k{i}", script.format(i, i % 4)) for i in range(8)))
    q.wait(*(f"end k{i} 1 {i % 4} exit" for i in range(8)))
    assert [q.rc(f"k{i}") for i in range(8)] == [f"{i % 4} exit" for i in range(8)]
    assert (q.out("k7"), q.out("k7", "err")) == ("out 7\n", "err 7\n")


def test_a_start_is_told_with_the_process_that_the_claim_names(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", "pass"))
    q.wait("end k")
    assert f"start k 1 {(q.jobs / 'k/1/claim').read_text().split()[0]}" in q.lines


def test_a_runner_ends_when_nothing_is_open_and_leaves_no_process(make: Callable[..., Queue]) -> None:
    q = make()
    assert q.send(q.job("k", "pass"))
    q.wait("end k")
    q.finished()
    assert not (q.folder / "inbox").exists()
    assert not [p for p in psutil.process_iter(["cmdline"]) if any(str(q.folder) in w for w in p.info["cmdline"] or [])]
    assert (q.folder / "runner.log").read_text() == ""


def test_edges_wait_for_the_end_that_they_name(make: Callable[..., Queue]) -> None:
    q = make()
    note = "import sys, pathlib; open('order', 'a').write(pathlib.Path(sys.argv[0]).parts[-3] + '\\n')"
    q.send(
        q.job("good", note),
        q.job("bad", f"{note}; sys.exit(3)"),
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
    order = (q.jobs.parent / "order").read_text().split()
    assert sorted(order) == sorted(["good", "bad", "ok_good", "any_bad", "any_skipped", "failed_bad"])


def test_a_long_chain_is_skipped_without_exhausting_the_stack(make: Callable[..., Queue]) -> None:
    q = make()
    n = 1100
    q.send(q.job("k0", "raise SystemExit(1)"), *(q.job(f"k{i}", "pass", after=f"k{i - 1}") for i in range(1, n)))
    q.wait(f"end k{n - 1} 1 75 skipped")
    assert sum(line.endswith("skipped") for line in q.lines) == n - 1


def test_no_more_than_the_slots_run_at_once_and_they_can_be_changed(make: Callable[..., Queue]) -> None:
    q = make(slots=2)
    q.send(*(q.job(f"k{i}", SLEEP) for i in range(4)))
    q.wait("start k0", "start k1")
    q.send("slots 3\n")
    q.wait("start k2")
    assert not any(line.startswith("start k3") for line in q.lines)
    q.send("cancel k0 1\n", "cancel k1 1\n", "cancel k2 1\n")
    q.wait("start k3")
    q.send("cancel k3 1\n")
    q.wait("end k3")


def test_a_twin_finds_the_claim_taken_and_runs_nothing(make: Callable[..., Queue]) -> None:
    q = make()
    q.job("k", "open('ran', 'a').write('ran\\n')")
    command = [sys.executable, "-m", "hybridnb.hosts.windows.wrapper", str(q.jobs / "k/1")]
    twins = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert sorted(p.wait(DEADLINE) for p in twins) == [0, 75, 75, 75]
    assert (q.jobs.parent / "ran").read_text() == "ran\n"


def test_a_submission_sent_again_is_told_of_and_not_run_again(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", "open('ran', 'a').write('ran\\n'); raise SystemExit(4)"), q.job("hold", SLEEP))
    q.wait("end k 1 4 exit", "start hold")
    q.lines.clear()
    q.send(q.line("k"), q.line("hold"))
    q.wait("end k 1 4 exit", "start hold")
    q.send("cancel hold 1\n")
    q.wait("end hold")
    q.finished()
    q.lines.clear()
    q.send(q.line("k"))
    q.wait("end k 1 4 exit")
    assert (q.jobs.parent / "ran").read_text() == "ran\n"


def test_cancel_reaches_what_runs_what_waits_and_what_the_script_has_started(make: Callable[..., Queue]) -> None:
    q = make(slots=2)
    family = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print(p.pid, flush=True); p.wait()"
    q.send(q.job("polite", SLEEP), q.job("family", family), q.job("later", "pass", after="polite"))
    q.wait("start polite", "start family")
    until(lambda: (q.jobs / "family/1/out").exists() and q.out("family").strip())
    child = psutil.Process(int(q.out("family")))
    q.send("cancel polite 5\n", "cancel family 5\n", "cancel later 5\n")
    q.wait(f"end polite 1 {ENDED} cancelled", f"end family 1 {ENDED} cancelled", "end later 1 75 cancelled")
    until(lambda: not alive(child))


def test_what_ignores_a_stop_is_killed_after_the_grace(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("deaf", DEAF))
    q.wait("start deaf")
    until(lambda: (q.jobs / "deaf/1/out").exists() and q.out("deaf"))
    q.send("cancel deaf 0.5\n")
    q.wait("end deaf 1 137 cancelled")


def test_a_mark_beats_a_job_that_has_not_started(make: Callable[..., Queue]) -> None:
    q = make()
    line = q.job("k", "pass")
    (q.jobs / "k" / "cancel").touch()
    q.send(line)
    q.wait("end k 1 75 cancelled")
    assert not (q.jobs / "k/1/claim").exists()


def test_a_time_limit_ends_the_polite_and_the_deaf(make: Callable[..., Queue]) -> None:
    q = make(slots=3)
    q.send(
        q.job("polite", SLEEP, limit=1.0, grace=5),
        q.job("deaf", DEAF, limit=3.0, grace=0.5),
        q.job("quick", "raise SystemExit(2)", limit=50),
    )
    q.wait(f"end polite 1 {ENDED} timeout", "end deaf 1 137 timeout", "end quick 1 2 exit")


def test_a_declared_output_must_be_there(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(
        q.job("kept", "open('a b.csv', 'w')", outputs=["a b.csv"]),
        q.job("glob", "open('part-1.csv', 'w')", outputs=["part-*.csv"]),
        q.job("broken", "pass", outputs=["no such.csv"]),
        q.job("failed", "raise SystemExit(9)", outputs=["no such.csv"]),
    )
    q.wait("end kept 1 0 exit", "end glob 1 0 exit", "end broken 1 0 missing", "end failed 1 9 exit")
    assert "no such.csv" in q.out("broken", "err")


def test_retries_follow_with_growing_pauses_until_one_is_good(make: Callable[..., Queue]) -> None:
    q = make()
    count = "open('count', 'a').write('x'); raise SystemExit(len(open('count').read()) < 3)"
    q.send(q.job("k", count, retries=3, backoff=1), q.job("child", "pass", after="k"))
    q.wait("fail k 1 1 exit", "retry k 2 1", "fail k 2 1 exit", "retry k 3 2", "end k 3 0 exit", "end child 1 0 exit")
    assert [q.rc("k", n) for n in (1, 2, 3)] == ["1 exit", "1 exit", "0 exit"]


def test_a_job_that_waits_for_its_retry_can_be_cancelled(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", "raise SystemExit(1)", retries=1, backoff=60))
    q.wait("retry k 2 60")
    q.send("cancel k 1\n")
    q.wait("end k 2 75 cancelled")
    q.finished()


def test_withdraw_takes_back_what_has_not_started(make: Callable[..., Queue]) -> None:
    q = make(slots=1)
    q.send(q.job("k", SLEEP), q.job("next", "pass"), q.job("below", "pass", after="next"))
    q.wait("start k")
    q.send("withdraw k\n", "withdraw next\n", "withdraw below\n", "cancel k 1\n")
    q.wait("kept k 1", "end next 1 75 withdrawn", "end below 1 75 withdrawn", "end k")
    assert not (q.jobs / "next/1/claim").exists()


def test_a_killed_runner_is_taken_over_without_losing_or_doubling_a_job(make: Callable[..., Queue]) -> None:
    q = make()
    script = "import sys; open('ran', 'a').write(sys.argv[0] + '\\n'); raise SystemExit(5)"
    n = 18
    q.send(*(q.job(f"k{i}", script, after=f"k{i - 1}:failed" if i % 3 else "-") for i in range(n)))
    for started in (3, 12):
        q.wait(*(f"start k{i}" for i in range(0, started, 3)))
        runner = q.runner()
        runner.kill()
        psutil.wait_procs([runner], timeout=DEADLINE)
        assert q.send()
    q.wait(*(f"end k{i} 1 5 exit" for i in range(n)))
    ran = [Path(line).parts[-3] for line in (q.jobs.parent / "ran").read_text().splitlines()]
    assert sorted(ran) == sorted(f"k{i}" for i in range(n))


def test_what_runs_while_its_runner_is_killed_goes_on_and_can_be_stopped_by_the_next(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", SLEEP))
    q.wait("start k")
    runner = q.runner()
    runner.kill()
    psutil.wait_procs([runner], timeout=DEADLINE)
    q.lines.clear()
    q.send(q.job("other", "pass"))
    q.wait("start k", "end other 1 0 exit")
    assert alive(q.wrapper("k"))
    q.send("cancel k 5\n")
    q.wait(f"end k 1 {ENDED} cancelled")


def test_an_attempt_that_another_wrapper_claimed_is_told_of_with_its_start_and_waited_for(make: Callable[..., Queue]) -> None:
    """A killed runner's wrapper may claim an attempt that its successor has just found untouched."""
    q = make(slots=1)
    q.send(q.job("hold", SLEEP), q.job("k", SLEEP))
    q.wait("start hold")
    command = [sys.executable, "-m", "hybridnb.hosts.windows.wrapper", str(q.jobs / "k/1")]
    twin = group.lead(command, folder=str(ROOT), out=subprocess.PIPE, err=None)
    assert twin.stdout
    with twin.stdout:
        pid = int(twin.stdout.readline())
    q.send("cancel hold 5\n")
    q.wait("end hold", f"start k 1 {pid}")
    q.send("cancel k 5\n")
    q.wait(f"end k 1 {ENDED} cancelled")
    twin.wait(DEADLINE)


def test_jobs_whose_processes_were_killed_are_lost_and_the_queue_goes_on(make: Callable[..., Queue]) -> None:
    q = make(slots=1)
    q.send(q.job("k", SLEEP), q.job("child", "pass", after="k"), q.job("other", "pass"))
    q.wait("start k")
    wrapper = q.wrapper("k")
    until(wrapper.children)
    for one in [*wrapper.children(recursive=True), wrapper]:
        with suppress(psutil.Error):
            one.kill()
    q.wait("end k 1 75 lost", "end child 1 75 skipped", "end other 1 0 exit")


def test_a_torn_line_is_no_evidence(make: Callable[..., Queue]) -> None:
    q = make()
    line = q.job("k", "pass")
    (q.jobs / "k/1/claim").write_text("999999999 1 none\n")
    (q.jobs / "k/1/rc").write_text("0 ex")
    q.send(line)
    q.wait("end k 1 75 lost")


def test_two_runners_of_a_folder_are_never_there_together(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", SLEEP))
    q.wait("start k")
    command = [sys.executable, "-m", "hybridnb.hosts.windows.runner", str(q.folder), "1"]
    assert subprocess.run(command, cwd=ROOT, timeout=DEADLINE).returncode == 0
    assert not q.send("cancel k 1\n")
    q.wait("end k")


def test_no_batch_falls_between_a_runner_that_ends_and_the_next(make: Callable[..., Queue]) -> None:
    q = make()
    for i in range(20):
        q.send(q.job(f"k{i}", "pass"))
        if i % 3 == 0:
            q.wait(f"end k{i}")
    q.wait(*(f"end k{i} 1 0 exit" for i in range(20)))


def test_the_folder_of_a_deleted_run_is_not_made_anew_by_a_successor(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("hold", SLEEP), q.job("k", "pass"))
    q.wait("start hold", "end k")
    runner = q.runner()
    runner.kill()
    psutil.wait_procs([runner], timeout=DEADLINE)
    shutil.rmtree(q.jobs / "k")
    q.send(q.job("next", "pass"))
    q.wait("end next")
    assert sorted(os.listdir(q.jobs)) == ["hold", "next"]
    q.send("cancel hold 1\n")
    q.wait("end hold")


def test_a_script_gets_its_variables_and_those_of_the_run_and_finds_modules_beside_it(make: Callable[..., Queue]) -> None:
    q = make()
    exports = q.jobs.parent / "exports"
    exports.write_text("export GREETING='it'\"'\"'s\nfine'\nexport LEVEL=low\n")
    (q.jobs.parent / "lib").mkdir()
    (q.jobs.parent / "lib" / "beside_me.py").write_text("NAME = 'found'")
    show = "import os, beside_me; print([os.environ[k] for k in ('GREETING', 'LEVEL', 'HYBRIDNB_ATTEMPT')], beside_me.NAME)"
    q.send(q.job("k", show, environment=str(exports), variables={"LEVEL": "höch"}, beside="lib"))
    q.wait("end k 1 0 exit")
    assert (q.jobs / "k/1/out").read_text(encoding="utf-8") == """["it's\\nfine", 'höch', '1'] found\n"""


def test_a_command_that_is_not_there_fails_with_what_to_do(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("exec", "", exec=["no-such-program", "x"]), q.job("zsh", "", interpreter=["/usr/bin/env", "no-such-shell"]))
    q.wait("end exec 1 127 exit", "end zsh 1 127 exit")
    assert "'no-such-program' is not on the PATH" in q.out("exec", "err")
    assert "'no-such-shell'" in q.out("zsh", "err")


def test_a_work_folder_that_is_not_there_fails_and_is_named(make: Callable[..., Queue]) -> None:
    q = make()
    q.send(q.job("k", "pass", work=str(q.jobs / "nowhere")))
    q.wait("end k 1 72 exit")
    assert "nowhere" in q.out("k", "err")


@pytest.mark.parametrize("name", ["a b  c", "it's", "$(touch pwned)", "ünïcode ☃"])
def test_folders_of_any_name_are_carried_safely(make: Callable[..., Queue], name: str) -> None:
    q = make()
    q.jobs = q.jobs.parent / name
    q.send(q.job("k", "print('ran')"))
    q.wait("end k 1 0 exit")
    assert q.out("k") == "ran\n"
    assert not (q.jobs.parent / "pwned").exists()
