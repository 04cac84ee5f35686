"""Partitions of the tables that PostgreSQL keeps by day.

Here: their names, and `ensure_days`, which makes those that are lacking. Not here: which tables are kept so (``schema``).

There is no default partition: a row that fell into it would block the materialization of its day's partition for ever. Whoever writes rows
calls `ensure_days` first, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from oasis_pipeline.schema import Table, quote

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Transaction

__all__ = ["add_day_sql", "ensure_days", "partition_name"]


def partition_name(table: Table, day: date) -> str:
    """Name of the partition of a day, without the schema: ``rawdata_20260131``."""
    return f"{table.name}_{day:%Y%m%d}"


def ensure_days(tx: Transaction, table: Table, days: Iterable[date]) -> list[date]:
    """Make the partitions of some days, where they are lacking.

    Parameters
    ----------
    tx : Transaction
        The transaction that writes the rows; the partitions are there for others when it is committed.
    table : Table
        One with `Table.partition_by_day`.
    days : iterable of date
        Days, UTC.

    Returns
    -------
    list of date
        Days whose partition was made now.

    Notes
    -----
    Two transactions that want the same new day take turns (an advisory lock, held to the end of the one that makes it). A new
    partition is a table of its own until it is attached: attaching lets readers and writers of the other days go on, which
    ``CREATE TABLE ... PARTITION OF`` does not.
    """
    wanted = sorted(set(days))
    lacking = _lacking(tx, table, wanted)
    if not lacking:
        return []
    tx.lock(f"partitions {table.asset}")
    lacking = _lacking(tx, table, lacking)
    for day in lacking:
        tx.query(f"SELECT {_function(table)}($1::date) IS NULL AS done", (day,))
    return lacking


def add_day_sql(table: Table) -> list[str]:
    """Statements that make the function behind `ensure_days`.

    Only the owner of a table may attach a partition. The function does it as the owner, so that a role which writes readings (the data
    service) needs no other right than to call it.
    """
    name, prefix = _function(table), f"{table.name}_"
    return [
        f"CREATE OR REPLACE FUNCTION {name}(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp AS $function$ DECLARE"
        f" name text := format('{quote(table.schema)}.%I', '{prefix}' || to_char(day, 'YYYYMMDD'));"
        " low text := to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00'; high text := to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00';"
        " BEGIN"
        f" EXECUTE format('CREATE TABLE %s (LIKE {table.full_name} INCLUDING ALL)', name);"
        f" EXECUTE format('ALTER TABLE {table.full_name} ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', name, low, high);"
        " END $function$",
        f"REVOKE ALL ON FUNCTION {name}(date) FROM PUBLIC",
    ]


def _function(table: Table) -> str:
    return f"{quote(table.schema)}.{quote(f'add_{table.name}_day')}"


def _lacking(tx: Transaction, table: Table, days: list[date]) -> list[date]:
    names = {partition_name(table, day): day for day in days}
    found = tx.query(
        "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relispartition AND c.relname = ANY($2::text[])",
        (table.schema, list(names)),
    )["name"].to_pylist()
    return [day for name, day in names.items() if name not in set(found)]
