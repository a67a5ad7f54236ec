"""Texts with `{name}` in them, which stands for a variable of the notebook."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet, ValuesView
from string import Formatter
from typing import Any

from IPython.core.error import UsageError

from ..errors import did_you_mean

_PATH = r"(?P<name>[^\W\d]\w*)(?:\.\w+|\[[^][{}]+\])*"
_PIECE = re.compile(
    rf"\$\{{[^{{}}]*\}}|(?P<open>\{{\{{)|(?P<close>\}}\}})|\{{(?P<path>{_PATH})(?:!(?P<how>[rs]))?(?::(?P<form>[^{{}}]*))?\}}|[{{}}]"
)
_UNSAFE = re.compile(r"[,'\"\[\]]|^\s|\s$|^$")  # in one value among others: quotes make it one word of the list


def expand(
    text: str,
    variables: Mapping[str, Any],
    *,
    body: bool = False,
    keep: Collection[str] = (),
    alone: Callable[[Any], str] | None = None,
) -> str:
    """Put variables where `{name}`, `{name.attribute}` or `{name[index]}` stands, also with a format: `{name:.2f}`.

    `{{` and `}}` are braces; `${name}` is the shell's and stays, as do the names to keep. A list, or what is like one, becomes a,b in
    an option, and in a body what str() makes of it; `alone` writes a value that is the whole text. Nothing of the user's is called but
    `tolist`, and nothing evaluated. Raises UsageError for an unknown name and for a lonely brace.
    """

    def value(found: re.Match[str]) -> str:
        if found["open"] or found["close"]:
            return found[0][0]
        if not found["path"]:
            return found[0] if found[0].startswith("$") else _lonely(text, found.start(), body=body)
        if found["name"] in keep:
            return found[0]
        write = str if body else alone if alone and found[0] == text else joined
        return _written(_look_up(found["path"], found["name"], variables), found, write)

    return _PIECE.sub(value, text) if "{" in text or "}" in text else text


def _look_up(path: str, name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        near = did_you_mean(name, [known for known in variables if not known.startswith("_")])
        raise UsageError(f"the notebook has no variable '{name}'{near}; write {{{{{name}}}}} for a text in braces")
    try:
        return Formatter().get_field(path, (), variables)[0]
    except Exception as error:  # noqa: BLE001  whatever the user's own objects raise
        raise UsageError(f"{{{path}}} cannot be read: {type(error).__name__}: {error}") from None


def joined(value: Any) -> str:
    """Write a list as a,b; everything else as str() does."""
    return str(value) if (several := _several(value)) is None else ",".join(map(str, several))


def as_param(value: Any) -> str:
    """Write the value of a param so that YAML reads it."""
    return joined(value) if _several(value) is not None else _yaml(value)


def as_sweep(value: Any) -> str:
    """Write what a sweep goes through so that each value stays one, in brackets where a,b could not tell that it is a list."""
    if isinstance(value, (Mapping, Iterator)):  # of which parts? and an iterator is used up by the first look
        raise TypeError(f"a sweep goes through a list, not through a {type(value).__name__}; make a list of it first")
    if (several := _several(value)) is None:
        return _yaml(value)
    pieces = [_quoted(piece) if _UNSAFE.search(piece) else piece for piece in map(_yaml, several)]
    return ",".join(pieces) if len(pieces) > 1 else f"[{''.join(pieces)}]"


def _several(value: Any) -> Iterable[Any] | None:
    """Return the elements of what is like a list, those of a set in an order that is the same tomorrow; None for a single value."""
    if callable(tolist := getattr(type(value), "tolist", None)):  # of NumPy, pandas and the like
        value = tolist(value)
    if isinstance(value, (set, frozenset)):
        return _sorted(value)
    like = isinstance(value, (Sequence, AbstractSet, ValuesView)) and not isinstance(value, (str, bytes, bytearray, memoryview))
    return value if like else None


def _sorted(values: Iterable[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:  # numbers and texts, or None among them
        return sorted(values, key=lambda value: (type(value).__name__, str(value)))


def _yaml(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _written(value: Any, found: re.Match[str], write: Callable[[Any], str]) -> str:
    try:
        if found["how"] == "r":
            value = repr(value)
        elif found["form"] and write is not str and _several(value) is not None:
            value = write(value)
        return format(value, found["form"]) if found["form"] else write(value)
    except Exception as error:  # noqa: BLE001  whatever the user's own objects raise
        raise UsageError(f"{found[0]} cannot be written: {type(error).__name__}: {error}") from None


def _lonely(text: str, at: int, *, body: bool) -> str:
    """Complain about a brace that is neither doubled nor around a name: to guess would break scripts silently."""
    place = f"line {text.count(chr(10), 0, at) + 1} of the body" if body else "the line of the magic"
    shown = text[at : at + 20].partition("\n")[0]
    raise UsageError(f"in {place}: '{shown}' is no {{variable}}; write {{{{ and }}}} for braces")
