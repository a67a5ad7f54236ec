"""A Slurm host, on a real Slurm: what goes to sbatch, what comes back, and what goes wrong on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridnb.errors import HostError
from hybridnb.hosts.attempts import Report, Submission, key
from hybridnb.hosts.slurm.cluster import ClusterHost
from hybridnb.hosts.local import LocalTransport
from hybridnb.model import Dependency, Job, Kind, Resources
from hybridnb.run import State
from testbed.slurm import Slurm

DEADLINE = 60.0  # seconds
RUN = "2026-11-22-a"


class Clock:
    """A clock that can be put forward."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Counting(LocalTransport):
    """Counts conversations."""

    conversations = 0

    def run(self, script: str, *args: str, **more: Any) -> str:
        self.conversations += 1
        return super().run(script, *args, **more)


class Site:
    """A folder on a cluster, and the host object that speaks to it."""

    def __init__(self, folder: Path, slurm: Slurm, *, own: bool = True) -> None:
        """With `own`, the jobs' folders are as on a far host; else as in a run's folder on this machine."""
        self.folder, self.slurm, self.own = folder, slurm, own
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.clock = Clock()
        self.transport = Counting("near")
        self.reports: list[Report] = []
        self.troubles: list[str] = []
        self.host = self.connect()

    def connect(self, **options: Any) -> ClusterHost:
        """Make a host object that knows nothing yet, as a new service does."""
        options = {"slots": 1000, "patience": 1, "clock": self.clock, **options}
        self.host = ClusterHost("site", self.transport, directory=str(self.folder), wake=lambda: None, **options)
        self.reports = []
        return self.host

    def job(self, number: int, script: str, *after: tuple[int, Kind], token: str = "", **fields: Any) -> Submission:
        edges = tuple((key(RUN, parent, 1), Dependency(f"j{parent}", kind)) for parent, kind in after)
        job = Job(f"j{number}", script=script, after=tuple(edge for _, edge in edges), **fields)
        folder = str(self.folder / "runs" / RUN / (str(number) if self.own else f"jobs/j{number}"))
        text = f"#!/bin/sh\n{script}\n"
        return Submission(
            RUN, job, number, 1, token or os.urandom(8).hex(), folder, text, after=edges, work=str(self.work), own=self.own
        )

    def step(self) -> None:
        self.host.tend()
        self.troubles.append(self.host.problem)
        self.reports += self.host.hear()
        time.sleep(0.02)  # the rest that the thread around it has, between two calls

    def until(self, met: Callable[[], object], what: str = "it") -> None:
        end = time.monotonic() + DEADLINE
        while not met():
            assert time.monotonic() < end, f"{what} has not come: {self.reports[-20:]} {self.troubles[-3:]}"
            self.step()

    def of(self, number: int, what: State | str | None = None) -> list[Report]:
        return [r for r in self.reports if r.key == key(RUN, number, 1) and what in (None, r.what)]

    def wait(self, number: int, what: State | str) -> Report:
        self.until(lambda: self.of(number, what), f"{what} of {number}")
        return self.of(number, what)[-1]

    def ends(self, *numbers: int) -> dict[int, Report]:
        """Wait for the ends of these jobs."""

        def ended(number: int) -> list[Report]:
            return [r for r in self.of(number) if isinstance(r.what, State) and r.what.final and not r.again]

        self.until(lambda: all(map(ended, numbers)), f"the end of {numbers}")
        found = {number: ended(number) for number in numbers}
        assert all(len(reports) == 1 for reports in found.values()), "an end is told once"
        return {number: reports[0] for number, reports in found.items()}

    def states(self, *numbers: int) -> list[State | str]:
        return [report.what for report in self.ends(*numbers).values()]

    def place(self, number: int, attempt: int = 1) -> Path:
        return self.folder / "runs" / RUN / (str(number) if self.own else f"jobs/j{number}") / str(attempt)

    def file(self, number: int, name: str, attempt: int = 1) -> str:
        return (self.place(number, attempt) / name).read_text()

    def says(self, name: str) -> list[str]:
        path = self.work / name
        return path.read_text().split() if path.exists() else []

    def queue(self) -> list[str]:
        """What is not over, by the names."""
        return self.slurm.run("squeue", "-h", "-r", "-o", "%j").stdout.split()

    def native(self, number: int) -> str:
        return next(r.native_id for r in reversed(self.of(number)) if r.native_id)

    def quiet(self) -> None:
        """Wait until the cluster has nothing to do, without the host object."""
        end = time.monotonic() + DEADLINE
        while self.queue():
            assert time.monotonic() < end, self.slurm.run("squeue").stdout
            time.sleep(0.1)


@pytest.fixture
def site(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return at(slurm, tmp_path / "it's a $place 100% ours", monkeypatch)


def at(slurm: Slurm, folder: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool = True) -> Site:
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    return Site(folder, slurm, own=own)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm: Slurm) -> Callable[[str], None]:
    """Give what puts another sbatch before the real one, which it finds as $real."""

    def put(script: str) -> None:
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        (place / "sbatch").write_text(f"#!/bin/sh\nreal=/usr/bin/sbatch\n{script}\n")
        (place / "sbatch").chmod(0o755)
        if str(place) not in os.environ["PATH"]:
            monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    return put


OK, ANY, FAILED = Kind.OK, Kind.ANY, Kind.FAILED
GATE = "until [ -e go ]; do sleep 0.1; done"  # in the work folder


# -- ends ----------------------------------------------------------------------------------------------------------------
def test_jobs_without_edges_go_as_one_array_and_each_ends_as_its_script_does(site: Site) -> None:
    scripts = ["echo here; echo there >&2", "exit 3", "kill -9 $$", "no-such-command", "exit 255", "true"]
    fields: list[dict[str, Any]] = [{}] * 5 + [{"outputs": ("never",)}]
    site.host.submit([site.job(n, s, **fields[n - 1]) for n, s in enumerate(scripts, 1)])
    ends = site.ends(1, 2, 3, 4, 5, 6)
    assert [(r.what, r.exit_code) for r in ends.values()] == [
        (State.DONE, 0),
        (State.FAILED, 3),
        (State.FAILED, 137),
        (State.FAILED, 127),
        (State.FAILED, 255),
        (State.FAILED, 0),
    ]
    assert "declared output" in ends[6].reason
    assert (site.file(1, "out"), site.file(1, "err")) == ("here\n", "there\n")
    numbers = {site.native(n).partition("_")[0] for n in ends}
    assert len(numbers) == 1
    assert [site.native(n).partition("_")[2] for n in ends] == ["1", "2", "3", "4", "5", "6"]
    assert [r.what for r in site.of(1)][-2:] == [State.RUNNING, State.DONE]


def test_jobs_are_given_their_resources_and_nothing_of_an_outer_job(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaked SLURM_ variables pin processors and break MPI (snakemake-executor-plugin-slurm#22)."""
    monkeypatch.setenv("SLURM_CPU_BIND", "leaked")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "1")
    resources = Resources(time="10", cpus_per_task=2, ntasks=2, nodes=1, mem="100M", partition="main", sbatch=("--nice=3",))
    script = (
        'echo "$SLURM_CPUS_PER_TASK $SLURM_NTASKS $SLURM_MEM_PER_NODE $SLURM_JOB_PARTITION [$SLURM_CPU_BIND$SLURM_MEM_PER_CPU]"'
    )
    site.host.submit([site.job(1, f"{script}; scontrol show job $SLURM_JOB_ID", resources=resources)])
    assert site.states(1) == [State.DONE]
    shown = site.file(1, "out")
    assert shown.startswith("2 2 100 main []\n")
    assert "TimeLimit=00:10:00" in shown
    assert f"Comment=hybridnb run {RUN} job j1" in shown
    assert "Nice=3" in shown
    assert "Requeue=0" in shown


def test_what_slurm_refuses_for_good_fails_with_its_words_and_what_waits_for_it_is_skipped(site: Site) -> None:
    nowhere = Resources(partition="nowhere")
    own = Resources(sbatch=("--array=1-3",))
    site.host.submit(
        [
            site.job(1, "true", resources=nowhere),
            site.job(2, "true", (1, OK)),
            site.job(3, "echo x", (1, FAILED)),
            site.job(4, "true", resources=own),
        ]
    )
    ends = site.ends(1, 2, 3, 4)
    assert [r.what for r in ends.values()] == [State.FAILED, State.SKIPPED, State.DONE, State.FAILED]
    assert "Invalid partition name specified" in ends[1].reason
    assert "--array=1-3 cannot be used" in ends[4].reason


def test_a_job_that_may_never_start_shows_why(site: Site) -> None:
    site.host.submit(
        [
            site.job(1, "true", resources=Resources(time="5", partition="short")),
            site.job(2, "true", resources=Resources(sbatch=("--hold",))),
        ]
    )
    site.until(lambda: "limit" in "".join(r.reason for r in site.of(1)), "the partition's limit")
    site.until(lambda: "scontrol release" in "".join(r.reason for r in site.of(2)), "the hold")
    site.host.cancel([key(RUN, 1, 1), key(RUN, 2, 1)])
    assert site.states(1, 2) == [State.CANCELLED, State.CANCELLED]


@pytest.mark.timeout(400)  # Slurm counts in minutes, and looks twice a minute
def test_the_time_limit_is_told_as_such_also_when_the_script_ends_in_order(site: Site) -> None:
    polite = "trap 'exit 0' TERM; sleep 300 & wait"
    limit = Resources(partition="short")
    site.host.submit(
        [site.job(1, "sleep 300", resources=limit), site.job(2, polite, resources=limit), site.job(3, "true", (1, OK))]
    )
    site.until(lambda: site.of(1, State.RUNNING) and site.of(2, State.RUNNING))
    end = time.monotonic() + 200
    while len(site.queue()) > 1 and time.monotonic() < end:  # a minute, at least
        site.step()
    ends = site.ends(1, 2, 3)
    assert [r.what for r in ends.values()] == [State.FAILED, State.FAILED, State.SKIPPED]
    assert "time limit" in ends[1].reason
    assert "TIMEOUT" in ends[1].reason
    assert "time limit" in ends[2].reason


def test_a_job_of_a_failed_node_fails_with_that_reason(site: Site) -> None:
    site.host.submit([site.job(1, "sleep 300", resources=Resources(sbatch=("--nodelist=n2",)))])
    site.wait(1, State.RUNNING)
    site.slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    site.until(lambda: not site.queue())
    site.step()
    for _ in range(4):  # Slurm may start it once more: not for so long
        site.clock.ahead += 15
        site.step()
    end = site.ends(1)[1]
    assert end.what is State.FAILED
    assert "NODE_FAIL" in end.reason


def test_another_hand_cancels_a_job(site: Site) -> None:
    site.host.submit([site.job(1, "sleep 300"), site.job(2, "sleep 300", resources=Resources(sbatch=("--hold",)))])
    site.wait(1, State.RUNNING)
    site.slurm.run("scancel", site.native(1), site.native(2))
    site.step()
    site.clock.ahead += 6  # no exit code of the second will come
    ends = site.ends(1, 2)
    assert [r.what for r in ends.values()] == [State.CANCELLED, State.CANCELLED]
    assert "on the host" in ends[2].reason


# -- edges and retries ---------------------------------------------------------------------------------------------------
def test_edges_hold_natively_and_what_can_never_run_is_skipped(site: Site) -> None:
    site.host.submit(
        [
            site.job(1, "sleep 1; echo 1 >>order"),
            site.job(2, "exit 1"),
            site.job(3, "echo 3 >>order", (1, OK)),
            site.job(4, "echo 4 >>order", (2, OK)),
            site.job(5, "echo 5 >>order", (2, FAILED), (3, OK)),
            site.job(6, "echo 6 >>order", (4, ANY), (5, OK)),
            site.job(7, "echo 7 >>order", (4, OK)),
            site.job(8, "echo 8 >>order", (3, FAILED)),
        ]
    )
    assert site.states(1, 2, 3, 4, 5, 6, 7, 8) == [
        State.DONE,
        State.FAILED,
        State.DONE,
        State.SKIPPED,
        State.DONE,
        State.DONE,
        State.SKIPPED,
        State.SKIPPED,
    ]
    assert site.says("order") == ["1", "3", "5", "6"]
    site.until(lambda: not site.queue(), "an empty queue")


@pytest.mark.parametrize("own", [True, False], ids=["far", "near"])
def test_a_graph_goes_on_without_us_and_is_told_to_whoever_comes_back(
    own: bool, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = at(slurm, tmp_path / "it's here", monkeypatch, own=own)
    jobs = [
        site.job(1, "sleep 1; echo 1 >>order"),
        site.job(2, "echo 2 >>order; [ -e twice ] || { : >twice; exit 7; }", (1, OK), retries=2),
        site.job(3, "echo 3 >>order", (2, OK)),
        site.job(4, "exit 1", (1, OK)),
        site.job(5, "true", (4, OK)),
        site.job(6, "true", (5, OK)),
        site.job(7, "echo 7 >>order", (6, ANY)),
    ]
    site.host.submit(jobs)
    site.quiet()
    assert sorted(site.says("order")) == ["1", "2", "2", "3", "7"]
    site.connect().submit(jobs)
    assert site.states(1, 2, 3, 4, 5, 6, 7) == [
        State.DONE,
        State.DONE,
        State.DONE,
        State.FAILED,
        State.SKIPPED,
        State.SKIPPED,
        State.DONE,
    ]
    assert [(r.attempt, r.what, r.again) for r in site.of(2) if r.what in (State.FAILED, State.DONE)] == [
        (1, State.FAILED, True),
        (2, State.DONE, False),
    ]


def test_retries_happen_in_the_same_allocation_each_in_its_own_folder(site: Site) -> None:
    site.host.submit(
        [site.job(1, "echo try $HYBRIDNB_ATTEMPT; exit $((3 - HYBRIDNB_ATTEMPT))", retries=3), site.job(2, "true", (1, OK))]
    )
    assert site.states(1, 2) == [State.DONE, State.DONE]
    assert [r.attempt for r in site.of(1, State.FAILED)] == [1, 2]
    assert [site.file(1, "out", attempt) for attempt in (1, 2, 3)] == ["try 1\n", "try 2\n", "try 3\n"]
    assert [r.reason for r in site.of(1, "retry")] == ["in 1 s", "in 2 s"]
    assert len({r.native_id for r in site.of(1)}) == 1


def test_a_child_does_not_run_though_slurm_lets_it(site: Site) -> None:
    """A child ran though its parent failed (desispec#1727): Slurm takes a parent that it has forgotten for a satisfied edge."""
    jobs = [site.job(1, f"{GATE}; exit 1"), site.job(2, "echo 2 >>ran", (1, OK))]
    site.host.submit(jobs)
    (site.place(1) / "kids").unlink()  # else the parent sees to it
    (site.work / "go").touch()
    child = next(r.native_id for r in site.host.hear() if r.key == key(RUN, 2, 1) and r.native_id)
    end = time.monotonic() + DEADLINE
    while not (site.place(1) / "end").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert site.slurm.run("scontrol", "update", f"JobId={child}", "Dependency=").returncode == 0
    site.quiet()
    assert site.states(1, 2) == [State.FAILED, State.SKIPPED]
    assert site.says("ran") == []


def test_a_job_that_slurm_queues_again_goes_on_as_another_attempt_and_keeps_its_logs(site: Site) -> None:
    """The same id runs twice (snakemake-executor-plugin-slurm#109)."""
    script = "echo attempt $HYBRIDNB_ATTEMPT; [ $HYBRIDNB_ATTEMPT = 2 ] || sleep 300"
    site.host.submit([site.job(1, script, resources=Resources(sbatch=("--requeue",)))])
    site.wait(1, State.RUNNING)
    site.until(lambda: site.file(1, "out"))
    site.slurm.run("scontrol", "requeue", site.native(1))
    end = site.ends(1)[1]
    assert (end.what, end.attempt) == (State.DONE, 2)
    assert [r.attempt for r in site.of(1) if r.again] == [1]
    assert (site.file(1, "out"), site.file(1, "out", 2)) == ("attempt 1\n", "attempt 2\n")


# -- stopping ------------------------------------------------------------------------------------------------------------
def test_cancelling_stops_what_runs_and_what_waits_and_frees_what_waits_for_any_end(site: Site) -> None:
    site.host.submit(
        [
            site.job(1, "sleep 300"),
            site.job(2, "trap '' TERM; while :; do sleep 1; done", resources=Resources(nodes=1)),
            site.job(3, "true", (1, OK)),
            site.job(4, "true", resources=Resources(sbatch=("--hold",))),
            site.job(5, "echo 5 >>ran", (1, ANY), (4, FAILED)),
        ]
    )
    site.until(lambda: site.of(1, State.RUNNING) and site.of(2, State.RUNNING))
    site.host.cancel([key(RUN, n, 1) for n in (4, 3, 2, 1)])
    site.host.cancel([key(RUN, n, 1) for n in (4, 3, 2, 1)])
    site.until(lambda: site.of(2, State.CANCELLED) or not site.queue())
    site.clock.ahead += 6  # killed: no exit code will come
    assert site.states(1, 2, 3, 4, 5) == [State.CANCELLED] * 4 + [State.DONE]
    assert site.says("ran") == ["5"]


def test_an_attempt_is_withdrawn_only_before_it_begins(site: Site) -> None:
    site.host.submit([site.job(1, GATE), site.job(2, "echo 2 >>ran", (1, OK))])
    site.wait(1, State.RUNNING)
    site.host.withdraw([key(RUN, 1, 1), key(RUN, 2, 1)])
    site.wait(2, "withdrawn")
    site.wait(1, "kept")
    (site.work / "go").touch()
    assert site.states(1) == [State.DONE]
    site.until(lambda: not site.queue())
    assert site.says("ran") == []


def test_a_signal_that_a_person_orders_reaches_the_script_alone(site: Site) -> None:
    script = "trap 'echo told >>heard; exit 0' USR1; : >ready; while :; do sleep 0.1; done"
    site.host.submit([site.job(1, script, timeout=100)])
    site.until(lambda: (site.work / "ready").exists())
    site.slurm.run("scancel", "--signal=USR1", "--batch", site.native(1))
    assert site.states(1) == [State.DONE]
    assert site.says("heard") == ["told"]


# -- exactly once --------------------------------------------------------------------------------------------------------
def test_two_services_submit_the_same_and_it_runs_once(site: Site) -> None:
    """A restart inside submit duplicates (aiida-core#3183)."""
    jobs = [site.job(n, f"echo {n} >>ran") for n in (1, 2, 3)]
    site.host.submit(jobs)
    site.connect().submit(jobs[1:])
    site.host.submit([*jobs, site.job(4, "echo 4 >>ran")])
    assert site.states(1, 2, 3, 4) == [State.DONE] * 4
    assert sorted(site.says("ran")) == ["1", "2", "3", "4"]


KILLED = '"$real" "$@"; kill -9 "$(ps -o ppid= -p $PPID)" $PPID'
LIES = {
    "toil#5459: a time-out after it was taken": '"$real" "$@" >/dev/null; echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1',
    "an id and a failure": '"$real" "$@"; exit 1',
    "sisyphus#156: chatter beside the id": 'echo "Welcome, user 7!"; "$real" "$@"; echo "sbatch: sleeping and retrying" >&2',
    "a number cut off": 'printf %.1s "$("$real" "$@")"',
    "dask-jobqueue#227: no --parsable": 'case "$*" in *--parsable*) echo "sbatch: unrecognized option \'--parsable\'" >&2; exit 1;; esac; "$real" "$@"',
    "a cluster's name": '"$real" "$@" | sed "s/$/;hnb/"',
    "nothing said at all": '"$real" "$@" >/dev/null',
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_job_that_was_taken_runs_once_whatever_sbatch_says(lie: str, site: Site, fake: Callable[[str], None]) -> None:
    fake(lie)
    site.host.submit([site.job(1, "echo 1 >>ran"), site.job(2, "echo 2 >>ran", (1, OK))])
    assert site.states(1, 2) == [State.DONE, State.DONE]
    assert site.says("ran") == ["1", "2"]


def test_a_helper_that_dies_between_sbatch_and_its_number_is_followed_by_one_that_finds_the_job(
    site: Site, fake: Callable[[str], None]
) -> None:
    jobs = [site.job(n, f"sleep 1; echo {n} >>ran") for n in (1, 2)]
    fake(KILLED)
    with pytest.raises(HostError):
        site.host.submit(jobs)
    fake('exec "$real" "$@"')
    site.host.submit(jobs)
    assert site.states(1, 2) == [State.DONE, State.DONE]
    assert sorted(site.says("ran")) == ["1", "2"]
    assert len({site.native(n).partition("_")[0] for n in (1, 2)}) == 1


def test_a_job_that_was_not_taken_is_submitted_again_when_slurm_twice_knows_nothing_of_it(
    site: Site, fake: Callable[[str], None]
) -> None:
    """An ambiguous submission blocked all retries for ever (DataDesigner#915)."""
    fake('echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1')
    site.host.submit([site.job(1, "echo 1 >>ran")])
    site.until(lambda: "timed out" in "".join(r.reason for r in site.of(1)), "the reason")
    fake('exec "$real" "$@"')
    assert site.states(1) == [State.DONE]
    assert site.says("ran") == ["1"]


def test_a_refusal_for_now_is_tried_again(site: Site, fake: Callable[[str], None]) -> None:
    """Toil hung on it (toil#4743)."""
    fake('echo "sbatch: error: Batch job submission failed: I/O error writing script/environment to file" >&2; exit 1')
    site.host.submit([site.job(1, "true"), site.job(2, "true", (1, OK))])
    assert [(r.what, "I/O error" in r.reason) for r in (site.wait(1, State.QUEUED),)] == [(State.QUEUED, True)]
    fake('exec "$real" "$@"')
    assert site.states(1, 2) == [State.DONE, State.DONE]


# -- a controller in trouble ---------------------------------------------------------------------------------------------
def test_a_controller_that_is_down_changes_nothing_and_scripts_end_all_the_same(site: Site) -> None:
    """Munge was down, and the job called failed (cylc-flow#3436)."""
    site.host.submit([site.job(1, f"{GATE}; echo 1 >>ran"), site.job(2, "echo 2 >>ran", (1, OK))])
    site.wait(1, State.RUNNING)
    site.slurm.stop("slurmctld")
    (site.work / "go").touch()
    assert site.states(1) == [State.DONE]
    site.clock.ahead += 400
    site.until(lambda: any("Slurm cannot be asked" in t for t in site.troubles), "the trouble")
    assert not [r for r in site.of(2) if isinstance(r.what, State) and r.what.final]
    site.slurm.start("slurmctld")
    site.clock.ahead += 60
    assert site.states(2) == [State.DONE]
    assert site.says("ran") == ["1", "2"]


def test_a_submission_waits_for_a_controller_that_is_down(site: Site) -> None:
    site.slurm.stop("slurmctld")
    with pytest.raises(HostError, match="Slurm's controller cannot be reached"):
        site.host.submit([site.job(1, "echo 1 >>ran")])
    site.slurm.start("slurmctld")
    site.clock.ahead += 60
    assert site.states(1) == [State.DONE]
    assert site.says("ran") == ["1"]


def test_a_controller_that_forgets_a_fresh_job_leaves_it_done_or_lost_and_never_run_twice(site: Site) -> None:
    """Ids start again after a reset (submitit#1660): the name decides."""
    site.host.submit([site.job(1, "sleep 2; echo 1 >>ran"), site.job(2, "true", (1, OK))])
    site.wait(1, State.RUNNING)
    site.slurm.kill("slurmctld")
    site.slurm.start("slurmctld")
    site.until(lambda: (site.place(1) / "rc").exists())
    end = time.monotonic() + 40
    while time.monotonic() < end and len({r.key for r in site.reports if isinstance(r.what, State) and r.what.final}) < 2:
        site.clock.ahead += 2
        site.step()
    first, second = site.ends(1, 2).values()
    assert first.what is State.DONE
    assert second.what in (State.DONE, State.LOST, State.SKIPPED)
    assert site.says("ran") == ["1"]


def test_a_job_that_nobody_knows_any_more_is_lost_after_minutes_of_asking(site: Site) -> None:
    site.host.submit([site.job(1, "echo 1 >>ran", resources=Resources(sbatch=("--hold",))), site.job(2, "true", (1, ANY))])
    site.wait(1, State.QUEUED)
    site.step()
    site.slurm.kill("slurmctld")
    for path in (site.slurm.folder / "state").iterdir():
        if path.is_file():
            path.unlink()
    site.slurm.start("slurmctld")
    site.until(lambda: "is UP" in site.slurm.run("scontrol", "ping").stdout)
    for _ in range(4):
        site.clock.ahead += 70
        site.until(lambda asked=site.host.pace._asked: site.host.pace._asked != asked)  # type: ignore[misc]
    assert not [r for r in site.of(1) if isinstance(r.what, State) and r.what.final]
    site.clock.ahead += 100
    assert site.states(1) == [State.LOST]


# -- many ----------------------------------------------------------------------------------------------------------------
def test_no_more_than_the_slots_are_in_slurms_hands(site: Site) -> None:
    site.connect(slots=3).submit([site.job(n, "sleep 0.3") for n in range(1, 9)])
    seen = []
    site.until(lambda: seen.append(len(site.queue())) or len(site.of(8)) > 0)  # type: ignore[func-returns-value]
    assert max(seen) <= 3
    assert set(site.states(*range(1, 9))) == {State.DONE}


def test_a_look_is_one_conversation_with_one_job_and_with_many(site: Site) -> None:
    site.host.submit([site.job(n, "sleep 2") for n in range(1, 30)])
    while not site.of(1, State.RUNNING):
        before = site.transport.conversations
        site.step()
        assert site.transport.conversations - before <= 1
    assert set(site.states(*range(1, 30))) == {State.DONE}


def test_limits_of_a_site_are_learnt(slurms: Callable[..., Slurm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = at(slurms(conf={"MaxArraySize": "4", "MaxJobCount": "5", "MinJobAge": "2"}), tmp_path / "site", monkeypatch)
    site.host.submit([site.job(n, f"echo {n} >>ran") for n in range(1, 11)])
    assert set(site.states(*range(1, 11))) == {State.DONE}
    assert sorted(map(int, site.says("ran"))) == list(range(1, 11))


# -- accounting ----------------------------------------------------------------------------------------------------------
def test_accounting_tells_of_what_left_the_queue(
    slurms: Callable[..., Slurm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job left squeue between two looks (Parsl#1588)."""
    site = at(slurms(dbd=True, conf={"MinJobAge": "2"}), tmp_path / "site", monkeypatch)
    site.host.submit(
        [
            site.job(1, "kill -9 $PPID $(ps -o ppid= -p $PPID)"),
            site.job(2, "exit 4"),
            site.job(3, "sleep 300", resources=Resources(nodes=1)),
        ]
    )
    site.wait(3, State.RUNNING)
    site.slurm.run("scancel", "--signal=KILL", "--full", site.native(3))
    gone = ["squeue", "-h", "-t", "all"]
    end = time.monotonic() + DEADLINE
    while site.slurm.run(*gone).stdout:  # nobody looks meanwhile
        assert time.monotonic() < end
        time.sleep(0.2)
    site.step()
    site.clock.ahead += 6
    site.step()
    site.clock.ahead += 6
    ends = site.ends(1, 2, 3)
    assert [r.what for r in ends.values()] == [State.FAILED, State.FAILED, State.CANCELLED]
    assert ends[1].exit_code == 137
    assert ends[2].exit_code == 4
    assert f"by user {os.getuid()}" in ends[3].reason


def test_the_database_being_down_holds_up_nothing(slurm_dbd: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was down for hours, and everything hung (snakemake-executor-plugin-slurm#207)."""
    site = at(slurm_dbd, tmp_path / "site", monkeypatch)
    slurm_dbd.stop("slurmdbd")
    site.host.submit([site.job(1, "true"), site.job(2, "exit 2", (1, OK))])
    assert site.states(1, 2) == [State.DONE, State.FAILED]
