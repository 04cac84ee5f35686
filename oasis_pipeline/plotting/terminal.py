"""Curves in a terminal, of braille dots: two columns and four rows of dots in each character."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def draw_loop(
    x: NDArray[np.floating], y: NDArray[np.floating], width: int = 56, height: int = 12
) -> list[str]:
    """Draw a closed loop, such as a card.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Points in order; the last is joined to the first, and what is not finite is left out.
    width, height : int
        Size in characters.

    Returns
    -------
    list of str
        Lines from top to bottom; empty without two points.
    """
    good = np.isfinite(x) & np.isfinite(y)
    if good.sum() < 2:
        return []
    columns, rows = 2 * width - 1, 4 * height - 1
    place = []
    for values, most in ((x[good], columns), (y[good], rows)):
        values = values.astype(np.float64)
        # within 1, where no difference overflows
        values /= np.abs(values).max() or 1.0
        extent = np.ptp(values)
        share = (values - values.min()) / extent if extent > 0.0 else np.full(len(values), 0.5)
        place.append(np.append(share, share[0]) * most)
    along, up = place
    # as many steps along each side as it is dots long
    dots = np.zeros((rows + 1, columns + 1), np.bool_)
    for number in range(len(along) - 1):
        steps = int(max(abs(along[number + 1] - along[number]), abs(up[number + 1] - up[number]))) + 2
        column = np.linspace(along[number], along[number + 1], steps).round().astype(int)
        row = rows - np.linspace(up[number], up[number + 1], steps).round().astype(int)
        dots[row, column] = True
    cells = dots.reshape(height, 4, width, 2).transpose(0, 2, 1, 3)
    codes = 0x2800 + (cells * _DOTS).sum(axis=(2, 3))
    return ["".join(chr(code) for code in line).rstrip("\u2800") for line in codes]
