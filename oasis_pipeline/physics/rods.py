"""The sucker-rod string: types, tables of rod weights and grades, and what follows from them statically.

Belongs here: sizes, weights in air, moduli, grades, tapers, buoyancy, stretch, wave speed. What moves (the wave
equation) and what a stress limit means (modified Goodman) does not.

A batch of strings is one `RodString` whose arrays have the shape (..., tapers). Strings with fewer tapers are
padded at the bottom with tapers of zero length, which carry no weight and no stretch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import (
    FIBERGLASS_DENSITY_LB_PER_FT3,
    FIBERGLASS_MODULUS_PSI,
    GRAVITY_FT_PER_S2,
    INCHES_PER_FOOT,
    STEEL_DENSITY_LB_PER_FT3,
    STEEL_MODULUS_PSI,
    WATER_DENSITY_LB_PER_FT3,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RodGrade:
    """What a grade's name stands for.

    `tensile_psi` is the minimum tensile strength that the modified Goodman diagram starts from (API RP 11BR for
    C, K and D; makers' data for the rest, which differ from maker to maker and are only a default).
    """

    tensile_psi: float
    modulus_psi: float = STEEL_MODULUS_PSI
    fiberglass: bool = False
    sinker_bar: bool = False


ROD_GRADES: dict[str, RodGrade] = {
    "C": RodGrade(90_000.0),
    "K": RodGrade(90_000.0),
    "D": RodGrade(115_000.0),
    "KD": RodGrade(115_000.0),
    "DS": RodGrade(115_000.0),
    "HS": RodGrade(140_000.0),
    "N97": RodGrade(140_000.0),
    "EL": RodGrade(140_000.0),
    "SB": RodGrade(90_000.0, sinker_bar=True),
    "FG": RodGrade(80_000.0, FIBERGLASS_MODULUS_PSI, fiberglass=True),
}
"""Grades by their short name. A grade that is not here is taken for plain steel of unknown strength."""

STEEL_ROD_WEIGHTS_LB_PER_FT: dict[float, float] = {
    0.5: 0.726,
    0.625: 1.135,
    0.75: 1.634,
    0.875: 2.224,
    1.0: 2.904,
    1.125: 3.676,
}
"""Weight in air with couplings, by rod diameter in inches (API RP 11L, table 4.1)."""

FIBERGLASS_ROD_WEIGHTS_LB_PER_FT: dict[float, float] = {
    0.75: 0.51,
    0.875: 0.68,
    1.0: 0.88,
    1.125: 1.11,
    1.25: 1.36,
}
"""Weight in air with end fittings, by body diameter in inches; makers differ by some per cent."""

_API_TAPERS: dict[str, tuple[tuple[float, ...], dict[float, tuple[float, ...]]]] = {
    "65": (
        (0.75, 0.625),
        {1.06: (34.4, 65.6), 1.25: (37.3, 62.7), 1.5: (41.8, 58.2), 1.75: (46.9, 53.1), 2.0: (52.0, 48.0)},
    ),
    "76": (
        (0.875, 0.75),
        {
            1.06: (28.5, 71.5),
            1.25: (30.6, 69.4),
            1.5: (33.8, 66.2),
            1.75: (37.5, 62.5),
            2.0: (41.7, 58.3),
            2.25: (46.5, 53.5),
            2.5: (50.8, 49.2),
            2.75: (56.5, 43.5),
        },
    ),
    "86": (
        (1.0, 0.875, 0.75),
        {
            1.06: (22.6, 23.0, 54.4),
            1.25: (24.3, 24.5, 51.2),
            1.5: (26.8, 27.0, 46.2),
            1.75: (29.4, 30.0, 40.6),
            2.0: (32.8, 33.2, 34.0),
            2.25: (36.9, 36.0, 27.1),
            2.5: (40.6, 39.7, 19.7),
            2.75: (44.5, 43.3, 12.2),
        },
    ),
    "87": (
        (1.0, 0.875),
        {
            1.06: (24.3, 75.7),
            1.25: (25.7, 74.3),
            1.5: (27.7, 72.3),
            1.75: (30.3, 69.7),
            2.0: (33.2, 66.8),
            2.25: (36.4, 63.6),
            2.5: (39.9, 60.1),
            2.75: (43.9, 56.1),
        },
    ),
}


def grade_of(name: str | None) -> RodGrade | None:
    """Find the grade that a text of the field means, or None where it is not known.

    Case, blanks, a leading ``API`` or ``Grade`` and common long forms (``Fiberglass``, ``Sinker bar``) are accepted.
    """
    if name is None:
        return None
    text = name.upper().replace("GRADE", "").replace("API", "").replace("-", " ").strip()
    if text in ROD_GRADES:
        return ROD_GRADES[text]
    if "FIBER" in text or "FIBRE" in text or text.startswith(("FG", "FRP")):
        return ROD_GRADES["FG"]
    if "SINKER" in text or text.startswith("SB"):
        return ROD_GRADES["SB"]
    for word in reversed(text.split()):
        if word in ROD_GRADES:
            return ROD_GRADES[word]
    return None


def rod_area_in2(diameter_in: ArrayLike) -> FloatArray:
    """Cross-section of the rod body in square inches, any shape."""
    return np.asarray(math.pi / 4.0 * np.square(np.asarray(diameter_in, dtype=np.float64)))


def rod_weight_lb_per_ft(diameter_in: float, grade: str | None = None) -> float:
    """Weight in air of one foot of rod, couplings included.

    Parameters
    ----------
    diameter_in : float
        Body diameter in inches, positive.
    grade : str, optional
        Grade text; fibreglass and sinker bars have weights of their own.

    Returns
    -------
    float
        lbf per ft. Table value within 1/64 in of a listed size, else body weight times the coupling allowance of
        the table (none for sinker bars, whose joints are flush).

    Raises
    ------
    ValueError
        If the diameter is not positive.
    """
    if not diameter_in > 0.0:
        raise ValueError(f"rod diameter must be positive, got {diameter_in}")
    known = grade_of(grade)
    body_ft2 = math.pi / 4.0 * (diameter_in / INCHES_PER_FOOT) ** 2
    if known is not None and known.sinker_bar:
        return body_ft2 * STEEL_DENSITY_LB_PER_FT3
    fiberglass = known is not None and known.fiberglass
    table = FIBERGLASS_ROD_WEIGHTS_LB_PER_FT if fiberglass else STEEL_ROD_WEIGHTS_LB_PER_FT
    nearest = min(table, key=lambda size: abs(size - diameter_in))
    if abs(nearest - diameter_in) <= 1.0 / 64.0:
        return table[nearest]
    density = FIBERGLASS_DENSITY_LB_PER_FT3 if fiberglass else STEEL_DENSITY_LB_PER_FT3
    # Above 1 1/8 in only bars without protruding couplings are run; below, couplings add about nine per cent.
    allowance = 1.0 if fiberglass or diameter_in > 1.2 else 1.09
    return body_ft2 * density * allowance


@dataclass(frozen=True)
class RodString:
    """One rod string or a batch of them, top taper first.

    Attributes
    ----------
    length_ft, diameter_in, weight_lb_per_ft, modulus_psi : ndarray, shape (..., tapers)
        Length of each taper, body diameter, weight in air with couplings, Young's modulus. A taper of zero length
        is padding; its other numbers must still be positive.
    tensile_psi : ndarray, shape (..., tapers)
        Minimum tensile strength of the grade, NaN where the grade is unknown.
    grade : tuple of str, optional
        Names of the grades; only for a single string.
    """

    length_ft: FloatArray
    diameter_in: FloatArray
    weight_lb_per_ft: FloatArray
    modulus_psi: FloatArray
    tensile_psi: FloatArray
    grade: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        """Check shapes and signs.

        Raises
        ------
        ValueError
            If shapes differ, a length is negative or not finite, or a diameter, weight or modulus not positive.
        """
        shape = np.shape(self.length_ft)
        if len(shape) < 1:
            raise ValueError("a rod string needs at least one taper axis")
        for name in ("diameter_in", "weight_lb_per_ft", "modulus_psi", "tensile_psi"):
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}, length_ft has {shape}")
        if not (np.all(np.isfinite(self.length_ft)) and np.all(self.length_ft >= 0.0)):
            raise ValueError("taper lengths must be finite and not negative")
        for name in ("diameter_in", "weight_lb_per_ft", "modulus_psi"):
            if not np.all(getattr(self, name) > 0.0):
                raise ValueError(f"{name} must be positive in every taper")

    @classmethod
    def from_sections(
        cls,
        length_ft: Sequence[float],
        diameter_in: Sequence[float],
        grade: Sequence[str | None] | None = None,
        weight_lb_per_ft: Sequence[float | None] | None = None,
        modulus_psi: Sequence[float | None] | None = None,
    ) -> RodString:
        """Build one string from its tapers, top first; weights and moduli not given come from the tables.

        Raises
        ------
        ValueError
            If the lists differ in length, are empty, or hold a value no rod can have.
        """
        count = len(length_ft)
        if count == 0:
            raise ValueError("a rod string needs at least one taper")
        grades = tuple(grade) if grade is not None else (None,) * count
        weights = list(weight_lb_per_ft) if weight_lb_per_ft is not None else [None] * count
        moduli = list(modulus_psi) if modulus_psi is not None else [None] * count
        if not len(diameter_in) == len(grades) == len(weights) == len(moduli) == count:
            raise ValueError("lists of tapers differ in length")
        known = [grade_of(name) for name in grades]
        return cls(
            np.asarray(length_ft, dtype=np.float64),
            np.asarray(diameter_in, dtype=np.float64),
            np.array(
                [
                    rod_weight_lb_per_ft(d, g) if w is None else w
                    for d, g, w in zip(diameter_in, grades, weights, strict=True)
                ],
                dtype=np.float64,
            ),
            np.array(
                [
                    m if m is not None else (k.modulus_psi if k is not None else STEEL_MODULUS_PSI)
                    for m, k in zip(moduli, known, strict=True)
                ],
                dtype=np.float64,
            ),
            np.array([k.tensile_psi if k is not None else np.nan for k in known], dtype=np.float64),
            grades,
        )

    @classmethod
    def stack(cls, strings: Iterable[RodString]) -> RodString:
        """Stack single strings to a batch of shape (n, tapers), padded at the bottom with zero lengths.

        Raises
        ------
        ValueError
            If there is no string, or one of them is already a batch.
        """
        items = list(strings)
        if not items or any(item.length_ft.ndim != 1 for item in items):
            raise ValueError("stack takes one or more single rod strings")
        width = max(item.tapers for item in items)

        def padded(name: str) -> FloatArray:
            rows = [getattr(item, name) for item in items]
            # The last taper's numbers are repeated, so that padding stays harmless in divisions.
            return np.stack([row[np.minimum(np.arange(width), len(row) - 1)] for row in rows])

        lengths = np.zeros((len(items), width))
        for row, item in zip(lengths, items, strict=True):
            row[: item.tapers] = item.length_ft
        return cls(
            lengths,
            padded("diameter_in"),
            padded("weight_lb_per_ft"),
            padded("modulus_psi"),
            padded("tensile_psi"),
        )

    def take(self, indices: ArrayLike) -> RodString:
        """Pick strings of a batch along the first axis (an index array gives a batch, an integer one string)."""
        chosen = np.asarray(indices)
        return RodString(
            self.length_ft[chosen],
            self.diameter_in[chosen],
            self.weight_lb_per_ft[chosen],
            self.modulus_psi[chosen],
            self.tensile_psi[chosen],
        )

    @property
    def tapers(self) -> int:
        """Number of tapers, padding included."""
        return int(self.length_ft.shape[-1])

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch, () for one string."""
        return self.length_ft.shape[:-1]

    @property
    def area_in2(self) -> FloatArray:
        """Body cross-sections, shape (..., tapers), square inches."""
        return rod_area_in2(self.diameter_in)

    @property
    def stiffness_lbf(self) -> FloatArray:
        """Modulus times area of each taper, shape (..., tapers), lbf (force per unit strain)."""
        return np.asarray(self.modulus_psi * self.area_in2)

    @property
    def wave_speed_ft_per_s(self) -> FloatArray:
        """Speed of sound of each taper, shape (..., tapers): sqrt(E A g / w), couplings counted as mass."""
        return np.asarray(np.sqrt(self.stiffness_lbf * GRAVITY_FT_PER_S2 / self.weight_lb_per_ft))

    @property
    def total_length_ft(self) -> FloatArray:
        """Length of the string, shape (...), ft."""
        return np.asarray(self.length_ft.sum(axis=-1))

    @property
    def air_weight_lbf(self) -> FloatArray:
        """Weight of the string in air, shape (...), lbf."""
        return np.asarray((self.length_ft * self.weight_lb_per_ft).sum(axis=-1))

    @property
    def taper_air_weight_lbf(self) -> FloatArray:
        """Weight in air of each taper, shape (..., tapers), lbf."""
        return np.asarray(self.length_ft * self.weight_lb_per_ft)

    def buoyant_weight_lbf(self, fluid_specific_gravity: ArrayLike) -> FloatArray:
        """Weight of the string hanging in the fluid of the tubing, shape (...), lbf.

        W (1 - rho_fluid / rho_rod). For steel this is the API RP 11L form W (1 - 0.1274 G) (printed there as
        0.128 G); fibreglass displaces more for its weight.
        """
        gravity = np.asarray(fluid_specific_gravity, dtype=np.float64)
        lost = (self.taper_air_weight_lbf * WATER_DENSITY_LB_PER_FT3 / self.density_lb_per_ft3).sum(axis=-1)
        return np.asarray(self.air_weight_lbf - gravity * lost)

    @property
    def density_lb_per_ft3(self) -> FloatArray:
        """Material density of each taper: fibreglass below a modulus of 15 million psi, else steel."""
        return np.where(self.modulus_psi < 15e6, FIBERGLASS_DENSITY_LB_PER_FT3, STEEL_DENSITY_LB_PER_FT3)

    @property
    def stretch_in_per_lbf(self) -> FloatArray:
        """Static stretch of the string under a load at its lower end, shape (...): sum of l / EA, in per lbf."""
        return np.asarray((self.length_ft * INCHES_PER_FOOT / self.stiffness_lbf).sum(axis=-1))


def api_tapers(rod_number: str, plunger_diameter_in: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rod sizes and shares of length of a standard API string.

    Parameters
    ----------
    rod_number : str
        API rod number: largest and smallest size in eighths of an inch, one of "65", "76", "86", "87".
    plunger_diameter_in : float
        Plunger diameter in inches; the nearest listed one is used.

    Returns
    -------
    diameters_in, shares : tuple of float
        Top taper first; the shares sum to one.

    Raises
    ------
    ValueError
        If the rod number is not listed.

    References
    ----------
    API RP 11L, "Design calculations for sucker rod pumping systems", table 4.1.
    """
    try:
        diameters, table = _API_TAPERS[rod_number]
    except KeyError:
        raise ValueError(
            f"rod number {rod_number!r} is not listed; known: {', '.join(_API_TAPERS)}"
        ) from None
    percent = table[min(table, key=lambda size: abs(size - plunger_diameter_in))]
    total = sum(percent)
    return diameters, tuple(value / total for value in percent)
