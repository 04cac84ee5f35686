"""``oasis roles``: roles of the database with no more rights than each part needs.

Here: what is made, in which order. Not here: which rights those are (``storage.database_roles``).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of

_FOR = {
    "oasis_service": "the data service: reads everything of the field, writes what people and devices send",
    "oasis_dagster": "Dagster's pages and daemon: read and write its runs, and see who may log in",
    "oasis_reader": "dashboards: read everything of the field, write nothing",
}


class RolesError(RuntimeError):
    """There are no roles to be made here; the message says why."""


@click.command()
@home_option
@json_option
def roles(home: Path | None, as_json: bool) -> None:
    """Make the database roles of a PostgreSQL of one's own, and all tables; again after each upgrade.

    The platform's role (OASIS_USER, OASIS_PASS) owns the tables. OASIS_SERVICE_PASS, OASIS_DAGSTER_PASS and OASIS_READER_PASS are the
    passwords that oasis_service, oasis_dagster and oasis_reader shall have; a role without one keeps its password. With OASIS_ADMIN_USER and OASIS_ADMIN_PASS the
    platform's role and database are made too.
    """
    from oasis_pipeline.service.server import prepare as prepare_service
    from oasis_pipeline.storage.database_roles import DAGSTER, READER, SERVICE, make_owner, make_role
    from oasis_pipeline.storage.installation import using_warehouse
    from oasis_pipeline.storage.server import address_of

    settings = settings_of(home)
    if settings.embedded:
        raise RolesError(
            f"the embedded server of {settings.home} admits its owner alone, and makes the read-only role by itself: set"
            " OASIS_EMBEDDED_TCP=127.0.0.1:5433"
            " for dashboards. Roles are for a PostgreSQL of your own (OASIS_HOST)"
        )
    owner = maker = address_of(settings)
    if settings.admin_user is not None:
        secret = settings.admin_password
        given = None if secret is None else secret.get_secret_value()
        maker = replace(owner, user=settings.admin_user, password=given, db="postgres")
        make_owner(maker, owner)
    with using_warehouse(settings) as warehouse:
        prepare_service(settings, warehouse, "127.0.0.1")
    rows = [{"role": owner.user, "made": True, "for": "the platform: owns all tables, Dagster's too"}]
    passwords = {
        SERVICE: settings.service_password,
        DAGSTER: settings.dagster_password,
        READER: settings.reader_password,
    }
    for name, password in passwords.items():
        made = make_role(maker, owner, name, None if password is None else password.get_secret_value())
        rows.append({"role": name, "made": made, "for": _FOR[name]})
    if as_json:
        print_json(rows)
        return
    variables = {
        SERVICE: "OASIS_SERVICE_PASS",
        DAGSTER: "OASIS_DAGSTER_PASS",
        READER: "OASIS_READER_PASS",
    }
    print_table(
        f"Roles in {owner.public()}",
        ["role", "for"],
        [
            [
                str(row["role"]),
                str(row["for"])
                if row["made"]
                else f"not there: set {variables[str(row['role'])]} to make it",
            ]
            for row in rows
        ],
    )
