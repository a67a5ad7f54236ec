"""A far host as the engine drives it: over a real sshd, with real scripts, files and logs."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from hybridnb.engine import Engine
from hybridnb.hosts import mirror, reach
from hybridnb.hosts.config import Hosts
from hybridnb.hosts.far import FarHost
from hybridnb.model import Job, Workflow
from hybridnb.run import State
from testbed.laptop import Laptop, entry, job, ran, settle
from testbed.processes import name, until
from testbed.proxy import Proxy
from testbed.sshd import Door, Server, Sshd

Laptops = Callable[..., Laptop]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_WAITS", (0.02, 0.2))
    monkeypatch.setattr(mirror, "_LOOKS", (0.05, 1.0))


@pytest.fixture
def laptops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptops]:
    """Give what makes a laptop that knows servers by names of hosts."""
    with ExitStack() as all_of_them:

        def make(**hosts: dict[str, Any]) -> Laptop:
            folder = tmp_path / f"laptop{len(list(tmp_path.glob('laptop*')))}"
            (folder / "work").mkdir(parents=True)
            return all_of_them.enter_context(closing(Laptop(folder, hosts)))

        yield make


@pytest.fixture
def configured(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(settle(sshd, tmp_path)), prepend=os.pathsep)


@pytest.fixture
def laptop(server: Server, laptops: Laptops, configured: None) -> Laptop:
    return laptops(far=entry(server))


# -- what goes there --------------------------------------------------------------------------------------------------------
def test_attempts_lie_below_the_hosts_folder_and_are_named_by_numbers(laptop: Laptop, server: Server) -> None:
    """Nothing of a user's own words becomes part of a path there."""
    store = laptop.run(job("a.b-c+d=e@f"), job("b", "", "a.b-c+d=e@f"), name="flow")
    laptop.finish()
    assert laptop.states(store) == {"a.b-c+d=e@f": "done", "b": "done"}
    runs = server.account.home / ".hybridnb" / "runs"
    assert os.listdir(runs) == [store.run.id]
    assert sorted(os.listdir(runs / store.run.id)) == ["0", "1", "work"]
    assert sorted(os.listdir(runs / store.run.id / "0" / "1")) == ["claim", "err", "out", "rc", "script", "spec"]
    assert os.stat(server.account.home / ".hybridnb").st_mode & 0o77 == 0


def test_scripts_get_what_they_are_to_get_and_nothing_of_this_machine(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_MACHINE", "1")
    hostile = 'it\'s "$(touch pwned)" `id` \\ ☃\nline'
    script = 'printf "%s|%s|%s|%s" "$note" "$COLOUR" "$HYBRIDNB_RUN" "${OF_THIS_MACHINE-}"; pwd; ls'
    store = laptop.run(job("a", script, params={"note": hostile}, env={"COLOUR": "r e d"}))
    laptop.finish()
    work = f".hybridnb/runs/{store.run.id}/work"
    assert laptop.log(store, "a").startswith(f"{hostile}|r e d|{store.run.id}|/")
    assert laptop.log(store, "a").endswith(f"/{work}\n")


def test_setup_and_shell_of_the_host_come_before_every_script(server: Server, laptops: Laptops, configured: None) -> None:
    """snakemake-executor-plugin-slurm#63: no `module` in a shell that is none of login."""
    server.account.write(".bash_profile", "module() { export LOADED=$1; }\n")
    laptop = laptops(far=entry(server, setup=["module cuda", "export X='a  b'"], shell="bash -l"))
    store = laptop.run(job("a", 'echo "$LOADED $X"'), Job("b", host="far", exec=("sh", "-c", 'echo "$LOADED $X"')))
    laptop.finish()
    assert laptop.log(store, "a") == laptop.log(store, "b") == "cuda a  b\n"


def test_as_many_run_at_once_as_the_host_has_slots(server: Server, laptops: Laptops, configured: None) -> None:
    laptop = laptops(far=entry(server, slots=3))
    together = 'echo x >>~/now; while [ "$(wc -l <~/now)" -lt 3 ]; do sleep 0.02; done'
    store = laptop.run(*(job(f"j{n}", together) for n in range(3)))
    laptop.finish()
    assert set(laptop.states(store).values()) == {"done"}


# -- order ------------------------------------------------------------------------------------------------------------------
def test_edges_are_kept_and_what_can_never_run_is_skipped(laptop: Laptop, server: Server) -> None:
    store = laptop.run(
        job("a", "exit 2"),
        job("b", "", "a"),
        job("c", "", "a:failed"),
        job("d", "", "b:any"),
        job("e", "", "c", "d"),
        job("f", "", "b", "c"),
    )
    laptop.finish()
    assert laptop.states(store) == {"a": "failed", "b": "skipped", "c": "done", "d": "done", "e": "done", "f": "skipped"}
    assert set(ran(server.account)) == {"a.1", "c.1", "d.1", "e.1"}


def test_retries_are_the_hosts_and_each_is_an_attempt(laptop: Laptop, server: Server) -> None:
    store = laptop.run(job("a", "[ $HYBRIDNB_ATTEMPT = 2 ]", retries=4), job("b", "", "a"))
    laptop.finish()
    assert [(a.number, a.state, a.exit_code) for a in store.run.attempts["a"]] == [
        (1, State.FAILED, 1),
        (2, State.DONE, 0),
    ]
    assert ran(server.account) == {"a.1": 1, "a.2": 1, "b.1": 1}


def test_an_edge_across_two_hosts_carries_files(sshd: Sshd, laptops: Laptops, configured: None) -> None:
    one, two = sshd.up("one"), sshd.up("two", shell="dash")
    laptop = laptops(one=entry(one), two=entry(two))
    store = laptop.run(
        job("make", "mkdir -p 'out put'; echo made >'out put/x'; echo unwanted >y", host="one", outputs=("out put/",)),
        job("use", "cat 'out put/x'; echo used >z; ls", "make", host="two", inputs=("out put/",), outputs=("z",)),
        Job("here", script="cat 'out put/x' z", after=job("x", "", "use").after),
    )
    laptop.finish()
    assert laptop.states(store) == {"make": "done", "use": "done", "here": "done"}
    assert laptop.log(store, "use") == "made\nout put\nz\n"
    assert laptop.log(store, "here") == "made\nused\n"
    assert not (laptop.folder / "work" / "y").exists()


# -- files ------------------------------------------------------------------------------------------------------------------
def test_a_long_transfer_says_how_far_it_has_come(
    laptops: Laptops, server: Server, proxy: Callable[[Door], tuple[Proxy, Door]], configured: None
) -> None:
    net, door = proxy(server)
    net.rate = 4 << 20
    laptop = laptops(far=entry(door))
    (laptop.folder / "work" / "in").write_bytes(os.urandom(12 << 20))
    store = laptop.run(job("a", "cp in out", inputs=("in",), outputs=("out",)))
    told: list[str] = []
    store.observers.append(lambda _, record: told.append(record["reason"]) if record["event"] == "reason" else None)
    laptop.finish()
    assert any(re.fullmatch(r"inputs go there: \d+ % of 12 MiB", reason) for reason in told), told
    assert any(re.fullmatch(r"outputs come home: \d+ % of 12 MiB", reason) for reason in told), told
    assert laptop.states(store) == {"a": "done"}
    assert store.run.attempts["a"][0].reason == ""


def test_inputs_that_can_never_be_sent_end_their_own_job_only(laptop: Laptop) -> None:
    (laptop.folder / "work" / "in").write_text("here\n")
    store = laptop.run(
        job("a", "", inputs=("../x",)), job("b", "cat in", inputs=("in",)), job("c", "", "a"), job("d", "", "a:failed")
    )
    laptop.finish()
    assert laptop.states(store) == {"a": "failed", "b": "done", "c": "skipped", "d": "done"}
    assert "outside of the workflow's folder" in store.run.attempts["a"][0].reason


def test_outputs_that_can_never_be_fetched_end_their_own_job_only(laptop: Laptop) -> None:
    store = laptop.run(job("a", "mkdir a; touch 'a/x\ny'", outputs=("a/",)), job("b", "touch b", outputs=("b",)))
    laptop.finish()
    assert laptop.states(store) == {"a": "failed", "b": "done"}
    assert (laptop.folder / "work" / "b").exists()


def test_inputs_go_there_and_outputs_come_home_before_the_job_is_done(laptop: Laptop) -> None:
    work = laptop.folder / "work"
    (work / "data").mkdir()
    for n in range(20):
        (work / "data" / f"{n}.txt").write_text(f"{n}\n")
    store = laptop.run(
        job("a", "cat data/*.txt | sort -n >sorted; ls >listed", inputs=("data/*.txt",), outputs=("sorted", "listed"))
    )
    laptop.until(lambda: laptop.states(store) == {"a": "done"})
    assert (work / "sorted").read_text() == "".join(f"{n}\n" for n in range(20))
    assert (work / "listed").read_text() == "data\nlisted\nsorted\n"


def test_what_one_job_makes_another_there_finds_without_a_way_home(laptop: Laptop) -> None:
    store = laptop.run(job("a", "echo 1 >made", outputs=("made",)), job("b", "cat made", "a", inputs=("made",)))
    laptop.finish()
    assert laptop.states(store) == {"a": "done", "b": "done"}
    assert laptop.log(store, "b") == "1\n"


def test_an_output_that_is_not_there_is_a_failure(laptop: Laptop) -> None:
    store = laptop.run(job("a", "", outputs=("never",)))
    laptop.finish()
    assert laptop.states(store) == {"a": "failed"}
    assert "the output 'never'" in laptop.log(store, "a", "err")


def test_a_run_that_cannot_go_there_holds_nobody_else_up(laptop: Laptop, server: Server) -> None:
    poison = laptop.run(job("a"), job("x", "", "a"), name="poison")
    blocked = server.account.write(f".hybridnb/runs/{poison.run.id}", "a file is in the way")
    laptop.until(lambda: "far" in laptop.engine.problems)
    assert poison.run.id in laptop.engine.problems["far"]
    store = laptop.run(job("b"), name="good")
    laptop.until(lambda: laptop.states(store) == {"b": "done"})
    assert laptop.states(poison) == {"a": "submitting", "x": "submitting"}
    laptop.host().transport.drop()
    laptop.until(lambda: laptop.host().transport.alive)
    blocked.unlink()
    laptop.finish()
    assert laptop.states(poison) == {"a": "done", "x": "done"}
    assert "far" not in laptop.engine.problems
    assert ran(server.account) == {"a.1": 1, "b.1": 1, "x.1": 1}


# -- logs -------------------------------------------------------------------------------------------------------------------
def test_logs_and_progress_are_seen_while_the_job_runs(laptop: Laptop, server: Server) -> None:
    go = server.account.home / "go"
    store = laptop.run(
        job("a", f"echo one; echo '# hybridnb progress=50 loss=0.5'; while [ ! -e '{go}' ]; do sleep 0.02; done; echo two")
    )
    laptop.until(lambda: (a := store.run.attempt("a")) and a.progress == 50)
    assert laptop.log(store, "a").startswith("one\n")
    assert laptop.states(store) == {"a": "running"}
    go.touch()
    laptop.finish()
    assert laptop.log(store, "a").endswith("\ntwo\n")
    assert not [name for name in os.listdir(server.account.home / ".hybridnb" / "runs") if name != store.run.id]


def test_large_logs_come_home_whole(laptop: Laptop) -> None:
    store = laptop.run(job("a", "seq 300000; seq 1000 >&2"))
    laptop.finish()
    whole = "".join(f"{n}\n" for n in range(1, 300_001))
    assert laptop.log(store, "a") == whole
    assert laptop.log(store, "a", "err").endswith("\n1000\n")


def test_a_full_disk_at_home_is_told_and_nothing_is_lost(laptop: Laptop, server: Server) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        store = laptop.run(job("a", "seq 100000"), job("b", "", "a"))
        laptop.until(lambda: "too large" in laptop.engine.problems.get("far", ""))
        assert laptop.states(store)["a"] != "done"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    laptop.finish()
    assert laptop.states(store) == {"a": "done", "b": "done"}
    assert laptop.log(store, "a").endswith("\n100000\n")
    assert ran(server.account) == {"a.1": 1, "b.1": 1}


def test_nobody_connects_to_forget_a_run_that_has_ended(laptop: Laptop, server: Server) -> None:
    store = laptop.run(job("a"))
    laptop.finish()
    host = laptop.host()
    server.kill()
    until(lambda: not host.transport.alive, "the end of the connection")
    laptop.engine.drop(store.run.id)
    until(lambda: not host._tasks, "nothing left to be done")
    assert not host.problem


# -- stopping ---------------------------------------------------------------------------------------------------------------
def test_what_is_cancelled_before_the_host_was_reached_never_runs(laptop: Laptop, server: Server) -> None:
    server.kill()
    store = laptop.run(job("a"), job("b", "", "a"))
    laptop.until(lambda: laptop.host().problem)
    laptop.engine.execution(store.run.id).cancel()
    laptop.until(lambda: store.run.state.final)  # without a word to the host
    server.start()
    laptop.finish()
    assert laptop.states(store) == {"a": "cancelled", "b": "cancelled"}
    assert ran(server.account) == {}


def test_cancelling_stops_what_runs_and_what_waits(server: Server, laptops: Laptops, configured: None) -> None:
    laptop = laptops(far=entry(server, grace=0.5))
    store = laptop.run(job("a", "trap '' TERM; sleep 60 & wait"), job("b", "", "a"), job("c", "sleep 60"), job("d", "sleep 60"))
    laptop.until(lambda: [laptop.states(store)[n] for n in "ac"] == ["running"] * 2)
    laptop.engine.execution(store.run.id).cancel()
    laptop.finish()
    assert set(laptop.states(store).values()) == {"cancelled"}
    assert set(ran(server.account)) == {"a.1", "c.1"}
    until(lambda: "sleep" not in map(name, server.account.processes()), "the end of all processes")


def test_what_has_ended_is_not_cancelled(laptop: Laptop) -> None:
    store = laptop.run(job("a"), job("b", "sleep 60", "a"))
    laptop.until(lambda: laptop.states(store) == {"a": "done", "b": "running"})
    assert laptop.engine.execution(store.run.id).cancel() == ["b"]
    laptop.finish()
    assert laptop.states(store) == {"a": "done", "b": "cancelled"}


def test_what_was_cancelled_can_be_tried_again(laptop: Laptop, server: Server) -> None:
    store = laptop.run(job("a", '[ "$HYBRIDNB_ATTEMPT" = 2 ] || sleep 60'), job("b", "", "a"))
    laptop.until(lambda: laptop.states(store)["a"] == "running")
    laptop.engine.execution(store.run.id).cancel()
    laptop.finish()
    assert laptop.states(store) == {"a": "cancelled", "b": "cancelled"}
    laptop.engine.execution(store.run.id).retry()
    laptop.finish()
    assert laptop.states(store) == {"a": "done", "b": "done"}
    assert ran(server.account) == {"a.1": 1, "a.2": 1, "b.2": 1}


def test_what_has_not_started_follows_a_change_of_the_workflow(server: Server, laptops: Laptops, configured: None) -> None:
    laptop = laptops(far=entry(server, slots=1))
    go = server.account.home / "go"
    first = job("first", f"while [ ! -e '{go}' ]; do sleep 0.02; done")
    store = laptop.run(first, job("b", "echo old", "first"), job("gone", "", "first"))
    laptop.until(lambda: laptop.states(store)["first"] == "running")
    told = laptop.engine.execution(store.run.id).change(Workflow.of("test", [first, job("b", "echo new", "first"), job("added")]))
    assert (told["changed"], told["removed"], told["added"]) == (["b"], ["gone"], ["added"])
    laptop.until(lambda: "gone" not in store.run.jobs and not store.run.pending)
    go.touch()
    laptop.finish()
    assert laptop.states(store) == {"first": "done", "b": "done", "added": "done"}
    assert laptop.log(store, "b") == "new\n"
    assert set(ran(server.account)) == {"first.1", "b.2", "added.1"}


# -- again ------------------------------------------------------------------------------------------------------------------
def test_another_service_takes_a_run_up_where_it_is(laptop: Laptop, server: Server) -> None:
    """aiida-core#5699: all that is known can be known again from the host."""
    go = server.account.home / "go"
    store = laptop.run(job("a", f"while [ ! -e '{go}' ]; do sleep 0.02; done; echo a"), job("b", "exit 4", "a"), job("c", "", "b"))
    laptop.until(lambda: laptop.states(store)["a"] == "running")
    laptop.close()
    go.touch()
    until(lambda: "b.1" in ran(server.account), "the end of all")
    laptop.open()
    store = laptop.engine.open(store.folder)
    laptop.finish()
    assert laptop.states(store) == {"a": "done", "b": "failed", "c": "skipped"}
    assert laptop.log(store, "a") == "a\n"
    assert ran(server.account) == {"a.1": 1, "b.1": 1}


def test_attempts_that_somebody_removed_there_are_lost_and_do_not_run_again(laptop: Laptop, server: Server) -> None:
    import shutil

    store = laptop.run(job("a", "sleep 60"), job("b", "", "a"))
    laptop.until(lambda: laptop.states(store)["a"] == "running")
    laptop.close()
    server.account.end()
    shutil.rmtree(server.account.home / ".hybridnb")
    laptop.open()
    store = laptop.engine.open(store.folder)
    laptop.finish()
    assert laptop.states(store)["a"] == "lost"
    assert ran(server.account) == {"a.1": 1}


def test_a_lost_host_is_named_with_what_to_do(laptop: Laptop, server: Server) -> None:
    server.authorized_keys.write_text("")
    store = laptop.run(job("a"))
    laptop.until(lambda: "did not accept the login" in laptop.engine.problems.get("far", ""))
    server.authorized_keys.write_text(server.key.with_suffix(".pub").read_text())
    laptop.host().connect()
    laptop.finish()
    assert laptop.states(store) == {"a": "done"}
    assert "far" not in laptop.engine.problems


def test_the_hosts_facts_are_in_the_record(laptop: Laptop, server: Server) -> None:
    store = laptop.run(job("a"))
    laptop.finish()
    facts = store.run.facts["host far"]
    assert facts["machine"] == os.uname().nodename
    assert facts["slots"] == 2


def test_a_host_that_is_let_go_of_leaves_no_thread_and_no_connection(laptop: Laptop, server: Server) -> None:
    import threading

    laptop.run(job("a"))
    laptop.finish()
    host = laptop.host()
    assert isinstance(host, FarHost)
    laptop.close()
    until(lambda: not server.sessions(), "the end of the connections")
    until(lambda: not [t for t in threading.enumerate() if t.name.endswith("-far")], "the end of the threads")
    laptop.engine = Engine(Hosts(file=laptop.file))
