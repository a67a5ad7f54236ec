"""Waiting for an end, in a thread of its own: a time limit, Ctrl-C and an event loop can let go of it, and the run goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from ..client import Client
from ..errors import in_words

if TYPE_CHECKING:
    from typing_extensions import Self


class Ending(ABC):
    """What comes to an end, which can be waited for."""

    @property
    @abstractmethod
    def _place(self) -> Path:
        """The run's folder."""

    @abstractmethod
    def _over(self) -> bool:
        """Has it ended?"""

    @abstractmethod
    def _check(self) -> None:
        """Raise RunFailed if it did not end well."""

    def wait(self, timeout: float | None = None, *, check: bool = True) -> Self:
        """Wait for the end, at most `timeout` seconds; the service is started again if need be, and ends are known at once.

        Raises RunFailed if it did not end well, unless `check` is False; TimeoutError when the time is up. The run goes on then, as
        it does after Ctrl-C. What a host asks meanwhile, such as a password, is answered by `hybridnb hosts check NAME`.
        """
        try:
            self._wait(timeout)
        except KeyboardInterrupt as error:
            raise in_words(error, self._left) from None
        if check:
            self._check()
        return self

    def _wait(self, timeout: float | None) -> None:
        if self._over():
            return
        future = _begin(self._place, self._over) if timeout is None or timeout > 0 else None
        try:
            if future is None or not wait([future], timeout).done:
                raise TimeoutError(f"{self!r} has not ended within {timeout:g} s; it goes on")
            future.result()
        finally:
            if future:
                future.cancel()

    def __await__(self) -> Generator[Any, None, Self]:
        """Wait as `wait` does, while the event loop goes on."""
        return self._awaited().__await__()

    async def _awaited(self) -> Self:
        from asyncio import CancelledError, wrap_future

        if not self._over():
            try:
                await wrap_future(_begin(self._place, self._over))  # which is cancelled with the task
            except CancelledError as error:  # as a notebook interrupts a cell that awaits
                raise in_words(error, self._left) from None
        self._check()
        return self

    @property
    def _left(self) -> str:
        return f"interrupted: run {self._place.name} goes on; wait for it again, or stop it by .cancel()"


def _begin(folder: Path, over: Callable[[], bool]) -> Future[None]:
    """Begin to wait; whoever cancels the future lets go."""
    future: Future[None] = Future()
    Thread(target=_listen, args=(folder, over, future), name=f"waiting for {folder.name}", daemon=True).start()
    return future


def _listen(folder: Path, over: Callable[[], bool], future: Future[None]) -> None:
    """Hear of the run until it is over or nobody waits any more; there is a sign of life each second."""
    with suppress(InvalidStateError), closing(Client()) as client:  # nobody waits any more
        try:
            for _ in client.events(str(folder)):
                if future.cancelled() or over():
                    break
        except Exception as error:  # noqa: BLE001  it is raised where somebody waits
            future.set_exception(error)
        else:
            future.set_result(None)
