"""The link by the system's own ssh, for logins that only it can do, as by Kerberos: one master, whose channels are its sessions."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from ...errors import HostError, Refused, Unreachable
from ..channel import LOADER
from ..questions import Questions
from . import mux
from .asking import Asking
from .askpass import Askpass
from .config import Hop, given, route
from .sessions import Sessions

_PATIENCE = 150.0  # seconds for a login, from its beginning or from the last answer on
_SLICE = 0.02
_MOMENT = 1.0  # seconds until the end of a master shows at the latest
_SAID = 1 << 16  # bytes of its words that are kept

# The master ends with this process, however that ends: its shell's standard input is then at its end.
_GUARD = """
exec 3<&0
folder=$1; shift
"$@" 3<&- </dev/null & ssh=$!
{ read -r _ <&3; kill "$ssh"; } >/dev/null 2>&1 & guard=$!
wait "$ssh"; code=$?
kill "$guard" 2>/dev/null
rm -rf "$folder"
exit "$code"
"""

_OPTIONS = {
    "ControlMaster": "yes",
    "ControlPersist": "no",
    "BatchMode": "no",
    "NumberOfPasswordPrompts": "1",  # a wrong answer counts there as an attack
    "ConnectionAttempts": "1",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "LogLevel": "ERROR",
}

_HOPELESS = (
    "Permission denied",
    "Host key verification failed",
    "Too many authentication failures",
    "Bad owner or permissions",
    "Bad configuration option",
    "Unable to negotiate",
    "administratively prohibited",
    "usage: ssh",
    "command-line",
)


class OpenSSH:
    """A link that does whatever `ssh name` does."""

    def __init__(self, name: str, entry: Mapping[str, Any], *, questions: Questions, config: Path | None = None) -> None:
        self.name = name
        self._entry, self._config = dict(entry), config
        self._asking = Asking(name, questions)
        self._sessions = Sessions(name)
        self._master: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._channels: set[_Channel] = set()
        self._said = b""
        self._ear = threading.Thread()
        self._told: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"OpenSSH({self.name!r})"

    def open(self) -> None:
        """Start a master and wait until it is in; see Link."""
        self.drop()
        self._sessions, self._said = Sessions(self.name), b""
        self._asking.begin()
        if os.name != "posix" or not (program := shutil.which("ssh")):
            raise Refused(
                f"host '{self.name}': 'transport: openssh' needs the program ssh with ControlMaster; use 'transport: ssh'"
            )
        *before, last = route(self.name, self._entry, config=self._config)
        try:
            folder = Path(tempfile.mkdtemp(prefix="hn-", dir="/tmp" if len(tempfile.gettempdir()) > 60 else None))  # noqa: S108
            self._folder = folder
            with closing(Askpass(folder, self._asking.ask)) as askpass:
                self._master = master = self._start(program, last, folder / "m", askpass.environment)
                self._wait(master, folder / "m", askpass)
        except BaseException:
            self._end()
            self._asking.check()
            raise
        self._told = {"login": str(last), "address": last.address, "port": last.port, "user": last.user}
        self._told |= {"way": "ssh", "hops": [str(hop) for hop in before]}

    def _start(self, program: str, hop: Hop, path: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        options = {**_OPTIONS, "ControlPath": str(path), "ConnectTimeout": f"{hop.patience:g}"}
        if not hop.strict:
            options["StrictHostKeyChecking"] = "ask"
        if identity := self._entry.get("identity"):
            options |= {"IdentityFile": str(identity), "IdentitiesOnly": "yes"}
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        user, port = str(self._entry.get("user") or ""), int(self._entry.get("port") or 0)
        address = str(self._entry.get("address") or self.name)
        master = subprocess.Popen(  # noqa: S603
            [
                "/bin/sh",
                "-c",
                _GUARD,
                "sh",
                str(path.parent),
                program,
                "-N",
                *words,
                *given(user, port, self._config),
                "--",
                address,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that it has no terminal to ask at, and can be killed with what it started
            env={**os.environ, **environment},
        )
        self._ear = threading.Thread(target=self._listen, args=(master,), name=f"ssh-{self.name}", daemon=True)
        self._ear.start()
        return master

    def _listen(self, master: subprocess.Popen[bytes]) -> None:
        """Keep what it says last."""
        assert master.stderr
        with master.stderr:
            while piece := os.read(master.stderr.fileno(), 4096):
                self._said = (self._said + piece)[-_SAID:]

    def _wait(self, master: subprocess.Popen[bytes], path: Path, askpass: Askpass) -> None:
        """Wait for its socket, which it makes when it is logged in."""
        begun = time.monotonic()
        while not path.exists():
            self._asking.check()
            if askpass.trouble:
                raise askpass.trouble
            if master.poll() is not None:
                raise self._why()
            if time.monotonic() - max(begun, askpass.since) > _PATIENCE:
                raise Unreachable(f"host '{self.name}': ssh did not log in within {_PATIENCE:g} s")
            time.sleep(_SLICE)
        askpass.keep()

    def _why(self) -> HostError:
        """Make an error of what it said when it ended."""
        self._ear.join(1)
        lines = [line.strip() for line in self._said.decode(errors="replace").splitlines() if line.strip(" @\r")]
        said = " ".join(line for line in lines if not line.startswith(("IT IS POSSIBLE", "Someone could", "It is also")))
        if any(word in said for word in _HOPELESS):
            return Refused(f"host '{self.name}': {said.rstrip('.')}. See what 'ssh {self._entry.get('address') or self.name}' says")
        return Unreachable(f"host '{self.name}': {said or 'the connection was lost during the login'}")

    def channel(self, *, patience: float = 60.0) -> _Channel:
        """Start LOADER there; see Link."""
        channel = self._sessions.enter(self._open_channel, patience=patience)
        self._channels.add(channel)
        if not self.alive:
            channel.close()
        return channel

    def _open_channel(self) -> _Channel:
        folder = self._folder
        if not self.alive or not folder:
            raise Unreachable(f"host '{self.name}': there is no connection")
        try:
            return _Channel(self, mux.session(folder / "m", LOADER))
        except (OSError, EOFError) as error:
            raise Unreachable(f"host '{self.name}': the connection was lost") from error

    def left(self, channel: _Channel) -> None:
        """Note that a channel has ended."""
        self._channels.discard(channel)
        self._sessions.left()

    @property
    def alive(self) -> bool:
        """Is it open, as far as anybody knows?"""
        master = self._master
        return self._asking.wanted and master is not None and master.poll() is None

    def stays(self, seconds: float) -> bool:
        """Is it open, and so for some seconds?"""
        master = self._master
        if master and seconds:
            with suppress(subprocess.TimeoutExpired):
                master.wait(seconds)
        return self.alive

    def drop(self) -> None:
        """Close it at once; see Link."""
        self._asking.give_up()
        self._end()
        for channel in list(self._channels):
            channel.close()
        self._sessions.wake()

    def _end(self) -> None:
        """Kill the master with all that it started, and leave nothing of it."""
        master, self._master = self._master, None
        folder, self._folder = self._folder, None
        if master:
            with suppress(ProcessLookupError):
                os.killpg(master.pid, signal.SIGKILL)
            master.wait()
            assert master.stdin
            master.stdin.close()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    def describe(self) -> dict[str, object]:
        """Tell how it was reached; see Link."""
        return dict(self._told)


class _Channel:
    """A session of the master's, at whose ends are sockets of ours."""

    def __init__(self, link: OpenSSH, session: mux.Session) -> None:
        self._link, self._session = link, session
        self._once = threading.Lock()

    def send(self, data: bytes) -> None:
        """Write all of it; see Channel. What a program that has ended would have read is thrown away."""
        try:
            self._session.input.sendall(data)
        except OSError:
            self._ended()

    def receive(self, timeout: float | None = None) -> bytes:
        """Return what came; see Channel."""
        try:
            self._session.output.settimeout(timeout)
            data = self._session.output.recv(1 << 20)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        if not data:
            self._ended()
            self._leave()
        return data

    def _ended(self) -> None:
        """Raise Unreachable unless it is the program that ended, or we who closed it."""
        if not self._link.stays(0 if self._session.over() else _MOMENT):
            raise Unreachable(f"host '{self._link.name}': the connection was lost")

    def finish(self) -> None:
        """End the program's standard input."""
        with suppress(OSError):
            self._session.input.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of it; see Channel."""
        self._session.close()
        self._leave()

    def _leave(self) -> None:
        if self._once.acquire(blocking=False):
            self._link.left(self)
