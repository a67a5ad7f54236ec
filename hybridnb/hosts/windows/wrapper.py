"""`python -m hybridnb.hosts.windows.wrapper FOLDER`: what wrap.sh is, for a machine without a POSIX shell. The same files, but for `spec.json`.

Runs one attempt, at most once, and leaves the evidence in its folder. A line "PID" on standard output says that it started.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any, NoReturn

from . import group, interpreter

_TWIN, _NO_FOLDER, _NO_COMMAND = 75, 72, 127  # exit codes, as wrap.sh has them
_PAUSE = 2.0  # seconds between tries to write on a full disk
_INHERITED = {"PYTHONIOENCODING": "utf-8"} if os.name == "nt" else {}  # logs are UTF-8; Windows has a code page for each country


class Wrapper:
    """One attempt in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stopped = folder.parent / "cancel"
        self._ended = threading.Event()

    def attempt(self) -> int:
        """Claim the attempt, run it, leave the evidence; return its exit code."""
        try:
            os.close(os.open(self.folder / "claim", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        except (FileExistsError, FileNotFoundError):
            return _TWIN
        self._write("claim", str(group.own()))
        if self._stopped.exists():
            self._write("rc", f"{_TWIN} cancelled")
            return _TWIN
        with suppress(OSError):  # the runner that waits for it may be gone
            print(os.getpid(), flush=True)
        code = self._run(json.loads((self.folder / "spec.json").read_text(encoding="utf-8")))
        word = self._word(code)
        self._write("rc", f"{code} {word}")
        if word in ("cancelled", "timeout"):
            group.kill(group.own())  # whatever of the script ignored the polite signal
        return code

    def _word(self, code: int) -> str:
        if code and self._stopped.exists():
            return "cancelled"
        return next((word for word in ("timeout", "missing") if (self.folder / word).exists()), "exit")

    def _run(self, spec: Mapping[str, Any]) -> int:
        with open(self.folder / "out", "wb") as out, open(self.folder / "err", "wb") as err:
            try:
                os.chdir(spec["work"])
            except OSError as error:
                err.write(f"hybridnb: {spec['work']}: {error.strerror}\n".encode())
                return _NO_FOLDER
            environment = self._environment(spec)
            try:
                command = interpreter.command(spec, folder=self.folder, environment=environment)
                process = group.start(command, folder=spec["work"], environment=environment, out=out, err=err)
            except OSError as error:
                err.write(f"hybridnb: {error.strerror or error}{f': {error.filename}' if error.filename else ''}\n".encode())
                return _NO_COMMAND
            threading.Thread(target=self._guard, args=(spec.get("limit"), spec["grace"]), daemon=True).start()
            code = process.wait()
            self._ended.set()
            return self._missing(spec["outputs"]) if code == 0 else code if code > 0 else 128 - code

    def _guard(self, limit: float | None, grace: float) -> None:
        """End the script when its time is up, and the deaf by force."""
        if limit is None or self._ended.wait(limit):
            return
        (self.folder / "timeout").touch()
        group.ask(group.own())
        if not self._ended.wait(grace):
            self._write("rc", "137 timeout")
            group.kill(group.own())

    def _missing(self, outputs: list[str]) -> int:
        absent = [name for name in outputs if not (os.path.exists(name) or glob(name))]
        if absent:
            (self.folder / "missing").touch()
        with open(self.folder / "err", "ab") as err:
            err.writelines(f"hybridnb: the job declares the output '{name}', but it is not there\n".encode() for name in absent)
        return 0

    def _environment(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables of the script: this process's, those of the run's file, the job's, and ours."""
        own = {"HYBRIDNB_ATTEMPT": self.folder.name, "HYBRIDNB_PARAMS": str(self.folder.parent / "params.json")}
        given = {**_exports(spec["environment"]), **spec["variables"], **own}
        if spec["beside"]:  # modules beside the file are found, as when it runs in place
            above = given.get("PYTHONPATH") or os.environ.get("PYTHONPATH")
            given["PYTHONPATH"] = os.pathsep.join(filter(None, (os.path.join(spec["work"], spec["beside"]), above)))
        named = {(name.upper() if os.name == "nt" else name): value for name, value in given.items()}  # as os.environ has them
        return {**_INHERITED, **os.environ, **named}

    def _write(self, name: str, text: str) -> None:
        """Write a line. A full disk delays the evidence, it does not lose it, unless the run was deleted: nobody wants it any more."""
        while (self.folder / "spec.json").exists():
            with suppress(OSError):
                (self.folder / name).write_bytes(f"{text}\n".encode())
                return
            time.sleep(_PAUSE)


def _exports(file: str) -> dict[str, str]:
    """Read a file of lines `export NAME=VALUE`, quoted as a shell wants it; one that cannot be read says nothing."""
    with suppress(OSError):
        words = shlex.split(Path(file).read_text(encoding="utf-8", errors="surrogateescape")) if file else []
        return dict(word.split("=", 1) for word in words if "=" in word)
    return {}


def main(folder: str) -> NoReturn:
    """Run the attempt of a folder, deaf to what asks the script to stop: this process stays to write the end."""
    for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    sys.exit(Wrapper(Path(folder)).attempt())


if __name__ == "__main__":
    main(sys.argv[1])
