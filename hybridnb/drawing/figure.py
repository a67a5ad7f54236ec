"""A picture in the format that a file's name asks for."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from ..errors import CallError, did_you_mean
from ..model import Workflow
from .look import Look
from .svg import draw
from .text import dot, mermaid

SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".mmd")
SCALE = 2  # pixels of a PNG for each of the SVG's: sharp on the screens of today, and in print


def figure(
    file: str, workflow: Workflow, looks: Mapping[str, Look] | None = None, *, label: str | None = None, stacked: bool = True
) -> bytes:
    """Draw a picture for a file of this name: .svg, .png and .pdf (both by cairosvg), .dot for Graphviz, .mmd for Mermaid.

    Raises CallError for another name, for a label where none can be, and where cairosvg is needed and missing.
    """
    suffix = next((known for known in SUFFIXES if file.lower().endswith(known)), "")
    if not suffix:
        near = did_you_mean(file[file.rfind(".") :], SUFFIXES)
        raise CallError(f"{file}: a picture is written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}{near}")
    if suffix in (".dot", ".mmd"):
        if label is not None:
            raise CallError(f"{file}: a label is for .svg, .png and .pdf")
        return (dot if suffix == ".dot" else mermaid)(workflow, looks, stacked=stacked).encode()
    svg = draw(workflow, looks, label=label or "{name}", stacked=stacked).encode()
    if suffix == ".svg":
        return svg
    cairosvg = _cairosvg(file)
    made: bytes = cairosvg.svg2png(bytestring=svg, scale=SCALE) if suffix == ".png" else cairosvg.svg2pdf(bytestring=svg)
    return made


def _cairosvg(file: str) -> ModuleType:
    try:
        import cairosvg
    except (ImportError, OSError) as error:  # the package, or the library of the system that it loads
        raise CallError(f"{file} needs cairosvg ({error}): pip install 'hybridnb[figures]', or write .svg") from None
    found: ModuleType = cairosvg
    return found
