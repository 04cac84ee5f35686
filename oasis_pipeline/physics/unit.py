"""The pumping unit: from crank angle to polished-rod motion, torque factor and stroke.

Belongs here: geometry and kinematics of the unit (conventional, Mark II, air balanced, simple harmonic, measured
motion). Loads, gearbox torque and balance do not; they use what this module gives.

Geometry in a plane with the well on the right, the crankshaft at the origin and the vertical upward. The dimensions
have the letters of API Spec 11E:

======  ==============================================================================
A       saddle bearing to the polished rod, in
C       saddle bearing to the equaliser bearing, in
I       horizontal distance from the crankshaft to the saddle bearing, in
K       distance from the crankshaft to the saddle bearing, in
P       pitman length, in
R       crank radius, in
======  ==============================================================================

Crank angle: zero with the crank pin straight up for conventional units and straight down for Mark II and air-balanced
units, growing in the direction of rotation as seen with the well on the right. The linkage is solved as the
intersection of two circles (pitman about the crank pin, beam about the saddle), which is one formula for all three
types and equals the law-of-cosines chain of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


class UnitKind(IntEnum):
    """Type of a pumping unit."""

    SIMPLE_HARMONIC = 0
    CONVENTIONAL = 1
    MARK_II = 2
    AIR_BALANCED = 3

    @classmethod
    def from_text(cls, text: str) -> UnitKind:
        """Read a unit type as the field writes it (`Conventional`, `C`, `Mark II`, `M`, `Air Balanced`, `A`, `SHM`).

        Raises
        ------
        ValueError
            If the text means none of them.
        """
        word = "".join(ch for ch in text.lower() if ch.isalnum())
        if word in {"c", "conv"} or word.startswith("conventional"):
            return cls.CONVENTIONAL
        if word in {"m", "mii", "mk2", "mkii"} or word.startswith("mark"):
            return cls.MARK_II
        if word in {"a", "ab"} or word.startswith("air"):
            return cls.AIR_BALANCED
        if word in {"shm"} or word.startswith("simpleharmonic"):
            return cls.SIMPLE_HARMONIC
        raise ValueError(f"unknown pumping unit type {text!r}")


@dataclass(frozen=True)
class PumpingUnit:
    """A pumping unit, or a batch of them: every field is a number or an array of the batch's shape.

    Attributes
    ----------
    kind : UnitKind or integer array
        Type of the unit.
    a_in, c_in, i_in, k_in, p_in, r_in : float or array
        Linkage of API Spec 11E, in. For a simple harmonic unit only `r_in` counts: the stroke is 2 R.
    clockwise : bool or array
        Rotation as seen with the well on the right.
    gearbox_rating_in_lbf, structural_rating_lbf : float or array
        Ratings, NaN where unknown.
    counterbalance_moment_in_lbf : float or array
        Largest moment M of cranks and counterweights about the crankshaft, NaN where unknown.
    crank_offset_deg : float or array
        Angle tau by which the counterweight arm leads the crank pin: the balance torque is M sin(theta + tau).
    structural_unbalance_lbf : float or array
        Polished-rod load B that holds the beam level without cranks.
    """

    kind: UnitKind | NDArray[np.int8]
    a_in: float | FloatArray = 1.0
    c_in: float | FloatArray = 1.0
    i_in: float | FloatArray = 1.0
    k_in: float | FloatArray = 1.0
    p_in: float | FloatArray = 1.0
    r_in: float | FloatArray = 1.0
    clockwise: bool | NDArray[np.bool_] = True
    gearbox_rating_in_lbf: float | FloatArray = np.nan
    structural_rating_lbf: float | FloatArray = np.nan
    counterbalance_moment_in_lbf: float | FloatArray = np.nan
    crank_offset_deg: float | FloatArray = 0.0
    structural_unbalance_lbf: float | FloatArray = 0.0

    @classmethod
    def simple_harmonic(cls, stroke_in: float | FloatArray, **values: float | FloatArray) -> PumpingUnit:
        """Make a unit that moves the polished rod as S/2 (1 - cos theta)."""
        half = np.asarray(stroke_in, dtype=np.float64) / 2.0
        kind = UnitKind.SIMPLE_HARMONIC if half.ndim == 0 else np.full(half.shape, 0, dtype=np.int8)
        return cls(kind, r_in=float(half) if half.ndim == 0 else half, **values)  # type: ignore[arg-type]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch, () for one unit."""
        return np.broadcast_shapes(*(np.shape(getattr(self, field.name)) for field in fields(self)))

    def take(self, indices: ArrayLike) -> PumpingUnit:
        """Pick units of a batch along the first axis; scalars hold for every unit."""
        chosen = np.asarray(indices)
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return PumpingUnit(
            **{name: v if np.ndim(v) == 0 else np.asarray(v)[chosen] for name, v in values.items()}
        )

    def distinct(self) -> tuple[PumpingUnit, NDArray[np.intp]]:
        """Find the units of a batch of shape (n,) that differ.

        Returns
        -------
        units : PumpingUnit
            Batch of shape (m,).
        which : ndarray of int, shape (n,)
            Which of them each unit is.
        """
        shape = self.batch_shape
        columns = [np.broadcast_to(getattr(self, field.name), shape) for field in fields(self)]
        # NaN is like NaN: bytes are compared
        rows = np.ascontiguousarray(np.stack(columns, axis=-1).astype(np.float64)).view(np.uint64)
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        return self.take(first), which.reshape(-1)

    @classmethod
    def stack(cls, units: list[PumpingUnit]) -> PumpingUnit:
        """Stack single units to a batch of shape (n,)."""
        columns = {
            field.name: np.array([getattr(unit, field.name) for unit in units]) for field in fields(cls)
        }
        columns["kind"] = columns["kind"].astype(np.int8)
        return cls(**columns)


def _column(value: object, dtype: type = np.float64) -> NDArray[Any]:
    """Give a field of the unit a trailing axis for the crank angles."""
    return np.asarray(value, dtype=dtype)[..., np.newaxis]


def _beam(unit: PumpingUnit, crank_angle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Beam angle (rad, growing as the horsehead rises) and its derivative by crank angle, shape (..., n)."""
    kind = _column(unit.kind, np.int64)
    rear = kind == UnitKind.CONVENTIONAL
    turn = np.where(_column(unit.clockwise, np.bool_), 1.0, -1.0)
    i, k, c, p, r = (_column(getattr(unit, name)) for name in ("i_in", "k_in", "c_in", "p_in", "r_in"))
    # Clockwise angle of the crank pin from straight up.
    pin = turn * crank_angle + np.where(rear, 0.0, np.pi)
    pin_x, pin_y = r * np.sin(pin), r * np.cos(pin)
    rate_x, rate_y = turn * r * np.cos(pin), -turn * r * np.sin(pin)
    # A conventional unit has the saddle between crankshaft and well, the other two behind the crankshaft.
    saddle_x, saddle_y = np.where(rear, i, -i), np.sqrt(np.maximum(k**2 - i**2, 0.0))
    to_x, to_y = pin_x - saddle_x, pin_y - saddle_y
    distance = np.hypot(to_x, to_y)
    cosine = (c**2 + distance**2 - p**2) / (2.0 * c * distance)
    with np.errstate(invalid="ignore"):
        opening = np.arccos(np.where(np.abs(cosine) <= 1.0, cosine, np.nan))
    # The equaliser lies above the line from saddle to crank pin: to the left of it behind, to the right in front.
    direction = np.arctan2(to_y, to_x) + np.where(rear, -opening, opening)
    arm_x, arm_y = c * np.cos(direction), c * np.sin(direction)
    rod_x, rod_y = arm_x - to_x, arm_y - to_y
    # The pitman keeps its length: rod . (velocity of equaliser - velocity of pin) = 0.
    rate = (rod_x * rate_x + rod_y * rate_y) / (-rod_x * arm_y + rod_y * arm_x)
    # Behind the saddle the direction of the arm passes through pi: measure it from there.
    angle = np.where(rear, np.mod(direction, 2.0 * np.pi) - np.pi, direction)
    return angle, rate


def polished_rod_motion(unit: PumpingUnit, crank_angle_rad: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Position of the polished rod and torque factor over the crank angle.

    Parameters
    ----------
    unit : PumpingUnit
        One unit or a batch of shape (...).
    crank_angle_rad : array_like, shape (n,) or (..., n)
        Crank angles in the direction of rotation, zero as the module says.

    Returns
    -------
    position_in : ndarray, shape (..., n)
        Height above the bottom of the stroke, in.
    torque_factor_in : ndarray, shape (..., n)
        Change of position by crank angle, in per rad: positive while the rod rises. Gearbox torque is
        torque_factor (load - structural unbalance) - M sin(theta + tau).

    Raises
    ------
    ValueError
        If a linkage cannot turn a full circle.

    Notes
    -----
    The torque factor equals (A R / C) sin(alpha) / sin(beta) of API Spec 11E; here it is the derivative of the
    position, from the condition that the pitman keeps its length.
    """
    angle = np.asarray(crank_angle_rad, dtype=np.float64)
    kind = _column(unit.kind, np.int64)
    harmonic = kind == UnitKind.SIMPLE_HARMONIC
    radius = _column(unit.r_in)
    if np.all(harmonic):
        shape = np.broadcast_shapes((*unit.batch_shape, 1), angle.shape)
        position = np.broadcast_to(radius * (1.0 - np.cos(angle)), shape).copy()
        return position, np.broadcast_to(radius * np.sin(angle), shape).copy()
    beam, rate = _beam(unit, angle)
    bottom, top = _beam_limits(unit)
    if np.any(~harmonic & ~(np.isfinite(bottom) & np.isfinite(top))):
        raise ValueError("linkage cannot turn a full circle: check A, C, I, K, P and R")
    arm = _column(unit.a_in)
    # The horsehead rises with a counterclockwise turn of the beam, on whichever side of the saddle it is driven.
    position = np.where(harmonic, radius * (1.0 - np.cos(angle)), arm * (beam - bottom))
    factor = np.where(harmonic, radius * np.sin(angle), arm * rate)
    return np.maximum(position, 0.0), factor


def _beam_limits(unit: PumpingUnit) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest beam angle, each shape (..., 1), from the two dead centres of the crank."""
    rear = _column(unit.kind, np.int64) == UnitKind.CONVENTIONAL
    i, k, c, p, r = (_column(getattr(unit, name)) for name in ("i_in", "k_in", "c_in", "p_in", "r_in"))
    with np.errstate(invalid="ignore"):
        to_shaft = np.where(rear, np.pi + np.arccos(i / k), -np.arccos(i / k))
        far = np.arccos((c**2 + k**2 - (p + r) ** 2) / (2.0 * c * k))
        near = np.arccos((c**2 + k**2 - (p - r) ** 2) / (2.0 * c * k))
    low = np.where(rear, to_shaft - far - np.pi, to_shaft + near)
    high = np.where(rear, to_shaft - near - np.pi, to_shaft + far)
    return low, high


def stroke_in(unit: PumpingUnit) -> FloatArray:
    """Stroke of the polished rod, shape (...), in; NaN where the linkage cannot turn."""
    low, high = _beam_limits(unit)
    harmonic = np.asarray(unit.kind) == UnitKind.SIMPLE_HARMONIC
    linkage = np.asarray(unit.a_in) * (high - low)[..., 0]
    return np.asarray(np.where(harmonic, 2.0 * np.asarray(unit.r_in), linkage))


def bottom_crank_angle_rad(unit: PumpingUnit) -> FloatArray:
    """Crank angle at the bottom of the stroke, shape (...), in [0, 2 pi)."""
    return _dead_centre(unit, bottom=True)


def top_crank_angle_rad(unit: PumpingUnit) -> FloatArray:
    """Crank angle at the top of the stroke, shape (...), in [0, 2 pi)."""
    return _dead_centre(unit, bottom=False)


def _dead_centre(unit: PumpingUnit, *, bottom: bool) -> FloatArray:
    kind = np.asarray(unit.kind)
    rear = kind == UnitKind.CONVENTIONAL
    i, k, c = np.asarray(unit.i_in), np.asarray(unit.k_in), np.asarray(unit.c_in)
    low, high = _beam_limits(unit)
    beam = (low if bottom else high)[..., 0]
    direction = beam + np.where(rear, np.pi, 0.0)
    x = np.where(rear, i, -i) + c * np.cos(direction)
    y = np.sqrt(np.maximum(k**2 - i**2, 0.0)) + c * np.sin(direction)
    # Crank and pitman are in line: the pin points to the equaliser when they are stretched out, away when folded.
    stretched = np.where(rear, bottom, not bottom)
    pin = np.arctan2(x, y) + np.where(stretched, 0.0, np.pi)
    turn = np.where(np.asarray(unit.clockwise), 1.0, -1.0)
    angle = turn * (pin - np.where(rear, 0.0, np.pi))
    return np.asarray(
        np.mod(np.where(kind == UnitKind.SIMPLE_HARMONIC, 0.0 if bottom else np.pi, angle), 2.0 * np.pi)
    )


def crank_angle_at_constant_speed(unit: PumpingUnit, points: int) -> FloatArray:
    """Crank angles of points equally spaced in time over one stroke from its bottom, shape (..., points)."""
    return bottom_crank_angle_rad(unit)[..., np.newaxis] + 2.0 * np.pi * np.arange(points) / points


def crank_angle_of_card(unit: PumpingUnit, position_in: ArrayLike) -> FloatArray:
    """Crank angle of each point of a measured card that starts at the bottom of the stroke.

    The unit's own motion is scaled to the card's stroke and inverted apart for the half strokes, so that motor slip
    and a crank that does not turn evenly are accounted for.

    Parameters
    ----------
    unit : PumpingUnit
        One unit or a batch of shape (...).
    position_in : array_like, shape (..., n)
        Positions in time order, bottom of stroke first.

    Returns
    -------
    ndarray, shape (..., n)
        Crank angle in rad, from the angle of the bottom of the stroke on, not wrapped.
    """
    position = np.asarray(position_in, dtype=np.float64)
    count = position.shape[-1]
    shape = np.broadcast_shapes(unit.batch_shape, position.shape[:-1])
    start = bottom_crank_angle_rad(unit)[..., np.newaxis]
    turn_to_top = np.mod(top_crank_angle_rad(unit)[..., np.newaxis] - start, 2.0 * np.pi)
    half = np.linspace(0.0, 1.0, 361)
    steps = np.concatenate([turn_to_top * half, turn_to_top + (2.0 * np.pi - turn_to_top) * half], axis=-1)
    model, _ = polished_rod_motion(unit, start + steps)
    # Heights near the dead centres are flat in the angle; their harmonic phase is not, and inverts cleanly.
    phase = _harmonic_phase(model / stroke_in(unit)[..., np.newaxis])

    def rows(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, (*shape, values.shape[-1])).reshape(-1, values.shape[-1])

    phase, steps, cards = rows(phase), rows(steps), rows(position)
    angles = np.empty(cards.shape)
    for row, card in enumerate(cards):
        low, span = card.min(), np.ptp(card)
        share = _harmonic_phase((card - low) / (span if span > 0.0 else 1.0))
        top = int(card.argmax())
        up, down = slice(0, half.size), slice(None, half.size - 1, -1)
        angles[row, : top + 1] = np.interp(share[: top + 1], phase[row, up], steps[row, up])
        angles[row, top + 1 :] = np.interp(share[top + 1 :], phase[row, down], steps[row, down])
    return (angles + rows(start)).reshape(*shape, count)


def _harmonic_phase(share: FloatArray) -> FloatArray:
    """Crank angle (0 to pi) at which simple harmonic motion has this share of the stroke."""
    return np.asarray(np.arccos(np.clip(1.0 - 2.0 * share, -1.0, 1.0)))
