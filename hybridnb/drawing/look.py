"""How a job looks at one moment, and the words, colours and symbols of the states, for every format of a picture."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import CallError, did_you_mean
from ..model import Job

FIELDS = ("name", "state", "elapsed", "host", "progress", "attempt")
LONGEST = 300  # characters of one text; a log line can be a megabyte

# Not allowed in XML, or invisible and able to turn the text around it.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]+")
_FIELD = re.compile(r"\{([^{}]*)\}")
# Widths of the characters from space to ~ in DejaVu Sans, in hundredths of the font's size: few fonts of a screen are wider.
_WIDTH_TABLE = """
    32 40 46 84 64 95 78 27 39 39 50 84 32 36 32 34 64 64 64 64 64 64 64 64 64 64 34 34 84 84 84 53
    100 68 69 70 77 63 58 77 75 29 29 66 56 86 75 79 60 79 69 63 61 73 68 99 69 61 69 39 34 39 84 50
    50 61 63 55 63 62 35 63 63 28 28 58 28 97 63 61 63 63 41 52 39 63 59 82 59 59 52 64 34 64 84
"""
_WIDTHS = [int(width) for width in _WIDTH_TABLE.split()]


class Style(NamedTuple):
    """A state's strong colour, tint and tint on dark ground, and its symbol: a path of strokes around 0,0, 7 wide."""

    strong: str
    tint: str
    dark: str
    symbol: str


# After Okabe and Ito, darkened until white symbols stand out; no two states differ by colour alone.
STYLES: Mapping[str, Style] = {
    "waiting": Style("#6b7280", "#f6f7f8", "#23272e", "M0-3.2V.2L2.2 1.6"),
    "submitting": Style("#2b86bd", "#e9f4fb", "#16303f", "M0 3.2V-3M-2.6-.5L0-3.1 2.6-.5"),
    "queued": Style("#0067a3", "#dfecf7", "#10293d", "M-3-2.4H3M-3 0H3M-3 2.4H.6"),
    "running": Style("#b37400", "#fff3d1", "#3a2c0b", "M-1.7-2.9L3 0-1.7 2.9z"),
    "cancelling": Style("#a8558a", "#faedf5", "#38202f", "M-2.3-2.3H2.3V2.3H-2.3z"),
    "done": Style("#007d5f", "#e0f5ed", "#0e3328", "M-3.1.3L-.9 2.5 3.2-2.3"),
    "failed": Style("#c44f00", "#fde8dc", "#43200c", "M-2.4-2.4L2.4 2.4M2.4-2.4L-2.4 2.4"),
    "cancelled": Style("#7d3f69", "#f3e8ef", "#301d2a", "M-3.1 0H3.1"),
    "skipped": Style("#858b94", "#fbfbfc", "#1d2025", "M-2.8-2.4L-.4 0-2.8 2.4M.6-2.4L3 0 .6 2.4"),
    "lost": Style("#24292f", "#e8e8e8", "#3a3d42", "M-2-1.5C-2-4.2 2-4 1.9-1.5 1.8 0 0-.2 0 1.1M0 3.2V3.3"),
}


@dataclass(frozen=True, slots=True)
class Look:
    """A job's state and what is known beside it, in words ready to be shown."""

    state: str
    progress: float | None = None  # 0 to 100
    detail: str = ""  # why it is so: an exit code, the scheduler's reason
    elapsed: str = ""
    attempt: int = 0

    def __post_init__(self) -> None:
        if self.state not in STYLES:
            raise CallError(f"there is no state {self.state!r}{did_you_mean(self.state, STYLES)} (states are {', '.join(STYLES)})")

    @property
    def part(self) -> float | None:
        """The progress within 0 and 100, or None when it says nothing."""
        if self.progress is None or math.isnan(self.progress):
            return None
        return min(100.0, max(0.0, self.progress))

    @property
    def percent(self) -> str:
        return "" if self.part is None else f"{math.floor(self.part)}%"


def clean(text: str) -> str:
    """Make one line that every reader of XML accepts, of bounded length."""
    line = _UNFIT.sub(" ", text[: 2 * LONGEST]).strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def counts(looks: Mapping[str, Look]) -> dict[str, int]:
    """Count the states that there are, in the order of a job's life."""
    found = [look.state for look in looks.values()]
    return {state: n for state in STYLES if (n := found.count(state))}


def about(job: Job, look: Look | None) -> str:
    """Say everything about a job in one line: what a pointer shows that rests on it."""
    words = [job.name, *(facts(look) if look else ())]
    return clean(" · ".join(words) + (f" · on {job.host}" if job.host != "local" else ""))


def facts(look: Look) -> list[str]:
    """The state and what is known beside it, the most telling first."""
    attempt = f"attempt {look.attempt}" if look.attempt > 1 else ""
    percent = "" if look.state == "done" else look.percent
    return [clean(word) for word in (look.state, look.detail, percent, look.elapsed, attempt) if word]


def check_label(template: str) -> None:
    """Raise CallError unless each {field} of the template is one that there is."""
    for word in _FIELD.findall(template):
        if word not in FIELDS:
            known = ", ".join(f"{{{f}}}" for f in FIELDS)
            raise CallError(f"a label cannot show {{{clean(word)}}}{did_you_mean(word, FIELDS)} (it can show {known})")


def fill_label(template: str, job: Job, look: Look | None) -> str:
    """Put the job's facts into the template's fields, which are replaced, never evaluated; the name stands for nothing."""
    values = {"name": job.name, "host": job.host}
    if look:
        values |= {"state": look.state, "elapsed": look.elapsed, "progress": look.percent, "attempt": str(look.attempt or "")}
    return clean(_FIELD.sub(lambda match: values.get(match[1], ""), template)) or job.name


def text_width(text: str, font: float) -> float:
    """Estimate the width of a text in pixels; rather too wide than too narrow."""
    return sum(map(_hundredths, text)) * font / 100


def _hundredths(character: str) -> int:
    if " " <= character <= "~":
        return _WIDTHS[ord(character) - 32]
    if unicodedata.combining(character):
        return 0
    return 100 if unicodedata.east_asian_width(character) in "WFA" or ord(character) > 0xFFFF else 72


def shorten(text: str, font: float, room: float) -> str:
    """Leave out the middle of a text that needs more room: names that belong together often differ at their ends."""
    if text_width(text, font) <= room:
        return text
    head, tail, left = "", "", room - text_width("…", font)
    for i in range(len(text)):
        character = text[len(head)] if i % 5 < 3 else text[-1 - len(tail)]
        left -= text_width(character, font)
        if left < 0:
            break
        head, tail = (head + character, tail) if i % 5 < 3 else (head, character + tail)
    return f"{head}…{tail}"
