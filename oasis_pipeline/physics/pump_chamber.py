"""The pump chamber of the predictive model: gas, liquid, valves and leaks between plunger and standing valve.

Belongs here: one implicit time step of the barrel pressure together with the plunger and the tubing it moves. The rod
string above belongs to `simulator_kernel`, the choice of numbers to `simulator`.

Units are in, lbf, s, psi (absolute inside this module) and cubic inches.

One step. The barrel holds liquid `vl` (measured at intake pressure, compressibility kappa) and gas `vg` (measured at
intake pressure p_i, polytropic: p v^gamma constant). With the barrel pressure p unknown at the end of the step, plunger and
barrel velocities are linear in p (implicit Euler for the stiff part), so the swept volume V(p) rises with p and the
content, with what the valves and leaks let through during the step, falls with it::

    V(p) = vl (1 - kappa (p - p_i)) + vg (p_i / p)^(1/gamma) + dt (q_sv - q_tv + q_leaks)

A root of a monotone function of one variable: found by Newton steps inside a bracket, so the stiffness of a barrel full of
liquid sets no limit to the time step. A barrel that would need less than the vapour pressure cavitates.
"""

import math
from typing import NamedTuple

import numba as nb

VAPOUR_PRESSURE_PSI = 1.0
"""Absolute pressure below which the barrel liquid boils instead of following the plunger."""

_SMOOTHING_PSI = 0.5


@nb.njit(cache=True, nogil=True)
def _orifice(capacity, drop):  # type: ignore[no-untyped-def]
    """Flow through an open valve and its derivative by the pressure drop; nothing flows back."""
    if drop <= 0.0:
        return 0.0, 0.0
    root = math.sqrt(drop + _SMOOTHING_PSI)
    return capacity * drop / root, capacity * (1.0 / root - 0.5 * drop / root**3)


@nb.njit(cache=True, nogil=True)
def _shrink(value, limit):  # type: ignore[no-untyped-def]
    """Soft threshold: velocity after dry friction that can take at most `limit` of it."""
    if value > limit:
        return value - limit
    if value < -limit:
        return value + limit
    return 0.0


class Pump(NamedTuple):
    """What stays as it is while a pump works.

    Attributes
    ----------
    dt : float
        Time step, s.
    area, p_discharge, p_intake, gamma, compressibility : float
        Plunger area (in2), pressures above the plunger and at the intake (psi absolute), polytropic exponent, liquid
        compressibility (1/psi).
    tv_capacity, sv_capacity : float
        Valve flow by the root of the pressure drop, in3/s/sqrt(psi).
    sv_leak : float
        Leak conductance past the standing valve, in3/s/psi.
    tv_opening, sv_opening : float
        Leaks of the valves that go with the root of the pressure difference, in3/s/sqrt(psi).
    clearance_volume : float
        The smallest chamber, in3.
    gas_fraction, mixing : float
        Share of gas in the inflow by volume; 1 froth, 0 gas above liquid.
    """

    dt: float
    area: float
    p_discharge: float
    p_intake: float
    gamma: float
    compressibility: float
    tv_capacity: float
    sv_capacity: float
    sv_leak: float
    tv_opening: float
    sv_opening: float
    clearance_volume: float
    gas_fraction: float
    mixing: float


class Content(NamedTuple):
    """State of the barrel: pressure (psi absolute), liquid and gas volume at intake pressure (in3)."""

    pressure: float
    liquid: float
    gas: float


class Travel(NamedTuple):
    """Plunger positions relative to the barrel (in): of the smallest chamber, and where the plunger meets a stop."""

    low: float
    stop_low: float
    stop_high: float


class Plunger(NamedTuple):
    """The plunger at the begin of a step.

    Attributes
    ----------
    position, free_velocity : float
        Position (in), and its velocity at the end of the step without barrel pressure (in/s).
    gain, friction, contact : float
        What one psi adds to the velocity; what dry friction can take of it; its change by inch of penetration of a stop times dt.
    slip : float
        Leak conductance past plunger and travelling valve here, in3/s/psi.
    """

    position: float
    free_velocity: float
    gain: float
    friction: float
    contact: float
    slip: float


class Tubing(NamedTuple):
    """The lower end of the tubing at the begin of a step: position, velocity, velocity at its end without pressure, and what one psi takes of it (0 when anchored)."""

    position: float
    velocity: float
    free_velocity: float
    gain: float


@nb.njit(cache=True, nogil=True)
def chamber_step(pump, travel, content, plunger, tubing):  # type: ignore[no-untyped-def]
    """Advance barrel pressure, plunger velocity and barrel velocity by one step.

    Parameters
    ----------
    pump : Pump
    travel : Travel
    content : Content
    plunger : Plunger
    tubing : Tubing

    Returns
    -------
    tuple of float
        pressure, plunger velocity, barrel velocity, travelling-valve outflow (in3), standing-valve inflow (in3).
    """
    dt, area, p_discharge, p_intake = pump.dt, pump.area, pump.p_discharge, pump.p_intake
    gamma, compressibility = pump.gamma, pump.compressibility
    liquid, gas, contact = content.liquid, content.gas, plunger.contact
    floor = 0.02 * area
    low_p, high_p = VAPOUR_PRESSURE_PSI, 1.0e6
    p = content.pressure
    velocity = 0.0
    new_barrel_velocity = 0.0
    q_tv = 0.0
    q_sv = 0.0
    for turn in range(60):
        sliding = _shrink(plunger.free_velocity + plunger.gain * p - tubing.velocity, plunger.friction)
        velocity = sliding + tubing.velocity
        # A plunger held by friction does not answer to the pressure.
        slope_v = plunger.gain if sliding != 0.0 else 0.0
        new_barrel_velocity = tubing.free_velocity - tubing.gain * p
        relative = plunger.position + dt * velocity - tubing.position - dt * tubing.velocity
        if relative < travel.stop_low:
            velocity += contact * (travel.stop_low - relative) / (1.0 + contact * dt)
            slope_v /= 1.0 + contact * dt
        elif relative > travel.stop_high:
            velocity -= contact * (relative - travel.stop_high) / (1.0 + contact * dt)
            slope_v /= 1.0 + contact * dt
        relative = plunger.position + dt * velocity - tubing.position - dt * new_barrel_velocity
        volume = area * (relative - travel.low) + pump.clearance_volume
        slope = area * dt * (slope_v + tubing.gain)
        if volume < floor:
            volume = floor
            slope = 0.0
        q_tv, dq_tv = _orifice(pump.tv_capacity, p - p_discharge)
        q_sv, dq_sv = _orifice(pump.sv_capacity, p_intake - p)
        q_slip = plunger.slip * (p_discharge - p)
        dq_slip = -plunger.slip
        if q_slip < 0.0:
            q_slip = 0.0
            dq_slip = 0.0
        if pump.tv_opening > 0.0:
            through, by_drop = _orifice(pump.tv_opening, p_discharge - p)
            q_slip += through
            dq_slip -= by_drop
        q_back = 0.0
        dq_back = 0.0
        if p > p_intake:
            q_back = pump.sv_leak * (p - p_intake)
            dq_back = pump.sv_leak
        if pump.sv_opening > 0.0:
            through, by_drop = _orifice(pump.sv_opening, p - p_intake)
            q_back += through
            dq_back += by_drop
        gas_volume = 0.0
        slope_gas = 0.0
        if gas > 1e-9:
            gas_volume = gas * math.exp(math.log(p_intake / p) / gamma)
            slope_gas = -gas_volume / (gamma * p)
        content = (
            liquid * (1.0 - compressibility * (p - p_intake))
            + gas_volume
            + dt * (q_sv - q_tv + q_slip - q_back)
        )
        residual = volume - content
        if abs(residual) < 1e-7 * area:
            break
        if residual > 0.0:
            high_p = p
            if p <= low_p * 1.0000001:
                break
        else:
            low_p = p
        slope -= -liquid * compressibility + slope_gas + dt * (-dq_sv - dq_tv + dq_slip - dq_back)
        trial = p - residual / slope if slope > 0.0 and turn % 8 != 7 else -1.0
        if trial <= low_p or trial >= high_p:
            # Pressures span four decades: halve the bracket on the log scale.
            trial = low_p if high_p < low_p * 1.001 else math.sqrt(low_p * high_p)
        if abs(trial - p) < 1e-6 * p:
            break
        p = trial
    return p, velocity, new_barrel_velocity, q_tv * dt, q_sv * dt


@nb.njit(cache=True, nogil=True)
def settle_content(pump, content, slip, out_tv, in_sv):  # type: ignore[no-untyped-def]
    """Book what flowed during the step: gas and liquid of the barrel after it, and the liquid drawn in.

    `content` holds the pressure at the end of the step with what was there at its begin. Inflow brings `gas_fraction` of its volume as gas. Through the travelling valve gas leaves in proportion to its share
    (`mixing` 1, froth) or first (`mixing` 0, gas on top of the liquid). Leaks carry liquid.

    Returns
    -------
    tuple of float
        liquid, gas (in3 at intake pressure), net liquid taken from the intake (in3).
    """
    dt, p, liquid, gas = pump.dt, content.pressure, content.liquid, content.gas
    p_intake, p_discharge, compressibility = pump.p_intake, pump.p_discharge, pump.compressibility
    squeeze = 1.0 - compressibility * (p - p_intake)
    expansion = math.exp(math.log(p / p_intake) / pump.gamma)
    gas_volume = gas / expansion
    gas_out = 0.0
    if out_tv > 0.0 and gas_volume > 0.0:
        share = gas_volume / (gas_volume + liquid * squeeze)
        share = pump.mixing * share + (1.0 - pump.mixing)
        gas_out = min(out_tv * share, gas_volume)
    liquid_out = out_tv - gas_out
    back = 0.0
    if p > p_intake:
        back = (pump.sv_leak * (p - p_intake) + _orifice(pump.sv_opening, p - p_intake)[0]) * dt / squeeze
    down = 0.0
    if p < p_discharge:
        down = (slip * (p_discharge - p) + _orifice(pump.tv_opening, p_discharge - p)[0]) * dt / squeeze
    drawn = in_sv * (1.0 - pump.gas_fraction)
    liquid = liquid + drawn + down - back - liquid_out / squeeze
    gas = gas + in_sv * pump.gas_fraction - gas_out * expansion
    return max(liquid, 1e-9), max(gas, 0.0), drawn - back
