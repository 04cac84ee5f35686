"""What came of a day, as far as it was known at a time: the labels that models of failures learn from.

Belongs here: outcomes, and where they are censored. Does not belong here: features.

The time after a row is cut into the intervals between the horizons. A row knows of an interval that a failure began in it, that
none did, or nothing: where the data of the well end before the interval does, where an earlier interval holds a
failure already, and in rows that lie inside a failure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog

Int64 = NDArray[np.int64]

HORIZONS_DAYS = (3, 7, 15, 30)
"""Lengths of the windows that are forecast."""

REPORTING_DAYS = 3
"""A failure is heard of this late. A well that has sent data for so long since a window's end did not fail in it: it would have been
down, and its failure known."""

UNKNOWN = -2
NO_FAILURE = -1


@dataclass(frozen=True)
class Outcomes:
    """What came of n rows.

    Attributes
    ----------
    interval : ndarray of int64, shape (n, intervals)
        Class of the failure that began in the interval, `NO_FAILURE`, or `UNKNOWN`.
    days_to_failure : ndarray of float64, shape (n,)
        To the next failure of the well; NaN where none was known.
    observed_days : ndarray of float64, shape (n,)
        How long the row is known to have gone without a failure.
    """

    interval: Int64
    days_to_failure: NDArray[np.float64]
    observed_days: NDArray[np.float64]

    def window(self, horizon_days: int) -> Int64:
        """Return the outcome of the window (0, horizon], shape (n,): a class, `NO_FAILURE` or `UNKNOWN`."""
        count = HORIZONS_DAYS.index(horizon_days) + 1
        parts = self.interval[:, :count]
        result = np.where((parts == NO_FAILURE).all(axis=1), NO_FAILURE, UNKNOWN)
        failed = parts >= 0
        rows = failed.any(axis=1)
        result[rows] = parts[rows, failed[rows].argmax(axis=1)]
        return result


def outcomes_at(
    well: Int64,
    time_ms: Int64,
    log: FailureLog,
    cutoff_ms: int,
    *,
    reporting_days: float = REPORTING_DAYS,
    within_failure_is_unknown: bool = True,
) -> Outcomes:
    """Tell what came of rows, as far as it was known at a cutoff.

    Parameters
    ----------
    well, time_ms : ndarray of int64, shape (n,)
        Rows; those after the cutoff get unknown outcomes and are not looked at.
    log : FailureLog
        What became known after the cutoff is not looked at.
    cutoff_ms : int
    reporting_days : float
        See `REPORTING_DAYS`.
    within_failure_is_unknown : bool
        Whether rows inside a failure have no outcome.

    Returns
    -------
    Outcomes
    """
    log = log.known_at(cutoff_ms)
    seen = time_ms <= cutoff_ms
    wells = int(max(well.max(initial=-1), log.well.max(initial=-1))) + 1
    last = np.full(wells, np.iinfo(np.int64).min // 2)
    np.maximum.at(last, well[seen], time_ms[seen])
    observed = last[well] - int(reporting_days * DAY_MS)
    next_start, next_label, inside = _next_failure(well, time_ms, log)
    interval = np.full((len(well), len(HORIZONS_DAYS)), UNKNOWN, np.int64)
    begin = time_ms
    failed = np.zeros(len(well), bool)
    for place, horizon in enumerate(HORIZONS_DAYS):
        end = time_ms + horizon * DAY_MS
        here = (next_start > begin) & (next_start <= end)
        quiet = (next_start > end) & ((observed >= end) | (next_start < NEVER))
        # failures are known sooner than quiet days: of an interval too young for the one, neither may be learned from
        ripe = end + int(reporting_days * DAY_MS) <= cutoff_ms
        interval[~failed & ripe & here, place] = next_label[~failed & ripe & here]
        interval[~failed & ripe & quiet, place] = NO_FAILURE
        failed |= here
        begin = end
    hidden = ~seen | (inside if within_failure_is_unknown else False)
    interval[hidden] = UNKNOWN
    to_failure = np.where(next_start < NEVER, (next_start - time_ms) / DAY_MS, np.nan)
    free = np.where(next_start < NEVER, to_failure, np.maximum((observed - time_ms) / DAY_MS, 0.0))
    to_failure[hidden], free[hidden] = np.nan, 0.0
    return Outcomes(interval, to_failure, free)


def _next_failure(well: Int64, time_ms: Int64, log: FailureLog) -> tuple[Int64, Int64, NDArray[np.bool_]]:
    """Start and class of the first failure after each row, and whether the row lies inside one."""
    start = np.full(len(well), NEVER)
    label = np.full(len(well), UNKNOWN, np.int64)
    inside = np.zeros(len(well), bool)
    if len(log) == 0:
        return start, label, inside
    first = np.searchsorted(log.well, np.arange(int(well.max(initial=-1)) + 2))
    order = np.argsort(well, kind="stable")
    bounds = np.searchsorted(well[order], np.arange(int(well.max(initial=-1)) + 2))
    for number in np.unique(log.well[log.well <= well.max(initial=-1)]).tolist():
        rows = order[bounds[number] : bounds[number + 1]]
        if rows.size == 0:
            continue
        own = slice(first[number], first[number + 1])
        starts, ends = log.start_ms[own], log.end_ms[own]
        place = np.searchsorted(starts, time_ms[rows], side="right")
        there = place < len(starts)
        start[rows[there]] = starts[place[there]]
        label[rows[there]] = log.label[own][place[there]]
        longest = np.maximum.accumulate(ends)
        inside[rows] = (place > 0) & (time_ms[rows] < longest[np.maximum(place - 1, 0)])
    return start, label, inside
