"""A unit: what one sbatch starts, an attempt or an array of them, and how it is ordered from cluster.sh."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Set as AbstractSet
from shlex import quote

from ..attempts import Submission, spec
from ..transport import File
from . import dialect as slurm
from .ticket import Ticket

LARGEST = 1000  # tasks of an array: a site's MaxArraySize is 1001 if nobody changed it
_UNITS = 64  # calls of sbatch in one conversation: a busy controller takes a second for each


def gather(tickets: Iterable[Ticket], *, largest: int, full: AbstractSet[object] = frozenset()) -> list[list[Ticket]]:
    """Put them together, for one conversation: those of one run with equal options that wait for the same become an array.

    A unit stands where its first attempt stood: so parents stay before their children. Of a kind that is `full` one is enough to ask.
    """
    units: list[list[Ticket]] = []
    going: dict[object, list[Ticket]] = {}
    asked: set[object] = set()
    for ticket in tickets:
        alike = (ticket.run, ticket.kind, ticket.submission.after)
        unit = going.get(alike)
        if unit is None or len(unit) >= largest:
            if ticket.kind in full:
                if ticket.kind in asked:
                    continue
                asked.add(ticket.kind)
            if len(units) >= _UNITS:
                break
            unit = going[alike] = []
            units.append(unit)
        unit.append(ticket)
    return units


def order(tickets: list[Ticket], *, backoff: int) -> str:
    """Write what cluster.sh is asked for a unit. The same attempts make the same token, however often they are sent."""
    first, many = tickets[0].submission, len(tickets) > 1
    tokens = "".join(t.submission.token for t in tickets)
    token = hashlib.sha256(tokens.encode()).hexdigest()[:16] if many else first.token
    what = f"{len(tickets)} jobs" if many else f"job {first.job.name}"
    run = tickets[0].run
    options = slurm.sending(
        slurm.options(first.job.resources),
        token=token,
        comment=f"hybridnb run {first.run} {what}",
        log=f"{run}/units/{token}/log",
        array=many,
    )
    tasks = "".join(t.place + slurm.task(t.submission, backoff=backoff) for t in tickets)
    return f"run={quote(run)}; begin {token}\n{tasks}send {quote(options)}\n"


def files(submission: Submission, *, grace: float) -> Iterator[File]:
    """Write an attempt's folder."""
    job = submission.job
    attempt = f"{submission.folder}/{submission.attempt}"
    if job.params or (job.file or "").endswith(".ipynb"):
        yield File(f"{submission.folder}/params.json", json.dumps(dict(job.params), ensure_ascii=False, indent=1).encode())
    yield File(f"{attempt}/script", submission.script.encode(errors="surrogateescape"))
    yield File(f"{attempt}/spec", spec(submission, grace=grace).encode(errors="surrogateescape"))
