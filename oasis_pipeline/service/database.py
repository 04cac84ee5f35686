"""Django's own tables: made and brought up to date, with the groups of the roles.

Here: what has to be in the database before the service starts. Not here: the contract's tables (``storage.migrate``).
"""

from __future__ import annotations

from contextlib import closing

import psycopg2

from oasis_pipeline.service.config import DJANGO_SCHEMA
from oasis_pipeline.service.roles import ADMIN, ROLES
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.errors import StorageError, one_line

_LOCK = "SELECT pg_advisory_lock(hashtextextended('oasis:django-migrate', 0))"


def prepare_database(address: Address) -> None:
    """Make Django's tables and the roles' groups, or bring them to this release; Django has to be configured.

    Parameters
    ----------
    address : Address
        The platform's database, its own tables made already.

    Raises
    ------
    StorageError
        If the role may not make a schema, or the server does not answer.
    """
    from django.core.management import call_command
    from django.db import connections

    try:
        with closing(psycopg2.connect(address.uri(), connect_timeout=15)) as lock, lock.cursor() as cursor:
            lock.autocommit = True
            # two services that start at once migrate once
            cursor.execute(_LOCK)
            cursor.execute("SELECT to_regnamespace(%s) IS NULL", (DJANGO_SCHEMA,))
            # IF NOT EXISTS would ask for the right to make one where it exists
            if cursor.fetchone() == (True,):
                cursor.execute(f"CREATE SCHEMA {DJANGO_SCHEMA}")
            call_command("migrate", verbosity=0, interactive=False)
            _make_roles()
    except psycopg2.Error as error:
        raise StorageError(
            f"can't prepare the service's tables in {address.public()}: {one_line(error, secret=address.password)}",
            sqlstate=error.pgcode,
        ) from None
    finally:
        connections.close_all()


def _make_roles() -> None:
    """Make the four groups. Members of admin that are staff may use the whole administration site."""
    from django.contrib.auth.models import Group, Permission

    for name in ROLES:
        group, _ = Group.objects.get_or_create(name=name)
        if name == ADMIN:
            group.permissions.add(*Permission.objects.filter(content_type__app_label__in=("auth", "service")))
