"""Worlds in which a well of the packaged simulator may stand: what a model must not take for granted when it is taught by simulated cards.

Belongs here: how wide the physics, the unit's motion, the recorder, the controller's own pump card and the habits of people who label are
spread, and what each does. Does not belong here: the wells (``equipment``), what goes wrong in them (``conditions``).

A single simulator has one law of friction, one kind of leak, one recorder. What learns from it learns these too. Here each well gets
its own, drawn from ranges as wide as the literature's: dimensionless damping 0.005 to 0.2 (Gibbs; Everitt and Jennings), dry friction up
to a third of the fluid load, leaks as films and as openings, polytropic exponents from isothermal to adiabatic, speeds that vary within
the stroke (API TL 11L's units at motor slip, and drives that do so on purpose), inclinometers at 20 points a second, drives that filter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.sensor_faults import lower_rate, shift_phase
from oasis_pipeline.physics.simulator import motion_tables
from oasis_pipeline.physics.simulator_kernel import TABLE_POINTS
from oasis_pipeline.physics.wave_frequency import damping_per_s, pump_card
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.controller import Controllers
from oasis_pipeline.simulation.equipment import Wells

FloatArray = NDArray[np.float64]

PLAIN, INCLINOMETER, SWITCH, DRIVE = range(4)
"""Recorders: one that stores what it is given; an inclinometer with a strain gauge; a crank switch, whose position is the unit's table by
the time; a drive that filters."""

_HARMONICS = (10, 14, 20, 26, 34)


@dataclass(frozen=True)
class Variety:
    """The worlds of n wells, arrays of shape (n,) but for those said.

    Attributes
    ----------
    rod_drag_share, drag_from, drag_to : ndarray
        Dry friction along the rods, of the fluid load, and where.
    stuffing_box_lbf, plunger_friction_lbf : ndarray
    friction_dry, friction_wet, friction_plunger : ndarray
        What the worst friction adds: dry along the rods and at the plunger as shares of the fluid load, and to the damping.
    gas_exponent, gas_mixing, clearance_in, base_gas : ndarray
    leak_root_share, tv_factor, sv_factor, wear_factor, slippage_factor : ndarray
    wear_place, wear_width, valve_drop_psi : ndarray
    tubing_factor, tubing_damping, contact_lbf_per_in, tag_factor : ndarray
    shaken_rod, shaken_pump, shaken_cell : ndarray
        How much of a vibration is the polished rod's motion, a force at the pump, and in the load cell alone.
    shaking_factor, shaking_harmonic : ndarray
    knock_swing : ndarray
    belt : ndarray of bool
        Whether a belt lifts the rods: constant speed but for the turns.
    belt_ramp : ndarray
        Share of a half stroke that a turn of the belt takes.
    speed : ndarray, shape (n, 3)
        How far the crank runs ahead or behind, rad, in the first harmonics of the turn.
    speed_phase_rad : ndarray, shape (n, 3)
    recorder : ndarray of int
    load_harmonics, position_harmonics : ndarray
        Where the recorder's filters begin to cut, harmonics of the stroke.
    position_noise : ndarray
        Of an inclinometer, share of the stroke.
    zero_wander_lbf : ndarray
        Standard deviation from card to card.
    load_quantum_lbf : ndarray
    weight_error : ndarray
        Of the rods' weight in fluid that the controller was told, as a share.
    pump_harmonics : ndarray of int
        Kept by the controller's pump card.
    naming_points : ndarray, shape (n, 12)
        Severities from which the person who labels the well writes a condition down.
    names_full : ndarray of bool
        Whether that person writes Full Pump beside a lone fault that leaves the pump full.
    """

    rod_drag_share: FloatArray
    drag_from: FloatArray
    drag_to: FloatArray
    stuffing_box_lbf: FloatArray
    plunger_friction_lbf: FloatArray
    friction_dry: FloatArray
    friction_wet: FloatArray
    friction_plunger: FloatArray
    gas_exponent: FloatArray
    gas_mixing: FloatArray
    clearance_in: FloatArray
    base_gas: FloatArray
    leak_root_share: FloatArray
    tv_factor: FloatArray
    sv_factor: FloatArray
    wear_factor: FloatArray
    slippage_factor: FloatArray
    wear_place: FloatArray
    wear_width: FloatArray
    valve_drop_psi: FloatArray
    tubing_factor: FloatArray
    tubing_damping: FloatArray
    contact_lbf_per_in: FloatArray
    tag_factor: FloatArray
    shaken_rod: FloatArray
    shaken_pump: FloatArray
    shaken_cell: FloatArray
    shaking_factor: FloatArray
    shaking_harmonic: FloatArray
    knock_swing: FloatArray
    belt: NDArray[np.bool_]
    belt_ramp: FloatArray
    speed: FloatArray
    speed_phase_rad: FloatArray
    recorder: NDArray[np.int64]
    load_harmonics: FloatArray
    position_harmonics: FloatArray
    position_noise: FloatArray
    zero_wander_lbf: FloatArray
    load_quantum_lbf: FloatArray
    weight_error: FloatArray
    pump_harmonics: NDArray[np.int64]
    naming_points: FloatArray
    names_full: NDArray[np.bool_]

    def take(self, indices: NDArray[np.int64]) -> Variety:
        """Pick worlds by index; an index may repeat."""
        return Variety(**{name: getattr(self, name)[indices] for name in self.__dataclass_fields__})


def make_variety(count: int, rng: np.random.Generator) -> Variety:
    """Draw the worlds of some wells.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    """

    def between(low: float, high: float) -> FloatArray:
        return rng.uniform(low, high, count)

    def spread(low: float, high: float) -> FloatArray:
        return np.exp(rng.uniform(np.log(low), np.log(high), count))

    start = between(0.0, 0.6)
    dry = between(0.0, 1.0)
    kind = rng.choice(4, count, p=[0.4, 0.3, 0.15, 0.15])
    recorder = rng.choice(4, count, p=[0.2, 0.35, 0.25, 0.2])
    drive = recorder == DRIVE
    return Variety(
        rod_drag_share=spread(0.003, 0.06),
        drag_from=start,
        drag_to=start + between(0.3, 1.0) * (1.0 - start),
        stuffing_box_lbf=spread(20.0, 250.0),
        plunger_friction_lbf=spread(40.0, 400.0),
        friction_dry=dry * between(0.3, 0.8),
        friction_wet=(1.0 - dry) * between(0.1, 0.3),
        friction_plunger=between(0.0, 1.0) ** 2 * 0.3,
        gas_exponent=between(1.0, 1.3),
        gas_mixing=between(0.0, 1.0),
        clearance_in=spread(1.5, 12.0),
        base_gas=between(0.0, 1.0) ** 2 * 0.06,
        leak_root_share=between(0.0, 1.0),
        tv_factor=spread(0.6, 1.5),
        sv_factor=spread(0.6, 1.5),
        wear_factor=spread(0.5, 1.6),
        slippage_factor=spread(0.5, 2.5),
        wear_place=between(0.25, 0.75),
        wear_width=between(0.05, 0.2),
        valve_drop_psi=spread(3.0, 30.0),
        tubing_factor=between(0.5, 1.2),
        tubing_damping=between(0.15, 1.0),
        contact_lbf_per_in=spread(1_500.0, 20_000.0),
        tag_factor=between(0.6, 1.6),
        shaken_rod=np.where(kind == 0, 1.0, np.where(kind == 3, 0.5, 0.0)),
        shaken_pump=np.where(kind == 1, 1.0, np.where(kind == 3, 0.5, 0.0)),
        shaken_cell=np.where(kind == 2, 1.0, 0.0),
        shaking_factor=spread(0.6, 1.8),
        shaking_harmonic=np.round(spread(5.0, 20.0)),
        knock_swing=between(0.0, 1.0) * rng.choice([0.0, 1.0], count),
        belt=rng.random(count) < 0.1,
        belt_ramp=between(0.08, 0.3),
        speed=rng.normal(0.0, 1.0, (count, 3)) * np.array([0.06, 0.03, 0.01]) * between(0.0, 2.0)[:, None],
        speed_phase_rad=rng.uniform(0.0, 2.0 * np.pi, (count, 3)),
        recorder=recorder,
        load_harmonics=np.where(drive, spread(6.0, 20.0), spread(15.0, 90.0)),
        position_harmonics=np.where(drive, spread(4.0, 15.0), spread(8.0, 60.0)),
        position_noise=np.where(recorder == INCLINOMETER, spread(2e-4, 3e-3), 0.0),
        zero_wander_lbf=spread(5.0, 250.0),
        load_quantum_lbf=rng.choice([1.0, 1.0, 5.0, 10.0, 20.0], count),
        weight_error=rng.normal(0.0, 0.04, count),
        pump_harmonics=rng.choice(_HARMONICS, count),
        naming_points=np.clip(rng.normal(c.NAMING_POINT, 0.07, (count, len(c.LABELS))), 0.2, 0.55),
        names_full=rng.random(count) < 0.5,
    )


def varied_wells(wells: Wells, rng: np.random.Generator, *, slowest_spm: float) -> Wells:
    """Spread what the wells of the packaged field have in common: how soft the rods are for the pump, speed, damping, intake pressures.

    Parameters
    ----------
    wells : Wells
    rng : numpy.random.Generator
    slowest_spm : float
        No speed lies below it, 1/min.
    """
    count = len(wells)
    longer = rng.uniform(0.7, 1.5, count)
    unit = replace(
        wells.unit,
        **{
            name: getattr(wells.unit, name) * longer
            for name in ("a_in", "c_in", "i_in", "k_in", "p_in", "r_in")
        },
    )
    plunger = np.clip(wells.plunger_diameter_in + rng.choice([-0.5, -0.25, 0.0, 0.25, 0.5], count), 1.0, 2.75)
    damping = np.exp(rng.uniform(np.log(0.005), np.log(0.16), count))
    flowing = wells.casing_pressure_psi + rng.uniform(0.01, 0.6, count) * wells.discharge_psi
    speed = wells.spm * rng.uniform(0.6, 1.25, count) / np.sqrt(longer)
    return replace(
        wells,
        unit=unit,
        stroke_in=wells.stroke_in * longer,
        plunger_diameter_in=plunger,
        spm=np.asarray(np.round(np.clip(speed, slowest_spm, 12.0), 1), np.float64),
        damping_up=damping,
        damping_down=damping * np.exp(rng.uniform(np.log(0.7), np.log(2.0), count)),
        flowing_psi=flowing,
        pumped_off_psi=wells.casing_pressure_psi + rng.uniform(2.0, 60.0, count),
        gassy_psi=wells.discharge_psi * rng.uniform(0.05, 0.6, count),
    )


def varied_controllers(controllers: Controllers, rng: np.random.Generator) -> Controllers:
    """Spread what controllers get wrong: zero, gain, phase and the damping that they were told.

    Parameters
    ----------
    controllers : Controllers
    rng : numpy.random.Generator
    """
    count = len(controllers.load_gain)
    return replace(
        controllers,
        load_offset_lbf=controllers.load_offset_lbf + np.round(rng.normal(0.0, 350.0, count)),
        load_gain=np.round(controllers.load_gain + rng.normal(0.0, 0.025, count), 4),
        position_phase_deg=controllers.position_phase_deg + np.round(rng.normal(0.0, 1.5, count), 1),
        damping=np.asarray(np.round(np.exp(rng.uniform(np.log(0.02), np.log(0.3), count)), 3), np.float64),
    )


def varied_conditions(
    plain: NDArray[np.void], wells: Wells, severity: FloatArray, variety: Variety
) -> NDArray[np.void]:
    """Change parameters of the predictive model to those that the same severities have in other worlds.

    Parameters
    ----------
    plain : structured ndarray, shape (n,)
        From `conditions.condition_parameters`.
    wells : Wells
        Of n cards.
    severity : ndarray, shape (n, 12)
    variety : Variety
        Of n cards.
    """
    p, s, load = plain.copy(), severity, wells.fluid_load_lbf
    rubs, shakes = s[:, c.FRICTION], s[:, c.VIBRATION] * variety.shaking_factor
    p["damping_up"] = wells.damping_up + variety.friction_wet * rubs
    p["damping_down"] = wells.damping_down + variety.friction_wet * rubs
    p["rod_drag_lbf"] = (variety.rod_drag_share + variety.friction_dry * rubs) * load
    p["drag_from"], p["drag_to"] = variety.drag_from, variety.drag_to
    p["stuffing_box_lbf"] = variety.stuffing_box_lbf
    worn = 250.0 * s[:, c.WORN]
    p["plunger_friction_lbf"] = variety.plunger_friction_lbf + worn + variety.friction_plunger * rubs * load

    gas = s[:, c.GAS]
    p["gas_fraction"] = np.clip(p["gas_fraction"] + variety.base_gas, 0.0, 0.85)
    p["gas_exponent"] = variety.gas_exponent
    p["gas_mixing"] = np.clip(variety.gas_mixing + 0.3 * gas, 0.0, 1.0)
    p["clearance_in"] = variety.clearance_in * (1.0 + 1.5 * gas)

    p["leak_root_share"] = variety.leak_root_share
    p["tv_leak_bpd"] *= variety.tv_factor
    p["sv_leak_bpd"] *= variety.sv_factor
    p["wear_leak_bpd"] *= variety.wear_factor
    p["slippage_bpd"] *= variety.slippage_factor
    p["wear_place"], p["wear_width"] = variety.wear_place, variety.wear_width
    p["valve_drop_psi"] = variety.valve_drop_psi

    p["tubing_spring_lbf_per_in"] /= variety.tubing_factor
    p["tubing_damping"] = variety.tubing_damping
    p["contact_lbf_per_in"] = variety.contact_lbf_per_in
    p["tag_up_in"] *= variety.tag_factor
    p["tag_down_in"] *= variety.tag_factor

    # Near a resonance of the string the same shaking makes more load: half of that, on the log scale, is taken back.
    travel_s = (wells.rods.length_ft / wells.rods.wave_speed_ft_per_s).sum(axis=1)
    rate = variety.shaking_harmonic * wells.spm * 2.0 * np.pi / 60.0
    turn = rate * travel_s
    by_motion = np.sqrt(
        np.clip(np.maximum(np.abs(np.tan(turn)), 1.0 / np.maximum(np.abs(np.tan(turn)), 1e-3)), 1, 9)
    )
    by_force = np.sqrt(np.clip(1.0 / np.maximum(np.abs(np.cos(turn)), 1e-3), 1.0, 9.0))
    impedance = wells.rods.stiffness_lbf[:, 0] / (12.0 * wells.rods.wave_speed_ft_per_s[:, 0])
    p["vibration_harmonic"] = variety.shaking_harmonic
    p["vibration_in"] = 0.2 * shakes * variety.shaken_rod * load / (impedance * rate * by_motion)
    p["knock_lbf"] = 0.2 * shakes * variety.shaken_pump * load / by_force
    p["knock_harmonic"] = variety.shaking_harmonic
    p["knock_phase_rad"] = p["vibration_phase_rad"]
    p["knock_swing"] = variety.knock_swing

    broken = s[:, c.PARTED] >= c.NAMING_POINT
    share = np.where(broken, p["parted_depth_ft"] / wells.depth_ft, 1.0)
    p["damping_up"] = np.where(broken, (0.3 * wells.damping_up + 0.03) / share, p["damping_up"])
    p["damping_down"] = np.where(broken, (0.3 * wells.damping_down + 0.03) / share, p["damping_down"])
    p["rod_drag_lbf"] = np.where(broken, variety.rod_drag_share * load, p["rod_drag_lbf"])
    for name in ("vibration_in", "knock_lbf"):
        p[name] = np.where(broken, 0.0, p[name])
    return p


def motions(wells: Wells, variety: Variety) -> tuple[FloatArray, FloatArray]:
    """Move polished rods through a stroke.

    Returns
    -------
    real : ndarray, shape (n, 256)
        Position by time, from the bottom of the stroke.
    told : ndarray, shape (n, 256)
        What the unit's table says at a steady speed.
    """
    count = len(wells)
    turn = np.arange(TABLE_POINTS) * 2.0 * np.pi / TABLE_POINTS
    table, _ = motion_tables(wells.unit, count)
    half = np.arange(TABLE_POINTS // 2) / (TABLE_POINTS // 2)
    ramp = variety.belt_ramp[:, None]
    speed = np.minimum(1.0, np.minimum(half, 1.0 - half) / ramp)
    up = np.cumsum(speed, axis=1) - speed
    up = wells.stroke_in[:, None] * up / up[:, -1:]
    belt = np.concatenate([up, up[:, ::-1]], axis=1)
    told = np.where(variety.belt[:, None], belt, table)
    orders = np.arange(1, 4)
    phase = turn[None, :, None] * orders + variety.speed_phase_rad[:, None, :]
    ahead = (variety.speed[:, None, :] * (np.sin(phase) - np.sin(phase[:, :1]))).sum(axis=2)
    place = (turn[None] + ahead) / (2.0 * np.pi) * TABLE_POINTS
    base = np.floor(place).astype(np.int64)
    share = place - base
    real = (1.0 - share) * np.take_along_axis(told, base % TABLE_POINTS, axis=1)
    real += share * np.take_along_axis(told, (base + 1) % TABLE_POINTS, axis=1)
    return real, told


def recorded(
    position_in: FloatArray,
    load_lbf: FloatArray,
    told_in: FloatArray,
    spm: FloatArray,
    shaken_lbf: FloatArray,
    variety: Variety,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Record true surface cards as the wells' recorders do, before their load cells' own faults.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (n, points)
        Equally spaced in time.
    told_in : ndarray, shape (n, 256)
        What the unit's table says.
    spm : ndarray, shape (n,)
    shaken_lbf : ndarray, shape (n,)
        Shaking of the load cell alone.
    variety : Variety
        Of n cards.
    rng : numpy.random.Generator

    Returns
    -------
    position_in, load_lbf : ndarray, shape (n, points)
    """
    count, points = position_in.shape
    turn = np.arange(points) * 2.0 * np.pi / points
    phase = variety.shaking_harmonic[:, None] * turn + rng.uniform(0.0, 2.0 * np.pi, (count, 1))
    fade = 1.0 - variety.knock_swing[:, None] * 0.5 * (1.0 + np.cos(turn + phase[:, :1]))
    load = load_lbf + shaken_lbf[:, None] * fade * np.sin(phase)
    load = load + (variety.zero_wander_lbf * rng.standard_normal(count))[:, None]
    place = np.arange(points) * told_in.shape[1] / points
    base = np.floor(place).astype(np.int64)
    share = place - base
    table = (1.0 - share) * told_in[:, base] + share * told_in[:, (base + 1) % told_in.shape[1]]
    # the switch closes at the bottom of the stroke, wherever the table begins
    late = (position_in.argmin(axis=1) - table.argmin(axis=1)) / points * 360.0
    table = shift_phase(table, late)
    position = np.where((variety.recorder == SWITCH)[:, None], table, position_in)
    position = low_pass(position, variety.position_harmonics)
    waves = np.fft.irfft(
        np.fft.rfft(rng.standard_normal((count, points)), axis=1) * (np.arange(points // 2 + 1) < 12), points
    )
    scale = variety.position_noise * np.ptp(position, axis=1) / np.maximum(waves.std(axis=1), 1e-9)
    position = position + scale[:, None] * waves
    load = low_pass(load, variety.load_harmonics)
    taken = np.where(variety.recorder == INCLINOMETER, 20.0 * 60.0 / spm, np.inf)
    taken = np.where(variety.recorder == DRIVE, 100.0, np.maximum(taken, 50.0))
    position, load = lower_rate(position, taken), lower_rate(load, taken)
    quantum = variety.load_quantum_lbf[:, None]
    return position, np.round(load / quantum) * quantum


def low_pass(values: FloatArray, harmonics: FloatArray) -> FloatArray:
    """Filter cards as a smooth analogue filter does, without delay: half of the power is left at some harmonic of the stroke.

    Parameters
    ----------
    values : ndarray, shape (n, points)
    harmonics : ndarray, shape (n,)
    """
    spectrum = np.fft.rfft(values, axis=1)
    order = np.arange(spectrum.shape[1])
    spectrum *= 1.0 / np.sqrt(1.0 + (order / harmonics[:, None]) ** 4)
    return np.asarray(np.fft.irfft(spectrum, values.shape[1], axis=1))


def varied_pump_cards(
    position_in: FloatArray,
    load_lbf: FloatArray,
    wells: Wells,
    length_error: FloatArray,
    damping: FloatArray,
    true_load: NDArray[np.bool_],
    variety: Variety,
    points: int = 100,
) -> tuple[FloatArray, FloatArray]:
    """Compute pump cards as controllers of different makes do, from their own surface cards.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (n, many)
        Measured surface cards.
    wells : Wells
    length_error, damping : ndarray, shape (n,)
        Of the controllers.
    true_load : ndarray of bool, shape (n,)
        Whether they store true loads, which lie lower by the buoyant force.
    variety : Variety
    points : int

    Returns
    -------
    position_in, load_lbf : ndarray, shape (n, points)
    """
    rods = replace(wells.rods, length_ft=wells.rods.length_ft * (1.0 + length_error)[:, None])
    weight = rods.buoyant_weight_lbf(wells.fluid_gravity)
    buoyancy = np.where(true_load, rods.air_weight_lbf - weight, 0.0)
    position, load = np.empty((len(wells), points)), np.empty((len(wells), points))
    every = position_in.shape[1] // points
    for kept in np.unique(variety.pump_harmonics):
        rows = np.flatnonzero(variety.pump_harmonics == kept)
        own = rods.take(rows)
        x, f = pump_card(
            position_in[rows],
            load_lbf[rows],
            own,
            wells.spm[rows],
            damping_per_s(own, damping[rows]),
            buoyant_weight_lbf=(weight * (1.0 + variety.weight_error))[rows],
            harmonics=int(kept),
        )
        position[rows], load[rows] = x[:, ::every], (f - buoyancy[rows, None])[:, ::every]
    return np.round(position - position.min(axis=1, keepdims=True), 2), np.round(load)
