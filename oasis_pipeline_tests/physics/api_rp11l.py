"""API RP 11L: the dimensionless numbers of a rod-pump design and what its charts are multiplied with.

Belongs here: the arithmetic of the recommended practice, as a sanity band for cards and solvers. Does not belong here: the
charts themselves (their readings are arguments) and anything a solver computes.

References
----------
.. [1] API RP 11L, *Recommended practice for design calculations for sucker rod pumping systems (conventional units)*.
"""

from __future__ import annotations

from dataclasses import dataclass

NATURAL_CONSTANT = 245_000.0
"""N0 = 245,000 / L: a quarter wave at 16,333 ft/s in one stroke."""


@dataclass(frozen=True)
class DesignNumbers:
    """Independent numbers of a design.

    Attributes
    ----------
    fluid_load_lbf, stroke_load_lbf : float
        Fo and S kr.
    load_ratio, speed_ratio, corrected_speed_ratio : float
        Fo / S kr, N / N0 and N / N0'.
    weight_in_air_lbf, buoyant_weight_lbf : float
        W and Wrf.
    """

    fluid_load_lbf: float
    stroke_load_lbf: float
    load_ratio: float
    speed_ratio: float
    corrected_speed_ratio: float
    weight_in_air_lbf: float
    buoyant_weight_lbf: float


def design_numbers(
    *,
    stroke_in: float,
    spm: float,
    plunger_diameter_in: float,
    fluid_sg: float,
    lift_ft: float,
    length_ft: float,
    weight_lb_per_ft: float,
    stretch_in_per_lb_ft: float,
    frequency_factor: float,
) -> DesignNumbers:
    """Independent numbers from the design, with the printed constants 0.340 and 0.128.

    Parameters
    ----------
    stroke_in, spm, plunger_diameter_in, fluid_sg, lift_ft, length_ft : float
        Design.
    weight_lb_per_ft, stretch_in_per_lb_ft, frequency_factor : float
        Wr, Er and Fc of the rod string.

    Returns
    -------
    DesignNumbers
        Numbers that the charts are entered with.
    """
    fluid = 0.340 * fluid_sg * plunger_diameter_in**2 * lift_ft
    stroke_load = stroke_in / (stretch_in_per_lb_ft * length_ft)
    speed = spm * length_ft / NATURAL_CONSTANT
    weight = weight_lb_per_ft * length_ft
    return DesignNumbers(
        fluid,
        stroke_load,
        fluid / stroke_load,
        speed,
        speed / frequency_factor,
        weight,
        weight * (1.0 - 0.128 * fluid_sg),
    )


@dataclass(frozen=True)
class DesignLoads:
    """Results of a design.

    Attributes
    ----------
    plunger_stroke_in, displacement_bpd : float
    pprl_lbf, mprl_lbf, peak_torque_in_lbf, polished_rod_power_hp, counterbalance_lbf : float
    """

    plunger_stroke_in: float
    displacement_bpd: float
    pprl_lbf: float
    mprl_lbf: float
    peak_torque_in_lbf: float
    polished_rod_power_hp: float
    counterbalance_lbf: float


def design_loads(
    numbers: DesignNumbers,
    *,
    stroke_in: float,
    spm: float,
    plunger_diameter_in: float,
    tubing_stretch_in_per_lbf: float,
    sp: float,
    f1: float,
    f2: float,
    two_t: float,
    f3: float,
    ta: float,
) -> DesignLoads:
    """Results from the charts' readings.

    Parameters
    ----------
    numbers : DesignNumbers
        From :func:`design_numbers`.
    stroke_in, spm, plunger_diameter_in, tubing_stretch_in_per_lbf : float
        Design; the stretch of the free tubing is 0 when anchored.
    sp, f1, f2, two_t, f3, ta : float
        Chart readings Sp/S, F1/Skr, F2/Skr, 2T/S2kr, F3/Skr and Ta.

    Returns
    -------
    DesignLoads
        Plunger stroke, displacement, loads, torque, power, counterbalance effect.
    """
    plunger = sp * stroke_in - numbers.fluid_load_lbf * tubing_stretch_in_per_lbf
    return DesignLoads(
        plunger,
        0.1166 * plunger * spm * plunger_diameter_in**2,
        numbers.buoyant_weight_lbf + f1 * numbers.stroke_load_lbf,
        numbers.buoyant_weight_lbf - f2 * numbers.stroke_load_lbf,
        two_t * numbers.stroke_load_lbf * 0.5 * stroke_in * ta,
        f3 * numbers.stroke_load_lbf * stroke_in * spm * 2.53e-6,
        1.06 * (numbers.buoyant_weight_lbf + 0.5 * numbers.fluid_load_lbf),
    )
