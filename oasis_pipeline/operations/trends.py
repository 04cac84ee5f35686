"""Rows of ``clean.trend``: daily values of the warehouse to forecasts of fillage, speed and production.

Here: what is read for `learning.trends` and how its answer becomes rows. Not here: the forecasters.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from oasis_pipeline.learning.site_models import TrendChoice, forecaster_of
from oasis_pipeline.learning.trends import (
    HORIZONS_DAYS,
    REACH_DAYS,
    WINDOW_DAYS,
    Forecaster,
    forecast_trends,
)
from oasis_pipeline.operations.days import Days, rows_by_day, store_days
from oasis_pipeline.schema import arrow_schema, quote, table
from oasis_pipeline.storage.postgres import Warehouse

TREND = table("clean", "trend")

TREND_VERSION = "1"
"""Raise it when trends of the same values come out otherwise."""


@dataclass(frozen=True)
class Quantity:
    """A column that is forecast.

    Attributes
    ----------
    name, source : str
        Column and table.
    most : float or None
        Greatest possible value; the least is 0.
    instead_of : str or None
        Forecast only for wells that have had no value of this quantity for `WINDOW_DAYS` days.
    """

    name: str
    source: str
    most: float | None = None
    instead_of: str | None = None


QUANTITIES = (
    Quantity("Fillage", "clean.xspoc", 100.0),
    Quantity("fillage_pct", "clean.carddiag", 100.0, instead_of="Fillage"),
    Quantity("SPM", "clean.xspoc"),
    Quantity("inferred_production_bpd", "clean.carddiag"),
    Quantity("GrossProd", "clean.xspoc", instead_of="inferred_production_bpd"),
)

_STORE_DAYS = 56
"""Days forecast and written at once; each time `REACH_DAYS` of history are read for them."""


@dataclass
class TrendSummary:
    """Summary of a forecast of trends."""

    rows: int = 0
    rows_by_day: dict[str, int] = field(default_factory=dict)
    methods: dict[str, dict[int, str]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    """What a named forecaster stumbled over, with how often; the median of a week stands in."""


def trend_days(warehouse: Warehouse, days: Days, choice: TrendChoice | None = None) -> TrendSummary:
    """Forecast every quantity of every well from each of some days, and make the rows of these days exactly these.

    Parameters
    ----------
    warehouse : Warehouse
        ``clean.xspoc``, ``clean.carddiag`` and ``clean.trend``.
    days : Days
        The days.
    choice : TrendChoice, optional
        Forecaster that the site has named; the platform's own by default.

    Returns
    -------
    TrendSummary
        With the methods of the newest cut-off.
    """
    summary = TrendSummary()
    name = "" if choice is None else choice.forecaster
    forecaster = (
        forecaster_of(choice, lambda fault: summary.faults.update([fault])) if choice and name else None
    )
    first = days.first
    while first <= days.last:
        span = Days(first, min(first + timedelta(days=_STORE_DAYS - 1), days.last))
        rows = _trend_rows(warehouse, span, summary, forecaster, name)
        store_days(warehouse, TREND, rows, span)
        summary.rows += rows.num_rows
        summary.rows_by_day.update(rows_by_day(rows, "IssuedAt"))
        first = span.last + timedelta(days=1)
    return summary


def _trend_rows(
    warehouse: Warehouse, span: Days, summary: TrendSummary, forecaster: Forecaster | None, name: str
) -> pa.Table:
    read = Days(span.first - timedelta(days=REACH_DAYS - 1), span.last)
    daily = {
        source: _daily(warehouse, source, read) for source in dict.fromkeys(q.source for q in QUANTITIES)
    }
    names = np.unique(
        np.concatenate([rows["NodeID"].to_numpy(zero_copy_only=False) for rows in daily.values()])
    )
    shape = (len(names), len(read.keys))
    asked_from = shape[1] - len(span.keys)
    schema = arrow_schema(TREND)
    if not len(names):
        return schema.empty_table()
    values: dict[str, NDArray[np.float64]] = {}
    parts = []
    for quantity in QUANTITIES:
        rows = daily[quantity.source]
        well = np.searchsorted(names, rows["NodeID"].to_numpy(zero_copy_only=False))
        column = (rows["day"].to_numpy().astype("datetime64[D]") - np.datetime64(read.first, "D")).astype(
            np.int64
        )
        grid, newest = np.full(shape, np.nan), np.full(shape, np.datetime64("NaT", "ms"))
        grid[well, column] = rows[quantity.name].to_numpy()
        newest[well, column] = rows[f"{quantity.name}_newest"].to_numpy()
        values[quantity.name] = grid
        wanted = np.isfinite(grid[:, asked_from:])
        if quantity.instead_of is not None:
            wanted &= ~_lately(values[quantity.instead_of])[:, asked_from:]
        if not wanted.any():
            continue
        first_day = int(np.datetime64(read.first, "D").astype(np.int64))
        found = forecast_trends(
            grid, first_day, asked_from, most=quantity.most, forecaster=forecaster, forecaster_name=name
        )
        last = max(cutoff for cutoff, _ in found.choices)
        summary.methods[quantity.name] = {
            h: "; after a jump ".join(dict.fromkeys(found.choices[last, h])) for h in HORIZONS_DAYS
        }
        at, day = np.nonzero(wanted)
        for place, ahead in enumerate(HORIZONS_DAYS):
            parts.append(
                pa.table(
                    {
                        "NodeID": pa.array(names[at], pa.string()),
                        "IssuedAt": pa.array(newest[:, asked_from:][at, day]),
                        "Quantity": pa.repeat(pa.scalar(quantity.name), len(at)),
                        "HorizonDays": pa.array(np.full(len(at), ahead, np.int64)),
                        "value": found.value[at, day, place],
                        "lower": found.lower[at, day, place],
                        "upper": found.upper[at, day, place],
                    }
                ).cast(schema)
            )
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _daily(warehouse: Warehouse, source: str, days: Days) -> pa.Table:
    """Median of each day and time of its newest value, by well; null where a day has none."""
    columns = [quote(q.name) for q in QUANTITIES if q.source == source]
    picked = ", ".join(
        f"percentile_cont(0.5) within group (order by {name}) as {name}, "
        f'max("Date") filter (where {name} is not null) as {quote(name.strip(chr(34)) + "_newest")}'
        for name in columns
    )
    rows = warehouse.query(
        f'select "NodeID", "Date"::date as day, {picked} from {source} where "Date" >= $1 and "Date" < $2 '
        "group by 1, 2",
        (days.begin, days.end),
    )
    return rows


def _lately(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a well has had a value within the window up to each day."""
    known = np.isfinite(values)
    padded = np.concatenate([np.zeros((len(known), WINDOW_DAYS - 1), np.bool_), known], axis=1)
    return np.asarray(sliding_window_view(padded, WINDOW_DAYS, axis=1).any(axis=2))
