"""Pictures of workflows and runs: one layout, drawn as SVG or written as text."""

from __future__ import annotations

from .figure import figure
from .layout import Layout, arrange, place, routes
from .look import Look
from .stack import stack
from .svg import draw
from .text import dot, mermaid

__all__ = ["Layout", "Look", "arrange", "dot", "draw", "figure", "mermaid", "place", "routes", "stack"]
