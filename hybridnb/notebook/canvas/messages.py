"""What a browser asks of the kernel, word by word. Each answer is plain data; what cannot be done is an error in the words of the magics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ... import graph, sweep
from ...client import Client
from ...definition import from_mapping, readable
from ...errors import CallError, NotFound, did_you_mean
from ...model import Workflow
from . import edits, tip
from .desk import Desk
from .said import Said

Answer = dict[str, Any]


class Messages:
    """Answers what the canvases of one workflow ask."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._book = desk, desk.book
        edited = (
            self._connect,
            self._disconnect,
            self._remove,
            self._move,
            self._add,
            self._rename,
            self._edit,
            self._undo,
            self._redo,
        )
        seen = (self._tidy, self._by_host, self._expand)
        run = (self._run, self._cancel, self._retry)
        told = (self._form, self._tip, self._log, self._outputs, self._svg, self._find)
        self._quiet = {method.__name__[1:] for method in told}
        self._words: dict[str, Callable[[Said], Answer]] = {m.__name__[1:]: m for m in (*edited, *seen, *run, *told)}

    def changes(self, said: Said) -> bool:
        """May the answer change what is on the canvas?"""
        return said.do not in self._quiet

    def answer(self, said: Said) -> Answer:
        """Do what is asked, and return what is to be answered; raise HybridnbError when that cannot be."""
        if said.do not in self._words:
            raise CallError(f"a canvas cannot ask for {said.do!r}{did_you_mean(said.do, self._words)}")
        return self._words[said.do](said)

    # -- edits ----------------------------------------------------------------------------------------------------------
    def _connect(self, said: Said) -> Answer:
        source, target, kind = said.text("source"), said.text("target"), said.text("kind", "ok")
        return _note(self._desk.edit(lambda now: edits.connect(now, source, target, kind)))

    def _disconnect(self, said: Said) -> Answer:
        edges = said.edges("edges")
        return _note(self._desk.edit(lambda now: edits.disconnect(now, edges)))

    def _remove(self, said: Said) -> Answer:
        jobs, edges = said.texts("jobs"), said.edges("edges")
        return _note(self._desk.edit(lambda now: edits.remove(now, jobs, edges)))

    def _move(self, said: Said) -> Answer:
        return _note(self._desk.move(said.places("places")))

    def _add(self, said: Said) -> Answer:
        given = {key: said.text(key) for key in ("host", "script", "exec") if said.has(key)}
        job = from_mapping(said.text("name"), {**given, **({"after": after} if (after := said.texts("after")) else {})})
        if (place := said.point("place")) is None or self._desk.choice.by_host:
            return _note(self._desk.edit(lambda now: edits.add(now, job)))
        picture = self._desk.picture
        pinned = {**picture.places, job.name: place}
        return _note(self._desk.edit(lambda now: edits.move(edits.add(now, job), pinned, picture.members)))

    def _rename(self, said: Said) -> Answer:
        old, new = said.text("old"), said.text("new")
        return _note(self._desk.edit(lambda now: edits.rename(now, old, new), renamed=(old, new)))

    def _edit(self, said: Said) -> Answer:
        name, mine, was = said.text("name"), said.mapping("job"), said.mapping("was")
        file, new = self._book.path.name, said.text("new", name)

        def change(now: Workflow) -> Workflow:
            revised = edits.revise(now, name, mine, was, file=file)
            return edits.rename(revised, name, new) if new != name else revised

        return _note(self._desk.edit(change, renamed=(name, new) if new != name else None))

    def _undo(self, _: Said) -> Answer:
        return _note(self._desk.undo())

    def _redo(self, _: Said) -> Answer:
        return _note(self._desk.redo())

    # -- what is seen ---------------------------------------------------------------------------------------------------
    def _tidy(self, _: Said) -> Answer:
        return _note(self._desk.tidy())

    def _by_host(self, said: Said) -> Answer:
        self._desk.by_host(on=said.flag("on"))
        return {}

    def _expand(self, said: Said) -> Answer:
        self._desk.expand(said.text("group"), on=said.flag("on"))
        return {}

    # -- runs -----------------------------------------------------------------------------------------------------------
    def _run(self, said: Said) -> Answer:
        words, start = said.texts("jobs"), said.text("from", "") or None
        if len(words) == 1 and words[0] in self._book.definition.jobs and not said.flag("new"):
            return {"run": self._book.start(words[0]).id}
        jobs = self._with_those_above(words)
        run = self._book.run(jobs=jobs, start=start, failed=said.flag("failed"), new=said.flag("new"))
        return {"run": run.id}

    def _with_those_above(self, words: list[str]) -> list[str]:
        """Return the jobs with all above them that are not done in the newest run: they cannot start without these."""
        if not words:
            return []
        workflow, reading = sweep.expand(self._book.definition), self._book.latest
        chosen = {name for word in words for name in sweep.members(workflow.jobs, word, of=self._book.name)}
        done = {name for name, state in reading.run.states.items() if state == "done"} if reading else set()
        above = graph.ancestors(workflow.parents(), chosen)
        return [name for name in workflow.jobs if name in chosen or (name in above and name not in done)]

    def _cancel(self, said: Said) -> Answer:
        return self._asked("cancel", said)

    def _retry(self, said: Said) -> Answer:
        return self._asked("retry", said)

    def _asked(self, word: str, said: Said) -> Answer:
        reading = self._book.latest
        if reading is None:
            raise NotFound(f"{self._book.name} has not been run yet")
        names: list[str] = getattr(Client(), word)(str(reading.folder), said.texts("jobs") or None)
        self._book.live.follow(reading.folder)
        self._book.live.unsettle()
        return {"jobs": names}

    # -- what is told ---------------------------------------------------------------------------------------------------
    def _form(self, said: Said) -> Answer:
        """What can be edited of a job, in the words of the file, and what can be chosen there."""
        workflow, name = self._book.definition, said.text("name")
        if edits.named(workflow, name) != [name]:
            raise CallError(f"'{name}' is a group of jobs: expand it, and edit these")
        told = {"job": readable(workflow[name]), "hosts": self._desk.hosts(), "jobs": list(workflow.jobs)}
        return {**told, "cell": self._book.recorder.where(name)}

    def _tip(self, said: Said) -> Answer:
        return {"lines": tip.lines(self._book, said.text("name"))}

    def _log(self, said: Said) -> Answer:
        where = {"stream": said.text("stream", "out"), "offset": said.number("offset") or 0, "attempt": said.number("attempt")}
        return tip.log(self._book, said.text("name"), **where)  # type: ignore[arg-type]

    def _outputs(self, said: Said) -> Answer:
        return {"files": [list(file) for file in tip.files(self._book, said.text("name"))]}

    def _find(self, said: Said) -> Answer:
        """Find jobs that are not drawn one by one: how many of each sweep, or group, have a text in their names."""
        text, index = said.text("text").casefold(), self._desk.picture.index
        jobs = self._book.expanded.jobs.items()
        return {"found": dict(Counter(job.group for name, job in jobs if job.group in index and text in name.casefold()))}

    def _svg(self, _: Said) -> Answer:
        return {"svg": tip.svg(self._book)}


def _note(text: str) -> Answer:
    return {"note": text} if text else {}
