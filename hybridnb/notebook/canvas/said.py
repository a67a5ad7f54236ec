"""What a browser said, which may be anything, as what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...drawing.blocks import Point
from ...errors import CallError

_FAR = 1e7  # pixels: no canvas is larger


class Said:
    """One message."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def __repr__(self) -> str:
        return f"Said({self.do!r})"

    @property
    def do(self) -> str:
        """What is asked for."""
        return str(self._data.get("do"))

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text, which must be there unless there is a default."""
        value = self._data.get(key)
        if value is None and default is not None:
            return default
        return value if isinstance(value, str) else self._refuse(key, value)

    def texts(self, key: str) -> list[str]:
        """Return some names; none when nothing is said of them."""
        value = self._data.get(key) or []
        return value if isinstance(value, list) and all(map(_is_name, value)) else self._refuse(key, value)

    def edges(self, key: str) -> list[tuple[str, str]]:
        """Return pairs of names."""
        value = self._data.get(key) or []
        if not isinstance(value, list) or not all(map(_is_pair, value)):
            self._refuse(key, value)
        return [(source, target) for source, target in value]

    def point(self, key: str) -> Point | None:
        """Return a place, if one is given."""
        value = self._data.get(key)
        return None if value is None else _point(value) or self._refuse(key, value)

    def places(self, key: str) -> dict[str, Point]:
        """Return places by names."""
        return {name: _point(value) or self._refuse(key, value) for name, value in self.mapping(key).items()}

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._data.get(key)
        return value if isinstance(value, dict) else self._refuse(key, value)

    def has(self, key: str) -> bool:
        return self._data.get(key) is not None

    def flag(self, key: str) -> bool:
        return self._data.get(key) is True

    def number(self, key: str) -> int | None:
        """Return a whole number, if one is given."""
        value = self._data.get(key)
        return value if value is None or (isinstance(value, int) and not isinstance(value, bool)) else self._refuse(key, value)

    def _refuse(self, key: str, value: object) -> Any:
        raise CallError(f"the canvas asked for {self.do!r} with {key!r} as {value!r:.60}, which means nothing")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""  # which would stand for all jobs that are in no group


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_name, value))


def _point(value: object) -> Point | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    x, y = value
    good = all(isinstance(n, int | float) and not isinstance(n, bool) and -_FAR < n < _FAR for n in (x, y))
    return (float(x), float(y)) if good else None
