"""The graph as Parsl's apps, in threads."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import graph


def main(slots: int) -> None:
    """Call all, wait for all."""
    parsl: Any = import_module("parsl")
    threads: Any = import_module("parsl.executors.threads")
    with parsl.load(
        parsl.Config(executors=[threads.ThreadPoolExecutor(max_threads=slots)], strategy="none", initialize_logging=False)
    ):
        run, futures = parsl.python_app(graph.run), dict[str, Any]()
        for name, parents in graph.read().items():
            futures[name] = run(name, *(futures[parent] for parent in parents))
        for future in futures.values():
            future.result()


if __name__ == "__main__":
    main(int(sys.argv[1]))
