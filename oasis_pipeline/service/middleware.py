"""Around every request: the access log, security headers, and errors as JSON.

Here: what all pages share. Not here: bounds of size and time, which come before (``asgi``).

A line of the log holds the path without its query, and never a header or a body: there is no secret in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from oasis_pipeline.service.config import is_loopback
from oasis_pipeline.service.login import client_address

_access = logging.getLogger("oasis.access")
# pages of Django's administration and of the documentation bring scripts and styles of their own, and nothing from elsewhere
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_PAGES = ("/admin/", "/login/", "/logout/")
_COOKIES = ("sessionid", "csrftoken")


def access_log(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Log each request, and complete its answer. A HEAD is a GET whose body is left out, wherever there is a GET."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        method = request.method
        if method == "HEAD":
            request.method = "GET"
        response = _completed(request, get_response(request))
        if method == "HEAD":
            request.method = method
            response = _without_body(response)
        _log(request, response, time.perf_counter() - began)
        return response

    return handle


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    """The same answer to a HEAD; a stream is ended before it is read."""
    bare = HttpResponse(status=response.status_code, headers=dict(response.headers))
    bare.cookies = response.cookies
    if not response.streaming:
        bare.headers["Content-Length"] = str(len(response.content))
    response.close()
    return bare


def _log(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    principal = getattr(request, "oasis_principal", None)
    user = getattr(request, "user", None) if principal is None else None
    who = principal.name if principal is not None else None
    # looked at only if a page has done so: to ask costs a query
    if who is None and user is not None and getattr(request, "_cached_user", None) is not None:
        who = user.get_username() or None
    fields: dict[str, Any] = {
        "method": request.method,
        "path": request.path[:300],
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "who": who,
        "from": client_address(request),
    }
    length = request.META.get("CONTENT_LENGTH")
    if length and str(length).isdigit():
        fields["bytes_in"] = int(length)
    fields |= getattr(request, "oasis_log", {})
    _access.info("", extra={"fields": fields})


def note(request: HttpRequest, **fields: Any) -> None:
    """Add fields to the request's line in the log."""
    request.__dict__.setdefault("oasis_log", {}).update(fields)


def _completed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response = _as_json(request, response)
    refused = getattr(request, "oasis_refused", None)
    if refused is not None and response.status_code == 200:
        # a log-in page, shown again
        response.status_code = refused.status
        for name, value in refused.headers.items():
            response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", POLICY)
    if not request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-store")
    if _on_this_machine(request):
        # there is no wire between browser and service; programs refuse to send a secure cookie over plain http, even here
        for name in _COOKIES:
            if name in response.cookies:
                response.cookies[name]["secure"] = ""
    return response


def _as_json(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Turn Django's own pages for errors into JSON; those of the administration and of our pages stay as they are."""
    plain = response.status_code >= 400 and not response.headers.get("Content-Type", "").startswith(
        "application/json"
    )
    own = request.path.startswith(_PAGES) or getattr(response, "oasis_page", False)
    if not plain or own or settings.DEBUG:
        return response
    reasons = {
        400: "the request can't be understood",
        403: "not allowed",
        404: f"there is nothing at {request.path[:200]}",
        405: f"{request.method} is not possible here",
        413: "the request is too large",
    }
    default = "internal error; see the log of the service" if response.status_code >= 500 else "not possible"
    answer = JsonResponse({"reason": reasons.get(response.status_code, default)}, status=response.status_code)
    for name in ("Allow", "WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def _on_this_machine(request: HttpRequest) -> bool:
    if request.is_secure() or settings.OASIS_EXPOSURE.behind_proxy:
        return False
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"))
    name = request.META.get("HTTP_HOST", "").rsplit(":", 1)[0]
    return not forwarded and is_loopback(str(request.META.get("REMOTE_ADDR", ""))) and is_loopback(name)
