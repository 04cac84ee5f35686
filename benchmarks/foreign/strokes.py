"""Strokes of a rod string and its pump: characteristics along the rods, a compressible chamber with moving valves at their end.

Between nodes the rods carry two waves without loss, T + Z v downward and T - Z v upward (tension T, upward speed v, impedance Z). Weight, viscous
drag and Coulomb friction act at the nodes, where they are balanced exactly, sticking included. All nodes lie one time step
apart, so the scheme is exact for rods without friction and tapers reflect as they should; nothing is differenced.

The chamber holds liquid, free gas (polytropic) and dissolved gas that comes out with a delay. Balls take time to open and to seat, flow
through a seat goes with the root of the pressure difference, slippage is laminar in an eccentric annulus with the plunger's motion. One pressure is
found each step for which the volume of what is in the barrel equals the volume under the plunger, which the rods' wave lets move.

References
----------
Wylie, E.B., Streeter, V.L. (1993): Fluid Transients in Systems (characteristics with lumped boundaries).
Lekia, S.D.L., Evans, R.D. (1995): A coupled rod and fluid dynamic model for predicting the behavior of sucker-rod pumping systems, SPE 30169.
Armstrong-Helouvry, B., Dupont, P., Canudas de Wit, C. (1994): A survey of models, analysis tools and compensation methods for the control
of machines with friction, Automatica 30 (Stribeck's falling branch).
Johancsik, C.A., Friesen, D.B., Dawson, R. (1984): Torque and drag in directional wells, SPE 11380.
Piercy, N.A.V., Hooper, M.S., Winny, H.F. (1933): Viscous flow through pipes with cores (eccentric annulus, small eccentricity).
Juch, A.H., Watson, R.J. (1969): New concepts in sucker-rod pump design, JPT (valves, gas and the space under the plunger).

Units are those of SI; up is positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.compiled import compiled

SAMPLES = 600
"""Points of a recorded stroke, equally spaced in time."""

PERIODIC = 0.004
"""A card counts as periodic when the loads of two strokes differ by less than this share of their range, in the mean."""

# Columns of a card's parameters.
NAMES = (
    "period",  # s
    "stroke",  # of the polished rod, m
    "damping",  # viscous drag at a node, N s/m
    "path_friction",  # Coulomb coefficient along the path
    "deposit_drag",  # Coulomb drag at a node beside the path's, N
    "deposit_depth",  # share of the rods, from the top, where it acts
    "static_excess",  # static over sliding friction, less one
    "slow_speed",  # at which half the excess is left, m/s
    "plunger_friction",  # N
    "box_friction",  # at the stuffing box, N
    "discharge",  # pressure over the plunger, Pa
    "intake",  # pressure at the standing valve, Pa
    "inflow",  # liquid that comes to the intake, m3/s
    "sump",  # liquid that can wait there, m3
    "gas_share",  # of the volume that enters while liquid waits
    "dissolved",  # gas that the liquid in the barrel can free: volume at intake pressure by volume of liquid
    "release_time",  # s
    "polytropic",  # exponent
    "dead_space",  # under the plunger at its lowest, m3
    "density",  # of the liquid, kg/m3
    "bulk",  # modulus of the liquid in its barrel, Pa
    "plunger_area",  # m2
    "tv_area",  # of the seat with its discharge coefficient, m2
    "sv_area",
    "open_time",  # of a ball, s
    "close_time",
    "tv_leak",  # area of the leak with its discharge coefficient, m2
    "sv_leak",
    "clearance",  # radial, m
    "wear",  # clearance more in the worn part, m
    "worn_at",  # middle of the worn part, share of the travel
    "worn_width",  # share of the travel
    "eccentricity",
    "viscosity",  # Pa s
    "plunger_length",  # m
    "plunger_diameter",  # m
    "tubing_give",  # m/N
    "tubing_drag",  # N s/m
    "tag_low",  # height of a stop over the plunger's lowest place, m; NONE: no stop
    "tag_high",  # depth of a stop under the plunger's highest place, m; NONE: no stop
    "tag_stiffness",  # N/m
    "ripple",  # amplitude of the knock on the polished rod, m
    "ripple_cycles",  # cycles a stroke
    "ripple_fade",  # share of the stroke in which a knock fades to 1/e
    "hanging",  # elements that hang after a parting; 0: all, with the pump
)
COLUMN = {name: k for k, name in enumerate(NAMES)}
NONE = -1.0e6

# Columns of a card's results.
RESULTS = (
    "strokes",  # made until the card was periodic
    "mismatch",  # of surface load between the last two strokes, share of its range
    "produced",  # liquid through the plunger and past it, m3 a stroke
    "drawn",  # liquid through the standing valve, leak included, m3
    "stored",  # liquid in the chamber, end less begin of the stroke, m3
    "tv_leaked",  # m3
    "slipped",  # past the plunger, m3
    "sv_leaked",  # m3
    "travel",  # of the plunger, m
    "net_travel",  # of the plunger relative to the barrel, m
    "fillage",  # liquid share of the swept volume as the travelling valve opens; nan if it doesn't
    "opened_at",  # share of the net travel over which the plunger still stands then; nan if it doesn't
    "sag",  # what the pressure difference over the plunger lacks in the middle of the upstroke, share of that of the valves
    "gas_fill",  # free gas share of the swept volume at the top of the stroke
    "tubing_travel",  # of the barrel, m
    "tag_low_force",  # N
    "tag_high_force",  # N
    "surface_work",  # under the stuffing box, J
    "pump_work",  # by pressure on the plunger, J
    "viscous_work",
    "friction_work",  # along the rods
    "end_work",  # friction at the plunger
    "tag_work",
    "weight_work",
    "stored_work",  # elastic and kinetic energy of the rods, end less begin
    "highest_pressure",  # Pa
    "lowest_pressure",  # Pa
    "friction_force",  # sum of the Coulomb drag along the rods in mid upstroke, N
)
RESULT = {name: k for k, name in enumerate(RESULTS)}
_N_RESULTS = len(RESULTS)
(
    _STROKES, _MISMATCH, _PRODUCED, _DRAWN, _STORED, _TV_LEAKED, _SLIPPED, _SV_LEAKED, _TRAVEL, _NET, _FILLAGE, _OPENED, _SAG, _GAS, _TUBING, _LOW, _HIGH,
    _SURFACE, _PUMP, _VISCOUS, _FRICTION, _END, _TAG, _WEIGHT, _RODS, _MOST, _LEAST, _FORCE,
) = range(_N_RESULTS)  # fmt: skip


@compiled
def clearance_flow(
    clearance: float, eccentricity: float, diameter: float, length: float, viscosity: float, difference: float, speed: float
) -> float:  # fmt: skip
    """Return laminar flow down past a plunger: by pressure in an eccentric annulus, less what the plunger drags up; SI."""
    ring = np.pi * diameter * clearance
    return (
        ring * clearance**2 * (1 + 1.5 * eccentricity**2) * difference / (12 * viscosity * length)
        - 0.5 * ring * speed
    )


@compiled
def seat_flow(area: float, difference: float, density: float) -> float:
    """Return the flow through an opening: with the root of the pressure difference, linear close to nought; SI."""
    return float(area * np.sqrt(2 / density) * difference / np.sqrt(abs(difference) + 2.0e3))


@compiled
def _height(motion: NDArray[np.float64], place: float, ripple: float, cycles: float, fade: float) -> float:
    """Return the polished rod's height at a share of the stroke, in strokes, with a knock at each reversal."""
    points = motion.size
    at = (place % 1.0) * points
    i = int(at) % points
    w = at - int(at)
    y = (1 - w) * motion[i] + w * motion[(i + 1) % points]
    if ripple > 0:
        since = (place % 0.5) / fade
        y += (
            ripple
            * np.sin(2 * np.pi * cycles * place)
            * np.exp(-since)
            * min(1.0, 8 * since)
            * min(1.0, 40 * (0.5 - place % 0.5))
        )
    return float(y)


@compiled
def _end_speed(
    incoming: float, force: float, stick: float, z: float, step: float, place: float, low: float, high: float, stiffness: float
) -> tuple[float, float]:  # fmt: skip
    """Return speed of the plunger and what the stops add to its load."""
    stop = -stiffness * max(0.0, low - place) + stiffness * max(0.0, place - high)
    push = incoming - force
    if abs(push - stop) <= stick:
        return 0.0, stop
    push -= stick if push > stop else -stick
    v = push / z
    then = place + v * step
    if then < low:
        v = (push + stiffness * (low - place)) / (z + stiffness * step)
        stop = -stiffness * (low - place - v * step)
    elif then > high:
        v = (push - stiffness * (place - high)) / (z + stiffness * step)
        stop = stiffness * (place + v * step - high)
    else:
        stop = 0.0
    return v, stop


@compiled
def _exchange(
    liquid: float, gas: float, p: float, intake: float, power: float, gas_share: float, sump: float,
    q_s: float, q_t: float, q_tl: float, q_slip: float, q_sl: float, step: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Return what a step adds to the chamber: liquid, gas, liquid drawn (net) and liquid produced (net)."""
    free = gas / p**power
    share = liquid / max(liquid + free, 1.0e-12)
    if q_s > 0:
        entered = min(q_s * step * (1 - gas_share), sump)
        gas_in = (q_s * step - entered) * intake**power
    else:
        entered = q_s * step
        gas_in = 0.0
    drawn = entered - q_sl * step
    out = share if q_t > 0 else 1.0
    produced = q_t * step * out - (q_tl + q_slip) * step
    return drawn - produced, gas_in - q_t * step * (1 - out) * p**power, drawn, produced


@compiled
def run_strokes(
    motion: NDArray[np.float64],
    impedance: NDArray[np.float64],
    weight: NDArray[np.float64],
    across: NDArray[np.float64],
    build: NDArray[np.float64],
    turn: NDArray[np.float64],
    step: float,
    parameters: NDArray[np.float64],
    least: int,
    most: int,
    surface: NDArray[np.float32],
    pump: NDArray[np.float32],
    results: NDArray[np.float64],
) -> None:
    """Run a well's cards one after the other, each from the state that the one before left.

    Parameters
    ----------
    motion : ndarray, shape (cards, points)
        Height of the polished rod at equal steps of one stroke, 0 to 1, beginning at the bottom.
    impedance : ndarray, shape (elements,)
        Of each element of the rods from the top, N s/m; a wave takes one step through each.
    weight, across : ndarray, shape (elements,)
        Buoyant weight along and across the path, N.
    build, turn : ndarray, shape (elements,)
        Angle by which the path bends in its vertical plane (positive where inclination grows) and out of it, rad.
    step : float
        Time step, s.
    parameters : ndarray, shape (cards, len(NAMES))
        In the order of `NAMES`.
    least, most : int
        Strokes made for each card; a stop acts after the first two.
    surface, pump : ndarray of float32, shape (cards, 2, SAMPLES)
        Filled with height (m) and load (N); the load of the pump is the effective tension over the plunger.
    results : ndarray, shape (cards, len(RESULTS))
        Filled in the order of `RESULTS`.
    """
    cards = parameters.shape[0]
    elements = impedance.size
    over = np.zeros(elements + 1)  # tension above a node
    under = np.zeros(elements + 1)  # tension below it
    speed = np.zeros(elements + 1)
    down = np.zeros(elements + 1)
    up = np.zeros(elements + 1)
    own = np.zeros(elements + 1)
    longest = 0
    for card in range(cards):
        longest = max(longest, round(parameters[card, 0] / step))
    history = np.zeros((4, longest))
    height = pressure = liquid = gas = solved = sump = tubing = opened_t = opened_s = floor = ceiling = 0.0
    last_end = -1
    for card in range(cards):
        p_ = parameters[card]
        period, stroke, damping, mu, deposit, deposit_depth = p_[0], p_[1], p_[2], p_[3], p_[4], p_[5]
        excess, slow, plunger_friction, box = p_[6], p_[7], p_[8], p_[9]
        discharge, intake, inflow, sump_room, gas_share = p_[10], p_[11], p_[12], p_[13], p_[14]
        dissolved, release, power, dead, density, bulk = p_[15], p_[16], 1 / p_[17], p_[18], p_[19], p_[20]
        area, tv_area, sv_area, t_open, t_close = p_[21], p_[22], p_[23], p_[24], p_[25]
        tv_leak, sv_leak, clearance, wear, worn_at, worn_width = (
            p_[26],
            p_[27],
            p_[28],
            p_[29],
            p_[30],
            p_[31],
        )
        eccentric, viscosity, length, diameter = p_[32], p_[33], p_[34], p_[35]
        give, tubing_drag, tag_low, tag_high, stiffness = p_[36], p_[37], p_[38], p_[39], p_[40]
        ripple, cycles, fade, hanging = p_[41], p_[42], p_[43], int(p_[44])
        steps = round(period / step)
        whole = hanging == 0
        end = elements if whole else hanging
        row = results[card]
        if end != last_end:
            # The rods hang at rest, the barrel is full and as high as the tubing's column.
            last_end = end
            speed[:] = 0.0
            total = 0.0
            for k in range(end, -1, -1):
                own[k] = (0.5 * weight[k] if k < end else 0.0) + (0.5 * weight[k - 1] if k > 0 else 0.0)
                under[k] = total
                total += own[k]
                over[k] = total
            height = floor = gas = solved = tubing = opened_t = opened_s = 0.0
            ceiling = stroke
            pressure, liquid, sump = discharge, dead, sump_room
        fading = np.exp(-step / release)
        sagging = np.exp(-step / (give * tubing_drag)) if give > 0 else 0.0
        done = 0
        mismatch = 1.0
        low = high = 0.0
        while done < least or (done < most and mismatch > PERIODIC):
            row[:] = 0.0
            tags = done >= 2
            before_liquid = liquid
            begin = _rod_energy(under, over, speed, impedance, end, step)
            lowest, highest = 1.0e9, -1.0e9
            rel_low, rel_high = 1.0e9, -1.0e9
            tub_low, tub_high = 1.0e9, -1.0e9
            low, high = 1.0e12, -1.0e12
            opened_at, full_at, free_at_top = np.nan, np.nan, 0.0
            was_below = False
            off = 0.0
            drag_sum, drag_count = 0.0, 0
            sag_sum, sag_count = 0.0, 0
            viscous = rubbed = raised = 0.0
            row[_LEAST] = pressure
            low_stop = floor + tag_low if tags and tag_low > NONE else -1.0e9
            high_stop = ceiling - tag_high if tags and tag_high > NONE else 1.0e9
            y = _height(motion[card], 0.0, ripple / stroke, cycles, fade)
            for n in range(steps):
                for k in range(end):
                    down[k + 1] = under[k] + impedance[k] * speed[k]
                    up[k] = over[k + 1] - impedance[k] * speed[k + 1]
                # The polished rod's motion is given.
                y_then = y
                y = _height(motion[card], (n + 1) / steps, ripple / stroke, cycles, fade)
                v = (y - y_then) * stroke / step
                speed[0] = v
                under[0] = up[0] + impedance[0] * v
                over[0] = under[0] + own[0]
                load = over[0] + box * min(1.0, max(-1.0, v / 0.02))
                row[_SURFACE] += over[0] * v * step
                row[_WEIGHT] += own[0] * v * step
                drag = 0.0
                for k in range(1, end):
                    z_u, z_l = impedance[k - 1], impedance[k]
                    tension = 0.5 * (over[k] + under[k])
                    bending = tension * 0.5 * (build[k - 1] + build[k]) - 0.5 * (across[k - 1] + across[k])
                    twisting = tension * 0.5 * (turn[k - 1] + turn[k])
                    force = mu * np.sqrt(bending * bending + twisting * twisting)
                    if k <= deposit_depth * elements:
                        force += deposit
                    force *= 1 + excess / (1 + (speed[k] / slow) ** 2)
                    push = down[k] - up[k] - own[k]
                    if push > force:
                        v = (push - force) / (z_u + z_l + damping)
                    elif push < -force:
                        v = (push + force) / (z_u + z_l + damping)
                    else:
                        v = 0.0
                    over[k] = down[k] - z_u * v
                    under[k] = up[k] + z_l * v
                    speed[k] = v
                    lost = over[k] - under[k] - own[k] - damping * v
                    drag += lost
                    viscous += v * v
                    rubbed += lost * v
                    raised += own[k] * v
                if 5 * n > steps and 10 * n < 3 * steps:
                    drag_sum += drag
                    drag_count += 1
                # The lower end: a pump, or nothing.
                z = impedance[end - 1]
                incoming = down[end] - own[end]
                force = plunger_friction * (1 + excess / (1 + (speed[end] / slow) ** 2))
                stop = 0.0
                if not whole:
                    v, stop = _end_speed(incoming, 0.0, 0.3 * force, z, step, 0.0, -1.0e9, 1.0e9, 0.0)
                    by_pressure = 0.0
                    pressure = discharge
                else:
                    sump = min(sump + inflow * step, sump_room)
                    # Dissolved gas follows the pressure with a delay; amounts of gas are volumes times pressure to the power 1/n.
                    goal = dissolved * liquid * intake**power * min(1.0, pressure / discharge)
                    moved = min((goal - solved) * (1 - fading), gas)
                    gas -= moved
                    solved += moved
                    gap = clearance
                    if wear > 0:
                        away = (
                            (height - tubing - floor) / max(ceiling - floor, 1.0e-3) - worn_at
                        ) / worn_width
                        gap += wear * np.exp(-away * away)
                    least_p, most_p = 1.0e3, 2.0e8
                    at_least, at_most = 0.0, 0.0
                    bracketed_l = bracketed_m = False
                    p = pressure
                    d_liquid = d_gas = drawn = produced = 0.0
                    open_t = open_s = q_tl = q_slip = q_sl = risen = 0.0
                    for trial in range(60):  # seldom more than six
                        v, stop = _end_speed(
                            incoming,
                            area * (discharge - p),
                            force,
                            z,
                            step,
                            height - tubing,
                            low_stop,
                            high_stop,
                            stiffness,
                        )
                        open_s = (
                            min(1.0, opened_s + step / t_open)
                            if p < intake
                            else max(0.0, opened_s - step / t_close)
                        )
                        open_t = (
                            min(1.0, opened_t + step / t_open)
                            if p > discharge
                            else max(0.0, opened_t - step / t_close)
                        )
                        q_s = seat_flow(sv_area * open_s, intake - p, density)
                        q_t = seat_flow(tv_area * open_t, p - discharge, density)
                        q_tl = seat_flow(tv_leak, discharge - p, density)
                        q_sl = seat_flow(sv_leak, p - intake, density)
                        q_slip = clearance_flow(gap, eccentric, diameter, length, viscosity, discharge - p, v)
                        d_liquid, d_gas, drawn, produced = _exchange(
                            liquid, gas, p, intake, power, gas_share, sump, q_s, q_t, q_tl, q_slip, q_sl, step
                        )
                        held = (liquid + d_liquid) * (1 - (p - intake) / bulk) + max(
                            gas + d_gas, 0.0
                        ) / p**power
                        # What the rods carry the tubing doesn't: it shortens, and the barrel rises.
                        risen = tubing + (give * area * (discharge - p) - tubing) * (1 - sagging)
                        f = held - dead - area * (height + v * step - risen - floor)
                        if abs(f) < 1.0e-8 * area:
                            break
                        if f > 0:
                            least_p, at_least, bracketed_l = p, f, True
                        else:
                            most_p, at_most, bracketed_m = p, f, True
                        if most_p - least_p < 1.0:
                            break
                        if bracketed_l and bracketed_m:
                            if trial % 3 == 2:
                                p = np.sqrt(least_p * most_p)
                            else:
                                p = least_p + (most_p - least_p) * at_least / (at_least - at_most)
                        elif bracketed_l:
                            p = min(1.5 * p + 1.0e4, most_p)
                        else:
                            p = max(p / 1.5, least_p)
                    pressure = p
                    opened_t, opened_s = open_t, open_s
                    sump = max(sump - drawn, 0.0)
                    liquid = max(liquid + d_liquid, 0.0)
                    gas = max(gas + d_gas, 0.0)
                    by_pressure = area * (discharge - p)
                    row[_DRAWN] += drawn
                    row[_PRODUCED] += produced
                    row[_TV_LEAKED] += q_tl * step
                    row[_SLIPPED] += q_slip * step
                    row[_SV_LEAKED] += q_sl * step
                    row[_MOST], row[_LEAST] = max(row[_MOST], p), min(row[_LEAST], p)
                    lifted = (height + v * step - risen - floor) / max(ceiling - floor, 1.0e-3)
                    if v > 0 and 0.2 < lifted < 0.85:
                        sag_sum += max(0.0, (p - intake) / (discharge - intake))
                        sag_count += 1
                    if was_below and p >= discharge and v < 0:
                        opened_at, full_at = height - risen, liquid
                        was_below = False
                    if p < 0.98 * discharge and 2 * n < steps:
                        was_below = True
                    if height + v * step - risen > rel_high:
                        free_at_top = gas / p**power
                    tubing = risen
                    row[_LOW], row[_HIGH] = max(row[_LOW], -stop), max(row[_HIGH], stop)
                plunger_load = incoming - z * v
                over[end] = down[end] - z * v
                speed[end] = v
                height += v * step
                row[_PUMP] += by_pressure * v * step
                row[_TAG] += stop * v * step
                row[_END] += (plunger_load - by_pressure - stop) * v * step
                row[_WEIGHT] += own[end] * v * step
                lowest, highest = min(lowest, height), max(highest, height)
                rel_low, rel_high = min(rel_low, height - tubing), max(rel_high, height - tubing)
                tub_low, tub_high = min(tub_low, tubing), max(tub_high, tubing)
                low, high = min(low, load), max(high, load)
                off += abs(load - history[1, n])
                history[0, n], history[1, n], history[2, n], history[3, n] = (
                    y * stroke,
                    load,
                    height,
                    plunger_load,
                )
            done += 1
            row[_VISCOUS], row[_FRICTION] = damping * viscous * step, rubbed * step
            row[_WEIGHT] += raised * step
            mismatch = off / steps / max(high - low, 1.0) if done > 1 else 1.0
            row[_STROKES], row[_MISMATCH] = done, mismatch
            row[_RODS] = _rod_energy(under, over, speed, impedance, end, step) - begin
            row[_STORED] = liquid - before_liquid
            row[_TRAVEL], row[_NET], row[_TUBING] = highest - lowest, rel_high - rel_low, tub_high - tub_low
            row[_FORCE] = drag_sum / max(drag_count, 1)
            net = max(rel_high - rel_low, 1.0e-6)
            row[_OPENED] = (opened_at - rel_low) / net
            row[_SAG] = sag_sum / max(sag_count, 1)
            row[_GAS] = free_at_top / (area * net)
            row[_FILLAGE] = (full_at - dead) / (area * net)
            # The space under the plunger is measured from its lowest free place, which settles with the motion.
            if whole and not tags:
                liquid = max(liquid + area * (floor - rel_low), 0.05 * dead)
                floor = rel_low
                ceiling = rel_high
        for k in range(SAMPLES):
            at = k * steps / SAMPLES
            i = int(at)
            w = at - i
            j = (i + 1) % steps
            for c in range(2):
                surface[card, c, k] = (1 - w) * history[c, i] + w * history[c, j]
                pump[card, c, k] = (1 - w) * history[c + 2, i] + w * history[c + 2, j]
            pump[card, 0, k] -= lowest


@compiled
def _rod_energy(
    under: NDArray[np.float64], over: NDArray[np.float64], speed: NDArray[np.float64], impedance: NDArray[np.float64], end: int, step: float
) -> float:  # fmt: skip
    """Return the energy of the waves in the rods, elastic and kinetic, J."""
    total = 0.0
    for k in range(end):
        total += (
            (under[k] + impedance[k] * speed[k]) ** 2 + (over[k + 1] - impedance[k] * speed[k + 1]) ** 2
        ) / impedance[k]
    return 0.25 * step * total
