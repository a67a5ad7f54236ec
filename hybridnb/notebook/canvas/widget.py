"""The widget of a canvas: a whole workflow in three traits, never one widget a job. Its browser side is the labextension's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ipycytoscape import CytoscapeWidget
from IPython.core.getipython import get_ipython
from ipywidgets import DOMWidget  # type: ignore[import-untyped]
from traitlets import Bytes, Dict, Unicode

from ... import __version__, show
from ...api import Workflow
from ...api.present import honest
from ...errors import CallError, HybridnbError
from ..live import Bundle, Display
from ..shown import WorkflowCard
from .desk import Desk
from .messages import Messages
from .said import Said

if TYPE_CHECKING:
    import os

    from ..session import Session


class Canvas(CytoscapeWidget):  # type: ignore[misc]  # ipycytoscape has no types
    """A workflow to wire with the mouse and to watch: `Canvas("digits.yaml")` as the last thing of a cell shows it.

    What is saved and exported is the card of `%workflow`, with its picture; a browser with hybridnb's extension puts the canvas there.
    All canvases of a file show the same.
    """

    _model_name = Unicode("CanvasModel").tag(sync=True)
    _model_module = Unicode("hybridnb").tag(sync=True)
    _model_module_version = Unicode(__version__).tag(sync=True)
    _view_name = Unicode("CanvasView").tag(sync=True)
    _view_module = Unicode("hybridnb").tag(sync=True)
    _view_module_version = Unicode(__version__).tag(sync=True)
    cytoscape_layout = Dict({"name": "preset"}).tag(sync=True)

    graph_json = Unicode(help="Nodes, edges and places, as JSON.").tag(sync=True)
    states = Bytes(help="One byte for each node.").tag(sync=True)
    told = Dict(help="How the whole stands.").tag(sync=True)

    def __init__(self, workflow: Workflow | str | os.PathLike[str], *, session: Session | None = None) -> None:
        """Take a workflow, or its file; `.yaml` may be left out. Raises CallError outside of IPython."""
        self._session = session or _session()
        self._book = self._session.book_of(_path(workflow))
        first = self._book.canvas
        self.desk: Desk = first.desk if first else Desk(self._book)
        self._book.canvas = first or self
        self._messages = Messages(self.desk)
        self._display = Display(self.desk, self._take)
        self._told_lock = threading.RLock()
        self._viewers: set[str] = set()
        DOMWidget.__init__(self)  # not CytoscapeWidget's own, which makes a graph of one widget a node
        self.on_msg(self._handle_interaction)

    def __repr__(self) -> str:
        return honest("Canvas", lambda: f"{self._book.name!r}, {show.number(len(self._book.definition.jobs), 'job')}")

    def _ipython_display_(self) -> None:
        self._session.live.show(WorkflowCard(self._book))

    def _repr_mimebundle_(self, **_: Any) -> Bundle:
        card = WorkflowCard(self._book)
        return card.bundle(card.facts())

    def plain(self) -> CytoscapeWidget | None:
        """Return the picture as ipycytoscape shows it by itself, whose colours follow the run; it shows the jobs of this moment.

        For front ends with widgets, but without hybridnb's extension. More than 300 nodes are too many for that: then the card is shown.
        """
        from . import plain

        picture = self.desk.picture
        if len(picture.index) > plain.MOST:
            note = f"{show.number(len(picture.index), 'node')} are too many for a plain canvas (at most {plain.MOST}): this is the picture"
            self._session.live.show(WorkflowCard(self._book, note=note))
            return None
        widget = plain.build(picture.body)

        def paint(_: Bundle) -> None:
            widget.cytoscape_style = plain.style(self.desk.states(picture))

        paint({})
        self._session.live.add(Display(self.desk, paint))
        self.look()
        return widget

    # -- browsers -------------------------------------------------------------------------------------------------------
    @property
    def watched(self) -> bool:
        """Does a browser show it?"""
        return bool(self._viewers)

    def open(self) -> None:
        """Tell browsers of it; not before one has asked, so that nothing is left in a notebook that nobody looks at."""
        if self.watched:
            super().open()

    def attach(self, viewer: str) -> str:
        """Show it in a browser, which is named so; return the model's id. It is up to date from now on."""
        first = not self.watched
        self._viewers.add(viewer)
        self.refresh()
        self.open()
        if first:
            self._session.live.add(self._display)
            self._session.eye.add(self._book.path, self.look)
        self.look()
        return str(self.model_id)

    def detach(self, viewer: str) -> None:
        """A browser shows it no more."""
        self._viewers.discard(viewer)
        if not self.watched:
            self._session.live.drop(self._display)
            self._session.eye.drop(self._book.path)

    def look(self) -> None:
        """Take in what others did: edited the file, began a run."""
        live = self._session.live
        try:
            if (reading := self._book.latest) and not reading.ended:
                live.follow(reading.folder)
        except HybridnbError:
            pass  # it is told on the canvas
        live.unsettle()

    def refresh(self) -> None:
        """Tell browsers how everything is now, as far as that is new: one message at most."""
        with self._told_lock:
            scene = self.desk.facts()
            with self.hold_sync():
                self.graph_json, self.states, self.told = scene

    def _take(self, _: Bundle) -> None:
        self.refresh()  # which asks again: the thread that draws may be late

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what a browser says; not while another thread tells it something."""
        with self._told_lock:
            super().set_state(sync_data)

    def _handle_custom_msg(self, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Answer a browser; whatever happens there is an answer."""
        if "do" not in content:
            super()._handle_custom_msg(content, buffers)
            return
        said, ask = Said(content), content.get("ask")
        answer: dict[str, Any] = {"ask": ask, "error": "the kernel was interrupted before it was done"}
        try:
            answer = {"ask": ask, "ok": True, **self._messages.answer(said)}
        except HybridnbError as error:
            answer["error"] = str(error)
        except Exception as error:
            answer["error"] = f"this should not have happened: {type(error).__name__}: {error}"
            raise
        finally:
            try:
                if self._messages.changes(said):
                    self.refresh()
            finally:
                self.send(answer)


def _session() -> Session:
    """Return what the extension knows in this shell; it is loaded if it is not."""
    shell = get_ipython()
    if shell is None:
        raise CallError("a canvas is shown in a notebook; elsewhere Workflow.svg draws a picture")
    if "Hybridnb" not in shell.magics_manager.registry:
        assert shell.extension_manager
        shell.extension_manager.load_extension("hybridnb")
    return cast("Session", shell.magics_manager.registry["Hybridnb"].session)


def _path(workflow: Workflow | str | os.PathLike[str]) -> Path:
    if isinstance(workflow, Workflow):
        return workflow.path
    path = Path(workflow).expanduser()
    return path if path.suffix in (".yaml", ".yml") else path.with_name(f"{path.name}.yaml")
