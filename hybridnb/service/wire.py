"""What is said to the service: asked again when it was killed meanwhile, started when it is not there; its errors are raised here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from .. import __version__, errors
from ..errors import DefinitionError, HybridnbError, Problem, ServiceError
from . import process

if TYPE_CHECKING:
    from http.client import HTTPResponse

_PATIENCE = 120.0  # seconds for an answer; the service may be handing over 10,000 jobs
_SILENCE = 30.0  # seconds after which a stream without a sign of life is taken for dead
TRIES = 5  # times in a row that the service may go away while it is asked
_DYING = 1.0  # seconds between the tries


def once(path: str, body: dict[str, Any]) -> Any:
    """Ask for what must not happen twice, however often the answer gets lost."""
    return ask("POST", path, {**body, "request": os.urandom(12).hex()}, mark=True)


def ask(method: str, path: str, body: dict[str, Any] | None = None, *, mark: bool = False) -> Any:
    """Ask the service, started if need be, and return its answer; ask again when it was killed meanwhile."""
    for tries in range(1, TRIES + 1):
        again = {"again": True} if mark and tries > 1 else {}
        try:
            with closing(_send(_PATIENCE, method, path, None if body is None else {**body, **again})) as response:
                text = response.read()
                return json.loads(text) if text else None
        except TimeoutError as error:
            raise ServiceError(f"the service does not answer within {_PATIENCE:g} s. See {process.log()}") from error
        except cuts() as error:
            cause = error
            settle()
    raise ServiceError(f"the service does not stay up: {cause}. See {process.log()}")


def stream(method: str, path: str, body: dict[str, Any] | None = None) -> Generator[bytes, None, None]:
    """Yield the service's answer as it comes; raises one of `cuts` when the service goes away."""
    with closing(_send(_SILENCE, method, path, body)) as response:
        while piece := response.read1(1 << 20):
            yield piece


def _send(timeout: float, method: str, path: str, body: dict[str, Any] | None = None) -> HTTPResponse:
    from http.client import HTTPConnection

    address = _current()
    connection = HTTPConnection("127.0.0.1", address.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {address.secret}", "Connection": "close", "Content-Type": "application/json"}
    text = None if body is None else json.dumps(body).encode()
    connection.request(method, path, text, headers)
    response = connection.getresponse()
    if response.status >= 400:
        with closing(response):
            raise _error(response.status, response.read())
    return response


def cuts() -> tuple[type[Exception], ...]:
    """What is raised when the service was killed, or has ended, while it was asked."""
    from http.client import HTTPException

    return ConnectionError, HTTPException


def silences() -> tuple[type[Exception], ...]:
    """What is raised when a stream was cut, or says nothing for so long that it is to be asked for anew."""
    return *cuts(), TimeoutError


def settle() -> None:
    """Let a service that is just ending come to its end: it hears nobody any more, and is still there."""
    if address := process.find():
        process.wait_for_end(address, timeout=_DYING)


def _current() -> process.Address:
    """Find the service, or start it. One of an earlier version is replaced: its runs go on under the new one."""
    address = process.find() or process.start()
    if address.version == __version__:
        return address
    if _numbers(address.version) > _numbers(__version__):
        told = f"the service is of hybridnb {address.version}, this is {__version__}"
        raise ServiceError(f"{told}: use the newer one here too, or end the service by 'hybridnb service stop'")
    process.stop(address)
    return process.start()


def _numbers(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)]


def _error(status: int, text: bytes) -> HybridnbError:
    """Rebuild the error that was raised in the service."""
    try:
        about = json.loads(text)
        kind, message, problems = about["error"], about["message"], about["problems"]
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the service answers {status}: {text[:200].decode(errors='replace')}")
    known = getattr(errors, kind, ServiceError)
    if known is DefinitionError:
        return DefinitionError(Problem(*p) for p in problems)
    return cast(HybridnbError, known(message))
