"""The variables that a run's local jobs start with: those of the terminal or kernel that asked for the run.

They may hold secrets, so they go to a private file outside the run's folder, and go when the run ends.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from . import home

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A shell that is told to export them stops, or no longer works as its scripts expect.
_OF_THE_SHELL = {"_", "PWD", "OLDPWD", "SHLVL", "IFS", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"}
_OF_THE_SHELL |= {"UID", "EUID", "PPID", "OPTIND", "RANDOM", "SRANDOM", "HISTCMD"}


def path(run: str) -> Path:
    """The file of exports for a run."""
    return home.state() / "environ" / run


def capture() -> dict[str, str]:
    """Return this process's variables, with the Python that runs hybridnb first in PATH unless an environment is active.

    So `.venv/bin/hybridnb run` and a kernel's jobs find the Python that they belong to, and `conda activate` is obeyed.
    """
    found = {
        k: v for k, v in os.environ.items() if _VARIABLE.fullmatch(k) and k not in _OF_THE_SHELL and not k.startswith("HYBRIDNB_")
    }
    if not ("VIRTUAL_ENV" in found or "CONDA_PREFIX" in found):
        found["PATH"] = os.pathsep.join(filter(None, (os.path.dirname(sys.executable), found.get("PATH"))))
    return found


def save(run: str, variables: Mapping[str, str]) -> Path:
    """Write the exports, readable by the user alone."""
    file = path(run)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    usable = {name: value for name, value in variables.items() if _VARIABLE.fullmatch(name) and name not in _OF_THE_SHELL}
    lines = [f"export {name}={quote(value)}\n" for name, value in usable.items()]
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.writelines(lines)
    return file


def forget(run: str) -> None:
    """Remove the file."""
    path(run).unlink(missing_ok=True)
