"""What each driver does: read graph.tsv, and run a job with its log."""

from __future__ import annotations

import subprocess
from pathlib import Path


def read() -> dict[str, list[str]]:
    """Return the parents of each job of this folder; parents come first."""
    pairs = (line.partition("\t") for line in Path("graph.tsv").read_text().splitlines())
    return {name: parents.split() for name, _, parents in pairs}


def run(name: str, *_: object) -> int:
    """Run a job; return its exit code, once the parents, whose codes may be given, are done."""
    with open(f"logs/{name}", "wb") as log:
        return subprocess.run(["sh", f"jobs/{name}.sh"], stdout=log, check=True).returncode
