"""What makes a run an experiment's record: versions, the state of the folder under git, checksums of files."""

from __future__ import annotations

import glob
import os
import platform
import stat
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from . import __version__

_DIFF_LIMIT = 10 * 2**20  # bytes of a dirty diff that are kept


def versions() -> dict[str, str]:
    """Return the versions of what runs here."""
    return {"hybridnb": __version__, "python": platform.python_version()}


def git(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Describe the folder's repository, and return the difference to its last commit; ({}, b"") without a repository.

    As `git describe` has it, "dirty" are changes to files that git knows; the others are under "untracked". What git does not
    tell (in time) is not in the answer; then it has a "problem".
    """
    try:
        commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    except (OSError, subprocess.SubprocessError):
        return {}, b""
    about: dict[str, Any] = {"commit": commit}
    try:
        about["branch"] = _git(folder, "rev-parse", "--abbrev-ref", "HEAD").decode(errors="replace").strip()
        said = _git(folder, "status", "--porcelain", "--no-renames", "--untracked-files=normal", "-z")
        status = [_shown(entry) for entry in said.split(b"\0") if entry]
        about["untracked"] = [entry[3:] for entry in status if entry.startswith("??")][:100]
        about["dirty"] = any(not entry.startswith("??") for entry in status)
        diff = _git(folder, "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv") if about["dirty"] else b""
    except (OSError, subprocess.SubprocessError) as error:
        return {**about, "problem": f"git did not tell everything: {error}"}, b""
    if len(diff) > _DIFF_LIMIT:
        return {**about, "diff_cut_at": _DIFF_LIMIT}, diff[:_DIFF_LIMIT]
    return about, diff


def _git(folder: Path, *words: str) -> bytes:
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, timeout=30, check=True).stdout  # noqa: S603


def _shown(name: bytes) -> str:
    """Write a file's name so that every reader of the record can read it, if it is UTF-8 or not."""
    return name.decode(errors="backslashreplace")


def checksums(folder: str, patterns: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return size in bytes and sha256 of each file that the patterns name, and {"missing": True} for a pattern without one."""
    found: dict[str, dict[str, Any]] = {}
    for pattern in patterns:
        paths = sorted(glob.glob(os.path.join(glob.escape(folder), pattern), recursive=True))
        if not paths and os.path.lexists(plain := os.path.join(folder, pattern)):  # a name that looks like a pattern
            paths = [plain]
        if not paths:
            found[pattern] = {"missing": True}
        for path in chain.from_iterable(map(_files, paths)):
            found[_shown(os.fsencode(os.path.relpath(path, folder)))] = _checksum(path)
    return found


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(top, name) for top, _, names in os.walk(path) for name in names)


def _checksum(path: str) -> dict[str, Any]:
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            return {"error": "not a file with a content"}  # to read a pipe might wait for ever
        return {"size": about.st_size, "sha256": digest_of(path, about.st_ino, about.st_size, about.st_mtime_ns)}
    except OSError as error:
        return {"error": error.strerror or str(error)}


@lru_cache(10_000)
def digest_of(path: str, inode: int, size: int, changed: int) -> str:  # noqa: ARG001  by these it is known whether the file is the same
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
