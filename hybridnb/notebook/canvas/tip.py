"""What is told of a job beside its picture: how it stands in short, its log, its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ... import drawing, show, sweep, view
from ...errors import NotFound
from ...model import Job
from .. import telling
from ..book import members
from ..reading import final

if TYPE_CHECKING:
    from ...show import Status
    from ..book import Book
    from ..reading import Reading

Line = list[str]  # a word, and what it says


def lines(book: Book, name: str) -> list[Line]:
    """Say how a job, or a group, stands: in its newest run, or as it is recorded."""
    reading = book.last(name)
    if reading is None or name not in reading.run.jobs:
        return [line for line in _group(book, reading, name) if line[1]]
    status, job = reading.job(name), reading.run.jobs[name]
    return [line for line in (*_job(job, status, reading), *_given(job)) if line[1]]


def _job(job: Job, status: Status, reading: Reading) -> Iterator[Line]:
    at = telling.local(None)
    done = telling.percent(status)
    yield ["state", f"{status['state']}{f', {int(done)} %' if done is not None else ''}"]
    yield ["when", telling.when(status, at)]
    yield ["took" if final(status["state"]) else "so far", telling.took(status, at) if status["started_at"] else ""]
    yield ["reason", telling.line(status["reason"]) or _waits(job, status, reading)]
    yield ["host", telling.dots(telling.line(status["host"], telling.NAME), telling.native(status), telling.attempt(status, job))]
    yield ["metrics", "  ".join(telling.pairs(status["metrics"], 500))]
    yield ["log", next(iter(telling.log_lines(reading.log(job.name, dict(status)), 1, 400)), "")]


def _waits(job: Job, status: Status, reading: Reading) -> str:
    """Say what a job waits for that has not begun."""
    if status["state"] not in ("waiting", "queued", "submitting"):
        return ""
    above = {name: state.value for name, state in reading.states(job.parents).items() if not final(state.value)}
    if above:
        return f"waits for {', '.join(telling.some((f'{name} ({state})' for name, state in above.items()), 300))}"
    return f"waits for a free place on {telling.line(job.host, telling.NAME)}" if status["state"] == "queued" else ""


def _given(job: Job) -> Iterator[Line]:
    yield ["params", "  ".join(telling.pairs(job.params, 500))]
    yield ["after", ", ".join(telling.some(map(str, job.after), 500))]


def _group(book: Book, reading: Reading | None, name: str) -> Iterator[Line]:
    """Say how many jobs of a group are in each state; of what was not run, what it is."""
    states = [reading.run.states[member].value for member in members(reading, name)] if reading else []
    if states:
        yield ["state", telling.overall(telling.tally(states))]
        yield ["jobs", telling.counted(telling.tally(states))]
    jobs = book.definition.jobs
    job = jobs.get(name) or sweep.expand(book.definition).jobs.get(name)
    if job is None:
        found = sweep.members(jobs, name, of=book.name)  # raises NotFound for what is nothing
        yield ["group of", show.number(len(found), "job")]
        return
    if not states:
        yield ["state", "not run yet"]
    yield ["host", telling.line(job.host, telling.NAME)]
    yield ["sweep", "  ".join(telling.pairs({key: list(values) for key, values in job.sweep.items()}, 500))]
    yield from _given(job)


def log(book: Book, name: str, *, stream: str, offset: int, attempt: int | None) -> dict[str, Any]:
    """Return a piece of a log, as {"text", "offset": of the next, "ended", "run", "attempt", "attempts"}; offsets below 0 count from the end."""
    reading = _run(book, name)
    ended = final(reading.job(name)["state"])  # before it is read: what comes later belongs to it
    piece, offset = view.log(reading.folder, name, stream=stream, offset=offset, attempt=attempt)
    attempts = len(reading.run.attempts.get(name, ()))
    which = {"run": reading.run.id, "attempt": attempt or attempts, "attempts": attempts}
    return {"text": piece.decode(errors="replace"), "offset": offset, "ended": ended and not piece, **which}


def files(book: Book, name: str) -> list[tuple[str, int | None]]:
    """Return what a job left as outputs: names with sizes in bytes."""
    outputs = _run(book, name).outputs(name)
    told = [(path, about.get("size") if isinstance(about, dict) else None) for path, about in outputs.items()]
    return [(telling.line(path), size if isinstance(size, int) else None) for path, size in told]


def _run(book: Book, name: str) -> Reading:
    reading = book.last(name)
    if reading is None:
        sweep.members(sweep.expand(book.definition).jobs, name, of=book.name)
        raise NotFound(f"'{name}' has not been run yet")
    if name not in reading.run.jobs:
        raise NotFound(f"'{name}' is a group of jobs: expand it, and look at one of these")
    reading.refresh()
    return reading


def svg(book: Book) -> str:
    """Draw what the canvas shows: the file, as its jobs stand in the newest run."""
    reading, workflow = book.latest, sweep.expand(book.definition)
    known = reading.told()["jobs"] if reading else {}
    return drawing.draw(workflow, {name: show.look(known[name]) for name in workflow.jobs if name in known})
