"""A workflow's picture as one SVG text: no script, no link, no font to fetch, the same bytes for the same input."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from itertools import pairwise
from typing import NamedTuple

from ..model import Job, Kind, Workflow
from .blocks import DENSE, ROOMY, Point, Size, room
from .layout import Layout, arrange
from .look import STYLES, Look, about, check_label, clean, counts, facts, fill_label, shorten, text_width
from .stack import Stacked, stack

__all__ = ["Look", "draw"]

MARGIN = 24.0
NARROWEST = 420.0
_TOLD = 12  # members of a stack
READABLE = 1500.0  # a wider picture is shown reduced: its title grows
_DASHES = {Kind.OK: "", Kind.ANY: "7 4", Kind.FAILED: "2 3.5"}
_MEANING = {Kind.ANY: "any: however it ended", Kind.FAILED: "failed: when it did not end well"}
_HOLLOW = ("waiting", "skipped")  # their symbol stands in a ring, not on a disc


class Box(NamedTuple):
    """The measures of a job's box."""

    size: Size
    font: float
    small: float
    radius: float  # of the symbol
    name: float  # baseline
    facts: float  # baseline of a second line, 0 for none


_BOXES = {ROOMY: Box(ROOMY, 12, 10, 9, 20, 35), DENSE: Box(DENSE, 10, 7.5, 6.5, 14.5, 0)}


def draw(
    workflow: Workflow,
    states: Mapping[str, Look] | None = None,
    *,
    title: str = "",
    label: str = "{name}",
    fixed: bool = True,
    stacked: bool = True,
    layout: Layout | None = None,
) -> str:
    """Draw the workflow, or a run of it when states are given; with stacked=False each job of a group by itself.

    The label may show {name} {state} {elapsed} {host} {progress} {attempt}; CallError names these when it has another field.
    With fixed=False the positions of the workflow's layout block are ignored. A layout of what is drawn, stacks or jobs, that was
    arranged before saves the work.
    """
    check_label(label)
    looks = {name: look for name, look in (states or {}).items() if name in workflow.jobs}
    shown = stack(workflow, looks) if stacked else Stacked(workflow, looks, {}, {})
    jobs = shown.workflow.jobs
    box = _BOXES[room(len(jobs))]
    layout = layout or arrange(shown.workflow.parents(), fixed=shown.workflow.layout if fixed else None)
    left, top, right, bottom = _frame(layout, box.size)
    width = max(right - left + 2 * MARGIN, NARROWEST)
    scale = max(1.0, width / READABLE)
    kinds = {(d.job, job.name): d.kind for job in jobs.values() for d in job.after}
    head, head_height = _header(clean(title) or workflow.name, set(kinds.values()), looks, width / scale)
    top -= MARGIN + head_height * scale
    whole = f"{_n(width)} {_n(bottom - top + MARGIN)}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="hybridnb" role="img" {_sides(whole)} viewBox="0 0 {whole}">',
            f"<title>{_escape(clean(title) or workflow.name)}</title>",
            f"<desc>{_escape(_summary(workflow, looks, shown))}</desc>",
            f"<style>{_css(box)}</style>",
            '<rect class="paper" width="100%" height="100%"/>',
            f'<g transform="scale({scale:.4g})">',
            *head,
            "</g>",
            f'<g transform="translate({_n(MARGIN - left)} {_n(-top)})">',
            *_edges(layout, kinds),
            *(_job(job, shown, layout.places[name], box, label) for name, job in jobs.items()),
            "</g>",
            "</svg>\n",
        ]
    )


def _escape(text: str) -> str:
    """Write a text for the space between two tags; no attribute holds a user's word."""
    return html.escape(text, quote=False)


def _n(value: float) -> str:
    """Write a number shortly, and never as -0."""
    return f"{round(value, 1) + 0:.10g}"


def _sides(whole: str) -> str:
    width, height = whole.split()
    return f'width="{width}" height="{height}"'


def _frame(layout: Layout, size: Size) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all that is drawn."""
    across, down = size.width / 2, size.height / 2
    points = [p for x, y in layout.places.values() for p in ((x - across, y - down), (x + across, y + down))]
    points += [p for route in layout.routes.values() for p in route]
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    return min(xs), min(ys), max(xs), max(ys)


def _summary(workflow: Workflow, looks: Mapping[str, Look], shown: Stacked) -> str:
    """Say what is in it, jobs and edges as they are and then the stacks."""
    jobs, edges = len(workflow.jobs), sum(len(job.after) for job in workflow.jobs.values())
    words = f"{jobs} job{'s' * (jobs != 1)}, {edges} edge{'s' * (edges != 1)}"
    states = ", ".join(f"{n} {state}" for state, n in counts(looks).items())
    stacks = (f"{name} ×{size}" + _of(shown.looks.get(name)) for name, size in shown.sizes.items())
    return "; ".join(filter(None, (f"Workflow {workflow.name}: {words}", states, *stacks)))


def _of(look: Look | None) -> str:
    return f": {look.detail or look.state}" if look else ""


def _header(title: str, used: AbstractSet[Kind], looks: Mapping[str, Look], width: float) -> tuple[list[str], float]:
    """The title and the legend, in lines as long as the picture; and their height."""
    room = width - 2 * MARGIN
    out = [f'<text class="head" x="{_n(MARGIN)}" y="36">{_escape(shorten(title, 18, room / 1.15))}</text>']
    x, y = MARGIN, 62.0
    entries = [(_state_entry(state), f"{n} {state}") for state, n in counts(looks).items()]
    entries += [(_kind_entry(kind), words) for kind, words in _MEANING.items() if kind in used]
    for mark, words in entries:
        step = 24 + text_width(words, 12) + 16
        if x > MARGIN and x + step > width:
            x, y = MARGIN, y + 22
        out.append(f'<g transform="translate({_n(x)} {_n(y)})">{mark}<text class="key" x="24" y="4.5">{_escape(words)}</text></g>')
        x += step
    return out, y + 12 if entries else 50


def _state_entry(state: str) -> str:
    return f'<g class="{state}">{_symbol(state, (8, 0), 8)}</g>'


def _kind_entry(kind: Kind) -> str:
    return f'<path class="edge {kind.value}" d="M-6 0H10"/><path class="tip {kind.value}" d="M16 0l-7-3.5v7z"/>'


def _symbol(state: str, centre: Point, radius: float) -> str:
    place = f"translate({_n(centre[0])} {_n(centre[1])}) scale({radius / 6:.4g})"
    return f'<g transform="{place}"><circle class="disc" r="6"/><path class="sign" d="{STYLES[state].symbol}"/></g>'


def _job(job: Job, shown: Stacked, centre: Point, box: Box, label: str) -> str:
    size, look, many = box.size, shown.looks.get(job.name), shown.sizes.get(job.name)
    left, top = centre[0] - size.width / 2, centre[1] - size.height / 2
    x = 2 * box.radius + (18 if box.facts else 11) if look else 12.0
    lower = _lower_line(job, look, box, x)
    name_line = box.name if lower and box.facts else size.height / 2 + box.font * 0.36
    end = size.width - 8 - (_badge_width(job, box) if not box.facts else 0)
    times = f"×{many:,}" if many else ""
    room = end - x - (text_width(times, box.font) + 6 if times else 0)
    name = shorten(fill_label(label, job, look), box.font, room)
    parts = [
        f'<g class="job {look.state if look else "plain"}" transform="translate({_n(left)} {_n(top)})">',
        f"<title>{_escape(_about(job, look, shown))}</title>",
        *(_sheet(size, step * size.beside / 5) for step in ((2, 1, 0) if many else (0,))),
        _symbol(look.state, (x / 2 + (1 if box.facts else 0), size.height / 2), box.radius) if look else "",
        f'<text class="name" x="{_n(x)}" y="{_n(name_line)}">{_escape(name)}</text>',
        f'<text class="times name" text-anchor="end" x="{_n(end)}" y="{_n(name_line)}">{times}</text>' if times else "",
        lower,
        _bar(look.part, x, box) if look and look.part is not None and look.state != "done" else "",
        "</g>",
    ]
    return "".join(parts)


def _about(job: Job, look: Look | None, shown: Stacked) -> str:
    """Say everything about a job, or about a stack, with the first of its members."""
    if job.name not in shown.sizes:
        return about(job, look)
    names = ", ".join(shown.members.get(job.name, ())[:_TOLD])
    more = ", …" if len(shown.members.get(job.name, ())) > _TOLD else ""
    return clean(f"{about(job, look)} · {shown.sizes[job.name]} jobs" + (f": {names}{more}" if names else ""))


def _sheet(size: Size, off: float) -> str:
    """A box; those behind it stand out above and to the right."""
    place = f' x="{_n(off)}" y="{_n(-off)}"' if off else ""
    return f'<rect class="box"{place} width="{_n(size.width)}" height="{_n(size.height)}" rx="{_n(size.height / 6)}"/>'


def _lower_line(job: Job, look: Look | None, box: Box, x: float) -> str:
    """The second line: facts to the left, the host's badge to the right. A dense box has the badge alone, beside the name."""
    badge = _badge_width(job, box)
    line = box.facts or box.size.height / 2 + box.small * 0.36
    out = []
    if look and box.facts:
        words = _fitting(facts(look), box.small, box.size.width - x - 8 - badge)
        out.append(f'<text class="fact" x="{_n(x)}" y="{_n(line)}">{_escape(words)}</text>')
    if badge:
        wide, high = badge - 6, box.small + 4
        left, top = box.size.width - 8 - wide, line - box.small * 0.36 - high / 2
        shape = f'x="{_n(left)}" y="{_n(top)}" width="{_n(wide)}" height="{_n(high)}" rx="{_n(high / 2)}"'
        out.append(f'<rect class="pill" {shape}/>')
        out.append(f'<text class="host" x="{_n(left + wide / 2)}" y="{_n(line)}">{_escape(_host(job, box))}</text>')
    return "".join(out)


def _fitting(words: list[str], font: float, space: float) -> str:
    """Join as many facts as there is space for. The state gives way first: colour and symbol tell it already."""
    for some in (words, *(words[1:end] for end in range(len(words), 1, -1))):
        if text_width(line := " · ".join(some), font) <= space:
            return line
    parts = (words[1] if len(words) > 1 else words[0]).split(", ")  # the counts of a stack
    lines = (", ".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((line for line in lines if text_width(line, font) <= space), shorten(", ".join(parts), font, space))


def _host(job: Job, box: Box) -> str:
    return shorten(clean(job.host), box.small, box.size.width * 0.36)


def _badge_width(job: Job, box: Box) -> float:
    """The width of the host's badge and the gap before it; nothing when the host is local."""
    return 0.0 if job.host == "local" else text_width(_host(job, box), box.small) + 10 + 6


def _bar(part: float, x: float, box: Box) -> str:
    high = 3 if box.facts else 2
    wide, y = box.size.width - x - 8, box.size.height - high - (3 if box.facts else 1.5)
    shape = f'x="{_n(x)}" y="{_n(y)}" height="{high}" rx="{high / 2}"'
    return f'<rect class="track" {shape} width="{_n(wide)}"/><rect class="fill" {shape} width="{_n(wide * part / 100)}"/>'


def _edges(layout: Layout, kinds: Mapping[tuple[str, str], Kind]) -> Iterator[str]:
    """The edges, then an arrow's tip for each kind at each job; the words of a kind stand by its tip."""
    tips: dict[tuple[Point, Kind], None] = {}
    for edge, route in layout.routes.items():
        tips[route[-1], kinds[edge]] = None
        yield f'<path class="edge {kinds[edge].value}" d="{_curve(route)}"/>'
    for (x, y), kind in tips:
        yield f'<path class="tip {kind.value}" d="M{_n(x)} {_n(y)}l-7-3.5v7z"/>'
        if kind is not Kind.OK:
            above = -6 if kind is Kind.ANY else 12
            yield f'<text class="kind {kind.value}" x="{_n(x - 4)}" y="{_n(y + above)}">{kind.value}</text>'


def _curve(route: list[Point]) -> str:
    """Go smoothly through the points, always level at a point, and end inside the arrow's tip."""
    points = [*route[:-1], (route[-1][0] - 5, route[-1][1])]
    out = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        if y == to_y and x <= to_x:
            out.append(f"H{_n(to_x)}")
        else:
            reach = (to_x - x) / 2 if to_x - x > 16 else max(40.0, (x - to_x) / 2)
            out.append(f"C{_n(x + reach)} {_n(y)} {_n(to_x - reach)} {_n(to_y)} {_n(to_x)} {_n(to_y)}")
    return "".join(out)


def _css(box: Box) -> str:
    """The colours, for light screens and paper, and for dark screens. All rules are bound to this picture's class."""
    light = [
        'text{font-family:"Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif;fill:#1f2328}',
        ".paper{fill:#fff}",
        ".head{font-size:18px;font-weight:bold}",
        ".key{font-size:12px}",
        f".name{{font-size:{box.font:g}px}}",
        f".fact{{font-size:{box.small:g}px;fill:#4b5563}}",
        f".host{{font-size:{box.small:g}px;fill:#374151;text-anchor:middle}}",
        ".kind{font-size:9px;text-anchor:end;fill:#57606a;stroke:#fff;stroke-width:3px;paint-order:stroke}",
        ".edge{fill:none;stroke:#8c959f;stroke-width:1.3}",
        ".tip{fill:#6e7781}",
        *(f".edge.{kind.value}{{stroke-dasharray:{dash}}}" for kind, dash in _DASHES.items() if dash),
        f".edge.failed{{stroke:{STYLES['failed'].strong};stroke-width:1.8}}",
        f".tip.failed,.kind.failed{{fill:{STYLES['failed'].strong}}}",
        ".box{fill:#fff;stroke:#8c959f;stroke-width:1.2}",
        ".pill{fill:#fff;stroke:#aab2bd;stroke-width:.8}",
        ".track{fill:#000;fill-opacity:.1}",
        ".sign{fill:none;stroke:#fff;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}",
        ".running .sign{fill:#fff}",
        ".skipped .box{stroke-dasharray:4 3}",
        ".failed .box,.lost .box{stroke-width:2}",
        *(_state_rules(state) for state in STYLES),
    ]
    dark = [
        "text{fill:#e6edf3}",
        ".paper{fill:#0d1117}",
        ".fact,.host,.kind{fill:#b1bac4}",
        ".kind{stroke:#0d1117}",
        ".box,.pill{fill:#161b22}",
        ".track{fill:#fff;fill-opacity:.18}",
        ".tip.failed,.kind.failed{fill:#f0883e}",
        *(f".{state} .box{{fill:{style.dark}}}" for state, style in STYLES.items()),
        ".waiting .disc,.skipped .disc{fill:#0d1117}",
        ".lost .box{stroke:#c9d1d9}.lost .disc{fill:#6e7681}",
    ]
    return f"{_scoped(light)}@media screen and (prefers-color-scheme:dark){{{_scoped(dark)}}}"


def _state_rules(state: str) -> str:
    style = STYLES[state]
    box = f".{state} .box{{fill:{style.tint};stroke:{style.strong}}}.{state} .fill{{fill:{style.strong}}}"
    if state in _HOLLOW:
        return f"{box}.{state} .disc{{fill:#fff;stroke:{style.strong};stroke-width:1.2}}.{state} .sign{{stroke:{style.strong}}}"
    return f"{box}.{state} .disc{{fill:{style.strong}}}"


def _scoped(rules: Iterable[str]) -> str:
    """Bind each selector to the picture: inside a web page, a style would reach the whole page."""
    out = []
    for rule in "".join(rules).split("}")[:-1]:
        selectors, _, body = rule.partition("{")
        out.append(f"{','.join(f'.hybridnb {s}' for s in selectors.split(','))}{{{body}}}")
    return "".join(out)
