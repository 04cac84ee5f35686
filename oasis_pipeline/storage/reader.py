"""The role that dashboards read with: all tables of the platform, never a write, nothing of users and tokens.

Here: making the role, its rights and its password, again and again without harm. Not here: which tables there are (``schema``), and
where the server listens (``embedded``).

Rights are given schema by schema, by `ALTER DEFAULT PRIVILEGES` also for what comes later: partitions of readings, and dbt's views,
which are made anew in every pass.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from contextlib import closing
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
SCHEMAS = tuple(sorted({table.schema for table in TABLES}))
"""What it may read: not ``django`` (users, sessions, tokens) and not ``dagster``."""

_SESSION = {
    # no wall, for a session may set it otherwise: the rights are
    "default_transaction_read_only": "on",
    "statement_timeout": "5min",
    # a client that forgets to end a transaction would hold up whoever makes the views anew
    "idle_in_transaction_session_timeout": "5min",
    "timezone": "UTC",
}


def make_reader(address: Address, password: str) -> None:
    """Make the read-only role with this password, or bring it up to date.

    Parameters
    ----------
    address : Address
        The platform's database, with the role that owns its tables and may make roles.
    password : str
        The server gets its SCRAM verifier, not the password itself.

    Raises
    ------
    StorageError
        If the role can't be made; the message says what an administrator can do.
    """
    try:
        with (
            closing(psycopg2.connect(address.uri())) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('oasis:reader', 0))")
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (READER,))
            verb = "ALTER" if _one(cursor) else "CREATE"
            verifier = encrypt_password(password, READER, connection, "scram-sha-256")
            cursor.execute(f"{verb} ROLE {READER} LOGIN PASSWORD %s", (verifier,))
            for name, value in _SESSION.items():
                cursor.execute(f"ALTER ROLE {READER} SET {name} = '{value}'")
            cursor.execute(f"GRANT CONNECT ON DATABASE {quote(address.db)} TO {READER}")
            for schema in SCHEMAS:
                cursor.execute(f"GRANT USAGE ON SCHEMA {schema} TO {READER}")
                cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}")
                cursor.execute(
                    f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {READER}"
                )
    except psycopg2.Error as error:
        reason = one_line(error, secret=address.password)
        raise StorageError(
            f"can't make the role {READER} in {address.public()}: {reason}. Let an administrator give {quote(address.user)} the"
            f" right to make roles (ALTER ROLE {quote(address.user)} CREATEROLE), then try again",
            sqlstate=error.pgcode,
        ) from None


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
        As `make_reader`, and if the file is empty.
    """
    try:
        password = password_file.read_text().strip()
    except FileNotFoundError:
        password = _write_once(password_file, secrets.token_urlsafe(24))
    if not password:
        raise StorageError(f"{password_file} is empty: write a password for {READER} into it, or remove it")
    if not _is_complete(address, password):
        make_reader(address, password)


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


def main() -> None:
    """Make the role on a server of one's own: ``python -m oasis_pipeline.storage.reader``, with the password in OASIS_READER_PASS."""
    from oasis_pipeline.settings import SettingsError, load_settings
    from oasis_pipeline.storage.server import address_of

    try:
        settings = load_settings()
        if settings.embedded:
            raise SystemExit(
                "oasis: the embedded server makes the role by itself: set OASIS_EMBEDDED_TCP=127.0.0.1:5433"
            )
        if settings.reader_password is None:
            raise SystemExit(f"oasis: set OASIS_READER_PASS to the password that {READER} shall have")
        make_reader(address_of(settings), settings.reader_password.get_secret_value())
    except (StorageError, SettingsError) as error:
        raise SystemExit(f"oasis: {error}") from None


if __name__ == "__main__":
    main()
