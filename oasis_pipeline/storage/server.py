"""Which server an installation has: the one that is configured, or the embedded one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address

if TYPE_CHECKING:
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
    if settings.embedded or settings.service_password is None:
        return settings
    from oasis_pipeline.storage.database_roles import SERVICE

    return settings.model_copy(update={"user": SERVICE, "password": settings.service_password})
