"""A plain host without a POSIX shell: this machine, when it is Windows. PlainHost with runner.py in the place of runner.sh.

Its parts work, and are tested, on every system; only the Job Objects of group.py are Windows' alone.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import HostError
from ...lock import Lock
from ..attempts import Submission, interpreter, variables
from ..host import PlainHost
from ..local import LocalTransport
from ..transport import File
from . import bell, group
from .runner import ROOT

_DIGEST = f"{zlib.crc32(b''.join(file.read_bytes() for file in sorted(Path(__file__).parent.glob('*.py')))):08x}"
_LOOK = 1.0  # seconds after which a follower looks though nobody rang
_PATIENCE = 5.0  # seconds that Windows may hold on to a file that somebody looks at
_PAUSE = 0.01


class WindowsTransport(LocalTransport):
    """This machine, without tail(1) and a shell."""

    def _follow(self, path: str, offset: int, hear: Callable[[str], None]) -> None:
        """Read what is new each time that the runner rings."""
        listening = bell.Bell(Path(path).parent / "listeners")
        rest = b""
        while not self._closed.is_set():
            listening.hang()
            with suppress(HostError, OSError):  # the next look may find it
                if os.path.getsize(path) < offset:
                    offset, rest = 0, b""
                while piece := self.read(path, offset, 1 << 16):
                    offset += len(piece)
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        hear(line.decode(errors="replace"))
            listening.wait(_LOOK)
        listening.close()


class WindowsHost(PlainHost):
    """See Host."""

    def __init__(self, name: str, transport: WindowsTransport, *, directory: str, slots: int, **more: Any) -> None:
        super().__init__(name, transport, directory=directory, slots=slots, **more)
        self._runner = f"{directory}/runner/{name}-{_DIGEST}"

    def _hand_over(self, batch: str, *, files: Iterable[File] = ()) -> bool:
        self._looked = time.monotonic()
        self._transport.put(files)
        try:
            return hand_over(Path(self._runner), slots=self.slots, batch=batch.encode(errors="surrogateescape"))
        except OSError as error:
            raise HostError(f"host '{self.name}': {error.filename or self._runner}: {error.strerror}") from error

    def _files(self, submissions: Iterable[Submission]) -> Iterator[File]:
        for s in submissions:
            yield from (file for file in super()._files([s]) if not file.path.endswith("/spec"))
            yield File(f"{s.folder}/{s.attempt}/spec.json", spec(s, grace=self._grace).encode(errors="surrogateescape"))


def spec(submission: Submission, *, grace: float) -> str:
    """Write what the wrapper reads: what attempts.spec() says to wrap.sh."""
    job = submission.job
    own = {"HYBRIDNB_RUN": submission.run, "HYBRIDNB_JOB": job.name}
    suffix = PurePosixPath(job.file).suffix if job.file else ""
    said = {
        "token": submission.token,
        "grace": grace,
        "limit": job.timeout,
        "outputs": list(job.outputs),
        "environment": submission.environment,
        "variables": {**own, **variables(job.params), **job.env},
        "work": submission.work,
        "exec": list(job.exec) if isinstance(job.exec, tuple) else [],
        "interpreter": interpreter(submission.script),
        "suffix": suffix,
        "beside": str(PurePosixPath(job.file).parent) if job.file and suffix == ".py" else "",
        "setup": list(submission.setup),
        "shell": shlex.split(submission.shell),
    }
    return json.dumps(said, ensure_ascii=False, indent=1)


def hand_over(folder: Path, *, slots: int, batch: bytes = b"") -> bool:
    """Give the runner of a folder a batch, or ask it to look after what it runs; return whether it had to be started."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    anew = bool(batch) and _post(batch, folder)
    bell.ring(folder / "bell")
    if not anew and Lock(folder / "lock").held():
        return False
    command = [sys.executable, "-m", "hybridnb.hosts.windows.runner", str(folder.absolute()), str(slots)]
    with open(folder / "runner.log", "ab") as log:
        runner = group.lead(command, folder=str(ROOT), out=log, err=log)
    threading.Thread(target=runner.wait, name=f"runner-{runner.pid}", daemon=True).start()  # so that its end leaves nothing
    return True


def _post(batch: bytes, folder: Path) -> bool:
    """Put a batch into the inbox; return whether there was none: a runner removes it when it ends, and asks no lock before that."""
    aside = folder / f"{time.time_ns()}-{os.urandom(4).hex()}"
    aside.write_bytes(batch)
    end, anew = time.monotonic() + _PATIENCE, False
    while True:
        try:
            aside.replace(folder / "inbox" / aside.name)
            return anew
        except (FileNotFoundError, PermissionError):  # the latter, on Windows, while somebody still looks into a removed one
            if time.monotonic() > end:
                raise
        try:
            (folder / "inbox").mkdir()
            anew = True
        except (FileExistsError, PermissionError):
            time.sleep(_PAUSE)
