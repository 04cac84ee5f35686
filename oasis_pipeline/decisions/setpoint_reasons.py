"""Set-point advice in sentences.

Here: words. Not here: what is advised (``setpoints``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from oasis_pipeline.decisions.inflow import Course
from oasis_pipeline.decisions.possible_wells import Points
from oasis_pipeline.decisions.setpoints import FULL_PCT, Interval, Setpoints

MEND_FIRST = (
    "Leak in Traveling Valve",
    "Leak in Standing Valve",
    "Worn Pump Barrel",
    "Parted Rod",
    "Pump Tagging Up",
    "Pump Tagging Down",
)
"""Classes of wells that get no advice: what is broken changes what a set point does."""

NO_FASTER = ("Wellbore Friction", "Tubing Movement", "Excessive Vibration of the Rod")
"""Classes of wells that are never advised more strokes."""

STROKES_SAY: Mapping[str, str] = {
    Course.MARCHES: "pumped_off",
    Course.JUMPS: "gassy",
    Course.UNDECIDED: "undecided",
}
"""What ``strokes_say`` calls a course."""

MISSING_TEXTS: Mapping[str, str] = {
    "no_rods": "rods",
    "no_plunger": "plunger diameter",
    "no_fluid_sg": "fluid gravity",
    "no_depth": "pump depth",
    "no_tubing_pressure": "tubing pressure",
    "no_good_card": "a good card of the last days",
    "no_spm": "speed",
    "no_fillage": "fillage",
    "no_production": "production",
    "no_water_cut": "water cut",
    "no_surface_card": "loads and work of a surface card",
    "no_runtime": "run time",
}
"""Words for what an advice can't do without."""

_LIMITS: Mapping[str, str] = {
    "gearbox": "the gearbox",
    "structure": "the structure",
    "rods": "the rods",
    "polished_rod_float": "a floating polished rod",
}


def _signed(interval: Interval, row: int, digits: int = 1) -> str:
    mean, low, high = (float(values[row]) for values in (interval.mean, interval.lower, interval.upper))
    return f"{mean:+z.{digits}f} ({low:+z.{digits}f} to {high:+z.{digits}f})"


REFUSED_TEXTS = {
    "load_offset": "the zero of its load cell looks off",
    "clipped_load": "its load is clipped",
    "open_card": "its cards are open",
    "low_rate": "its cards have too few points",
    "parted_rod": "its rods look parted",
    "no_fluid_load": "its pump carries no fluid load",
    "not_of_this_well": "its cards are not of this well",
    "no_surface_card": "it sends no surface card",
}
"""Code of a card that tells nothing of loads -> what is wrong with it."""


def say_missing(codes: Sequence[str], refused: Collection[str] = ()) -> str:
    """Say what is missing for an advice.

    Parameters
    ----------
    codes : sequence of str
        Keys of `MISSING_TEXTS`; others are shown as they are.
    refused : collection of str
        Codes of the well's newest card that could not be used.

    Returns
    -------
    str
    """
    why = [text for code, text in REFUSED_TEXTS.items() if code in refused]
    because = f": {', '.join(why)}" if why and "no_good_card" in codes else ""
    return f"No advice without {', '.join(MISSING_TEXTS.get(code, code) for code in codes)}{because}."


def say_change(found: Setpoints, points: Points, row: int) -> str:
    """Say in half a sentence what to change: ``slow it down from 8.0 to 6.1 strokes a minute``."""
    rest = f"run it {found.run_h[row]:.1f} h a day instead of {points.run_h[row]:.1f}"
    if abs(found.spm[row] - points.spm[row]) < 0.05:
        return rest
    word = "slow it down" if found.spm[row] < points.spm[row] else "speed it up"
    text = f"{word} from {points.spm[row]:.1f} to {found.spm[row]:.1f} strokes a minute"
    return f"{text} and {rest}" if abs(found.run_h[row] - points.run_h[row]) > 0.1 else text


def say_setpoint(found: Setpoints, points: Points, row: int, currency: str) -> str:
    """Say what is advised to a well, or why nothing is.

    Parameters
    ----------
    found : Setpoints
    points : Points
        What it was found from.
    row : int
        Which well.
    currency : str
        Of the gain.

    Returns
    -------
    str
    """
    if found.action[row] == "none":
        return _say_none(found, row)
    change = say_change(found, points, row)
    loads = [
        f"{name} {float(interval.mean[row]):+z.0f} points"
        for name, interval in (
            ("gearbox", found.gearbox_pct),
            ("structure", found.structure_pct),
            ("rods", found.rods_pct),
        )
        if np.isfinite(interval.mean[row])
    ]
    energy = float(found.energy_kwh_d.mean[row])
    parts = [f"oil {_signed(found.oil_bpd, row)} bbl/d", *loads, f"energy {energy:+z.0f} kWh/d"]
    gain = (
        f"worth {float(found.gain_per_day.mean[row]):.0f} {currency} a day "
        f"({float(found.gain_per_day.lower[row]):.0f} to {float(found.gain_per_day.upper[row]):.0f}), "
        f"gained with {float(found.confidence_pct[row]):.0f} % probability"
    )
    text = f"{change[0].upper()}{change[1:]}: {', '.join(parts)}; {gain}."
    text += f" {_say_filling(found, points, row)}"
    if found.not_judged[row]:
        text += f" Not judged, their ratings are not known: {', '.join(found.not_judged[row])}."
    if found.binding[row]:
        text += f" {_LIMITS[str(found.binding[row])].capitalize()} would not allow more."
    return text


def _say_none(found: Setpoints, row: int) -> str:
    why = str(found.why_none[row])
    if why == "missing":
        return "No advice: something is missing."
    if found.binding[row]:
        return f"No advice: {_LIMITS[str(found.binding[row])]} would not allow what would gain."
    if why == "too_unsure":
        return "No advice: a change may gain, but not surely enough."
    return "No advice: no other speed or idle time is worth the change."


def _say_filling(found: Setpoints, points: Points, row: int) -> str:
    fillage, then = float(points.fillage_pct[row]), float(found.fillage_pct[row])
    fills = f"it fills to {fillage:.0f} %, then to about {then:.0f} %"
    off = float(found.off_pct[row])
    if fillage >= FULL_PCT:
        over = 100.0 - off
        return f"The pump is full, with liquid over it with {over:.0f} % probability; {fills}."
    course = str(points.course[row])
    if course == Course.MARCHES:
        return f"The pump empties the well, as consecutive strokes show; {fills}."
    if course == Course.JUMPS:
        return f"The pump draws gas, as consecutive strokes show; {fills}."
    likely = "empties the well" if off >= 50.0 else "draws gas"
    share = off if off >= 50.0 else 100.0 - off
    return (
        f"The pump {likely} with {share:.0f} % probability by class, fillage and intake pressure "
        f"(undecided by strokes: no burst of cards); {fills}."
    )
