"""The conditions of a card, how strong each truly is, and how people who label cards differ.

Severities are effects that the strokes had, not settings: what leaked of what the pump swept, the force at a stop over the fluid load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .strokes import COLUMN, RESULT

CLASSES = (
    "Full Pump",
    "Fluid Pound",
    "Gas Interference",
    "Leak in Traveling Valve",
    "Leak in Standing Valve",
    "Wellbore Friction",
    "Tubing Movement",
    "Pump Tagging Up",
    "Pump Tagging Down",
    "Excessive Vibration of the Rod",
    "Parted Rod",
    "Worn Pump Barrel",
)
FULL, POUND, GAS, TV, SV, FRICTION, TUBING, TAG_UP, TAG_DOWN, VIBRATION, PARTED, WORN = range(12)
FAULTS = tuple(range(1, 12))
BESIDE_FULL = (FRICTION, TUBING, TAG_UP, TAG_DOWN, VIBRATION)
"""What a pump can show and still fill and lift: some people name Full Pump beside it, others don't."""

THRESHOLDS = np.array([0.0, 0.12, 0.12, 0.14, 0.14, 0.28, 0.07, 0.35, 0.35, 0.18, 0.5, 0.025])
"""Severity from which the reference labeller names a condition."""

GASSY = 0.10
"""Intake over discharge pressure from which what is missing in the barrel counts as gas: it is then compressed over a visible way."""

WRONG = 0.03
"""Share of labels that are slips."""

_MIXED_UP = {
    FULL: (WORN, FRICTION),
    POUND: (GAS, FULL),
    GAS: (POUND, TV),
    TV: (WORN, GAS),
    SV: (TV, FULL),
    FRICTION: (VIBRATION, FULL),
    TUBING: (GAS, FRICTION),
    TAG_UP: (TAG_DOWN, FULL),
    TAG_DOWN: (TAG_UP, POUND),
    VIBRATION: (FRICTION, FULL),
    PARTED: (TV, SV),
    WORN: (TV, FULL),
}


def measure_severities(
    parameters: NDArray[np.float64], results: NDArray[np.float64], impedance: float
) -> NDArray[np.float64]:
    """Return how strong each condition is, from what the strokes did.

    Parameters
    ----------
    parameters : ndarray, shape (n, len(NAMES))
    results : ndarray, shape (n, len(RESULTS))
    impedance : float
        Of the rods at the top, N s/m.

    Returns
    -------
    ndarray, shape (n, 12)
        Pound and gas: share of the travel over which what is missing in the barrel is compressed; leaks: share of the swept volume that came back; wear: what the load lacks in the middle of the upstroke; friction: drag over fluid load; tubing: its
        travel over the plunger's; tagging: force over fluid load; vibration: load of the knock over fluid load; parted: 0 or 1; full: 0.
    """

    def given(name: str) -> NDArray[np.float64]:
        return parameters[:, COLUMN[name]]

    def found(name: str) -> NDArray[np.float64]:
        return results[:, RESULT[name]]

    whole = given("hanging") == 0
    lift = np.maximum(given("plunger_area") * (given("discharge") - given("intake")), 1.0)
    swept = np.maximum(given("plunger_area") * found("net_travel"), 1e-6)
    gassy = given("intake") / given("discharge") > GASSY
    out = np.zeros((len(parameters), len(CLASSES)))
    # What is missing shows by the way over which the plunger compresses it.
    ratio = (given("intake") / given("discharge")) ** (1 / given("polytropic"))
    way = found("gas_fill") * (1 - ratio)
    out[:, POUND] = way * ~gassy
    out[:, GAS] = way * gassy
    out[:, TV] = found("tv_leaked") / swept
    out[:, SV] = found("sv_leaked") / swept
    # Wear shows where more slips back than the plunger lifts: the load sags there.
    out[:, WORN] = np.where(given("wear") > 0, found("sag"), 0.0)
    out[:, FRICTION] = (np.abs(found("friction_force")) + given("plunger_friction")) / lift
    out[:, TUBING] = found("tubing_travel") / np.maximum(found("travel"), 1e-3)
    out[:, TAG_UP] = found("tag_high_force") / lift
    out[:, TAG_DOWN] = found("tag_low_force") / lift
    knock = 2 * np.pi * given("ripple_cycles") / given("period") * given("ripple")
    out[:, VIBRATION] = impedance * knock / lift
    out[~whole, 1:] = 0.0
    out[:, PARTED] = ~whole
    return out


def true_sets(severities: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the one or two conditions of each card, and whether Full Pump is a matter of habit there.

    Parameters
    ----------
    severities : ndarray, shape (n, 12)

    Returns
    -------
    conditions : ndarray of bool, shape (n, 12)
        Full Pump only where nothing else is named.
    optional : ndarray of bool, shape (n,)
        One condition that doesn't keep the pump from filling: naming Full Pump beside it is neither right nor wrong.
    """
    ratio = severities / np.maximum(THRESHOLDS, 1e-9)
    ratio[:, FULL] = 0.0
    return _name(ratio, np.full(len(ratio), 2))


def _name(ratio: NDArray[np.float64], most: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    order = np.argsort(-ratio, axis=1)
    rank = np.argsort(order, axis=1)
    named = (ratio >= 1) & (rank < most[:, None])
    named[:, FULL] = ~named.any(axis=1)
    beside = np.zeros(len(CLASSES), bool)
    beside[list(BESIDE_FULL)] = True
    optional = (named[:, beside].sum(axis=1) == 1) & (named.sum(axis=1) == 1)
    return named, optional


@dataclass(frozen=True)
class Labeller:
    """Somebody who labels cards.

    Attributes
    ----------
    name : str
    factor : ndarray, shape (12,)
        What their thresholds are of the reference's.
    names_full : bool
        Whether they put Full Pump beside a lone friction, movement, tagging or vibration.
    second : float
        How often they bother to name a second condition.
    spread : float
        Logarithmic scatter of their eye from card to card.
    """

    name: str
    factor: NDArray[np.float64]
    names_full: bool
    second: float
    spread: float


def make_labellers(rng: np.random.Generator) -> list[Labeller]:
    """Return four people, two of each habit."""
    return [
        Labeller(
            f"reader {k + 1}",
            np.exp(rng.normal(0.0, 0.22, len(CLASSES)) + rng.normal(0.0, 0.12)),
            k % 2 == 0,
            float(rng.uniform(0.7, 1.0)),
            float(rng.uniform(0.05, 0.15)),
        )
        for k in range(4)
    ]


def label(
    severities: NDArray[np.float64], who: Labeller, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the labels that a person gives, shape (n, 12), and which cards hold a slip, shape (n,)."""
    n = len(severities)
    seen = severities * np.exp(rng.normal(0.0, who.spread, severities.shape))
    ratio = seen / np.maximum(THRESHOLDS * who.factor, 1e-9)
    ratio[:, FULL] = 0.0
    named, lone = _name(ratio, np.where(rng.random(n) < who.second, 2, 1))
    named[lone, FULL] = who.names_full
    wrong = rng.random(n) < WRONG
    for card in np.flatnonzero(wrong):
        first = int(rng.choice(np.flatnonzero(named[card])))
        named[card, first] = False
        named[card, int(rng.choice(_MIXED_UP[first]))] = True
    return named, wrong
