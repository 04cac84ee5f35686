"""Fluids in the well: gravities, gradients, pressures at the pump and fluid levels.

Belongs here: how heavy the fluid is and what pressure or level follows from it. Does not belong here: anything that
moves (leaks and slippage: :mod:`.slippage`) and anything read off a card (:mod:`.diagnosis`).

All functions are element by element on arrays of any batch shape; a missing input is NaN and gives NaN.

References
----------
.. [1] G. Takacs, *Sucker-Rod Pumping Handbook*, Gulf, 2015, chapters 2 and 4.
.. [2] API RP 11L, *Design calculations for sucker rod pumping systems (conventional units)*.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import (
    WATER_GRADIENT_PSI_PER_FT,
)

Array = NDArray[np.float64]


def oil_gravity(api_deg: ArrayLike) -> Array:
    """Specific gravity of oil from its API gravity: 141.5 / (131.5 + API).

    Parameters
    ----------
    api_deg : array_like
        Gravity, degrees API.

    Returns
    -------
    ndarray
        Specific gravity at 60 F, water = 1.
    """
    return 141.5 / (131.5 + np.asarray(api_deg, dtype=np.float64))


def mixture_gravity(water_cut_pct: ArrayLike, water_sg: ArrayLike, oil_sg: ArrayLike) -> Array:
    """Specific gravity of the produced liquid, mixed by volume.

    Parameters
    ----------
    water_cut_pct : array_like
        Share of water in the liquid, percent.
    water_sg, oil_sg : array_like
        Specific gravities.

    Returns
    -------
    ndarray
        Specific gravity of the mixture; gas in the tubing makes the real one lower.
    """
    cut = np.asarray(water_cut_pct, dtype=np.float64) / 100.0
    return cut * np.asarray(water_sg, dtype=np.float64) + (1.0 - cut) * np.asarray(oil_sg, dtype=np.float64)


def discharge_pressure_psi(tubing_pressure_psi: ArrayLike, fluid_sg: ArrayLike, depth_ft: ArrayLike) -> Array:
    """Pressure above the plunger: Pd = Pt + 0.433 SG H (exactly 62.4/144).

    Parameters
    ----------
    tubing_pressure_psi : array_like
        Tubing-head pressure.
    fluid_sg : array_like
        Specific gravity of the fluid in the tubing.
    depth_ft : array_like
        True vertical depth of the pump.

    Returns
    -------
    ndarray
        Pump discharge pressure, psi.
    """
    gradient = WATER_GRADIENT_PSI_PER_FT * np.asarray(fluid_sg, dtype=np.float64)
    return np.asarray(tubing_pressure_psi, dtype=np.float64) + gradient * np.asarray(
        depth_ft, dtype=np.float64
    )


def plunger_area_in2(plunger_diameter_in: ArrayLike) -> Array:
    """Area of the plunger, square inches."""
    return 0.25 * np.pi * np.asarray(plunger_diameter_in, dtype=np.float64) ** 2


def fluid_load_lbf(
    plunger_diameter_in: ArrayLike, discharge_psi: ArrayLike, intake_psi: ArrayLike = 0.0
) -> Array:
    """Load of the fluid on the plunger: Fo = Ap (Pd - PIP).

    With no intake pressure and no tubing pressure this is API RP 11L's 0.340 G D^2 H.
    """
    difference = np.asarray(discharge_psi, dtype=np.float64) - np.asarray(intake_psi, dtype=np.float64)
    return plunger_area_in2(plunger_diameter_in) * difference


def intake_pressure_psi(
    plunger_diameter_in: ArrayLike, discharge_psi: ArrayLike, fluid_load: ArrayLike
) -> Array:
    """Pump intake pressure from the fluid load: PIP = Pd - Fo / Ap.

    Parameters
    ----------
    plunger_diameter_in : array_like
        Plunger diameter.
    discharge_psi : array_like
        Pump discharge pressure.
    fluid_load : array_like
        Fluid load on the plunger, lbf.

    Returns
    -------
    ndarray
        Intake pressure, psi. A negative result is kept: it says that the inputs contradict one another.
    """
    return np.asarray(discharge_psi, dtype=np.float64) - np.asarray(
        fluid_load, dtype=np.float64
    ) / plunger_area_in2(plunger_diameter_in)


def fluid_above_pump_ft(
    intake_psi: ArrayLike, casing_pressure_psi: ArrayLike, annulus_sg: ArrayLike
) -> Array:
    """Height of gas-free liquid in the annulus that makes the intake pressure, never below zero.

    Parameters
    ----------
    intake_psi : array_like
        Pump intake pressure.
    casing_pressure_psi : array_like
        Casing-head pressure; the weight of the gas column is left out (about 1 % of it per 400 ft).
    annulus_sg : array_like
        Specific gravity of the annulus liquid (oil, once the well has settled).

    Returns
    -------
    ndarray
        Feet of liquid above the intake.
    """
    head = np.asarray(intake_psi, dtype=np.float64) - np.asarray(casing_pressure_psi, dtype=np.float64)
    return np.maximum(head, 0.0) / (WATER_GRADIENT_PSI_PER_FT * np.asarray(annulus_sg, dtype=np.float64))


def liquid_fill(opening: ArrayLike, intake_over_discharge: ArrayLike, gas_exponent: ArrayLike) -> Array:
    """Share of the stroke that is liquid, from where the travelling valve opens: the inverse of `valve_opening_position`.

    At that position the barrel still holds the gas, squeezed to discharge pressure: what the fillage counts is liquid and gas
    together, and only f = 1 - (1 - x/Sp) / (1 - (PIP/Pd)^(1/gamma)) of the stroke is liquid.

    Parameters
    ----------
    opening : array_like
        Position at which the valve opens, as a share of the stroke (the fillage).
    intake_over_discharge : array_like
        PIP / Pd, absolute pressures.
    gas_exponent : array_like
        Polytropic exponent of the gas.

    Returns
    -------
    ndarray
        0 to `opening`; NaN where an input is.
    """
    share = np.asarray(opening, dtype=np.float64)
    ratio = np.clip(np.asarray(intake_over_discharge, dtype=np.float64), 0.0, 0.95)
    squeeze = 1.0 - ratio ** (1.0 / np.asarray(gas_exponent, dtype=np.float64))
    return np.asarray(np.clip(1.0 - (1.0 - share) / squeeze, 0.0, share))


def valve_opening_position(
    fill: ArrayLike, intake_over_discharge: ArrayLike, gas_exponent: ArrayLike
) -> Array:
    """Plunger position, as a share of its stroke, at which the travelling valve opens over gas.

    x/Sp = 1 - (1 - f) (1 - (PIP/Pd)^(1/gamma)): the gas that fills 1 - f of the stroke is squeezed from intake to
    discharge pressure before the valve can open. Holds for a prescribed plunger motion.

    Parameters
    ----------
    fill : array_like
        Share of the stroke that liquid fills.
    intake_over_discharge : array_like
        PIP / Pd.
    gas_exponent : array_like
        Polytropic exponent of the gas.

    Returns
    -------
    ndarray
        Position above the bottom of the stroke as a share of the stroke.
    """
    squeeze = 1.0 - np.asarray(intake_over_discharge, dtype=np.float64) ** (
        1.0 / np.asarray(gas_exponent, dtype=np.float64)
    )
    return 1.0 - (1.0 - np.asarray(fill, dtype=np.float64)) * squeeze
