"""YAML text as a tree of nodes that know their places. Nothing is constructed, so nothing in a file can act or expand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any, Protocol

from .errors import DefinitionError, Problem

DEPTH = 100  # levels of nesting; far beyond what a person reads, far below what Python's stack bears
_DEEP = f"nested deeper than {DEPTH} levels"

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_EXPONENT = re.compile(r"[-+]?(\d+|\d+\.\d*|\.\d+)[eE][-+]?\d+")  # a float to everybody but YAML 1.1
_NULLS = ("~", "null", "Null", "NULL")
_SAYS = {
    "mapping values are not allowed in this context": "a ': ' stands where none can be; put the text in quotes, or check the indentation",
    "found character that cannot start any token": "an unquoted text cannot begin with this character (a tab, @, ` or %); use spaces, or quotes",
    "did not find expected key": "a key was expected here; check the indentation and the quotes",
    "could not find expected ':'": "a ':' after the key was expected",
    "found unexpected end of stream": "the file ends within a quoted text",
    "found a tab character where an indentation space is expected": "a tab is used for indentation; use spaces",
}


class Place(Protocol):
    """Where something is: line and column from 0, and the index in the text."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def index(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """The place of data that never was text."""

    line: int = -1
    column: int = -1
    index: int = 0


NOWHERE: Place = _Nowhere()


@dataclass(slots=True, eq=False)
class Scalar:
    """A text as written; `style` is '' for a plain one, else its quote or block indicator."""

    text: str
    style: str = ""
    start: Place = NOWHERE
    end: Place = NOWHERE


@dataclass(slots=True, eq=False)
class Items:
    """A sequence."""

    flow: bool = True
    start: Place = NOWHERE
    end: Place = NOWHERE
    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Fields:
    """A mapping; `nodes` holds keys and values in turn, in the order of the file, duplicates included."""

    flow: bool = True
    start: Place = NOWHERE
    end: Place = NOWHERE
    nodes: list[Node] = field(default_factory=list)

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        walk = iter(self.nodes)
        return zip(walk, walk)


Node = Scalar | Items | Fields


def compose(text: str, *, file: str = "") -> Node:
    """Read one document; raise DefinitionError on what is no YAML, and on tags, anchors, aliases and depth."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if bad := _UNPRINTABLE.search(text):
        raise DefinitionError([_unprintable(text, bad.start(), file)])
    try:
        root, problems = _build(loader(text if text.endswith("\n") else text + "\n"), file)  # the last line is one as all others
    except yaml.MarkedYAMLError as error:
        raise DefinitionError([_syntax(error, file)]) from None
    if problems:
        raise DefinitionError(problems)
    if root is None:
        raise DefinitionError([Problem("the file is empty; a workflow has 'jobs:' and below it the jobs by their names", file)])
    return root


def _build(loader: Any, file: str) -> tuple[Node | None, list[Problem]]:
    """Turn the parser's events into nodes; go on after a refused one, so that all are told at once."""
    from yaml import events

    scalar, mapping, sequence, alias = events.ScalarEvent, events.MappingStartEvent, events.SequenceStartEvent, events.AliasEvent
    ends = (events.MappingEndEvent, events.SequenceEndEvent)
    problems: list[Problem] = []
    root = Items()
    stack: list[Items | Fields] = [root]
    documents = 0
    while type(event := loader.get_event()) is not events.StreamEndEvent:
        kind = type(event)
        if kind is scalar:
            stack[-1].nodes.append(Scalar(event.value, event.style or "", event.start_mark, event.end_mark))
        elif kind is mapping or kind is sequence:
            branch = (Fields if kind is mapping else Items)(event.flow_style, event.start_mark)
            stack[-1].nodes.append(branch)
            stack.append(branch)
            if len(stack) > DEPTH:
                raise DefinitionError([problem(_DEEP, event.start_mark, file)])
        elif kind in ends:
            stack.pop().end = event.end_mark
            continue
        elif kind is alias:
            stack[-1].nodes.append(Scalar("", "", event.start_mark, event.end_mark))
            problems.append(problem(f"aliases are not used here: *{event.anchor}; write the value itself", event.start_mark, file))
            continue
        else:
            documents += kind is events.DocumentStartEvent
            if documents > 1:
                problems.append(problem("a second document begins here; a workflow file has one", event.start_mark, file))
                break
            continue
        if event.anchor is not None:
            problems.append(problem(f"anchors are not used here: &{event.anchor}", event.start_mark, file))
        if event.tag is not None:
            problems.append(problem(f"tags are not used here: {_tag(event.tag)}", event.start_mark, file))
    return (root.nodes[0] if root.nodes else None), problems


def problem(message: str, place: Place, file: str) -> Problem:
    return Problem(message, file, place.line + 1, place.column + 1)


def _tag(tag: str) -> str:
    short = tag.replace("tag:yaml.org,2002:", "!!", 1)
    return short if len(short) <= 60 else short[:57] + "..."


def _syntax(error: Any, file: str) -> Problem:
    """Say a parser's complaint in plain words, and where what it was reading began."""
    place = error.problem_mark or error.context_mark or NOWHERE
    if (
        error.problem == "exceeded maximum nesting depth"
    ):  # libyaml's own limit, from 0.2.6 on, met while it reads ahead of our count
        return problem(_DEEP, place, file)
    says = _SAYS.get(error.problem, error.problem)
    begun = error.context_mark
    since = f" ({error.context}, which began in line {begun.line + 1})" if begun and begun.line != place.line else ""
    return problem(f"this is not YAML: {says}{since}", place, file)


def _unprintable(text: str, index: int, file: str) -> Problem:
    line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
    return Problem(f"the character U+{ord(text[index]):04X} cannot be here; remove it", file, line, column)


@lru_cache(1024)
def plain(text: str) -> Any:
    """Say what an unquoted text means: null, a boolean, a number (as YAML 1.1 has them), else itself.

    Times and dates stay texts: nobody who writes 1:00:00 means 3600, and a date is nothing that a script can be given.
    Raise ValueError on what looks like a number and is none.
    """
    kind, tag = _meaning(text)
    if kind == "null":
        return None
    from yaml.constructor import SafeConstructor
    from yaml.nodes import ScalarNode

    if kind == "bool":
        return SafeConstructor.bool_values[text.lower()]
    if kind in ("int", "float") and ":" not in text:
        return SafeConstructor.yaml_constructors[tag](SafeConstructor(), ScalarNode(tag, text))
    return float(text) if _EXPONENT.fullmatch(text) else text


@lru_cache(1024)
def is_text(text: str) -> bool:
    """Is this a text to every reader of YAML, also without quotes? A time is not: some read it as a number."""
    return not (_meaning(text)[0] or _EXPONENT.fullmatch(text) or re.match(r"[-+]?0[ox]?\d", text))


def _meaning(text: str) -> tuple[str, str]:
    """Return what YAML 1.1 takes an unquoted text for, as a word and as a tag; both are empty for a text."""
    from yaml.resolver import Resolver

    table = Resolver.yaml_implicit_resolvers
    tag = next((tag for first in (text[:1], None) for tag, pattern in table.get(first, ()) if pattern.match(text)), "")
    return tag.rpartition(":")[2], tag


def of(value: Any, *, depth: int = DEPTH) -> Node:
    """Turn plain data (as JSON has it) into nodes without places; raise DefinitionError on anything else."""
    if depth == 0:
        raise DefinitionError([_DEEP])
    if isinstance(value, str):
        return Scalar(value, '"')
    if isinstance(value, Mapping):
        return Fields(nodes=[node for k, v in value.items() for node in (of(k, depth=depth - 1), of(v, depth=depth - 1))])
    if isinstance(value, (list, tuple)):
        return Items(nodes=[of(v, depth=depth - 1) for v in value])
    return Scalar(plain_of(value))


def plain_of(value: Any) -> str:
    """Write what is no text so that plain() reads it; raise DefinitionError on what JSON cannot say."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        text = float.__repr__(value)  # 1e-05 is a text to YAML 1.1
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text if "." in text else text.replace("e", ".0e"))
    kinds = "a text, a number, true or false, null, a list or a mapping"
    raise DefinitionError([f"expected {kinds}, not {repr(value)[:60]} ({type(value).__name__})"])


def is_null(node: Node) -> bool:
    """Is this a null that somebody wrote, as for a field that is not given?"""
    return isinstance(node, Scalar) and not node.style and node.text in _NULLS


def is_empty(node: Node) -> bool:
    """Is nothing written there, or a null?"""
    return isinstance(node, Scalar) and not node.style and node.text in ("", *_NULLS)


def number_of(node: Node) -> float | None:
    """Return the number that is written there, if it is one."""
    with suppress(ValueError):
        value = plain(node.text) if isinstance(node, Scalar) and not node.style else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
            return float(value)
    return None


def kind_of(node: Node) -> str:
    """Say what is written there, for somebody who expected something else."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Fields):
        return "a mapping"
    if node.style:
        return "a text"
    try:
        value = plain(node.text)
    except ValueError:
        return "a number"
    if value is None:
        return "nothing"
    return node.text if isinstance(value, bool) else "a text" if isinstance(value, str) else "a number"


def shown(node: Node) -> str:
    """Show what is written there: a short text itself."""
    return f"'{node.text:.40}'" if isinstance(node, Scalar) and node.text.strip() else kind_of(node)
