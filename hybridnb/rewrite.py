"""Plain data as YAML text, and changes of it put into a text that a person wrote: only what changed is written anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .document import Fields, Items, Node, Scalar, is_text, plain_of
from .grammar import ALIASES

WIDTH = 100  # a longer list takes a line for each of its items

_WITHIN = r"\w./+=@%~$*;<>()|&!'\"\\^-"
_PLAIN = re.compile(rf"(-{{0,2}}\w|[./$(])((:(?=\w)|[ {_WITHIN}])*[{_WITHIN}])?")
_WORD = re.compile(r"[\w.+=@:-]+")  # the same in every kind of quotes
_ESCAPED = re.compile("[\x7f-\xa0\xad\u2028\u2029\u200b-\u200f\u202a-\u202e\ufeff\ufffe\uffff]")
_NOT_LITERAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028-\u202e\ud800-\udfff\ufeff\ufffe\uffff]")

_KEPT = re.compile(r"[|>]\d?\+\d?[ \t]*(#.*)?\r?$", re.M)  # before a text to which the blank lines below it belong
_ODD_BREAK = re.compile("[\x85\u2028\u2029]|\r(?!\n)")  # lines to YAML 1.1, not to editors: such a text is written anew


def block(data: Mapping[str, Any], *, indent: int = 0) -> list[str]:
    """Return the lines of a block mapping."""
    lines = []
    for key, value in data.items():
        head, body = _value(value, indent + 2)
        lines += [f"{' ' * indent}{_scalar(key)}:{head and ' ' + head}", *body]
    return lines


def edit(text: str, root: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the text of a document after a change of what it says; `old` and `new` say it in the same words."""
    edition = _Edition(text)
    if not edition.has_lines(root) or _ODD_BREAK.search(text):
        return "\n".join([*block(new), ""])
    edition.fields(root, old, new, floor=0)
    return edition.result()


def spans(text: str, node: Fields) -> dict[str, tuple[int, int]]:
    """Return where each entry of a block mapping begins, on the line of its key, and ends: each can be edited as a text of its own.

    Nothing for a text that is not to be edited in pieces.
    """
    edition = _Edition(text)
    if (
        not edition.has_lines(node)
        or _ODD_BREAK.search(text)
        or _KEPT.search(text)
        or text.count("\r\n") not in (0, text.count("\n"))
    ):
        return {}
    pairs = [(key, value) for key, value in node.pairs() if isinstance(key, Scalar)] if text.endswith("\n") else []
    return {key.text: (key.start.index - key.start.column, edition.stop(value, key.start.column)) for key, value in pairs}


def reword(text: str, words: Iterable[tuple[Scalar, str]]) -> str:
    """Return the text with other words in the places of scalars, and in their quotes if they have some."""
    edits = []
    for scalar, word in words:
        start, end = scalar.start.index, scalar.end.index
        quote = scalar.style if scalar.style in ("'", '"') and _WORD.fullmatch(word) else ""
        if scalar.style in ("|", ">"):  # whose end is that of its lines
            end = len(text[start:end].rstrip()) + start
        edits.append((start, end, f"{quote}{word}{quote}" if quote else _scalar(word)))
    return _spliced(text, edits)


def alike(a: Any, b: Any) -> bool:
    """Are these the same data? Unlike ==, this knows 1 from True and from 1.0, as YAML does."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(alike(value, b[key]) for key, value in a.items())
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    return type(a) is type(b) and bool(a == b)


def _spliced(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    out, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        out += [text[at:start], new]
        at = max(at, end)
    return "".join([*out, text[at:]])


def _same(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return name in old and name in new and alike(old[name], new[name])


def _value(value: Any, indent: int) -> tuple[str, list[str]]:
    """Return what stands behind the colon, and the lines below it at this indentation."""
    if isinstance(value, Mapping) and value:
        return "", block(value, indent=indent)
    if isinstance(value, str) and _is_literal(value):
        return _literal(value, indent)
    flow = _flow(value)
    if isinstance(value, (list, tuple)) and len(flow) + indent > WIDTH:
        return "", [f"{' ' * indent}- {_flow(item)}" for item in value]
    return flow, []


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return plain_of(value)
    if _PLAIN.fullmatch(value) and is_text(value):
        return value
    if "'" not in value and ("\\" in value or '"' in value) and value.isprintable():
        return f"'{value}'"
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _is_literal(text: str) -> bool:
    return "\n" in text.rstrip("\n") + text[-1:] and not text.endswith("\n\n") and text != "\n" and not _NOT_LITERAL.search(text)


def _literal(text: str, indent: int) -> tuple[str, list[str]]:
    hint = "2" if text[0] in " \t\n" else ""  # what YAML cannot guess from the first line
    lines = text.removesuffix("\n").split("\n")
    return f"|{hint}{'' if text.endswith(chr(10)) else '-'}", [line and " " * indent + line for line in lines]


class _Edition:
    """Collects replacements for stretches of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[tuple[int, int, str]] = []

    def result(self) -> str:
        newline = "\r\n" if "\r\n" in self.text else "\n"
        text = _spliced(self.text, [(start, end, new.replace("\n", newline)) for start, end, new in self.edits])
        return text if text.endswith("\n") else text + newline

    def has_lines(self, node: Fields | Items) -> bool:
        """Is this a block whose entries begin on lines of their own?"""
        dash = "-" if isinstance(node, Items) else ""
        entries = node.nodes if isinstance(node, Items) else node.nodes[::2]
        starts = (entry.start for entry in entries)
        return not node.flow and all(self.text[at.index - at.column : at.index].strip(" ") == dash for at in starts)

    def change(self, key: Scalar, node: Node, old: Any, new: Any) -> None:
        """Let the value under a key become another."""
        floor = self.below(key.end.index)
        if isinstance(node, Fields) and isinstance(new, Mapping) and new:
            old = old if isinstance(old, Mapping) else {}
            if self.has_lines(node):
                return self.fields(node, old, new, floor=floor)
            if node.flow and self.flow_fields(node, old, new):
                return None
        if isinstance(node, Items) and isinstance(old, list) and isinstance(new, list) and self.has_lines(node):
            kept = [item for item in old if item in new]
            texts = all(isinstance(item, str) for item in (*old, *new))
            if kept and texts and len(old) == len(node.nodes) and list(new[: len(kept)]) == kept:
                return self.items(node, old, new, floor=floor)
        return self.replace(key, node, new)

    def fields(self, node: Fields, old: Mapping[str, Any], new: Mapping[str, Any], *, floor: int) -> None:
        """Change, remove and add the entries of a block mapping."""
        entries = {_canonical(key, old, new): (key, value) for key, value in node.pairs() if isinstance(key, Scalar)}
        ends = [self.stop(value, key.start.column) for key, value in entries.values()]
        spaced = any(self.text[end : end + 2].startswith(("\n", "\r\n")) for end in ends[:-1])
        keeps = False  # would blank lines that are left here belong to the text above?
        for (name, (key, value)), above in zip(entries.items(), [floor, *ends]):
            if name in new:
                keeps = _same(name, old, new) and self.keeps(value)
            if name in new and not _same(name, old, new):
                self.change(key, value, old.get(name), new[name])
            elif name in old and name not in new:
                start, end = key.start.index - key.start.column, self.stop(value, key.start.column)
                self.remove(start, end, floor=above, below=keeps or (above == floor and end != ends[-1]))
        first = next(iter(entries.values()))[0].start
        at, before, gap = first.index - first.column, True, spaced
        stops = dict(zip(entries, ends))
        for name in new:
            if name in stops:
                at, before, gap = stops[name], False, spaced and not self.keeps(entries[name][1])
            elif not _same(name, old, new):  # else it is said already, by a default
                self.insert(at, block({name: new[name]}, indent=first.column), before=before, spaced=gap)

    def flow_fields(self, node: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """Change short values within {…}; False if that is not all."""
        found = {_canonical(key, old, new): value for key, value in node.pairs() if isinstance(key, Scalar)}
        changed = [name for name in {**old, **new} if not _same(name, old, new)]
        fresh = {name: _value(new[name], 0) for name in changed if name in new and name in found}
        simple = all(isinstance(found[name], Scalar) and self.text[found[name].start.index - 1] in " :" for name in fresh)
        if len(fresh) < len(changed) or any(body for _, body in fresh.values()) or not simple:
            return False
        self.edits += [(self.from_(found[name]), found[name].end.index, " " + head) for name, (head, _) in fresh.items()]
        return True

    def items(self, node: Items, old: Sequence[Any], new: Sequence[Any], *, floor: int) -> None:
        """Remove items of a block sequence and put others at its end."""
        for value, item in zip(old, node.nodes):
            stop = self.stop(item, node.start.column)
            if value not in new:
                self.remove(item.start.index - item.start.column, stop, floor=floor, below=False)
            floor = stop
        added = new[len([item for item in old if item in new]) :]
        self.insert(floor, [f"{' ' * node.start.column}- {_flow(value)}" for value in added], before=False, spaced=False)

    def replace(self, key: Scalar, node: Node, new: Any) -> None:
        """Write the value under a key anew; a comment behind it stays behind the key."""
        head, body = _value(new, key.start.column + 2)
        inline = node.style not in ("|", ">") if isinstance(node, Scalar) else node.flow
        end = self.end(node)
        stop = self.stop(node, key.start.column)
        notes = [line for line in self.text[self.below(end) : stop].splitlines() if line.strip()]
        if notes and head.startswith("|"):  # which would swallow them
            head, body = _flow(new), []
        if inline and not body:
            self.edits.append((self.from_(node), node.end.index, " " + head))
            return
        stop = stop if body else self.below(end)
        comment = self.text[end : self.line_end(end)].strip() if inline else ""
        colon = self.text.index(":", key.end.index) + 1
        first = "  ".join(part for part in ("", head, comment) if part)
        self.edits.append((colon, stop, "\n".join([first and " " + first, *(notes if body else []), *body, ""])))

    def remove(self, start: int, end: int, *, floor: int, below: bool) -> None:
        """Remove an entry with the comment directly above it, and the blank lines above that, or those below as well."""
        for wanted in (r"[ \t]*#.*", r"[ \t]*"):
            while start > floor and re.fullmatch(wanted, self.text[self.line_above(start) : start].rstrip("\r\n")):
                start = max(self.line_above(start), floor)
        while below and end < (after := self.below(end)) and not self.text[end:after].strip(" \t\r\n"):
            end = after
        self.edits.append((start, end, ""))

    def insert(self, at: int, lines: list[str], *, before: bool, spaced: bool) -> None:
        if not lines:
            return
        broken = at == 0 or self.text[at - 1] in "\n\r"
        text = "\n".join([*lines, ""])
        gap = "\n" if spaced else ""
        self.edits.append((at, at, text + gap if before else ("" if broken else "\n") + gap + text))

    def from_(self, node: Node) -> int:
        """Return where a value begins with the spaces before it, so that one written in no space gets one."""
        at = node.start.index
        while self.text[at - 1] in " \t":
            at -= 1
        return at if self.text[at - 1] == ":" else node.start.index

    def end(self, node: Node) -> int:
        """Return where the last thing of a node ends, without the blank lines and comments below it."""
        node = _last(node)
        end = node.end.index
        if end == node.start.index:  # nothing: the parser may have looked for it on the lines below
            return len(self.text[:end].rstrip())
        if not isinstance(node, Scalar) or node.style not in ("|", ">"):
            return end
        if self.keeps(node):
            return len(self.text[node.start.index : end].removesuffix("\n").removesuffix("\r")) + node.start.index
        return len(self.text[node.start.index : end].rstrip("\r\n")) + node.start.index

    def keeps(self, node: Node) -> bool:
        """Do the blank lines below belong to the last text of a node?"""
        node = _last(node)
        return isinstance(node, Scalar) and bool(re.match(r"[|>]\d?\+", self.text[node.start.index : node.start.index + 3]))

    def stop(self, node: Node, column: int) -> int:
        """Return where the next thing begins below an entry of this column: comments, and spaces, further in belong to the entry."""
        at = self.below(self.end(node))
        while found := re.compile(rf"([ \t]*\r?\n)*[ ]{{{column + 1},}}[ \t]*(#.*|\r?)(\n|$)").match(self.text, at):
            at = found.end()
        return at

    def line_end(self, index: int) -> int:
        found = re.compile(r"\r?\n|$").search(self.text, index)
        return found.start() if found else len(self.text)

    def below(self, index: int) -> int:
        """Return where the next line begins."""
        found = re.compile(r"\n|$").search(self.text, index)
        return found.end() if found else len(self.text)

    def line_above(self, start: int) -> int:
        """Return where the line before the one that begins here begins."""
        return self.text.rfind("\n", 0, max(start - 1, 0)) + 1


def _last(node: Node) -> Node:
    while not isinstance(node, Scalar) and not node.flow and node.nodes:
        node = node.nodes[-1]
    return node


def _canonical(key: Scalar, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the word that the data use for a key: a person may have used another one."""
    return key.text if key.text in old or key.text in new else ALIASES.get(key.text, key.text)
