"""The engine with Slurm hosts: behind ssh, and on this machine."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from hybridnb.store import Store
from testbed.laptop import Laptop, entry, job, ran, settle
from testbed.slurm import Slurm
from testbed.sshd import Server, Sshd


def graph(laptop: Laptop) -> Store:
    """A run with everything that a host keeps by itself."""
    return laptop.run(
        job("a", "echo out of a; [ $HYBRIDNB_ATTEMPT = 2 ]", retries=1),
        job("b", "exit 2", "a"),
        job("c", "", "b"),
        job("d", "", "b:failed", "c:any"),
        *(job(f"many{n}") for n in range(5)),
    )


STATES = {"a": "done", "b": "failed", "c": "skipped", "d": "done", **{f"many{n}": "done" for n in range(5)}}


def test_a_graph_runs_on_a_slurm_behind_ssh_and_goes_on_while_the_laptop_is_closed(
    slurm_server: Server, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(settle(sshd, tmp_path)), prepend=os.pathsep)
    with closing(Laptop(tmp_path, {"far": entry(slurm_server, scheduler="slurm", slots=100)})) as laptop:
        store = graph(laptop)
        laptop.until(lambda: store.run.states["a"].value in ("queued", "running"))
        laptop.close()
        laptop.open()
        store = laptop.engine.open(store.folder)
        laptop.finish()
        assert laptop.states(store) == STATES
        assert laptop.log(store, "a") == "out of a\n"
        assert [a.number for a in store.run.attempts["a"]] == [1, 2]
    counts = ran(slurm_server.account)
    assert set(counts) == {"a.1", "a.2", "b.1", "d.1", *(f"many{n}.1" for n in range(5))}
    assert set(counts.values()) == {1}


def test_a_graph_runs_on_the_slurm_of_this_machine(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in slurm.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    with closing(Laptop(tmp_path, {"far": {"scheduler": "slurm"}})) as laptop:
        store = graph(laptop)
        laptop.finish()
        assert laptop.states(store) == STATES
        assert laptop.log(store, "a") == "out of a\n"
    assert set(ran(None, tmp_path).values()) == {1}  # type: ignore[arg-type]
