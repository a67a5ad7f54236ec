"""What was measured, against its limit: lines for a person, a table for the record, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; a value above its limit misses it."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say whether the limit is kept."""
        return "" if self.limit is None else "ok" if self.value <= self.limit else "MISSED"

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Name, measured, limit, ratio to the limit, verdict, note."""
        limit = "" if self.limit is None else f"{_short(self.limit)} {self.unit}"
        ratio = "" if not self.limit else f"{self.value / self.limit:.2f}"
        return self.name, f"{_short(self.value)} {self.unit}", limit, ratio, self.verdict, self.note


HEAD = ("measure", "measured", "limit", "ratio", "verdict", "how")


def line(figure: Figure) -> str:
    """Write a figure for a terminal."""
    name, *middle, note = figure.cells
    return f"{name:44}" + "".join(f"{cell:>{width}}" for cell, width in zip(middle, (14, 14, 7, 9))) + f"   {note}"


def table(figures: Iterable[Figure]) -> str:
    """Write the figures as Markdown."""
    rows = [HEAD, ("---", "---:", "---:", "---:", "---", "---"), *(figure.cells for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_json(figures: Iterable[Figure]) -> str:
    """Write the figures as a JSON list."""
    return json.dumps([{**asdict(figure), "verdict": figure.verdict} for figure in figures], indent=1)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
