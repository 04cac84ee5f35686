"""The quantities that forecasts of failures look at, from the columns of the platform's tables.

Belongs here: names, and the ratios that make wells of different sizes alike. Does not belong here: windows over time.

``clean.dynapred`` is not among them: its rows may come from a classifier that was taught with labels of later dates, so that an
earlier row would change when later labels come. What a card shows enters through the physical diagnosis, through
the descriptors below, which know nothing but the card, and through the severities by a network that has seen simulated cards only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.features import VIEWS
from oasis_pipeline.learning.severities import CONDITIONS, answer_names

Float64 = NDArray[np.float64]

CARD_COLUMNS = ("SPM", "StrokeLength", "Runtime", "Fillage")
VENDOR_COLUMNS = (
    "FillagePct",
    "PumpEffPct",
    "PPRL",
    "MPRL",
    "FluidLoadonPump",
    "PumpIntakePressure",
    "NetProd",
    "GrossProd",
    "GrossPumpDisplacement",
    "TubingMovement",
    "PumpFriction",
    "MaxRodLoad",
    "TubingPressure",
    "CasingPressure",
)
DIAGNOSIS_COLUMNS = (
    "fillage_pct",
    "fillage_spread_pct",
    "fillage_area_pct",
    "gross_stroke_in",
    "net_stroke_in",
    "fluid_load_upper_lbf",
    "fluid_load_lower_lbf",
    "fluid_load_lbf",
    "pump_intake_pressure_psi",
    "fluid_above_pump_ft",
    "friction_lbf",
    "tubing_movement_in",
    "tv_leak_bpd",
    "sv_leak_bpd",
    "gross_displacement_bpd",
    "inferred_production_bpd",
    "pump_power_hp",
    "pprl_lbf",
    "mprl_lbf",
    "polished_rod_power_hp",
    "gearbox_load_pct",
    "max_rod_load_pct",
    "balance_damping",
    "parted_depth_ft",
)
SHAPE_COLUMNS = (
    "surface_up_path_share",
    "surface_down_path_share",
    "surface_up_bend_lbf",
    "surface_down_bend_lbf",
    "pump_area_share",
    "pump_range_to_mean",
    "pump_up_path_share",
    "pump_down_path_share",
    "pump_load_up_zone0_share",
    "pump_load_up_zone1_share",
    "pump_load_up_zone4_share",
    "pump_load_up_zone5_share",
    "pump_load_up_zone8_share",
    "pump_load_up_zone9_share",
    "pump_load_down_zone0_share",
    "pump_load_down_zone1_share",
    "pump_load_down_zone4_share",
    "pump_load_down_zone8_share",
    "pump_load_down_zone9_share",
    "pump_slope_down_zone8",
    "pump_slope_up_zone8",
)
"""Descriptors of ``clean/card_features``."""

SEVERITIES = tuple(f"severity_{name}" for name in CONDITIONS)
"""From ``clean/card_features`` too: of the richest view that a card has."""

SEVERITY_COLUMNS = tuple(name for view in VIEWS for name in answer_names(view)[: len(CONDITIONS)])

SHARES: dict[str, tuple[str, str]] = {
    "tv_leak_share": ("tv_leak_bpd", "gross_displacement_bpd"),
    "sv_leak_share": ("sv_leak_bpd", "gross_displacement_bpd"),
    "production_share": ("inferred_production_bpd", "gross_displacement_bpd"),
    "friction_share": ("friction_lbf", "fluid_load_lbf"),
    "stroke_share": ("gross_stroke_in", "StrokeLength"),
    "net_stroke_share": ("net_stroke_in", "gross_stroke_in"),
    "tubing_movement_share": ("tubing_movement_in", "gross_stroke_in"),
    "load_range_share": ("mprl_lbf", "pprl_lbf"),
    "power_share": ("pump_power_hp", "polished_rod_power_hp"),
    "vendor_production_share": ("GrossProd", "GrossPumpDisplacement"),
    "vendor_load_share": ("FluidLoadonPump", "PPRL"),
    "vendor_friction_share": ("PumpFriction", "FluidLoadonPump"),
}
"""Ratio: (numerator, denominator)."""

ABSOLUTE = (
    "SPM",
    "Runtime",
    "Fillage",
    "FillagePct",
    "PumpEffPct",
    "PPRL",
    "MPRL",
    "FluidLoadonPump",
    "PumpIntakePressure",
    "NetProd",
    "TubingMovement",
    "MaxRodLoad",
    "TubingPressure",
    "CasingPressure",
    "fillage_pct",
    "fillage_spread_pct",
    "fillage_area_pct",
    "pump_intake_pressure_psi",
    "fluid_above_pump_ft",
    "friction_lbf",
    "gearbox_load_pct",
    "max_rod_load_pct",
    "damping",
    "parted_depth_ft",
)
"""Columns taken as they are; `damping` is ``balance_damping``."""

FEATURE_COLUMNS = (*SHAPE_COLUMNS, *SEVERITY_COLUMNS)
SOURCE_COLUMNS = (*CARD_COLUMNS, *VENDOR_COLUMNS, *DIAGNOSIS_COLUMNS, *FEATURE_COLUMNS)
CHANNELS = (*ABSOLUTE, *SHARES, *SHAPE_COLUMNS, *SEVERITIES)


def channel_columns(columns: Mapping[str, ArrayLike]) -> dict[str, Float64]:
    """Make the channels of rows.

    Parameters
    ----------
    columns : mapping of str to array_like, shape (n,)
        Any of `SOURCE_COLUMNS`; one that is not there is missing in every row.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Every one of `CHANNELS`, NaN where it can't be had.
    """
    count = max((len(np.asarray(values)) for values in columns.values()), default=0)

    def column(name: str) -> Float64:
        values = columns.get(name)
        return np.full(count, np.nan) if values is None else np.asarray(values, np.float64)

    made = {name: column(name) for name in (*ABSOLUTE, *SHAPE_COLUMNS)}
    made["damping"] = column("balance_damping")  # the channel keeps the name by which packaged models know it
    for name, (above, below) in SHARES.items():
        top, bottom = column(above), column(below)
        usable = bottom > 0.0
        made[name] = np.where(usable, top / np.where(usable, bottom, 1.0), np.nan)
    for place, name in enumerate(SEVERITIES):
        made[name] = np.full(count, np.nan)
        for poorer in reversed(VIEWS):
            stated = column(answer_names(poorer)[place])
            made[name] = np.where(np.isfinite(stated), stated, made[name])
    return {name: made[name] for name in CHANNELS}
