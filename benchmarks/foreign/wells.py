"""Wells of the foreign field: their rods, path, pump, unit, liquid and inflow, and what goes wrong in which of them.

References
----------
Vogel, J.V. (1968): Inflow performance relationships for solution-gas drive wells, JPT.
Takacs, G. (2015): Sucker-Rod Pumping Handbook (sizes of rods, pumps, tubing and units that go together; anchors and their failure).
Archard, J.F. (1953): Contact and rubbing of flat surfaces (wear with the way slid).
Finnie, I. (1960): Erosion of surfaces by solid particles (a leak washes itself out: growth in proportion to its size).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import conditions as c
from .units import AIR_BALANCED, CONVENTIONAL, LONG_STROKE, MARK_II, Unit, make_unit

IN, FT, LBF, PSI, BPD = 0.0254, 0.3048, 4.4482216, 6894.757, 0.158987 / 86400
GRAVITY = 9.80665
ELEMENT_FT = 150.0
"""Length of an element of the rods: six rods of 25 ft."""
LABELLED_SHARE = 0.3

_AFFECTED = {
    c.GAS: 0.20,
    c.TV: 0.20,
    c.SV: 0.20,
    c.FRICTION: 0.22,
    c.TUBING: 0.16,
    c.TAG_UP: 0.16,
    c.TAG_DOWN: 0.16,
    c.VIBRATION: 0.16,
    c.PARTED: 0.16,
    c.WORN: 0.18,
}
"""Share of wells that show a condition at some time; pound is a matter of the inflow."""


@dataclass(frozen=True)
class Episode:
    """A condition's course in a well.

    Attributes
    ----------
    condition : int
    start, peak, end : float
        Days: when it begins, is at its worst, and is over (later than the last day: never).
    worst : float
        Severity that it is made for.
    law : str
        ``washout`` (exponential), ``wear`` (root of time), ``fouling`` (logistic), ``step``, ``spells`` (comes and goes).
    fails : bool
        Whether the well stops at the peak; else it lasts to the end and is mended or fades (a decoy).
    """

    condition: int
    start: float
    peak: float
    end: float
    worst: float
    law: str
    fails: bool


@dataclass
class Well:
    """A well as it was built, and what happens to it; lengths in in and ft, pressures in psi, unless said otherwise."""

    name: str
    labelled: bool
    labeller: int
    unit: Unit
    spm: float
    variable_speed: bool
    uneven: float
    uneven_phase: float
    modulus: float  # Pa
    wave_speed: float  # m/s
    tapers: list[tuple[float, int]]  # diameter in, elements; from the top
    inclination: NDArray[np.float64]  # at the ends of elements, rad
    azimuth: NDArray[np.float64]  # rad
    surveyed: bool
    path_friction: float
    damping_ratio: float
    plunger_in: float
    clearance_in: float
    plunger_friction_lbf: float
    box_friction_lbf: float
    tubing_id_in: float
    tubing_od_in: float
    anchored: bool
    anchor_ft: float
    oil_sg: float
    water_sg: float
    water_cut: float
    viscosity_cp: float
    tubing_psi: float
    casing_psi: float
    intake_floor_psi: float
    supply: float  # inflow at the lowest intake pressure over what the pump can lift
    reservoir_psi: float
    gas_psi: float  # intake pressure at which a tenth of the volume is free gas
    dissolved: float
    polytropic: float
    dead_in: float
    controlled: bool  # stops when pumped off
    set_point: float
    controller: str
    episodes: list[Episode] = field(default_factory=list)
    sudden: list[tuple[float, str]] = field(default_factory=list)  # day, text

    @property
    def elements(self) -> int:
        """Number of elements of the rods."""
        return sum(count for _, count in self.tapers)

    @property
    def depth_ft(self) -> float:
        """Length of the rods, ft."""
        return self.elements * ELEMENT_FT

    @property
    def density(self) -> float:
        """Of the liquid in the tubing, kg/m3."""
        return 1000 * (self.water_cut * self.water_sg + (1 - self.water_cut) * self.oil_sg)

    def true_depth_ft(self) -> float:
        """Return the vertical depth of the pump, ft."""
        middle = 0.5 * (self.inclination[1:] + self.inclination[:-1])
        return float((np.cos(middle) * ELEMENT_FT).sum())

    def discharge_pa(self) -> float:
        """Return the pressure over the plunger, Pa."""
        return self.tubing_psi * PSI + self.density * GRAVITY * self.true_depth_ft() * FT


SUDDEN_SHARE = 0.14
"""Share of wells with a failure that nothing announces."""


def make_wells(
    count: int, days: int, rng: np.random.Generator, sudden_share: float = SUDDEN_SHARE
) -> list[Well]:
    """Build wells, choose those with labels, and hand out what goes wrong."""
    labelled = np.zeros(count, bool)
    labelled[rng.permutation(count)[: max(1, round(LABELLED_SHARE * count))]] = True
    affected = {which: _choose(count, share, labelled, rng) for which, share in _AFFECTED.items()}
    pounding = rng.random(count) < 0.5
    gassy = affected[c.GAS]
    pounding[list(gassy)] = False
    numbers = rng.permutation(900)[:count] + 100
    wells = []
    for k in range(count):
        well = _build(f"Mesa {numbers[k]}", bool(labelled[k]), k in gassy, bool(pounding[k]), rng)
        for which in sorted(affected):
            if which != c.GAS and k in affected[which]:
                well.episodes.append(_episode(which, days, rng))
        if rng.random() < sudden_share:
            text = str(
                rng.choice(
                    ["Rod - Polish Rod", "Pump - Stuck", "Tubing - Split", "Rod - Box", "Pump - Barrel"]
                )
            )
            well.sudden.append((float(rng.uniform(0.1, 0.96) * days), text))
        wells.append(well)
    return wells


def _choose(count: int, share: float, labelled: NDArray[np.bool_], rng: np.random.Generator) -> set[int]:
    """Draw wells so that both those with labels and those without have some."""
    total = max(2, round(share * count))
    sure = min(2, total // 2)
    with_labels = sure + int(rng.binomial(max(total - 2 * sure, 0), LABELLED_SHARE))
    yes, no = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    with_labels = min(with_labels, len(yes))
    chosen = [*rng.permutation(yes)[:with_labels], *rng.permutation(no)[: total - with_labels]]
    return {int(k) for k in chosen}


def _episode(which: int, days: int, rng: np.random.Generator) -> Episode:
    low, high = {
        c.TV: (0.25, 0.65),
        c.SV: (0.25, 0.6),
        c.FRICTION: (0.35, 0.9),
        c.TUBING: (0.09, 0.24),
        c.TAG_UP: (1.2, 3.5),  # interference, per cent of the stroke
        c.TAG_DOWN: (1.2, 3.5),
        c.VIBRATION: (0.28, 0.6),
        c.PARTED: (0.15, 0.95),  # share of the rods that hang
        c.WORN: (0.25, 0.6),
    }[which]
    worst = float(rng.uniform(low, high))
    law = {c.TV: "washout", c.SV: "washout", c.FRICTION: "fouling", c.TUBING: "step", c.WORN: "wear", c.VIBRATION: "spells"}.get(which, "step")  # fmt: skip
    if which == c.PARTED:
        start = float(rng.uniform(0.08, 0.92) * days)
        stays = float(rng.uniform(1.0, 7.0))
        return Episode(which, start, start + stays, start + stays, worst, "step", True)
    if (which in (c.TUBING, c.WORN) and rng.random() < 0.5) or (which == c.VIBRATION and rng.random() < 0.3):
        return Episode(which, -60.0, -20.0, days + 60.0, worst, "step" if which == c.TUBING else law, False)
    start = float(rng.uniform(-15, 0.6 * days))
    lasts = float(rng.uniform(0.25, 0.6) * days)
    fails = bool(rng.random() < (0.15 if which in (c.TAG_UP, c.TAG_DOWN, c.VIBRATION) else 0.55))
    peak = start + lasts
    end = peak if fails else peak + float(rng.uniform(0.03, 0.2) * days)
    return Episode(which, start, peak, end, worst, law, fails)


def course(episode: Episode, day: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how much of its worst an episode shows, 0 to 1, at given days."""
    e = episode
    part = np.clip((day - e.start) / max(e.peak - e.start, 0.1), 0, 1)
    if e.law == "washout":
        shown = np.expm1(2.5 * part) / np.expm1(2.5)
    elif e.law == "wear":
        shown = np.sqrt(part)
    elif e.law == "fouling":
        shown = 1 / (1 + np.exp(-9 * (part - 0.5)))
    elif e.law == "spells":
        knots = np.arange(np.floor(day.min()) - 3, np.ceil(day.max()) + 6, 3.0)
        shown = np.interp(day, knots, np.clip(rng.normal(0.65, 0.35, knots.size), 0, 1)) * np.clip(
            4 * part, 0, 1
        )
    else:
        shown = np.ones_like(part)
    shown = np.where((day < e.start) | (day > e.end), 0.0, shown)
    return np.asarray(shown)


def _build(name: str, labelled: bool, gassy: bool, pounding: bool, rng: np.random.Generator) -> Well:
    elements = int(rng.integers(20, 58))
    depth = elements * ELEMENT_FT
    plunger = float(rng.choice([1.25, 1.5, 1.75, 2.0, 2.25] if depth < 6000 else [1.25, 1.5, 1.75]))
    if depth < 4500:
        sizes = [0.875, 0.75] if plunger > 1.5 else [0.75]
    elif depth < 7000:
        sizes = [0.875, 0.75] if plunger < 1.75 else [1.0, 0.875]
    else:
        sizes = [1.0, 0.875, 0.75]
    if len(sizes) == 1:
        tapers = [(sizes[0], elements)]
    else:
        top = round(elements * float(rng.uniform(0.26, 0.40)))
        rest = elements - top
        middle = rest if len(sizes) == 2 else round(rest * 0.48)
        tapers = [(sizes[0], top), (sizes[1], middle)] + (
            [(sizes[2], rest - middle)] if len(sizes) == 3 else []
        )
    kind = str(rng.choice([CONVENTIONAL, MARK_II, AIR_BALANCED, LONG_STROKE], p=[0.55, 0.18, 0.12, 0.15]))
    strokes = {CONVENTIONAL: [64, 74, 86, 100, 120, 144], MARK_II: [100, 120, 144, 168], AIR_BALANCED: [100, 120, 144, 192], LONG_STROKE: [288, 306]}[kind]  # fmt: skip
    fitting = [s for s in strokes if depth / 80 < s or kind == LONG_STROKE] or strokes[-1:]
    stroke = float(rng.choice(fitting))
    spm = float(np.round(min(rng.uniform(620, 1050) / stroke, 0.28 * 245000 / depth), 1))
    unit = make_unit(kind, stroke, bool(rng.random() < 0.6), rng.uniform(-0.05, 0.05, 3))
    if rng.random() < 0.45:  # nearly vertical
        inclination = np.abs(np.cumsum(rng.normal(0, 0.004, elements + 1)))
    else:
        kick = int(rng.uniform(0.2, 0.7) * elements)
        hold = np.radians(rng.uniform(8, 38))
        build = np.clip(
            (np.arange(elements + 1) - kick) * np.radians(rng.uniform(1.0, 2.4)) * ELEMENT_FT / 100, 0, hold
        )
        inclination = np.abs(build + np.cumsum(rng.normal(0, 0.003, elements + 1)))
    azimuth = np.cumsum(rng.normal(0, 0.03, elements + 1)) + rng.uniform(0, 2 * np.pi)
    water = float(rng.uniform(0.2, 0.95))
    floor = float(rng.uniform(15, 60))
    oil_sg = float(rng.uniform(0.80, 0.90))
    supply = float(rng.uniform(0.35, 0.85)) if pounding else float(rng.uniform(1.15, 2.2))
    tubing_id, tubing_od = (1.995, 2.375) if plunger <= 1.5 and rng.random() < 0.4 else (2.441, 2.875)
    gas = float(rng.uniform(1200, 3200)) if gassy else float(rng.uniform(5, 60))
    return Well(
        name, labelled, int(rng.integers(4)), unit, spm, bool(rng.random() < 0.25), float(rng.uniform(0, 0.12)), float(rng.uniform(0, 2 * np.pi)),
        float(rng.uniform(2.05e11, 2.14e11)), float(rng.uniform(4880, 5010)), tapers, inclination, azimuth, bool(rng.random() < 0.6),
        float(rng.uniform(0.05, 0.16)), float(np.exp(rng.normal(np.log(0.035), 0.5))), plunger, float(rng.uniform(0.0015, 0.004)),
        float(rng.uniform(20, 180)), float(rng.uniform(30, 180)), tubing_id, tubing_od, True, depth * float(rng.uniform(0.9, 1.0)), oil_sg,
        float(rng.uniform(1.0, 1.1)), water, float(np.exp(rng.normal(np.log(2.0), 0.7))), float(rng.uniform(60, 260)), float(rng.uniform(25, 130)), floor,
        supply, float(depth * rng.uniform(0.16, 0.32)) if not gassy else float(depth * rng.uniform(0.26, 0.38)),
        gas, float(rng.uniform(0.05, 0.25)) if gassy else float(rng.uniform(0, 0.03)), float(rng.uniform(1.02, 1.25)), stroke * float(rng.uniform(0.04, 0.11)) * (1.4 if gassy else 1.0),
        bool(pounding and rng.random() < 0.5), float(rng.uniform(0.6, 0.8)), str(rng.choice(["angle", "switch", "encoder"])),
    )  # fmt: skip
