"""Names and secrets, slowly: who has guessed wrong too often has to wait.

Here: the count of failed log-ins, the same for the log-in pages, HTTP Basic and bearer tokens. Not here: sessions and tokens.

Wrong secrets are counted three times: from one address under one name, under one name from everywhere, and from one address under
all names. Where somebody has logged in under a name within the last month, only the first counts: a stranger who guesses a name
everywhere, or all names from behind the same router, does not keep its owner out. A secret is counted as wrong before it is looked
at, and taken back when it was right, so that many at once are no way around.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.throttle import Known, MinuteCount, network_of
from oasis_pipeline.service.warehouse import installation

_T = TypeVar("_T")


def client_address(request: HttpRequest) -> str:
    """Address that a request comes from; a trusted proxy's word counts."""
    if settings.OASIS_EXPOSURE.behind_proxy:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", 1)[-1].strip()
        if forwarded:
            return str(forwarded)
    return str(request.META.get("REMOTE_ADDR", ""))


class Patience:
    """Failed log-ins of an installation, in its folder ``service``; `patience` has the one of this process."""

    def __init__(self) -> None:
        folder = installation().home / "service"
        self._pair = MinuteCount(folder / "failed_here", limits.FAILED_LOGINS_PER_MINUTE)
        self._name = MinuteCount(folder / "failed_names", limits.FAILED_LOGINS_OF_NAME)
        self._address = MinuteCount(folder / "failed_addresses", limits.FAILED_LOGINS_OF_ADDRESS)
        self._known = Known(folder / "known", limits.KNOWN_SECONDS)

    def fail(self, kind: str, address: str, name: str, now: float) -> float:
        """Count a log-in that failed, or may be about to.

        Parameters
        ----------
        kind : str
            ``password`` or ``token``; each is counted for itself.
        address, name : str
        now : float
            Seconds since 1970.

        Returns
        -------
        float
            0 if it was counted, else the seconds to wait until one may be judged.
        """
        counted: list[tuple[MinuteCount, str]] = []
        network = network_of(address)
        counts = self._counts(kind, network, name)
        if self._known.has(counts[0][1], now):
            counts = counts[:1]
        for count, who in counts:
            wait = count.add(who, now)
            if wait:
                # what is refused is not judged, and counts nowhere
                for before, of in counted:
                    before.take_back(of, now)
                return wait
            counted.append((count, who))
        return 0.0

    def succeed(self, kind: str, address: str, name: str, counted: float | None = None) -> None:
        """Know where somebody logs in; take back what `fail` counted at that moment."""
        if counted is not None:
            self.take_back(kind, address, name, counted)
        self._known.note(self._counts(kind, network_of(address), name)[0][1], time.time())

    def take_back(self, kind: str, address: str, name: str, counted: float) -> None:
        """Forget what `fail` counted: no secret was judged, or it was right."""
        for count, who in self._counts(kind, network_of(address), name):
            count.take_back(who, counted)

    def wait(self, kind: str, address: str, name: str) -> float:
        """Seconds for which this name is refused from this address, whatever the secret."""
        count, who = self._counts(kind, network_of(address), name)[0]
        return count.wait(who, time.time())

    def _counts(self, kind: str, network: str, name: str) -> list[tuple[MinuteCount, str]]:
        name = name.casefold()
        return [
            (self._pair, f"{kind} {network} {name}"),
            (self._name, f"{kind} {name}"),
            (self._address, f"{kind} {network}"),
        ]

    def close(self) -> None:
        """Let go of the files."""
        for part in (self._pair, self._name, self._address, self._known):
            part.close()


@lru_cache(maxsize=1)
def patience() -> Patience:
    """Failed log-ins of this installation."""
    return Patience()


def too_often(wait: float) -> ApiError:
    """The answer to who has to wait."""
    seconds = int(wait) + 1
    return ApiError(429, f"too many failed log-ins: wait {seconds} s", headers={"Retry-After": str(seconds)})


def judged(request: HttpRequest, username: str, check: Callable[[], _T | None]) -> _T | None:
    """Check a password, if there were not too many wrong ones.

    Parameters
    ----------
    request : HttpRequest
        For the address that it comes from.
    username : str
    check : callable
        Answers None if the password is wrong.

    Returns
    -------
    What `check` answered

    Raises
    ------
    ApiError
        429; then nothing is checked.
    """
    address, now = client_address(request), time.time()
    wait = patience().fail("password", address, username, now)
    if wait:
        raise too_often(wait)
    try:
        found = check()
    except BaseException:
        patience().take_back("password", address, username, now)
        raise
    if found is not None:
        patience().succeed("password", address, username, now)
    return found


class PatientBackend(ModelBackend):
    """Django's users, with patience."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Check name and password for a log-in page."""

        def check() -> Any:
            return ModelBackend.authenticate(self, request, username, password, **kwargs)

        if request is None or username is None:
            return check()
        try:
            return judged(request, username, check)
        except ApiError as error:
            # for the form, which says so, and for the status of its page
            request.oasis_refused = error
            raise PermissionDenied(error.reason) from None


class _SaysWhy:
    """A log-in form that says when somebody has to wait, instead of that the password is wrong."""

    request: Any

    def get_invalid_login_error(self) -> forms.ValidationError:
        """Say why nobody was logged in."""
        refused = getattr(self.request, "oasis_refused", None)
        if refused is not None:
            return forms.ValidationError(refused.reason, code="too_often")
        found: forms.ValidationError = super().get_invalid_login_error()  # type: ignore[misc]
        return found


class LoginForm(_SaysWhy, AuthenticationForm):
    """The form of the log-in page."""


class AdminLoginForm(_SaysWhy, AdminAuthenticationForm):
    """The form of the administration's own log-in page."""
