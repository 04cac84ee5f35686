"""What the reservoir gives and what the pump takes: Vogel's curve, their balance, and what consecutive strokes tell.

Here: rates and pressures. Not here: loads (``well_response``), and what is advised (``setpoints``).

Arrays are element by element and broadcast; pressures are gauge.

References
----------
.. [1] J. V. Vogel, "Inflow performance relationships for solution-gas drive wells", *J. Pet. Technol.* 20 (1968) 83-92.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.compiled import compiled
from oasis_pipeline.physics.constants import STANDARD_PRESSURE_PSI

Array = NDArray[np.float64]

BURST_GAP_S = 120.0
"""Cards that follow each other within this time belong to one burst."""

BURST_CARDS = 5
"""Cards from which on a burst tells something."""

_MOST_STEPS, _CLOSE_PSI = 22, 1e-4
"""Of the search for the intake pressure; Newton's steps inside of a bracket come this close in four or five."""

MARCH_CORRELATION = -0.8
MARCH_POINTS = 6.0
JUMP_POINTS = 5.0
"""Fillage that falls with this rank correlation and by so many points marches; steps of this size (standard deviation, points) are jumps."""


class Course(StrEnum):
    """What the transfer point does from stroke to stroke."""

    MARCHES = "marches"
    JUMPS = "jumps"
    UNDECIDED = "undecided"


def vogel_share(flowing_psi: ArrayLike, reservoir_psi: ArrayLike) -> Array:
    """Inflow as a share of the greatest: 1 - 0.2 p/pr - 0.8 (p/pr)^2.

    Parameters
    ----------
    flowing_psi, reservoir_psi : array_like
        Flowing pressure (taken at the pump intake) and static pressure of the reservoir.

    Returns
    -------
    ndarray
        0 (no drawdown) to 1.
    """
    ratio = np.clip(np.asarray(flowing_psi, dtype=np.float64) / np.asarray(reservoir_psi), 0.0, 1.0)
    return np.asarray(1.0 - 0.2 * ratio - 0.8 * ratio**2)


@compiled
def _solve(
    greatest: Array,
    reservoir: Array,
    floor: Array,
    gas: Array,
    displacement: Array,
    slope: Array,
    leak: Array,
    duty: Array,
    atmosphere: float,
    known: NDArray[np.bool_],
    rate: Array,
    intake: Array,
    fill: Array,
) -> None:
    """Fill rate, intake and fill of flat arrays where all is known; see `balance_rates`."""
    for i in range(len(rate)):
        if not known[i]:
            continue
        low, high = floor[i], max(reservoir[i], floor[i] + 1.0)
        ratio = min(max(low / reservoir[i], 0.0), 1.0)
        inflow = greatest[i] * (1.0 - 0.2 * ratio - 0.8 * ratio * ratio)
        room = max(displacement[i] + slope[i] * low, 1e-6)
        share = (low + atmosphere) / (low + atmosphere + gas[i])
        if duty[i] * max(room * share - leak[i], 0.0) >= inflow:
            # The pump takes all that comes: the level stands at the pump.
            rate[i], intake[i] = inflow, low
            fill[i] = min((inflow / max(duty[i], 1e-6) + leak[i]) / room, share)
            continue
        pull, per_psi = duty[i], 1.0 / reservoir[i]
        p = 0.5 * (low + high)
        for _ in range(_MOST_STEPS):
            ratio = min(max(p * per_psi, 0.0), 1.0)
            inflow = greatest[i] * (1.0 - 0.2 * ratio - 0.8 * ratio * ratio)
            room = max(displacement[i] + slope[i] * p, 1e-6)
            per_share = 1.0 / (p + atmosphere + gas[i])
            share = (p + atmosphere) * per_share
            taken = room * share - leak[i]
            excess = pull * max(taken, 0.0) - inflow
            if excess >= 0.0:
                high = p
            else:
                low = p
            rise = greatest[i] * (0.2 + 1.6 * ratio) * per_psi
            if taken > 0.0:
                rise += pull * (slope[i] * share + room * gas[i] * per_share * per_share)
            step = excess / rise
            after = p - step
            if not low < after < high:
                after = 0.5 * (low + high)
                step = p - after
            if abs(step) < _CLOSE_PSI:
                break
            p = after
        rate[i], intake[i], fill[i] = inflow, p, share


def balance_rates(
    greatest_inflow_bpd: ArrayLike,
    reservoir_psi: ArrayLike,
    floor_psi: ArrayLike,
    gas_psi: ArrayLike,
    displacement_bpd: ArrayLike,
    displacement_per_psi: ArrayLike,
    leak_bpd: ArrayLike,
    duty: ArrayLike,
) -> tuple[Array, Array, Array]:
    """Find the intake pressure at which the pump takes what the reservoir gives.

    Parameters
    ----------
    greatest_inflow_bpd, reservoir_psi : array_like
        Vogel's curve: inflow at no flowing pressure, static pressure.
    floor_psi : array_like
        Intake pressure with the level at the pump: lower it can't get.
    gas_psi : array_like
        Free gas: at an absolute intake pressure p the pump fills to p / (p + gas_psi) with liquid.
    displacement_bpd, displacement_per_psi : array_like
        Displacement of 24 h of full strokes at no intake pressure, and what a psi of it adds (less fluid load, less stretch).
    leak_bpd : array_like
        What leaks back in 24 h of pumping.
    duty : array_like
        Share of the day that the unit runs.

    Returns
    -------
    rate_bpd, intake_psi, fill : ndarray
        Liquid a day, intake pressure, and the share of the strokes that liquid fills; NaN where an input is.
    """
    arrays = np.broadcast_arrays(
        greatest_inflow_bpd,
        reservoir_psi,
        floor_psi,
        gas_psi,
        displacement_bpd,
        displacement_per_psi,
        leak_bpd,
        duty,
    )
    shape = arrays[0].shape
    flat = [np.ascontiguousarray(values, dtype=np.float64).reshape(-1) for values in arrays]
    known = flat[1] > 0.0
    for values in flat:
        known &= np.isfinite(values)
    out = [np.full(len(flat[0]), np.nan) for _ in range(3)]
    greatest, reservoir, floor, gas, displacement, slope, leak, share = flat
    _solve(
        greatest, reservoir, floor, gas, displacement, slope, leak, share, STANDARD_PRESSURE_PSI, known, *out
    )
    rate, intake, fill = (values.reshape(shape) for values in out)
    return rate, intake, fill


def strokes_course(moment_s: ArrayLike, fillage_pct: ArrayLike) -> Course:
    """Tell from a burst of cards whether the pump is being pumped off or draws gas.

    A pump that empties its well fills less from stroke to stroke: the point where the load passes to the standing column marches down.
    Gas comes in slugs: the point jumps.

    Parameters
    ----------
    moment_s, fillage_pct : array_like, shape (cards,)
        Time and fillage of cards, in any order; not finite ones are left out.

    Returns
    -------
    Course
        Of the newest burst of `BURST_CARDS` cards or more; `UNDECIDED` without one, and where neither is seen.
    """
    moment, fillage = np.asarray(moment_s, dtype=np.float64), np.asarray(fillage_pct, dtype=np.float64)
    kept = np.isfinite(moment) & np.isfinite(fillage)
    order = np.argsort(moment[kept], kind="stable")
    moment, fillage = moment[kept][order], fillage[kept][order]
    ends = np.flatnonzero(np.diff(moment) > BURST_GAP_S) + 1
    bursts = [part for part in np.split(fillage, ends) if len(part) >= BURST_CARDS]
    if not bursts:
        return Course.UNDECIDED
    burst = bursts[-1]
    steps = np.diff(burst)
    if np.ptp(burst) >= MARCH_POINTS:
        rank = np.argsort(np.argsort(burst, kind="stable"), kind="stable")
        if np.corrcoef(rank, np.arange(len(burst)))[0, 1] <= MARCH_CORRELATION:
            return Course.MARCHES
    return Course.JUMPS if steps.std() >= JUMP_POINTS else Course.UNDECIDED
