"""An attempt as a host sees it: a folder with `script` and `spec`, where wrap.sh leaves `claim`, `out`, `err` and `rc`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote, split
from typing import Any

from ..model import Dependency, Job, spelled
from ..run import State


@dataclass(frozen=True, slots=True)
class Submission:
    """One attempt on its way to a host. Submitting it again is harmless: its claim can be taken once."""

    run: str
    job: Job
    number: int  # the job's, in the run
    attempt: int
    token: str
    folder: str  # of the job in the run; the attempt's is a subfolder
    script: str
    after: tuple[tuple[str, Dependency], ...] = ()  # edges whose parent is on this host too: the parent's key, the edge
    work: str = "."  # where the script runs
    own: bool = False  # that folder is ours to make
    known: bool = False  # the host had it already when this was written
    new: bool = False  # nobody has said a word of it to the host before
    environment: str = ""  # a file of exports that the script starts with
    setup: tuple[str, ...] = ()  # shell lines that come before the command
    shell: str = ""  # the words of the shell for them, such as "bash -l"

    @property
    def key(self) -> str:
        return key(self.run, self.number, self.attempt)


@dataclass(frozen=True, slots=True)
class Report:
    """What a host tells of an attempt: its state, or that it was withdrawn or kept, and with what evidence."""

    key: str
    attempt: int
    what: State | str  # a state, or "withdrawn", "kept", "retry"
    at: str
    exit_code: int | None = None
    native_id: str | None = None
    reason: str = ""
    again: bool = False  # the host tries once more by itself


def key(run: str, number: int, attempt: int) -> str:
    """Name a submission among all of a user's on a host: lower-case letters, digits and underscores."""
    return f"{run.replace('-', '_')}_{number}_{attempt}"


def spec(submission: Submission, *, grace: float) -> str:
    """Write what wrap.sh sources: variables, environment, work folder and command. Everything quoted here, and only here.

    `$hybridnb_here` is the attempt's folder: the host's own retries use a copy of this text.
    """
    job = submission.job
    lines = [f"hybridnb_token={quote(submission.token)} hybridnb_grace={seconds(grace)}"]
    if job.timeout:
        lines.append(f"hybridnb_limit={seconds(job.timeout)}")
    if job.outputs:
        lines.append(f"hybridnb_outputs={quote(chr(10).join(job.outputs))}")
    if submission.environment:
        lines.append(f"[ ! -r {quote(submission.environment)} ] || . {quote(submission.environment)}")
    own = {"HYBRIDNB_RUN": submission.run, "HYBRIDNB_JOB": job.name}
    lines += [f"export {name}={quote(value)}" for name, value in {**own, **variables(job.params), **job.env}.items()]
    lines.append('export HYBRIDNB_ATTEMPT="${hybridnb_here##*/}" HYBRIDNB_PARAMS="${hybridnb_here%/*}/params.json"')
    work = quote(submission.work)
    if submission.own:
        lines.append(f"[ -d {work} ] || mkdir -p {work}")
    lines.append(f"cd {work} || exit 72")  # sysexits.h EX_OSFILE
    lines += [*command(job, submission.script), *_prelude(submission)]
    return "\n".join(lines) + "\n"


def seconds(number: float) -> str:
    """Write a time as every sleep(1) reads it: without an exponent."""
    return f"{max(number, 0.001):.3f}".rstrip("0").rstrip(".")


def variables(params: Mapping[str, Any]) -> dict[str, str]:
    """Write params as environment variables."""
    return {name: spelled(value) for name, value in params.items()}


def command(job: Job, script: str) -> list[str]:
    """Put the command into "$@": a shebang chooses the interpreter, else the file's suffix, else it is a shell script."""
    if isinstance(job.exec, tuple):
        return [f"set -- {' '.join(map(quote, job.exec))}"]
    suffix = PurePosixPath(job.file).suffix if job.file else ""
    if suffix == ".ipynb":
        return [
            'cp "$hybridnb_here/script" "$hybridnb_here/notebook.ipynb"',
            'set -- python3 -m papermill --log-output --no-progress-bar --parameters_file "$HYBRIDNB_PARAMS" '
            '--cwd "$PWD" "$hybridnb_here/notebook.ipynb" "$hybridnb_here/executed.ipynb"',
        ]
    words = '"$hybridnb_shell"'
    if chosen := interpreter(script):
        words = " ".join(map(quote, chosen))
    elif suffix == ".py":
        words = "python3"
    lines = [f'set -- {words} "$hybridnb_here/script"']
    if suffix == ".py":  # modules beside the file are found, as when it runs in place
        beside = str(PurePosixPath(job.file or "").parent)
        lines.insert(0, f'export PYTHONPATH="$PWD"/{quote(beside)}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    return lines


def _prelude(submission: Submission) -> list[str]:
    """Have a shell do the set-up of the host before the command: `module` and `conda activate` want bash, and often a login shell."""
    if not (submission.setup or submission.shell):
        return []
    words = " ".join(map(quote, split(submission.shell))) or '"$hybridnb_shell"'
    lines = "\n".join([*submission.setup, 'exec "$@"'])
    return [f'set -- {words} -c {quote(lines)} hybridnb "$@"']


def interpreter(script: str) -> list[str]:
    """Read the first line as the kernel does: a program and at most one argument (execve(2)); [] without a shebang."""
    first, _, _ = script.partition("\n")
    return first[2:].strip().split(None, 1) if first.startswith("#!") else []
