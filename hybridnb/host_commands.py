"""The commands that are about hosts: to list them, to add one, to try one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .commands import FAILED, OK, connected

if TYPE_CHECKING:
    from .client import Client, Here
    from .prompt import Prompt
    from .show import Screen


def listed(_: argparse.Namespace) -> int:
    """List the hosts, those of a hosts.yaml in this folder too."""
    from . import show, watch

    with connected() as client:
        print(*show.hosts(client.hosts(folder=Path()), watch.screen()), sep="\n")
    return OK


def add(asked: argparse.Namespace) -> int:
    """Put a host into the user's hosts.yaml."""
    from .hosts import config, entries

    given = {key: value for key in entries.KEYS if (value := getattr(asked, key, None)) is not None}
    resources = {key: value for key in ("partition", "account", "qos", "time") if (value := getattr(asked, key))}
    if asked.identity and not asked.identity.startswith("~"):
        given["identity"] = os.path.abspath(asked.identity)
    transport = {"transport": "wsl" if asked.distro else "ssh"}
    entry = {**transport, **given, **({"resources": resources} if resources else {})}
    entries.add(config.file(), asked.name, entry, replace=asked.replace)
    print(f"host '{asked.name}' is in {config.file()}; try it by 'hybridnb hosts check {asked.name}'")
    return OK


def check(asked: argparse.Namespace) -> int:
    """Try a host step by step; what it asks is asked here."""
    from .prompt import Prompt, there

    with connected() as client:
        return try_host(client, asked.name, Prompt(client) if there() else None)


def try_host(client: Client | Here, name: str, person: Prompt | None, *, folder: Path = Path()) -> int:
    """Try a host and print each step; what it asks is asked by `person`, or withheld where there is nobody. Return the exit status."""
    from . import show, watch
    from .prompt import Prompt

    screen, redraws, failed = watch.screen(), watch.redraws(), 0
    erase = "\r\x1b[K" if redraws else ""
    nobody = Prompt(client)
    for step in client.check(name, folder=folder):
        if not step and person:
            person.attend({name}, pause=lambda: _erased(erase))
        elif not step:
            _withhold(client, nobody, name)
        elif step["ok"] is not None:
            failed += not step["ok"]
            print(erase + "\n".join(_shown(step, screen)), flush=True)
        elif redraws:
            print(erase + _shown(step, screen)[0], end="", flush=True)
    told = "jobs can go there" if not failed else f"{show.number(failed, 'step')} failed"
    print(f"host '{name}': {told}")
    return FAILED if failed else OK


def _erased(erase: str) -> AbstractContextManager[None]:
    print(erase, end="", flush=True)
    return nullcontext()


def _withhold(client: Client | Here, prompt: Prompt, host: str) -> None:
    """Let nobody wait for an answer that nobody can give."""
    from .show import plain

    for question in prompt.fresh({host}):
        text = " ".join(plain(question["text"]).split())
        print(f"host '{host}' asks '{text}': do this on a terminal to answer", file=sys.stderr)
        client.answer(question["id"], None)


def _shown(told: Mapping[str, Any], screen: Screen) -> list[str]:
    """Show one step of trying a host: how it went, what was found, how long it took, and what to do."""
    from . import show

    state = {None: "waiting", True: "done", False: "failed"}[told["ok"]]
    seconds = told["seconds"]
    took = f" ({f'{1000 * seconds:.0f} ms' if seconds < 1 else show.span(seconds)})" if seconds else ""
    lines = show.folded(f"{screen.symbol(state)} {told['what']:<10}  {told['told']}{took}", screen.width, indent=" " * 14)
    lines[0] = screen.paint(lines[0][:1], show.SIGNS[state].style) + lines[0][1:]
    advice = show.folded(f"{'→' if screen.unicode else '>'} {told['advice']}", max(0, screen.width - 14)) if told["advice"] else []
    return [*lines, *(" " * 14 + screen.paint(line, show.WARNING) for line in advice)]
