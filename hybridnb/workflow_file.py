"""A workflow's file that several programs and people edit: each edit is made to what the file says at that moment."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import definition, document, home, rewrite
from .document import Fields, Node, Scalar
from .errors import DefinitionError, Problem, StoreError
from .grammar import Reader, about_script
from .lock import Lock
from .model import NAME_LENGTH, Job, Workflow, about_name

PATIENCE = 20.0  # seconds; an edit takes milliseconds
PAUSE = 0.3  # seconds that a file is empty when an editor writes it in place, at most
_UNFIT = re.compile(r"[^\w.+=@-]+")  # in a name
TRIES = 20  # before we give up on a file that others write all the time, without our lock


class WorkflowFile:
    """Reads and edits a workflow's file. Safe for threads and processes; a file that is not there is an empty workflow."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        self._known: _Known | None = None

    def __repr__(self) -> str:
        return f"WorkflowFile({str(self.path)!r})"

    @property
    def definition(self) -> Workflow:
        """What the file says now; raise DefinitionError, NotFound or StoreError when it cannot be read."""
        return self._read().workflow

    def edit(self, change: Callable[[Workflow], Workflow]) -> Workflow:
        """Let the file say what `change` makes of what it says now, and return that; `change` may be called again.

        Raise DefinitionError when the file, or what it would become, cannot be read, or when what is new in it names a script's file
        that is not there; StoreError when it cannot be written. The file is replaced in one step or not touched at all.
        """
        with self._alone():
            for _ in range(TRIES):
                before = self._read()
                then = change(before.workflow)
                self._refuse_absent(before.workflow, then)
                after = before.saying(then, file=str(self.path))
                if after.text == before.text or definition.put(self.path, after.text, over=before.text):
                    self._known = after
                    return after.workflow
        raise StoreError(f"{self.path}: another program writes this file all the time; nothing was changed: end it and try again")

    def _refuse_absent(self, now: Workflow, then: Workflow) -> None:
        """Raise DefinitionError for a script's file that is not there: no job of the workflow could be run any more.

        What the file says already may stay, so that it can be changed otherwise.
        """
        fresh = [job for name, job in then.jobs.items() if job.file and job is not now.jobs.get(name)]
        known = {job.script for job in now.jobs.values()} if fresh else set()
        told = [(job.name, about_script(job.script or "", self.path.parent)) for job in fresh if job.script not in known]
        if problems := [f"script of job '{name}': {about}; write that file first" for name, about in told if about]:
            raise DefinitionError(problems)

    def _read(self) -> _Known:
        """Read the file; what it says is known as long as its text is the same, which no time or size of a file can tell."""
        text = self._text()
        known = self._known
        if known is None or known.text != text:
            self._known = known = _Known.of(text, file=str(self.path))
        return known

    def _text(self) -> str:
        while os.path.lexists(self.path):
            text = definition.read(self.path)
            if text or abs(time.time() - self.path.stat().st_mtime) > PAUSE:
                return text
            time.sleep(0.01)
        return ""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the other editors of this file out, those of this process too."""
        name = hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:32]
        try:
            folder = home.state() / "edits"
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = Lock(folder / name)
            until = time.monotonic() + PATIENCE
            while not lock.acquire():
                if time.monotonic() > until:
                    raise StoreError(
                        f"{self.path}: {lock.holder()} has been editing this file for {PATIENCE:.0f} s; end it and try again"
                    )
                time.sleep(0.002)
        except OSError as error:
            where = error.filename or "the lock"
            raise StoreError(
                f"{where}: cannot be locked: {error.strerror}; make the folder writable or make room, then try again"
            ) from error
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class _Known:
    """A text, what it says, and where each job stands in it; nowhere when it is not to be edited in pieces."""

    text: str
    workflow: Workflow
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, *, file: str) -> _Known:
        if not text:
            return cls(text, _nothing(file))
        body = text.removeprefix("\ufeff")
        root = document.compose(body, file=file)
        return cls(text, Reader(file, None).workflow(root), _spans(text, root) if body == text else {})

    def saying(self, workflow: Workflow, *, file: str) -> _Known:
        """Return a text that says something else, as definition.save() would write it."""
        fresh = [job for name, job in workflow.jobs.items() if job is not self.workflow.jobs.get(name)]
        read = definition.prove(fresh, file)
        if not all(definition.same_job(job, read[job.name]) for job in fresh):  # a tuple is read as a list
            workflow = replace(workflow, jobs={**workflow.jobs, **read})
        if definition.same(self.workflow, workflow):
            return self
        return self._with_one(workflow) or self._with_all(workflow, file)

    def _with_all(self, then: Workflow, file: str) -> _Known:
        told = _Known.of(definition.recorded(then, self.text, file=file), file=file)
        if not definition.same(told.workflow, then):
            raise DefinitionError([Problem("this change cannot be saved: write it into the file by hand", file)])
        return told

    def _with_one(self, then: Workflow) -> _Known | None:
        """Write the lines of one job only; None when the change, or the text, needs more."""
        now = self.workflow
        changed = [name for name, job in then.jobs.items() if name not in now.jobs or not definition.same_job(job, now[name])]
        if len(changed) != 1 or not self.spans or (now.name, dict(now.layout)) != (then.name, dict(then.layout)):
            return None
        [name] = changed
        others = [other for other in then.jobs if other != name or name in now.jobs]
        if others != list(now.jobs):
            return None
        try:
            return self._changed(then, name) if name in now.jobs else self._added(then, name)
        except DefinitionError:  # these lines mean something only where they are
            return None

    def _changed(self, then: Workflow, name: str) -> _Known | None:
        start, end = self.spans[name]
        old, new = ({name: definition.readable(workflow[name])} for workflow in (self.workflow, then))
        root = document.compose(lines := self.text[start:end])
        if not isinstance(root, Fields):
            return None
        return self._with(then, name, lines=rewrite.edit(lines, root, old, new), at=(start, end))

    def _added(self, then: Workflow, name: str) -> _Known | None:
        """Write a job below the one that it follows, with a blank line between them where there are such lines."""
        names = list(then.jobs)
        if not (number := names.index(name)):
            return None
        start, end = self.spans[names[number - 1]]
        indent = len(self.text[start:end]) - len(self.text[start:end].lstrip(" "))
        newline = "\r\n" if "\r\n" in self.text else "\n"
        *ends, _ = (end for _, end in self.spans.values())
        spaced = any(self.text.startswith(newline, end) for end in ends)
        lines = newline.join([*rewrite.block({name: definition.readable(then[name])}, indent=indent), ""])
        return self._with(then, name, lines=lines, at=(end, end), above=newline if spaced else "")

    def _with(self, then: Workflow, name: str, *, lines: str, at: tuple[int, int], above: str = "") -> _Known | None:
        """Put a job's lines in the place of others, if they say what they are to say."""
        root = document.compose(lines)
        if not isinstance(root, Fields) or [*rewrite.spans(lines, root)] != [name] or not _says(root, then[name]):
            return None
        start, end = at
        text = "".join((self.text[:start], above, lines, self.text[end:]))
        shift, first = len(text) - len(self.text), start + len(above)
        spans = {other: (a, b) if a < start else (a + shift, b + shift) for other, (a, b) in self.spans.items()}
        spans[name] = (first, first + rewrite.spans(lines, root)[name][1])
        return _Known(text, then, {other: spans[other] for other in then.jobs})


def _says(root: Fields, job: Job) -> bool:
    """Do these lines say this job, and nothing else?"""
    key, node = root.nodes[:2]
    read = Reader("", None).job(key, node) if isinstance(key, Scalar) and len(root.nodes) == 2 else None
    return read is not None and definition.same_job(read, job)


def _spans(text: str, root: Node) -> dict[str, tuple[int, int]]:
    """Return where each job stands; nothing when other places are to be written with the next change."""
    tables = {key.text: node for key, node in root.pairs() if isinstance(key, Scalar)} if isinstance(root, Fields) else {}
    jobs, layout = tables.get("jobs"), tables.get("layout")
    if not isinstance(jobs, Fields) or not isinstance(root, Fields) or not rewrite.spans(text, root):
        return {}
    spans = rewrite.spans(text, jobs)
    places = [key.text for key, _ in layout.pairs() if isinstance(key, Scalar)] if isinstance(layout, Fields) else []
    return spans if spans.keys() >= set(places) else {}


def _nothing(file: str) -> Workflow:
    """Return the workflow of a file that is not there, named as the file, as far as a name can be that."""
    name = _UNFIT.sub("-", Path(file).stem).strip("-.+=@")[:NAME_LENGTH]
    return Workflow(name if name and not about_name(name) else "workflow")
