"""What all pages share: who may see them, the frame around them, and their errors.

Here: the decorator of every page, `render_page`, and the list of pages that people find in the head of each. Not here: what a page shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import is_valid_path

from oasis_pipeline.service.access import SCHEMES, asking
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.roles import allowed
from oasis_pipeline.service.rows import storage_error
from oasis_pipeline.storage.errors import StorageError

THEME_COOKIE = "theme"
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Entry:
    """A page that the head of every page names.

    Attributes
    ----------
    path : str
    title : str
    resource : str
        Key of `roles.MATRIX`: whoever may not read it is not shown the way.
    """

    path: str
    title: str
    resource: str


NAVIGATION = (
    Entry("/", "Field", "tables"),
    Entry("/alarms", "Alarms", "tables"),
    Entry("/label", "Label", "dynalabel"),
    Entry("/analysis", "Analysis", "tables"),
    Entry("/sensors", "Sensors", "rawdata"),
    Entry("/models", "Models", "tables"),
    Entry("/alerts", "Alerts", "tables"),
)
"""In the order in which they stand; one that has no view is left out."""


class PageError(Exception):
    """A page that can't be shown; the reason says what to do.

    Parameters
    ----------
    status : int
        Of http.
    title, reason : str
        A few words, and a sentence or two.
    """

    def __init__(self, status: int, title: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.title, self.reason = status, title, reason


View = Callable[..., HttpResponseBase]


def page(resource: str) -> Callable[[View], View]:
    """Make a view a page: a log-in first, then the role, and errors in words.

    Parameters
    ----------
    resource : str
        Key of `roles.MATRIX`; the method of the request is looked up in it, so that a page may do what the API may.

    Returns
    -------
    callable
        A decorator. Inside of the view ``access.asking`` tells who asks. A view may raise `PageError`, `ApiError` and `StorageError`.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
            try:
                principal = next(filter(None, (scheme(request) for scheme in SCHEMES)), None)
                if principal is None:
                    return _log_in(request)
                request.auth = principal
                if not allowed(principal.roles, resource, request.method or "GET"):
                    raise PageError(
                        403, "Not for your role", principal.may_not(request.method or "GET", request.path)
                    )
                return view(request, *arguments, **named)
            except PageError as error:
                return render_error(request, error)
            except ApiError as error:
                return render_error(request, _in_words(error), error.headers)
            except StorageError as error:
                known = storage_error(error)
                return render_error(request, _in_words(known), known.headers)

        return guarded

    return decorate


def _log_in(request: HttpRequest) -> HttpResponse:
    if "HX-Request" in request.headers:
        # part of a page: the whole of it goes to the log-in
        current = request.headers.get("HX-Current-URL", "")
        path = "/" + current.split("/", 3)[3] if current.count("/") > 2 else "/"
        return _page(HttpResponse(status=401, headers={"HX-Redirect": _login(path)}))
    return HttpResponseRedirect(_login(request.get_full_path()))


def _login(then: str) -> str:
    return f"/login/?{urlencode({'next': then})}"


def _page(answer: HttpResponse) -> HttpResponse:
    """Mark an answer for the middleware, which makes JSON of errors that are no page."""
    answer.oasis_page = True
    return answer


def _in_words(error: ApiError) -> PageError:
    titles = {400: "That can't be shown", 403: "Not allowed", 429: "Too many requests", 503: "Not now"}
    return PageError(error.status, titles.get(error.status, "That did not work"), error.reason)


def render_error(
    request: HttpRequest, error: PageError, headers: dict[str, str] | None = None
) -> HttpResponse:
    """Show why a page can't be shown."""
    context = {"title": error.title, "reason": error.reason}
    answer = render_page(request, "pages/error.html", context, error.status)
    for name, value in (headers or {}).items():
        answer.headers[name] = value
    return answer


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render a template inside of the frame that all pages share.

    Parameters
    ----------
    request : HttpRequest
        Of a view under `page`.
    template : str
        Such as ``pages/field.html``, which extends ``pages/base.html``.
    context : dict
        The template's variables; the frame adds ``who`` (the principal, if known), ``navigation``, ``here`` (path of the entry that the page belongs
        to) and ``theme``.
    status : int
        Of http.

    Returns
    -------
    HttpResponse
    """
    theme = request.COOKIES.get(THEME_COOKIE, "")
    who = asking(request) if hasattr(request, "auth") else None
    entries = [
        entry
        for entry in NAVIGATION
        if who is not None and allowed(who.roles, entry.resource, "GET") and is_valid_path(entry.path)
    ]
    frame = {
        "who": who,
        "navigation": entries,
        "here": next((e.path for e in entries if e.path == request.path), ""),
        "theme": theme if theme in THEMES else "auto",
        "may_administer": who is not None and who.is_admin,
    }
    return _page(render(request, template, {**frame, **context}, status=status))
