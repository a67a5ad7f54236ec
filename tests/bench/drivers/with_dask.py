"""The graph as futures of a local Dask cluster, one thread a process."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import graph


def main(slots: int) -> None:
    """Submit all, gather all."""
    distributed: Any = import_module("distributed")
    with (
        distributed.LocalCluster(n_workers=slots, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        futures: dict[str, Any] = {}
        for name, parents in graph.read().items():
            futures[name] = client.submit(graph.run, name, *(futures[parent] for parent in parents), pure=False)
        client.gather(list(futures.values()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
