"""Gearbox torque, counterbalance and structural load from a surface card and the unit's kinematics.

Belongs here: what the load on the polished rod does to the unit. Does not belong here: the linkage itself
(:mod:`.unit`) and the prime mover.

Net torque at the crankshaft (API Spec 11E): T = TF (W - B) - M sin(theta + tau), with the torque factor TF, polished-rod
load W, structural unbalance B and the moment M of cranks and counterweights; the torque of accelerating beam and cranks
is left out, as the specification does.

References
----------
.. [1] API Spec 11E, *Specification for pumping units*, annex on torque factors.
.. [2] G. Takacs, *Sucker-Rod Pumping Handbook*, Gulf, 2015, section 3.7.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import INCH_POUNDS_PER_MINUTE_PER_HP
from oasis_pipeline.physics.unit import PumpingUnit, crank_angle_of_card, polished_rod_motion, stroke_in

Array = NDArray[np.float64]

_SEARCH_STEPS = 30
"""Golden-section steps: the bracket shrinks by 5e-7."""

_HALF = 180
"""Points of the motion tables on either half of the stroke."""


@dataclass(frozen=True)
class MotionTables:
    """Kinematics of a batch of units, tabulated once, looked up for every card.

    The tables run once round the stroke, equally spaced in the harmonic phase arccos(1 - 2 share of stroke): up over the
    first half, down over the second, so that a position and its direction are an index.

    Attributes
    ----------
    crank_angle_rad, torque_factor_in : ndarray, shape (units, 2 * _HALF + 1)
        Crank angle and torque factor round the stroke.
    stroke_in, level_factor_in : ndarray, shape (units,)
        Stroke, and torque factor with the cranks level.
    """

    crank_angle_rad: Array
    torque_factor_in: Array
    stroke_in: Array
    level_factor_in: Array

    @classmethod
    def of(cls, units: PumpingUnit) -> MotionTables:
        """Tabulate a batch of units of shape (units,)."""
        stroke = np.atleast_1d(stroke_in(units))
        share = 0.5 * (1.0 - np.cos(np.pi * np.arange(2 * _HALF + 1) / _HALF))
        angle = np.array(crank_angle_of_card(units, stroke[:, None] * share[:-1]))
        angle = np.concatenate([angle, angle[:, :1] + 2.0 * np.pi], axis=1)
        level = polished_rod_motion(units, np.full((len(stroke), 1), 0.5 * np.pi))[1]
        return cls(angle, polished_rod_motion(units, angle)[1], stroke, np.abs(level[:, 0]))

    def take(self, rows: NDArray[np.intp]) -> MotionTables:
        """Pick units."""
        return MotionTables(*(getattr(self, field.name)[rows] for field in fields(self)))

    def of_cards(self, position_in: Array, unit: NDArray[np.intp]) -> tuple[Array, Array]:
        """Crank angle and torque factor at every point of cards.

        Parameters
        ----------
        position_in : ndarray, shape (k, n)
            Positions in time order.
        unit : ndarray of int, shape (k,)
            Unit of each card.

        Returns
        -------
        crank_angle_rad, torque_factor_in : ndarray, shape (k, n)
            The factor scaled by the card's stroke over the unit's: another crank hole changes both alike.
        """
        points = position_in.shape[1]
        low = position_in.min(axis=1)
        stroke = np.ptp(position_in, axis=1)
        share = (position_in - low[:, None]) / stroke[:, None]
        phase = np.arccos(np.clip(1.0 - 2.0 * share, -1.0, 1.0)) * (_HALF / np.pi)
        bottom = np.argmin(position_in, axis=1)[:, None]
        top = np.argmax(position_in, axis=1)[:, None]
        rising = (np.arange(points) - bottom) % points <= (top - bottom) % points
        place = np.where(rising, phase, 2 * _HALF - phase)
        base = np.minimum(place.astype(np.intp), 2 * _HALF - 1)
        part = place - base
        at = base + (unit * (2 * _HALF + 1))[:, None]
        angle, factor = self.crank_angle_rad.ravel(), self.torque_factor_in.ravel()
        scale = (stroke / self.stroke_in[unit])[:, None]
        return (
            angle[at] * (1.0 - part) + angle[at + 1] * part,
            (factor[at] * (1.0 - part) + factor[at + 1] * part) * scale,
        )


def gearbox_torque_in_lbf(
    load_lbf: ArrayLike,
    torque_factor_in: ArrayLike,
    crank_angle_rad: ArrayLike,
    moment_in_lbf: ArrayLike,
    crank_offset_deg: ArrayLike = 0.0,
    structural_unbalance_lbf: ArrayLike = 0.0,
) -> Array:
    """Net gearbox torque over the stroke.

    Parameters
    ----------
    load_lbf, torque_factor_in, crank_angle_rad : array_like, shape (..., n)
        Polished-rod load, torque factor and crank angle of each point.
    moment_in_lbf, crank_offset_deg, structural_unbalance_lbf : array_like, shape (...)
        Counterbalance moment, its offset angle from the crank, structural unbalance.

    Returns
    -------
    ndarray, shape (..., n)
        Torque, in lbf; positive where the gearbox drives the unit.
    """

    def column(value: ArrayLike) -> Array:
        return np.asarray(value, dtype=np.float64)[..., None]

    rod = np.asarray(torque_factor_in, dtype=np.float64) * (
        np.asarray(load_lbf, dtype=np.float64) - column(structural_unbalance_lbf)
    )
    angle = np.asarray(crank_angle_rad, dtype=np.float64) + np.radians(column(crank_offset_deg))
    return np.asarray(rod - column(moment_in_lbf) * np.sin(angle))


@numba.njit(cache=True, nogil=True)
def _peak(rod, sine, moment):  # type: ignore[no-untyped-def]
    """Largest |rod - moment sine| of one card."""
    worst = 0.0
    for j in range(len(rod)):
        worst = max(worst, abs(rod[j] - moment * sine[j]))
    return worst


@numba.njit(cache=True, nogil=True)
def _best(rod, sine, steps):  # type: ignore[no-untyped-def]
    """Golden-section search on the convex function max |rod - M sine| for each row."""
    cards = len(rod)
    moment = np.empty(cards)
    torque = np.empty(cards)
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    for i in range(cards):
        if np.isnan(np.sum(rod[i]) + np.sum(sine[i])):
            moment[i] = np.nan
            torque[i] = np.nan
            continue
        low = 0.0
        high = 2.0 * np.max(np.abs(rod[i])) + 1.0
        a = high - ratio * (high - low)
        b = low + ratio * (high - low)
        at_a = _peak(rod[i], sine[i], a)
        at_b = _peak(rod[i], sine[i], b)
        for _ in range(steps):
            if at_a <= at_b:
                high, b, at_b = b, a, at_a
                a = high - ratio * (high - low)
                at_a = _peak(rod[i], sine[i], a)
            else:
                low, a, at_a = a, b, at_b
                b = low + ratio * (high - low)
                at_b = _peak(rod[i], sine[i], b)
        moment[i] = 0.5 * (low + high)
        torque[i] = _peak(rod[i], sine[i], moment[i])
    return moment, torque


def best_moment_in_lbf(
    load_lbf: ArrayLike,
    torque_factor_in: ArrayLike,
    crank_angle_rad: ArrayLike,
    crank_offset_deg: ArrayLike = 0.0,
    structural_unbalance_lbf: ArrayLike = 0.0,
) -> tuple[Array, Array]:
    """Counterbalance moment that makes the largest absolute torque smallest, and that torque.

    Parameters
    ----------
    load_lbf, torque_factor_in, crank_angle_rad : array_like, shape (..., n)
        Polished-rod load, torque factor and crank angle of each point.
    crank_offset_deg, structural_unbalance_lbf : array_like, shape (...)
        As in :func:`gearbox_torque_in_lbf`.

    Returns
    -------
    moment_in_lbf, torque_in_lbf : ndarray, shape (...)
        Best moment (not negative) and peak absolute torque with it.
    """
    load = np.asarray(load_lbf, dtype=np.float64)
    offset = np.radians(np.asarray(crank_offset_deg, dtype=np.float64))[..., None]
    unbalance = np.asarray(structural_unbalance_lbf, dtype=np.float64)[..., None]
    rod = np.asarray(torque_factor_in, dtype=np.float64) * (load - unbalance)
    sine = np.broadcast_to(np.sin(np.asarray(crank_angle_rad, dtype=np.float64) + offset), rod.shape)
    points = rod.shape[-1]
    moment, torque = _best(
        np.ascontiguousarray(rod).reshape(-1, points),
        np.ascontiguousarray(sine).reshape(-1, points),
        _SEARCH_STEPS,
    )
    return moment.reshape(rod.shape[:-1]), torque.reshape(rod.shape[:-1])


def counterbalance_effect_lbf(
    moment_in_lbf: ArrayLike,
    torque_factor_at_90_in: ArrayLike,
    crank_offset_deg: ArrayLike = 0.0,
    structural_unbalance_lbf: ArrayLike = 0.0,
) -> Array:
    """Polished-rod load that the counterbalance holds with the cranks level (90 degrees past the bottom).

    CBE = B + M cos(tau) / TF(90): the figure that is measured in the field.
    """
    moment = np.asarray(moment_in_lbf, dtype=np.float64)
    arm = np.cos(np.radians(np.asarray(crank_offset_deg, dtype=np.float64)))
    return np.asarray(structural_unbalance_lbf, dtype=np.float64) + moment * arm / np.asarray(
        torque_factor_at_90_in, dtype=np.float64
    )


def permissible_load_lbf(
    torque_factor_in: ArrayLike,
    crank_angle_rad: ArrayLike,
    moment_in_lbf: ArrayLike,
    rating_in_lbf: ArrayLike,
    crank_offset_deg: ArrayLike = 0.0,
    structural_unbalance_lbf: ArrayLike = 0.0,
) -> tuple[Array, Array]:
    """Polished-rod loads between which the gearbox stays inside its rating, over the stroke.

    Parameters
    ----------
    torque_factor_in, crank_angle_rad : array_like, shape (..., n)
        Kinematics of the unit.
    moment_in_lbf, rating_in_lbf, crank_offset_deg, structural_unbalance_lbf : array_like, shape (...)
        Counterbalance moment, gearbox rating, offset angle, structural unbalance.

    Returns
    -------
    upper_lbf, lower_lbf : ndarray, shape (..., n)
        Limit on the upstroke (NaN on the downstroke) and on the downstroke (NaN on the upstroke); loads above the
        first, or below the second, overload the gearbox. They grow without bound at the ends of the stroke.
    """
    factor = np.asarray(torque_factor_in, dtype=np.float64)

    def column(value: ArrayLike) -> Array:
        return np.asarray(value, dtype=np.float64)[..., None]

    angle = np.asarray(crank_angle_rad, dtype=np.float64) + np.radians(column(crank_offset_deg))
    balance = column(moment_in_lbf) * np.sin(angle)
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = column(structural_unbalance_lbf) + (column(rating_in_lbf) + balance) / factor
    return np.where(factor > 0, limit, np.nan), np.where(factor < 0, limit, np.nan)


def card_area_in_lbf(position_in: ArrayLike, load_lbf: ArrayLike) -> Array:
    """Work of one stroke: the closed integral of load over position, positive for a card that is driven.

    Parameters
    ----------
    position_in, load_lbf : array_like, shape (..., n)
        Card in time order; the ring is closed.

    Returns
    -------
    ndarray, shape (...)
        Area, in lbf.
    """
    x = np.asarray(position_in, dtype=np.float64)
    f = np.asarray(load_lbf, dtype=np.float64)
    inner = np.einsum("...j,...j->...", f[..., :-1] + f[..., 1:], np.diff(x, axis=-1))
    return np.asarray(0.5 * (inner + (f[..., -1] + f[..., 0]) * (x[..., 0] - x[..., -1])))


def card_power_hp(position_in: ArrayLike, load_lbf: ArrayLike, spm: ArrayLike) -> Array:
    """Power of a card: area x speed / 396,000."""
    return (
        card_area_in_lbf(position_in, load_lbf)
        * np.asarray(spm, dtype=np.float64)
        / INCH_POUNDS_PER_MINUTE_PER_HP
    )
