"""What the physics says of a card, as numbers that mean the same in every well.

Belongs here: the block of features made from the diagnosis (``clean.carddiag``), from the pump card in time, and from the rods: loads
as shares of the fluid load that the pump can carry, lengths as shares of the stroke, spikes as inches of rod. Does not belong here: the
diagnosis itself (``physics``), shapes of cards (``features``).

Why shares: a tap of 500 lbf is a hammer on a shallow pump and nothing on a deep one. The pump's whole discharge load (plunger area times
discharge pressure), the buoyant rod weight and the give of the rods are known without looking at the card, so they don't move with
the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Array = NDArray[np.float64]

DIAGNOSED = (
    "fillage_pct",
    "fillage_spread_pct",
    "fillage_vertical_pct",
    "fillage_horizontal_pct",
    "fillage_corner_pct",
    "fillage_gas_law_pct",
    "fillage_area_pct",
    "gross_stroke_in",
    "net_stroke_in",
    "fluid_load_upper_lbf",
    "fluid_load_lower_lbf",
    "fluid_load_lbf",
    "pump_intake_pressure_psi",
    "pump_discharge_pressure_psi",
    "friction_lbf",
    "tubing_movement_in",
    "tv_leak_bpd",
    "sv_leak_bpd",
    "slippage_bpd",
    "gross_displacement_bpd",
    "pprl_lbf",
    "mprl_lbf",
    "polished_rod_power_hp",
    "pump_power_hp",
    "load_offset_lbf",
    "position_phase_deg",
    "balance_damping",
    "parted_depth_ft",
)
"""Columns of the diagnosis that the block is made from."""

READINGS = (
    "pickup_speed_in_per_s",
    "unload_speed_in_per_s",
    "pickup_travel_in",
    "unload_travel_in",
    "upper_slope",
    "lower_slope",
    "shelf_friction_lbf",
    "pickup_time_s",
    "upper_rest_lbf",
    "lower_rest_lbf",
    "upper_lbf",
    "lower_lbf",
    "gross_stroke_in",
)
"""Readings of the pump card (`physics.diagnosis.reading`) that the block is made from."""

_PLAIN = (
    "fillage_pct",
    "fillage_spread_pct",
    "fillage_vertical_pct",
    "fillage_horizontal_pct",
    "fillage_corner_pct",
    "fillage_gas_law_pct",
    "fillage_area_pct",
    "damping",
    "position_phase_deg",
)
_HARMONICS = np.arange(6, 16)
_CEILING = 30.0
_CARDS_AT_ONCE = 512
_TOP_PARTS = ((0.99, 1.01), (0.97, 1.01), (0.93, 1.01), (0.85, 0.95))
_BOTTOM_PARTS = ((-0.01, 0.01), (-0.01, 0.03), (-0.01, 0.07), (0.05, 0.15))
_DWELL = (0.985, 0.97, 0.93)
_LEVELS = (0.2, 0.4, 0.6, 0.8)
_ENDS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13)
_GIVE_FROM, _GIVE_TO = 0.2, 0.8
_BANDS = ((5, 9), (9, 15), (15, 26))
_RIPPLES = ((True, 0.25, 0.85), (False, 0.1, 0.45), (False, 0.35, 0.85))
"""Where ripples of the load lines are looked for: rising or not, and from where to where of the travel."""
_WEAR_PARTS = tuple((0.1 * k, 0.1 * (k + 1)) for k in range(1, 9))


def physics_names() -> list[str]:
    """Return the names of the block's columns in their order."""
    names = [*_PLAIN]
    names += [
        "plunger_travel_share",
        "net_stroke_share",
        "upper_line_share",
        "lower_line_share",
        "fluid_load_share",
        "intake_share",
        "friction_share",
        "tubing_movement_share",
        "tubing_movement_per_load",
        "tv_leak_share",
        "sv_leak_share",
        "slippage_share",
        "pprl_over_lines_share",
        "mprl_over_lines_share",
        "load_offset_share",
        "pump_power_share",
        "is_parted",
        "mean_over_weight_share",
        "pprl_to_weight",
        "mprl_to_weight",
    ]
    names += [
        "pickup_speed_share",
        "unload_speed_share",
        "pickup_travel_share",
        "unload_travel_share",
        "least_travel_share",
        "upper_slope_share",
        "lower_slope_share",
        "shelf_friction_share",
        "pickup_time_share",
        "rest_span_share",
        "rest_upper_share",
        "rest_lower_share",
    ]
    names += ["shaking_share", "shaking_contrast", "shaking_load_share", "shaking_load_contrast"]
    for place, parts in (("top", _TOP_PARTS), ("bottom", _BOTTOM_PARTS)):
        for number in range(len(parts)):
            for kind in ("over", "under"):
                names += [f"{place}{number}_{kind}_share", f"{place}{number}_{kind}_stretch_in"]
    names += [f"upstroke_part{number}_share" for number in range(len(_WEAR_PARTS))]
    names += [f"downstroke_part{number}_share" for number in range(len(_WEAR_PARTS))]
    names += ["upstroke_dip_share", "upstroke_rough_share", "downstroke_rough_share", "rod_give_in"]
    for place in ("top", "bottom"):
        for number in range(len(_DWELL)):
            names += [f"{place}_dwell{number}_share", f"{place}_dwell{number}_load_share"]
            names += [f"{place}_dwell{number}_stretch_in"]
        names += [f"{place}_overrun_share", f"{place}_overrun_per_give", f"{place}_turn_load_share"]
    for move in ("pickup", "unload"):
        for level in _LEVELS:
            names += [f"{move}_at{100 * level:.0f}_share", f"{move}_at{100 * level:.0f}_time"]
        names += [f"{move}_width_share", f"{move}_width_time"]
    names += [f"upstroke_first{number}_share" for number in range(len(_ENDS) - 1)]
    names += [f"downstroke_first{number}_share" for number in range(len(_ENDS) - 1)]
    names += [f"wear{number}_share" for number in range(10)] + ["wear_dip_share"]
    names += ["tubing_give_share", "tubing_give_per_load", "passing_fluid_share", "least_give_share"]
    names += [
        f"{move}_{what}" for move in ("pickup", "unload") for what in ("give_share", "time", "middle_time")
    ]
    names += ["stretch_to_stroke", "speed_to_natural"]
    names += [f"load_band{number}_share" for number in range(len(_BANDS))]
    names += [f"ripple{number}_{what}" for number in range(len(_RIPPLES)) for what in ("share", "turns")]
    return [f"physics_{name}" for name in names]


@dataclass(frozen=True)
class PumpKnowledge:
    """What is known of the pump and the rods beside the cards; every array has shape (n,), NaN where unknown.

    Attributes
    ----------
    diagnosed : mapping of str to ndarray
        `DIAGNOSED` columns of the diagnosis of each card.
    readings : mapping of str to ndarray
        `READINGS` of each row's pump card.
    buoyant_weight_lbf : ndarray
        Of the rod string.
    discharge_load_lbf : ndarray
        Plunger area times discharge pressure: the fluid load at an intake pressure of nothing.
    stretch_in_per_lbf : ndarray
        Give of the rod string.
    impedance_lbf_s_per_in : ndarray
        Of the top taper: load made by a velocity that is no resonance.
    pump_position_in, pump_load_lbf : ndarray, shape (n, points)
        Pump cards in time, effective loads where computed; NaN rows where there is none.
    is_computed : ndarray of bool
        Whether the pump card was computed from the surface card (else it is the controller's).
    """

    diagnosed: Mapping[str, Float]
    readings: Mapping[str, Float]
    buoyant_weight_lbf: Float
    discharge_load_lbf: Float
    stretch_in_per_lbf: Float
    impedance_lbf_s_per_in: Float
    pump_position_in: Float
    pump_load_lbf: Float
    is_computed: NDArray[np.bool_]

    def take(self, rows: slice) -> PumpKnowledge:
        """Return what is known of some rows."""
        values = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("diagnosed", "readings")
        }
        return PumpKnowledge(
            {name: self.diagnosed[name][rows] for name in DIAGNOSED},
            {name: self.readings[name][rows] for name in READINGS},
            **{name: value[rows] for name, value in values.items()},
        )


def physics_block(
    known: PumpKnowledge, surface_position_in: Float, surface_load_lbf: Float, spm: Float
) -> NDArray[np.float32]:
    """Compute the block.

    Parameters
    ----------
    known : PumpKnowledge
        Of n rows.
    surface_position_in, surface_load_lbf : ndarray, shape (n, points)
        Surface cards in time; NaN rows where there is none.
    spm : ndarray, shape (n,)

    Returns
    -------
    ndarray of float32, shape (n, columns)
        In the order of `physics_names`; NaN where something is not known.
    """
    parts = []
    for first in range(0, len(spm), _CARDS_AT_ONCE):
        rows = slice(first, first + _CARDS_AT_ONCE)
        few, position = known.take(rows), np.asarray(surface_position_in[rows], np.float64)
        load = np.asarray(surface_load_lbf[rows], np.float64)
        with np.errstate(all="ignore"):
            columns = [
                *_from_diagnosis(few, position, load),
                *_from_readings(few, spm[rows]),
                *_shaking(few, position, load, spm[rows]),
                *_from_pump_card(few),
                *_ends(few, position),
                *_transfers(few),
                *_tubing(few),
                *_waves(few, position, load, spm[rows]),
                *_ripples(few),
            ]
        block = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
        parts.append(np.where(np.isfinite(block), block, np.nan).astype(np.float32))
    return np.concatenate(parts) if parts else np.empty((0, len(physics_names())), np.float32)


def _bounded(values: Float) -> Array:
    return np.asarray(np.clip(values, -_CEILING, _CEILING), np.float64)


def _from_diagnosis(known: PumpKnowledge, position: Float, load: Float) -> list[Array]:
    """Columns of the diagnosis as they are, and as shares."""
    d = {name: np.asarray(known.diagnosed[name], np.float64) for name in DIAGNOSED}
    full, weight = known.discharge_load_lbf, known.buoyant_weight_lbf
    stroke = np.ptp(position, axis=1)
    gross = d["gross_displacement_bpd"]
    loads = {
        "upper": d["fluid_load_upper_lbf"] / full,
        "lower": d["fluid_load_lower_lbf"] / full,
        "fluid": d["fluid_load_lbf"] / full,
    }
    shares = [
        d["gross_stroke_in"] / stroke,
        d["net_stroke_in"] / stroke,
        loads["upper"],
        loads["lower"],
        loads["fluid"],
        # a pressure that is not told because the fluid load is the whole discharge pressure's
        np.where(
            np.isnan(d["pump_intake_pressure_psi"]) & (np.abs(loads["fluid"] - 1.0) < 1e-6),
            0.0,
            d["pump_intake_pressure_psi"] / d["pump_discharge_pressure_psi"],
        ),
        d["friction_lbf"] / full,
        d["tubing_movement_in"] / stroke,
        d["tubing_movement_in"] / stroke / np.maximum(loads["fluid"], 0.05),
        d["tv_leak_bpd"] / gross,
        d["sv_leak_bpd"] / gross,
        d["slippage_bpd"] / gross,
        (d["pprl_lbf"] - weight - full) / full,
        (d["mprl_lbf"] - weight) / full,
        d["load_offset_lbf"] / full,
        d["pump_power_hp"] / d["polished_rod_power_hp"],
        np.where(np.isfinite(weight), np.isfinite(d["parted_depth_ft"]), np.nan),
        (load.mean(axis=1) - weight) / full,
        d["pprl_lbf"] / weight,
        d["mprl_lbf"] / weight,
    ]
    plain = d | {"damping": d["balance_damping"]}
    return [plain[name] for name in _PLAIN] + [_bounded(share) for share in shares]


def _from_readings(known: PumpKnowledge, spm: Float) -> list[Array]:
    """Readings of the pump card as shares of stroke, speed and load."""
    r = {name: np.asarray(known.readings[name], np.float64) for name in READINGS}
    full, stroke = known.discharge_load_lbf, r["gross_stroke_in"]
    full = np.where(np.isfinite(full), full, r["upper_lbf"] - r["lower_lbf"])
    fastest = stroke * np.pi * spm / 60.0
    shares = [
        r["pickup_speed_in_per_s"] / fastest,
        r["unload_speed_in_per_s"] / fastest,
        r["pickup_travel_in"] / stroke,
        r["unload_travel_in"] / stroke,
        np.minimum(r["pickup_travel_in"], r["unload_travel_in"]) / stroke,
        r["upper_slope"] * fastest / full,
        r["lower_slope"] * fastest / full,
        r["shelf_friction_lbf"] / full,
        r["pickup_time_s"] * spm / 60.0,
        (r["upper_rest_lbf"] - r["lower_rest_lbf"]) / full,
        r["upper_rest_lbf"] / full,
        r["lower_rest_lbf"] / full,
    ]
    return [_bounded(share) for share in shares]


def _shaking(known: PumpKnowledge, position: Float, load: Float, spm: Float) -> list[Array]:
    """Size of the polished rod's fast harmonics: what a smooth unit doesn't make."""
    motion = 2.0 * np.abs(np.fft.rfft(np.asarray(position, np.float64), axis=1)) / position.shape[1]
    force = 2.0 * np.abs(np.fft.rfft(np.asarray(load, np.float64), axis=1)) / load.shape[1]
    speed = motion[:, _HARMONICS] * (_HARMONICS * 2.0 * np.pi / 60.0) * np.asarray(spm)[:, None]
    made = speed * known.impedance_lbf_s_per_in[:, None] / known.discharge_load_lbf[:, None]
    stroke = np.ptp(position, axis=1)
    relative = motion[:, _HARMONICS] / stroke[:, None]
    span = np.ptp(load, axis=1)
    felt = force[:, _HARMONICS] / span[:, None]
    return [
        _bounded(made.max(axis=1)),
        np.log10(np.maximum(relative.max(axis=1), 1e-7) / np.maximum(np.median(relative, axis=1), 1e-7)),
        _bounded(felt.max(axis=1)),
        _bounded(felt.max(axis=1) / np.median(felt, axis=1)),
    ]


def _from_pump_card(known: PumpKnowledge) -> list[Array]:
    """Loads at the ends of the plunger's travel and along it, measured from the load lines."""
    x = np.asarray(known.pump_position_in, np.float64)
    f = np.asarray(known.pump_load_lbf, np.float64)
    full = np.asarray(known.discharge_load_lbf, np.float64)
    upper, lower = (np.asarray(known.readings[name], np.float64) for name in ("upper_lbf", "lower_lbf"))
    full = np.where(np.isfinite(full), full, upper - lower)
    give = np.asarray(known.stretch_in_per_lbf, np.float64)
    low = x.min(axis=1, keepdims=True)
    share = (x - low) / np.ptp(x, axis=1)[:, None]
    rising = np.roll(x, -1, axis=1) >= np.roll(x, 1, axis=1)
    result: list[Array] = []
    for line, parts in ((upper, _TOP_PARTS), (lower, _BOTTOM_PARTS)):
        for first, last in parts:
            inside = (share >= first) & (share <= last)
            over = np.where(inside, f, -np.inf).max(axis=1) - line
            under = line - np.where(inside, f, np.inf).min(axis=1)
            result += [
                _bounded(over / full),
                _bounded(over * give),
                _bounded(under / full),
                _bounded(under * give),
            ]
    for direction, line in ((rising, upper), (~rising, lower)):
        for first, last in _WEAR_PARTS:
            inside = direction & (share >= first) & (share < last)
            count = inside.sum(axis=1)
            mean = np.where(inside, f, 0.0).sum(axis=1) / count
            result.append(_bounded((mean - line) / full))
    parts_up = np.stack(result[-2 * len(_WEAR_PARTS) : -len(_WEAR_PARTS)], axis=1)
    sides = 0.5 * (parts_up[:, 1:3].max(axis=1) + parts_up[:, 6:8].max(axis=1))
    result.append(_bounded(sides - parts_up[:, 3:6].min(axis=1)))
    bend = np.abs(np.roll(f, -1, axis=1) - 2.0 * f + np.roll(f, 1, axis=1))
    for direction in (rising, ~rising):
        inside = direction & (share > 0.3) & (share < 0.85)
        result.append(_bounded(np.where(inside, bend, 0.0).sum(axis=1) / inside.sum(axis=1) / full))
    result.append(np.asarray(full * give))
    return result


def _own_lines(known: PumpKnowledge) -> tuple[Array, Array, Array, Array, Array]:
    """Pump cards as shares of their travel, loads, load lines, and the load that the pump can carry."""
    x = np.asarray(known.pump_position_in, np.float64)
    f = np.asarray(known.pump_load_lbf, np.float64)
    share = (x - x.min(axis=1, keepdims=True)) / np.ptp(x, axis=1)[:, None]
    upper, lower = (np.asarray(known.readings[name], np.float64) for name in ("upper_lbf", "lower_lbf"))
    full = np.asarray(known.discharge_load_lbf, np.float64)
    return share, f, upper, lower, np.where(np.isfinite(full), full, upper - lower)


def _ends(known: PumpKnowledge, surface_position_in: Float) -> list[Array]:
    """How the plunger comes to rest while the polished rod still moves: a pump that taps stands against a stop and the rods give."""
    share, f, upper, lower, full = _own_lines(known)
    surface = np.where(known.is_computed[:, None], np.asarray(surface_position_in, np.float64), np.nan)
    rising = np.roll(surface, -1, axis=1) > np.roll(surface, 1, axis=1)
    known_motion = np.asarray(np.isfinite(surface).all(axis=1))
    give = np.asarray(known.stretch_in_per_lbf, np.float64)
    result: list[Array] = []
    for sign, line, before, height in (
        (1.0, upper, rising & known_motion[:, None], share),
        (-1.0, lower, ~rising & known_motion[:, None], 1.0 - share),
    ):
        travel = sign * surface
        first_travel = None
        for limit in _DWELL:
            inside = before & (height >= limit)
            count = inside.sum(axis=1)
            excess = sign * (np.where(inside, f, 0.0).sum(axis=1) / count - line)
            result += [
                np.where(known_motion, count / share.shape[1], np.nan),
                _bounded(excess / full),
                _bounded(excess * give),
            ]
            if first_travel is None:
                first_travel = np.where(inside, travel, np.inf).min(axis=1)
        assert first_travel is not None
        overrun = travel.max(axis=1) - first_travel
        turn = np.take_along_axis(f, np.nan_to_num(travel, nan=-np.inf).argmax(axis=1)[:, None], axis=1)[:, 0]
        result += [
            _bounded(overrun / np.ptp(surface, axis=1)),
            _bounded(overrun / (full * give)),
            np.where(known_motion, _bounded(sign * (turn - line) / full), np.nan),
        ]
    return result


def _transfers(known: PumpKnowledge) -> list[Array]:
    """Where and when the load passes from one valve to the other, and the upstroke's line in fine steps."""
    share, f, upper, lower, full = _own_lines(known)
    points = share.shape[1]
    level = (f - lower[:, None]) / (upper - lower)[:, None]
    result: list[Array] = []
    place = np.nan_to_num(share, nan=0.0)
    for start, gone, seen in (
        (place.argmin(axis=1), share, level),
        (place.argmax(axis=1), 1.0 - share, 1.0 - level),
    ):
        order = (start[:, None] + np.arange(points)) % points
        travel, passed = (np.take_along_axis(values, order, axis=1) for values in (gone, seen))
        places, times = [], []
        for wanted in _LEVELS:
            above = passed >= wanted
            last = np.where(above.any(axis=1), above.argmax(axis=1), points - 1)
            before = np.maximum(last - 1, 0)
            ends = [np.take_along_axis(passed, k[:, None], axis=1)[:, 0] for k in (before, last)]
            weight = np.clip(
                (wanted - ends[0]) / np.where(ends[1] > ends[0], ends[1] - ends[0], 1.0), 0.0, 1.0
            )
            sides = [np.take_along_axis(travel, k[:, None], axis=1)[:, 0] for k in (before, last)]
            places.append(sides[0] + weight * (sides[1] - sides[0]))
            times.append((before + weight) / points)
            result += [places[-1], np.where(np.isfinite(upper), times[-1], np.nan)]
        result += [places[-1] - places[0], np.where(np.isfinite(upper), times[-1] - times[0], np.nan)]
    rising = np.roll(share, -1, axis=1) >= np.roll(share, 1, axis=1)
    for direction, height in ((rising, share), (~rising, 1.0 - share)):
        for first, last_share in pairwise(_ENDS):
            inside = direction & (height >= first) & (height < last_share)
            result.append(_bounded(np.where(inside, level, 0.0).sum(axis=1) / inside.sum(axis=1)))
    fine = []
    for number in range(10):
        inside = rising & (share >= 0.3 + 0.045 * number) & (share < 0.3 + 0.045 * (number + 1))
        fine.append(_bounded((np.where(inside, f, 0.0).sum(axis=1) / inside.sum(axis=1) - upper) / full))
    profile = np.stack(fine, axis=1)
    straight = np.linspace(0.0, 1.0, 10)
    chord = profile[:, :1] * (1.0 - straight) + profile[:, -1:] * straight
    return [*result, *fine, _bounded((chord - profile).max(axis=1))]


def _tubing(known: PumpKnowledge) -> list[Array]:
    """How far the barrel moves with the load, told apart from a leak by taking both load transfers together.

    While the load passes from F1 to F2, both valves shut, the plunger travels x = (F2 - F1)/k + v t: the tubing's give, and what a leak of the
    speed v lets past in the time t. The give changes its sign with the load, the leak does not, so pick-up and unloading give both. Crossings are
    looked for from a quarter of the cycle before each end of the stroke: with a leaking standing valve the load is picked up before the bottom.
    """
    share, f, upper, lower, full = _own_lines(known)
    points = share.shape[1]
    level = (f - lower[:, None]) / (upper - lower)[:, None]
    usable = np.isfinite(level).all(axis=1)
    place = np.nan_to_num(share, nan=0.0)
    window = np.arange(3 * points // 4)
    travels, times, middles = [], [], []
    for end, passed in ((place.argmin(axis=1), level), (place.argmax(axis=1), 1.0 - level)):
        order = (end[:, None] - points // 4 + window) % points
        here = np.take_along_axis(passed, order, axis=1)
        there = here >= _GIVE_TO
        last = np.where(there.any(axis=1), there.argmax(axis=1), len(window) - 1)
        low = (here <= _GIVE_FROM) & (window < last[:, None])
        first = np.where(low.any(axis=1), len(window) - 1 - low[:, ::-1].argmax(axis=1), 0)
        begin = _crossing(here, first, _GIVE_FROM)
        stop = _crossing(here, np.maximum(last - 1, 0), _GIVE_TO)
        travels.append(_between(place, order, stop) - _between(place, order, begin))
        times.append(np.maximum(stop - begin, 0.25) / points)
        middles.append((0.5 * (begin + stop) - points // 4) / points)
    give = (travels[0] * times[1] - travels[1] * times[0]) / (times[0] + times[1]) / (_GIVE_TO - _GIVE_FROM)
    leak = (travels[0] + travels[1]) / (times[0] + times[1])
    own = (travels[0] / (_GIVE_TO - _GIVE_FROM), -travels[1] / (_GIVE_TO - _GIVE_FROM))
    columns = [give, give * full / (upper - lower), leak, np.minimum(*own)]
    for number in range(2):
        columns += [own[number], times[number], middles[number]]
    return [np.where(usable, _bounded(column), np.nan) for column in columns]


def _waves(known: PumpKnowledge, position: Float, load: Float, spm: Float) -> list[Array]:
    """What the rods answer to at this speed (the two numbers of API RP 11L), and the load's fast harmonics as shares of the pump's load."""
    full, give = known.discharge_load_lbf, known.stretch_in_per_lbf
    # stretch times impedance is the time that a wave takes to the pump, a quarter of the lowest mode's period
    natural = 4.0 * give * known.impedance_lbf_s_per_in * np.asarray(spm, np.float64) / 60.0
    force = 2.0 * np.abs(np.fft.rfft(load, axis=1)) / load.shape[1]
    bands = [force[:, first:end].max(axis=1) / full for first, end in _BANDS]
    return [_bounded(full * give / np.ptp(position, axis=1)), _bounded(natural), *map(_bounded, bands)]


def _ripples(known: PumpKnowledge) -> list[Array]:
    """How the load wavers about a parabola along parts of the pump card, and how often: what shakes the rods shakes both lines."""
    share, f, _, _, full = _own_lines(known)
    rises = np.roll(share, -1, axis=1) >= np.roll(share, 1, axis=1)
    result: list[Array] = []
    for rising, first, end in _RIPPLES:
        inside = (rises == rising) & (share >= first) & (share < end)
        count = inside.sum(axis=1)
        middle = (first + end) / 2.0
        t = np.where(inside, (share - middle) / (end - first), 0.0)
        load = np.where(inside, f / full[:, None], 0.0)
        basis = np.stack([inside.astype(np.float64), t, t * t], axis=1)
        usable = (count >= 8) & np.isfinite(load).all(axis=1)
        gram = basis @ basis.swapaxes(1, 2) + 1e-9 * np.eye(3)
        right = basis @ np.where(usable[:, None], load, 0.0)[:, :, None]
        gram[~usable] = np.eye(3)
        fitted = (np.linalg.solve(gram, right).swapaxes(1, 2) @ basis)[:, 0]
        rest = np.where(inside, load - fitted, 0.0)
        size = np.sqrt((rest**2).sum(axis=1) / np.maximum(count, 1))
        signs = rest > 0.0
        turns = ((signs != np.roll(signs, 1, axis=1)) & inside & np.roll(inside, 1, axis=1)).sum(axis=1)
        result += [
            np.where(usable, _bounded(size), np.nan),
            np.where(usable, turns / np.maximum(count, 1), np.nan),
        ]
    return result


def _crossing(values: Array, before: NDArray[np.intp], wanted: float) -> Array:
    """Step, with its fraction, at which each row rises through a level just after a given one."""
    after = np.minimum(before + 1, values.shape[1] - 1)
    ends = [np.take_along_axis(values, k[:, None], axis=1)[:, 0] for k in (before, after)]
    rise = ends[1] - ends[0]
    part = np.clip((wanted - ends[0]) / np.where(rise > 0.0, rise, 1.0), 0.0, 1.0)
    return np.asarray(before + part)


def _between(place: Array, order: NDArray[np.intp], step: Array) -> Array:
    """Place at a step with a fraction."""
    before = np.clip(step.astype(np.intp), 0, order.shape[1] - 2)
    ends = [
        np.take_along_axis(place, np.take_along_axis(order, k[:, None], axis=1), axis=1)[:, 0]
        for k in (before, before + 1)
    ]
    return np.asarray(ends[0] + (step - before) * (ends[1] - ends[0]))
