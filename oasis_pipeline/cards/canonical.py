"""The two canonical forms of a card: in time for the solvers, by position for learning.

Belongs here: everything that moves, mends or resamples points, and the record of what was changed. Does not belong
here: reading bytes (``codec``), judging points (``quality``), numbers that describe a card (``geometry``).

**Time form.** Points are equally spaced in time, so none may be deleted or moved in time. In this order:

1. points that only fill the record up, and a closing point (exact repeat of the first), are removed;
2. unusable points are interpolated in time, around the ring;
3. the direction is set so that the card runs clockwise (position to the right, load up). The work of one stroke,
   the closed integral of load over position, is what the unit puts into the rods: it is positive in true time order
   also where parts of the card cross, so a card whose work is negative is turned round. Where the work is less than a
   thousandth of stroke x load range nothing can be told, and the card is left as it came;
4. the card is rotated to start at the bottom of the stroke: where the position leaves its minimum. Of several such
   points the one with the lowest load is taken, then the neighbours decide.

Values are moved, never computed anew (but for mended points), so all arrivals of one card, from any start, in either
direction, open or closed, give the same bits. Half-stroke (open) curves have neither direction nor bottom: they keep
their direction and start after their gap.

**Shape form.** Each half of the stroke is resampled at equally spaced positions. The time base is lost: not for solvers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .column import CardColumn, FloatArray, IntArray, group_by_count, point_indices, rows_at, windows
from .geometry import has_gap, stroke_work
from .quality import (
    MIN_POINTS,
    QUIETLY,
    Unusable,
    closing_points,
    impossible,
    judge,
    marred_cards,
    periodic_gaps,
    unusable_points,
    without_padding,
)

__all__ = ["TimeForm", "group_by_count", "shape_form", "shape_form_column", "time_form", "time_form_column"]

_CHUNK_POINTS = 1 << 16  # 256 KB an array of float32: the half dozen in use stay in a core's own cache
_NO_DIRECTION_SHARE = 1e-3
_RECHECK_SHARE = 1e-2


@dataclass(frozen=True, eq=False)
class TimeForm:
    """Cards in time form, and what was changed to get there. All arrays have one entry a card.

    Attributes
    ----------
    column : CardColumn
        Same cards, same order; unusable cards have no points. Points are equally spaced over one stroke.
    unusable : ndarray of int8
        :class:`~oasis_pipeline.cards.quality.Unusable`; the other entries of an unusable card are 0.
    closing_point_removed : ndarray of bool
    direction_reversed : ndarray of bool
    rotated_by : ndarray of int64
        Index, in order of arrival, of the point that is now the first.
    points_mended : ndarray of int64
    is_open : ndarray of bool
        A half-stroke curve: its area, fillage and pump card mean nothing.
    """

    column: CardColumn
    unusable: NDArray[np.int8]
    closing_point_removed: NDArray[np.bool_]
    direction_reversed: NDArray[np.bool_]
    rotated_by: IntArray
    points_mended: IntArray
    is_open: NDArray[np.bool_]

    @property
    def position_in(self) -> FloatArray:
        """Positions of all cards end to end, in."""
        return self.column.position

    @property
    def load_lbf(self) -> FloatArray:
        """Loads of all cards end to end, lbf."""
        return self.column.load


def time_form(position: ArrayLike, load: ArrayLike) -> TimeForm:
    """Bring one card, or any batch of cards with equal point count, to time form.

    Parameters
    ----------
    position, load : array_like, shape (..., points)
        in, lbf, in order of time. float64 stays float64.

    Returns
    -------
    TimeForm
        The batch axes flattened in C order. It is ragged because a closing point is removed card by card; of one card
        ``form.column.row(0)`` is its (position, load).

    Raises
    ------
    ValueError
        If the shapes differ or have no point axis.
    """
    return time_form_column(CardColumn.from_dense(position, load))


@QUIETLY
def time_form_column(column: CardColumn) -> TimeForm:
    """Bring every card of a column to time form; the module's text has the rules.

    Parameters
    ----------
    column : CardColumn

    Returns
    -------
    TimeForm
    """
    n_cards = len(column)
    column = without_padding(column)
    closing = closing_points(column)
    counts = column.counts - closing
    offsets = np.zeros(n_cards + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    position = np.empty(int(offsets[-1]), column.position.dtype)
    load = np.empty_like(position)
    form = TimeForm(
        CardColumn(position, load, offsets),
        np.full(n_cards, Unusable.NO_CARD, np.int8),
        closing,
        np.zeros(n_cards, np.bool_),
        np.zeros(n_cards, np.int64),
        np.zeros(n_cards, np.int64),
        np.zeros(n_cards, np.bool_),
    )
    # The few cards with points to mend go in chunks of their own, so that the many others pay nothing for them.
    kinds = 4 * counts + 2 * closing + marred_cards(column)
    for kind in np.unique(kinds[counts > 0]).tolist():
        group = np.flatnonzero(kinds == kind)
        step = max(1, _CHUNK_POINTS // (kind // 4))
        for first in range(0, group.size, step):
            _fill(form, column, group[first : first + step], kind // 4, bool(kind & 2), bool(kind & 1))
    return _without_unusable(form)


def _fill(
    form: TimeForm, column: CardColumn, cards: IntArray, points: int, closed: bool, marred: bool
) -> None:
    """Bring one chunk of cards of equal count to time form, into the place kept for them."""
    x = rows_at(column.position, column.offsets[:-1][cards], points + closed)[:, :points]
    y = rows_at(column.load, column.offsets[:-1][cards], points + closed)[:, :points]
    if marred or points < MIN_POINTS:
        form.unusable[cards], form.points_mended[cards], x, y = _mend(x, y)
    lowest, highest = x.min(axis=1), x.max(axis=1)
    least, greatest = y.min(axis=1), y.max(axis=1)
    if not marred and points >= MIN_POINTS:
        form.unusable[cards] = np.where(lowest == highest, Unusable.ZERO_STROKE, Unusable.USABLE)
    form.unusable[cards] = impossible(form.unusable[cards], lowest, highest, least, greatest)
    stroke = highest - lowest
    is_open = has_gap(x, stroke)
    turned = _runs_backwards(x, y, stroke, greatest - least) & ~is_open
    start = _bottom(x, y, lowest, turned)
    if is_open.any():
        start[is_open] = _after_gap(x[is_open])
    form.is_open[cards] = is_open
    form.direction_reversed[cards] = turned
    form.rotated_by[cards] = start
    target = form.column.offsets[:-1][cards]
    windows(form.column.position, points)[target] = _turn(x, turned, start)
    windows(form.column.load, points)[target] = _turn(y, turned, start)


def _mend(
    position: FloatArray, load: FloatArray
) -> tuple[NDArray[np.int8], IntArray, FloatArray, FloatArray]:
    """Judge cards and interpolate the unusable points of the usable ones, around the ring."""
    unusable = unusable_points(position, load)
    codes = judge(position, load, unusable)
    unusable &= (codes == Unusable.USABLE)[:, None]
    mended = np.count_nonzero(unusable, axis=1)
    rows, at = np.nonzero(unusable)
    if not rows.size:
        return codes, mended, position, load
    before, after = periodic_gaps(~unusable, rows, at)
    left, right = (at - before) % position.shape[1], (at + after) % position.shape[1]
    position, load = position.copy(), load.copy()
    for values in (position, load):
        a, b = values[rows, left].astype(np.float64), values[rows, right].astype(np.float64)
        # Symmetric in its two ends, so that a card read backwards is mended to the same bits.
        values[rows, at] = (a * after + b * before) / (before + after)
    return codes, mended, position, load


def _runs_backwards(
    position: FloatArray, load: FloatArray, stroke: FloatArray, load_range: FloatArray
) -> NDArray[np.bool_]:
    work = stroke_work(position, load)
    box = stroke * load_range
    if position.dtype == np.float32:
        close = np.flatnonzero(np.abs(work) < _RECHECK_SHARE * box)
        if close.size:
            exact = stroke_work(position[close].astype(np.float64), load[close].astype(np.float64))
            work = work.astype(np.float64)
            work[close] = exact
    # A flat card has no box, and its work is mere rounding.
    return np.asarray((work < -_NO_DIRECTION_SHARE * box) & (box > 0))


def _bottom(
    position: FloatArray, load: FloatArray, lowest: FloatArray, turned: NDArray[np.bool_]
) -> IntArray:
    """Return the index of the bottom of the stroke in order of arrival, shape (k,)."""
    at_bottom = position == lowest[:, None]
    start: IntArray = at_bottom.argmax(axis=1)
    tied = np.flatnonzero(np.count_nonzero(at_bottom, axis=1) > 1)
    if not tied.size:
        return start
    rest = at_bottom[tied]
    leaving = rest & ~np.where(turned[tied, None], np.roll(rest, 1, axis=1), np.roll(rest, -1, axis=1))
    start[tied] = leaving.argmax(axis=1)
    still_tied = np.count_nonzero(leaving, axis=1) > 1
    if still_tied.any():
        rows = tied[still_tied]
        start[rows] = _lowest_candidate(position[rows], load[rows], turned[rows], leaving[still_tied])
    return start


def _lowest_candidate(
    position: FloatArray, load: FloatArray, turned: NDArray[np.bool_], candidates: NDArray[np.bool_]
) -> IntArray:
    """Choose among points at the same position by load, then by the points after and before."""
    x, y, left = (np.where(turned[:, None], v[:, ::-1], v) for v in (position, load, candidates))
    for key in (y, np.roll(x, -1, 1), np.roll(y, -1, 1), np.roll(x, 1, 1), np.roll(y, 1, 1)):
        least = np.where(left, key, np.inf).min(axis=1, keepdims=True)
        left &= key == least
    found = left.argmax(axis=1)
    return np.asarray(np.where(turned, position.shape[1] - 1 - found, found))


def _after_gap(position: FloatArray) -> IntArray:
    steps = np.abs(np.roll(position, -1, axis=1) - position)
    return np.asarray((steps.argmax(axis=1) + 1) % position.shape[1])


def _turn(values: FloatArray, turned: NDArray[np.bool_], start: IntArray) -> FloatArray:
    """Read each ring from its start in its direction."""
    cards, points = values.shape
    if not start.any() and not turned.any():
        return values
    # Every rotation of a ring is a window on the ring laid out twice: one block copy a card, no index a point.
    twice = np.empty((cards, 2 * points), values.dtype)
    twice[:, :points] = values
    if turned.any():
        twice[turned, :points] = values[turned, ::-1]
    twice[:, points:] = twice[:, :points]
    shift = np.where(turned, points - 1 - start, start)
    return np.asarray(windows(twice.reshape(-1), points)[2 * points * np.arange(cards) + shift])


def _without_unusable(form: TimeForm) -> TimeForm:
    bad = form.unusable != Unusable.USABLE
    if not bad.any():
        return form
    kept = np.where(bad, 0, form.column.counts)
    offsets = np.zeros(kept.size + 1, np.int64)
    np.cumsum(kept, out=offsets[1:])
    points = point_indices(form.column.offsets[:-1], kept)
    for changes in (
        form.closing_point_removed,
        form.direction_reversed,
        form.rotated_by,
        form.points_mended,
        form.is_open,
    ):
        changes[bad] = 0
    return TimeForm(
        CardColumn(form.column.position[points], form.column.load[points], offsets),
        form.unusable,
        form.closing_point_removed,
        form.direction_reversed,
        form.rotated_by,
        form.points_mended,
        form.is_open,
    )


def shape_form(position: ArrayLike, load: ArrayLike, points: int = 100) -> tuple[FloatArray, FloatArray]:
    """Resample cards by position within each half stroke.

    Half of the points lie on the upstroke, at equally spaced positions from the bottom to the top inclusive, the other
    half on the downstroke, back from the top to the bottom. In between the load is linear in position. Where
    the position stands still or goes back (noise, coarse resolution) the point that got furthest so far counts. A load
    change at standing position belongs to neither half: the upstroke starts when the position leaves the bottom
    and ends when it first reaches the top, the downstroke likewise.

    Parameters
    ----------
    position, load : array_like, shape (..., n)
        in, lbf, as they come or in time form.
    points : int
        Points of the result, even and at least 4.

    Returns
    -------
    position, load : ndarray, shape (..., points)
        In the type of the input; NaN for unusable cards.

    Raises
    ------
    ValueError
        If the shapes do not agree or ``points`` is odd or below 4.
    """
    column = CardColumn.from_dense(position, load)
    shape = (*np.shape(position)[:-1], points)
    x, y = shape_form_column(column, points)
    return x.reshape(shape), y.reshape(shape)


@QUIETLY
def shape_form_column(column: CardColumn | TimeForm, points: int = 100) -> tuple[FloatArray, FloatArray]:
    """Resample every card of a column; see :func:`shape_form`.

    Parameters
    ----------
    column : CardColumn or TimeForm
        Cards as they came, or their time form where that is at hand.
    points : int
        Points of the result, even and at least 4.

    Returns
    -------
    position, load : ndarray, shape (n_cards, points)
        NaN for unusable cards.

    Raises
    ------
    ValueError
        If ``points`` is odd or below 4.
    """
    if points < 4 or points % 2:
        raise ValueError(f"points must be even and at least 4, not {points}")
    form = column if isinstance(column, TimeForm) else time_form_column(column)
    half = points // 2
    position = np.full((len(form.column), points), np.nan, form.column.position.dtype)
    load = np.full_like(position, np.nan)
    for indices, x, y in group_by_count(form.column):
        step = max(1, _CHUNK_POINTS // x.shape[1])
        for first in range(0, indices.size, step):
            rows = indices[first : first + step]
            ring_x, ring_y = _from_bottom(x[first : first + step], y[first : first + step])
            bottom, top = ring_x.min(axis=1), ring_x.max(axis=1)
            share = np.linspace(0.0, 1.0, half)
            grid = bottom[:, None] * (1 - share) + top[:, None] * share
            position[rows, :half], position[rows, half:] = grid, grid[:, ::-1]
            load[rows, :half] = _rising_half(ring_x, ring_y, bottom, top, half)
            # The downstroke is the upstroke of the ring read backwards from the bottom.
            falling = _rising_half(ring_x[:, ::-1], ring_y[:, ::-1], bottom, top, half)
            load[rows, half:] = falling[:, ::-1]
    return position, load


def _from_bottom(position: FloatArray, load: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Close the rings; open curves, which need not start at the bottom, are made to."""
    lowest = position.argmin(axis=1)
    start = np.where(position[:, 0] == position[np.arange(lowest.size), lowest], 0, lowest)
    onwards = np.zeros(start.size, np.bool_)
    x, y = _turn(position, onwards, start), _turn(load, onwards, start)
    return np.concatenate([x, x[:, :1]], axis=1), np.concatenate([y, y[:, :1]], axis=1)


def _rising_half(
    position: FloatArray, load: FloatArray, bottom: FloatArray, top: FloatArray, half: int
) -> FloatArray:
    """Return the loads at ``half`` equally spaced positions while the position first rises from bottom to top."""
    cards = position.shape[0]
    lowest = bottom.astype(np.float64)
    # In float64 throughout, so that the top divides to exactly 1.
    scaled = (position.astype(np.float64) - lowest[:, None]) / (top.astype(np.float64) - lowest)[:, None]
    reached = np.maximum.accumulate(scaled, axis=1) * (half - 1)
    # How many points lie at or before each grid position, by counting: both are sorted, the grid is the integers.
    cell = np.minimum(np.ceil(reached), half - 1).astype(np.int64)
    flat = (cell + half * np.arange(cards)[:, None]).ravel()
    upto = np.bincount(flat, minlength=cards * half).reshape(cards, half).cumsum(axis=1)
    left = upto - 1
    # At the top the first arrival counts: the last point before it, and it.
    left[:, -1] = np.count_nonzero(reached < half - 1, axis=1) - 1
    left += position.shape[1] * np.arange(cards)[:, None]
    right = left + 1
    reached, load = reached.reshape(-1), load.reshape(-1)
    x0, x1 = reached.take(left), reached.take(right)
    weight = (np.arange(half) - x0) / (x1 - x0)
    return np.asarray(load.take(left) * (1 - weight) + load.take(right) * weight)
