"""One surface card to everything that can be said of it: pump cards, figures, report, and what was not given.

Belongs here: the answer of ``oasis diagnose`` and of the Python API. Does not belong here: many cards at once (``diagnose``), files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics import wave_difference, wave_frequency
from oasis_pipeline.physics.diagnosis.diagnose import Diagnosis, diagnose_all
from oasis_pipeline.physics.diagnosis.quantities import PUMP_COLUMNS
from oasis_pipeline.physics.diagnosis.sensors import advance_position
from oasis_pipeline.physics.diagnosis.well import Cards, Quality, Well, columns_of
from oasis_pipeline.physics.torque import permissible_load_lbf

Array = NDArray[np.float64]
Card = tuple[Array, Array]

NO_CARD: Card = (np.empty(0), np.empty(0))

_TIME_POINTS = (400, 200, 100)
"""Points in time for the finite differences, the finest that is stable."""

_PRESSURES = (
    "pump_intake_pressure_psi",
    "pump_discharge_pressure_psi",
    "pump_intake_pressure_lower_psi",
    "pump_intake_pressure_upper_psi",
    "fluid_level_ft",
    "fluid_above_pump_ft",
    "slippage_bpd",
    "slippage_arco_hf_bpd",
)
_RATES = (
    "gross_displacement_bpd",
    "net_displacement_bpd",
    "tv_leak_bpd",
    "sv_leak_bpd",
    "barrel_leak_bpd",
    "inferred_production_bpd",
)
_TORQUE = ("peak_gearbox_torque_in_lbf", "gearbox_load_pct", "counterbalance_lbf")
_ROD_COLUMNS = (
    "pump_card",
    "pump_card_fd",
    *PUMP_COLUMNS,
    "load_offset_lbf",
    "position_phase_deg",
    "damping",
    "balance_damping",
    "max_rod_load_pct",
)

NEEDED_BY: tuple[tuple[Quality, str, tuple[str, ...]], ...] = (
    (Quality.NO_SPM, "spm", (*_ROD_COLUMNS, "polished_rod_power_hp")),
    (Quality.NO_RODS, "rods", _ROD_COLUMNS),
    (Quality.RODS_INCOMPLETE, "rods down to the pump", _ROD_COLUMNS),
    (Quality.NO_ROD_GRADE, "rods.grade", ("max_rod_load_pct",)),
    (Quality.NO_PLUNGER, "pump.diameter_in", (*(name for name in _PRESSURES if name != "pump_discharge_pressure_psi"), *_RATES)),
    (Quality.NO_DEPTH, "pump.depth_ft", _PRESSURES),
    (Quality.NO_CLEARANCE, "pump.clearance_in", _PRESSURES[-2:]),
    (Quality.NO_FLUID_SG, "fluid_sg", (*_PRESSURES, "load_offset_lbf")),
    (Quality.NO_VISCOSITY, "viscosity_cp", _PRESSURES[-2:]),
    (Quality.NO_TUBING_PRESSURE, "tubing_pressure_psi", _PRESSURES),
    (Quality.NO_CASING_PRESSURE, "casing_pressure_psi", ("fluid_level_ft", "fluid_above_pump_ft")),
    (Quality.NO_UNIT, "unit", (*_TORQUE, "best_counterbalance_lbf", "best_gearbox_torque_in_lbf", "structural_load_pct")),
    (Quality.NO_COUNTERBALANCE, "unit.counterbalance_moment_in_lbf", _TORQUE),
    (Quality.NO_GEARBOX_RATING, "unit.gearbox_rating_in_lbf", ("gearbox_load_pct",)),
    (Quality.NO_STRUCTURAL_RATING, "unit.structural_rating_lbf", ("structural_load_pct",)),
)  # fmt: skip
"""Code of ``quality``, the key of the well file that was not given, and what can't be had without it."""

ASSUMED: tuple[tuple[Quality, str], ...] = (
    (
        Quality.NO_ANCHOR_DATA,
        "tubing_anchored (or the sizes of free tubing): the tubing is taken as anchored",
    ),
    (Quality.DEPTH_FROM_RODS, "pump.depth_ft: taken from the length of the rods"),
    (Quality.NO_SURVEY, "survey: the well is taken as vertical"),
    (Quality.PLUNGER_LENGTH_ASSUMED, "pump.length_in: a plunger of 48 in is taken for the slippage"),
)


@dataclass(frozen=True, eq=False)
class CardDiagnosis:
    """What can be said of one card.

    Attributes
    ----------
    surface, pump, pump_fd : tuple of ndarray
        Positions (in) and loads (lbf) in time form; pump cards in the frequency domain (the controller's where none could be
        computed) and by finite differences, empty where there is none.
    direction_reversed : bool
        Whether the points came against the direction of time.
    findings : dict
        Columns of ``clean.carddiag`` that could be had.
    missing : list of str
        What was not given, and what it kept from being computed.
    report : str
        The diagnosis in words.
    limits : tuple of ndarray or None
        Upper and lower permissible loads (lbf) at the points of the surface card.
    """

    surface: Card
    pump: Card
    pump_fd: Card
    direction_reversed: bool
    findings: dict[str, Any]
    missing: list[str]
    report: str
    limits: Card | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain lists, numbers and texts, the answer of ``oasis diagnose --json``."""

        def points(card: Card) -> dict[str, list[float]]:
            return {"position_in": card[0].tolist(), "load_lbf": card[1].tolist()}

        return {
            "surface_card": points(self.surface),
            "pump_card": points(self.pump),
            "pump_card_fd": points(self.pump_fd),
            "direction_reversed": self.direction_reversed,
            "diagnosis": self.findings,
            "missing": self.missing,
            "report": self.report,
        }


def diagnose_card(
    surface: Card,
    well: Well,
    *,
    pump: Card = NO_CARD,
    spm: float = math.nan,
    runtime_h_per_d: float = math.nan,
    is_open: bool = False,
    reversed_: bool = False,
) -> CardDiagnosis:
    """Diagnose one card.

    Parameters
    ----------
    surface : tuple of ndarray, shape (n,)
        Position (in) and load (lbf) in time form; empty where there is only a pump card.
    well : Well
    pump : tuple of ndarray, shape (m,)
        Position (in) and load (lbf) of the controller's pump card in time form, used where none can be computed.
    spm : float
        Speed (1/min) at which the card was taken; the well's by default.
    runtime_h_per_d : float
        Running time (h/d); a full day by default, and ``quality`` says so.
    is_open : bool
        Whether the surface card holds half a stroke only.
    reversed_ : bool
        Whether its points came against the direction of time.

    Returns
    -------
    CardDiagnosis

    Raises
    ------
    ValueError
        If the card has fewer than 8 points, or positions and loads differ in number.
    """
    if not math.isnan(spm):
        well = replace(well, spm=spm)
    position, load = surface if len(surface[0]) else (np.full(8, math.nan),) * 2
    pump_position, pump_load = pump if len(pump[0]) else (None, None)
    card = Cards(
        position,
        load,
        runtime_h_per_d=np.array([runtime_h_per_d]),
        pump_position_in=pump_position,
        pump_load_lbf=pump_load,
        is_open=np.array([is_open]),
    )
    found = diagnose_all(card, well)
    columns = found.columns
    findings: dict[str, Any] = {
        name: float(values[0])
        for name, values in columns.items()
        if values.dtype.kind == "f" and math.isfinite(values[0])
    }
    findings |= {name: str(columns[name][0]) for name in ("pump_card_source", "quality")}
    pump_fd: Card = NO_CARD
    notes: list[str] = []
    if columns["pump_card_source"][0] == "computed":
        pump = (found.pump_position_in[0], found.pump_load_lbf[0])
        pump_fd, notes = _by_differences(surface, well, found)
    there = {
        *findings,
        *(["pump_card"] if len(pump[0]) else []),
        *(["pump_card_fd"] if len(pump_fd[0]) else []),
    }
    return CardDiagnosis(
        surface,
        pump,
        pump_fd,
        reversed_,
        findings,
        missing_of(Quality(int(found.codes[0])), there) + notes,
        str(columns["report"][0]),
        _limits(surface[0], well) if len(surface[0]) else None,
    )


def missing_of(codes: Quality, there: set[str]) -> list[str]:
    """Say what was not given, and what it kept from being computed.

    Parameters
    ----------
    codes : Quality
    there : set of str
        What could be had all the same.

    Returns
    -------
    list of str
        ``key: what could not be had``, and ``key: what was taken instead``.
    """
    said = []
    for code, key, needed_by in NEEDED_BY:
        withheld = [name for name in needed_by if name not in there]
        if codes & code and withheld:
            said.append(f"{key}: not given, so there is no {', '.join(dict.fromkeys(withheld))}")
    if "pump_card" in there:
        said.extend(text for code, text in ASSUMED if codes & code)
    return said


def _by_differences(surface: Card, well: Well, found: Diagnosis) -> tuple[Card, list[str]]:
    """Pump card by finite differences, with the damping, weight and phase of the one in the frequency domain."""
    columns = columns_of([well])
    string = columns.rods.take(0)
    damping = wave_frequency.damping_per_s(string, found.columns["damping"])
    position = surface[0][None]
    if found.codes[0] & Quality.PHASE_CORRECTED:
        position = advance_position(position, found.columns["position_phase_deg"])
    for points in _TIME_POINTS:
        try:
            x, f = wave_difference.pump_card(
                position,
                surface[1][None],
                string,
                well.spm,
                damping,
                buoyant_weight_lbf=columns.buoyant_weight_lbf,
                time_points=min(points, position.shape[1]),
            )
        except ValueError:
            continue  # unstable: the time step is too short for this string
        if np.isfinite(x).all() and np.isfinite(f).all():
            return (x[0], f[0]), []
    return NO_CARD, ["pump_card_fd: no stable grid for these rods at this speed"]


def _limits(position: Array, well: Well) -> Card | None:
    if well.unit is None:
        return None
    unit = well.unit
    moment, rating, offset, unbalance = (
        np.atleast_1d(np.asarray(value, dtype=np.float64))
        for value in (
            unit.counterbalance_moment_in_lbf,
            unit.gearbox_rating_in_lbf,
            unit.crank_offset_deg,
            unit.structural_unbalance_lbf,
        )
    )
    if not (np.isfinite(rating).all() and np.isfinite(moment).all()):
        return None
    angle, factor = columns_of([well]).motion.of_cards(position[None], np.zeros(1, dtype=np.intp))
    upper, lower = permissible_load_lbf(factor, angle, moment, rating, offset, unbalance)
    return upper[0], lower[0]
