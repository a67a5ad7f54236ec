"""The way of every face to runs: `Client` by the service, `Here` by an engine in this process. Both have the same methods."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from . import __version__
from .errors import CallError, ServiceError
from .service import process, wire

if TYPE_CHECKING:
    from .engine import Engine

Record = dict[str, Any]
Told = dict[str, list[str]]

_BEAT = 0.5  # seconds between looks, where there is no service to tell


class Client:
    """Speaks to the service, which is started when there is something to move; what can be read is read without one."""

    def __init__(self) -> None:
        self.asked = False  # does a host ask something of a person? As of the last of the events

    def __repr__(self) -> str:
        return f"Client({process.find()!r})"

    def run(self, file: Path, *, jobs: Iterable[str] = (), start: str | None = None, **how: bool) -> dict[str, Any]:
        """Run a workflow's file, or follow its newest run that has not ended: `new`, `failed`, `whole`; see launch.launch."""
        chosen = {"jobs": list(jobs), "start": start, **how}
        return cast(dict[str, Any], wire.once("/runs", {"file": os.path.abspath(file), **chosen, **_variables()}))

    def runs(self) -> list[dict[str, Any]]:
        """Return a summary of each of the user's runs, the newest first."""
        from . import view

        return view.runs()

    def status(self, run: str) -> dict[str, Any]:
        """Return how a run stands, with "problems": {host or run: why it does not move}."""
        from . import store, view

        folder = store.find(run)
        if store.listed(folder) and (address := process.find()) and address.version == __version__:
            return cast(dict[str, Any], wire.ask("GET", f"/runs/{_id(run)}"))
        return view.status(store.Store.open(folder))

    def cancel(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """Stop the named jobs, or all; return those that had not ended."""
        return cast(list[str], wire.ask("POST", f"/runs/{_id(run)}/cancel", {"jobs": _list(jobs)}))

    def retry(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """Try once more the named jobs, or all that did not end well; return them, with the skipped ones below them."""
        return cast(list[str], wire.once(f"/runs/{_id(run)}/retry", {"jobs": _list(jobs), **_variables()}))

    def clean(self, run: str) -> dict[str, int]:
        """Remove what a run that has ended left on its hosts; return how many bytes that freed on each."""
        return cast(dict[str, int], wire.ask("POST", f"/runs/{_id(run)}/clean", {}))

    def delete(self, run: str) -> None:
        """Remove a run that has ended, with its folder."""
        wire.ask("DELETE", f"/runs/{_id(run)}")

    def change(self, run: str, file: Path | None = None) -> Told:
        """Make a going run follow its file, or another; return the names "added", "changed", "removed", "kept"."""
        return cast(Told, wire.ask("PUT", f"/runs/{_id(run)}/workflow", {"file": file and os.path.abspath(file)}))

    def define(self, run: str, job_name: str, mapping: Mapping[str, Any]) -> Told:
        """Add a job to a going run, or change it if it has not started."""
        return cast(Told, wire.ask("PUT", f"/runs/{_id(run)}/jobs/{_quote(job_name)}", {"definition": dict(mapping)}))

    def remove(self, run: str, job_name: str) -> Told:
        """Take a job that has not started out of a going run."""
        return cast(Told, wire.ask("DELETE", f"/runs/{_id(run)}/jobs/{_quote(job_name)}"))

    def hosts(self, *, folder: Path | None = None) -> dict[str, dict[str, Any]]:
        """Return the user's hosts as they are described, those in the folder's hosts.yaml too, each with its "problem", or ''."""
        if process.find():
            return cast(
                dict[str, dict[str, Any]], wire.ask("GET", "/hosts" + (f"?folder={_quote(_absolute(folder))}" if folder else ""))
            )
        from . import view

        return view.hosts(folder=folder)

    def check(self, host: str, *, folder: Path | None = None) -> Iterator[dict[str, Any]]:
        """Try a host; yield its steps, see check.Step, and {} while one takes long. A connection that is made so is kept."""
        path = f"/hosts/{_quote(host)}/check"
        rest = b""
        try:
            with closing(wire.stream("POST", path, {"folder": _absolute(folder) if folder else None})) as pieces:
                for piece in pieces:
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from map(json.loads, lines)
        except wire.cuts() as error:
            raise ServiceError(f"the service went away meanwhile: {error}. See {process.log()}") from error

    def partitions(self, host: str, *, folder: Path | None = None) -> list[str]:
        """Return the partitions of a Slurm cluster; [] while it is not connected, since nobody logs in for this, and of other hosts."""
        if (address := process.find()) and address.version == __version__:
            where = f"?folder={_quote(_absolute(folder))}" if folder else ""
            return cast(list[str], wire.ask("GET", f"/hosts/{_quote(host)}/partitions{where}"))
        from .hosts.config import Hosts
        from .hosts.partitions import Partitions

        return Partitions(Hosts()).of(host, folder)

    def problems(self) -> dict[str, str]:
        """Return why something does not move, by host or run."""
        return cast(dict[str, str], wire.ask("GET", "/health")["problems"]) if process.find() else {}

    def questions(self) -> list[dict[str, Any]]:
        """Return what hosts ask of a person now: "id", "host", "text", "hidden" and "choices"."""
        return cast(list[dict[str, Any]], wire.ask("GET", "/questions")) if process.find() else []

    def answer(self, question: int, text: str | None) -> None:
        """Answer a question, or withhold the answer by None; raise NotFound when it waits no more."""
        wire.ask("POST", f"/questions/{question}", {"text": text})

    def log(
        self, run: str, job: str, *, stream: str = "out", attempt: int | None = None, offset: int = 0, limit: int = 65536
    ) -> tuple[bytes, int]:
        """Return a piece of what a job wrote ("out" or "err"; by default of its last attempt), and the offset of the next."""
        return _log(run, job, stream=stream, attempt=attempt, offset=offset, limit=limit)

    def events(self, run: str, *, since: int = 0, live: bool = True) -> Iterator[Record]:
        """Yield the journal's records after the number `since`, with `live` until the run has ended.

        Yields {} now and then, so that a caller can act; goes on by itself when the service was started again.
        """
        tail = _tail(run, since)
        yield from tail.read()
        tries = 0
        while live and not tail.ended:
            try:
                for record in self._stream(run, since=tail.since):
                    if record:
                        tail.since, tries = record["n"], 0
                    yield record
                return
            except wire.silences() as error:
                if (tries := tries + 1) >= wire.TRIES:
                    raise ServiceError(f"the service does not stay up: {error}. See {process.log()}") from error
                wire.settle()
                yield {}

    def close(self) -> None:
        """Let go; runs go on."""

    def _stream(self, run: str, *, since: int) -> Iterator[Record]:
        """Yield records from the event stream until its end; raise ConnectionError when it was cut."""
        rest = b""
        with closing(wire.stream("GET", f"/runs/{_id(run)}/events?since={since}")) as pieces:
            for piece in pieces:
                *messages, rest = (rest + piece).split(b"\n\n")
                for message in messages:
                    if message.startswith(b"event: end"):
                        return
                    self.asked = message.startswith(b": a question")
                    yield json.loads(message.partition(b"data: ")[2] or "{}")
        raise ConnectionError("the stream was cut")


class Here:
    """Drives an engine in this process, without any service. What was handed over goes on when this process ends."""

    def __init__(self) -> None:
        from .engine import Engine
        from .hosts.partitions import Partitions

        self._engine: Engine = Engine()
        self._partitions = Partitions(self._engine.hosts)

    def __repr__(self) -> str:
        return f"Here({self._engine!r})"

    def run(self, file: Path, *, jobs: Iterable[str] = (), start: str | None = None, **how: bool) -> dict[str, Any]:
        """See Client.run."""
        from . import environment, launch

        chosen: dict[str, Any] = {"jobs": list(jobs), "start": start, **how}
        return launch.launch(self._engine, file, variables=environment.capture(), **chosen)

    def runs(self) -> list[dict[str, Any]]:
        """See Client.runs."""
        from . import view

        return view.runs()

    def status(self, run: str) -> dict[str, Any]:
        """See Client.status."""
        from . import store, view

        execution = self._engine.executions.get(run)
        return view.status(execution.store if execution else store.Store.open(store.find(run)), self.problems())

    def cancel(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """See Client.cancel; the jobs are stopped while `events` is read."""
        from . import launch

        return launch.cancel(self._engine, run, jobs)

    def retry(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """See Client.retry."""
        from . import environment, launch

        return launch.retry(self._engine, run, jobs, variables=environment.capture())

    def clean(self, run: str) -> dict[str, int]:
        """See Client.clean."""
        from . import launch

        return launch.clean(run, launch.hosts_of(self._engine, run))

    def delete(self, run: str) -> None:
        """See Client.delete."""
        from . import launch

        launch.delete(self._engine, run)

    def change(self, run: str, file: Path | None = None) -> Told:
        """See Client.change."""
        from . import launch

        return launch.change(self._engine, run, file)

    def define(self, run: str, job_name: str, mapping: Mapping[str, Any]) -> Told:
        """See Client.define."""
        from . import launch

        return launch.define(self._engine, run, job_name, mapping)

    def remove(self, run: str, job_name: str) -> Told:
        """See Client.remove."""
        from . import launch

        return launch.remove(self._engine, run, job_name)

    def hosts(self, *, folder: Path | None = None) -> dict[str, dict[str, Any]]:
        """See Client.hosts."""
        from . import view

        return view.hosts(self.problems(), folder=folder)

    def check(self, host: str, *, folder: Path | None = None) -> Iterator[dict[str, Any]]:
        """See Client.check."""
        from dataclasses import asdict

        from .hosts.check import Trial

        for step in Trial(self._engine.hosts, host, folder):
            yield asdict(step) if step else {}

    def partitions(self, host: str, *, folder: Path | None = None) -> list[str]:
        """See Client.partitions."""
        return self._partitions.of(host, folder)

    @property
    def asked(self) -> bool:
        """See Client.asked."""
        return bool(self._engine.hosts.questions.open())

    def questions(self) -> list[dict[str, Any]]:
        """See Client.questions. Runs are moved meanwhile: whoever asks a person asks here again and again."""
        from dataclasses import asdict

        self._engine.step()
        return [asdict(question) for question in self._engine.hosts.questions.open()]

    def answer(self, question: int, text: str | None) -> None:
        """See Client.answer."""
        self._engine.hosts.questions.answer(question, text)

    def problems(self) -> dict[str, str]:
        """See Client.problems."""
        from . import view

        return {**self._engine.problems, **view.waiting(self._engine.hosts.questions)}

    def log(
        self, run: str, job: str, *, stream: str = "out", attempt: int | None = None, offset: int = 0, limit: int = 65536
    ) -> tuple[bytes, int]:
        """See Client.log."""
        return _log(run, job, stream=stream, attempt=attempt, offset=offset, limit=limit)

    def events(self, run: str, *, since: int = 0, live: bool = True) -> Iterator[Record]:
        """See Client.events; it is this that moves the run."""
        from . import launch

        tail = _tail(run, since)
        execution = launch.held(self._engine, run) if live else None
        while True:
            yield from tail.read()
            if execution is None or (execution.run.ended_at and tail.ended):
                return
            self._engine.step(_BEAT)
            yield {}

    def close(self) -> None:
        """Write everything and let go; what hosts have goes on."""
        self._engine.close()


def _variables() -> dict[str, dict[str, str]]:
    from . import environment

    return {"variables": environment.capture()}


def _list(jobs: Iterable[str] | None) -> list[str] | None:
    return None if jobs is None else list(jobs)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def _quote(word: str) -> str:
    from urllib.parse import quote

    return quote(word, safe="")


def _id(run: str) -> str:
    """A run's id for the wire; faces may also have its folder. Raises CallError when the id would lead elsewhere."""
    from . import store, view

    folder = store.find(run)
    if (name := view.Tail(folder).first()["run"]) != folder.name:
        raise CallError(f"{folder}: this is run {name}; give the folder its name back, or name the run by its id")
    return _quote(store.enlist(folder))


def _log(run: str, job: str, **piece: Any) -> tuple[bytes, int]:
    from . import store, view

    return view.log(store.find(run), job, **piece)


def _tail(run: str, since: int) -> Any:
    from . import store, view

    return view.Tail(store.find(run), since=since)
