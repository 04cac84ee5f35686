"""At which speed and idle time a well earns most, inside its limits, and how sure that is.

Here: what each set point would bring, and the choice. Not here: what is possible for a well (``possible_wells``), words
(``setpoint_reasons``).

Changes are those of the possible wells added to what was measured, so that what the model has wrong at the present point cancels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.compiled import compiled
from oasis_pipeline.decisions.economics import Economics
from oasis_pipeline.decisions.possible_wells import (
    Z90,
    Past,
    Points,
    balance_members,
    draw_members,
    member_values,
)
from oasis_pipeline.decisions.well_response import QUANTITIES, Response
from oasis_pipeline.physics.constants import MINUTES_PER_DAY, STANDARD_PRESSURE_PSI
from oasis_pipeline.physics.fluids import valve_opening_position

Array = NDArray[np.float64]

Z80 = 1.2816

MIN_SPM = 3.0
"""Slower, splash lubrication of gearboxes fails. A rule of thumb; a well that runs slower already may stay there."""

SPEED_FACTORS = np.concatenate([np.geomspace(0.5, 1.0, 12)[:-1], np.geomspace(1.0, 1.25, 7)[1:]])
DUTY_FACTORS = np.linspace(0.3, 0.95, 10)
LONGER_DUTY_FACTORS = np.array([1.08, 1.16, 1.3, 1.5, 1.8])
"""Set points that are tried, times the present one: a step at a time, then look at the next cards."""

EFFICIENCY = 0.6
"""Polished-rod power over electric power."""
KW_PER_HP = 0.7457

EXPECTED_LIMIT_PCT, LIMIT_PCT = 97.0, 100.0
"""What an advice may bring a load to: expected, and by the upper edge of its interval. Loads are measured to some percent themselves."""

SURE_SHARE = 0.10
"""An advice is given where the change gains in all but this share of the possible wells, errors of the model counted."""

ERROR_SHARES = {"gearbox": 0.40, "structure": 0.10, "rods": 0.30, "least": 0.20, "oil": 0.20, "energy": 0.10}
ERROR_FLOOR, ERROR_BY_SPEED = 0.01, 0.05
"""Error of a predicted change that the possible wells don't have (standard deviation): shares of the change; of the load itself where the
set point is another one; and of the load for a change of speed by a factor of e, because near a resonance of the rods a load climbs within
a tenth of the speed. From the benchmark ``setpoint``."""


SMALLEST_CHANGE = 0.03
"""Smaller changes of speed or run time are not worth a word."""

FLOAT_SHARE = 0.05
"""Share of the rods' buoyant weight that the polished rod carries at least: less, and the carrier bar leaves it."""

FULL_PCT = 93.0
"""Fillage from which on a pump is called full."""

LIMITS = ("gearbox", "structure", "rods", "polished_rod_float")
ACTIONS = ("none", "slow_down", "speed_up", "lengthen_idle_time", "shorten_idle_time")


@dataclass(frozen=True)
class Interval:
    """Expected value and 90 % interval, each of shape (n,)."""

    mean: Array
    lower: Array
    upper: Array


@dataclass(frozen=True)
class Curve:
    """What the set points that were tried would bring to n wells, shape (n, c); the present one stands first.

    Attributes
    ----------
    spm, run_h : ndarray
        Set point; one that is out of bounds repeats the present one.
    oil_change_bpd : Interval
        Expected change of oil.
    load_pct : dict of str to ndarray
        Expected load of gearbox, structure and rods, percent; NaN where it is not known.
    allowed : ndarray of bool
        Whether it keeps every limit that can be judged.
    """

    spm: Array
    run_h: Array
    oil_change_bpd: Interval
    load_pct: dict[str, Array]
    allowed: NDArray[np.bool_]


@dataclass(frozen=True)
class Setpoints:
    """What is advised to n wells, shape (n,).

    Attributes
    ----------
    action : ndarray of str
        One of `ACTIONS`.
    why_none : ndarray of str
        Where no advice is given: ``best_already``, ``too_unsure`` or ``missing``; empty where one is.
    spm, run_h : ndarray
        Advised; the present ones without an advice.
    oil_bpd, energy_kwh_d, gearbox_pct, structure_pct, rods_pct, gain_per_day : Interval
        Expected changes at the advised point; `gain_per_day` in money.
    fillage_pct, intake_psi : ndarray
        Expected at the advised point.
    energy_kwh_per_bbl, advised_energy_kwh_per_bbl : ndarray
        Of liquid, now and at the advised point.
    confidence_pct : ndarray
        Weight of the possible wells that gain.
    off_pct : ndarray
        Weight of the possible wells whose pump empties them, percent.
    binding : ndarray of str
        Limit that keeps a better point out; empty where none does.
    not_judged : list of tuple of str
        Limits that are not known, and so not judged.
    curve : Curve
        Everything that was tried.
    """

    action: NDArray[np.str_]
    why_none: NDArray[np.str_]
    spm: Array
    run_h: Array
    oil_bpd: Interval
    energy_kwh_d: Interval
    gearbox_pct: Interval
    structure_pct: Interval
    rods_pct: Interval
    gain_per_day: Interval
    fillage_pct: Array
    intake_psi: Array
    energy_kwh_per_bbl: Array
    advised_energy_kwh_per_bbl: Array
    confidence_pct: Array
    off_pct: Array
    binding: NDArray[np.str_]
    not_judged: list[tuple[str, ...]]
    curve: Curve


_AT_ONCE = 32


def lacks(points: Points) -> list[list[str]]:
    """Name what each well lacks for an advice, as codes.

    Parameters
    ----------
    points : Points

    Returns
    -------
    list of list of str
        Empty where nothing is missing.
    """
    needed = {
        "no_spm": points.spm,
        "no_fillage": points.fillage_pct,
        "no_production": points.production_bpd,
        "no_water_cut": points.water_cut_pct,
        "no_surface_card": points.pprl_lbf + points.mprl_lbf + points.power_hp,
    }
    bad = {code: ~np.isfinite(values) for code, values in needed.items()}
    with np.errstate(invalid="ignore"):
        bad["no_spm"] |= ~(points.spm > 0.0)
        bad["no_production"] |= ~(points.production_bpd > 0.0)
        bad["no_fillage"] |= ~(points.fillage_pct > 1.0)
        bad["no_runtime"] = ~(points.run_h > 0.25)
        bad["no_surface_card"] |= ~(points.power_hp > 0.0)
    return [[code for code, rows in bad.items() if rows[i]] for i in range(len(points))]


def fastest_spm(stroke_in: Array) -> Array:
    """Speed above which rods don't fall freely: 0.7 sqrt(60,000 / stroke), a rule for conventional units (Takacs, 2015)."""
    return np.asarray(0.7 * np.sqrt(60_000.0 / stroke_in))


def advise_setpoints(points: Points, response: Response, past: Past, economics: Economics) -> Setpoints:
    """Advise set points.

    Parameters
    ----------
    points : Points
        Present points of n wells.
    response : Response
        Their tables.
    past : Past
        Earlier set points, n rows.
    economics : Economics
        Prices.

    Returns
    -------
    Setpoints
        A well that lacks something (`lacks`) gets ``why_none`` ``missing`` and NaN.
    """
    count = len(points)

    def advise(start: int) -> Setpoints:
        rows = slice(start, min(start + _AT_ONCE, count))
        tables = Response(**{f.name: getattr(response, f.name)[rows] for f in fields(Response)})
        return _advise(points.take(rows), tables, past.take(rows), economics)

    if count <= _AT_ONCE:
        return advise(0)
    # NumPy and the compiled parts let other threads run
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        joined: Setpoints = _joined(list(pool.map(advise, range(0, count, _AT_ONCE))))
    return joined


def _joined(parts: Sequence[Any]) -> Any:
    """Put parts one behind the other: arrays, lists, and data classes and dictionaries of them."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, list):
        return [entry for part in parts for entry in part]
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts]) for name in first}
    return type(first)(**{f.name: _joined([getattr(part, f.name) for part in parts]) for f in fields(first)})


def _candidates(points: Points, stroke: Array) -> tuple[Array, Array]:
    """Speeds and duties that are tried, the present point first; shape (n, c). Points that are out of bounds repeat the present one."""
    spm = points.spm[:, None]
    duty = np.clip(points.run_h / 24.0, 0.01, 1.0)[:, None]
    top = np.maximum(fastest_spm(stroke), points.spm)[:, None]
    low = np.minimum(MIN_SPM, points.spm)[:, None]
    speeds = np.round(spm * SPEED_FACTORS, 1)
    speeds = np.where((speeds >= low) & (speeds <= top), speeds, spm)
    duties = np.clip(duty * np.concatenate([DUTY_FACTORS, LONGER_DUTY_FACTORS]), 0.05, 1.0)
    rests = duty < 23.5 / 24.0
    never = np.where(rests & (speeds != spm), 1.0, duty)
    return (
        np.concatenate([spm, speeds, np.where(rests, speeds, spm), spm + 0.0 * duties], axis=1),
        np.concatenate([duty, duty + 0.0 * speeds, never, duties], axis=1),
    )


def _quantiles(values: Array, weight: Array, shares: Sequence[float]) -> list[Array]:
    """Weighted quantiles over the members (axis 1) of (n, m, c), each of shape (n, c)."""
    # members last: sorting along memory is several times faster
    turned = np.ascontiguousarray(np.moveaxis(values, 1, 2))
    found = np.empty((len(shares), *turned.shape[:2]))
    _pick(turned, np.argsort(turned, axis=2), weight, np.asarray(shares), found)
    return list(found)


@compiled
def _pick(values: Array, order: NDArray[np.intp], weight: Array, shares: Array, found: Array) -> None:
    """Fill the first of (n, c, m) sorted values at which the weight of the members reaches each share, shape (shares, n, c)."""
    wells, points, members = values.shape
    for n in range(wells):
        for c in range(points):
            total = 0.0
            for m in range(members):
                total += weight[n, order[n, c, m]]
            for s in range(len(shares)):
                mass, place = 0.0, 0
                for m in range(members):
                    place = order[n, c, m]
                    mass += weight[n, place]
                    if mass >= shares[s] * total:
                        break
                found[s, n, c] = values[n, c, place]


@compiled
def _chances(gain: Array, weight: Array, error: Array) -> Array:
    """Probability that the members' (n, m) gain is above zero, a normal error of the model (n,) added to each."""
    found = np.zeros(len(gain))
    for n in range(len(gain)):
        scale = math.sqrt(2.0) * max(error[n], 1e-9)
        for m in range(gain.shape[1]):
            found[n] += weight[n, m] * 0.5 * (1.0 + math.erf(gain[n, m] / scale))
    return found


def _weighed(values: Array, weight: Array) -> Array:
    """Weighted means of (n, m, c) over the members, shape (n, c)."""
    return np.asarray(np.matmul(weight[:, None], values)[:, 0])


def _spread(values: Array, weight: Array, error: Array) -> Interval:
    """Mean and 90 % interval of (n, m, c) over the members, an error of the model (n, c) added in quadrature."""
    mean = _weighed(values, weight)
    low, high = _quantiles(values, weight, (0.05, 0.95))
    return Interval(
        mean,
        mean - np.hypot(np.maximum(mean - low, 0.0), Z90 * error),
        mean + np.hypot(np.maximum(high - mean, 0.0), Z90 * error),
    )


@dataclass(frozen=True)
class _Trial:
    """What the members (possible wells) do at each set point that is tried: n wells, m members, c set points, the present one first."""

    points: Points
    response: Response
    weight: Array
    """Shape (n, m), as `off`."""
    off: NDArray[np.bool_]
    spm: Array
    """Shape (n, c), as `duty` and `moved`."""
    duty: Array
    moved: Array
    """1 where a set point is not the present one."""
    place: NDArray[np.intp]
    """For each candidate the set point that was tried for it."""
    rate: Array
    """Liquid, bbl/d, shape (n, m, c), as `intake` and `fill`."""
    intake: Array
    fill: Array
    column: Mapping[str, Array]

    def change(self, name: str) -> Array:
        return np.asarray(self.column[name] - self.column[name][:, :, :1])

    @property
    def strokes(self) -> Array:
        """Strokes a day, shape (n, c)."""
        return self.spm * self.duty * MINUTES_PER_DAY

    def mean(self, values: Array) -> Array:
        return _weighed(values, self.weight)


def _try_set_points(points: Points, response: Response, past: Past) -> _Trial:
    """Draw possible wells, and let each pump at every candidate."""
    members = draw_members(points, response.at(points.spm[:, None]), response, past)
    stroke = np.where(points.stroke_in > 0.0, points.stroke_in, 100.0)
    spm, duty = _candidates(points, stroke)
    # what repeats the present point for all these wells need not be asked
    tried = np.flatnonzero(((spm != spm[:, :1]) | (duty != duty[:, :1])).any(axis=0))
    place = np.zeros(spm.shape[1], dtype=np.intp)
    place[tried] = 1 + np.arange(len(tried))
    tried = np.concatenate([[0], tried])
    spm, duty = spm[:, tried], duty[:, tried]
    tables = response.at(spm)
    rate, intake, fill = balance_members(members, tables, response, spm, duty)
    got = member_values(tables, members, fill, intake, response.low_intake_psi, response.high_intake_psi)
    moved = np.abs(spm / spm[:, :1] - 1.0) + np.abs(duty / duty[:, :1] - 1.0) > 1e-9
    return _Trial(
        points,
        response,
        members.weight,
        members.off,
        spm,
        duty,
        moved.astype(np.float64),
        place,
        rate,
        intake,
        fill,
        {name: got[..., k] for k, name in enumerate(QUANTITIES)},
    )


@dataclass(frozen=True)
class _Loads:
    """Loads in percent of their ratings, and which set points each limit allows."""

    present: Mapping[str, Array]
    """Shape (n,)."""
    shifts: Mapping[str, Array]
    """Changes of each member, shape (n, m, c)."""
    changes: Mapping[str, Interval]
    """Shape (n, c)."""
    allowed: Mapping[str, NDArray[np.bool_]]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        return np.asarray(np.logical_and.reduce(list(self.allowed.values())))


def _judge_loads(trial: _Trial) -> _Loads:
    """Hold loads against their limits at the upper edge of what the model may err."""
    points, moved = trial.points, trial.moved
    floor = ERROR_FLOOR * moved + ERROR_BY_SPEED * np.maximum(np.log(trial.spm / trial.spm[:, :1]), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_torque = np.where(points.torque_in_lbf > 0.0, points.gearbox_pct / points.torque_in_lbf, np.nan)
        per_load = np.where(points.pprl_lbf > 0.0, points.structure_pct / points.pprl_lbf, np.nan)
    present = {"gearbox": points.gearbox_pct, "structure": points.structure_pct, "rods": points.rods_pct}
    shifts = {
        "gearbox": trial.change("torque_in_lbf") * per_torque[:, None, None],
        "structure": trial.change("pprl_lbf") * per_load[:, None, None],
        "rods": trial.change("rods_pct"),
    }
    changes, allowed = {}, {}
    for name, shift in shifts.items():
        level = present[name][:, None]
        error = ERROR_SHARES[name] * np.abs(trial.mean(shift)) + floor * level
        found = changes[name] = _spread(shift, trial.weight, error)
        judged = np.isfinite(level + found.upper)
        # An overload may stay where it is or fall, never grow.
        calm = (found.upper <= 0.5) | ((found.mean <= 0.0) & (level + found.upper <= LIMIT_PCT))
        with np.errstate(invalid="ignore"):
            inside = (level + found.upper <= LIMIT_PCT) & (level + found.mean <= EXPECTED_LIMIT_PCT)
        allowed[name] = ~judged | inside | calm | (moved == 0.0)
    least = trial.change("mprl_lbf")
    centre = trial.mean(least)
    error = ERROR_SHARES["least"] * np.abs(centre) + floor * points.pprl_lbf[:, None]
    low_load = points.mprl_lbf[:, None] + _spread(least, trial.weight, error).lower
    wanted = FLOAT_SHARE * trial.response.rod_weight_lbf[:, None]
    allowed["polished_rod_float"] = (low_load >= wanted) | (centre >= 0.0) | (moved == 0.0)
    return _Loads(present, shifts, changes, allowed)


@dataclass(frozen=True)
class _Money:
    """What each set point changes: oil (bbl/d) and energy (kWh/d) of each member, and the money of it a day."""

    oil: Array
    """Shape (n, m, c), as `energy` and `gain`."""
    energy: Array
    gain: Array
    oil_error: Array
    """Of the model, bbl/d, shape (n, c)."""
    value_error: Array
    value: Interval
    cost: Array
    """Of the change itself, a day of the horizon."""


def _count_money(trial: _Trial, loads: _Loads, economics: Economics) -> _Money:
    """Count oil less energy, wear and overload."""
    points, spm, price = trial.points, trial.spm, economics.oil_price_per_bbl
    oil = trial.rate * (1.0 - np.clip(points.water_cut_pct, 0.0, 100.0)[:, None, None] / 100.0)
    work = np.maximum(trial.column["work_in_lbf"], 1.0)
    power = points.power_hp[:, None, None] * work / work[:, :, :1] * (spm / spm[:, :1])[:, None]
    energy = power * KW_PER_HP / EFFICIENCY * 24.0 * trial.duty[:, None]
    net = (
        oil * price
        - energy * economics.energy_price_per_kwh
        - trial.strokes[:, None] / 1000.0 * economics.wear_per_1000_strokes
    )
    for name, cost in (
        ("gearbox", economics.job_cost.gearbox),
        ("structure", economics.job_cost.gearbox),
        ("rods", economics.job_cost.rod),
    ):
        load = loads.present[name][:, None, None] + loads.shifts[name]
        over = np.nan_to_num(np.maximum(load - 100.0, 0.0))
        net = net - economics.overload_failure_pct / 100.0 * over / 10.0 * cost / economics.horizon_days
    gain = net - net[:, :, :1]
    oil_error = ERROR_SHARES["oil"] * np.abs(trial.mean(oil - oil[:, :, :1]))
    visit = economics.job_cost.visit / economics.horizon_days
    # idle time alone costs a quarter of a visit
    of_change = np.where(np.abs(spm / spm[:, :1] - 1.0) > 1e-9, visit, 0.25 * visit) * trial.moved
    return _Money(
        oil,
        energy,
        gain,
        oil_error,
        oil_error * price,
        _spread(gain, trial.weight, oil_error * price),
        of_change,
    )


@dataclass(frozen=True)
class _Choice:
    """The set point of each well that is advised, or the present one and why."""

    best: NDArray[np.intp]
    advised: NDArray[np.bool_]
    why_none: NDArray[np.str_]
    binding: NDArray[np.str_]
    """Limit that keeps a well from a better point."""


def _choose(trial: _Trial, loads: _Loads, money: _Money, missing: NDArray[np.bool_]) -> _Choice:
    """Choose what earns most among the set points that surely gain and keep within the limits."""
    spm, duty, feasible = trial.spm, trial.duty, loads.feasible
    may = trial.points.may_rise[:, None] | (trial.strokes <= trial.strokes[:, :1])
    # half way to the lower edge: of two points that earn alike the surer one
    worth = 0.5 * (money.value.mean + money.value.lower) - money.cost
    size = np.maximum(np.abs(spm / spm[:, :1] - 1.0), np.abs(duty / duty[:, :1] - 1.0))
    good = may & (size >= SMALLEST_CHANGE) & (worth > 0.0)
    (tenth,) = _quantiles(money.gain, trial.weight, (SURE_SHARE,))
    doubt = np.hypot(np.maximum(money.value.mean - tenth, 0.0), Z80 * money.value_error)
    sure = good & (money.value.mean > doubt)
    advised = (sure & feasible).any(axis=1) & ~missing
    best = np.where(advised, np.where(sure & feasible, worth, -np.inf).argmax(axis=1), 0)
    row, dreamt = np.arange(len(best)), np.where(sure, worth, -np.inf).argmax(axis=1)
    binding = np.full(len(best), "", dtype="<U20")
    kept_out = ~missing & sure.any(axis=1) & ~feasible[row, dreamt]
    for name in reversed(LIMITS):
        binding = np.where(kept_out & ~loads.allowed[name][row, dreamt], name, binding)
    unsure = np.where((good & feasible).any(axis=1), "too_unsure", "best_already")
    why_none = np.where(advised, "", np.where(missing, "missing", unsure))
    return _Choice(best, advised, why_none.astype("<U12"), binding)


def _name_actions(trial: _Trial, choice: _Choice) -> NDArray[np.str_]:
    """Name what is to be done, by speed and by strokes a day."""
    row, now = np.arange(len(choice.best)), trial.points.spm
    spm = trial.spm[row, choice.best]
    faster, slower = spm > now * (1.0 + 1e-9), spm < now * (1.0 - 1e-9)
    share_of_strokes = spm * trial.duty[row, choice.best] / (now * trial.duty[:, 0])
    # slower all day long instead of faster part of it is a slower unit, not less rest
    rises = np.where(slower, share_of_strokes > 1.1, share_of_strokes > 1.0)
    more_or_fewer = np.where(
        rises,
        np.where(faster, "speed_up", "shorten_idle_time"),
        np.where(slower, "slow_down", "lengthen_idle_time"),
    )
    return np.where(choice.advised, more_or_fewer, "none")


def _advise(points: Points, response: Response, past: Past, economics: Economics) -> Setpoints:
    missing = np.array([bool(codes) for codes in lacks(points)], dtype=np.bool_)
    # wells that lack something run along with numbers that can't hurt, and get nothing
    trial = _try_set_points(_filled(points, missing), response, past)
    loads = _judge_loads(trial)
    money = _count_money(trial, loads, economics)
    choice = _choose(trial, loads, money, missing)
    row, best, hidden = np.arange(len(points)), choice.best, missing[:, None]

    def at(values: Array) -> Array:
        """Of the advised point."""
        return np.asarray(np.where(missing, np.nan, values[row, best]))

    def interval(found: Interval) -> Interval:
        return Interval(at(found.mean), at(found.lower), at(found.upper))

    def told(values: Array) -> Array:
        """Of all candidates."""
        return np.asarray(np.where(hidden, np.nan, values[:, trial.place]))

    saved = money.energy - money.energy[:, :, :1]
    energy_error = ERROR_SHARES["energy"] * np.abs(trial.mean(saved))
    energy = _spread(saved[row, :, best][:, :, None], trial.weight, energy_error[row, best][:, None])
    oil_doubt = money.oil_error + 0.3 * ERROR_FLOOR * trial.moved * trial.mean(money.oil)
    oil_change = _spread(money.oil - money.oil[:, :, :1], trial.weight, oil_doubt)
    per_barrel = trial.mean(money.energy / np.maximum(trial.rate, 0.01))
    absolute = response.discharge_psi[:, None, None] + STANDARD_PRESSURE_PSI
    exponent = trial.points.gas_exponent[:, None, None]
    opening = valve_opening_position(trial.fill, (trial.intake + STANDARD_PRESSURE_PSI) / absolute, exponent)
    won = _chances(money.gain[row, :, best], trial.weight, money.value_error[row, best])
    curve = Curve(
        spm=told(trial.spm),
        run_h=told(24.0 * trial.duty),
        oil_change_bpd=Interval(told(oil_change.mean), told(oil_change.lower), told(oil_change.upper)),
        load_pct={
            name: told(loads.present[name][:, None] + loads.changes[name].mean) for name in loads.present
        },
        allowed=loads.feasible[:, trial.place] & ~hidden,
    )
    return Setpoints(
        action=_name_actions(trial, choice),
        why_none=choice.why_none,
        spm=np.where(choice.advised, trial.spm[row, best], points.spm),
        run_h=np.where(choice.advised, 24.0 * trial.duty[row, best], points.run_h),
        oil_bpd=interval(oil_change),
        energy_kwh_d=Interval(
            *(np.where(missing, np.nan, part[:, 0]) for part in (energy.mean, energy.lower, energy.upper))
        ),
        gearbox_pct=interval(loads.changes["gearbox"]),
        structure_pct=interval(loads.changes["structure"]),
        rods_pct=interval(loads.changes["rods"]),
        gain_per_day=interval(money.value),
        fillage_pct=at(100.0 * trial.mean(opening)),
        intake_psi=at(trial.mean(trial.intake)),
        energy_kwh_per_bbl=np.where(missing, np.nan, per_barrel[:, 0]),
        advised_energy_kwh_per_bbl=at(per_barrel),
        confidence_pct=np.where(choice.advised, 100.0 * won, np.nan),
        off_pct=np.where(missing, np.nan, 100.0 * (trial.weight * trial.off).sum(axis=1)),
        binding=choice.binding,
        not_judged=[
            tuple(name for name in loads.present if not np.isfinite(loads.present[name][well]))
            for well in row
        ],
        curve=curve,
    )


_HARMLESS = {
    "spm": 8.0,
    "run_h": 24.0,
    "fillage_pct": 90.0,
    "production_bpd": 100.0,
    "water_cut_pct": 50.0,
    "pprl_lbf": 20_000.0,
    "mprl_lbf": 8_000.0,
    "power_hp": 10.0,
}


def _filled(points: Points, missing: NDArray[np.bool_]) -> Points:
    values = {f.name: getattr(points, f.name) for f in fields(points)}
    for name, column in values.items():
        if column.dtype.kind == "f":
            values[name] = np.where(np.isfinite(column), column, np.nan)
    for name, harmless in _HARMLESS.items():
        values[name] = np.where(missing, harmless, values[name])
    exponent = values["gas_exponent"]
    values["gas_exponent"] = np.where(exponent > 0.0, exponent, 1.18)
    return Points(**values)
