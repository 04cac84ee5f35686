"""The foreign field over its days: inflow and intake pressure, ageing, failures and the strokes of every card.

References
----------
Vogel, J.V. (1968): Inflow performance relationships for solution-gas drive wells, JPT.
Clegg, J.D. (1963), Podio, A.L., McCoy, J.N. (2001): gas at the intake and what a separator leaves of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import conditions as c
from .conditions import measure_severities
from .strokes import COLUMN, NAMES, NONE, RESULT, RESULTS, SAMPLES, run_strokes
from .units import POINTS, polished_rod
from .wells import BPD, ELEMENT_FT, FT, GRAVITY, IN, LBF, PSI, Episode, Well, course

STEEL = 7850.0
COUPLINGS = 1.06
"""Mass of rods with their couplings over that of bare rods."""
CARDS_PER_DAY = 7
LEAST, MOST = 3, 6

FAILURE_TEXTS = {
    c.TV: ("Pump - Traveling Valve", "Pump - Valve"),
    c.SV: ("Pump - Standing Valve", "Pump - Valve"),
    c.WORN: ("Pump - Barrel", "Pump - Plunger"),
    c.FRICTION: ("Rod - Body", "Rod - Box", "Tubing - Hole"),
    c.TUBING: ("Tubing - Split", "Tubing - Anchor"),
    c.TAG_UP: ("Rod - Pin",),
    c.TAG_DOWN: ("Pump - Valve Rod", "Rod - Pin"),
    c.VIBRATION: ("Rod - Body", "Rod - Box"),
    c.PARTED: ("Rod - Body", "Rod - Pin", "Rod - Box"),
}


@dataclass(frozen=True)
class Failure:
    """A failure: days of begin and end, what broke, and what had been growing since when (nan, empty: nothing)."""

    start: float
    end: float
    text: str
    condition: str
    growing_from: float


@dataclass
class WellHistory:
    """A well's cards with all that is true of them.

    Attributes
    ----------
    well : Well
    day : ndarray, shape (n,)
        Time of each card, days since the first midnight.
    parameters : ndarray, shape (n, len(NAMES))
    results : ndarray, shape (n, len(RESULTS))
    surface, pump : ndarray of float32, shape (n, 2, SAMPLES)
        Height (m) and load (N), as they are, not as they are recorded.
    severities : ndarray, shape (n, 12)
    runtime_h : ndarray, shape (n,)
    gas_mscf : ndarray, shape (n,)
        Rate of gas, Mscf/d, roughly.
    failures : list of Failure
    """

    well: Well
    day: NDArray[np.float64]
    parameters: NDArray[np.float64]
    results: NDArray[np.float64]
    surface: NDArray[np.float32]
    pump: NDArray[np.float32]
    severities: NDArray[np.float64]
    runtime_h: NDArray[np.float64]
    gas_mscf: NDArray[np.float64]
    failures: list[Failure]

    def production_bpd(self) -> NDArray[np.float64]:
        """Return liquid at the pump for 24 h with each card's run time, bbl/d."""
        a_stroke = self.results[:, RESULT["produced"]] / self.parameters[:, COLUMN["period"]]
        return np.asarray(a_stroke / BPD * self.runtime_h / 24)


def run_well(
    well: Well, days: int, rng: np.random.Generator, cards_per_day: int = CARDS_PER_DAY
) -> WellHistory:
    """Simulate all cards of a well.

    Parameters
    ----------
    well : Well
    days : int
    rng : numpy.random.Generator
    cards_per_day : int

    Returns
    -------
    WellHistory
    """
    failures = _failures(well, days, rng)
    day = _card_times(days, failures, rng, cards_per_day)
    parameters, runtime = _parameters(well, day, failures, rng)
    impedance, weight, across, build, turn, step = rod_arrays(well)
    n = len(day)
    motion = _motions(well, n, rng)
    surface = np.zeros((n, 2, SAMPLES), np.float32)
    pump = np.zeros((n, 2, SAMPLES), np.float32)
    results = np.zeros((n, len(RESULTS)))
    run_strokes(
        motion, impedance, weight, across, build, turn, step, parameters, LEAST, MOST, surface, pump, results
    )
    # What the step makes of the period is the period that was.
    parameters[:, COLUMN["period"]] = np.round(parameters[:, COLUMN["period"]] / step) * step
    severities = measure_severities(parameters, results, impedance[0])
    gas = (
        results[:, RESULT["drawn"]]
        / parameters[:, COLUMN["period"]]
        * (0.2 + parameters[:, COLUMN["gas_share"]])
    )
    gas_mscf = gas * 86400 * 35.3147 / 1000 * parameters[:, COLUMN["intake"]] / 101325
    return WellHistory(well, day, parameters, results, surface, pump, severities, runtime, gas_mscf, failures)


def rod_arrays(
    well: Well,
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    float,
]:
    """Return impedance, weight along and across, build, turn of each element, and the step; see `strokes.run_strokes`."""
    area = np.repeat([np.pi / 4 * (d * IN) ** 2 for d, _ in well.tapers], [n for _, n in well.tapers])
    length = ELEMENT_FT * FT
    middle = 0.5 * (well.inclination[1:] + well.inclination[:-1])
    hanging = STEEL * COUPLINGS * area * length * GRAVITY * (1 - well.density / STEEL)
    turn = np.diff(well.azimuth) * np.sin(middle)
    return (
        well.modulus * area / well.wave_speed,
        hanging * np.cos(middle),
        hanging * np.sin(middle),
        np.diff(well.inclination),
        turn,
        length / well.wave_speed,
    )


def _motions(well: Well, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the polished rod's motion of each card; its unevenness is one of eight of the well's."""
    uneven = well.uneven * rng.uniform(0.6, 1.3, 8)
    kinds = np.stack([polished_rod(well.unit, u, well.uneven_phase) / well.unit.stroke for u in uneven])
    return np.ascontiguousarray(kinds[rng.integers(0, 8, n)].reshape(n, POINTS))


def _failures(well: Well, days: int, rng: np.random.Generator) -> list[Failure]:
    found = []
    for episode in sorted(well.episodes, key=lambda e: e.peak):
        if episode.fails and 2 < episode.peak < days - 1:
            text = str(rng.choice(FAILURE_TEXTS[episode.condition]))
            found.append((episode.peak, text, c.CLASSES[episode.condition], episode.start))
    found += [(day, text, "", np.nan) for day, text in well.sudden]
    kept: list[Failure] = []
    for start, text, condition, since in sorted(found):
        if kept and start < kept[-1].end + 4:
            continue
        kept.append(Failure(start, start + float(rng.uniform(1.5, 7)), text, condition, since))
    return kept


def _card_times(
    days: int, failures: list[Failure], rng: np.random.Generator, per_day: int
) -> NDArray[np.float64]:
    spaced = (np.arange(days * per_day) + rng.uniform(0, 1)) / per_day
    day = np.sort(spaced + rng.uniform(-0.04, 0.04, spaced.size))
    keep = (rng.random(day.size) > 0.05) & (day > 0) & (day < days)
    for _ in range(int(rng.poisson(days / 60))):  # no communication
        begin = rng.uniform(0, days)
        keep &= (day < begin) | (day > begin + rng.exponential(1.5))
    for failure in failures:
        keep &= (day < failure.start) | (day > failure.end)
    # To the second, as controllers stamp.
    return np.unique(np.round(day[keep] * 86400) / 86400)


def _shown(
    well: Well, day: NDArray[np.float64], failures: list[Failure], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return what each condition is made for at each card, shape (n, 12): zero again after the job that mends it."""
    out = np.zeros((len(day), len(c.CLASSES)))
    for episode in well.episodes:
        part = course(episode, day, rng) * episode.worst
        for failure in failures:
            # A workover pulls rods and pump: what had been there is gone, but a path stays crooked.
            if episode.start < failure.start and not _stays(episode):
                part[day > failure.end] = 0.0
        out[:, episode.condition] = np.maximum(out[:, episode.condition], part)
    return out


def _stays(episode: Episode) -> bool:
    return episode.law == "step" and episode.condition == c.TUBING and episode.start < 0


def _parameters(
    well: Well, day: NDArray[np.float64], failures: list[Failure], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = len(day)
    shown = _shown(well, day, failures, rng)
    spm = np.full(n, well.spm)
    if well.variable_speed:
        for begin in rng.uniform(0, max(day[-1], 1) if n else 1, int(rng.poisson(3))):
            spm[day > begin] = well.spm * rng.uniform(0.8, 1.12)
    spm = spm * (1 + rng.normal(0, 0.004, n))
    period = 60 / spm
    stroke = well.unit.stroke * IN
    diameter = well.plunger_in * IN
    area = np.pi / 4 * diameter**2
    discharge = well.discharge_pa() * (1 + _wander(day, 0.01, 6.0, rng))
    floor = (well.casing_psi + well.intake_floor_psi) * PSI * (1 + _wander(day, 0.10, 10.0, rng))

    # The give of the rods takes its part of the stroke; what leaks or slips back is lifted again.
    stretch = sum(
        count * ELEMENT_FT * FT / (well.modulus * np.pi / 4 * (d * IN) ** 2) for d, count in well.tapers
    )
    lift = area * (discharge - floor)
    net = np.maximum(stroke - stretch * lift - shown[:, c.TUBING] * stroke, 0.3 * stroke)
    capacity = area * net / period
    kept = np.clip(1 - 0.9 * shown[:, c.TV] - 0.9 * shown[:, c.SV] - 0.9 * shown[:, c.WORN], 0.05, 1)
    reservoir = well.reservoir_psi * PSI
    supply = well.supply * (1 + _wander(day, 0.10, 12.0, rng)) * np.exp(-day / 1500)
    most = supply * np.median(area * net / period) / _vogel(np.median(floor) / reservoir)
    gas_scale = 0.1 * well.gas_psi * PSI * np.exp(_wander(day, 0.22, 5.0, rng))
    intake, gas = _intake(most, reservoir, capacity * kept, floor, gas_scale)
    pumped_off = intake < 1.01 * floor
    intake = _follow(day, intake, 1.5)
    gas = np.minimum(gas_scale / intake, 0.62)
    inflow = most * _vogel(intake / reservoir)
    pumped_off &= intake < 1.25 * floor
    # As long as liquid stands over the pump the barrel takes what it can.
    inflow = np.where(pumped_off, inflow, 10 * capacity)
    runtime = np.full(n, 24.0)
    if well.controlled:
        # The controller stops at its set point: its cards lie between a full barrel and that.
        fill = rng.uniform(well.set_point, 1.0, n)
        inflow = np.where(pumped_off, fill * capacity * kept, inflow)
        supplied = most * _vogel(floor / reservoir)
        runtime = np.where(pumped_off, np.clip(24 * supplied / np.maximum(inflow, 1e-9), 2, 24), runtime)
    runtime = np.clip(runtime - (rng.random(n) < 0.03) * rng.uniform(0, 8, n), 0.5, 24)

    out = np.zeros((n, len(NAMES)))

    def put(name: str, values: NDArray[np.floating] | float) -> None:
        out[:, COLUMN[name]] = values

    put("period", period)
    put("stroke", stroke)
    mass = (
        sum(STEEL * np.pi / 4 * (d * IN) ** 2 * count for d, count in well.tapers)
        / well.elements
        * ELEMENT_FT
        * FT
    )
    first = (
        np.pi * well.wave_speed / (2 * well.depth_ft * FT)
    )  # the lowest natural frequency of rods of one size, rad/s
    put("damping", well.damping_ratio * first * mass * np.exp(_wander(day, 0.12, 15.0, rng)))
    put("path_friction", well.path_friction * np.exp(_wander(day, 0.15, 10.0, rng)))
    drag = shown[:, c.FRICTION] * lift / well.elements
    sits = float(rng.uniform(0.35, 1.0))
    put("deposit_drag", drag / sits)
    put("deposit_depth", sits)
    put(
        "static_excess",
        float(rng.uniform(0.05, 0.5)) + 1.2 * (shown[:, c.VIBRATION] > 0) * rng.uniform(0.2, 1.0),
    )
    put("slow_speed", float(rng.uniform(0.03, 0.15)))
    put("plunger_friction", well.plunger_friction_lbf * LBF * (1 + 2 * (shown[:, c.VIBRATION] > 0)))
    put("box_friction", well.box_friction_lbf * LBF * np.exp(_wander(day, 0.3, 8.0, rng)))
    put("discharge", discharge)
    put("intake", intake)
    put("inflow", inflow)
    put("sump", np.where(pumped_off, 0.06 * area * stroke, area * stroke))
    put("gas_share", gas)
    put("dissolved", well.dissolved)
    put("release_time", float(rng.uniform(0.5, 3.0)))
    put("polytropic", well.polytropic)
    put("dead_space", area * well.dead_in * IN)
    put("density", well.density)
    put("bulk", float(rng.uniform(0.7e9, 1.6e9)))
    put("plunger_area", area)
    put("tv_area", 0.6 * float(rng.uniform(0.16, 0.26)) * area)
    put("sv_area", 0.6 * float(rng.uniform(0.22, 0.36)) * area)
    put("open_time", float(rng.uniform(0.015, 0.04)))
    put("close_time", float(rng.uniform(0.03, 0.09)))
    # Leaks are sized by what they let through of the pump's capacity in half a cycle.
    through = 0.5 * np.sqrt(2 * (discharge - intake) / well.density)
    put("tv_leak", shown[:, c.TV] * capacity / through)
    put("sv_leak", shown[:, c.SV] * capacity / through)
    gap = well.clearance_in * 0.5 * IN
    thick = well.viscosity_cp * 1e-3
    length = float(rng.uniform(3, 6)) * FT
    width = float(rng.uniform(0.1, 0.25))
    put("worn_at", float(rng.uniform(0.35, 0.7)))
    put("worn_width", width)
    eccentric = float(rng.uniform(0.3, 0.9))
    put("eccentricity", eccentric)
    # The worn part lets through more than the plunger lifts at its fastest, or nobody would see it.
    worn = shown[:, c.WORN]
    ring = np.pi * diameter * (1 + 1.5 * eccentric**2) * (discharge - intake) / (12 * thick * length)
    opened = ((0.6 + 4 * worn) * np.pi * capacity / ring) ** (1 / 3)
    put("clearance", gap)
    put("wear", np.where(worn > 0, np.maximum(opened - gap, 0), 0))
    put("viscosity", thick)
    put("plunger_length", length)
    put("plunger_diameter", diameter)
    steel = np.pi / 4 * ((well.tubing_od_in * IN) ** 2 - (well.tubing_id_in * IN) ** 2)
    free = np.where(
        shown[:, c.TUBING] > 0,
        shown[:, c.TUBING] * stroke / lift,
        (well.depth_ft - well.anchor_ft) * FT / (2.07e11 * steel),
    )
    put("tubing_give", np.maximum(free, 1e-10))
    put("tubing_drag", float(rng.uniform(0.03, 0.2)) / np.maximum(free, 1e-10))
    for name, which in (("tag_low", c.TAG_DOWN), ("tag_high", c.TAG_UP)):
        depth = shown[:, which] / 100 * stroke * np.exp(_wander(day, 0.2, 2.0, rng))
        put(name, np.where(depth > 0, depth, NONE))
    put("tag_stiffness", float(np.exp(rng.uniform(np.log(4e5), np.log(2e6)))))
    cycles = float(rng.uniform(1.6, 3.2)) * period
    put("ripple_cycles", np.round(cycles))
    knock = 2 * np.pi * np.round(cycles) / period
    put(
        "ripple",
        shown[:, c.VIBRATION]
        * lift
        / (knock * well.modulus * np.pi / 4 * (well.tapers[0][0] * IN) ** 2 / well.wave_speed),
    )
    put("ripple_fade", float(rng.uniform(0.12, 0.6)))
    put(
        "hanging",
        np.where(
            shown[:, c.PARTED] > 0,
            np.clip(np.round(shown[:, c.PARTED] * well.elements), 2, well.elements - 1),
            0,
        ),
    )
    return out, runtime


def _vogel(ratio: NDArray[np.float64] | float) -> NDArray[np.float64]:
    part = np.clip(ratio, 0, 1)
    return np.asarray(1 - 0.2 * part - 0.8 * part**2)


def _intake(
    most: NDArray[np.float64],
    reservoir: float,
    lifted: NDArray[np.float64],
    floor: NDArray[np.float64],
    gas_scale: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pressure at which inflow and lift agree, not below the pump's lowest, and the gas share there."""
    low, high = floor.copy(), np.full_like(floor, 0.98 * reservoir)
    for _ in range(40):
        middle = 0.5 * (low + high)
        gas = np.minimum(gas_scale / middle, 0.62)
        more = most * _vogel(middle / reservoir) > lifted * (1 - gas)
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return low, np.minimum(gas_scale / low, 0.62)


def _follow(day: NDArray[np.float64], goal: NDArray[np.float64], days: float) -> NDArray[np.float64]:
    """Return what follows a goal with a delay, as the level in the annulus does."""
    out = goal.copy()
    for k in range(1, len(day)):
        w = np.exp(-(day[k] - day[k - 1]) / days)
        out[k] = out[k - 1] * w + goal[k] * (1 - w)
    return out


def _wander(
    day: NDArray[np.float64], size: float, days: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a stationary Gaussian wander that forgets itself in some days, shape (n,)."""
    steps = rng.normal(0, 1, len(day))
    out = np.zeros(len(day))
    for k in range(len(day)):
        w = np.exp(-(day[k] - day[k - 1]) / days) if k else 0.0
        out[k] = (out[k - 1] * w if k else 0.0) + np.sqrt(1 - w * w) * steps[k]
    return np.asarray(size * out)


def histories(
    wells: list[Well], days: int, seed: int, cards_per_day: int = CARDS_PER_DAY
) -> Iterator[WellHistory]:
    """Run the wells one after the other, each with random numbers of its own."""
    streams = np.random.default_rng([seed, 1]).spawn(len(wells))
    for well, rng in zip(wells, streams, strict=True):
        yield run_well(well, days, rng, cards_per_day)
