"""Cards that can be read and whose values are no card's, and what they look like instead.

Belongs here: judging a card beside what it claims to be (a surface card or a pump card, the stroke of its row, the rods of its
well), and naming the mistake: the unit, the order of bytes, halves or points. Does not belong here: what can be judged from
the points alone (``quality``), and mending: nothing is converted, a person has to say what the values are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .column import CardColumn, FloatArray, group_by_count
from .quality import (
    MAX_LOAD_LBF,
    MAX_POSITION_IN,
    MAX_STROKE_IN,
    MIN_POINTS,
    QUIETLY,
    Unusable,
    count_strokes,
    unusable_points,
    usable,
    without_padding,
)

__all__ = ["Expected", "judge_cards", "misfit_text", "odd_cards", "odd_for", "units_of"]

MIN_STROKE_IN = 10.0
"""Shorter than the smallest units' strokes (16 in)."""
MIN_ROD_LOAD_LBF = 200.0
"""No polished-rod load of a surface card reaches this: not even the first hundred feet of parted rods weigh as little."""
STROKE_MISFIT = 2.0
"""Factor between a card's stroke and its row's that no other crank hole explains."""
STRAIGHT_SHARE = 3e-4
"""Share of the loads' variance off a straight line over the positions, below which a pump card is no card."""
ROUNDED_SHARE = 1e-2
"""... where every load is a whole pound, none of the line's further off than rounding takes it: it hides a line of 12 lbf no more."""
EXACT_SHARE = 1e-8
"""... and a surface card: a stuck pump's rods are nearly a spring."""

MIN_TELLING_POINTS = 32
"""Recorders store more points of a stroke; of fewer nothing is said here."""

_CHUNK_CARDS = 4096
_POSITION_UNITS = {"m": 39.37008, "ft": 12.0, "cm": 0.3937008, "mm": 0.03937008}
_LOAD_UNITS = {"kN": 224.8089, "klbf": 1000.0, "N": 0.2248089}
_USUAL_LOAD_LBF = 15_000.0


@QUIETLY
def judge_cards(
    column: CardColumn, *, pump: bool = False, stroke_length_in: FloatArray | None = None
) -> NDArray[np.int8]:
    """Judge every card of a column as what it is said to be.

    Parameters
    ----------
    column : CardColumn
    pump : bool
        Whether they are pump cards, whose loads may be small and whose plunger may stand still.
    stroke_length_in : ndarray, shape (n,), optional
        Stroke of the polished rod that comes with each card; not compared where it is NaN or not positive.

    Returns
    -------
    codes : ndarray of int8, shape (n,)
        An :class:`~oasis_pipeline.cards.quality.Unusable` a card; 0 means usable.
    """
    column = without_padding(column)
    codes = usable(column)
    said = np.full(len(column), np.nan) if stroke_length_in is None else np.asarray(stroke_length_in)
    for indices, position, load in group_by_count(column):
        if position.shape[1] < MIN_TELLING_POINTS:
            continue
        good = np.flatnonzero(codes[indices] == Unusable.USABLE)
        for first in range(0, good.size, _CHUNK_CARDS):
            rows = good[first : first + _CHUNK_CARDS]
            cards = indices[rows]
            codes[cards] = _judge(position[rows], load[rows], pump, said[cards])
    return codes


def _judge(position: FloatArray, load: FloatArray, pump: bool, said: FloatArray) -> NDArray[np.int8]:
    """Judge usable cards of equal count."""
    lost = ~(np.isfinite(position) & np.isfinite(load)) | ((position == 0) & (load == 0))
    rows = np.flatnonzero(lost.any(axis=1))
    if rows.size:
        position, load = position.copy(), load.copy()
        off = unusable_points(position[rows], load[rows])
        for values in (position, load):
            values[rows] = np.where(off, np.nan, values[rows])
    # fmin of floats without NaN is the minimum, at three times its cost
    least, greatest = (np.fmin, np.fmax) if rows.size else (np.minimum, np.maximum)
    stroke = greatest.reduce(position, axis=1) - least.reduce(position, axis=1)
    high, low = greatest.reduce(load, axis=1), least.reduce(load, axis=1)
    codes = np.zeros(len(position), np.int8)
    codes[_straight(position, load, pump)] = Unusable.NO_AREA
    if pump:
        codes[high == low] = Unusable.NO_AREA
        with np.errstate(invalid="ignore"):
            codes[stroke > STROKE_MISFIT * np.where(said > 0, said, np.inf)] = Unusable.OTHER_STROKE
        return codes
    codes[count_strokes(position) != 1] = Unusable.SEVERAL_STROKES
    codes[np.maximum(np.abs(high), np.abs(low)) < MIN_ROD_LOAD_LBF] = Unusable.IMPOSSIBLE_LOAD
    codes[stroke < MIN_STROKE_IN] = Unusable.IMPOSSIBLE_POSITION
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = stroke / np.where(said > 0, said, np.nan)
        codes[(ratio >= STROKE_MISFIT) | (ratio <= 1.0 / STROKE_MISFIT)] = Unusable.OTHER_STROKE
    return codes


def _straight(position: FloatArray, load: FloatArray, pump: bool) -> NDArray[np.bool_]:
    """Cards whose loads lie on one sloping straight line over the positions; NaN is left out."""
    # A card that is straight as a whole is so in a few of its points, and hardly any is.
    few = max(1, position.shape[1] // 16)
    left, spread = _off_line(position[:, ::few], load[:, ::few])
    rows = np.flatnonzero(left < (10.0 * ROUNDED_SHARE if pump else 30.0 * EXACT_SHARE) * spread)
    result = np.zeros(len(position), np.bool_)
    position, load = position[rows], load[rows]
    left, spread = _off_line(position, load)
    result[rows] = left < (STRAIGHT_SHARE if pump else EXACT_SHARE) * spread
    if pump:
        whole = (~np.isfinite(load) | (load == np.rint(load))).all(axis=1)
        # no point is rounded by more than half a pound, and no line fits better than the best
        result[rows] |= whole & (left <= 0.25) & (left < ROUNDED_SHARE * spread)
    return result


def _off_line(position: FloatArray, load: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the loads that a straight line over the positions leaves over (NaN where there is none), and all of it."""
    there = np.isfinite(position) & np.isfinite(load)
    n = np.maximum(there.sum(axis=1), 1)
    x, y = (np.where(there, values, 0.0).astype(np.float64) for values in (position, load))
    x = np.where(there, x - (x.sum(axis=1) / n)[:, None], 0.0)
    y = np.where(there, y - (y.sum(axis=1) / n)[:, None], 0.0)
    xx, yy, xy = (np.einsum("ij,ij->i", a, b) / n for a, b in ((x, x), (y, y), (x, y)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((1.0 - xy * xy / (xx * yy)) * yy), yy


@dataclass(frozen=True)
class Expected:
    """What the loads and the stroke of surface cards can be, one value a card or one for all; NaN where it isn't known.

    Attributes
    ----------
    rod_weight_lbf : array_like
        Weight of the string in air.
    fluid_load_lbf : array_like
        The greatest that the pump can have: plunger area times discharge pressure.
    strength_lbf : array_like
        Load at which the strongest cross-section at the top breaks.
    stroke_in : array_like
        Stroke of the unit.
    """

    rod_weight_lbf: NDArray[np.float64] | float = np.nan
    fluid_load_lbf: NDArray[np.float64] | float = np.nan
    strength_lbf: NDArray[np.float64] | float = np.nan
    stroke_in: NDArray[np.float64] | float = np.nan

    @property
    def whole_lbf(self) -> NDArray[np.float64]:
        """Rods and fluid together; an unknown fluid load is taken to be no more than the rods."""
        rods = np.asarray(self.rod_weight_lbf, np.float64)
        fluid = np.asarray(self.fluid_load_lbf, np.float64)
        return rods + np.where(np.isfinite(fluid), fluid, rods)

    def of(self, row: int) -> Expected:
        """Those of one card."""
        return Expected(*(np.asarray(getattr(self, field.name))[row] for field in fields(self)))


PARTED_SHARE = 0.01
"""Rods that hang on the polished rod weigh more than this share of the string."""
HEAVY = 3.0
"""Loads above this multiple of rods and fluid together are none of this string, and so are least loads above it of the rods alone."""


def odd_cards(
    stroke_in: ArrayLike, least_lbf: ArrayLike, greatest_lbf: ArrayLike, well: Expected
) -> NDArray[np.bool_]:
    """Tell the surface cards that can't be of their wells.

    Parameters
    ----------
    stroke_in, least_lbf, greatest_lbf : array_like, shape (k,)
        Extents of the cards.
    well : Expected
        With arrays of shape (k,).

    Returns
    -------
    ndarray of bool, shape (k,)
        What isn't known is not compared.
    """
    high, low = np.asarray(greatest_lbf), np.asarray(least_lbf)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.asarray(stroke_in) / well.stroke_in
        return np.asarray(
            (ratio >= STROKE_MISFIT)
            | (ratio <= 1.0 / STROKE_MISFIT)
            | (np.maximum(np.abs(high), np.abs(low)) < PARTED_SHARE * well.rod_weight_lbf)
            | (high > well.strength_lbf)
            | (high > HEAVY * well.whole_lbf)
            | (low > HEAVY * well.rod_weight_lbf)
        )


def odd_for(position: FloatArray, load: FloatArray, well: Expected) -> str | None:
    """Say why a surface card can't be of a well, in one clause; None where it can.

    Parameters
    ----------
    position, load : ndarray, shape (n,)
        in, lbf, usable points.
    well : Expected
        Of one well.

    Returns
    -------
    str or None
    """
    stroke, high, low = float(np.ptp(position)), float(np.max(load)), float(np.min(load))
    if not odd_cards(stroke, low, high, well):
        return None
    unit, weight, strength = (
        float(np.asarray(well.stroke_in)),
        float(np.asarray(well.rod_weight_lbf)),
        float(np.asarray(well.strength_lbf)),
    )
    whole = float(well.whole_lbf)
    hint = _hint(position, load, unit, whole)
    ratio = stroke / unit
    if ratio >= STROKE_MISFIT or ratio <= 1.0 / STROKE_MISFIT:
        return f"a stroke of {stroke:,.4g} in does not fit a unit of {unit:,.4g} in{hint}"
    of = f"rods of {weight:,.0f} lbf"
    if high > strength:
        of += f" that break at {strength:,.0f} lbf"
    elif high > HEAVY * whole and np.isfinite(well.fluid_load_lbf):
        of += f" and a fluid load of {float(np.asarray(well.fluid_load_lbf)):,.0f} lbf at most"
    return f"loads of {_range(low, high, 'lbf')} do not fit {of}{hint}"


def misfit_text(
    position: FloatArray,
    load: FloatArray,
    code: int,
    *,
    pump: bool = False,
    stroke_length_in: float = np.nan,
) -> str:
    """Say in one clause why a card can't be used, with the unit or the order that its values look like.

    Parameters
    ----------
    position, load : ndarray, shape (n,)
        Points as they arrived.
    code : int
        An :class:`~oasis_pipeline.cards.quality.Unusable` beyond ``USABLE``.
    pump : bool
        Whether it is a pump card.
    stroke_length_in : float
        Stroke of its row.

    Returns
    -------
    str
    """
    plain = _PLAIN_TEXT.get(Unusable(code))
    if plain is not None:
        order = code == Unusable.TOO_MANY_NAN and not pump and _order_of(position, load, stroke_length_in)
        return f"{plain} ({order})" if order else plain
    column = without_padding(CardColumn.from_rows([(position, load)]))
    x, y = column.row(0)
    there = ~unusable_points(x[None], y[None])[0]
    x, y = x[there].astype(np.float64), y[there].astype(np.float64)
    if code == Unusable.NO_AREA:
        return _no_area(*column.row(0))
    if code == Unusable.IMPOSSIBLE_LOAD:
        why = f"impossible loads: {_range(y.min(), y.max(), 'lbf')}"
    elif code == Unusable.IMPOSSIBLE_POSITION:
        why = f"impossible positions: {_range(x.min(), x.max(), 'in')}"
    elif code == Unusable.OTHER_STROKE:
        why = f"stroke of {np.ptp(x):,.4g} in where StrokeLength is {stroke_length_in:,.4g} in"
    else:
        why = f"not one stroke: the position goes up {count_strokes(column.row(0)[0][None])[0]} times"
    return why + ("" if pump else _hint(position, load, stroke_length_in))


_PLAIN_TEXT = {
    Unusable.NO_CARD: "no card",
    Unusable.ALL_ZERO: "all zero",
    Unusable.ZERO_STROKE: "stroke 0",
    Unusable.TOO_FEW_POINTS: f"fewer than {MIN_POINTS} usable points",
    Unusable.TOO_MANY_NAN: "more than 20 % NaN",
}


def _range(low: float, high: float, unit: str) -> str:
    shown = (f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}" for value in (low, high))
    return " to ".join(shown) + f" {unit}"


def _no_area(position: FloatArray, load: FloatArray) -> str:
    there = np.isfinite(position) & np.isfinite(load)
    x, y = position[there].astype(np.float64), load[there].astype(np.float64)
    if np.ptp(y) == 0:
        return f"no area: every load is {y[0]:,.4g} lbf"
    slope = float(np.polyfit(x, y, 1)[0])
    if np.allclose(y, x, atol=0.5):
        return "no area: the loads are the positions"
    return f"no area: the loads are the positions times {slope:.4g}, or lie on that line"


def _hint(
    position: FloatArray, load: FloatArray, stroke_in: float = np.nan, whole_lbf: float = np.nan
) -> str:
    """Clause on what the values look like, empty where nothing fits."""
    there = np.isfinite(position) & np.isfinite(load)
    units = []
    if there.sum() >= MIN_POINTS:
        units = units_of(position[there], load[there], stroke_in=stroke_in, whole_lbf=whole_lbf)
    # A stroke that fits the known one in another unit is no accident.
    fits = stroke_in > 0 and units and units[0].startswith("positions")
    # Nor are positions that make one stroke as they stand.
    stands = units and MIN_STROKE_IN <= np.ptp(position[there]) <= MAX_STROKE_IN
    if not (fits or (stands and count_strokes(position[None])[0] == 1)):
        order = _order_of(position, load, stroke_in)
        if order:
            return f" ({order})"
    return f" (looks like {' and '.join(units)})" if units else ""


def _order_of(position: FloatArray, load: FloatArray, stroke_in: float) -> str:
    """Name the order of halves, points or bytes that makes a card of the same blob, empty where none does."""
    if _is_card(load, position, stroke_in):
        return "loads and positions look swapped"
    words = np.concatenate([load, position]).astype(np.float32)
    half = words.size // 2
    pairs = words[: 2 * half].reshape(-1, 2)
    if _is_card(pairs[:, 0], pairs[:, 1], stroke_in) or _is_card(pairs[:, 1], pairs[:, 0], stroke_in):
        return "loads and positions look interleaved"
    turned = words.byteswap()
    if _is_card(turned[half:], turned[:half], stroke_in) or _is_card(turned[:half], turned[half:], stroke_in):
        return "looks like big-endian bytes"
    if words.size % 4 == 0:
        for name, wide in (("<f8", "64-bit floats"), (">f8", "big-endian 64-bit floats")):
            doubles = words.view(np.dtype(name))
            middle = doubles.size // 2
            if _is_card(doubles[middle:], doubles[:middle], stroke_in):
                return f"looks like {wide}"
    for name, wide in (("<i4", "32-bit integers"), ("<i2", "16-bit integers")):
        whole = words.view(np.dtype(name)).astype(np.float64)
        middle = whole.size // 2
        if _is_card(whole[middle:], whole[:middle], stroke_in):
            return f"looks like {wide}"
    return ""


@QUIETLY
def _is_card(position: FloatArray, load: FloatArray, stroke_in: float) -> bool:
    """Whether values would do for a surface card."""
    if position.size < MIN_POINTS or not (np.isfinite(position).all() and np.isfinite(load).all()):
        return False
    x, y = position.astype(np.float64), load.astype(np.float64)
    stroke = float(np.ptp(x))
    fits = not stroke_in > 0 or 1.0 / STROKE_MISFIT < stroke / stroke_in < STROKE_MISFIT
    return bool(
        fits
        and MIN_STROKE_IN <= stroke <= MAX_STROKE_IN
        and np.abs(x).max() <= MAX_POSITION_IN
        and MIN_ROD_LOAD_LBF <= np.abs(y).max() <= MAX_LOAD_LBF
        and np.ptp(y) > 0
        and count_strokes(x[None])[0] == 1
    )


def units_of(
    position: FloatArray, load: FloatArray, *, stroke_in: float = np.nan, whole_lbf: float = np.nan
) -> list[str]:
    """Name the units that positions and loads look like where they are not in and lbf.

    Parameters
    ----------
    position, load : ndarray, shape (n,)
        Values that are no inches or no pounds.
    stroke_in : float
        Stroke that is known otherwise.
    whole_lbf : float
        Weight of the rods with the greatest fluid load.

    Returns
    -------
    list of str
        For example ``["positions in m", "loads in kN"]``; empty where no unit fits.
    """
    found = []
    stroke, most = float(np.ptp(position)), float(np.max(np.abs(load)))
    metric = False
    if stroke_in > 0:
        near = {unit: abs(np.log(stroke * factor / stroke_in)) for unit, factor in _POSITION_UNITS.items()}
        unit = min(near, key=near.__getitem__)
        if stroke > 0 and near[unit] < np.log(1.3) and near[unit] < abs(np.log(stroke / stroke_in)):
            found.append(f"positions in {unit}")
            metric = unit != "ft"
    elif 0.3 <= stroke < MIN_STROKE_IN or stroke > MAX_STROKE_IN:
        unit = "m" if stroke < MIN_STROKE_IN else "mm"
        if stroke * _POSITION_UNITS[unit] <= MAX_STROKE_IN:
            found.append(f"positions in {unit}")
            metric = True
    heavy = most > MAX_LOAD_LBF or most > HEAVY * whole_lbf
    if most < MIN_ROD_LOAD_LBF or most < PARTED_SHARE * whole_lbf:
        names = [unit for unit, low, high in (("kN", 3, 400), ("klbf", 0.7, 60)) if low <= most <= high]
        if metric:
            names = [unit for unit in names if unit == "kN"]
        elif 30.0 <= most <= 150.0:
            names.append("% of full scale")
        if whole_lbf > 0 and "klbf" in names and "kN" in names:
            # A card's peak is between half and three times of rods and fluid together.
            names = [u for u in names if 0.4 * whole_lbf < most * _LOAD_UNITS[u] < HEAVY * whole_lbf] or names
        if names:
            found.append(f"loads in {' or '.join(names)}")
    elif heavy:
        usual = whole_lbf if whole_lbf > 0 else _USUAL_LOAD_LBF
        if abs(np.log(most * _LOAD_UNITS["N"] / usual)) < np.log(4.0):
            found.append("loads in N")
    return found
