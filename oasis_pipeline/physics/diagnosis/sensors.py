"""Sensor faults seen on a card: cut-off or slow load signal, and position out of step with load.

Belongs here: finding and, where it is safe, undoing what the instruments did. Does not belong here: load offset, which can
only be judged together with rod weight and friction (:mod:`.quantities`), and mending single points
(``cards.canonical``).

Phase. While the pump takes up or gives up its load the plunger stands nearly still. If the position lags the load, it
seems to move down during both transfers; if it leads, up. A leak moves the two apart, never together; free tubing moves
both up, never down. So only the lag can be told from everything else and is corrected: by the shift, found by a secant
step, that brings the mean of both to its rest value. A lead looks like moving tubing and is reported as such.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.diagnosis.pump_cards import PumpCards, compute
from oasis_pipeline.physics.diagnosis.well import Quality, WellColumns

Array = NDArray[np.float64]

LOW_RATE_POINTS = 60
"""Fewer points than this blur load transfers and valve timing."""
CLIPPED_SHARE = 0.06
"""Share of points at exactly the largest (smallest) load that no rod motion explains."""

PHASE_THRESHOLD_DEG = 2.5
"""Smaller shifts are not told from a rod string wrong by 1 %."""
_TRAVEL_PER_DEG = 0.0063
_REST_TRAVEL = 0.004
_LIMIT_DEG = 15.0


def signal_codes(load_lbf: Array) -> NDArray[np.int64]:
    """Codes for loads that are cut off at the top or bottom, or sampled too slowly.

    Parameters
    ----------
    load_lbf : ndarray, shape (k, n)
        Surface loads.

    Returns
    -------
    ndarray of int64, shape (k,)
        ``Quality`` codes.
    """
    cards, points = load_lbf.shape
    codes = np.full(cards, Quality.LOW_RATE if points < LOW_RATE_POINTS else 0, dtype=np.int64)
    high = np.sum(load_lbf == load_lbf.max(axis=1, keepdims=True), axis=1)
    low = np.sum(load_lbf == load_lbf.min(axis=1, keepdims=True), axis=1)
    codes[(np.maximum(high, low) > CLIPPED_SHARE * points) & (np.ptp(load_lbf, axis=1) > 0)] |= (
        Quality.CLIPPED_LOAD
    )
    return codes


def advance_position(position_in: Array, degrees: Array) -> Array:
    """Positions (k, n) moved earlier in time by some degrees of the stroke (band-limited)."""
    points = position_in.shape[1]
    spectrum = np.fft.rfft(position_in, axis=1)
    turn = np.exp(1j * np.outer(np.radians(degrees), np.arange(spectrum.shape[1])))
    return np.fft.irfft(spectrum * turn, points, axis=1)


def _transfer_travel(pump: PumpCards) -> tuple[Array, Array]:
    """Plunger travel during load pick-up and unloading as shares of the stroke."""
    stroke = pump.readings["gross_stroke_in"]
    return pump.readings["pickup_travel_in"] / stroke, pump.readings["unload_travel_in"] / stroke


def find_phase(
    position_in: Array,
    load_lbf: Array,
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
    pump: PumpCards,
) -> tuple[NDArray[np.intp], Array]:
    """Cards whose position is out of step with the load.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Surface cards.
    wells : WellColumns
        Wells.
    well : ndarray of int, shape (k,)
        Well of each card.
    spm : ndarray, shape (k,)
        Speeds.
    pump : PumpCards
        Their pump cards as they came.

    Returns
    -------
    rows : ndarray of int, shape (m,)
        The cards found.
    lag_deg : ndarray, shape (m,)
        Delay of the position behind the load, degrees of the stroke, positive.
    """
    pickup, unload = _transfer_travel(pump)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((pickup < -0.010) & (unload < -0.007))
    if not len(rows):
        return rows, np.empty(0)
    start = _REST_TRAVEL - 0.5 * (pickup + unload)[rows]
    guess = np.minimum(start / _TRAVEL_PER_DEG, _LIMIT_DEG)
    moved = compute(advance_position(position_in[rows], guess), load_lbf[rows], wells, well[rows], spm[rows])
    left = _REST_TRAVEL - 0.5 * np.sum(_transfer_travel(moved), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        lag = guess * start / (start - left)
    lag = np.minimum(np.where(np.isfinite(lag) & (lag > 0.0), lag, guess), _LIMIT_DEG)
    found = lag >= PHASE_THRESHOLD_DEG
    return rows[found], lag[found]
