"""Progress and metrics that a script tells by a line of its log, and nothing else: success is the exit code's to tell.

# hybridnb progress=40 loss=0.31 epoch=3
# cloudmesh status=running progress=40 pid=4711        (cloudmesh.common.StopWatch.progress)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Metric = float | int | str

_LINE = re.compile(rb"#[ \t]*(?:hybridnb|cloudmesh)[ \t]+([^\r\n]*)")
_PAIR = re.compile(r"([A-Za-z_][\w.-]*)=(?:\"([^\"]*)\"|(\S*))")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LENGTH = 200  # characters of a metric, and of its name, that are kept
_IGNORED = frozenset({"status", "pid", "time"})  # cloudmesh's, which we know better


@dataclass(frozen=True, slots=True)
class Progress:
    """What the log tells: percent done, 0 to 100, when it says so, and named values."""

    percent: float | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.percent is not None or bool(self.metrics)

    def then(self, later: Progress) -> Progress:
        """Put what was told later over what was told before."""
        return Progress(self.percent if later.percent is None else later.percent, {**self.metrics, **later.metrics})


def scan(log: bytes) -> Progress:
    """Read all progress lines of a piece of a log, the last word of each name counts."""
    if b"hybridnb" not in log and b"cloudmesh" not in log:
        return Progress()
    percent: float | None = None
    metrics: dict[str, Metric] = {}
    for found in _LINE.finditer(log):
        for name, quoted, bare in _PAIR.findall(found[1].decode(errors="replace")):
            value = quoted or bare.rstrip(",;")
            if name == "progress":
                percent = _percent(value, percent)
            elif name not in _IGNORED:
                metrics[name[:_LENGTH]] = _value(value)
    return Progress(percent, metrics)


def _percent(text: str, before: float | None) -> float | None:
    number = _NUMBER.fullmatch(text.removesuffix("%"))
    return min(100.0, max(0.0, float(number[0]))) if number else before


def _value(text: str) -> Metric:
    """A number when it is a finite one: JSON and YAML do not agree on the others."""
    if not _NUMBER.fullmatch(text):
        return text[:_LENGTH]
    number = float(text)
    if number in (float("inf"), float("-inf")):
        return text[:_LENGTH]
    return int(text) if re.fullmatch(r"[-+]?\d{1,15}", text) else number
