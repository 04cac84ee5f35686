"""Many rows into a table at once: COPY into a staging table, then one upsert; COPY alone where the table holds none of their days.

Here: the statements and the counting. Not here: connections and transactions (``postgres``).

All of it happens in the caller's transaction. Writers of one table take turns from their first upsert to their commit (an
advisory lock, which readers and vacuum don't notice), so that the counts are true.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.schema import Kind, Table, Type, quote
from oasis_pipeline.storage.errors import StorageError, one_line

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Transaction

_BATCH_ROWS = 16_384


@dataclass(frozen=True)
class Upserted:
    """What came of an upsert.

    Attributes
    ----------
    stored : int
        Rows given that stand in the table now.
    superseded : int
        Rows given that lost to another row of the same key; with `stored` it adds up to the rows given.
    inserted : int
        Stored rows whose key was new.
    changed : int
        Rows of the table that are new, have other values than before, or are gone.
    removed : int
        Rows that are gone (replacing only).
    changed_days : dict of date to int
        `changed` by the day of the table's time column; empty for a table without one.
    """

    stored: int = 0
    superseded: int = 0
    inserted: int = 0
    changed: int = 0
    removed: int = 0
    changed_days: dict[date, int] = field(default_factory=dict)

    def __add__(self, other: Upserted) -> Upserted:
        """Both together."""
        days = dict(self.changed_days)
        for day, count in other.changed_days.items():
            days[day] = days.get(day, 0) + count
        return Upserted(
            self.stored + other.stored,
            self.superseded + other.superseded,
            self.inserted + other.inserted,
            self.changed + other.changed,
            self.removed + other.removed,
            dict(sorted(days.items())),
        )


def upsert_rows(tx: Transaction, table: Table, rows: pa.Table, newest_by: str | None = None) -> Upserted:
    """Write rows by key; see `Transaction.upsert`."""
    rows = conform(table, rows)
    if newest_by is not None and newest_by not in rows.column_names:
        raise StorageError(
            f"{table.asset}: rows without the column {newest_by} that decides which row is newer"
        )
    if rows.num_rows == 0:
        return Upserted()
    unique = without_repeats(table, rows, newest_by)
    tx.lock(f"write {table.asset}")
    lost = Upserted(superseded=rows.num_rows - unique.num_rows)
    if _copies(table) and not _holds_any(tx, table, *_span(table, unique)):
        return _copy(tx, table, unique) + lost
    stage = _stage(tx, table, unique)
    done = _merge(tx, table, unique, stage, newest_by)
    tx.execute(f"DROP TABLE pg_temp.{stage}")
    return done + lost


def replace_rows(
    tx: Transaction, table: Table, rows: pa.Table, first_day: date | None, last_day: date | None
) -> Upserted:
    """Make the rows of a range of days exactly these; see `Transaction.replace_days`."""
    if (first_day, last_day) != (None, None) and table.time_column is None:
        raise StorageError(f"{table.asset} has no days; replace it whole")
    rows = conform(table, rows)
    _inside(table, rows, first_day, last_day)
    unique = without_repeats(table, rows, None)
    tx.lock(f"write {table.asset}")
    lost = Upserted(superseded=rows.num_rows - unique.num_rows)
    if _copies(table) and not _holds_any(tx, table, first_day, last_day):
        return _copy(tx, table, unique) + lost if unique.num_rows else lost
    stage = _stage(tx, table, unique)
    within, params = _within(table, first_day, last_day)
    gone = tx.query(
        f"WITH gone AS (DELETE FROM {table.full_name} AS t WHERE {within}"
        f" AND NOT EXISTS (SELECT FROM pg_temp.{stage} AS s WHERE {_same_key(table)})"
        f" RETURNING {_day(table, 't')} AS day)"
        " SELECT day, count(*) AS rows FROM gone GROUP BY day",
        params,
    )
    removed = int(pc.sum(gone["rows"]).as_py() or 0)
    done = Upserted(changed=removed, removed=removed, changed_days=_days(gone))
    if unique.num_rows:
        done = _merge(tx, table, unique, stage, None) + done
    tx.execute(f"DROP TABLE pg_temp.{stage}")
    return done + lost


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """Cast rows to the table's Arrow types.

    Parameters
    ----------
    table : Table
        The table.
    rows : pyarrow.Table
        Columns of the table, the key among them, in any order and any type that converts without loss.

    Returns
    -------
    pyarrow.Table
        The same columns in the table's order and types.

    Raises
    ------
    StorageError
        If a column is unknown, missing though required, holds a null though required, or does not convert.
    """
    unknown = [name for name in rows.column_names if name not in table.by_name]
    if unknown:
        raise StorageError(f"{table.asset} has no column {', '.join(unknown)}")
    columns = []
    fields = []
    for column in table.columns:
        required = column.required or column.name in table.key
        if column.name not in rows.column_names:
            if required and rows.num_rows:
                raise StorageError(f"{table.asset}: rows without the column {column.name}")
            continue
        values = rows.column(column.name)
        if required and values.null_count:
            raise StorageError(f"{table.asset}: {values.null_count} rows without a value of {column.name}")
        try:
            columns.append(values.cast(column.type.arrow))
        except pa.ArrowException as error:
            raise StorageError(
                f"{table.asset}: column {column.name} ({values.type}) does not convert to {column.type.arrow}: {one_line(error)}"
            ) from None
        fields.append(pa.field(column.name, column.type.arrow))
    return pa.table(columns, schema=pa.schema(fields))


def without_repeats(table: Table, rows: pa.Table, newest_by: str | None) -> pa.Table:
    """Keep one row a key: the last one, or the last of those with the newest stamp.

    Parameters
    ----------
    table : Table
        The table.
    rows : pyarrow.Table
        Rows in its Arrow types.
    newest_by : str or None
        Column with the stamp.

    Returns
    -------
    pyarrow.Table
        The rows that count, in their order.
    """
    keys = []
    for name in table.key:
        values = rows.column(name)
        # PostgreSQL takes 0 and -0 for the same key
        keys.append(pc.add(values, 0.0) if pa.types.is_floating(values.type) else values)
    columns = dict(zip(table.key, keys, strict=True))
    number = pa.array(range(rows.num_rows), pa.int64())
    plain = pa.table({**columns, " row": number})
    last = plain.group_by(list(table.key)).aggregate([(" row", "max")])
    if last.num_rows == rows.num_rows:
        return rows
    if newest_by is not None:
        stamped = pa.table({**columns, " row": number, " stamp": rows.column(newest_by)})
        stamped = stamped.sort_by([(" stamp", "ascending"), (" row", "ascending")])
        # rows after the sort: the last one of each key is the newest
        stamped = stamped.append_column(" rank", number)
        best = stamped.group_by(list(table.key)).aggregate([(" rank", "max")])
        chosen = stamped.column(" row").take(best.column(" rank_max"))
    else:
        chosen = last.column(" row_max")
    return rows.take(chosen.combine_chunks().sort())


def _copies(table: Table) -> bool:
    """Tell whether rows may go into the table by COPY alone; text does not become ``jsonb`` by it."""
    return table.kind is Kind.SERIES and not any(column.type.is_json for column in table.columns)


def _holds_any(tx: Transaction, table: Table, low: date | None, high: date | None) -> bool:
    """Tell whether a table holds rows of a range of times or days, both included; None is open."""
    within, params = _within(table, low, high)
    # the order makes the planner take the index on time also of a table that was never analyzed
    order = f"ORDER BY t.{quote(table.time_column)}" if table.time_column else ""
    return bool(
        tx.query(f"SELECT 1 AS n FROM {table.full_name} AS t WHERE {within} {order} LIMIT 1", params).num_rows
    )


def _within(table: Table, low: date | None, high: date | None) -> tuple[str, list[date]]:
    """Condition on rows ``t`` of a range of times or days, and its parameters."""
    time = f"t.{quote(table.time_column)}" if table.time_column else ""
    conditions, params = ["true"], []
    for bound, sign in ((low, ">="), (high, "<=")):
        if bound is None:
            continue
        params.append(bound)
        kind = table.by_name[str(table.time_column)].type.sql if isinstance(bound, datetime) else "date"
        whole = sign == "<=" and kind == "date"
        conditions.append(f"{time} {'<' if whole else sign} ${len(params)}::{kind}{' + 1' if whole else ''}")
    return " AND ".join(conditions), params


def _span(table: Table, rows: pa.Table) -> tuple[date, date]:
    """First and last time of rows."""
    bounds = pc.min_max(rows.column(table.time_column)).as_py()
    return bounds["min"], bounds["max"]


def _copy(tx: Transaction, table: Table, rows: pa.Table) -> Upserted:
    """COPY rows into a table that holds none of their days: nothing is compared, and each row is written once."""
    tx.ingest(table.name, rows, schema=table.schema)
    days = pc.value_counts(pc.cast(rows.column(table.time_column), pa.date32(), safe=False))
    counts = {each["values"]: each["counts"] for each in days.to_pylist()}
    return Upserted(
        stored=rows.num_rows,
        inserted=rows.num_rows,
        changed=rows.num_rows,
        changed_days=dict(sorted(counts.items())),
    )


def _stage(tx: Transaction, table: Table, rows: pa.Table) -> str:
    """COPY rows into a new temporary table."""
    stage = tx.stage_name()
    columns = [table.by_name[name] for name in rows.column_names]
    # text goes into jsonb by a cast, not by COPY; rows of up to a page stay in one piece instead of being cut up and
    # put together again
    kinds = ", ".join(f"{quote(c.name)} {'text' if c.type.is_json else c.type.sql}" for c in columns)
    tx.execute(f"CREATE TEMPORARY TABLE {stage} ({kinds}) WITH (toast_tuple_target = 8160) ON COMMIT DROP")
    points = [f"ALTER COLUMN {quote(c.name)} SET STORAGE EXTERNAL" for c in columns if c.type is Type.POINTS]
    if points:
        tx.execute(f"ALTER TABLE pg_temp.{stage} {', '.join(points)}")
    if rows.num_rows:
        tx.ingest(stage, rows)
    return stage


def _merge(tx: Transaction, table: Table, rows: pa.Table, stage: str, newest_by: str | None) -> Upserted:
    given = rows.num_rows
    names = rows.column_names
    older = 0
    stamp = quote(newest_by) if newest_by is not None else ""
    if newest_by is not None:
        found = tx.query(
            f"SELECT count(*) AS n FROM pg_temp.{stage} AS s JOIN {table.full_name} AS t ON {_same_key(table)}"
            f" WHERE t.{stamp} > s.{stamp}"
        )
        older = int(found["n"][0].as_py())
    compared = [name for name in table.value_columns if name != newest_by]
    targets = ", ".join(quote(name) for name in names)
    sources = ", ".join(f"{quote(n)}::jsonb" if table.by_name[n].type.is_json else quote(n) for n in names)
    statement = (
        f"INSERT INTO {table.full_name} AS t ({targets}) SELECT {sources} FROM pg_temp.{stage}"
        f" ON CONFLICT ({_list(table.key)}) DO "
    )
    if compared:
        # the images of the rows are compared: exact, and quick for points
        differs = f"record_image_ne(ROW({_list(compared, 't')}), ROW({_list(compared, 'excluded')}))"
        newer = f" AND t.{stamp} <= excluded.{stamp}" if newest_by is not None else ""
        sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in table.value_columns)
        statement += f"UPDATE SET {sets} WHERE {differs}{newer}"
    else:
        statement += "NOTHING"
    written = tx.query(
        f"WITH written AS ({statement} RETURNING (t.xmax = 0) AS fresh, {_day(table, 't')} AS day)"
        " SELECT day, count(*) AS rows, count(*) FILTER (WHERE fresh) AS inserted FROM written GROUP BY day"
    )
    inserted = int(pc.sum(written["inserted"]).as_py() or 0)
    changed = int(pc.sum(written["rows"]).as_py() or 0)
    if newest_by is not None and given - older > inserted:
        # same values in a newer file: no change, but an older file must not win later
        tx.execute(
            f"UPDATE {table.full_name} AS t SET {stamp} = s.{stamp} FROM pg_temp.{stage} AS s"
            f" WHERE {_same_key(table)} AND t.{stamp} < s.{stamp}"
        )
    return Upserted(given - older, older, inserted, changed, 0, _days(written))


def _inside(table: Table, rows: pa.Table, first_day: date | None, last_day: date | None) -> None:
    if table.time_column is None or rows.num_rows == 0:
        return
    bounds = pc.min_max(pc.cast(rows.column(table.time_column), pa.date32(), safe=False)).as_py()
    early, late = bounds["min"], bounds["max"]
    if (first_day is not None and early < first_day) or (last_day is not None and late > last_day):
        raise StorageError(
            f"{table.asset}: rows lie outside {first_day} to {last_day}: they run from {early} to {late}"
        )


def _list(names: Iterable[str], alias: str = "") -> str:
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quote(name) for name in names)


def _same_key(table: Table) -> str:
    return " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in table.key)


def _day(table: Table, alias: str) -> str:
    return f"{alias}.{quote(table.time_column)}::date" if table.time_column else "NULL::date"


def _days(counts: pa.Table) -> dict[date, int]:
    pairs = zip(counts["day"].to_pylist(), counts["rows"].to_pylist(), strict=True)
    return dict(sorted((day, rows) for day, rows in pairs if day is not None))
