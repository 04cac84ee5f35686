"""Speed of the predictive model: steady cards a second on one core, beside the plain one-card-at-a-time form.

The cards are those of a field: tapered strings, three kinds of unit, all conditions. The plain form is the same chain of
masses stepped in Python with NumPy over the nodes and a pump without gas or leaks, so it does less than the model.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from oasis_pipeline.physics.simulator import simulate
from oasis_pipeline.simulation.cards import simulate_cards
from oasis_pipeline.simulation.conditions import condition_parameters

N_CARDS = 400
NODES = 50
PLAIN_CARDS = 2


def plain_card(
    length_ft: float,
    spm: float,
    stroke_in: float,
    stiffness_lbf: float,
    weight_lb_per_ft: float,
    fluid_load_lbf: float,
    damping: float = 0.1,
    nodes: int = NODES,
    cycles: int = 6,
) -> tuple[np.ndarray, np.ndarray]:
    """Surface card of a full, ideal pump under a string of one size, one time step after another."""
    speed = np.sqrt(stiffness_lbf * 32.174 / weight_lb_per_ft)
    period = 60.0 / spm
    steps = int(np.ceil(period * speed * nodes / length_ft / 0.94))
    dt = period / steps
    spring = stiffness_lbf / (12.0 * length_ft / nodes)
    mass = np.full(nodes + 1, weight_lb_per_ft * length_ft / nodes / 386.088)
    mass[-1] /= 2.0
    half = 0.5 * dt * np.pi * speed * damping / (2.0 * length_ft)
    y, v = np.zeros(nodes + 1), np.zeros(nodes + 1)
    position, load = np.zeros(steps), np.zeros(steps)
    for n in range(steps * cycles):
        top = 0.5 * stroke_in * (1.0 - np.cos(2.0 * np.pi * n / steps))
        y[0] = top
        tension = spring * (y[:-1] - y[1:])
        force = np.append(tension[:-1] - tension[1:], tension[-1])
        w = (v[1:] * (1.0 - half) + dt / mass[1:] * force) / (1.0 + half)
        # The valves as a ratchet: up costs the fluid load, down nothing, between them the plunger rests.
        w[-1] = max(w[-1] - fluid_load_lbf * dt / mass[-1], min(w[-1], 0.0))
        v[1:] = w
        y[1:] += dt * w
        position[n % steps], load[n % steps] = top, tension[0]
    return position, load


def rows(n_cards: int = N_CARDS) -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    batch = simulate_cards(n_cards, seed=1)
    wells = batch.wells
    conditions = condition_parameters(wells, batch.severity, np.random.default_rng(0))
    figures: list[tuple[str, float, str, str]] = []
    for name, threads in (("predictive model, one core", 1), ("predictive model, all cores", None)):
        began, used = time.perf_counter(), time.process_time()
        cards = simulate(wells.rods, wells.unit, conditions, nodes=NODES, threads=threads)
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
        steady = int(cards.results["steady"].sum())
        note = f"{steady} of {n_cards} cards steady to 0.2 %, {cards.results['cycles'].mean():.1f} cycles, {NODES} nodes or more"
        figures.append((name, round(n_cards / wall_s), "cards/s", note))
        if threads == 1:
            worst = np.abs(cards.energy_residual[cards.results["steady"] > 0.5]).max()
            figures.append(
                (
                    "the same by processor time",
                    round(n_cards / cpu_s),
                    "cards/s",
                    "what a busy machine allows",
                )
            )
            figures.append(
                (
                    "energy account, worst steady card",
                    float(f"{worst:.1e}"),
                    "",
                    "share of the surface work",
                )
            )
    began = time.perf_counter()
    for i in range(PLAIN_CARDS):
        plain_card(
            float(wells.depth_ft[i]),
            float(wells.spm[i]),
            float(wells.stroke_in[i]),
            float(wells.rods.stiffness_lbf[i].mean()),
            float(wells.rods.weight_lb_per_ft[i].mean()),
            float(wells.fluid_load_lbf[i]),
        )
    plain_s = (time.perf_counter() - began) / PLAIN_CARDS
    figures.append(
        ("plain NumPy, one card at a time", round(1.0 / plain_s, 1), "cards/s", "ideal pump, 6 cycles")
    )
    began = time.perf_counter()
    simulate_cards(n_cards, seed=2)
    field_s = time.perf_counter() - began
    figures.append(
        (
            "labelled cards with sensors and controllers",
            round(n_cards / field_s),
            "cards/s",
            "simulate_cards, all cores",
        )
    )
    return [dict(zip(("name", "figure", "unit", "note"), each, strict=True)) for each in figures]


def main() -> None:
    """Print the table."""
    for row in rows():
        print(f"{row['name']:45} {row['figure']:>10,} {row['unit']:8} {row['note']}")


if __name__ == "__main__":
    main()
