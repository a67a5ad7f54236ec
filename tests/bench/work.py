"""The work that is measured: graphs of `echo hi`, written down for every tool before the clock starts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

Graph = Mapping[str, Sequence[str]]  # job -> its parents

SCRIPT = "#!/bin/sh\necho hi\n"


def independent(jobs: int) -> Graph:
    """Jobs that wait for nothing."""
    return {f"j{i}": () for i in range(jobs)}


def chain(jobs: int) -> Graph:
    """Each job waits for the one before it."""
    return {f"j{i}": (f"j{i - 1}",) if i else () for i in range(jobs)}


def layered(jobs: int, *, layers: int = 10, parents: int = 3) -> Graph:
    """Each job waits for random ones of the layer above; the same ones every time."""
    choice = random.Random(1)
    width = max(jobs // layers, 1)
    above = [[f"j{i}" for i in range(width * (layer - 1), width * layer)] for layer in range(layers)]
    return {f"j{i}": choice.sample(above[i // width], min(parents, width)) if i >= width else () for i in range(width * layers)}


def lay(folder: Path, graph: Graph) -> Path:
    """Write the graph into a new folder, as jobs/NAME.sh and for each tool; return the folder.

    One for each time, removed when all is over: a file system that has just removed thousands of files is slow for a while.
    """
    (folder / "jobs").mkdir(parents=True)
    (folder / "logs").mkdir()
    for name in graph:
        (folder / "jobs" / f"{name}.sh").write_text(SCRIPT)
    (folder / "names").write_text("".join(f"{name}\n" for name in graph))
    (folder / "graph.tsv").write_text("".join(f"{name}\t{' '.join(parents)}\n" for name, parents in graph.items()))
    (folder / "hybridnb.yaml").write_text("name: bench\njobs:\n" + "".join(map(_job, graph, graph.values())))
    (folder / "Makefile").write_text(f"all: {' '.join(graph)}\n" + "".join(map(_target, graph, graph.values())))
    logs = ", ".join(f"'logs/{name}'" for name in graph)
    (folder / "Snakefile").write_text(f"rule all:\n  input: {logs}\n" + "".join(map(_rule, graph, graph.values())))
    return folder


def missing(folder: Path, graph: Graph) -> int:
    """Count the jobs that left no log, neither in logs/ nor in a run of hybridnb."""
    found = [*(folder / "logs").iterdir(), *(folder / "hybridnb.runs").glob("*/jobs/*/1/out")]
    return len(graph) - sum(log.read_bytes() == b"hi\n" for log in found)


def _job(name: str, parents: Sequence[str]) -> str:
    after = f"    after: [{', '.join(parents)}]\n" if parents else ""
    return f"  {name}:\n{after}    script: |\n      #!/bin/sh\n      echo hi\n"


def _target(name: str, parents: Sequence[str]) -> str:
    return f"{name}: {' '.join(parents)}\n\t@sh jobs/{name}.sh >logs/{name}\n"


def _rule(name: str, parents: Sequence[str]) -> str:
    inputs = f"  input: {', '.join(repr(f'logs/{p}') for p in parents)}\n" if parents else ""
    return f"rule {name}:\n{inputs}  output: 'logs/{name}'\n  shell: 'sh jobs/{name}.sh >logs/{name}'\n"
