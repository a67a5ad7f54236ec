"""What a transport does: bring bytes to a host and back. Nothing of schedulers, runs or states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol


class File(NamedTuple):
    """A file to be brought to a host."""

    path: str
    text: bytes
    mode: int = 0o644


class Transport(Protocol):
    """A way to a host. Every method raises HostError, naming the host, when it cannot do what it is for. Paths are the host's."""

    name: str
    near: bool  # does speaking to it cost next to nothing, and are its files ours?
    lost: Callable[[], None]  # called when the connection was found to be gone

    @property
    def alive(self) -> bool:
        """Is the connection open, as far as anybody knows?"""

    def open(self) -> None:
        """Connect, if need be; raises Unreachable, Refused and HostError."""

    def beat(self) -> None:
        """Raise Unreachable, and drop the connection, when the host does not answer any more."""

    def drop(self) -> None:
        """Close the connection at once, from any thread; it can be opened again."""

    def run(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> str:
        """Bring the files there and run a POSIX shell script with these arguments, in one conversation; return its standard output.

        A script that fails raises HostError with what it wrote to standard error.
        """

    def ask(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> bytes:
        """Do the same, and return bytes."""

    def put(self, files: Iterable[File]) -> None:
        """Bring the files there, with the folders they need; one that lies there as it should be is left alone."""

    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        """Run a script beside all others, with its standard input; yield its standard output as it comes. For what is large."""

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """Return at most `limit` bytes of a file from `offset` on, below 0 from its end; b"" when there are none, or no file."""

    def changed(self, path: str) -> float | None:
        """Return when a file was last written, in seconds since the epoch on the host's clock; None when it is missing."""

    def follow(self, path: str, offset: int | None, *, hear: Callable[[str], None]) -> None:
        """Call `hear` with each whole line of a file from `offset` on, at once when it is written, until `close`.

        None means what is written from now on.
        """

    def facts(self) -> dict[str, object]:
        """Describe the machine: name, system, processor, memory, GPUs."""

    def close(self) -> None:
        """Stop following; what runs there goes on."""
