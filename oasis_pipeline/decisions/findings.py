"""Codes of diagnosis and decisions in words, for pages and the terminal.

Here: what was assumed, what is doubtful and what is missing, each with what it would unlock. Not here: when a code is given (``physics.diagnosis``,
``decisions``).
"""

from __future__ import annotations

from collections.abc import Iterable

from oasis_pipeline.decisions.production import SENTENCES

MISSING = {
    "no_surface_card": ("Surface card", "loads of the rods and the unit"),
    "no_spm": ("Pumping speed", "the pump card, power, production"),
    "no_rods": ("Rod string", "the pump card and stresses of the rods"),
    "no_unit": ("Geometry of the pumping unit", "torque and balance"),
    "no_counterbalance": ("Counterbalance moment", "torque and balance as they are"),
    "no_gearbox_rating": ("Rating of the gearbox", "its load in percent"),
    "no_structural_rating": ("Rating of the structure", "its load in percent"),
    "no_rod_grade": ("Grades of the rods", "loads of the rods in percent"),
    "no_plunger": ("Plunger diameter", "intake pressure, production"),
    "no_depth": ("Pump depth", "intake pressure, fluid level"),
    "no_fluid_sg": ("Gravity of the fluid", "intake pressure, fluid level"),
    "no_tubing_pressure": ("Tubing pressure", "intake pressure, production"),
    "no_casing_pressure": ("Casing pressure", "the fluid level"),
    "no_clearance": ("Clearance of the pump", "slippage"),
    "no_viscosity": ("Viscosity", "slippage"),
    "no_anchor_data": ("Tubing anchor", "telling a leak from a tubing that moves"),
    "no_survey": ("Directional survey", "friction along the rods of a deviated well"),
    "no_runtime": ("Run time", "production of the day"),
    "runtime_unknown": ("Run time of the card", "production of the day"),
    "no_test": ("An approved well test since the last workover", "production corrected by it"),
    "no_water_cut": ("Water cut", "oil"),
}
"""Code -> what is missing, what it would unlock."""

ASSUMED = {
    "poc_pump_card": "The pump card is the one of the controller.",
    "depth_from_rods": "The pump hangs at the end of the rods.",
    "plunger_length_assumed": "The plunger is 48 in long.",
    "damping_assumed": "The damping of the rods is an ordinary one.",
    "friction_assumed": "The friction at the pump is an ordinary one.",
    "rods_incomplete": "The rod string that is known ends far above the pump.",
}

BASES = {"own_past": "its own past", "pump_capacity": "what its pump could lift"}
"""What an attainable rate rests on."""

DOUBTS = {
    "load_offset": "The zero of the loads is off.",
    "friction_or_zero": "Friction and zero error of the load cell can't be told apart.",
    "phase_shift": "The position lags the load.",
    "phase_corrected": "A lag of the position was corrected.",
    "clipped_load": "The load signal is cut off.",
    "low_rate": "Few points for a stroke.",
    "methods_disagree": "The methods of reading the fillage disagree.",
    "damping_not_converged": "Power, weight and speed do not fit together.",
    "leak_or_tubing": "A leaking valve can't be told from tubing that moves.",
    "pressure_unresolved": "The intake pressure can't be told: the pump card is as high as the discharge pressure can make it.",
    "pressure_impossible": "The intake pressure is impossible: check gravity, depth and plunger.",
    "not_of_this_well": "Loads or stroke can't be of this well's equipment.",
    "open_card": "The card holds half a stroke only.",
    "parted_rod": "The rods look parted.",
    "no_fluid_load": "The pump lifts no load.",
}


def missing_of(codes: Iterable[str]) -> list[tuple[str, str]]:
    """What is missing, and what it would unlock, of codes in any order; others are left out."""
    there = set(codes)
    return [words for code, words in MISSING.items() if code in there]


def said_of(codes: Iterable[str]) -> list[tuple[str, str]]:
    """What is doubtful, was assumed or is missing about a card: kind and sentence, the gravest first.

    A code that has no sentence is doubtful, and shown as it is.
    """
    order = {"doubtful": 0, "assumed": 1, "missing": 2}
    said = []
    for code in filter(None, codes):
        if code in MISSING:
            said.append(("missing", f"{MISSING[code][0]}: would give {MISSING[code][1]}."))
        elif code in ASSUMED:
            said.append(("assumed", ASSUMED[code]))
        else:
            said.append(("doubtful", DOUBTS.get(code, f"{code.replace('_', ' ')}.")))
    return sorted(said, key=lambda one: order[one[0]])


def contradictions_of(codes: Iterable[str], said: str = "") -> list[str]:
    """What contradicts what, in sentences; but for those that the text beside them has said."""
    sentences = (SENTENCES.get(code, code.replace("_", " ")) for code in codes)
    return [sentence for sentence in sentences if sentence not in said]
