"""What passes the plunger: displacement, slippage through the clearance, leaks read from valve timing.

Belongs here: volumes and rates at the pump as functions of known dimensions and speeds. Does not belong here: finding
those speeds on a card (:mod:`.diagnosis`).

References
----------
.. [1] J. Patterson et al., *Progress report on "Fluid slippage in down-hole rod-drawn oil well pumps"*, Southwestern
   Petroleum Short Course, 2007 (the equation with the pumping speed); the static form is the one of the ARCO-Harold
   Fuller tests.
.. [2] G. Takacs, *Sucker-Rod Pumping Handbook*, Gulf, 2015, section 4.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import (
    BPD_PER_CUBIC_INCH_PER_SECOND,
    PUMP_CONSTANT_BPD,
)

Array = NDArray[np.float64]


def _f(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


def displacement_bpd(
    stroke_in: ArrayLike, spm: ArrayLike, plunger_diameter_in: ArrayLike, runtime_h_per_d: ArrayLike = 24.0
) -> Array:
    """Pump displacement: area x stroke x speed (0.11657 S N D^2 for a full day).

    Parameters
    ----------
    stroke_in : array_like
        Plunger stroke; the net stroke gives the net displacement.
    spm : array_like
        Strokes a minute.
    plunger_diameter_in : array_like
        Plunger diameter.
    runtime_h_per_d : array_like
        Hours the unit runs in a day.

    Returns
    -------
    ndarray
        Barrels a day.
    """
    full_day = PUMP_CONSTANT_BPD * _f(stroke_in) * _f(spm) * _f(plunger_diameter_in) ** 2
    return full_day * _f(runtime_h_per_d) / 24.0


def slippage_arco_hf_bpd(
    plunger_diameter_in: ArrayLike,
    pressure_difference_psi: ArrayLike,
    clearance_in: ArrayLike,
    plunger_length_in: ArrayLike,
    viscosity_cp: ArrayLike,
) -> Array:
    """Slippage past a standing plunger, ARCO-HF: Q = 870 D dP C^1.52 / (L mu).

    Parameters
    ----------
    plunger_diameter_in, clearance_in, plunger_length_in : array_like
        Plunger diameter, diametral clearance to the barrel, and length.
    pressure_difference_psi : array_like
        Discharge minus intake pressure.
    viscosity_cp : array_like
        Viscosity of the fluid at the pump.

    Returns
    -------
    ndarray
        Barrels a day as if the difference stood all day.
    """
    d_p = _f(pressure_difference_psi)
    return (
        870.0
        * _f(plunger_diameter_in)
        * d_p
        * _f(clearance_in) ** 1.52
        / (_f(plunger_length_in) * _f(viscosity_cp))
    )


def slippage_patterson_bpd(
    spm: ArrayLike,
    plunger_diameter_in: ArrayLike,
    pressure_difference_psi: ArrayLike,
    clearance_in: ArrayLike,
    plunger_length_in: ArrayLike,
    viscosity_cp: ArrayLike,
) -> Array:
    """Slippage past a moving plunger, Patterson: Q = (0.14 N + 1) 453 D dP C^1.52 / (L mu).

    Parameters as in :func:`slippage_arco_hf_bpd`, with ``spm`` the pumping speed.

    Returns
    -------
    ndarray
        Barrels a day.
    """
    still = slippage_arco_hf_bpd(
        plunger_diameter_in, pressure_difference_psi, clearance_in, plunger_length_in, viscosity_cp
    )
    return (0.14 * _f(spm) + 1.0) * (453.0 / 870.0) * still


def leak_from_plunger_speed_bpd(plunger_speed_in_per_s: ArrayLike, plunger_diameter_in: ArrayLike) -> Array:
    """Leak that a plunger moving at this speed just keeps up with: q = Ap v.

    While the plunger sweeps less than the leak passes, the load cannot be transferred; the speed at the moment of
    transfer therefore measures the leak.

    Parameters
    ----------
    plunger_speed_in_per_s : array_like
        Speed of the plunger relative to the barrel at the moment of load transfer.
    plunger_diameter_in : array_like
        Plunger diameter.

    Returns
    -------
    ndarray
        Barrels a day.
    """
    area = 0.25 * np.pi * _f(plunger_diameter_in) ** 2
    return area * _f(plunger_speed_in_per_s) * BPD_PER_CUBIC_INCH_PER_SECOND
