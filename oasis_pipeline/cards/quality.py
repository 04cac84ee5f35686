"""Which points of a card can be used, and whether enough of them remain.

Belongs here: the rules by which points and whole cards are judged, as masks and codes. Does not belong here:
mending points (``canonical``), and judging what a usable card means (that is diagnosis).

The rules, in the order in which they are asked; the first that holds names the card's state:

1. no points: ``NO_CARD``;
2. every value is zero or NaN: ``ALL_ZERO`` (if there is a zero at all, else ``TOO_MANY_NAN``);
3. more than 20 % of the points have a NaN in position or load: ``TOO_MANY_NAN``;
4. fewer than 8 usable points: ``TOO_FEW_POINTS``;
5. all usable points at one position: ``ZERO_STROKE``.

A closing point (the last point repeats the first exactly) is no point of its own and is not counted, so that an
open and a closed ring of one card are judged alike.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .column import CardColumn, FloatArray, IntArray, group_by_count

__all__ = [
    "MAX_NAN_SHARE",
    "MIN_POINTS",
    "QUIETLY",
    "Unusable",
    "closing_points",
    "judge",
    "marred_cards",
    "periodic_gaps",
    "unusable_points",
    "usable",
]

MIN_POINTS = 8
MAX_NAN_SHARE = 0.2
_CHUNK_POINTS = 1 << 15

QUIETLY = np.errstate(over="ignore", invalid="ignore")
"""For functions that meet blobs as they came: signalling NaN and huge numbers are data here, not mishaps."""

_ZERO_POINT_SHARE = 0.1  # of the card's own stroke or load range, see unusable_points


class Unusable(IntEnum):
    """Why a card that could be read is of no use; ``USABLE`` (0) if it is."""

    USABLE = 0
    NO_CARD = 1
    ALL_ZERO = 2
    ZERO_STROKE = 3
    TOO_FEW_POINTS = 4
    TOO_MANY_NAN = 5


@QUIETLY
def usable(column: CardColumn) -> NDArray[np.int8]:
    """Judge every card of a column.

    Parameters
    ----------
    column : CardColumn

    Returns
    -------
    codes : ndarray of int8, shape (n,)
        An :class:`Unusable` a card; 0 means usable.
    """
    codes = np.full(len(column), Unusable.NO_CARD, np.int8)
    closing, marred = closing_points(column), marred_cards(column)
    for indices, position, load in group_by_count(column):
        last = position.shape[1] - closing[indices]
        marred_here = marred[indices] | (last < MIN_POINTS)
        # A closing point does not change the extent.
        still = position.max(axis=1) == position.min(axis=1)
        codes[indices] = np.where(still, Unusable.ZERO_STROKE, Unusable.USABLE)
        for end in np.unique(last[marred_here]).tolist():
            rows = np.flatnonzero(marred_here & (last == end))
            x, y = position[rows, :end], load[rows, :end]
            codes[indices[rows]] = judge(x, y, unusable_points(x, y))
    return codes


@QUIETLY
def closing_points(column: CardColumn) -> NDArray[np.bool_]:
    """Tell which cards end with an exact repeat of their first point, shape (n,).

    A ring of one point is not closed, and NaN repeats nothing.
    """
    result = np.zeros(len(column), np.bool_)
    several = np.flatnonzero(column.counts > 1)
    first, last = column.offsets[:-1][several], column.offsets[1:][several] - 1
    result[several] = (column.position[first] == column.position[last]) & (
        column.load[first] == column.load[last]
    )
    return result


@QUIETLY
def marred_cards(column: CardColumn) -> NDArray[np.bool_]:
    """Tell, at little cost, which cards may have unusable points (the others certainly have none).

    Parameters
    ----------
    column : CardColumn

    Returns
    -------
    ndarray of bool, shape (n,)
        True where a point is NaN, infinite or exactly (0, 0).
    """
    found: list[IntArray] = []
    for first in range(0, column.position.size, _CHUNK_POINTS):
        chunk = slice(first, first + _CHUNK_POINTS)
        size = np.abs(column.position[chunk]) + np.abs(column.load[chunk])
        # Both comparisons are false for NaN, which minimum and maximum hand on.
        if not (size.min() > 0 and size.max() < np.inf):
            found.append(np.flatnonzero(~((size > 0) & (size < np.inf))) + first)
    result = np.zeros(len(column), np.bool_)
    if found:
        result[np.searchsorted(column.offsets, np.concatenate(found), side="right") - 1] = True
    return result


@QUIETLY
def unusable_points(position: FloatArray, load: FloatArray) -> NDArray[np.bool_]:
    """Tell the points that must not be used: no number in either value, or a (0, 0) that is not part of the card.

    A point at exactly (0, 0) is how a lost sample looks, but it is also where a card may truly pass (a pump card
    whose position starts at 0 and whose load is 0 there). It is held for lost if it lies off the straight line in
    time between its good neighbours, in position or in load, by more than both a tenth of the card's own stroke
    (load range) and the distance of the two neighbours from one another in that value. The rule has no
    scale: any unit gives the same answer, and so does any start and either direction. Points between two
    good neighbours in value, as on a steep flank, always pass.

    Parameters
    ----------
    position, load : ndarray, shape (k, points)
        in, lbf; rings without closing point.

    Returns
    -------
    ndarray of bool, shape (k, points)
    """
    missing = ~(np.isfinite(position) & np.isfinite(load))
    zero = (position == 0) & (load == 0)
    good = ~(missing | zero)
    unusable = missing
    rows, at = np.nonzero(zero & good.any(axis=1)[:, None])
    if not rows.size:
        return unusable
    before, after = periodic_gaps(good, rows, at)
    n = position.shape[1]
    left, right = (at - before) % n, (at + after) % n
    lost = np.zeros(rows.size, np.bool_)
    for values in (position, load):
        a, b = values[rows, left].astype(np.float64), values[rows, right].astype(np.float64)
        expected = (a * after + b * before) / (before + after)
        inside = np.where(good, values, np.nan)
        # Rows without a good point were left out above, so fmax and fmin find a number in the rows used.
        spread = np.fmax.reduce(inside, axis=1).astype(np.float64) - np.fmin.reduce(inside, axis=1)
        lost |= np.abs(expected) > np.maximum(_ZERO_POINT_SHARE * spread[rows], np.abs(b - a))
    unusable[rows, at] = lost
    return unusable


def periodic_gaps(good: NDArray[np.bool_], rows: IntArray, at: IntArray) -> tuple[IntArray, IntArray]:
    """Return how many points back and how many ahead the nearest good point lies, around the ring.

    Parameters
    ----------
    good : ndarray of bool, shape (k, points)
        Every row asked for has at least one good point.
    rows, at : ndarray of int64, shape (m,)
        The points asked about.

    Returns
    -------
    before, after : ndarray of int64, shape (m,)
        From 0 (the point itself is good) to ``points - 1``, or ``points`` if the only good point is itself.
    """
    n = good.shape[1]
    index = np.arange(n)
    previous = np.maximum.accumulate(np.where(good, index, -1), axis=1)
    following = np.minimum.accumulate(np.where(good, index, 2 * n)[:, ::-1], axis=1)[:, ::-1]
    back, ahead = previous[rows, at], following[rows, at]
    back = np.where(back < 0, previous[rows, -1] - n, back)
    ahead = np.where(ahead >= n, following[rows, 0] + n, ahead)
    return at - back, ahead - at


@QUIETLY
def judge(position: FloatArray, load: FloatArray, unusable: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Judge cards of equal count whose unusable points are known.

    Parameters
    ----------
    position, load : ndarray, shape (k, points)
        in, lbf; rings without closing point.
    unusable : ndarray of bool, shape (k, points)
        As :func:`unusable_points` gives it.

    Returns
    -------
    codes : ndarray of int8, shape (k,)
        An :class:`Unusable` a card.
    """
    points = position.shape[1]
    no_position, no_load = ~np.isfinite(position), ~np.isfinite(load)
    missing = no_position | no_load
    blank = ((position == 0) | no_position) & ((load == 0) | no_load)
    some = ~(no_position & no_load).all(axis=1)
    inside = np.where(unusable, np.nan, position)
    # Compared, not subtracted: the difference of two huge numbers may overflow.
    no_stroke = np.fmax.reduce(inside, axis=1) == np.fmin.reduce(inside, axis=1)
    return np.select(
        [
            blank.all(axis=1) & some,
            missing.sum(axis=1) > MAX_NAN_SHARE * points,
            points - unusable.sum(axis=1) < MIN_POINTS,
            no_stroke,
        ],
        [Unusable.ALL_ZERO, Unusable.TOO_MANY_NAN, Unusable.TOO_FEW_POINTS, Unusable.ZERO_STROKE],
        Unusable.USABLE,
    ).astype(np.int8)
