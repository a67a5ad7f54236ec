"""The service's routes: each parses, asks the owner once, and answers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from .. import __version__, launch, store, view
from ..errors import CallError, Conflict, DefinitionError, HostError, HybridnbError, NotFound, RunBusy, StoreError
from ..hosts import check as trial
from ..hosts.partitions import Partitions
from ..journal import Record
from . import messages as m
from .door import Door
from .owner import Feed, Owner, Tell

_T = TypeVar("_T")

BEAT = 1.0  # seconds after which a stream of events says that it is still there
_LOOK = 0.5  # seconds between looks at a journal that another process writes
_STATUS = {DefinitionError: 422, NotFound: 404, CallError: 400, Conflict: 409, RunBusy: 409, StoreError: 507, HostError: 502}
_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": m.Wrong} for status in sorted(_STATUS.values())}

router = APIRouter(responses=_ERRORS)


def build(owner: Owner, secret: str, *, port: int, stop: Callable[[], None], stopping: Callable[[], bool]) -> Door:
    """Make the application: routes over the owner, behind a door that wants the secret."""
    app = FastAPI(title="hybridnb", version=__version__, docs_url=None, redoc_url=None, summary="Runs of one user on one machine")
    app.state.owner, app.state.stop, app.state.stopping = owner, stop, stopping
    app.state.partitions = Partitions(owner.engine.hosts)
    app.include_router(router)
    app.add_exception_handler(HybridnbError, _wrong)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _fault)
    return Door(app, secret=secret, port=port)


async def _owner(request: Request) -> Owner:
    owner: Owner = request.app.state.owner
    return owner


Held = Annotated[Owner, Depends(_owner)]


async def _ask(owner: Owner, work: Callable[..., _T], *args: Any, **more: Any) -> _T:
    """Have something done by the engine's thread."""
    return await asyncio.wrap_future(owner.call(partial(work, owner.engine, *args, **more)))


# -- the service itself ---------------------------------------------------------------------------------------------------
@router.get("/health", response_model=m.Health, summary="Tell which process this is and how much it has to do")
async def health(owner: Held) -> Any:
    return {"pid": os.getpid(), "version": __version__, "runs": owner.going, "problems": owner.problems}


@router.post("/stop", status_code=202, summary="End the service; jobs go on")
async def stop(request: Request) -> dict[str, int]:
    request.app.state.stop()
    return {"pid": os.getpid()}


# -- hosts ----------------------------------------------------------------------------------------------------------------
@router.get("/hosts", summary="List the hosts that jobs can go to, each with its problem")
async def hosts(owner: Held, folder: str | None = None) -> dict[str, dict[str, Any]]:
    return await asyncio.to_thread(view.hosts, owner.problems, folder=Path(folder) if folder else None)


@router.post(
    "/hosts/{host}/check",
    response_class=StreamingResponse,
    summary="Try a host step by step; streams them as lines of JSON",
    responses={200: {"model": m.Step}},
)
async def check(owner: Held, host: str, asked: m.Place) -> StreamingResponse:
    tried = await asyncio.wrap_future(
        owner.call(partial(trial.Trial, owner.engine.hosts, host, Path(asked.folder) if asked.folder else None))
    )
    lines = (json.dumps(step and asdict(step) or {}, ensure_ascii=False) + "\n" for step in tried)
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


@router.get("/hosts/{host}/partitions", summary="List a connected cluster's partitions; none of any other host")
async def partitions(request: Request, owner: Held, host: str, folder: str | None = None) -> list[str]:
    known: Partitions = request.app.state.partitions
    way = await asyncio.wrap_future(owner.call(partial(known.way, host, Path(folder) if folder else None)))
    return await asyncio.to_thread(known.ask, way) if way else []


@router.get("/questions", response_model=list[m.Asked], summary="List the questions that hosts ask of a person")
async def questions(owner: Held) -> Any:
    return [asdict(question) for question in owner.questions.open()]


@router.post("/questions/{number}", status_code=204, summary="Answer a question, or withhold the answer")
async def answer(owner: Held, number: int, given: m.Answer) -> None:
    owner.questions.answer(number, given.text)


# -- runs -----------------------------------------------------------------------------------------------------------------
@router.get("/runs", response_model=list[m.Summary], summary="List the runs, the newest first")
async def runs() -> Any:
    return await asyncio.to_thread(view.runs)


@router.post("/runs", response_model=m.Launched, summary="Run a workflow's file, or follow its run that still goes on")
async def run(owner: Held, asked: m.Launch) -> Any:
    options = asked.model_dump(exclude={"file"})
    return await _ask(owner, launch.launch, Path(asked.file), **options)


@router.get("/runs/{run}", response_model=m.Status, summary="Tell how a run stands")
async def status(owner: Held, run: str) -> Any:
    def look(engine: Any) -> dict[str, Any] | None:
        execution = engine.executions.get(run)
        return view.status(execution.store, owner.problems) if execution else None

    return await _ask(owner, look) or await asyncio.to_thread(
        lambda: view.status(store.Store.open(store.find(run)), owner.problems)
    )


@router.delete("/runs/{run}", status_code=204, summary="Remove a run that has ended, with its folder")
async def delete(owner: Held, run: str) -> None:
    await _ask(owner, launch.delete, run)


@router.post("/runs/{run}/clean", summary="Remove what an ended run left on its hosts; tell the bytes that this freed on each")
async def clean(owner: Held, run: str) -> dict[str, int]:
    hosts = await _ask(owner, launch.hosts_of, run)
    return await asyncio.to_thread(launch.clean, run, hosts)


@router.post("/runs/{run}/cancel", summary="Stop a run, or some of its jobs; tell which had not ended")
async def cancel(owner: Held, run: str, asked: m.Jobs) -> list[str]:
    return await _ask(owner, launch.cancel, run, asked.jobs)


@router.post("/runs/{run}/retry", summary="Try once more what did not end well, or some jobs; tell which")
async def retry(owner: Held, run: str, asked: m.Retry) -> list[str]:
    return await _ask(owner, launch.retry, run, **asked.model_dump())


@router.put("/runs/{run}/workflow", response_model=m.Changed, summary="Make a going run follow its file")
async def change(owner: Held, run: str, asked: m.Follow) -> Any:
    return await _ask(owner, launch.change, run, Path(asked.file) if asked.file else None)


# -- jobs -----------------------------------------------------------------------------------------------------------------
@router.put("/runs/{run}/jobs/{job}", response_model=m.Changed, summary="Add a job to a going run, or change one that waits")
async def define(owner: Held, run: str, job: str, asked: m.Definition) -> Any:
    return await _ask(owner, launch.define, run, job, asked.definition)


@router.delete("/runs/{run}/jobs/{job}", response_model=m.Changed, summary="Take a job that waits out of a going run")
async def remove(owner: Held, run: str, job: str) -> Any:
    return await _ask(owner, launch.remove, run, job)


@router.get(
    "/runs/{run}/jobs/{job}/log", response_class=Response, summary="Read a piece of what a job wrote; X-Next-Offset is the next"
)
async def log(
    run: str,
    job: str,
    stream: str = "out",
    attempt: Annotated[int | None, Query(ge=1)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=view.LIMIT)] = 65536,
) -> Response:
    def read() -> tuple[bytes, int]:
        return view.log(store.find(run), job, stream=stream, attempt=attempt, offset=offset, limit=limit)

    piece, following = await asyncio.to_thread(read)
    return Response(piece, media_type="application/octet-stream", headers={"X-Next-Offset": str(following)})


# -- events ---------------------------------------------------------------------------------------------------------------
@router.get(
    "/runs/{run}/events", response_class=StreamingResponse, summary="Stream the records of a run's journal, until it has ended"
)
async def events(
    request: Request,
    owner: Held,
    run: str,
    since: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> StreamingResponse:
    folder = await asyncio.to_thread(store.find, run)
    tail = view.Tail(folder, since=max(since, last_event_id or 0))
    stream = _stream(owner, tail, request.app.state.stopping)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _stream(owner: Owner, tail: view.Tail, stopping: Callable[[], bool]) -> AsyncIterator[str]:
    """Write batches as server-sent events; "end" comes only when the run has ended, so that a cut is told from an end."""
    with suppress(NotFound, StoreError):  # cut; whoever comes again is told why
        async for batch in _batches(owner, tail, stopping):
            if batch is None:
                yield "event: end\ndata: {}\n\n"
            else:
                beat = ": a question\n\n" if owner.questions.open() else ": still here\n\n"
                yield "".join(f"id: {r['n']}\ndata: {json.dumps(r, ensure_ascii=False)}\n\n" for r in batch) or beat


async def _batches(owner: Owner, tail: view.Tail, stopping: Callable[[], bool]) -> AsyncIterator[list[Record] | None]:
    """Yield batches of records, without gaps or doubles, [] now and then, and None at the end."""
    while not stopping():
        queue: asyncio.Queue[list[Record] | None] = asyncio.Queue()
        followed = owner.call(partial(owner.follow, tail.folder.name, _teller(queue)))
        try:
            feed = await asyncio.wrap_future(followed)
            yield await asyncio.to_thread(tail.read, upto=feed.start if feed else None)
            while feed and not stopping() and (batch := await _next(queue)) is not None:
                yield batch
                tail.since = batch[-1]["n"] if batch else tail.since
        finally:
            owner.call(partial(_leave, owner, followed))
        if feed is None and tail.ended:
            yield None
            return
        if feed is None:
            await asyncio.sleep(_LOOK)


def _teller(queue: asyncio.Queue[list[Record] | None]) -> Tell:
    """Return what brings batches from the engine's thread into the queue."""
    loop = asyncio.get_running_loop()

    def tell(batch: list[Record] | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it the follower
            loop.call_soon_threadsafe(queue.put_nowait, batch)

    return tell


def _leave(owner: Owner, followed: Future[Feed | None]) -> None:
    """In the engine's thread, and after the call that it undoes."""
    if not followed.cancelled() and (feed := followed.result()):
        owner.leave(feed)


async def _next(queue: asyncio.Queue[list[Record] | None]) -> list[Record] | None:
    try:
        return await asyncio.wait_for(queue.get(), BEAT)
    except asyncio.TimeoutError:
        return []


# -- errors, once ---------------------------------------------------------------------------------------------------------
def _answer(status: int, error: Exception, message: str) -> JSONResponse:
    problems = [list(p) for p in error.problems] if isinstance(error, DefinitionError) else []
    return JSONResponse({"error": type(error).__name__, "message": message, "problems": problems}, status)


async def _wrong(_: Request, error: Exception) -> Response:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    return _answer(status, error, str(error))


async def _misunderstood(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return _answer(400, CallError(), told)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = NotFound if error.status_code == 404 else CallError
    return _answer(error.status_code, kind(), f"{request.method} {request.url.path}: {error.detail}")


async def _fault(request: Request, error: Exception) -> Response:
    told = f"{request.method} {request.url.path}: {type(error).__name__}: {error}. This is a fault of hybridnb; its log has the details"
    return JSONResponse({"error": "ServiceError", "message": told, "problems": []}, 500)
