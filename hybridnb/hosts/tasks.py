"""What is to be done at a far host, kept until it is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import HostError, Refused, Unreachable

_WAITS = (1.0, 60.0)  # seconds: the first and the longest wait before something that the host could not do is tried again
_HANDS = 2  # files move beside the conversations, for so many tasks at once


@dataclass(eq=False)
class Task:
    """One of them. Those of one `order` are done one after the other; "" is for those that come at once."""

    order: str
    do: Callable[[Task], bool]  # says whether it is done
    moving: Future[Any] | None = None
    due: float = 0.0
    wait: float = _WAITS[0]
    trouble: str = ""
    void: Callable[[], bool] | None = None  # has it become pointless?

    def delay(self, trouble: str) -> None:
        """Try it again later."""
        self.trouble = trouble
        self.due, self.wait = time.monotonic() + self.wait, min(2 * self.wait, _WAITS[1])


class Tasks:
    """All of them. Any thread posts, one works; `ready` is called when there is something to do again."""

    def __init__(self, name: str, *, ready: Callable[[], None]) -> None:
        self._name = name
        self._ready = ready
        self._posted: deque[Task] = deque()
        self._open: list[Task] = []
        self._pool: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"Tasks({self._name!r}, open={len(self._open) + len(self._posted)})"

    def __bool__(self) -> bool:
        return bool(self._posted or self._open)

    @property
    def trouble(self) -> str:
        """What keeps one of them from being done."""
        return next((task.trouble for task in list(self._open) if task.trouble), "")

    def post(self, order: str, do: Callable[[Task], bool], *, void: Callable[[], bool] | None = None) -> None:
        """Have something done, unless it becomes void before that."""
        self._posted.append(Task(order, do, void=void))
        self._ready()

    def prune(self) -> None:
        """Let go of what has become void, so that nobody connects for it."""
        while self._posted:
            self._open.append(self._posted.popleft())
        self._open = [task for task in self._open if task.moving or not (task.void and task.void())]

    def work(self) -> bool:
        """Do what can be done now; say whether anything was. What the host could not do delays its own order only.

        Raises Unreachable and Refused: then nothing can be done for any of them.
        """
        while self._posted:
            self._open.append(self._posted.popleft())
        held_up: set[str] = set()
        before = len(self._open)
        for task in list(self._open):
            if task.order in held_up:
                continue
            if task.due <= time.monotonic() and self._done(task):
                self._open.remove(task)
            elif task.order:
                held_up.add(task.order)
        return len(self._open) < before

    def _done(self, task: Task) -> bool:
        try:
            done = task.do(task)
        except (Unreachable, Refused):
            raise
        except (HostError, OSError) as error:
            task.delay(str(error))
            return False
        task.trouble = ""
        return done

    def moved(self, task: Task, move: Callable[[], object]) -> bool:
        """Have files moved for a task, beside all that is said to the host; say whether that is done, or raise what went wrong."""
        if task.moving is None:
            self._pool = self._pool or ThreadPoolExecutor(_HANDS, thread_name_prefix=f"files-{self._name}")
            task.moving = self._pool.submit(move)
            task.moving.add_done_callback(lambda _: self._ready())
        if not task.moving.done():
            return False
        moving, task.moving = task.moving, None
        moving.result()
        return True

    def close(self) -> None:
        """Let go of all."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
