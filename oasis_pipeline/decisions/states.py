"""Which state a well is in at the end of a day, and since when.

Here: states from times of cards, run time and known failures. Not here: what a card shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]
Times = NDArray[np.int64]

NEVER = np.iinfo(np.int64).min
"""A time that does not exist, in milliseconds since 1970."""

HOUR_MS = 3_600_000
DAY_MS = 86_400_000

SILENT_AFTER_GAPS = 3.0
"""A well is silent once its newest card is older than so many of its ordinary gaps between cards."""

SILENT_AFTER_H = 24.0
"""And never before so many hours: one missed poll of a well that sends every hour is no event."""

ROW_ARRIVES_DAYS = 3
"""How long after a silence has ended its failure may still become known."""

CADENCE_GAPS = 30
"""Gaps that the ordinary one is read off."""

IDLE_RUN_H = 0.25
"""A day with less run time than this, in hours, is idle."""


class WellState(StrEnum):
    """State of a well at the end of a day."""

    PUMPING = "pumping"
    IDLE = "idle"
    DOWN = "down"
    SILENT = "silent"


@dataclass(frozen=True)
class States:
    """States of wells by day.

    Attributes
    ----------
    state : ndarray of str, shape (wells, days)
        Values of `WellState`; empty before a well's first card.
    since_ms : ndarray of int64, shape (wells, days)
        When the state began; `NEVER` where there is no state.
    """

    state: NDArray[np.str_]
    since_ms: Times


def ordinary_gaps_h(first_card_ms: Times, last_card_ms: Times) -> Grid:
    """Find the ordinary gap between cards of each well, as known at the end of each day.

    Parameters
    ----------
    first_card_ms, last_card_ms : ndarray of int64, shape (wells, days)
        First and last card of the well on each day; `NEVER` on days without cards.

    Returns
    -------
    ndarray, shape (wells, days)
        Upper quartile, over the last `CADENCE_GAPS` days with cards, of the hours from the last card of a day to the first card of
        the next day with cards; NaN before there are two such days.
    """
    wells, days = first_card_ms.shape
    gaps = np.full((wells, days), np.nan)
    for well in range(wells):
        on = np.flatnonzero(first_card_ms[well] != NEVER)
        step = (first_card_ms[well, on[1:]] - last_card_ms[well, on[:-1]]) / HOUR_MS
        for place, day in enumerate(on[1:].tolist()):
            until = on[place + 2] if place + 2 < len(on) else days
            gaps[well, day:until] = np.quantile(step[max(place + 1 - CADENCE_GAPS, 0) : place + 1], 0.75)
    return gaps


def carry_forward(times: Times) -> Times:
    """Carry the newest time of each well forward over days without one.

    Parameters
    ----------
    times : ndarray of int64, shape (wells, days)
        `NEVER` on days without one.

    Returns
    -------
    ndarray of int64, shape (wells, days)
    """
    return np.asarray(np.maximum.accumulate(times, axis=1))


def find_states(
    *,
    as_of_ms: Times,
    first_card_ms: Times,
    last_card_ms: Times,
    gap_h: Grid,
    run_h: Grid,
    failure_start_ms: Times,
) -> States:
    """Find the state of each well at the end of each day.

    Parameters
    ----------
    as_of_ms : ndarray of int64, shape (days,)
        Moment at which each day is looked at: the time of the field's newest row of that day.
    first_card_ms : ndarray of int64, shape (wells, days)
        First card of the well on the day; `NEVER` without one.
    last_card_ms : ndarray of int64, shape (wells, days)
        Newest card of the well up to the end of the day; `NEVER` before its first one.
    gap_h : ndarray, shape (wells, days)
        Ordinary gap between cards, hours; NaN counts as a day.
    run_h : ndarray, shape (wells, days)
        Run time by the newest card up to the end of the day, h/d; NaN where it is not known.
    failure_start_ms : ndarray of int64, shape (wells, days)
        Start of the failure that is known to be open at the end of the day; `NEVER` without one.

    Returns
    -------
    States
        An open failure makes a well ``down``, whatever its cards say: parted rods run on until somebody looks.
    """
    wells, days = last_card_ms.shape
    limit_h = np.maximum(SILENT_AFTER_GAPS * np.where(np.isnan(gap_h), 24.0, gap_h), SILENT_AFTER_H)
    known = last_card_ms != NEVER
    age_h = np.where(known, (as_of_ms[None, :] - last_card_ms) / HOUR_MS, np.nan)
    with np.errstate(invalid="ignore"):
        silent = known & (age_h > limit_h)
        idle = known & ~silent & (run_h < IDLE_RUN_H)
    down = failure_start_ms != NEVER
    state = np.full((wells, days), "", dtype="<U7")
    state[known] = WellState.PUMPING
    state[idle] = WellState.IDLE
    state[silent] = WellState.SILENT
    state[down] = WellState.DOWN
    since = np.full((wells, days), NEVER, dtype=np.int64)
    for day in range(days):
        now = state[:, day]
        begins = np.where(first_card_ms[:, day] != NEVER, first_card_ms[:, day], last_card_ms[:, day])
        if day:
            begins = np.where(now == state[:, day - 1], since[:, day - 1], begins)
        begins = np.where(now == WellState.SILENT, last_card_ms[:, day], begins)
        begins = np.where(now == WellState.DOWN, failure_start_ms[:, day], begins)
        since[:, day] = np.where(now == "", NEVER, begins)
    return States(state, since)


@dataclass(frozen=True)
class KnownFailure:
    """One failure of a well: when it began and ended, and from when on it was known, in milliseconds since 1970."""

    well: int
    start_ms: int
    stop_ms: int
    known_ms: int


def silence_outcomes(state: NDArray[np.str_], as_of_ms: Times, failures: Sequence[KnownFailure]) -> Grid:
    """Learn which share of a field's silences were failures.

    Parameters
    ----------
    state : ndarray of str, shape (wells, days)
        From `find_states`.
    as_of_ms : ndarray of int64, shape (days,)
        Moment at which each day is looked at.
    failures : sequence of KnownFailure
        All of these wells.

    Returns
    -------
    ndarray, shape (days,)
        For each day, from the silences that had ended by then: those that overlap a failure known by then, over all; one of each
        kind is added, so that it is 0.5 before the first. A silence without a failure counts `ROW_ARRIVES_DAYS` after its
        end, because the row of a failure usually comes after the job.
    """
    days = state.shape[1]
    failed, ended = np.zeros(days), np.zeros(days)
    by_well: dict[int, list[KnownFailure]] = {}
    for failure in failures:
        by_well.setdefault(failure.well, []).append(failure)
    stopped = (state == WellState.SILENT) | (state == WellState.DOWN)
    wells, ends = np.nonzero((state[:, :-1] == WellState.SILENT) & ~stopped[:, 1:])
    for well, day in zip(wells.tolist(), (ends + 1).tolist(), strict=True):
        begin = day - 1
        while begin > 0 and stopped[well, begin - 1]:
            begin -= 1
        known = [
            failure.known_ms
            for failure in by_well.get(well, [])
            if failure.start_ms <= as_of_ms[day] and failure.stop_ms >= as_of_ms[begin] - DAY_MS
        ]
        told = int(np.searchsorted(as_of_ms, min(known))) if known else day + ROW_ARRIVES_DAYS
        told = max(told, day)
        if told < days:
            failed[told] += bool(known)
            ended[told] += 1
    return np.asarray((1.0 + np.cumsum(failed)) / (2.0 + np.cumsum(ended)))


def days_in_a_row(label: NDArray[np.object_]) -> NDArray[np.int64]:
    """Count for how many days with a label the label has been the same.

    Parameters
    ----------
    label : ndarray of object, shape (wells, days)
        Label of each day; None on days without one, which neither count nor end a row.

    Returns
    -------
    ndarray of int64, shape (wells, days)
        1 on the first day of a label; 0 before the first label of a well; on a day without a label as on the day before.
    """
    wells, days = label.shape
    count = np.zeros((wells, days), dtype=np.int64)
    current = np.full(wells, None, dtype=object)
    run = np.zeros(wells, dtype=np.int64)
    for day in range(days):
        now = label[:, day]
        some = np.array([value is not None for value in now], dtype=bool)
        same = some & np.array([a == b for a, b in zip(now, current, strict=True)], dtype=bool)
        run = np.where(same, run + 1, np.where(some, 1, run))
        current = np.where(some, now, current)
        count[:, day] = run
    return count
