"""Plain geometry of cards: extent, area, centroid, and whether the curve is a whole stroke.

Belongs here: numbers that follow from the closed polygon alone. Does not belong here: anything that needs the well
(fillage, fluid load), shape descriptors (``descriptors``), mending (``canonical``).

All functions take rings with or without their closing point, any batch axes before the point axis, and no NaN: the
time form is free of them, and its minima and maxima are those of the usable points, because a mended point
lies between two usable ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .column import CardColumn, FloatArray, group_by_count

__all__ = [
    "CardGeometry",
    "area_in_lbf",
    "bounds",
    "card_geometry",
    "centroid",
    "has_gap",
    "is_open",
    "mprl_lbf",
    "pprl_lbf",
    "stroke_in",
    "stroke_work",
]

_GAP_SHARE = 0.5
_CHUNK_POINTS = 1 << 15
_NO_AREA_SHARE = 1e-9


@dataclass(frozen=True, eq=False)
class CardGeometry:
    """The geometry of a column of cards; arrays of shape (n,), NaN (False) for cards without points.

    Attributes
    ----------
    position_min_in, position_max_in, stroke_in : ndarray of float64
    mprl_lbf, pprl_lbf : ndarray of float64
        Lowest and highest load (minimum and peak polished-rod load, for a surface card).
    area_in_lbf : ndarray of float64
        Signed area, in lbf; positive clockwise.
    centroid_position_in, centroid_load_lbf : ndarray of float64
    is_open : ndarray of bool
    """

    position_min_in: NDArray[np.float64]
    position_max_in: NDArray[np.float64]
    stroke_in: NDArray[np.float64]
    mprl_lbf: NDArray[np.float64]
    pprl_lbf: NDArray[np.float64]
    area_in_lbf: NDArray[np.float64]
    centroid_position_in: NDArray[np.float64]
    centroid_load_lbf: NDArray[np.float64]
    is_open: NDArray[np.bool_]


def card_geometry(column: CardColumn) -> CardGeometry:
    """Measure every card of a column.

    Parameters
    ----------
    column : CardColumn
        Cards in time form (``TimeForm.column``): no NaN.

    Returns
    -------
    CardGeometry
    """
    table = np.full((8, len(column)), np.nan)
    gap = np.zeros(len(column), np.bool_)
    for indices, position, load in group_by_count(column):
        step = max(1, _CHUNK_POINTS // position.shape[1])
        for first in range(0, indices.size, step):
            rows = indices[first : first + step]
            x = position[first : first + step].astype(np.float64)
            y = load[first : first + step].astype(np.float64)
            low, high, least, most = bounds(x, y)
            table[:, rows] = low, high, high - low, least, most, area_in_lbf(x, y), *centroid(x, y)
            gap[rows] = has_gap(x, high - low)
    low_in, high_in, stroke, least_lbf, most_lbf, area, centre_in, centre_lbf = table
    return CardGeometry(low_in, high_in, stroke, least_lbf, most_lbf, area, centre_in, centre_lbf, gap)


def stroke_in(position: ArrayLike) -> NDArray[np.float64]:
    """Return the stroke, highest minus lowest position, shape (..., points) to (...), in."""
    x = np.asarray(position)
    return np.asarray(x.max(axis=-1).astype(np.float64) - x.min(axis=-1))


def pprl_lbf(load: ArrayLike) -> FloatArray:
    """Return the highest load (peak polished-rod load), shape (..., points) to (...), lbf."""
    return np.asarray(np.asarray(load).max(axis=-1))


def mprl_lbf(load: ArrayLike) -> FloatArray:
    """Return the lowest load (minimum polished-rod load), shape (..., points) to (...), lbf."""
    return np.asarray(np.asarray(load).min(axis=-1))


def bounds(position: ArrayLike, load: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the extent of cards.

    Parameters
    ----------
    position, load : array_like, shape (..., points)
        in, lbf.

    Returns
    -------
    position_min_in, position_max_in, load_min_lbf, load_max_lbf : ndarray, shape (...)
    """
    x, y = np.asarray(position), np.asarray(load)
    low, high = np.asarray(x.min(axis=-1)), np.asarray(x.max(axis=-1))
    return low, high, mprl_lbf(y), pprl_lbf(y)


def area_in_lbf(position: ArrayLike, load: ArrayLike) -> NDArray[np.float64]:
    """Return the signed area of cards: the work of one stroke.

    A = sum over the ring of (L_i + L_i+1) / 2 (x_i+1 - x_i), positive clockwise (position right, load up). Parts that
    run the other way, as after a crossing, count negative.

    Parameters
    ----------
    position, load : array_like, shape (..., points)
        in, lbf.

    Returns
    -------
    ndarray of float64, shape (...)
        in lbf.
    """
    x, y = np.asarray(position, np.float64), np.asarray(load, np.float64)
    # The area does not depend on the zero of the load; without it less is lost to rounding.
    return np.asarray(stroke_work(x, y - y[..., :1]), np.float64)


def centroid(position: ArrayLike, load: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centroid of the area of cards (of the corner points, where there is no area).

    With cross product w_i = x_i y_i+1 - x_i+1 y_i, the centroid is sum((x_i + x_i+1) w_i) / (3 sum(w_i)), and
    likewise for y (Bourke, Calculating the area and centroid of a polygon, 1988).

    Parameters
    ----------
    position, load : array_like, shape (..., points)
        in, lbf.

    Returns
    -------
    position_in, load_lbf : ndarray of float64, shape (...)
    """
    x, y = np.asarray(position, np.float64), np.asarray(load, np.float64)
    x0, y0 = x.mean(axis=-1, keepdims=True), y.mean(axis=-1, keepdims=True)
    x, y = x - x0, y - y0
    x_next, y_next = _next(x), _next(y)
    cross = x * y_next - x_next * y
    twice_area = cross.sum(axis=-1)
    flat = np.abs(twice_area) <= _NO_AREA_SHARE * np.ptp(x, axis=-1) * np.ptp(y, axis=-1)
    scale = 1 / np.where(flat, 1.0, 3 * twice_area)
    from_mean = [
        np.where(flat, 0.0, ((v + w) * cross).sum(axis=-1) * scale) for v, w in ((x, x_next), (y, y_next))
    ]
    return x0[..., 0] + from_mean[0], y0[..., 0] + from_mean[1]


def is_open(position: ArrayLike) -> NDArray[np.bool_]:
    """Tell half-stroke curves, whose ends do not meet, from cards.

    Parameters
    ----------
    position : array_like, shape (..., points)
        in; from any start, in either direction.

    Returns
    -------
    ndarray of bool, shape (...)
        True where the position jumps by more than half of the stroke from one point to the next, around the ring. On a
        card of 8 points a steady stroke moves 38 % of itself at most from point to point, on one of 100 points 3 %.
    """
    x = np.asarray(position)
    return has_gap(x, x.max(axis=-1) - x.min(axis=-1))


def has_gap(position: FloatArray, stroke: FloatArray) -> NDArray[np.bool_]:
    """Do the work of :func:`is_open` in the type of the input, for a stroke that is known."""
    steps = np.abs(position[..., 1:] - position[..., :-1])
    seam = np.abs(position[..., 0] - position[..., -1])
    return np.asarray(np.maximum(steps.max(axis=-1, initial=0), seam) > _GAP_SHARE * stroke)


def stroke_work(position: FloatArray, load: FloatArray) -> FloatArray:
    """Return the closed integral of load over position in the type of the input (see :func:`area_in_lbf`)."""
    steps = position[..., 1:] - position[..., :-1]
    seam = position[..., 0] - position[..., -1]
    twice = np.einsum("...i,...i->...", load[..., 1:], steps)
    twice += np.einsum("...i,...i->...", load[..., :-1], steps)
    twice += (load[..., 0] + load[..., -1]) * seam
    result: FloatArray = 0.5 * twice
    return result


def _next(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([values[..., 1:], values[..., :1]], axis=-1)
