"""Files on their way: how they are gathered for conversations, and how far they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ...errors import HostError
from ..transport import Transport
from .manifest import Entry, Found

BLOCK = 1 << 20  # bytes
SAMPLE = 1 << 18  # bytes that tell whether to compress
SAVES = 0.75  # it is worth while when no more than this is left of them
_LARGE = 8 << 20  # bytes from which on a file has a conversation of its own
_PORTION = 64 << 20  # bytes of small files in a conversation: what a cut costs
_COUNT = 5000  # small files in a conversation

_moving: set[str] = set()  # parts that somebody in this process writes to
_lock = threading.Lock()

Moved = Callable[[int, int], None]  # bytes so far, bytes in all
AnyFile = TypeVar("AnyFile", Entry, Found)


def nothing(_done: int, _whole: int) -> None:
    """Tell nobody."""


class Progress:
    """Bytes that were moved, told to whoever asked for it."""

    def __init__(self, moved: Moved, files: Iterable[Entry | Found]) -> None:
        self._moved = moved
        self._done, self._whole = 0, sum(file.size for file in files)

    def add(self, size: int) -> None:
        self._done = min(self._done + size, self._whole)
        self._moved(self._done, self._whole)


def parted(files: Iterable[AnyFile]) -> tuple[list[AnyFile], list[AnyFile]]:
    """Part the small ones from the large ones."""
    small: list[AnyFile] = []
    large: list[AnyFile] = []
    for file in files:
        (small if file.size < _LARGE else large).append(file)
    return small, large


def portions(files: Iterable[AnyFile]) -> Iterator[list[AnyFile]]:
    """Gather small files for conversations."""
    portion: list[AnyFile] = []
    size = 0
    for file in files:
        if portion and (size + file.size > _PORTION or len(portion) == _COUNT):
            yield portion
            portion, size = [], 0
        portion.append(file)
        size += file.size
    if portion:
        yield portion


@contextmanager
def claimed(part: str) -> Iterator[bool]:
    """Say whether this part is ours alone while the block lasts: two jobs may name one file."""
    with _lock:
        mine = part not in _moving
        _moving.add(part)
    try:
        yield mine
    finally:
        if mine:
            _moving.discard(part)


def unsteady(transport: Transport, path: str, way: str) -> HostError:
    return HostError(f"host '{transport.name}': {path} changes while it is being {way}; try again when nothing writes to it")
