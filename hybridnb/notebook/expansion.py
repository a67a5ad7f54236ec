"""Texts with `{name}` in them, which stands for a variable of the notebook."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any

from IPython.core.error import UsageError

from ..errors import did_you_mean

_PATH = r"(?P<name>[^\W\d]\w*)(?:\.\w+|\[[^][{}]+\])*"
_PIECE = re.compile(
    rf"\$\{{[^{{}}]*\}}|(?P<open>\{{\{{)|(?P<close>\}}\}})|\{{(?P<path>{_PATH})(?:!(?P<how>[rs]))?(?::(?P<form>[^{{}}]*))?\}}|[{{}}]"
)


def expand(text: str, variables: Mapping[str, Any], *, body: bool = False, keep: Collection[str] = ()) -> str:
    """Put variables where `{name}`, `{name.attribute}` or `{name[index]}` stands, also with a format: `{name:.2f}`.

    `{{` and `}}` are braces; `${name}` is the shell's and stays, as do the names to keep. A list becomes a,b in an option, and in a
    body what str() makes of it. Nothing is called or evaluated. Raises UsageError for an unknown name and for a lonely brace.
    """

    def value(found: re.Match[str]) -> str:
        if found["open"] or found["close"]:
            return found[0][0]
        if not found["path"]:
            return found[0] if found[0].startswith("$") else _lonely(text, found.start(), body=body)
        if found["name"] in keep:
            return found[0]
        return _written(_look_up(found["path"], found["name"], variables), found, body=body)

    return _PIECE.sub(value, text) if "{" in text or "}" in text else text


def _look_up(path: str, name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        near = did_you_mean(name, [known for known in variables if not known.startswith("_")])
        raise UsageError(f"the notebook has no variable '{name}'{near}; write {{{{{name}}}}} for a text in braces")
    try:
        return Formatter().get_field(path, (), variables)[0]
    except Exception as error:  # noqa: BLE001  whatever the user's own objects raise
        raise UsageError(f"{{{path}}} cannot be read: {type(error).__name__}: {error}") from None


def _written(value: Any, found: re.Match[str], *, body: bool) -> str:
    if found["how"] == "r":
        value = repr(value)
    elif isinstance(value, (list, tuple)) and not body:
        value = ",".join(map(str, value))
    try:
        return format(value, found["form"]) if found["form"] else str(value)
    except Exception as error:  # noqa: BLE001  whatever the user's own objects raise
        raise UsageError(f"{found[0]} cannot be written: {type(error).__name__}: {error}") from None


def _lonely(text: str, at: int, *, body: bool) -> str:
    """Complain about a brace that is neither doubled nor around a name: to guess would break scripts silently."""
    place = f"line {text.count(chr(10), 0, at) + 1} of the body" if body else "the line of the magic"
    shown = text[at : at + 20].partition("\n")[0]
    raise UsageError(f"in {place}: '{shown}' is no {{variable}}; write {{{{ and }}}} for braces")
