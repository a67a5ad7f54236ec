"""How the jobs of a run stand, as one byte for each node of a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from math import isnan

from ...run import Run, State
from ...show import FINAL
from .. import telling
from .picture import Picture

CODES: Mapping[str, int] = {state.value: number for number, state in enumerate(State, 1)}  # 0: no run knows it
PERCENT = 100  # and as much as it has done: a job that runs and tells how far it is


def codes(picture: Picture, run: Run | None, before: Mapping[str, Run]) -> bytes:
    """Return a byte for each node, as the run has it, or for some jobs one `before`.

    A node for several jobs has the state of all of them, and tells how many have ended.
    """
    out = bytearray(len(picture.names))
    stacks: dict[int, Counter[str]] = {}
    newest = ((name, state, run) for name, state in run.states.items()) if run else ()
    older = ((name, ran.states[name], ran) for name, ran in before.items() if name in ran.states)
    for name, state, ran in chain(newest, older):
        place = picture.index.get(name)
        if place is not None:
            out[place] = _code(state, _progress(ran, name) if state is State.RUNNING else None)
        elif (place := picture.index.get(ran.jobs[name].group)) is not None:
            stacks.setdefault(place, Counter())[state.value] += 1
    for place, tally in stacks.items():
        out[place] = _of_many(tally)
    return bytes(out)


def _code(state: str, percent: float | None) -> int:
    return CODES[state] if percent is None else PERCENT + int(percent)


def _progress(run: Run, name: str) -> float | None:
    last = run.attempt(name)
    if last is None or last.progress is None or isnan(last.progress):
        return None
    return min(100.0, max(0.0, last.progress))


def _of_many(tally: Mapping[str, int]) -> int:
    """What went wrong is told at once, while others still run."""
    if tally["failed"] or tally["lost"]:
        return CODES["failed"]
    state = telling.overall({state: many for state, many in tally.items() if many})
    ended = sum(tally[state] for state in FINAL)
    return _code(state, 100 * ended / sum(tally.values()) if state == "running" and ended else None)
