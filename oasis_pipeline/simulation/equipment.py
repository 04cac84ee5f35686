"""Wells of a simulated field: depth, rods, unit, pump and fluids that an engineer would have chosen together.

Belongs here: what stands in the well file. What goes wrong in a well is in `conditions`, what happens over time in
`histories`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import WATER_GRADIENT_PSI_PER_FT
from oasis_pipeline.physics.rods import RodString, api_tapers
from oasis_pipeline.physics.torque import best_moment_in_lbf
from oasis_pipeline.physics.unit import (
    PumpingUnit,
    UnitKind,
    crank_angle_at_constant_speed,
    polished_rod_motion,
    stroke_in,
)

FloatArray = NDArray[np.float64]

_LINKAGES = {
    UnitKind.CONVENTIONAL: (210.0, 120.0, 120.0, 197.9, 144.5, 47.0),
    UnitKind.MARK_II: (216.0, 170.0, 85.0, 172.4, 170.0, 38.0),
    UnitKind.AIR_BALANCED: (190.0, 110.0, 110.0, 160.0, 120.0, 40.0),
}
"""Proportions A, C, I, K, P, R of the three geometries, close to units in the field; scaled to the stroke wanted.

The cross yoke of the Mark II lies ahead of the crankshaft, toward the well, so that the upstroke takes 194 degrees of the crank
when it turns counterclockwise, and a counterweight that leads by 18 to 26 degrees evens the torque out, as in the field."""

_STROKES_IN = np.array([74.0, 86.0, 100.0, 120.0, 144.0, 168.0, 192.0, 216.0])
_GEARBOXES_IN_LBF = 1000.0 * np.array(
    [57.0, 80.0, 114.0, 160.0, 228.0, 320.0, 456.0, 640.0, 912.0, 1280.0, 1824.0]
)
_STRUCTURES_LBF = 100.0 * np.array([143.0, 173.0, 213.0, 246.0, 256.0, 305.0, 365.0, 427.0, 470.0])
_TORQUE_BY_DYNAMICS = {UnitKind.CONVENTIONAL: 1.25, UnitKind.MARK_II: 0.91, UnitKind.AIR_BALANCED: 0.9}
"""What the torque of the design card below is multiplied with: medians over simulated full pumps (spread 7 to 11 %)."""
_PLUNGERS_IN = np.array([1.25, 1.5, 1.75, 2.0, 2.25])
_TUBING = ((2.375, 1.995), (2.875, 2.441), (3.5, 2.992))


@dataclass(frozen=True)
class Wells:
    """Equipment of n wells (or states of wells), every array of shape (n,), rods and unit as batches of n.

    Units stand in the names; `depth_ft` is measured along the well; `inclination_deg` is 0 for a vertical well and else
    reached over 800 ft from `kickoff_ft`; `flowing_psi`, `pumped_off_psi` and `gassy_psi` are intake pressures of a full, a
    pumped-off and a gassy pump; `damping_up` and `damping_down` are dimensionless.
    """

    rods: RodString
    unit: PumpingUnit
    grade: NDArray[np.str_]
    unit_kind: NDArray[np.int8]
    depth_ft: FloatArray
    vertical_depth_ft: FloatArray
    kickoff_ft: FloatArray
    inclination_deg: FloatArray
    stroke_in: FloatArray
    spm: FloatArray
    plunger_diameter_in: FloatArray
    plunger_clearance_in: FloatArray
    water_cut_pct: FloatArray
    water_gravity: FloatArray
    oil_api: FloatArray
    fluid_gravity: FloatArray
    viscosity_cp: FloatArray
    tubing_pressure_psi: FloatArray
    casing_pressure_psi: FloatArray
    tubing_od_in: FloatArray
    tubing_id_in: FloatArray
    tubing_anchored: NDArray[np.bool_]
    discharge_psi: FloatArray
    flowing_psi: FloatArray
    pumped_off_psi: FloatArray
    gassy_psi: FloatArray
    damping_up: FloatArray
    damping_down: FloatArray
    motor_slip: FloatArray
    motor_hp: FloatArray

    def __len__(self) -> int:
        """Count the wells."""
        return len(self.depth_ft)

    def take(self, indices: ArrayLike) -> Wells:
        """Pick wells by index; an index may repeat."""
        chosen = np.asarray(indices)
        return Wells(
            **{
                f.name: getattr(self, f.name).take(chosen)
                if f.name in ("rods", "unit")
                else getattr(self, f.name)[chosen]
                for f in fields(self)
            }
        )

    def with_plunger(self, diameter_in: ArrayLike) -> Wells:
        """Give the same wells other plungers."""
        return replace(
            self, plunger_diameter_in=np.broadcast_to(diameter_in, (len(self),)).astype(np.float64)
        )

    @property
    def displacement_bpd(self) -> FloatArray:
        """Displacement of a full pump over the polished-rod stroke, bbl/d."""
        return np.asarray(0.116571 * self.stroke_in * self.spm * self.plunger_diameter_in**2)

    @property
    def fluid_load_lbf(self) -> FloatArray:
        """Fluid load at the flowing intake pressure, lbf."""
        area = np.pi / 4.0 * self.plunger_diameter_in**2
        return np.asarray(area * (self.discharge_psi - self.flowing_psi))


def _linkage(kind: UnitKind, scale: float) -> PumpingUnit:
    a, c, i, k, p, r = (round(value * scale, 2) for value in _LINKAGES[kind])
    return PumpingUnit(kind, a, c, i, k, p, r)


def _unit(kind: UnitKind, stroke: float) -> PumpingUnit:
    base = _linkage(kind, 1.0)
    scale = stroke / float(stroke_in(base))
    return _linkage(kind, scale)


def _next_rating(wanted: float, ratings: FloatArray) -> float:
    return float(ratings[min(int(np.searchsorted(ratings, wanted)), len(ratings) - 1)])


def _design(unit: PumpingUnit, weight: float, load: float, inertia: float) -> tuple[float, float]:
    """Counterbalance moment and peak torque (in-lbf) that a balanced unit needs on a card from a rule of thumb.

    The card is a box: rods and fluid up, rods down, and twice the inertia of the rods added and taken away. A full
    prediction would cost as much as a simulated card and is not what sets a catalogue size apart from the next.
    """
    angle = crank_angle_at_constant_speed(unit, 120)
    _, factor = polished_rod_motion(unit, angle)
    box = np.where(factor > 0.0, weight + load + 2.0 * inertia, weight - 2.0 * inertia)
    moment, torque = best_moment_in_lbf(box, factor, angle, unit.crank_offset_deg)
    return float(moment), float(torque) * _TORQUE_BY_DYNAMICS[UnitKind(int(unit.kind))]


def survey(
    depth_ft: float, kickoff_ft: float, inclination_deg: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Directional survey of a well that builds to a steady inclination.

    Returns
    -------
    measured_ft, inclination_deg, azimuth_deg, vertical_ft : ndarray, shape (stations,)
        A station every 200 ft and at the pump.
    """
    measured = np.append(np.arange(0.0, depth_ft, 200.0), depth_ft)
    inclination = inclination_deg * np.clip((measured - kickoff_ft) / 800.0, 0.0, 1.0)
    azimuth = np.mod(140.0 + 0.004 * np.maximum(measured - kickoff_ft, 0.0), 360.0)
    middle = np.radians(0.5 * (inclination[1:] + inclination[:-1]))
    vertical = np.concatenate([[0.0], np.cumsum(np.diff(measured) * np.cos(middle))])
    return measured, inclination, azimuth, vertical


def make_wells(count: int, rng: np.random.Generator, *, shallow: bool = False) -> Wells:
    """Make wells with equipment that fits together.

    Parameters
    ----------
    count : int
        Number of wells.
    rng : numpy.random.Generator
        Source of all randomness; the same state gives the same wells.
    shallow : bool
        Shallow wells that pump slowly: their rods hardly stretch and swing many times a stroke.

    Returns
    -------
    Wells
        Depths 3,200 to 9,500 ft (shallow: 1,600 to 5,500), strokes 74 to 216 in, speeds 3.8 to 11 strokes a minute (shallow: from 1.5).
    """
    strings: list[RodString] = []
    units: list[PumpingUnit] = []
    grades: list[str] = []
    rows: dict[str, list[float]] = {
        f.name: [] for f in fields(Wells) if f.name not in ("rods", "unit", "grade")
    }
    depths_ft, share_of_limit, slowest = (
        ((1600.0, 5500.0), (0.03, 0.16), 1.5) if shallow else ((3200.0, 9500.0), (0.11, 0.23), 3.8)
    )
    for _ in range(count):
        depth = float(np.round(rng.uniform(*depths_ft), -1))
        deep = rng.random() if shallow else (depth - 3200.0) / 6300.0
        stroke = float(_STROKES_IN[int(np.clip(np.round(1.2 + 4.8 * deep + rng.normal(0.0, 0.8)), 0, 7))])
        # Shallow wells move much liquid with large plungers, deep ones cannot carry the fluid load.
        plunger = float(_PLUNGERS_IN[int(np.clip(np.round(3.4 - 3.0 * deep + rng.normal(0.0, 0.6)), 0, 4))])
        spm_by_rods = 245_000.0 / depth * rng.uniform(*share_of_limit)
        spm_by_acceleration = np.sqrt(0.22 * 70_500.0 / stroke)
        spm = float(np.round(np.clip(min(spm_by_rods, spm_by_acceleration), slowest, 11.0), 1))
        number = "76" if depth < 4600.0 else ("86" if depth > 6800.0 or rng.random() < 0.5 else "87")
        grade = "D" if depth < 7000.0 or rng.random() < 0.5 else "HS"
        diameters, shares = api_tapers(number, plunger)
        bars = 25.0 * rng.integers(6, 13) if rng.random() < 0.3 else 0.0
        lengths = [25.0 * round(share * (depth - bars) / 25.0) for share in shares]
        names: list[str | None] = [grade] * len(lengths)
        sizes = list(diameters)
        if bars:
            lengths.append(bars)
            sizes.append(1.5)
            names.append("SB")
        lengths[len(shares) - 1] += depth - sum(lengths)
        string = RodString.from_sections(lengths, sizes, names)

        water_cut, water_gravity = (
            float(np.round(rng.uniform(20.0, 97.0))),
            float(np.round(rng.uniform(1.01, 1.08), 2)),
        )
        api = float(np.round(rng.uniform(28.0, 44.0)))
        oil_gravity = 141.5 / (131.5 + api)
        gravity = water_cut / 100.0 * water_gravity + (1.0 - water_cut / 100.0) * oil_gravity
        tubing_pressure = float(np.round(rng.uniform(60.0, 260.0)))
        casing_pressure = float(np.round(rng.uniform(8.0, 60.0)))
        kickoff, inclination = depth * rng.uniform(0.3, 0.6), float(np.round(rng.uniform(6.0, 13.0), 1))
        inclination = inclination if rng.random() < 0.2 else 0.0
        vertical = float(survey(depth, kickoff, inclination)[3][-1])
        discharge = tubing_pressure + WATER_GRADIENT_PSI_PER_FT * gravity * vertical
        flowing = casing_pressure + rng.uniform(0.06, 0.2) * discharge
        area = np.pi / 4.0 * plunger**2
        load = area * (discharge - flowing)
        weight = float(string.buoyant_weight_lbf(gravity))
        inertia = float(string.air_weight_lbf) * stroke * spm**2 / 70_500.0
        # Peak load as the simulated full pumps have it in the median.
        peak = weight + load + 3.4 * inertia
        kind = UnitKind(int(rng.choice([1, 1, 1, 2, 3])))
        margin, strength = rng.uniform(0.88, 1.43), rng.uniform(1.0, 1.3)
        offset = float(np.round(rng.uniform(18.0, 26.0))) if kind == UnitKind.MARK_II else 0.0
        bare = replace(_unit(kind, stroke), clockwise=bool(kind != UnitKind.MARK_II), crank_offset_deg=offset)
        moment, torque = _design(bare, weight, load, inertia)
        unit = replace(
            bare,
            gearbox_rating_in_lbf=_next_rating(torque * margin, _GEARBOXES_IN_LBF),
            structural_rating_lbf=_next_rating(peak * strength, _STRUCTURES_LBF),
            counterbalance_moment_in_lbf=float(np.round(moment * rng.uniform(0.86, 1.12), -2)),
        )
        od, inner = _TUBING[1] if plunger < 2.2 else _TUBING[2]
        if plunger <= 1.5 and rng.random() < 0.3:
            od, inner = _TUBING[0]
        strings.append(string)
        units.append(unit)
        grades.append(grade)
        values = {
            "unit_kind": float(kind),
            "depth_ft": depth,
            "vertical_depth_ft": vertical,
            "kickoff_ft": float(np.round(kickoff)),
            "inclination_deg": inclination,
            "stroke_in": float(np.round(stroke_in(unit), 1)),
            "spm": spm,
            "plunger_diameter_in": plunger,
            "plunger_clearance_in": float(rng.choice([0.003, 0.004, 0.005, 0.006])),
            "water_cut_pct": water_cut,
            "water_gravity": water_gravity,
            "oil_api": api,
            "fluid_gravity": float(np.round(gravity, 3)),
            "viscosity_cp": float(np.round(np.exp(rng.uniform(-0.3, 1.6)), 1)),
            "tubing_pressure_psi": tubing_pressure,
            "casing_pressure_psi": casing_pressure,
            "tubing_od_in": od,
            "tubing_id_in": inner,
            "tubing_anchored": 1.0,
            "discharge_psi": discharge,
            "flowing_psi": flowing,
            "pumped_off_psi": casing_pressure + rng.uniform(2.0, 20.0),
            "gassy_psi": discharge * rng.uniform(0.12, 0.3),
            "damping_up": rng.uniform(0.05, 0.14),
            "damping_down": rng.uniform(0.07, 0.2),
            "motor_slip": rng.uniform(0.02, 0.08),
            "motor_hp": float(np.round(max(10.0, peak * stroke * spm / 396_000.0 * 0.8) / 5.0) * 5.0),
        }
        for name, value in values.items():
            rows[name].append(value)
    arrays = {name: np.array(column) for name, column in rows.items()}
    arrays["unit_kind"] = arrays["unit_kind"].astype(np.int8)
    arrays["tubing_anchored"] = arrays["tubing_anchored"].astype(bool)
    return Wells(RodString.stack(strings), PumpingUnit.stack(units), np.array(grades), **arrays)
