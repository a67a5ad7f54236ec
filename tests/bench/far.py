"""Far hosts, behind a network of 40 ms: jobs by SSH and by Slurm, the news of their ends, conversations, files beside scp and sftp."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import clock
import tools
import work
from beyond import TRIP, Beyond, beyond
from figures import Figure
from whole import Bench

from hybridnb.hosts import files
from hybridnb.journal import Record
from hybridnb.model import Job, Resources
from hybridnb.store import Store
from testbed.processes import program, until

FEW, FEW_JOBS, JOBS, CHAIN = 200, 1.0, 3.0, 4 * TRIP + 0.3  # jobs; seconds for these, for 1000, for a chain of 10
NEWS = 1.0  # s from the end of a script to the news of it
PEAK = 200.0  # MB
MORE = 1.5  # times as many conversations with very many jobs as with one: as good as the same
LARGE = 200 << 20  # bytes
SCP, SFTP, SBATCH = 1 / 0.8, 5.0, 1.1  # times, % of the time, times
SAMPLE = 50  # files that sftp is given: a thousand would take minutes
WATCH = 10.0  # seconds in which conversations are counted
WAIT = 600.0  # seconds for a batch of Slurm's


def by_ssh(bench: Bench) -> Iterator[Figure]:
    """Trivial jobs with their logs and exit codes, on a connection that is open."""
    with beyond(bench.root) as far:
        far.echo(work.independent(1))
        yield from _jobs(bench, far, FEW, bench.limit(FEW_JOBS))
        yield from _jobs(bench, far, bench.jobs, bench.limit(JOBS))
        hops = [far.echo(work.chain(10))[0] for _ in range(bench.rounds)]
        yield Figure("chain of 10 SSH jobs", statistics.median(hops), "s", CHAIN, f"{min(hops):.2f}–{max(hops):.2f} s")
        yield _news(far, "SSH", [0.5 + i / 10 for i in range(8)])
        yield _said(far, "an SSH host", 1, bench.many)
    yield from _memory(bench)


def _jobs(bench: Bench, far: Beyond, jobs: int, limit: float | None) -> Iterator[Figure]:
    """Jobs over there, each time after the raw loop here, whose time tells how busy the machine is."""
    graph, raw = work.independent(jobs), bench.run(tools.raw(bench.slots), work.independent(jobs))
    times = [(raw().seconds, *far.echo(graph)) for _ in range(bench.rounds)]
    bare, taken, used = (statistics.median(column) for column in zip(*times))
    ratio = statistics.median(seconds / raw for raw, seconds, _ in times)
    best = min(seconds for _, seconds, _ in times)
    yield Figure(f"{jobs} SSH jobs", taken, "s", limit, f"best {best:.2f} s; {ratio:.1f} x raw, {bare:.2f} s")
    if jobs == bench.jobs:
        yield Figure(f"{jobs} SSH jobs, processor of this side", used / jobs * 1e3, "ms", None, "a job, all threads")


def _news(far: Beyond, what: str, lengths: Iterable[float]) -> Figure:
    """How long after the end of its script a job's end is in the journal and in the stream of events."""
    jobs = [Job(f"s{i}", host="far", exec=f"sleep {length:g}; date +%s.%N") for i, length in enumerate(lengths)]
    heard: dict[str, float] = {}

    def hear(_: Store, record: Record) -> None:
        if record["event"] == "state" and record["state"] == "done":
            heard[record["job"]] = time.time()

    store = far.laptop.run(*jobs, name="news")
    store.observers.append(hear)
    if not far.laptop.engine.until_idle(timeout=clock.PATIENCE):
        raise clock.Failed(f"news: {far.laptop.states(store)}; {far.laptop.engine.problems}")
    late = [heard[job.name] - float(far.laptop.log(store, job.name)) for job in jobs]
    far.laptop.engine.drop(store.run.id)
    note = f"the latest of {len(jobs)}; median {statistics.median(late):.2f} s"
    return Figure(f"end of a job by {what} to the news of it", max(late), "s", NEWS, note)


def _said(far: Beyond, what: str, *numbers: int) -> Figure:
    """How many conversations a host costs while jobs wait there, one or very many."""
    said = [_counted(far, number) for number in numbers]
    note = "; ".join(f"{count} in {WATCH:.0f} s with {number} jobs" for count, number in zip(said, numbers))
    return Figure(f"conversations with {what}, one job to {numbers[-1]}", said[-1] / max(said[0], 1), "x", MORE, note)


def _counted(far: Beyond, number: int) -> int:
    """Count conversations while so many jobs stay where they are; they are ended from outside."""
    resources = Resources(sbatch=("--hold",)) if far.slurm else Resources()
    jobs = [Job(f"w{i}", host="far", exec="sleep 3600", resources=resources) for i in range(number)]
    store = far.laptop.run(*jobs, name=f"wait{number}")
    far.laptop.until(lambda: not {"waiting", "submitting"} & set(far.laptop.states(store).values()), seconds=WAIT)
    with _heard(far) as said:
        end = time.monotonic() + WATCH
        while time.monotonic() < end:
            far.laptop.engine.step(0.5)
    far.laptop.engine.drop(store.run.id)
    return len(said)


@contextmanager
def _heard(far: Beyond) -> Iterator[list[str]]:
    """Note each conversation."""
    transport, said = far.host.transport, list[str]()
    ask = transport.ask

    def listening(script: str, *args: str, **more: Any) -> bytes:
        said.append(script)
        return ask(script, *args, **more)

    vars(transport)["ask"] = listening
    yield said
    del vars(transport)["ask"]


def _memory(bench: Bench) -> Iterator[Figure]:
    """A whole process, connecting included, with very many jobs over there."""
    with beyond(bench.root) as far:
        folder = work.lay(far.laptop.folder / "many", work.independent(bench.many))
        text = (folder / "hybridnb.yaml").read_text().replace("    script:", "    host: far\n    script:")
        (folder / "hybridnb.yaml").write_text(text)
        (folder / "hosts.yaml").write_text(far.laptop.file.read_text())
        time = clock.timed(tools.here().command, folder, far.variables)
        if missing := work.missing(folder, work.independent(bench.many)):
            raise clock.Failed(f"{missing} of {bench.many} SSH jobs left no log")
        note = f"{time.seconds:.1f} s, {time.seconds / bench.many * 1e3:.2f} ms a job"
        yield Figure(f"{bench.many} SSH jobs, peak memory", time.peak, "MB", PEAK, note)


# -- Slurm --------------------------------------------------------------------------------------------------------------
def by_slurm(bench: Bench) -> Iterator[Figure]:
    """The same by a real Slurm behind that sshd, each time after a bare loop of sbatch over there."""
    with beyond(bench.root, slurm=True) as far:
        assert far.slurm
        far.echo(work.independent(1))
        graph, times = work.independent(bench.jobs), []
        for _ in range(bench.few):
            os.sync()  # what the jobs before wrote is not theirs to wait for
            bare = _bare(far, bench.jobs)
            far.slurm.heal()
            os.sync()
            times.append((bare, far.echo(graph)[0]))
            far.slurm.heal()
        bare, taken = (statistics.median(column) for column in zip(*times))
        note = f"{taken:.1f} s; the loop and its last job {bare:.1f} s"
        ratio = statistics.median(ours / loop for loop, ours in times)
        yield Figure(f"{bench.jobs} Slurm jobs, to a loop of sbatch", ratio, "x", bench.limit(SBATCH), note)
        yield _news(far, "Slurm", [1, 2, 3, 5, 8, 30])
        yield _said(far, "a Slurm host", 1, bench.many)


def _bare(far: Beyond, jobs: int) -> float:
    """Seconds until the last of so many jobs, each by a call of sbatch on the machine itself, has written its log."""
    assert far.slurm
    account = far.server.account
    account.write("bare.sh", work.SCRIPT)
    logs = account.write("bare/none", "").parent
    loop = f"i=0; while [ $i -lt {jobs} ]; do sbatch -Q -o bare/$i bare.sh || exit; i=$((i + 1)); done"
    words = account.words(*(f"{name}={value}" for name, value in far.slurm.env.items()), "sh", "-c", loop)
    began = time.perf_counter()
    subprocess.run(words, cwd=account.home, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=WAIT)
    until(lambda: sum(entry.stat().st_size > 0 for entry in os.scandir(logs)) >= jobs, "the bare loop", seconds=WAIT)
    seconds = time.perf_counter() - began
    for log in logs.iterdir():
        log.unlink()
    return seconds


# -- files --------------------------------------------------------------------------------------------------------------
def of_files(bench: Bench) -> Iterator[Figure]:
    """A large file beside scp, many small ones beside sftp, there and back; theirs is an open connection, too."""
    with beyond(bench.root) as far, _master(far) as ssh:
        (far.server.account.home / "theirs").mkdir(mode=0o777)
        (far.server.account.home / "theirs").chmod(0o777)
        yield from _large(bench, far, ssh)
        yield from _small(bench, far, ssh)


@contextmanager
def _master(far: Beyond) -> Iterator[list[str]]:
    """Open a connection for OpenSSH's programs; yield the options by which they use it."""
    options = ["-F", str(far.door.config), "-o", f"ControlPath={far.laptop.folder}/m", "-q"]
    words = [program("ssh"), *options, "-N", "-o", "ControlMaster=yes", far.door.name]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as master:
        until((far.laptop.folder / "m").exists, "a connection of OpenSSH's")
        yield options
        master.terminate()


def _large(bench: Bench, far: Beyond, ssh: list[str]) -> Iterator[Figure]:
    size = LARGE if bench.full else LARGE // 10
    there, back = [], []
    for number in range(bench.few):
        name = f"large{number}"
        (far.laptop.folder / name).write_bytes(os.urandom(size))
        scp = [program("scp"), *ssh]
        theirs, ours = f"{far.door.name}:theirs/{name}", f"{far.laptop.folder}/{name}"
        there.append((_ran([*scp, ours, theirs]), _sent(far, [name])))
        back.append((_ran([*scp, theirs, f"{ours}.theirs"]), _fetched(far, [name])))
        for path in (*far.laptop.folder.glob(f"**/{name}*"), *far.server.account.home.glob(f"**/{name}")):
            path.unlink()
    for way, times in (("there", there), ("back", back)):
        scp_took, took = (statistics.median(column) for column in zip(*times))
        ratio = statistics.median(our / their for their, our in times)
        note = f"{size / took / 1e6:.0f} MB/s, scp {size / scp_took / 1e6:.0f} MB/s; checksums of both sides included"
        yield Figure(f"{size >> 20} MB file {way}, to scp", ratio, "x", bench.limit(SCP), note)


def _small(bench: Bench, far: Beyond, ssh: list[str]) -> Iterator[Figure]:
    there, back = [], []
    for number in range(bench.few):
        names = [f"small{number}/{i}" for i in range(bench.jobs)]
        (far.laptop.folder / f"small{number}").mkdir()
        for name in names:
            (far.laptop.folder / name).write_bytes(os.urandom(1000))
        puts = [f"put {far.laptop.folder}/{name} theirs/" for name in names]
        gets = [f"get theirs/{i} {far.laptop.folder}/small{number}/" for i in range(bench.jobs)]
        there.append((_one_by_one(far, ssh, puts), _sent(far, names)))
        back.append((_one_by_one(far, ssh, gets), _fetched(far, names)))
    for way, times in (("there", there), ("back", back)):
        sftp_took, took = (statistics.median(column) for column in zip(*times))
        ratio = statistics.median(our / their for their, our in times)
        note = f"{took:.2f} s; sftp {sftp_took:.0f} s, by {SAMPLE} of them"
        yield Figure(f"{bench.jobs} files of 1 kB {way}, of sftp's time one by one", 100 * ratio, "%", bench.limit(SFTP), note)


def _one_by_one(far: Beyond, ssh: list[str], lines: list[str]) -> float:
    """Seconds that sftp would take for these, by what it takes for some."""
    none = _ran([program("sftp"), *ssh, "-b", "-", far.door.name], "")
    some = _ran([program("sftp"), *ssh, "-b", "-", far.door.name], "\n".join(lines[:SAMPLE]) + "\n")
    return (some - none) / min(SAMPLE, len(lines)) * len(lines)


def _ran(words: list[str], text: str = "") -> float:
    return _time(lambda: subprocess.run(words, input=text, text=True, check=True, stdout=subprocess.DEVNULL))


def _sent(far: Beyond, names: list[str]) -> float:
    """Bring files there as the inputs of a job."""
    folder = far.laptop.folder
    return _time(lambda: files.send(far.host.transport, folder, _work(far), files.local_manifest(folder, names)))


def _fetched(far: Beyond, names: list[str]) -> float:
    """Bring them home as its outputs."""
    home = far.laptop.folder / "home"
    home.mkdir(exist_ok=True)
    staging = far.laptop.folder / "staging"
    return _time(lambda: files.fetch(far.host.transport, _work(far), names, home, staging=staging))


def _work(far: Beyond) -> str:
    return f"{far.server.account.home}/ours"


def _time(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
