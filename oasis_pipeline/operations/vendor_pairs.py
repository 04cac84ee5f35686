"""Quantities that both our diagnosis and the vendor's give.

Here: which columns say the same thing, and how far apart they may be. Not here: the check (``vendor_check``), the report
(``analysis_facts``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Two columns that say the same thing.

    Attributes
    ----------
    ours, theirs : str
        Columns of ``clean.carddiag`` and ``xspoc.xdiagresults``.
    unit : str
    share, least : float
        The median difference may be this share of the vendor's median value, or this much where that is more.
    """

    ours: str
    theirs: str
    unit: str
    share: float
    least: float


PAIRS = (
    Pair("fillage_pct", "FillagePct", "%", 0.0, 10.0),
    Pair("gross_stroke_in", "GrossPumpStroke", "in", 0.10, 3.0),
    Pair("net_stroke_in", "NetStrokeApparent", "in", 0.10, 5.0),
    Pair("fluid_load_lbf", "FluidLoadonPump", "lbf", 0.15, 200.0),
    Pair("pump_intake_pressure_psi", "PumpIntakePressure", "psi", 0.20, 100.0),
    Pair("fluid_level_ft", "FluidLevelXDiag", "ft", 0.10, 300.0),
    Pair("friction_lbf", "PumpFriction", "lbf", 0.50, 200.0),
    Pair("tubing_movement_in", "TubingMovement", "in", 0.30, 2.0),
    Pair("gross_displacement_bpd", "GrossPumpDisplacement", "bbl/d", 0.10, 20.0),
    Pair("inferred_production_bpd", "GrossProd", "bbl/d", 0.15, 20.0),
    Pair("pprl_lbf", "PPRL", "lbf", 0.03, 100.0),
    Pair("mprl_lbf", "MPRL", "lbf", 0.05, 100.0),
    Pair("polished_rod_power_hp", "PolRodHP", "hp", 0.10, 1.0),
    Pair("peak_gearbox_torque_in_lbf", "PeakGBTorque", "in-lbf", 0.15, 20_000.0),
    Pair("gearbox_load_pct", "GearBoxLoadPct", "%", 0.15, 5.0),
    Pair("structural_load_pct", "UnitStructLoad", "%", 0.05, 3.0),
    Pair("max_rod_load_pct", "MaxRodLoad", "%", 0.15, 10.0),
)
