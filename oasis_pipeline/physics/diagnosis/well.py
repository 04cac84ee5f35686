"""What a diagnosis is given: cards and the wells they belong to, and the codes for what is missing or doubtful.

Belongs here: the input types, their checks, and the columns of a batch of wells. Does not belong here: any physics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntFlag, auto

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.constants import INCHES_PER_FOOT, STEEL_MODULUS_PSI
from oasis_pipeline.physics.fluids import mixture_gravity, oil_gravity
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.torque import MotionTables
from oasis_pipeline.physics.unit import PumpingUnit
from oasis_pipeline.physics.wave_difference import axial_weight_lbf
from oasis_pipeline.physics.well_path import Survey

Array = NDArray[np.float64]

NAN = float("nan")

SHORT_RODS_SHARE = 0.03
SHORT_RODS_FT = 100.0
"""Rods that end above the pump by more than both are not the whole string: a pump and its fittings are shorter."""
SLENDER_TUBING_IN2 = 1.0
"""Cross-section of the thinnest tubing (2 1/16 in)."""
BREAKING_STRESS_PSI = 160_000.0
"""Tensile strength of the strongest rods, where the grade is not known."""


class Quality(IntFlag):
    """What was missing, assumed or doubtful in the diagnosis of a card; the names are the codes of ``quality``."""

    NO_SURFACE_CARD = auto()
    NO_SPM = auto()
    NO_RODS = auto()
    NO_UNIT = auto()
    NO_COUNTERBALANCE = auto()
    NO_GEARBOX_RATING = auto()
    NO_STRUCTURAL_RATING = auto()
    NO_ROD_GRADE = auto()
    NO_PLUNGER = auto()
    NO_DEPTH = auto()
    DEPTH_FROM_RODS = auto()
    NO_FLUID_SG = auto()
    NO_TUBING_PRESSURE = auto()
    NO_CASING_PRESSURE = auto()
    NO_CLEARANCE = auto()
    NO_VISCOSITY = auto()
    PLUNGER_LENGTH_ASSUMED = auto()
    NO_ANCHOR_DATA = auto()
    NO_SURVEY = auto()
    RUNTIME_UNKNOWN = auto()
    DAMPING_ASSUMED = auto()
    DAMPING_NOT_CONVERGED = auto()
    FRICTION_ASSUMED = auto()
    POC_PUMP_CARD = auto()
    OPEN_CARD = auto()
    LOW_RATE = auto()
    CLIPPED_LOAD = auto()
    PARTED_ROD = auto()
    NO_FLUID_LOAD = auto()
    LOAD_OFFSET = auto()
    PHASE_SHIFT = auto()
    PHASE_CORRECTED = auto()
    METHODS_DISAGREE = auto()
    PRESSURE_IMPOSSIBLE = auto()
    NOT_OF_THIS_WELL = auto()
    RODS_INCOMPLETE = auto()
    FRICTION_OR_ZERO = auto()
    LEAK_OR_TUBING = auto()
    PRESSURE_UNRESOLVED = auto()


@dataclass(frozen=True)
class Well:
    """What is known of one well; whatever is not stays NaN or None, and the quantities that need it stay NaN.

    Attributes
    ----------
    rods : RodString or None
        One string.
    unit : PumpingUnit or None
        One unit.
    spm : float
        Pumping speed, for cards that bring none.
    plunger_diameter_in, plunger_length_in, clearance_in : float
        Pump; the clearance is diametral.
    pump_depth_ft : float
        Measured depth; taken from the rods where NaN.
    fluid_sg, water_cut_pct, water_sg, oil_api_deg, viscosity_cp : float
        Fluid; the gravity is mixed from water cut and gravities where NaN.
    tubing_pressure_psi, casing_pressure_psi : float
        Well-head pressures, gauge.
    tubing_anchored : bool or None
        Whether the tubing is anchored.
    tubing_anchor_depth_ft, tubing_od_in, tubing_id_in : float
        Tubing; unanchored length is below the anchor, or all of it.
    survey : Survey or None
        Path of the well; vertical where None.
    friction_coefficient : float
        Coulomb friction of rods on tubing along the survey; NaN: none in the wave equation.
    damping : float
        Dimensionless viscous damping, 0 or more, where it is known: cards are given and read with it. Where NaN they are read with that
        of the power balance and given with a small one (:data:`~.pump_cards.CARD_DAMPING`).
    card_damping : float
        Dimensionless damping that pump cards are given with, whatever they are read with: a convention, such as a vendor's.
    gas_exponent, service_factor : float
        Polytropic exponent of the gas; factor of the rods' environment in the Goodman diagram.
    """

    rods: RodString | None = None
    unit: PumpingUnit | None = None
    spm: float = NAN
    plunger_diameter_in: float = NAN
    plunger_length_in: float = NAN
    clearance_in: float = NAN
    pump_depth_ft: float = NAN
    fluid_sg: float = NAN
    water_cut_pct: float = NAN
    water_sg: float = NAN
    oil_api_deg: float = NAN
    viscosity_cp: float = NAN
    tubing_pressure_psi: float = NAN
    casing_pressure_psi: float = NAN
    tubing_anchored: bool | None = None
    tubing_anchor_depth_ft: float = NAN
    tubing_od_in: float = NAN
    tubing_id_in: float = NAN
    survey: Survey | None = None
    friction_coefficient: float = NAN
    damping: float = NAN
    card_damping: float = NAN
    gas_exponent: float = 1.18
    service_factor: float = 1.0


@dataclass(frozen=True)
class Cards:
    """Cards in time form (points equally spaced over one stroke, bottom of stroke first), all with n points.

    A single card may be given without the batch axis; it becomes a batch of one.

    Attributes
    ----------
    position_in, load_lbf : ndarray, shape (k, n) or (n,)
        Surface cards; rows of NaN where there is none.
    spm : ndarray, shape (k,), optional
        Speeds; the well's where NaN.
    runtime_h_per_d : ndarray, shape (k,), optional
        Runtime; a full day is assumed, and said so, where NaN.
    well : ndarray of int, shape (k,), optional
        Which well each card belongs to, the first by default.
    pump_position_in, pump_load_lbf : ndarray, shape (k, m) or (m,), optional
        Pump cards of the controller in time form, used where none can be computed.
    is_open : ndarray of bool, shape (k,), optional
        Cards that hold half a stroke only: nothing is read from them but the loads' bounds.
    """

    position_in: Array
    load_lbf: Array
    spm: Array | None = None
    runtime_h_per_d: Array | None = None
    well: NDArray[np.intp] | None = None
    pump_position_in: Array | None = None
    pump_load_lbf: Array | None = None
    is_open: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Give a single card its batch axis, then check shapes."""
        for name in ("position_in", "load_lbf", "pump_position_in", "pump_load_lbf"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.atleast_2d(np.asarray(value)))
        for name in ("spm", "runtime_h_per_d", "well", "is_open"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.atleast_1d(np.asarray(value)))
        if self.position_in.ndim != 2 or self.position_in.shape != self.load_lbf.shape:
            raise ValueError(
                f"position {self.position_in.shape} and load {self.load_lbf.shape} must have the same shape, (k, n) or (n,)"
            )
        if self.position_in.shape[1] < 8:
            raise ValueError("a card needs 8 points or more")
        for name in ("spm", "runtime_h_per_d", "well", "is_open"):
            value = getattr(self, name)
            if value is not None and np.shape(value) != (len(self),):
                raise ValueError(f"{name} has shape {np.shape(value)}, {(len(self),)} is needed")
        if (self.pump_position_in is None) != (self.pump_load_lbf is None):
            raise ValueError("pump_position_in and pump_load_lbf come together")
        if self.pump_position_in is not None and self.pump_load_lbf is not None:
            shape = self.pump_position_in.shape
            if len(shape) != 2 or shape != self.pump_load_lbf.shape or (len(shape) and shape[0] != len(self)):
                raise ValueError(
                    f"pump cards have shapes {shape} and {self.pump_load_lbf.shape}, (k, m) is needed"
                )

    def __len__(self) -> int:
        """Count the cards."""
        return len(self.position_in)


_PLAIN = tuple(f.name for f in fields(Well) if f.type == "float")


@dataclass(frozen=True)
class WellColumns:
    """A batch of wells as columns, shape (w,): the plain fields of :class:`Well` by name, and what follows from them.

    Attributes
    ----------
    plain : dict of ndarray
        Fields as they came, ``fluid_sg`` and ``pump_depth_ft`` completed.
    rods : RodString
        Batch of strings, a stand-in of one foot where there is none.
    has_rods : ndarray of bool
    units : PumpingUnit
        Batch of units, a stand-in where there is none.
    has_unit : ndarray of bool
    motion : MotionTables
        Kinematics of the units.
    buoyant_weight_lbf : ndarray
        Along the path of the well.
    vertical_depth_ft : ndarray
        True vertical depth of the pump.
    stretch_in_per_lbf : ndarray
        Stretch of the free tubing; 0 where it is not known.
    most_stretch_in_per_lbf : ndarray
        The greatest that it can be, for wells whose anchor is not known; 0 for the others.
    annulus_sg : ndarray
    surveys : list of Survey or None
    quality : ndarray of int64
        Codes that hold for every card of the well.
    """

    plain: dict[str, Array]
    rods: RodString
    has_rods: NDArray[np.bool_]
    units: PumpingUnit
    has_unit: NDArray[np.bool_]
    motion: MotionTables
    buoyant_weight_lbf: Array
    vertical_depth_ft: Array
    stretch_in_per_lbf: Array
    most_stretch_in_per_lbf: Array
    annulus_sg: Array
    surveys: list[Survey | None]
    quality: NDArray[np.int64]

    def take(self, rows: NDArray[np.intp]) -> WellColumns:
        """Pick wells, shape (n,); one may be picked more than once."""
        return WellColumns(
            {name: values[rows] for name, values in self.plain.items()},
            self.rods.take(rows),
            self.has_rods[rows],
            self.units.take(rows),
            self.has_unit[rows],
            self.motion.take(rows),
            self.buoyant_weight_lbf[rows],
            self.vertical_depth_ft[rows],
            self.stretch_in_per_lbf[rows],
            self.most_stretch_in_per_lbf[rows],
            self.annulus_sg[rows],
            [self.surveys[row] for row in rows.tolist()],
            self.quality[rows],
        )

    def given_with(self, card_damping: float) -> WellColumns:
        """Return the same wells, whose pump cards are given with this damping."""
        damping = np.full_like(self.plain["card_damping"], card_damping)
        return replace(self, plain=self.plain | {"card_damping": damping})


def _tubing_stretch(well: Well, depth_ft: float) -> float:
    """Stretch of the free tubing in inches for each pound, NaN where it can't be told."""
    if well.tubing_anchored is None:
        return NAN
    anchor = well.tubing_anchor_depth_ft
    free = depth_ft
    if well.tubing_anchored:
        free = max(depth_ft - anchor, 0.0) if np.isfinite(anchor) else 0.0
        if free < 0.02 * depth_ft:
            return 0.0
    steel = 0.25 * np.pi * (well.tubing_od_in**2 - well.tubing_id_in**2)
    return INCHES_PER_FOOT * free / (STEEL_MODULUS_PSI * steel) if steel > 0 else NAN


def columns_of(wells: Sequence[Well]) -> WellColumns:
    """Turn wells into columns, once for all their cards.

    Parameters
    ----------
    wells : sequence of Well
        One or more; an object that stands there more than once costs once.

    Returns
    -------
    WellColumns
        Columns in the same order.
    """
    distinct = {id(well): well for well in wells}
    if len(distinct) < len(wells):
        place = {key: number for number, key in enumerate(distinct)}
        rows = np.array([place[id(well)] for well in wells], dtype=np.intp)
        return columns_of(list(distinct.values())).take(rows)
    plain = {name: np.array([getattr(well, name) for well in wells], dtype=np.float64) for name in _PLAIN}
    quality = np.zeros(len(wells), dtype=np.int64)
    stand_in = RodString.from_sections([1.0], [0.75])
    rods = RodString.stack([well.rods if well.rods is not None else stand_in for well in wells])
    has_rods = np.array([well.rods is not None for well in wells])
    quality[~has_rods] |= Quality.NO_RODS

    has_unit = np.array([well.unit is not None for well in wells])
    idle = PumpingUnit.simple_harmonic(100.0)
    units = PumpingUnit.stack([well.unit if well.unit is not None else idle for well in wells])
    different, which = units.distinct()

    mixed = mixture_gravity(plain["water_cut_pct"], plain["water_sg"], oil_gravity(plain["oil_api_deg"]))
    plain["fluid_sg"] = np.where(np.isnan(plain["fluid_sg"]), mixed, plain["fluid_sg"])
    annulus = oil_gravity(plain["oil_api_deg"])
    annulus = np.where(np.isnan(annulus), plain["fluid_sg"], annulus)
    from_rods = np.isnan(plain["pump_depth_ft"]) & has_rods
    plain["pump_depth_ft"] = np.where(from_rods, rods.total_length_ft, plain["pump_depth_ft"])
    quality[from_rods] |= Quality.DEPTH_FROM_RODS
    missing_ft = plain["pump_depth_ft"] - rods.total_length_ft
    short = has_rods & (missing_ft > np.maximum(SHORT_RODS_SHARE * plain["pump_depth_ft"], SHORT_RODS_FT))
    quality[short] |= Quality.RODS_INCOMPLETE
    has_rods &= ~short

    depth = plain["pump_depth_ft"]
    vertical = depth.copy()
    # Without a gravity the solvers still run, on water: only the zero line depends on it, and that is then not judged.
    weight = rods.buoyant_weight_lbf(np.where(np.isnan(plain["fluid_sg"]), 1.0, plain["fluid_sg"]))
    stretch = np.empty(len(wells))
    for i, well in enumerate(wells):
        stretch[i] = _tubing_stretch(well, float(depth[i]))
        if well.survey is None:
            quality[i] |= Quality.NO_SURVEY
        elif np.isfinite(depth[i]):
            vertical[i] = float(well.survey.true_vertical_depth_ft(depth[i]))
            if well.rods is not None:
                share = float(weight[i] / rods.air_weight_lbf[i])
                weight[i] = axial_weight_lbf(well.rods, well.survey, share)
        if well.unit is None:
            quality[i] |= Quality.NO_UNIT
        else:
            ratings = {
                Quality.NO_COUNTERBALANCE: well.unit.counterbalance_moment_in_lbf,
                Quality.NO_GEARBOX_RATING: well.unit.gearbox_rating_in_lbf,
                Quality.NO_STRUCTURAL_RATING: well.unit.structural_rating_lbf,
            }
            for code, value in ratings.items():
                if not np.isfinite(float(np.asarray(value))):
                    quality[i] |= code
        if well.rods is not None and np.any(np.isnan(well.rods.tensile_psi)):
            quality[i] |= Quality.NO_ROD_GRADE
    for code, name in (
        (Quality.NO_PLUNGER, "plunger_diameter_in"),
        (Quality.NO_DEPTH, "pump_depth_ft"),
        (Quality.NO_FLUID_SG, "fluid_sg"),
        (Quality.NO_TUBING_PRESSURE, "tubing_pressure_psi"),
        (Quality.NO_CASING_PRESSURE, "casing_pressure_psi"),
        (Quality.NO_CLEARANCE, "clearance_in"),
        (Quality.NO_VISCOSITY, "viscosity_cp"),
        (Quality.PLUNGER_LENGTH_ASSUMED, "plunger_length_in"),
    ):
        quality[np.isnan(plain[name])] |= code
    unknown = np.isnan(stretch)
    quality[unknown] |= Quality.NO_ANCHOR_DATA
    most = np.where(unknown, INCHES_PER_FOOT * depth / (STEEL_MODULUS_PSI * SLENDER_TUBING_IN2), 0.0)
    return WellColumns(
        plain,
        rods,
        has_rods,
        units,
        has_unit,
        MotionTables.of(different).take(which),
        weight,
        vertical,
        np.where(unknown, 0.0, stretch),
        np.nan_to_num(most),
        annulus,
        [well.survey for well in wells],
        quality,
    )


def quality_text(codes: NDArray[np.int64]) -> NDArray[np.object_]:
    """Spell codes: lower-case names joined by ``; ``, empty where nothing was missing or doubtful."""
    values, place = np.unique(codes, return_inverse=True)
    texts = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        texts[i] = "; ".join(str(flag.name).lower() for flag in Quality(int(value)))
    return texts[place.reshape(codes.shape)]
