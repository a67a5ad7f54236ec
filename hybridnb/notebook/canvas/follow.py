"""A going run follows what is edited, as far as its jobs have not started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from ... import show, sweep
from ...client import Client
from ...definition import to_mapping
from ...errors import HybridnbError
from ...model import Job, Workflow

if TYPE_CHECKING:
    from ..book import Book

_FEW = 5  # names that are told


def follow(book: Book, before: Workflow, after: Workflow) -> str:
    """Hand an edit of the file over to the run of it that goes on; say what it does not follow, or ''."""
    if before.jobs == after.jobs:
        return ""
    told = "the newest run goes on as it was"
    try:
        reading = book.latest
        if reading is None or reading.ended:
            return ""
        run, there = reading.run.id, dict(reading.run.jobs)
        told = f"run {run} goes on as it was"
        was, now = sweep.expand(before).jobs, sweep.expand(after).jobs
        with closing(Client()) as client:
            if was and there.keys() >= was.keys():
                kept = client.change(str(reading.folder), book.path)["kept"]
            else:
                kept = list(_some(client, str(reading.folder), there, was, now))
    except HybridnbError as error:
        return f"{told}: {error}"
    names = [f"'{name}'" for name in kept if was.get(name) != now.get(name)]
    return f"run {run} goes on with {show.several(names, _FEW)} as it was: too late to change" if names else ""


def _some(client: Client, run: str, there: Mapping[str, Job], was: Mapping[str, Job], now: Mapping[str, Job]) -> Iterator[str]:
    """Change only what is in a run of some of the jobs; yield what does not follow."""
    for name, job in now.items():
        if name in there and was.get(name) != job:
            inside = tuple(dependency for dependency in job.after if dependency.job in there)
            yield from client.define(run, name, to_mapping(replace(job, after=inside)))["kept"]
    for name in was:
        if name in there and name not in now:
            yield from client.remove(run, name)["kept"]
