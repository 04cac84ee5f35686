"""Readings on a regular grid, for models that need one.

Here: means of equal intervals, and how an interval without readings is filled, which is always said beside the value. Not here: flags
(``quality``); a caller may leave flagged readings out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEASURED, LINEAR, MISSING = "measured", "linear", "missing"
"""How a value came to be: the mean of readings; a straight line between the intervals beside it; not at all."""


@dataclass(frozen=True)
class Regular:
    """A series of equal intervals.

    Attributes
    ----------
    starts_us : ndarray of int64, shape (k,)
        Begin of each interval, microseconds since 1970 UTC; multiples of the step since 00:00 UTC.
    values : ndarray of float64, shape (k,)
        NaN where ``fill`` is ``missing``.
    readings : ndarray of int64, shape (k,)
        Readings in the interval.
    fill : ndarray of str, shape (k,)
        ``measured``, ``linear`` or ``missing``.
    """

    starts_us: NDArray[np.int64]
    values: NDArray[np.float64]
    readings: NDArray[np.int64]
    fill: NDArray[np.str_]


def regular_series(
    times_us: NDArray[np.int64],
    values: NDArray[np.float64],
    start_us: int,
    end_us: int,
    step_us: int,
    longest_fill: int = 3,
) -> Regular:
    """Bring readings to equal intervals.

    Parameters
    ----------
    times_us : ndarray of int64, shape (n,)
        Ascending.
    values : ndarray of float64, shape (n,)
        NaN is no reading.
    start_us, end_us : int
        The grid goes from the first, included, to the second, excluded.
    step_us : int
        Length of an interval.
    longest_fill : int
        A gap of up to so many intervals between measured ones is filled by a straight line; longer ones, and the ends, stay missing.

    Returns
    -------
    Regular

    Raises
    ------
    ValueError
        If the step does not divide the range.
    """
    if step_us <= 0 or (end_us - start_us) % step_us:
        raise ValueError("the step has to divide the range")
    count = (end_us - start_us) // step_us
    here = np.isfinite(values) & (times_us >= start_us) & (times_us < end_us)
    at = (times_us[here] - start_us) // step_us
    readings = np.bincount(at, minlength=count)
    # about the first value, so that the mean of a large offset loses no digits
    origin = values[here][0] if at.size else 0.0
    sums = np.bincount(at, weights=values[here] - origin, minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = origin + sums / readings
    fill = np.where(readings > 0, MEASURED, MISSING)
    measured = np.flatnonzero(readings)
    if measured.size > 1:
        empty = np.flatnonzero(readings == 0)
        after = np.searchsorted(measured, empty)
        inside = (after > 0) & (after < measured.size)
        empty, after = empty[inside], after[inside]
        short = measured[after] - measured[after - 1] - 1 <= longest_fill
        empty = empty[short]
        means[empty] = np.interp(empty, measured, means[measured])
        fill[empty] = LINEAR
    starts = start_us + step_us * np.arange(count, dtype=np.int64)
    return Regular(starts, means, readings.astype(np.int64), fill)
