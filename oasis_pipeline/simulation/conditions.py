"""Conditions of a well as severities, what they do to the pump, and how a careful person would name them.

Belongs here: the bridge from a severity (0 nothing, 1 as bad as it gets) to parameters of the predictive model, and the rule
by which cards get labels. The class list lives only here: everything downstream takes classes as data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.constants import STEEL_DENSITY_LB_PER_FT3
from oasis_pipeline.physics.simulator import parameters
from oasis_pipeline.simulation.equipment import Wells

FloatArray = NDArray[np.float64]

LABELS: tuple[str, ...] = (
    "Full Pump",
    "Fluid Pound",
    "Gas Interference",
    "Leak in Traveling Valve",
    "Leak in Standing Valve",
    "Wellbore Friction",
    "Tubing Movement",
    "Pump Tagging Up",
    "Pump Tagging Down",
    "Excessive Vibration of the Rod",
    "Parted Rod",
    "Worn Pump Barrel",
)
"""Classes in the order of the columns of a severity array."""

COLUMN = {name: i for i, name in enumerate(LABELS)}
FULL, POUND, GAS, TV, SV, FRICTION, TUBING, UP, DOWN, VIBRATION, PARTED, WORN = range(12)

NAMING_POINT = 0.35
"""Severity from which an experienced person would write the condition down."""


def fullness(severity: FloatArray) -> FloatArray:
    """Severity of "Full Pump": one for a pump that fills, falling to zero as fluid pound, gas or a parting grow.

    Parameters
    ----------
    severity : ndarray, shape (n, 12)
        Severities; the first column is not read.

    Returns
    -------
    ndarray, shape (n,)
        0.65 where the worst of them reaches the naming point, which is exactly there no longer named.
    """
    worst = severity[:, [POUND, GAS, PARTED]].max(axis=1)
    return np.asarray(np.clip(1.0 - worst, 0.0, 1.0))


def name_cards(
    severity: FloatArray,
    points: FloatArray | None = None,
    names_full: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """Labels that a careful person would give, at most two.

    The two conditions that are most severe among those at or above `NAMING_POINT`. A parted rod hides everything else. A pump
    that fills and has at most one fault which leaves the pump card full (friction, tubing movement, tagging, vibration)
    is also called a full pump; a leak or a worn barrel is not.

    Parameters
    ----------
    severity : ndarray, shape (n, 12)
        Severities in the order of `LABELS`.
    points : ndarray, optional, shape (n, 12)
        Severities from which each card's person names conditions; `NAMING_POINT` by default.
    names_full : ndarray of bool, optional, shape (n,)
        Whether that person writes Full Pump beside a lone fault; all do by default.

    Returns
    -------
    ndarray of str, shape (n, 2)
        Labels, the second empty where there is one.
    """
    named = np.zeros((len(severity), 2), dtype="<U40")
    least = np.full(severity.shape, NAMING_POINT) if points is None else points
    for i, row in enumerate(severity):
        if row[PARTED] >= NAMING_POINT:
            named[i, 0] = LABELS[PARTED]
            continue
        worst = [j for j in np.argsort(-row[1:], kind="stable") + 1 if row[j] >= least[i, j]][:2]
        if not worst:
            named[i, 0] = LABELS[FULL]
            continue
        for place, j in enumerate(worst):
            named[i, place] = LABELS[j]
        lone = len(worst) == 1 and worst[0] in (FRICTION, TUBING, UP, DOWN, VIBRATION)
        if lone and (names_full is None or names_full[i]):
            named[i] = LABELS[FULL], LABELS[worst[0]]
    return named


def condition_parameters(wells: Wells, severity: FloatArray, rng: np.random.Generator) -> NDArray[np.void]:
    """Parameters of the predictive model for wells in given conditions.

    Parameters
    ----------
    wells : Wells
        Equipment, one entry per card.
    severity : ndarray, shape (n, 12)
        Severities in the order of `LABELS`; "Full Pump" follows from the others.
    rng : numpy.random.Generator
        For what differs from card to card at the same severity (where a barrel is worn, how deep rods part).

    Returns
    -------
    structured ndarray, shape (n,)
        For `oasis_pipeline.physics.simulator.simulate`.

    Raises
    ------
    ValueError
        If the severities do not fit the wells.
    """
    count = len(wells)
    if severity.shape != (count, len(LABELS)):
        raise ValueError(f"severity of shape {severity.shape} for {count} wells")
    s = severity
    p = parameters(count, spm=wells.spm, plunger_diameter_in=wells.plunger_diameter_in)
    p["fluid_gravity"] = wells.fluid_gravity
    p["discharge_psi"] = wells.discharge_psi
    p["motor_slip"] = wells.motor_slip
    swing = rng.normal(1.0, 0.03, count)

    # Inflow: the intake pressure falls to the pumped-off one as fluid pound grows, and stands higher in gassy wells.
    pound, gas = s[:, POUND], s[:, GAS]
    lost_to_pound = 0.75 * pound
    lost_to_gas = 0.78 * gas
    p["gas_fraction"] = np.clip(1.0 - (1.0 - lost_to_pound) * (1.0 - lost_to_gas), 0.0, 0.85)
    off = np.clip(pound / NAMING_POINT, 0.0, 1.0) * (1.0 - np.clip(gas / NAMING_POINT, 0.0, 1.0))
    gassy = np.clip(gas / NAMING_POINT, 0.0, 1.0)
    intake = (
        wells.flowing_psi
        + off * (wells.pumped_off_psi - wells.flowing_psi)
        + gassy * (wells.gassy_psi - wells.flowing_psi)
    )
    p["intake_psi"] = np.maximum(intake * swing, 8.0)
    p["gas_mixing"] = np.clip(0.1 + 0.9 * gas, 0.0, 1.0)
    p["clearance_in"] = 3.0 + 8.0 * gas
    p["gas_exponent"] = np.where(gas > pound, 1.22, 1.05)

    # Leaks in shares of what the pump displaces: a plunger at mid stroke moves pi times the displacement.
    displacement = wells.displacement_bpd
    p["slippage_bpd"] = 0.02 * displacement * (wells.plunger_clearance_in / 0.005) ** 1.52
    p["tv_leak_bpd"] = 1.9 * s[:, TV] * displacement
    p["sv_leak_bpd"] = 1.7 * s[:, SV] * displacement
    p["wear_leak_bpd"] = 9.0 * s[:, WORN] * displacement
    p["wear_place"] = rng.uniform(0.42, 0.62, count)
    p["wear_width"] = rng.uniform(0.09, 0.14, count)

    # Rods. Friction is dry along the lower two thirds and thickens the viscous term.
    load = wells.fluid_load_lbf
    p["damping_up"] = (wells.damping_up + 0.12 * s[:, FRICTION]) * (1.0 - 0.7 * s[:, VIBRATION])
    p["damping_down"] = (wells.damping_down + 0.15 * s[:, FRICTION]) * (1.0 - 0.7 * s[:, VIBRATION])
    p["rod_drag_lbf"] = (0.01 + 0.34 * s[:, FRICTION]) * load
    p["drag_from"] = np.where(s[:, FRICTION] > 0.1, 0.35, 0.0)
    p["stuffing_box_lbf"] = rng.uniform(20.0, 90.0, count)
    p["plunger_friction_lbf"] = rng.uniform(60.0, 140.0, count) + 250.0 * np.maximum(
        s[:, WORN], s[:, FRICTION]
    )
    impedance = wells.rods.stiffness_lbf[:, 0] / (12.0 * wells.rods.wave_speed_ft_per_s[:, 0])
    # Of the harmonics 7 to 13 the one farthest from a resonance of the string, held or free at the pump, so that the load it
    # makes is impedance times velocity and not a matter of luck: up to a fifth of the fluid load.
    orders = np.arange(7.0, 14.0)
    travel_s = (wells.rods.length_ft / wells.rods.wave_speed_ft_per_s).sum(axis=1)
    shaking = orders * (wells.spm * 2.0 * np.pi / 60.0)[:, np.newaxis]
    detuned = np.abs(np.log(np.abs(np.tan(shaking * travel_s[:, np.newaxis])) + 1e-9)).argmin(axis=1)
    p["vibration_harmonic"] = orders[detuned]
    p["vibration_in"] = 0.2 * s[:, VIBRATION] * load / (impedance * shaking[np.arange(count), detuned])
    p["vibration_phase_rad"] = rng.uniform(0.0, 2.0 * np.pi, count)

    # Tubing: at worst (no anchor, buckled) its end moves by a seventh of the stroke under the fluid load.
    movement_in = 0.14 * s[:, TUBING] * wells.stroke_in
    p["tubing_spring_lbf_per_in"] = np.where(
        s[:, TUBING] > 0.02, load / np.maximum(movement_in, 1e-3), np.inf
    )
    steel_in2 = np.pi / 4.0 * (wells.tubing_od_in**2 - wells.tubing_id_in**2)
    # Lowest mode of a hanging bar: four tenths of its mass move with the free end.
    p["tubing_mass_lbf"] = 0.4 * wells.depth_ft * steel_in2 * STEEL_DENSITY_LB_PER_FT3 / 144.0
    p["tubing_damping"] = 0.6

    # Stops: by how much the string shortens under a share of the fluid load, so that deep, soft strings show it too.
    soft_in = load * wells.rods.stretch_in_per_lbf
    p["tag_up_in"] = np.where(s[:, UP] > 0.03, (2.2 + 0.16 * soft_in) * s[:, UP], 0.0)
    p["tag_down_in"] = np.where(s[:, DOWN] > 0.03, (2.2 + 0.18 * soft_in) * s[:, DOWN], 0.0)

    # Severity one parts the string near the top, the naming point near the pump.
    share = np.clip((1.0 - s[:, PARTED]) / (1.0 - NAMING_POINT), 0.12, 0.97)
    broken = s[:, PARTED] >= NAMING_POINT
    # What is left of the string drags through the same fluid: the loss per foot grows as the string gets shorter.
    p["damping_up"] = np.where(broken, 0.09 / share, p["damping_up"])
    p["damping_down"] = np.where(broken, 0.12 / share, p["damping_down"])
    p["vibration_in"] = np.where(broken, 0.0, p["vibration_in"])
    p["parted_depth_ft"] = np.where(broken, share * wells.depth_ft, np.inf)
    return p
