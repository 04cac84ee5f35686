"""What a well could lift, and what of it is lost: in liquid, so that a water cut that becomes known, or rises, is no loss.

Here: the attainable rate out of a well's own past, a stand-in where there is none, and the loss with its interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]

PAST_DAYS = 90
"""How far back a well's own past counts."""

UPPER_LEVEL = 0.8
"""Quantile of the past days that is attainable: a good day, not the best one, which is a lucky error."""

DECLINE_PCT_PER_YEAR = 20.0
"""Natural decline that an attainable rate is allowed."""

ENOUGH_DAYS = 3
"""Days with a rate that make a past."""

EFFICIENCY = 0.75
"""Share of a pump's displacement that a sound well delivers, where the field itself does not tell."""

Z90 = 1.6449


@dataclass(frozen=True)
class Attainable:
    """Attainable liquid rate of wells by day.

    Attributes
    ----------
    bpd : ndarray, shape (wells, days)
        Liquid, bbl/d; NaN where nothing tells it.
    spread : ndarray, shape (wells, days)
        Standard deviation of its logarithm.
    basis : ndarray of str, shape (wells, days)
        ``own_past``, ``pump_capacity`` (displacement times what the field's sound pumps deliver of theirs), or empty.
    """

    bpd: Grid
    spread: Grid
    basis: NDArray[np.str_]


def attainable_rate(
    rate_bpd: Grid,
    run: NDArray[np.int64],
    displacement_bpd: Grid,
    sound: NDArray[np.bool_],
    adjustment: Grid | None = None,
) -> Attainable:
    """Find what each well could make.

    Parameters
    ----------
    rate_bpd : ndarray, shape (wells, days)
        Trusted liquid rate; NaN on days that don't count (no card, down).
    run : ndarray of int64, shape (wells, days)
        Number of workovers before the day: only days of the same run are a well's past.
    displacement_bpd : ndarray, shape (wells, days)
        Of the pump, for wells without a past.
    sound : ndarray of bool, shape (wells, days)
        Days on which nothing is wrong with the pump: the field's efficiency is read off them.
    adjustment : ndarray, shape (wells, days), optional
        Of `Production`: what was learned of a card's error since is put into the past too, so that a rate which was thought too high is no loss.

    Returns
    -------
    Attainable
        From the days before and the day itself.
    """
    wells, days = rate_bpd.shape
    bpd, spread = np.full((wells, days), np.nan), np.full((wells, days), np.nan)
    basis = np.full((wells, days), "", dtype="<U13")
    daily = np.log1p(-DECLINE_PCT_PER_YEAR / 100.0) / 365.0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(sound, rate_bpd / displacement_bpd, np.nan)
    share[~np.isfinite(share)] = np.nan
    capacity = carry_known(displacement_bpd)
    if adjustment is None:
        adjustment = np.full((wells, days), np.nan)
    learned = smooth_recent(adjustment)
    for day in range(days):
        first = max(day - PAST_DAYS + 1, 0)
        past = np.where(
            run[:, first : day + 1] == run[:, day : day + 1], rate_bpd[:, first : day + 1], np.nan
        )
        told = learned[:, day : day + 1] - adjustment[:, first : day + 1]
        past = past * np.exp(np.where(np.isfinite(told), told, 0.0))
        past = past * np.exp(daily * (day - np.arange(first, day + 1)))
        count = np.isfinite(past).sum(axis=1)
        own = count >= ENOUGH_DAYS
        if own.any():
            bpd[own, day] = np.nanquantile(past[own], UPPER_LEVEL, axis=1)
            spread[own, day] = 0.08 + 0.25 / np.sqrt(count[own])
            basis[own, day] = "own_past"
        shares = share[:, first : day + 1]
        shares = shares[np.isfinite(shares)]
        efficiency = float(np.clip(np.median(shares), 0.3, 1.0)) if len(shares) >= 10 else EFFICIENCY
        rest = ~own & np.isfinite(capacity[:, day])
        bpd[rest, day] = efficiency * capacity[rest, day]
        spread[rest, day] = 0.4
        basis[rest, day] = "pump_capacity"
    return Attainable(bpd, spread, basis)


def lost_rate(
    attainable: Attainable,
    rate_bpd: Grid,
    lower_bpd: Grid,
    upper_bpd: Grid,
    not_lifting: NDArray[np.bool_],
) -> tuple[Grid, Grid, Grid]:
    """Subtract what a well makes from what it could make.

    Parameters
    ----------
    attainable : Attainable
        Of the same wells and days.
    rate_bpd, lower_bpd, upper_bpd : ndarray, shape (wells, days)
        Trusted rate of the day and its 90 % interval.
    not_lifting : ndarray of bool, shape (wells, days)
        Wells that are down or idle: they lose all of it.

    Returns
    -------
    lost, lower, upper : ndarray, shape (wells, days)
        Liquid, bbl/d, never negative, with a 90 % interval; NaN where it can't be told.
    """
    made = np.where(not_lifting, 0.0, rate_bpd)
    made_lower = np.where(not_lifting, 0.0, lower_bpd)
    made_upper = np.where(not_lifting, 0.0, upper_bpd)
    best = attainable.bpd
    low, high = best * np.exp(-Z90 * attainable.spread), best * np.exp(Z90 * attainable.spread)
    lost = best - made
    # errors of both sides are independent: their distances from the middle add as squares
    below = np.hypot(best - low, made_upper - made)
    above = np.hypot(high - best, made - made_lower)
    return (
        np.maximum(lost, 0.0),
        np.maximum(lost - below, 0.0),
        np.maximum(np.minimum(lost + above, high), 0.0),
    )


def carry_known(values: Grid) -> Grid:
    """Carry the last finite value of each well forward over days without one.

    Parameters
    ----------
    values : ndarray, shape (wells, days)

    Returns
    -------
    ndarray, shape (wells, days)
        NaN before the first value.
    """
    place = np.where(np.isfinite(values), np.arange(values.shape[1]), -1)
    place = np.maximum.accumulate(place, axis=1)
    taken = np.take_along_axis(values, np.maximum(place, 0), axis=1)
    return np.where(place >= 0, taken, np.nan)


def smooth_recent(values: Grid, days: int = 3) -> Grid:
    """Take the median of the newest finite values of each well: one odd card makes no loss.

    Parameters
    ----------
    values : ndarray, shape (wells, days)
    days : int
        How many values at most, from the day and the ones before it; none older than twice as many days.

    Returns
    -------
    ndarray, shape (wells, days)
        NaN on days whose well has no value in that time.
    """
    out = np.full(values.shape, np.nan)
    for day in range(values.shape[1]):
        window = values[:, max(day - 2 * days + 1, 0) : day + 1][:, ::-1]
        rank = np.cumsum(np.isfinite(window), axis=1)
        chosen = np.where((rank <= days) & np.isfinite(window), window, np.nan)
        some = np.isfinite(chosen).any(axis=1)
        out[some, day] = np.nanmedian(chosen[some], axis=1)
    return out
