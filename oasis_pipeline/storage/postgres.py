"""Reading and writing the warehouse: Arrow in, Arrow out.

Here: connections, transactions, queries, and `open_warehouse`. Rows go in by `Transaction.upsert` (see ``upsert``). Not here:
what tables there are (``schema``), and how they are made (``migrate``).
"""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa

from oasis_pipeline.schema import Column, Table, Type, quote
from oasis_pipeline.schema.model import column_sql
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.errors import LOST_CONNECTION, StorageError, one_line
from oasis_pipeline.storage.upsert import Upserted, replace_rows, upsert_rows

__all__ = [
    "Address",
    "StorageError",
    "Transaction",
    "Upserted",
    "Warehouse",
]

_IDLE_CONNECTIONS = 4
_SESSION = (
    "SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, MDY', false),"
    # staging tables of a whole file stay in memory
    " set_config('temp_buffers', '128MB', false), set_config('application_name', $1, false),"
    # quoted literals mean what they say whatever the server's configuration
    " set_config('standard_conforming_strings', 'on', false)"
)
_OF_PARENT: list[Any] = []
"""Connections of the process that this one was forked from, kept so that nothing closes them."""

_LOST = ("08", "57P0", "58030")
"""Codes of a connection that is gone: network, server stopped."""


class Warehouse:
    """One database with the platform's tables.

    Connections are made when needed and a few are kept for the next use. Safe for threads; a forked process starts
    with none of its parent's connections.

    Parameters
    ----------
    address : Address
        Where it answers.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._guard = threading.Lock()
        self._idle: list[Any] = []
        self._pid = os.getpid()
        # at exit, too: the driver complains of connections that are left to the interpreter's end
        weakref.finalize(self, _close_all, self._idle, self._guard, self._pid)

    def __repr__(self) -> str:
        """Without a password."""
        return f"Warehouse({self.address.public()!r})"

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a block in one transaction.

        Yields
        ------
        Transaction
            Committed and durable when the block ends, rolled back if it raises.

        Raises
        ------
        StorageError
            If the server can't be reached or refuses something.
        """
        connection = self._begin()
        try:
            yield Transaction(connection, self.address)
            with _translated(self.address, connection), _timed():
                connection.commit()
                connection.adbc_connection.set_autocommit(True)
        except BaseException:
            # the server rolls back by itself when a connection ends, whatever state it was in
            _discard(connection)
            raise
        self._give_back(connection)

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Run one query outside of any transaction.

        Parameters
        ----------
        sql : str
            One statement, with ``$1``, ``$2`` ... for parameters.
        params : sequence
            Values of the parameters; a list binds as an array.

        Returns
        -------
        pyarrow.Table
            As `Transaction.query`.
        """
        with self.transaction() as tx:
            return tx.query(sql, params)

    def read(
        self,
        table: Table,
        columns: Sequence[str] | None = None,
        where: str = "true",
        params: Sequence[Any] = (),
    ) -> pa.Table:
        """Read rows of a table in its Arrow schema; see `Transaction.read`."""
        with self.transaction() as tx:
            return tx.read(table, columns, where, params)

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close_all(self._idle, self._guard, self._pid)

    def _begin(self) -> Any:
        """Begin a transaction; a kept one may have died with a restart of the server, then a new one."""
        while (connection := self._take()) is not None:
            try:
                connection.adbc_connection.set_autocommit(False)
                _run(connection, "SELECT 1")
            except Exception:  # whatever it was, a new connection tells
                _discard(connection)
                continue
            return connection
        connection = _connect(self.address)
        with _translated(self.address, connection):
            connection.adbc_connection.set_autocommit(False)
        return connection

    def _take(self) -> Any | None:
        with self._guard:
            if self._pid != os.getpid():
                # a parent's connections: neither used nor closed here
                _OF_PARENT.extend(self._idle)
                self._idle.clear()
                self._pid = os.getpid()
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: Any) -> None:
        with self._guard:
            if len(self._idle) < _IDLE_CONNECTIONS and self._pid == os.getpid():
                self._idle.append(connection)
                return
        _discard(connection)


class Transaction:
    """What can be done inside one transaction; made by `Warehouse.transaction`."""

    def __init__(self, connection: Any, address: Address) -> None:
        self._connection = connection
        self._address = address
        self._stages = 0

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run one statement.

        Parameters
        ----------
        sql : str
            One statement, with ``$1``, ``$2`` ... for parameters.
        params : sequence
            Values of the parameters; a list binds as an array.

        Returns
        -------
        int
            Number of rows it touched; -1 where that makes no sense.
        """
        with _translated(self._address, self._connection), closing(self._connection.cursor()) as cursor:
            with _timed():
                if params:
                    cursor.executemany(sql, [tuple(params)])
                else:
                    cursor.execute(sql)
            return int(cursor.rowcount)

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Run one statement that answers with rows.

        Parameters
        ----------
        sql : str
            One statement, with ``$1``, ``$2`` ... for parameters.
        params : sequence
            Values of the parameters; a list binds as an array.

        Returns
        -------
        pyarrow.Table
            ``timestamp`` columns to the millisecond (a rule of this project), ``numeric`` as double, ``jsonb`` as text.
        """
        with _translated(self._address, self._connection), closing(self._connection.cursor()) as cursor:
            with _timed():
                cursor.execute(sql, tuple(params) or None)
                rows = cursor.fetch_arrow_table()
            return _plain(rows)

    def stream(self, sql: str, *, batch_bytes: int = 4 << 20) -> Iterator[pa.RecordBatch]:
        """Run one statement and hand its rows on as they come, so that memory holds a batch or two and no more.

        Parameters
        ----------
        sql : str
            One statement without parameters: only of such the driver streams the answer (by COPY).
        batch_bytes : int
            Size of a batch, about.

        Yields
        ------
        pyarrow.RecordBatch
            Columns as of `query`; one without rows comes first, for the columns.
        """
        with _translated(self._address, self._connection), closing(self._connection.cursor()) as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(batch_bytes)})
            with _timed():
                cursor.execute(sql)
                reader = cursor.fetch_record_batch()
            empty = _plain(reader.schema.empty_table())
            yield pa.RecordBatch.from_arrays([c.combine_chunks() for c in empty.columns], schema=empty.schema)
            while True:
                with _timed():
                    batch = next(reader, None)
                if batch is None:
                    return
                yield from _plain(pa.Table.from_batches([batch])).combine_chunks().to_batches()

    def read(
        self,
        table: Table,
        columns: Sequence[str] | None = None,
        where: str = "true",
        params: Sequence[Any] = (),
    ) -> pa.Table:
        """Read rows of a table in its Arrow schema.

        Parameters
        ----------
        table : Table
            The table.
        columns : sequence of str, optional
            Which, in this order; all by default.
        where : str
            SQL condition over quoted column names, with parameters; may end with ``ORDER BY``.
        params : sequence
            Values of the parameters.

        Returns
        -------
        pyarrow.Table
            Columns typed as `schema.arrow_schema` types them.
        """
        names = list(columns) if columns is not None else list(table.column_names)
        rows = self.query(
            f"SELECT {', '.join(quote(name) for name in names)} FROM {table.full_name} WHERE {where}", params
        )
        return rows.cast(pa.schema([pa.field(name, table.by_name[name].type.arrow) for name in names]))

    def lock(self, name: str) -> None:
        """Wait until no other transaction holds the lock of this name, and hold it until this one ends."""
        self.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text", (f"oasis:{name}",))

    def put_row(self, table: Table, row: Mapping[str, Any]) -> None:
        """Write one row by key in one statement: staging takes ten times as long as a single row.

        Parameters
        ----------
        table : Table
            Where to.
        row : mapping
            Values by column, the key among them: texts, numbers, dates, times, and what JSON holds. A column that is missing becomes
            null. Of a null character, which PostgreSQL doesn't keep, the replacement character is left.
        """
        text = json.dumps(dict(row), ensure_ascii=False, default=str).replace("\\u0000", "\ufffd")
        sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in table.value_columns)
        self.execute(
            f"INSERT INTO {table.full_name} SELECT * FROM jsonb_populate_record(NULL::{table.full_name}, $1::jsonb)"
            f" ON CONFLICT ({', '.join(quote(name) for name in table.key)}) DO UPDATE SET {sets}",
            (text,),
        )

    def upsert(self, table: Table, rows: pa.Table, *, newest_by: str | None = None) -> Upserted:
        """Write rows by key: one COPY into a staging table, one upsert; COPY alone where the table holds nothing of their days.

        Parameters
        ----------
        table : Table
            Where to.
        rows : pyarrow.Table
            Rows with the key columns and any others of the table; a column that is missing becomes null. Of rows with the
            same key the last one counts (with `newest_by`: the last of the newest).
        newest_by : str, optional
            Column with a stamp: a row loses against a stored row with a strictly newer stamp; an equal or newer one wins
            whole, nulls included.

        Returns
        -------
        Upserted
            What came of it. A row whose values are those stored already (stamp aside) is no change, though its newer stamp
            is kept.

        Raises
        ------
        StorageError
            If a column is unknown or can't be converted, or a required value is null.
        """
        return upsert_rows(self, table, rows, newest_by)

    def replace_days(
        self, table: Table, rows: pa.Table, first_day: date | None, last_day: date | None
    ) -> Upserted:
        """Make `rows` all that the table holds of a range of days.

        Parameters
        ----------
        table : Table
            Table with a time column; any table if both days are None.
        rows : pyarrow.Table
            Rows of these days.
        first_day, last_day : date or None
            Range, both included; None is open.

        Returns
        -------
        Upserted
            Rows that are the same as stored are untouched; removed rows count as changed.

        Raises
        ------
        StorageError
            As `upsert`, and if a row lies outside of the range.
        """
        return replace_rows(self, table, rows, first_day, last_day)

    def add_columns(self, table: Table, columns: Sequence[Column]) -> Table:
        """Add columns that came with the data (one per class, for example); never drops one.

        Parameters
        ----------
        table : Table
            The table.
        columns : sequence of Column
            Wanted besides the table's own; may be there already. Not required ones only.

        Returns
        -------
        Table
            The table with these columns, for `upsert` and `read`.
        """
        new = [column for column in columns if column.name not in table.by_name]
        if new:
            parts = ", ".join(f"ADD COLUMN IF NOT EXISTS {column_sql(table, column)}" for column in new)
            self.execute(f"ALTER TABLE {table.full_name} {parts}")
        return replace(table, columns=(*table.columns, *new))

    def ingest(self, name: str, rows: pa.Table, *, schema: str | None = None) -> None:
        """COPY rows into an existing table that has columns of the same names; into a temporary one where no schema is named."""
        with (
            _translated(self._address, self._connection),
            closing(self._connection.cursor()) as cursor,
            _timed(),
        ):
            cursor.adbc_ingest(name, rows, mode="append", temporary=schema is None, db_schema_name=schema)

    def stage_name(self) -> str:
        """Name for a temporary table, new at each call."""
        self._stages += 1
        return f"oasis_stage_{self._stages}"


def _connect(address: Address) -> Any:
    import adbc_driver_postgresql.dbapi as driver

    uri = address.uri()
    timeout = "&" if "?" in uri else "?"
    with _translated(address, None):
        connection = driver.connect(f"{uri}{timeout}connect_timeout=15", autocommit=True)
        _run(connection, _SESSION, (embedded.application_name(),))
        return connection


def _run(connection: Any, sql: str, params: tuple[Any, ...] | None = None) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql, params)
        cursor.fetch_arrow_table()


def _close_all(idle: list[Any], guard: threading.Lock, pid: int) -> None:
    with guard:
        mine = idle[:] if pid == os.getpid() else []
        idle.clear()
    for connection in mine:
        _discard(connection)


def _discard(connection: Any) -> None:
    # it is being thrown away, as a rule because it failed
    with suppress(Exception):
        connection.close()


Calls = list[tuple[float, float]]
"""Begin and end of calls of the database, seconds since 1970."""

_watchers: list[Calls] = []


@contextmanager
def watching_calls() -> Iterator[Calls]:
    """Collect when this process waited for the database, in all its threads."""
    calls: Calls = []
    _watchers.append(calls)
    try:
        yield calls
    finally:
        _watchers.remove(calls)


@contextmanager
def _timed() -> Iterator[None]:
    begin = time.time()
    try:
        yield
    finally:
        for calls in _watchers:
            calls.append((begin, time.time()))


@contextmanager
def _translated(address: Address, connection: Any | None) -> Iterator[None]:
    """Turn the driver's errors into one line; without a connection they are those of connecting."""
    from adbc_driver_manager import Error

    try:
        yield
    except Error as error:
        state = error.sqlstate or None
        reason = server_reason(str(error), address.password)
        if state is None and (connection is None or not _is_alive(connection)):
            state = LOST_CONNECTION
        if connection is None or (state is not None and state.startswith(_LOST)):
            message = f"PostgreSQL at {address.public()} does not answer: {reason}. Check that it runs and OASIS_HOST, OASIS_USER, OASIS_PASS"
            raise StorageError(message, sqlstate=state) from None
        raise StorageError(f"PostgreSQL refused: {reason}", sqlstate=state) from None


def _is_alive(connection: Any) -> bool:
    """Whether a server answers on a connection, be it with an error."""
    from adbc_driver_manager import Error

    try:
        _run(connection, "SELECT 1")
    except Error as error:
        return bool(error.sqlstate)
    return True


def server_reason(text: str, secret: str | None = None) -> str:
    """Take the server's own words out of a driver's message, in one line."""
    said = text.split("ERROR:", 1)[-1].split("FATAL:", 1)[-1]
    said = said.split("Query was:", 1)[0].split("SQLSTATE:", 1)[0]
    return one_line(said, secret=secret).rstrip(" .")


def _plain(rows: pa.Table) -> pa.Table:
    """Drop the driver's own column types."""
    fields = []
    for field in rows.schema:
        kind = field.type
        if isinstance(kind, pa.OpaqueType):
            kind = pa.float64() if kind.type_name == "numeric" else kind.storage_type
        elif isinstance(kind, pa.JsonType):
            kind = kind.storage_type
        elif kind == pa.timestamp("us"):
            kind = Type.TIME.arrow
        elif pa.types.is_list(kind):
            kind = pa.list_(kind.value_type)
        fields.append(pa.field(field.name, kind))
    columns = []
    for column, field in zip(rows.columns, fields, strict=True):
        chunked = column
        if isinstance(chunked.type, pa.BaseExtensionType):
            chunked = pa.chunked_array([chunk.storage for chunk in chunked.chunks], chunked.type.storage_type)
        columns.append(chunked.cast(field.type, safe=False))
    return pa.table(columns, schema=pa.schema(fields))
