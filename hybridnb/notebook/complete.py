"""Completion of the magics' lines: hosts, jobs, options and their values, wherever IPython completes."""

from __future__ import annotations

import re
import shlex
import threading
import time
from argparse import Action
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from ..model import Job, Kind, Workflow
from . import arguments
from .arguments import Parser, Words
from .recipe import LANGUAGES, RESOURCES

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_T = TypeVar("_T")

_PATIENCE = 0.2  # seconds that typing may stop for all there is to ask
_FILES = 200  # so many are offered at most
_MAGIC = re.compile(r"\s*(?:[\w\s,.*]+=\s*)?(%(?:%job|workflow|hosts|runs))\s")
_PARSERS: dict[str, Callable[[], Parser | Words]] = {
    "%%job": arguments.job_parser,
    "%workflow": arguments.workflow_parser,
    "%hosts": arguments.hosts_parser,
    "%runs": arguments.runs_parser,
}


class Source(Protocol):
    """What there is to be named. Anything here may be slow, and may raise; it is called in a thread."""

    def hosts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the hosts as Client.hosts describes them."""

    def workflow(self) -> Workflow | None:
        """Return the definition of the current workflow."""

    def partitions(self, host: str) -> list[str]:
        """Return the partitions of a host, as far as they are known."""


@dataclass(slots=True)
class Line:
    """A line as it is understood up to the cursor."""

    parser: Parser
    names: list[str] = field(default_factory=list)  # what was said without an option
    options: dict[str, str] = field(default_factory=dict)  # by destination, the last value of each
    pending: Action | None = None  # the option whose value comes next

    @property
    def host(self) -> str:
        """The host that the line names."""
        return dict(zip((name.dest for name in self.parser.names), self.names)).get("host", "")

    def take(self, word: str) -> None:
        """Understand one more word."""
        option, equals, value = word.partition("=")
        if word.startswith("-") and option in self.parser.options:
            action = self.parser.options[option]
            self.options[action.dest] = value
            self.pending = action if action.nargs != 0 and not equals else None
        elif self.pending:
            self.options[self.pending.dest] = word
            self.pending = self.pending if self.pending.nargs == "+" else None
        else:
            self.names.append(word)

    @property
    def expected(self) -> Action | None:
        """The name that comes next."""
        names = self.parser.names
        last = names[-1] if names and names[-1].nargs in ("*", "+") else None
        return names[len(self.names)] if len(self.names) < len(names) else last


class Matcher:
    """Completes lines that begin with one of the magics, and no others; it never raises, and is never long."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked = _Asked()

    def __repr__(self) -> str:
        return f"Matcher({self._source!r})"

    @context_matcher(identifier="hybridnb", priority=1000)  # type: ignore[untyped-decorator]
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete, for IPython; see its CompletionContext."""
        lines = context.full_text.split("\n")
        head = lines[context.cursor_line][: context.cursor_position] if context.cursor_line < len(lines) else ""
        found = _MAGIC.match(head)
        first = not any(line.strip() for line in lines[: context.cursor_line])
        if not found or (found[1] == "%%job" and not (first and head.lstrip().startswith("%%job"))):
            return {"completions": []}
        completions: list[SimpleCompletion] = []
        fragment = ""
        with suppress(Exception):  # a line that nobody understands, or a hosts.yaml that is broken, has none
            fragment, offers = self.complete(found[1], head[found.end() :])
            completions = [SimpleCompletion(text, type=kind) for text, kind in offers.items()]
        return {"completions": completions, "matched_fragment": fragment, "suppress": True, "ordered": True}

    def complete(self, magic: str, text: str) -> tuple[str, dict[str, str]]:
        """Return the end of a magic's line that is to be replaced, and by what: {text: kind}."""
        self._asked.begin()
        raw = _last_word(text)
        words = shlex.split(text[: len(text) - len(raw)])
        parser = _PARSERS[magic]()
        if isinstance(parser, Words):
            if not words and not raw.startswith("-"):
                return raw, {word: "word" for word in parser.parsers if word.startswith(raw)}
            words, parser = words[1:], parser.parsers[words[0] if words else parser.default]
        line = Line(parser)
        for word in words:
            line.take(word)
        return self._value(line, raw)

    def _value(self, line: Line, raw: str) -> tuple[str, dict[str, str]]:
        """Complete the word at the cursor: the value of an option, an option, or a name."""
        option, equals, rest = raw.partition("=")
        action = line.pending
        if not action and equals and option in line.parser.options:
            action, raw = line.parser.options[option], rest
        if not action and raw.startswith("-"):
            return raw, _options(line, raw)
        expected = action or line.expected
        fragment, offers = self._of(expected, line, raw) if expected else (raw, {})
        if not raw and not action and (expected is None or expected.nargs == "?"):
            offers |= _options(line, "--")
        return fragment, offers

    def _of(self, action: Action, line: Line, raw: str) -> tuple[str, dict[str, str]]:
        """Complete a value, of a list its last piece."""
        quoted = bool(re.search(r"[\"'\\]", raw))
        value = _unquoted(raw)
        done, comma, piece = value.rpartition(",") if action.dest in ("after", "job", "inputs", "outputs") else ("", "", value)
        chosen = {part.partition(":")[0] for part in done.split(",")} | set(line.names if action.dest == "job" else ())
        found = ((text, kind) for text, kind in self._offers(action, line, piece) if text.startswith(piece) and text not in chosen)
        if not quoted:
            return piece, {_quoted(text): kind for text, kind in found}
        return raw, {_quoted(f"{done}{comma}{text}"): kind for text, kind in found}

    def _offers(self, action: Action, line: Line, piece: str) -> Iterator[tuple[str, str]]:
        """Yield what the value may be, and of what kind it is."""
        match "host" if action.metavar == "HOST" else action.dest:
            case "host":
                yield from ((name, "host") for name in self._hosts())
            case "after" if ":" in piece:
                yield from ((f"{piece.partition(':')[0]}:{kind.value}", "kind") for kind in Kind)
            case "name" | "after" | "job" | "start" | "old" | "parent" | "child":
                yield from ((name, "job") for name in self._jobs(groups=action.dest != "name"))
            case "kind":
                yield from ((kind.value, "kind") for kind in Kind)
            case "lang":
                yield from ((language, "language") for language in LANGUAGES)
            case "params":
                yield from ((f"{name}=", "param") for name in self._names("params", "sweep"))
            case "env":
                yield from ((f"{name}=", "variable") for name in self._names("env"))
            case "inputs" | "outputs" | "file" | "script" as field:
                yield from _files(piece, lists=field in ("inputs", "outputs"))
            case field if field in RESOURCES:
                yield from ((value, field) for value in dict.fromkeys(self._resources(field, line.host)))

    # -- what there is --------------------------------------------------------------------------------------------------
    def _hosts(self) -> Mapping[str, Mapping[str, Any]]:
        nothing: Mapping[str, Mapping[str, Any]] = {}
        return self._asked.get("hosts", self._source.hosts, nothing)

    def _workflow(self) -> Mapping[str, Job]:
        workflow = self._asked.get("workflow", self._source.workflow, None)
        return workflow.jobs if workflow else {}

    def _partitions(self, host: str) -> list[str]:
        nothing: list[str] = []
        return self._asked.get(f"partitions {host}", lambda: self._source.partitions(host), nothing)

    def _jobs(self, *, groups: bool) -> Iterable[str]:
        jobs = self._workflow()
        return dict.fromkeys([*jobs, *(job.group for job in jobs.values() if groups and job.group)])

    def _names(self, *fields: str) -> Iterable[str]:
        """The names of params or variables that the workflow's jobs have."""
        return dict.fromkeys(name for job in self._workflow().values() for field in fields for name in getattr(job, field))

    def _resources(self, name: str, host: str) -> Iterator[str]:
        """What may be asked of this host, then what its entry and the workflow's jobs say."""
        if name == "partition" and host:
            yield from self._partitions(host)
        jobs = self._workflow().values()
        for value in (_said(self._hosts().get(host, {}), name), *(getattr(job.resources, name) for job in jobs)):
            if value and name != "sbatch":
                yield str(value)


def _said(entry: Mapping[str, Any], name: str) -> Any:
    """What an entry of hosts.yaml says of a resource."""
    resources = entry.get("resources") or {}
    return resources.get(name)


class _Asked:
    """Asks in threads, and does not wait long: what is not there yet is as it was known last, and is there next time."""

    def __init__(self) -> None:
        self._deadline = 0.0
        self._going: dict[str, Future[Any]] = {}
        self._known: dict[str, Any] = {}

    def begin(self) -> None:
        """Begin to count the time that is waited."""
        self._deadline = time.monotonic() + _PATIENCE
        self._going = {key: asked for key, asked in self._going.items() if not asked.done()}

    def get(self, key: str, ask: Callable[[], _T], default: _T) -> _T:
        """Return the answer, or what it was."""
        asked = self._going.get(key)
        if asked is None:
            asked = self._going[key] = Future()
            threading.Thread(target=self._ask, args=(key, ask, asked), name="complete", daemon=True).start()
        with suppress(Exception):
            asked.result(max(0.0, self._deadline - time.monotonic()))
        known: _T = self._known.get(key, default)
        return known

    def _ask(self, key: str, ask: Callable[[], Any], asked: Future[Any]) -> None:
        try:
            self._known[key] = ask()
        except Exception:  # noqa: BLE001  whoever runs the line is told why
            self._known.pop(key, None)
        finally:
            asked.set_result(None)


def install(shell: InteractiveShell, matcher: Matcher) -> None:
    """Let a shell complete by this matcher."""
    shell.Completer.custom_matchers.append(matcher.match)


def uninstall(shell: InteractiveShell, matcher: Matcher) -> None:
    """Undo it."""
    with suppress(ValueError):
        shell.Completer.custom_matchers.remove(matcher.match)


# -- words ----------------------------------------------------------------------------------------------------------------
def _last_word(text: str) -> str:
    """Return the word at the end as it is written, '' after a space; a quote may be open."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        end = at + len(_whole(text, at))
        if end == len(text):
            return text[at:]
        at = end
    return ""


def _whole(text: str, at: int) -> str:
    """Return the word that begins there."""
    quote, escaped = "", False
    for end in range(at, len(text)):
        character = text[end]
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            return text[at:end]
    return text[at:]


def _unquoted(raw: str) -> str:
    """Return what a word means, also while its quote is open."""
    for end in ("", '"', "'", "\\"):
        with suppress(ValueError):
            return "".join(shlex.split(raw + end))
    return raw


def _quoted(text: str) -> str:
    """Write a value so that it is one word, and means itself: braces would stand for a variable."""
    plain = re.sub(r"[{}]", r"\g<0>\g<0>", text)
    return plain if re.fullmatch(r"[\w@%+=:,./*?~-]+", plain) else shlex.quote(plain)


def _options(line: Line, start: str) -> dict[str, str]:
    """Return the options that can still be said."""
    again = {"sbatch", "params", "env", "after", "inputs", "outputs", "job"}
    return {
        word: "option"
        for word, action in line.parser.options.items()
        if word.startswith(start) and (action.dest not in line.options or action.dest in again)
    }


def _files(piece: str, *, lists: bool) -> Iterator[tuple[str, str]]:
    """Yield files and folders that begin like this; hidden ones when they are asked for."""
    found = sorted(glob(f"{escape(piece)}*"))[:_FILES]
    for path in found:
        if not (lists and "," in path):
            yield (f"{path}/", "folder") if Path(path).is_dir() else (path, "file")
