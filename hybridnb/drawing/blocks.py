"""Jobs that are drawn as one: a chain in a line, and twins (same parents, same children, same shape) in a grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Point = tuple[float, float]

PROPORTION = 1.6  # width to height of a picture that fits a page or a screen
TALLEST = 10  # twins stand in one column up to this many jobs
LOOSE = 4  # and jobs without any edge up to this many
ROUNDS = 8  # of folding chains into twins into chains; what is nested deeper is drawn by layers


@dataclass(frozen=True, slots=True)
class Size:
    """The room of a job and between jobs, in pixels."""

    width: float = 188
    height: float = 48
    across: float = 64  # from one layer to the next: edges bend here
    beside: float = 16  # from one job to the one below: an edge fits between


ROOMY = Size()
DENSE = Size(148, 22, 52, 9)
MANY = 300  # jobs; above, each gets less room


def room(jobs: int) -> Size:
    """The size of each job in a picture of this many jobs."""
    return DENSE if jobs > MANY else ROOMY


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One job (no members), or a chain or twins of smaller blocks on a grid."""

    job: str  # the first one inside
    width: float
    height: float
    members: tuple[Block, ...] = ()
    columns: int = 1
    gap: float = 0  # between columns
    chain: bool = False


class Frame(NamedTuple):
    """Where an edge passes on its way into, and out of, one block that holds the job."""

    block: Block
    into: tuple[Point, ...] = ()
    out: tuple[Point, ...] = ()


class Seat(NamedTuple):
    """A job's centre, and the blocks around it from the outermost inwards."""

    job: str
    centre: Point
    frames: tuple[Frame, ...]


def fold(parents: Mapping[str, Iterable[str]], size: Size) -> list[Block]:
    """Return blocks that hold every job once: grids where many twins would make a tall column, else single jobs."""
    folding = _Folding(parents, size)
    for _ in range(ROUNDS):
        twins, chains = folding.twins(), folding.chains()  # both, in this order
        if not twins and not chains:
            break
    return [piece for block in folding.blocks.values() for piece in _unfold(block)]


def _unfold(block: Block) -> Iterator[Block]:
    """Give back what needs no grid: layers place it better, next to its neighbours."""
    if not block.members or (block.columns > 1 and not block.chain):
        yield block
    else:
        for member in block.members:
            yield from _unfold(member)


class _Folding:
    """The graph while it shrinks: a block keeps the key of the first job inside."""

    def __init__(self, parents: Mapping[str, Iterable[str]], size: Size) -> None:
        self.size = size
        self.blocks = {name: Block(name, size.width, size.height) for name in parents}
        self.up = {name: set(above) for name, above in parents.items()}
        self.down: dict[str, set[str]] = {name: set() for name in parents}
        for name, above in self.up.items():
            for parent in above:
                self.down[parent].add(name)

    def twins(self) -> bool:
        """Fold all twins; say whether there were any."""
        groups: dict[object, list[str]] = {}
        for name, block in self.blocks.items():
            key = frozenset(self.up[name]), frozenset(self.down[name]), block.width, block.height
            groups.setdefault(key, []).append(name)
        found = [names for names in groups.values() if len(names) > 1]
        for names in found:
            edges = bool(self.up[names[0]] or self.down[names[0]])
            self.blocks[names[0]] = _grid([self.blocks[n] for n in names], self.size, edges=edges)
            self._drop(names[1:])
        return bool(found)

    def chains(self) -> bool:
        """Fold all chains, each as long as possible; say whether there were any."""
        found = [chain for name in self.blocks if not self._follows(name) and len(chain := self._chain(name)) > 1]
        for names in found:
            head, tail = names[0], names[-1]
            below = self.down[tail]
            self.blocks[head] = _line([self.blocks[n] for n in names], self.size)
            self._drop(names[1:])
            self.down[head] = below
            for child in below:
                self.up[child].add(head)
        return bool(found)

    def _follows(self, name: str) -> bool:
        """Is the block the only child of its only parent?"""
        return len(self.up[name]) == 1 and len(self.down[next(iter(self.up[name]))]) == 1

    def _chain(self, name: str) -> list[str]:
        names = [name]
        while len(self.down[names[-1]]) == 1 and self._follows(child := next(iter(self.down[names[-1]]))):
            names.append(child)
        return names

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            for parent in self.up.pop(name):
                self.down[parent].discard(name)
            for child in self.down.pop(name):
                if child in self.up:
                    self.up[child].discard(name)
            del self.blocks[name]


def _grid(members: list[Block], size: Size, *, edges: bool) -> Block:
    """Put twins into one column while that is short, else into columns of good proportions."""
    width, height = members[0].width, members[0].height
    gap = size.across * 0.75 if edges else size.beside * 1.25
    columns, tall = 1, height + size.beside
    if len(members) * tall > (TALLEST if edges else LOOSE) * (size.height + size.beside):
        columns = max(2, round(math.sqrt(len(members) * tall * PROPORTION / (width + gap))))
    rows = math.ceil(len(members) / columns)
    whole = columns * (width + gap) - gap, rows * tall - size.beside
    return Block(members[0].job, *whole, tuple(members), columns, gap)


def _line(members: list[Block], size: Size) -> Block:
    width = sum(m.width + size.across for m in members) - size.across
    height = max(m.height for m in members)
    return Block(members[0].job, width, height, tuple(members), len(members), size.across, chain=True)


def seats(block: Block, left: float, top: float, size: Size, frames: tuple[Frame, ...] = ()) -> Iterator[Seat]:
    """Yield a seat for every job of the block, whose corner is given."""
    if not block.members:
        yield Seat(block.job, (left + block.width / 2, top + block.height / 2), frames)
    elif block.chain:
        for member in block.members:
            yield from seats(member, left, top + (block.height - member.height) / 2, size, (*frames, Frame(block)))
            left += member.width + block.gap
    else:
        yield from _twin_seats(block, left, top, size, frames)


def _twin_seats(block: Block, left: float, top: float, size: Size, frames: tuple[Frame, ...]) -> Iterator[Seat]:
    """Lead edges to and from inner columns along the free line above each row; twins share all ends, so nothing is confused."""
    width, height = block.members[0].width, block.members[0].height
    for i, member in enumerate(block.members):
        row, column = divmod(i, block.columns)
        x, y = left + column * (width + block.gap), top + row * (height + size.beside)
        line = y - size.beside / 2
        into = ((left, line), (x - block.gap * 0.75, line)) if column else ()
        out = ((x + width + block.gap * 0.75, line), (left + block.width, line)) if column < block.columns - 1 else ()
        yield from seats(member, x, y, size, (*frames, Frame(block, into, out)))


def lead(start: Seat, end: Seat, between: Iterable[Point] = ()) -> list[Point]:
    """Return the points where an edge from one seat to another passes, outside of the blocks that hold both."""
    shared = 0
    for one, other in zip(start.frames, end.frames):
        if one.block is not other.block:
            break
        shared += 1
    out = [point for frame in reversed(start.frames[shared:]) for point in frame.out]
    into = [point for frame in end.frames[shared:] for point in frame.into]
    return [*out, *between, *into]
