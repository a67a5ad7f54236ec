"""Reaching a far host: the first words with it, whether it is still there, and how long to wait when it is not."""

from __future__ import annotations

import random
import time

from ..errors import HostError, Refused, Unreachable
from .transport import Transport

_WAITS = (1.0, 300.0)  # seconds: the first and the longest wait before a host that could not be reached is tried again
_BUSY = 30.0  # seconds: the longest wait before a host that was reached, but could not do what it was asked, is asked again

# $2: is this machine's queue here? Then a later connection must not end on another machine of the same name and home.
_HELLO = """
d=$1
case $d in "~") d=$HOME ;; "~/"*) d=$HOME/${d#"~/"} ;; esac
cd && { [ -d "$d" ] || mkdir -p -m 700 "$d"; } && cd "$d" && mkdir -p runs runner && : >"runner/.try.$$" && rm "runner/.try.$$" || exit 1
[ -z "$2" ] || [ -s runner/node ] || uname -n >runner/node
pwd -P; uname -n; [ -z "$2" ] && uname -n || cat runner/node; nproc 2>/dev/null || getconf _NPROCESSORS_ONLN; date +%s
"""


class Reach:
    """Whether a host can be reached. `directory`, `cores` and `skew` are known once it was."""

    def __init__(self, transport: Transport, *, directory: str, pinned: bool) -> None:
        self.directory = ""  # absolute, on the host
        self.cores = 1
        self.skew = 0.0  # seconds that its clock is ahead
        self.beat = 15.0  # seconds of silence after which it is asked whether it is there
        self._transport = transport
        self._asked = directory
        self._pinned = pinned
        self._why, self._tries, self._next = "", 0, 0.0
        self._heard = 0.0

    def __repr__(self) -> str:
        return f"Reach({self._transport!r}, {self.problem or 'well'!r})"

    @property
    def problem(self) -> str:
        """Why it is not reached, for a person; "" when it is."""
        if not self._why or self._tries < 2:
            return self._why
        # a time of day stays true on a screen that nobody redraws
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + self.due))
        return f"{self._why}; tried {self._tries} times, next at {at}"

    @property
    def due(self) -> float:
        """How many seconds to wait for the next try."""
        return max(0.0, self._next - time.monotonic())

    def heard(self) -> None:
        """It has just answered."""
        self._heard = time.monotonic()

    def connect(self, *, doubt: bool) -> bool:
        """Be connected; say whether that is new. With a doubt, or after a long silence, an old connection is tried first."""
        if self._transport.alive and self.directory:
            if doubt or time.monotonic() - self._heard > self.beat:
                self._transport.beat()
                self.heard()
            return False
        self._transport.open()
        self._greet()
        self.heard()
        return True

    def _greet(self) -> None:
        before = time.time()
        said = self._transport.run(_HELLO, self._asked, "pinned" if self._pinned else "")
        directory, node, pinned, cores, now = said.splitlines()[-5:]
        if node != pinned:
            self._transport.drop()
            raise Refused(
                f"host '{self._transport.name}' answers as {node}, but its queue is on {pinned}: give the address of {pinned} in "
                f"hosts.yaml, or, if the machine has a new name, remove {directory}/runner/node there"
            )
        self.directory, self.cores = directory, int(cores)
        self.skew = float(now) - (before + time.time()) / 2

    def fail(self, error: Exception) -> None:
        """Note why it did not work, and wait: longer each time, not all at once, and longest for what only a person can mend."""
        first, longest = _WAITS
        wait = (
            longest
            if isinstance(error, Refused)
            else min(first * 2**self._tries, longest if isinstance(error, Unreachable) else _BUSY)
        )
        self._why = str(error) if isinstance(error, HostError) else f"{getattr(error, 'filename', None) or 'home'}: {error}"
        self._tries = min(self._tries + 1, 99)
        self._next = time.monotonic() + wait * random.uniform(0.7, 1.0)  # noqa: S311  many laptops may wait for one host

    def succeed(self) -> bool:
        """All is well; say whether that is news."""
        news, self._why, self._tries, self._next = bool(self._why), "", 0, 0.0
        return news

    def try_again(self) -> None:
        """Wait no longer: something has changed, perhaps."""
        self._next = 0.0
