"""What every asset needs: its partitions, its metadata from the schema source, and its entry in the ledger.

Not here: any particular asset.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.schema import Table, Type
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.io_managers import read_day, stamped
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

# Parts of Dagster that this graph relies on are marked beta (backfill policies, partitioned checks); the minor version is
# pinned, and a warning for each of them would bury everything else on the terminal.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

OWNER = "team:data-engineering"
SCIENCE_OWNER = "team:data-science"

WAREHOUSE_POOL = "warehouse"
"""Steps that write to PostgreSQL; the instance configuration limits how many run at once."""

MEMORY_POOL = "memory"
"""Steps that hold many cards in memory."""

ONE_RUN = dg.BackfillPolicy.single_run()
"""A backfill of a range is one run that handles the range."""


def day_partitions(first_day: date | None, last_day: date | None = None) -> dg.DailyPartitionsDefinition:
    """Partitions of everything with a time.

    Parameters
    ----------
    first_day : date or None
        First day of the data; None before any data has come (then today).
    last_day : date or None
        Newest day known, where it lies after today: a field's clock may run ahead of this machine's.

    Returns
    -------
    DailyPartitionsDefinition
        From the first day to today, today included: files of the running day arrive by the hour.
    """
    today = date.today()
    ahead = max((last_day - today).days, 0) if last_day else 0
    start = min(first_day or today, today + timedelta(days=ahead))
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1 + ahead)


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
    def keys(self) -> list[str]:
        """Partition keys."""
        return [
            (self.first + timedelta(days=i)).isoformat() for i in range((self.last - self.first).days + 1)
        ]


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Days:
    """Read the days of the run from its partition or range of partitions."""
    span = context.partition_key_range
    return Days(date.fromisoformat(span.start), date.fromisoformat(span.end))


def table_metadata(table: Table, **extra: Any) -> dict[str, Any]:
    """Definition metadata of an asset that is a table: its columns with type, unit and meaning.

    Parameters
    ----------
    table : Table
        From the schema source.
    **extra
        Further entries.

    Returns
    -------
    dict
        For ``metadata=`` of an asset.
    """
    columns = [
        dg.TableColumn(
            column.name,
            column.type.sql,
            description=f"{column.description} [{column.unit}]"
            if column.unit
            else column.description or None,
            constraints=dg.TableColumnConstraints(nullable=not (column.required or column.name in table.key)),
        )
        for column in table.columns
        if column.type is not Type.POINTS or not column.name.startswith(("torque", "permissible"))
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": f"{table.schema}.{table.name}",
        **extra,
    }


@dataclass
class Materialization:
    """What one materialization of an asset did; filled by the body, written to the ledger at its end.

    Attributes
    ----------
    rows : dict of str to int
        Rows by partition.
    failed : dict of str to str
        Partitions that must not be used although their rows were written, with the reason: a blocking check found a fault.
    changed : set of str
        Partitions whose files came out otherwise than they were.
    versions : dict of str to int
        Data version of each partition, once the materialization has ended.
    error : Exception or None
        What went wrong after the body had handed on its rows.
    """

    rows: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    error: Exception | None = None
    began: int = 0
    before: dict[str, int] = field(default_factory=dict)

    def note_failure(self, error: Exception) -> None:
        """Keep what went wrong while rows were computed or written that the body has handed on already."""
        self.error = error

    def versions_to_come(self, partitions: Iterable[str]) -> dict[str, int]:
        """Tell the data versions that the ledger will give at the end of this materialization."""
        return {
            partition: self.began if partition in self.changed else self.before.get(partition, self.began)
            for partition in partitions
        }


@contextmanager
def record_materialization(
    warehouse: Warehouse, asset: str, partitions: list[str], code_version: str | None = None
) -> Iterator[Materialization]:
    """Enter a materialization into the ledger: its tick before it reads anything, its end, or why it failed.

    Parameters
    ----------
    warehouse : Warehouse
        Where the ledger stands.
    asset : str
        ``schema/name``.
    partitions : list of str
        Days, or ``[""]`` for an asset without partitions.
    code_version : str, optional
        Version of the code that makes it.

    Yields
    ------
    Materialization
        To be filled with rows by partition.
    """
    with warehouse.transaction() as tx:
        began = ledger.begin_making(tx)
    states = ledger.states(warehouse, [asset])
    done = Materialization(
        began=began,
        before={
            partition: state.data_version
            for (_, partition), state in states.items()
            if state.data_version is not None
        },
    )

    def failed(error: Exception) -> None:
        with warehouse.transaction() as tx:
            ledger.mark_failed(tx, asset, partitions, f"{type(error).__name__}: {error}"[:500], began)

    try:
        yield done
    except GeneratorExit:
        # the rows that the body has handed on could not be computed or written: this is where it is known
        if done.error is not None:
            failed(done.error)
        raise
    except Exception as error:
        failed(error)
        raise
    with warehouse.transaction() as tx:
        # a day that came out empty holds no rows any more, whatever it held before
        held = {name: done.rows.get(name, 0) for name in partitions if name in done.rows or name}
        done.versions = ledger.mark_made(tx, asset, partitions, began, held, code_version)
        for partition, reason in done.failed.items():
            ledger.mark_failed(tx, asset, [partition], reason, began)


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


def marked_days(
    warehouse: Warehouse,
    store: ObjectStore,
    asset: str,
    code_version: str,
    days: Iterable[tuple[str, pa.Table]],
    done: Materialization,
) -> Iterator[pa.Table]:
    """Hand on what becomes the files of some days, and note which of them come out otherwise than they are stored.

    Parameters
    ----------
    warehouse : Warehouse
        Where the ledger stands.
    store : ObjectStore
        Where the files lie.
    asset : str
        ``schema/name``.
    code_version : str
        Version of the code that makes it; goes into the files.
    days : iterable of (str, pyarrow.Table)
        Partition key and rows, one day after the other, so that a year needs the memory of a day.
    done : Materialization
        Gets the number of rows of each day.

    Yields
    ------
    pyarrow.Table
        The rows of each day.
    """
    for day, given in days:
        rows = stamped(given, code_version)
        done.rows[day] = rows.num_rows
        stored = read_day(store, asset, date.fromisoformat(day), version=None)
        if stored is None:
            same = rows.num_rows == 0
        else:
            same = stored.schema.equals(rows.schema, check_metadata=True) and stored.equals(rows)
        if not same:
            done.changed.add(day)
            with warehouse.transaction() as tx:
                # before the file: a mark too many is harmless, one too few is not
                ledger.mark_changed(tx, asset, {day: rows.num_rows})
        yield rows


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
