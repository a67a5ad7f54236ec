"""The canvas's side of the browser alone: a widget with its traits, in the cell of a notebook, and the page of a test that looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import Locator

from hybridnb import __version__
from ui.lab import Notebook, holds

WIDGET = '''
import json
from ipycytoscape import CytoscapeWidget
from traitlets import Bytes, Dict, Unicode

class Board(CytoscapeWidget):
    _model_name = Unicode("CanvasModel").tag(sync=True)
    _view_name = Unicode("CanvasView").tag(sync=True)
    _model_module = Unicode("hybridnb").tag(sync=True)
    _view_module = Unicode("hybridnb").tag(sync=True)
    _model_module_version = Unicode("VERSION").tag(sync=True)
    _view_module_version = Unicode("VERSION").tag(sync=True)
    graph_json = Unicode("").tag(sync=True)
    states = Bytes(b"").tag(sync=True)
    told = Dict().tag(sync=True)

    def __init__(self, nodes, edges):
        """Take nodes (name, x, y, kind, host, count, parent, label) and edges (name, name, kind); what is left out is plain."""
        self.heard, self.refuse = [], ""
        told = {"run": None, "state": "", "ended": False, "counts": {}, "elapsed": None, "started_at": None, "note": "", "can": []}
        told |= {"undo": False, "redo": False, "by_host": False, "expanded": [], "file": "flow.yaml", "title": "flow"}
        super().__init__(graph_json=self.text(nodes, edges), states=bytes(len(nodes)), told=told)
        self.on_msg(lambda _, said, __: self.hear(said))

    def text(self, nodes, edges):
        self.nodes = [[*node, *[0, 0, 1, -1, node[0]][len(node) - 3:]] for node in nodes]
        index = {node[0]: i for i, node in enumerate(nodes)}
        arrows = [[index[source], index[target], *(kind or [0])] for source, target, *kind in edges]
        about = {"serial": 1, "title": "flow", "file": "flow.yaml", "run": None, "hosts": ["local", "lab3"], "groups": []}
        return json.dumps({**about, "nodes": self.nodes, "edges": arrows})

    def show(self, nodes, edges):
        with self.hold_sync():
            self.graph_json, self.states = self.text(nodes, edges), bytes(len(nodes))

    def hear(self, said):
        self.heard.append(said)
        self.send({"ask": said["ask"], **({"error": self.refuse} if self.refuse else {"ok": True})})
'''.replace("VERSION", __version__)
SEEN = (
    "const stage = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .hnb-Canvas-stage'); const cy = stage._cyreg.cy;"
)
WIDTH = 188  # of a job, at zoom 1


class Seen:
    """The canvas that a page shows."""

    def __init__(self, book: Notebook) -> None:
        self.book, self.page, self.mouse = book, book.page, book.page.mouse
        self.stage = book.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .hnb-Canvas-stage")
        self.stage.wait_for()
        self.page.wait_for_function(f"() => {{ {SEEN} return cy.nodes().nonempty() && cy.width() > 0; }}")
        self.stage.scroll_into_view_if_needed()

    def ask(self, script: str, argument: object = None) -> Any:
        """Ask cytoscape, which is `cy`."""
        return self.page.evaluate(f"argument => {{ {SEEN} {script} }}", argument)

    def spot(self, name: str, across: float = 0, down: float = 0) -> tuple[float, float]:
        """Where a job is on the page; or a place beside its centre, in the units of the graph."""
        place = "const at = cy.getElementById(argument).renderedPosition(); const box = stage.getBoundingClientRect(); const zoom = cy.zoom();"
        x, y, zoom = self.ask(f"{place} return [box.x + at.x, box.y + at.y, zoom];", name)
        return x + across * zoom, y + down * zoom

    def colour(self, name: str, across: float = 0, down: float = 0) -> tuple[int, int, int]:
        """What the painter painted at a job, once it has painted all that was told."""
        script = """
            const {x, y} = cy.getElementById(argument[0]).renderedPosition();
            const canvas = stage.querySelector('.hnb-Canvas-states'), ratio = canvas.width / stage.clientWidth, zoom = cy.zoom();
            const at = [(x + argument[1] * zoom) * ratio, (y + argument[2] * zoom) * ratio].map(Math.round);
            const pixel = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
            pixel.drawImage(canvas, ...at, 1, 1, 0, 0, 1, 1);
            return [...pixel.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        """
        red, green, blue = self.ask(script, [name, across, down])
        return red, green, blue

    def drag_edge(self, source: str, *over: str, drop: bool = True) -> None:
        """Draw an edge with the mouse, from a job's handle over these jobs."""
        self.mouse.move(*self.spot(source))
        self.mouse.move(*self.spot(source, WIDTH / 2 - 3), steps=3)
        self.handle.wait_for()
        self.mouse.down()
        for name in over:
            self.mouse.move(*self.spot(name, 0, 12), steps=4)
            self.mouse.move(*self.spot(name), steps=2)
        if drop:
            self.mouse.up()

    @property
    def handle(self) -> Locator:
        return self.stage.locator(".hnb-Canvas-handle")

    @property
    def words(self) -> Locator:
        return self.stage.locator(".hnb-Canvas-words")

    def heard(self, cell: int) -> list[dict[str, Any]]:
        """What the kernel heard, as a cell tells it that prints it as JSON."""
        self.book.run(cell)
        told: list[dict[str, Any]] = json.loads(self.book.output(cell).inner_text())
        return [{key: value for key, value in said.items() if key != "ask"} for said in told]

    def hears(self, cell: int, what: Sequence[dict[str, Any]] | Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until the kernel has heard this."""
        holds(lambda: what(self.heard(cell)) if callable(what) else self.heard(cell) == list(what), f"the kernel hears {what}")
