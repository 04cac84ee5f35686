"""The rod string of the predictive model as a chain of masses and springs: cutting it up, stepping it, its losses.

Belongs here: what happens between polished rod and pump. Both ends belong to `simulator_kernel`.

A node obeys m dv/dt = tension above - tension below - c m v - drag sign(v), stepped by the leapfrog rule with the viscous
term centred and the dry friction as an exact threshold. Units are in, lbf, s; masses lbf s2/in.
"""

import numba as nb
import numpy as np

INNER_DAMPING = 0.05
"""Time constant of the segments' inner damping in time steps.

Without it the shortest wave of the grid lives for ever, and at a valve it acts as a tiny pump: up it sucks liquid in, down
it is held, so that the plunger creeps upward while it should rest. A twentieth of a step takes a fifth of that wave's energy in
each step and half a thousandth from waves of sixty steps.
"""
COURANT = 0.94
"""Share of the step limit a dx / dt that is used; the inner damping lowers the limit to about 0.95."""


@nb.njit(cache=True, nogil=True)
def step_chain(w, v, k_up, k_down, dt_by_mass, drag, half_c_up, half_c_down, last):  # type: ignore[no-untyped-def]
    """Velocities of the nodes between polished rod and pump, one leapfrog step; w are positions plus their lead."""
    share_up, share_down = 1.0 / (1.0 + half_c_up), 1.0 / (1.0 + half_c_down)
    for j in range(1, last):
        force = k_up[j] * (w[j - 1] - w[j]) - k_down[j] * (w[j] - w[j + 1])
        rising = v[j] > 0.0
        hc = half_c_up if rising else half_c_down
        u = v[j] * (1.0 - hc) + dt_by_mass[j] * force
        u = max(u - drag[j], 0.0) + min(u + drag[j], 0.0)
        v[j] = u * (share_up if rising else share_down)


@nb.njit(cache=True, nogil=True)
def move_chain(y, w, v, dt, lead, last):  # type: ignore[no-untyped-def]
    """Positions of all nodes but the polished rod at the end of a step, and what the next step needs of them."""
    for j in range(1, last + 1):
        y[j] += dt * v[j]
        w[j] = y[j] + lead * v[j]


@nb.njit(cache=True, nogil=True)
def losses(w, v_old, v, spring, lead, k_up, k_down, dt_by_mass, half_c_up, half_c_down, last):  # type: ignore[no-untyped-def]
    """Viscous and dry loss of one step (in lbf by second), by the centred rule of the energy identity.

    Nodes 0 and `last` are left to the caller but for the inner damping of the segments that end there; `v[0]` holds the
    mean velocity of the polished rod, `v_old[0]` that of the step before.
    """
    viscous = 0.0
    dry = 0.0
    for j in range(1, last):
        hc = half_c_up if v_old[j] > 0.0 else half_c_down
        mean = 0.5 * (v_old[j] + v[j])
        mass_by_dt = 1.0 / dt_by_mass[j]
        viscous += 2.0 * hc * mass_by_dt * mean * mean
        force = k_up[j] * (w[j - 1] - w[j]) - k_down[j] * (w[j] - w[j + 1])
        lost = v_old[j] * (1.0 - hc) + dt_by_mass[j] * force - v[j] * (1.0 + hc)
        dry += lost * mass_by_dt * mean
    above = v[0]
    for j in range(1, last + 1):
        mean = 0.5 * (v_old[j] + v[j])
        viscous += lead * spring[j - 1] * (v_old[j - 1] - v_old[j]) * (above - mean)
        above = mean
    return viscous, dry


@nb.njit(cache=True, nogil=True)
def cut_chain(p, length, stiffness, weight, speed, dt):  # type: ignore[no-untyped-def]
    """Cut the string into segments of equal travel time: masses, springs and drag of each node.

    A segment may span tapers; its compliance and mass are then the sums of the parts, and by Cauchy and Schwarz its own
    travel time is at least the sum of theirs, so the Courant condition holds for any string, slivers included.
    """
    tapers = length.shape[0]
    depth = 0.0
    travel = 0.0
    for t in range(tapers):
        depth += length[t]
        travel += length[t] / speed[t]
    total = max(2, int(COURANT * travel / dt))
    slot = travel / total
    spring = np.zeros(total + 1)
    mass = np.zeros(total + 1)
    drag = np.zeros(total + 1)
    gravity = 32.174 * 12.0
    reach = max(p.drag_to - p.drag_from, 1e-6) * depth
    taper = 0
    left = length[0]
    top = 0.0
    for i in range(total):
        remaining = slot
        compliance = 0.0
        segment_mass = 0.0
        segment_drag = 0.0
        while remaining > 1e-9 * slot:
            while left <= 0.0 and taper < tapers - 1:
                taper += 1
                left = length[taper]
            if left <= 0.0:
                break
            dx = min(left, remaining * speed[taper])
            compliance += 12.0 * dx / stiffness[taper]
            segment_mass += weight[taper] * dx / gravity
            shared = min(top + dx, p.drag_to * depth) - max(top, p.drag_from * depth)
            segment_drag += p.rod_drag_lbf * max(shared, 0.0) / reach
            remaining -= dx / speed[taper]
            left -= dx
            if left < 1e-9 * depth:
                left = 0.0
            top += dx
        spring[i] = 1.0 / compliance
        mass[i] += 0.5 * segment_mass
        mass[i + 1] += 0.5 * segment_mass
        drag[i] += 0.5 * segment_drag
        drag[i + 1] += 0.5 * segment_drag
    return total, spring, mass, drag, depth
