"""The graph as luigi's tasks, with the local scheduler."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import graph

luigi: Any = import_module("luigi")
PARENTS = graph.read()


class Job(luigi.Task):  # type: ignore[misc]
    """A job, done when its log is there."""

    name = luigi.Parameter()

    def requires(self) -> list[Job]:
        return [Job(name=parent) for parent in PARENTS[self.name]]

    def output(self) -> Any:
        return luigi.LocalTarget(f"logs/{self.name}")

    def run(self) -> None:
        graph.run(self.name)


if __name__ == "__main__":
    jobs = [Job(name=name) for name in PARENTS]
    sys.exit(not luigi.build(jobs, workers=int(sys.argv[1]), local_scheduler=True, log_level="ERROR"))
