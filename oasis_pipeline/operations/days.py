"""Days that an operation handles, and rows of a table stored by day.

Not here: what the ledger notes of a materialization (``materializations``), and Dagster's partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.schema import Table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse


@dataclass(frozen=True)
class Days:
    """The days that a run handles, both ends included."""

    first: date
    last: date

    @property
    def begin(self) -> datetime:
        """First moment."""
        return datetime.combine(self.first, time())

    @property
    def end(self) -> datetime:
        """First moment after the last day."""
        return datetime.combine(self.last + timedelta(days=1), time())

    @property
    def dates(self) -> list[date]:
        """Each of the days."""
        return [self.first + timedelta(days=i) for i in range((self.last - self.first).days + 1)]

    @property
    def keys(self) -> list[str]:
        """Partition keys."""
        return [day.isoformat() for day in self.dates]


def store_days(warehouse: Warehouse, table: Table, rows: pa.Table, days: Days) -> dict[str, int]:
    """Make the rows of some days exactly these, and note in the same transaction which days changed by it.

    Parameters
    ----------
    warehouse : Warehouse
        Where to.
    table : Table
        Table with a time column.
    rows : pyarrow.Table
        All rows of these days.
    days : Days
        The days.

    Returns
    -------
    dict of str to int
        Changed rows by day, days without a change left out.
    """
    with warehouse.transaction() as tx:
        result = tx.replace_days(table, rows, days.first, days.last)
        changed = {day.isoformat(): count for day, count in result.changed_days.items()}
        if changed:
            held = rows_by_day(rows, table.time_column or "Date")
            ledger.mark_changed(tx, table.asset, {day: held.get(day, 0) for day in changed})
    return changed


def rows_by_day(rows: pa.Table, column: str = "Date") -> dict[str, int]:
    """Count rows by the day of a time column.

    Parameters
    ----------
    rows : pyarrow.Table
        Any table with that column.
    column : str
        A timestamp or date column.

    Returns
    -------
    dict of str to int
        Partition key to number of rows.
    """
    counts = pc.value_counts(rows[column].cast(pa.date32()).combine_chunks())
    return {item["values"].isoformat(): item["counts"] for item in counts.to_pylist()}
