"""Patterns of files, with one meaning at home and on hosts: names, `*`, `?`, `[…]`, and `**` for any number of folders.

They mean what glob.glob(recursive=True) makes of them: no wildcard matches a leading dot, a folder stands for all files in it, and a
pattern that matches nothing is taken as a name. Other than there, links to folders are followed only where the pattern itself
names or matches them, neither by `**` nor below a folder: so nothing is found twice, and no link can lead in a circle.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from ...errors import Impossible

_CHOICE = re.compile(r"[\[\]\\(){}<>|].*[\[\]\\(){}<>|]|[\[\]\\(){}<>|]")  # shells differ in what these mean
OURS = ".hybridnb-"  # how names begin that only we make, beside files that arrive


class Pattern(NamedTuple):
    """A pattern below some folder, taken apart at its slashes."""

    text: str
    parts: tuple[str, ...]
    folders: bool  # it ends with a slash: only what is in matching folders

    def names(self, path: str) -> bool:
        """Does it match this path, or a folder that the path is in?"""
        steps = path.split("/")
        at = self._past({0})
        if len(self.parts) in at:  # "." and "**": the folder itself
            return True
        for folder in steps[:-1]:
            at = self._past({n for i in at for n in self._after(i, folder)})
            if len(self.parts) in at:
                return True
        return not self.folders and any(self._ends(i, steps[-1]) for i in at)

    def is_name_of(self, path: str) -> bool:
        """Is it, taken as a name, this path or a folder that the path is in?"""
        return path.startswith(f"{self.name}/") or (path == self.name and not self.folders)

    @property
    def name(self) -> str:
        """The pattern, taken as a name."""
        return "/".join(self.parts) or "."

    @property
    def head(self) -> str:
        """The part before the first `**`: what it matches, and all that is in there, holds everything that the pattern names."""
        return "/".join(self.parts[: self.parts.index("**")] if "**" in self.parts else self.parts) or "."

    @property
    def word(self) -> str:
        """The head so that every shell reads it alike, in any locale: it may match more."""
        return _CHOICE.sub("*", self.head).replace("?", "?*")

    def _ends(self, place: int, name: str) -> bool:
        """Is a file of this name the end of the pattern from there on? A `**` at its end stands for what is in a folder, not for a file before it."""
        return any(n == len(self.parts) or (n == place and set(self.parts[n:]) == {"**"}) for n in self._after(place, name))

    def _past(self, places: set[int]) -> set[int]:
        """Add the places behind each `**`, which may stand for no folder at all."""
        for place in sorted(places):
            while place < len(self.parts) and self.parts[place] == "**":
                place += 1  # noqa: PLW2901
                places.add(place)
        return places

    def _after(self, place: int, name: str) -> Iterator[int]:
        """Yield where one can be in the pattern after this name."""
        if place == len(self.parts):
            return
        part = self.parts[place]
        if name.startswith(".") and not part.startswith("."):
            return
        if part == "**":
            yield place
        elif fnmatchcase(name, part):
            yield place + 1


def parse(texts: Iterable[str]) -> list[Pattern]:
    """Take patterns apart. Absolute ones are left out: they name what lies on each host by itself.

    Raises HostError for one that leads out of the folder.
    """
    found = []
    for text in texts:
        if not text or text.startswith("/"):
            continue
        path = posixpath.normpath(text)
        if path.split("/")[0] == "..":
            raise Impossible(f"'{text}' lies outside of the workflow's folder: only what is in there moves with a job")
        found.append(Pattern(text, () if path == "." else tuple(path.split("/")), text.endswith("/")))
    return found


def select(patterns: Iterable[Pattern], paths: Collection[str]) -> set[str]:
    """Return those paths of files that the patterns name."""
    chosen: set[str] = set()
    for pattern in patterns:
        chosen.update([p for p in paths if pattern.names(p)] or [p for p in paths if pattern.is_name_of(p)])
    return {path for path in chosen if not any(part.startswith(OURS) for part in path.split("/"))}
