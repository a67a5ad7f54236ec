"""How a run reads on a terminal: times, symbols, tables and the whole picture, as text. It opens and prints nothing."""

from __future__ import annotations

import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from textwrap import wrap
from typing import Any, NamedTuple

from .drawing import Look

Status = Mapping[str, Any]  # one job's, as a run's status has it


class Sign(NamedTuple):
    """How a state shows: a symbol, the same in ASCII, and the numbers of an ANSI style."""

    symbol: str
    ascii: str
    style: str


# In the order in which counts are told.
SIGNS: Mapping[str, Sign] = {
    "done": Sign("✔", "+", "32"),
    "failed": Sign("✘", "x", "1;31"),
    "lost": Sign("?", "?", "1;31"),
    "cancelled": Sign("–", "-", "35"),
    "skipped": Sign("»", "/", "2"),
    "cancelling": Sign("■", "#", "35"),
    "running": Sign("▶", ">", "33"),
    "submitting": Sign("↑", "^", "36"),
    "queued": Sign("≡", "=", "36"),
    "waiting": Sign("○", ".", "2"),
}
FINAL = ("done", "failed", "lost", "cancelled", "skipped")
BOLD, DIM, WARNING = "1", "2", "33"
_BAR = 16  # columns
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")  # a colour, a title, a move
# These move the cursor, ring, or turn the text around them.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Screen:
    """What text is made for. A width or height of 0 has no end."""

    width: int = 0
    height: int = 0
    colour: bool = False
    unicode: bool = True

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and text else text

    def symbol(self, state: str) -> str:
        return SIGNS[state].symbol if self.unicode else SIGNS[state].ascii

    def state(self, state: str) -> str:
        return f"{self.symbol(state)} {state}"

    def bar(self, part: float, width: int) -> tuple[str, str]:
        """Draw a part, 0 to 1, of so many columns: what is done, and the rest."""
        full = int(min(1.0, max(0.0, part)) * width)
        solid, empty = ("━", "─") if self.unicode else ("#", "-")
        return solid * full, empty * (width - full)


# -- words ----------------------------------------------------------------------------------------------------------------
def plain(text: str) -> str:
    """Make text harmless for a terminal: one line, no colours, no control characters."""
    return _UNFIT.sub(" ", ANSI.sub("", text))


def columns(text: str) -> int:
    """Count the columns of a terminal that the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int) -> str:
    """Leave out the middle of a text that is too wide: names that belong together often differ at their ends."""
    if columns(text) <= width:
        return text
    tail = _first(reversed(text), (width - 1) // 2)[::-1]
    head = _first(text, width - 1 - columns(tail))
    return f"{head}…{tail}" if width > 0 else ""


def folded(text: str, width: int, *, indent: str = "  ") -> list[str]:
    """Break a text into lines that fit; those below the first are indented."""
    if not width or columns(text) <= width:
        return [plain(text)]
    room = max(width, len(indent) + 10)
    return [fit(line, room) for line in wrap(plain(text), room, subsequent_indent=indent)]


def _first(characters: Iterable[str], width: int) -> str:
    taken = ""
    for character in characters:
        width -= columns(character)
        if width < 0:
            break
        taken += character
    return taken


def span(seconds: float) -> str:
    """Say how long: "0.8 s", "42 s", "3 min 05 s", "2 h 10 min", "3 d 4 h"."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def moment(at: str) -> datetime:
    """Read a time of a record, as local time."""
    return datetime.fromisoformat(at.replace("Z", "+00:00")).astimezone()


def clock(at: str | None) -> str:
    """Say a time of a record as this place's clock shows it, with the day unless it is today."""
    if not at:
        return ""
    then = moment(at)
    return then.strftime("%H:%M:%S" if then.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def elapsed(start: str | None, end: str | None) -> str:
    """Say how long something took, or takes so far."""
    if not start:
        return ""
    return span((moment(end).timestamp() if end else time.time()) - moment(start).timestamp())


def number(count: int, word: str) -> str:
    """Say "1 job", "2 jobs"."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def several(names: Sequence[str], most: int = 8) -> str:
    """List names; of many the first, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def trouble(place: str, why: str) -> str:
    """Say what is wrong with a host or a run, which is named once."""
    return plain(why if why.startswith(f"host '{place}'") else f"{place}: {why}")


def metrics(job: Status) -> str:
    """Say a job's metrics: "loss=0.31 epoch=3"."""
    return " ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}" for name, value in job["metrics"].items()
    )


def count(states: Mapping[str, int], screen: Screen) -> str:
    """Say how many jobs are in each state: "✔ 5 done  ▶ 2 running"."""
    return "  ".join(screen.paint(f"{screen.symbol(s)} {states[s]} {s}", SIGNS[s].style) for s in SIGNS if states.get(s))


# -- tables ---------------------------------------------------------------------------------------------------------------
class Column(NamedTuple):
    """One column of a table: the higher `leaves`, the sooner it goes on a narrow screen; it is squeezed to `least` columns."""

    title: str
    leaves: int = 0
    least: int = 0
    right: bool = False
    clip: bool = False  # what is too long loses its end, not its middle


def grid(head: Sequence[Column], rows: Iterable[Sequence[str]], screen: Screen, *, styles: Sequence[str] = ()) -> list[str]:
    """Lay out rows under their titles, within the screen; columns without content go. The first one has a row's style."""
    texts = [[plain(cell) for cell in row] for row in rows]
    widths = _widths(head, texts, screen.width)
    lines = [screen.paint("  ".join(_cell(head[i].title, w, head[i]) for i, w in widths.items()).rstrip(), DIM)]
    for index, row in enumerate(texts):
        cells = [_cell(row[i], width, head[i]) for i, width in widths.items()]
        if cells and styles:
            cells[0] = screen.paint(cells[0], styles[index])
        lines.append("  ".join(cells).rstrip())
    return lines


def _cell(text: str, width: int, column: Column) -> str:
    if columns(text) > width:
        text = _first(text, width - 1) + "…" if column.clip else fit(text, width)
    gap = " " * (width - columns(text))
    return gap + text if column.right else text + gap


def _widths(head: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> dict[int, int]:
    """Find the columns that stay, and their widths."""
    used = [i for i in range(len(head)) if any(row[i] for row in rows)]
    full = {i: max(columns(text) for text in (head[i].title, *(row[i] for row in rows))) for i in used}
    if not room:
        return full
    widths = {i: min(width, head[i].least or width) for i, width in full.items()}
    while _total(widths) > room and head[leaving := max(widths, key=lambda i: head[i].leaves)].leaves:
        del widths[leaving]
    for i, least in widths.items():
        widths[i] = max(1, least + min(full[i] - least, room - _total(widths)))
    return widths


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


# -- a run ----------------------------------------------------------------------------------------------------------------
_STATE, _JOB, _HOST = Column("state"), Column("job", least=12), Column("host", leaves=3)
_TOOK, _NOTE = Column("elapsed", leaves=1, right=True), Column("", least=16, clip=True)
_TABLE = (
    *(_STATE, _JOB, _HOST, Column("attempt", leaves=4, right=True), Column("exit", leaves=5, right=True)),
    *(Column("started", leaves=2), Column("ended", leaves=6), _TOOK, _NOTE),
)
_LIVE = (_STATE, _JOB, _HOST, _TOOK, _NOTE)


def table(jobs: Mapping[str, Status], screen: Screen) -> list[str]:
    """Show jobs with all that is known of them."""
    rows = [_row(name, job, screen) for name, job in jobs.items()]
    return grid(_TABLE, rows, screen, styles=[SIGNS[job["state"]].style for job in jobs.values()])


def _row(name: str, job: Status, screen: Screen) -> list[str]:
    attempt, code = job["attempt"], job["exit_code"]
    numbers = [str(attempt) if attempt else "", "" if code is None else str(code)]
    times = [clock(job["started_at"]), clock(job["ended_at"]), elapsed(job["started_at"], job["ended_at"])]
    note = _note(job, screen, known=f"exit code {code}")
    return [screen.state(job["state"]), name, job["host"], *numbers, *times, note]


def _note(job: Status, screen: Screen, *, known: str = "") -> str:
    """Say how far a job is, why it is so (unless that is known), and its metrics."""
    percent, reason = job["progress"], job["reason"]
    going = percent is not None and job["state"] not in FINAL
    bar = f"{percent:3.0f}% {''.join(screen.bar(percent / 100, _BAR))}" if going else ""
    return "  ".join(filter(None, (bar, "" if reason == known else reason, metrics(job))))


def live(jobs: Mapping[str, Status], screen: Screen) -> list[str]:
    """Show jobs with what changes while they run."""
    rows = []
    for name, job in jobs.items():
        again = f"attempt {job['attempt']}" if job["attempt"] > 1 else ""
        took = elapsed(job["started_at"], job["ended_at"])
        rows.append([screen.state(job["state"]), name, job["host"], took, "  ".join(filter(None, (again, _note(job, screen))))])
    return grid(_LIVE, rows, screen, styles=[SIGNS[job["state"]].style for job in jobs.values()])


def picture(
    head: Mapping[str, Any],
    states: Mapping[str, str],
    job: Callable[[str], Status],
    screen: Screen,
    *,
    body: Callable[[Mapping[str, Status], Screen], list[str]] = live,
    notes: Sequence[str] = (),
) -> list[str]:
    """Show a run: how far it is as a whole, then its jobs; on a screen too low for all, those that fail or run."""
    tally = Counter(states.values())
    told = [line for note in notes for line in folded(note, screen.width)]
    room = max(3, screen.height - 8 - len(told)) if screen.height else len(states)
    names = pressing(states, room)
    lines = [*_summary(head, tally, screen), ""]
    if names:
        lines += body({name: job(name) for name in names}, screen)
    if names and (left := len(states) - len(names)):
        lines.append(screen.paint(f"and {number(left, 'more job')}", DIM))
    return [*lines, *(screen.paint(line, WARNING) for line in told)]


def _summary(head: Mapping[str, Any], tally: Mapping[str, int], screen: Screen) -> Iterator[str]:
    total, ended = sum(tally.values()), sum(tally.get(s, 0) for s in FINAL)
    took = elapsed(head["created_at"], head["ended_at"])
    title = fit(
        plain(f"{head['workflow']}  run {head['run']}"), max(8, screen.width - columns(took) - 3) if screen.width else 10**6
    )
    yield f"{screen.paint(title, BOLD)}  {took}"
    told = f" {ended}/{total}"
    full, rest = screen.bar(ended / total if total else 1.0, max(8, min(60, (screen.width or 60) - len(told))))
    wrong = tally.get("failed", 0) + tally.get("lost", 0)
    yield screen.paint(full, SIGNS["failed" if wrong else "done"].style) + screen.paint(rest, DIM) + told
    words = count(tally, screen)
    yield (
        words
        if not screen.width or columns(count(tally, Screen(unicode=screen.unicode))) <= screen.width
        else _briefly(tally, screen)
    )


def _briefly(tally: Mapping[str, int], screen: Screen) -> str:
    """Say the counts by symbols alone, for a very narrow screen."""
    return fit(" ".join(f"{screen.symbol(s)}{tally[s]}" for s in SIGNS if tally.get(s)), screen.width)


def pressing(states: Mapping[str, str], room: int) -> list[str]:
    """Choose the jobs to show: all when there is room, else those that failed and those that run."""
    if len(states) <= room:
        return list(states)
    bad = [name for name, state in states.items() if state in ("failed", "lost")]
    going = [name for word in ("running", "cancelling") for name, state in states.items() if state == word]
    bad = bad[: max(room - len(going), room // 2)]
    return [*bad, *going[: room - len(bad)]]


# -- lists ----------------------------------------------------------------------------------------------------------------
_RUNS = (
    *(_STATE, Column("run"), Column("workflow", least=12), Column("jobs", leaves=2), Column("began", leaves=1)),
    *(_TOOK._replace(leaves=3), Column("file", leaves=4, least=16)),
)


def runs(told: Sequence[Mapping[str, Any]], screen: Screen) -> list[str]:
    """List runs, one a line."""
    rows = []
    for run in told:
        counts = run["counts"]
        jobs = ", ".join(f"{counts[state]} {state}" for state in SIGNS if counts.get(state)) or run["problem"]
        took = elapsed(run["created_at"], run["ended_at"])
        rows.append([screen.state(run["state"]), run["run"], run["workflow"], jobs, clock(run["created_at"]), took, run["source"]])
    return grid(_RUNS, rows, screen, styles=[SIGNS[run["state"]].style for run in told])


def hosts(told: Mapping[str, Mapping[str, Any]], screen: Screen) -> list[str]:
    """List hosts, one a line, and below what is wrong with the description of some."""
    head = [*map(Column, ("host", "transport", "scheduler")), Column("address", leaves=1, least=12)]
    head += [Column("slots", leaves=2, right=True), Column("", least=16, clip=True)]
    short = {name: host if host.get("transport") else {"problem": "cannot be used, see below"} for name, host in told.items()}
    keys = ("transport", "scheduler", "address", "slots", "problem")
    rows = [[name, *(str(host.get(key, "")) for key in keys)] for name, host in short.items()]
    return [*grid(head, rows, screen), *(piece for text in misdescribed(told) for piece in folded(text, screen.width))]


def misdescribed(told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [f"host '{name}': {plain(host['problem'])}" for name, host in told.items() if not host.get("transport")]


def look(job: Status) -> Look:
    """Say how a job looks in a picture."""
    took = elapsed(job["started_at"], job["ended_at"])
    return Look(job["state"], progress=job["progress"], detail=job["reason"], elapsed=took, attempt=job["attempt"])
