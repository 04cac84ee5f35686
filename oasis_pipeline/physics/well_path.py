"""The path of a deviated well: inclination and azimuth over measured depth.

Belongs here: the survey and what follows from its geometry. Does not belong here: forces on the rods
(:mod:`.wave_difference`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """Path of the well.

    Attributes
    ----------
    md_ft, inclination_deg, azimuth_deg : ndarray, shape (stations,)
        Measured depth (rising), inclination from the vertical, azimuth.
    """

    md_ft: Array
    inclination_deg: Array
    azimuth_deg: Array

    def __post_init__(self) -> None:
        """Check lengths and order."""
        if (
            not (self.md_ft.shape == self.inclination_deg.shape == self.azimuth_deg.shape)
            or self.md_ft.ndim != 1
        ):
            raise ValueError(
                "md_ft, inclination_deg and azimuth_deg have to be one-dimensional and equally long"
            )
        if len(self.md_ft) < 2 or np.any(np.diff(self.md_ft) <= 0):
            raise ValueError("md_ft needs two stations or more, rising")

    def at(self, depth_ft: ArrayLike) -> tuple[Array, Array, Array]:
        """Inclination (rad) and its and the azimuth's change (rad/ft) at measured depths; straight beyond the ends."""
        depth = np.asarray(depth_ft, dtype=np.float64)
        phi = np.radians(self.inclination_deg)
        psi = np.unwrap(np.radians(self.azimuth_deg))
        middle = 0.5 * (self.md_ft[1:] + self.md_ft[:-1])
        step = np.diff(self.md_ft)
        inclination = np.interp(depth, self.md_ft, phi)
        inside = (depth >= self.md_ft[0]) & (depth <= self.md_ft[-1])
        build = np.where(inside, np.interp(depth, middle, np.diff(phi) / step), 0.0)
        turn = np.where(inside, np.interp(depth, middle, np.diff(psi) / step), 0.0)
        return inclination, build, turn

    def true_vertical_depth_ft(self, depth_ft: ArrayLike, steps: int = 2000) -> Array:
        """Integrate cos(inclination) from the surface down to measured depths: true vertical depths, ft."""
        return self._integral(np.cos, depth_ft, steps)

    def _integral(self, share: np.ufunc, depth_ft: ArrayLike, steps: int) -> Array:
        depth = np.asarray(depth_ft, dtype=np.float64)
        grid = np.linspace(0.0, max(float(np.max(depth)), 1.0), steps + 1)
        middle = 0.5 * (grid[1:] + grid[:-1])
        way = np.concatenate([[0.0], np.cumsum(share(self.at(middle)[0]) * np.diff(grid))])
        return np.asarray(np.interp(depth, grid, way))

    def dogleg_deg_per_100ft(self) -> Array:
        """Compute the dogleg severity between stations by minimum curvature, shape (stations - 1,).

        Source: Taylor and Mason, SPE 3362 (1972).
        """
        phi = np.radians(self.inclination_deg)
        turn = np.diff(np.radians(self.azimuth_deg))
        across = np.sin(phi[:-1]) * np.sin(phi[1:]) * (1.0 - np.cos(turn))
        angle = np.arccos(np.clip(np.cos(np.diff(phi)) - across, -1.0, 1.0))
        return np.asarray(np.degrees(angle) / np.diff(self.md_ft) * 100.0)

    def departure_ft(self, depth_ft: ArrayLike, steps: int = 2000) -> Array:
        """Integrate sin(inclination) from the surface down to measured depths: the way along the horizontal, ft."""
        return self._integral(np.sin, depth_ft, steps)
