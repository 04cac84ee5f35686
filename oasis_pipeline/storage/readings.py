"""Readings of sensor modules into ``iot.rawdata``: the one writer that the data service and the intake share.

Here: `store_readings` and what goes with it: registering modules that files name, and the marks in the ledger. Not here: what a
reading has to be (the service's and the intake's validation), and how readings are queried.

What is stored once is never overwritten silently. A reading of a key that is stored already, with the same content, is no change.
With other content: the data service never replaces anything (the answer tells the conflict); a file replaces what came by a file with
an older or equal stamp, as everywhere in the drop folder, but not what the data service took in, for that has been acknowledged to a
sender. The file's own row is then superseded, and stays in the archived file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.schema import table
from oasis_pipeline.schema.iot_tables import UNKNOWN_MODULE_TYPE
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.partitions import ensure_days
from oasis_pipeline.storage.upsert import conform

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Transaction

__all__ = [
    "CONFLICT",
    "NEW",
    "REPLACED",
    "SAME",
    "StoredReadings",
    "UnknownModulesError",
    "mark_readings",
    "register_modules",
    "store_readings",
]

MODULE = table("iot", "module")
RAWDATA = table("iot", "rawdata")

NEW, SAME, CONFLICT, REPLACED = 0, 1, 2, 3
"""What became of a reading: stored; stored before with the same content; stored before with other content, which is kept;
in the place of what an older file had brought."""

_CONTENT = ("measures", "temperature", "voltage", "description")
_GIVEN = ("module_num", "timestamp", *_CONTENT)
_STAGE = "oasis_readings"
_ATTEMPTS = 3


class UnknownModulesError(StorageError):
    """Readings of modules that are not registered.

    Attributes
    ----------
    modules : list of str
        Their numbers, sorted.
    """

    def __init__(self, modules: list[str]) -> None:
        shown = ", ".join(modules[:5]) + (" ..." if len(modules) > 5 else "")
        super().__init__(f"no module {shown} is registered: register it by POST /api/module/ first")
        self.modules = modules


@dataclass(frozen=True)
class StoredReadings:
    """What became of readings.

    Attributes
    ----------
    status : ndarray of int8, shape (n,)
        `NEW`, `SAME`, `CONFLICT` or `REPLACED`, in the order of the readings given.
    received_at : datetime
        The time of receipt that new readings carry.
    days : dict of date to int
        Readings that are new, by UTC day.
    changed_days : dict of date to int
        Readings that are new or were replaced, by UTC day.
    again : int
        Readings whose key had come before with the same time of receipt: repeats within one file.
    kept_of_service : int
        Conflicts with what the data service took in.
    """

    status: NDArray[np.int8]
    received_at: datetime
    days: dict[date, int] = field(default_factory=dict)
    changed_days: dict[date, int] = field(default_factory=dict)
    again: int = 0
    kept_of_service: int = 0

    def count(self, status: int) -> int:
        """Count the readings of one status."""
        return int(np.count_nonzero(self.status == status))


def store_readings(
    tx: Transaction,
    readings: pa.Table,
    *,
    file_stamp: datetime | None = None,
    received_at: datetime | None = None,
    first_row: int = 0,
    mark: bool = True,
) -> StoredReadings:
    """Store readings: COPY into a staging table, one insert, and the days' marks, all in the caller's transaction.

    Parameters
    ----------
    tx : Transaction
        Durable when it has ended. A deadlock with another writer is impossible as long as a transaction calls this once; one that
        calls it again (a file in chunks) may be rolled back by the server, whole, and can be tried again.
    readings : pyarrow.Table
        Columns ``module_num``, ``timestamp`` (UTC; any resolution), ``measures`` (JSON object of name to number, as text; null = none),
        and where there are any ``temperature``, ``voltage``, ``description``. In order of arrival.
    file_stamp : datetime, optional
        Stamp of the file that brings them; None for the data service.
    received_at : datetime, optional
        Time of receipt; now by default. The chunks of one file share one.
    first_row : int
        Place of the first reading among those of the same time of receipt.
    mark : bool
        Whether to mark the days of new readings as changed. False if the caller does (`mark_readings`).

    Returns
    -------
    StoredReadings
        Of readings of one key within `readings` the first counts for the data service and the last for a file.

    Raises
    ------
    UnknownModulesError
        If a module is not registered; nothing is stored then.
    StorageError
        If a column is unknown, or a module or time is null.
    """
    received = received_at or datetime.now(UTC)
    n = readings.num_rows
    status = np.full(n, NEW, np.int8)
    if n == 0:
        return StoredReadings(status, received)
    unknown = [name for name in readings.column_names if name not in _GIVEN]
    if unknown:
        raise StorageError(f"readings have no column {', '.join(unknown)}")
    rows = _whole(readings, received, first_row)
    _modules_exist(tx, rows["module_num"])
    days = _day_numbers(rows["timestamp"])
    ensure_days(tx, RAWDATA, [_day(number) for number in np.unique(days).tolist()])
    counts = _that_count(rows, last=file_stamp is not None)
    _stage(tx, rows, counts, file_stamp, first_row)
    fresh, again, kept_of_service = counts, 0, 0
    inserted = 0
    for attempt in range(_ATTEMPTS):
        inserted += _insert(tx)
        if inserted == n:
            break
        stored = _stored(tx)
        if stored.num_rows == n:
            order = np.argsort(stored["row"].to_numpy())
            fresh, same, older, repeated, of_service = (
                np.asarray(stored[name].to_numpy(zero_copy_only=False), np.bool_)[order]
                for name in ("fresh", "same", "older", "again", "of_service")
            )
            fresh = fresh & counts
            status = np.where(same, SAME, np.where(older & counts, REPLACED, CONFLICT)).astype(np.int8)
            status[fresh] = NEW
            again = int(np.count_nonzero(~fresh & counts & repeated))
            kept_of_service = int(np.count_nonzero(~fresh & ~same & of_service))
            break
        # somebody deleted a stored reading in between: it can be inserted now
        if attempt == _ATTEMPTS - 1:
            raise StorageError("readings are being deleted while they are stored; send them again")
    if file_stamp is not None and inserted < n:
        _replace(tx)
    new_days, changed_days = (
        _count_days(days[np.isin(status, which)]) for which in ((NEW,), (NEW, REPLACED))
    )
    if mark and changed_days:
        mark_readings(tx, {day: new_days.get(day, 0) for day in changed_days})
    return StoredReadings(status, received, new_days, changed_days, again, kept_of_service)


def register_modules(tx: Transaction, modules: Iterable[str]) -> list[str]:
    """Register the modules that are not registered yet, their type unknown.

    Parameters
    ----------
    tx : Transaction
    modules : iterable of str
        Numbers of modules.

    Returns
    -------
    list of str
        Those that were registered now, sorted.
    """
    names = sorted(set(modules))
    if not names:
        return []
    added: list[str] = tx.query(
        f"INSERT INTO {MODULE.full_name} (module_num, module_type) SELECT m, $2::text FROM unnest($1::text[]) AS m ORDER BY m"
        " ON CONFLICT DO NOTHING RETURNING module_num",
        (names, UNKNOWN_MODULE_TYPE),
    )["module_num"].to_pylist()
    if added:
        ledger.mark_changed(tx, MODULE.asset, {"": None})
    return sorted(added)


def mark_readings(tx: Transaction, days: Mapping[date, int]) -> None:
    """Note in the ledger that readings of some days have changed; whoever deletes readings calls this too.

    Parameters
    ----------
    tx : Transaction
        The transaction that changed them.
    days : mapping of date to int
        UTC day -> readings more than before (negative: fewer). Counting a day anew at each request would read millions of rows.
    """
    ledger.mark_changed_by(tx, RAWDATA.asset, {day.isoformat(): more for day, more in sorted(days.items())})


def _whole(readings: pa.Table, received: datetime, first_row: int) -> pa.Table:
    """Give readings all the columns of the table but the stamp, in the table's types."""
    n = readings.num_rows
    columns = {name: readings[name] for name in _GIVEN if name in readings.column_names}
    measures = columns.get("measures", pa.nulls(n, pa.string()))
    columns["measures"] = pc.fill_null(pc.cast(measures, pa.string()), "{}")
    columns["received_at"] = pa.repeat(pa.scalar(received, pa.timestamp("us", tz="UTC")), n)
    columns["received_row"] = pa.array(np.arange(first_row, first_row + n))
    rows = conform(RAWDATA, pa.table(columns))
    for name in _CONTENT:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(n, RAWDATA.by_name[name].type.arrow))
    return rows


def _modules_exist(tx: Transaction, modules: pa.ChunkedArray) -> None:
    """Refuse unknown modules; the known ones can't be deleted before the transaction ends."""
    names = sorted(pc.unique(modules).to_pylist())
    known = tx.query(
        f"SELECT module_num FROM {MODULE.full_name} WHERE module_num = ANY($1::text[]) ORDER BY module_num FOR KEY SHARE",
        (names,),
    )["module_num"].to_pylist()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UnknownModulesError(unknown)


def _that_count(rows: pa.Table, *, last: bool) -> NDArray[np.bool_]:
    """Tell which of several readings of one key counts."""
    keys = rows.select(["module_num", "timestamp"]).append_column("row", pa.array(np.arange(rows.num_rows)))
    which = "max" if last else "min"
    chosen = keys.group_by(["module_num", "timestamp"]).aggregate([("row", which)])[f"row_{which}"].to_numpy()
    counts = np.zeros(rows.num_rows, np.bool_)
    counts[chosen] = True
    return counts


def _stage(
    tx: Transaction, rows: pa.Table, counts: NDArray[np.bool_], file_stamp: datetime | None, first_row: int
) -> None:
    # one staging table a session, emptied by each commit: a new one for each request would fill the catalogs with dead rows
    tx.execute(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGE} (row bigint, counts boolean, file_stamp timestamp(3), module_num text,"
        ' "timestamp" timestamptz, measures text, temperature double precision, voltage double precision, description text,'
        " received_at timestamptz, received_row bigint) ON COMMIT DELETE ROWS"
    )
    # empty but for a transaction's second call; emptying by TRUNCATE costs more where there is nothing to empty
    tx.execute(f"{'TRUNCATE' if first_row else 'DELETE FROM'} pg_temp.{_STAGE}")
    n = rows.num_rows
    staged = rows.append_column("row", pa.array(np.arange(n))).append_column("counts", pa.array(counts))
    stamp = pa.scalar(file_stamp, pa.timestamp("ms"))
    tx.ingest(_STAGE, staged.append_column("file_stamp", pa.repeat(stamp, n)))


def _insert(tx: Transaction) -> int:
    """Insert what is not stored yet; answer with the number of readings inserted."""
    names = ("module_num", '"timestamp"', *_CONTENT, "file_stamp", "received_at", "received_row")
    sources = tuple("measures::jsonb" if name == "measures" else name for name in names)
    return tx.execute(
        # in order of the key, so that two transactions with the same readings wait for each other in the same order
        f"INSERT INTO {RAWDATA.full_name} ({', '.join(names)}) SELECT {', '.join(sources)}"
        f' FROM pg_temp.{_STAGE} WHERE counts ORDER BY module_num, "timestamp" ON CONFLICT DO NOTHING'
    )


_SAME = "(r.measures, r.temperature, r.voltage, r.description) IS NOT DISTINCT FROM (s.measures::jsonb, s.temperature, s.voltage, s.description)"
_JOIN = f'{RAWDATA.full_name} AS r ON r.module_num = s.module_num AND r."timestamp" = s."timestamp"'


def _stored(tx: Transaction) -> pa.Table:
    """Compare all readings given with those stored under their keys."""
    return tx.query(
        f"SELECT s.row, (r.received_at, r.received_row) = (s.received_at, s.received_row) AS fresh, {_SAME} AS same, coalesce(r.file_stamp <= s.file_stamp, false) AS older,"
        " coalesce(r.file_stamp = s.file_stamp AND r.received_at = s.received_at, false) AS again, r.file_stamp IS NULL AS of_service"
        f" FROM pg_temp.{_STAGE} AS s JOIN {_JOIN}"
    )


def _replace(tx: Transaction) -> None:
    """Put a file's readings in the place of those of older files; same content in a newer file only moves the stamp."""
    sets = ", ".join(f"{name} = s.{name}{'::jsonb' if name == 'measures' else ''}" for name in _CONTENT)
    tx.execute(
        f"UPDATE {RAWDATA.full_name} AS r SET {sets}, file_stamp = s.file_stamp, received_at = s.received_at,"
        f" received_row = s.received_row FROM pg_temp.{_STAGE} AS s"
        f' WHERE r.module_num = s.module_num AND r."timestamp" = s."timestamp" AND s.counts AND r.file_stamp <= s.file_stamp'
        f" AND NOT ({_SAME})"
    )
    tx.execute(
        f"UPDATE {RAWDATA.full_name} AS r SET file_stamp = s.file_stamp FROM pg_temp.{_STAGE} AS s"
        f' WHERE r.module_num = s.module_num AND r."timestamp" = s."timestamp" AND s.counts AND r.file_stamp < s.file_stamp'
    )


def _day_numbers(times: pa.ChunkedArray) -> NDArray[np.int64]:
    """Days since 1970 of UTC times."""
    return np.asarray(times.cast(pa.int64()).to_numpy()) // 86_400_000_000


def _day(number: int) -> date:
    return date.fromordinal(date(1970, 1, 1).toordinal() + number)


def _count_days(days: NDArray[np.int64]) -> dict[date, int]:
    numbers, counts = np.unique(days, return_counts=True)
    return {_day(number): count for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)}
