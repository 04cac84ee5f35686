"""The diagnosis of a card in plain English, with the numbers in it.

Belongs here: sentences from the columns of a diagnosis. Does not belong here: any judgement that the columns do not
hold, and the class of a card (which is learned, :mod:`oasis_pipeline.learning`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MISSING = {
    "no_rods": "rods",
    "no_unit": "pumping unit",
    "no_spm": "pumping speed",
    "no_plunger": "plunger diameter",
    "no_depth": "pump depth",
    "no_fluid_sg": "fluid gravity",
    "no_tubing_pressure": "tubing pressure",
    "no_casing_pressure": "casing pressure",
    "no_clearance": "pump clearance",
    "no_viscosity": "viscosity",
    "no_counterbalance": "counterbalance moment",
    "no_gearbox_rating": "gearbox rating",
    "no_structural_rating": "structural rating",
    "no_rod_grade": "rod grade",
    "no_anchor_data": "tubing anchor",
}


def _pump(d: dict[str, float], text: dict[str, str], codes: set[str]) -> list[str]:
    """Sentences on the pump."""
    if "parted_rod" in codes:
        return [
            f"The rods look parted, at about {d['parted_depth_ft']:,.0f} ft: the polished rod carries the weight of the "
            "rods above and no fluid load (a load cell whose zero is far too low, over a pump that lifts little, would look the "
            "same). Pump quantities are not given."
        ]
    if text["pump_card_source"] == "none":
        return ["No pump card could be had, so nothing is said about the pump."]
    said = []
    if "no_fluid_load" in codes:
        said.append(
            f"The pump card has hardly any height ({d['fluid_load_upper_lbf'] - d['fluid_load_lower_lbf']:,.0f} lbf): the "
            "pump lifts no load (flowing well, stuck-open valve, worn-out pump or parted rods near the pump)."
        )
    elif d["fillage_pct"] == d["fillage_pct"]:
        word = (
            "full"
            if d["fillage_pct"] >= 95.0
            else "not full"
            if d["fillage_pct"] >= 70.0
            else "poorly filled"
        )
        said.append(
            f"The pump is {word}: {d['fillage_pct']:.0f} % fillage (methods within {d['fillage_spread_pct']:.0f} %), "
            f"{d['net_stroke_in']:.0f} in net of {d['gross_stroke_in']:.0f} in plunger travel."
        )
    low, high = d["pump_intake_pressure_lower_psi"], d["pump_intake_pressure_upper_psi"]
    if d["pump_intake_pressure_psi"] == d["pump_intake_pressure_psi"]:
        level = d["fluid_above_pump_ft"]
        fluid = f", {level:,.0f} ft of fluid above the pump" if level == level else ""
        known = "an assumed " if "friction_assumed" in codes else ""
        doubt = ""
        if low == low and high == high:
            doubt = f" ({low:,.0f} to {high:,.0f} by {known}friction, damping, gain and gravity)"
        said.append(
            f"Fluid load {d['fluid_load_lbf']:,.0f} lbf without friction, intake pressure {d['pump_intake_pressure_psi']:,.0f} psi{doubt} "
            f"of {d['pump_discharge_pressure_psi']:,.0f} psi discharge{fluid}."
        )
    elif "friction_or_zero" in codes and low == low:
        said.append(
            f"Fluid load {d['fluid_load_lbf']:,.0f} lbf with ordinary friction; the intake pressure lies between {low:,.0f} and "
            f"{high:,.0f} psi of {d['pump_discharge_pressure_psi']:,.0f} psi discharge and can't be told more closely."
        )
    elif "pressure_impossible" in codes:
        said.append(
            f"Fluid load {d['fluid_load_lbf']:,.0f} lbf, which no intake pressure explains: check gravity, depth and plunger."
        )
    elif "pressure_unresolved" in codes:
        most = (
            f"; it is at most {high:,.0f} psi by what friction, damping, gain and gravity leave"
            if high == high
            else ""
        )
        said.append(
            f"The pump card is at least as high as {d['pump_discharge_pressure_psi']:,.0f} psi discharge can make it, so friction hides "
            f"the intake pressure{most}."
        )
    elif d["fluid_load_lbf"] == d["fluid_load_lbf"]:
        said.append(f"Fluid load {d['fluid_load_lbf']:,.0f} lbf.")
    if d["card_friction_lbf"] == d["card_friction_lbf"] and d["card_friction_lbf"] > 0.0:
        said.append(
            f"The pump card is drawn with friction left in, some {d['card_friction_lbf']:,.0f} lbf either way."
        )
    if d["inferred_production_bpd"] == d["inferred_production_bpd"]:
        slip = (
            f" after {d['slippage_bpd']:.0f} bbl/d slippage" if d["slippage_bpd"] == d["slippage_bpd"] else ""
        )
        hours = " if it runs 24 h a day" if "runtime_unknown" in codes else ""
        said.append(f"By this card alone it makes {d['inferred_production_bpd']:.0f} bbl/d{slip}{hours}.")
    noise = (
        0.03 * d["gross_displacement_bpd"]
        if d["gross_displacement_bpd"] == d["gross_displacement_bpd"]
        else 5.0
    )
    if d["tv_leak_bpd"] > max(noise, 5.0):
        leak = f"travelling valve or plunger passes about {d['tv_leak_bpd']:.0f} bbl/d at full pressure"
        said.append(
            f"Late load pick-up: {leak} if the tubing is anchored; that is not known, and free tubing gives the same slope, so the production "
            "is not lowered by it."
            if "leak_or_tubing" in codes
            else f"Late load pick-up: {leak}; what the standing valve passes as well would hide a part of it."
        )
    if d["sv_leak_bpd"] > max(noise, 5.0):
        said.append(
            f"Early load pick-up: standing valve passes about {d['sv_leak_bpd']:.0f} bbl/d at full pressure; what the travelling valve passes "
            "as well would hide a part of it."
        )
    if d["barrel_leak_bpd"] > 0.0 and d["barrel_wear_in"] == d["barrel_wear_in"]:
        # the rate is that of one place at full pressure; as a day's rate it would be more than there is
        rate = (
            f"more than the plunger displaces ({d['gross_displacement_bpd']:,.0f} bbl/d)"
            if d["barrel_leak_bpd"] > d["gross_displacement_bpd"]
            else f"about {d['barrel_leak_bpd']:,.0f} bbl/d"
        )
        said.append(
            f"The load sags in mid-upstroke: the barrel is worn about {d['barrel_wear_in']:.0f} in above the bottom of the plunger's "
            f"stroke and passes {rate} there at full pressure."
        )
    if d["tubing_movement_in"] > 1.0:
        said.append(
            f"The slope of the load transfers is {d['tubing_movement_in']:.1f} in of tubing movement if the tubing is free; whether it is "
            "anchored is not known, and a leaking valve can't be told from it: no leak is counted for that part of the slope."
            if "leak_or_tubing" in codes
            else f"The tubing moves {d['tubing_movement_in']:.1f} in with the load."
        )
    if "friction_assumed" not in codes and d["friction_lbf"] > 300.0:
        said.append(f"Friction of {d['friction_lbf']:,.0f} lbf is high.")
    return said


def _surface(d: dict[str, float], codes: set[str]) -> list[str]:
    """Sentences on rods and unit."""
    if "not_of_this_well" in codes:
        return [
            f"Loads of {d['mprl_lbf']:,.0f} to {d['pprl_lbf']:,.0f} lbf, or the card's stroke, can't be of these rods, this pump and this "
            "unit: check the units of the card (in, lbf) and the well's equipment. Nothing else is said."
        ]
    if "open_card" in codes:
        return ["The card holds only half a stroke (open curve): loads are given, nothing else can be."]
    said = []
    if d["pprl_lbf"] == d["pprl_lbf"]:
        power = d["polished_rod_power_hp"]
        said.append(
            f"Polished-rod load {d['mprl_lbf']:,.0f} to {d['pprl_lbf']:,.0f} lbf"
            + (f", {power:.1f} hp." if power == power else ".")
        )
    if d["peak_gearbox_torque_in_lbf"] == d["peak_gearbox_torque_in_lbf"]:
        load = d["gearbox_load_pct"]
        rated = f", {load:.0f} % of its rating" if load == load else ""
        gain = d["peak_gearbox_torque_in_lbf"] - d["best_gearbox_torque_in_lbf"]
        advice = (
            f"; balanced (counterbalance {d['best_counterbalance_lbf']:,.0f} lbf instead of {d['counterbalance_lbf']:,.0f}) it "
            f"would be {d['best_gearbox_torque_in_lbf'] / 1000:,.0f}"
            if gain > 0.05 * d["peak_gearbox_torque_in_lbf"]
            else "; the unit is in balance"
        )
        said.append(
            f"Peak gearbox torque {d['peak_gearbox_torque_in_lbf'] / 1000:,.0f} thousand in-lbf{rated}{advice}."
        )
    limits = [
        (name, d[column])
        for name, column in (("rods", "max_rod_load_pct"), ("structure", "structural_load_pct"))
        if d[column] == d[column]
    ]
    if limits:
        said.append("Loading: " + ", ".join(f"{name} {value:.0f} %" for name, value in limits) + ".")
        over = [name for name, value in limits if value > 100.0]
        if over:
            said.append(f"Overloaded: {' and '.join(over)}.")
    return said


def _doubts(d: dict[str, float], codes: set[str]) -> list[str]:
    """Sentences on what is doubtful or missing."""
    said = []
    if "friction_or_zero" in codes:
        said.append(
            f"The pump card lies {-d['load_offset_lbf']:,.0f} lbf lower than rods and ordinary friction put it: a zero error of the load "
            f"cell of {d['load_offset_lbf']:+,.0f} lbf, rods that are lighter, or as much more friction; the card can't tell which."
        )
    elif "load_offset" in codes:
        said.append(
            f"The pump card's zero is off by {d['load_offset_lbf']:+,.0f} lbf: zero error of the load cell, or a wrong rod weight or gravity. "
            + (
                "Fluid load and intake pressure rest on the height of the card and an assumed friction, which that zero can have shifted."
                if "friction_assumed" in codes
                else "Fluid load and intake pressure rest on the height of the card and the friction after the top of the stroke, not on it."
            )
        )
    if "phase_shift" in codes:
        fixed = "; it was corrected" if "phase_corrected" in codes else ""
        said.append(
            f"The position lags the load by about {d['position_phase_deg']:.1f} degrees of the stroke{fixed}."
        )
    for code, sentence in (
        ("clipped_load", "The load signal is cut off."),
        ("low_rate", "Few points for a stroke: timing is coarse."),
        ("methods_disagree", "The fillage methods disagree: look at the card."),
        ("damping_not_converged", "The damping did not settle: power, weight or speed do not fit together."),
    ):
        if code in codes:
            said.append(sentence)
    if "rods_incomplete" in codes:
        said.append(
            "The rod string is incomplete: it ends far above the pump, so no pump card is computed from it."
        )
    missing = [word for code, word in _MISSING.items() if code in codes]
    if missing:
        said.append(f"Not known: {', '.join(missing)}.")
    return said


def reports(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.object_]:
    """Write a few sentences for each card.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (k,)
        A diagnosis with ``quality`` and ``pump_card_source`` spelled out.

    Returns
    -------
    ndarray of str, shape (k,)
        Reports.
    """
    numbers = [name for name, column in columns.items() if column.dtype.kind == "f"]
    rows = np.stack([columns[name] for name in numbers], axis=1).tolist()
    out = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        d = dict(zip(numbers, row, strict=True))
        codes = set(str(columns["quality"][i]).split("; "))
        text = {"pump_card_source": str(columns["pump_card_source"][i])}
        said = _surface(d, codes)
        if not codes & {"open_card", "not_of_this_well"}:
            said = _pump(d, text, codes) + said
        out[i] = " ".join(said + _doubts(d, codes))
    return out
