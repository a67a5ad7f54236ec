"""One SSH connection by paramiko, up to the check of the host's key; imported only when one is wanted, since paramiko is heavy."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # some versions use ciphers that their own cryptography library calls old
    import paramiko

from ...errors import HostError, Refused, Unreachable
from . import knownhosts
from .asking import Asking
from .config import Hop
from .knownhosts import KnownHosts, fingerprint, label

# Its threads would write their troubles, with tracebacks, to the terminal: they are raised where they matter.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

WINDOW = 16 << 20  # bytes on the way: at 40 ms of round trip a usual window of 2 MiB limits to 50 MB/s
PACKET = 1 << 17  # bytes: larger ones cost this side less, and are what OpenSSH then sends
_PATIENCE = 15.0  # seconds for each step of a connection
_SLICE = 0.2  # seconds between two looks whether it is still wanted

Ask = Callable[..., str]  # Questions.ask of one host: (text, *, hidden, choices)


class Wire(paramiko.Transport):
    """A connection to one machine. `farewell` is what the other side said when it hung up, if it did."""

    def __init__(self, hop: Hop, stream: socket.socket | paramiko.Channel) -> None:
        super().__init__(stream, default_window_size=WINDOW, default_max_packet_size=PACKET)
        self.hop = hop
        self.process: subprocess.Popen[bytes] | None = None  # a ProxyCommand
        self.words: IO[bytes] = BytesIO()
        self.said = ""  # what that said, once it has ended
        self._ending = threading.Lock()
        self.farewell = ""
        self._later: deque[paramiko.Message] = deque()
        self._lately = threading.Lock()
        self.banner_timeout = self.handshake_timeout = hop.patience
        self.channel_timeout = _PATIENCE
        self.auth_timeout = 2 * _PATIENCE

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        copy = paramiko.Message(message.asbytes())
        copy.get_int()
        self.farewell = copy.get_text()
        super()._parse_disconnect(message)  # type: ignore[misc]

    def _send_user_message(self, message: paramiko.Message) -> None:
        """Send it when keys are not being renewed; this connection's own thread must not wait for that, since it does it."""
        if threading.current_thread() is not self or (self.clear_to_send.is_set() and not self._later):
            super()._send_user_message(message)  # type: ignore[misc]
            return
        with self._lately:
            self._later.append(message)
            if len(self._later) == 1:
                threading.Thread(target=self._catch_up, name="keys renewed", daemon=True).start()

    def _catch_up(self) -> None:
        """Send what had to wait, in its order."""
        left = True
        while left:
            with suppress(paramiko.SSHException, OSError, EOFError):  # the connection ended: everybody is told otherwise
                super()._send_user_message(self._later[0])  # type: ignore[misc]
            with self._lately:
                self._later.popleft()
                left = bool(self._later)

    def _send_message(self, message: paramiko.Message) -> None:
        """Send it, unless its channel was closed while it waited: sshd hangs up when it hears of a channel that is no more.

        This is the one place that is passed by one message after the other, the channel's own last one among them.
        """
        channel = getattr(message, "channel", None)
        if channel is None or not channel.closed:
            super()._send_message(message)  # type: ignore[misc]

    def cut(self) -> None:
        """End it without a word, from any thread. Its own thread then wakes whoever waits, and closes the socket."""
        if isinstance(self.sock, socket.socket):
            shut(self.sock)
        if self.process:
            with self._ending:
                if self.process.poll() is None:
                    os.killpg(self.process.pid, signal.SIGKILL)
                    self.process.wait()
                if not self.words.closed:
                    self.words.seek(0)
                    self.said = " ".join(self.words.read().decode(errors="replace").split())
                    self.words.close()

    def clear(self) -> None:
        """Leave nothing of it that would keep this process from ending."""
        self.cut()
        self.packetizer.complete_handshake()  # stops a timer that is no daemon
        if self.is_alive():
            self.join(2)
        self.close()
        self.sock.close()


def shut(stream: socket.socket) -> None:
    """End a connection; unlike close(), this wakes other threads that wait for it."""
    with suppress(OSError):  # it never was one, or is no more
        stream.shutdown(socket.SHUT_RDWR)


def reach(host: str, hop: Hop, before: Wire | None, *, asking: Asking, take: Callable[[Wire], None]) -> Wire:
    """Connect to a machine, through the one before if there is one, and negotiate keys. `take` gets it as soon as it can be cut."""
    if before:
        wire = Wire(hop, _through(host, before, hop))
    elif hop.command:
        wire = _beside(host, hop)
    else:
        wire = Wire(hop, _directly(host, hop, asking))
    take(wire)
    return wire


def _directly(host: str, hop: Hop, asking: Asking) -> socket.socket:
    """Try each of the addresses."""
    try:
        found = socket.getaddrinfo(hop.address, hop.port, hop.family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Unreachable(
            f"host '{host}': the name service does not know '{hop.address}' ({_words(error)}); is this machine online, "
            "must a VPN be on, is the address right?"
        ) from error
    trouble: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        stream = socket.socket(family, kind, protocol)
        try:
            _connect(stream, address, hop.patience, asking)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return stream
        except OSError as error:
            stream.close()
            trouble = error
        except BaseException:
            stream.close()
            raise
    raise Unreachable(f"host '{host}': {_at(hop)} {_no_answer(trouble, hop)}") from trouble


def _connect(stream: socket.socket, address: object, patience: float, asking: Asking) -> None:
    """Connect, and look now and then whether somebody still wants it."""
    stream.settimeout(0)
    deadline = time.monotonic() + patience
    trouble = stream.connect_ex(address)  # type: ignore[arg-type]
    if trouble in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        with selectors.DefaultSelector() as ready:
            ready.register(stream, selectors.EVENT_WRITE)
            while not ready.select(_SLICE):
                asking.check()
                if time.monotonic() > deadline:
                    raise TimeoutError
        trouble = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if trouble:
        raise OSError(trouble, os.strerror(trouble))
    stream.settimeout(None)


def _no_answer(error: OSError, hop: Hop) -> str:
    if isinstance(error, TimeoutError):
        return f"did not answer within {hop.patience:g} s; must a VPN be on, is the address right?"
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections; does its sshd run, is the port right?"
    return f"cannot be reached: {_words(error)}"


def _beside(host: str, hop: Hop) -> Wire:
    """Start a ProxyCommand, its standard streams being the other end of our socket."""
    if os.name != "posix":
        raise Refused(f"host '{host}': a ProxyCommand can be used on POSIX systems only; use ProxyJump")
    ours, theirs = socket.socketpair()
    wire = Wire(hop, ours)
    wire.words = TemporaryFile()  # noqa: SIM115  closed by cut()
    with theirs:
        command = f"exec {hop.command}"
        wire.process = subprocess.Popen(  # noqa: S602  it is the user's own, and a shell's by definition
            command, shell=True, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=wire.words, start_new_session=True
        )
    return wire


def _through(host: str, before: Wire, hop: Hop) -> paramiko.Channel:
    """Let a jump host connect to the next machine."""
    try:
        return before.open_channel("direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0), timeout=_PATIENCE)
    except paramiko.ChannelException as error:
        if error.code == 1:
            raise Refused(f"host '{host}': jump host {before.hop} does not forward connections (AllowTcpForwarding no?)") from error
        raise Unreachable(f"host '{host}': jump host {before.hop} does not reach {_at(hop)}: {error.text}") from error


def negotiate(host: str, wire: Wire, *, ask: Ask, trusted: set[bytes]) -> bytes:
    """Agree on keys, and see that the machine is the one that the user knows; return its key."""
    hop = wire.hop
    known = KnownHosts([*hop.known, *hop.known_to_all])
    names = _names(hop)
    prefer(wire, known.types(names[0]))
    wire.start_client(timeout=2 * hop.patience)
    key = wire.get_remote_server_key().asbytes()
    if not known.check(host, names, key) and key not in trusted:
        _confirm(host, hop, key, others=known.types(names[0]), ask=ask)
        trusted.add(key)
    return key


def _names(hop: Hop) -> list[str]:
    """Return the names that a key may be known by, the right one first."""
    if hop.alias:
        return [hop.alias]
    return [hop.address] if hop.port == 22 else [f"[{hop.address}]:{hop.port}", hop.address]


def prefer(wire: paramiko.Transport, known: set[str]) -> None:
    """Ask first for a key of a type that is known, so that a host with several keys is recognised; and for the fastest ciphers."""
    options = wire.get_security_options()
    options.ciphers = tuple(sorted(options.ciphers, key=lambda cipher: "gcm" not in cipher))
    options.key_types = tuple(
        sorted(options.key_types, key=lambda kind: ("ssh-rsa" if kind.startswith("rsa-sha2") else kind) not in known)
    )


def _confirm(host: str, hop: Hop, key: bytes, *, others: set[str], ask: Ask) -> None:
    """Ask a person about an unknown key, and remember the answer yes."""
    if hop.strict:
        raise Refused(
            f"host '{host}': the key of {_at(hop)}, {label(key)}, is not known, and its StrictHostKeyChecking says yes; "
            f"add it to {_first(hop)}"
        )
    more = f" Keys of other types are known for it ({', '.join(sorted(others))}), so be careful." if others else ""
    text = (
        f"The key of {_at(hop)} is not known yet: {label(key)}.{more} "
        "Is it the fingerprint that its operators publish, and may it be trusted from now on?"
    )
    if ask(text, hidden=False, choices=("yes", "no")).strip().lower() != "yes":
        raise Refused(f"host '{host}': the key of {_at(hop)}, {fingerprint(key)}, was not accepted")
    try:
        knownhosts.append(_first(hop), _names(hop)[0], key, hashed=hop.hashed)
    except OSError as error:
        raise Refused(f"host '{host}': its key cannot be noted in {_first(hop)}: {error.strerror}; make it writable") from error


def _first(hop: Hop) -> Path:
    return hop.known[0] if hop.known else Path("~/.ssh/known_hosts").expanduser()


@contextmanager
def told(host: str, wire: Wire | None = None) -> Iterator[None]:
    """Turn what paramiko raises into words for a person."""
    try:
        yield
    except HostError:
        raise
    except paramiko.SSHException as error:
        raise _said(host, wire, error) from error
    except Exception as error:
        # whatever broke the connection is told to who waits: damaged bytes may be anything
        if wire and wire.is_active() and not isinstance(error, (EOFError, OSError)):
            raise
        raise Unreachable(f"host '{host}': {_lost(wire)}{': ' + _words(error) if str(error) else ''}") from error


def _said(host: str, wire: Wire | None, error: paramiko.SSHException) -> HostError:
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return Refused(f"host '{host}': no common way of encryption ({error}); 'transport: openssh' may know older ones")
    if wire and not wire.process and not wire.remote_version.startswith("SSH-"):
        return Unreachable(
            f"host '{host}': {_at(wire.hop)} took the connection, but did not greet: too many logins at once (MaxStartups), "
            "a ban for some minutes, or no SSH server"
        )
    return Unreachable(f"host '{host}': {_lost(wire)}: {wire.farewell if wire and wire.farewell else error}")


def _lost(wire: Wire | None) -> str:
    if not wire or not wire.process:
        return f"the connection to {_at(wire.hop)} was lost" if wire else "the connection was lost"
    wire.cut()
    return f"its ProxyCommand leads to {_at(wire.hop)} no more" + (f" ({wire.said})" if wire.said else "")


def _at(hop: Hop) -> str:
    return f"{hop.address}, port {hop.port}" if hop.port != 22 else hop.address


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


def within(seconds: float, stop: Callable[[], object]) -> threading.Timer:
    """Call `stop` after some seconds, if the timer is not cancelled before: for waits of paramiko's that have no end."""
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    return timer
