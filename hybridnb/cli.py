"""The command line: its words, its exit status, and what is said when something is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__, commands, host_commands
from .commands import FAILED, INTERRUPTED, PIPE_CLOSED, WRONG
from .errors import CallError, DefinitionError, HybridnbError, NotFound


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 all is done, 1 something failed, 2 the definition or the call is wrong."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # no terminal is too old for a name
    try:
        arguments = parser().parse_args(argv)
        status: int = arguments.do(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (DefinitionError, NotFound, CallError) as error:
        complain(error)
        return WRONG
    except HybridnbError as error:
        complain(error)
        return FAILED
    except OSError as error:
        complain(HybridnbError(f"{error.filename or 'the output'}: {error.strerror}"))
        _let_go()
        return FAILED
    return status


def _let_go() -> None:
    """Drop what standard output does not take: it would fail once more at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: HybridnbError) -> None:
    """Say what is wrong on standard error, every problem on its own line."""
    from .show import plain

    problems = error.problems if isinstance(error, DefinitionError) else (str(error),)
    for problem in problems:
        print(f"hybridnb: {plain(str(problem))}", file=sys.stderr)


# -- the words ------------------------------------------------------------------------------------------------------------
def parser() -> argparse.ArgumentParser:
    """Describe every command, each with an example."""
    top = argparse.ArgumentParser(
        prog="hybridnb",
        description="Run workflows of jobs, and look at their runs.",
        epilog="example: hybridnb run digits.yaml\n\nRUN is a run's id (hybridnb runs) or its folder; where a run is wanted, "
        "FILE, a workflow, means its last one.\nExit status: 0 all is done, 1 something failed, 2 the definition or the call is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"hybridnb {__version__}")
    words = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _run_words(
        _command(words, "run", commands.run, "run a workflow, or follow its run that still goes on", "run digits.yaml --job train")
    )
    _looking_words(words)
    _acting_words(words)
    service = _command(words, "service", None, "start, stop or look at the service that moves your runs", "service status")
    below = service.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, about in (("start", "start it"), ("stop", "stop it; jobs go on"), ("status", "tell whether it runs")):
        _command(below, name, commands.service, about, f"service {name}").set_defaults(verb=name)
    return top


def _command(
    to: Any, name: str, do: Callable[[argparse.Namespace], int] | None, about: str, example: str
) -> argparse.ArgumentParser:
    text = f"example: hybridnb {example}"
    made: argparse.ArgumentParser = to.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if do:
        made.set_defaults(do=do)
    return made


def _run_words(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", type=Path, help="the workflow")
    command.add_argument("--here", action="store_true", help="in this process, without the service")
    command.add_argument("--detach", action="store_true", help="return at once; the run goes on")
    command.add_argument("--json", action="store_true", help="print nothing but the status at the end, as JSON")
    command.add_argument("--new", action="store_true", help="start another run, even if one still goes on")
    command.add_argument("--job", metavar="NAME", nargs="+", action="extend", default=[], help="only these jobs, or sweeps")
    command.add_argument("--from", metavar="NAME", dest="start", help="this job and all that come after it")
    command.add_argument("--failed", action="store_true", help="what failed, and what was skipped because of it")


def _looking_words(words: Any) -> None:
    command = _command(words, "status", commands.status, "show how a run stands", "status digits.yaml --json")
    command.add_argument(
        "run", metavar="RUN|FILE", nargs="?", help="default: of the only workflow in this folder, or the newest of all"
    )
    command.add_argument("--json", action="store_true", help="as JSON; times are UTC, ISO 8601")
    command = _command(words, "log", commands.log, "print what a job wrote, exactly as it did", "log digits.yaml train -f")
    command.add_argument("run", metavar="RUN|FILE", help="whose job")
    command.add_argument("job", metavar="JOB", help="the job's name")
    command.add_argument("-f", dest="follow", action="store_true", help="go on while the job does")
    command.add_argument("--err", action="store_true", help="standard error instead of standard output")
    command.add_argument("--attempt", metavar="N", type=int, help="the N-th attempt instead of the last")
    command = _command(words, "check", commands.check, "tell all that is wrong in a workflow", "check digits.yaml")
    command.add_argument("file", metavar="FILE", type=Path, help="the workflow")
    command = _command(words, "runs", commands.runs, "list your runs, the newest first", "runs --json")
    command.add_argument("--json", action="store_true", help="as JSON; times are UTC, ISO 8601")
    command = _command(
        words, "graph", commands.graph, "draw a workflow, or a run with its states", "graph digits.yaml -o digits.svg"
    )
    command.add_argument("what", metavar="FILE|RUN", help="the workflow, or the run")
    command.add_argument(
        "-o", metavar="OUT", dest="out", type=Path, help="a file .svg, .dot or .mmd; default: SVG on standard output"
    )
    command.add_argument("--flat", action="store_true", help="each job of a sweep or group by itself, not as one stack")
    command.add_argument("--label", metavar="TEMPLATE", help='what a box of the SVG says, such as "{name} {elapsed}"')
    _host_words(_command(words, "hosts", host_commands.listed, "list the hosts that jobs can go to, try one, or add one", "hosts"))


def _host_words(hosts: argparse.ArgumentParser) -> None:
    below = hosts.add_subparsers(title="commands", metavar="COMMAND")
    command = _command(
        below, "check", host_commands.check, "try a host step by step, and answer what it asks", "hosts check rivanna"
    )
    command.add_argument("name", metavar="NAME", help="the host")
    example = "hosts add rivanna --address rivanna.hpc.virginia.edu --user ab1cd --scheduler slurm --account bii"
    command = _command(below, "add", host_commands.add, "describe a host in your hosts.yaml", example)
    command.add_argument("name", metavar="NAME", help="the name that you give it")
    for option, meta, about in (
        ("transport", "WORD", "how it is reached: ssh, openssh, wsl or local; default: ssh"),
        ("address", "ADDRESS", "its name, its IP address or an alias of ~/.ssh/config; default: NAME"),
        ("user", "USER", "your name there"),
        ("identity", "FILE", "the private key to log in with"),
        ("distro", "NAME", "for wsl: the distribution"),
        ("scheduler", "WORD", "process (the machine itself) or slurm; default: process"),
        ("directory", "PATH", "where it keeps what is needed for jobs; default: ~/.hybridnb there"),
        ("shell", "WORDS", "the shell of the set-up, such as 'bash -l'"),
        ("partition", "NAME", "Slurm's partition"),
        ("account", "NAME", "Slurm's account"),
        ("qos", "NAME", "Slurm's quality of service"),
        ("time", "TIME", "the longest that a job may take, as sbatch has it"),
    ):
        command.add_argument(f"--{option}", metavar=meta, help=about)
    command.add_argument("--port", metavar="N", type=int, help="the port; default: 22")
    command.add_argument("--slots", metavar="N", type=int, help="how many jobs at once")
    command.add_argument(
        "--setup",
        metavar="LINE",
        action="append",
        help="a shell line before each job, such as 'module load python'; again for another",
    )
    command.add_argument("--replace", action="store_true", help="put it in the place of the host of that name")


def _acting_words(words: Any) -> None:
    command = _command(words, "cancel", commands.cancel, "stop a run, or some of its jobs", "cancel digits.yaml train")
    command.add_argument("run", metavar="RUN|FILE", help="the run")
    command.add_argument("job", metavar="JOB", nargs="*", help="only these jobs, or sweeps")
    command = _command(
        words, "retry", commands.retry, "try again what did not end well, in the same run", "retry digits.yaml train"
    )
    command.add_argument("run", metavar="RUN|FILE", help="the run")
    command.add_argument(
        "job", metavar="JOB", nargs="*", help="these jobs, or what failed of these sweeps, and what was skipped after them"
    )
    command = _command(
        words,
        "clean",
        commands.clean,
        "remove what a run that has ended left on its hosts; its record here stays",
        "clean digits.yaml",
    )
    command.add_argument("run", metavar="RUN|FILE", help="the run")
    command = _command(
        words, "delete", commands.delete, "remove a run that has ended, with its folder", "delete 2026-11-22-1015-k3f9"
    )
    command.add_argument("run", metavar="RUN", help="the run's id or folder")
