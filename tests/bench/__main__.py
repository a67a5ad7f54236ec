"""Measure hybridnb against a raw spawn loop and against other tools on the same work; README.md has the figures of record."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import canvas
import far
import figures
import notebook
import parts
import peers
import tools
import whole
from clock import Failed
from figures import Figure
from whole import Bench


def words() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python tests/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, twice: whether it works, not how fast it is")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="pairs of each measure (default: 5)")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", default=[], help=f"these measures: {' '.join(name for name, _ in MEASURES)} others"
    )
    parser.add_argument(
        "--peers", nargs="*", metavar="NAME", help=f"install other tools into a scratch environment: {' '.join(peers.PEERS)}"
    )
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="work in a new folder there instead of the place for temporary files"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument("--markdown", action="store_true", help="print a table instead of lines")
    return parser.parse_args()


MEASURES: list[tuple[str, Callable[[Bench], Iterator[Figure]]]] = [
    ("independent", whole.independent),
    ("chain", whole.chain),
    ("layered", whole.layered),
    ("many", whole.many),
    ("open", parts.opening),
    ("service", whole.by_service),
    ("change", parts.changing),
    ("start", parts.starting),
    ("load", parts.loading),
    ("ssh", far.by_ssh),
    ("slurm", far.by_slurm),
    ("files", far.of_files),
    ("notebook", notebook.notebooks),
    ("canvas", canvas.canvases),
]


def measured(asked: argparse.Namespace, root: Path) -> Iterator[Figure]:
    """Measure what is asked for, one after the other."""
    jobs, many, rounds = (100, 1000, 2) if asked.quick else (1000, 10000, asked.rounds)
    bench = Bench(root, jobs=jobs, many=many, rounds=rounds, slots=len(os.sched_getaffinity(0)))
    for name, measure in MEASURES:
        if not asked.only or name in asked.only or (name, asked.only) == ("many", ["open"]):
            try:
                yield from measure(bench)
            except pytest.skip.Exception as absent:  # the testbed's word for it
                print(f"{name} is not measured: {absent}", file=sys.stderr)
    if not asked.only or "others" in asked.only:
        yield from whole.others(bench, tools.classics(bench.slots))
        if asked.peers is not None:
            compared = peers.install(root / "peers", asked.peers or peers.PEERS, slots=bench.slots)
            os.sync()  # what pip wrote is not theirs to wait for
            yield from whole.others(bench, compared)


def machine() -> str:
    """Say what it was measured on."""
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, Python {platform.python_version()}, load {loads}"


def told(asked: argparse.Namespace, found: Iterable[Figure]) -> list[Figure]:
    """Print the figures as they come, or all at the end."""
    whole_lines = not (asked.json or asked.markdown)
    done = []
    for figure in found:
        done.append(figure)
        print(figures.line(figure), file=sys.stdout if whole_lines else sys.stderr, flush=True)
    if not whole_lines:
        print(figures.as_json(done) if asked.json else figures.table(done))
    return done


def main() -> int:
    """Return 1 when a limit is missed, 2 when something could not be measured."""
    asked = words()
    root = Path(tempfile.mkdtemp(prefix="hb-", dir=asked.dir))
    print(machine(), file=sys.stderr)
    try:
        done = told(asked, measured(asked, root))
    except Failed as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(machine(), file=sys.stderr)
    return int(any(figure.verdict == "MISSED" for figure in done))


if __name__ == "__main__":
    sys.exit(main())
