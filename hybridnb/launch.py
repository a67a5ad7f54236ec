"""What a person asks of runs, over an engine: to run a file, or to cancel, retry, change or delete what is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import definition, environment, graph, store, sweep
from .engine import Engine
from .errors import CallError, Conflict, DefinitionError, HostError, NotFound, RunBusy, StoreError
from .execution import Execution
from .grammar import about_script
from .hosts.host import Host
from .model import Job, Kind, Workflow
from .run import Run, State
from .store import Store

Told = dict[str, list[str]]
Wrong = tuple[str, str, str]  # a job or sweep of the file, the key there, and the message


def launch(
    engine: Engine,
    file: Path,
    *,
    variables: Mapping[str, str],
    new: bool = False,
    jobs: Sequence[str] = (),
    start: str | None = None,
    failed: bool = False,
    whole: bool = False,
    request: str = "",
    again: bool = False,
) -> dict[str, Any]:
    """Run a workflow's file: go on with its newest run if that has not ended, else, or if `new`, start another.

    Sweeps become the jobs that they stand for; where jobs are named, the name of a sweep or a group means all of it.
    Only `jobs`, or `start` and all below it, or what has `failed` when it was run last, if that is asked for; then only their hosts and
    scripts have to be there. With `whole` a run that has begun one of these otherwise than the file says now is not gone on with. A
    `request` that is made `again`, because its answer got lost, starts nothing twice. Returns {"run", "folder", "followed", "added",
    "changed", "removed", "kept"}. Raises DefinitionError, NotFound for an unknown job, Conflict when the run is not as a `whole` wants
    it, RunBusy when another process moves it, StoreError.
    """
    file = file.absolute()
    _writable("the path of the workflow", str(file))
    workflow = sweep.expand(definition.load(file, scripts=False))
    if again and request and (made := _made(file, request)):
        return _resumed(engine, made, variables)
    last = store.latest(file)
    going = None if new else _going(engine, last)
    before = _before(file, going.run if going else None, workflow) if failed else None
    chosen = _chosen(workflow, before, jobs=jobs, start=start, failed=failed)
    selected = workflow if chosen is None else workflow.only(chosen)
    _refuse([*_unknown_hosts(engine, selected, file.parent), *_absent_scripts(selected, file.parent)], file)
    if going is None:
        made = engine.create(selected, file, variables=variables, request=request).folder
        return _answer(made, followed=False, told={"added": list(selected.jobs)})
    wanted = workflow if chosen is None else _merged(going.run, workflow, chosen)
    if whole and (begun := going.begun_otherwise(wanted)):
        raise Conflict(_otherwise(going.run, begun))
    going.store.note({"event": "asked", "request": request})
    told = going.change(wanted)
    if failed and (bad := [n for n in chosen or () if n in going.run.states and going.run.states[n].final]):
        going.retry(bad)
    going.store.commit(sync=True)
    return _answer(going.store.folder, followed=True, told=told)


def held(engine: Engine, run: str) -> Execution:
    """Return what moves the run, opened if it is not; raise NotFound, or RunBusy when another process moves it."""
    if run not in engine.executions:
        run = engine.open(store.find(run)).run.id
    return engine.execution(run)


def cancel(engine: Engine, run: str, jobs: Iterable[str] | None = None) -> list[str]:
    """Stop the named jobs and groups, or all; return those that had not ended."""
    execution = held(engine, run)
    told = execution.cancel(None if jobs is None else _meant(execution.run, jobs))
    execution.store.commit(sync=True)
    return told


def retry(
    engine: Engine,
    run: str,
    jobs: Iterable[str] | None = None,
    *,
    variables: Mapping[str, str],
    request: str = "",
    again: bool = False,
) -> list[str]:
    """Try once more the named jobs, what did not end well of the named groups, or all that did not; return them, with the skipped
    ones below them.
    """
    execution = held(engine, run)
    if again and request and _asked(execution.store.folder, request):
        return []
    if not environment.path(execution.run.id).exists():
        environment.save(execution.run.id, variables)
    execution.store.wake()
    try:
        if told := execution.retry(None if jobs is None else list(_missed(execution.run, jobs))):
            execution.store.note({"event": "asked", "request": request})
    finally:
        if execution.run.ended_at:  # nothing is to be tried: it rests on
            execution.store.rest()
            environment.forget(execution.run.id)
    execution.store.commit(sync=True)
    return told


def change(engine: Engine, run: str, file: Path | None = None) -> Told:
    """Make a going run follow its file, or another; return the names "added", "changed", "removed" and "kept"."""
    execution = _still_going(engine, run)
    path = Path(file or execution.run.source).absolute()
    return _follow(engine, execution, sweep.expand(definition.load(path)), path)


def define(engine: Engine, run: str, name: str, mapping: Mapping[str, Any]) -> Told:
    """Put a job or a sweep into a going run, or change what of it has not started. It may wait for groups."""
    execution = _still_going(engine, run)
    _writable(f"job '{name}'", json.dumps(mapping, ensure_ascii=False, default=str))
    return _follow(engine, execution, sweep.put(execution.run.workflow, definition.from_mapping(name, mapping)))


def remove(engine: Engine, run: str, name: str) -> Told:
    """Take a job, or a group, that has not started out of a going run, with every edge from it."""
    execution = _still_going(engine, run)
    workflow = execution.run.workflow
    gone = _meant(execution.run, [name])
    return _follow(engine, execution, workflow.only(other for other in workflow.jobs if other not in gone))


def delete(engine: Engine, run: str) -> None:
    """Remove a run that has ended, with its folder; raise CallError when it goes on."""
    folder = store.find(run)
    if folder.name not in engine.executions:
        held(engine, str(folder))
    if not engine.run(folder.name).ended_at:
        raise CallError(f"run {folder.name} has not ended; stop it first by 'hybridnb cancel {folder.name}'")
    try:
        shutil.rmtree(folder)  # while the lock is held
    except OSError as error:
        raise StoreError(f"{error.filename}: cannot be removed: {error.strerror}", run=folder.name) from error
    finally:
        engine.drop(folder.name)
    store.forget(folder)
    environment.forget(folder.name)


def hosts_of(engine: Engine, run: str) -> dict[str, Host]:
    """Return the hosts that were given jobs of a run; raise CallError when it has not ended."""
    known = Store.open(store.find(run)).run
    if not known.ended_at:
        raise CallError(
            f"run {known.id} has not ended, and its hosts need their files; stop it first by 'hybridnb cancel {known.id}'"
        )
    names = dict.fromkeys(attempt.host for attempts in known.attempts.values() for attempt in attempts)
    return {name: engine.hosts.get(name, Path(known.folder)) for name in names}


def clean(run: str, hosts: Mapping[str, Host]) -> dict[str, int]:
    """Remove what a run left on these hosts; return how many bytes that freed on each. It may take a while: call it beside the engine.

    Where two hosts share a home, one of them may not know what goes on in it, while the other does: so each may try twice.
    """
    name, freed, refused = store.find(run).name, {}, dict.fromkeys(hosts, "")
    for _ in range(2):
        for place in list(refused):
            try:
                freed[place] = hosts[place].clean(name)
                del refused[place]
            except HostError as error:
                refused[place] = str(error)
    if refused:
        raise HostError("\n".join(refused.values()))
    return freed


# -- which run ------------------------------------------------------------------------------------------------------------
def _going(engine: Engine, last: Path | None) -> Execution | None:
    """Return what moves the file's newest run, unless that has ended."""
    if last is None or not (_moves(engine, last) or store.listed(last)):
        return None
    try:
        engine.open(last)
    except RunBusy as error:
        raise RunBusy(f"{error}, or start another by 'hybridnb run --new'", run=last.name) from error
    execution = engine.execution(last.name)
    if execution.run.ended_at:
        engine.drop(last.name)
        return None
    return execution


def _moves(engine: Engine, folder: Path) -> bool:
    """Does the engine move the run in this folder? A copy has the same name."""
    execution = engine.executions.get(folder.name)
    return execution is not None and execution.store.folder == folder


def _still_going(engine: Engine, run: str) -> Execution:
    execution = held(engine, run)
    if execution.run.ended_at:
        raise CallError(f"run {execution.run.id} has ended; start another by 'hybridnb run {execution.run.source}'")
    return execution


def _made(file: Path, request: str) -> Path | None:
    """Find the run that a request has led to already, among the newest of the file."""
    return next((folder for folder in store.newest(file)[:20] if _asked(folder, request)), None)


def _asked(folder: Path, request: str) -> bool:
    return f'"request": "{request}"'.encode() in (folder / "journal.yaml").read_bytes()


def _resumed(engine: Engine, folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Go on with what a request began: whatever of it was cut short is done now."""
    opened = Store.open(folder)
    if not opened.run.ended_at:
        if not environment.path(folder.name).exists():
            environment.save(folder.name, variables)
        engine.open(folder).wake()
    return _answer(folder, followed=False, told={"added": list(opened.run.jobs)})


def _answer(folder: Path, *, followed: bool, told: Told) -> dict[str, Any]:
    nothing: Told = {"added": [], "changed": [], "removed": [], "kept": []}
    return {"run": folder.name, "folder": str(folder), "followed": followed, **nothing, **told}


# -- which jobs -----------------------------------------------------------------------------------------------------------
def _before(file: Path, going: Run | None, workflow: Workflow) -> dict[str, State] | None:
    """Return how each job stands in the newest run in which it is; None when there was no run."""
    folders = store.newest(file)
    states = dict(going.states) if going else Store.open(folders[0]).run.states if folders else {}
    for folder in folders[1:]:
        if states.keys() >= workflow.jobs.keys():
            break
        with suppress(StoreError):  # an old run that is damaged tells nothing; the newest one has to be read
            states = {**Store.open(folder).run.states, **states}
    return states if folders else None


def _chosen(
    workflow: Workflow, before: Mapping[str, State] | None, *, jobs: Sequence[str], start: str | None, failed: bool
) -> set[str] | None:
    """Return the jobs that are meant; None means all."""
    if sum(map(bool, (jobs, start, failed))) > 1:
        raise CallError("--job, --from and --failed each choose the jobs; give one of them")
    if jobs or start:
        of = f"workflow '{workflow.name}'"
        named = {name for word in jobs or [start or ""] for name in sweep.members(workflow.jobs, word, of=of)}
        return named if jobs else named | graph.descendants(workflow.parents(), named)
    return _failed(workflow, before) if failed else None


def _meant(run: Run, words: Iterable[str]) -> dict[str, None]:
    """Return the jobs that the words name, alone or by their groups."""
    return dict.fromkeys(name for word in words for name in sweep.members(run.jobs, word, of=f"run {run.id}"))


def _missed(run: Run, words: Iterable[str]) -> Iterator[str]:
    """Yield the jobs that the words name to be tried again: of a group those that ended otherwise than done."""
    for word in dict.fromkeys(words):
        for name in _meant(run, [word]):
            if name == word or (run.states[name].final and run.states[name] is not State.DONE):
                yield name


def _failed(workflow: Workflow, before: Mapping[str, State] | None) -> set[str]:
    """Return what did not end well before, what is new since, and what was skipped below these."""
    if before is None:
        raise CallError(f"workflow '{workflow.name}' has not been run yet; run it without --failed")
    chosen: set[str] = set()
    for name in graph.order(workflow.parents()):
        state, job = before.get(name), workflow[name]
        if state is not State.DONE and (state is not State.SKIPPED or _can_follow(job, chosen)):
            chosen.add(name)
    if not chosen:
        raise CallError(
            f"nothing to do: all {len(workflow.jobs)} jobs of workflow '{workflow.name}' are done, or were skipped as they should be"
        )
    return chosen


def _can_follow(job: Job, chosen: set[str]) -> bool:
    """Was the job skipped for a parent that is tried again, and for no other?"""
    below = any(d.job in chosen for d in job.after)
    return below and not any(d.kind is Kind.FAILED and d.job not in chosen for d in job.after)


def _otherwise(run: Run, names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    told = f"run {run.id} goes on, and has begun '{names[0]}'{more} as it was before it was changed"
    return f"{told}. Wait for its end and run again, or begin another run by --new (new=True)"


def _merged(run: Run, workflow: Workflow, chosen: set[str]) -> Workflow:
    """Return the run's workflow with the chosen jobs as the file has them; edges from what is in neither are dropped."""
    there = chosen | run.jobs.keys()
    fresh = {
        n: replace(workflow[n], after=tuple(d for d in workflow[n].after if d.job in there)) for n in workflow.jobs if n in chosen
    }
    known = run.workflow
    return replace(known, jobs={**known.jobs, **fresh})


def _follow(engine: Engine, execution: Execution, workflow: Workflow, file: Path | None = None) -> Told:
    _refuse([*_unknown_hosts(engine, workflow, Path(execution.run.folder))], file)
    told = execution.change(workflow)
    execution.store.commit(sync=True)
    return told


def _writable(what: str, text: str) -> None:
    """Raise DefinitionError for a text that no journal can hold: half a surrogate pair, or bytes of a name that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DefinitionError([f"{what} has a character that cannot be written as UTF-8, at {error.start}"]) from None


def _refuse(wrong: Sequence[Wrong], file: Path | None) -> None:
    """Raise DefinitionError with what is wrong, each where it stands in the file."""
    if wrong:
        raise DefinitionError(definition.located(file, wrong) if file else [message for _, _, message in wrong])


def _unknown_hosts(engine: Engine, workflow: Workflow, folder: Path) -> Iterator[Wrong]:
    """Yield each host that is not described, or not well, at the first job that goes there."""
    first: dict[str, Job] = {}
    for job in workflow.jobs.values():
        first.setdefault(job.host, job)
    for host, job in first.items():
        try:
            engine.hosts.known(host, folder)
        except NotFound as error:
            yield job.group or job.name, "host", f"job '{job.name}': {error}, or by 'hybridnb hosts add {host}'"
        except DefinitionError as error:
            told = "; ".join(map(str, error.problems))
            yield job.group or job.name, "host", f"job '{job.name}' goes to host '{host}', whose description is wrong: {told}"


def _absent_scripts(workflow: Workflow, folder: Path) -> Iterator[Wrong]:
    """Yield each script's file that is not there, at the first job of it."""
    first: dict[str, Job] = {}
    for job in workflow.jobs.values():
        if job.script is not None and job.file:
            first.setdefault(job.script, job)
    for script, job in first.items():
        if about := about_script(script, folder):
            yield job.group or job.name, "script", f"script of job '{job.name}': {about}"
