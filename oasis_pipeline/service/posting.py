"""Readings posted: what every way of posting shares, and the short way of a program with a token.

Here: a body to readings, readings to an answer, and `short_way`, which does without Django. Not here: what a body may say (``readings``)
and how it is stored (``store``).

Gateways post one reading at a time, day and night. Django's way through middleware, threads and signals took five times the
processor time of all the rest. A bearer token needs none of it: no session, no cookie, no page. Whatever else a request brings along (a cookie, an
origin, a password) sends it the long way, with the same answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

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
from oasis_pipeline.service.middleware import POLICY
from oasis_pipeline.service.protocol import Application, Receive, Scope, Send
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
_LONG_WAY = (b"cookie", b"origin", b"forwarded", b"x-forwarded-host")


@dataclass
class Answer:
    """What is answered, and what the log says of it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    who: str | None = None


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
        address = _address(scope, headers)
        answer = await _answer(headers, message.get("body", b""), address)
        sent = [
            *_PLAIN,
            (b"content-length", str(len(answer.body)).encode()),
            *((name.encode(), value.encode()) for name, value in answer.headers.items()),
        ]
        _note(headers, answer, address, time.perf_counter() - began)
        await send({"type": "http.response.start", "status": answer.status, "headers": sent})
        await send({"type": "http.response.body", "body": answer.body})

    return handle


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
    if len(headers) != len(pairs) or any(name in headers for name in _LONG_WAY):
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


async def _answer(headers: Mapping[bytes, bytes], data: bytes, address: str) -> Answer:
    principal: Principal | None = None
    try:
        principal = await _principal(headers[b"authorization"][7:].decode("latin-1").strip(), address)
        if principal is None:
            return Answer(401, _encode({"reason": LOG_IN}), HOW_TO_LOG_IN)
        admit(principal)
        if not allowed(principal.roles, "rawdata", "POST"):
            raise ApiError(403, principal.may_not("POST", PATH))
        answer = await _store(principal, headers, data)
    except ApiError as error:
        answer = _refusal(error)
    except StorageError as error:
        try:
            answer = _refusal(storage_error(error))
        except StorageError:
            _log.exception("readings can't be stored")
            answer = Answer(500, _encode({"reason": "internal error; see the log of the service"}))
    answer.who = None if principal is None else principal.name
    return answer


def _refusal(error: ApiError) -> Answer:
    return Answer(error.status, _encode(error.body()), error.headers)


async def _principal(token: str, address: str) -> Principal | None:
    if is_remembered(token):
        return principal_of_token(token, address)
    return await asyncio.get_running_loop().run_in_executor(_threads(), principal_of_token, token, address)


async def _store(principal: Principal, headers: Mapping[bytes, bytes], data: bytes) -> Answer:
    received = datetime.now(UTC)
    told = [
        headers.get(name, b"").decode("latin-1") for name in (b"content-type", b"content-encoding", b"prefer")
    ]
    loop = asyncio.get_running_loop()
    decode = partial(decoded, principal, data, told[0], told[1], received)
    small = len(data) <= (_SMALL_BODY >> 6 if told[1] else _SMALL_BODY)
    readings = decode() if small else await loop.run_in_executor(_threads(), decode)
    stored: Stored | None = Stored(0, None, {}) if not readings.items else None
    if is_small(readings):
        stored = await store_with_others(readings, received)
    if stored is None:
        stored = await loop.run_in_executor(_threads(), store_alone, readings, received)
    if stored.first_day is not None and not is_noted(installation(), stored.first_day):
        await loop.run_in_executor(_threads(), note_first_day, installation(), stored.first_day)
    if len(readings) > limits.GROUPED_READINGS:
        return await loop.run_in_executor(_threads(), answered, readings, stored, told[2])
    return answered(readings, stored, told[2])


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4 * limits.WRITERS, "posting")


def _note(headers: Mapping[bytes, bytes], answer: Answer, address: str, seconds: float) -> None:
    fields: dict[str, Any] = {
        "method": "POST",
        "path": PATH,
        "status": answer.status,
        "ms": round(seconds * 1000, 1),
        "who": answer.who,
        "from": address,
    }
    length = headers.get(b"content-length", b"")
    if length.isdigit():
        fields["bytes_in"] = int(length)
    _log.info("", extra={"fields": fields | answer.notes})
