"""Questions about a DAG given as {name: parents}. Pure and deterministic: ties keep the order of the mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx

Parents = Mapping[str, Iterable[str]]


def children(parents: Parents) -> dict[str, list[str]]:
    """Turn the edges around: each name's children."""
    out: dict[str, list[str]] = {name: [] for name in parents}
    for name, above in parents.items():
        for parent in above:
            out[parent].append(name)
    return out


def order(parents: Parents) -> list[str]:
    """Sort so that parents come first, otherwise as given; raise ValueError on a cycle."""
    below = children(parents)
    names = list(parents)
    place = {name: number for number, name in enumerate(names)}
    missing = {name: len(list(above)) for name, above in parents.items()}
    ready = [place[name] for name, n in missing.items() if n == 0]  # a heap: the earliest of those that can be next is next
    out = []
    while ready:
        out.append(name := names[heappop(ready)])
        for child in below[name]:
            missing[child] -= 1
            if missing[child] == 0:
                heappush(ready, place[child])
    if len(out) < len(missing):
        raise ValueError(f"cycle: {' -> '.join(cycle(parents) or [])}")
    return out


def cycle(parents: Parents) -> list[str] | None:
    """Return a cycle as a path in the direction of the arrows, ending where it began, or None."""
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        path: list[str] = error.args[1]
        return path
    return None


def would_close(parents: Parents, parent: str, child: str) -> list[str] | None:
    """Return the cycle that an edge parent -> child would close, as a path, or None."""
    return cycle({**{k: list(v) for k, v in parents.items()}, child: [*parents[child], parent]})


def descendants(parents: Parents, names: Iterable[str]) -> set[str]:
    """Return everything below the names, without the names themselves unless one is below another."""
    return _reached(children(parents), names)


def ancestors(parents: Parents, names: Iterable[str]) -> set[str]:
    """Return everything above the names, without the names themselves unless one is above another."""
    return _reached(parents, names)


def _reached(ways: Parents, names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    stack = list(names)
    while stack:
        for name in ways[stack.pop()]:
            if name not in found:
                found.add(name)
                stack.append(name)
    return found


def digraph(parents: Parents) -> networkx.DiGraph[str]:
    """Return the graph for networkx, with everything that it can compute; edges point from parent to child."""
    import networkx  # heavy: only for those who ask

    out: networkx.DiGraph[str] = networkx.DiGraph()
    out.add_nodes_from(parents)
    out.add_edges_from((parent, name) for name, above in parents.items() for parent in above)
    return out
