"""Which server an installation has: the one that is configured, or the embedded one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address

if TYPE_CHECKING:
    from pydantic import SecretStr

    from oasis_pipeline.settings import Settings


def address_of(settings: Settings) -> Address:
    """Address of the database of an installation; starts the embedded server if that is the one and it does not run."""
    if settings.host is None:
        return replace(
            embedded.start(settings.postgres_data, listen=settings.embedded_listen), db=settings.db
        )
    password = settings.password.get_secret_value() if settings.password is not None else None
    return Address(settings.host, settings.port, settings.user or "postgres", settings.db, password)


def as_service(settings: Settings) -> Settings:
    """The same installation as the data service reaches it: by a role of its own, where that has a password."""
    from oasis_pipeline.storage.database_roles import SERVICE

    return _as_role(settings, SERVICE, settings.service_password)


def as_dagster(settings: Settings) -> Settings:
    """The same installation as Dagster's pages and daemon reach it, which run nothing by themselves."""
    from oasis_pipeline.storage.database_roles import DAGSTER

    return _as_role(settings, DAGSTER, settings.dagster_password)


def _as_role(settings: Settings, role: str, password: SecretStr | None) -> Settings:
    if settings.embedded or password is None:
        return settings
    return settings.model_copy(update={"user": role, "password": password})
