"""Bounds of a well's cards as they were known at the end of each day.

Here: the robust rule on arrays of card extremes. Not here: where the extremes come from, and which day is asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OUTLIER_DEVIATIONS = 6.0
"""A card is an outlier when one of its extremes lies this many robust standard deviations from the median extreme."""

OUTLIER_SPAN_SHARE = 0.25
"""... and at least this share of the median card's span away: controllers whose extremes hardly vary (a spread of
zero) must not lose every card that differs by a pound."""

MIN_CARDS_FOR_OUTLIERS = 5
"""With fewer cards nobody can say which of them is the odd one; all count."""


def robust_bounds(extremes: Floats) -> tuple[Floats, int]:
    """Bounds of a set of cards, resistant to outlier cards.

    Parameters
    ----------
    extremes : ndarray, shape (n, 4)
        Least and greatest position (in), least and greatest load (lbf) of each card; one row a card, no NaN.

    Returns
    -------
    bounds : ndarray, shape (4,)
        ``pos_min, pos_max, load_min, load_max`` over the cards that are no outliers; NaN where there is no card.
    n_cards : int
        Number of cards that the bounds rest on.

    Notes
    -----
    A card is left out when any of its extremes ``x`` has ``|x - med| > max(6 * 1.4826 * MAD, span / 4)`` with the
    median and the median absolute deviation of that extreme, and the median card's span on that axis. A lasting
    change of the well moves the median, and with it the bounds, after as many cards as it had before.

    Examples
    --------
    >>> cards = np.array([[0.0, 100.0, 5000.0, 15000.0]] * 8 + [[0.0, 900.0, 0.0, 65535.0]])
    >>> robust_bounds(cards)
    (array([    0.,   100.,  5000., 15000.]), 8)
    """
    if len(extremes) == 0:
        return np.full(4, np.nan), 0
    kept = extremes
    if len(extremes) >= MIN_CARDS_FOR_OUTLIERS:
        middle = np.median(extremes, axis=0)
        distance = np.abs(extremes - middle)
        spread = 1.4826 * np.median(distance, axis=0)
        span = np.repeat([middle[1] - middle[0], middle[3] - middle[2]], 2)
        limit = np.maximum(OUTLIER_DEVIATIONS * spread, OUTLIER_SPAN_SHARE * span)
        inside = np.all(distance <= limit, axis=1)
        if inside.any():
            kept = extremes[inside]
    low, high = kept.min(axis=0), kept.max(axis=0)
    return np.array([low[0], high[1], low[2], high[3]]), len(kept)


def bounds_by_day(
    day: NDArray[np.int64],
    extremes: Floats,
    asked: NDArray[np.int64],
    begin: NDArray[np.int64],
    window_days: int,
) -> tuple[Floats, NDArray[np.int64]]:
    """Bounds of one well at the end of each day asked for.

    Parameters
    ----------
    day : ndarray of int, shape (n,)
        Day of each card, ascending (any epoch).
    extremes : ndarray, shape (n, 4)
        Extremes of each card, as for `robust_bounds`.
    asked : ndarray of int, shape (m,)
        Days at whose end the bounds are wanted.
    begin : ndarray of int, shape (m,)
        First day whose cards may count, for each day asked: the day after the last workover known by then.
    window_days : int
        Cards older than this are not looked at.

    Returns
    -------
    bounds : ndarray, shape (m, 4)
        NaN where no card counts.
    n_cards : ndarray of int, shape (m,)

    Notes
    -----
    Only cards of ``max(begin, asked - window_days + 1) <= day <= asked`` enter, so nothing later than the day
    asked for can change its bounds.
    """
    first = np.searchsorted(day, np.maximum(begin, asked - window_days + 1), side="left")
    last = np.searchsorted(day, asked, side="right")
    bounds = np.full((len(asked), 4), np.nan)
    counts = np.zeros(len(asked), dtype=np.int64)
    for i, (start, stop) in enumerate(zip(first, last, strict=True)):
        if stop > start:
            bounds[i], counts[i] = robust_bounds(extremes[start:stop])
    return bounds, counts
