"""What hosts.yaml may say of a host, and everything that can be wrong with it; putting another host there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from shlex import split
from typing import Any

from .. import document, rewrite
from ..document import Fields, Node, Scalar
from ..errors import CallError, DefinitionError, Problem, StoreError, did_you_mean
from ..grammar import Reader
from ..model import Resources, about_name
from . import registry

Entry = dict[str, Any]

_ONLY = {
    "address": ("ssh", "openssh"),
    "user": ("ssh", "openssh", "wsl"),
    "port": ("ssh", "openssh"),
    "identity": ("ssh", "openssh"),
    "distro": ("wsl",),
}
_HEAD = """\
# The machines that jobs can go to. 'hybridnb hosts check NAME' tries one.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a hosts.yaml says: the hosts that mean something, and what is wrong with the others."""

    good: Mapping[str, Entry] = field(default_factory=dict)
    bad: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)

    def checked(self) -> dict[str, Entry]:
        """Return the entries; raise DefinitionError with everything that is wrong with any, in the order of the file."""
        if self.bad:
            raise DefinitionError(_sorted(problem for problems in self.bad.values() for problem in problems))
        return dict(self.good)


def read(file: Path) -> Found:
    """Read what hosts.yaml says of each host, nothing without the file.

    Raises DefinitionError when the file as a whole is wrong, with everything that is, each with its line.
    """
    return _parse(_text(file), str(file))


def plain(entry: Mapping[str, Any]) -> Entry:
    """Return an entry as plain data, as JSON can say it."""
    return {
        key: _short(value) if isinstance(value, Resources) else list(value) if isinstance(value, tuple) else value
        for key, value in entry.items()
    }


def add(file: Path, name: str, entry: Mapping[str, Any], *, replace: bool = False) -> None:
    """Put a host into hosts.yaml, whose comments and order stay; with `replace` in the place of the one of that name.

    Raises DefinitionError when the entry, or the file as it is, is wrong; CallError for a name that is taken; StoreError.
    """
    _prove(name, entry)
    text = _text(file)
    there = _parse(text, str(file)).checked()
    if name in there and not replace:
        raise CallError(f"host '{name}' is in {file} already; --replace puts this one in its place")
    after = _with(text, name, entry)
    if _parse(after, str(file)).checked().keys() != there.keys() | {name}:
        raise CallError(f"host '{name}' cannot be put into {file} as it is written; write it there by hand")
    _write(Path(os.path.realpath(file)), after)  # a link stays a link


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").removeprefix("\ufeff")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError([Problem(f"cannot be read: {error}", str(file))]) from error


def _parse(text: str, file: str) -> Found:
    if not _says_something(text):
        return Found()
    reader = Reader(file, None)
    found = reader.fields(document.compose(text, file=file), "a hosts file", {"hosts": 0})
    table = reader.fields(found["hosts"][1], "hosts", None) if "hosts" in found else {}
    whole, reader.problems = reader.problems, []
    good, bad = dict[str, Entry](), dict[str, tuple[Problem, ...]]()
    for name, (key, node) in table.items():
        entry, problems = _entry(reader, key, node), tuple(reader.problems)
        reader.problems = []
        if problems:
            bad[name] = problems
        else:
            good[name] = entry
    if whole:
        raise DefinitionError(_sorted([*whole, *(problem for problems in bad.values() for problem in problems)]))
    return Found(good, bad)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


# -- one host -------------------------------------------------------------------------------------------------------------
def _entry(reader: Reader, key: Scalar, node: Node) -> Entry:
    name = key.text
    if wrong := about_name(name, what="host"):
        reader.wrong(key, wrong)
    elif not key.style and not isinstance(document.plain(name), str):
        reader.wrong(key, f"the host name {name} is not a text to YAML; put it in quotes")
    fields = reader.fields(node, f"host '{name}'", KEYS)
    entry = {word: KEYS[word](reader, value, f"{word} of host '{name}'") for word, (_, value) in fields.items()}
    for word, (at, _) in fields.items():
        if wrong := _senseless(word, entry):
            reader.wrong(at, f"{word} of host '{name}': {wrong}")
    return entry


def _senseless(field: str, entry: Entry) -> str:
    """Say why a field means nothing to this host, or ''."""
    transport, only = entry.get("transport", "local"), _ONLY.get(field, ())
    if only and transport not in only and transport in registry.own(registry.TRANSPORTS):
        hint = f"is for the transports {', '.join(only)}" if only[1:] else f"is for the transport {only[0]}"
        return f"{hint}, not for {transport}" if "transport" in entry else f"{hint}; without 'transport: …' a host is this machine"
    if field == "directory" and transport == "local" and entry.get("scheduler", "process") == "process":
        return "this machine's jobs live in the folders of their runs"
    return ""


def _one_of(group: str, reader: Reader, node: Node, what: str) -> str:
    text = reader.text(node, what)
    if text and not registry.known(group, text):
        known = registry.names(group)
        reader.wrong(
            node, f"{what}: '{text:.60}' is not there{did_you_mean(text[:60], known)} (this version has {', '.join(known)})"
        )
    return text


def _word(reader: Reader, node: Node, what: str) -> str:
    """Read one word. None begins with a dash: programs would take it for an option."""
    word = reader.word(node, what)
    if word.startswith("-"):
        reader.wrong(node, f"{what}: expected a name, not '{word:.60}', which begins with a dash")
    return word


def _address(reader: Reader, node: Node, what: str) -> str:
    word = _word(reader, node, what)
    if "@" in word or re.fullmatch(r"[^:]+:\d+", word):
        reader.wrong(
            node,
            f"{what}: expected a name, an IP address or an alias of ~/.ssh/config, not '{word:.60}'; user and port have keys of their own",
        )
    return word


def _port(reader: Reader, node: Node, what: str) -> int:
    number = reader.count(node, what)
    if number > 65535:
        reader.wrong(node, f"{what}: expected 65535 or less, not {number}")
    return number


def _identity(reader: Reader, node: Node, what: str) -> str:
    path = os.path.expanduser(text := reader.text(node, what).strip())
    if text and not os.path.isabs(path):
        reader.wrong(node, f"{what}: expected the path of a private key from / or ~ on, not '{text:.60}'")
    return path


def _directory(reader: Reader, node: Node, what: str) -> str:
    path = reader.text(node, what).strip()
    if re.search(r"[\x00-\x1f\x7f]", path):
        reader.wrong(node, f"{what}: expected one line without control characters")
    elif path.startswith("~") and path[1:2] not in ("", "/"):
        reader.wrong(node, f"{what}: expected a path from / or ~/ on, or below the home there, not '{path:.60}'")
    elif ".." in path.split("/"):
        reader.wrong(node, f"{what}: expected a path without '..', not '{path:.60}'")
    return path


def _shell(reader: Reader, node: Node, what: str) -> str:
    words = reader.text(node, what).strip()
    try:
        split(words)
    except ValueError as error:
        reader.wrong(node, f"{what}: expected the words of a command, such as bash -l, not '{words:.60}' ({error})")
    return words


def _grace(reader: Reader, node: Node, what: str) -> float:
    """Read seconds, as a job's timeout is written; 0 kills at once."""
    return 0.0 if isinstance(node, Scalar) and node.text == "0" else reader.timeout(node, what)


KEYS: dict[str, Callable[[Reader, Node, str], Any]] = {
    "transport": partial(_one_of, registry.TRANSPORTS),
    "address": _address,
    "user": _word,
    "port": _port,
    "identity": _identity,
    "distro": _word,
    "scheduler": partial(_one_of, registry.SCHEDULERS),
    "directory": _directory,
    "slots": Reader.count,
    "grace": _grace,
    "resources": Reader.resources,
    "setup": Reader.texts,
    "shell": _shell,
}


# -- another one ----------------------------------------------------------------------------------------------------------
def _prove(name: str, entry: Mapping[str, Any]) -> None:
    """Raise DefinitionError with all that is wrong with a host that has no place yet."""
    reader = Reader("", None)
    _entry(reader, Scalar(name, '"'), document.of(entry))
    if reader.problems:
        raise DefinitionError(problem.message for problem in reader.problems)


def _with(text: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return the text of a hosts file with this host in it."""
    if not _says_something(text):
        gap = "\n" if text and not text.endswith("\n") else ""
        return (text + gap or _HEAD) + "\n".join([*rewrite.block({"hosts": {name: dict(entry)}}), ""])
    root = document.compose(text)
    assert isinstance(root, Fields), "it has been read as such"
    old = Reader("", None).value(root, "")
    hosts = {**(old.get("hosts") or {}), name: dict(entry)}
    return rewrite.edit(text, root, old, {**old, "hosts": hosts})


def _short(resources: Resources) -> Entry:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(resources).items() if v not in (None, ())}


def _write(file: Path, text: str) -> None:
    """Put the file in the place of the old one in one step, with its mode."""
    aside = file.with_name(f".{os.urandom(8).hex()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(aside, file)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise StoreError(f"{file}: cannot be written: {error.strerror}; nothing was changed") from error
