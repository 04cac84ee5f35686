"""First days: where the calendar of cards and vendor results begins, and that of readings.

Here: the rule, told from the ledger's rows by day; the notes in the home folder, so that the graph can be built without a connection; and the marks of
days that stay out. Not here: which days are stale.

A calendar begins with the first day that has rows which make daily partitions. One old date must not make it years long: where the days
jump by more than a year, and what lies before the jump is less than one row in a hundred, those rows are stored but stay out of the calendar.
The rule is applied anew to the counts of now, never to an earlier answer: when such rows are removed, or turn out to be many, the first day follows. A day
that has lost all its rows stays in until what had been made of them is made again. ``OASIS_START`` overrides all of it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from oasis_pipeline.home import make_home, open_lock
from oasis_pipeline.schema import quote, table
from oasis_pipeline.storage import ledger

if TYPE_CHECKING:
    from oasis_pipeline.settings import Settings
    from oasis_pipeline.storage.postgres import Transaction, Warehouse

CARDS, READINGS = "cards and vendor results", "readings"

SOURCES: dict[str, tuple[str, ...]] = {
    CARDS: ("xspoc/card", "xspoc/xdiagresults"),
    READINGS: ("iot/rawdata",),
}
"""Calendar -> the tables whose rows make its days."""

_MADE_OF = {CARDS: "clean/%", READINGS: "iot/%"}

JUMP = timedelta(days=365)
FEW = 0.01
"""A smaller part of the rows, before a longer jump, moves no calendar."""

_PROBED_DAYS = 50


@dataclass(frozen=True)
class FirstDay:
    """Where a calendar begins.

    Attributes
    ----------
    calendar : str
    day : date or None
        None before any rows have come.
    why : str
        For people.
    left_out : dict of str to int
        Earlier days with rows that do not move the calendar -> number of rows.
    """

    calendar: str
    day: date | None
    why: str
    left_out: dict[str, int] = field(default_factory=dict)

    def warning(self) -> str:
        """Name the rows that stay out, in one line; empty if there are none."""
        if not self.left_out:
            return ""
        rows, days = sum(self.left_out.values()), sorted(self.left_out)
        span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        verb = "lies" if rows == 1 else "lie"
        return (
            f"{rows:,} row{'s' * (rows != 1)} of {span} ({', '.join(SOURCES[self.calendar])}) {verb} more than a year before all others, and "
            f"{'is' if rows == 1 else 'are'} fewer than 1 % of them: stored, but no day is materialized for {'it' if rows == 1 else 'them'}, and the calendar of "
            f"{self.calendar} begins on {self.day}. Remove what is wrong, or set OASIS_START if it is right"
        )


def first_of(rows: Mapping[str, int]) -> str | None:
    """Apply the rule.

    Parameters
    ----------
    rows : mapping of str to int
        ISO day -> rows.

    Returns
    -------
    str or None
        First day of the calendar.
    """
    days = sorted(day for day, count in rows.items() if count > 0)
    if not days:
        return None
    first, before, few = days[0], 0, FEW * sum(rows[day] for day in days)
    for day, following in pairwise(days):
        before += rows[day]
        if before >= few:
            break
        if date.fromisoformat(following) - date.fromisoformat(day) > JUMP:
            first = following
    return first


def first_days(source: Warehouse | Transaction, settings: Settings) -> list[FirstDay]:
    """Tell the first day of each calendar from the ledger; nothing is written.

    Parameters
    ----------
    source : Warehouse or Transaction
    settings : Settings
        ``OASIS_START``.

    Returns
    -------
    list of FirstDay
        Of `CARDS`, then of `READINGS`.
    """
    found = source.query(
        "SELECT asset, partition, coalesce(rows, 1) AS rows FROM oasis.asset_state WHERE asset = ANY($1::text[]) AND partition <> ''",
        ([asset for assets in SOURCES.values() for asset in assets],),
    ).to_pylist()
    return [
        _first_day(
            source, settings, calendar, [row for row in found if row["asset"] in assets and row["rows"] > 0]
        )
        for calendar, assets in SOURCES.items()
    ]


def _first_day(
    source: Warehouse | Transaction, settings: Settings, calendar: str, found: list[dict[str, object]]
) -> FirstDay:
    rows: dict[str, int] = {}
    for row in found:
        day = str(row["partition"])
        rows[day] = rows.get(day, 0) + int(str(row["rows"]))
    if settings.start is not None:
        return FirstDay(calendar, settings.start, "OASIS_START says so")
    first = first_of(rows)
    if first is None:
        return FirstDay(calendar, None, "no rows have come")
    left_out = {day: count for day, count in sorted(rows.items()) if day < first}
    own = sorted({str(row["asset"]) for row in found if row["partition"] == first})
    why = f"the first day with rows of {' and '.join(own)} ({rows[first]:,})"
    # what was made of rows that are gone has to be made again, and its day has to be a partition until then
    made = source.query(
        "SELECT min(partition) AS day FROM oasis.asset_state WHERE asset LIKE $1 AND asset <> ALL($2::text[]) AND rows > 0"
        " AND partition ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' AND partition < $3 AND partition <> ALL($4::text[])",
        (_MADE_OF[calendar], list(SOURCES[calendar]), first, list(left_out)),
    )["day"][0].as_py()
    if made is not None:
        first, why = (
            made,
            "its rows are gone; it is dropped when what depends on them has been materialized again",
        )
        left_out = {day: count for day, count in left_out.items() if day < first}
    if left_out:
        why += f"; {sum(left_out.values()):,} earlier rows ({min(left_out)} to {max(left_out)}) do not move the calendar"
    return FirstDay(calendar, date.fromisoformat(first), why, left_out)


def note_first_days(warehouse: Warehouse, settings: Settings) -> tuple[list[FirstDay], bool]:
    """Bring the notes in the home folder, and the marks of days that stay out, up to what the ledger says now.

    Parameters
    ----------
    warehouse : Warehouse
    settings : Settings

    Returns
    -------
    first : list of FirstDay
        As `first_days`.
    moved : bool
        Whether other days stay out than before.
    """
    make_home(settings.home)
    with open_lock(settings.home / "first_day.lock") as lock:
        # a process that asked the ledger earlier must not write after one that asked later; on a file system without locks it may,
        # and the next pass notes anew
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        first = first_days(warehouse, settings)
        moved = False
        for each in first:
            moved |= _mark_strays(warehouse, each)
        for each, note in zip(first, (settings.first_day_file, settings.first_reading_day_file), strict=True):
            if each.day != _read(note):
                _write(note, each.day)
    return first, moved


def _mark_strays(warehouse: Warehouse, first: FirstDay) -> bool:
    condition = "asset = ANY($1::text[]) AND partition <> '' AND coalesce(stray, false) <> (partition = ANY($2::text[]))"
    params = (list(SOURCES[first.calendar]), list(first.left_out))
    if not warehouse.query(
        f"SELECT EXISTS(SELECT FROM oasis.asset_state WHERE {condition}) AS there", params
    )["there"][0].as_py():
        return False
    with warehouse.transaction() as tx:
        tx.execute(
            f"UPDATE oasis.asset_state SET stray = (partition = ANY($2::text[])) WHERE {condition}", params
        )
    return True


def forget_gone_days(warehouse: Warehouse) -> None:
    """Mark days whose rows somebody has deleted with SQL, so that they and what was made of them are made again.

    Of cards and vendor results every day is looked at, of readings the first ones.

    Parameters
    ----------
    warehouse : Warehouse
    """
    for asset in SOURCES[CARDS]:
        source = table(*asset.split("/"))
        time = quote(source.time_column or "")
        gone = warehouse.query(
            "SELECT p.partition AS day FROM oasis.asset_state AS p WHERE p.asset = $1 AND p.partition <> '' AND p.rows > 0"
            f" AND NOT EXISTS (SELECT FROM {source.full_name} AS t WHERE t.{time} >= p.partition::date"
            f" AND t.{time} < p.partition::date + 1)",
            (asset,),
        )["day"].to_pylist()
        _mark_gone(warehouse, asset, gone)
    (asset,) = SOURCES[READINGS]
    source = table(*asset.split("/"))
    held = warehouse.query(
        "SELECT partition AS day FROM oasis.asset_state WHERE asset = $1 AND partition <> '' AND rows > 0 ORDER BY 1 LIMIT $2",
        (asset, _PROBED_DAYS),
    )["day"].to_pylist()
    gone = []
    for day in held:
        # each day by itself, spelled out: only its own partition is looked at
        begin, end = (f"'{date.fromisoformat(day) + timedelta(days=n)} UTC'::timestamptz" for n in (0, 1))
        if warehouse.query(
            f'SELECT EXISTS(SELECT FROM {source.full_name} WHERE "timestamp" >= {begin} AND "timestamp" < {end}) AS there'
        )["there"][0].as_py():
            break
        gone.append(day)
    _mark_gone(warehouse, asset, gone)


def _mark_gone(warehouse: Warehouse, asset: str, days: list[str]) -> None:
    if days:
        with warehouse.transaction() as tx:
            ledger.mark_changed(tx, asset, dict.fromkeys(days, 0))


def read_first_day(settings: Settings) -> date | None:
    """First day of cards and vendor results that is noted; None if there is no note, or none that can be read."""
    return _read(settings.first_day_file)


def read_first_reading_day(settings: Settings) -> date | None:
    """First day of readings that is noted; that of cards where an earlier release has noted but one."""
    return _read(settings.first_reading_day_file) or _read(settings.first_day_file)


def _read(note: Path) -> date | None:
    try:
        return date.fromisoformat(note.read_text("utf-8").strip())
    except (OSError, ValueError):
        return None


def _write(note: Path, day: date | None) -> None:
    if day is None:
        note.unlink(missing_ok=True)
        return
    temporary = note.with_name(f".{note.name}.{secrets.token_hex(4)}.tmp")
    with temporary.open("x", encoding="utf-8") as file:
        file.write(day.isoformat())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(note)
    folder = os.open(note.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
