"""Whole processes, from their start to their end: our program, make, GNU parallel and others, each right after the yardstick."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import clock
import tools
import work
from clock import Time
from figures import Figure
from tools import Tool
from work import Graph

RATIO = 3.0  # times the raw loop
HOP = 7.0  # ms
PEAK = 200.0  # MB
SERVICE = 0.5  # s more than without it


@dataclass
class Bench:
    """A place for the work, the sizes, and what hybridnb has for a home."""

    root: Path
    jobs: int
    many: int
    rounds: int
    slots: int
    _number: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        (self.root / "home").mkdir()
        self.variables = {"HYBRIDNB_HOME": str(self.root / "home"), "PARALLEL_HOME": str(self.root / "home")}
        self.full = self.jobs >= 1000
        self.few = (self.rounds + 1) // 2
        self.hops = 100 if self.full else 20

    def run(self, tool: Tool, graph: Graph) -> Callable[[], Time]:
        """Return what times the tool once on the graph, in a folder of its own; Failed when a job was not done."""

        def once() -> Time:
            folder = work.lay(self.root / str(next(self._number)), graph)
            time = clock.timed(tool.command, folder, self.variables)
            if missing := work.missing(folder, graph):
                raise clock.Failed(f"{tool.name}: {missing} of {len(graph)} jobs left no log")
            return time

        return once

    def paired(self, tool: Tool, graph: Graph, rounds: int | None = None) -> list[tuple[Time, Time]]:
        """Time the yardstick and the tool in turns."""
        return clock.pairs(rounds or self.rounds, self.run(tools.raw(self.slots), graph), self.run(tool, graph))

    def say(self, *words: str) -> None:
        """Have hybridnb do something untimed."""
        clock.timed([*tools.HYBRIDNB, *words], self.root, self.variables)

    def limit(self, value: float) -> float | None:
        """A limit holds for the full size only."""
        return value if self.full else None


def _against_raw(name: str, pairs: Sequence[tuple[Time, Time]], limit: float | None = None) -> Figure:
    firsts, seconds = clock.median([a for a, _ in pairs]), clock.median([b for _, b in pairs])
    ratios = sorted(b.seconds / a.seconds for a, b in pairs)
    return Figure(
        name, clock.ratio(pairs), "x raw", limit, f"{seconds:.2f} s, raw {firsts:.2f} s; pairs {ratios[0]:.1f}–{ratios[-1]:.1f}"
    )


def independent(bench: Bench) -> Iterator[Figure]:
    """W1: jobs that wait for nothing."""
    pairs = bench.paired(tools.here(), work.independent(bench.jobs))
    yield _against_raw(f"{bench.jobs} independent jobs", pairs, bench.limit(RATIO))


def chain(bench: Bench) -> Iterator[Figure]:
    """W2: what one more hop costs."""
    yield _hop(bench, f"chain of {bench.hops}, a hop", tools.here(), limit=HOP)


def layered(bench: Bench) -> Iterator[Figure]:
    """W3: ten layers, three random parents each."""
    pairs = bench.paired(tools.here(), work.layered(bench.jobs))
    yield _against_raw(f"{bench.jobs} jobs in 10 layers", pairs, bench.limit(RATIO))


def others(bench: Bench, compared: Iterable[Tool]) -> Iterator[Figure]:
    """The same by other tools; our program runs right after each on W1."""
    graph = work.independent(bench.jobs)
    raw, ours = bench.run(tools.raw(bench.slots), graph), bench.run(tools.here(), graph)
    for tool in compared:
        once = bench.run(tool, graph)
        threes = [(raw(), once(), ours()) for _ in range(bench.few)]
        yield _against_raw(f"{tool.name}: {bench.jobs} independent jobs", [three[:2] for three in threes])
        note = f"{clock.median([c for _, _, c in threes]):.2f} s, {clock.median([b for _, b, _ in threes]):.2f} s"
        limit = bench.limit(1.0) if tool.slower else None
        yield Figure(f"hybridnb, to {tool.name}", clock.ratio([three[1:] for three in threes]), "x", limit, note)
        if tool.edges:
            yield _hop(bench, f"{tool.name}: chain of {bench.hops}, a hop", tool)
            pairs = bench.paired(tool, work.layered(bench.jobs), bench.few)
            yield _against_raw(f"{tool.name}: {bench.jobs} jobs in 10 layers", pairs)


def _hop(bench: Bench, name: str, tool: Tool, limit: float | None = None) -> Figure:
    pairs = clock.pairs(bench.few, bench.run(tool, work.chain(1)), bench.run(tool, work.chain(bench.hops)))
    value = statistics.median(b.seconds - a.seconds for a, b in pairs) / (bench.hops - 1) * 1e3
    note = f"{clock.median([b for _, b in pairs]):.2f} s; one job {clock.median([a for a, _ in pairs]):.2f} s"
    return Figure(name, value, "ms", limit, note)


def many(bench: Bench) -> Iterator[Figure]:
    """W4: a job of ten times as many costs no more, and what memory that takes."""
    once, many = bench.run(tools.here(), work.independent(bench.jobs)), bench.run(tools.here(), work.independent(bench.many))
    times = []
    for _ in range(bench.few):  # as much work in small runs, half of it before and half after, so that both meet the same load
        before, large, after = [once() for _ in range(5)], many(), [once() for _ in range(5)]
        times.append((sum(t.seconds for t in before + after) * bench.many / bench.jobs / 10, large))
    one, other = statistics.median(small for small, _ in times), clock.median([large for _, large in times])
    note = f"{other / bench.many * 1e3:.2f} ms a job; with {bench.jobs}: {one / bench.many * 1e3:.2f} ms"
    value = statistics.median(large.seconds / small for small, large in times)
    yield Figure(f"{bench.many} independent jobs, a job's cost", value, "x", bench.limit(1.0), note)
    peak = max(large.peak for _, large in times)
    yield Figure(f"{bench.many} independent jobs, peak memory", peak, "MB", PEAK, "the largest process, daemons aside")


def by_service(bench: Bench) -> Iterator[Figure]:
    """What the service between costs, found running and started first."""
    graph = work.independent(bench.jobs)
    here, service = bench.run(tools.here(), graph), bench.run(tools.service(), graph)

    def cold() -> Time:
        bench.say("service", "stop")
        return service()

    try:
        for title, run in (("cold", cold), ("warm", service)):
            pairs = clock.pairs(bench.rounds, here, run)
            value = statistics.median(b.seconds - a.seconds for a, b in pairs)
            note = f"{clock.median([b for _, b in pairs]):.2f} s; --here {clock.median([a for a, _ in pairs]):.2f} s"
            yield Figure(f"{bench.jobs} jobs by the {title} service, more than --here", value, "s", SERVICE, note)
    finally:
        bench.say("service", "stop")
