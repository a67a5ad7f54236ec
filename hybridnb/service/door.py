"""Who may come in: whoever knows the secret and is no browser page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from hmac import compare_digest
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_LIMIT = 64 << 20  # bytes

SILENCE = 5.0  # seconds in which a caller is to say what it wants

_LOCAL = "127.0.0.1", "localhost"


class Caller(H11Protocol):
    """A connection. One that asks nothing is ended: another user of the machine could else take all that there can be."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the request."""
        super().connection_made(transport)
        self.loop.call_later(SILENCE, self._end_if_silent)

    def _end_if_silent(self) -> None:
        if not self.cycle:  # no request has come in whole
            self.transport.abort()


class Door:
    """Stands before every route, and knows when somebody was last inside."""

    def __init__(self, app: App, *, secret: str, port: int) -> None:
        self._app = app
        self._secret = f"Bearer {secret}".encode()
        self._hosts = {f"{name}:{port}".encode() for name in _LOCAL}
        self.inside = 0
        self.left = time.monotonic()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let the request through, or refuse it."""
        if scope["type"] != "http":
            return
        if refusal := self._refusal(scope["headers"]):
            await _refuse(send, *refusal)
            return
        self.inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.inside -= 1
            self.left = time.monotonic()

    def idle(self) -> float:
        """How many seconds nobody was inside."""
        return 0.0 if self.inside else time.monotonic() - self.left

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> tuple[HTTPStatus, str] | None:
        found, names = dict(headers), [name for name, _ in headers]
        if names.count(b"host") > 1 or names.count(b"authorization") > 1:
            return HTTPStatus.BAD_REQUEST, "a header is there twice"
        if found.get(b"host") not in self._hosts:
            return HTTPStatus.FORBIDDEN, "this service answers only to its own address"
        if b"origin" in found or b"sec-fetch-site" in found:
            return HTTPStatus.FORBIDDEN, "this service does not answer to browsers"
        if not compare_digest(found.get(b"authorization", b""), self._secret):
            return (
                HTTPStatus.UNAUTHORIZED,
                "the secret is missing or wrong; it is in service.json of the user whose service this is",
            )
        if b"transfer-encoding" in found:
            return HTTPStatus.LENGTH_REQUIRED, "the length of the body is to be told"
        if int(found.get(b"content-length", 0)) > BODY_LIMIT:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {BODY_LIMIT} bytes"
        return None


async def _refuse(send: Send, status: HTTPStatus, message: str) -> None:
    body = f'{{"error": "ServiceError", "message": "{message}", "problems": []}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
