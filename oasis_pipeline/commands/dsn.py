"""``oasis dsn``: where the database listens."""

from __future__ import annotations

from pathlib import Path

import click

from oasis_pipeline.commands.common import (
    home_option,
    json_option,
    print_json,
    require_installation,
    settings_of,
)


@click.command()
@home_option
@json_option
def dsn(home: Path | None, as_json: bool) -> None:
    """Print the PostgreSQL address in use, never with a password.

    Starts the embedded server if it is not running; psql "$(oasis dsn)" connects.
    """
    settings = settings_of(home)
    require_installation(settings)
    from oasis_pipeline.storage.postgres import open_warehouse

    address = open_warehouse(settings).address
    if as_json:
        print_json({"dsn": address.public(), "embedded": settings.embedded})
    else:
        click.echo(address.public())
