"""Workflow files: YAML that a person can read and edit, to a Workflow and back."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from errno import EACCES
from pathlib import Path
from typing import Any

from . import document, rewrite
from .document import Fields, Items, Node, Scalar
from .errors import DefinitionError, NotFound, Problem, StoreError, did_you_mean
from .grammar import Reader
from .model import Job, Resources, Workflow

SIZE = 50_000_000  # bytes; a larger file was not written by a person, nor for one

_NO_RESOURCES = Resources()


def load(path: Path, *, scripts: bool = True) -> Workflow:
    """Read a workflow file, and see whether the `scripts` are there that it names.

    Raises DefinitionError with everything that is wrong in it, NotFound or StoreError if it cannot be read.
    """
    return parse(read(path), file=str(path), folder=path.parent if scripts else None)


def located(path: Path, wrong: Iterable[tuple[str, str, str]]) -> list[Problem]:
    """Give what is wrong, as job, key and message, the place where that stands in the file, as far as it is there."""
    file, told = str(path), []
    jobs = _fields(_fields(document.compose(read(path).removeprefix("\ufeff"), file=file)).get("jobs"))
    for job, key, message in wrong:
        node = _fields(jobs.get(job)).get(key) or jobs.get(job)  # a job may be only a script
        told.append(document.problem(message, node.start, file) if node else Problem(message, file))
    return sorted(told, key=lambda problem: (problem.line, problem.column))


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
    before = read(path) if os.path.lexists(path) else ""
    after = recorded(workflow, before, file=str(path))
    if after != before:
        put(path, after)


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
    if job.group:
        out["group"] = job.group
    if job.sweep:
        out["sweep"] = {name: list(values) for name, values in job.sweep.items()}
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
    out: dict[str, Any] = {"name": workflow.name, "jobs": {name: readable(job) for name, job in workflow.jobs.items()}}
    if layout := {name: [_short(x), _short(y)] for name, (x, y) in workflow.layout.items() if name in workflow.jobs}:
        out["layout"] = layout
    return out


def readable(job: Job) -> dict[str, Any]:
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


def prove(jobs: Iterable[Job], file: str) -> dict[str, Job]:
    """Return the jobs as they will be read; raise DefinitionError for what can be written, but not be read again."""
    out: dict[str, Job] = {}
    reader = Reader("", None)
    try:
        root = document.compose("\n".join([*rewrite.block({"jobs": {job.name: readable(job) for job in jobs}}), ""]))
        _, table = reader.fields(root, "a workflow file", None)["jobs"]
        for key, node in reader.fields(table, "jobs", None).values():
            if job := reader.job(key, node):
                out[job.name] = job
    except DefinitionError as error:
        reader.problems += error.problems
    if reader.problems:
        raise DefinitionError([Problem(f"cannot be saved: {p.message}", file) for p in reader.problems])
    return out


def recorded(workflow: Workflow, text: str, *, file: str = "") -> str:
    """Return a file's text with what is new in the workflow; a job that only has another name keeps its place and comments."""
    if not text:
        prove(workflow.jobs.values(), file)
        return dump(workflow)
    body = text.removeprefix("\ufeff")
    root = document.compose(body, file=file)
    now = Reader(file, None).workflow(root)
    if same(now, workflow) or not isinstance(root, Fields):
        return text
    prove([job for name, job in workflow.jobs.items() if now.jobs.get(name) != job], file)
    if names := _renaming(now, workflow):
        return recorded(workflow, text[: len(text) - len(body)] + rewrite.reword(body, _mentions(root, *names)), file=file)
    old, new = _mapping(now), _mapping(workflow)
    for key, places in root.pairs():
        if isinstance(key, Scalar) and key.text == "layout" and isinstance(places, Fields):  # also those of jobs that are gone
            old["layout"] = {name.text: None for name, _ in places.pairs() if isinstance(name, Scalar)} | old.get("layout", {})
    return text[: len(text) - len(body)] + rewrite.edit(body, root, old, new)


def _renaming(now: Workflow, then: Workflow) -> tuple[str, str] | None:
    """Return the old and the new name, if one job was renamed: what runs is the same, at the same place."""
    gone, fresh = now.jobs.keys() - then.jobs.keys(), then.jobs.keys() - now.jobs.keys()
    if len(gone) != 1 or len(fresh) != 1:
        return None
    old, new = *gone, *fresh
    there = list(now.jobs).index(old) == list(then.jobs).index(new)
    runs = [(job.script, job.exec) for job in (now[old], then[new])]
    return (old, new) if there and runs[0] == runs[1] else None


def _mentions(root: Fields, old: str, new: str) -> Iterator[tuple[Scalar, str]]:
    """Yield where a job's name is written, with what is to stand there when the job has another name."""
    tables = {key.text: list(_texts(node)) for key, node in _texts(root)}
    places = tables.get("layout", [])
    jobs = tables["jobs"]
    if all(key.text != new for key, _ in places):  # else that is the place of a job that is gone
        yield from ((key, new) for key, _ in places if key.text == old)
    yield from ((key, new) for key, _ in jobs if key.text == old)
    for edges in (value for _, job in jobs for key, value in _texts(job) if key.text == "after"):
        for edge in edges.nodes if isinstance(edges, Items) else [edges]:
            name, colon, kind = edge.text.partition(":") if isinstance(edge, Scalar) else ("", "", "")
            if isinstance(edge, Scalar) and name.strip() == old:
                yield edge, f"{new}{colon}{kind}"


def _texts(node: Node) -> Iterator[tuple[Scalar, Node]]:
    """Yield the entries of a mapping; nothing of what is none."""
    return ((key, value) for key, value in (node.pairs() if isinstance(node, Fields) else ()) if isinstance(key, Scalar))


def _fields(node: Node | None) -> dict[str, Node]:
    return {key.text: value for key, value in _texts(node)} if node else {}


def same(now: Workflow, then: Workflow) -> bool:
    """Do these say the same, with 1 and True apart? The order of the jobs, and the places of jobs that are gone, say nothing."""
    if (now.name, now.jobs.keys()) != (then.name, then.jobs.keys()):
        return False
    known = {name: place for name, place in then.layout.items() if name in then.jobs}
    return now.layout == known and all(same_job(job, then.jobs[name]) for name, job in now.jobs.items())


def same_job(a: Job, b: Job) -> bool:
    """Are these the same, with 1 and True apart?"""
    return a is b or (a == b and rewrite.alike((a.params, a.sweep), (b.params, b.sweep)))


def read(path: Path) -> str:
    """Return a workflow file's text; raise DefinitionError, NotFound or StoreError when that cannot be done."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise NotFound(f"{path} is {'a folder' if stat.S_ISDIR(info.st_mode) else 'no file'}, not a workflow file{near(path)}")
        if info.st_size > SIZE:
            raise DefinitionError(
                [Problem(f"{info.st_size:,} bytes are too many for a workflow file (at most {SIZE:,})", str(path))]
            )
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFound(f"there is no workflow file '{path}'{near(path)}") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; see to its permissions and those of its folder") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise DefinitionError([Problem("this is not UTF-8; save the file as UTF-8", str(path), line, column)]) from None


def near(path: Path) -> str:
    """Point to a workflow file of a name like this."""
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"; there is no folder '{folder}' either"
    names = [name for name in os.listdir(folder) if name.endswith((".yaml", ".yml"))]
    return did_you_mean(path.name, names)


def put(path: Path, text: str, *, over: str | None = None) -> bool:
    """Put a file in the place of another in one step; what cannot be written leaves the old one as it was.

    A link stays a link. False when the text that is to be replaced is no longer `over`; then nothing is touched.
    """
    path = Path(os.path.realpath(path))
    aside = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with open(aside, "x", encoding="utf-8", newline="") as out:
            if path.exists():
                _protect(path, out.fileno())
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if over is not None and over != (read(path) if path.exists() else ""):
            return False
        os.replace(aside, path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.parent.exists():
            raise StoreError(f"{path}: cannot be saved: there is no folder '{path.parent}'; make it, then save again") from error
        why = f"{path}: cannot be saved: {error.strerror}"
        raise StoreError(f"{why}; nothing was changed: make the folder writable or make room, then save again") from error
    finally:
        with suppress(OSError):
            aside.unlink()  # unless it has taken its place
    return True


def _protect(path: Path, descriptor: int) -> None:
    """Give the new file the mode and, where one may, the owner of the old one; a write-protected file is not replaced."""
    old = path.stat()
    if not old.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(EACCES, "the file is write-protected")
    if sys.platform != "win32":  # which has neither
        with suppress(OSError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
