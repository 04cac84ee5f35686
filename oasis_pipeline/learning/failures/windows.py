"""Trailing windows: what the days up to a day say of a well, in numbers.

Belongs here: the day's mean of each quantity, and features of the days before, all wells and days at once. Does not belong here: which
columns of which table the quantities come from (``channels``), outcomes, models.

A row is a well and a day with data. Its features look back over `MEMORY_DAYS` at most, never past the newest workover
that was known at the row's own time, and never at a later row. Each row is computed by itself, in the same order of operations,
so that it comes out the same to the last bit however many other rows are computed with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.compiled import compiled
from oasis_pipeline.learning.failures.log import DAY_MS, LONG_AGO, FailureLog, Life, life_of

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]

REACH_DAYS = 45
"""How far back a window looks."""
MEMORY_DAYS = 180
"""How far back the lowest level of a quantity is remembered: conditions that wear a well out grow over months."""
SHORT_DAYS, MIDDLE_DAYS = 3, 14

STATISTICS = ("level", "mean", "change", "slope", "long_slope", "spread", "low")
"""Of each quantity: mean of the last three days and of the last fourteen; the first less the mean of the month before those
fourteen (a change of regime); least-squares slope per day over fourteen days and over the whole reach; standard deviation over
fourteen days; the lowest mean of fourteen days in memory."""

LIFE_FEATURES = ("age_days", "age_known", "failures_before", "days_with_data", "rows_short", "rows_middle")
"""Days since the workover (or since the first data of the well where none is known), whether it is the former, failures of the
well that were known, days with data of the last fourteen, rows a day of the last three and of the last fourteen."""

_MIN_SLOPE_DAYS, _MIN_LONG_SLOPE_DAYS = 4, 8


@dataclass(frozen=True)
class DailyRows:
    """Wells' days with data, r of them, ascending by well and day.

    Attributes
    ----------
    well, day : ndarray of int64, shape (r,)
        Number of the well; days since 1970.
    time_ms : ndarray of int64, shape (r,)
        Time of the newest row of the day.
    values : ndarray of float32, shape (r, channels)
        Mean of the day, NaN where the day has none.
    count : ndarray of int64, shape (r,)
        Rows of the day.
    channels : tuple of str
    """

    well: Int64
    day: Int64
    time_ms: Int64
    values: Float32
    count: Int64
    channels: tuple[str, ...]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.well)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> DailyRows:
        """Keep some rows."""
        return DailyRows(
            self.well[rows],
            self.day[rows],
            self.time_ms[rows],
            self.values[rows],
            self.count[rows],
            self.channels,
        )


def daily_rows(well: ArrayLike, time_ms: ArrayLike, columns: Mapping[str, ArrayLike]) -> DailyRows:
    """Bring rows of any time to one row a well and day.

    Parameters
    ----------
    well, time_ms : array_like of int, shape (n,)
        Number of the well, time; in any order.
    columns : mapping of str to array_like, shape (n,)
        Quantities; what is not finite counts as missing.

    Returns
    -------
    DailyRows
    """
    number, moment = np.asarray(well, np.int64), np.asarray(time_ms, np.int64)
    day = moment // DAY_MS
    order = np.lexsort((moment, number))
    number, moment, day = number[order], moment[order], day[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (number[1:] != number[:-1]) | (day[1:] != day[:-1])
    group = np.cumsum(begins) - 1
    rows = int(begins.sum())
    values = np.full((rows, len(columns)), np.nan, np.float32)
    for place, column in enumerate(columns.values()):
        own = np.asarray(column, np.float64)[order]
        there = np.isfinite(own)
        counts = np.bincount(group[there], minlength=rows)
        sums = np.bincount(group[there], weights=own[there], minlength=rows)
        some = counts > 0
        values[some, place] = sums[some] / counts[some]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(order)) - 1 if rows else first
    return DailyRows(
        number[first],
        day[first],
        moment[last] if rows else moment[:0],
        values,
        np.bincount(group, minlength=rows).astype(np.int64),
        tuple(columns),
    )


def feature_names(channels: tuple[str, ...]) -> list[str]:
    """Names of the columns of `window_features`."""
    return [f"{channel} {statistic}" for channel in channels for statistic in STATISTICS] + list(
        LIFE_FEATURES
    )


def window_features(
    rows: DailyRows,
    log: FailureLog,
    first_day: Int64,
    renewal_well: Int64 | None = None,
    renewal_ms: Int64 | None = None,
) -> tuple[Float32, Life]:
    """Features of every row.

    Parameters
    ----------
    rows : DailyRows
        Complete over the `MEMORY_DAYS` before the rows whose features are wanted.
    log : FailureLog
    first_day : ndarray of int64, shape (wells,)
        First day with data of each well, since 1970.
    renewal_well, renewal_ms : ndarray of int64, optional
        Workovers that are no failure's end, see `life_of`.

    Returns
    -------
    features : ndarray of float32, shape (r, features)
        In the order of `feature_names`; NaN where there is too little to go by.
    life : Life
    """
    life = life_of(rows.well, rows.time_ms, log, renewal_well, renewal_ms)
    # A day that the workover ended on has cards of both lives: the new one begins the day after.
    begin_day = np.where(life.begin_ms == LONG_AGO, LONG_AGO, life.begin_ms // DAY_MS)
    channels = rows.values.shape[1]
    out = np.full((len(rows), channels * len(STATISTICS) + len(LIFE_FEATURES)), np.nan, np.float32)
    _fill(rows.well, rows.day, rows.count, begin_day, rows.values, out)
    place = channels * len(STATISTICS)
    known = life.begin_ms != LONG_AGO
    since = np.where(known, life.begin_ms, first_day[rows.well] * DAY_MS)
    out[:, place] = (rows.time_ms - since) / DAY_MS
    out[:, place + 1] = known
    out[:, place + 2] = life.failures
    return out, life


@compiled
def _fill(well: Int64, day: Int64, count: Int64, begin_day: Int64, values: Float32, out: Float32) -> None:
    channels = values.shape[1]
    for row in range(len(well)):
        first = row
        while (
            first > 0
            and well[first - 1] == well[row]
            and day[first - 1] > day[row] - REACH_DAYS
            and day[first - 1] > begin_day[row]
        ):
            first -= 1
        middle_days, rows_short, rows_middle = 0, 0, 0
        for at in range(first, row + 1):
            ago = day[row] - day[at]
            if ago < SHORT_DAYS:
                rows_short += count[at]
            if ago < MIDDLE_DAYS:
                rows_middle += count[at]
                middle_days += 1
        place = channels * 7
        out[row, place + 3] = middle_days
        out[row, place + 4] = rows_short / SHORT_DAYS
        out[row, place + 5] = rows_middle / MIDDLE_DAYS
        for channel in range(channels):
            n3, s3, n14, s14, q14 = 0, 0.0, 0, 0.0, 0.0
            u14, uu14, ux14 = 0.0, 0.0, 0.0
            n45, s45, u45, uu45, ux45, n_old, s_old = 0, 0.0, 0.0, 0.0, 0.0, 0, 0.0
            origin = np.nan
            for at in range(row, first - 1, -1):
                value = values[at, channel]
                if np.isnan(value):
                    continue
                if np.isnan(origin):
                    origin = value
                x, u = float(value) - origin, float(day[at] - day[row])
                n45 += 1
                s45 += x
                u45 += u
                uu45 += u * u
                ux45 += u * x
                if u > -MIDDLE_DAYS:
                    n14 += 1
                    s14 += x
                    q14 += x * x
                    u14 += u
                    uu14 += u * u
                    ux14 += u * x
                    if u > -SHORT_DAYS:
                        n3 += 1
                        s3 += x
                else:
                    n_old += 1
                    s_old += x
            base = channel * 7
            if n3 > 0:
                out[row, base] = origin + s3 / n3
                if n_old > 0:
                    out[row, base + 2] = s3 / n3 - s_old / n_old
            if n14 > 0:
                out[row, base + 1] = origin + s14 / n14
            if n14 >= _MIN_SLOPE_DAYS:
                below = n14 * uu14 - u14 * u14
                if below > 0.0:
                    out[row, base + 3] = (n14 * ux14 - u14 * s14) / below
                out[row, base + 5] = np.sqrt(max(q14 / n14 - (s14 / n14) ** 2, 0.0))
            if n45 >= _MIN_LONG_SLOPE_DAYS:
                below = n45 * uu45 - u45 * u45
                if below > 0.0:
                    out[row, base + 4] = (n45 * ux45 - u45 * s45) / below
        # a mean whose fourteen days are not all in memory would depend on how much was read
        at = row
        while (
            at >= 0
            and well[at] == well[row]
            and day[at] > day[row] - (MEMORY_DAYS - MIDDLE_DAYS)
            and day[at] > begin_day[row]
        ):
            if out[at, place + 3] >= _MIN_SLOPE_DAYS:
                for channel in range(channels):
                    mean, low = out[at, channel * 7 + 1], out[row, channel * 7 + 6]
                    if mean < low or np.isnan(low):
                        out[row, channel * 7 + 6] = mean
            at -= 1
