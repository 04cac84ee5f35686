"""``oasis dsn``: where the database listens."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, settings_of
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.installation import require_installation


class ReaderError(RuntimeError):
    """Nobody can be let in for reading as things stand; the message says what to change."""


@click.command()
@home_option
@json_option
@click.option(
    "--reader",
    is_flag=True,
    help="The address for dashboards: read-only, by TCP; see OASIS_EMBEDDED_TCP.",
)
def dsn(home: Path | None, as_json: bool, reader: bool) -> None:
    """Print the PostgreSQL address in use, never with a password.

    Starts the embedded server if it is not running; psql "$(oasis dsn)" connects.
    """
    settings = settings_of(home)
    require_installation(settings)
    from oasis_pipeline.storage.installation import open_warehouse, reader_address

    address = open_warehouse(settings).address
    at = reader_address(settings)
    if reader:
        address = at or _refuse(settings)
    if as_json:
        found = {"dsn": address.public(), "embedded": settings.embedded}
        if at is not None:
            found |= {"reader": at.public(), "reader_password_file": settings.reader_password_file}
        print_json(found)
    else:
        click.echo(address.public())


def _refuse(settings: Settings) -> NoReturn:
    if not settings.embedded:
        raise ReaderError(
            "--reader works with the embedded server only: connect to your own server as oasis_reader, at its usual address"
            " (`oasis roles` makes that role)"
        )
    if settings.embedded_tcp is None:
        raise ReaderError(
            "the embedded server listens on its socket only: set OASIS_EMBEDDED_TCP=127.0.0.1:5433 in the environment or in"
            f" {settings.home / '.env'}, run `oasis down`, then this command again"
        )
    raise ReaderError(
        "the embedded server was started without OASIS_EMBEDDED_TCP: run `oasis down` (and close what uses it), then this command again"
    )
