"""Elliptic Fourier descriptors of cards, many at once.

Belongs here: the Fourier series of a closed contour, parametrised by its arc length, and its inverse. Does not belong
here: scaling cards to common bounds, and any learning. Position and load have different units, so what the arc length
means depends on the scaling that the caller has chosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["elliptic_fourier", "elliptic_fourier_constant", "reconstruct"]

_CHUNK_POINTS = 1 << 14


def elliptic_fourier(position: ArrayLike, load: ArrayLike, order: int = 5) -> NDArray[np.float64]:
    """Return the elliptic Fourier coefficients of closed contours, without any normalisation.

    With T the length of the contour, t_i the length up to point i and phi_i = 2 pi t_i / T::

        a_n = T / (2 n^2 pi^2) * sum_i (dx_i / dt_i) (cos(n phi_i+1) - cos(n phi_i))

    b_n the same with sin, c_n and d_n the same with dy. Points without distance to the next add nothing.

    Parameters
    ----------
    position, load : array_like, shape (..., points)
        The corners of the contour in order, in the scale of the caller's choice. The contour is closed from the last
        point to the first; whether the closing point is given too does not matter.
    order : int
        Number of harmonics.

    Returns
    -------
    coefficients : ndarray of float64, shape (..., order, 4)
        a_n, b_n, c_n, d_n for n = 1 .. order; 0 where the contour is a single point, NaN where a point is NaN.

    Raises
    ------
    ValueError
        If the shapes differ, there is no point, or the order is below 1.

    References
    ----------
    Kuhl and Giardina, Elliptic Fourier features of a closed contour, Computer Graphics and Image Processing 18 (1982).
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, not {order}")
    x, y, batch = _contours(position, load)
    result = np.empty((x.shape[0], order, 4))
    step = max(1, _CHUNK_POINTS // x.shape[1])
    for first in range(0, x.shape[0], step):
        rows = slice(first, first + step)
        _coefficients(x[rows].astype(np.float64), y[rows].astype(np.float64), result[rows])
    return result.reshape(*batch, order, 4)


def elliptic_fourier_constant(position: ArrayLike, load: ArrayLike) -> NDArray[np.float64]:
    """Return the constant terms A0, C0: the mean of the contour over its length.

    Parameters
    ----------
    position, load : array_like, shape (..., points)
        As for :func:`elliptic_fourier`.

    Returns
    -------
    ndarray of float64, shape (..., 2)
        The point itself where the contour is a single point.

    Raises
    ------
    ValueError
        If the shapes differ or there is no point.
    """
    x, y, batch = _contours(position, load)
    x, y = x.astype(np.float64), y.astype(np.float64)
    dx, dy = _next(x) - x, _next(y) - y
    dt = np.hypot(dx, dy)
    length = dt.sum(axis=1)
    scale = 1 / np.where(length == 0, 1.0, length)
    means = [v[:, 0] + ((v - v[:, :1] + 0.5 * dv) * dt).sum(axis=1) * scale for v, dv in ((x, dx), (y, dy))]
    return np.stack(means, axis=-1).reshape(*batch, 2)


def reconstruct(
    coefficients: ArrayLike, points: int = 100, constant: ArrayLike = (0.0, 0.0)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the contour of a truncated series, equally spaced over its parameter from the first point on.

    Parameters
    ----------
    coefficients : array_like, shape (..., order, 4)
        As :func:`elliptic_fourier` gives them.
    points : int
        Points of the result; the closing point is left out.
    constant : array_like, shape (..., 2)
        As :func:`elliptic_fourier_constant` gives it; without it the contour lies around the origin.

    Returns
    -------
    position, load : ndarray of float64, shape (..., points)

    Raises
    ------
    ValueError
        If the coefficients are not of shape (..., order, 4).
    """
    series = np.asarray(coefficients, np.float64)
    if series.ndim < 2 or series.shape[-1] != 4:
        raise ValueError(f"coefficients must be of shape (..., order, 4), not {series.shape}")
    angle = np.arange(1, series.shape[-2] + 1)[:, None] * (2 * np.pi / points * np.arange(points))
    cosine, sine = np.cos(angle), np.sin(angle)
    centre = np.asarray(constant, np.float64)
    position = series[..., 0] @ cosine + series[..., 1] @ sine + centre[..., :1]
    load = series[..., 2] @ cosine + series[..., 3] @ sine + centre[..., 1:]
    return position, load


def _contours(
    position: ArrayLike, load: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, ...]]:
    x, y = np.asarray(position), np.asarray(load)
    if x.ndim == 0 or x.shape != y.shape or x.shape[-1] == 0:
        raise ValueError(f"shapes (..., points) must agree, with a point at least: {x.shape} and {y.shape}")
    return x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), x.shape[:-1]


def _coefficients(x: NDArray[np.float64], y: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    dx, dy = _next(x) - x, _next(y) - y
    dt = np.sqrt(dx * dx + dy * dy)
    along = np.cumsum(dt, axis=1)
    length = along[:, -1].copy()
    scale = 1 / np.where(length == 0, 1.0, length)
    # Summed by parts: the cosine at each corner times the change of slope there. Corner i ends segment i here, and
    # the last corner, where the phase is a whole turn, is the first point.
    still = 1 / np.where(dt == 0, np.inf, dt)
    slope_x, slope_y = dx * still, dy * still
    kink_x, kink_y = slope_x - _next(slope_x), slope_y - _next(slope_y)
    phase = along * (2 * np.pi * scale)[:, None]
    cosine, sine = np.cos(phase), np.sin(phase)
    doubled = 2 * cosine
    # cos((n + 1) phi) = 2 cos(phi) cos(n phi) - cos((n - 1) phi), the same for sin: two functions for all orders.
    before_cosine, before_sine = np.ones_like(cosine), np.zeros_like(sine)
    for n in range(1, out.shape[1] + 1):
        if n > 1:
            cosine, before_cosine = doubled * cosine - before_cosine, cosine
            sine, before_sine = doubled * sine - before_sine, sine
        factor = length / (2 * n * n * np.pi * np.pi)
        for column, kink, wave in (
            (0, kink_x, cosine),
            (1, kink_x, sine),
            (2, kink_y, cosine),
            (3, kink_y, sine),
        ):
            out[:, n - 1, column] = factor * np.einsum("ij,ij->i", kink, wave)


def _next(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([values[:, 1:], values[:, :1]], axis=1)
