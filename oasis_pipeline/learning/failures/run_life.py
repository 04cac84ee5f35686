"""Run life of components: how long tubing, pump and rods last, and what is left of the life of one that is in a well.

Belongs here: lives with censoring, their distribution, the remaining life at an age. Does not belong here: windows and alarms: a
life's distribution knows nothing of what a card shows.

A component's life begins when a workover replaced it and ends in a failure of its class. A failure of another class ends nothing. What
still runs is censored. The life that a well was in when its data began is of unknown age: it enters at the age that was seen, which says too
little rather than too much of wear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

COMPONENTS = ("Tubing", "Pump", "Rod")
RUN_LIFE_VERSION = "weibull-1"
BASE_VERSION = f"base-{RUN_LIFE_VERSION}"

LEAST_FAILURES = 5
BASE_SCALE_DAYS = 1_400.0
"""Characteristic life of one component before a field has told its own: some 700 days for whatever of the three fails first."""

_QUANTILES = (0.5, 0.95, 0.05)
_LONGEST_DAYS = 36_525.0
_SHAPES = 0.05, 100.0
_HALVINGS = 50


@dataclass(frozen=True)
class Lives:
    """Lives of one component, n of them.

    Attributes
    ----------
    days : ndarray, shape (n,)
        Length as far as it was seen.
    failed : ndarray of bool, shape (n,)
        Whether it ended in a failure.
    """

    days: Float64
    failed: NDArray[np.bool_]


@dataclass(frozen=True)
class Weibull:
    """Chance to reach an age: exp(-(age / scale) ** shape).

    Attributes
    ----------
    scale_days, shape : float
    is_base : bool
        Whether it rests on nothing of the field.
    """

    scale_days: float
    shape: float
    is_base: bool = False

    def remaining_days(self, age_days: Float64) -> Float64:
        """Remaining life that a component of some age reaches with 50, 95 and 5 %.

        Parameters
        ----------
        age_days : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n, 3)
            Median, lower and upper edge of the 90 % interval, at most a century.
        """
        age = np.maximum(np.asarray(age_days, np.float64), 0.0)[:, np.newaxis]
        spent = (age / self.scale_days) ** self.shape
        reached = self.scale_days * (spent - np.log(np.array(_QUANTILES))) ** (1.0 / self.shape)
        return np.asarray(np.clip(reached - age, 0.0, _LONGEST_DAYS))


BASE = Weibull(BASE_SCALE_DAYS, 1.0, True)


def begins_of(
    log: FailureLog, component: str, well: Int64, time_ms: Int64, first_ms: Int64
) -> tuple[Int64, NDArray[np.bool_]]:
    """When the life began that a component is in, as known at each row.

    Parameters
    ----------
    log : FailureLog
    component : str
    well, time_ms : ndarray of int64, shape (n,)
    first_ms : ndarray of int64, shape (wells,)
        First row of each well.

    Returns
    -------
    begin_ms : ndarray of int64, shape (n,)
    seen : ndarray of bool, shape (n,)
        Whether the replacement was seen.
    """
    begin = first_ms[well].copy()
    seen = np.zeros(len(well), bool)
    if component not in log.classes:
        return begin, seen
    mine = log.take(log.label == log.classes.index(component))
    for i in range(len(mine)):
        rows = np.flatnonzero(
            (well == mine.well[i]) & (time_ms >= mine.known_ms[i]) & (time_ms >= mine.end_ms[i])
        )
        begin[rows] = np.maximum(begin[rows], mine.end_ms[i])
        seen[rows] = True
    return begin, seen


def lives_at(log: FailureLog, component: str, first_ms: Int64, last_ms: Int64, cutoff_ms: int) -> Lives:
    """Lives of a component as known at a cut-off.

    Parameters
    ----------
    log : FailureLog
    component : str
    first_ms, last_ms : ndarray of int64, shape (wells,)
        First and newest row of each well before the cut-off.
    cutoff_ms : int

    Returns
    -------
    Lives
    """
    log = log.known_at(cutoff_ms)
    label = log.classes.index(component) if component in log.classes else -1
    days: list[float] = []
    failed: list[bool] = []
    for number in range(len(first_ms)):
        if first_ms[number] >= cutoff_ms:
            continue
        begin = int(first_ms[number])
        standing = True
        for i in np.flatnonzero((log.well == number) & (log.label == label)):
            start, end = int(log.start_ms[i]), int(log.end_ms[i])
            if start > begin:
                days.append((start - begin) / DAY_MS)
                failed.append(True)
            standing = end < NEVER
            begin = max(begin, end) if standing else begin
        if standing and last_ms[number] > begin:
            days.append((int(last_ms[number]) - begin) / DAY_MS)
            failed.append(False)
    return Lives(np.array(days), np.array(failed, bool))


def fit_weibull(lives: Lives) -> Weibull:
    """Fit the distribution of lives of greatest likelihood, censored ones included.

    Parameters
    ----------
    lives : Lives

    Returns
    -------
    Weibull
        `BASE` with fewer than `LEAST_FAILURES` failures, and where no shape between 0.05 and 100 fits best.

    Notes
    -----
    The likelihood has one maximum: for a given shape the best scale is known in closed form, and the slope over the
    shape rises from below zero (J. F. Lawless, Statistical Models and Methods for Lifetime Data, 2nd ed., 2003, 5.2).
    """
    if int(lives.failed.sum()) < LEAST_FAILURES:
        return BASE
    longest = max(float(lives.days.max()), 0.01)
    # as shares of the longest life: powers of it can't overflow
    share = np.maximum(lives.days, 0.01) / longest
    logs, ended = np.log(share), float(np.log(share[lives.failed]).mean())

    def slope(shape: float) -> float:
        """Slope of the log likelihood over the shape, at the best scale of it and with its sign turned."""
        powers = share**shape
        return float(powers @ logs / powers.sum() - ended - 1.0 / shape)

    low, high = _SHAPES
    if not slope(low) < 0.0 < slope(high):
        return BASE
    for _ in range(_HALVINGS):
        shape = 0.5 * (low + high)
        low, high = (shape, high) if slope(shape) < 0.0 else (low, shape)
    scale = longest * float((share**shape).sum() / lives.failed.sum()) ** (1.0 / shape)
    return Weibull(scale, shape)
