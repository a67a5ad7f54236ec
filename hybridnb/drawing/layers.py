"""A connected graph in layers from left to right (after Sugiyama): layers, few crossings, calm coordinates."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .blocks import Point, Size

Edge = tuple[int, int]
Pulls = tuple[list[tuple[int, float]], float]  # neighbours, each with its strength; the sum of these

SWEEPS = 12
SMALL = 3000  # nodes; above, fewer sweeps do
STRAIGHT = 8.0  # how much more a long edge resists a bend than a short one
PATIENCE = 40_000  # moves of a node in search of calm
CALM = 0.2  # pixels; when nothing moves further, everything stands


@dataclass(slots=True)
class Layers:
    """The graph with a passing place in every layer that a long edge crosses; passing places are numbered after the nodes."""

    layer: list[int]
    height: list[float]
    count: int  # of real nodes
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)

    def gap(self, a: int, b: int, size: Size) -> float:
        """The least distance of two centres of one layer."""
        free = size.beside if a < self.count and b < self.count else size.beside * 0.75
        return (self.height[a] + self.height[b]) / 2 + free


@dataclass(frozen=True, slots=True)
class Placed:
    """Left edge and vertical centre of each node, the bends of each edge, and the size of the whole."""

    places: list[Point]
    bends: dict[Edge, list[Point]]
    width: float
    height: float


def lay(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], size: Size) -> Placed:
    """Place nodes of these widths and heights; an edge leads from a smaller number to a greater one."""
    layers, paths = _layers([height for _, height in sizes], edges)
    layers.rows = _few_crossings(layers)
    y = _settle(layers, size)
    top = min(y[n] - layers.height[n] / 2 for n in range(len(y)))
    y = [float(round(v - top)) for v in y]
    lefts, widths = _columns(layers, [width for width, _ in sizes], size)
    bends = {edge: _bends(path, layers, lefts, widths, y, sizes[edge[0]][0]) for edge, path in paths.items()}
    places = [(lefts[layers.layer[n]], y[n]) for n in range(len(sizes))]
    return Placed(places, bends, lefts[-1] + widths[-1], max(y[n] + layers.height[n] / 2 for n in range(len(y))))


def _columns(layers: Layers, widths: Sequence[float], size: Size) -> tuple[list[float], list[float]]:
    """The left edge and the width of every layer."""
    wide = [max((widths[n] for n in row if n < layers.count), default=size.width) for row in layers.rows]
    lefts, x = [], 0.0
    for width in wide:
        lefts.append(x)
        x += width + size.across
    return lefts, wide


def _bends(path: list[int], layers: Layers, lefts: list[float], widths: list[float], y: list[float], width: float) -> list[Point]:
    """Where an edge passes: past wider nodes of its first layer, then straight through every layer between."""
    first = layers.layer[path[0]]
    out = [(lefts[first] + widths[first], y[path[0]])] if width < widths[first] else []
    for n in path[1:-1]:
        left, width = lefts[layers.layer[n]], widths[layers.layer[n]]
        out += [(left, y[n]), (left + width, y[n])]
    return out


def _layers(heights: list[float], edges: Sequence[Edge]) -> tuple[Layers, dict[Edge, list[int]]]:
    """Give every node its layer and every edge its path through the layers."""
    layer = _longest_paths(len(heights), edges)
    out = Layers(layer, list(heights), len(heights))
    paths = _paths(out, edges)
    out.up, out.down = [[] for _ in out.layer], [[] for _ in out.layer]
    steps = (step for path in paths.values() for step in pairwise(path))
    for a, b in dict.fromkeys(steps):
        if out.layer[b] == out.layer[a] + 1:
            out.down[a].append(b)
            out.up[b].append(a)
    return out, paths


def _longest_paths(count: int, edges: Sequence[Edge]) -> list[int]:
    """Layer each node right of all its parents; then pull nodes that have more children than parents to their children."""
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        up[b].append(a)
        down[a].append(b)
    layer = [0] * count
    for n in range(count):
        layer[n] = max((layer[p] + 1 for p in up[n]), default=0)
    for n in reversed(range(count)):
        if len(down[n]) > len(up[n]):
            layer[n] = min(layer[c] for c in down[n]) - 1
    return layer


def _paths(layers: Layers, edges: Sequence[Edge]) -> dict[Edge, list[int]]:
    """Lead long edges through passing places that the edges of the busier end share; too many, and the longest do without."""
    layer, budget = layers.layer, 3 * layers.count + 1000
    long = sorted((e for e in edges if layer[e[1]] - layer[e[0]] > 1), key=lambda e: layer[e[1]] - layer[e[0]])
    busy: dict[tuple[str, int], int] = {}
    for a, b in long:
        for end in (("from", a), ("to", b)):
            busy[end] = busy.get(end, 0) + 1
    places: dict[tuple[tuple[str, int], int], int] = {}
    paths = {edge: list(edge) for edge in edges}
    for a, b in long:
        owner = ("from", a) if busy["from", a] >= busy["to", b] else ("to", b)
        keys = [(owner, step) for step in range(layer[a] + 1, layer[b])]
        if sum(key not in places for key in keys) + len(places) <= budget:
            paths[a, b] = [a, *(_passing_place(layers, places, key) for key in keys), b]
    return paths


def _passing_place(layers: Layers, places: dict[tuple[tuple[str, int], int], int], key: tuple[tuple[str, int], int]) -> int:
    if key not in places:
        places[key] = len(layers.layer)
        layers.layer.append(key[1])
        layers.height.append(0.0)
    return places[key]


def _few_crossings(layers: Layers) -> list[list[int]]:
    """Return good rows: of two beginnings the one that ends better; the given order wins when both are as good."""
    fewest, rows = _uncross(layers, _rows_by_descent(layers))
    if fewest and len(layers.layer) <= SMALL:
        fewer, others = _uncross(layers, _rows_by_distance(layers))
        return others if fewer < fewest else rows
    return rows


def _rows_by_descent(layers: Layers) -> list[list[int]]:
    """Fill the layers depth first: a tree has no crossing then."""
    rows: list[list[int]] = [[] for _ in range(max(layers.layer) + 1)]
    seen: set[int] = set()
    stack = [n for n in reversed(range(len(layers.layer))) if not layers.up[n]]
    while stack:
        if (n := stack.pop()) not in seen:
            seen.add(n)
            rows[layers.layer[n]].append(n)
            stack.extend(reversed(layers.down[n]))
    return rows


def _rows_by_distance(layers: Layers) -> list[list[int]]:
    """Fill the layers from one end of the graph to the other (after Cuthill and McKee): bands and meshes unfold."""
    order = _by_distance(layers, _by_distance(layers, 0)[-1])
    rows: list[list[int]] = [[] for _ in range(max(layers.layer) + 1)]
    for n in order:
        rows[layers.layer[n]].append(n)
    return rows


def _by_distance(layers: Layers, start: int) -> list[int]:
    """All nodes, the nearest to the start first; those that no path through the layers reaches come last."""
    found = {start: None}
    for first in (start, *range(len(layers.layer))):
        queue = [first] if first == start or first not in found else []
        found.setdefault(first)
        for n in queue:
            fresh = [m for m in (*layers.up[n], *layers.down[n]) if m not in found]
            found.update(dict.fromkeys(fresh))
            queue += fresh
    return list(found)


def _uncross(layers: Layers, rows: list[list[int]]) -> tuple[int, list[list[int]]]:
    """Sort the rows by the mean of their neighbours, to and fro; return the fewest crossings seen, and the rows then."""
    place = {n: i for row in rows for i, n in enumerate(row)}
    fewest, best = _crossings(rows, layers.down, place), [list(row) for row in rows]
    for sweep in range(SWEEPS if len(place) <= SMALL else SWEEPS // 3):
        if fewest == 0:
            break
        forth = sweep % 2 == 0
        for row in rows if forth else reversed(rows):
            _sort(row, layers.up if forth else layers.down, place)
        if len(place) <= SMALL:
            _exchange(rows, layers, place)
        if (now := _crossings(rows, layers.down, place)) < fewest:
            fewest, best = now, [list(row) for row in rows]
    return fewest, best


def _sort(row: list[int], beside: list[list[int]], place: dict[int, int]) -> None:
    key = {n: sum(place[m] for m in beside[n]) / len(beside[n]) if beside[n] else float(place[n]) for n in row}
    row.sort(key=lambda n: (key[n], place[n]))
    place.update((n, i) for i, n in enumerate(row))


def _exchange(rows: list[list[int]], layers: Layers, place: dict[int, int]) -> None:
    """Exchange neighbours of a row wherever that removes crossings."""
    for row in rows:
        for i in range(len(row) - 1):
            a, b = row[i], row[i + 1]
            if sum(_excess(ends[a], ends[b], place) for ends in (layers.up, layers.down)) > 0:
                row[i], row[i + 1] = b, a
                place[a], place[b] = i + 1, i


def _excess(first: list[int], second: list[int], place: dict[int, int]) -> int:
    """How many crossings fewer there are when the second comes before the first."""
    return sum((place[a] > place[b]) - (place[a] < place[b]) for a in first for b in second)


def _crossings(rows: list[list[int]], down: list[list[int]], place: dict[int, int]) -> int:
    count = 0
    for row in rows:
        seen: list[int] = []
        for n in row:
            ends = sorted(place[m] for m in down[n])
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _settle(layers: Layers, size: Size) -> list[float]:
    """Return each node's vertical centre, near the mean of its neighbours' and never nearer to the next than the gap."""
    y = [0.0] * len(layers.layer)
    pairs = [(row, _offsets(row, layers, size)) for row in layers.rows]
    for row, offset in pairs:
        for n, below in zip(row, offset):
            y[n] = below - offset[-1] / 2
    ups, downs = _pulls(layers, layers.up, layers.down), _pulls(layers, layers.down, layers.up)
    for _ in range(SWEEPS // 3):
        _sweep(pairs, ups, y)
        _sweep(pairs[::-1], downs, y)
    both = [(a + b, weight + other) for (a, weight), (b, other) in zip(ups, downs)]
    for _ in range(max(SWEEPS // 3, min(3 * SWEEPS, PATIENCE // len(y)))):
        before = list(y)
        _sweep(pairs[::-1], both, y)
        _sweep(pairs, both, y)
        if max(abs(a - b) for a, b in zip(before, y)) < CALM:
            break
    return y


def _offsets(row: list[int], layers: Layers, size: Size) -> list[float]:
    """The distance of each node from the first of its row when all stand as close as they may."""
    out = [0.0]
    for a, b in pairwise(row):
        out.append(out[-1] + layers.gap(a, b, size))
    return out


def _pulls(layers: Layers, beside: list[list[int]], back: list[list[int]]) -> list[Pulls]:
    """How strongly the neighbours of one side pull each node: one with many others pulls each of them little."""
    strength = [1 / len(others) ** 3 if others else 0.0 for others in back]
    out = []
    for n, others in enumerate(beside):
        pulls = [(m, STRAIGHT if n >= layers.count <= m else strength[m]) for m in others]
        out.append((pulls, sum(pull for _, pull in pulls)))
    return out


def _sweep(pairs: list[tuple[list[int], list[float]]], beside: list[Pulls], y: list[float]) -> None:
    """Move row after row to where its neighbours pull it: least squares that keep order and gaps (pool adjacent violators)."""
    for row, offset in pairs:
        pools: list[tuple[float, float, int]] = []  # mean, weight, how many nodes
        for n, off in zip(row, offset):
            pulls, weight = beside[n]
            mean = sum([pull * y[m] for m, pull in pulls]) / weight if pulls else y[n]
            pool = mean - off, weight or 0.05, 1
            while pools and pools[-1][0] >= pool[0]:
                m, w, k = pools.pop()
                pool = (m * w + pool[0] * pool[1]) / (w + pool[1]), w + pool[1], k + pool[2]
            pools.append(pool)
        levels = (mean for mean, _, k in pools for _ in range(k))
        for n, off, level in zip(row, offset, levels):
            y[n] = level + off
