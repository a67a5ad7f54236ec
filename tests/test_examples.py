"""The workflows that come with hybridnb do what their first lines promise, tried as a new user would."""

from __future__ import annotations


import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testbed.sshd import Server

EXAMPLES = Path(__file__).parents[1] / "example_notebooks"
SEARCHED = sum(1 for n in range(2, 40001) if all(n % d for d in range(2, int(n**0.5) + 1)))


def hybridnb(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "hybridnb", *words]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_search_for_primes_is_shared_by_three_machines(
    server: Server, slurm_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in EXAMPLES.glob("primes.*"):
        if file.is_file():
            shutil.copy(file, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {server.config} "$@"\n')  # both are in it
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    hybridnb(tmp_path, "hosts", "add", "workstation", "--transport", "ssh", "--address", server.name)
    words = ("--address", slurm_server.name, "--scheduler", "slurm")
    hybridnb(tmp_path, "hosts", "add", "cluster", "--transport", "ssh", *words)
    assert "jobs can go there" in hybridnb(tmp_path, "hosts", "check", "cluster")
    told = hybridnb(tmp_path, "run", "primes.yaml")
    assert "4 done" in told
    assert len((tmp_path / "primes" / "all.txt").read_text().split()) == SEARCHED
    (folder,) = (tmp_path / "primes.runs").iterdir()
    assert "searching from 20001" in (folder / "jobs" / "high" / "1" / "out").read_text()
    assert "freed" in hybridnb(tmp_path, "clean", "primes.yaml")
    assert not list(server.account.home.glob(".hybridnb/runs/*"))
    hybridnb(tmp_path, "service", "stop")


@pytest.mark.parametrize("name", ["walks", "digits"])
def test_a_notebook_runs_as_it_is_and_tells_what_it_did(name: str, tmp_path: Path) -> None:
    for path in EXAMPLES.iterdir():
        if path.suffix in (".ipynb", ".yaml", ".py"):
            shutil.copy(path, tmp_path)
    shutil.copytree(EXAMPLES / "data", tmp_path / "data")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", f"{name}.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=250)
    assert done.returncode == 0, done.stderr
    shown = outputs(tmp_path / f"{name}.ipynb")
    assert "done" in shown
    assert "failed" not in shown
    hybridnb(tmp_path, "service", "stop")


@pytest.mark.parametrize("name", ["walks", "digits"])
def test_a_notebook_is_saved_with_what_it_did_and_without_anybodys_paths(name: str) -> None:
    shown = outputs(EXAMPLES / f"{name}.ipynb")
    assert "done" in shown
    assert not re.search(r"(?<![\w.])/(home|tmp|root|work|Users)/", shown)


def outputs(path: Path) -> str:
    """Return all that the cells of a notebook show."""
    cells = json.loads(path.read_text())["cells"]
    return json.dumps([cell["outputs"] for cell in cells if cell["cell_type"] == "code"])
