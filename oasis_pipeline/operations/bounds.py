"""Rows of ``clean.dynabounds``: what is read for the rule of ``cards.bounds`` and how its answer becomes rows.

Here: workovers and extremes by well. Not here: the rule itself.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from oasis_pipeline.cards.bounds import bounds_by_day
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.postgres import Warehouse

BOUNDS_VERSION = "1"
"""Raise it when bounds of the same cards come out otherwise."""

BOUNDS_WINDOW_DAYS = 90
"""How far back cards count: long enough for a well with a card a day, short enough to follow a lasting change."""

_EXTREMES = """
select "NodeID", "Date"::date as day,
    {prefix}_pos_min_in, {prefix}_pos_max_in, {prefix}_load_min_lbf, {prefix}_load_max_lbf
from xspoc.card
where "Date" >= $1 and "Date" < $2 and {prefix}_pos_max_in is not null
order by "NodeID", "Date"
"""

# A failure counts as a workover from the day on which its end is over and known; a rod string that differs
# from the one before it counts from its stamp (files repeat what has not changed).
_WORKOVERS = """
select "NodeID", "Failure End Date"::date as day,
    greatest(known_from, "Failure End Date")::date as known
from analysis.failure_info
where "Failure End Date" is not null and "Failure End Date" < $1
union all
select "NodeID", "ValidFrom"::date as day, "ValidFrom"::date as known
from (
    select "NodeID", "ValidFrom", rods, lag(rods) over (partition by "NodeID" order by "ValidFrom") as rods_before
    from (
        select "NodeID", "ValidFrom",
            string_agg(concat_ws('/', "RodNum", "Grade", "Length", "Diameter"), ',' order by "RodNum") as rods
        from xspoc.rods_history group by 1, 2
    ) as states
) as strings
where rods_before <> rods and "ValidFrom" < $1
"""


def bounds_rows(warehouse: Warehouse, days: Days) -> pa.Table:
    """Bounds of every well that has a usable card on these days.

    Parameters
    ----------
    warehouse : Warehouse
        Where cards, failures and rods are read.
    days : Days
        Days at whose end the bounds are wanted.

    Returns
    -------
    pyarrow.Table
        Rows of ``clean.dynabounds``. A well that has had a pump card by then is bounded by its pump cards, any
        other by its surface cards.
    """
    begin = days.begin - timedelta(days=BOUNDS_WINDOW_DAYS)
    pump = _by_well(warehouse.query(_EXTREMES.format(prefix="pocdowncard"), (begin, days.end)))
    surface = _by_well(warehouse.query(_EXTREMES.format(prefix="surfcard"), (begin, days.end)))
    workovers = _workovers(warehouse, days)
    first, last = _epoch(days.first), _epoch(days.last)
    out: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for well in sorted(pump.keys() | surface.keys()):
        pump_days = pump[well][0] if well in pump else np.empty(0, dtype=np.int64)
        since = pump_days[0] if len(pump_days) else last + 1
        for card, source, low, high in (
            ("surfcard", surface, first, min(since - 1, last)),
            ("pocdowncard", pump, max(first, since), last),
        ):
            if well not in source or low > high:
                continue
            day, extremes = source[well]
            asked = np.unique(day[(day >= low) & (day <= high)])
            if len(asked) == 0:
                continue
            start = _begin(workovers.get(well, []), asked)
            bounds, counts = bounds_by_day(day, extremes, asked, start, BOUNDS_WINDOW_DAYS)
            good = counts > 0
            out.append((well, np.repeat(card, good.sum()), asked[good], bounds[good], counts[good]))
    schema = arrow_schema(table("clean", "dynabounds"))
    if not out:
        return schema.empty_table()
    bounds = np.concatenate([part[3] for part in out])
    return pa.table(
        {
            "NodeID": np.concatenate([np.repeat(part[0], len(part[2])) for part in out]),
            "Date": np.concatenate([part[2] for part in out]).astype("datetime64[D]"),
            "card": np.concatenate([part[1] for part in out]),
            **{name: bounds[:, i] for i, name in enumerate(("pos_min", "pos_max", "load_min", "load_max"))},
            "n_cards": np.concatenate([part[4] for part in out]),
        }
    ).cast(schema)


def _epoch(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _by_well(rows: pa.Table) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if rows.num_rows == 0:
        return {}
    names = rows["NodeID"].to_numpy(zero_copy_only=False)
    day = rows["day"].to_numpy().astype("datetime64[D]").astype(np.int64)
    extremes = np.column_stack([rows[name].to_numpy() for name in rows.column_names[2:]])
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    stops = np.r_[starts[1:], len(names)]
    return {names[a]: (day[a:b], extremes[a:b]) for a, b in zip(starts, stops, strict=True)}


def _workovers(warehouse: Warehouse, days: Days) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for row in warehouse.query(_WORKOVERS, (days.end,)).to_pylist():
        found.setdefault(row["NodeID"], []).append((_epoch(row["day"]), _epoch(row["known"])))
    return found


def begin_of_history(warehouse: Warehouse, nodes: np.ndarray, day: np.ndarray, days: Days) -> np.ndarray:
    """First day whose cards count for wells on some days: the day after the last workover known by then.

    Parameters
    ----------
    warehouse : Warehouse
        Failures and rods.
    nodes : ndarray of str, shape (n,)
        NodeID of each row.
    day : ndarray of int, shape (n,)
        Day of each row, days since 1970.
    days : Days
        Days that the rows lie in.

    Returns
    -------
    ndarray of int, shape (n,)
        A very early day where no workover is known.
    """
    begin = np.full(len(day), np.iinfo(np.int64).min // 2)
    names, well = np.unique(nodes, return_inverse=True)
    order = np.argsort(well, kind="stable")
    ends = np.cumsum(np.bincount(well, minlength=len(names)))
    known = _workovers(warehouse, days)
    for number, name in enumerate(names):
        if name in known:
            mine = order[ends[number - 1] if number else 0 : ends[number]]
            begin[mine] = _begin(known[name], day[mine])
    return begin


def _begin(workovers: list[tuple[int, int]], asked: np.ndarray) -> np.ndarray:
    """First day whose cards may count, for each day asked, by the workovers known on that day."""
    begin = np.full(len(asked), np.iinfo(np.int64).min // 2)
    for day, known in workovers:
        # the day of the job itself still holds cards of the old equipment
        begin = np.where(asked >= known, np.maximum(begin, day + 1), begin)
    return begin
