"""The transport to this machine: files in place, commands by the shell."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryFile
from typing import IO

from ..errors import HostError
from .transport import File

_GATHER = 0.01  # seconds: no more often does what a host tells wake this process, which would take the processor from its jobs
_BINARY: int = getattr(os, "O_BINARY", 0)  # or Windows writes another line break
_AGAIN = 0.5  # seconds before another try to follow a file


class LocalTransport:
    """This machine, under a name: several local hosts differ by their slots."""

    near = True
    alive = True

    def __init__(self, name: str = "local") -> None:
        self.name = name
        self.lost: Callable[[], None] = lambda: None
        self._following: list[subprocess.Popen[bytes]] = []
        self._closed = threading.Event()

    def __repr__(self) -> str:
        return f"LocalTransport({self.name!r})"

    def open(self) -> None:
        """See Transport: there is nothing to be connected."""

    def beat(self) -> None:
        """See Transport: this machine is there."""

    def drop(self) -> None:
        """See Transport: there is nothing to be dropped."""

    def put(self, files: Iterable[File]) -> None:
        """Write the files; see Transport."""
        folder, name, fresh = "", "", False
        try:
            for name, text, mode in files:
                if (parent := os.path.dirname(name)) != folder:
                    folder, fresh = parent, _made(parent)
                if fresh or not _there(name, text):
                    _write(name, text, mode)
        except OSError as error:
            raise HostError(f"host '{self.name}': {error.filename or name} cannot be written: {error.strerror}") from error

    def run(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> str:
        """Run a shell script; see Transport."""
        return self.ask(script, *args, input=input, files=files, timeout=timeout).decode(errors="replace")

    def ask(self, script: str, *args: str, input: bytes = b"", files: Iterable[File] = (), timeout: float | None = None) -> bytes:
        """Run a shell script; see Transport."""
        self.put(files)
        command = ["sh", "-c", script, "sh", *args]
        try:
            done = subprocess.run(command, input=input, capture_output=True, timeout=timeout)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"host '{self.name}': the shell cannot be used: {error}") from error
        if done.returncode:
            raise self._failed(done.returncode, done.stderr)
        return done.stdout

    def stream(self, script: str, *args: str, input: Iterable[bytes] = ()) -> Iterator[bytes]:
        """Run a shell script, fed by a thread of its own; see Transport."""
        command = ["sh", "-c", script, "sh", *args]
        with TemporaryFile() as words, subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=words) as process:  # noqa: S603
            assert process.stdin
            assert process.stdout
            broken: list[BaseException] = []
            feeder = threading.Thread(target=_feed, args=(process.stdin, input, broken), daemon=True)
            feeder.start()
            try:
                while piece := process.stdout.read1(1 << 18):  # type: ignore[attr-defined]
                    yield piece
                feeder.join()
            except BaseException:
                process.kill()
                raise
            if broken:
                process.kill()
                raise broken[0]
            if process.wait():
                words.seek(0)
                raise self._failed(process.returncode, words.read())

    def _failed(self, code: int, words: bytes) -> HostError:
        said = words.decode(errors="replace").strip() or f"exit code {code}"
        return HostError(f"host '{self.name}': {said}")

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """Read a piece of a file; see Transport."""
        try:
            with open(path, "rb", buffering=0) as file:
                if offset:
                    file.seek(offset if offset > 0 else max(0, os.fstat(file.fileno()).st_size + offset))
                return file.read(limit) or b""
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise HostError(f"host '{self.name}': {path} cannot be read: {error.strerror}") from error

    def changed(self, path: str) -> float | None:
        """Return a file's time; see Transport."""
        try:
            return os.stat(path).st_mtime
        except OSError:
            return None

    def follow(self, path: str, offset: int | None, *, hear: Callable[[str], None]) -> None:
        """Follow a file by tail(1), which is woken by the kernel where it can be; see Transport."""
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
            offset = os.stat(path).st_size if offset is None else offset
        except OSError as error:
            raise HostError(f"host '{self.name}': {error.filename or path} cannot be followed: {error.strerror}") from error
        threading.Thread(target=self._follow, args=(path, offset, hear), name=f"follow-{self.name}", daemon=True).start()

    def _follow(self, path: str, offset: int, hear: Callable[[str], None]) -> None:
        """Listen to tail, and to another one from there on if something ends it."""
        while not self._closed.is_set():
            try:
                offset = offset if os.stat(path).st_size >= offset else 0
                command = ["tail", "-c", f"+{offset + 1}", "-f", path]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
            except OSError:  # the file is gone, or no process can be started: nobody may go deaf for that
                self._closed.wait(_AGAIN)
                continue
            self._following.append(process)
            if self._closed.is_set():
                process.kill()
            assert process.stdout
            with process.stdout:
                offset += self._listen(process.stdout, hear)
            self._following.remove(process)
            process.wait()

    def _listen(self, stream: IO[bytes], hear: Callable[[str], None]) -> int:
        """Hear what comes, at once after a silence and else together with what follows; return how many bytes of whole lines it was."""
        size, rest = 0, b""
        while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                size += len(line) + 1
                hear(line.decode(errors="replace"))
            self._closed.wait(_GATHER)
        return size

    def facts(self) -> dict[str, object]:
        """Describe this machine; see Transport."""
        return {
            "machine": socket.gethostname(),
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": _memory(),
            "gpus": _gpus(),
        }

    def close(self) -> None:
        """Stop following; see Transport."""
        self._closed.set()
        for process in list(self._following):
            process.kill()


def _feed(stream: IO[bytes], pieces: Iterable[bytes], broken: list[BaseException]) -> None:
    """Write the pieces. A reader that has enough is no error here: its exit code tells whether it was one."""
    try:
        with stream:
            for piece in pieces:
                stream.write(piece)
    except BrokenPipeError:
        pass
    except BaseException as error:  # noqa: BLE001  it belongs to whoever reads
        broken.append(error)


def _made(folder: str) -> bool:
    """Make the folder; False when it was there. Only its last two levels are new, most often, so it is tried without a look."""
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        _made(os.path.dirname(folder))
        return _made(folder)
    except FileExistsError:
        return False
    return True


def _write(name: str, text: bytes, mode: int) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, mode)
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _there(name: str, text: bytes) -> bool:
    """Is the file there as it should be? One of another size is not worth reading."""
    try:
        if os.stat(name).st_size != len(text):
            return False
        with open(name, "rb") as file:
            return file.read() == text
    except FileNotFoundError:
        return False


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _gpus() -> list[str]:
    if not (program := shutil.which("nvidia-smi")):
        return []
    try:
        query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
