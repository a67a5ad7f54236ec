"""Which cell recorded which job, and what it said then: beside the runs of the workflow, so that it outlives the kernel."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

_SLACK = 4  # times as many lines as entries: then the file is written anew


@dataclass(frozen=True, slots=True)
class Entry:
    """What one cell said of one job."""

    job: str
    cell: str = ""  # its id; '' where the front end tells none
    notebook: str = ""  # the file, from the workflow's folder; '' when it is not known
    first: str = ""  # the first line
    digest: str = ""  # of the whole cell
    at: float = 0.0  # seconds since the epoch
    wrote: Mapping[str, Any] = field(default_factory=dict)  # the job as plain data


class Cells:
    """The entries of one workflow's file: lines of JSON, appended in constant time; the last one of a job counts. Safe for threads."""

    def __init__(self, workflow: Path) -> None:
        self.path = workflow.with_suffix(".runs") / "cells.jsonl"
        self._inode, self._offset, self._lines = 0, 0, 0
        self._entries: dict[str, Entry] = {}
        self._seen: dict[str, int] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Cells({str(self.path)!r}, {len(self._entries)} jobs)"

    def owner(self, job: str) -> Entry | None:
        """Return what the cell said that recorded this job last."""
        with self._lock:
            self._read()
            return self._entries.get(job)

    def entries(self) -> list[Entry]:
        """Return all of them, the latest last."""
        with self._lock:
            self._read()
            return sorted(self._entries.values(), key=lambda entry: entry.at)

    def note(self, entry: Entry, *, instead_of: str | None = None) -> None:
        """Record what a cell says now; `instead_of` the job that it recorded before."""
        gone = [{"job": instead_of, "gone": True}] if instead_of and instead_of != entry.job else []
        self._append(*gone, asdict(entry))

    def rename(self, job: str, new: str) -> None:
        """Let the cell of a job be that of its new name."""
        with self._lock:
            if entry := self.owner(job):
                self.note(replace(entry, job=new), instead_of=job)

    def forget(self, job: str) -> None:
        """Let a job be no cell's any more."""
        with self._lock:
            if self.owner(job):
                self._append({"job": job, "gone": True})

    def seen(self, run: str) -> int:
        """Return the number of the last record of a run that was shown."""
        with self._lock:
            self._read()
            return self._seen.get(run, 0)

    def show(self, run: str, number: int) -> None:
        """Remember how far a run has been shown."""
        with self._lock:
            if number > self.seen(run):
                self._append({"run": run, "seen": number})

    # -- the file -------------------------------------------------------------------------------------------------------
    def _read(self) -> None:
        """Take in what was appended, by other kernels too."""
        try:
            with open(self.path, "rb") as file:
                info = os.fstat(file.fileno())
                if info.st_size < self._offset or info.st_ino != self._inode:
                    self._inode, self._offset, self._lines, self._entries, self._seen = info.st_ino, 0, 0, {}, {}
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._lines += 1
            with suppress(ValueError, TypeError, KeyError):  # a line of another version, or one that was torn
                self._take(dict(json.loads(line)))

    def _take(self, said: dict[str, Any]) -> None:
        if "run" in said:
            self._seen[said["run"]] = int(said["seen"])
        elif said.get("gone"):
            self._entries.pop(said["job"], None)
        else:
            self._entries[said["job"]] = _entry(said)

    def _append(self, *said: Mapping[str, Any]) -> None:
        """Add lines by one write. Where nothing can be written there is nothing to remember: the workflow's file is the truth."""
        with self._lock:
            self._write(*said)
            self._read()

    def _write(self, *said: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(exist_ok=True)
            self._read()
            if self._lines > 100 + _SLACK * (len(self._entries) + len(self._seen)):
                self._compact()
            with open(self.path, "ab") as file:
                torn = self.path.stat().st_size > self._offset
                file.write(b"\n" * torn + "".join(f"{json.dumps(line)}\n" for line in said).encode())

    def _compact(self) -> None:
        lines = [*map(asdict, self.entries()), *({"run": run, "seen": n} for run, n in self._seen.items())]
        aside = self.path.with_name(f".{os.urandom(8).hex()}.part")
        aside.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        os.replace(aside, self.path)
        self._read()


def _entry(said: Mapping[str, Any]) -> Entry:
    """Rebuild an entry; raise TypeError for what none of ours says."""
    entry = Entry(**said)
    words = (entry.job, entry.cell, entry.notebook, entry.first, entry.digest)
    if (
        not all(isinstance(word, str) for word in words)
        or not isinstance(entry.at, int | float)
        or not isinstance(entry.wrote, dict)
    ):
        raise TypeError("not an entry")
    return entry
