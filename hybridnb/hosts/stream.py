"""What comes from a channel, cut at marks and at the ends of lines."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from ..errors import Unreachable
from .channel import Channel
from .frame import WORDS

_TAIL = 4 * WORDS + 200  # bytes, at most: two marks, a number and what was written to standard error


class Stream:
    """The output of a program on a host."""

    def __init__(self, channel: Channel, host: str) -> None:
        self.channel = channel
        self.host = host
        self.rest = bytearray()

    def until(self, mark: bytes, timeout: float) -> bytes:
        """Return what comes before the mark, which is dropped."""
        start = 0
        while (at := self.rest.find(mark, start)) < 0:
            start = max(0, len(self.rest) - len(mark) + 1)
            self._more(timeout)
        found = bytes(self.rest[:at])
        del self.rest[: at + len(mark)]
        return found

    def answer(self, mark: str) -> Generator[bytes, None, tuple[int, bytes]]:
        """Yield what comes before the mark as it comes; return the exit code and standard error. Raises Unreachable when these are not whole."""
        while piece := self.channel.receive():
            self.rest += piece
            if len(self.rest) > 2 * _TAIL:
                yield bytes(self.rest[:-_TAIL])
                del self.rest[:-_TAIL]
        output, begun, end = bytes(self.rest).rpartition(f"\n{mark} ".encode())
        code, _, said = end.partition(b"\n")
        words, closed, _ = said.rpartition(f"\n{mark}.\n".encode())
        if not begun or not closed:
            raise Unreachable(f"host '{self.host}': the connection was lost on the way")
        if output:
            yield output
        return int(code), words

    def lines(self) -> Iterator[bytes]:
        """Yield whole lines, until the connection or the program ends."""
        while True:
            *lines, rest = self.rest.split(b"\n")
            self.rest = bytearray(rest)
            yield from map(bytes, lines)
            self._more(None)

    def _more(self, timeout: float | None) -> None:
        piece = self.channel.receive(timeout)
        if not piece:
            raise Unreachable(f"host '{self.host}': the connection was lost")
        self.rest += piece
