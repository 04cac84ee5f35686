"""Django's settings, made from the platform's.

Here: `configure`, called once a process before anything of Django is used. There is no settings module to be imported by
accident: nothing is read and nothing connects at import time. Production is the default and the only mode but one:
``DEBUG`` needs ``OASIS_DEBUG=1`` and a loopback address.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oasis_pipeline.service import limits
from oasis_pipeline.service.secret import secret_key
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.address import Address

DJANGO_SCHEMA = "django"
"""Schema of Django's own tables: users, groups, sessions, tokens."""

_PAGES = Path(__file__).parent / "pages"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
VARIABLES = {
    "OASIS_ALLOWED_HOSTS": "Names by which the service may be called, separated by commas; default: the address that it listens on",
    "OASIS_CORS_ORIGINS": "Origins of web pages elsewhere whose scripts may read the API, separated by commas; `*` for all",
    "OASIS_TRUST_PROXY": "`1`: a proxy is in front, whose `X-Forwarded-*` are believed; nobody else may reach the service",
    "OASIS_DEBUG": "`1`: pages of errors with source code, for developers; refused where others reach the service",
}
"""Variables that `Exposure.from_environment` reads, and what they mean."""


class ConfigurationError(RuntimeError):
    """The service can't be configured so; the message says what to change."""


@dataclass(frozen=True)
class Exposure:
    """How the service is reached.

    Attributes
    ----------
    host : str
        Address that it listens on.
    debug : bool
        Django's error pages with source code, for developers.
    behind_proxy : bool
        Whether X-Forwarded-Proto and X-Forwarded-For are believed, because only a proxy can reach the service.
    allowed_hosts : tuple of str
        Names by which it may be called; empty = by the address it listens on.
    origins : tuple of str
        Origins of web pages elsewhere whose scripts may read answers of the API; ``*`` = any. They need a token or a password of their
        own: a session's cookie is not sent along.
    """

    host: str = "127.0.0.1"
    debug: bool = False
    behind_proxy: bool = False
    allowed_hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, host: str) -> Exposure:
        """Read ``OASIS_DEBUG``, ``OASIS_TRUST_PROXY``, ``OASIS_ALLOWED_HOSTS`` and ``OASIS_CORS_ORIGINS``.

        Raises
        ------
        ConfigurationError
            If debugging is asked for on an address that others can reach, or an origin is none.
        """
        debug = _flag("OASIS_DEBUG")
        if debug and not is_loopback(host):
            raise ConfigurationError(
                f"OASIS_DEBUG shows source code and settings to whoever causes an error: not on {host}, only on 127.0.0.1"
            )
        origins = _names("OASIS_CORS_ORIGINS")
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/?#@\s*]+", origin):
                raise ConfigurationError(
                    f"OASIS_CORS_ORIGINS: {origin} is not an origin like https://dashboard.example:8443, without a path"
                )
        return cls(host, debug, _flag("OASIS_TRUST_PROXY"), _names("OASIS_ALLOWED_HOSTS"), origins)

    @property
    def hosts(self) -> list[str]:
        """Django's ALLOWED_HOSTS.

        On a loopback address only its names are taken, so that no page elsewhere can make a browser talk to it under
        another name. Whoever opens the service to others calls it by names that it can't know; every page asks for a log-in.
        """
        if self.allowed_hosts:
            own = [] if self.host in ("", "0.0.0.0", "::") else [self.host]  # noqa: S104 - compared, not listened on
            return [*self.allowed_hosts, *own, *LOOPBACK_NAMES]
        return list(LOOPBACK_NAMES) if is_loopback(self.host) else ["*"]


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _names(variable: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in os.environ.get(variable, "").split(",") if name.strip())


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")


def configure(settings: Settings, address: Address, exposure: Exposure) -> None:
    """Configure Django in this process; a second call in the same process does nothing.

    Parameters
    ----------
    settings : Settings
        The installation.
    address : Address
        Its database.
    exposure : Exposure
        How the service is reached.
    """
    import django
    from django.conf import settings as django_settings

    if django_settings.configured:
        return
    django_settings.configure(**django_configuration(settings, address, exposure))
    django.setup()


def django_configuration(settings: Settings, address: Address, exposure: Exposure) -> dict[str, Any]:
    """Django's settings as a dictionary; see `configure`."""
    contrib = "django.contrib"
    elsewhere = bool(exposure.origins)
    return {
        "DEBUG": exposure.debug,
        "SECRET_KEY": secret_key(settings),
        "ALLOWED_HOSTS": exposure.hosts,
        "INSTALLED_APPS": [
            f"{contrib}.admin",
            f"{contrib}.auth",
            f"{contrib}.contenttypes",
            f"{contrib}.sessions",
            f"{contrib}.messages",
            f"{contrib}.staticfiles",
            *(["corsheaders"] if elsewhere else []),
            "ninja",  # its pages of documentation come with their own scripts, from nowhere else
            "oasis_pipeline.service.apps.ServiceConfig",
        ],
        "MIDDLEWARE": [
            "oasis_pipeline.service.middleware.access_log",
            *(["corsheaders.middleware.CorsMiddleware"] if elsewhere else []),
            "django.middleware.security.SecurityMiddleware",
            "whitenoise.middleware.WhiteNoiseMiddleware",
            f"{contrib}.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            f"{contrib}.auth.middleware.AuthenticationMiddleware",
            f"{contrib}.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "ROOT_URLCONF": "oasis_pipeline.service.urls",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "DIRS": [_PAGES / "templates"],
                "OPTIONS": {
                    "builtins": ["oasis_pipeline.service.pages.tags"],
                    "context_processors": [
                        "django.template.context_processors.request",
                        f"{contrib}.auth.context_processors.auth",
                        f"{contrib}.messages.context_processors.messages",
                    ],
                },
            }
        ],
        "DATABASES": {"default": _database(address)},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "AUTHENTICATION_BACKENDS": ["oasis_pipeline.service.login.PatientBackend"],
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"{contrib}.auth.password_validation.{name}"}
            for name in (
                "UserAttributeSimilarityValidator",
                "MinimumLengthValidator",
                "CommonPasswordValidator",
                "NumericPasswordValidator",
            )
        ],
        "LOGIN_URL": "/login/",
        "LOGIN_REDIRECT_URL": "/",
        "LOGOUT_REDIRECT_URL": "/login/",
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_AGE": limits.PASS_SECONDS,
        "CSRF_COOKIE_SECURE": True,
        "CSRF_COOKIE_SAMESITE": "Lax",
        "CSRF_FAILURE_VIEW": "oasis_pipeline.service.pages.entry.csrf_failure",
        "SECURE_CONTENT_TYPE_NOSNIFF": True,
        "SECURE_REFERRER_POLICY": "same-origin",
        "SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin",
        # sent over https only
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https") if exposure.behind_proxy else None,
        "X_FRAME_OPTIONS": "DENY",
        "CORS_URLS_REGEX": r"^/api/",
        "CORS_ALLOW_ALL_ORIGINS": "*" in exposure.origins,
        "CORS_ALLOWED_ORIGINS": [origin for origin in exposure.origins if origin != "*"],
        "CORS_ALLOW_CREDENTIALS": False,
        "CORS_ALLOW_HEADERS": ["accept", "authorization", "content-encoding", "content-type", "prefer"],
        "CORS_EXPOSE_HEADERS": ["link", "preference-applied", "retry-after", "x-next-cursor"],
        "DATA_UPLOAD_MAX_MEMORY_SIZE": limits.MAX_BODY_BYTES,
        "DATA_UPLOAD_MAX_NUMBER_FIELDS": 2000,
        "STATIC_URL": "/static/",
        "STATICFILES_DIRS": [_PAGES / "static"],
        # straight out of the packages, so that there is no step of collecting them
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": False,
        "STORAGES": {
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        "LANGUAGE_CODE": "en-us",
        "USE_I18N": False,
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        "LOGGING": _logging(),
        "OASIS_SETTINGS": settings,
        "OASIS_ADDRESS": address,
        "OASIS_EXPOSURE": exposure,
    }


def _database(address: Address) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address.db,
        "USER": address.user,
        "PASSWORD": address.password or "",
        "HOST": address.host,
        "PORT": str(address.port),
        "OPTIONS": {
            "options": f"-c search_path={DJANGO_SCHEMA}",
            "connect_timeout": 15,
            "application_name": f"oasis-{os.getpid()}",
        },
    }


def _logging() -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "oasis_pipeline.service.logs.JsonLines"}},
        "handlers": {
            "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
        },
        "loggers": {
            "oasis": {"handlers": ["out"], "level": "INFO", "propagate": False},
            "django": {"handlers": ["out"], "level": "WARNING", "propagate": False},
            # each is a line of the access log already
            "django.request": {"handlers": ["out"], "level": "ERROR", "propagate": False},
            "uvicorn": {"handlers": ["out"], "level": "WARNING", "propagate": False},
            "django.security": {"handlers": ["out"], "level": "WARNING", "propagate": False},
        },
    }
