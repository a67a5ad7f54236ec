"""What each command does: one call, then it is shown. Every function returns the exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CallError, DefinitionError, NotFound, Problem, did_you_mean

if TYPE_CHECKING:
    from .client import Client, Here
    from .document import Node
    from .watch import Watch

JOB_KEYS = ("state", "host", "attempt", "exit_code", "native_id", "submitted_at", "started_at", "ended_at", "progress", "log")
FEW = 20  # names that are told
OK, FAILED, WRONG, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


# -- run ------------------------------------------------------------------------------------------------------------------
def run(asked: argparse.Namespace) -> int:
    """Start or follow a run, and show it until it ends."""
    if asked.here and asked.detach:
        raise CallError("--here runs in this process and --detach leaves it: choose one")
    with connected(here=asked.here) as client:
        made = client.run(asked.file, new=asked.new, jobs=asked.job, start=asked.start, failed=asked.failed)
        if made["followed"] or asked.detach:
            print(_begun(made), file=sys.stderr if asked.json else sys.stdout, flush=True)
        if not asked.detach:
            return _follow(client, made, asked)
        if asked.json:
            _print_json(brief(client.status(made["run"])))
        return OK


def _begun(made: dict[str, Any]) -> str:
    if not made["followed"]:
        return f"run {made['run']} has begun; look at it by 'hybridnb status {made['run']}'"
    from . import show

    words = {"added": "added", "changed": "changed", "removed": "removed", "kept": "already started and kept"}
    news = [f"{word}: {show.several(made[key], FEW)}" for key, word in words.items() if made[key]]
    return "; ".join([f"following run {made['run']}", *news])


def _follow(client: Client | Here, made: dict[str, Any], asked: argparse.Namespace) -> int:
    from . import logs, watch

    watching = _watch(asked, Path(made["folder"]))
    interrupts = watch.Interrupts() if asked.here else None
    if made["followed"]:
        watch.catch_up(watching, client, made["run"])
    try:
        with interrupts or nullcontext(), watching:
            watch.follow(watching, client, made["run"], interrupts=interrupts)
    except KeyboardInterrupt:
        print(_left(made["run"], asked), file=sys.stderr)
        return INTERRUPTED
    told = client.status(made["run"])
    if asked.json:
        _print_json(brief(told))
    else:
        watching.end(told)
        print(*logs.ending(client, told), sep="\n")
    if told["state"] == "done":
        return OK
    return INTERRUPTED if interrupts and interrupts.count else FAILED


def _watch(asked: argparse.Namespace, folder: Path) -> Watch:
    from . import watch

    if asked.json:
        return watch.Watch(folder)
    if not watch.redraws():
        return watch.Lines(folder)
    return watch.Live(folder, hint="Ctrl-C stops the jobs" if asked.here else "Ctrl-C leaves the run going")


def _left(run: str, asked: argparse.Namespace) -> str:
    goes = "its jobs go on without this process" if asked.here else "it goes on"
    ways = {"look at it": f"status {run}", "follow it": f"run {_word(asked.file)}", "stop it": f"cancel {run}"}
    return "\n".join(["", f"left run {run}: {goes}", *(f"  {way + ':':12} hybridnb {words}" for way, words in ways.items())])


def _word(path: Path) -> str:
    """Write a path as a shell reads it."""
    from shlex import quote

    return quote(str(path))


# -- looking --------------------------------------------------------------------------------------------------------------
def status(asked: argparse.Namespace) -> int:
    """Show a run once."""
    from . import logs, show, watch

    folder = find(asked.run) if asked.run else _last()
    with connected() as client:
        told = client.status(str(folder))
    if asked.json:
        _print_json(brief(told))
        return OK
    states = {name: job["state"] for name, job in told["jobs"].items()}
    notes = [show.trouble(place, why) for place, why in told["problems"].items()]
    lines = show.picture(told, states, told["jobs"].__getitem__, watch.screen(), body=show.table, notes=notes)
    print(*lines, "", f"record: {show.plain(logs.near(told['folder']))}", sep="\n")
    return OK


def brief(told: dict[str, Any]) -> dict[str, Any]:
    """Reduce a status to what `status --json` promises."""
    jobs = {name: {key: job[key] for key in JOB_KEYS} for name, job in told["jobs"].items()}
    return {"run": told["run"], "workflow": told["workflow"], "state": told["state"], "jobs": jobs}


def find(word: str) -> Path:
    """Find the folder of a RUN or of a FILE's last run."""
    from . import store

    return store.find(word)


def _last() -> Path:
    """Find the last run of the only workflow in this folder, else the newest of all."""
    from . import store

    files = [path for path in Path().iterdir() if path.suffix in (".yaml", ".yml") and path.with_suffix(".runs").is_dir()]
    last = store.latest(files[0]) if len(files) == 1 else None
    if found := last or next(iter(store.runs()), None):
        return found
    raise NotFound("there are no runs yet; start one by 'hybridnb run FILE'")


def runs(asked: argparse.Namespace) -> int:
    """List all runs."""
    from . import show, watch

    with connected() as client:
        told = client.runs()
    if asked.json:
        _print_json(told)
    elif told:
        print(*show.runs(told, watch.screen()), sep="\n")
    else:
        print("no runs yet; start one by 'hybridnb run FILE'")
    return OK


def log(asked: argparse.Namespace) -> int:
    """Print a job's log as it is."""
    from . import logs

    folder = find(asked.run)
    with connected() as client:
        logs.copy(client, folder, asked.job, stream="err" if asked.err else "out", number=asked.attempt, follow=asked.follow)
    return OK


def check(asked: argparse.Namespace) -> int:
    """Tell all that is wrong in a workflow, or what is in it."""
    from .definition import load
    from .show import number
    from .sweep import expand

    problems = list(_unknown_hosts(asked.file))
    try:
        workflow = expand(load(asked.file))
    except DefinitionError as error:
        problems = sorted([*problems, *error.problems], key=lambda problem: (problem.line, problem.column))
    if problems:
        raise DefinitionError(problems)
    edges = sum(len(job.after) for job in workflow.jobs.values())
    names = sorted({job.host for job in workflow.jobs.values()})
    print(f"{asked.file}: {number(len(workflow.jobs), 'job')}, {number(edges, 'edge')}, hosts {', '.join(names)}")
    return OK


def _unknown_hosts(file: Path) -> Iterator[Problem]:
    """Tell where jobs go to hosts that hosts.yaml does not know; what else is wrong with the file is not told here."""
    from . import document
    from .hosts.config import Hosts

    found = Hosts().described(file.absolute().parent)
    known, told = [*found.good, *found.bad], set[str]()
    try:
        jobs = _field(document.compose(file.read_text(encoding="utf-8"), file=str(file)), "jobs")
    except (OSError, UnicodeDecodeError, DefinitionError):
        return
    for job in jobs.nodes[1::2] if isinstance(jobs, document.Fields) else ():
        host = _field(job, "host")
        if isinstance(host, document.Scalar) and host.text in found.bad and host.text not in told:
            told.add(host.text)
            yield from found.bad[host.text]
        elif isinstance(host, document.Scalar) and host.text not in known:
            near = did_you_mean(host.text, known)
            yield document.problem(f"host '{host.text}' is not known{near} (known: {', '.join(known)})", host.start, str(file))


def _field(node: Node | None, name: str) -> Node | None:
    """Return the value of a key, if the node is a mapping that has it."""
    from .document import Fields, Scalar

    pairs = node.pairs() if isinstance(node, Fields) else ()
    return next((value for key, value in pairs if isinstance(key, Scalar) and key.text == name), None)


def graph(asked: argparse.Namespace) -> int:
    """Draw a workflow, or a run with its states."""
    from . import drawing, show, store
    from .definition import load
    from .sweep import expand

    path, looks = Path(asked.what), None
    if path.is_file():
        workflow = expand(load(path)) if asked.flat else load(path)
    else:
        opened = store.Store.open(find(asked.what))
        workflow, looks = opened.run.workflow, {name: show.look(opened.job_status(name)) for name in opened.run.jobs}
    picture = drawing.figure(str(asked.out or "out.svg"), workflow, looks, label=asked.label, stacked=not asked.flat)
    if asked.out is None:
        print(picture.decode(), end="")
    else:
        _write(asked.out, picture)
    return OK


def _write(out: Path, picture: bytes) -> None:
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise CallError(f"{out}: cannot be written: {error.strerror}") from None


def service(asked: argparse.Namespace) -> int:
    """Start, stop or look at the service; to look tells by the exit status, too, whether it runs."""
    from .service import process

    found = process.start() if asked.verb == "start" else process.find()
    if found and asked.verb == "stop":
        process.stop(found)
        print("stopped; the jobs go on")
    elif found:
        print(f"the service runs: process {found.pid}, port {found.port}, version {found.version}; its log: {process.log()}")
    else:
        print("no service runs")
    return OK if found or asked.verb == "stop" else FAILED


# -- acting ---------------------------------------------------------------------------------------------------------------
def cancel(asked: argparse.Namespace) -> int:
    """Stop a run, or some of its jobs."""
    from . import show

    folder = find(asked.run)
    with connected() as client:
        told = client.cancel(str(folder), asked.job or None)
    nothing = f"nothing to stop: {'these jobs have' if asked.job else f'run {folder.name} has'} ended"
    print(f"asked to stop: {show.several(told, FEW)}" if told else nothing)
    return OK


def retry(asked: argparse.Namespace) -> int:
    """Try again what did not end well."""
    from . import show

    folder = find(asked.run)
    with connected() as client:
        told = client.retry(str(folder), asked.job or None)
    again = f"trying again: {show.several(told, FEW)}; look at it by 'hybridnb status {folder.name}'"
    which = "all that is named" if asked.job else f"all of run {folder.name}"
    print(again if told else f"nothing to try again: {which} is done")
    return OK


def clean(asked: argparse.Namespace) -> int:
    """Remove what a run that has ended left on its hosts."""
    folder = find(asked.run)
    with connected() as client:
        freed = client.clean(str(folder))
    far = {host: size for host, size in freed.items() if size}
    print(
        *(f"{host}: {size / 2**20:.1f} MiB freed" for host, size in far.items()) if far else ["nothing was left on a host"],
        sep="\n",
    )
    return OK


def delete(asked: argparse.Namespace) -> int:
    """Remove a run that has ended."""
    if Path(asked.run).is_file():
        raise CallError(f"{asked.run}: this is a workflow; name the run to delete by its id, see 'hybridnb runs'")
    folder = find(asked.run)
    with connected() as client:
        client.delete(str(folder))
    print(f"deleted run {folder.name}")
    return OK


# -- common ---------------------------------------------------------------------------------------------------------------
def connected(*, here: bool = False) -> AbstractContextManager[Client | Here]:
    """Return a way to runs, for a while."""
    from .client import Client, Here

    return closing(Here() if here else Client())


def _print_json(value: object) -> None:
    print(json.dumps(value))
