"""Speed of the wave-equation solvers and of the card diagnosis, on one core, beside the plain form of the same.

The plain form handles one card at a time with NumPy, as such code is usually written; it is checked against the batched
form before anything is timed. The cards are simulated ones, of 200 points.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics import wave_difference, wave_frequency
from oasis_pipeline.physics.diagnosis import Cards, Well, diagnose
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind

Array = NDArray[np.float64]

N_CARDS = 4_000
N_PLAIN = 100
N_DIFFERENT = 16
REPEATS = 3
SPM = 8.0
GRAVITY = 1.0
RODS = RodString.from_sections([1690.0, 3310.0], [0.875, 0.75], ["D", "D"])
UNIT = PumpingUnit(
    UnitKind.CONVENTIONAL,
    a_in=129.0,
    c_in=111.09,
    i_in=111.0,
    k_in=151.34,
    p_in=114.0,
    r_in=42.0,
    gearbox_rating_in_lbf=456_000.0,
    structural_rating_lbf=30_500.0,
    counterbalance_moment_in_lbf=420_000.0,
)
WELL = Well(
    rods=RODS,
    unit=UNIT,
    plunger_diameter_in=1.75,
    clearance_in=0.005,
    pump_depth_ft=5000.0,
    fluid_sg=GRAVITY,
    viscosity_cp=2.0,
    tubing_pressure_psi=100.0,
    casing_pressure_psi=50.0,
    tubing_anchored=True,
)


def surface_cards() -> tuple[Array, Array]:
    """Cards of one well from full to pounding, repeated with a little noise so that no two are the same."""
    rng = np.random.default_rng(0)
    state = parameters(
        N_DIFFERENT,
        spm=SPM,
        fluid_gravity=GRAVITY,
        discharge_psi=2265.0,
        intake_psi=rng.uniform(50.0, 500.0, N_DIFFERENT),
        gas_fraction=np.linspace(0.0, 0.7, N_DIFFERENT),
    )
    cards = simulate(RODS, UNIT, state, threads=1)
    which = np.arange(N_CARDS) % N_DIFFERENT
    load = cards.surface_load_lbf[which]
    return cards.surface_position_in[which], load + rng.normal(0.0, 20.0, load.shape)


def plain_frequency(
    position: Array, load: Array, spm: float, damping: float, weight: float
) -> tuple[Array, Array]:
    """One card, matrices of all harmonics multiplied section by section."""
    points = len(position)
    kept = (points + 1) // 2
    omega = 2.0 * np.pi * spm / 60.0 * np.arange(kept)
    y, t = np.fft.rfft(position / 12.0)[:kept], np.fft.rfft(load - weight)[:kept]
    for length, stiffness, weight_ft in zip(
        RODS.length_ft, RODS.stiffness_lbf, RODS.weight_lb_per_ft, strict=True
    ):
        k = np.sqrt((omega**2 - 1j * omega * damping) * weight_ft / 32.174 / stiffness)
        k[0] = 1e-12
        cosine, sine = np.cos(k * length), np.sin(k * length)
        y, t = cosine * y - sine / (stiffness * k) * t, stiffness * k * sine * y + cosine * t
    return np.fft.irfft(y, points) * 12.0, np.fft.irfft(t, points)


def plain_difference(
    position: Array, load: Array, spm: float, damping: float, weight: float
) -> tuple[Array, Array]:
    """One card, the published recurrence node by node over whole rows of time."""
    grid = wave_difference.make_grid(RODS)
    section = np.repeat(np.arange(RODS.tapers), grid.intervals)
    dt = 60.0 / spm / len(position)
    mass = (RODS.weight_lb_per_ft / 32.174 * grid.dx_ft)[section]
    spring = (RODS.stiffness_lbf / grid.dx_ft)[section]
    rows = [position / 12.0, position / 12.0 - (load - weight) / spring[0]]
    for node in range(1, len(section)):
        alpha = 0.5 * (mass[node - 1] + mass[node]) / dt**2
        up, down = spring[node - 1], spring[node]
        now = rows[-1]
        new = alpha * (1.0 + damping * dt) * np.roll(now, -1) + alpha * np.roll(now, 1)
        new += (up + down - alpha * (2.0 + damping * dt)) * now - up * rows[-2]
        rows.append(new / down)
    return rows[-1] * 12.0, -0.5 * spring[-1] * (3.0 * rows[-1] - 4.0 * rows[-2] + rows[-3])


def rows() -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    position, load = surface_cards()
    damping = float(wave_frequency.damping_per_s(RODS, 0.1))
    weight = float(RODS.buoyant_weight_lbf(GRAVITY))
    speeds = SPM * (1.0 + 1e-3 * np.random.default_rng(1).normal(size=N_CARDS))
    strings = RodString.stack([RODS]).take(np.zeros(N_CARDS, dtype=np.intp))
    few = range(N_PLAIN)
    some = slice(0, N_PLAIN)

    def frequency(spm: float | Array) -> tuple[Array, Array]:
        return wave_frequency.pump_card(position, load, RODS, spm, damping, buoyant_weight_lbf=weight)

    def difference(scheme: str, part: slice = slice(None)) -> tuple[Array, Array]:
        return wave_difference.pump_card(
            position[part], load[part], RODS, SPM, damping, buoyant_weight_lbf=weight, scheme=scheme
        )

    def one(i: int) -> dict[str, Any]:
        return diagnose(Cards(position[i : i + 1], load[i : i + 1], np.array([SPM])), WELL)

    cards = Cards(position, load, np.full(N_CARDS, SPM))
    fast, far = frequency(SPM), difference("published")
    together = diagnose(cards, WELL)
    for i in few:
        np.testing.assert_allclose(
            plain_frequency(position[i], load[i], SPM, damping, weight)[1], fast[1][i], atol=1e-2
        )
        np.testing.assert_allclose(
            plain_difference(position[i], load[i], SPM, damping, weight)[1], far[1][i], atol=1e-2
        )
    np.testing.assert_allclose(one(3)["fillage_pct"], together["fillage_pct"][3:4], rtol=1e-9)

    note = "2 tapers, 200 points"
    cases: list[tuple[str, str, int, Callable[[], object], Callable[[], object] | None]] = [
        (
            "frequency domain",
            f"{note}, 99 harmonics, one speed",
            N_CARDS,
            lambda: frequency(SPM),
            lambda: [plain_frequency(position[i], load[i], SPM, damping, weight) for i in few],
        ),
        (
            "frequency domain, every card its own speed",
            f"{note}, 99 harmonics",
            N_CARDS,
            lambda: frequency(speeds),
            None,
        ),
        (
            "frequency domain, every card its own speed and rods",
            f"{note}, 99 harmonics",
            N_CARDS,
            lambda: wave_frequency.pump_card(
                position, load, strings, speeds, damping, buoyant_weight_lbf=weight
            ),
            None,
        ),
        (
            "Everitt-Jennings, as published",
            f"{note}, 100 nodes",
            N_CARDS,
            lambda: difference("published"),
            lambda: [plain_difference(position[i], load[i], SPM, damping, weight) for i in few],
        ),
        (
            "Everitt-Jennings, fourth order",
            f"{note}, 100 nodes",
            N_CARDS,
            lambda: difference("compact"),
            None,
        ),
        (
            "full diagnosis with report",
            "damping by power balance, rod stress, torque and balance, sensor checks, sentences",
            N_CARDS,
            lambda: diagnose(cards, WELL),
            lambda: [one(i) for i in few],
        ),
    ]
    difference("compact", some)
    result: list[dict[str, Any]] = []
    for name, text, count, batched, plain in cases:
        figure = count / best_time(batched)
        result.append({"name": name, "figure": round(figure), "unit": "cards/s", "note": text})
        if plain is None:
            continue
        plain_figure = N_PLAIN / best_time(plain)
        result.append(
            {
                "name": f"{name}, one at a time",
                "figure": round(plain_figure),
                "unit": "cards/s",
                "note": f"the same, plain; the batch is {figure / plain_figure:.1f} times as fast",
            }
        )
    return result


def best_time(work: Callable[[], object]) -> float:
    """Return the shortest processor time of some runs, s: everything here runs on one core, which others may share."""
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def main() -> None:
    """Print the table."""
    for row in rows():
        print(f"{row['name']:<52} {row['figure']:>12,} {row['unit']}  {row['note']}")


if __name__ == "__main__":
    main()
