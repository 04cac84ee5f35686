"""Roles of the database that may do less than the platform: the data service's, Dagster's, and that of dashboards.

Here: making the roles, their rights and passwords, again and again without harm. Not here: which tables there are (``schema``),
where the server listens (``embedded``), and the users of the data service (``service.roles``).

The platform's own role owns the tables and all that Dagster keeps; it need not be able to make roles or databases. Rights to read are
given schema by schema, by `ALTER DEFAULT PRIVILEGES` also for what comes later: partitions of readings, and dbt's views, which are
made anew in every pass. Rights to write are given table by table.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import encrypt_password

from oasis_pipeline.home import write_private
from oasis_pipeline.schema import TABLES, quote
from oasis_pipeline.storage.errors import StorageError, one_line

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class

    from oasis_pipeline.storage.address import Address

READER = "oasis_reader"
SERVICE = "oasis_service"
DAGSTER = "oasis_dagster"
SCHEMAS = tuple(sorted({table.schema for table in TABLES}))
"""What reader and service may read; ``dagster`` (runs) and ``django`` (users, sessions, tokens) only the service."""

_PEOPLE = "django"
_LOG_INS = (
    "auth_user",
    "auth_group",
    "auth_user_groups",
    "service_profile",
    "service_token",
    "django_session",
)
_ADDING_DAYS = ", ".join(
    f"{quote(table.schema)}.{quote(f'add_{table.name}_day')}(date)"
    for table in TABLES
    if table.partition_by_day
)
_READER_SESSION = {
    # no wall, for a session may set it otherwise: the rights are
    "default_transaction_read_only": "on",
    "statement_timeout": "5min",
    # a client that forgets to end a transaction would hold up whoever makes the views anew
    "idle_in_transaction_session_timeout": "5min",
    "timezone": "UTC",
}
SERVICE_WRITES = {
    "iot.module": "INSERT, UPDATE, DELETE",
    "iot.rawdata": "INSERT, UPDATE, DELETE",
    # labels, groups of wells and decisions of people
    "clean.dynalabel": "INSERT, UPDATE, DELETE",
    "clean.dynalabel_history": "INSERT, UPDATE, DELETE",
    "analysis.well_group": "INSERT, UPDATE, DELETE",
    "clean.alarm": "INSERT, UPDATE",
    "analysis.alarm_decision": "INSERT, UPDATE",
    "analysis.opinion_request": "INSERT, UPDATE",
    # the spelling of a well that a label names first, days marked as changed, which version predicts, figures of /metrics
    "xspoc.node": "INSERT, UPDATE",
    "oasis.asset_state": "INSERT, UPDATE",
    "oasis.model": "UPDATE",
}
"""What the data service may change, besides Django's tables."""


@dataclass(frozen=True)
class _Role:
    """A role and its rights.

    Attributes
    ----------
    name : str
    reads : bool
        Whether it reads all of `SCHEMAS`.
    session : mapping of str to str
        Settings that its sessions begin with.
    rights : tuple of str
        What it is granted besides, by the owner of the tables.
    """

    name: str
    reads: bool = True
    session: Mapping[str, str] = field(default_factory=dict)
    rights: tuple[str, ...] = ()


def _roles() -> tuple[_Role, ...]:
    """The roles, under the names that stand now."""
    everything = "SELECT, INSERT, UPDATE, DELETE"
    own = f"IN SCHEMA {_PEOPLE}"
    service = (
        f"GRANT USAGE ON SCHEMA {_PEOPLE} TO {SERVICE}",
        f"GRANT {everything} ON ALL TABLES {own} TO {SERVICE}",
        f"GRANT USAGE ON ALL SEQUENCES {own} TO {SERVICE}",
        f"GRANT USAGE ON SEQUENCE oasis.tick TO {SERVICE}",
        # counts of runs, for /metrics; Dagster makes its tables later
        f"GRANT USAGE ON SCHEMA dagster TO {SERVICE}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA dagster TO {SERVICE}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA dagster GRANT SELECT ON TABLES TO {SERVICE}",
        f"GRANT EXECUTE ON FUNCTION {_ADDING_DAYS} TO {SERVICE}",
        *(f"GRANT {rights} ON {table} TO {SERVICE}" for table, rights in SERVICE_WRITES.items()),
    )
    runs = "IN SCHEMA dagster"
    dagster = (
        f"GRANT USAGE ON SCHEMA dagster, {_PEOPLE} TO {DAGSTER}",
        f"GRANT {everything} ON ALL TABLES {runs} TO {DAGSTER}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES {runs} TO {DAGSTER}",
        f"ALTER DEFAULT PRIVILEGES {runs} GRANT {everything} ON TABLES TO {DAGSTER}",
        f"ALTER DEFAULT PRIVILEGES {runs} GRANT USAGE, SELECT ON SEQUENCES TO {DAGSTER}",
        # who asks, for the log-in before Dagster's pages
        f"GRANT SELECT ON {', '.join(f'{_PEOPLE}.{name}' for name in _LOG_INS)} TO {DAGSTER}",
    )
    return (
        _Role(SERVICE, True, {"timezone": "UTC"}, service),
        _Role(DAGSTER, False, {}, dagster),
        _Role(READER, True, _READER_SESSION),
    )


def make_owner(admin: Address, owner: Address) -> None:
    """Make the platform's own role and its database where they are not, and give the role its password.

    Parameters
    ----------
    admin : Address
        The server, with a role that may make roles and databases.
    owner : Address
        The platform's database, with the role that shall own it.

    Raises
    ------
    StorageError
        If it can't be done.
    """
    name = quote(owner.user)
    with _connected(admin, f"the role {owner.user}", autocommit=True) as cursor:
        if admin.user != owner.user:
            _log_in(cursor, owner.user, owner.password, "NOSUPERUSER NOCREATEDB NOCREATEROLE")
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (owner.db,))
        if not _one(cursor):
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            if admin.user != owner.user and not _one(cursor):
                cursor.execute(f"GRANT {name} TO CURRENT_USER")
            cursor.execute(
                f"CREATE DATABASE {quote(owner.db)} OWNER {name} TEMPLATE template0 ENCODING 'UTF8'"
            )


def make_role(maker: Address, owner: Address, role: str, password: str | None) -> bool:
    """Make a role with its rights, or bring it up to date.

    Parameters
    ----------
    maker : Address
        The server, with a role that may make roles; the platform's own may be one.
    owner : Address
        The platform's database, with the role that owns its tables, which are there.
    role : str
        `SERVICE`, `DAGSTER` or `READER`.
    password : str or None
        The server gets its SCRAM verifier, not the password itself. None leaves a role's password as it is.

    Returns
    -------
    bool
        False if there is no such role and no password to make one with.

    Raises
    ------
    StorageError
        If it can't be done; the message says what an administrator can do.
    """
    (wanted,) = (each for each in _roles() if each.name == role)
    if password is not None:
        with _connected(maker, f"the role {role}") as cursor:
            _log_in(cursor, role, password)
            for name, value in wanted.session.items():
                cursor.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
    with _connected(owner, f"the role {role}") as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (role,))
        if not _one(cursor):
            return False
        database = quote(owner.db)
        # by default everybody may connect, make temporary tables and call functions
        cursor.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC")
        cursor.execute(f"REVOKE ALL ON FUNCTION {_ADDING_DAYS} FROM PUBLIC")
        temporary = ", TEMPORARY" if role == SERVICE else ""
        cursor.execute(f"GRANT CONNECT{temporary} ON DATABASE {database} TO {role}")
        for schema in SCHEMAS if wanted.reads else ():
            cursor.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
            cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
            cursor.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}")
        for right in wanted.rights:
            cursor.execute(right)
    return True


@contextmanager
def _connected(address: Address, what: str, *, autocommit: bool = False) -> Iterator[Cursor]:
    """Change roles, one process after the other: in one transaction, or with `autocommit` outside of any, as databases are made."""
    try:
        with closing(psycopg2.connect(address.uri(), connect_timeout=15)) as connection:
            connection.autocommit = autocommit
            with connection.cursor() as cursor:
                scope = "" if autocommit else "_xact"
                cursor.execute(f"SELECT pg_advisory{scope}_lock(hashtextextended('oasis:roles', 0))")
                yield cursor
            if not autocommit:
                connection.commit()
    except psycopg2.Error as error:
        reason = one_line(error, secret=address.password)
        raise StorageError(
            f"can't make {what} in {address.public()}: {reason}. Name somebody who may make roles in OASIS_ADMIN_USER and"
            " OASIS_ADMIN_PASS, or let an administrator give the right to this one"
            f" (ALTER ROLE {quote(address.user)} CREATEROLE), then try again",
            sqlstate=error.pgcode,
        ) from None


def _log_in(cursor: Cursor, role: str, password: str | None, options: str = "") -> None:
    """Make a role that may log in, or give the one that is there another password."""
    cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (role,))
    verb, options = ("ALTER", "") if _one(cursor) else ("CREATE", options)
    if password is None:
        cursor.execute(f"{verb} ROLE {quote(role)} LOGIN {options}")
        return
    verifier = encrypt_password(password, role, cursor.connection, "scram-sha-256")
    cursor.execute(f"{verb} ROLE {quote(role)} LOGIN {options} PASSWORD %s", (verifier,))


def keep_reader(address: Address, password_file: Path) -> None:
    """Make the read-only role of the embedded server where it is not, with the password of a file.

    Parameters
    ----------
    address : Address
        The platform's database, with the server's superuser.
    password_file : Path
        Made at first, mode 0600. What stands in it is the password: one written there by hand counts from the next command on,
        and without the file another one is made.

    Raises
    ------
    StorageError
        As `make_role`, and if the file is empty.
    """
    try:
        password = password_file.read_text().strip()
    except FileNotFoundError:
        password = _write_once(password_file, secrets.token_urlsafe(24))
    if not password:
        raise StorageError(f"{password_file} is empty: write a password for {READER} into it, or remove it")
    if not _is_complete(address, password):
        make_role(address, address, READER, password)


def _write_once(file: Path, password: str) -> str:
    """Write a password where none is yet; of several processes at once the first one's stands."""
    own = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    write_private(own, password + "\n")
    try:
        file.hardlink_to(own)
    except FileExistsError:
        return file.read_text().strip()
    finally:
        own.unlink()
    return password


def _is_complete(address: Address, password: str) -> bool:
    """Whether role, password and rights are what they should be, so that most commands write nothing."""
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (READER,))
        verifier = _one(cursor)
        if not isinstance(verifier, str) or not _fits(verifier, password):
            return False
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM unnest(%(schemas)s) AS s(name)"
            "  WHERE NOT has_schema_privilege(%(reader)s, s.name, 'USAGE'))"
            # partitions are read through their table
            " AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = ANY(%(schemas)s::regnamespace[])"
            "  AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition"
            "  AND NOT has_table_privilege(%(reader)s, c.oid, 'SELECT'))",
            {"schemas": list(SCHEMAS), "reader": READER},
        )
        return bool(_one(cursor))


def _fits(verifier: str, password: str) -> bool:
    """Whether a SCRAM verifier (RFC 5803) is that of a password."""
    try:
        scheme, salted, keys = verifier.split("$")
        iterations, salt = salted.split(":")
        stored = base64.b64decode(keys.split(":")[0])
        key = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    except ValueError:
        return False
    client = hmac.digest(key, b"Client Key", "sha256")
    return scheme == "SCRAM-SHA-256" and hmac.compare_digest(hashlib.sha256(client).digest(), stored)


def _one(cursor: Cursor) -> object:
    row = cursor.fetchone()
    return row[0] if row else None
