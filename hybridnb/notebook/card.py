"""What a cell shows of a job, a sweep, a run: mime bundles that still tell when, where and what a year later. Pure, bounded, escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from .. import show
from ..model import Job, Workflow
from ..show import Column, Status
from . import html, telling
from .html import Html
from .rows import member_rows, run_rows, table_html, varied, with_sign
from .telling import NAME, RECORDED, dots, line

MIME = "application/vnd.hybridnb.card+json"
Bundle = dict[str, Any]

MEMBERS, JOBS = 12, 40  # rows of a card
SIZE = 20_000  # bytes of a job's card, and of a sweep's
PICTURE = 300_000  # bytes; a larger picture stays in the run's folder
_WIDTH, _HEIGHT = 110, 29  # columns and lines of a run's plain text


@dataclass(frozen=True, slots=True)
class _About:
    """What a card is about, and when it is told."""

    file: str
    run: str | None
    note: str
    at: datetime

    @classmethod
    def of(cls, file: str, run: str | None, note: str, at: datetime | None) -> _About:
        return cls(file, run, note, telling.local(at))

    @property
    def source(self) -> str:
        return line(self.file)

    def payload(self, name: str | None, state: str, *, ended: bool, started_at: str | None) -> dict[str, Any]:
        """What a program reads of the card. Times are UTC, ISO 8601."""
        about = {"version": 1, "file": self.file, "job": name, "run": self.run, "state": state, "ended": ended}
        return {**about, "started_at": started_at}

    def foot(self, *, ended: bool, source: bool = True) -> Html:
        """Where it is recorded, and when what is not over was told."""
        file = html.text(self.source) if source else Html("")
        run = html.text(f"run {line(self.run, NAME)}") if self.run and source else Html("")
        told = Html("") if ended or not self.run else html.text(f"as of {telling.stamp(self.at)}")
        return html.joined((self.remark(), html.small(*filter(None, (file, run, told)))), "\n")

    def remark(self) -> Html:
        return html.row(html.text("⚠"), html.text(line(self.note))) if self.note else Html("")


def gone_card(name: str, *, file: str) -> Bundle:
    """Say of a job that it is not in the file, and was never run."""
    about = _About.of(file, None, "", None)
    told = f"{line(name, NAME)} is not in {about.source} any more; run its cell again to record it"
    return {
        "text/html": html.card(html.muted(told)),
        "text/plain": told,
        MIME: about.payload(name, "", ended=True, started_at=None),
    }


# -- a job ----------------------------------------------------------------------------------------------------------------
def job_card(
    job: Job,
    status: Status | None,
    *,
    file: str,
    run: str | None = None,
    log: Sequence[str] = (),
    note: str = "",
    outputs: Sequence[str] = (),
    at: datetime | None = None,
) -> Bundle:
    """Show one job of the workflow's `file`: how it stands, or without a status that it is recorded and was not run.

    `outputs` are files, in words; `at` is the moment for which it is told, by default now. It never takes more than 20 kB.
    """
    about = _About.of(file, run if status else None, note, at)
    state = telling.state_of(status)
    ended = state in show.FINAL
    body = html.card(
        _head(job, status, about),
        html.facts(_job_facts(job, status, about, outputs)),
        html.log(telling.log_lines(log, telling.LOG_LINES, 4000)),
        about.foot(ended=ended),
    )
    started_at = status["started_at"] if status else None
    return {
        "text/html": body,
        "text/plain": _job_text(job, status, about, log),
        MIME: about.payload(job.name, state, ended=ended, started_at=started_at),
    }


def _head(job: Job, status: Status | None, about: _About) -> Html:
    state = telling.state_of(status)
    host = line(status["host"] if status else job.host, NAME)
    word = html.text("recorded, not run yet,") if state == RECORDED else html.joined((html.text("·"), html.bold(state)), " ")
    how = html.text(_how_long(status, about.at))
    told = (html.sign(state), html.element("b", html.apart(line(job.name, NAME))), word, html.text("on"), html.apart(host), how)
    done = telling.percent(status)
    return html.joined((html.row(*told), html.row(html.bar(done)) if done is not None else Html("")), "\n")


def _how_long(status: Status | None, at: datetime) -> str:
    """Say how long what is over took; what goes on says since when."""
    return f"in {took}" if status and status["state"] in show.FINAL and (took := telling.took(status, at)) else ""


def _job_facts(job: Job, status: Status | None, about: _About, outputs: Sequence[str]) -> Iterable[tuple[str, Html]]:
    if status:
        code = status["exit_code"]
        numbers = (telling.attempt(status, job), telling.native(status), "" if code is None else f"exit code {code}")
        yield "when", html.text(telling.when(status, about.at))
        yield "as", html.joined(map(html.text, filter(None, numbers)), " · ")
        yield "reason", html.text(telling.reason(status))
    yield "params", _listed(telling.pairs(job.params))
    yield "sweep", _listed(telling.pairs({name: list(values) for name, values in job.sweep.items()}))
    if status:
        yield "metrics", _listed(telling.pairs(status["metrics"]))
    yield "outputs", _listed(telling.some((line(path, telling.LINE) for path in outputs or job.outputs), 1200), ", ")
    yield "after", _listed(telling.some(map(str, job.after), 700))
    yield "asks for", _listed(telling.pairs(telling.asked(job), 700))


def _listed(words: Sequence[str], between: str = "\u2002") -> Html:
    return html.joined((html.element("bdi", html.text(word)) for word in words), f"{between}\n" if between else "\n")


def _job_text(job: Job, status: Status | None, about: _About, log: Sequence[str]) -> str:
    name = line(job.name, NAME)
    facts = telling.pairs(job.params, 500) + (telling.pairs(status["metrics"], 500) if status else [])
    lines = [" ".join(facts), *(f"    {text}" for text in telling.log_lines(log, 5, 1200))]
    if status is None:
        first = f"○ {name}  recorded in {about.source}, not run yet · on {line(job.host, NAME)}"
        return "\n".join(filter(None, (first, *lines, line(about.note))))
    done = telling.percent(status)
    far = f"{int(done)} %" if done is not None else ""
    first = f"{show.Screen().symbol(status['state'])} {name}  {status['state']} on {line(status['host'], NAME)} {_how_long(status, about.at)}"
    run = f"run {line(about.run, NAME)}" if about.run else ""
    second = (telling.when(status, about.at), telling.attempt(status, job), line(status["reason"]))
    told = [dots(first.rstrip(), far, run, telling.native(status)), dots(*second)]
    return "\n".join(filter(None, (*told, *lines, line(about.note))))


# -- a sweep --------------------------------------------------------------------------------------------------------------
def group_card(
    name: str,
    members: Mapping[str, tuple[Job, Status | None]],
    *,
    file: str,
    run: str | None = None,
    note: str = "",
    at: datetime | None = None,
) -> Bundle:
    """Show the jobs of a sweep: how many are in each state, and those that press most with what tells them apart."""
    about = _About.of(file, run, note, at)
    bundles = (_group_bundle(name, members, about, room) for room in (MEMBERS, 6, 3, 1))
    return next((bundle for bundle in bundles if len(json.dumps(bundle)) < SIZE), None) or _group_bundle(name, members, about, 0)


def _group_bundle(name: str, members: Mapping[str, tuple[Job, Status | None]], about: _About, room: int) -> Bundle:
    states = {job: telling.state_of(status) for job, (_, status) in members.items()}
    tally = telling.tally(states.values())
    state = telling.overall(tally)
    ended = bool(tally) and all(word in show.FINAL for word in tally)
    names = telling.pressing(states, room)
    differing = varied([job for job, _ in members.values()])
    head, rows = member_rows({job: members[job] for job in names}, differing, about.at)
    title = f"{'sweep' if differing else 'group'} of {show.number(len(members), 'job')}"
    started = [status["started_at"] for _, status in members.values() if status and status["started_at"]]
    body = html.card(
        html.row(html.sign(state), html.element("b", html.apart(line(name, NAME))), html.text(title)),
        html.stack(tally),
        html.row(html.counts(tally)),
        table_html(head, rows, [states[job] for job in names]),
        _left(len(members) - len(names)),
        about.foot(ended=ended),
    )
    run = f"run {line(about.run, NAME)}" if about.run else ""
    words = [dots(f"{_symbol(state)} {line(name, NAME)}  {title}: {telling.counted(tally)}", run)]
    plain = [with_sign(cells, states[job]) for cells, job in zip(rows[:6], names)]
    words += [f"    {text}" for text in show.grid(head, plain, show.Screen(_WIDTH))] if plain else []
    return {
        "text/html": body,
        "text/plain": "\n".join(filter(None, (*words, line(about.note)))),
        MIME: about.payload(name, state, ended=ended, started_at=min(started, default=None)),
    }


# -- a run ----------------------------------------------------------------------------------------------------------------
def run_card(
    workflow: Workflow,
    told: Mapping[str, Any] | None,
    *,
    file: str,
    note: str = "",
    picture: str = "",
    at: datetime | None = None,
    absent: str | None = None,
) -> Bundle:
    """Show a run as the client's status tells it, or a workflow that was not run yet, with its picture (SVG).

    A file that is not there is told by `absent`, with the nearest name, if there is one ("; did you mean …?").
    The picture is within the HTML only. As image/svg+xml beside it, exports by LaTeX would fail where Inkscape is missing, and elsewhere
    show the picture in place of the text, which tells more.
    """
    about = _About.of(file, told["run"] if told else None, note, at)
    statuses: dict[str, Status | None] = {**dict.fromkeys(workflow.jobs), **(told["jobs"] if told else {})}
    states = {name: telling.state_of(status) for name, status in statuses.items()}
    state = told["state"] if told else RECORDED
    ended = bool(told and told["ended_at"])
    fits = 0 < len(picture.encode()) <= PICTURE
    text = _run_text(workflow, told, about, absent)
    parts = [
        *_run_head(workflow, told, telling.tally(states.values()), about, absent),
        html.picture(picture, f"The jobs of {workflow.name} as a graph") if fits else Html(""),
        html.small(html.text("The picture is large: it is graph.svg in the run's folder")) if picture and not fits else Html(""),
        _run_table(workflow, statuses, states, about, room=SIZE - 3000 - len(json.dumps(text))),
        about.foot(ended=ended, source=False),
    ]
    payload = about.payload(None, state, ended=ended, started_at=told["created_at"] if told else None)
    return {"text/html": html.card(*parts), "text/plain": text, MIME: payload}


def _run_table(
    workflow: Workflow, statuses: Mapping[str, Status | None], states: Mapping[str, str], about: _About, *, room: int
) -> Html:
    """Lay out the jobs that press most, as many as there is room for, in bytes."""
    for most in (JOBS, 24, 16, 12, 8, 4):
        names = telling.pressing(states, most)
        head, rows = run_rows({name: (workflow.jobs.get(name), statuses[name]) for name in names}, about.at)
        told = html.joined((table_html(head, rows, [states[name] for name in names]), _left(len(states) - len(names))))
        if len(json.dumps(told)) < room:
            break
    return told


def _recorded(workflow: Workflow, about: _About, absent: str | None, *, edges: bool) -> str:
    """Say where a workflow that was not run yet is recorded, and how large it is."""
    if absent is not None:
        return f"{about.source} does not exist yet; the first job that is added begins it{absent}"
    count = sum(len(job.after) for job in workflow.jobs.values())
    size = show.number(len(workflow.jobs), "job") + (f", {show.number(count, 'edge')}" if edges else "")
    return f"recorded in {about.source}, not run yet: {size}"


def _run_head(
    workflow: Workflow, told: Mapping[str, Any] | None, tally: Mapping[str, int], about: _About, absent: str | None
) -> Iterable[Html]:
    name = html.element("b", html.apart(line(workflow.name, NAME)))
    if not told:
        yield html.row(html.sign(RECORDED), name, html.text(_recorded(workflow, about, absent, edges=True)))
        return
    run = html.text(f"run {line(told['run'], NAME)}")
    how = f"{'in' if told['ended_at'] else 'for'} {telling.took(told, about.at, start='created_at')}"
    yield html.row(html.sign(told["state"]), name, run, html.text("·"), html.bold(told["state"]), html.text(how))
    yield html.stack(tally)
    yield html.row(html.counts(tally))
    start, end = told["created_at"], told["ended_at"]
    yield html.facts(
        [
            ("when", html.text(telling.period(start, end) if end else telling.so_far("going", start, about.at))),
            ("record", html.joined((html.text(_near(told["folder"], about.file)), html.muted(f"of {about.source}")), " ")),
            *(("held up", html.text(why)) for why in _held_up(told)),
        ]
    )


def _held_up(told: Mapping[str, Any]) -> list[str]:
    """Say why hosts, or the run itself, do not go on."""
    return [show.trouble(line(place, NAME), line(why)) for place, why in list(told.get("problems", {}).items())[:5]]


def _near(folder: str, file: str) -> str:
    """Write a run's folder from where its workflow's file is, when it lies beside it as runs do."""
    path = PurePath(folder)
    beside = path.parent.name == f"{PurePath(file).stem}.runs"
    return line(f"{path.parent.name}/{path.name}" if beside else folder)


def _run_text(workflow: Workflow, told: Mapping[str, Any] | None, about: _About, absent: str | None) -> str:
    note = line(about.note)
    if not told:
        names = telling.some((line(name, NAME) for name in workflow.jobs), 2000)
        first = f"○ {line(workflow.name, NAME)}  {_recorded(workflow, about, absent, edges=False)}"
        return "\n".join(filter(None, (first, ", ".join(names), note)))
    start, end = told["created_at"], told["ended_at"]
    when = telling.period(start, end) if end else f"{telling.so_far('going', start, about.at)}, as of {telling.stamp(about.at)}"
    head = {"workflow": line(told["workflow"], NAME), "run": line(told["run"], NAME)}
    times = {"created_at": start, "ended_at": end or about.at.isoformat()}
    jobs = {line(name, NAME): status for name, status in told["jobs"].items()}
    states = {name: status["state"] for name, status in jobs.items()}
    troubles = (f"held up: {why}" for why in _held_up(told))
    notes = [when, *troubles, f"record: {_near(told['folder'], about.file)}", *([note] if note else [])]
    screen = show.Screen(_WIDTH, _HEIGHT)
    lines = show.picture({**head, **times}, states, lambda name: telling.tidy(jobs[name], about.at), screen, notes=notes)
    return "\n".join([f"{_symbol(told['state'])} {told['state']}  {lines[0]}", *lines[1:]])


# -- lists ----------------------------------------------------------------------------------------------------------------
def runs_card(told: Sequence[Mapping[str, Any]], *, at: datetime | None = None) -> Bundle:
    """List runs, each as `view.summary` tells it (with its "params", if the caller knows them), the newest first."""
    now = telling.local(at)
    head = [
        *(Column("state"), Column("run"), Column("workflow", least=12), Column("began", leaves=1), Column("elapsed", right=True)),
        *(Column("jobs", leaves=2, least=16, clip=True), Column("params", leaves=3, least=20, clip=True)),
        Column("file", leaves=4, least=16, clip=True),
    ]
    rows = [
        [
            *("", line(run["run"], NAME), line(run["workflow"], NAME)),
            telling.stamp(show.moment(run["created_at"])) if run["created_at"] else "",
            telling.took(run, now, start="created_at"),
            telling.counted(run["counts"]) or line(run["problem"]),
            " ".join(telling.pairs(run.get("params", {}), 400)),
            line(run["source"]),
        ]
        for run in told[:JOBS]
    ]
    return _list_card(head, rows, [run["state"] for run in told[:JOBS]], len(told), "no runs yet")


def hosts_card(told: Mapping[str, Mapping[str, Any]]) -> Bundle:
    """List hosts as the client tells them, each with its problem."""
    keys = ("transport", "scheduler", "address", "slots")
    head = [Column("host"), *(Column(key, leaves=1, right=key == "slots") for key in keys), Column("problem", least=16, clip=True)]
    rows = [
        [line(name, NAME), *(line(host.get(key) or "", NAME) for key in keys), line(host.get("problem", ""))]
        for name, host in list(told.items())[:JOBS]
    ]
    bundle = _list_card(head, rows, [], len(told), "no hosts")
    text = "\n".join([bundle["text/plain"], *map(line, show.misdescribed(told))])
    return {**bundle, "text/plain": text}


def _list_card(head: Sequence[Column], rows: Sequence[Sequence[str]], states: Sequence[str], total: int, none: str) -> Bundle:
    if not rows:
        return {"text/html": html.card(html.muted(none)), "text/plain": none}
    left = f"and {total - len(rows):,} more" if total > len(rows) else ""
    plain = [with_sign(cells, state) for cells, state in zip(rows, states)] if states else rows
    text = "\n".join(filter(None, (*show.grid(head, plain, show.Screen(140)), left)))
    return {
        "text/html": html.card(table_html(head, rows, states), html.small(html.text(left)) if left else Html("")),
        "text/plain": text,
    }


def _symbol(state: str) -> str:
    return "○" if state == RECORDED else show.Screen().symbol(state)


def _left(number: int) -> Html:
    return html.small(html.text(f"and {show.number(number, 'more job')}")) if number > 0 else Html("")
