"""The application that the http server runs: bounds in front, Django behind.

Here: `make_application`, and what has to happen before a request may reach Django: the size of its body, the time that it may
take to arrive, and the spelling of its path. Not here: anything that needs to know who asks.

Bodies are received here and not in a thread, so that a client that sends a byte a second holds no thread and no connection.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from oasis_pipeline.service import limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HOST_VARIABLE = "OASIS_SERVICE_HOST"
"""How `oasis serve` tells its processes which address they listen on."""

PARENT_VARIABLE = "OASIS_SERVICE_PARENT"
"""... and which process they have to end with."""

_PLAIN_PATHS = ("/api/docs", "/api/openapi.json")


class _RefusedError(Exception):
    """The body is not taken."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Bodies:
    """Bodies of the requests under way in this process."""

    bytes = 0


def make_application() -> Application:
    """Configure Django for the installation of the environment, and put the bounds in front of it.

    Returns
    -------
    ASGI application
    """
    from oasis_pipeline.service.config import Exposure, configure
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.postgres import address_of

    _end_with_parent()
    settings = load_settings()
    exposure = Exposure.from_environment(os.environ.get(HOST_VARIABLE, "127.0.0.1"))
    configure(settings, address_of(settings), exposure)
    application = bounded(django_application())
    # what is there now stays: the collector need not go through all of Django again and again while readings come and go
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return application


def django_application() -> Application:
    """Django's own application; Django has to be configured."""
    from django.core.handlers.asgi import ASGIHandler
    from django.urls import get_resolver

    # all of the project now, not at the first request
    get_resolver().url_patterns  # noqa: B018 - a property that imports
    application: Application = ASGIHandler()
    return application


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed or not: it would hold the port for nobody."""
    parent = int(os.environ.get(PARENT_VARIABLE, "0"))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if parent:
        threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def bounded(application: Application) -> Application:
    """Put bounds of size and time in front of an application.

    Parameters
    ----------
    application : ASGI application

    Returns
    -------
    ASGI application
        Answers 413 to a body that is too large and 408 to one that is too slow; everything else is the application's.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await _lifespan(receive, send)
            return
        scope = {**scope, "path": spelled(scope["path"])}
        pieces: list[bytes] = []
        try:
            await _receive(scope, receive, pieces)
            held = [b"".join(pieces)]

            async def replay() -> Message:
                if held:
                    return {"type": "http.request", "body": held.pop(), "more_body": False}
                return await receive()

            await application(scope, replay, send)
        except _RefusedError as refused:
            _log_refusal(scope, refused)
            await _refuse(send, refused.status, refused.reason)
        finally:
            _Bodies.bytes -= sum(map(len, pieces))

    return handle


def spelled(path: str) -> str:
    """Path of the API as it is spelled here: collections in lower case, with a slash at the end."""
    low = path.lower()
    if not low.startswith("/api/"):
        return path
    bare = low.rstrip("/")
    return bare if bare in _PLAIN_PATHS else bare + "/"


async def _receive(scope: Scope, receive: Receive, pieces: list[bytes]) -> None:
    """Receive a body whole."""
    headers = dict(scope["headers"])
    known = b"authorization" in headers or b"cookie" in headers
    most = limits.MAX_BODY_BYTES if known else limits.MAX_ANONYMOUS_BYTES
    announced = headers.get(b"content-length", b"0")
    arrived = 0
    _require_size(int(announced) if announced.isdigit() else 0, most, known)
    end = time.monotonic() + limits.BODY_SECONDS
    while True:
        if _Bodies.bytes > limits.MAX_BODIES_BYTES:
            raise _RefusedError(503, "the service is busy: try again in a few seconds")
        left = min(limits.BODY_PAUSE_SECONDS, end - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), max(left, 0.001))
        except TimeoutError:
            raise _RefusedError(
                408, f"the body did not arrive within {limits.BODY_SECONDS:.0f} s: send smaller requests"
            ) from None
        if message["type"] == "http.disconnect":
            # gone, or the server can't read on; who is still there is told
            raise _RefusedError(
                400, "the body ends before it is whole, or its chunks can't be read: nothing is stored"
            )
        piece = message.get("body", b"")
        pieces.append(piece)
        arrived += len(piece)
        _Bodies.bytes += len(piece)
        _require_size(arrived, most, known)
        if not message.get("more_body", False):
            return


def _require_size(size: int, most: int, known: bool) -> None:
    if size > most and not known:
        raise _RefusedError(401, "log in first")
    if size > most:
        raise _RefusedError(413, f"a body may have {most >> 20} MB: send several requests")


def _log_refusal(scope: Scope, refused: _RefusedError) -> None:
    client = scope.get("client")
    fields = {
        "method": scope["method"],
        "path": scope["path"][:300],
        "status": refused.status,
        "reason": refused.reason,
        "from": client[0] if client else "",
    }
    logging.getLogger("oasis.access").info("", extra={"fields": fields})


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"reason": reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # what is still under way of the body is not read
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
