"""What a canvas shows of a workflow: nodes in a fixed order, the edges between them, and where they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import accumulate
from typing import Any

from ... import drawing, sweep
from ...drawing import Layout
from ...drawing.blocks import Point, room
from ...drawing.stack import Stacked
from ...model import Kind, Workflow

BOX = "host:"  # before a host in the name of its box: no job has a name with a colon

_KINDS = {kind: number for number, kind in enumerate(Kind)}
_GAP = 56.0  # pixels between the boxes of two hosts
_BENT = 500  # nodes; the edges of a larger picture are straight, see LIGHT of the browser's side


class Shape(IntEnum):
    """What a node stands for."""

    JOB = 0
    STACK = 1  # several jobs
    HOST = 2  # a box around the jobs of a host


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose to see."""

    expanded: frozenset[str] = frozenset()  # groups whose jobs are shown one by one
    by_host: bool = False
    aside: Mapping[str, Point] = field(default_factory=dict)  # places that the file has no room for


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is shown; the order of the names is that of the nodes."""

    names: tuple[str, ...]
    index: Mapping[str, int]  # of jobs and stacks, not of boxes
    layout: Layout
    members: Mapping[str, tuple[str, ...]]  # of the stacks whose jobs are in the file
    body: Mapping[str, Any]  # as browsers are told
    _arranged: tuple[Any, ...]  # what the layout depends on

    @property
    def places(self) -> Mapping[str, Point]:
        return self.layout.places

    def text(self, serial: int, about: Mapping[str, Any]) -> str:
        """Write it for browsers."""
        return json.dumps({"serial": serial, **about, **self.body}, separators=(",", ":"), ensure_ascii=False)


def draw(workflow: Workflow, choice: Choice, last: Picture | None = None) -> Picture:
    """Draw a workflow. Jobs keep the places of the last picture when nothing has changed on which these depend."""
    shown = _shown(workflow, choice.expanded)
    jobs = shown.workflow.jobs
    hosts = list(dict.fromkeys(job.host for job in jobs.values()))
    homes = {name: job.host for name, job in jobs.items()} if choice.by_host else {}
    known = shown.workflow.layout if not choice.by_host else {}
    depends = (shown.workflow.parents(), {**choice.aside, **known}, homes)
    layout = last.layout if last and last._arranged == depends else _arrange(*depends)  # noqa: SLF001
    boxes = [f"{BOX}{host}" for host in hosts] if choice.by_host else []
    first = len(boxes)
    index = {name: first + number for number, name in enumerate(jobs)}
    nodes: list[list[Any]] = [[box, 0, 0, Shape.HOST, number, 0, -1, box[len(BOX) :]] for number, box in enumerate(boxes)]
    for name, job in jobs.items():
        (x, y), many = layout.places[name], shown.sizes.get(name, 1)
        host = hosts.index(job.host)
        shape = Shape.STACK if name in shown.sizes else Shape.JOB
        nodes.append([name, round(x, 1), round(y, 1), shape, host, many, host if boxes else -1, name])
    routes = layout.routes if len(nodes) <= _BENT else {}
    edges = [
        [index[d.job], index[name], _KINDS[d.kind], *_bends(routes.get((d.job, name), []))]
        for name, job in jobs.items()
        for d in job.after
    ]
    body = {"nodes": nodes, "edges": edges, "hosts": hosts, "groups": groups(workflow)}
    return Picture((*boxes, *jobs), index, layout, shown.members, body, depends)


def groups(workflow: Workflow) -> list[str]:
    """Return the names of all that can be shown as one node or as its jobs."""
    many = [name for name, job in workflow.jobs.items() if job.sweep and sweep.count(job) > 1]
    names = [job.group for job in workflow.jobs.values() if job.group]
    return [*many, *(name for name in dict.fromkeys(names) if names.count(name) > 1)]


def _shown(workflow: Workflow, expanded: frozenset[str]) -> Stacked:
    """Show each group as one node, except for those that are expanded."""
    if not expanded.intersection(groups(workflow)):
        return drawing.stack(workflow)
    folded = {name: sweep.count(job) for name, job in workflow.jobs.items() if job.sweep and name not in expanded}
    jobs = {name: replace(job, sweep={}) if name in folded else job for name, job in workflow.jobs.items()}
    flat = sweep.expand(replace(workflow, jobs=jobs))
    loose = {name: replace(job, group="") if job.group in expanded else job for name, job in flat.jobs.items()}
    shown = drawing.stack(replace(flat, jobs=loose))
    return shown._replace(sizes={**shown.sizes, **{name: many for name, many in folded.items() if many > 1}})


def _bends(route: list[Point]) -> list[float]:
    """Return x and y of each point between the ends of an edge, one after the other."""
    return [round(value, 1) for point in route[1:-1] for value in point]


def _arrange(parents: Mapping[str, tuple[str, ...]], fixed: Mapping[str, Point], homes: Mapping[str, str]) -> Layout:
    if not homes:
        return drawing.arrange(parents, fixed=fixed)
    lanes = _lanes(drawing.arrange(parents).places, homes)
    return Layout({**lanes, **{name: place for name, place in fixed.items() if name in parents}}, {})


def _lanes(places: Mapping[str, Point], homes: Mapping[str, str]) -> dict[str, Point]:
    """Give each host a lane of its own, as high as its jobs need; from left to right all stand as before."""
    size = room(len(places))
    step = size.height + size.beside
    rows: dict[str, set[int]] = {}
    for name, host in homes.items():
        rows.setdefault(host, set()).add(int(places[name][1] // step))
    tops = dict(zip(rows, accumulate((len(some) * step + _GAP for some in rows.values()), initial=0.0)))
    order = {host: {row: number for number, row in enumerate(sorted(some))} for host, some in rows.items()}
    return {name: (places[name][0], tops[host] + order[host][int(places[name][1] // step)] * step) for name, host in homes.items()}
