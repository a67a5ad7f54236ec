"""The tables of cards, as rows of words; and how these become HTML or plain text. The first cell of a row is its state's, with how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .. import show
from ..model import Job
from ..show import Column, Status
from . import html, telling
from .html import Html
from .telling import NAME, RECORDED, line

_STATE, _JOB, _HOST = Column("state"), Column("job", least=12), Column("host", leaves=1)
_TOOK = Column("elapsed", right=True)
_PARAMS, _METRICS = Column("params", least=18, clip=True), Column("metrics", least=14, clip=True)
_REASON, _AFTER = Column("reason", least=18, clip=True), Column("after", clip=True)
_MOST = 6  # params, and metrics, that have a column each
_SHORT = 30  # characters of a value in its column


def varied(jobs: Sequence[Job]) -> list[str]:
    """Find the params in which the jobs differ: those that are swept; all of a single one."""
    names = dict.fromkeys(name for job in jobs for name in job.params)
    first = jobs[0].params if jobs else {}
    return [name for name in names if len(jobs) == 1 or any(job.params.get(name) != first.get(name) for job in jobs)][:_MOST]


def member_rows(
    members: Mapping[str, tuple[Job, Status | None]], swept: Sequence[str], at: datetime
) -> tuple[list[Column], list[list[str]]]:
    """Lay out jobs of a sweep: what each was given, what came out, and how far it is."""
    metrics = list(dict.fromkeys(name for _, status in members.values() if status for name in status["metrics"]))[:_MOST]
    head = [_STATE, *(Column(line(name, _SHORT), right=True) for name in (*swept, *metrics)), _TOOK, _JOB, _HOST]
    rows = []
    for name, (job, status) in members.items():
        values = [*_values(job.params, swept), *_values(status["metrics"] if status else {}, metrics)]
        where = [line(name, NAME), line(status["host"] if status else job.host, NAME)]
        rows.append(
            [
                _far(status),
                *values,
                telling.took(status, at) if status else "",
                *where,
                line(status["reason"], 120) if status else "",
            ]
        )
    return [*head, Column("", least=16, clip=True)], rows


def _values(known: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [line(telling.value(known[name]), _SHORT) if name in known else "" for name in names]


def _far(status: Status | None) -> str:
    """Say how far a job is."""
    done = telling.percent(status)
    return f"{int(done)} %" if done is not None else ""


def run_rows(jobs: Mapping[str, tuple[Job | None, Status | None]], at: datetime) -> tuple[list[Column], list[list[str]]]:
    """Lay out jobs of a run, or of a workflow that was not run: first what an experiment is read for, as a page may cut a wide table."""
    head = [
        *(_STATE, _JOB, _HOST, _TOOK, _PARAMS, _METRICS, Column("exit", right=True), _REASON, _AFTER),
        *(Column(f"started ({telling.zone(at)})"), Column("native id"), Column("attempt", right=True)),
    ]
    again = any(status and status["attempt"] > 1 for _, status in jobs.values())
    rows = [_run_row(name, job, status, at, again=again) for name, (job, status) in jobs.items()]
    return head, rows


def _run_row(name: str, job: Job | None, status: Status | None, at: datetime, *, again: bool) -> list[str]:
    params = " ".join(telling.pairs(job.params, 400)) if job else ""
    if status is None:
        after = ", ".join(telling.some(map(str, job.after), 400)) if job else ""
        return ["", line(name, NAME), line(job.host if job else "", NAME), "", params, "", "", "", after, "", "", ""]
    code, attempt = status["exit_code"], status["attempt"]
    return [
        *(_far(status), line(name, NAME), line(status["host"], NAME), telling.took(status, at), params),
        *(
            " ".join(telling.pairs(status["metrics"], 400)),
            "" if code is None else str(code),
            telling.reason(status, telling.LINE),
            "",
        ),
        *(_began(status, at), line(status["native_id"] or "", 40), str(attempt) if attempt and again else ""),
    ]


def _began(status: Status, at: datetime) -> str:
    """Say when a job began, with the zone when it is not that of the head."""
    if not status["started_at"]:
        return ""
    began = show.moment(status["started_at"])
    return f"{began:%Y-%m-%d %H:%M:%S}" if telling.zone(began) == telling.zone(at) else telling.stamp(began)


def table_html(head: Sequence[Column], rows: Sequence[Sequence[str]], states: Sequence[str] = ()) -> Html:
    """Lay out rows of plain words as HTML; with states, the first cell of each row is its state's (of what was run)."""
    cells = [[html.text(word) for word in words] for words in rows]
    for words, state in zip(cells, states):
        words[0] = html.joined((html.sign(state), html.bold(state), words[0]), " ") if state != RECORDED else Html("")
    return html.table(head, cells)


def with_sign(cells: Sequence[str], state: str) -> list[str]:
    """Put the state's symbol and word into a row of plain text."""
    return [f"{show.Screen().state(state)} {cells[0]}".rstrip() if state != RECORDED else "", *cells[1:]]
