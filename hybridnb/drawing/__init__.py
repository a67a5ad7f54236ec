"""Pictures of workflows and runs: one layout, drawn as SVG or written as text."""

from __future__ import annotations

from .layout import place, routes
from .look import Look
from .svg import draw
from .text import dot, mermaid

__all__ = ["Look", "dot", "draw", "mermaid", "place", "routes"]
