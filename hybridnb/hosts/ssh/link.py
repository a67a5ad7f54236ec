"""The link by SSH: one connection of paramiko's, through jump hosts where the configuration says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Unreachable
from ..channel import LOADER, Channel
from ..questions import Questions
from .asking import Asking
from .config import Hop, route
from .knownhosts import label
from .sessions import Full, Sessions

if TYPE_CHECKING:
    import paramiko

    from .wire import Wire

_PATIENCE = 15.0  # seconds for a channel to open


class SSH:
    """A link that is resolved by ~/.ssh/config, and asks a person what only a person knows."""

    def __init__(self, name: str, entry: Mapping[str, Any], *, questions: Questions, config: Path | None = None) -> None:
        self.name = name
        self._entry, self._config = dict(entry), config
        self._asking = Asking(name, questions)
        self._wires: list[Wire] = []  # the way there, the host itself the last
        self._trusted: set[bytes] = set()  # keys that were accepted, should their file forget them
        self._sessions = Sessions(name)
        self._told: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"SSH({self.name!r})"

    def open(self) -> None:
        """Connect and log in on each machine of the way; see Link."""
        from .wire import reach, told

        self.drop()
        self._clear()
        self._sessions = Sessions(self.name)
        self._asking.begin()
        try:
            for hop in route(self.name, self._entry, config=self._config):
                with told(self.name, self._last):
                    reach(self.name, hop, self._last, asking=self._asking, take=self._take)
                self._enter(hop)
        except BaseException:
            self._clear()
            self._asking.check()
            raise

    def _enter(self, hop: Hop) -> None:
        """Make sure who the last machine is, and log in there."""
        from .login import Login
        from .wire import negotiate, told

        assert self._last
        with told(self.name, self._last):
            key = negotiate(self.name, self._last, ask=self._asking.ask, trusted=self._trusted)
            login = Login(self.name, self._last, self._asking.ask)
            login.run()
            self._last.set_keepalive(hop.alive)
        self._told = {
            "login": str(hop),
            "address": hop.address,
            "port": hop.port,
            "user": hop.user,
            "host key": label(key),
            "way": ", then ".join(login.ways) or "without a proof",
            "hops": [str(wire.hop) for wire in self._wires[:-1]],
            "server": self._last.remote_version,
        }

    @property
    def _last(self) -> Wire | None:
        return self._wires[-1] if self._wires else None

    def _take(self, wire: Wire) -> None:
        """Have it where `drop` finds it."""
        self._wires.append(wire)
        if not self._asking.wanted:
            wire.cut()

    def channel(self, *, patience: float = 60.0) -> Channel:
        """Start LOADER there; see Link."""
        from .channel import SSHChannel
        from .wire import told

        with told(self.name, self._last):
            return SSHChannel(self.name, self._sessions.enter(self._start, patience=patience), self._sessions)

    def _start(self) -> paramiko.Channel:
        """Open a session and run LOADER in it."""
        import paramiko

        from .wire import within

        if not (last := self._last) or not self.alive:
            raise Unreachable(f"host '{self.name}': there is no connection")
        try:
            session = last.open_session(timeout=_PATIENCE)
        except paramiko.SSHException as error:
            # of several threads that are refused, only one may get to know why
            if isinstance(error, paramiko.ChannelException) or (last.is_active() and "Unable to open" in str(error)):
                raise Full(str(error)) from error
            raise
        timer = within(_PATIENCE, session.close)  # the wait for the answer has no limit of its own
        try:
            session.exec_command(LOADER)
        finally:
            timer.cancel()
        return session

    @property
    def alive(self) -> bool:
        """Is it open, as far as anybody knows?"""
        last = self._last
        return last is not None and last.is_authenticated() and self._asking.wanted

    def drop(self) -> None:
        """Close it at once; see Link."""
        self._asking.give_up()
        for wire in list(self._wires):
            wire.cut()
        self._sessions.wake()

    def _clear(self) -> None:
        while self._wires:
            self._wires.pop().clear()

    def describe(self) -> dict[str, object]:
        """Tell how it was reached; see Link."""
        return dict(self._told)
