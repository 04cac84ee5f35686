"""Which points of a card can be used, and whether enough of them remain.

Belongs here: the rules by which points and whole cards are judged, as masks and codes. Does not belong here:
mending points (``canonical``), and judging what a usable card means (that is diagnosis).

The rules, in the order in which they are asked; the first that holds names the card's state:

1. no points: ``NO_CARD``;
2. every value is zero or NaN: ``ALL_ZERO`` (if there is a zero at all, else ``TOO_MANY_NAN``);
3. more than 20 % of the points have a NaN in position or load: ``TOO_MANY_NAN``;
4. fewer than 8 usable points: ``TOO_FEW_POINTS``;
5. all usable points at one position: ``ZERO_STROKE``;
6. positions, then loads, of usable points beyond what any pumping unit and any rods can have: ``IMPOSSIBLE_POSITION``, ``IMPOSSIBLE_LOAD``.

The further states are those of a card beside its row or its well (``misfit``). Points that only fill a record up are no
points (:func:`without_padding`). A closing point (the last point repeats the first exactly) is no point of its own and is not counted, so that an
open and a closed ring of one card are judged alike.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .column import CardColumn, FloatArray, IntArray, group_by_count, point_indices

__all__ = [
    "MAX_LOAD_LBF",
    "MAX_NAN_SHARE",
    "MAX_POSITION_IN",
    "MAX_STROKE_IN",
    "MIN_POINTS",
    "QUIETLY",
    "Unusable",
    "closing_points",
    "count_strokes",
    "impossible",
    "judge",
    "marred_cards",
    "periodic_gaps",
    "unusable_points",
    "usable",
    "without_padding",
]

MIN_POINTS = 8
MAX_NAN_SHARE = 0.2
MAX_STROKE_IN = 500.0
"""The longest strokes of linear and hydraulic units are near 370 in."""
MAX_POSITION_IN = 1_000.0
MAX_LOAD_LBF = 100_000.0
"""More than twice what the largest unit carries; 1 1/8 in rods of high strength yield there."""
_CHUNK_POINTS = 1 << 15

QUIETLY = np.errstate(over="ignore", invalid="ignore")
"""For functions that meet blobs as they came: signalling NaN and huge numbers are data here, not mishaps."""

_MIN_PADDING = 4
"""Fewer zeros in one half only may be a rod that rests at the bottom, or a load cell at its end."""
_ZERO_POINT_SHARE = 0.1  # of the card's own stroke or load range, see unusable_points


class Unusable(IntEnum):
    """Why a card that could be read is of no use; ``USABLE`` (0) if it is."""

    USABLE = 0
    NO_CARD = 1
    ALL_ZERO = 2
    ZERO_STROKE = 3
    TOO_FEW_POINTS = 4
    TOO_MANY_NAN = 5
    IMPOSSIBLE_POSITION = 6
    IMPOSSIBLE_LOAD = 7
    OTHER_STROKE = 8
    SEVERAL_STROKES = 9
    NO_AREA = 10


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
    column = without_padding(column)
    codes = np.full(len(column), Unusable.NO_CARD, np.int8)
    closing, marred = closing_points(column), marred_cards(column)
    for indices, position, load in group_by_count(column):
        last = position.shape[1] - closing[indices]
        marred_here = marred[indices] | (last < MIN_POINTS)
        # A closing point does not change the extent.
        low, high = position.min(axis=1), position.max(axis=1)
        found = np.where(high == low, Unusable.ZERO_STROKE, Unusable.USABLE)
        found = impossible(found, low, high, load.min(axis=1), load.max(axis=1))
        codes[indices] = found
        for end in np.unique(last[marred_here]).tolist():
            rows = np.flatnonzero(marred_here & (last == end))
            x, y = position[rows, :end], load[rows, :end]
            unusable = unusable_points(x, y)
            found = judge(x, y, unusable)
            inside = [np.where(unusable, np.nan, values) for values in (x, y)]
            extent = [f.reduce(values, axis=1) for values in inside for f in (np.fmin, np.fmax)]
            codes[indices[rows]] = impossible(found, *extent)
    return codes


@QUIETLY
def impossible(
    codes: NDArray[np.integer[Any]],
    least_position: FloatArray,
    greatest_position: FloatArray,
    least_load: FloatArray,
    greatest_load: FloatArray,
) -> NDArray[np.int8]:
    """Judge the extents of cards that are usable so far by what any well can have.

    Parameters
    ----------
    codes : ndarray of int, shape (k,)
        An :class:`Unusable` a card; those that are not ``USABLE`` stay.
    least_position, greatest_position, least_load, greatest_load : ndarray, shape (k,)
        in, lbf.

    Returns
    -------
    ndarray of int8, shape (k,)
    """
    position = np.maximum(np.abs(least_position), np.abs(greatest_position))
    load = np.maximum(np.abs(least_load), np.abs(greatest_load))
    far = (position > MAX_POSITION_IN) | (greatest_position - least_position > MAX_STROKE_IN)
    found = np.where(load > MAX_LOAD_LBF, Unusable.IMPOSSIBLE_LOAD, Unusable.USABLE)
    found = np.where(far, Unusable.IMPOSSIBLE_POSITION, found)
    return np.where(codes == Unusable.USABLE, found, codes).astype(np.int8)


@QUIETLY
def without_padding(column: CardColumn) -> CardColumn:
    """Drop the points that only fill a record up to its fixed length.

    Points at exactly (0, 0) at the end of a card are none of the stroke. A blob that was filled up behind one of its
    halves only is cut in the wrong place: zeros end its loads and begin its positions (filled up between the halves), or end
    its positions while loads are still there (filled up behind both). Or one half is filled up with zeros and the other with one
    value. Such cards are put together again where what
    comes out is one stroke with the zeros gone, and are left as they are otherwise.

    Parameters
    ----------
    column : CardColumn

    Returns
    -------
    CardColumn
        The same column where no card ends in zeros. A card of nothing but zeros stays as it is.
    """
    filled = np.flatnonzero(column.counts > 0)
    last = column.offsets[1:][filled] - 1
    x, y = column.position[last], column.load[last]
    padded = filled[(x == 0) & (y == 0)]
    # most rods rest at the bottom, where the position is 0, for a point or two
    resting = (column.counts[filled] > _MIN_PADDING) & ((x == 0) != (y == 0))
    for back in range(1, _MIN_PADDING):
        before = np.maximum(last - back, 0)
        resting &= np.where(x == 0, column.position[before] == 0, column.load[before] == 0)
    cut = filled[resting]
    replaced = {int(card): found for card in cut if (found := _joined(*column.row(int(card)))) is not None}
    if not padded.size and not replaced:
        return column
    # one card after the other: even where every record is filled up this costs less than reading it
    counts = column.counts.copy()
    for card in padded.tolist():
        position, load = column.row(card)
        points = np.flatnonzero((position != 0) | (load != 0))
        counts[card] = points[-1] + 1 if points.size else counts[card]
        # More zeros behind both halves than they have points themselves: no position is left where positions are looked for.
        if points.size and not position.any() and (found := _joined(position, load)) is not None:
            replaced[card] = found
    for card, (position, _) in replaced.items():
        counts[card] = position.size
    offsets = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    points = point_indices(column.offsets[:-1], counts)
    result = CardColumn(column.position[points], column.load[points], offsets)
    for card, (position, load) in replaced.items():
        span = slice(int(offsets[card]), int(offsets[card + 1]))
        result.position[span], result.load[span] = position, load
    return result


def _joined(position: FloatArray, load: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Card of a blob that was filled up behind one half, or None where it does not look like one."""
    behind_loads, before_positions = _run_of_zeros(load[::-1]), _run_of_zeros(position)
    zeros = min(behind_loads, before_positions)
    if _MIN_PADDING <= zeros < position.size:
        for many in (zeros, zeros - 1):
            x, y = position[many:], load[: load.size - many]
            if many >= _MIN_PADDING and _is_one_stroke(x, y):
                return x, y
    for values, others in ((load, position), (position, load)):
        zeros = _run_of_zeros(values[::-1])
        if _MIN_PADDING <= zeros < values.size and np.ptp(others[-zeros:]) == 0:
            leap = abs(float(values[-zeros - 1])) > _ZERO_POINT_SHARE * float(np.ptp(values[:-zeros]))
            if leap and _is_one_stroke(position[:-zeros], load[:-zeros]):
                return position[:-zeros], load[:-zeros]
    words = np.concatenate([load, position])
    zeros = _run_of_zeros(words[::-1])
    # The position may end at 0 itself, so one or two of the zeros can be the card's.
    for many in range(zeros, max(zeros - 3, _MIN_PADDING - 1), -1):
        half = (words.size - many) // 2
        if many % 2 == 0 and half >= MIN_POINTS and _is_one_stroke(words[half : 2 * half], words[:half]):
            return words[half : 2 * half], words[:half]
    return None


def _run_of_zeros(values: FloatArray) -> int:
    there = np.flatnonzero(values != 0)
    return int(there[0]) if there.size else values.size


def _is_one_stroke(position: FloatArray, load: FloatArray) -> bool:
    """Whether a cut-out has no leap in it: every step is small beside the stroke and the loads."""
    if position.size < MIN_POINTS or not (np.isfinite(position).all() and np.isfinite(load).all()):
        return False
    stroke, loads = float(np.ptp(position)), float(np.ptp(load))
    closed = np.append(position, position[0]), np.append(load, load[0])
    steps = [float(np.abs(np.diff(values)).max()) for values in closed]
    # half a stroke in time passes in a sixth of the points at the very least
    return bool(
        0 < stroke <= MAX_STROKE_IN
        and 0 < loads <= MAX_LOAD_LBF
        and steps[0] <= max(0.1, 6.0 / position.size) * stroke
        and steps[1] <= 0.6 * loads
        and count_strokes(position[None])[0] == 1
    )


@QUIETLY
def count_strokes(position: FloatArray) -> IntArray:
    """Count how many times each card goes up.

    Parameters
    ----------
    position : ndarray, shape (k, points)
        in, around the ring; NaN counts as no point.

    Returns
    -------
    ndarray of int64, shape (k,)
        How many times the position passes from its lowest quarter to its highest: 1 for one stroke, however it shakes.
    """
    low, high = np.fmin.reduce(position, axis=1), np.fmax.reduce(position, axis=1)
    middle = (0.5 * low + 0.5 * high)[:, None]
    above = position > middle
    crossings = np.count_nonzero(above[:, 1:] & ~above[:, :-1], axis=1) + (above[:, 0] & ~above[:, -1])
    result: IntArray = crossings.astype(np.int64)
    for row in np.flatnonzero(crossings > 1).tolist():
        share = (position[row] - low[row]) / (high[row] - low[row])
        side = np.where(share < 0.25, -1, np.where(share > 0.75, 1, 0))
        side = side[side != 0]
        result[row] = np.count_nonzero((side == 1) & (np.roll(side, 1) == -1))
    return result


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
