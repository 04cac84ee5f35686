"""Names and passwords, slowly: who has guessed wrong too often has to wait.

Here: the count of failed log-ins, for the log-in pages and for HTTP Basic alike. Not here: sessions and tokens.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.warehouse import throttle

# a bucket's burst is a sixth of a minute's allowance
_ALLOWANCE = limits.FAILED_LOGINS_PER_MINUTE * 6
_FOR_ALL_NAMES = 10 * _ALLOWANCE


def client_address(request: HttpRequest) -> str:
    """Address that a request comes from; a trusted proxy's word counts."""
    if settings.OASIS_EXPOSURE.behind_proxy:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", 1)[-1].strip()
        if forwarded:
            return str(forwarded)
    return str(request.META.get("REMOTE_ADDR", ""))


def _buckets(address: str, username: str) -> list[tuple[str, int]]:
    return [(f"login {address} {username.casefold()}", _ALLOWANCE), (f"login {address}", _FOR_ALL_NAMES)]


def require_patience(address: str, username: str) -> None:
    """Refuse a log-in after too many that failed.

    Raises
    ------
    ApiError
        429.
    """
    wait = max(throttle().take(who, per_minute, cost=0.0) for who, per_minute in _buckets(address, username))
    if wait:
        raise ApiError(429, "too many failed log-ins: wait", headers={"Retry-After": str(int(wait) + 1)})


def failed_login(address: str, username: str) -> None:
    """Count a log-in that failed."""
    for who, per_minute in _buckets(address, username):
        throttle().take(who, per_minute)


class ThrottledBackend(ModelBackend):
    """Django's users, with patience."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Check name and password for a log-in page."""
        if request is None or username is None:
            return super().authenticate(request, username, password, **kwargs)
        address = client_address(request)
        try:
            require_patience(address, username)
        except ApiError as error:
            raise PermissionDenied(error.reason) from None
        found = super().authenticate(request, username, password, **kwargs)
        if found is None:
            failed_login(address, username)
        return found
