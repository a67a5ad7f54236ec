"""The plain host without a POSIX shell, as an engine uses it. It works on every system, so it is tested on every one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridnb.errors import HostError
from hybridnb.hosts.attempts import Report, Submission
from hybridnb.hosts.windows.host import WindowsHost, WindowsTransport, spec
from hybridnb.model import Dependency, Job, Kind
from hybridnb.run import State

DEADLINE = 60.0  # seconds


class Engine:
    """What an engine does with a host: it submits, and listens when it is woken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[Report] = []
        self._woken = threading.Event()
        transport = WindowsTransport("here")
        self.host = WindowsHost(
            "here", transport, directory=str(folder / "state"), slots=2, wake=self._woken.set, backoff=0, grace=1
        )

    def submission(self, number: int, script: str, *, after: tuple[tuple[str, Dependency], ...] = (), **job: Any) -> Submission:
        definition = Job(f"job{number}", script=script, **job)
        folder = str(self.folder / "run" / str(number))
        return Submission("run-1", definition, number, 1, "token", folder, script, after=after, work=str(self.folder))

    def wait(self, *wanted: tuple[str, State | str]) -> None:
        end = time.monotonic() + DEADLINE
        while not set(wanted) <= {(report.key, report.what) for report in self.heard if not report.again}:
            assert self._woken.wait(end - time.monotonic()), self.heard
            self._woken.clear()
            self.heard += self.host.hear()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path)
    yield engine
    engine.host.close()


def python(script: str) -> str:
    return f"#!/usr/bin/env python3\n{script}\n"


def test_jobs_are_run_in_their_order_and_told_of(engine: Engine) -> None:
    first = engine.submission(1, python("print('one'); open('result', 'w').write('1')"), outputs=("result",))
    second = engine.submission(2, python("print(open('result').read())"), after=((first.key, Dependency("job1", Kind.OK)),))
    third = engine.submission(3, python("raise SystemExit(3)"), retries=1)
    engine.host.submit([first, second, third])
    engine.wait((first.key, State.DONE), (second.key, State.DONE), (third.key, State.FAILED), (third.key, "retry"))
    assert engine.host._transport.read(f"{second.folder}/1/out", 0, 100).split() == [b"1"]
    ended = [report for report in engine.heard if report.key == third.key and report.what is State.FAILED]
    assert [(report.attempt, report.exit_code, report.again) for report in ended] == [(1, 3, True), (2, 3, False)]


def test_params_are_variables_and_a_file(engine: Engine) -> None:
    script = python(
        "import json, os; print(os.environ['rate'], json.load(open(os.environ['HYBRIDNB_PARAMS'])), os.environ['HYBRIDNB_JOB'])"
    )
    job = engine.submission(1, script, params={"rate": 0.5})
    engine.host.submit([job])
    engine.wait((job.key, State.DONE))
    assert engine.host._transport.read(f"{job.folder}/1/out", 0, 100).split() == [b"0.5", b"{'rate':", b"0.5}", b"job1"]


def test_a_running_job_is_cancelled_and_a_waiting_one_withdrawn(engine: Engine) -> None:
    running = engine.submission(1, python("import time; time.sleep(600)"))
    waiting = engine.submission(2, python("pass"), after=((running.key, Dependency("job1", Kind.OK)),))
    engine.host.submit([running, waiting])
    engine.wait((running.key, State.RUNNING))
    engine.host.withdraw([waiting.key])
    engine.host.cancel([running.key])
    engine.wait((running.key, State.CANCELLED), (waiting.key, "withdrawn"))


def test_a_runner_that_was_killed_is_started_again_by_looking_after_it(engine: Engine) -> None:
    import psutil

    job = engine.submission(1, python("import time; time.sleep(600)"))
    engine.host.submit([job])
    engine.wait((job.key, State.RUNNING))
    (lock,) = (engine.folder / "state" / "runner").glob("*/lock")
    runner = psutil.Process(int(lock.read_text().split()[1]))
    runner.kill()
    psutil.wait_procs([runner], timeout=DEADLINE)
    end = time.monotonic() + DEADLINE
    while lock.read_text().split()[1:] in ([], [str(runner.pid)]):
        assert time.monotonic() < end
        engine.host.tend()
        time.sleep(0.1)
    engine.host.cancel([job.key])
    engine.wait((job.key, State.CANCELLED))


def test_a_folder_that_cannot_be_made_is_a_fault_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    engine = Engine(tmp_path)
    with pytest.raises(HostError, match=r"host 'here': .*state"):
        engine.host.submit([engine.submission(1, python("pass"))])


def test_the_spec_says_what_the_one_for_a_shell_says(engine: Engine) -> None:
    job = Job("fit", script="sub/fit.py", timeout=60, outputs=("a b",), params={"n": 1}, env={"MODE": "x"})
    submission = Submission("run-1", job, 1, 1, "t", "f", "print()", work="w", setup=("module load x",), shell="bash -l")
    assert json.loads(spec(submission, grace=3)) == {
        "token": "t", "grace": 3, "limit": 60, "outputs": ["a b"], "environment": "", "work": "w", "exec": [], "interpreter": [],
        "variables": {"HYBRIDNB_RUN": "run-1", "HYBRIDNB_JOB": "fit", "n": "1", "MODE": "x"},
        "suffix": ".py", "beside": "sub", "setup": ["module load x"], "shell": ["bash", "-l"],
    }  # fmt: skip


def test_the_record_is_followed_when_nobody_rings(tmp_path: Path) -> None:
    transport, came = WindowsTransport(), threading.Event()
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        came.set()

    record = tmp_path / "record"
    record.write_bytes(b"before\n")
    transport.follow(str(record), None, hear=hear)
    with record.open("ab") as file:
        file.write(b"torn")
        file.flush()
        file.write(b" line\nhalf")
    assert came.wait(DEADLINE)
    transport.close()
    assert heard == ["torn line"]
