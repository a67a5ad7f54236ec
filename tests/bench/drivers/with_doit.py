"""doit's tasks: a dodo file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import graph

DOIT_CONFIG = {"verbosity": 0, "reporter": "zero"}


def task_jobs() -> Iterator[dict[str, Any]]:
    """Make a task of each job."""
    for name, parents in graph.read().items():
        yield {"name": name, "actions": [f"sh jobs/{name}.sh >logs/{name}"], "task_dep": [f"jobs:{parent}" for parent in parents]}
