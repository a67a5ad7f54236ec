"""A cell becomes a job of the workflow's file: added, changed or renamed, and never against what somebody else wrote there."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import sweep
from ..definition import from_mapping, to_mapping
from ..errors import CallError, DefinitionError, did_you_mean
from ..merge import NESTED, merge
from ..model import Dependency, Job, Workflow
from ..rewrite import alike
from ..workflow_file import WorkflowFile
from .cells import Cells, Entry
from .place import Cell, Notebook

_CYCLE = re.compile(r"[\w.+=@-]+(?: -> [\w.+=@-]+)+")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a cell."""

    job: Job
    before: str | None  # the name that it had
    fresh: bool  # was it not there before?


class Recorder:
    """Records the cells of one notebook as jobs of one workflow's file."""

    def __init__(self, file: WorkflowFile, notebook: Notebook | None) -> None:
        self.file, self.notebook = file, notebook
        self.cells = Cells(file.path)
        self._began = time.time()

    def __repr__(self) -> str:
        return f"Recorder({str(self.file.path)!r}, {self.notebook!r})"

    def record(self, name: str | None, said: Mapping[str, Any], cell: Cell, *, replaces: bool = False) -> Recorded:
        """Record what a cell says under this name, or the one that the cell has had.

        Raises CallError when another cell has the name, or when it waits for a job that is not there; Conflict when the file was changed
        otherwise meanwhile; DefinitionError for what cannot be a job, a cycle, or a file that is broken.
        """
        before = self._job_of(cell)
        name = name or before or (self._job_of_text(cell) if cell.records else None) or self._unused()
        mine = to_mapping(from_mapping(name, said))
        if not replaces:
            self._refuse_other_cells(name, cell)
        there: list[Workflow] = []

        def change(workflow: Workflow) -> Workflow:
            there.append(workflow)
            if before and before != name and before in workflow.jobs:
                workflow = _renamed(workflow, before, name, replaces=replaces)
            return workflow.with_job(self._merged(name, mine, workflow, before=before, replaces=replaces))

        try:
            after = self.file.edit(change)
        except DefinitionError as error:
            raise self.explained(error) from None
        self._note(name, mine, cell, instead_of=before)
        return Recorded(
            after[name], before if before != name else None, name not in there[-1].jobs and before not in there[-1].jobs
        )

    def stale(self, jobs: Collection[str] = ()) -> list[str]:
        """Return the jobs, of these or of all, whose cell was changed in the saved notebook since it recorded them."""
        return [entry.job for entry, cell in self._saved_since(jobs) if cell and digest(cell.source) != entry.digest]

    def orphans(self, jobs: Collection[str] = ()) -> list[str]:
        """Return the jobs, of these or of all, whose cell is not in the saved notebook any more."""
        return [entry.job for entry, cell in self._saved_since(jobs) if cell is None and entry.job in self.file.definition.jobs]

    def _saved_since(self, jobs: Collection[str]) -> Iterator[tuple[Entry, Cell | None]]:
        """Yield what cells said before the notebook was saved, each with its cell as it was saved."""
        saved_at = self.notebook.saved_at if self.notebook else 0.0
        mine = [e for e in self.cells.entries() if e.cell and e.at < saved_at and self._is_mine(e) and (not jobs or e.job in jobs)]
        saved = {cell.id: cell for cell in self.notebook.cells()} if self.notebook and mine else {}  # to read it takes long
        if any(saved):  # older formats have no ids
            yield from ((entry, saved.get(entry.cell)) for entry in mine)

    def otherwise(self, job: Job) -> list[str]:
        """Return in what the file says otherwise of a job than its cell did when it was run last."""
        entry = self.cells.owner(job.name)
        return _differing(entry.wrote, to_mapping(job)) if entry else []

    def where(self, job: str) -> str:
        """Say which cell recorded a job; '' when that is not known."""
        entry = self.cells.owner(job)
        return self._told(entry) if entry and (entry.cell or entry.first) else ""

    # -- names ----------------------------------------------------------------------------------------------------------
    def _job_of(self, cell: Cell) -> str | None:
        """Return the job that this cell recorded last. A copy of a notebook has the same ids; one that was renamed keeps its jobs."""
        entries = [entry for entry in reversed(self.cells.entries()) if cell.id and entry.cell == cell.id]
        mine = [entry for entry in entries if self._is_mine(entry)]
        lost = [entry for entry in entries if not self._file_of(entry).saved_at]
        return next((entry.job for entry in (*mine, *lost)), None)

    def _job_of_text(self, cell: Cell) -> str | None:
        """Return the job that a cell of this text recorded when the front end told no id."""
        known = (e for e in reversed(self.cells.entries()) if not e.cell and self._is_mine(e) and e.digest == digest(cell.source))
        return next((entry.job for entry in known), None)

    def _unused(self) -> str:
        jobs = self.file.definition.jobs
        return next(name for number in range(1, len(jobs) + 2) if (name := f"job-{number}") not in jobs)

    def _refuse_other_cells(self, name: str, cell: Cell) -> None:
        entry = self.cells.owner(name)
        if entry is None or name not in self.file.definition.jobs or not self._lives(entry, cell):
            return
        raise CallError(
            f"the name '{name}' is in use by {self._told(entry)}: give this job another one, or take it over by --replace"
        )

    def _lives(self, entry: Entry, cell: Cell) -> bool:
        """Is the job another cell's, which is still in its notebook? One that was never saved counts as long as this kernel lives."""
        mine, notebook = self._is_mine(entry), self._file_of(entry)
        if not entry.cell or (mine and cell.id in ("", entry.cell)):
            return False
        if not notebook.saved_at:
            return entry.cell != cell.id and entry.at >= self._began
        saved = notebook.cell(entry.cell)
        if saved is None:
            return entry.at >= max(self._began, notebook.saved_at)
        return saved.names(entry.job)

    def _is_mine(self, entry: Entry) -> bool:
        return entry.notebook == self._notebook_name

    def _file_of(self, entry: Entry) -> Notebook:
        """Return the notebook of an entry; one that is not known is as one that was never saved."""
        if self.notebook and self._is_mine(entry):
            return self.notebook
        return Notebook(self.file.path.parent / (entry.notebook or "?.ipynb"))

    @property
    def _notebook_name(self) -> str:
        """The notebook as it is found from the workflow's folder: of one name there may be several."""
        return Path(os.path.relpath(self.notebook.path, self.file.path.parent)).as_posix() if self.notebook else ""

    def _told(self, entry: Entry) -> str:
        saved = self._file_of(entry).cell(entry.cell)
        which = (
            f"cell {saved.number} of {entry.notebook}" if saved else f"a cell of {entry.notebook}" if entry.notebook else "a cell"
        )
        return f"{which} ({saved.first if saved else entry.first})"

    # -- what is written ------------------------------------------------------------------------------------------------
    def _merged(self, name: str, mine: dict[str, Any], workflow: Workflow, *, before: str | None, replaces: bool) -> Job:
        """Put together what the cell says, what it said before, and what others wrote meanwhile."""
        there = workflow.jobs.get(name)
        base = self.cells.owner(before or name)
        theirs = to_mapping(there) if there else None
        if theirs is None or replaces:
            said = mine
        else:
            said = merge(base.wrote if base else None, mine, theirs, name=name, file=self.file.path.name)
        job = from_mapping(name, said)
        self._refuse_unknown_parents(job, workflow)
        return job

    def _refuse_unknown_parents(self, job: Job, workflow: Workflow) -> None:
        for dependency in job.after:
            if dependency.job not in workflow.jobs and dependency.job != job.name:
                raise CallError(f"'{job.name}' waits for '{dependency.job}', which {self._missing(dependency.job, workflow)}")

    def _missing(self, name: str, workflow: Workflow) -> str:
        cell = self.notebook.recording(name) if self.notebook else None
        if cell and self.notebook:
            return f"is not recorded yet: run cell {cell.number} of {self.notebook.path.name} ({cell.first}) first"
        if swept := _sweep_of(name, workflow):
            return f"is one of the sweep '{swept}', which can only be waited for as a whole: --after {swept}"
        known = f" (there are {', '.join(list(workflow.jobs)[:10])})" if workflow.jobs else ""
        return f"is no job of {self.file.path.name}{did_you_mean(name, workflow.jobs)}{known}; run its cell first"

    def explained(self, error: DefinitionError) -> DefinitionError:
        """Say which cells a cycle goes through."""
        names = [name for p in error.problems for found in _CYCLE.findall(p.message) for name in found.split(" -> ")]
        told = [f"  '{name}' is {where}" for name in dict.fromkeys(names) if (where := self.where(name))]
        return DefinitionError([*error.problems, *told]) if told else error

    def _note(self, name: str, mine: dict[str, Any], cell: Cell, *, instead_of: str | None) -> None:
        entry = Entry(name, cell.id, self._notebook_name, cell.first, digest(cell.source), time.time(), mine)
        known = self.cells.owner(name)
        if known is None or replace(known, at=entry.at) != entry or instead_of not in (None, name):
            self.cells.note(entry, instead_of=instead_of)


def _sweep_of(name: str, workflow: Workflow) -> str:
    """Return the sweep that a job of this name is one of, or ''."""
    with suppress(DefinitionError):  # too many edges, of which this is not the place to tell
        job = sweep.expand(workflow).jobs.get(name)
        return job.group if job and job.group in workflow.jobs else ""
    return ""


def _renamed(workflow: Workflow, old: str, new: str, *, replaces: bool) -> Workflow:
    """Let a job go by another name; one that has it gives it up when it is replaced, and what waited for either waits for the new one."""
    if not replaces or new not in workflow.jobs:
        return workflow.renamed(old, new)
    waits = {name: job.after for name, job in workflow.jobs.items()}
    left = workflow.without(new).renamed(old, new)
    return replace(left, jobs={name: _waiting(job, waits.get(name, ()), new) for name, job in left.jobs.items()})


def _waiting(job: Job, before: Iterable[Dependency], new: str) -> Job:
    """Give a job back its edge from the one that was replaced, if it has none now."""
    back = tuple(d for d in before if d.job == new and job.name != new and new not in job.parents)
    return replace(job, after=(*job.after, *back)) if back else job


def _differing(mine: Mapping[str, Any], said: Mapping[str, Any], within: str = "") -> list[str]:
    """Return the keys of what is said otherwise, or not at all."""
    found: list[str] = []
    for key, value in mine.items():
        if key in NESTED and not within and isinstance(value, Mapping):
            found += _differing(value, said.get(key, {}), f"{key}.")
        elif key not in said or not alike(value, said[key]):
            found.append(f"{within}{key}")
    return found


def digest(source: str) -> str:
    """Return what tells two cells apart."""
    return hashlib.sha256(source.strip().encode(errors="replace")).hexdigest()[:16]


def left_behind(notebook: Notebook) -> Path | None:
    """Find the workflow that cells of this notebook were recorded in when the notebook had another name."""
    ids, folder = {cell.id for cell in notebook.cells() if cell.id}, notebook.path.parent
    for runs in sorted(folder.glob("*.runs")) if ids else ():
        file = next((file for end in (".yaml", ".yml") if (file := runs.with_suffix(end)).is_file()), None)
        names = {entry.notebook for entry in Cells(file).entries() if entry.cell in ids} if file else set()
        if names and not any((folder / name).exists() for name in names):
            return file
    return None


def beside(notebook: Path | None) -> Path:
    """Return the workflow's file of a notebook: beside it, of the same name."""
    return notebook.with_suffix(".yaml") if notebook else Path.cwd() / "workflow.yaml"
