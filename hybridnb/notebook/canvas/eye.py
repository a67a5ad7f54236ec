"""Looks at files while a browser shows what is in them, whoever writes them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

PAUSE = 1.0  # seconds

Stamp = tuple[int, ...]


class Eye:
    """Calls when a workflow's file, or the folder of its runs, has changed: one thread for all, and none when there is nothing to see."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._watched: dict[Path, tuple[Stamp, Callable[[], None]]] = {}
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Eye({len(self._watched)} files)"

    @property
    def open(self) -> bool:
        """Does it look at anything?"""
        return self._thread is not None

    def add(self, path: Path, changed: Callable[[], None]) -> None:
        """Look at a workflow's file from now on."""
        with self._lock:
            self._watched[path] = _stamp(path), changed
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="hybridnb files", daemon=True)
                self._thread.start()

    def drop(self, path: Path) -> None:
        """Look at it no more."""
        with self._lock:
            self._watched.pop(path, None)
            self._lock.notify_all()

    def close(self) -> None:
        with self._lock:
            self._watched.clear()
            self._lock.notify_all()

    def _look(self) -> None:
        while True:
            with self._lock:
                if self._lock.wait_for(lambda: not self._watched, timeout=self._pause):
                    self._thread = None
                    return
                watched = dict(self._watched)
            for path, (before, changed) in watched.items():
                if (now := _stamp(path)) != before:
                    with self._lock:
                        if path in self._watched:
                            self._watched[path] = now, changed
                    try:
                        changed()
                    except Exception:
                        logging.getLogger(__name__).exception("what is in %s cannot be shown", path)


def _stamp(path: Path) -> Stamp:
    """What tells that a file, or the folder of its runs, is another than before; nothing of one that is not there."""
    out: list[int] = []
    for one in (path, path.with_suffix(".runs")):
        try:
            info = os.stat(one)
        except OSError:
            out += (0, 0, 0)
        else:
            out += (info.st_mtime_ns, info.st_ino, info.st_size if one == path else 0)
    return tuple(out)
