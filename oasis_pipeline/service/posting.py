"""Readings posted: what every way of posting shares, and the short way of a program with a token.

Here: a body to readings, readings to an answer, `short_way`, which does without Django, and `take_at_once`, which does without ASGI as
well. Not here: what a body may say (``readings``) and how it is stored (``store``).

Gateways post one reading at a time, day and night. Django's way through middleware, threads and signals took five times the
processor time of all the rest. A bearer token needs none of it: no session, no cookie, no page. Whatever else a request brings along (a cookie, an
origin, a password) sends it the long way, with the same answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from django.conf import settings as django_settings
from django.http.request import split_domain_port, validate_host

from oasis_pipeline.service import limits
from oasis_pipeline.service.access import (
    HOW_TO_LOG_IN,
    LOG_IN,
    Principal,
    admit,
    is_remembered,
    principal_of_token,
)
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.first_day import is_noted, note_first_day
from oasis_pipeline.service.group_commit import group_commit
from oasis_pipeline.service.middleware import POLICY
from oasis_pipeline.service.protocol import Application, Receive, Scope, Send, SendWhole
from oasis_pipeline.service.readings import Readings, answers, body_of, decode_readings
from oasis_pipeline.service.roles import allowed
from oasis_pipeline.service.rows import storage_error
from oasis_pipeline.service.store import Stored, is_small, store_alone, store_with_others
from oasis_pipeline.service.warehouse import installation
from oasis_pipeline.storage.errors import StorageError

PATH = "/api/rawdata/"
_HEALTH = ("/health", "/health/")
_SMALL_BODY = 64 << 10
"""Bodies up to this are decoded at once, greater ones in a thread; packed ones up to a 64th of it, for they may be a thousand times as long."""

_log = logging.getLogger("oasis.access")
_encode = msgspec.json.Encoder().encode
_SAFE = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_PLAIN = [(name.encode(), value.encode()) for name, value in _SAFE.items()]
_T = TypeVar("_T")
_LONG_WAY = frozenset((b"cookie", b"origin", b"forwarded", b"x-forwarded-host"))


@dataclass
class Answer:
    """What is answered, and what the log says of it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def decoded(
    principal: Principal, data: bytes, content_type: str, content_encoding: str, received: datetime
) -> Readings:
    """Decode what somebody posts.

    Parameters
    ----------
    principal : Principal
    data : bytes
    content_type, content_encoding : str
        Headers.
    received : datetime
        UTC.

    Returns
    -------
    Readings

    Raises
    ------
    ApiError
        400, 403, 413, 415.
    """
    if principal.own_module_only and principal.module_num is None:
        raise ApiError(403, f"{principal.name} is a device without a module: an administrator has to name it")
    only = principal.module_num if principal.own_module_only else None
    return decode_readings(
        body_of(data, content_type, content_encoding), received, installation().earliest_day, only
    )


def answered(readings: Readings, stored: Stored, prefer: str) -> Answer:
    """Say what became of readings.

    Parameters
    ----------
    readings : Readings
    stored : Stored
    prefer : str
        Header.

    Returns
    -------
    Answer
    """
    notes = {"readings": len(readings), "stored": stored.new, "conflicts": len(stored.conflicts)}
    if "return=minimal" in prefer.replace(" ", "").lower():
        counts = {"received": len(readings), "stored": stored.new, "conflicts": list(stored.conflicts)}
        return Answer(200, _encode(counts), {"Preference-Applied": "return=minimal"}, notes)
    items = answers(readings, stored.conflicts)
    return Answer(200, _encode(items[0] if readings.single else items), {}, notes)


def short_way(application: Application) -> Application:
    """Answer posts of readings by bearer tokens, and whether the process lives; hand everything else to an application.

    Parameters
    ----------
    application : ASGI application
        Behind `asgi.bounded`, which has received the body.

    Returns
    -------
    ASGI application
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if _asks_for_health(scope):
            body = b'{"status": "alive"}'
            sent = [*_PLAIN, (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": sent})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
            return
        headers = _headers_of(scope)
        if headers is None:
            await application(scope, receive, send)
            return
        began = time.perf_counter()
        message = await receive()
        post = _Posted(headers, message.get("body", b""), _address(scope, headers), began)
        answer = await post.answer()
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": _headers_of_answer(answer)}
        )
        await send({"type": "http.response.body", "body": answer.body})

    return handle


def take_at_once(scope: Scope, data: bytes, send: SendWhole) -> bool:
    """Take a post that has come whole, without the tasks and waits that `short_way` and what stands in front of it need.

    It is for the usual one, a few readings by a token that is known, and sends what `short_way` would send. All others are for the application.

    Parameters
    ----------
    scope : Scope
        Of a request.
    data : bytes
        Its body.
    send : callable
        Called with the answer, on the loop that runs now.

    Returns
    -------
    bool
        Whether it is taken.
    """

    def tell(answer: Answer) -> None:
        send(answer.status, _headers_of_answer(answer), answer.body)

    headers = _headers_of(scope)
    if headers is None or len(data) > _SMALL_BODY or b"content-encoding" in headers:
        return False
    if not is_remembered(_token_of(headers)) or len(group_commit()) >= limits.POSTS:
        return False
    _Posted(headers, data, _address(scope, headers), time.perf_counter()).begin(tell)
    return True


def _headers_of_answer(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [
        *_PLAIN,
        (b"content-length", b"%d" % len(answer.body)),
        *((name.encode(), value.encode()) for name, value in answer.headers.items()),
    ]


def _asks_for_health(scope: Scope) -> bool:
    if scope["path"] not in _HEALTH or scope["method"] not in ("GET", "HEAD"):
        return False
    return _is_own(dict(scope["headers"]).get(b"host", b"").decode("latin-1"))


def _headers_of(scope: Scope) -> dict[bytes, bytes] | None:
    """Headers of a request that may go the short way."""
    if scope["method"] != "POST" or scope["path"] != PATH:
        return None
    pairs = scope["headers"]
    headers = dict(pairs)
    if len(headers) != len(pairs) or not _LONG_WAY.isdisjoint(headers):
        return None
    if headers.get(b"authorization", b"")[:7].lower() != b"bearer ":
        return None
    host = headers.get(b"host", b"").decode("latin-1")
    return headers if _is_own(host) else None


@lru_cache(maxsize=256)
def _is_own(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, django_settings.ALLOWED_HOSTS)


def _address(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """As `login.client_address`."""
    if django_settings.OASIS_EXPOSURE.behind_proxy:
        forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1").rsplit(",", 1)[-1].strip()
        if forwarded:
            return forwarded
    client = scope.get("client")
    return str(client[0]) if client else ""


class _Posted:
    """A post on its way to its answer."""

    __slots__ = ("_address", "_began", "_data", "_headers", "_principal", "_readings", "_received")

    def __init__(self, headers: Mapping[bytes, bytes], data: bytes, address: str, began: float) -> None:
        self._headers = headers
        self._data = data
        self._address = address
        self._began = began
        self._received = datetime.now(UTC)
        self._principal: Principal | None = None
        self._readings: Readings | None = None

    async def answer(self) -> Answer:
        """Answer, whatever has to be waited for."""
        try:
            if is_remembered(_token_of(self._headers)):
                self._find_principal()
            else:
                await self._in_thread(self._find_principal)
            self._admit()
            packed = b"content-encoding" in self._headers
            if len(self._data) <= (_SMALL_BODY >> 6 if packed else _SMALL_BODY):
                readings = self._decode()
            else:
                readings = await self._in_thread(self._decode)
            if not is_small(readings):
                return self._noted(await self._stored_alone(readings))
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

            def tell(answer: Answer) -> None:
                if not future.done():
                    future.set_result(answer)

            self._store_with_others(readings, tell)
        except Exception as error:
            return self._refused(error)
        return await future

    def begin(self, tell: Callable[[Answer], None]) -> None:
        """Go as far as nothing has to be waited for, and tell the answer as soon as it is there; the token has to be remembered."""
        try:
            self._find_principal()
            self._admit()
            readings = self._decode()
            if is_small(readings):
                self._store_with_others(readings, tell)
            else:
                self._go_on(self._stored_alone(readings), tell)
        except Exception as error:
            tell(self._refused(error))

    def _find_principal(self) -> None:
        self._principal = principal_of_token(_token_of(self._headers), self._address)

    def _admit(self) -> None:
        if self._principal is None:
            raise ApiError(401, LOG_IN, headers=HOW_TO_LOG_IN)
        admit(self._principal)
        if not allowed(self._principal.roles, "rawdata", "POST"):
            raise ApiError(403, self._principal.may_not("POST", PATH))

    def _decode(self) -> Readings:
        assert self._principal is not None
        kind, encoding = (self._told(name) for name in (b"content-type", b"content-encoding"))
        return decoded(self._principal, self._data, kind, encoding, self._received)

    def _told(self, header: bytes) -> str:
        return self._headers.get(header, b"").decode("latin-1")

    def _store_with_others(self, readings: Readings, tell: Callable[[Answer], None]) -> None:
        def told(stored: Stored | BaseException | None) -> None:
            if isinstance(stored, BaseException):
                tell(self._refused(stored))
            elif stored is None:
                self._go_on(self._stored_alone(readings), tell)
            elif _is_to_be_noted(stored):
                self._go_on(self._ended(readings, stored), tell)
            else:
                tell(self._noted(answered(readings, stored, self._told(b"prefer"))))

        store_with_others(readings, self._received, told)

    async def _stored_alone(self, readings: Readings) -> Answer:
        stored = Stored(0, None, {})
        if readings.items:
            stored = await self._in_thread(store_alone, readings, self._received)
        return await self._ended(readings, stored)

    async def _ended(self, readings: Readings, stored: Stored) -> Answer:
        if _is_to_be_noted(stored):
            await self._in_thread(note_first_day, installation(), stored.first_day)
        prefer = self._told(b"prefer")
        if len(readings) > limits.GROUPED_READINGS:
            return await self._in_thread(answered, readings, stored, prefer)
        return answered(readings, stored, prefer)

    def _go_on(self, ending: Coroutine[Any, Any, Answer], tell: Callable[[Answer], None]) -> None:
        """Tell the answer when a coroutine has found it."""

        async def end() -> None:
            try:
                answer = self._noted(await ending)
            except Exception as error:
                answer = self._refused(error)
            tell(answer)

        task = asyncio.get_running_loop().create_task(end())
        # the loop itself does not keep it
        _ending.add(task)
        task.add_done_callback(_ending.discard)

    def _refused(self, error: BaseException) -> Answer:
        """Answer to what went wrong."""
        if isinstance(error, StorageError):
            try:
                error = storage_error(error)
            except StorageError as unknown:
                error = unknown
        if isinstance(error, ApiError):
            return self._noted(Answer(error.status, _encode(error.body()), error.headers))
        _log.error("readings can't be stored", exc_info=error)
        return self._noted(Answer(500, _encode({"reason": "internal error; see the log of the service"})))

    def _noted(self, answer: Answer) -> Answer:
        """The answer, with a line in the log."""
        fields: dict[str, Any] = {
            "method": "POST",
            "path": PATH,
            "status": answer.status,
            "ms": round((time.perf_counter() - self._began) * 1000, 1),
            "who": None if self._principal is None else self._principal.name,
            "from": self._address,
        }
        length = self._headers.get(b"content-length", b"")
        if length.isdigit():
            fields["bytes_in"] = int(length)
        _log.info("", extra={"fields": fields | answer.notes})
        return answer

    @staticmethod
    async def _in_thread(work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(_threads(), work, *arguments)


_ending: set[asyncio.Task[None]] = set()


def _token_of(headers: Mapping[bytes, bytes]) -> str:
    return headers[b"authorization"][7:].decode("latin-1").strip()


def _is_to_be_noted(stored: Stored) -> bool:
    return stored.first_day is not None and not is_noted(installation(), stored.first_day)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4 * limits.WRITERS, "posting")
