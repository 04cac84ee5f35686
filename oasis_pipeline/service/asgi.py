"""The application that the http server runs: bounds in front, Django behind.

Here: `make_application`, and what has to happen before a request may reach Django: the size of its body, the time that it may
take to arrive, the spelling of its path, and how many others there are of its kind. Not here: connections, which are timed and counted
before that (``connections``), and anything that needs to know who asks.

Bodies are received here and not in a thread, so that a client that sends a byte a second holds no thread and no connection.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import os
import threading
import time
from typing import Any

from oasis_pipeline.service import limits
from oasis_pipeline.service.protocol import Application, Message, Receive, Scope, Send

HOST_VARIABLE = "OASIS_SERVICE_HOST"
"""How `oasis serve` tells its processes which address they listen on."""

GONE = "oasis.gone"
"""Of a request's scope: a function that tells whether the client has gone, if the server knows."""

TOLD = "oasis.told"
"""... and one that tells whether the server has refused it already, and logged that."""

PARENT_VARIABLE = "OASIS_SERVICE_PARENT"
"""... and which process they have to end with."""

_BUSY = "the service is busy: try again in a few seconds"
_CONDITIONS = frozenset((b"range", b"if-none-match", b"if-modified-since", b"origin"))
_LINGER_SECONDS = 2.0
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
    from oasis_pipeline.storage.server import address_of, as_service

    _end_with_parent()
    settings = as_service(load_settings())
    exposure = Exposure.from_environment(os.environ.get(HOST_VARIABLE, "127.0.0.1"))
    configure(settings, address_of(settings), exposure)
    application = service_application()
    # what no line of the log says need not be found out for each
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # documented: no search for the caller
    # what is there now stays: the collector need not go through all of Django again and again while readings come and go
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return application


def service_application() -> Application:
    """All of the service but its connections; Django has to be configured."""
    from oasis_pipeline.service.posting import short_way

    return remembering_files(bounded(short_way(django_application())))


def django_application() -> Application:
    """Django's own application; Django has to be configured."""
    from asgiref.sync import sync_to_async
    from django.core.handlers.asgi import ASGIHandler
    from django.urls import get_resolver

    class OneThread(ASGIHandler):
        """All of a request in one thread; Django itself would change threads twice for each middleware."""

        def load_middleware(self, is_async: bool = False) -> None:
            super().load_middleware(is_async=False)

        async def get_response_async(self, request: Any) -> Any:
            return await sync_to_async(self.get_response, thread_sensitive=True)(request)

    # all of the project now, not at the first request
    get_resolver().url_patterns  # noqa: B018 - a property that imports
    application: Application = OneThread()
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


class _Lane:
    """Places for requests of one kind, so that a crowd of one keeps none of another from being answered."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(limits.WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise _RefusedError(503, _BUSY) from None

    async def __aexit__(self, *_: object) -> None:
        self._places.release()


class _Lanes:
    def __init__(self) -> None:
        self._health = _Lane(limits.POSTS)
        self._ready = _Lane(limits.PAGES)
        self._files = _Lane(limits.LOG_INS)
        self._log_in = _Lane(limits.LOG_INS)
        self._posts = _Lane(limits.POSTS)
        self._reading = _Lane(limits.PAGES)
        self._writing = _Lane(limits.PAGES)

    def of(self, scope: Scope) -> _Lane:
        path: str = scope["path"]
        if path.startswith("/health"):
            return self._health
        if path.startswith("/ready"):
            return self._ready
        if path.startswith("/static/"):
            return self._files
        if path.startswith(("/login/", "/logout/", "/admin/login/")):
            return self._log_in
        if path == "/api/rawdata/" and scope["method"] == "POST":
            return self._posts
        return self._reading if scope["method"] in ("GET", "HEAD") else self._writing


def bounded(application: Application) -> Application:
    """Put bounds of size, time and number in front of an application.

    Parameters
    ----------
    application : ASGI application

    Returns
    -------
    ASGI application
        Answers 413 to a body that is too large, 408 to one that is too slow, and 503 where too many wait; everything else is the
        application's.
    """
    lanes = _Lanes()

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = {**scope, "path": spelled(scope["path"])}
        pieces: list[bytes] = []
        try:
            await _receive(scope, receive, pieces)
            held = [b"".join(pieces) if len(pieces) > 1 else pieces[0]]

            async def replay() -> Message:
                if held:
                    return {"type": "http.request", "body": held.pop(), "more_body": False}
                return await receive()

            async with lanes.of(scope):
                if GONE in scope and scope[GONE]():
                    return
                await application(scope, replay, send)
        except _RefusedError as refused:
            if TOLD in scope and scope[TOLD]():
                return
            _log_refusal(scope, refused)
            await _refuse(receive, send, refused)
        finally:
            _Bodies.bytes -= sum(map(len, pieces))

    return handle


def spelled(path: str) -> str:
    """Path of the API as it is spelled here: collections in lower case, with a slash at the end; what lies in one as it came, without."""
    if not path.lower().startswith("/api/"):
        return path
    collection, _, item = path[5:].rstrip("/").partition("/")
    if item:
        return f"/api/{collection.lower()}/{item}"
    bare = f"/api/{collection.lower()}".rstrip("/")
    return bare if bare in _PLAIN_PATHS else bare + "/"


async def _receive(scope: Scope, receive: Receive, pieces: list[bytes]) -> None:
    """Receive a body whole."""
    headers = dict(scope["headers"])
    known = b"authorization" in headers or b"cookie" in headers
    most = limits.MAX_BODY_BYTES if known else limits.MAX_ANONYMOUS_BYTES
    announced = headers.get(b"content-length", b"0")
    arrived = 0
    _require_size(int(announced) if announced.isdigit() else 0, most, known)
    now = time.monotonic()
    began, end = now, now + limits.BODY_SECONDS
    while True:
        if _Bodies.bytes > limits.MAX_BODIES_BYTES:
            raise _RefusedError(503, _BUSY)
        late = began + limits.BODY_PAUSE_SECONDS + arrived / limits.BYTES_PER_SECOND
        try:
            async with asyncio.timeout(max(min(limits.BODY_PAUSE_SECONDS, late - now, end - now), 0.001)):
                message = await receive()
        except TimeoutError:
            raise _RefusedError(
                408,
                f"the body arrives too slowly: whole within {limits.BODY_SECONDS:.0f} s, at {limits.BYTES_PER_SECOND} bytes/s"
                f" at least, and without a pause of {limits.BODY_PAUSE_SECONDS:.0f} s; send smaller requests",
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
        now = time.monotonic()


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


def _takes_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])


def _compressed(start: Message, body: bytes) -> list[Message]:
    """Answer with a body in gzip; both forms of a file say that they depend on what the client takes."""
    start["headers"] = [*start["headers"], (b"vary", b"Accept-Encoding")]
    packed = gzip.compress(body, mtime=0)
    if len(packed) >= len(body):
        return [start, {"type": "http.response.body", "body": body}]
    headers = [pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"etag")]
    headers += [(b"content-encoding", b"gzip"), (b"content-length", str(len(packed)).encode())]
    return [{**start, "headers": headers}, {"type": "http.response.body", "body": packed}]


def remembering_files(application: Application) -> Application:
    """Answer with files of the pages from memory, compressed where the client takes that, once the application has answered with them.

    Whoever takes them slowly then holds neither a thread nor a copy.

    Parameters
    ----------
    application : ASGI application

    Returns
    -------
    ASGI application
    """
    kept: dict[str, dict[bool, list[Message]]] = {}

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        plain = (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and scope["path"].startswith("/static/")
            and _CONDITIONS.isdisjoint(name for name, _ in scope["headers"])
        )
        if not plain:
            await application(scope, receive, send)
            return
        path: str = scope["path"]
        if path not in kept:
            told: list[Message] = []

            async def keep(message: Message) -> None:
                told.append(message)

            await application(scope, receive, keep)
            if not told:
                return
            body = b"".join(message.get("body", b"") for message in told[1:])
            answer: list[Message] = [told[0], {"type": "http.response.body", "body": body}]
            varies = any(name.lower() == b"vary" for name, _ in told[0]["headers"])
            if told[0]["status"] == 200 and not varies:
                kept[path] = {False: answer, True: _compressed(told[0], body)}
        if path in kept:
            answer = kept[path][_takes_gzip(scope)]
        for message in answer:
            await send(message)

    return handle


async def _refuse(receive: Receive, send: Send, refused: _RefusedError) -> None:
    body = json.dumps({"reason": refused.reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # what is still under way of the body is not read
        (b"connection", b"close"),
    ]
    if refused.status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # to close while it still comes would take the answer away from a client that has not read it yet
    end = time.monotonic() + _LINGER_SECONDS
    more = refused.status != 408
    while more and time.monotonic() < end:
        try:
            async with asyncio.timeout(_LINGER_SECONDS / 10):
                message = await receive()
        except TimeoutError:
            break
        more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})
