"""What is on the canvases of one workflow: its picture, how its jobs stand, what was edited there and can be undone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import show, sweep
from ...drawing.blocks import Point
from ...errors import CallError, HybridnbError, NotFound, StoreError, did_you_mean
from ...model import Workflow
from ...run import State
from ..shown import unread
from . import edits
from .follow import follow
from .history import Change, History
from .picture import Choice, Picture, draw, groups
from .states import codes

if TYPE_CHECKING:
    from ...run import Run
    from ..book import Book
    from ..reading import Reading

_TRIED = (State.FAILED, State.LOST, State.CANCELLED, State.SKIPPED)  # what a retry is for


class Scene(NamedTuple):
    """All that a browser is told."""

    graph_json: str
    states: bytes
    told: dict[str, Any]


class Desk:
    """One for each workflow's file: all canvases of it show the same."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.choice = Choice()
        self.history = History()
        self._note = ""  # what became of the last edit
        self._drawing, self._editing = threading.RLock(), threading.RLock()
        self._serial, self._text = 0, ""
        self._picture: Picture | None = None
        self._drawn: tuple[Workflow, Choice] | None = None

    def __repr__(self) -> str:
        return f"Desk({self.book!r})"

    # -- what is told ---------------------------------------------------------------------------------------------------
    def facts(self) -> Scene:
        """Return what browsers are told at this moment. A file that cannot be read is a note; what it said last stays."""
        with self._drawing:
            reading, trouble = self._newest()
            problem = self._draw(reading)
            picture = self._picture
            assert picture
            before = self._before(reading)
            with reading.store() if reading else nullcontext() as opened:
                run = opened.run if opened else None
                told, states = self._told(run, before, picture), codes(picture, run, before)
                can = self._can(run, picture, states=states, before=before)
            noted = self._note if told["run"] and not told["ended"] else ""  # it is about the run that went on then
            odd = self.book.odd(reading.folder) if reading else ""
            notes = [noted, odd, trouble, *(self._held_up(reading) if reading else ())]
            note = "; ".join(dict.fromkeys(filter(None, notes)))
            return Scene(self._text, states, {**told, "note": note, "problem": problem, "can": can})

    def states(self, picture: Picture) -> bytes:
        """Return how the jobs of a picture stand now."""
        reading, _ = self._newest()
        before = self._before(reading)
        with reading.store() if reading else nullcontext() as opened:
            return codes(picture, opened.run if opened else None, before)

    @property
    def picture(self) -> Picture:
        """What is shown now."""
        with self._drawing:
            self._draw(self._newest()[0])
            assert self._picture
            return self._picture

    def _newest(self) -> tuple[Reading | None, str]:
        try:
            return self.book.latest, ""
        except HybridnbError as error:
            return None, str(error)

    def _before(self, reading: Reading | None) -> dict[str, Run]:
        """Return the jobs that are not in the newest run, each with the newest run in which it is."""
        if reading:
            with suppress(HybridnbError):  # the file cannot be read, which is told otherwise
                return {name: earlier.run for name, earlier in self.book.earlier(reading).items()}
        return {}

    def _draw(self, reading: Reading | None) -> str:
        """Draw what the file says, if that is new; return what is wrong with it."""
        problem = ""
        try:
            workflow = self.book.definition
        except HybridnbError as error:
            workflow, problem = self._drawn[0] if self._drawn else Workflow("unreadable"), unread(self.book, error)
        if self._drawn and self._drawn[0] is workflow and self._drawn[1] is self.choice and self._picture:
            return problem
        self._drawn = workflow, self.choice
        picture, last = draw(workflow, self.choice, self._picture), self._picture
        self._picture = picture
        if last is None or last.body != picture.body:
            self._serial += 1
            about = {"title": workflow.name, "file": self.book.name, "run": reading.run.id if reading else None}
            self._text = picture.text(self._serial, about)
        return problem

    def _told(self, run: Run | None, before: Mapping[str, Run], picture: Picture) -> dict[str, Any]:
        assert self._drawn
        counts = (run.counts if run else Counter()) + Counter(
            ran.states[name] for name, ran in before.items() if name in ran.states
        )
        began, ended = (run.created_at, run.ended_at) if run else (None, None)
        return {
            "run": run.id if run else None,
            "state": run.state.value if run else "",
            "ended": ended is not None,
            "counts": {state: counts[State(state)] for state in show.SIGNS if counts[State(state)]},
            "started_at": began,
            "elapsed": (show.moment(ended) - show.moment(began)).total_seconds() if began and ended else None,
            "undo": bool(self.history.done),
            "redo": bool(self.history.undone),
            "by_host": self.choice.by_host,
            "expanded": sorted(self.choice.expanded.intersection(picture.body["groups"])),
            "file": self.book.name,
            "title": self._drawn[0].name,
        }

    def _can(self, run: Run | None, picture: Picture, *, states: bytes, before: Mapping[str, Run]) -> list[str]:
        """Return what can be done with the whole: what goes on can get what is new in the file."""
        going = run is not None and run.ended_at is None
        new = bool(before) or any(states[place] == 0 for place in picture.index.values())
        missed = run is not None and any(run.counts[state] for state in _TRIED)
        words = {"run": bool(picture.index) and (new or not going), "cancel": going, "retry": missed}
        return [word for word, possible in words.items() if possible]

    def _held_up(self, reading: Reading) -> list[str]:
        """Say why the run does not move."""
        if reading.ended or not (problems := self.book.live.problems):
            return []
        places = {reading.run.id, *(job.host for job in reading.run.jobs.values())}
        return [show.trouble(place, why) for place, why in problems.items() if place in places]

    # -- a card, as far as Live is concerned ------------------------------------------------------------------------------
    def bundle(self, facts: Scene) -> dict[str, Any]:
        return facts._asdict()

    def settled(self) -> bool:
        reading, _ = self._newest()
        return reading is None or reading.ended

    # -- what is looked at ----------------------------------------------------------------------------------------------
    def expand(self, group: str, *, on: bool) -> None:
        """Show the jobs of a group one by one, or as one again."""
        if group not in (known := groups(self.book.definition)):
            raise NotFound(f"there is no sweep or group '{group}'{did_you_mean(group, known)}")
        expanded = self.choice.expanded | {group} if on else self.choice.expanded - {group}
        self.choice = replace(self.choice, expanded=frozenset(expanded))

    def by_host(self, *, on: bool) -> None:
        """Draw a box around the jobs of each host, or none."""
        self.choice = replace(self.choice, by_host=on, aside={})

    # -- what is edited -------------------------------------------------------------------------------------------------
    def edit(self, change: Callable[[Workflow], Workflow], *, renamed: tuple[str, str] | None = None) -> str:
        """Edit the file; say what a going run does not follow, or ''. A job that is `renamed` stays its cell's."""
        with self._editing:
            made, note = self._write(change, renamed)
            self.history.note(made)
            return note

    def move(self, places: Mapping[str, Point]) -> str:
        """Put jobs to other places. From the first move on, all keep their places: else those around would move, too.

        Where boxes of hosts are drawn, and for the jobs of a sweep, places are kept as long as this kernel lives.
        """
        picture = self.picture
        if unknown := next((name for name in places if name not in picture.index), None):
            raise NotFound(f"there is no '{unknown}' on the canvas{did_you_mean(unknown, picture.index)}")
        if self.choice.by_host:
            self.choice = replace(self.choice, aside={**self.choice.aside, **places})
            return ""
        there = self.book.definition.jobs
        aside = {name: place for name, place in places.items() if name not in there and name not in picture.members}
        if aside:
            self.choice = replace(self.choice, aside={**self.choice.aside, **aside})
        pinned = {**picture.places, **places}
        return self.edit(lambda now: edits.move(now, pinned, picture.members)) if len(aside) < len(places) else ""

    def tidy(self) -> str:
        """Let the picture arrange itself; where boxes of hosts are drawn, the places in the file are not seen and stay."""
        self.choice = replace(self.choice, aside={})
        return "" if self.choice.by_host else self.edit(edits.tidy)

    def undo(self) -> str:
        """Undo the last edit; raise Conflict where others changed the same since. That edit is then no more to be undone."""
        with self._editing:
            if not self.history.done:
                raise CallError("there is nothing to undo")
            _ = self.book.definition  # while it cannot be read nothing is undone, and nothing forgotten
            change = self.history.done.pop()
            note = self._again(change.back(), self.history.done, change)
            self.history.undone.append(change)
            return note

    def redo(self) -> str:
        """Make the edit again that was undone last."""
        with self._editing:
            if not self.history.undone:
                raise CallError("there is nothing to make again")
            _ = self.book.definition
            change = self.history.undone.pop()
            note = self._again(change, self.history.undone, change)
            self.history.done.append(change)
            return note

    def _again(self, change: Change, kept_in: list[Change], change_itself: Change) -> str:
        try:
            return self._write(lambda now: change.made(now, file=self.book.path.name), change.renamed)[1]
        except StoreError:
            kept_in.append(change_itself)  # another time
            raise

    def _write(self, change: Callable[[Workflow], Workflow], renamed: tuple[str, str] | None) -> tuple[Change, str]:
        seen: list[Workflow] = []

        def noted(now: Workflow) -> Workflow:
            seen.append(now)
            return change(now)

        after = self.book.file.edit(noted)
        if renamed:
            self.book.recorder.cells.rename(*renamed)
        for name in seen[-1].jobs.keys() - after.jobs.keys():
            self.book.recorder.cells.forget(name)
        self._note = follow(self.book, seen[-1], after)
        self.book.live.unsettle()
        return Change.between(seen[-1], after, renamed=renamed), self._note

    # -- names ----------------------------------------------------------------------------------------------------------
    def hosts(self) -> list[str]:
        """Return the hosts that there are, and those that the file names."""
        from ...client import Client

        with suppress(HybridnbError):
            known = Client().hosts(folder=self.book.path.parent)
            return list(dict.fromkeys((*known, *(job.host for job in self.book.definition.jobs.values()))))
        return sorted({job.host for job in self.book.definition.jobs.values()})

    def job(self, name: str) -> Any:
        """Return what the name on the canvas means in the file as it would be run; None for a group."""
        return sweep.expand(self.book.definition).jobs.get(name)
