"""The warehouse of an installation opened: made if need be, or only where it is there, for who reads.

Imports of the database driver wait until something is opened: commands that need no warehouse start without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.server import address_of

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Warehouse

__all__ = [
    "NoInstallationError",
    "existing_warehouse",
    "open_warehouse",
    "reader_address",
    "require_installation",
    "using_warehouse",
]


def reader_address(settings: Settings) -> Address | None:
    """Address at which the embedded server, as it runs now, lets the read-only role in by TCP; None if it does not.

    Parameters
    ----------
    settings : Settings
        The installation.

    Returns
    -------
    Address or None
        Without the password, which stands in ``settings.reader_password_file``.
    """
    from oasis_pipeline.storage.database_roles import READER

    listens = embedded.listens_at(settings.postgres_data) if settings.embedded else None
    return None if listens is None else Address(*listens, user=READER, db=settings.db)


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the warehouse of an installation, made or brought up to date if need be.

    Parameters
    ----------
    settings : Settings
        Without a host the embedded server in the home folder is used, and started if it does not run; it stays running
        (`using_warehouse` stops it again).

    Returns
    -------
    Warehouse

    Raises
    ------
    StorageError
        With one clear line, if the server can't be started or reached, is too old, or holds the tables of a newer release.
    """
    from oasis_pipeline.storage.database_roles import keep_reader
    from oasis_pipeline.storage.migrate import prepare
    from oasis_pipeline.storage.postgres import Warehouse

    address = address_of(settings)
    prepare(address)
    if settings.embedded and settings.embedded_tcp is not None:
        keep_reader(address, settings.reader_password_file)
    return Warehouse(address)


@contextmanager
def using_warehouse(settings: Settings, *, even_if_used: bool = False) -> Iterator[Warehouse]:
    """Open the warehouse for the length of a block; the last user stops an embedded server that was started so.

    Parameters
    ----------
    settings : Settings
        As `open_warehouse`.
    even_if_used : bool
        As in `embedded.lease`: stop it at the end although somebody else is connected.

    Yields
    ------
    Warehouse
        Closed at the end of the block.
    """
    if settings.host is not None:
        warehouse = open_warehouse(settings)
        with closing(warehouse):
            yield warehouse
        return
    with embedded.lease(settings.postgres_data, even_if_used=even_if_used, listen=settings.embedded_listen):
        warehouse = open_warehouse(settings)
        with closing(warehouse):
            yield warehouse


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
        As `using_warehouse`.

    Raises
    ------
    NoInstallationError
        If there is none.
    """
    require_installation(settings)
    with using_warehouse(settings) as warehouse:
        yield warehouse


def require_installation(settings: Settings) -> None:
    """Refuse where nobody has made an installation; see `existing_warehouse`."""
    if settings.embedded:
        there, where = (settings.postgres_data / "PG_VERSION").exists(), str(settings.home)
        other = "use --home with the folder of yours (or set OASIS_HOME)"
    else:
        from oasis_pipeline.storage.migrate import is_prepared

        address = address_of(settings)
        there, where = is_prepared(address), address.public()
        other = "correct OASIS_HOST, OASIS_PORT and OASIS_DB"
    if not there:
        raise NoInstallationError(
            f"there is no installation in {where}: {other}, or make one there with `oasis run`, `oasis up` or `oasis demo`"
        )
