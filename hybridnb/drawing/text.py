"""A workflow as text for other programs that draw: Graphviz's DOT and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..model import Job, Kind, Workflow
from .look import STYLES, Look, clean, counts, facts
from .stack import Stacked, stack

_DOT_STYLES = {Kind.OK: "", Kind.ANY: ' [style=dashed, label="any"]', Kind.FAILED: ' [style=dotted, label="failed"]'}
_ARROWS = {Kind.OK: "-->", Kind.ANY: "-. any .->", Kind.FAILED: "-. failed .->"}


def dot(workflow: Workflow, states: Mapping[str, Look] | None = None, *, stacked: bool = True) -> str:
    """Return the workflow for Graphviz; with stacked=False each job of a group by itself."""
    shown = stack(workflow, states) if stacked else Stacked(workflow, dict(states or {}), {}, {})
    lines = [
        f"digraph {_quoted(workflow.name)} {{",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fillcolor=white];',
    ]
    for name, job in shown.workflow.jobs.items():
        look = shown.looks.get(name)
        colour = f', color="{STYLES[look.state].strong}", fillcolor="{STYLES[look.state].tint}"' if look else ""
        text = "\\n".join(_escaped(line) for line in _lines(job, look, shown.sizes.get(name)))
        sheets = ", peripheries=2" if name in shown.sizes else ""
        lines.append(f'  {_quoted(name)} [label="{text}"{colour}{sheets}];')
    for job in shown.workflow.jobs.values():
        lines += [f"  {_quoted(d.job)} -> {_quoted(job.name)}{_DOT_STYLES[d.kind]};" for d in job.after]
    return "\n".join([*lines, "}\n"])


def mermaid(workflow: Workflow, states: Mapping[str, Look] | None = None, *, stacked: bool = True) -> str:
    """Return the workflow for Mermaid, which Markdown shows on many sites; with stacked=False each job of a group by itself."""
    looks = {name: look for name, look in (states or {}).items() if name in workflow.jobs}
    shown = stack(workflow, looks) if stacked else Stacked(workflow, looks, {}, {})
    ids = {name: f"j{i}" for i, name in enumerate(shown.workflow.jobs)}
    lines = ["flowchart LR"]
    for name, job in shown.workflow.jobs.items():
        text = "<br>".join(map(_entities, _lines(job, shown.looks.get(name), shown.sizes.get(name))))
        begin, end = ("[[", "]]") if name in shown.sizes else ("[", "]")
        lines.append(f'  {ids[name]}{begin}"{text}"{end}' + (f":::{shown.looks[name].state}" if name in shown.looks else ""))
    for job in shown.workflow.jobs.values():
        lines += [f"  {ids[d.job]} {_ARROWS[d.kind]} {ids[job.name]}" for d in job.after]
    for state in counts(shown.looks):
        lines.append(f"  classDef {state} fill:{STYLES[state].tint},stroke:{STYLES[state].strong},color:#1f2328")
    return "\n".join(lines) + "\n"


def _lines(job: Job, look: Look | None, many: int | None) -> Iterator[str]:
    """What a box says: the name, the facts, the host."""
    yield f"{job.name} ×{many}" if many else job.name
    if look:
        yield " · ".join(facts(look))
    if job.host != "local":
        yield f"on {clean(job.host)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _entities(text: str) -> str:
    """Write all but plain characters by number, as Mermaid reads them: nothing can end the quote or begin markup."""
    return "".join(c if c.isalnum() or c in " _-.=·%" else f"#{ord(c)};" for c in text)
