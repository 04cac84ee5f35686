"""Materializations and the ledger: when one began, which rows it made, what changed by it, and why it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.day_files import read_day, stamped
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse


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
    note_failure : callable
        Enters into the ledger what went wrong while rows were computed or written that the body had handed on already. To be called where that
        happens: when a generator that waits is closed, is up to the interpreter.
    """

    rows: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    began: int = 0
    before: dict[str, int] = field(default_factory=dict)
    note_failure: Callable[[Exception], None] = lambda _error: None

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

    def failed(error: Exception) -> None:
        with warehouse.transaction() as tx:
            ledger.mark_failed(tx, asset, partitions, f"{type(error).__name__}: {error}"[:500], began)

    done = Materialization(
        began=began,
        before={
            partition: state.data_version
            for (_, partition), state in states.items()
            if state.data_version is not None
        },
        note_failure=failed,
    )
    try:
        yield done
    except Exception as error:
        failed(error)
        raise
    with warehouse.transaction() as tx:
        # a day that came out empty holds no rows any more, whatever it held before
        held = {name: done.rows.get(name, 0) for name in partitions if name in done.rows or name}
        done.versions = ledger.mark_made(tx, asset, partitions, began, held, code_version)
        for partition, reason in done.failed.items():
            ledger.mark_failed(tx, asset, [partition], reason, began)


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
