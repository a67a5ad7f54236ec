"""Asking the person at the terminal what hosts want to know: passwords, codes, whether an unknown key is the right one."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from . import show
from .errors import NotFound

if TYPE_CHECKING:
    from .client import Client, Here

_LOOK = 0.5  # seconds between looks whether a question still waits
_LINE = 4096  # bytes that a terminal gives at once, at most

Asked = dict[str, Any]  # a question, as clients tell it
# words, hidden, does it wait still -> the answer, None to withhold it
Read = Callable[[str, bool, Callable[[], bool]], "str | None"]


def there() -> bool:
    """Is there somebody to ask? Not in a pipe, nor in the background, nor in a notebook's cell, which only looks like a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or "JPY_PARENT_PID" in os.environ:
        return False
    try:
        return os.name == "nt" or os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


class Prompt:
    """Asks one question after the other, each once."""

    def __init__(self, client: Client | Here, *, read: Read | None = None) -> None:
        self._client = client
        self._read = read or _read
        self._asked: set[int] = set()

    def fresh(self, hosts: Container[str]) -> list[Asked]:
        """Return what these hosts ask and has not been returned yet."""
        found = [q for q in self._client.questions() if q["host"] in hosts and q["id"] not in self._asked]
        self._asked.update(q["id"] for q in found)
        return found

    def attend(self, hosts: Container[str], *, pause: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """Ask what these hosts ask; nothing else is shown while `pause` is entered."""
        for question in self.fresh(hosts):
            with pause():
                try:
                    self._give(question, self._chosen(question))
                except _Over:
                    _say("it waits for no answer any more: another one was given, or the time is up\n")

    def _chosen(self, question: Asked) -> str | None:
        """Ask until there is an answer that can be one; None when it is withheld."""
        *lines, last = [show.plain(line) for line in question["text"].strip().splitlines()] or [""]
        choices = question["choices"]
        words = "/".join(choices)
        _say("".join(f"{line}\n" for line in (f"host '{question['host']}' asks:", *lines)))
        while True:
            answer = self._read(
                f"{last}{f' ({words})' if words not in last else ''} ", question["hidden"], lambda: self._waits(question)
            )
            if answer is None or not choices:
                return answer
            if (word := answer.strip().lower()) in choices:
                return word
            _say(f"please answer {' or '.join(choices)}\n")

    def _give(self, question: Asked, answer: str | None) -> None:
        if answer is None:
            _say(f"\nno answer is given; to be asked again: hybridnb hosts check {question['host']}\n")
        try:
            self._client.answer(question["id"], answer)
        except NotFound as error:
            _say(f"{error}\n")

    def _waits(self, question: Asked) -> bool:
        return any(q["id"] == question["id"] for q in self._client.questions())


class _Over(Exception):
    """The question waits no more."""


def _read(words: str, hidden: bool, waits: Callable[[], bool]) -> str | None:  # noqa: FBT001
    """Read a line from the terminal; None at Ctrl-C or Ctrl-D. Raises _Over when nobody waits for it any more."""
    if os.name == "nt":
        return _read_on_windows(words, hidden=hidden)
    with _terminal(hidden=hidden) as fd:
        _say(words)
        try:
            while not select.select([fd], [], [], _LOOK)[0]:
                if not waits():
                    _say("\n")
                    raise _Over
            line = os.read(fd, _LINE)
        except KeyboardInterrupt:
            return None
    return line.decode(sys.stdin.encoding, errors="surrogateescape").rstrip("\r\n") if line else None


def _read_on_windows(words: str, *, hidden: bool) -> str | None:
    """Read a line without looking whether somebody waits for it."""
    from getpass import getpass

    try:
        return getpass(words) if hidden else input(words)
    except (KeyboardInterrupt, EOFError):
        return None


@contextmanager
def _terminal(*, hidden: bool) -> Iterator[int]:
    """Have the terminal give a line that begins now, shown or not; Ctrl-C is an exception here, whatever it is elsewhere."""
    import termios

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    during = list(before)
    during[3] = (before[3] & ~termios.ECHO | termios.ECHONL) if hidden else before[3] | termios.ECHO
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        termios.tcsetattr(fd, termios.TCSAFLUSH, during)
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
        signal.signal(signal.SIGINT, handler)


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
