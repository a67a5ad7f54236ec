"""Notebooks whose jobs go to this machine, to a server behind ssh and to a cluster."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from testbed.kernel import Kernel
from testbed.laptop import entry, settle
from testbed.notebook import Notebook
from testbed.sshd import Server

MAKE = "%%job local make --out numbers.txt\nseq 1 10 > numbers.txt"
ODD = "%%job far odd --after make --in numbers.txt --out odd.txt\ngrep '[13579]$' numbers.txt > odd.txt"
EVEN = "%%job cluster even --after make --in numbers.txt --out even.txt --time 5 --cpus 2\ngrep '[02468]$' numbers.txt > even.txt"
JOIN = "%%job local join --after odd,even --in odd.txt,even.txt\nsort -n odd.txt even.txt | tr '\\n' ' '"


@pytest.fixture
def hosts(server: Server, slurm_server: Server, jupyter: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Know the hosts far and cluster."""
    monkeypatch.setenv("PATH", str(settle(server, jupyter)), prepend=os.pathsep)
    cluster = entry(slurm_server, scheduler="slurm", slots=100)
    (home / "hosts.yaml").write_text(json.dumps({"hosts": {"far": entry(server), "cluster": cluster}}))
    return jupyter


def test_one_notebook_sends_its_jobs_to_three_hosts_and_its_files_follow(hosts: Path) -> None:
    study = Notebook(
        hosts / "study.ipynb", "%load_ext hybridnb", MAKE, ODD, EVEN, JOIN, "r = %workflow run --wait", "%workflow log join"
    )
    saved = study.execute()
    assert "1 2 3 4 5 6 7 8 9 10" in saved.text("c7")
    for cell, host in (("c2", "local"), ("c3", "far"), ("c4", "cluster"), ("c5", "local")):
        assert re.search(rf"done on {host}\b", saved.text(cell)), saved.text(cell)
    assert re.search(r"(Slurm|native id) \d+", saved.text("c4"))
    assert re.search(r"(Slurm|native id) \d+", saved.html("c4"))
    for host in ("local", "far", "cluster"):
        assert host in saved.text("c6")
        assert host in saved.html("c6")


def test_a_sweep_goes_to_a_cluster_together(hosts: Path) -> None:
    sweep = "%%job cluster train -p lr=0.1,0.01 -p depth=2,4 --sweep --time 5 --out 'out-{lr}-{depth}'\necho $lr $depth > out-$lr-$depth"
    best = "%%job local best --after train --in 'out-*'\ncat out-* | wc -l"
    last = "r['best'].log().strip(), len({job.native_id.partition('_')[0] for job in r['train'].values()})"
    saved = Notebook(hosts / "study.ipynb", "%load_ext hybridnb", sweep, best, "r = %workflow run --wait", last).execute()
    assert "4 done" in saved.text("c2")
    assert all(fact in saved.html("c2") for fact in ("0.01", "0.1", "cluster", "4 done"))
    assert saved.text("c5") == "('4', 1)", "one array"


def test_a_card_tells_why_a_job_is_queued(hosts: Path, kernels: Callable[..., Kernel]) -> None:
    kernel = kernels("study.ipynb")
    assert "jobs can go there" in kernel.run("%hosts check cluster").text
    cell = kernel.run('%%job cluster train --run --sbatch "--begin=now+1hour" --time 5\ntrue', "c1")
    cell.until(lambda cell: "BeginTime" in cell.card.text, "the queue's reason")
    assert "queued" in cell.card.text
    assert re.search(r"(Slurm|native id) \d+", cell.card.text)
    kernel.run("%workflow cancel train")
    cell.until(lambda cell: "cancelled" in cell.card.text, "the end")
