"""A TCP proxy in front of a server, with a network's faults; each may come and go while connections are open."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

UP, DOWN = "up", "down"  # from the client to the server, and back
PIECE = 1 << 16  # bytes
MOMENT = 0.02  # seconds between looks at whether a stall or a hole is over


class Proxy:
    """Passes on what it is sent, late, slowly, damaged or not at all, as its attributes and the calls of a test say."""

    def __init__(self, address: str, port: int) -> None:
        self.target = (address, port)
        self.address, self.port = "127.0.0.1", 0
        self.accepted = 0  # connections so far
        self.passed = {UP: 0, DOWN: 0}  # bytes so far
        self.heal()
        self._connections: set[_Connection] = set()
        self._listening: socket.socket
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Event
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="proxy", daemon=True)
        self._thread.start()
        ready.wait(30)

    def heal(self) -> None:
        """Pass on everything at once, as it comes; what is broken stays broken."""
        self.latency = self.jitter = 0.0  # seconds that each direction takes; at most so much more, at random
        self.rate = 0  # bytes a second in each direction of each connection; 0 is no limit
        self.hole = False  # new connections are taken, and nothing is ever said
        self.stalled: frozenset[str] = frozenset()
        self.cuts: dict[str, int] = {}
        self.flips: dict[str, int] = {}

    def stall(self, *ways: str) -> None:
        """Move no more bytes, in these directions or in both, and say nothing: what a dead radio link looks like."""
        self.stalled = frozenset(ways or (UP, DOWN))

    def resume(self) -> None:
        self.stalled = frozenset()

    def cut(self, way: str, after: int) -> None:
        """Reset the connection once so many more bytes have gone this way."""
        self.cuts[way] = after

    def flip(self, way: str, after: int) -> None:
        """Damage the byte that comes after so many more."""
        self.flips[way] = after

    def rst(self) -> None:
        """Reset all connections."""
        self._call(self._reset)

    def fin(self) -> None:
        """Close all connections in order."""

        async def finish() -> None:
            for connection in self._connections:
                connection.close()

        self._call(finish)

    def refuse(self) -> None:
        """Listen no more; connections that are open stay."""

        async def end() -> None:
            self._loop.remove_reader(self._listening)
            self._listening.close()

        self._call(end)

    def accept(self) -> None:
        """Listen, on the same port as before."""
        self._call(self._listen)

    @property
    def open(self) -> int:
        """Count the connections."""
        return len(self._connections)

    def close(self) -> None:
        """Reset all connections and end."""
        if self._thread.is_alive():
            self.refuse()
            self.rst()
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(5)

    def _call(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do something in the loop's thread and return when it is done."""
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        await self._listen()
        ready.set()
        await self._ended.wait()

    async def _listen(self) -> None:
        self._listening = socket.create_server((self.address, self.port))
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        with suppress(OSError):  # it has gone again
            client, _ = self._listening.accept()
            self.accepted += 1
            self._connections.add(_Connection(self, client))

    def forget(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    async def _reset(self) -> None:
        resetting = [connection.running for connection in self._connections]
        for running in resetting:
            running.cancel()
        if resetting:
            await asyncio.wait(resetting)
            await asyncio.sleep(0)  # sockets are closed in the loop's next round


class _Connection:
    """A client's connection and the one to the server behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy, self._client = proxy, client
        self._writers: list[asyncio.StreamWriter] = []
        self.running = asyncio.create_task(self._run())
        self.running.add_done_callback(self._ended)

    async def _run(self) -> None:
        """Pass on until both sides have ended or the connection breaks."""
        work: list[asyncio.Task[None]] = []
        try:
            from_client, client = await self._opened(asyncio.open_connection(sock=self._client))
            while self.proxy.hole:  # noqa: ASYNC110  another thread ends it
                await asyncio.sleep(MOMENT)
            from_server, server = await self._opened(asyncio.open_connection(*self.proxy.target))
            streams = _Stream(self.proxy, from_client, server, UP), _Stream(self.proxy, from_server, client, DOWN)
            work += [asyncio.create_task(do()) for stream in streams for do in (stream.take, stream.give)]
            await asyncio.gather(*work)
            self.close()
        except (OSError, asyncio.CancelledError):
            for task in work:
                task.cancel()
            self._abort()

    async def _opened(self, opening: Coroutine[None, None, Streams]) -> Streams:
        reader, writer = await opening
        self._writers.append(writer)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def _abort(self) -> None:
        """Close with a reset: that is what lingering for no time means."""
        for end in [self._client, *(writer.get_extra_info("socket") for writer in self._writers)]:
            with suppress(OSError):  # it is closed already
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for writer in self._writers:
            writer.transport.abort()

    def _ended(self, running: asyncio.Task[None]) -> None:
        if not self._writers:  # it was cancelled before it began
            self._client.close()
        self.proxy.forget(self)


class _Stream:
    """One direction of a connection: takes bytes, and gives them when they are due."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        self.proxy, self.reader, self.writer, self.way = proxy, reader, writer, way
        self.under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(16)

    async def take(self) -> None:
        """Read, and note when each piece is due; nothing at last."""
        proxy, piece = self.proxy, b"-"
        while piece:
            await self._unstalled()  # what is not read stays with the kernel, whose buffers fill: the sender notices
            piece = await self.reader.read(PIECE)
            lag = proxy.latency + random.uniform(0, proxy.jitter)
            await self.under_way.put((time.monotonic() + lag, piece))

    async def give(self) -> None:
        """Write each piece when it is due; the empty one ends this direction."""
        while True:
            due, piece = await self.under_way.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            await self._unstalled()
            if not piece:
                return self.writer.write_eof()
            await self._write(self._damaged(piece))

    async def _write(self, piece: bytes) -> None:
        proxy, way = self.proxy, self.way
        left = proxy.cuts.get(way)  # now: what comes back may make a test cut while we are still at it
        piece = piece[:left]
        step = max(1, proxy.rate // 20) if proxy.rate else PIECE
        for start in range(0, len(piece), step):
            part = piece[start : start + step]
            await asyncio.sleep(len(part) / proxy.rate if proxy.rate else 0)
            self.writer.write(part)
            proxy.passed[way] += len(part)
            await self.writer.drain()
        if left == len(piece):
            del proxy.cuts[way]
            raise ConnectionResetError
        if left is not None:
            proxy.cuts[way] = left - len(piece)

    def _damaged(self, piece: bytes) -> bytes:
        at = self.proxy.flips.get(self.way)
        if at is None:
            return piece
        if at >= len(piece):
            self.proxy.flips[self.way] -= len(piece)
            return piece
        del self.proxy.flips[self.way]
        return piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]

    async def _unstalled(self) -> None:
        while self.way in self.proxy.stalled:  # noqa: ASYNC110  another thread ends it
            await asyncio.sleep(MOMENT)
