"""Whole runs over a real sshd while something breaks: each job runs exactly once, none is told wrong, nothing waits for ever."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from hybridnb.engine import Engine
from hybridnb.hosts import host as plain
from hybridnb.hosts import reach, shell
from hybridnb.hosts.config import Hosts
from testbed.accounts import ROOT, Account
from testbed.laptop import DEADLINE, Laptop, entry, job, ran, settle
from testbed.processes import end, program, until
from testbed.proxy import Proxy
from testbed.sshd import Door, Server, Sshd

Proxied = Callable[[Door], tuple[Proxy, Door]]
Laptops = Callable[..., Laptop]
PATIENCE = {name: getattr(shell, name) for name in ("_BEAT", "_ANSWER", "_START", "_PATIENCE")}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits a second or a minute for better times wait for less."""
    monkeypatch.setattr(reach, "_WAITS", (0.02, 0.2))
    monkeypatch.setattr(shell, "_BEAT", 1.0)
    monkeypatch.setattr(shell, "_ANSWER", 2.0)
    monkeypatch.setattr(shell, "_START", 2.0)
    monkeypatch.setattr(shell, "_PATIENCE", 0.2)
    monkeypatch.setattr(plain, "_PATIENCE", {True: 0.5, False: 0.5})


@pytest.fixture
def laptops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptops]:
    """Give what makes a laptop with one host, `far`, behind a door."""
    with ExitStack() as all_of_them:

        def make(door: Door, name: str = "laptop", **more: Any) -> Laptop:
            monkeypatch.setenv("PATH", str(settle(door, tmp_path)), prepend=os.pathsep)
            (tmp_path / name).mkdir()
            return all_of_them.enter_context(closing(Laptop(tmp_path / name, {"far": entry(door, **more)})))

        yield make


def connected(laptop: Laptop) -> Laptop:
    """Have its host reached, with nothing under way."""
    laptop.host().connect()
    laptop.host().reach.beat = 0.5
    laptop.run(job("first"), name="warm")
    laptop.finish()
    return laptop


def chain() -> list[Any]:
    return [job("a", "echo out of a"), job("b", "echo out of b >&2; exit 3", "a"), job("c", "", "b:failed")]


def check(laptop: Laptop, account: Account, *, runs: int = 1) -> None:
    """See that all chains ended as they must, each job once, with its logs."""
    laptop.finish()
    for store in laptop.stores[-runs:]:
        assert laptop.states(store) == {"a": "done", "b": "failed", "c": "done"}
        assert laptop.log(store, "a") == "out of a\n"
        assert laptop.log(store, "b", "err") == "out of b\n"
        bad = store.run.attempt("b")
        assert bad
        assert bad.exit_code == 3
    assert {k: n for k, n in ran(account).items() if k != "first.1"} == {f"{name}.1": runs for name in "abc"}


def runners(account: Account) -> list[psutil.Process]:
    """Return the account's queues. Some processes may end while they are looked at."""
    found = []
    for process in account.processes():
        with suppress(psutil.Error):
            if any(word.endswith("/runner.sh") for word in process.cmdline()) and process.name() == "sh":
                found.append(process)
    return found


# -- the connection breaks --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("way", "most"), [("down", 2600), ("up", 5200)])
def test_cut_after_any_byte_of_request_or_answer(way: str, most: int, server: Server, proxy: Proxied, laptops: Laptops) -> None:
    """dpdispatcher, submitit, Nextflow: retried after "Socket timed out", and submitted twice. jobflow-remote: a closed socket, and sbatch again."""
    net, door = proxy(server)
    laptop = connected(laptops(door))
    sizes = [*range(0, 400, 16), *range(400, most, 151)]
    for size in sizes:
        laptop.host().connect()
        net.cut(way, size)
        laptop.run(*chain())
        laptop.finish()
        net.heal()
    check(laptop, server.account, runs=len(sizes))


def test_reset_again_and_again_while_jobs_run(server: Server, proxy: Proxied, laptops: Laptops) -> None:
    """covalent-slurm#64: a dropped link left "running" for ever."""
    net, door = proxy(server)
    laptop = connected(laptops(door))
    store = laptop.run(job("slow", "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.2; done"), job("below", "", "slow"))
    for _ in range(6):
        accepted = net.accepted
        net.rst()
        laptop.until(lambda accepted=accepted: net.accepted > accepted)  # type: ignore[misc]
    laptop.finish()
    assert laptop.states(store) == {"slow": "done", "below": "done"}
    assert laptop.log(store, "slow").split() == [str(n) for n in range(1, 11)]
    assert ran(server.account) == {"first.1": 1, "slow.1": 1, "below.1": 1}


@pytest.mark.parametrize("ways", [("up",), ("down",), ("up", "down")])
def test_a_peer_that_says_nothing_any_more_is_found_out(
    ways: tuple[str, ...], server: Server, proxy: Proxied, laptops: Laptops
) -> None:
    """paramiko#2463, #2326: is_active() stays true in a black hole."""
    net, door = proxy(server)
    laptop = connected(laptops(door))
    net.stall(*ways)
    laptop.run(*chain())
    laptop.until(lambda: laptop.host().problem)
    net.resume()
    check(laptop, server.account)


def test_a_peer_that_falls_silent_while_nothing_is_asked_is_found_out(server: Server, proxy: Proxied, laptops: Laptops) -> None:
    net, door = proxy(server)
    laptop = connected(laptops(door))
    go = server.account.home / "go"
    store = laptop.run(job("slow", f"while [ ! -e '{go}' ]; do sleep 0.05; done"))
    laptop.until(lambda: laptop.states(store) == {"slow": "running"})
    net.stall()
    laptop.until(lambda: laptop.host().problem)
    go.touch()
    net.rst()
    net.resume()
    laptop.finish()
    assert laptop.states(store) == {"slow": "done"}
    assert ran(server.account) == {"first.1": 1, "slow.1": 1}


def test_a_large_request_into_a_hole_does_not_wait_for_ever(server: Server, proxy: Proxied, laptops: Laptops) -> None:
    net, door = proxy(server)
    laptop = connected(laptops(door))
    net.stall("up")
    text = os.urandom(4_000_000).hex()
    store = laptop.run(job("big", f": {text}\necho done"))
    laptop.until(lambda: laptop.host().problem)
    net.rst()
    net.resume()
    laptop.finish()
    assert laptop.states(store) == {"big": "done"}
    assert ran(server.account) == {"first.1": 1, "big.1": 1}


def test_long_delays_are_no_losses(server: Server, proxy: Proxied, laptops: Laptops, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of it all: with delays of 0.5 s as with 5 s. nextflow#5813: a time that has passed proves nothing."""
    net, door = proxy(server)
    laptop = connected(laptops(door))
    laptop.host().reach.beat = 1.5
    for name, seconds in (("_BEAT", 4.0), ("_ANSWER", 6.0), ("_START", 6.0)):  # and room for a machine that is slow itself
        monkeypatch.setattr(shell, name, seconds)
    net.latency, net.jitter = 0.4, 0.2
    before = net.accepted
    laptop.run(*chain())
    check(laptop, server.account)
    assert net.accepted == before


def test_damaged_bytes_are_no_news(server: Server, proxy: Proxied, laptops: Laptops) -> None:
    net, door = proxy(server)
    laptop = connected(laptops(door))
    for way in ("up", "down"):
        net.flip(way, 50)
        laptop.run(*chain())
        laptop.finish()
    check(laptop, server.account, runs=2)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_all_faults(seed: int, server: Server, proxy: Proxied, laptops: Laptops) -> None:
    """Whatever comes one after the other, and the runner killed in between: at the end all is as in fine weather."""
    net, door = proxy(server)
    laptop = connected(laptops(door))
    dice = random.Random(seed)
    faults: list[Callable[[], object]] = [
        net.rst,
        net.fin,
        lambda: net.cut("down", dice.randrange(4000)),
        lambda: net.cut("up", dice.randrange(4000)),
        lambda: net.flip("down", dice.randrange(2000)),
        lambda: setattr(net, "latency", dice.random() / 10),
        lambda: setattr(net, "rate", dice.choice([0, 20_000])),
        lambda: end(p for p in server.sessions() if dice.random() < 0.5),
        lambda: end(runners(server.account)),
    ]
    stores = []
    for n in range(4):
        jobs = [job(f"j{i}", f"sleep 0.1; echo out; exit {int(i % 7 == 3)}", *parents(dice, i)) for i in range(12)]
        stores.append(laptop.run(*jobs, name=f"storm{n}"))
        for _ in range(6):
            dice.choice(faults)()
            for _ in range(dice.randrange(1, 6)):
                laptop.engine.step(0.05)
    net.heal()
    laptop.finish()
    counts: Counter[str] = Counter()
    for store in stores:
        states = laptop.states(store)
        assert "lost" not in states.values()
        for i in range(12):
            above = [
                d
                for d in store.run.jobs[f"j{i}"].after
                if states[d.job] != {"ok": "done", "failed": "failed"}.get(d.kind.value, states[d.job])
            ]
            assert states[f"j{i}"] == ("skipped" if above else "failed" if i % 7 == 3 else "done")
            if not above:
                counts[f"j{i}.1"] += 1
                assert laptop.log(store, f"j{i}") == "out\n"
    assert ran(server.account) == {"first.1": 1, **counts}


def parents(dice: random.Random, i: int) -> list[str]:
    chosen = dice.sample(range(i), min(i, dice.randrange(3)))
    return [f"j{n}" + dice.choice(["", "", ":any", ":failed"]) for n in chosen]


# -- the host limits us -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sessions", [1, 2, 10])
def test_few_sessions_are_enough(sessions: int, sshd: Sshd, laptops: Laptops) -> None:
    """autosubmit#1323: "open failed"."""
    server = sshd.up(options=[f"MaxSessions {sessions}"])
    laptop = laptops(server)
    work = laptop.folder / "work"
    work.mkdir()
    (work / "in").mkdir()
    for name in ("one", "two"):
        (work / "in" / name).write_text(name)
    store = laptop.run(
        job("a", "cat in/* >made; echo 1", inputs=("in/",), outputs=("made",)), job("b", "cat made; seq 100000", "a")
    )
    laptop.finish()
    assert laptop.states(store) == {"a": "done", "b": "done"}
    assert (work / "made").read_text() == "onetwo"
    assert laptop.log(store, "b").startswith("onetwo1\n2\n")
    assert ran(server.account) == {"a.1": 1, "b.1": 1}


def test_a_server_that_is_busy_with_logins_is_tried_again(sshd: Sshd, laptops: Laptops) -> None:
    """paramiko#664, #2063; dpdispatcher#244; covalent-ssh#13: banner errors under many connects."""
    server = sshd.up()
    server.kill()
    with (server.folder / "sshd_config").open("a") as settings:
        settings.write("MaxStartups 1\n")  # the last one counts
    server.start()
    with socket.create_connection((server.address, server.port)) as other:
        other.recv(100)
        laptop = laptops(server)
        laptop.run(*chain())
        laptop.until(lambda: laptop.host().problem)
        assert "did not greet" in laptop.host().problem or "lost" in laptop.host().problem
    check(laptop, server.account)


def test_a_laptop_connects_once_however_many_jobs_there_are(
    server: Server, proxy: Proxied, laptops: Laptops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiida-core#995, #4288: banned for 13,671 connections."""
    for name, seconds in PATIENCE.items():
        monkeypatch.setattr(shell, name, seconds)
    net, door = proxy(server)
    laptop = connected(laptops(door))
    for _ in range(3):
        laptop.run(*chain())
        laptop.finish()
    assert net.accepted == 1


# -- the host goes and comes ------------------------------------------------------------------------------------------------
def test_the_server_goes_and_comes_back(server: Server, laptops: Laptops) -> None:
    """Work goes on without us meanwhile; so does what waits for it."""
    laptop = connected(laptops(server))
    laptop.run(job("a", "sleep 0.5; echo out of a"), *chain()[1:])
    laptop.until(lambda: "a.1" in ran(server.account))
    server.kill()
    laptop.until(lambda: laptop.host().problem)
    laptop.until(lambda: "c.1" in ran(server.account))
    server.start()
    check(laptop, server.account)
    assert not laptop.host().problem


def test_a_run_begun_while_the_server_is_away_goes_there_when_it_is_back(server: Server, laptops: Laptops) -> None:
    server.kill()
    laptop = laptops(server)
    laptop.run(*chain())
    laptop.until(lambda: laptop.host().problem)
    server.start()
    check(laptop, server.account)


def test_connections_that_stand_still_for_a_while_are_given_up_or_go_on(server: Server, laptops: Laptops) -> None:
    """SIGSTOP for what serves us there: a machine that swaps, or one that was asleep."""
    laptop = connected(laptops(server))
    sleeping = server.sessions()
    for process in sleeping:
        process.suspend()
    laptop.run(*chain())
    laptop.until(lambda: laptop.host().problem)
    for process in sleeping:
        process.resume()
    check(laptop, server.account)


def test_the_machine_restarts_and_what_ran_is_lost_until_somebody_tries_it_again(server: Server, laptops: Laptops) -> None:
    """aiida-core#5699; systemd#43361, #3005: processes can die at any logout, so "lost" is a state, and never a guess."""
    laptop = connected(laptops(server))
    store = laptop.run(job("slow", '[ "$HYBRIDNB_ATTEMPT" = 2 ] || sleep 60'), job("below", "", "slow"))
    laptop.until(lambda: laptop.states(store)["slow"] == "running")
    server.account.end()
    laptop.finish()
    assert laptop.states(store) == {"slow": "lost", "below": "skipped"}
    laptop.engine.execution(store.run.id).retry()
    laptop.finish()
    assert laptop.states(store) == {"slow": "done", "below": "done"}
    assert ran(server.account) == {"first.1": 1, "slow.1": 1, "slow.2": 1, "below.2": 1}


def test_a_runner_that_was_killed_is_started_again(server: Server, laptops: Laptops) -> None:
    laptop = connected(laptops(server))
    go = server.account.home / "go"
    laptop.run(job("a", f"while [ ! -e '{go}' ]; do sleep 0.05; done; echo out of a"), *chain()[1:])
    laptop.until(lambda: "a.1" in ran(server.account))
    end(runners(server.account))
    go.touch()
    check(laptop, server.account)


# -- we go and come ---------------------------------------------------------------------------------------------------------
SERVICE = """
    import json, os, sys
    from pathlib import Path
    from hybridnb.engine import Engine
    from hybridnb.hosts import host, reach, shell
    from hybridnb.hosts.config import Hosts
    from hybridnb.journal import Journal
    from testbed.laptop import job
    from hybridnb.model import Workflow

    reach._WAITS = (0.02, 0.2)
    shell._BEAT = 1.0
    base, last, before = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "before"
    commit, count = Journal.commit, 0

    def dying(self, *, sync=False):
        global count
        count += bool(self._pending)
        if before and count > last:
            os._exit(9)
        commit(self, sync=sync)
        if count > last:
            os._exit(9)

    if last >= 0:
        Journal.commit = dying
    engine = Engine(Hosts(file=base / "hosts.yaml"))
    jobs = [job("a", sys.argv[4]), job("b", "exit 1", "a"), job("c", "", "b"), job("d", "", "b:failed")]
    engine.create(Workflow.of("test", jobs), base / "test.yaml", variables={})
    sys.exit(0 if engine.until_idle(timeout=60) else 3)
"""


def service(base: Path, *, last: int = -1, when: str = "", script: str = "true") -> subprocess.Popen[bytes]:
    path = base / "service.py"
    path.write_text(textwrap.dedent(SERVICE))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen([sys.executable, str(path), str(base), str(last), when, script], env=environment)


def taken_up(base: Path, account: Account) -> None:
    """Open what a service left, and see it end as it should."""
    found = [f.parent for f in base.glob("test.runs/*/journal.yaml") if f.stat().st_size]
    if not found:
        assert ran(account) == {}
        return
    with closing(Engine(Hosts(file=base / "hosts.yaml"))) as engine:
        store = engine.open(found[0])
        assert engine.until_idle(timeout=DEADLINE), engine.problems
        states = {name: state.value for name, state in store.run.states.items()}
    if len(states) == 4:
        assert states == {"a": "done", "b": "failed", "c": "skipped", "d": "done"}
        assert ran(account) == {"a.1": 1, "b.1": 1, "d.1": 1}


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_of_the_journal_and_opened_again_each_job_runs_exactly_once(
    when: str, server: Server, laptops: Laptops, tmp_path: Path
) -> None:
    """aiida: the job id is known once it is in the database; killed just before, it is submitted twice."""
    for last in range(40):
        laptop = laptops(server, f"crash{last}")
        laptop.close()
        code = service(laptop.folder, last=last, when=when).wait(DEADLINE)
        if code == 0:
            break
        assert code == 9
        taken_up(laptop.folder, server.account)
        (server.account.home / "ran").unlink(missing_ok=True)
    assert last > 3, "the run took too few steps to mean anything"


def test_the_laptop_sleeps_while_its_jobs_run(server: Server, laptops: Laptops) -> None:
    """The service stands still, the connection is reset meanwhile, and what happened in between is known at once."""
    laptop = laptops(server)
    laptop.close()
    process = service(laptop.folder, script="sleep 0.5")
    until(lambda: "a.1" in ran(server.account), "the first job")
    process.send_signal(signal.SIGSTOP)
    end(server.sessions())
    until(lambda: "d.1" in ran(server.account), "the last job, which needs no laptop")
    process.send_signal(signal.SIGCONT)
    assert process.wait(DEADLINE) == 0
    assert ran(server.account) == {"a.1": 1, "b.1": 1, "d.1": 1}


def test_what_was_handed_over_goes_on_when_the_service_is_killed(server: Server, laptops: Laptops) -> None:
    laptop = laptops(server)
    laptop.close()
    process = service(laptop.folder, script="sleep 0.5")
    until(lambda: "a.1" in ran(server.account), "the first job")
    process.kill()
    process.wait()
    until(lambda: "d.1" in ran(server.account), "the last job")
    taken_up(laptop.folder, server.account)


def test_two_laptops_share_an_account(server: Server, laptops: Laptops) -> None:
    """Both begin at once on a host that neither has seen."""
    both = [laptops(server, "one"), laptops(server, "two")]
    for laptop in both:
        laptop.run(*(job(f"j{n}", "", *([f"j{n - 1}"] if n % 5 else [])) for n in range(15)))
    for _ in range(600):
        for laptop in both:
            laptop.engine.step(0.05)
        if all(laptop.engine.idle for laptop in both):
            break
    for laptop in both:
        assert set(laptop.states(laptop.stores[0]).values()) == {"done"}, laptop.engine.problems
    assert ran(server.account) == {f"j{n}.1": 2 for n in range(15)}
    assert len(runners(server.account)) <= 1


# -- hosts that are not as one would like -----------------------------------------------------------------------------------
NOISE = """
echo "Welcome to the cluster"; echo "hybridnb-0123456789abcdef 0"; printf 'no end of line'
echo "Your quota is low" >&2
"""


@pytest.mark.parametrize(("login", "files"), [
    ("", {".bashrc": NOISE, ".profile": NOISE}),
    ("csh", {".cshrc": 'echo "Welcome"; alias printf echo\n'}),
    ("fish", {".config/fish/config.fish": "echo Welcome\nfunction read; end\n"}),
])  # fmt: skip
def test_login_shells_and_what_they_say_do_not_matter(login: str, files: dict[str, str], sshd: Sshd, laptops: Laptops) -> None:
    """BatchJobs#85, ansible#2268, autosubmit#3024: banners and the output of start-up files were taken for answers."""
    server = sshd.up(shell=login, files=files)
    laptop = laptops(server)
    laptop.run(*chain())
    check(laptop, server.account)


@pytest.mark.parametrize(
    "text", ["echo 'Sorry, closed'; exit 1\n", "read -r project; echo Unknown project $project | cut -c 1-15; sleep 60\n"]
)
def test_start_up_files_that_end_or_wait_are_told_of_and_can_be_mended(
    text: str, sshd: Sshd, laptops: Laptops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_START", 1.0)
    server = sshd.up(files={".bashrc": text})
    laptop = laptops(server)
    laptop.run(*chain())
    said = ("Sorry, closed", "Unknown project")  # not at once, where the machine is slow to start a shell
    laptop.until(lambda: any(words in laptop.engine.problems.get("far", "") for words in said))
    assert "start-up files" in laptop.engine.problems["far"]
    server.account.write(".bashrc", "")
    check(laptop, server.account)


def test_a_home_with_spaces_and_letters_of_all_kinds(sshd: Sshd, server: Server, laptops: Laptops) -> None:
    """nextflow#218, snakemake-slurm#29, gc3pie#465."""
    home = server.account.home / "it's $HOME ☃"
    home.mkdir()
    os.chown(home, server.account.uid, server.account.gid)
    other = sshd.up("other", account=server.account, env={"HOME": str(home).replace('"', "")})
    laptop = laptops(other, directory="~/a b\\n 'c'")
    laptop.run(*chain())
    laptop.finish()
    assert laptop.states(laptop.stores[0]) == {"a": "done", "b": "failed", "c": "done"}
    assert ran(server.account, home) == {"a.1": 1, "b.1": 1, "c.1": 1}
    assert (home / "a b\\n 'c'" / "runs").is_dir()


@pytest.mark.parametrize("shift", ["+3600", "-86400"])
def test_a_host_with_a_wrong_clock(shift: str, sshd: Sshd, server: Server, laptops: Laptops) -> None:
    """sos#1105, #962; snakemake#3261: clock skew killed live tasks."""
    lying = server.account.write(
        "bin/date", f'#!/bin/sh\n[ "$1" = +%s ] && echo $(($(/bin/date +%s) {shift})) || exec /bin/date "$@"\n', mode=0o755
    )
    other = sshd.up("other", account=server.account, env={"PATH": f"{lying.parent}:/usr/bin:/bin"})
    laptop = laptops(other)
    store = laptop.run(*chain())
    check(laptop, server.account)
    assert abs(laptop.host().reach.skew - int(shift)) < 5
    assert store.run.state.value == "failed"


@pytest.fixture
def small(server: Server, tmp_path: Path) -> Iterator[Path]:
    """Give the account a file system of 512 kB."""
    if not ROOT:
        pytest.skip("a small file system needs root")
    folder = server.account.home / "small"
    folder.mkdir()
    words = ["-t", "tmpfs", "-o", f"size=512k,uid={server.account.uid},gid={server.account.gid},mode=755", "tmpfs", str(folder)]
    subprocess.run([program("mount"), *words], check=True)
    yield folder
    server.account.end()
    subprocess.run([program("umount"), "-l", str(folder)], check=True)


def test_a_full_disk_there_is_told_and_when_there_is_room_again_all_goes_on(server: Server, small: Path, laptops: Laptops) -> None:
    """qiita#2965: quota full, and the job "succeeded". autosubmit#2833: a failed mkdir, logged as "created"."""
    laptop = connected(laptops(server, directory=str(small / "hybridnb")))
    fill(small)
    laptop.run(*chain())
    laptop.until(lambda: "No space left" in laptop.engine.problems.get("far", ""))
    (small / "fill").unlink()
    check(laptop, server.account)


def test_a_disk_that_fills_up_while_a_job_runs_delays_its_end_and_changes_nothing(
    server: Server, small: Path, laptops: Laptops
) -> None:
    laptop = connected(laptops(server, directory=str(small / "hybridnb")))
    go = server.account.home / "go"
    store = laptop.run(job("a", f"while [ ! -e '{go}' ]; do sleep 0.05; done; exit 7"))
    laptop.until(lambda: laptop.states(store) == {"a": "running"})
    fill(small)
    go.touch()
    laptop.host().transport.drop()
    laptop.until(lambda: laptop.host().transport.alive)
    assert laptop.states(store) == {"a": "running"}
    (small / "fill").unlink()
    laptop.finish()
    assert laptop.states(store) == {"a": "failed"}
    assert ran(server.account) == {"first.1": 1, "a.1": 1}


def fill(folder: Path) -> None:
    with (folder / "fill").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_another_machine_of_the_same_name_is_refused(server: Server, laptops: Laptops) -> None:
    """jobflow-remote#373: the daemon on login01, the stop on login02."""
    laptop = laptops(server)
    node = server.account.write(".hybridnb/runner/node", "login01\n")
    laptop.run(*chain())
    laptop.until(lambda: "its queue is on login01" in laptop.engine.problems.get("far", ""))
    node.write_text(f"{os.uname().nodename}\n")
    laptop.host().connect()
    check(laptop, server.account)
