"""`python -m hybridnb.service` is the service, in the foreground; `--detach GATE READY` is how faces start it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from ..errors import HybridnbError
from .serve import serve


def main(words: list[str]) -> int:
    """Run the service; detached, leave the starter first, and tell it through READY when the service can be found."""
    if words[:1] != ["--detach"]:
        return serve(ready=lambda: None)
    if os.fork():
        os._exit(0)
    gate, told = map(int, words[1:])
    return serve(ready=lambda: _ready(gate, told))


def _ready(gate: int, told: int) -> None:
    os.close(gate)
    with suppress(BrokenPipeError):  # the starter has gone
        os.write(told, b"ready")
    os.close(told)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HybridnbError as error:
        sys.exit(f"hybridnb: {error}")
