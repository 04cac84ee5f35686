"""Statistics that describe measured values: quantiles and histograms, rank correlations, outliers among a well's own values, survival.

Belongs here: pure functions on arrays, in which NaN is a value that is missing. Not here: what is described (``operations.analysis_facts``), drawing
(``plotting.analysis``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_EDGES = (0.005, 0.995)
_MAD_TO_SIGMA = 1.4826
_LEAST_SCALE = 0.25
"""A well whose values hardly move is judged by this share of the usual well's spread, so that its least change is no outlier."""


@dataclass(frozen=True)
class Summary:
    """How the values of one quantity are distributed.

    Attributes
    ----------
    count : int
        Finite values.
    quantiles : tuple of float
        At `QUANTILES`; NaN without values.
    low, high : float
        Edges of the histogram: all but the outermost half per cent on each side.
    counts : ndarray of int64, shape (bins,)
        Values by bin.
    below, above : int
        Values beyond the edges.
    """

    count: int
    quantiles: tuple[float, ...]
    low: float
    high: float
    counts: Int64
    below: int
    above: int


def summarize(values: ArrayLike, bins: int = 28) -> Summary:
    """Describe the distribution of some values.

    Parameters
    ----------
    values : array_like, shape (n,)
        What is not finite is missing.
    bins : int

    Returns
    -------
    Summary
        ``below + sum(counts) + above`` is ``count``.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        empty = (float("nan"),) * len(QUANTILES)
        return Summary(0, empty, float("nan"), float("nan"), np.zeros(bins, np.int64), 0, 0)
    found = np.quantile(known, (*QUANTILES, *_EDGES))
    low, high = float(found[-2]), float(found[-1])
    inside = known[(known >= low) & (known <= high)]
    width = high - low
    # a constant, or values so close that a bin has no width: one bin in the middle
    if not width > bins * np.spacing(max(abs(low), abs(high))):
        counts = np.zeros(bins, np.int64)
        counts[bins // 2] = inside.size
    else:
        place = np.minimum(((inside - low) / width * bins).astype(np.int64), bins - 1)
        counts = np.bincount(place, minlength=bins).astype(np.int64)
    return Summary(
        int(known.size),
        tuple(float(value) for value in found[: len(QUANTILES)]),
        low,
        high,
        counts,
        int((known < low).sum()),
        int((known > high).sum()),
    )


def ranks(values: ArrayLike) -> Float64:
    """Rank values from 1 on; equal ones share the mean of their ranks.

    Parameters
    ----------
    values : array_like, shape (n,)
        Finite.

    Returns
    -------
    ndarray, shape (n,)
    """
    _, place, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[place], np.float64)


def rank_correlations(values: ArrayLike, least: int = 30) -> Float64:
    """Spearman's rank correlation of each pair of columns, over the rows that have both.

    Parameters
    ----------
    values : array_like, shape (n, k)
        A column a quantity; what is not finite is missing.
    least : int
        Rows that a pair needs.

    Returns
    -------
    ndarray, shape (k, k)
        Symmetric; NaN for a pair with fewer rows, or of which one does not vary.
    """
    table = np.asarray(values, np.float64)
    there = np.isfinite(table)
    found = np.full((table.shape[1], table.shape[1]), np.nan)
    ranked: dict[tuple[int, bytes], Float64] = {}

    def ranks_of(column: int, rows: NDArray[np.bool_]) -> Float64:
        key = column, rows.tobytes()
        if key not in ranked:
            own = ranks(table[rows, column])
            ranked[key] = own - own.mean()
        return ranked[key]

    for one in range(table.shape[1]):
        for other in range(one + 1):
            rows = there[:, one] & there[:, other]
            if rows.sum() < least:
                continue
            a, b = ranks_of(one, rows), ranks_of(other, rows)
            size = float(np.sqrt((a @ a) * (b @ b)))
            if size > 0.0:
                found[one, other] = found[other, one] = np.clip(a @ b / size, -1.0, 1.0)
    return found


def medians_by_group(values: ArrayLike, group: ArrayLike, groups: int) -> Float64:
    """Median of the finite values of each group.

    Parameters
    ----------
    values : array_like, shape (n,)
    group : array_like of int, shape (n,)
        0 to groups - 1.
    groups : int

    Returns
    -------
    ndarray, shape (groups,)
        NaN for a group without values.
    """
    given, owner = np.asarray(values, np.float64), np.asarray(group, np.int64)
    there = np.isfinite(given)
    given, owner = given[there], owner[there]
    order = np.lexsort((given, owner))
    given = given[order]
    counts = np.bincount(owner, minlength=groups)
    first = np.cumsum(counts) - counts
    found = np.full(groups, np.nan)
    some = np.flatnonzero(counts)
    lower, upper = first[some] + (counts[some] - 1) // 2, first[some] + counts[some] // 2
    # half of each, as their sum may be too large
    found[some] = given[lower] * 0.5 + given[upper] * 0.5
    return found


def deviations(
    values: ArrayLike, well: ArrayLike, wells: int, *, least: int = 10, least_scale: float = 0.0
) -> tuple[Float64, Float64]:
    """How far each value lies from the median of its own well, in robust standard deviations of that well.

    The scale is 1.4826 times the median absolute deviation, so that outliers do not hide themselves; where a well's own is small it is a
    quarter of the usual well's.

    Parameters
    ----------
    values : array_like, shape (n,)
    well : array_like of int, shape (n,)
        0 to wells - 1.
    wells : int
    least : int
        Values that a well needs to be judged.
    least_scale : float
        Standard deviation, in the unit of the values, that a scale is not taken to be below: what is no matter in the field.

    Returns
    -------
    deviation : ndarray, shape (n,)
        NaN where a value is missing, its well has too few, or no well's values vary and no `least_scale` is given.
    median : ndarray, shape (n,)
        Of the value's well.
    """
    given, owner = np.asarray(values, np.float64), np.asarray(well, np.int64)
    given = np.where(np.isfinite(given), given, np.nan)
    middle = medians_by_group(given, owner, wells)
    away = given - middle[owner]
    scale = _MAD_TO_SIGMA * medians_by_group(np.abs(away), owner, wells)
    enough = np.bincount(owner[np.isfinite(given)], minlength=wells) >= least
    spread = scale[enough & (scale > 0.0)]
    usual = float(np.median(spread)) if spread.size else np.nan
    scale = np.where(enough, np.maximum(scale, np.fmax(_LEAST_SCALE * usual, least_scale or np.nan)), np.nan)
    return away / scale[owner], middle[owner]


@dataclass(frozen=True)
class Survival:
    """Share of lives that reach an age, by Kaplan and Meier.

    Attributes
    ----------
    days : ndarray, shape (m,)
        Ages at which lives ended in a failure, ascending.
    share : ndarray, shape (m,)
        Share that lives on after each.
    ended, censored : int
        Lives that failed, and that are seen so far only.
    """

    days: Float64
    share: Float64
    ended: int
    censored: int

    @property
    def median_days(self) -> float | None:
        """Age that half of them reach; None where more than half are still alive at the greatest age of a failure."""
        reached = np.flatnonzero(self.share <= 0.5)
        return float(self.days[reached[0]]) if reached.size else None


def survival(days: ArrayLike, failed: ArrayLike) -> Survival:
    """Estimate survival from lives of which some are not over yet.

    Parameters
    ----------
    days : array_like, shape (n,)
        Length as far as it was seen.
    failed : array_like of bool, shape (n,)
        Whether it ended in a failure.

    Returns
    -------
    Survival

    References
    ----------
    Kaplan, E. L. and Meier, P. (1958). Nonparametric estimation from incomplete observations. JASA 53, 457-481.
    """
    length, over = np.asarray(days, np.float64), np.asarray(failed, bool)
    ages, ends = np.unique(length[over], return_counts=True)
    alive = (length[np.newaxis, :] >= ages[:, np.newaxis]).sum(axis=1)
    share = np.cumprod(1.0 - ends / np.maximum(alive, 1))
    return Survival(ages, share, int(over.sum()), int((~over).sum()))
