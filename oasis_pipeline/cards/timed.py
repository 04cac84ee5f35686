"""Cards at equally many points in time.

Belongs here: resampling of cards in time form over one stroke. Does not belong here: what makes a card's time form (``canonical``).
"""

from __future__ import annotations

import numpy as np

from .canonical import TimeForm
from .column import FloatArray, group_by_count

__all__ = ["time_curves"]

_CHUNK_POINTS = 1 << 16


def time_curves(form: TimeForm, points: int = 200) -> tuple[FloatArray, FloatArray]:
    """Resample cards at equal steps of time over one stroke, from the bottom.

    Parameters
    ----------
    form : TimeForm
        Of n cards.
    points : int
        Points of each curve.

    Returns
    -------
    position, load : ndarray, shape (n, points)
        Linear in between and round the ring; cards that have this many points come out as they are. NaN for unusable cards.

    Raises
    ------
    ValueError
        If ``points`` is below 2.
    """
    if points < 2:
        raise ValueError(f"curves need 2 points or more, not {points}")
    column = form.column
    position = np.full((len(column), points), np.nan, column.position.dtype)
    load = np.full_like(position, np.nan)
    for indices, x, y in group_by_count(column):
        count = x.shape[1]
        place = np.arange(points) * (count / points)
        before = np.floor(place).astype(np.intp)
        share = (place - before).astype(x.dtype)
        after = (before + 1) % count
        step = max(1, _CHUNK_POINTS // max(count, points))
        for first in range(0, indices.size, step):
            rows, part = indices[first : first + step], slice(first, first + step)
            for source, target in ((x[part], position), (y[part], load)):
                target[rows] = source[:, before] * (1 - share) + source[:, after] * share
    return position, load
