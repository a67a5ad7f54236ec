"""The life of the service's process: take the place, announce, serve, end when idle or asked to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .. import home
from ..errors import ServiceError
from ..lock import Lock
from . import process

_IDLE = 300.0  # seconds; HYBRIDNB_IDLE says otherwise
_LOOK = 5.0  # seconds between looks at whether the announcement is still there
_PATIENCE = 20.0  # seconds: for another service that is just ending; and for our own last words

_PLAIN: dict[str, Any] = {
    "ws": "none",
    "lifespan": "off",
    "loop": "asyncio",
    "access_log": False,
    "log_config": None,
}
_PLAIN |= {"server_header": False, "date_header": False, "timeout_graceful_shutdown": 5}

_log = logging.getLogger(__name__)


def serve(*, ready: Callable[[], None]) -> int:
    """Be the service of this user on this machine until nobody needs it; call `ready` once faces can find one."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.WARNING)
    lock = Lock(home.state() / "service.lock")
    if not _take(lock):
        ready()
        return 0
    from secrets import token_urlsafe

    import uvicorn

    from .app import build
    from .door import Caller
    from .owner import Owner

    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    address = process.here(listening.getsockname()[1], token_urlsafe(32))
    owner = Owner()

    def end() -> None:
        process.withdraw(address)
        server.should_exit = True

    async def live() -> None:
        process.announce(address)
        ready()
        owner.start()
        waiting = _idle(busy=lambda: bool(owner.going or door.inside), left=lambda: door.left)
        watching = [asyncio.create_task(_until(waiting, end)), asyncio.create_task(_until(_keep_place(lock, address), end))]
        await server.serve(sockets=[listening])
        for task in watching:
            task.cancel()

    door = build(owner, address.secret, port=address.port, stop=end, stopping=lambda: server.should_exit)
    server = uvicorn.Server(uvicorn.Config(door, http=Caller, **_PLAIN))
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn listens too, and raises them once more at its end
        signal.signal(number, lambda *_: end())
    asyncio.run(live())
    process.withdraw(address)
    owner.stop(timeout=_PATIENCE)
    logging.shutdown()
    os._exit(0)  # a checksum of a large file may be under way; nothing is lost by an end at any moment


def _take(lock: Lock) -> bool:
    """Become the one service; False when there is another. One that is just ending is waited for."""
    end = time.monotonic() + _PATIENCE
    while not lock.acquire():
        if process.find():
            return False
        if time.monotonic() > end:
            raise ServiceError(f"{lock.holder()} holds {lock.path} and does not answer; end it by 'kill'")
        time.sleep(0.02)
    return True


async def _until(waiting: Coroutine[None, None, None], end: Callable[[], None]) -> None:
    try:
        await waiting
    except OSError as error:
        _log.error("%s", error)
    end()


async def _idle(*, busy: Callable[[], bool], left: Callable[[], float]) -> None:
    """Wait until nobody has needed the service for long enough."""
    idle = float(os.environ.get("HYBRIDNB_IDLE") or _IDLE)
    since = time.monotonic()
    while (rest := since + idle - time.monotonic()) > 0:
        await asyncio.sleep(min(rest, _LOOK))
        since = time.monotonic() if busy() else max(since, left())


async def _keep_place(lock: Lock, address: process.Address) -> None:
    """Announce the service again whenever its file was removed; return when the whole folder was, for then nobody is kept out."""
    await asyncio.sleep(_LOOK)  # it has just been announced
    while lock.in_place():
        if not process.announced(address):
            process.announce(address)
        await asyncio.sleep(_LOOK)
