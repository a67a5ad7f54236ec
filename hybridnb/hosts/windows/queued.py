"""A job in the queue of runner.py, and what its attempts leave: claim and exit code."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from . import group

_PATIENCE = 1.0  # seconds for a claim to be written


class Standing(Enum):
    """How a job stands in the queue."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    PAUSING = "pausing"  # before it is tried again
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        return self in (Standing.OK, Standing.FAILED, Standing.SKIPPED)


class Evidence(NamedTuple):
    """What `rc` holds; the words are wrap.sh's and runner.sh's."""

    code: int
    word: str

    @property
    def standing(self) -> Standing:
        if self.word == "skipped":
            return Standing.SKIPPED
        return Standing.OK if self == (0, "exit") else Standing.FAILED


@dataclass(slots=True)
class Job:
    """A job of the queue; `folder` holds a folder for each attempt."""

    key: str
    attempt: int
    last: int
    backoff: int  # seconds before the first retry
    folder: Path
    first: int = 0
    standing: Standing = Standing.WAITING
    begun: int = 0  # the last attempt whose start was told
    missing: int = 0  # parents that have not ended
    kids: list[tuple[Job, str]] = field(default_factory=list)

    @property
    def here(self) -> Path:
        return self.folder / str(self.attempt)

    @property
    def stopped(self) -> bool:
        return (self.folder / "cancel").exists()

    @property
    def pause(self) -> int:
        """Seconds before the present attempt."""
        return self.backoff << min(self.attempt - self.first - 1, 10)


def evidence_of(folder: Path) -> Evidence | None:
    """Read how an attempt ended; a torn line is no evidence."""
    with suppress(OSError, ValueError):
        line, complete, _ = (folder / "rc").read_text().partition("\n")
        code, word = line.split()
        return Evidence(int(code), word) if complete else None
    return None


def claim_of(folder: Path) -> group.Group | None:
    """Read who runs, or ran, an attempt."""
    with suppress(OSError):
        return group.read((folder / "claim").read_text())
    return None


def alive(folder: Path) -> bool:
    """Might processes of this attempt live?"""
    claim = claim_of(folder)
    if not claim:
        time.sleep(_PATIENCE)  # it is being written, or its writer died over it
        claim = claim_of(folder)
    return claim is not None and group.alive(claim)
