"""Damping of the rods by the power balance of Everitt and Jennings: what the fluid does not get, the rods burn.

Belongs here: the published balance with a known lift, on the finite-difference solver. Does not belong here: the form that
takes the hydraulic work from the card itself (:mod:`.diagnosis.pump_cards`).

References
----------
.. [1] T. A. Everitt and J. W. Jennings, "An improved finite-difference calculation of downhole dynamometer cards for
   sucker-rod pumps", *SPE Prod. Eng.* 7 (1992) 121-127, SPE 18189.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import (
    GRAVITY_FT_PER_S2,
    INCHES_PER_FOOT,
    PUMP_CONSTANT_BPD,
    SECONDS_PER_MINUTE,
)
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.torque import card_power_hp
from oasis_pipeline.physics.wave_difference import DEFAULT_NODES, pump_card
from oasis_pipeline.physics.wave_frequency import damping_per_s as coefficient_per_s

Array = NDArray[np.float64]

POWER_BALANCE_BOUNDS = (0.02, 0.60)
"""Dimensionless damping outside these is a sign of wrong inputs, not of a viscous well."""


def hydraulic_power_hp(production_bpd: ArrayLike, fluid_sg: ArrayLike, lift_ft: ArrayLike) -> Array:
    """Power in the lifted fluid: 7.36e-6 Q G H."""
    return (
        7.36e-6
        * np.asarray(production_bpd, dtype=np.float64)
        * np.asarray(fluid_sg, dtype=np.float64)
        * np.asarray(lift_ft, dtype=np.float64)
    )


def damping_from_power(
    lost_power_hp: ArrayLike, spm: ArrayLike, stroke_in: ArrayLike, weight_in_air_lbf: ArrayLike
) -> Array:
    """Damping that burns a given power in the rods: c = 550 gc dH tau^2 / (sqrt(2) pi W S^2).

    The constant is the product of the mean (2 S/tau) and root-mean-square (pi S/(sqrt(2) tau)) speed of a harmonic
    stroke S (ft) that all rods share; with the mean square alone it would be 10 % smaller.
    """
    period = SECONDS_PER_MINUTE / np.asarray(spm, dtype=np.float64)
    stroke_ft = np.asarray(stroke_in, dtype=np.float64) / INCHES_PER_FOOT
    power = 550.0 * np.asarray(lost_power_hp, dtype=np.float64)
    return np.asarray(
        GRAVITY_FT_PER_S2
        * power
        * period**2
        / (np.sqrt(2.0) * np.pi * np.asarray(weight_in_air_lbf, dtype=np.float64) * stroke_ft**2)
    )


@dataclass(frozen=True)
class PowerBalance:
    """Result of the power balance, one entry for each card.

    Attributes
    ----------
    damping_per_s, net_stroke_in : ndarray, shape (...)
        Damping and the net stroke it was found with.
    converged : ndarray of bool
        False where the iteration ran out or ended on a bound: the damping is then a guess.
    iterations : ndarray of int
        Iterations used.
    """

    damping_per_s: Array
    net_stroke_in: Array
    converged: NDArray[np.bool_]
    iterations: NDArray[np.int64]


def half_load_stroke_in(position_in: Array, load_lbf: Array) -> Array:
    """Net stroke by the simplest rule: plunger travel left when the load first falls through its middle on the way down.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Pump cards in time form.

    Returns
    -------
    ndarray, shape (k,)
        Net stroke, in; the whole stroke where the load never falls.
    """
    low = position_in.min(axis=1)
    top = np.argmax(position_in, axis=1)
    points = position_in.shape[1]
    turn = (top[:, None] + np.arange(points)) % points
    x = np.take_along_axis(position_in, turn, axis=1)
    f = np.take_along_axis(load_lbf, turn, axis=1)
    below = f < 0.5 * (load_lbf.max(axis=1) + load_lbf.min(axis=1))[:, None]
    at = np.argmax(below, axis=1)
    return np.asarray(np.where(below.any(axis=1), x[np.arange(len(x)), at], x.max(axis=1)) - low)


def power_balance_damping(
    position_in: Array,
    load_lbf: Array,
    string: RodString,
    spm: ArrayLike,
    *,
    buoyant_weight_lbf: ArrayLike,
    plunger_diameter_in: float,
    fluid_sg: float,
    lift_ft: ArrayLike,
    start: float = 0.1,
    bounds: tuple[float, float] = POWER_BALANCE_BOUNDS,
    tolerance: float = 1e-3,
    max_iterations: int = 20,
    nodes: int = DEFAULT_NODES,
    net_stroke: Callable[[Array, Array], Array] = half_load_stroke_in,
) -> PowerBalance:
    """Damping by the power balance of Everitt and Jennings: what the fluid does not get, the rods burn.

    The polished-rod power less the hydraulic power fixes c (:func:`damping_from_power`); the hydraulic power needs the
    net stroke, which needs the pump card, which needs c: iterated until c is steady.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Surface cards in time form.
    string : RodString
        One string.
    spm, buoyant_weight_lbf, lift_ft : array_like, broadcast to (k,)
        Speed, buoyant weight, net lift (depth of the fluid level plus tubing head).
    plunger_diameter_in, fluid_sg : float
        Plunger and fluid.
    start : float
        Dimensionless damping to begin with.
    bounds : tuple of float
        Smallest and largest dimensionless damping.
    tolerance : float
        Relative change of c that counts as steady.
    max_iterations : int
        Limit of iterations.
    nodes : int
        Segments down the string.
    net_stroke : callable
        Net stroke (k,) from pump cards (k, n).

    Returns
    -------
    PowerBalance
        Damping with its flag; never outside the bounds.
    """
    cards = len(position_in)
    speed = np.broadcast_to(np.asarray(spm, dtype=np.float64), (cards,))
    weight = np.broadcast_to(np.asarray(buoyant_weight_lbf, dtype=np.float64), (cards,))
    lift = np.broadcast_to(np.asarray(lift_ft, dtype=np.float64), (cards,))
    low, high = (float(coefficient_per_s(string, b)) for b in bounds)
    surface_power = np.abs(card_power_hp(position_in, load_lbf, speed))
    stroke = np.ptp(position_in, axis=1)
    damping = np.full(cards, float(coefficient_per_s(string, start)))
    net = np.full(cards, np.nan)
    iterations = np.zeros(cards, dtype=np.int64)
    converged = np.zeros(cards, dtype=np.bool_)
    open_rows = np.arange(cards)
    for _ in range(max_iterations):
        if not len(open_rows):
            break
        x, f = pump_card(
            position_in[open_rows],
            load_lbf[open_rows],
            string,
            speed[open_rows],
            damping[open_rows],
            buoyant_weight_lbf=weight[open_rows],
            nodes=nodes,
        )
        net[open_rows] = net_stroke(x, f)
        rate = PUMP_CONSTANT_BPD * plunger_diameter_in**2 * net[open_rows] * speed[open_rows]
        lost = surface_power[open_rows] - hydraulic_power_hp(rate, fluid_sg, lift[open_rows])
        raw = damping_from_power(lost, speed[open_rows], stroke[open_rows], float(string.air_weight_lbf))
        value = np.clip(raw, low, high)
        steady = np.abs(value - damping[open_rows]) <= tolerance * damping[open_rows]
        damping[open_rows] = value
        iterations[open_rows] += 1
        converged[open_rows] = steady & (raw >= low) & (raw <= high)
        open_rows = open_rows[~steady]
    return PowerBalance(damping, net, converged, iterations)
