"""From readings of a card to the quantities of the field: loads, pressures, rates, power, torque, stress.

Belongs here: the columns of the diagnosis, for many cards at once. Does not belong here: solving and reading
(:mod:`.pump_cards`, :mod:`.reading`), sentences (:mod:`..report`).

Missing input gives NaN in the columns that need it, never a guess that is not named in ``quality``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics import torque as gear
from oasis_pipeline.physics.constants import (
    INCH_POUNDS_PER_MINUTE_PER_HP,
    STANDARD_PRESSURE_PSI,
    WATER_GRADIENT_PSI_PER_FT,
)
from oasis_pipeline.physics.diagnosis.pump_cards import (
    EXPECTED_FRICTION_LBF,
    FRICTION_SPREAD_LBF,
    TUBING_TRAVEL_IN,
    PumpCards,
    discharge_psi,
    load_lines,
)
from oasis_pipeline.physics.diagnosis.well import Quality, WellColumns
from oasis_pipeline.physics.fluids import (
    fluid_above_pump_ft,
    intake_pressure_psi,
    liquid_fill,
    plunger_area_in2,
)
from oasis_pipeline.physics.slippage import (
    displacement_bpd,
    leak_from_plunger_speed_bpd,
    slippage_arco_hf_bpd,
    slippage_patterson_bpd,
)
from oasis_pipeline.physics.stress import goodman_loading_pct

Array = NDArray[np.float64]
Columns = dict[str, Array]

PLUNGER_LENGTH_IN = 48.0
ZERO_LINE_SPREAD = 0.0156
"""Uncertainty of the zero line as a share of the rod weight: 1 % of rods that are not as long or heavy as believed and 1.2 %
of a load cell's gain, independent of each other."""
DISBELIEF = 3.0
"""Standard deviations of friction and zero line together at which the zero line says nothing of the friction any more; from one
less on it says less and less, and an intake pressure that hangs on it is not given."""
SHELF_SPREAD_LBF = 100.0
"""Uncertainty of a friction that is read off the shelf."""
MORE_FRICTION_LBF = 200.0
"""How much more than expected a friction that no shelf shows may be, as a standard deviation: guides, deviated paths and deposits add to it, and
nothing makes it less than none."""
GAIN_SPREAD = 0.02
GRAVITY_SPREAD = 0.02
"""Uncertainty of the load cell's gain, and of the mean gravity in the tubing."""
LEAK_SPEED_IN_PER_S = 0.15
STRETCH_DOUBT = 0.025
TUBING_DOUBT = 1.5
"""Plunger speed at the load pick-up below which nothing is called a leak: resolution of a card of 200 points, plus what
these shares of the rods' and of the tubing's stretch, wrongly known, would fake while the load is transferred."""
LEAKY_OPENING = 0.8
"""A standing valve that leaks lets the travelling valve open late, but not later than this share of the stroke from below."""

PUMP_COLUMNS = (
    "fillage_pct",
    "fillage_spread_pct",
    "fillage_vertical_pct",
    "fillage_horizontal_pct",
    "fillage_corner_pct",
    "fillage_gas_law_pct",
    "fillage_area_pct",
    "gross_stroke_in",
    "net_stroke_in",
    "fluid_load_upper_lbf",
    "fluid_load_lower_lbf",
    "fluid_load_lbf",
    "pump_intake_pressure_psi",
    "pump_intake_pressure_lower_psi",
    "pump_intake_pressure_upper_psi",
    "pump_discharge_pressure_psi",
    "fluid_level_ft",
    "fluid_above_pump_ft",
    "friction_lbf",
    "card_friction_lbf",
    "tubing_movement_in",
    "tv_leak_bpd",
    "sv_leak_bpd",
    "barrel_leak_bpd",
    "barrel_wear_in",
    "slippage_bpd",
    "slippage_arco_hf_bpd",
    "gross_displacement_bpd",
    "net_displacement_bpd",
    "inferred_production_bpd",
    "pump_power_hp",
)
"""Columns that stay NaN where there is no pump card or the rods are parted."""

SURFACE_COLUMNS = (
    "pprl_lbf",
    "mprl_lbf",
    "polished_rod_power_hp",
    "peak_gearbox_torque_in_lbf",
    "gearbox_load_pct",
    "counterbalance_lbf",
    "best_counterbalance_lbf",
    "best_gearbox_torque_in_lbf",
    "structural_load_pct",
)
SENSOR_COLUMNS = (
    "load_offset_lbf",
    "position_phase_deg",
    "damping",
    "balance_damping",
    "parted_depth_ft",
    "max_rod_load_pct",
)


def surface_columns(
    position_in: Array,
    load_lbf: Array,
    spm: Array,
    wells: WellColumns,
    well: NDArray[np.intp],
    whole: NDArray[np.bool_],
) -> Columns:
    """Loads, power, torque and balance of surface cards.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Surface cards in time form; rows of NaN give NaN.
    spm : ndarray, shape (k,)
        Speeds.
    wells : WellColumns
        Wells.
    well : ndarray of int, shape (k,)
        Well of each card.
    whole : ndarray of bool, shape (k,)
        Cards that are a closed stroke.

    Returns
    -------
    dict of ndarray, shape (k,)
        ``SURFACE_COLUMNS``.
    """
    cards = len(well)
    out = {name: np.full(cards, np.nan) for name in SURFACE_COLUMNS}
    out["pprl_lbf"] = load_lbf.max(axis=1)
    out["mprl_lbf"] = load_lbf.min(axis=1)
    out["polished_rod_power_hp"] = np.where(whole, gear.card_power_hp(position_in, load_lbf, spm), np.nan)
    rows = np.flatnonzero(whole & wells.has_unit[well])
    if not len(rows):
        return out
    mine = well[rows]
    f = load_lbf[rows]
    angle, factor = wells.motion.of_cards(position_in[rows], mine)

    def of_unit(name: str) -> Array:
        return np.broadcast_to(
            np.asarray(getattr(wells.units, name), dtype=np.float64), wells.has_unit.shape
        )[mine]

    offset, unbalance = of_unit("crank_offset_deg"), of_unit("structural_unbalance_lbf")
    moment = of_unit("counterbalance_moment_in_lbf")
    level = wells.motion.level_factor_in[mine] * (
        np.ptp(position_in[rows], axis=1) / wells.motion.stroke_in[mine]
    )
    torque = np.abs(gear.gearbox_torque_in_lbf(f, factor, angle, moment, offset, unbalance)).max(axis=1)
    best, best_torque = gear.best_moment_in_lbf(f, factor, angle, offset, unbalance)
    out["peak_gearbox_torque_in_lbf"][rows] = torque
    out["best_gearbox_torque_in_lbf"][rows] = best_torque
    out["counterbalance_lbf"][rows] = gear.counterbalance_effect_lbf(moment, level, offset, unbalance)
    out["best_counterbalance_lbf"][rows] = gear.counterbalance_effect_lbf(best, level, offset, unbalance)
    out["gearbox_load_pct"][rows] = 100.0 * torque / of_unit("gearbox_rating_in_lbf")
    out["structural_load_pct"][rows] = 100.0 * out["pprl_lbf"][rows] / of_unit("structural_rating_lbf")
    return out


def rod_columns(
    load_lbf: Array, pump: PumpCards, wells: WellColumns, well: NDArray[np.intp]
) -> dict[str, Array]:
    """Stress and loading of each taper.

    The axial load at the top of a taper is its dynamic load plus the buoyant weight hanging below (effective load);
    at the very top it is the measured load.

    Returns
    -------
    dict of ndarray, shape (k, tapers)
        ``top_max_stress_psi``, ``top_min_stress_psi``, ``bottom_min_stress_psi``, ``loading_pct``; NaN in padding.
    """
    rods = wells.rods
    live = rods.length_ft[well] > 0.0
    area = np.where(live, rods.area_in2[well], np.nan)
    share = (wells.buoyant_weight_lbf / rods.air_weight_lbf)[well]
    weight = rods.taper_air_weight_lbf[well] * share[:, None]
    below = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]
    tapers = area.shape[1]
    top_max, top_min, bottom_min = (np.full(area.shape, np.nan) for _ in range(3))
    top_max[:, 0], top_min[:, 0] = load_lbf.max(axis=1), load_lbf.min(axis=1)
    if tapers > 1:
        top_max[:, 1:] = pump.taper_load_lbf.max(axis=2) + below[:, 1:]
        top_min[:, 1:] = pump.taper_load_lbf.min(axis=2) + below[:, 1:]
    bottom_min[:, :-1] = top_min[:, 1:]
    last = live.sum(axis=1) - 1
    bottom_min[np.arange(len(well)), last] = pump.read_load_lbf.min(axis=1)
    tensile = rods.tensile_psi[well]
    factor = wells.plain["service_factor"][well][:, None]
    return {
        "top_max_stress_psi": top_max / area,
        "top_min_stress_psi": top_min / area,
        "bottom_min_stress_psi": bottom_min / area,
        "loading_pct": goodman_loading_pct(top_min / area, top_max / area, tensile, factor),
    }


def _pressure_spread_psi(fluid_lbf: Array, by_damping_lbf: Array, area_in2: Array, depth_ft: Array) -> Array:
    """Standard deviation of the intake pressure by gain, gravity and damping, psi.

    The damping's share is what the load lines come apart, or together, where the rods' drag is small instead of the balance's.
    """
    gain = GAIN_SPREAD * np.maximum(fluid_lbf, 0.0) / area_in2
    gravity = GRAVITY_SPREAD * WATER_GRADIENT_PSI_PER_FT * depth_ft
    damping = np.nan_to_num(by_damping_lbf) / area_in2
    return np.sqrt(gain**2 + gravity**2 + damping**2)


def pump_columns(
    readings: Columns,
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
    runtime_h_per_d: Array,
    zero_known: NDArray[np.bool_],
) -> tuple[Columns, NDArray[np.int64]]:
    """Pump quantities from readings.

    Parameters
    ----------
    readings : dict of ndarray, shape (k,)
        As of :func:`~.reading.read_pump_cards`.
    wells : WellColumns
        Wells.
    well : ndarray of int, shape (k,)
        Well of each card.
    spm, runtime_h_per_d : ndarray, shape (k,)
        Speed and runtime.
    zero_known : ndarray of bool, shape (k,)
        Whether the zero of the pump loads is known (computed cards, gravity known).

    Returns
    -------
    columns : dict of ndarray, shape (k,)
        ``PUMP_COLUMNS`` and ``load_offset_lbf``.
    quality : ndarray of int64, shape (k,)
        Codes.
    """
    plain = {name: column[well] for name, column in wells.plain.items()}
    quality = np.zeros(len(well), dtype=np.int64)
    out: Columns = {}
    diameter = plain["plunger_diameter_in"]
    area = plunger_area_in2(diameter)
    discharge = discharge_psi(wells)[well]
    weight = wells.buoyant_weight_lbf[well]

    upper, lower = load_lines(readings)
    span = upper - lower

    # friction: seen on the shelf, else expected and drawn toward the zero line as far as that is known
    shelf = readings["shelf_friction_lbf"]
    seen = np.isfinite(shelf) & (shelf > -FRICTION_SPREAD_LBF) & (2.0 * shelf < 0.5 * span)
    # Through a leaking standing valve the load comes early and goes late: what looks like a shelf is the leak.
    speed = readings["pickup_speed_in_per_s"]
    rod_stretch = wells.rods.stretch_in_per_lbf[well] * wells.has_rods[well]
    tubing_stretch = readings["tubing_stretch_in_per_lbf"]
    doubt = STRETCH_DOUBT * rod_stretch + TUBING_DOUBT * tubing_stretch
    blind = LEAK_SPEED_IN_PER_S + doubt * 0.6 * span / np.maximum(readings["pickup_time_s"], 1e-3)
    seen &= ~((speed < -blind) & (readings["fill_gas"] > LEAKY_OPENING))
    zero_spread = np.maximum(ZERO_LINE_SPREAD * weight, 50.0)
    variance = FRICTION_SPREAD_LBF**2 + zero_spread**2
    below = np.where(zero_known, -lower - EXPECTED_FRICTION_LBF, 0.0)
    # A lower line far from where rods and ordinary friction put it is a wrong zero as likely as much friction: the farther it is,
    # the less it says of the friction, and in the end nothing.
    surprise = np.nan_to_num(np.abs(below) / np.sqrt(variance))
    pull = FRICTION_SPREAD_LBF**2 / variance * np.clip(DISBELIEF - surprise, 0.0, 1.0)
    guess = EXPECTED_FRICTION_LBF + pull * below
    # No intake pressure is below zero: what the span holds above the whole discharge pressure is friction.
    at_least = np.nan_to_num(0.5 * (span - area * discharge))
    at_most = 0.25 * np.maximum(span, 0.0)
    friction = np.where(seen, np.maximum(shelf, 0.0), np.maximum(guess, 0.0))
    friction = np.minimum(np.maximum(friction, at_least), at_most)
    unsettled = ~seen & zero_known & (below > 0.0) & (surprise > DISBELIEF - 1.0)
    quality[~seen] |= Quality.FRICTION_ASSUMED
    quality[unsettled] |= Quality.FRICTION_OR_ZERO
    out["friction_lbf"] = np.where(np.isfinite(span), friction, np.nan)
    out["load_offset_lbf"] = np.where(zero_known, lower + friction, np.nan)
    suspicious = np.abs(out["load_offset_lbf"]) > np.maximum(2.5 * zero_spread, 200.0)
    quality[suspicious] |= Quality.LOAD_OFFSET
    # Two standard deviations of what is known of the friction; where it may be the zero, up to all that the line is too low.
    shrunk = np.sqrt(1.0 - np.where(seen, 0.0, pull))
    left = np.where(seen, SHELF_SPREAD_LBF, FRICTION_SPREAD_LBF * shrunk)
    least = np.clip(np.minimum(guess, friction) - 2.0 * left, 0.0, at_most)
    least = np.where(seen, np.clip(friction - 2.0 * left, 0.0, at_most), least)
    left = np.where(seen, SHELF_SPREAD_LBF, MORE_FRICTION_LBF * shrunk)
    most = np.clip(friction + 2.0 * left, np.maximum(at_least, 0.0), np.maximum(at_most, at_least))
    most = np.where(unsettled, np.clip(-lower, most, np.maximum(at_most, most)), most)

    fluid = span - 2.0 * friction
    out["fluid_load_upper_lbf"] = upper
    out["fluid_load_lower_lbf"] = lower
    out["fluid_load_lbf"] = fluid
    out["card_friction_lbf"] = 0.5 * (readings["given_span_lbf"] - fluid)
    out["pump_discharge_pressure_psi"] = discharge
    intake = intake_pressure_psi(diameter, discharge, fluid)
    doubt = 2.0 * _pressure_spread_psi(
        fluid, readings["given_span_lbf"] - span, area, wells.vertical_depth_ft[well]
    )
    for name, bound, side in (("lower", least, -1.0), ("upper", most, 1.0)):
        by_friction = 2.0 * (bound - friction) / area
        bounded = intake + side * np.hypot(by_friction, doubt)
        out[f"pump_intake_pressure_{name}_psi"] = np.clip(bounded, 0.0, np.maximum(discharge, 0.0))
    with np.errstate(invalid="ignore"):
        impossible = (intake < -0.02 * discharge - 25.0) | (intake > discharge)
        # At the bound the pressure is zero by construction, whatever it is in the well.
        unresolved = ~impossible & ((friction <= at_least) | (intake < 0.0)) & np.isfinite(intake)
    quality[impossible] |= Quality.PRESSURE_IMPOSSIBLE
    quality[unresolved] |= Quality.PRESSURE_UNRESOLVED
    out["pump_intake_pressure_psi"] = np.where(unsettled | impossible | unresolved, np.nan, intake)
    above = fluid_above_pump_ft(
        out["pump_intake_pressure_psi"], plain["casing_pressure_psi"], wells.annulus_sg[well]
    )
    out["fluid_above_pump_ft"] = np.minimum(above, wells.vertical_depth_ft[well])
    out["fluid_level_ft"] = wells.vertical_depth_ft[well] - out["fluid_above_pump_ft"]

    # fillage
    names = ("vertical", "horizontal", "corner", "gas", "area")
    methods = np.stack([100.0 * np.clip(readings[f"fill_{name}"], 0.0, 1.0) for name in names])
    for name, value in zip(names, methods, strict=True):
        out["fillage_gas_law_pct" if name == "gas" else f"fillage_{name}_pct"] = value
    _vertical, horizontal, corner, gas, _area = methods
    fillage = np.where(np.isnan(gas), horizontal, gas)
    fillage = np.where(np.isnan(fillage), corner, fillage)
    trusted = np.stack([horizontal, corner, fillage])
    out["fillage_pct"] = fillage
    out["fillage_spread_pct"] = np.nanmax(trusted, axis=0, initial=-1.0) - np.nanmin(
        trusted, axis=0, initial=101.0
    )
    out["fillage_spread_pct"] = np.where(np.isfinite(fillage), out["fillage_spread_pct"], np.nan)
    quality[out["fillage_spread_pct"] > 10.0] |= Quality.METHODS_DISAGREE

    relative = readings["gross_stroke_in"]
    out["gross_stroke_in"] = readings["plunger_travel_in"]
    out["net_stroke_in"] = relative * fillage / 100.0
    out["gross_displacement_bpd"] = displacement_bpd(relative, spm, diameter, runtime_h_per_d)
    out["net_displacement_bpd"] = displacement_bpd(out["net_stroke_in"], spm, diameter, runtime_h_per_d)

    # leaks and slippage
    # Leaks follow the pressure difference: at half the load half of the full leak passes.
    leak = 2.0 * leak_from_plunger_speed_bpd(np.abs(speed), diameter)
    leak = np.where(np.isnan(speed) | (np.abs(speed) > blind), leak, 0.0)
    out["tv_leak_bpd"] = np.where(speed < 0.0, 0.0, leak)
    out["sv_leak_bpd"] = np.where(speed > 0.0, 0.0, leak)
    # Where the upper line sags in mid-stroke, all that the plunger sweeps runs past it through a worn part of the barrel.
    # On a card on which the methods of the fillage disagree a sag means nothing.
    clear = out["fillage_spread_pct"] <= 10.0
    sag = np.where(clear, np.nan_to_num(readings["sag_speed_in_per_s"]), 0.0)
    leak = leak_from_plunger_speed_bpd(sag, diameter)
    out["barrel_leak_bpd"] = np.where(np.isnan(span), np.nan, leak)
    out["barrel_wear_in"] = np.where(sag > 0.0, readings["sag_place"] * relative, np.nan)
    length = np.where(np.isnan(plain["plunger_length_in"]), PLUNGER_LENGTH_IN, plain["plunger_length_in"])
    parts = (
        diameter,
        np.maximum(discharge - intake, 0.0),
        plain["clearance_in"],
        length,
        plain["viscosity_cp"],
    )
    out["slippage_bpd"] = slippage_patterson_bpd(spm, *parts)
    out["slippage_arco_hf_bpd"] = slippage_arco_hf_bpd(*parts)
    # A late load pick-up that tubing could give whose anchor is not known is no leak that may lower the production.
    with np.errstate(invalid="ignore"):
        most = wells.most_stretch_in_per_lbf[well]
        tubing_can = (most > 0.0) & (readings["pickup_travel_in"] <= most * span)
    doubtful = tubing_can & (out["tv_leak_bpd"] > 0.0)
    quality[doubtful] |= Quality.LEAK_OR_TUBING
    # Either valve leaks on one half of the stroke; slippage is already a daily mean.
    past_plunger = np.fmax(out["slippage_bpd"], np.where(doubtful, 0.0, 0.5 * out["tv_leak_bpd"]))
    sagging = np.where(sag > 0.0, readings["sag_travel"], 0.0)
    sagged = displacement_bpd(relative * sagging, spm, diameter, runtime_h_per_d)
    lost = (past_plunger + 0.5 * out["sv_leak_bpd"]) * runtime_h_per_d / 24.0 + sagged
    # Of the net stroke, what is gas at discharge pressure is no liquid; an unknown pressure counts as no gas.
    low, high = (np.maximum(np.nan_to_num(p), 0.0) + STANDARD_PRESSURE_PSI for p in (intake, discharge))
    gas = np.where(np.isnan(discharge), 0.0, low / np.maximum(high, low))
    liquid = liquid_fill(fillage / 100.0, gas, plain["gas_exponent"])
    share = np.where(fillage > 0.0, liquid / np.maximum(fillage / 100.0, 1e-9), 0.0)
    out["inferred_production_bpd"] = np.maximum(out["net_displacement_bpd"] * share - lost, 0.0)

    # tubing
    travel = np.minimum(readings["pickup_travel_in"], readings["unload_travel_in"])
    measured = np.where(travel > TUBING_TRAVEL_IN, travel, 0.0)
    out["tubing_movement_in"] = np.where(
        tubing_stretch > 0.0, tubing_stretch * span, np.where(np.isnan(travel), np.nan, measured)
    )
    guessed = (wells.most_stretch_in_per_lbf[well] > 0.0) & (tubing_stretch > 0.0)
    quality[guessed] |= Quality.LEAK_OR_TUBING
    out["pump_power_hp"] = readings["area_in_lbf"] * spm / INCH_POUNDS_PER_MINUTE_PER_HP
    return out, quality
