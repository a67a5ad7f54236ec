"""How each tool is asked to run the graph of a folder, so many jobs at a time."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
HYBRIDNB = (sys.executable, "-m", "hybridnb")


class Tool(NamedTuple):
    """A tool by its name and its command."""

    name: str
    command: tuple[str, ...]
    edges: bool = True  # does it know that a job waits for others?
    slower: bool = False  # are we to be faster on independent jobs?


def raw(slots: int) -> Tool:
    """The yardstick."""
    return Tool("raw", (sys.executable, "-I", str(HERE / "raw.py"), str(slots)))


def here() -> Tool:
    """Our program in one process; its slots are the cores."""
    return Tool("hybridnb --here", (*HYBRIDNB, "run", "hybridnb.yaml", "--here", "--json"))


def service() -> Tool:
    """Our program by its service."""
    return Tool("hybridnb", (*HYBRIDNB, "run", "hybridnb.yaml", "--json"))


def classics(slots: int) -> list[Tool]:
    """GNU make and GNU parallel, as far as they are on this machine."""
    every = [
        Tool(f"make -j{slots}", ("make", f"-j{slots}", "all")),
        Tool(
            "GNU parallel",
            ("parallel", f"-j{slots}", "--joblog", "codes.tsv", "sh jobs/{}.sh >logs/{}", "::::", "names"),
            edges=False,
            slower=True,
        ),
    ]
    return [tool for tool in every if shutil.which(tool.command[0])]
