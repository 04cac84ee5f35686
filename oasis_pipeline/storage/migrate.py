"""Making the tables, and changing them from one release to the next.

Here: the ordered steps, and what is done when a warehouse is opened. Not here: the tables themselves (``schema``).

How to change a table in a release. New tables, new columns that may be null, and new indexes need nothing but the change in
``schema``: they are made when the warehouse is next opened. Everything else (a rename, another type, a required column, rows to be
converted) is a `Step` appended to `STEPS` that turns the tables as the release before left them into what ``schema`` says now. A
step that was released is never edited. A fresh warehouse is made from ``schema`` and stamped with the newest step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2

from oasis_pipeline.schema import TABLES, Table, create_table_sql, quote
from oasis_pipeline.schema.model import column_sql
from oasis_pipeline.storage.database_roles import SERVICE
from oasis_pipeline.storage.errors import StorageError, one_line
from oasis_pipeline.storage.partitions import add_day_sql

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

    from oasis_pipeline.storage.address import Address

OLDEST_SERVER = 14
EXTRA_SCHEMAS = ("dagster",)
"""Schemas whose tables somebody else makes."""

_LOCK = "SELECT pg_advisory_lock(hashtextextended('oasis:migrate', 0))"


@dataclass(frozen=True)
class Step:
    """One change of tables that hold data.

    Attributes
    ----------
    version : int
        One more than the step before.
    description : str
        What it does, in a few words.
    apply : str or callable
        SQL statements, or a function of a cursor. Runs in one transaction with the note that it ran.
    """

    version: int
    description: str
    apply: str | Callable[[Cursor], None] = ""


_DECISIONS = """
CREATE SCHEMA IF NOT EXISTS analysis;
CREATE TABLE IF NOT EXISTS analysis.alarm_decision (
    "AlarmID" text NOT NULL, "NodeID" text NOT NULL, "RaisedAt" timestamp(3) NOT NULL, "Class" text NOT NULL,
    "Prob" double precision NOT NULL, "Reason" text NOT NULL, threshold double precision NOT NULL, "ModelVersion" text NOT NULL,
    decision text NOT NULL, decided_by text NOT NULL, decided_at timestamptz NOT NULL, note text,
    PRIMARY KEY ("AlarmID", decided_at));
DO $$ BEGIN
    IF to_regclass('clean.alarm') IS NOT NULL THEN
        INSERT INTO analysis.alarm_decision
        SELECT "AlarmID", "NodeID", "RaisedAt", "Class", "Prob", "Reason", threshold, "ModelVersion",
            CASE WHEN "State" = 'dismissed' THEN 'dismissed' ELSE 'acknowledged' END, decided_by, decided_at, note
        FROM clean.alarm WHERE decided_at IS NOT NULL AND decided_by IS NOT NULL ON CONFLICT DO NOTHING;
    END IF;
END $$
"""

_DAMPING = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM information_schema.columns
               WHERE table_schema = 'clean' AND table_name = 'carddiag' AND column_name = 'damping')
       AND NOT EXISTS (SELECT 1 FROM information_schema.columns
               WHERE table_schema = 'clean' AND table_name = 'carddiag' AND column_name = 'balance_damping') THEN
        ALTER TABLE clean.carddiag RENAME damping TO balance_damping;
    END IF;
END $$
"""

STEPS: tuple[Step, ...] = (
    Step(1, "first schema"),
    Step(2, "what people said of alarms in a table of its own", _DECISIONS),
    Step(3, "damping by power balance under a name of its own", _DAMPING),
    Step(4, "partitions of readings by a function, which roles without a table of their own may call"),
)


def prepare(address: Address, tables: Sequence[Table] = TABLES, steps: Sequence[Step] = STEPS) -> None:
    """Bring a database to the tables of this release.

    Parameters
    ----------
    address : Address
        The database; made if the server has none of that name and the role may do so.
    tables : sequence of Table
        The schema source.
    steps : sequence of Step
        All steps so far, in order.

    Raises
    ------
    StorageError
        If the server can't be reached, is older than PostgreSQL 14, the database is not in UTF-8 or of a newer
        release, a step fails, or the tables are not what they should be afterwards.
    """
    try:
        with closing(_open(address)) as connection:
            _prepare(connection, address, tables, steps)
    except psycopg2.Error as error:
        reason = one_line(error, secret=address.password)
        todo = (
            "Run `oasis roles` of this release first: it prepares tables and rights"
            if address.user == SERVICE
            else "The role needs the right to create schemas and tables"
        )
        raise StorageError(
            f"can't prepare the tables in {address.public()}: {reason}. {todo}",
            sqlstate=error.pgcode,
        ) from None


def is_prepared(address: Address) -> bool:
    """Whether a database has the platform's tables, of whatever release; nothing is made.

    Parameters
    ----------
    address : Address

    Returns
    -------
    bool
        False too if the server has no such database.

    Raises
    ------
    StorageError
        If the server does not answer.
    """
    try:
        with closing(_connect(address)) as connection, connection.cursor() as cursor:
            return _version(cursor) is not None
    except psycopg2.OperationalError as error:
        reason = one_line(error, secret=address.password)
        if f'database "{address.db}" does not exist' in reason:
            return False
        raise StorageError(
            f"PostgreSQL at {address.public()} does not answer: {reason}. Check that it runs and OASIS_HOST, OASIS_PORT,"
            " OASIS_USER, OASIS_PASS, OASIS_DB",
            sqlstate=error.pgcode,
        ) from None


def _prepare(
    connection: Connection, address: Address, tables: Sequence[Table], steps: Sequence[Step]
) -> None:
    _check_server(connection, address)
    newest = steps[-1].version
    with connection.cursor() as cursor:
        version = _version(cursor)
        if version == newest and not _differences(cursor, tables).any:
            connection.rollback()
            return
        connection.rollback()
        # session-wide: each step commits by itself
        cursor.execute(_LOCK)
        connection.commit()
        version = _version(cursor)
        if version is not None and version > newest:
            raise StorageError(
                f"{address.public()} has the tables of a newer release (schema version {version}, this one knows {newest}):"
                " upgrade the program"
            )
        for step in steps if version is not None else ():
            if version is not None and step.version > version:
                _apply(connection, cursor, step)
        _complete(cursor, tables)
        if version is None:
            _note(cursor, steps[-1])
        connection.commit()
        left = _differences(cursor, tables)
        connection.rollback()
        if left.any:
            raise StorageError(
                f"the tables in {address.public()} do not fit this release: {left}. Restore a backup or add a migration step"
            )


def _apply(connection: Connection, cursor: Cursor, step: Step) -> None:
    try:
        if callable(step.apply):
            step.apply(cursor)
        elif step.apply:
            cursor.execute(step.apply)
        _note(cursor, step)
        connection.commit()
    except psycopg2.Error as error:
        connection.rollback()
        raise StorageError(
            f"migration step {step.version} ({step.description}) failed and was undone: {one_line(error)}",
            sqlstate=error.pgcode,
        ) from None


def _note(cursor: Cursor, step: Step) -> None:
    cursor.execute(
        "INSERT INTO oasis.schema_version (version, description, applied_at) VALUES (%s, %s, now())",
        (step.version, step.description),
    )


def _version(cursor: Cursor) -> int | None:
    cursor.execute("SELECT to_regclass('oasis.schema_version') IS NOT NULL")
    if not _one(cursor):
        return None
    cursor.execute("SELECT max(version) FROM oasis.schema_version")
    found = _one(cursor)
    return found if isinstance(found, int) else None


def _complete(cursor: Cursor, tables: Sequence[Table]) -> None:
    """Make whatever can be made without touching rows: schemas, tables, nullable columns, indexes, comments."""
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {quote(name)}"
        for name in (*dict.fromkeys(t.schema for t in tables), *EXTRA_SCHEMAS)
    ]
    statements.append("CREATE SEQUENCE IF NOT EXISTS oasis.tick AS bigint")
    lacking = _differences(cursor, tables).columns
    for table in tables:
        statements.extend(
            f"ALTER TABLE {table.full_name} ADD COLUMN {column_sql(table, table.by_name[name])}"
            for name in lacking.get((table.schema, table.name), ())
        )
        statements.extend(create_table_sql(table))
        if table.partition_by_day:
            statements.extend(add_day_sql(table))
    cursor.execute(";\n".join(statements))


@dataclass(frozen=True)
class _Differences:
    """In what a database falls short of the schema source."""

    tables: list[str]
    columns: dict[tuple[str, str], list[str]]
    types: list[str]

    @property
    def any(self) -> bool:
        return bool(self.tables or self.columns or self.types)

    def __str__(self) -> str:
        missing = [
            f"{schema}.{table}.{name}" for (schema, table), names in self.columns.items() for name in names
        ]
        texts = (
            ("missing tables", self.tables),
            ("missing columns", missing),
            ("other than expected", self.types),
        )
        return "; ".join(
            f"{text}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            for text, names in texts
            if names
        )


def _differences(cursor: Cursor, tables: Sequence[Table]) -> _Differences:
    cursor.execute(
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.relkind"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        # partitions take their columns from their table, and there may be thousands
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY(%s)",
        (sorted({table.schema for table in tables}),),
    )
    found: dict[tuple[str, str], dict[str, tuple[str, bool]]] = {}
    partitioned: set[tuple[str, str]] = set()
    for schema, name, column, kind, required, relation in cursor.fetchall():
        found.setdefault((schema, name), {})[column] = (kind, required)
        if relation == "p":
            partitioned.add((schema, name))
    result = _Differences([], {}, [])
    for table in tables:
        there = found.get((table.schema, table.name))
        if there is None:
            result.tables.append(f"{table.schema}.{table.name}")
            continue
        if table.partition_by_day != ((table.schema, table.name) in partitioned):
            wrong = "not partitioned" if table.partition_by_day else "partitioned"
            result.types.append(f"{table.schema}.{table.name} is {wrong}")
        for column in table.columns:
            wanted = (
                _CATALOG_NAMES.get(column.type.sql, column.type.sql),
                column.required or column.name in table.key,
            )
            if column.name not in there:
                result.columns.setdefault((table.schema, table.name), []).append(column.name)
            elif there[column.name] != wanted:
                result.types.append(
                    f"{table.schema}.{table.name}.{column.name} is {_spell(there[column.name])}, should be {_spell(wanted)}"
                )
    return result


_CATALOG_NAMES = {"timestamp(3)": "timestamp(3) without time zone", "timestamptz": "timestamp with time zone"}


def _spell(kind: tuple[str, bool]) -> str:
    return kind[0] + (" not null" if kind[1] else "")


def _check_server(connection: Connection, address: Address) -> None:
    version = connection.server_version
    if version < OLDEST_SERVER * 10_000:
        raise StorageError(
            f"PostgreSQL at {address.public()} is version {version // 10_000}; {OLDEST_SERVER} or newer is needed:"
            " upgrade the server, or leave OASIS_HOST unset to use the embedded one"
        )
    encoding = connection.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"the database {address.public()} is in {encoding}; make one with ENCODING 'UTF8' (OASIS_DB)"
        )


def _open(address: Address) -> Connection:
    """Connect, making the database if the server has none of that name."""
    try:
        return _connect(address)
    except psycopg2.OperationalError as error:
        refused = error
    if _make_database(address):
        try:
            return _connect(address)
        except psycopg2.OperationalError as error:
            refused = error
    raise StorageError(
        f"PostgreSQL at {address.public()} does not answer: {one_line(refused, secret=address.password)}. Check that it runs and"
        " OASIS_HOST, OASIS_PORT, OASIS_USER, OASIS_PASS, OASIS_DB"
    )


def _connect(address: Address, db: str | None = None) -> Connection:
    return psycopg2.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        dbname=db or address.db,
        connect_timeout=15,
        options="-c client_min_messages=warning",
        application_name="oasis-migrate",
    )


def _make_database(address: Address) -> bool:
    """Make the database unless another process has by now; False if the server can't be reached."""
    for maintenance in ("postgres", "template1"):
        try:
            connection = _connect(address, maintenance)
        except psycopg2.OperationalError:
            continue
        with closing(connection), connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (address.db,))
            if _one(cursor):
                return True
            try:
                cursor.execute(f"CREATE DATABASE {quote(address.db)} TEMPLATE template0 ENCODING 'UTF8'")
            except (psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
                pass  # another process was quicker
            except psycopg2.Error as error:
                raise StorageError(
                    f"there is no database {address.db} on {address.host} and it can't be made: {one_line(error)}."
                    f" Let an administrator run: CREATE DATABASE {quote(address.db)} ENCODING 'UTF8' OWNER {quote(address.user)}",
                    sqlstate=error.pgcode,
                ) from None
            return True
    return False


def _one(cursor: Cursor) -> object:
    row = cursor.fetchone()
    return row[0] if row else None


def main() -> None:
    """Make the tables of the installation of the environment, or bring them to this release: ``python -m oasis_pipeline.storage.migrate``."""
    from oasis_pipeline.settings import SettingsError, load_settings
    from oasis_pipeline.storage.server import address_of

    try:
        prepare(address_of(load_settings()))
    except (StorageError, SettingsError) as error:
        raise SystemExit(f"oasis: {error}") from None


if __name__ == "__main__":
    main()
