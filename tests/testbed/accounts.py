"""Accounts on the "remote" side of a connection: as root fresh ones, otherwise one's own with a home elsewhere."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from testbed import processes
from testbed.guard import Guard

ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Account:
    """Who a test is when it logs in: with a home and processes of its own that can be cleared away."""

    name: str
    home: Path
    uid: int
    gid: int
    shell: str

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        """Put a file into its home, owned by it; missing folders are made."""
        path = self.home / name
        for folder in reversed(path.relative_to(self.home).parents[:-1]):
            (self.home / folder).mkdir(exist_ok=True)
            os.chown(self.home / folder, self.uid, self.gid)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)
        return path

    def processes(self) -> list[psutil.Process]:
        """Return what runs as this account; without root, what knows its home."""
        return [process for process in psutil.process_iter() if self._owns(process) and processes.lives(process)]

    def end(self) -> None:
        """Kill all that runs as this account, connections too: what the end of a machine leaves of it."""
        processes.end_those(self._owns)

    def clear(self) -> None:
        """Leave it as it was made: nothing runs, and its home is empty."""
        self.end()
        for entry in self.home.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def words(self, *command: str) -> list[str]:
        """Return a command line that runs a command as this account, in an environment without surprises."""
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups"] if ROOT else []
        names = [f"HOME={self.home}", f"USER={self.name}", f"LOGNAME={self.name}", f"SHELL={self.shell}"]
        return [*become, "env", "-i", *names, f"PATH={processes.PATH}", "LC_ALL=C.UTF-8", *command]

    def _owns(self, process: psutil.Process) -> bool:
        if not ROOT:
            return processes.knows(process, self.home)
        try:
            return self.uid in process.uids()
        except psutil.Error:
            return False


class Accounts:
    """Makes accounts on demand, one for each shell, named after this process; the guard removes them."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._folder, self._guard = folder, guard
        self._made: dict[str, Account] = {}

    def get(self, shell: str = "") -> Account:
        """Return the account whose login shell is this one: a program's name, bash by default."""
        if shell not in self._made:
            self._made[shell] = self._add(processes.program(shell or "bash")) if ROOT else self._own(shell)
        return self._made[shell]

    def clear(self) -> None:
        for account in self._made.values():
            account.clear()

    def _add(self, shell: str) -> Account:
        name = f"hnb{os.getpid()}" + ("", *"abcdefghij")[len(self._made)]
        home = self._folder / name
        self._guard.watch("account", name)
        # "*" is no password, and unlike "!" no lock either: sshd lets keys in
        words = ["useradd", "--no-create-home", "--home-dir", str(home), "--shell", shell, "--password", "*", name]
        subprocess.run(words, check=True, env={**os.environ, "PATH": processes.PATH})
        entry = pwd.getpwnam(name)
        home.mkdir(mode=0o755)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        return Account(name, home, entry.pw_uid, entry.pw_gid, shell)

    def _own(self, shell: str) -> Account:
        if shell:
            pytest.skip("an account with another login shell needs root")
        entry = pwd.getpwuid(os.getuid())
        home = self._folder / "home"
        home.mkdir()
        return Account(entry.pw_name, home, entry.pw_uid, entry.pw_gid, entry.pw_shell)


def end_account(name: str) -> None:
    """Remove an account with its processes; one that is not there was removed already."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return
    Account(name, Path(entry.pw_dir), entry.pw_uid, entry.pw_gid, entry.pw_shell).end()
    environment = {**os.environ, "PATH": processes.PATH}
    subprocess.run(["userdel", "--force", "--remove", name], capture_output=True, env=environment)
