"""Who asks: bearer tokens, HTTP Basic and sessions, each to one `Principal`.

Here: the three ways to log in to the API, for documentation as well, and what is remembered of them for a moment. Not
here: what a role may do (``roles``) and the log-in pages (``login``, ``pages``).

Tokens are looked up by the part that is no secret; the secret is compared as hash, in constant time. A password is
checked by Django's slow hash once in five minutes: the check of the same password against the same stored hash is remembered, under
a key that only this process has. What the database says of a token or user is believed for a second. Wrong ones are counted (``login``);
a right token is never refused for others' wrong ones, since 256 bits can't be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core import signing
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.utils.crypto import constant_time_compare
from ninja.security import APIKeyCookie, HttpBasicAuth, HttpBearer
from ninja.utils import check_csrf

from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.login import client_address, judged, patience, too_often
from oasis_pipeline.service.models import TOKEN_PREFIX, digest_of
from oasis_pipeline.service.roles import ADMIN, DEVICE, ROLES, allowed
from oasis_pipeline.service.throttle import network_of
from oasis_pipeline.service.warehouse import throttle, warehouse

LOG_IN = "log in: a session, HTTP Basic, or a bearer token that is valid"
HOW_TO_LOG_IN = {"WWW-Authenticate": 'Basic realm="OASIS", Bearer realm="OASIS"'}

_PASSWORD_SECONDS = 300.0
_REMEMBERED = 4096
_IN_USE_SECONDS = 60.0
_TURN_SECONDS = 0.25
_T = TypeVar("_T")


@dataclass(frozen=True)
class Principal:
    """Whoever asks.

    Attributes
    ----------
    name : str
        For logs and labels: the user's name, or ``module <number>``.
    roles : frozenset of str
        Of `roles.ROLES`.
    user_id : int or None
        None for a device's token.
    module_num : str or None
        The one module of a device.
    allowance : str
        Whose bucket is used.
    per_minute : int
        Requests.
    """

    name: str
    roles: frozenset[str]
    user_id: int | None
    module_num: str | None
    allowance: str
    per_minute: int

    @property
    def is_admin(self) -> bool:
        """Whether the role admin is among its roles."""
        return ADMIN in self.roles

    @property
    def own_module_only(self) -> bool:
        """Whether it is a device and nothing more."""
        return self.roles == frozenset({DEVICE})

    def may_not(self, method: str, path: str) -> str:
        """Reason of a refusal."""
        have = ", ".join(sorted(self.roles)) or "no role: an administrator has to put it into a group"
        return f"{self.name} ({have}) may not {method} {path}"


class Remembered(Generic[_T]):
    """Some answers, each for a short time."""

    def __init__(self, seconds: float, most: int = _REMEMBERED) -> None:
        self._seconds = seconds
        self._most = most
        self._guard = threading.Lock()
        self._kept: OrderedDict[Any, tuple[float, _T]] = OrderedDict()

    def get(self, key: Any, find: Callable[[], _T]) -> _T:
        """Answer kept under a key, found anew when it is too old; None is not kept."""
        now = time.monotonic()
        with self._guard:
            kept = self._kept.get(key)
        if kept is not None and now - kept[0] < self._seconds:
            return kept[1]
        # the age counts from before the question
        found = find()
        if found is not None:
            self.keep(now, {key: found})
        return found

    def keep(self, asked: float, found: Mapping[Any, _T]) -> None:
        """Keep answers to questions that were asked at a moment of the monotonic clock."""
        with self._guard:
            for key, answer in found.items():
                self._kept[key] = (asked, answer)
                self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def older(self, seconds: float) -> list[tuple[Any, _T]]:
        """What was asked for so long ago: key, answer."""
        now = time.monotonic()
        with self._guard:
            return [(key, answer) for key, (asked, answer) in self._kept.items() if now - asked >= seconds]

    def since(self, key: Any, moment: float) -> _T | None:
        """Answer to a question that was asked after a moment; None if there is none."""
        with self._guard:
            kept = self._kept.get(key)
        return kept[1] if kept is not None and kept[0] >= moment else None

    def knows(self, key: Any) -> bool:
        """Whether `get` would have to find nothing."""
        kept = self._kept.get(key)
        return kept is not None and time.monotonic() - kept[0] < self._seconds

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._kept.clear()


_USER = (
    "u.id, u.username, u.password, u.is_active, u.is_superuser, p.module_num,"
    " ARRAY(SELECT g.name FROM django.auth_user_groups ug JOIN django.auth_group g ON g.id = ug.group_id"
    " WHERE ug.user_id = u.id)::text[] AS groups"
)


@dataclass(slots=True)
class _Token:
    """What the database says of a token, whose it is, and when it was last used (by the monotonic clock)."""

    digest: str
    revoked: bool
    expires_at: datetime | None
    owner: Principal | None
    used: float


_users: Remembered[dict[str, Any] | None] = Remembered(limits.CACHE_SECONDS)
_tokens: Remembered[_Token | None] = Remembered(limits.CACHE_SECONDS)
_sessions: Remembered[dict[str, Any] | None] = Remembered(limits.CACHE_SECONDS)
_passwords: Remembered[bool | None] = Remembered(_PASSWORD_SECONDS)
_password_key = secrets.token_bytes(32)
_never = make_password(None)
_asking_for_tokens = threading.Lock()
_turns: WeakValueDictionary[bytes, Any] = WeakValueDictionary()
_turns_guard = threading.Lock()


def forget() -> None:
    """Forget what is remembered in this process."""
    for kept in (_users, _tokens, _sessions, _passwords):
        kept.clear()


def _one(sql: str, value: str) -> dict[str, Any] | None:
    rows = warehouse().query(sql, (value,)).to_pylist()
    return rows[0] if rows else None


def _find_user(who: str | int) -> dict[str, Any] | None:
    """Find a user by name, or by number."""
    if isinstance(who, str) and "\x00" in who:
        return None
    column = "u.username = $1::text" if isinstance(who, str) else "u.id = $1::text::bigint"
    return _users.get(
        who,
        lambda: _one(
            f"SELECT {_USER} FROM django.auth_user u LEFT JOIN django.service_profile p ON p.user_id = u.id"
            f" WHERE {column}",
            str(who),
        ),
    )


_TOKENS = (
    "SELECT t.key, t.digest, t.module_num AS token_module, t.requests_per_minute, t.expires_at, t.revoked,"
    f" t.id AS token_id, {_USER} FROM django.service_token t LEFT JOIN django.auth_user u ON u.id = t.user_id"
    " LEFT JOIN django.service_profile p ON p.user_id = u.id WHERE t.key = ANY($1::text[])"
)


def _find_token(key: str) -> _Token | None:
    return _tokens.get(key, lambda: _look_up(key))


def _look_up(key: str) -> _Token | None:
    """Ask for a token, and for all in use that will soon be asked for: of a thousand gateways that post each second, one asks for all."""
    began = time.monotonic()
    # who hangs holds up nobody for long
    mine = _asking_for_tokens.acquire(timeout=_TURN_SECONDS)
    try:
        now = time.monotonic()
        used = {key: now}
        if mine:
            asked_meanwhile = _tokens.since(key, began)
            if asked_meanwhile is not None:
                return asked_meanwhile
            used |= {
                other: token.used
                for other, token in _tokens.older(limits.CACHE_SECONDS / 2)
                if token is not None and now - token.used < _IN_USE_SECONDS
            }
        rows = warehouse().query(_TOKENS, (list(used),)).to_pylist()
        found: dict[str, _Token | None] = {
            row["key"]: _Token(
                row["digest"], row["revoked"], row["expires_at"], _of_token(row), used[row["key"]]
            )
            for row in rows
        }
        _tokens.keep(now, found)
        return found.get(key)
    finally:
        if mine:
            _asking_for_tokens.release()


def _of_token(row: dict[str, Any]) -> Principal | None:
    allowance, rate = f"token {row['token_id']}", row["requests_per_minute"]
    if row["token_module"] is not None:
        return Principal(
            f"module {row['token_module']}", frozenset({DEVICE}), None, row["token_module"], allowance, rate
        )
    return _of_user(row, allowance, rate) if row["is_active"] else None


def _of_user(row: dict[str, Any], allowance: str | None = None, per_minute: int | None = None) -> Principal:
    roles = frozenset(row["groups"] or ()) & frozenset(ROLES)
    if row["is_superuser"]:
        roles |= {ADMIN}
    return Principal(
        row["username"],
        roles,
        row["id"],
        row["module_num"] if DEVICE in roles else None,
        allowance or f"user {row['id']}",
        limits.REQUESTS_PER_MINUTE if per_minute is None else per_minute,
    )


def is_remembered(text: str) -> bool:
    """Whether `principal_of_token` would ask nothing of the database."""
    return _tokens.knows(text[len(TOKEN_PREFIX) + 1 :].partition("-")[0])


def principal_of_token(text: str, address: str) -> Principal | None:
    """Find whose token this is.

    Parameters
    ----------
    text : str
        As it came.
    address : str
        Where it comes from (`login.client_address`).

    Returns
    -------
    Principal or None
        None if it is no token, or revoked, expired, or of a user who may not log in.

    Raises
    ------
    ApiError
        429 after too many wrong ones: of this token from this address whatever this one is, else if it is wrong too.
    """
    prefix, _, rest = text.partition("-")
    key, _, secret = rest.partition("-")
    if prefix != TOKEN_PREFIX or len(key) != 16 or not key.isalnum() or not key.isascii():
        key, found = "", None
    else:
        found = _owner_of_token(key, secret)
    if found is not None:
        wait = patience().wait("token", address, key)
        if not wait:
            patience().succeed("token", address, key)
    else:
        wait = patience().fail("token", address, key, time.time())
    if wait:
        raise too_often(wait)
    return found


def _owner_of_token(key: str, secret: str) -> Principal | None:
    token = _find_token(key)
    given = digest_of(secret)
    if token is not None:
        token.used = time.monotonic()
    if token is None or not hmac.compare_digest(token.digest, given):
        return None
    if token.revoked or (token.expires_at is not None and token.expires_at <= datetime.now(UTC)):
        return None
    return token.owner


def principal_of_password(request: HttpRequest, username: str, password: str) -> Principal | None:
    """Check a name and a password.

    Parameters
    ----------
    request : HttpRequest
        For the address that it comes from.
    username, password : str
        As they came.

    Returns
    -------
    Principal or None

    Raises
    ------
    ApiError
        429 after too many wrong passwords.
    """
    row = _find_user(username)
    stored = row["password"] if row is not None else _never
    address = client_address(request)
    # of this address only: who may not guess here must not learn from elsewhere that a password is right
    text = f"{network_of(address)}\0{username}\0{stored}\0{password}"
    mark = hmac.new(_password_key, text.encode(), hashlib.sha256).digest()

    def right() -> bool | None:
        # an unknown name costs the same time as a known one
        return True if check_password(password, stored) and row is not None else None

    # a program's first requests come side by side, all with the same password: the slow hash is asked once, and none counts as a guess
    with _turns_guard:
        turn = _turns.setdefault(mark, threading.Lock())
    with turn:
        known = _passwords.get(mark, lambda: judged(request, username, right))
    if known and (wait := patience().wait("password", address, username)):
        raise too_often(wait)
    if not known or row is None or not row["is_active"]:
        return None
    return _of_user(row)


def pass_of(username: str) -> str:
    """Make a signed text by which a user is known for some hours, until the password is changed (`principal_of_pass`)."""
    row = _find_user(username)
    return "" if row is None else str(signing.dumps(username, salt=_salt(row)))


def principal_of_pass(text: str) -> Principal | None:
    """Find the user that a text of `pass_of` was made for; None if it is none, too old, or the user may not log in any more."""
    try:
        row = _find_user(json.loads(signing.b64_decode(text.partition(":")[0].encode())))
        if row is None or not row["is_active"]:
            return None
        signing.loads(text, salt=_salt(row), max_age=limits.PASS_SECONDS)
    except (ValueError, TypeError, signing.BadSignature):
        return None
    return _of_user(row)


def principal_of_session_key(key: str) -> Principal | None:
    """Find the user of a session by the value of its cookie, where there is no request of Django's; None if it is none, or has ended."""
    if not (key.isascii() and key.isalnum()):
        return None
    kept = _sessions.get(
        key,
        lambda: _one(
            "SELECT session_data FROM django.django_session WHERE session_key = $1::text AND expire_date > now()",
            key,
        ),
    )
    session = SessionStore().decode(kept["session_data"]) if kept is not None else {}
    if not str(session.get(SESSION_KEY, "")).isdecimal():
        return None
    row = _find_user(int(session[SESSION_KEY]))
    if row is None or not row["is_active"]:
        return None
    # of the password that it was begun with
    own = User(password=row["password"]).get_session_auth_hash()
    return _of_user(row) if constant_time_compare(session.get(HASH_SESSION_KEY, ""), own) else None


def _salt(row: dict[str, Any]) -> str:
    return f"oasis pass {row['password']}"


def principal_of_session(request: HttpRequest) -> Principal | None:
    """Find the user of a session; whatever changes something needs the CSRF token too.

    Raises
    ------
    ApiError
        403 without it.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    if request.method not in ("GET", "HEAD", "OPTIONS") and check_csrf(request) is not None:
        raise ApiError(403, "a session needs the header X-CSRFToken with the value of the cookie csrftoken")
    row = _find_user(user.get_username())
    return _of_user(row) if row is not None and row["is_active"] else None


def _admitted(request: HttpRequest, principal: Principal | None) -> Principal | None:
    if principal is None:
        return None
    request.oasis_principal = principal
    admit(principal)
    return principal


def admit(principal: Principal) -> None:
    """Count a request of somebody.

    Raises
    ------
    ApiError
        429.
    """
    wait = throttle().take(principal.allowance, principal.per_minute)
    if wait:
        raise ApiError(
            429,
            f"more than {principal.per_minute} requests a minute: send more readings in each",
            headers={"Retry-After": str(int(wait) + 1)},
        )


class Bearer(HttpBearer):
    """``Authorization: Bearer oasis-...``: a token made in the administration site."""

    def authenticate(self, request: HttpRequest, token: str) -> Principal | None:
        """Find whose token it is."""
        return _admitted(request, principal_of_token(token.strip(), client_address(request)))


class Basic(HttpBasicAuth):
    """``Authorization: Basic ...``: name and password of a user."""

    def authenticate(self, request: HttpRequest, username: str, password: str) -> Principal | None:
        """Check name and password."""
        return _admitted(request, principal_of_password(request, username, password))


class Session(APIKeyCookie):
    """The cookie of the log-in page; requests that change something need ``X-CSRFToken`` too."""

    param_name = "sessionid"

    def _get_key(self, request: HttpRequest) -> str | None:
        # the CSRF token is checked in `principal_of_session`, for those who have a session only
        found: str | None = request.COOKIES.get(self.param_name)
        return found

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal | None:
        """Find whose session it is."""
        if key is None or "Authorization" in request.headers:
            return None
        return _admitted(request, principal_of_session(request))


SCHEMES = (Bearer(), Basic(), Session())
"""Ways to log in to the API, in the order in which they are tried."""


def logged_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let a page be seen by those who have logged in only; a browser is sent to the log-in page."""

    @wraps(getattr(view, "func", view))
    def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
        try:
            principal = next(filter(None, (scheme(request) for scheme in SCHEMES)), None)
        except ApiError as error:
            return JsonResponse(error.body(), status=error.status, headers=error.headers)
        if principal is not None:
            request.auth = principal
            return view(request, *arguments, **named)
        if "text/html" in request.headers.get("Accept", ""):
            return HttpResponseRedirect(f"/login/?{urlencode({'next': request.path})}")
        return JsonResponse({"reason": LOG_IN}, status=401, headers=HOW_TO_LOG_IN)

    return guarded


def asking(request: HttpRequest) -> Principal:
    """Who asks; only inside of a view that asked for a log-in."""
    principal: Principal = request.auth
    return principal


def require(request: HttpRequest, resource: str) -> Principal:
    """Refuse whoever may not use this method of a resource.

    Parameters
    ----------
    request : HttpRequest
    resource : str
        Key of `roles.MATRIX`.

    Returns
    -------
    Principal

    Raises
    ------
    ApiError
        403.
    """
    principal = asking(request)
    if not allowed(principal.roles, resource, request.method or "GET"):
        raise ApiError(403, principal.may_not(request.method or "GET", request.path))
    return principal
