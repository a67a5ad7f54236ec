"""What runs a script on a machine where the kernel does not read its first line: from `spec.json` to the words of a command."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

_SHELLS = ("bash", "sh", "dash", "zsh", "ksh")
_BY_SUFFIX = {  # Windows' own want their suffix to be there
    ".bat": ("cmd.exe", "/d", "/c"),
    ".cmd": ("cmd.exe", "/d", "/c"),
    ".ps1": ("powershell.exe", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File"),
}
_PYTHON = re.compile(r"(python|pypy)[0-9.]*")


def command(spec: Mapping[str, Any], *, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the command of an attempt; raise FileNotFoundError, with what to do, when its program is not here."""
    path = environment.get("PATH")
    script, suffix = str(folder / "script"), spec["suffix"]
    if spec["exec"]:
        name, *rest = spec["exec"]
        words = [_found(name, path), *rest]
    elif suffix == ".ipynb":
        words = [*program(["python3"], path), *_papermill(folder, environment)]
    elif suffix in _BY_SUFFIX and not spec["interpreter"]:
        shutil.copyfile(script, script + suffix)
        words = [*_BY_SUFFIX[suffix], script + suffix]
    else:
        words = [*program(spec["interpreter"] or (["python3"] if suffix == ".py" else ["sh"]), path), script]
    if not (spec["setup"] or spec["shell"]):
        return words
    lines = "\n".join([*spec["setup"], 'exec "$@"'])
    return [*program(spec["shell"] or ["sh"], path), "-c", lines, "hybridnb", *words]


def program(words: list[str], path: str | None) -> list[str]:
    """Find an interpreter by the words of a first line: only the name counts, for its folders are those of another system."""
    if len(words) == 2 and PureWindowsPath(words[0]).stem == "env":
        return program(words[1].removeprefix("-S").split(), path)
    given, *rest = words
    name = PureWindowsPath(given).stem.lower() if not _PYTHON.fullmatch(PureWindowsPath(given).name) else "python"
    if name == "python":
        return [_python(path), *rest]
    if name in _SHELLS:
        return [_shell(name, path), *rest]
    return [_found(given if os.path.exists(given) else name, path), *rest]


def _found(name: str, path: str | None) -> str:
    if found := shutil.which(name, path=path):
        return found
    raise FileNotFoundError(f"'{name}' is not on the PATH; install it, or name it by its whole path")


def _python(path: str | None) -> str:
    """Return the Python that the environment has first; the one that hybridnb runs on where there is none.

    What Windows has under WindowsApps only opens a shop.
    """
    for name in ("python3", "python"):
        found = shutil.which(name, path=path)
        if found and "windowsapps" not in found.lower():
            return found
    return sys.executable


def _shell(name: str, path: str | None) -> str:
    """Return a POSIX shell; the bash in Windows' own folder is none of this system: it belongs to WSL."""
    beside_git = Path(shutil.which("git", path=path) or "").parent.parent / "bin"
    for where in (path, str(beside_git) if os.name == "nt" else ""):
        for candidate in ("bash", "sh") if name == "sh" else (name,):
            found = shutil.which(candidate, path=where) if where else None
            if found and "system32" not in found.lower():
                return found
    raise FileNotFoundError(
        f"the script needs '{name}', and there is none: on Windows install Git, which brings one, write the script in Python, "
        "or send the job to a host with 'transport: wsl'"
    )


def _papermill(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Return papermill's words. It writes into the notebook's copy, never into the script."""
    shutil.copyfile(folder / "script", folder / "notebook.ipynb")
    notebook, executed = str(folder / "notebook.ipynb"), str(folder / "executed.ipynb")
    params = environment["HYBRIDNB_PARAMS"]
    words = ["-m", "papermill", "--log-output", "--no-progress-bar", "--parameters_file", params]
    return [*words, "--cwd", os.getcwd(), notebook, executed]
