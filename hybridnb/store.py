"""A run's folder: frozen definition, journal, snapshot, picture and logs; and the user's list of such folders."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import definition, drawing, environment, home
from .errors import CallError, NotFound, RunBusy, Step, StoreError, did_you_mean
from .journal import Journal, Record, flow, read, refused
from .lock import Lock
from .model import Job, Workflow
from .run import Attempt, Run, now

_LIST = Step("See 'hybridnb runs'", "See '%runs'")
_SHARE = 50  # a snapshot may take one part in so many of the time
_CREATED = re.compile(rb'- \{"n": 1, "event": "created", "at": "([\d:.TZ-]+)"')
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without l, o, 0 and 1, which look alike


class Store:
    """A run with its folder. Reading needs no lock; writing holds the run's lock, one process at a time."""

    def __init__(self, folder: Path, run: Run, *, journal: Journal | None = None, lock: Lock | None = None) -> None:
        self.folder = folder
        self.run = run
        self.observers: list[Callable[[Store, Record], None]] = []
        self._journal = journal
        self._lock = lock
        self._saved_at = 0.0  # monotonic; and how long it took
        self._cost = 0.0
        self._changed = False
        self._layout: drawing.Layout | None = None

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}, {self.run!r})"

    # -- making and opening ---------------------------------------------------------------------------------------------
    @classmethod
    def create(
        cls,
        workflow: Workflow,
        source: Path,
        *,
        variables: Mapping[str, str] | None = None,
        runs: Path | None = None,
        request: str = "",
    ) -> Store:
        """Freeze the workflow of the file `source` into a new run folder beside it, or in `runs`, opened for writing.

        Its local jobs will start with the variables. `request` marks who asked, so that asking again does not start another.
        """
        source = source.absolute()
        folder = _new_folder(runs or source.with_suffix(".runs"))
        store = cls(folder, Run())
        try:
            store._journal, store._lock = Journal(folder / "journal.yaml"), _locked(folder)
            _freeze(workflow, source, folder)
            record = {
                "event": "created",
                "run": folder.name,
                "workflow": workflow.name,
                "source": str(source),
                "folder": str(source.parent),
            }
            store.note({**record, "request": request, "layout": {k: list(v) for k, v in workflow.layout.items()}})
            for job in workflow.jobs.values():
                store.define(job)
            store.commit(sync=True)
            environment.save(folder.name, variables or {})  # before anybody can go on with the run
            _register(folder)
        except (OSError, StoreError) as error:
            with suppress(StoreError):
                store.close()
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{error.filename or source.parent}: the run cannot be written: {error.strerror}") from error
        return store

    @classmethod
    def open(cls, folder: Path, *, write: bool = False) -> Store:
        """Open a run: raise NotFound when there is none, StoreError when it is damaged, RunBusy when another process writes it."""
        path = folder / "journal.yaml"
        if not os.path.isfile(path):
            raise NotFound(f"{folder}: there is no run here (no journal.yaml).", step=_LIST)
        journal, lock = None, None
        if write:
            lock = _locked(folder)
            try:
                journal, records = Journal.open(path)
            except StoreError:
                lock.release()
                raise
        else:
            records, _ = read(path)
        if not records:
            cls(folder, Run(), journal=journal, lock=lock).close()
            raise NotFound(f"{folder}: this run never began, its journal is empty; remove the folder, and run again")
        run = Run()
        for record in records:
            run.apply(record)
        return cls(folder, run, journal=journal, lock=lock)

    def close(self) -> None:
        """Write what is pending and give the lock back."""
        try:
            if self._journal:
                self._journal.close()
        finally:
            self._journal = None
            if self._lock:
                self._lock.release()
                self._lock = None

    # -- writing --------------------------------------------------------------------------------------------------------
    def note(self, record: Record) -> None:
        """Record that something happened, and take it into the run; on disk from the next `commit` on."""
        assert self._journal, "a run that was opened for reading is not written"
        record = {"event": record["event"], "at": record.get("at") or now(), **record}
        self._journal.append(record)
        self.run.apply(record)
        self._changed = True
        if record["event"] in ("defined", "removed", "withdrawn"):
            self._layout = None
        numbered = {"n": self._journal.count, **record}
        for observer in self.observers:
            observer(self, numbered)

    def define(self, job: Job) -> None:
        """Put a job into the run, or change one that has not started."""
        self.note({"event": "defined", "job": job.name, "definition": definition.to_mapping(job)})

    def commit(self, *, sync: bool = False) -> None:
        """Bring the records to disk; with sync, wait for it."""
        if self._journal:
            self._journal.commit(sync=sync)

    def snapshot(self, *, force: bool = False) -> None:
        """Write run.yaml and graph.svg: with force, or if something changed, but then spend only a small share of the time on it."""
        started = time.monotonic()
        due = self._changed and started - self._saved_at > max(1.0, _SHARE * self._cost)
        if not (force or due):
            return
        try:
            _replace(self.folder / "run.yaml", self.yaml())
            _replace(self.folder / "graph.svg", self.svg())
        except OSError as error:
            raise refused(self.folder / "run.yaml", "written", error) from error
        self._changed = False
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def keep(self, name: str, text: bytes) -> None:
        """Keep a further file of the record, such as git.diff."""
        (self.folder / name).write_bytes(text)

    def rest(self) -> None:
        """Take the run, which has ended, off the list of those that a service goes on with."""
        (_active() / self.run.id).unlink(missing_ok=True)

    def wake(self) -> None:
        """Put the run on that list (again)."""
        _register(self.folder)

    # -- what is in it --------------------------------------------------------------------------------------------------
    @property
    def sequence(self) -> int:
        """The number of the last record."""
        return self._journal.count if self._journal else len(read(self.folder / "journal.yaml")[0])

    def job_folder(self, job: str) -> Path:
        """Where the attempts of a job are."""
        return self.folder / "jobs" / job

    def log(self, attempt: Attempt, stream: str = "out") -> Path:
        """The file of an attempt's output ("out" or "err")."""
        return self.job_folder(attempt.job) / str(attempt.number) / stream

    def script(self, job: Job) -> str:
        """The text of a job's script, as frozen."""
        if job.exec is not None:
            from shlex import join

            return (job.exec if isinstance(job.exec, str) else join(job.exec)) + "\n"
        assert job.script is not None
        if not job.file:
            return job.script
        try:
            return _frozen(self.folder, job).read_bytes().decode(errors="surrogateescape")
        except OSError as error:
            raise StoreError(f"{error.filename}: the frozen script is gone: {error.strerror}", run=self.folder.name) from error

    def freeze(self, job: Job) -> None:
        """Copy the file of a job that was added or changed after the run began."""
        if job.file:
            _copy_script(job, Path(self.run.folder), self.folder)

    def status(self) -> dict[str, Any]:
        """Return {"run", "workflow", "state", "folder", "created_at", "ended_at", "jobs": {name: …}}; times are UTC ISO 8601."""
        run = self.run
        head = {"run": run.id, "workflow": run.workflow_name, "state": run.state.value, "folder": str(self.folder)}
        times = {"created_at": run.created_at, "ended_at": run.ended_at}
        return {**head, **times, "jobs": {name: self.job_status(name) for name in run.jobs}}

    def job_status(self, name: str) -> dict[str, Any]:
        """Return one job's part of `status`."""
        run, job, last = self.run, self.run.jobs[name], self.run.attempt(name)
        state = run.states[name]
        fresh = last is None or state.value == "waiting" or name in run.reasons
        status: dict[str, Any] = {
            "state": state.value,
            "host": job.host,
            "attempt": len(run.attempts.get(name, ())),
            "exit_code": None,
            "native_id": None,
            "submitted_at": None,
            "started_at": None,
            "ended_at": None,
            "progress": None,
            "log": None,
            "reason": run.reasons.get(name, ""),
            "metrics": {},
        }
        if not fresh and last:
            copied = ("exit_code", "native_id", "submitted_at", "started_at", "ended_at", "progress", "reason", "metrics")
            status.update({key: getattr(last, key) for key in copied})
            status.update(attempt=last.number, host=last.host, log=f"{self.folder}/jobs/{name}/{last.number}/out")
        return status

    def yaml(self) -> str:
        """Write the snapshot: one line a job."""
        status = self.status()
        jobs = status.pop("jobs")
        lines = ["# What hybridnb last knew of this run; the journal beside it is the truth.\n"]
        lines += [f"{key}: {flow(value)}\n" for key, value in status.items()]
        lines.append(f"facts: {flow(self.run.facts)}\njobs:\n")
        for name, job in jobs.items():
            last = self.run.attempt(name)
            more = {"params": dict(self.run.jobs[name].params), "files": last.files if last else {}}
            if job["log"]:
                job["log"] = os.path.relpath(job["log"], self.folder)  # whoever moves the folder finds it still
            lines.append(f"  {flow(name)}: {flow({**job, **{k: v for k, v in more.items() if v}})}\n")
        return "".join(lines)

    def svg(self) -> str:
        """Draw the run as it stands, each group as one."""
        looks = {}
        for name in self.run.jobs:
            status = self.job_status(name)
            detail = status["reason"] or ""
            looks[name] = drawing.Look(status["state"], progress=status["progress"], detail=detail, attempt=status["attempt"])
        workflow = self.run.workflow
        if self._layout is None:
            shown = drawing.stack(workflow).workflow
            self._layout = drawing.arrange(shown.parents(), fixed=shown.layout)
        return drawing.draw(workflow, looks, layout=self._layout)


# -- the user's runs ------------------------------------------------------------------------------------------------------
def runs() -> Iterator[Path]:
    """Yield the folders of all runs that were made on this machine and are still there, the newest first."""
    made = ((_made_at(folder), folder) for entry in _entries(_registry()) if (folder := _target(entry)))
    yield from (folder for at, folder in sorted(made, reverse=True) if at)


def active() -> Iterator[Path]:
    """Yield the folders of the runs that have not ended."""
    for entry in sorted(_entries(_active()), key=lambda e: e.name):
        folder = _target(entry)
        if folder and (folder / "journal.yaml").is_file():
            yield folder
        elif folder and folder.parent.is_dir():  # else its disk may be away for a while
            entry.unlink(missing_ok=True)


def find(word: str) -> Path:
    """Find a run by its id, by its folder, or as the last one of a workflow's file; raise NotFound with near matches."""
    path = Path(word).absolute()
    if os.path.isfile(path / "journal.yaml"):
        return path
    if os.path.isfile(path):
        if last := latest(path):
            return last
        begin = Step(f"Start it by 'hybridnb run {word}'", f"Start it by '%workflow open {word}' and '%workflow run'")
        raise NotFound(f"{word}: this workflow has not been run yet.", step=begin)
    known = {folder.name: folder for folder in runs()}
    if word in known:
        return known[word]
    raise NotFound(f"there is no run '{word}'{did_you_mean(word, known) or '.'}", step=_LIST)


def listed(folder: Path) -> bool:
    """Is the run on the list of those that have not ended? A copy of it is not."""
    return _same(_target(_active() / folder.name), folder)


def enlist(folder: Path) -> str:
    """Return the id by which the user's list leads to this folder, on which one that was moved is put again.

    Raises CallError for a copy: what is meant for it would happen to the run itself.
    """
    entry = _registry() / folder.name
    known = _target(entry)
    if known is not None and _made_at(known) and not _same(known, folder):
        raise CallError(f"{folder} is a copy, which can only be looked at; the run itself is {known}")
    if not _same(known, folder):
        entry.parent.mkdir(mode=0o700, exist_ok=True)
        entry.write_text(str(folder), encoding="utf-8")
    return folder.name


def latest(source: Path) -> Path | None:
    """Return the newest run folder of a workflow's file, or None."""
    return next(iter(newest(source)), None)


def newest(source: Path) -> list[Path]:
    """Return the run folders of a workflow's file, the newest first."""
    made = ((_made_at(folder), folder) for folder in _entries(source.absolute().with_suffix(".runs")))
    return [folder for at, folder in sorted(made, reverse=True) if at]


def _made_at(folder: Path) -> str:
    """When a run was created, as the first line of its journal says; "" for a folder that never became a run."""
    with suppress(OSError), open(folder / "journal.yaml", "rb") as journal:
        if created := _CREATED.match(journal.read(200)):
            return created[1].decode()
    return ""


def forget(folder: Path) -> None:
    """Take a run off the lists; its folder is the caller's to remove."""
    for place in (_registry(), _active()):
        (place / folder.name).unlink(missing_ok=True)


def _registry() -> Path:
    return home.state() / "runs"


def _active() -> Path:
    return home.state() / "active"


def _entries(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return list(folder.iterdir())
    return []


def _target(entry: Path) -> Path | None:
    with suppress(OSError):
        return Path(entry.read_text(encoding="utf-8"))
    return None


def _same(known: Path | None, folder: Path) -> bool:
    with suppress(OSError):
        return known is not None and os.path.samefile(known, folder)
    return False


def _register(folder: Path) -> None:
    for place in (_registry(), _active()):
        place.mkdir(mode=0o700, exist_ok=True)
        (place / folder.name).write_text(str(folder), encoding="utf-8")


# -- the folder -----------------------------------------------------------------------------------------------------------
def _new_folder(runs: Path) -> Path:
    if "\n" in str(runs) or not _is_utf8(runs):
        raise StoreError(
            f"{str(runs)!r}: a folder with a line break in its name, or a name that is not UTF-8, cannot hold runs; rename it"
        )
    try:
        runs.mkdir(exist_ok=True)
        while True:
            suffix = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(4))
            folder = runs / f"{time.strftime('%Y-%m-%d-%H%M')}-{suffix}"
            if (_registry() / folder.name).exists():  # the id names its attempts among all of the user's on a host
                continue
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise StoreError(f"{runs}: no run can be made here: {error.strerror}") from error


def _is_utf8(path: Path) -> bool:
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def _locked(folder: Path) -> Lock:
    lock = Lock(folder / "lock")
    try:
        taken = lock.acquire()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be opened for writing: {error.strerror}") from error
    if not taken:
        raise RunBusy(f"run {folder.name} is moved forward by {lock.holder()}; follow it by 'hybridnb status {folder.name}'")
    return lock


def _freeze(workflow: Workflow, source: Path, folder: Path) -> None:
    (folder / "workflow.yaml").write_text(definition.dump(workflow), encoding="utf-8")
    for job in workflow.jobs.values():
        if job.file:
            _copy_script(job, source.parent, folder)


def _frozen(folder: Path, job: Job) -> Path:
    return folder / "scripts" / (job.name + Path(job.file or "").suffix)


def _copy_script(job: Job, base: Path, folder: Path) -> None:
    target = _frozen(folder, job)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes((base / (job.file or "")).read_bytes())


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".new")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
