"""The engine with Slurm hosts: behind ssh, and on this machine."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from hybridnb.model import Workflow
from hybridnb.store import Store
from hybridnb.sweep import expand
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


def test_the_jobs_of_a_sweep_are_one_array_and_each_has_its_own_params(
    slurm_server: Server, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(settle(sshd, tmp_path)), prepend=os.pathsep)
    script = 'echo "$lr $depth"; cp "$HYBRIDNB_PARAMS" "params-$lr-$depth.json"'
    values = {"lr": (0.1, "a b"), "depth": (2, 4)}
    train = job("train", script, sweep=values, params={"seed": 1}, outputs=("params-{lr}-{depth}.json",))
    jobs = expand(Workflow.of("study", [train, job("last", "", "train")])).jobs
    with closing(Laptop(tmp_path, {"far": entry(slurm_server, scheduler="slurm", slots=100)})) as laptop:
        store = laptop.run(*jobs.values())
        laptop.finish()
        assert set(laptop.states(store).values()) == {"done"}
        logs = {name: laptop.log(store, name) for name in jobs if name != "last"}
        natives = [attempts[0].native_id or "" for name, attempts in store.run.attempts.items() if name != "last"]
    assert logs == {f"train-lr={lr}-depth={d}": f"{told} {d}\n" for lr, told in (("0.1", 0.1), ("a_b", "a b")) for d in (2, 4)}
    assert [native.partition("_")[2] for native in natives] == ["1", "2", "3", "4"]
    assert len({native.partition("_")[0] for native in natives}) == 1
    brought = [json.loads((tmp_path / "work" / f"params-{lr}-{d}.json").read_text()) for lr in (0.1, "a b") for d in (2, 4)]
    assert brought == [{"seed": 1, "lr": lr, "depth": d} for lr in (0.1, "a b") for d in (2, 4)]
