"""Predictive model of a rod-pumped well: from equipment and pump condition to the cards it would draw.

Belongs here: the parameters of a well's condition, the batch, and what comes out. It knows nothing of labels, of wells that
age or of files; `oasis_pipeline.simulation` does. It shares constants and the types of rods and unit with the solvers that
go from surface card to pump card, and no code, so that diagnosing its cards is a test and not a mirror.

The model: polished-rod kinematics with motor slip, a lumped rod chain with viscous drag (up and down apart) and dry
friction, a barrel with gas, liquid, two valves, leaks and a clearance, an anchored or a springy tubing, stops at both ends
of the barrel, and rods that end anywhere. The equations stand with the code: `rod_chain`, `pump_chamber`, `simulator_kernel`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import INCH_POUNDS_PER_MINUTE_PER_HP
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator_kernel import TABLE_POINTS, simulate_card
from oasis_pipeline.physics.unit import PumpingUnit, bottom_crank_angle_rad, polished_rod_motion

FloatArray = NDArray[np.float64]

SIMULATOR_VERSION = "1"
"""Changes whenever the same parameters would give other cards."""

DEFAULTS: dict[str, float] = {
    # Motion and rods.
    "spm": 8.0,
    "motor_slip": 0.0,  # loss of speed at rated torque, as a share
    "damping_up": 0.1,  # dimensionless (Gibbs), rods moving up
    "damping_down": 0.1,
    "rod_drag_lbf": 0.0,  # dry friction of rods on tubing, whole string
    "drag_from": 0.0,  # where it acts, as shares of the depth
    "drag_to": 1.0,
    "stuffing_box_lbf": 0.0,
    "parted_depth_ft": np.inf,  # rods end here
    "parted_friction_lbf": 20.0,
    # Pump and fluid. Pressures are gauge.
    "plunger_diameter_in": 1.75,
    "fluid_gravity": 1.0,
    "discharge_psi": 2500.0,
    "intake_psi": 200.0,
    "gas_fraction": 0.0,  # free gas in the inflow at intake pressure, by volume
    "gas_exponent": 1.18,
    "gas_mixing": 0.5,  # 1 froth, 0 gas above liquid
    "clearance_in": 4.0,  # height left in the barrel at the bottom of the plunger's travel
    "liquid_modulus_psi": 250_000.0,
    "valve_drop_psi": 8.0,  # pressure drop of an open valve at a plunger speed of 60 in/s
    "plunger_friction_lbf": 100.0,
    "plunger_weight_lbf": 20.0,
    "slippage_bpd": 0.0,  # leaks at full pressure difference: normal slippage past the plunger,
    "tv_leak_bpd": 0.0,  # travelling valve,
    "sv_leak_bpd": 0.0,  # standing valve,
    "leak_root_share": 0.0,  # of the valves' leaks: with the root of the pressure difference instead of the difference itself,
    "wear_leak_bpd": 0.0,  # and a worn stretch of the barrel (place and width as shares of the travel)
    "wear_place": 0.5,
    "wear_width": 0.12,
    "sticking_lbf": 0.0,  # dry friction in one stretch of the barrel
    "sticking_place": 0.5,
    "sticking_width": 0.15,
    # Tubing: spring constant infinite when anchored.
    "tubing_spring_lbf_per_in": np.inf,
    "tubing_mass_lbf": 3000.0,
    "tubing_damping": 0.3,  # share of critical
    # Stops and shaking.
    "tag_down_in": 0.0,  # how far the lower stop stands above the lowest plunger position
    "tag_up_in": 0.0,
    "contact_lbf_per_in": 8_000.0,
    "vibration_in": 0.0,  # shaking of the polished rod at a whole multiple of the pumping speed
    "vibration_harmonic": 9.0,
    "vibration_phase_rad": 0.0,
    "knock_lbf": 0.0,  # a force that shakes the plunger at a multiple of the pumping speed,
    "knock_harmonic": 9.0,
    "knock_phase_rad": 0.0,
    "knock_swing": 0.0,  # and by which share it fades once a stroke
}
"""Every parameter of one well's condition with its value for a plain full pump."""

_NUMERICS = {
    "tolerance": 2e-3,
    "free_tolerance": 3e-2,
    "max_cycles": 20.0,
    "damping_length_ft": 5000.0,
    "parted": 0.0,
    "unbalance_lbf": 0.0,
    "counterbalance_in_lbf": 0.0,
    "crank_offset_rad": 0.0,
    "bottom_angle_rad": 0.0,
    "rated_torque_in_lbf": 1.0,
}

PARAMETERS = np.dtype([(name, np.float64) for name in DEFAULTS])
"""Structured type of a batch of conditions, one record per card."""

_KERNEL = np.dtype([(name, np.float64) for name in (*DEFAULTS, *_NUMERICS)])

RESULTS = np.dtype(
    [
        (name, np.float64)
        for name in (
            "fillage_pct",
            "gross_stroke_in",
            "relative_stroke_in",
            "tubing_movement_in",
            "liquid_bpd",
            "pump_discharge_bpd",
            "pprl_lbf",
            "mprl_lbf",
            "peak_torque_in_lbf",
            "surface_work_in_lbf",
            "pump_work_in_lbf",
            "viscous_work_in_lbf",
            "dry_work_in_lbf",
            "stuffing_work_in_lbf",
            "cycles",
            "change",
            "steady",
            "nodes",
        )
    ]
)
"""Structured type of what the kernel finds beside the cards."""


def parameters(count: int, **values: ArrayLike) -> NDArray[np.void]:
    """Make a batch of conditions, defaults except where a value (or one per card) is given.

    Raises
    ------
    ValueError
        If a name is not a parameter.
    """
    unknown = sorted(set(values) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"unknown simulator parameters: {', '.join(unknown)}")
    batch = np.zeros(count, dtype=PARAMETERS)
    for name, default in DEFAULTS.items():
        batch[name] = values.get(name, default)
    return batch


@dataclass(frozen=True)
class SimulatedCards:
    """Cards of a batch and the truth behind them.

    Attributes
    ----------
    surface_position_in, surface_load_lbf : ndarray, shape (n, 200)
        Surface card, equally spaced in time over one stroke from its bottom.
    pump_position_in, pump_load_lbf : ndarray, shape (n, 100)
        True pump card at the same times: plunger position against the ground, effective load.
    barrel_position_in, barrel_pressure_psi : ndarray, shape (n, 100)
        Position of the tubing's lower end and pressure in the barrel (gauge).
    results : structured ndarray, shape (n,)
        `RESULTS`: what the kernel counted.
    truth : dict of str to ndarray
        True quantities under the names of the table ``clean.carddiag``.
    """

    surface_position_in: FloatArray
    surface_load_lbf: FloatArray
    pump_position_in: FloatArray
    pump_load_lbf: FloatArray
    barrel_position_in: FloatArray
    barrel_pressure_psi: FloatArray
    results: NDArray[np.void]
    truth: dict[str, FloatArray]

    @property
    def energy_residual(self) -> FloatArray:
        """Surface work less pump work and losses, as a share of the surface work, shape (n,)."""
        r = self.results
        spent = (
            r["pump_work_in_lbf"]
            + r["viscous_work_in_lbf"]
            + r["dry_work_in_lbf"]
            + r["stuffing_work_in_lbf"]
        )
        return np.asarray(
            (r["surface_work_in_lbf"] - spent) / np.maximum(np.abs(r["surface_work_in_lbf"]), 1.0)
        )


def motion_tables(unit: PumpingUnit, count: int) -> tuple[FloatArray, FloatArray]:
    """Polished-rod position and its derivative by crank angle from the bottom of the stroke, shape (count, 256)."""
    turn = np.arange(TABLE_POINTS) * 2.0 * np.pi / TABLE_POINTS
    if unit.batch_shape == (count,):
        units, which = unit.distinct()
        motion = polished_rod_motion(units, bottom_crank_angle_rad(units)[..., np.newaxis] + turn)
        return motion[0][which], motion[1][which]
    position, slope = polished_rod_motion(unit, bottom_crank_angle_rad(unit)[..., np.newaxis] + turn)
    return (
        np.broadcast_to(position, (count, TABLE_POINTS)).copy(),
        np.broadcast_to(slope, (count, TABLE_POINTS)).copy(),
    )


def measured_motion_tables(position_in: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Motion tables from measured polished-rod positions, equally spaced in time over one stroke.

    Parameters
    ----------
    position_in : array_like, shape (count, n)
        One stroke each, first point at the bottom of the stroke, without a closing point.

    Returns
    -------
    position, slope : ndarray, shape (count, 256)
        Band-limited interpolation; the crank angle is time here, so motor slip does not apply.
    """
    samples = np.asarray(position_in, dtype=np.float64)
    spectrum = np.fft.rfft(samples, axis=-1)
    kept = min(spectrum.shape[-1], TABLE_POINTS // 4)
    wide = np.zeros((*samples.shape[:-1], TABLE_POINTS // 2 + 1), dtype=np.complex128)
    wide[..., :kept] = spectrum[..., :kept] * (TABLE_POINTS / samples.shape[-1])
    order = np.arange(wide.shape[-1])
    return np.fft.irfft(wide, TABLE_POINTS, axis=-1), np.fft.irfft(1j * order * wide, TABLE_POINTS, axis=-1)


def simulate(
    rods: RodString,
    unit: PumpingUnit | None,
    conditions: NDArray[np.void],
    *,
    measured_position_in: ArrayLike | None = None,
    nodes: int = 50,
    surface_points: int = 200,
    pump_points: int = 100,
    tolerance: float = 2e-3,
    max_cycles: int = 20,
    threads: int | None = None,
) -> SimulatedCards:
    """Simulate a batch of wells to their steady state.

    Parameters
    ----------
    rods : RodString
        One string for all, or a batch of shape (n, tapers).
    unit : PumpingUnit or None
        One unit for all, or a batch of shape (n,). None with `measured_position_in`.
    conditions : structured ndarray, shape (n,)
        From `parameters`.
    measured_position_in : array_like, shape (n, m), optional
        Measured polished-rod motion in place of a unit, time form.
    nodes : int
        Least number of segments of the rod chain. Time steps follow from it (Courant number 1 or a little less).
    surface_points, pump_points : int
        Points of the cards; one has to be a multiple of the other.
    tolerance : float
        A card is steady when no surface load differs from the cycle before by more than this share of the load range.
    max_cycles : int
        Cycles after which a card is given up as not steady (`results["steady"]` 0) and recorded as it is.
    threads : int, optional
        Worker threads, default one per core. Cards are independent, so results do not depend on it.

    Returns
    -------
    SimulatedCards
        Cards and truth.

    Raises
    ------
    ValueError
        If a condition cannot be simulated (speed, plunger or pressures not positive, rods without length), or the
        shapes do not go together.

    Notes
    -----
    Threads and a kernel that releases the interpreter lock, rather than Numba's own parallel loops: its default
    threading layer aborts the process when two threads call it at once, which a service may do.
    """
    count = len(conditions)
    _check(rods, conditions)
    if max(surface_points, pump_points) % min(surface_points, pump_points):
        raise ValueError("surface_points and pump_points: one has to be a multiple of the other")
    kernel = np.zeros(count, dtype=_KERNEL)
    for name, default in _NUMERICS.items():
        kernel[name] = default
    for name in DEFAULTS:
        kernel[name] = conditions[name]
    kernel["tolerance"], kernel["max_cycles"] = tolerance, max_cycles
    kernel["free_tolerance"] = max(3e-2, tolerance)
    if measured_position_in is not None:
        position, slope = measured_motion_tables(measured_position_in)
        if position.shape != (count, TABLE_POINTS):
            raise ValueError("measured_position_in needs one row per condition")
    elif unit is not None:
        position, slope = motion_tables(unit, count)
        _crank(kernel, unit)
    else:
        raise ValueError("either a pumping unit or a measured motion is needed")
    _shake(position, slope, conditions)

    width = rods.tapers
    full = np.broadcast_to(rods.length_ft, (count, width))
    length = _cut(full, conditions["parted_depth_ft"])
    kernel["damping_length_ft"] = full.sum(axis=1)
    kernel["parted"] = length.sum(axis=1) < full.sum(axis=1) - 0.5
    stiffness = np.broadcast_to(rods.stiffness_lbf, (count, width))
    weight = np.broadcast_to(rods.weight_lb_per_ft, (count, width))
    speed = np.broadcast_to(rods.wave_speed_ft_per_s, (count, width))
    hanging = RodString(length, *_materials(rods, count))
    buoyant = hanging.buoyant_weight_lbf(conditions["fluid_gravity"])

    common = max(surface_points, pump_points, 50)
    travel_time = (length / speed).sum(axis=1)
    wanted = 60.0 / conditions["spm"] * nodes / travel_time
    steps = (common * np.clip(np.ceil(wanted / common), 2, 200)).astype(np.int64)
    surface = [np.zeros((count, surface_points)) for _ in range(2)]
    pump = [np.zeros((count, pump_points)) for _ in range(4)]
    results = np.zeros(count, dtype=RESULTS)

    def run(first: int, stride: int) -> None:
        for i in range(first, count, stride):
            simulate_card(  # type: ignore[call-arg]
                kernel[i],
                length[i],
                stiffness[i],
                weight[i],
                speed[i],
                buoyant[i],
                position[i],
                slope[i],
                steps[i],
                *(array[i] for array in (*surface, *pump)),
                results[i],
            )

    workers = min(threads if threads is not None else (os.cpu_count() or 1), max(count, 1))
    if workers <= 1:
        run(0, 1)
    else:
        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(run, k, workers) for k in range(workers)]:
                future.result()
    truth = _truth(conditions, kernel, unit, results, surface[1])
    return SimulatedCards(surface[0], surface[1], pump[0], pump[1], pump[2], pump[3], results, truth)


def _materials(rods: RodString, count: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    shape = (count, rods.tapers)
    return (
        np.broadcast_to(rods.diameter_in, shape),
        np.broadcast_to(rods.weight_lb_per_ft, shape),
        np.broadcast_to(rods.modulus_psi, shape),
        np.broadcast_to(rods.tensile_psi, shape),
    )


def _check(rods: RodString, conditions: NDArray[np.void]) -> None:
    if conditions.dtype != PARAMETERS or conditions.ndim != 1:
        raise ValueError("conditions: a one-dimensional array made by parameters() is needed")
    if rods.length_ft.ndim > 1 and rods.batch_shape != (len(conditions),):
        raise ValueError(f"{rods.batch_shape} rod strings for {len(conditions)} conditions")
    for name in ("spm", "plunger_diameter_in", "gas_exponent", "liquid_modulus_psi", "parted_depth_ft"):
        if not np.all(conditions[name] > 0.0):
            raise ValueError(f"{name} must be positive")
    if not np.all(conditions["intake_psi"] > -13.0) or not np.all(conditions["discharge_psi"] > -13.0):
        raise ValueError("pressures are gauge and must stay above vacuum")
    if not np.all(rods.total_length_ft > 0.0):
        raise ValueError("rods without length")


def _crank(kernel: NDArray[np.void], unit: PumpingUnit) -> None:
    """Angles, balance and rating for motor slip; where they are unknown there is none."""
    moment = np.asarray(unit.counterbalance_moment_in_lbf, dtype=np.float64)
    rating = np.asarray(unit.gearbox_rating_in_lbf, dtype=np.float64)
    known = np.isfinite(moment) & np.isfinite(rating) & (rating > 0.0)
    kernel["bottom_angle_rad"] = bottom_crank_angle_rad(unit)
    kernel["crank_offset_rad"] = np.radians(unit.crank_offset_deg)
    kernel["unbalance_lbf"] = unit.structural_unbalance_lbf
    kernel["counterbalance_in_lbf"] = np.where(np.isfinite(moment), moment, 0.0)
    kernel["rated_torque_in_lbf"] = np.where(known, rating, 1.0)
    kernel["motor_slip"] = np.where(known, kernel["motor_slip"], 0.0)


def _shake(position: FloatArray, slope: FloatArray, conditions: NDArray[np.void]) -> None:
    """Add the polished rod's shaking to its motion; a whole harmonic keeps the card periodic."""
    turn = np.arange(TABLE_POINTS) * 2.0 * np.pi / TABLE_POINTS
    order = np.round(conditions["vibration_harmonic"])[:, np.newaxis]
    size = conditions["vibration_in"][:, np.newaxis]
    phase = order * turn + conditions["vibration_phase_rad"][:, np.newaxis]
    position += size * np.sin(phase)
    slope += size * order * np.cos(phase)


def _cut(length_ft: FloatArray, depth_ft: FloatArray) -> FloatArray:
    """Tapers above a depth, at least 20 ft of them."""
    ends = np.cumsum(length_ft, axis=1)
    limit = np.maximum(depth_ft, 20.0)[:, np.newaxis]
    return np.clip(np.minimum(ends, limit) - (ends - length_ft), 0.0, None)


def _truth(
    conditions: NDArray[np.void],
    kernel: NDArray[np.void],
    unit: PumpingUnit | None,
    results: NDArray[np.void],
    surface_load: FloatArray,
) -> dict[str, FloatArray]:
    """Collect true quantities under the names of ``clean.carddiag``; pump quantities are NaN where the rods are parted."""
    whole = np.where(kernel["parted"] > 0.0, np.nan, 1.0)
    area = np.pi / 4.0 * conditions["plunger_diameter_in"] ** 2
    fillage = results["fillage_pct"] * whole
    rating = np.nan if unit is None else np.asarray(unit.gearbox_rating_in_lbf)
    structure = np.nan if unit is None else np.asarray(unit.structural_rating_lbf)
    balanced = unit is not None and np.isfinite(np.asarray(unit.counterbalance_moment_in_lbf))
    torque = np.where(balanced, results["peak_torque_in_lbf"], np.nan)
    friction = (
        conditions["rod_drag_lbf"] + conditions["plunger_friction_lbf"] + conditions["stuffing_box_lbf"]
    )
    return {
        "fillage_pct": fillage,
        "gross_stroke_in": results["gross_stroke_in"] * whole,
        "net_stroke_in": results["relative_stroke_in"] * fillage / 100.0,
        "fluid_load_lbf": area * (conditions["discharge_psi"] - conditions["intake_psi"]) * whole,
        "pump_intake_pressure_psi": conditions["intake_psi"] * whole,
        "pump_discharge_pressure_psi": conditions["discharge_psi"] * whole,
        "friction_lbf": friction + conditions["sticking_lbf"],
        "tubing_movement_in": results["tubing_movement_in"] * whole,
        "tv_leak_bpd": (conditions["tv_leak_bpd"] + conditions["wear_leak_bpd"]) * whole,
        "sv_leak_bpd": conditions["sv_leak_bpd"] * whole,
        "slippage_bpd": conditions["slippage_bpd"] * whole,
        "inferred_production_bpd": np.where(np.isnan(whole), 0.0, results["liquid_bpd"]),
        "pprl_lbf": results["pprl_lbf"].copy(),
        "mprl_lbf": results["mprl_lbf"].copy(),
        "polished_rod_power_hp": results["surface_work_in_lbf"]
        * conditions["spm"]
        / INCH_POUNDS_PER_MINUTE_PER_HP,
        "peak_gearbox_torque_in_lbf": torque,
        "gearbox_load_pct": 100.0 * torque / rating,
        "structural_load_pct": 100.0 * surface_load.max(axis=1) / structure,
    }
