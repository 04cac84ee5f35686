"""Dagster's web server with a door: ``python -m oasis_pipeline.service.dagster_pages``, with the options of ``dagster-webserver``.

Here: who may reach Dagster's pages. Not here: the pages.

Dagster asks nobody for a log-in, answers under any name, and starts runs for whichever web page makes a browser ask. The door is a
layer around its application inside of its process, and no proxy in front: there is no second, open port behind it, and streams and
web sockets go through it as they are. Everybody has to call the server by a name of its own (a page elsewhere may give its own name
this address), and pages elsewhere may not ask at all. On an address that others can reach people log in, by HTTP Basic, as users of the
data service, whose roles tell whether they may start runs; browsers then get a signed cookie, since some send no password along
with a web socket. Where a proxy shows both under one name, whoever has logged in to the data service has logged in here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import sys
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from oasis_pipeline.service.config import Exposure
from oasis_pipeline.service.limits import PASS_SECONDS
from oasis_pipeline.service.protocol import Application, Scope

PAGES_TOKEN_VARIABLE = "OASIS_PAGES_TOKEN"  # noqa: S105 - a name
"""Token by which the process that started this one may ask, made anew at each start."""

COOKIE = "oasis_pages"
SESSION_COOKIE = "sessionid"
"""Of the data service, which browsers send along where a proxy gives both one name."""
_OPEN_PATH = "/server_info"
"""Without a log-in: versions, which health checks ask for."""

_FIRST_PAGE = "/asset-groups"
"""The lineage: Dagster's own first page, the timeline, shows no runs but those of jobs, so that it would be empty."""


class Door:
    """A layer around an ASGI application.

    Parameters
    ----------
    application : ASGI application
    hosts : iterable of str
        Names by which it may be called; ``*`` = any.
    log_in : callable or None
        Finds out who asks, from the headers ``authorization`` and ``cookie`` and the address: a status (200, 401, 403, 429 or 503), a reason, and
        headers of the answer. None lets everybody in.
    prefix : str
        Path below which the application's pages are.
    """

    def __init__(
        self,
        application: Application,
        hosts: Iterable[str],
        log_in: Callable[..., Any] | None,
        prefix: str = "",
    ) -> None:
        self._application = application
        self._hosts = frozenset(name.lower() for name in hosts)
        self._log_in = log_in
        self._open = prefix.rstrip("/") + _OPEN_PATH
        self._first = prefix.rstrip("/") + _FIRST_PAGE
        self._roots = {prefix.rstrip("/"), prefix.rstrip("/") + "/"}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, reason, more = 200, "", {}
        if not self._is_own_name(headers.get("host", "")):
            status, reason = (
                400,
                "this server has no such name: set OASIS_ALLOWED_HOSTS to the names that it has",
            )
        elif fault := fault_of(scope.get("method", ""), scope["path"], headers):
            status, reason = fault
        elif self._log_in is not None and scope["path"] != self._open:
            from starlette.concurrency import run_in_threadpool

            client = (scope.get("client") or ("",))[0]
            status, reason, more = await run_in_threadpool(self._log_in, headers, client)
        if status != 200:
            await _refuse(scope, receive, send, status, reason, more)
            return

        if scope["type"] == "http" and scope["path"] in self._roots:
            await _redirect(send, self._first, more)
            return

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start" and more:
                pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in more.items()]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        await self._application(scope, receive, answer)

    def _is_own_name(self, host: str) -> bool:
        name = host.lower()
        name = (
            name[: name.index("]") + 1]
            if name.startswith("[") and "]" in name
            else name.rpartition(":")[0] or name
        )
        return "*" in self._hosts or name in self._hosts


def fault_of(method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
    """Tell why a request is refused whoever asks.

    Parameters
    ----------
    method : str
        Of http; empty for a web socket.
    path : str
    headers : dict of str to str
        By names in lower case.

    Returns
    -------
    status : int
    reason : str
    """
    if _is_from_elsewhere(headers):
        return 403, "another web page asks: Dagster's pages answer to themselves only"
    if _asks_by_get(method, path, headers):
        return 405, "GraphQL is asked by POST: an address that runs something could stand in any page"
    return None


def _is_from_elsewhere(headers: dict[str, str]) -> bool:
    """Whether a script or form of another origin asks. A link that somebody follows from elsewhere is fine: it only shows a page."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    if site not in ("cross-site", "same-site"):
        return False
    return not (mode == "navigate" and headers.get("sec-fetch-dest") == "document")


def _asks_by_get(method: str, path: str, headers: dict[str, str]) -> bool:
    # with text/html it is the page on which people try queries; web sockets begin so too, and no address can be followed with their key
    other = "text/html" in headers.get("accept", "") or "sec-websocket-key" in headers
    return method == "GET" and path.endswith("/graphql") and not other


async def _redirect(send: Any, path: str, more: dict[str, str]) -> None:
    headers = {"location": path, "content-length": "0", **more}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 307, "headers": pairs})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(
    scope: Scope, receive: Any, send: Any, status: int, reason: str, more: dict[str, str]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})
        return
    body = json.dumps({"reason": reason}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **more}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def user_who_asks(headers: dict[str, str], client: str) -> tuple[int, str, dict[str, str]]:
    """Find out whether somebody may use Dagster's pages: they start runs, so that it takes the role of an engineer or admin.

    Parameters
    ----------
    headers : dict of str to str
        ``authorization`` and ``cookie`` are looked at.
    client : str
        Address that the request comes from.

    Returns
    -------
    status : int
    reason : str
    headers : dict of str to str
        Of the answer.
    """
    from oasis_pipeline.service.access import (
        pass_of,
        principal_of_pass,
        principal_of_password,
        principal_of_session_key,
        principal_of_token,
    )
    from oasis_pipeline.service.errors import ApiError
    from oasis_pipeline.service.login import client_address
    from oasis_pipeline.service.roles import allowed
    from oasis_pipeline.storage.errors import StorageError

    scheme, _, given = headers.get("authorization", "").partition(" ")
    own = os.environ.get(PAGES_TOKEN_VARIABLE, "")
    if own and scheme.lower() == "bearer" and hmac.compare_digest(own.encode(), given.strip().encode()):
        return 200, "", {}
    ask = {"www-authenticate": 'Basic realm="OASIS", charset="UTF-8"'}
    try:
        if not scheme:
            cookies = headers.get("cookie", "")
            principal = principal_of_pass(_cookie_of(COOKIE, cookies))
            principal = principal or principal_of_session_key(_cookie_of(SESSION_COOKIE, cookies))
        elif scheme.lower() == "bearer":
            principal = principal_of_token(given.strip(), client_address(_request(client, headers)))
        else:
            principal = principal_of_password(_request(client, headers), *_name_and_password(given))
    except ApiError as error:
        return error.status, error.reason, error.headers
    except StorageError:
        return (
            503,
            "log-in is not possible: the database does not answer, or the data service has not started yet",
            {},
        )
    if principal is None:
        return 401, "log in as a user of the data service", ask
    if not allowed(principal.roles, "dagster", "GET"):
        return (
            403,
            f"{principal.name} may not use Dagster's pages, which start runs: that takes the role engineer or admin",
            {},
        )
    if scheme.lower() != "basic" or COOKIE in headers.get("cookie", ""):
        return 200, "", {}
    return 200, "", _cookie(pass_of(principal.name))


def _name_and_password(given: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(given.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _request(client: str, headers: dict[str, str]) -> Any:
    from django.http import HttpRequest

    request = HttpRequest()
    request.META = {"REMOTE_ADDR": client}
    if "x-forwarded-for" in headers:
        request.META["HTTP_X_FORWARDED_FOR"] = headers["x-forwarded-for"]
    return request


def _cookie(value: str) -> dict[str, str]:
    from django.conf import settings

    # `oasis up` speaks plain http; a proxy in front speaks https
    secure = "; Secure" if settings.OASIS_EXPOSURE.behind_proxy else ""
    text = f"{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={PASS_SECONDS}{secure}"
    return {"set-cookie": text}


def _cookie_of(name: str, cookies: str) -> str:
    try:
        found = SimpleCookie(cookies).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def main() -> None:
    """Run Dagster's web server with the door in front."""
    import uvicorn
    from dagster_webserver.cli import dagster_webserver as command
    from dagster_webserver.cli import main as dagster_webserver

    run = uvicorn.run
    prefix = command.make_context("dagster-webserver", sys.argv[1:]).params["path_prefix"]

    def guarded(application: Any, **options: Any) -> None:
        # whose word counts on addresses is said in one place, by OASIS_TRUST_PROXY
        options = {**options, "proxy_headers": False}
        run(behind_door(application, str(options.get("host") or "127.0.0.1"), prefix), **options)

    uvicorn.run = guarded  # type: ignore[assignment]
    sys.argv[0] = "dagster-webserver"
    dagster_webserver()  # type: ignore[no-untyped-call]


def behind_door(application: Application, host: str, prefix: str = "") -> Door:
    """Put the door in front of an application.

    Parameters
    ----------
    application : ASGI application
    host : str
        Address that it will listen on; whoever is not on this machine has to log in.
    prefix : str
        Path below which its pages are.

    Returns
    -------
    Door
    """
    from oasis_pipeline.service.config import configure, is_loopback
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.server import address_of, as_dagster

    exposure = Exposure.from_environment(host)
    if is_loopback(host) and not exposure.behind_proxy:
        return Door(application, exposure.hosts, None, prefix)
    settings = as_dagster(load_settings())
    configure(settings, address_of(settings), exposure)
    return Door(application, exposure.hosts, user_who_asks, prefix)


if __name__ == "__main__":
    main()
