"""``oasis createsuperuser``: the data service's first administrator.

Here: Django's own command on the platform's database. Not here: further users, who are made in the administration site.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from oasis_pipeline.commands.common import home_option, settings_of


class SuperuserError(RuntimeError):
    """The user could not be made; the message says why."""


@click.command()
@home_option
@click.option("--username", default=None, help="Name to log in with.")
@click.option("--email", default=None, help="Address.")
@click.option(
    "--noinput",
    "--no-input",
    is_flag=True,
    help="Do not ask: take DJANGO_SUPERUSER_USERNAME, DJANGO_SUPERUSER_EMAIL and DJANGO_SUPERUSER_PASSWORD.",
)
def createsuperuser(home: Path | None, username: str | None, email: str | None, noinput: bool) -> None:
    """Create an administrator of the data service."""
    if noinput and not os.environ.get("DJANGO_SUPERUSER_PASSWORD"):
        raise SuperuserError(
            "--noinput needs DJANGO_SUPERUSER_PASSWORD: an administrator without a password can't log in"
        )
    if not noinput and not sys.stdin.isatty():
        raise SuperuserError(
            "there is no terminal to ask for name and password, and no user was created: use --noinput and set DJANGO_SUPERUSER_USERNAME,"
            " DJANGO_SUPERUSER_EMAIL and DJANGO_SUPERUSER_PASSWORD in the environment"
        )
    from oasis_pipeline.service.server import prepare
    from oasis_pipeline.storage.installation import using_warehouse
    from oasis_pipeline.storage.server import as_service

    settings = as_service(settings_of(home))
    with using_warehouse(settings) as warehouse:
        prepare(settings, warehouse, "127.0.0.1")
        from django.contrib.auth.models import User
        from django.core.management import CommandError, call_command

        try:
            before = User.objects.filter(is_superuser=True).count()
            call_command(
                "createsuperuser", interactive=not noinput, username=username, email=email, verbosity=0
            )
            if User.objects.filter(is_superuser=True).count() <= before:
                raise SuperuserError("no user was created")
        except SystemExit:
            # Django's way to end when somebody presses Ctrl-C; it has said so
            raise click.Abort from None
        except CommandError as error:
            raise SuperuserError(" ".join(str(error).split())) from None
        finally:
            from django.db import connections

            connections.close_all()
    click.echo(
        "administrator made: log in at the data service, http://127.0.0.1:8000 while `oasis up` runs; more users at /admin/"
    )
