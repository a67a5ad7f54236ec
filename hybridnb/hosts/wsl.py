"""The way into a distribution of the Windows Subsystem for Linux: by its launcher, wsl.exe, and nothing else.

This has been tried against a stand-in for wsl.exe only, which was written after its source and its known oddities; never on Windows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from ..errors import Refused, Unreachable, did_you_mean
from .channel import SCRIPT
from .pipe import Pipe
from .questions import Questions
from .transport import Transport

_START = 120.0  # seconds for the first word: the virtual machine may have to boot
_LIST = 30.0  # seconds for the list of distributions
_CODE = re.compile(r"Wsl/[\w/]+")  # what it says is localised, its codes are not
_MISSING = {"WSL_E_DISTRO_NOT_FOUND", "WSL_E_DEFAULT_DISTRO_NOT_FOUND"}
_FINAL = {  # what waiting does not cure
    "WSL_E_CUSTOM_KERNEL_NOT_FOUND",
    "WSL_E_DISK_CORRUPTED",
    "WSL_E_FS_UPGRADE_NEEDED",
    "WSL_E_HIGHER_INTEGRITY",
    "WSL_E_INVALID_USAGE",
    "WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED",
    "WSL_E_LOWER_INTEGRITY",
    "WSL_E_NOT_A_LINUX_DISTRO",
    "WSL_E_OS_NOT_SUPPORTED",
    "WSL_E_USER_NOT_FOUND",
    "WSL_E_VIRTUAL_MACHINE_PLATFORM_REQUIRED",
    "WSL_E_WSL1_DISABLED",
    "WSL_E_WSL1_NOT_SUPPORTED",
    "WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED",
}
# wslpath writes a translated path, and a line break behind it; the path comes on standard input, so that no one re-parses it.
_TRANSLATE = 'IFS= read -r path; wslpath "$1" "$path"'


class Wsl:
    """A distribution of this machine; see Link. Entry: `distro`, `user`, each WSL's default when it is left out."""

    def __init__(self, name: str, entry: Mapping[str, Any], *, questions: Questions) -> None:  # noqa: ARG002  nothing is asked here
        self.name = name
        self._distro = str(entry.get("distro") or "")
        self._user = str(entry.get("user") or "")
        self._lock = threading.Lock()
        self._channels: set[Pipe] = set()
        self._held: Pipe | None = None  # WSL stops a distribution that no wsl.exe uses, whatever runs in it

    def __repr__(self) -> str:
        return f"Wsl({self.name!r}, distro={self._distro!r}, user={self._user!r})"

    def open(self) -> None:
        """Start the distribution, and hold it; see Link."""
        self.drop()
        self._held = self.channel()

    def channel(self, *, patience: float = 60.0) -> Pipe:  # noqa: ARG002  there is no limit
        """Start SCRIPT there; see Link. What comes before our mark is wsl.exe's own: a noise, or why it failed."""
        mark = f"hybridnb-{os.urandom(8).hex()}"
        # --exec: without it, a shell of the user's choice would read the words again
        words = [*self._chosen(), "--exec", "/bin/sh", "-c", f"echo {mark}; {SCRIPT}"]
        try:
            pipe = Pipe([_program(self.name), *words], host=self.name, environment=_environment())
        except OSError as error:
            raise Unreachable(f"host '{self.name}': wsl.exe cannot be started: {error.strerror}") from error
        with self._lock:
            ended = {each for each in self._channels if not each.alive}
            self._channels = self._channels - ended | {pipe}
        for each in ended:
            each.finish()  # what it said may not have been read yet
        said = b""
        try:
            while not said.endswith(f"{mark}\n".encode()):
                piece = pipe.receive(_START)
                said += piece
                if not piece:
                    raise self._failed(said, pipe)
        except TimeoutError:
            pipe.close()
            raise Unreachable(f"{self._where()} has not started for {_START:.0f} s{_also(said, pipe)}") from None
        return pipe

    @property
    def alive(self) -> bool:
        """See Link."""
        return self._held is not None and self._held.alive

    def drop(self) -> None:
        """End our launchers; see Link. Jobs go on: each has a session of its own, and is never a launcher's child."""
        with self._lock:
            channels, self._channels, self._held = self._channels, set(), None
        for channel in channels:
            channel.close()

    def describe(self) -> dict[str, object]:
        """See Link."""
        return {"way": "wsl", "distro": self._distro or "the default", "user": self._user or "the default"}

    def distros(self) -> list[str]:
        """Return the names of the distributions that are installed, the default first; [] when they cannot be told."""
        command = [_program(self.name), "--list", "--quiet"]
        try:
            done = subprocess.run(command, capture_output=True, env=_environment(), timeout=_LIST)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return []
        return [] if done.returncode else _text(done.stdout).split()

    def _chosen(self) -> list[str]:
        return [*(["-d", self._distro] if self._distro else []), *(["-u", self._user] if self._user else [])]

    def _where(self) -> str:
        return f"host '{self.name}': " + (f"WSL distribution '{self._distro}'" if self._distro else "WSL's default distribution")

    def _failed(self, said: bytes, pipe: Pipe) -> Exception:
        """Tell why no script was started: its exit code says little, and differs between systems."""
        pipe.close()
        code = _CODE.search(_text(said))
        reason = code[0].rpartition("/")[2] if code else ""
        if reason in _MISSING:
            return self._unknown()
        if reason in _FINAL:
            return Refused(f"{self._where()} cannot be used{_also(said, pipe)}")
        return Unreachable(f"{self._where()} does not start{_also(said, pipe)}")

    def _unknown(self) -> Refused:
        known = self.distros()
        if not known:
            return Refused(f"host '{self.name}': no WSL distribution is installed; install one by 'wsl --install'")
        near = did_you_mean(self._distro, known) or "."
        return Refused(f"{self._where()} is not installed{near} Installed are {', '.join(known)}; correct 'distro' in hosts.yaml")


def inside(transport: Transport, folder: str) -> str:
    """Translate a path of Windows to that of the distribution."""
    return transport.run(_TRANSLATE, "-u", input=f"{folder}\n".encode()).removesuffix("\n")


def outside(transport: Transport, path: str) -> str:
    """Translate a path of the distribution to that of Windows."""
    return transport.run(_TRANSLATE, "-w", input=f"{path}\n".encode()).removesuffix("\n")


def _program(host: str) -> str:
    if found := shutil.which("wsl.exe"):
        return found
    raise Refused(
        f"host '{host}': wsl.exe is not on the PATH: on Windows, install WSL by 'wsl --install'; elsewhere there is no WSL"
    )


def _environment() -> dict[str, str]:
    """Have wsl.exe itself speak UTF-8; since 0.64 it does when asked."""
    return {**os.environ, "WSL_UTF8": "1"}


def _text(said: bytes) -> str:
    """Read what wsl.exe says: UTF-8 as asked for, or UTF-16 all the same, without a mark."""
    return said.decode("utf-16-le" if b"\0" in said else "utf-8", errors="replace").replace("\r\n", "\n").lstrip("\ufeff")


def _also(said: bytes, pipe: Pipe) -> str:
    """Add what it says, without its complaints about the folder that it was started in."""
    lines = (_text(said) + "\n" + _text(pipe.words)).splitlines()
    own = [line.strip() for line in lines if line.strip() and "CreateProcessParseCommon" not in line]
    return f": {' '.join(own)[-300:]}" if own else ""
