"""The way of every face to runs: `Client` by the service, `Here` by an engine in this process. Both have the same methods."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from . import __version__, errors
from .errors import CallError, DefinitionError, HybridnbError, Problem, ServiceError
from .service import process

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from .engine import Engine

Record = dict[str, Any]
Told = dict[str, list[str]]

_PATIENCE = 120.0  # seconds for an answer; the service may be handing over 10,000 jobs
_SILENCE = 30.0  # seconds after which a stream without a sign of life is taken for dead
_TRIES = 5  # times in a row that the service may go away while it is asked
_DYING = 1.0  # seconds between the tries
_BEAT = 0.5  # seconds between looks, where there is no service to tell


class Client:
    """Speaks to the service, which is started when there is something to move; what can be read is read without one."""

    def __repr__(self) -> str:
        return f"Client({process.find()!r})"

    def run(
        self, file: Path, *, new: bool = False, jobs: Iterable[str] = (), start: str | None = None, failed: bool = False
    ) -> dict[str, Any]:
        """Run a workflow's file, or follow its newest run that has not ended; see launch.launch."""
        chosen = {"new": new, "jobs": list(jobs), "start": start, "failed": failed}
        return cast(dict[str, Any], self._once("/runs", {"file": os.path.abspath(file), **chosen, **_variables()}))

    def runs(self) -> list[dict[str, Any]]:
        """Return a summary of each of the user's runs, the newest first."""
        from . import view

        return view.runs()

    def status(self, run: str) -> dict[str, Any]:
        """Return how a run stands, with "problems": {host or run: why it does not move}."""
        from . import store, view

        folder = store.find(run)
        if store.listed(folder) and (address := process.find()) and address.version == __version__:
            return cast(dict[str, Any], self._ask("GET", f"/runs/{_id(run)}"))
        return view.status(store.Store.open(folder))

    def cancel(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """Stop the named jobs, or all; return those that had not ended."""
        return cast(list[str], self._ask("POST", f"/runs/{_id(run)}/cancel", {"jobs": _list(jobs)}))

    def retry(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """Try once more the named jobs, or all that did not end well; return them, with the skipped ones below them."""
        return cast(list[str], self._once(f"/runs/{_id(run)}/retry", {"jobs": _list(jobs), **_variables()}))

    def delete(self, run: str) -> None:
        """Remove a run that has ended, with its folder."""
        self._ask("DELETE", f"/runs/{_id(run)}")

    def change(self, run: str, file: Path | None = None) -> Told:
        """Make a going run follow its file, or another; return the names "added", "changed", "removed", "kept"."""
        return cast(Told, self._ask("PUT", f"/runs/{_id(run)}/workflow", {"file": file and os.path.abspath(file)}))

    def define(self, run: str, job_name: str, mapping: Mapping[str, Any]) -> Told:
        """Add a job to a going run, or change it if it has not started."""
        return cast(Told, self._ask("PUT", f"/runs/{_id(run)}/jobs/{_quote(job_name)}", {"definition": dict(mapping)}))

    def remove(self, run: str, job_name: str) -> Told:
        """Take a job that has not started out of a going run."""
        return cast(Told, self._ask("DELETE", f"/runs/{_id(run)}/jobs/{_quote(job_name)}"))

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Return the user's hosts as they are described, each with its "problem", or ''."""
        if process.find():
            return cast(dict[str, dict[str, Any]], self._ask("GET", "/hosts"))
        from . import view

        return view.hosts()

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
            except _cuts() as error:
                if (tries := tries + 1) >= _TRIES:
                    raise ServiceError(f"the service does not stay up: {error}. See {process.log()}") from error
                _settle()
                yield {}

    def close(self) -> None:
        """Let go; runs go on."""

    # -- the wire -------------------------------------------------------------------------------------------------------
    def _once(self, path: str, body: dict[str, Any]) -> Any:
        """Ask for what must not happen twice, however often the answer gets lost."""
        return self._ask("POST", path, {**body, "request": os.urandom(12).hex()}, mark=True)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, mark: bool = False) -> Any:
        """Ask the service, started if need be, and return its answer; ask again when it was killed meanwhile."""
        for tries in range(1, _TRIES + 1):
            again = {"again": True} if mark and tries > 1 else {}
            try:
                with closing(self._send(_PATIENCE, method, path, None if body is None else {**body, **again})) as response:
                    text = response.read()
                    return json.loads(text) if text else None
            except TimeoutError as error:
                raise ServiceError(f"the service does not answer within {_PATIENCE:g} s. See {process.log()}") from error
            except _cuts() as error:
                cause = error
                _settle()
        raise ServiceError(f"the service does not stay up: {cause}. See {process.log()}")

    def _stream(self, run: str, *, since: int) -> Iterator[Record]:
        """Yield records from the event stream until its end; raise ConnectionError when it was cut."""
        with closing(self._send(_SILENCE, "GET", f"/runs/{_id(run)}/events?since={since}")) as response:
            rest = b""
            while piece := response.read1(1 << 20):
                *messages, rest = (rest + piece).split(b"\n\n")
                for message in messages:
                    if message.startswith(b"event: end"):
                        return
                    yield json.loads(message.partition(b"data: ")[2] or "{}")
        raise ConnectionError("the stream was cut")

    def _send(self, timeout: float, method: str, path: str, body: dict[str, Any] | None = None) -> HTTPResponse:
        from http.client import HTTPConnection

        address = _current()
        connection = HTTPConnection("127.0.0.1", address.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {address.secret}", "Connection": "close", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body).encode()
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        if response.status >= 400:
            with closing(response):
                raise _error(response.status, response.read())
        return response


class Here:
    """Drives an engine in this process, without any service. What was handed over goes on when this process ends."""

    def __init__(self) -> None:
        from .engine import Engine

        self._engine: Engine = Engine()

    def __repr__(self) -> str:
        return f"Here({self._engine!r})"

    def run(
        self, file: Path, *, new: bool = False, jobs: Iterable[str] = (), start: str | None = None, failed: bool = False
    ) -> dict[str, Any]:
        """See Client.run."""
        from . import environment, launch

        variables = environment.capture()
        return launch.launch(self._engine, file, variables=variables, new=new, jobs=list(jobs), start=start, failed=failed)

    def runs(self) -> list[dict[str, Any]]:
        """See Client.runs."""
        from . import view

        return view.runs()

    def status(self, run: str) -> dict[str, Any]:
        """See Client.status."""
        from . import store, view

        execution = self._engine.executions.get(run)
        return view.status(execution.store if execution else store.Store.open(store.find(run)), self._engine.problems)

    def cancel(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """See Client.cancel; the jobs are stopped while `events` is read."""
        from . import launch

        return launch.cancel(self._engine, run, jobs)

    def retry(self, run: str, jobs: Iterable[str] | None = None) -> list[str]:
        """See Client.retry."""
        from . import environment, launch

        return launch.retry(self._engine, run, jobs, variables=environment.capture())

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

    def hosts(self) -> dict[str, dict[str, Any]]:
        """See Client.hosts."""
        from . import view

        return view.hosts(self._engine.problems)

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


def _cuts() -> tuple[type[Exception], ...]:
    """What is raised when the service was killed, or has ended, while it was asked."""
    from http.client import HTTPException

    return ConnectionError, HTTPException


def _settle() -> None:
    """Let a service that is just ending come to its end: it hears nobody any more, and is still there."""
    if address := process.find():
        process.wait_for_end(address, timeout=_DYING)


def _current() -> process.Address:
    """Find the service, or start it. One of an earlier version is replaced: its runs go on under the new one."""
    address = process.find() or process.start()
    if address.version == __version__:
        return address
    if _numbers(address.version) > _numbers(__version__):
        told = f"the service is of hybridnb {address.version}, this is {__version__}"
        raise ServiceError(f"{told}: use the newer one here too, or end the service by 'hybridnb service stop'")
    process.stop(address)
    return process.start()


def _numbers(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)]


def _error(status: int, text: bytes) -> HybridnbError:
    """Rebuild the error that was raised in the service."""
    try:
        about = json.loads(text)
        kind, message, problems = about["error"], about["message"], about["problems"]
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the service answers {status}: {text[:200].decode(errors='replace')}")
    known = getattr(errors, kind, ServiceError)
    if known is DefinitionError:
        return DefinitionError(Problem(*p) for p in problems)
    return cast(HybridnbError, known(message))
