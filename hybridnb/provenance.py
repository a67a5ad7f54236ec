"""What makes a run an experiment's record: versions, the state of the folder under git, checksums of files."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import __version__

_DIFF_LIMIT = 10 * 2**20  # bytes of a dirty diff that are kept
_known: dict[tuple[str, int, int, int], str] = {}  # (path, inode, size, mtime in ns) -> sha256


def versions() -> dict[str, str]:
    """Return the versions of what runs here."""
    return {"hybridnb": __version__, "python": platform.python_version()}


def git(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Describe the folder's repository, and return the difference to its last commit; ({}, b"") without a repository."""
    if not shutil.which("git") or not (commit := _git(folder, "rev-parse", "HEAD").strip().decode()):
        return {}, b""
    status = _git(folder, "status", "--porcelain", "--untracked-files=normal").decode(errors="replace").splitlines()
    diff = _git(folder, "diff", "HEAD", "--binary") if any(not line.startswith("??") for line in status) else b""
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD").strip().decode()
    about = {"commit": commit, "branch": branch, "dirty": bool(status), "untracked": [s[3:] for s in status if s.startswith("??")][:100]}
    if len(diff) > _DIFF_LIMIT:
        return {**about, "diff_cut_at": _DIFF_LIMIT}, diff[:_DIFF_LIMIT]
    return about, diff


def _git(folder: Path, *words: str) -> bytes:
    try:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, timeout=30, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return b""


def checksums(folder: str, patterns: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return size in bytes and sha256 of each file that the patterns name, and {"missing": True} for a pattern without one."""
    found: dict[str, dict[str, Any]] = {}
    for pattern in patterns:
        paths = sorted(glob.glob(os.path.join(glob.escape(folder), pattern), recursive=True))
        files = [p for path in paths for p in _files(path)]
        if not files:
            found[pattern] = {"missing": True}
        for path in files:
            found[os.path.relpath(path, folder)] = _checksum(path)
    return found


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(top, name) for top, _, names in os.walk(path) for name in names)


def _checksum(path: str) -> dict[str, Any]:
    try:
        stat = os.stat(path)
        key = (path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if key not in _known:
            with open(path, "rb") as file:
                _known[key] = _digest(file)
        return {"size": stat.st_size, "sha256": _known[key]}
    except OSError as error:
        return {"error": error.strerror or str(error)}


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
