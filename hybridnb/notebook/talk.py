"""What a card in JupyterLab and the kernel say to each other, over one comm that the browser opens: news there, buttons here."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import view
from ..api import Run
from ..errors import CallError, HybridnbError, NotFound
from .book import Book, members
from .live import Bundle, Card, Display
from .meanwhile import WhileAway
from .reading import Reading, final
from .shown import JobCard, RunCard, WorkflowCard
from .telling import line

if TYPE_CHECKING:
    from .session import Session

TARGET = "hybridnb.cards"
_FAR = 1 << 60  # bytes; no log has so many
Said = dict[str, Any]


class Talk:
    """One browser's cards."""

    def __init__(self, session: Session, comm: Any) -> None:
        self._session, self._comm = session, comm
        self._cards: dict[str, Display] = {}
        session.talks.append(self)
        comm.on_msg(self._hear)
        comm.on_close(self._close)

    def _close(self, _: Any = None) -> None:
        if self in self._session.talks:
            self._session.talks.remove(self)
        for card in list(self._cards):
            self._forget(card, {})

    def close(self) -> None:
        """Let the browser know that nobody speaks here any more; it asks anew whoever comes next."""
        self._close()
        self._comm.close()

    def _hear(self, message: Said) -> None:
        said = message["content"]["data"]
        answer = {"id": said.get("id")}
        do: dict[str, Callable[[str, Said], None]] = {"watch": self._watch, "forget": self._forget, "log": self._log}
        do.update({word: partial(self._act, word) for word in ("run", "cancel", "retry")})
        try:
            take = do.get(str(said.get("do")))
            if take is None:
                raise CallError(f"a card cannot ask for {said.get('do')!r}")
            take(str(said.get("id")), said)
        except HybridnbError as error:
            self._comm.send({**answer, "error": str(error)})
        except Exception as error:
            self._comm.send({**answer, "error": f"this should not have happened: {type(error).__name__}: {error}"})
            raise

    def _watch(self, id: str, said: Said) -> None:
        self._forget(id, said)  # a card that was drawn anew watches again
        told = said.get("card")
        card = self._card(told if isinstance(told, dict) else {})
        display = self._cards[id] = Display(card, lambda bundle: self._send(id, card, bundle))
        self._show_canvas(id, card)
        display.settled, display.facts = card.settled(), card.facts()
        display.send(card.bundle(cast("Any", display.facts)))
        self._session.live.add(display)
        if (reading := card.reading()) and not reading.ended:
            self._session.live.follow(reading.folder)

    def _card(self, told: Said) -> JobCard | WorkflowCard:
        """Find what a saved output was about: what is pinned stays with its run, anything else shows the newest."""
        book = self._book(told.get("file"))
        reading = self._reading(book, told.get("run")) if told.get("pinned") is True else None
        if job := told.get("job"):
            if reading:
                reading.members(str(job))  # raises NotFound for a job that is not there
            if not reading and not book.knows(str(job)):
                raise NotFound(f"'{line(str(job))}' is not in {book.name} any more; run its cell again to record it")
            return JobCard(book, str(job), reading)
        if reading is None:
            return WorkflowCard(book)
        return (self._session.away.get(reading.folder) if told.get("away") is True else None) or RunCard(book, reading)

    def _reading(self, book: Book, run: Any) -> Reading:
        found = next((folder for folder in book.folders() if folder.name == run), None)
        if found is None:
            raise NotFound(f"run {run} is not in {book.path.with_suffix('.runs').name} any more")
        return self._session.live.reading(found)

    def _book(self, file: Any) -> Book:
        """Find a workflow by its name in a saved output, which may come from anywhere: only files near the notebook are opened."""
        current = self._session.book
        if not isinstance(file, str) or file == current.name:
            return current
        path = Path(file)
        if path.is_absolute() or ".." in path.parts or path.suffix not in (".yaml", ".yml"):
            raise CallError(f"{file}: open this workflow by '%workflow open' first")
        notebook = self._session.notebook
        path = (notebook.path.parent if notebook else Path.cwd()) / path
        if not os.path.isfile(path):  # which takes any name
            raise NotFound(f"{line(file)}: there is no such file")
        return self._session.book_of(path)

    def _show_canvas(self, id: str, card: Card) -> None:
        """Let the browser put the canvas in the place of a workflow's picture; an old run keeps its own, and news are to be read."""
        reading = card.reading() if isinstance(card, WorkflowCard) else None
        if not isinstance(card, WorkflowCard) or isinstance(card, WhileAway) or (reading and reading is not card.book.latest):
            return
        from .canvas.widget import Canvas

        canvas = card.book.canvas or Canvas(card.book.workflow, session=self._session)
        self._comm.send({"id": id, "canvas": canvas.attach(self._viewer(id))})

    def _viewer(self, id: str) -> str:
        return f"{self._comm.comm_id}/{id}"

    def _send(self, id: str, card: Card, bundle: Bundle) -> None:
        self._comm.send({"id": id, "data": bundle, "actions": actions(card)})

    def _forget(self, id: str, _: Said) -> None:
        if display := self._cards.pop(id, None):
            self._session.live.drop(display)
            if canvas := cast("JobCard | WorkflowCard", display.card).book.canvas:
                canvas.detach(self._viewer(id))

    def _known(self, id: str) -> JobCard | WorkflowCard:
        if id not in self._cards:
            raise NotFound("this card is not known any more; run its cell again")
        return cast("JobCard | WorkflowCard", self._cards[id].card)

    def _act(self, word: str, id: str, _: Said) -> None:
        card = self._known(id)
        name = card.name if isinstance(card, JobCard) else None
        if word == "run":
            card.book.start(name) if name else card.book.run()
        else:
            reading = card.reading()
            if reading is None:
                raise NotFound("this has not been run yet")
            run = Run(reading.folder)
            (run.cancel if word == "cancel" else run.retry)(*([name] if name else []))
            self._session.live.follow(reading.folder)
        self._session.live.unsettle()

    def _log(self, id: str, said: Said) -> None:
        card = self._known(id)
        reading = card.reading()
        if not isinstance(card, JobCard) or reading is None or members(reading, card.name) != [card.name]:
            raise NotFound("there is no log of this")
        reading.refresh()
        ended = final(reading.job(card.name)["state"])
        wanted = said.get("offset")
        offset = wanted if isinstance(wanted, int) and abs(wanted) < _FAR else 0
        piece, offset = view.log(reading.folder, card.name, stream=str(said.get("stream", "out")), offset=offset)
        self._comm.send(
            {"id": id, "log": piece.decode(errors="replace"), "offset": offset, "ended": ended and not piece, "run": reading.run.id}
        )


def actions(card: Card) -> list[str]:
    """Return what a person can do with a card now."""
    if not isinstance(card, JobCard | WorkflowCard):
        return []
    reading = card.reading()
    name = card.name if isinstance(card, JobCard) else None
    if reading is None:
        return [] if name and not card.book.knows(name) else ["run"]
    found = members(reading, name) if name else None
    states = [state.value for state in reading.states(found).values()]
    going = any(not final(state) for state in states) and not reading.ended
    failed = any(final(state) and state != "done" for state in states)
    log = name is not None and found == [name] and bool(reading.run.attempts.get(name))
    begins = not going and not (isinstance(card, JobCard) and card.pinned)  # a new run would not be shown there
    words = {"cancel": going, "run": begins, "retry": failed and not going, "log": log}
    return [word for word, possible in words.items() if possible]


def listen(session: Session) -> None:
    """Let browsers open comms with this kernel. The kernel itself opens none, so that nothing is missed where there is no browser."""
    kernel = getattr(session.shell, "kernel", None)
    if kernel is not None and hasattr(kernel, "comm_manager"):
        kernel.comm_manager.register_target(TARGET, lambda comm, _: Talk(session, comm) and None)


def hush(session: Session) -> None:
    """Accept no more comms, and close those that are open."""
    for talk in list(session.talks):
        talk.close()
    kernel = getattr(session.shell, "kernel", None)
    if kernel is not None and hasattr(kernel, "comm_manager"):
        kernel.comm_manager.targets.pop(TARGET, None)
