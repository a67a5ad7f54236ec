"""What a transport does: bring bytes to a host and back. Nothing of schedulers, runs or states."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol


class File(NamedTuple):
    """A file to be brought to a host."""

    path: str
    text: bytes
    mode: int = 0o644


class Transport(Protocol):
    """A way to a host. Every method raises HostError, naming the host, when it cannot do what it is for. Paths are the host's."""

    near: bool  # does speaking to it cost next to nothing?

    def put(self, files: Iterable[File]) -> None:
        """Bring the files there, with the folders they need; one that lies there as it should be is left alone."""

    def run(self, script: str, *args: str, input: bytes = b"") -> str:
        """Run a POSIX shell script there with these arguments; return its standard output."""

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """Return at most `limit` bytes of a file from `offset` on, below 0 from its end; b"" when there are none, or no file."""

    def changed(self, path: str) -> float | None:
        """Return when a file was last written, in seconds since the epoch on the host's clock; None when it is missing."""

    def follow(self, path: str, offset: int, *, hear: Callable[[str], None]) -> None:
        """Call `hear` with each whole line of a file from `offset` on, at once when it is written, until `close`."""

    def facts(self) -> dict[str, object]:
        """Describe the machine: name, system, processor, memory, GPUs."""

    def close(self) -> None:
        """Stop following; what runs there goes on."""
