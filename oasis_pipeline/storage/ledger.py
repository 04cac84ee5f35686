"""What is up to date: one row for each asset and partition in ``oasis.asset_state``.

Here: the marks and the ticks. Not here: which asset is made from which, and what to make next.

A tick is a number from one sequence. A partition carries the tick at which its rows last changed, and the tick at which its last
materialization began; it is stale when something it is made from has a change after that.

A change is marked before its rows are visible to others (they become so when its transaction ends). A materialization that began in between would
not see them and yet carry the later tick: whoever marks holds a shared lock to the end of the transaction, and `begin_making` waits for
those that hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from oasis_pipeline.storage.errors import one_line

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Transaction, Warehouse


@dataclass(frozen=True)
class State:
    """State of one partition of one asset.

    Attributes
    ----------
    asset, partition : str
        ``schema/table`` and ``YYYY-MM-DD`` (empty without partitions).
    changed_tick, made_tick : int
        When its rows last changed, and when its last materialization that succeeded began; 0 = never.
    changed_at, made_at : datetime or None
        The same on the wall clock, UTC.
    rows : int or None
        Rows it holds, where known.
    error : str or None
        Why the last materialization failed.
    stray : bool
        Whether the day stays out of the calendar; see ``first_days``.
    code_version : str or None
        Version of the code that made it; None where nothing was made, or by a release that kept none.
    data_version : int or None
        Tick of the materialization, or of the arrival, in which its rows last changed.
    failed_tick : int or None
        Tick at which the failed materialization began.
    failed_at : datetime or None
        When it failed, UTC.
    failures : int or None
        Materializations that failed in a row.
    """

    asset: str
    partition: str
    changed_tick: int
    made_tick: int
    changed_at: datetime | None
    made_at: datetime | None
    rows: int | None
    error: str | None
    stray: bool = False
    code_version: str | None = None
    data_version: int | None = None
    failed_tick: int | None = None
    failed_at: datetime | None = None
    failures: int | None = None


_MARKING = "hashtextextended('oasis:marking', 0)"


def begin_making(tx: Transaction) -> int:
    """Draw the tick of a materialization.

    Parameters
    ----------
    tx : Transaction
        A transaction of its own, ended before the input is read.

    Returns
    -------
    int
        Every change with an earlier tick is visible once `tx` has ended.
    """
    tx.query(f"SELECT pg_advisory_xact_lock({_MARKING})::text")
    return _next_tick(tx)


def _next_tick(tx: Transaction) -> int:
    return int(tx.query("SELECT nextval('oasis.tick') AS tick")["tick"][0].as_py())


def _change_tick(tx: Transaction) -> int:
    # one statement: first the lock, then the tick
    locked = f"WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({_MARKING})::text)"
    return int(tx.query(f"{locked} SELECT nextval('oasis.tick') AS tick FROM locked")["tick"][0].as_py())


def mark_changed(tx: Transaction, asset: str, partitions: Mapping[str, int | None]) -> int:
    """Note that rows of partitions have changed.

    Parameters
    ----------
    tx : Transaction
        The transaction that changes the rows, so that mark and rows are one.
    asset : str
        ``schema/table``.
    partitions : mapping of str to int or None
        Partition -> rows it holds now; None leaves the number as it was.

    Returns
    -------
    int
        The tick of the change.
    """
    tick = _change_tick(tx)
    if partitions:
        tx.execute(
            "INSERT INTO oasis.asset_state AS t (asset, partition, changed_tick, made_tick, changed_at, rows, data_version)"
            " SELECT $1::text, p, $2::bigint, 0, clock_timestamp(), r, $2::bigint FROM unnest($3::text[], $4::bigint[]) AS given(p, r)"
            " ON CONFLICT (asset, partition) DO UPDATE SET changed_tick = excluded.changed_tick, data_version = excluded.data_version,"
            " changed_at = excluded.changed_at, rows = coalesce(excluded.rows, t.rows)",
            (asset, tick, list(partitions), list(partitions.values())),
        )
    return tick


def mark_changed_by(tx: Transaction, asset: str, partitions: Mapping[str, int]) -> int:
    """Note that rows of partitions have changed, by how many there are more than before.

    Parameters
    ----------
    tx : Transaction
        The transaction that changes the rows.
    asset : str
        ``schema/table``.
    partitions : mapping of str to int
        Partition -> rows more (negative: fewer); for writers that can't count a partition at every change.

    Returns
    -------
    int
        The tick of the change.
    """
    tick = _change_tick(tx)
    if partitions:
        tx.execute(
            changed_by_sql("$1::text", "$2::bigint", "unnest($3::text[], $4::bigint[]) AS given(p, more)"),
            (asset, tick, list(partitions), list(partitions.values())),
        )
    return tick


MARKING_SQL = f"pg_advisory_xact_lock_shared({_MARKING})::text"
"""Locks out materializations that begin; comes before ``nextval('oasis.tick')``."""


def changed_by_sql(asset: str, tick: str, given: str) -> str:
    """Statement of `mark_changed_by`, for a writer that marks in the statement that writes.

    Parameters
    ----------
    asset, tick : str
        SQL of the asset's name, and of a tick drawn under `MARKING_SQL`.
    given : str
        What to select from, with columns ``p`` (partition) and ``more`` (rows more).

    Returns
    -------
    str
    """
    return (
        "INSERT INTO oasis.asset_state AS t (asset, partition, changed_tick, made_tick, changed_at, rows, data_version)"
        # in order, so that two writers of several days wait for each other in the same order
        f" SELECT {asset}, p, {tick}, 0, clock_timestamp(), more, {tick} FROM {given} ORDER BY p"
        " ON CONFLICT (asset, partition) DO UPDATE SET changed_tick = greatest(t.changed_tick, excluded.changed_tick),"
        " data_version = greatest(t.data_version, excluded.data_version),"
        " changed_at = excluded.changed_at, rows = greatest(coalesce(t.rows, 0) + excluded.rows, 0)"
    )


def mark_made(
    tx: Transaction,
    asset: str,
    partitions: Iterable[str],
    began_tick: int,
    rows: Mapping[str, int] | int | None = None,
    code_version: str | None = None,
) -> dict[str, int]:
    """Note that partitions were made; whether their rows changed is `mark_changed`'s.

    Parameters
    ----------
    tx : Transaction
        The transaction that wrote the rows.
    asset : str
        ``schema/table``.
    partitions : iterable of str
        Partitions made.
    began_tick : int
        Tick drawn before the input was read.
    rows : mapping, int or None
        Rows they hold now, by partition or for the one; None leaves the numbers as they were.
    code_version : str, optional
        Version of the code that made them.

    Returns
    -------
    dict of str to int
        Data version of each partition: the same for all whose rows this materialization changed, for others the one they had.
    """
    names = list(partitions)
    if not names:
        return {}
    counts = [rows.get(name) for name in names] if isinstance(rows, Mapping) else [rows] * len(names)
    made = tx.query(
        "INSERT INTO oasis.asset_state AS t (asset, partition, changed_tick, made_tick, made_at, rows, code_version, data_version)"
        " SELECT $1::text, p, 0, $2::bigint, clock_timestamp(), r, $5::text, $2::bigint"
        " FROM unnest($3::text[], $4::bigint[]) AS given(p, r)"
        " ON CONFLICT (asset, partition) DO UPDATE SET made_tick = greatest(t.made_tick, excluded.made_tick),"
        " made_at = excluded.made_at, rows = coalesce(excluded.rows, t.rows), code_version = excluded.code_version,"
        " data_version = CASE WHEN t.changed_tick > excluded.made_tick THEN excluded.made_tick"
        " ELSE coalesce(t.data_version, excluded.made_tick) END,"
        " error = NULL, failed_tick = NULL, failed_at = NULL, failures = NULL"
        " RETURNING t.partition, t.data_version",
        (asset, began_tick, names, counts, code_version),
    )
    return dict(zip(made["partition"].to_pylist(), made["data_version"].to_pylist(), strict=True))


def mark_failed(
    tx: Transaction, asset: str, partitions: Iterable[str], error: str, began_tick: int | None = None
) -> None:
    """Note that the materialization of partitions failed; they stay stale.

    Parameters
    ----------
    tx : Transaction
        A transaction of its own: the one that failed is rolled back.
    asset : str
        ``schema/table``.
    partitions : iterable of str
        Partitions that were to be made.
    error : str
        Why.
    began_tick : int, optional
        Tick of the materialization that failed: what changes after it is a reason to try again. Drawn now by default.
    """
    names = list(partitions)
    if names:
        tick = began_tick if began_tick is not None else _next_tick(tx)
        tx.execute(
            "INSERT INTO oasis.asset_state AS t (asset, partition, changed_tick, made_tick, error, failed_tick, failed_at, failures)"
            " SELECT $1::text, p, 0, 0, $2::text, $4::bigint, clock_timestamp(), 1 FROM unnest($3::text[]) AS p"
            " ON CONFLICT (asset, partition) DO UPDATE SET error = excluded.error, failed_tick = excluded.failed_tick,"
            " failed_at = excluded.failed_at, failures = coalesce(t.failures, 0) + 1",
            (asset, one_line(error, limit=1000), names, tick),
        )


def forget_failures(tx: Transaction, asset: str, partitions: Iterable[str]) -> None:
    """Take back that partitions failed: what they hold is current, and another one of their run was at fault."""
    tx.execute(
        "UPDATE oasis.asset_state SET error = NULL, failed_tick = NULL, failed_at = NULL, failures = NULL"
        " WHERE asset = $1 AND partition = ANY($2::text[])",
        (asset, list(partitions)),
    )


def count_failure_less(tx: Transaction, asset: str, partitions: Iterable[str]) -> None:
    """Count one failure less of partitions that a run failed with: which of them is at fault is asked by further runs, which count for themselves."""
    tx.execute(
        "UPDATE oasis.asset_state SET failures = failures - 1 WHERE asset = $1 AND partition = ANY($2::text[]) AND failures > 0",
        (asset, list(partitions)),
    )


def clock(warehouse: Warehouse) -> datetime:
    """Tell the time by the database's clock, which failures are stamped with."""
    now: datetime = warehouse.query("SELECT clock_timestamp() AS now")["now"][0].as_py()
    return now


def forget_making(tx: Transaction, asset: str) -> None:
    """Note that what an asset has made is lost, so that it is made again: the file of a model that is damaged."""
    tx.execute("UPDATE oasis.asset_state SET made_tick = 0, code_version = NULL WHERE asset = $1", (asset,))


def states(
    source: Warehouse | Transaction, assets: Sequence[str] | None = None
) -> dict[tuple[str, str], State]:
    """Read the state of assets.

    Parameters
    ----------
    source : Warehouse or Transaction
        Where to read.
    assets : sequence of str, optional
        Which; all by default.

    Returns
    -------
    dict of (asset, partition) to State
        In order of asset and partition; what was never marked is absent.
    """
    rows = source.query(
        "SELECT asset, partition, changed_tick, made_tick, changed_at, made_at, rows, error,"
        " coalesce(stray, false) AS stray, code_version, data_version, failed_tick, failed_at, failures FROM oasis.asset_state"
        " WHERE $1::text[] IS NULL OR asset = ANY($1::text[]) ORDER BY asset, partition",
        (list(assets) if assets is not None else None,),
    )
    found = (State(**row) for row in rows.to_pylist())
    return {(state.asset, state.partition): state for state in found}
