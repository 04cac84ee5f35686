"""Modules and readings of a request into the database, and out of it again for good.

Here: one transaction for each request or for a few small ones, and what is told of conflicts. Not here: what a request may say
(``readings``), and how readings are written and days marked (``storage.readings``, ``storage.posts``).

An answer goes out after the commit, which waits for the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from oasis_pipeline.schema import quote, table
from oasis_pipeline.schema.iot_tables import UNKNOWN_MODULE_TYPE
from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.group_commit import Outcome, group_commit
from oasis_pipeline.service.query import Query
from oasis_pipeline.service.readings import Faults, Readings
from oasis_pipeline.service.warehouse import warehouse, writing
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.posts import PostResult
from oasis_pipeline.storage.readings import (
    CONFLICT,
    NEW,
    UnknownModulesError,
    mark_readings,
    store_readings,
)

MODULE = table("iot", "module")
RAWDATA = table("iot", "rawdata")


@dataclass(frozen=True)
class Stored:
    """What became of the readings of a request.

    Attributes
    ----------
    new : int
        Readings that were not there before.
    first_day : date or None
        Earliest day of the new ones.
    conflicts : dict of int to dict
        Position in the request -> what stands in the database instead, measures as JSON text.
    """

    new: int
    first_day: date | None
    conflicts: dict[int, dict[str, Any]]


@contextmanager
def changing(seconds: int = limits.QUERY_SECONDS) -> Iterator[Transaction]:
    """Hold one of this process's places for writers, and a transaction that is durable when it has ended.

    Parameters
    ----------
    seconds : int
        For each statement.

    Yields
    ------
    Transaction
    """
    with writing(), warehouse().transaction() as tx:
        tx.query(
            f"SELECT set_config('lock_timeout', '{limits.LOCK_SECONDS}s', true),"
            f" set_config('statement_timeout', '{int(seconds)}s', true),"
            # whatever the server does by default: what is answered is on disk
            " set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')"
            " THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
        )
        yield tx


def store(readings: Readings, received: datetime) -> Stored:
    """Store the readings of one request, all or none: a few together with those of other requests that wait, many by COPY.

    Parameters
    ----------
    readings : Readings
    received : datetime
        When they came, UTC.

    Returns
    -------
    Stored
        Durable.

    Raises
    ------
    ApiError
        400 with every reading of a module that is not known.
    """
    if not readings.items:
        return Stored(0, None, {})
    if is_small(readings):
        result = group_commit().submit(readings.post(received)).result()
        if not result.busy:
            return _stored(readings, result)
    return store_alone(readings, received)


def store_with_others(
    readings: Readings, received: datetime, tell: Callable[[Stored | BaseException | None], None]
) -> None:
    """Store a few readings as `store` does, without holding a thread.

    Parameters
    ----------
    readings : Readings
    received : datetime
        When they came, UTC.
    tell : callable
        Called on the loop that runs now: with what became of them, with what `store` would raise, or with None if they have to be stored alone.

    Raises
    ------
    ApiError
        503 if too many wait.
    """

    def told(outcome: Outcome) -> None:
        if isinstance(outcome, BaseException):
            tell(outcome)
            return
        try:
            found = None if outcome.busy else _stored(readings, outcome)
        except ApiError as error:
            tell(error)
            return
        tell(found)

    group_commit().submit_and_tell(readings.post(received), told)


def is_small(readings: Readings) -> bool:
    """Whether readings are few enough to be stored together with those of others."""
    return 0 < len(readings) <= limits.GROUPED_READINGS


def _stored(readings: Readings, result: PostResult) -> Stored:
    if result.unknown:
        raise _unknown(readings, result.unknown)
    return Stored(result.new, result.first_day, result.conflicts)


def store_alone(given: Readings, received: datetime) -> Stored:
    """Store readings in a transaction of their own; see `store`."""
    readings = given.table()
    try:
        with changing() as tx:
            done = store_readings(tx, readings, received_at=received)
            differ = np.flatnonzero(done.status == CONFLICT)
            conflicts = _standing(tx, readings, differ.tolist()) if differ.size else {}
    except UnknownModulesError as error:
        raise _unknown(given, error.modules) from None
    return Stored(done.count(NEW), min(done.days, default=None), conflicts)


def _unknown(readings: Readings, modules: list[str]) -> ApiError:
    unknown, faults = set(modules), Faults()
    for index, name in enumerate(readings.modules):
        if name in unknown:
            faults.add(index, "module_num", f"there is no module {name}: POST it to /api/module/ first")
    return faults.error(400)


def _standing(tx: Transaction, readings: pa.Table, places: list[int]) -> dict[int, dict[str, Any]]:
    """Read what stands under the keys of some readings."""
    keys = readings.select(["module_num", "timestamp"]).take(places)
    modules, moments = (keys[name].to_pylist() for name in ("module_num", "timestamp"))
    found = tx.query(
        'SELECT g.place, r.module_num, r."timestamp", r.measures, r.temperature, r.voltage, r.description'
        f" FROM unnest($1::bigint[], $2::text[], $3::text[]::timestamptz[]) AS g(place, m, t) JOIN {RAWDATA.full_name} AS r"
        ' ON r.module_num = g.m AND r."timestamp" = g.t'
        # spelled out as well, so that only the partitions of these days are looked at
        ' AND r."timestamp" BETWEEN $4::text::timestamptz AND $5::text::timestamptz',
        (
            places,
            modules,
            [moment.isoformat() for moment in moments],
            min(moments).isoformat(),
            max(moments).isoformat(),
        ),
    )
    return {row.pop("place"): row for row in found.to_pylist()}


def store_modules(items: Sequence[dict[str, str | None]]) -> list[dict[str, Any]]:
    """Store modules, all or none. One that only a file of readings has named so far gets what it lacks.

    Parameters
    ----------
    items : sequence of dict
        Columns of ``iot.module``.

    Returns
    -------
    list of dict
        What stands in the database now, in the order of the items; ``conflict`` is true where that is something else.
    """
    if not items:
        return []
    columns = MODULE.column_names
    first: dict[str | None, dict[str, str | None]] = {}
    for item in items:
        first.setdefault(item["module_num"], item)
    ordered = [first[name] for name in sorted(first, key=str)]
    arrays = ", ".join(f"${i + 1}::text[]" for i in range(len(columns)))
    names = ", ".join(map(quote, columns))
    sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in MODULE.value_columns)
    with changing() as tx:
        changed = tx.query(
            f"INSERT INTO {MODULE.full_name} AS t ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT (module_num) DO UPDATE"
            f" SET {sets} WHERE t.module_type = '{UNKNOWN_MODULE_TYPE}' AND t.asset IS NULL AND t.sensor_type IS NULL"
            " RETURNING module_num",
            [[item[name] for item in ordered] for name in columns],
        )
        if changed.num_rows:
            ledger.mark_changed(tx, MODULE.asset, {"": None})
        found = tx.query(
            f"SELECT {names} FROM {MODULE.full_name} WHERE module_num = ANY($1::text[])",
            ([item["module_num"] for item in ordered],),
        ).to_pylist()
    stands = {row["module_num"]: row for row in found}
    answers = []
    for item in items:
        row = stands[item["module_num"]]
        conflict = {"conflict": True} if any(row[name] != item[name] for name in columns) else {}
        answers.append({"module": row["module_num"], **row, **conflict})
    return answers


def delete_readings(query: Query) -> tuple[int, pa.Table]:
    """Delete the readings that match.

    Parameters
    ----------
    query : Query
        With a filter.

    Returns
    -------
    deleted : int
    left : pyarrow.Table
        What still matches.
    """
    with changing(limits.DELETE_SECONDS) as tx:
        deleted = _delete_readings(tx, query.condition())
        left = tx.query(query.sql(limit=limits.MAX_ERRORS))
    return deleted, left


def delete_modules(query: Query) -> tuple[int, int, pa.Table]:
    """Delete the modules that match, with their readings and tokens.

    Whoever stores readings of one of them at this moment is waited for; who comes later finds no module.

    Parameters
    ----------
    query : Query
        With a filter.

    Returns
    -------
    deleted, readings : int
        Modules, and readings of them.
    left : pyarrow.Table
        What still matches.
    """
    with changing(limits.DELETE_SECONDS) as tx:
        names = tx.query(f"DELETE FROM {MODULE.full_name} WHERE {query.condition()} RETURNING module_num")[
            "module_num"
        ].to_pylist()
        readings = 0
        if names:
            readings = _delete_readings(tx, "module_num = ANY($1::text[])", (names,))
            tx.execute("DELETE FROM django.service_token WHERE module_num = ANY($1::text[])", (names,))
            ledger.mark_changed(tx, MODULE.asset, {"": None})
        left = tx.query(query.sql(limit=limits.MAX_ERRORS))
    return len(names), readings, left


def _delete_readings(tx: Transaction, condition: str, params: tuple[Any, ...] = ()) -> int:
    gone = tx.query(
        f"WITH gone AS (DELETE FROM {RAWDATA.full_name} WHERE {condition}"
        " RETURNING (\"timestamp\" AT TIME ZONE 'UTC')::date AS day)"
        " SELECT day, count(*) AS n FROM gone GROUP BY day ORDER BY day",
        params,
    )
    counts = {day: -n for day, n in zip(gone["day"].to_pylist(), gone["n"].to_pylist(), strict=True)}
    if counts:
        mark_readings(tx, counts)
    return -int(sum(counts.values()))


def require_filter(query: Query, collection: str) -> None:
    """Refuse to delete everything.

    Raises
    ------
    ApiError
        400.
    """
    if not query.where:
        raise ApiError(400, f"a DELETE needs a filter: /api/{collection}/?field=value")
