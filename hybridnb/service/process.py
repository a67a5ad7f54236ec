"""The service as a process: found by its file, started on demand, one per user and machine. Light: faces import this."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from .. import __version__, home
from ..errors import ServiceError

_PATIENCE = 30.0  # seconds that a start or a stop may take on a busy machine
_PAUSE = 0.02  # seconds between looks, where the system offers no event
_LOG_LIMIT = 1 << 20  # bytes after which the log is begun anew; one older is kept
# What the service needs of the starter's environment. Jobs get theirs with their run, so nothing else may come along.
_KEPT = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK")
_KEPT_BEGINNINGS = ("LC_", "XDG_", "HYBRIDNB_", "KRB5", "SLURM_CONF")


class Address(NamedTuple):
    """Where the service answers, and which process it is."""

    machine: str
    boot: str
    pid: int
    started: str
    port: int
    version: str
    secret: str  # for this user alone

    def __repr__(self) -> str:
        return f"Address(pid={self.pid}, port={self.port}, version={self.version!r})"

    @property
    def alive(self) -> bool:
        """Is it still this process? A number is given again, its start time is not."""
        return (self.machine, self.boot, self.started) == (socket.gethostname(), _boot(), _started(self.pid))


def here(port: int, secret: str) -> Address:
    """Return the address of this process."""
    return Address(socket.gethostname(), _boot(), os.getpid(), _started(os.getpid()), port, __version__, secret)


def find() -> Address | None:
    """Return the address of the service that runs, or None; raise ServiceError when another user has put the file there."""
    if sys.platform == "win32":
        return None
    try:
        fd = os.open(_file(), os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ServiceError(f"{_file()}: cannot be read: {error.strerror}") from error
    with open(fd, encoding="utf-8") as file:
        about = os.fstat(fd)
        if about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise ServiceError(f"{_file()} is not yours alone, so it is not trusted; remove it")
        try:
            address = Address(**json.load(file))
        except (ValueError, TypeError):
            return None
    return address if address.alive else None


def announce(address: Address) -> None:
    """Tell faces where the service is; the file appears whole, readable by this user alone."""
    aside = _file().with_name(f"service.{address.pid}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(address._asdict(), file)
    os.replace(aside, _file())


def announced(address: Address) -> bool:
    """Do faces find this one?"""
    try:
        return find() == address
    except ServiceError:
        return False


def withdraw(address: Address) -> None:
    """Take the announcement back, if it is this one."""
    if announced(address):
        _file().unlink(missing_ok=True)


def start() -> Address:
    """Return the address of the service, started if none runs; raise ServiceError, with the log's last words, when that fails."""
    if sys.platform == "win32":
        raise ServiceError("there is no service on Windows yet: add --here, which runs in this process and waits for the end")
    with _alone() as gate:
        if found := find():
            return found
        heard = _begin(gate)
    if (found := find()) is None:
        last = "it did not answer in time" if heard is None else (_last_words() or "it ended at once")
        raise ServiceError(f"the service could not be started: {last}. See {log()}")
    return found


def stop(address: Address) -> None:
    """End the service in order, waiting for it; what it moves goes on at the hosts. One that does not listen is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not address.alive:
            return
        with suppress(ProcessLookupError):
            os.kill(address.pid, number)
        wait_for_end(address, timeout=_PATIENCE)
    if address.alive:
        raise ServiceError(f"the service, process {address.pid}, cannot be stopped")


def log() -> Path:
    """The file of what the service has to say."""
    return home.state() / "service.log"


def _file() -> Path:
    return home.state() / "service.json"


@contextmanager
def _alone() -> Iterator[int]:
    """Hold the lock of starting: who comes second waits, then finds what the first one started.

    The service inherits it, and lets it go once it is announced: so this holds also when the starter is killed.
    """
    import fcntl

    gate = os.open(home.state() / "service.starting", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield gate
    finally:
        os.close(gate)


def _begin(gate: int) -> bytes | None:
    """Start the process and wait for its word; b"" when it ended, None when the time is up."""
    reading, writing = os.pipe()
    try:
        command = [sys.executable, "-m", f"{__package__}", "--detach", str(gate), str(writing)]
        with _fresh_log() as out:
            first = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env=_environment(),
                pass_fds=(gate, writing),
                start_new_session=True,
            )
        os.close(writing)
        writing = -1
        first.wait()  # it forks, so that nobody's child is the service
        return os.read(reading, 64) if select.select([reading], [], [], _PATIENCE)[0] else None
    except OSError as error:
        raise ServiceError(f"the service could not be started: {sys.executable}: {error.strerror}") from error
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def _fresh_log() -> IO[bytes]:
    path = log()
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.old"))
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _last_words() -> str:
    with suppress(OSError):
        lines = log().read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_BEGINNINGS)}
    if moved := kept.get("HYBRIDNB_HOME"):
        kept["HYBRIDNB_HOME"] = os.path.abspath(moved)
    base = Path(__file__).resolve().parents[2]
    if base.name not in ("site-packages", "dist-packages"):  # run from its sources
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(base), kept.get("PYTHONPATH"))))
    return kept


def wait_for_end(address: Address, *, timeout: float) -> None:
    """Wait until the process is gone, at most so many seconds."""
    end = time.monotonic() + timeout
    with suppress(OSError, AttributeError):  # pidfd_open(2) is Linux's; elsewhere one has to look again and again
        fd = os.pidfd_open(address.pid)
        try:
            select.select([fd], [], [], timeout if address.alive else 0)
        finally:
            os.close(fd)
    while address.alive and time.monotonic() < end:
        time.sleep(_PAUSE)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in the system's own words; '' when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return "" if fields[0] in b"ZX" else fields[19].decode()  # proc_pid_stat(5): fields 3 and 22
    except OSError:
        if os.path.exists("/proc/self/stat"):
            return ""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True).stdout.split(None, 1)  # noqa: S603
    return "" if not told or told[0].startswith("Z") else told[1].strip()
