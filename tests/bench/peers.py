"""Other workflow tools, installed on request into an environment that goes again."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from tools import HERE, Tool

PEERS = ("doit", "luigi", "dask", "parsl", "hyperqueue", "snakemake")
_PACKAGES = {"dask": "distributed"}


def install(folder: Path, names: Iterable[str], *, slots: int) -> list[Tool]:
    """Install what can be installed; tell of the rest."""
    venv.create(folder, with_pip=True)
    python, found = folder / "bin" / "python", []
    for name in names:
        package = _PACKAGES.get(name, name)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", package], capture_output=True, text=True)
        if done.returncode:
            print(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        else:
            found.append(Tool(name, _command(name, folder / "bin", str(slots)), slower=name != "doit"))
    return found


def _command(name: str, programs: Path, slots: str) -> tuple[str, ...]:
    python, driver = str(programs / "python"), str(HERE / "drivers" / f"with_{name}.py")
    match name:
        case "snakemake":
            return str(programs / "snakemake"), "--cores", slots, "--quiet", "all"
        case "doit":
            return python, "-m", "doit", "-n", slots, "-P", "thread", "-d", ".", "-f", driver
        case _:
            return python, driver, slots
