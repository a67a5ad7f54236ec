"""The graph as one job of a local HyperQueue cluster."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import graph


def main(slots: int) -> None:
    """Submit all, wait for all."""
    hyperqueue: Any = import_module("hyperqueue")
    cluster: Any = import_module("hyperqueue.cluster")
    with hyperqueue.LocalCluster() as local:
        local.start_worker(cluster.WorkerConfig(cores=slots))
        client, job, tasks = local.client(), hyperqueue.Job(), dict[str, Any]()
        for name, parents in graph.read().items():
            above = [tasks[parent] for parent in parents]
            tasks[name] = job.program(["sh", f"jobs/{name}.sh"], stdout=f"logs/{name}", deps=above)
        client.wait_for_jobs([client.submit(job)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
