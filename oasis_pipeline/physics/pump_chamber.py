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


@nb.njit(cache=True, nogil=True)
def chamber_step(  # type: ignore[no-untyped-def]
    dt,
    area,
    p_discharge,
    p_intake,
    gamma,
    compressibility,
    tv_capacity,
    sv_capacity,
    slip,
    sv_leak,
    tv_opening,
    sv_opening,
    low,
    clearance_volume,
    pressure,
    liquid,
    gas,
    plunger,
    free_velocity,
    gain,
    friction,
    barrel,
    barrel_velocity,
    barrel_free_velocity,
    barrel_gain,
    stop_low,
    stop_high,
    contact,
):
    """Advance barrel pressure, plunger velocity and barrel velocity by one step.

    Parameters
    ----------
    dt : float
        Time step, s.
    area, p_discharge, p_intake, gamma, compressibility : float
        Plunger area (in2), pressures above the plunger and at the intake (psi absolute), polytropic exponent, liquid
        compressibility (1/psi).
    tv_capacity, sv_capacity : float
        Valve flow by the root of the pressure drop, in3/s/sqrt(psi).
    slip, sv_leak : float
        Leak conductance past plunger and travelling valve, and past the standing valve, in3/s/psi.
    tv_opening, sv_opening : float
        Leaks of the valves that go with the root of the pressure difference, in3/s/sqrt(psi).
    low, clearance_volume : float
        Plunger position (relative to the barrel) of the smallest chamber, in, and that chamber, in3.
    pressure, liquid, gas : float
        State: barrel pressure (psi absolute), liquid and gas volume at intake pressure (in3).
    plunger, free_velocity, gain, friction : float
        Plunger position (in); its velocity at the end of the step without barrel pressure (in/s); what one psi adds
        to it; what dry friction can take of it.
    barrel, barrel_velocity, barrel_free_velocity, barrel_gain : float
        The same for the lower end of the tubing; `barrel_gain` is what one psi takes (0 when anchored).
    stop_low, stop_high, contact : float
        Relative positions at which the plunger meets a stop, and the velocity change by inch of penetration times dt.

    Returns
    -------
    tuple of float
        pressure, plunger velocity, barrel velocity, travelling-valve outflow (in3), standing-valve inflow (in3).
    """
    floor = 0.02 * area
    low_p, high_p = VAPOUR_PRESSURE_PSI, 1.0e6
    p = pressure
    velocity = 0.0
    new_barrel_velocity = 0.0
    q_tv = 0.0
    q_sv = 0.0
    for turn in range(60):
        sliding = _shrink(free_velocity + gain * p - barrel_velocity, friction)
        velocity = sliding + barrel_velocity
        # A plunger held by friction does not answer to the pressure.
        slope_v = gain if sliding != 0.0 else 0.0
        new_barrel_velocity = barrel_free_velocity - barrel_gain * p
        relative = plunger + dt * velocity - barrel - dt * barrel_velocity
        if relative < stop_low:
            velocity += contact * (stop_low - relative) / (1.0 + contact * dt)
            slope_v /= 1.0 + contact * dt
        elif relative > stop_high:
            velocity -= contact * (relative - stop_high) / (1.0 + contact * dt)
            slope_v /= 1.0 + contact * dt
        relative = plunger + dt * velocity - barrel - dt * new_barrel_velocity
        volume = area * (relative - low) + clearance_volume
        slope = area * dt * (slope_v + barrel_gain)
        if volume < floor:
            volume = floor
            slope = 0.0
        q_tv, dq_tv = _orifice(tv_capacity, p - p_discharge)
        q_sv, dq_sv = _orifice(sv_capacity, p_intake - p)
        q_slip = slip * (p_discharge - p)
        dq_slip = -slip
        if q_slip < 0.0:
            q_slip = 0.0
            dq_slip = 0.0
        if tv_opening > 0.0:
            through, by_drop = _orifice(tv_opening, p_discharge - p)
            q_slip += through
            dq_slip -= by_drop
        q_back = 0.0
        dq_back = 0.0
        if p > p_intake:
            q_back = sv_leak * (p - p_intake)
            dq_back = sv_leak
        if sv_opening > 0.0:
            through, by_drop = _orifice(sv_opening, p - p_intake)
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
def settle_content(  # type: ignore[no-untyped-def]
    dt,
    p,
    p_discharge,
    p_intake,
    gamma,
    compressibility,
    slip,
    sv_leak,
    tv_opening,
    sv_opening,
    gas_fraction,
    mixing,
    liquid,
    gas,
    out_tv,
    in_sv,
):
    """Book what flowed during the step: gas and liquid of the barrel after it, and the liquid drawn in.

    Inflow brings `gas_fraction` of its volume as gas. Through the travelling valve gas leaves in proportion to its share
    (`mixing` 1, froth) or first (`mixing` 0, gas on top of the liquid). Leaks carry liquid.

    Returns
    -------
    tuple of float
        liquid, gas (in3 at intake pressure), net liquid taken from the intake (in3).
    """
    squeeze = 1.0 - compressibility * (p - p_intake)
    expansion = math.exp(math.log(p / p_intake) / gamma)
    gas_volume = gas / expansion
    gas_out = 0.0
    if out_tv > 0.0 and gas_volume > 0.0:
        share = gas_volume / (gas_volume + liquid * squeeze)
        share = mixing * share + (1.0 - mixing)
        gas_out = min(out_tv * share, gas_volume)
    liquid_out = out_tv - gas_out
    back = 0.0
    if p > p_intake:
        back = (sv_leak * (p - p_intake) + _orifice(sv_opening, p - p_intake)[0]) * dt / squeeze
    down = 0.0
    if p < p_discharge:
        down = (slip * (p_discharge - p) + _orifice(tv_opening, p_discharge - p)[0]) * dt / squeeze
    drawn = in_sv * (1.0 - gas_fraction)
    liquid = liquid + drawn + down - back - liquid_out / squeeze
    gas = gas + in_sv * gas_fraction - gas_out * expansion
    return max(liquid, 1e-9), max(gas, 0.0), drawn - back
