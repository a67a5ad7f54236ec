"""Speaking to cluster.sh on a Slurm host: one conversation for all that there is to do, and only what failed is said again."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from ...errors import HostError
from ..transport import File, Transport

_HERE = Path(__file__).parent
_PROGRAMS = {name: (_HERE / name).read_bytes() for name in ("cluster.sh", "batch.sh")} | {
    "wrap.sh": (_HERE.parent / "wrap.sh").read_bytes()
}
_DIGEST = f"{zlib.crc32(b''.join(_PROGRAMS.values())):08x}"
_HELP = 'programs=$1 patience=$2; . "$1/cluster.sh" || exit; scrub; eval "$(cat)"; exit 0'
_READ = 2000  # events that are removed in one conversation


class Conversation:
    """What is to be said to a host. `folder` is where the programs go: jobs of an earlier version keep theirs."""

    def __init__(self, transport: Transport, folder: str, *, patience: int) -> None:
        self._transport = transport
        self._folder = f"{folder}-{_DIGEST}"
        self._patience = str(patience)
        self._later: list[str] = []
        self._read: list[str] = []
        self._prepared = False  # are the programs there?

    @property
    def pending(self) -> bool:
        """Is there anything left to say?"""
        return bool(self._later or self._read)

    def reset(self) -> None:
        self._prepared = False

    def later(self, request: str) -> None:
        """Say this first, next time."""
        self._later.append(request)

    def remove(self, event: str) -> None:
        """An event has been read: it is told no more."""
        self._read.append(event)

    def say(self, request: str, *, files: Iterable[File] = (), timeout: float = 120) -> str:
        """Have the request done after all that was left for later; return what is told."""
        later, read = len(self._later), min(len(self._read), _READ)
        settle = "settle <<'END'\n" + "\n".join(self._read[:read]) + "\nEND\n" if read else ""
        needed = () if self._prepared else [File(f"{self._folder}/{name}", text) for name, text in _PROGRAMS.items()]
        text = ("".join(self._later) + settle + request).encode()
        try:
            told = self._transport.run(_HELP, self._folder, self._patience, input=text, files=chain(needed, files), timeout=timeout)
        except HostError:
            self._prepared = False  # perhaps somebody removed them
            raise
        self._prepared = True
        del self._later[:later], self._read[:read]
        return told
