"""Whether an installation is there, for who only reads: reading never makes one.

Imports of the database driver wait until something is opened: commands that need no warehouse start without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oasis_pipeline.settings import Settings

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Warehouse

__all__ = ["NoInstallationError", "existing_warehouse", "require_installation"]


class NoInstallationError(RuntimeError):
    """There is nothing to read; the message says where was looked, and what makes an installation."""


@contextmanager
def existing_warehouse(settings: Settings) -> Iterator[Warehouse]:
    """Open the warehouse of an installation that is there, for commands that only read: they never make one.

    Parameters
    ----------
    settings : Settings

    Yields
    ------
    Warehouse
        As `storage.postgres.using_warehouse`.

    Raises
    ------
    NoInstallationError
        If there is none.
    """
    require_installation(settings)
    from oasis_pipeline.storage.postgres import using_warehouse

    with using_warehouse(settings) as warehouse:
        yield warehouse


def require_installation(settings: Settings) -> None:
    """Refuse where nobody has made an installation; see `existing_warehouse`."""
    if settings.embedded:
        there, where = (settings.postgres_data / "PG_VERSION").exists(), str(settings.home)
        other = "use --home with the folder of yours (or set OASIS_HOME)"
    else:
        from oasis_pipeline.storage.migrate import is_prepared
        from oasis_pipeline.storage.postgres import address_of

        address = address_of(settings)
        there, where = is_prepared(address), address.public()
        other = "correct OASIS_HOST, OASIS_PORT and OASIS_DB"
    if not there:
        raise NoInstallationError(
            f"there is no installation in {where}: {other}, or make one there with `oasis run`, `oasis up` or `oasis demo`"
        )
