"""Free ports for servers that must be told theirs."""

from __future__ import annotations

import random
import socket

RANGE = range(20000, 32000)  # below those that the kernel gives to outgoing connections
_given: set[int] = set()  # by this process: who was told one may not listen yet, or not at this moment


def free(address: str = "127.0.0.1") -> int:
    """Find a port that nobody has at an address, and that was given to nobody."""
    for port in random.sample([port for port in RANGE if port not in _given], 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise RuntimeError(f"no free port at {address}")


def answers(address: str, port: int) -> bool:
    """Does somebody listen there?"""
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True
