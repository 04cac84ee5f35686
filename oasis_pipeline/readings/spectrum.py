"""Features of windows in frequency.

Here: the share of a window's variance that each frequency carries, and what is read from it. Not here: the windows (``windows``).

A window whose readings are equally spaced is transformed by FFT. One whose readings are not is never resampled: its spectrum is the
generalised Lomb-Scargle periodogram (M. Zechmeister and M. Kuerster, The generalised Lomb-Scargle periodogram, Astronomy and Astrophysics 496, 2009,
equations 4 to 15), at the same frequencies; for equal spacing both are the same. ``irregular`` says which one it was.
"""

from __future__ import annotations

import itertools

import numba
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.readings.series import MICROSECONDS

SPECTRUM_FEATURES = (
    "dominant_frequency_hz",
    "dominant_share",
    "spectral_centroid_hz",
    "spectral_spread_hz",
    "spectral_rolloff_hz",
    "spectral_entropy",
    "band_energy_1",
    "band_energy_2",
    "band_energy_3",
    "band_energy_4",
    "frequency_resolution_hz",
    "highest_frequency_hz",
    "irregular",
)
"""Names of the features, in the order of the first axis of `spectrum_features`."""

BANDS = 4
LEAST_READINGS = 8
"""A spectrum of fewer is no spectrum."""
ROLLOFF = 0.85
JITTER = 0.01
"""Steps that differ from their mean by no more than this share of it count as equal: at the highest frequency the phase is off by 0.03 rad."""
MOST_FREQUENCIES = 1024
"""Of the periodogram of irregular readings, whose cost is readings times frequencies."""
_BLOCK = 1 << 21


def spectrum_features(
    times_us: NDArray[np.int64], values: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the features in frequency of windows of one measure.

    Parameters
    ----------
    times_us : ndarray of int64, shape (n,)
        Ascending, microseconds.
    values : ndarray of float64, shape (n,)
        NaN is no value.
    edges : ndarray of int64, shape (w + 1,)
        Window k holds the places ``edges[k]`` to ``edges[k + 1]``, the latter excluded.

    Returns
    -------
    ndarray of float64, shape (13, w)
        In the order of `SPECTRUM_FEATURES`. With T the number of readings times their mean step, the frequencies are k/T for k from 1 to half
        the number of readings (at most `MOST_FREQUENCIES` for irregular ones): the resolution and the highest frequency say how far that goes, and
        nothing is claimed beyond. The dominant frequency carries the greatest share of the variance, ``dominant_share`` (0 to 1); centroid and
        spread are mean and standard deviation of frequency weighted by share, the roll-off is the frequency below which 85 % lie, the entropy is
        1 for a flat spectrum and 0 for a single line, and band energies are the shares of the quarters of the range up to the highest
        frequency. ``irregular`` is 1 where the periodogram was used, 0 for the FFT. All NaN for a window of fewer than 8 values or without variance.
    """
    present = np.isfinite(values)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(present)])
    edges = before[edges]
    t, x = times_us[present], np.asarray(values, np.float64)[present]
    counts = np.diff(edges)
    result = np.full((len(SPECTRUM_FEATURES), counts.size), np.nan)
    usable = (counts >= LEAST_READINGS) & _varies(x, edges)
    regular = usable & _is_regular(t, edges)
    # windows of one size are one matrix
    for size in np.unique(counts[regular]).tolist():
        chosen = np.flatnonzero(regular & (counts == size))
        step = max(1, _BLOCK // size)
        for first in range(0, chosen.size, step):
            block = chosen[first : first + step]
            places = edges[block][:, None] + np.arange(size)
            mean_step = (t[places[:, -1]] - t[places[:, 0]]) / (size - 1) / MICROSECONDS
            result[:, block] = _describe(_fft_shares(x[places]), 1.0 / (size * mean_step))
    for at in np.flatnonzero(usable & ~regular).tolist():
        low, high = int(edges[at]), int(edges[at + 1])
        seconds = (t[low:high] - t[low]) / MICROSECONDS
        size = high - low
        period = size * seconds[-1] / (size - 1)
        shares = lomb_scargle(seconds / period, x[low:high], min(size // 2, MOST_FREQUENCIES))
        result[:, at] = _describe(shares[None], np.array([1.0 / period]))[:, 0]
        result[-1, at] = 1.0
    return result


def _varies(x: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which windows hold two different values."""
    changes = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(x) != 0), np.zeros(1, np.int64)])
    low, high = edges[:-1], np.maximum(edges[1:] - 1, edges[:-1])
    varies: NDArray[np.bool_] = (
        changes[np.minimum(high, max(x.size - 1, 0))] > changes[np.minimum(low, max(x.size - 1, 0))]
    )
    return varies


def _is_regular(t: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which windows have equal steps."""
    counts = np.diff(edges)
    regular = counts > 1
    low, high = edges[:-1][regular], edges[1:][regular]
    if low.size == 0:
        return regular
    usual = (t[high - 1] - t[low]) / (high - low - 1)
    # a step belongs to the reading that begins it; the last one of a window leads out of it
    at = np.repeat(np.cumsum(regular) - 1, counts)
    inside = np.repeat(regular, counts)
    inside[edges[1:][counts > 0] - 1] = False
    places = np.flatnonzero(inside) + edges[0]
    worst = np.zeros(low.size)
    np.maximum.at(worst, at[inside], np.abs(t[places + 1] - t[places] - usual[at[inside]]))
    regular[regular] = (usual > 0) & (worst <= JITTER * usual)
    return regular


def _fft_shares(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of variance of the frequencies 1/T to (n/2)/T, of equally spaced values, shape (w, n)."""
    n = x.shape[1]
    # scaled, so that neither huge nor tiny values leave the range of numbers when squared
    centred = x - x.mean(axis=1, keepdims=True)
    centred /= np.abs(centred).max(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, axis=1)[:, 1:]) ** 2
    if n % 2 == 0:
        power[:, -1] /= 2  # the highest one stands for one coefficient, the others for two
    return np.asarray(power, np.float64)


def lomb_scargle(phase: NDArray[np.float64], x: NDArray[np.float64], frequencies: int) -> NDArray[np.float64]:
    """Compute the generalised Lomb-Scargle periodogram at the first harmonics of the window.

    Parameters
    ----------
    phase : ndarray of float64, shape (n,)
        Times over T.
    x : ndarray of float64, shape (n,)
        Values.
    frequencies : int
        Number of frequencies K: k/T for k = 1 .. K.

    Returns
    -------
    ndarray of float64, shape (K,)
        Share of the variance about the mean that a sine of this frequency with a free offset explains, 0 to 1.
    """
    centred = x - x.mean()
    centred /= np.abs(centred).max()
    power: NDArray[np.float64] = _periodogram(
        np.ascontiguousarray(phase), np.ascontiguousarray(centred), frequencies
    )
    return power


@numba.njit(cache=True, nogil=True)
def _periodogram(phase, y, frequencies):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = y.size
    # sums over the readings of cos, sin of k times the phase, up to twice the highest k, and of y times them
    c, s = np.zeros(2 * frequencies + 1), np.zeros(2 * frequencies + 1)
    yc, ys = np.zeros(frequencies + 1), np.zeros(frequencies + 1)
    yy = 0.0
    for j in range(n):
        angle = 2.0 * np.pi * phase[j]
        cos1, sin1 = np.cos(angle), np.sin(angle)
        re, im = 1.0, 0.0
        for k in range(1, 2 * frequencies + 1):
            if k % 64 == 0:  # the recurrence loses a digit in some thousand steps: begin anew in time
                re, im = np.cos(k * angle), np.sin(k * angle)
            else:
                re, im = re * cos1 - im * sin1, re * sin1 + im * cos1
            c[k] += re
            s[k] += im
            if k <= frequencies:
                yc[k] += y[j] * re
                ys[k] += y[j] * im
        yy += y[j] * y[j]
    power = np.zeros(frequencies)
    for k in range(1, frequencies + 1):
        mean_c, mean_s = c[k] / n, s[k] / n
        cc = 0.5 * (1.0 + c[2 * k] / n) - mean_c * mean_c
        ss = 0.5 * (1.0 - c[2 * k] / n) - mean_s * mean_s
        cs = 0.5 * s[2 * k] / n - mean_c * mean_s
        a, b = yc[k] / n, ys[k] / n  # the mean of y is 0
        determinant = cc * ss - cs * cs
        if determinant > 1e-9 * (cc + ss) ** 2:
            explained = (ss * a * a + cc * b * b - 2.0 * cs * a * b) / determinant
        elif cc + ss > 1e-12:
            # sine and cosine are the same at these times (the highest frequency of equal steps): one of them is fitted
            explained = (a * a + b * b) / (cc + ss)
        else:
            explained = 0.0
        power[k - 1] = min(max(explained * n / yy, 0.0), 1.0)
    return power


def _describe(power: NDArray[np.float64], resolution_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read the features from power at k times the resolution, shape (w, K), K at least 4."""
    w, k = power.shape
    total = power.sum(axis=1, keepdims=True)
    share = power / np.where(total > 0, total, np.nan)
    number = np.arange(1, k + 1)
    top = share.argmax(axis=1)
    centroid = share @ number
    spread = np.sqrt(np.maximum(share @ number**2 - centroid**2, 0.0))
    reached = np.cumsum(share, axis=1) >= ROLLOFF - 1e-12
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    entropy = -(share * logs).sum(axis=1) / np.log(k)
    ends = np.ceil(np.arange(BANDS + 1) * k / BANDS).astype(int)
    bands = [share[:, low:high].sum(axis=1) for low, high in itertools.pairwise(ends.tolist())]
    return np.stack(
        [
            (top + 1) * resolution_hz,
            share[np.arange(w), top],
            centroid * resolution_hz,
            spread * resolution_hz,
            (reached.argmax(axis=1) + 1) * resolution_hz,
            entropy,
            *bands,
            resolution_hz,
            k * resolution_hz,
            np.zeros(w),
        ]
    )
