"""The same picture by ipycytoscape alone, for front ends that show widgets and have no extension of ours: to look at, not to edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ipycytoscape import CytoscapeWidget, Edge, Node

from ...drawing.look import STYLES
from .picture import Shape
from .states import CODES, PERCENT

MOST = 300  # nodes: each is a widget here, and Jupyter drops messages when there are too many at once

_STATES = {code: state for state, code in CODES.items()}
_DASHES = ("solid", "dashed", "dotted")  # by the number of an edge's kind
_BASE: tuple[dict[str, Any], ...] = (
    {
        "selector": "node",
        "style": {
            "shape": "round-rectangle",
            "width": 180,
            "height": 44,
            "label": "data(label)",
            "font-size": 12,
            "text-valign": "center",
            "text-wrap": "ellipsis",
            "text-max-width": 168,
            "color": "#1f2328",
            "background-color": "#ffffff",
            "border-width": 1.5,
            "border-color": "#8c959f",
        },
    },
    {"selector": "edge", "style": {"width": 1.5, "line-color": "#8c959f", "curve-style": "bezier"}},
    {"selector": "edge", "style": {"target-arrow-shape": "triangle", "target-arrow-color": "#6e7781"}},
    *({"selector": f".kind{number}", "style": {"line-style": dash}} for number, dash in enumerate(_DASHES)),
)


def build(body: Mapping[str, Any]) -> CytoscapeWidget:
    """Make a widget of what a picture tells browsers; its nodes have numbers for names, and show theirs."""
    widget = CytoscapeWidget(cytoscape_layout={"name": "preset"}, min_zoom=0.1, max_zoom=4, tooltip_source="")
    shown = [(number, node) for number, node in enumerate(body["nodes"]) if node[3] != Shape.HOST]
    nodes = [
        Node(data={"id": f"n{number}", "label": _label(node)}, position={"x": node[1], "y": node[2]}) for number, node in shown
    ]
    edges = [
        Edge(data={"id": f"e{number}", "source": f"n{source}", "target": f"n{target}"}, classes=f"kind{kind}")
        for number, (source, target, kind) in enumerate(body["edges"])
    ]
    with widget.graph.hold_sync():
        widget.graph.nodes, widget.graph.edges = nodes, edges
    return widget


def _label(node: Sequence[Any]) -> str:
    return f"{node[0]} ×{node[5]}" if node[3] == Shape.STACK else str(node[0])


def style(states: bytes) -> list[dict[str, Any]]:
    """Return the style that shows these states: all of it is one message, however many nodes change."""
    return [*_BASE, *_rules(states)]


def _rules(states: bytes) -> Iterator[dict[str, Any]]:
    nodes: dict[str, list[str]] = {}
    for number, code in enumerate(states):
        if code:
            nodes.setdefault("running" if code >= PERCENT else _STATES[code], []).append(f"#n{number}")
    for state, ids in nodes.items():
        look = STYLES[state]
        yield {"selector": ",".join(ids), "style": {"background-color": look.tint, "border-color": look.strong, "border-width": 3}}
