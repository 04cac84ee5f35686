"""What a load cell, a position sensor and a controller's memory do to a card.

Belongs here: faults of measurement, applied to true cards by the predictive model. Finding and undoing them is the diagnosis'
business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def _column(value: ArrayLike) -> FloatArray:
    return np.asarray(value, dtype=np.float64)[..., np.newaxis]


def shift_phase(values: ArrayLike, phase_deg: ArrayLike) -> FloatArray:
    """Delay a periodic signal by an angle of the stroke.

    Parameters
    ----------
    values : array_like, shape (..., n)
        One stroke, equally spaced in time, without a closing point.
    phase_deg : array_like, shape (...)
        Delay in degrees of the stroke; negative is early.

    Returns
    -------
    ndarray, shape (..., n)
        Linear interpolation in time, periodic: no ringing at sharp corners.
    """
    signal = np.asarray(values, dtype=np.float64)
    count = signal.shape[-1]
    place = np.mod(np.arange(count) - _column(phase_deg) / 360.0 * count, count)
    base = np.floor(place).astype(np.int64)
    share = place - base
    signal = np.broadcast_to(signal, place.shape)
    left = np.take_along_axis(signal, base % count, axis=-1)
    right = np.take_along_axis(signal, (base + 1) % count, axis=-1)
    return np.asarray(left + share * (right - left))


def lower_rate(values: ArrayLike, samples: ArrayLike) -> FloatArray:
    """Card of a controller that samples less often than it stores: points between samples are interpolated.

    Parameters
    ----------
    values : array_like, shape (..., n)
        One stroke, equally spaced in time.
    samples : array_like, shape (...)
        Samples really taken over the stroke; n or more changes nothing.

    Returns
    -------
    ndarray, shape (..., n)
    """
    signal = np.asarray(values, dtype=np.float64)
    count = signal.shape[-1]
    taken = np.minimum(_column(samples), count)
    place = np.arange(count) * taken / count
    before = np.floor(place)

    def at(sample: FloatArray) -> FloatArray:
        where = np.mod(np.round(sample * count / taken), count).astype(np.int64)
        return np.take_along_axis(np.broadcast_to(signal, where.shape), where, axis=-1)

    # The last interval runs from the last sample to the first one of the next stroke.
    after = np.where(before + 1.0 >= taken, 0.0, before + 1.0)
    width = np.minimum(before + 1.0, taken) - before
    share = (place - before) / np.maximum(width, 1e-9)
    first = at(before)
    return np.asarray(first + share * (at(after) - first))


def measure(
    position_in: ArrayLike,
    load_lbf: ArrayLike,
    *,
    load_offset_lbf: ArrayLike = 0.0,
    load_gain: ArrayLike = 1.0,
    position_phase_deg: ArrayLike = 0.0,
    low_clip_lbf: ArrayLike = -np.inf,
    high_clip_lbf: ArrayLike = np.inf,
    samples: ArrayLike = np.inf,
    load_noise_lbf: ArrayLike = 0.0,
    load_quantum_lbf: float = 0.0,
    position_quantum_in: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Card as a faulty or an ordinary sensor set would store it.

    Order of events: gain and offset, noise (smoothed over three points as amplifiers do), clipping at the ends of the load
    cell's range, the position's delay, the sampling rate, quantisation.

    Parameters
    ----------
    position_in, load_lbf : array_like, shape (..., n)
        True card, equally spaced in time.
    load_offset_lbf, load_gain, position_phase_deg, low_clip_lbf, high_clip_lbf, samples, load_noise_lbf : array_like, (...)
        Faults of each card; the defaults change nothing.
    load_quantum_lbf, position_quantum_in : float
        Step of the stored numbers, 0 for none.
    rng : numpy.random.Generator, optional
        Needed where noise is wanted.

    Returns
    -------
    position_in, load_lbf : ndarray, shape (..., n)
        Card as stored.

    Raises
    ------
    ValueError
        If noise is asked for without a generator, or the shapes differ.
    """
    position = np.asarray(position_in, dtype=np.float64)
    load = np.asarray(load_lbf, dtype=np.float64)
    if position.shape != load.shape:
        raise ValueError(f"position {position.shape} and load {load.shape} differ")
    load = load * _column(load_gain) + _column(load_offset_lbf)
    if np.any(np.asarray(load_noise_lbf) > 0.0):
        if rng is None:
            raise ValueError("noise needs a random generator")
        noise = rng.standard_normal(load.shape)
        noise = (np.roll(noise, 1, -1) + noise + np.roll(noise, -1, -1)) / np.sqrt(3.0)
        load = load + noise * _column(load_noise_lbf)
    load = np.clip(load, _column(low_clip_lbf), _column(high_clip_lbf))
    if np.any(np.asarray(position_phase_deg) != 0.0):
        position = shift_phase(position, position_phase_deg)
    if np.any(np.asarray(samples) < position.shape[-1]):
        position, load = lower_rate(position, samples), lower_rate(load, samples)
    if load_quantum_lbf > 0.0:
        load = np.round(load / load_quantum_lbf) * load_quantum_lbf
    if position_quantum_in > 0.0:
        position = np.round(position / position_quantum_in) * position_quantum_in
    return position, load
