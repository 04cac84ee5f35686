"""Compiled heart of the predictive model: one card from polished-rod kinematics down to the pump.

Belongs here: the crank with its slip, the lower end of the rods, the periodic steady state and the energy account. The
rods between are in `rod_chain`, the barrel in `pump_chamber`; parameters, tables and the batch are made in `simulator`.

Numba's cache of this file does not notice an edit of the two it calls: touch this file after one.

The rods are a chain of lumped masses and springs (a quarter of a thousand feet or less each), stepped by the explicit
midpoint ("leapfrog") rule with the viscous term centred and dry friction as an exact threshold on the velocity. That rule has
a discrete energy identity: over a closed cycle the work at the polished rod, sum F (y[n+1] - y[n-1]) / 2, equals pump work
plus viscous and dry losses to rounding, so the account printed with every card measures only how well the cycle repeats.

Positions are in inches (up positive), velocities in/s, loads lbf, masses lbf s2/in; loads at the pump are effective loads.
"""

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.pump_chamber import (
    Content,
    Plunger,
    Pump,
    Travel,
    Tubing,
    chamber_step,
    settle_content,
)
from oasis_pipeline.physics.rod_chain import INNER_DAMPING, cut_chain, losses, move_chain, step_chain

PSI_ATMOSPHERE = 14.7
TABLE_POINTS = 256
"""Points of the polished-rod motion table over one turn of the crank."""


@nb.njit(cache=True, nogil=True)
def _motion(position, slope, angle):  # type: ignore[no-untyped-def]
    """Cubic Hermite interpolation of the motion table: position and its derivative by crank angle."""
    step = 2.0 * math.pi / TABLE_POINTS
    place = angle / step
    base = math.floor(place)
    s = place - base
    i = int(base) % TABLE_POINTS
    j = (i + 1) % TABLE_POINTS
    p0, p1, m0, m1 = position[i], position[j], slope[i] * step, slope[j] * step
    a, b = 2.0 * (p0 - p1) + m0 + m1, 3.0 * (p1 - p0) - 2.0 * m0 - m1
    return p0 + s * (m0 + s * (b + s * a)), (m0 + s * (2.0 * b + s * 3.0 * a)) / step


@nb.njit(cache=True, nogil=True)
def _bump(place, middle, width):  # type: ignore[no-untyped-def]
    """Smooth bump of height 1 around `middle`, for wear that belongs to one part of the barrel."""
    z = (place - middle) / max(width, 1e-3)
    return math.exp(-0.5 * z * z)


@nb.njit(cache=True, nogil=True)
def _pump(p, dt):  # type: ignore[no-untyped-def]
    """Make the pump of a condition; also its slippage, everywhere and at full wear, in in3/s/psi."""
    area = math.pi / 4.0 * p.plunger_diameter_in**2
    p_d = p.discharge_psi + PSI_ATMOSPHERE
    p_i = p.intake_psi + PSI_ATMOSPHERE
    drop = max(p_d - p_i, 1.0)
    to_flow = 9702.0 / 86400.0
    straight = 1.0 - p.leak_root_share
    slip_nominal = (p.slippage_bpd + straight * p.tv_leak_bpd) * to_flow / drop
    slip_wear = p.wear_leak_bpd * to_flow / drop
    capacity = area * 60.0 / math.sqrt(max(p.valve_drop_psi, 0.1))
    pump = Pump(
        dt,
        area,
        p_d,
        p_i,
        p.gas_exponent,
        1.0 / p.liquid_modulus_psi,
        capacity,
        capacity * 1.2,
        straight * p.sv_leak_bpd * to_flow / drop,
        p.leak_root_share * p.tv_leak_bpd * to_flow / math.sqrt(drop),
        p.leak_root_share * p.sv_leak_bpd * to_flow / math.sqrt(drop),
        area * p.clearance_in,
        p.gas_fraction,
        p.gas_mixing,
    )
    return pump, slip_nominal, slip_wear


class _Records(NamedTuple):
    """What is recorded at each step of the last stroke, one array each."""

    position: NDArray[np.float64]
    load: NDArray[np.float64]
    plunger: NDArray[np.float64]
    force: NDArray[np.float64]
    barrel: NDArray[np.float64]
    pressure: NDArray[np.float64]


@nb.njit(cache=True, nogil=True)
def _write_cards(  # type: ignore[no-untyped-def]
    rec, surface_position, surface_load, pump_position, pump_load, barrel_position, barrel_pressure
):
    """Fill the cards, from the bottom of the stroke."""
    steps = rec.position.shape[0]
    first = 0
    for n in range(steps):
        if rec.position[n] < rec.position[first]:
            first = n
    points = surface_position.shape[0]
    every = steps // points
    for i in range(points):
        n = (first + i * every) % steps
        surface_position[i] = rec.position[n]
        surface_load[i] = rec.load[n]
    points = pump_position.shape[0]
    every = steps // points
    for i in range(points):
        n = (first + i * every) % steps
        pump_position[i] = rec.plunger[n]
        pump_load[i] = rec.force[n]
        barrel_position[i] = rec.barrel[n]
        barrel_pressure[i] = rec.pressure[n] - PSI_ATMOSPHERE


@nb.njit(cache=True, nogil=True)
def _write_strokes(rec, p_d, out):  # type: ignore[no-untyped-def]
    """Fill fillage, strokes and tubing movement."""
    steps = rec.position.shape[0]
    # Where the travelling valve opens: first step of the downstroke with discharge pressure below the plunger.
    top_n = 0
    low_n = 0
    high_rel = -1e18
    low_rel = 1e18
    pump_low = barrel_low = 1e18
    pump_high = barrel_high = -1e18
    for n in range(steps):
        pump_low = min(pump_low, rec.plunger[n])
        pump_high = max(pump_high, rec.plunger[n])
        barrel_low = min(barrel_low, rec.barrel[n])
        barrel_high = max(barrel_high, rec.barrel[n])
        r = rec.plunger[n] - rec.barrel[n]
        if r > high_rel:
            high_rel = r
            top_n = n
        if r < low_rel:
            low_rel = r
            low_n = n
    span = (low_n - top_n) % steps
    open_rel = low_rel
    for q in range(span):
        n = (top_n + q) % steps
        if rec.pressure[n] >= p_d:
            open_rel = rec.plunger[n] - rec.barrel[n]
            break
    out.fillage_pct = 100.0 * (open_rel - low_rel) / max(high_rel - low_rel, 1e-9)
    out.gross_stroke_in = pump_high - pump_low
    out.relative_stroke_in = high_rel - low_rel
    out.tubing_movement_in = barrel_high - barrel_low


@nb.njit(cache=True, nogil=True)
def simulate_card(  # type: ignore[no-untyped-def]
    p,
    length,
    stiffness,
    weight,
    speed,
    buoyant_weight,
    table_position,
    table_slope,
    steps,
    surface_position,
    surface_load,
    pump_position,
    pump_load,
    barrel_position,
    barrel_pressure,
    out,
):
    """Run one well to its periodic steady state and record one stroke.

    Parameters
    ----------
    p : record
        One record of `simulator.PARAMETERS`.
    length, stiffness, weight, speed : ndarray, shape (tapers,)
        Tapers down to the pump or to the part: ft, lbf, lbf/ft, ft/s.
    buoyant_weight : float
        Weight of those rods in the fluid, lbf.
    table_position, table_slope : ndarray, shape (TABLE_POINTS,)
        Polished-rod motion by crank angle from the bottom of the stroke, in and in/rad.
    steps : int
        Time steps of one stroke, a multiple of the points of the cards.
    surface_position, surface_load : ndarray, shape (points,)
        Filled: the surface card, from the bottom of the stroke.
    pump_position, pump_load, barrel_position, barrel_pressure : ndarray, shape (points,)
        Filled: plunger position, effective load, barrel position (tubing movement), barrel pressure (psi gauge).
    out : record
        Filled: one record of `simulator.RESULTS`.
    """
    period = 60.0 / p.spm
    dt = period / steps
    last, spring, mass, drag, depth = cut_chain(p, length, stiffness, weight, speed, dt)
    parted = p.parted > 0.0
    mean_speed = 0.0
    for t in range(length.shape[0]):
        if length[t] > 0.0:
            mean_speed += length[t] / speed[t]
    mean_speed = depth / mean_speed
    c_unit = math.pi * mean_speed / (2.0 * p.damping_length_ft)
    half_up = 0.5 * dt * c_unit * p.damping_up
    half_down = 0.5 * dt * c_unit * p.damping_down
    k_up = np.zeros(last + 1)
    k_down = np.zeros(last + 1)
    dt_by_mass = np.zeros(last + 1)
    drag_step = np.zeros(last + 1)
    mass[last] += p.plunger_weight_lbf / (32.174 * 12.0)
    for j in range(last + 1):
        dt_by_mass[j] = dt / mass[j]
        drag_step[j] = drag[j] * dt_by_mass[j]
        if j > 0:
            k_up[j] = spring[j - 1]
        if j < last:
            k_down[j] = spring[j]

    pump, slip_nominal, slip_wear = _pump(p, dt)
    area, p_d, p_i = pump.area, pump.p_discharge, pump.p_intake
    anchored = not (p.tubing_spring_lbf_per_in > 0.0 and p.tubing_spring_lbf_per_in < 1e9)
    tubing_mass = p.tubing_mass_lbf / (32.174 * 12.0)
    tubing_c = 0.0
    tubing_sum = 1.0
    if not anchored:
        tubing_c = 2.0 * p.tubing_damping * math.sqrt(p.tubing_spring_lbf_per_in * max(tubing_mass, 1e-6))
        tubing_sum = tubing_mass / dt + tubing_c + p.tubing_spring_lbf_per_in * dt

    y = np.zeros(last + 1)
    v = np.zeros(last + 1)
    v_old = np.zeros(last + 1)
    lead = INNER_DAMPING * dt
    angle = 0.0
    omega_0 = 2.0 * math.pi / period
    pos_0, slope_0 = _motion(table_position, table_slope, 0.0)
    w = np.zeros(last + 1)
    for j in range(last + 1):
        y[j] = pos_0
        w[j] = pos_0
    top_old = pos_0
    pressure = p_d
    liquid = pump.clearance_volume / (1.0 - pump.compressibility * (p_d - p_i))
    gas = 0.0
    barrel = 0.0
    barrel_v = 0.0
    if not anchored:
        barrel = -area * (p_d - p_i) / p.tubing_spring_lbf_per_in
    low = y[last] - barrel
    high = low + 1.0
    stop_low = -1e9
    stop_high = 1e9
    marks = 50
    before = np.zeros(marks)
    now = np.zeros(marks)
    stride = steps // marks
    rec = _Records(
        np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps), np.zeros(steps)
    )
    peak_torque = 0.0
    recording = False
    free = True
    cycle = 0
    free_cycles = 0
    change = 1.0
    surface_work = pump_work = viscous = dry = stuffing_work = 0.0
    drawn_total = 0.0
    lifted_total = 0.0
    steady = False
    while True:
        cycle += 1
        start_angle = angle
        rel_min = 1e9
        rel_max = -1e9
        load_low = 1e18
        load_high = -1e18
        drawn_total = 0.0
        lifted_total = 0.0
        surface_work = pump_work = viscous = dry = stuffing_work = 0.0
        for n in range(steps):
            # Loads at time n belong to positions y; velocities v are those of the half step before.
            v[0] = (y[0] - top_old) / dt
            w[0] = y[0] + lead * v[0]
            tension = spring[0] * (w[0] - w[1])
            turning = p.stuffing_box_lbf * math.tanh(slope_0 * omega_0 / 2.0)
            balance = p.counterbalance_in_lbf * math.sin(angle + p.bottom_angle_rad + p.crank_offset_rad)
            balance += slope_0 * p.unbalance_lbf
            torque = slope_0 * (tension + buoyant_weight + turning) - balance
            load_share = min(max(torque / p.rated_torque_in_lbf, -1.0), 2.0)
            angle += omega_0 * (1.0 - p.motor_slip * load_share) * dt
            top_new, slope_new = _motion(table_position, table_slope, angle)
            top_v = 0.5 * (top_new - top_old) / dt
            hc = half_up if top_v > 0.0 else half_down
            top_force = tension + mass[0] * (
                (top_new - 2.0 * y[0] + top_old) / (dt * dt) + 2.0 * hc / dt * top_v
            )
            if top_v > 0.0:
                top_force += drag[0]
            else:
                top_force -= drag[0]
            load = top_force + buoyant_weight + turning
            if recording:
                for j in range(last + 1):
                    v_old[j] = v[j]
            step_chain(w, v, k_up, k_down, dt_by_mass, drag_step, half_up, half_down, last)
            # The lower end.
            pull = spring[last - 1] * (w[last - 1] - w[last])
            vb = v[last]
            hc_b = half_up if vb > 0.0 else half_down
            share = 1.0 / (1.0 + hc_b)
            by_mass = dt_by_mass[last]
            relative = y[last] - barrel
            if parted:
                u = vb * (1.0 - hc_b) + by_mass * pull
                lim = by_mass * (drag[last] + p.parted_friction_lbf)
                new_v = (max(u - lim, 0.0) + min(u + lim, 0.0)) * share
                new_barrel_v = 0.0
            else:
                place = (relative - low) / max(high - low, 1e-6)
                friction = p.plunger_friction_lbf + drag[last]
                if not free and p.sticking_lbf > 0.0:
                    friction += p.sticking_lbf * _bump(place, p.sticking_place, p.sticking_width)
                slip = slip_nominal
                if slip_wear > 0.0:
                    slip += slip_wear * _bump(place, p.wear_place, p.wear_width)
                knock = 0.0
                if p.knock_lbf > 0.0:
                    knock = p.knock_lbf * math.sin(p.knock_harmonic * angle + p.knock_phase_rad)
                    knock *= 1.0 - p.knock_swing * 0.5 * (1.0 + math.cos(angle + p.knock_phase_rad))
                free_v = (vb * (1.0 - hc_b) + by_mass * (pull + knock - area * p_d)) * share
                if anchored:
                    barrel_free = 0.0
                    barrel_gain = 0.0
                else:
                    barrel_gain = area / tubing_sum
                    barrel_free = (
                        tubing_mass * barrel_v / dt - p.tubing_spring_lbf_per_in * barrel + area * p_i
                    ) / tubing_sum
                plunger = Plunger(
                    y[last],
                    free_v,
                    by_mass * area * share,
                    by_mass * friction * share,
                    by_mass * p.contact_lbf_per_in * share,
                    slip,
                )
                tubing = Tubing(barrel, barrel_v, barrel_free, barrel_gain)
                travel = Travel(low, stop_low, stop_high)
                content = Content(pressure, liquid, gas)
                pressure, new_v, new_barrel_v, out_tv, in_sv = chamber_step(
                    pump, travel, content, plunger, tubing
                )
                liquid, gas, drawn = settle_content(pump, Content(pressure, liquid, gas), slip, out_tv, in_sv)
                drawn_total += drawn
                lifted_total += out_tv
            v[last] = new_v
            # What the pump did to the rods, from the momentum of the last node: friction and stops included.
            force = pull - (new_v * (1.0 + hc_b) - vb * (1.0 - hc_b)) / by_mass
            if recording:
                rec.position[n] = y[0]
                rec.load[n] = load
                rec.plunger[n] = y[last]
                rec.force[n] = force
                rec.barrel[n] = barrel
                rec.pressure[n] = pressure
                peak_torque = max(peak_torque, abs(slope_0 * load - balance))
                v[0] = top_v
                loss, rub = losses(
                    w, v_old, v, spring, lead, k_up, k_down, dt_by_mass, half_up, half_down, last
                )
                mean_b = 0.5 * (vb + new_v)
                surface_work += (top_force + turning + buoyant_weight) * top_v * dt
                stuffing_work += turning * top_v * dt
                pump_work += force * mean_b * dt
                viscous += (
                    loss + 2.0 * hc_b / by_mass * mean_b * mean_b + 2.0 * hc / dt * mass[0] * top_v * top_v
                ) * dt
                dry += (rub + drag[0] * abs(top_v)) * dt
            if n % stride == 0 and n // stride < marks:
                now[n // stride] = load
            load_low = min(load_low, load)
            load_high = max(load_high, load)
            top_old = y[0]
            y[0] = top_new
            move_chain(y, w, v, dt, lead, last)
            barrel += dt * new_barrel_v
            barrel_v = new_barrel_v
            slope_0 = slope_new
            rel_min = min(rel_min, y[last] - barrel)
            rel_max = max(rel_max, y[last] - barrel)
        if recording:
            break
        turned = angle - start_angle
        omega_0 *= 2.0 * math.pi / turned
        angle -= 2.0 * math.pi
        worst = 0.0
        for k in range(marks):
            worst = max(worst, abs(now[k] - before[k]))
            before[k] = now[k]
        change = worst / max(load_high - load_low, 1.0)
        if free:
            free_cycles += 1
            # The barrel's lower end is wherever the plunger gets to: the pump is spaced to the stroke.
            liquid += max(area * (low - rel_min), -0.5 * liquid) if gas < 1e-6 and pressure > p_i else 0.0
            low = rel_min
            high = rel_max
            if (change < p.free_tolerance and free_cycles > 1) or free_cycles >= 8:
                free = False
                if p.tag_down_in > 0.0:
                    stop_low = low + p.tag_down_in
                if p.tag_up_in > 0.0:
                    stop_high = high - p.tag_up_in
        elif change < p.tolerance or cycle >= p.max_cycles:
            steady = change < p.tolerance
            recording = True
    _write_cards(
        rec, surface_position, surface_load, pump_position, pump_load, barrel_position, barrel_pressure
    )
    _write_strokes(rec, p_d, out)
    out.liquid_bpd = drawn_total / period * 86400.0 / 9702.0
    out.pump_discharge_bpd = lifted_total / period * 86400.0 / 9702.0
    out.pprl_lbf = load_high
    out.mprl_lbf = load_low
    out.peak_torque_in_lbf = peak_torque
    out.surface_work_in_lbf = surface_work
    out.pump_work_in_lbf = pump_work
    out.viscous_work_in_lbf = viscous
    out.dry_work_in_lbf = dry
    out.stuffing_work_in_lbf = stuffing_work
    out.cycles = cycle
    out.change = change
    out.steady = 1.0 if steady else 0.0
    out.nodes = last
