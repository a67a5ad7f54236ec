"""What can be seen of runs from their folders alone, whoever moves them, and also when nobody does."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import store
from .errors import CallError, NotFound, StoreError
from .hosts import entries
from .hosts.config import Hosts
from .hosts.questions import Questions
from .journal import Record, parse
from .model import about_name
from .run import Run
from .store import Store
from .sweep import members

STREAMS = ("out", "err")
LIMIT = 16 << 20  # bytes of a log that are told at once

_FEW = 8  # names that are told
_STATE_OF_A_JOB = re.compile(rb'^  .*?: \{"state": "(\w+)"', re.M)  # in run.yaml


def runs() -> list[dict[str, Any]]:
    """Return a summary of each of the user's runs, the newest first; one that is damaged says so by its state."""
    return [summary(folder) for folder in store.runs()]


def summary(folder: Path) -> dict[str, Any]:
    """Return {"run", "workflow", "state", "created_at", "ended_at", "folder", "source", "counts": {state: jobs}}."""
    try:
        created = Tail(folder).first()
        state, ended_at, counts = _snapshot(folder) or _folded(folder)
    except (StoreError, NotFound) as error:
        nothing = dict.fromkeys(("workflow", "created_at", "ended_at", "source"), "")
        return {"run": folder.name, **nothing, "state": "lost", "folder": str(folder), "counts": {}, "problem": str(error)}
    about = {"run": folder.name, "workflow": created["workflow"], "state": state, "created_at": created["at"], "ended_at": ended_at}
    return {**about, "folder": str(folder), "source": created["source"], "counts": counts, "problem": ""}


def _snapshot(folder: Path) -> tuple[str, str | None, dict[str, int]] | None:
    """Read the snapshot, unless the journal went on after it was written."""
    try:
        if (folder / "journal.yaml").stat().st_mtime_ns > (folder / "run.yaml").stat().st_mtime_ns:
            return None
        text = (folder / "run.yaml").read_bytes()
    except OSError:
        return None
    head = {key: json.loads(value) for key, value in re.findall(rb"^(state|ended_at): (.*)$", text, re.M)}
    return head[b"state"], head[b"ended_at"], dict(Counter(s.decode() for s in _STATE_OF_A_JOB.findall(text)))


def _folded(folder: Path) -> tuple[str, str | None, dict[str, int]]:
    return fold(Store.open(folder))


def fold(opened: Store) -> tuple[str, str | None, dict[str, int]]:
    """Return a run's state, when it ended, and how many jobs are in each state."""
    run = opened.run
    return run.state.value, run.ended_at, {state.value: n for state, n in run.counts.items() if n}


def status(opened: Store, problems: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return Store.status() with "problems": why it does not move, by the host, or the run itself, that is concerned."""
    told, known = opened.status(), dict(problems or {})
    if not store.listed(opened.folder):
        known[opened.run.id] = "nobody moves it forward here: its folder was moved or copied, or it belongs to another machine"
    concerned = {opened.run.id, *(job["host"] for job in told["jobs"].values())} if told["ended_at"] is None else set()
    return {**told, "problems": {name: why for name, why in known.items() if name in concerned}}


def log(
    folder: Path, job: str, *, stream: str = "out", attempt: int | None = None, offset: int = 0, limit: int = 65536
) -> tuple[bytes, int]:
    """Return a piece of an attempt's output (default: the last attempt's) and the offset of the next; b"" when there is no more yet.

    An offset below 0 counts from the end of what there is.
    """
    if stream not in STREAMS:
        raise CallError(f"a job has the streams {' and '.join(STREAMS)}, not '{stream}'")
    if limit < 1:
        raise CallError(f"a piece of a log has at least one byte, not {limit}")
    if about_name(job) or not (folder / "jobs" / job).is_dir():
        of_job(Store.open(folder).run, job)
        return b"", max(0, offset)
    number = _last(folder / "jobs" / job) if attempt is None else attempt
    try:
        with open(folder / "jobs" / job / str(number) / stream, "rb") as file:
            offset = file.seek(offset if offset >= 0 else max(0, os.fstat(file.fileno()).st_size + offset))
            piece = file.read(min(limit, LIMIT))
    except FileNotFoundError:
        return b"", max(0, offset)
    except OSError as error:
        raise StoreError(f"{error.filename}: the log cannot be read: {error.strerror}", run=folder.name) from error
    return piece, offset + len(piece)


def of_job(run: Run, word: str) -> None:
    """Raise NotFound unless the word names one job of the run; a group has no log, but its jobs have."""
    if (names := members(run.jobs, word, of=f"run {run.id}")) != [word]:
        told = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
        raise NotFound(f"'{word}' is a group of {len(names)} jobs, each of which has its own log: {told}")


def _last(folder: Path) -> int:
    """The last attempt of a job that has begun to write; the host makes the folder of a retry before it starts."""
    numbers = sorted((int(f.name) for f in folder.iterdir() if f.name.isdecimal()), reverse=True)
    return next((n for n in numbers if (folder / str(n) / "out").exists()), numbers[0] if numbers else 1)


def hosts(problems: Mapping[str, str] | None = None, *, folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Return the user's hosts, those described in the folder too, as they are described, each with its "problem", or ''.

    Of one whose description is wrong only that is told.
    """
    known = problems or {}
    usual, nothing = {"transport": "local", "scheduler": "process"}, {"transport": "", "scheduler": ""}
    found = Hosts().described(folder)
    good = {name: {**usual, **entries.plain(entry), "problem": known.get(name, "")} for name, entry in found.good.items()}
    return good | {name: {**nothing, "problem": "; ".join(map(str, wrong))} for name, wrong in found.bad.items()}


def waiting(questions: Questions) -> dict[str, str]:
    """Return which hosts wait for a person's answer, and to what."""
    how = "answer by 'hybridnb hosts check {}'"
    return {q.host: f"waits for an answer: {' '.join(q.text.split())}; {how.format(q.host)}" for q in questions.open()}


class Tail:
    """The records of a run from the one after `since` on, as they come; each is told once."""

    def __init__(self, folder: Path, *, since: int = 0) -> None:
        self.folder = folder
        self.since = since
        self.ended = False  # as of the last record read
        self._path = folder / "journal.yaml"
        self._offset = 0
        self._count = 0

    def __repr__(self) -> str:
        return f"Tail({str(self.folder)!r}, since={self.since})"

    def first(self) -> Record:
        """Return the record of the run's creation."""
        with self._open() as file:
            record = parse(file.readline())
        if record is None:
            raise StoreError(f"{self._path}: its first line is damaged", run=self.folder.name)
        return record

    def read(self, *, upto: int | None = None) -> list[Record]:
        """Return what is new, as far as the record `upto`."""
        with self._open() as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        records = []
        for text in lines:
            record = parse(text)
            if record is None or record["n"] != self._count + 1 or self._count == upto:
                break
            self._count += 1
            self._offset += len(text)
            self._follow(record)
            if self._count > self.since:
                records.append(record)
        self.since = max(self.since, self._count)
        return records

    def _follow(self, record: Record) -> None:
        if record["event"] in ("finished", "again", "attempt"):
            self.ended = record["event"] == "finished"

    def _open(self) -> Any:
        try:
            return open(self._path, "rb")
        except FileNotFoundError:
            raise NotFound(f"{self.folder}: there is no run here any more") from None
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read: {error.strerror}", run=self.folder.name) from error
