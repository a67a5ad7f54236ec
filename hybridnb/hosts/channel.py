"""What the ways to far hosts have in common: a link that opens channels, each the two ends of one program's standard streams."""

from __future__ import annotations

from typing import Protocol

from ..errors import HostError

# What a channel runs, whatever the login shell is: its first line is a POSIX shell script, written for printf's %b.
# `read` takes no byte more than its line, so that data may follow; a line that was cut off is not run.
# Without quotes or line breaks csh and fish read it alike.
SCRIPT = 'IFS= read -r hybridnb && eval "$(printf %b "$hybridnb")"'
LOADER = f"/bin/sh -c '{SCRIPT}'"


class Crowded(HostError):
    """The host opens no further channel on this connection, and none of ours has ended."""


class Channel(Protocol):
    """The standard streams of a program on a host. What goes wrong with the connection is raised as Unreachable."""

    def send(self, data: bytes) -> None:
        """Write all of it to the program's standard input; waits while the other side does not take it."""

    def receive(self, timeout: float | None = None) -> bytes:
        """Return what the program wrote to its standard output, as soon as there is any; b"" at its end.

        Raises TimeoutError when nothing came for `timeout` seconds. What it writes to standard error is thrown away.
        """

    def finish(self) -> None:
        """End the program's standard input."""

    def close(self) -> None:
        """Let go of it. From any thread; whoever waits in `receive` or `send` is woken."""


class Link(Protocol):
    """A way to a host that carries several channels. One that is lost can be opened again."""

    def open(self) -> None:
        """Connect and log in.

        Raises Unreachable when another try may help, and Refused when only a person can: an unknown or changed host key, no key
        that is accepted, a question that was not answered.
        """

    def channel(self, *, patience: float = 60.0) -> Channel:
        """Start LOADER there; raises Unreachable.

        At the host's limit of channels it waits for one to end; raises Crowded when none does for `patience` seconds.
        """

    @property
    def alive(self) -> bool:
        """Is it open, as far as anybody knows?"""

    def drop(self) -> None:
        """Close it at once, whatever its state is; every channel ends. From any thread, at any time, also while `open` waits."""

    def describe(self) -> dict[str, object]:
        """Tell how it was reached, for a person: address, port, user, host key, way of login, hops."""
