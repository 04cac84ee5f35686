"""Motion of the polished rod: four-bar linkages solved exactly, and the belt of a long-stroke unit.

References
----------
Svinos, J.G. (1983): Exact kinematic analysis of pumping units, SPE 12201. API Specification 11E: dimensions A, C, I, K, P, R.
Takacs, G. (2015): Sucker-Rod Pumping Handbook, chapter 3 (Mark II, air-balanced and long-stroke units).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONVENTIONAL, MARK_II, AIR_BALANCED, LONG_STROKE = "Conventional", "Mark II", "Air Balanced", "Rotaflex"
POINTS = 1440


@dataclass(frozen=True)
class Unit:
    """A pumping unit; lengths in in. `a` .. `r` are those of API 11E, of a long-stroke unit only the stroke counts.

    Attributes
    ----------
    kind : str
    stroke : float
        Polished-rod stroke, in.
    a, c, i, k, p, r : float
        Linkage, in.
    clockwise : bool
        Rotation of the crank, seen with the well to the right.
    """

    kind: str
    stroke: float
    a: float
    c: float
    i: float
    k: float
    p: float
    r: float
    clockwise: bool


def make_unit(kind: str, stroke: float, clockwise: bool, shape: NDArray[np.float64]) -> Unit:
    """Proportion a unit to its stroke and find the crank that gives the stroke.

    Parameters
    ----------
    kind : str
    stroke : float
        In.
    clockwise : bool
    shape : ndarray, shape (3,)
        Small relative departures (about +-0.05) of C, K and P from the type's proportions.

    Returns
    -------
    Unit
    """
    # Front-mounted units pull the beam between its bearing and the well, so C is shorter than A and the pitman goes up and forward.
    a = stroke * {CONVENTIONAL: 0.92, MARK_II: 1.42, AIR_BALANCED: 1.30}.get(kind, 1.0)
    c = a * {CONVENTIONAL: 0.80, MARK_II: 0.68, AIR_BALANCED: 0.60}.get(kind, 0.8) * (1 + shape[0])
    k = c * {CONVENTIONAL: 1.48, MARK_II: 1.30, AIR_BALANCED: 1.36}.get(kind, 1.4) * (1 + shape[1])
    p = c * {CONVENTIONAL: 1.12, MARK_II: 1.02, AIR_BALANCED: 1.00}.get(kind, 1.1) * (1 + shape[2])
    i = np.sqrt(max(k * k - p * p, (0.4 * k) ** 2))
    low, high = 0.02 * c, 0.8 * c
    for _ in range(60):
        r = 0.5 * (low + high)
        swing = np.ptp(_beam_angle(np.linspace(0, 2 * np.pi, 721), c, k, p, r)) * a
        low, high = (r, high) if swing < stroke else (low, r)
    return Unit(kind, stroke, a, c, float(i), k, p, float(r), clockwise)


def polished_rod(unit: Unit, uneven: float = 0.0, phase: float = 0.0) -> NDArray[np.float64]:
    """Return height over the bottom of the stroke at `POINTS` equal steps in time, beginning at the bottom.

    Parameters
    ----------
    unit : Unit
    uneven : float
        The crank's speed is 1 + uneven * cos(2 angle + phase) times its mean: slip of the motor under two torque peaks a turn.
    phase : float
        Rad.

    Returns
    -------
    ndarray, shape (POINTS,)
        In.
    """
    time = np.arange(POINTS) / POINTS
    angle = 2 * np.pi * time
    angle = angle + 0.5 * uneven * (np.sin(2 * angle + phase) - np.sin(phase))
    if unit.kind == LONG_STROKE:
        height = _belt(angle / (2 * np.pi))
    else:
        turn = angle if unit.clockwise else -angle
        height = _beam_angle(turn, unit.c, unit.k, unit.p, unit.r) * unit.a
        if unit.kind == CONVENTIONAL:  # the pitman lifts the tail, so the head goes down as the angle opens
            height = -height
    height = height - height.min()
    height *= unit.stroke / height.max()
    return np.roll(height, -int(np.argmin(height)))


def _beam_angle(crank: NDArray[np.float64], c: float, k: float, p: float, r: float) -> NDArray[np.float64]:
    j = np.sqrt(k * k + r * r - 2 * k * r * np.cos(crank))
    between = np.arccos(np.clip((c * c + j * j - p * p) / (2 * c * j), -1, 1))
    return between - np.arcsin(np.clip(r * np.sin(crank) / j, -1, 1))


def _belt(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constant speed between two sprockets, and a cosine while the carriage goes round one of them."""
    turning = 0.09  # share of the cycle in each of the four quarters of a reversal
    x = np.abs(((part + 0.5) % 1) - 0.5) * 2  # 0 at the bottom, 1 at the top
    t = 2 * turning
    speed = 1 / (1 - 2 * t + 4 * t / np.pi)
    foot = np.minimum(x, 1 - x)
    near = speed * t * 2 / np.pi * (1 - np.cos(np.pi * foot / (2 * t)))
    half = np.where(foot < t, near, speed * (t * 2 / np.pi + foot - t))
    return np.asarray(np.where(x <= 0.5, half, 1 - half))
