"""What a cell says of its job, as plain data in the words of the workflow's file."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError

from ..errors import did_you_mean

LANGUAGES = {
    "bash": "bash",
    "python": "python3",
    "R": "Rscript",
    "julia": "julia",
    "perl": "perl",
    "ruby": "ruby",
    "node": "node",
    "sh": "sh",
    "zsh": "zsh",
    "fish": "fish",
    "lua": "lua",
    "php": "php",
}
RESOURCES = ("time", "partition", "account", "qos", "constraint", "nodes", "ntasks", "cpus_per_task", "gpus", "mem", "sbatch")
_BRACKETS = re.compile(r"\s*\[((?:'[^']*'|\"[^\"]*\"|[^]['\"])*)\]\s*")  # a list that may hold one value only
_PIECE = re.compile(r"(?:^|,)((?:'[^']*'|\"[^\"]*\"|[^,])*)")  # between two commas
_PLAIN = ("host", "after", "env", "inputs", "outputs", "retries", "timeout")


def job_mapping(arguments: argparse.Namespace, body: str | None = None) -> tuple[str | None, dict[str, Any]]:
    """Return the job's name and data, as definition.from_mapping reads it, with keys only for what was said; raise UsageError.

    The body is the cell's; `%workflow add` has its script or command among the arguments.
    """
    said = {key: value for key, value in vars(arguments).items() if value is not None}
    mapping: dict[str, Any] = {key: said[key] for key in _PLAIN if key in said}
    if resources := {key: said[key] for key in RESOURCES if key in said}:
        mapping["resources"] = resources
    mapping.update(_params(said.get("params", {}), sweep=arguments.sweep))
    mapping.update(_work(arguments, body))
    return arguments.name, mapping


def _work(arguments: argparse.Namespace, body: str | None) -> dict[str, str]:
    """Return the script or the command."""
    given = [key for key in ("script", "exec") if getattr(arguments, key) is not None]
    if len(given) > 1:
        raise UsageError("a job has either a --script or an --exec, not both")
    if arguments.exec is not None:
        if arguments.lang:
            raise UsageError("--lang is for a --script; an --exec is a command of the shell")
        return {"exec": arguments.exec}
    if body is None and not given:
        raise UsageError(f"'{arguments.name}' has nothing to run: give it --script TEXT, a text or a file, or --exec COMMAND")
    script = (arguments.script if given else body or "").replace("\r\n", "\n")  # what Windows ends lines with, no shell does
    if not script.strip():
        raise UsageError("the script is empty" if given else "the cell has no script below its first line")
    return {"script": with_language(script, arguments.lang)}


def with_language(script: str, language: str | None) -> str:
    """Return the script with `#!/usr/bin/env …` as its first line; raise UsageError when it begins with another one."""
    bare = script.lstrip()
    if bare.startswith("#!"):
        script = bare  # it counts in the first line only
    if not language:
        return script
    program = _program(language)
    if not bare.startswith("#!"):
        return f"#!/usr/bin/env {program}\n{script}"
    first = bare.splitlines()[0]
    if not {program, language} & {word.rpartition("/")[2] for word in first[2:].split()}:
        raise UsageError(f"--lang {language} does not go with the script's first line, {first}; keep one of them")
    return script


def _program(language: str) -> str:
    """Return the program of a language; a word that is none of ours is taken for a program."""
    programs = dict(LANGUAGES.items() | {(program, program) for program in LANGUAGES.values()})
    known = programs | {word.lower(): program for word, program in programs.items()}
    if not re.fullmatch(r"[\w.+-]+", language):
        raise UsageError(f"--lang is one word, such as {', '.join(LANGUAGES)}, not '{language}'; more says a first line #!…")
    near = did_you_mean(language, programs)
    if language not in known and near and not language.startswith(("python", "ruby", "perl", "lua", "php")):  # python3.12
        raise UsageError(f"--lang {language} is not known{near}")
    return known.get(language, language)


def _params(given: Mapping[str, str], *, sweep: bool) -> dict[str, dict[str, Any]]:
    """Return params, and of a sweep what it goes through."""
    swept = {name: pieces for name, text in given.items() if sweep and (pieces := _several(name, text)) is not None}
    if sweep and not swept:
        told = "".join(f"; {name}={text} is one value, a sweep of one is {name}=[{text}]" for name, text in [*given.items()][:1])
        raise UsageError(f"--sweep goes through the values of params: -p lr=0.1,0.01 -p depth=2,4{told}")
    params = {name: _value(name, text) for name, text in given.items() if name not in swept}
    return {key: found for key, found in (("params", params), ("sweep", swept)) if found}


def _several(name: str, text: str) -> list[Any] | None:
    """Read a,b or [a] as the values of a sweep; None for one value."""
    if found := _BRACKETS.fullmatch(text):
        if not found[1].strip():
            raise UsageError(f"-p {name}={text} has no values, which makes no job; give at least one")
        text = found[1]
    elif "," not in text:
        return None
    return [_value(name, piece) for piece in _pieces(name, text)]


def _pieces(name: str, text: str) -> list[str]:
    """Split a,b at its commas, but not within quotes; raise UsageError for a piece that is empty, which is a slip."""
    pieces = [piece.strip() for piece in _PIECE.findall(text)]
    if "" in pieces or text.rstrip().endswith(","):
        raise UsageError(f"-p {name}={text} has an empty value; write '' for an empty text")
    return pieces


def _value(name: str, text: str) -> Any:
    """Read a value as YAML does; what is in quotes is a text."""
    from .. import document

    if not text or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\""):
        return text[1:-1].replace("''", "'") if text[:1] == "'" else text[1:-1]
    try:
        return document.plain(text)
    except ValueError:
        raise UsageError(f"-p {name}={text} looks like a number, and is none; put it in quotes: -p \"{name}='{text}'\"") from None
