"""Random strings and cards for the tests of the solvers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.rods import RodString

Array = NDArray[np.float64]


def random_string(rng: np.random.Generator) -> RodString:
    """Tapered string of one to four sections: steel of mixed grades, sometimes fibreglass on top, sometimes sinker bars."""
    length = float(rng.uniform(2500.0, 9500.0))
    steel = int(rng.integers(1, 4))
    sizes = sorted(rng.choice([1.0, 0.875, 0.75, 0.625], steel, replace=False).tolist(), reverse=True)
    grades = [str(g) for g in rng.choice(["C", "D", "KD", "HS"], steel)]
    shares = rng.uniform(0.5, 1.5, steel)
    if rng.random() < 0.3:
        sizes, grades, shares = (
            [1.25, *sizes],
            ["FG", *grades],
            np.concatenate([[rng.uniform(1.0, 3.0)], shares]),
        )
    if rng.random() < 0.4:
        sizes, grades, shares = [*sizes, 1.5], [*grades, "SB"], np.concatenate([shares, [0.1]])
    return RodString.from_sections(list(length * shares / shares.sum()), sizes, grades)


def band_limited_card(
    rng: np.random.Generator, points: int = 200, harmonics: int = 12
) -> tuple[Array, Array]:
    """Surface card whose position and load have no harmonic above a limit."""
    turn = 2.0 * np.pi * np.arange(points) / points
    order = np.arange(1, harmonics + 1)
    wave = np.cos(order[:, None] * turn + rng.uniform(0.0, 2.0 * np.pi, (harmonics, 1)))
    position = -60.0 * np.cos(turn) + (rng.normal(size=3) * [4.0, 2.0, 1.0]) @ wave[1:4]
    load = 12_000.0 + (rng.normal(size=harmonics) * 5000.0 / order**1.5) @ wave
    return position, load
