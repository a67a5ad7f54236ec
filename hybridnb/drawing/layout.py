"""Where jobs stand and edges run, from left to right, for every picture of a workflow. Pure, and the same in every process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .. import graph
from .blocks import PROPORTION, Block, Point, Seat, Size, fold, lead, room, seats
from .layers import lay

Parents = Mapping[str, Iterable[str]]
Edge = tuple[str, str]  # parent, child


@dataclass(frozen=True, slots=True)
class Layout:
    """The centre of every job and the points along every edge, in pixels, y downwards."""

    places: dict[str, Point]
    routes: dict[Edge, list[Point]]


def place(parents: Parents, *, fixed: Mapping[str, Point] | None = None) -> dict[str, Point]:
    """Return the centre of every job; fixed positions win and the others make room."""
    return arrange(parents, fixed=fixed).places


def routes(parents: Parents, *, fixed: Mapping[str, Point] | None = None) -> dict[Edge, list[Point]]:
    """Return the points along every edge, from the parent's right side to the child's left side."""
    return arrange(parents, fixed=fixed).routes


def arrange(parents: Parents, *, fixed: Mapping[str, Point] | None = None) -> Layout:
    """Place all jobs and lead all edges; raise ValueError on a cycle."""
    size = room(len(parents))
    above = {name: tuple(dict.fromkeys(names)) for name, names in parents.items()}
    sorted_above = {name: above[name] for name in graph.order(above)}
    settled, bends = _compose(sorted_above, size)
    free = {name: settled[name].centre for name in above}
    places = _make_room(free, sorted_above, fixed or {}, size) if fixed else free
    paths = {}
    for name, names in above.items():
        for parent in names:
            kept = _near(places[parent], free[parent]) and _near(places[name], free[name])
            points = lead(settled[parent], settled[name], bends.get((parent, name), ())) if kept else []
            paths[parent, name] = [_side(places[parent], size, 1), *points, _side(places[name], size, -1)]
    return Layout(places, paths)


def _near(one: Point, other: Point) -> bool:
    """Is it the same place, but for the rounding that a file keeps?"""
    return abs(one[0] - other[0]) <= 1 and abs(one[1] - other[1]) <= 1


def _side(centre: Point, size: Size, way: int) -> Point:
    return centre[0] + way * size.width / 2, centre[1]


@dataclass(frozen=True, slots=True)
class _Part:
    """One connected part of the graph, laid out at the origin."""

    width: float
    height: float
    seats: list[tuple[Block, Point]]  # each with its upper left corner
    bends: dict[Edge, list[Point]]


def _compose(parents: Mapping[str, tuple[str, ...]], size: Size) -> tuple[dict[str, Seat], dict[Edge, list[Point]]]:
    """Lay out every connected part, pack the parts and seat the jobs."""
    settled: dict[str, Seat] = {}
    bends: dict[Edge, list[Point]] = {}
    for part, (left, top) in _pack(list(_parts(parents, size)), size):
        for block, (x, y) in part.seats:
            settled.update((seat.job, seat) for seat in seats(block, left + x, top + y, size))
        bends.update((edge, [(left + x, top + y) for x, y in points]) for edge, points in part.bends.items())
    return settled, bends


def _parts(parents: Mapping[str, tuple[str, ...]], size: Size) -> Iterator[_Part]:
    """Fold the graph to blocks and lay out the blocks that hang together."""
    blocks = fold(parents, size)
    home = {seat.job: i for i, block in enumerate(blocks) for seat in seats(block, 0, 0, size)}
    first: dict[int, int] = {}  # blocks in the order of the graph: parents come first
    for name in parents:
        first.setdefault(home[name], len(first))
    blocks = [blocks[i] for i in first]
    home = {name: first[i] for name, i in home.items()}
    edges: dict[tuple[int, int], list[Edge]] = {}
    for name, names in parents.items():
        for parent in names:
            if home[parent] != home[name]:
                edges.setdefault((home[parent], home[name]), []).append((parent, name))
    for members in _components(len(blocks), edges):
        yield _part([blocks[i] for i in members], {i: n for n, i in enumerate(members)}, edges, size)


def _components(count: int, edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected sets of numbers, each in ascending order."""
    root = list(range(count))

    def find(n: int) -> int:
        while root[n] != n:
            root[n] = n = root[root[n]]
        return n

    for a, b in edges:
        one, other = sorted((find(a), find(b)))
        root[other] = one
    out: dict[int, list[int]] = {}
    for n in range(count):
        out.setdefault(find(n), []).append(n)
    return list(out.values())


def _part(blocks: list[Block], number: dict[int, int], edges: Mapping[tuple[int, int], list[Edge]], size: Size) -> _Part:
    inside = {(number[a], number[b]): names for (a, b), names in edges.items() if a in number}
    placed = lay([(block.width, block.height) for block in blocks], list(inside), size)
    corners = [(block, (x, y - block.height / 2)) for block, (x, y) in zip(blocks, placed.places)]
    bends = {edge: placed.bends[pair] for pair, names in inside.items() for edge in names}
    return _Part(placed.width, placed.height, corners, bends)


def _pack(parts: list[_Part], size: Size) -> Iterator[tuple[_Part, Point]]:
    """Put the parts, tall ones first, into rows as wide as a picture of good proportions."""
    area = sum((part.width + size.across) * (part.height + size.across) for part in parts)
    widest = max([math.sqrt(area * PROPORTION), *(part.width for part in parts)])
    x = y = deepest = 0.0
    for part in sorted(parts, key=lambda part: -part.height):
        if x and x + part.width > widest:
            x, y, deepest = 0.0, y + deepest + size.across / 2, 0.0
        yield part, (x, y)
        x += part.width + size.across
        deepest = max(deepest, part.height)


def _make_room(
    free: dict[str, Point], parents: Mapping[str, tuple[str, ...]], fixed: Mapping[str, Point], size: Size
) -> dict[str, Point]:
    """Let the fixed positions win; the others keep their place beside their parents, or the next free one below it."""
    out = {name: fixed[name] for name in free if name in fixed and all(map(math.isfinite, fixed[name]))}
    if not out:
        return free
    taken = _Taken(size)
    for centre in out.values():
        taken.add(centre)
    moved = sorted((out[name][0] - free[name][0], out[name][1] - free[name][1]) for name in out)
    usual = moved[len(moved) // 2]
    for name, names in parents.items():
        if name not in out:
            shift = [(out[p][0] - free[p][0], out[p][1] - free[p][1]) for p in names] or [usual]
            x, y = (free[name][i] + sum(s[i] for s in shift) / len(shift) for i in (0, 1))
            out[name] = taken.next_free((x, y))
            taken.add(out[name])
    return {name: out[name] for name in free}


class _Taken:
    """Remembers where jobs stand, by cells as large as one job, so that looking around is cheap."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.cells: dict[tuple[int, int], list[Point]] = {}

    def _cell(self, point: Point) -> tuple[int, int]:
        return math.floor(point[0] / self.size.width), math.floor(point[1] / self.size.height)

    def add(self, centre: Point) -> None:
        self.cells.setdefault(self._cell(centre), []).append(centre)

    def next_free(self, centre: Point) -> Point:
        """Return the place itself or the next one below it that covers no job."""
        x, y = centre
        while below := [other[1] for other in self._near((x, y))]:
            y = max(below) + self.size.height + self.size.beside
        return x, y

    def _near(self, centre: Point) -> Iterator[Point]:
        column, row = self._cell(centre)
        for cell in ((c, r) for c in (column - 1, column, column + 1) for r in (row - 1, row, row + 1)):
            for other in self.cells.get(cell, ()):
                if abs(other[0] - centre[0]) < self.size.width and abs(other[1] - centre[1]) < self.size.height:
                    yield other
