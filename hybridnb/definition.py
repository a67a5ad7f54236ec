"""Workflow files: YAML that a person can read and edit, to a Workflow and back."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from errno import EACCES
from pathlib import Path
from typing import Any

from . import document, rewrite
from .document import Fields, Scalar
from .errors import DefinitionError, NotFound, Problem, StoreError, did_you_mean
from .grammar import Reader
from .model import Job, Resources, Workflow

SIZE = 50_000_000  # bytes; a larger file was not written by a person, nor for one

_NO_RESOURCES = Resources()


def load(path: Path) -> Workflow:
    """Read a workflow file; raise DefinitionError with everything that is wrong in it, NotFound or StoreError if it cannot be read."""
    return parse(_read(path), file=str(path), folder=path.parent)


def parse(text: str, *, file: str = "", folder: Path | None = None) -> Workflow:
    """Read a workflow from text; with a folder, the script files that it names must be there."""
    return Reader(file, folder).workflow(document.compose(text.removeprefix("\ufeff"), file=file))


def dump(workflow: Workflow) -> str:
    """Write a workflow as text, as save() writes a new file."""
    return "\n".join([*rewrite.block(_mapping(workflow)), ""])


def save(workflow: Workflow, path: Path) -> None:
    """Record a workflow in its file: whatever it says already stays as it is written, comments and order too.

    Raise DefinitionError when the file, or what it would become, cannot be read; StoreError when it cannot be written.
    The file is replaced in one step or not touched at all.
    """
    before = _read(path) if os.path.lexists(path) else ""
    after = _recorded(workflow, before, str(path)) if before else _dumped(workflow, str(path))
    if after != before:
        _replace(Path(os.path.realpath(path)), after)  # a link stays a link


def to_mapping(job: Job) -> dict[str, Any]:
    """Return the job as plain data (all that JSON can say), without its name and what is as by default."""
    out: dict[str, Any] = {} if job.host == "local" else {"host": job.host}
    if job.exec is not None:
        out["exec"] = job.exec if isinstance(job.exec, str) else list(job.exec)
    if job.after:
        out["after"] = [str(dependency) for dependency in job.after]
    if job.resources != _NO_RESOURCES:
        given = {name: getattr(job.resources, name) for name in Resources.__slots__}
        out["resources"] = {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v not in (None, ())}
    for name in ("params", "env"):
        if value := getattr(job, name):
            out[name] = dict(value)
    for name in ("inputs", "outputs"):
        if value := getattr(job, name):
            out[name] = list(value)
    if job.retries:
        out["retries"] = job.retries
    if job.timeout is not None:
        out["timeout"] = job.timeout
    if job.script is not None:
        out["script"] = job.script
    return out


def from_mapping(name: str, mapping: Mapping[str, Any]) -> Job:
    """Make a job of plain data, in the words of the file; raise DefinitionError with everything that is wrong in it."""
    reader = Reader("", None)
    try:
        job = reader.job(Scalar(name), document.of(mapping))
    except DefinitionError as error:
        raise DefinitionError(f"job '{name}': {p.message}" for p in error.problems) from None
    if job is None:
        raise DefinitionError(reader.problems)
    return job


def _mapping(workflow: Workflow) -> dict[str, Any]:
    """Return the whole file as plain data; the layout knows only jobs that there are."""
    out: dict[str, Any] = {"name": workflow.name, "jobs": {name: _readable(job) for name, job in workflow.jobs.items()}}
    if layout := {name: [_short(x), _short(y)] for name, (x, y) in workflow.layout.items() if name in workflow.jobs}:
        out["layout"] = layout
    return out


def _readable(job: Job) -> dict[str, Any]:
    """Return the job as plain data with its numbers as people write them: 600 for 600.0, 1 for a resource of '1'."""
    out = to_mapping(job)
    if job.timeout is not None:
        out["timeout"] = _short(job.timeout)
    for name, value in out.get("resources", {}).items():
        if isinstance(value, str) and value.isdecimal() and len(value) < 10 and str(int(value)) == value:
            out["resources"][name] = int(value)
    return out


def _short(number: float) -> float:
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def _dumped(workflow: Workflow, file: str) -> str:
    _prove(workflow.jobs.values(), file)
    return dump(workflow)


def _prove(jobs: Iterable[Job], file: str) -> None:
    """Raise DefinitionError for what can be written, but not be read again."""
    reader = Reader("", None)
    try:
        text = "\n".join(rewrite.block({job.name: _readable(job) for job in jobs}) or ["{}"])
        for key, node in reader.fields(document.compose(text), "jobs", None).values():
            reader.job(key, node)
    except DefinitionError as error:
        reader.problems += error.problems
    if reader.problems:
        raise DefinitionError([Problem(f"cannot be saved: {p.message}", file) for p in reader.problems])


def _recorded(workflow: Workflow, text: str, file: str) -> str:
    """Return the file's text with what is new in the workflow."""
    body = text.removeprefix("\ufeff")
    root = document.compose(body, file=file)
    now = Reader(file, None).workflow(root)
    if _same(now, workflow) or not isinstance(root, Fields):
        return text
    _prove([job for name, job in workflow.jobs.items() if now.jobs.get(name) != job], file)
    old, new = _mapping(now), _mapping(workflow)
    for key, places in root.pairs():
        if isinstance(key, Scalar) and key.text == "layout" and isinstance(places, Fields):  # also those of jobs that are gone
            old["layout"] = {name.text: None for name, _ in places.pairs() if isinstance(name, Scalar)} | old.get("layout", {})
    return text[: len(text) - len(body)] + rewrite.edit(body, root, old, new)


def _same(now: Workflow, then: Workflow) -> bool:
    if (now.name, now.jobs) != (then.name, then.jobs):
        return False
    known = {name: place for name, place in then.layout.items() if name in then.jobs}
    return now.layout == known and all(rewrite.alike(job.params, then.jobs[name].params) for name, job in now.jobs.items())


def _read(path: Path) -> str:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise NotFound(f"{path} is {'a folder' if stat.S_ISDIR(info.st_mode) else 'no file'}, not a workflow file{_near(path)}")
        if info.st_size > SIZE:
            raise DefinitionError(
                [Problem(f"{info.st_size:,} bytes are too many for a workflow file (at most {SIZE:,})", str(path))]
            )
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFound(f"there is no workflow file '{path}'{_near(path)}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; see to its permissions and those of its folder") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise DefinitionError([Problem("this is not UTF-8; save the file as UTF-8", str(path), line, column)]) from None


def _near(path: Path) -> str:
    """Point to a workflow file of a name like this."""
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"; there is no folder '{folder}' either"
    names = [name for name in os.listdir(folder) if name.endswith((".yaml", ".yml"))]
    return did_you_mean(path.name, names)


def _replace(path: Path, text: str) -> None:
    """Put a file in the place of another in one step; what cannot be written leaves the old one as it was."""
    aside = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with open(aside, "x", encoding="utf-8", newline="") as out:
            if path.exists():
                _protect(path, out.fileno())
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        why = f"{path}: cannot be saved: {error.strerror}"
        raise StoreError(f"{why}; nothing was changed: make the folder writable or make room, then save again") from error


def _protect(path: Path, descriptor: int) -> None:
    """Give the new file the mode and, where one may, the owner of the old one; a write-protected file is not replaced."""
    old = path.stat()
    if not old.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(EACCES, "the file is write-protected")
    if sys.platform != "win32":  # which has neither
        with suppress(OSError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
