"""Around the pages: readiness, log-in, who may see Dagster's pages, and errors.

Here: small views. Not here: whether the process lives (``posting``), errors of a page (``shared``), the administration site (``admin``) and the API's
documentation, which ninja renders.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.views import LoginView
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse

from oasis_pipeline.service.dagster_pages import fault_of, user_who_asks
from oasis_pipeline.service.login import LoginForm
from oasis_pipeline.service.pages.shared import THEME_COOKIE, THEMES, PageError, render_error
from oasis_pipeline.service.rows import LATER, NO_DATABASE
from oasis_pipeline.service.warehouse import warehouse
from oasis_pipeline.storage.errors import StorageError, is_passing


def ready(request: HttpRequest) -> HttpResponse:
    """Answer whether requests can be served: 200, or 503 with the reason."""
    try:
        warehouse().query("SELECT 1 FROM django.service_token LIMIT 1")
    except StorageError as error:
        state = (
            "the service's tables are missing"
            if error.sqlstate in ("42P01", "3F000")
            else "the database does not answer"
        )
        return JsonResponse({"status": "not ready", "reason": state}, status=503, headers=LATER)
    return JsonResponse({"status": "ready"})


def may_use_dagster(request: HttpRequest) -> HttpResponse:
    """Answer a proxy that asks before each request for Dagster's pages: 200 lets it through, anything else goes to whoever asked.

    The request is that of the browser, but for method and address, which stand in ``X-Forwarded-Method`` and ``X-Forwarded-Uri``.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    method, asked = headers.get("x-forwarded-method", "GET"), headers.get("x-forwarded-uri", "")
    fault = fault_of(method, asked.partition("?")[0], headers)
    if fault is not None:
        return JsonResponse({"reason": fault[1]}, status=fault[0])
    status, reason, more = user_who_asks(headers, str(request.META.get("REMOTE_ADDR", "")))
    if status == 200:
        return HttpResponse()
    if "text/html" not in headers.get("accept", ""):
        return JsonResponse({"reason": reason}, status=status, headers=more)
    if status == 401 and "authorization" not in headers:
        return HttpResponseRedirect(f"/login/?{urlencode({'next': asked or '/'})}")
    return render_error(request, PageError(status, "Not allowed", reason))


class Login(LoginView):
    """Log-in page for everybody; the administration's own is for its staff."""

    template_name = "pages/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def get_context_data(self, **named: Any) -> dict[str, Any]:
        """Add the colours that the visitor has chosen."""
        theme = self.request.COOKIES.get(THEME_COOKIE, "")
        context: dict[str, Any] = super().get_context_data(**named)
        return {**context, "theme": theme if theme in THEMES else THEMES[0]}


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without its token."""
    return JsonResponse(
        {"reason": "the request lacks the CSRF token of its session: load the page again, and allow cookies"},
        status=403,
    )


def _failure(status: int, reason: str, title: str = "That did not work") -> Any:
    def answer(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        # people get words on a page, programs JSON
        if "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/"):
            return render_error(request, PageError(status, title, reason))
        return JsonResponse({"reason": reason}, status=status)

    return answer


bad_request = _failure(400, "the request can't be understood; check the Host header and the parameters")
forbidden = _failure(403, "not allowed")
not_found = _failure(404, "there is nothing here; /api/docs lists what there is", "Nothing here")
_failed = _failure(500, "internal error; see the log of the service")


def failed(request: HttpRequest) -> HttpResponse:
    """Answer that something went wrong: for a while, where it was the database that went."""
    error = sys.exc_info()[1]
    lost = isinstance(error, (OperationalError, InterfaceError))
    if lost or (isinstance(error, StorageError) and is_passing(error)):
        return JsonResponse({"reason": NO_DATABASE}, status=503, headers=LATER)
    answer: HttpResponse = _failed(request)
    return answer
