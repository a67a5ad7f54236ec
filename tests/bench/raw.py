"""The yardstick, a program: spawn the jobs of graph.tsv, SLOTS at a time, each with its log; write the exit codes to codes.tsv."""

from __future__ import annotations

import os
import sys
from collections import deque


def main(slots: int) -> None:
    """Run the graph of this folder."""
    waiting: dict[str, int] = {}
    children: dict[str, list[str]] = {}
    with open("graph.tsv") as file:
        for line in file:
            name, _, parents = line.rstrip("\n").partition("\t")
            waiting[name] = len(parents.split())
            for parent in parents.split():
                children.setdefault(parent, []).append(name)
    ready = deque(name for name, count in waiting.items() if not count)
    running: dict[int, str] = {}
    with open("codes.tsv", "w") as codes:
        while ready or running:
            while ready and len(running) < slots:
                name = ready.popleft()
                running[_spawn(name)] = name
            pid, status = os.wait()
            name = running.pop(pid)
            codes.write(f"{name}\t{os.waitstatus_to_exitcode(status)}\n")
            for child in children.get(name, ()):
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)


def _spawn(name: str) -> int:
    log = (os.POSIX_SPAWN_OPEN, 1, f"logs/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    return os.posix_spawn("/bin/sh", ["sh", f"jobs/{name}.sh"], os.environ, file_actions=[log])


if __name__ == "__main__":
    main(int(sys.argv[1]))
