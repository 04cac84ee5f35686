"""What is possible for a well: an ensemble drawn around what its newest cards and its past say.

Each well has `MEMBERS` possible wells: samples of damping and rod drag (fitted to peak load, load range and work of the card), fillage,
intake pressure, trusted production, reservoir pressure, whether the pump empties the well or is short of liquid because of gas, and whether
what the pump displaces but doesn't deliver leaks or is missing stroke. Each has a weight: how well it goes with what was measured, and with
what rate, fillage and intake pressure did when the speed or run time was another one.

Here: the present point, the past, and the draw. Not here: which set point is best (``setpoints``), the tables of loads by speed
(``well_response``), the balance of pump and reservoir (``inflow``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.decisions.inflow import Course, balance_rates, vogel_share
from oasis_pipeline.decisions.well_response import DAMPINGS, GAS_SHARE, QUANTITIES, Response
from oasis_pipeline.physics.constants import (
    INCH_POUNDS_PER_MINUTE_PER_HP,
    PUMP_CONSTANT_BPD,
    STANDARD_PRESSURE_PSI,
)
from oasis_pipeline.physics.fluids import liquid_fill, valve_opening_position

Array = NDArray[np.float64]

Z90 = 1.6449

MEMBERS = 128

RATE_RATIO_SPREAD = 0.07

FILL_SPREAD = 0.06

INTAKE_SPREAD_PSI = 50.0
"""How far ratio of rates, fillage and change of intake pressure at an earlier set point may miss what a member says (standard deviations)."""

PARTLY_FILLED_ODDS, FILLED_ODDS = 1.5, 0.04
"""What a fillage of 90 % or less, and one of 97 % or more, say for a pump that empties its well: of such pumps one in 25 fills that much."""

PRIOR_SHARE = 0.01
"""Weight that earlier set points can't take away."""


@dataclass(frozen=True)
class Points:
    """Present points of n wells, every array of shape (n,); NaN where something is not known.

    Attributes
    ----------
    spm, stroke_in, run_h : ndarray
        Speed, stroke, run time (h/d; 24 where it is not known).
    fillage_pct, fillage_spread_pct : ndarray
        Fillage and how far its methods disagree.
    intake_psi, intake_lower_psi, intake_upper_psi : ndarray
        Intake pressure and its interval of two standard deviations each way.
    production_bpd, production_lower_bpd, production_upper_bpd : ndarray
        Trusted liquid rate and its 90 % interval.
    inferred_bpd : ndarray
        Rate inferred from the cards, in the same way as that of earlier set points.
    water_cut_pct, casing_psi : ndarray
    pprl_lbf, mprl_lbf, power_hp, torque_in_lbf : ndarray
        Of the surface card.
    gearbox_pct, structure_pct, rods_pct : ndarray
        Loads in percent of their ratings.
    damping : ndarray
        Dimensionless, of the diagnosis.
    gas_exponent : ndarray
    pound_pct, gas_pct : ndarray
        Probability of the classes Fluid Pound and Gas Interference; 0 for another class, NaN without a class.
    course : ndarray of str
        `Course` of a burst of cards.
    may_rise : ndarray of bool
        Whether more strokes a day may be advised: not with trouble that more strokes would make worse.
    """

    spm: Array
    stroke_in: Array
    run_h: Array
    fillage_pct: Array
    fillage_spread_pct: Array
    intake_psi: Array
    intake_lower_psi: Array
    intake_upper_psi: Array
    production_bpd: Array
    production_lower_bpd: Array
    production_upper_bpd: Array
    inferred_bpd: Array
    water_cut_pct: Array
    casing_psi: Array
    pprl_lbf: Array
    mprl_lbf: Array
    power_hp: Array
    torque_in_lbf: Array
    gearbox_pct: Array
    structure_pct: Array
    rods_pct: Array
    damping: Array
    gas_exponent: Array
    pound_pct: Array
    gas_pct: Array
    course: NDArray[np.str_]
    may_rise: NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the wells."""
        return len(self.spm)

    def take(self, rows: NDArray[np.intp] | slice) -> Points:
        """Pick wells."""
        return Points(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Past:
    """Earlier set points of the same equipment, shape (n, h): medians of the days at each; NaN where there are fewer."""

    spm: Array
    run_h: Array
    fillage_pct: Array
    intake_psi: Array
    rate_bpd: Array

    def take(self, rows: NDArray[np.intp] | slice) -> Past:
        """Pick wells."""
        return Past(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def none(cls, wells: int) -> Past:
        """Make the past of wells whose set point was never another one."""
        return cls(*(np.full((wells, 0), np.nan) for _ in range(5)))


def _draw_evenly(dimensions: int) -> Array:
    """Latin hypercube of MEMBERS points in (0, 1), shape (MEMBERS, dimensions)."""
    rng = np.random.default_rng(20_261_201)
    places = np.stack([rng.permutation(MEMBERS) for _ in range(dimensions)], axis=1)
    return np.asarray((places + 0.5) / MEMBERS)


_CUBE = _draw_evenly(8)

_NORMAL = np.vectorize(NormalDist().inv_cdf)(_CUBE)
"""The same draws for every well and day, evenly and normally distributed, so that the same inputs give the same advice."""


@dataclass(frozen=True)
class Members:
    """Possible wells, shape (n, m)."""

    damping: Array
    drag: Array
    floor: Array
    reservoir: Array
    greatest: Array
    gas: Array
    efficiency: Array
    leak: Array
    off: NDArray[np.bool_]
    weight: Array


def _mixed(tables: Array, members: Members) -> Array:
    """Tables of full pumps at the members' damping and drag, shape (n, m, c, quantities)."""
    place = np.interp(np.log(members.damping), np.log(DAMPINGS), np.arange(len(DAMPINGS)))
    hats = np.maximum(1.0 - np.abs(place[..., None] - np.arange(len(DAMPINGS))), 0.0)
    drag = tables[:, :, 3] - tables[:, :, 1]
    # one product of matrices for each well
    shares = np.concatenate([hats, members.drag[..., None]], axis=2)
    parts = np.concatenate([tables[:, :, : len(DAMPINGS)], drag[:, :, None]], axis=2).swapaxes(1, 2)
    count, kinds, points, quantities = parts.shape
    full = np.matmul(shares, parts.reshape(count, kinds, points * quantities))
    return np.asarray(full.reshape(count, shares.shape[1], points, quantities))


def member_values(
    tables: Array, members: Members, fill: Array, intake: Array, low: Array, high: Array
) -> Array:
    """Quantities at fill and intake pressure of each member and set point, shape (n, m, c, quantities)."""
    span = (high - low)[:, None, None]
    values = _mixed(tables, members)
    values += (tables[:, :, 4] - tables[:, :, 1])[:, None] * ((1.0 - fill) / GAS_SHARE)[..., None]
    values += (tables[:, :, 5] - tables[:, :, 1])[:, None] * ((intake - low[:, None, None]) / span)[..., None]
    return values


def _displacement(
    tables: Array, members: Members, spm: Array, area: Array, low: Array, high: Array
) -> tuple[Array, Array]:
    """Displacement of 24 h at no intake pressure and its change by psi, shape (n, m, c), the efficiency not counted."""
    stroke = QUANTITIES.index("stroke_in")
    full = _mixed(tables[..., stroke : stroke + 1], members)[..., 0]
    slope = ((tables[:, :, 5, stroke] - tables[:, :, 1, stroke]) / (high - low)[:, None])[:, None]
    rate = (PUMP_CONSTANT_BPD * 4.0 / np.pi * area[:, None] * spm)[:, None]
    return rate * (full - slope * low[:, None, None]), rate * slope + 0.0 * full


def _fit(
    points: Points, tables: Array, fill: Array, intake: Array, response: Response
) -> tuple[Array, Array]:
    """Sample damping and drag from how well they explain peak load, load range and work; each of shape (n, m)."""
    damping = np.geomspace(0.03, 0.45, 15)
    drag = np.linspace(0.0, 2.0, 9)
    grid = np.stack(np.meshgrid(damping, drag, indexing="ij"), axis=-1).reshape(-1, 2)
    count = len(points)
    ones = np.ones((count, len(grid)))
    trial = Members(
        damping=grid[:, 0] * ones,
        drag=grid[:, 1] * ones,
        floor=ones,
        reservoir=ones,
        greatest=ones,
        gas=ones,
        efficiency=ones,
        leak=ones,
        off=np.ones(ones.shape, dtype=bool),
        weight=ones,
    )
    got = member_values(
        tables,
        trial,
        fill[:, None, None] * ones[..., None],
        intake[:, None, None] * ones[..., None],
        response.low_intake_psi,
        response.high_intake_psi,
    )[:, :, 0]
    pprl, mprl, work = (got[..., QUANTITIES.index(name)] for name in ("pprl_lbf", "mprl_lbf", "work_in_lbf"))
    measured = points.power_hp * INCH_POUNDS_PER_MINUTE_PER_HP / points.spm
    span = points.pprl_lbf - points.mprl_lbf
    miss = ((pprl - points.pprl_lbf[:, None]) / np.maximum(0.02 * points.pprl_lbf, 200.0)[:, None]) ** 2
    miss += ((pprl - mprl - span[:, None]) / np.maximum(0.04 * span, 100.0)[:, None]) ** 2
    miss += ((work - measured[:, None]) / (0.05 * measured)[:, None]) ** 2
    known = np.where(points.damping > 0.0, points.damping, 0.12)[:, None]
    miss += (np.log(grid[:, 0] / np.clip(known, 0.03, 0.45)) / 0.5) ** 2 + 2.0 * grid[:, 1] / 0.5
    weight = np.exp(-0.5 * (miss - np.nanmin(miss, axis=1, keepdims=True)))
    share = np.cumsum(np.nan_to_num(weight), axis=1)
    share /= share[:, -1:]
    found = [np.searchsorted(row, _CUBE[:, 0]) for row in share]
    chosen = np.array(found, dtype=np.intp).reshape(count, MEMBERS)
    return grid[chosen, 0], grid[chosen, 1]


def draw_members(points: Points, tables: Array, response: Response, past: Past) -> Members:
    """Draw the possible wells and weigh them."""
    u, z = _CUBE, _NORMAL
    fillage = np.clip(points.fillage_pct / 100.0, 0.02, 1.0)[:, None]
    spread = np.clip(np.nan_to_num(points.fillage_spread_pct, nan=4.0) / 200.0, 0.02, 0.08)[:, None]
    opening = np.clip(fillage + spread * z[:, 1], 0.02, 1.0)
    discharge = response.discharge_psi[:, None]
    casing = np.where(np.isfinite(points.casing_psi), points.casing_psi, 60.0)[:, None]
    floor = np.minimum(1.1 * casing + 2.0 + 40.0 * u[:, 2], 0.5 * discharge)

    # Does the pump empty the well? Strokes tell; else the class, the fillage, and how near the intake pressure is to the floor.
    pound = np.clip(np.nan_to_num(points.pound_pct) / 100.0, 0.0, 1.0)
    gassy = np.clip(np.nan_to_num(points.gas_pct) / 100.0, 0.0, 1.0)
    prior = np.clip((pound + 0.05) / (pound + gassy + 0.1), 0.03, 0.97)
    prior = np.where(points.course == Course.MARCHES, 0.97, prior)
    prior = np.where(points.course == Course.JUMPS, 0.03, prior)
    odds = np.exp(np.interp(fillage[:, 0], [0.90, 0.97], np.log([PARTLY_FILLED_ODDS, FILLED_ODDS])))
    off = u[:, 3] < 0.5
    off = np.broadcast_to(off, opening.shape)
    # a pressure that is known by its bounds only lies in their middle
    middle = 0.5 * (points.intake_lower_psi + points.intake_upper_psi)
    centre = np.where(np.isfinite(points.intake_psi), points.intake_psi, middle)[:, None]
    known = np.isfinite(centre)
    width = 0.25 * (points.intake_upper_psi - points.intake_lower_psi)[:, None]
    width = 1.3 * np.maximum(np.where(np.isfinite(width), width, 60.0), 30.0)
    guess = floor + (0.4 * discharge - floor) * u[:, 4] ** 2
    centre = np.where(known, centre, 0.0)
    # below the floor no pressure lies: what would, lies as far above it
    intake = np.where(known, floor + np.abs(centre + width * z[:, 4] - floor), guess)
    intake = np.where(off, floor, np.minimum(intake, 0.9 * discharge))
    density = np.exp(-0.5 * ((centre - floor) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)
    evenly = 1.0 / np.maximum(0.35 * discharge, 100.0)
    of_off = prior[:, None] * odds[:, None] * np.where(known, density, evenly)
    weight = np.where(off, of_off, (1.0 - prior)[:, None] * evenly)

    fill = liquid_fill(
        opening,
        (intake + STANDARD_PRESSURE_PSI) / (discharge + STANDARD_PRESSURE_PSI),
        points.gas_exponent[:, None],
    )
    fill = np.maximum(fill, 0.02)
    damping, drag = _fit(points, tables, fill.mean(axis=1), intake.mean(axis=1), response)
    upper, lower = (np.maximum(p, 0.01) for p in (points.production_upper_bpd, points.production_lower_bpd))
    sigma = np.log(upper / lower) / (2.0 * Z90)
    sigma = np.where(np.isfinite(sigma), np.clip(sigma, 0.03, 0.6), 0.3)[:, None]
    rate = points.production_bpd[:, None] * np.exp(sigma * z[:, 5])
    duty = np.clip(points.run_h / 24.0, 0.01, 1.0)[:, None]
    blank = np.ones_like(opening)
    bare = Members(damping, drag, floor, blank, blank, blank, blank, blank, off, weight)
    base, slope = _displacement(
        tables,
        bare,
        points.spm[:, None],
        response.plunger_area_in2,
        response.low_intake_psi,
        response.high_intake_psi,
    )
    swept = np.maximum(base[..., 0] + slope[..., 0] * intake, 1e-3) * fill
    # What is displaced and not delivered leaks back at any speed, or is missing in every stroke.
    missing = np.maximum(swept - rate / duty, 0.0)
    leak = u[:, 6] * missing
    efficiency = np.clip((rate / duty + leak) / swept, 0.1, 1.5)
    most = np.maximum(0.42 * response.vertical_depth_ft[:, None], 2.0 * (intake + 50.0))
    least = 1.25 * (intake + 50.0)
    reservoir = least * (most / least) ** u[:, 7]
    greatest = rate / np.maximum(vogel_share(intake, reservoir), 1e-3)
    gas = np.where(off, 0.0, (intake + STANDARD_PRESSURE_PSI) * (1.0 / fill - 1.0))
    members = Members(damping, drag, floor, reservoir, greatest, gas, efficiency, leak, off, weight)
    weight = _weigh_past(points, response, past, members, tables)
    total = weight.sum(axis=1, keepdims=True)
    weight = np.where(total > 0.0, weight / np.where(total > 0.0, total, 1.0), 1.0 / MEMBERS)
    return Members(damping, drag, floor, reservoir, greatest, gas, efficiency, leak, off, weight)


def balance_members(
    members: Members, tables: Array, response: Response, spm: Array, duty: Array
) -> tuple[Array, Array, Array]:
    """Rate, intake pressure and fill of each member at set points, shape (n, m, c)."""
    base, slope = _displacement(
        tables, members, spm, response.plunger_area_in2, response.low_intake_psi, response.high_intake_psi
    )
    column = {
        name: getattr(members, name)[:, :, None]
        for name in ("greatest", "reservoir", "floor", "gas", "efficiency", "leak")
    }
    return balance_rates(
        column["greatest"],
        column["reservoir"],
        column["floor"],
        column["gas"],
        base * column["efficiency"],
        slope * column["efficiency"],
        column["leak"],
        duty[:, None],
    )


def _weigh_past(points: Points, response: Response, past: Past, members: Members, tables: Array) -> Array:
    """Weigh members by what rate, fillage and intake pressure did when speed or run time was another one."""
    prior: Array = members.weight / np.maximum(members.weight.sum(axis=1, keepdims=True), 1e-300)
    if not past.spm.shape[1]:
        return prior
    spm = np.concatenate([points.spm[:, None], past.spm], axis=1)
    duty = np.concatenate([points.run_h[:, None], past.run_h], axis=1) / 24.0
    usable = np.isfinite(spm) & (spm > 0.0) & np.isfinite(duty) & (duty > 0.0)
    filled = np.where(usable, spm, points.spm[:, None])
    rate, intake, fill = balance_members(
        members, response.at(filled), response, filled, np.where(usable, duty, 1.0)
    )
    absolute = response.discharge_psi[:, None, None] + STANDARD_PRESSURE_PSI
    opening = valve_opening_position(
        fill, (intake + STANDARD_PRESSURE_PSI) / absolute, points.gas_exponent[:, None, None]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(rate[..., 1:] / rate[..., :1])
        seen = np.log(past.rate_bpd / points.inferred_bpd[:, None])[:, None]
        miss = np.nan_to_num(((ratio - seen) / RATE_RATIO_SPREAD) ** 2)
        miss += np.nan_to_num(((opening[..., 1:] - past.fillage_pct[:, None] / 100.0) / FILL_SPREAD) ** 2)
        moved = intake[..., 1:] - intake[..., :1]
        seen = (past.intake_psi - points.intake_psi[:, None])[:, None]
        miss += np.nan_to_num(((moved - seen) / INTAKE_SPREAD_PSI) ** 2)
    # one gross outlier must not rule
    miss = np.minimum(miss, 25.0) * usable[:, None, 1:]
    total = miss.sum(axis=2)
    likely = np.exp(-0.5 * (total - total.min(axis=1, keepdims=True))) * prior
    likely /= np.maximum(likely.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray((1.0 - PRIOR_SHARE) * likely + PRIOR_SHARE * prior)
