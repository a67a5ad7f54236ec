"""Where user-level files are. HYBRIDNB_HOME moves all of them; else the platform's own places are used."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def config() -> Path:
    """Return the folder of what the user writes (hosts.yaml)."""
    if moved := os.environ.get("HYBRIDNB_HOME"):
        return Path(moved).absolute()
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "hybridnb"


def state() -> Path:
    """Return the folder of what hybridnb writes on this machine, made private (mode 0700) when missing.

    It carries the machine's name: a home on a network file system is shared by machines whose processes are not.
    """
    if moved := os.environ.get("HYBRIDNB_HOME"):
        base = Path(moved).absolute()
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hybridnb"
    folder = base / socket.gethostname()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
