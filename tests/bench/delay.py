"""The testbed's proxy as a process of its own, so that it takes no turn from what is measured: ADDRESS PORT LATENCY, until its input ends."""

from __future__ import annotations

import sys
from contextlib import closing

from testbed.proxy import Proxy


def main(address: str, port: str, latency: str) -> None:
    """Say on which port it listens."""
    with closing(Proxy(address, int(port))) as proxy:
        proxy.latency = float(latency)
        print(proxy.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
