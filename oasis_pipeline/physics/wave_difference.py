r"""Surface card to pump card by finite differences (Everitt and Jennings), with friction along a deviated path.

Belongs here: the damped wave equation marched down the string on a grid, and Coulomb friction along the well's path.
Does not belong here: the power-balance damping of the same authors (:mod:`.power_balance`), the frequency-domain solver
(:mod:`.wave_frequency`, with which this one shares the description of the string and nothing else) and reading the pump
card (:mod:`.diagnosis`).

The unknown is the position :math:`u` (up positive) at nodes :math:`i` down the string and at the points :math:`j` of one
stroke, periodic in time. Two forms of the recurrence are offered.

``published``
    As printed [1]_, with :math:`\alpha` the mean of the adjacent segments' :math:`\Delta x\,m/\Delta t^2` and
    :math:`K_\pm=EA/\Delta x`:

    .. math::

        u_{i+1,j} = \{\alpha(1+c\Delta t)u_{i,j+1} - [\alpha(2+c\Delta t)-K_+-K_-]u_{i,j}
                    + \alpha u_{i,j-1} - K_-u_{i-1,j}\}/K_+ ,

    started by :math:`u_1=u_0-F\Delta x/EA` and ended by the three-point load. First order in time (one-sided damping)
    and in the first segment.
``compact`` (default)
    The same march with the leading error of the difference quotients taken out (modified-equation correction): with
    :math:`P=\partial_{tt}+c\,\partial_t` and :math:`a^2=EA/m`,

    .. math::

        u_{i+1} = 2u_i - u_{i-1} + \frac{\Delta x^2}{a^2}P u_i + \frac{\Delta x^4}{12a^4}P^2u_i ,

    five points in time, and Taylor steps of the same order at the top, the tapers and the bottom. Fourth order.

Both are explicit and stable only for :math:`\Delta x\le a\,\Delta t`; a finer time grid needs more nodes.

Friction: on a path with inclination :math:`\phi(s)` and azimuth :math:`\psi(s)` the rods press on the tubing with
:math:`N=\sqrt{(q\sin\phi-T\phi')^2+(T\psi'\sin\phi)^2}` for each foot (:math:`s` downward, :math:`q` buoyant weight for
each foot, :math:`T` effective tension: dynamic load plus buoyant weight hanging below) [2]_ [3]_, and
:math:`\mu N\,\mathrm{sign}(u_t)` is added to the damping force.

References
----------
.. [1] T. A. Everitt and J. W. Jennings, "An improved finite-difference calculation of downhole dynamometer cards for
   sucker-rod pumps", *SPE Prod. Eng.* 7 (1992) 121-127, SPE 18189.
.. [2] S. A. Lukasiewicz, "Dynamic behavior of the sucker rod string in the inclined well", SPE 21665, 1991.
.. [3] S. G. Gibbs, "Design and diagnosis of deviated rod-pumped wells", *J. Pet. Technol.* 44 (1992) 774-781.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import (
    GRAVITY_FT_PER_S2,
    INCHES_PER_FOOT,
    SECONDS_PER_MINUTE,
)
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.wave_frequency import FAST
from oasis_pipeline.physics.well_path import Survey

Array = NDArray[np.float64]

DEFAULT_NODES = 100
_REST_SPEED_FT_PER_S = 0.1
"""Below this speed Coulomb friction is scaled down in proportion, so that it does not chatter at the reversals."""


@dataclass(frozen=True)
class Grid:
    """Nodes along one string.

    Attributes
    ----------
    intervals : ndarray of int, shape (sections,)
        Segments of each section (0 for padding).
    dx_ft : ndarray, shape (sections,)
        Their length.
    """

    intervals: NDArray[np.int64]
    dx_ft: Array

    def node_depth_ft(self) -> Array:
        """Measured depth of the nodes, section by section; a node between two sections comes twice."""
        depth, top = [], 0.0
        for count, dx in zip(self.intervals, self.dx_ft, strict=True):
            if count:
                depth.append(top + dx * np.arange(count + 1))
                top += float(dx * count)
        return np.concatenate(depth)


def make_grid(string: RodString, nodes: int = DEFAULT_NODES) -> Grid:
    """Spread segments over the sections in proportion to the travel time of a wave, at least three in each.

    Parameters
    ----------
    string : RodString
        One string.
    nodes : int
        Number of segments wanted in all.

    Returns
    -------
    Grid
        The grid.
    """
    if string.length_ft.ndim != 1:
        raise ValueError("make_grid takes one string")
    travel = string.length_ft / string.wave_speed_ft_per_s
    live = string.length_ft > 0
    intervals = np.where(live, np.maximum(3, np.rint(nodes * travel / travel.sum())), 0).astype(np.int64)
    return Grid(intervals, np.where(live, string.length_ft / np.maximum(intervals, 1), 0.0))


def check_stability(string: RodString, grid: Grid, time_step_s: ArrayLike) -> Array:
    """Largest dx / (a dt) of the grid for each time step; raises where it is above 1.

    Raises
    ------
    ValueError
        When the march would be unstable, with the number of nodes that would do.
    """
    live = grid.intervals > 0
    travel = float(np.max(grid.dx_ft[live] / string.wave_speed_ft_per_s[live]))
    courant = travel / np.asarray(time_step_s, dtype=np.float64)
    worst = float(np.max(courant, initial=0.0))
    if worst > 1.0 + 1e-9:
        needed = int(np.ceil(float(np.sum(grid.intervals)) * worst))
        raise ValueError(
            f"unstable grid: dx/(a dt) = {worst:.3f} is above 1; use at least {needed} nodes or fewer points in time"
        )
    return courant


@numba.njit(cache=True, nogil=True)
def _wrap(row, points):  # type: ignore[no-untyped-def]
    """Fill the two periodic points at either end of a padded row."""
    row[0] = row[points]
    row[1] = row[points + 1]
    row[points + 2] = row[2]
    row[points + 3] = row[3]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _stencils(dx, dt, velocity, damping):  # type: ignore[no-untyped-def]
    """Coefficients at t-2..t+2 of A = dx2 P/a2 + dx4 P2/(12 a4) and of B = dx2 P/(6 a2)."""
    r2 = (dx / (velocity * dt)) ** 2
    g = damping * dt
    p = np.array([-1 / 12 + g / 12, 4 / 3 - 2 * g / 3, -2.5, 4 / 3 + 2 * g / 3, -1 / 12 - g / 12])
    pp = np.array([1.0 - g, -4.0 + 2 * g + g * g, 6.0 - 2 * g * g, -4.0 - 2 * g + g * g, 1.0 + g])
    return r2 * p + r2 * r2 / 12 * pp, r2 / 6 * p


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _advance(old, now, new, w, points):  # type: ignore[no-untyped-def]
    """One interior step of the compact form on padded rows."""
    w0, w1, w2, w3, w4 = w[0], w[1], 2.0 + w[2], w[3], w[4]
    for j in range(points):  # indices only ever grow from 0: with j - 2 the compiler gives up vectorising
        new[j + 2] = (
            w2 * now[j + 2]
            - old[j + 2]
            + (w0 * now[j] + w1 * now[j + 1])
            + (w3 * now[j + 3] + w4 * now[j + 4])
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _add_friction(now, old, new, scale, pull, dx, inv_dt, node, points):  # type: ignore[no-untyped-def]
    """Add ``scale`` x mu N sign(v) to a new row; node = (mu, q sin phi, build, turn sin phi, weight below)."""
    for j in range(2, points + 2):
        tension = node[4] - pull * (now[j] - old[j]) / dx
        side = node[1] - tension * node[2]
        turn = tension * node[3]
        speed = 0.5 * (now[j + 1] - now[j - 1]) * inv_dt
        new[j] += (
            scale
            * node[0]
            * np.sqrt(side * side + turn * turn)
            * speed
            / max(abs(speed), _REST_SPEED_FT_PER_S)
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _compact(position, load, dt, damping, intervals, dx, velocity, stiffness, nodes, friction):  # type: ignore[no-untyped-def]
    """March cards (k, n) (ft, lbf) down one string in place; nodes (total, 5) only read if ``friction``."""
    cards, points = position.shape
    sections = len(dx)
    for i in range(cards):
        old = np.empty(points + 4)
        now = np.empty(points + 4)
        new = np.empty(points + 4)
        slope = np.empty(points + 4)
        now[2 : points + 2] = position[i]
        tension = load[i].copy()
        at = 0
        for s in range(sections):
            count = intervals[s]
            if count == 0:
                continue
            a, b = _stencils(dx[s], dt[i], velocity[s], damping[i])
            bend = dx[s] * dx[s] / stiffness[s]
            slope[2 : points + 2] = tension * (-dx[s] / stiffness[s])
            _wrap(now, points)
            _wrap(slope, points)
            for j in range(2, points + 2):
                half = (
                    a[0] * now[j - 2]
                    + a[1] * now[j - 1]
                    + a[2] * now[j]
                    + a[3] * now[j + 1]
                    + a[4] * now[j + 2]
                )
                up = b[0] * slope[j - 2] + b[1] * slope[j - 1] + b[2] * slope[j] + b[3] * slope[j + 1]
                new[j] = now[j] + slope[j] + 0.5 * half + up + b[4] * slope[j + 2]
            if friction:
                for j in range(points + 4):
                    old[j] = now[j] - slope[j]
                _add_friction(now, old, new, 0.5 * bend, stiffness[s], dx[s], 1.0 / dt[i], nodes[at], points)
            old, now, new = now, new, old
            for step in range(1, count):
                _wrap(now, points)
                _advance(old, now, new, a, points)
                if friction:
                    _add_friction(
                        now, old, new, bend, stiffness[s], dx[s], 1.0 / dt[i], nodes[at + step], points
                    )
                old, now, new = now, new, old
            _wrap(now, points)
            for j in range(2, points + 2):
                half = (
                    a[0] * now[j - 2]
                    + a[1] * now[j - 1]
                    + a[2] * now[j]
                    + a[3] * now[j + 1]
                    + a[4] * now[j + 2]
                )
                slope[j] = now[j] - old[j] + 0.5 * half
            if friction:
                _add_friction(
                    now, old, slope, 0.5 * bend, stiffness[s], dx[s], 1.0 / dt[i], nodes[at + count], points
                )
            _wrap(slope, points)
            for j in range(2, points + 2):
                up = b[0] * slope[j - 2] + b[1] * slope[j - 1] + b[2] * slope[j] + b[3] * slope[j + 1]
                tension[j - 2] = -(stiffness[s] / dx[s]) * (slope[j] - up - b[4] * slope[j + 2])
            at += count + 1
        position[i] = now[2 : points + 2]
        load[i] = tension


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _published(position, load, dt, damping, intervals, dx, mass, stiffness):  # type: ignore[no-untyped-def]
    """March cards (k, n) (ft, lbf) down one string in place, by the recurrence as printed."""
    cards, points = position.shape
    total = np.sum(intervals)
    segment = np.empty(total, dtype=np.int64)
    at = 0
    for s in range(len(dx)):
        for _ in range(intervals[s]):
            segment[at] = s
            at += 1
    for i in range(cards):
        older = np.empty(points + 4)
        old = np.empty(points + 4)
        now = np.empty(points + 4)
        new = np.empty(points + 4)
        first = segment[0]
        for j in range(points):
            old[j + 2] = position[i, j]
            now[j + 2] = position[i, j] - load[i, j] * dx[first] / stiffness[first]
        g = damping[i] * dt[i]
        for node in range(1, total):
            up = segment[node - 1]
            down = segment[node]
            alpha = 0.5 * (dx[up] * mass[up] + dx[down] * mass[down]) / (dt[i] * dt[i])
            k_up = stiffness[up] / dx[up]
            k_down = stiffness[down] / dx[down]
            _wrap(now, points)
            middle = alpha * (2.0 + g) - k_up - k_down
            fore = alpha * (1.0 + g) / k_down
            here = middle / k_down
            back = alpha / k_down
            above = k_up / k_down
            for j in range(points):
                new[j + 2] = fore * now[j + 3] - here * now[j + 2] + back * now[j + 1] - above * old[j + 2]
            older, old, now, new = old, now, new, older
        last = segment[total - 1]
        for j in range(points):
            pull = 3.0 * now[j + 2] - 4.0 * old[j + 2] + older[j + 2]
            position[i, j] = now[j + 2]
            load[i, j] = -stiffness[last] / (2.0 * dx[last]) * pull


def resample_time(values: Array, points: int) -> Array:
    """Trigonometric interpolation of periodic rows to another number of points (exact for band-limited cards)."""
    count = values.shape[-1]
    if points == count:
        return values
    kept = (min(count, points) + 1) // 2
    spectrum = np.fft.rfft(values, axis=-1)[..., :kept]
    return np.asarray(np.fft.irfft(spectrum, points, axis=-1) * (points / count))


def friction_nodes(
    string: RodString, grid: Grid, survey: Survey, friction_coefficient: float, buoyancy: float
) -> Array:
    """Coefficients of the side force at every node of a grid.

    Parameters
    ----------
    string, grid : RodString, Grid
        One string and its grid.
    survey : Survey
        Path of the well.
    friction_coefficient : float
        Coulomb coefficient of rods on tubing.
    buoyancy : float
        Share of the weight in air that is left in the fluid.

    Returns
    -------
    ndarray, shape (nodes, 5)
        Coefficient, q sin(phi), change of inclination, change of azimuth x sin(phi), axial weight below.
    """
    live = grid.intervals > 0
    depth = grid.node_depth_ft()
    per_ft = np.repeat(string.weight_lb_per_ft[live] * buoyancy, grid.intervals[live] + 1)
    inclination, build, turn = survey.at(depth)
    piece = (
        np.diff(depth) * 0.5 * (per_ft[1:] * np.cos(inclination[1:]) + per_ft[:-1] * np.cos(inclination[:-1]))
    )
    below = np.concatenate([np.cumsum(piece[::-1])[::-1], [0.0]])
    sine = np.sin(inclination)
    return np.stack(
        [np.full_like(depth, friction_coefficient), per_ft * sine, build, turn * sine, below], axis=-1
    )


def axial_weight_lbf(string: RodString, survey: Survey | None, buoyancy: float, nodes: int = 400) -> float:
    """Buoyant weight of the string along its path: sum of q cos(phi) ds (the whole weight in a vertical well)."""
    if survey is None:
        return float(string.air_weight_lbf) * buoyancy
    return float(friction_nodes(string, make_grid(string, nodes), survey, 0.0, buoyancy)[0, 4])


def pump_card(
    position_in: ArrayLike,
    load_lbf: ArrayLike,
    string: RodString,
    spm: ArrayLike,
    damping_per_s: ArrayLike,
    *,
    buoyant_weight_lbf: ArrayLike,
    load_offset_lbf: ArrayLike = 0.0,
    true_load: bool = False,
    nodes: int = DEFAULT_NODES,
    time_points: int | None = None,
    scheme: str = "compact",
    survey: Survey | None = None,
    friction_coefficient: float = 0.0,
    buoyancy: float = 1.0,
) -> tuple[Array, Array]:
    """Pump card from a surface card, by finite differences.

    Parameters
    ----------
    position_in, load_lbf : array_like, shape (..., n)
        Surface cards in time form: n points equally spaced over one stroke.
    string : RodString
        One string, for all the cards.
    spm, damping_per_s, buoyant_weight_lbf, load_offset_lbf : array_like, broadcast to (...)
        Speed, damping coefficient c (1/s), buoyant weight (along the path in a deviated well: :func:`axial_weight_lbf`),
        load offset of the sensor. Conventions of effective and true load as in :mod:`.wave_frequency`.
    true_load : bool
        Give true instead of effective loads.
    nodes : int
        Segments down the string.
    time_points : int, optional
        Points in time to compute on (cards are interpolated to it and back); the cards' own by default.
    scheme : {"compact", "published"}
        Form of the recurrence (module docstring).
    survey : Survey, optional
        Path of the well; needs the compact form.
    friction_coefficient : float
        Coulomb coefficient along the path.
    buoyancy : float
        Share of the rods' weight that is left in the fluid, for the side force.

    Returns
    -------
    position_in, load_lbf : ndarray, shape (..., n)
        Pump cards, same points in time.

    Raises
    ------
    ValueError
        When shapes do not fit, the scheme is unknown, a speed is not positive, or the grid is unstable.
    """
    position = np.asarray(position_in, dtype=np.float64)
    load = np.asarray(load_lbf, dtype=np.float64)
    if position.shape != load.shape or position.ndim == 0 or position.shape[-1] < 8:
        raise ValueError(
            f"position {position.shape} and load {load.shape} have to be equal, with 8 points or more"
        )
    if scheme not in ("compact", "published"):
        raise ValueError(f"scheme {scheme!r} is not known; use 'compact' or 'published'")
    if survey is not None and scheme == "published":
        raise ValueError("friction along a path needs scheme='compact'")
    points = position.shape[-1]
    batch = position.shape[:-1]
    cards = int(np.prod(batch))

    def column(value: ArrayLike) -> Array:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=np.float64), batch)).reshape(
            cards
        )

    speed = column(spm)
    if np.any(speed <= 0):
        raise ValueError("spm has to be positive")
    used = points if time_points is None else time_points
    dt = SECONDS_PER_MINUTE / speed / used
    grid = make_grid(string, nodes)
    check_stability(string, grid, dt)

    weight = (column(buoyant_weight_lbf) + column(load_offset_lbf))[:, None]
    u = np.array(resample_time(position.reshape(cards, points), used)) / INCHES_PER_FOOT
    t = np.array(resample_time(load.reshape(cards, points), used)) - weight
    grid_arguments = (dt, column(damping_per_s), grid.intervals, grid.dx_ft)
    if scheme == "published":
        _published(u, t, *grid_arguments, string.weight_lb_per_ft / GRAVITY_FT_PER_S2, string.stiffness_lbf)
    else:
        table = np.zeros((1, 5))
        if survey is not None:
            table = friction_nodes(string, grid, survey, friction_coefficient, buoyancy)
        _compact(
            u, t, *grid_arguments, string.wave_speed_ft_per_s, string.stiffness_lbf, table, survey is not None
        )
    bottom_position = resample_time(u, points) * INCHES_PER_FOOT
    bottom_load = resample_time(t, points)
    if true_load:
        bottom_load = bottom_load - (float(string.air_weight_lbf) - column(buoyant_weight_lbf))[:, None]
    return bottom_position.reshape(position.shape), bottom_load.reshape(position.shape)
