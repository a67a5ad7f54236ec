"""Two people's changes of one job, put together: a three-way merge of its plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from .errors import Conflict
from .rewrite import alike

NESTED = ("resources", "params", "env", "sweep")  # each of their entries is a matter of its own; a list is one as a whole

_RUNS = ("script", "exec")  # of which a job has one
_PLACES = {  # where one of the two is: since when the other may have changed it, and what can be done
    "cell": ("the cell was run last", "Run the cell with --replace to take its version, or bring the file's into the cell"),
    "form": ("the form was opened", "Close the form, open it again and change what the file says now"),
    "canvas": ("that edit", "Nothing was changed; edit the job as it is now"),
}
_SHOWN = 40  # characters of a value in a message
_NOTHING = object()  # what stands where there is no such key


def merge(
    base: Mapping[str, Any] | None, mine: Mapping[str, Any], theirs: Mapping[str, Any], *, name: str, file: str, place: str = "cell"
) -> dict[str, Any]:
    """Put together what a cell, or another place, says of a job and what its file says, which both said `base` before.

    Without a base all that the cell says counts, and what the file says beyond that stays. The result shares its values with them.
    Raise Conflict for what both have changed, and not to the same.
    """
    clashes: list[str] = []
    merged = _merged(_assumed(mine, theirs) if base is None else base, mine, theirs, clashes, place=place)
    if clashes:
        since, way = _PLACES[place]
        raise Conflict(f"job '{name}' was changed both in this {place} and in {file} since {since}: {'; '.join(clashes)}. {way}")
    return merged


def _merged(
    base: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any], clashes: list[str], *, place: str, within: str = ""
) -> dict[str, Any]:
    """Merge key by key, in the file's order; note what cannot be."""
    out: dict[str, Any] = {}
    for key in dict.fromkeys((*theirs, *mine)):
        if key in NESTED and not within:
            was, here, there = (data.get(key, {}) for data in (base, mine, theirs))
            if entries := _merged(was, here, there, clashes, place=place, within=f"{key}."):
                out[key] = entries
            continue
        was, here, there = (data.get(key, _NOTHING) for data in (base, mine, theirs))
        if not (_same(here, there) or _same(was, here) or _same(was, there)):
            clashes.append(f"{within}{key} is {_shown(here, there)} in the {place}, {_shown(there, here)} in the file")
        value = there if _same(was, here) else here
        if value is not _NOTHING:
            out[key] = value
    return out


def _assumed(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a base that makes the cell win: the file's value of all that the cell speaks of."""
    spoken = [*mine, *(_RUNS if any(key in mine for key in _RUNS) else ())]
    said = {key: theirs[key] for key in dict.fromkeys(spoken) if key in theirs}
    nested = {key: {entry: said[key][entry] for entry in mine[key] if entry in said[key]} for key in NESTED if key in said}
    return {**said, **nested}


def _same(a: Any, b: Any) -> bool:
    return a is b or alike(a, b)


def _shown(value: Any, other: Any) -> str:
    """Show a value shortly, a long text from where it differs from the other."""
    if value is _NOTHING:
        return "not given"
    text, against = (json.dumps(v, ensure_ascii=False, default=repr) for v in (value, None if other is _NOTHING else other))
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, against)))
    start = max(0, common - _SHOWN // 4) if len(text) > _SHOWN else 0
    shown = ("…" if start else "") + text[start:]
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
