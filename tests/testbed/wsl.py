"""A machine with a stand-in for wsl.exe (wsl_exe.py), and distributions that cost nothing: their programs are those of this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from testbed.wsl_exe import MOUNTED

ADA = 1000  # a user of every distribution, beside root
WSLPATH = r"""#!/bin/sh
slashes() { printf %s "$1" | tr '\\' /; }
backslashes() { printf %s "$1" | tr / '\\'; }
case $1$2 in
  -u[A-Za-z]:*) printf '/mnt/%s%s\n' "$(printf %.1s "$2" | tr A-Z a-z)" "$(slashes "${2#?:}")" ;;
  -w/mnt/c*) printf 'C:%s\n' "$(backslashes "${2#/mnt/c}")" ;;
  -w/*) printf '\\\\wsl.localhost\\%s%s\n' "$WSL_DISTRO_NAME" "$(backslashes "$2")" ;;
  *) printf 'wslpath: %s\n' "$2" >&2; exit 1 ;;
esac
"""


class Wsl:
    """Put `env` into the environment, and wsl.exe is there; `add` a distribution, the first one is the default."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.drive = folder / "distributions", folder / "distributions/.c"
        self.program = folder / "programs/wsl.exe"
        self.drive.mkdir(parents=True)
        self.program.parent.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {Path(__file__).with_name("wsl_exe.py")} "$@"\n')
        self.program.chmod(0o755)
        self.env = {"HNB_WSL": str(self.folder), "PATH": f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def add(self, name: str, *, shell: str = "/bin/bash", user: str = "root") -> Path:
        """Install a distribution whose users have this shell; return its root."""
        root = self.folder / name
        for each in ("etc", "tmp", "proc", "dev", "mnt/c", "opt/wsl", "root", "home/ada"):
            (root / each).mkdir(parents=True)
        for shown in map(Path, MOUNTED):
            if ("/" / shown).is_symlink():
                (root / shown).symlink_to(("/" / shown).readlink())
            elif ("/" / shown).is_dir():
                (root / shown).mkdir(parents=True)
        (root / "etc/passwd").write_text(f"root:x:0:0::/root:{shell}\nada:x:{ADA}:{ADA}::/home/ada:{shell}\n")
        (root / "etc/default-user").write_text(user)
        (root / "tmp").chmod(0o1777)
        if os.geteuid() == 0:
            os.chown(root / "home/ada", ADA, ADA)
        (root / "opt/wsl/wslpath").write_text(WSLPATH)
        (root / "opt/wsl/wslpath").chmod(0o755)
        if not (default := self.folder / ".default").exists():
            default.write_text(name)
        return root

    def speak_utf16(self) -> None:
        """Be an old one, which does not know WSL_UTF8."""
        (self.folder / ".old").touch()

    def fail(self, code: str) -> None:
        """Have every launch fail so; "" for no more."""
        (self.folder / ".failing").write_text(code)

    def inside(self, name: str) -> list[int]:
        """Return the ids of all processes in a distribution, the launchers' ends too."""
        about, found = os.stat(self.folder / name), []
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and os.path.samestat(os.stat(process / "root"), about):
                    found.append(int(process.name))
        return found

    def terminate(self, name: str) -> None:
        """End all that runs in a distribution, as `wsl --terminate` does, and wait until it is gone."""
        while inside := self.inside(name):
            for process in inside:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)

    def close(self) -> None:
        """End what runs in any."""
        for root in self.folder.iterdir():
            if (root / "etc").is_dir():
                self.terminate(root.name)
