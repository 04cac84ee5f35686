"""Teach the network that sees a card beside what its well usually shows; half an hour with simulated sets that were kept.

    python -m models changes [--keep build/models]

It learns from the cards that taught the network of severities, shown in the same ways. What is usual is the middle of one to three other cards
of the simulated well, whatever conditions these have. Now and then they have the card's own condition, as in a well that has had it all
along; and some cards are shown by their differences alone, so that these are relied on.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.severity_network import (
    DROPPED,
    FIRST_SEED,
    HIDDEN,
    LESS_SHOWN,
    SETS,
    seen,
    simulated_set,
    untaught,
    with_layers,
    write,
)
from oasis_pipeline.learning.severities import CHANGES_FILE, SeverityNetwork
from oasis_pipeline.simulation import conditions as c

CARDS_A_WELL = 10
STEPS = (*[1e-3] * 5, *[3e-4] * 3, *[1e-4] * 2)
"""Step of Adam in each round; in each round other cards stand for what is usual."""
DIFFERENCES_ALONE = 0.3
"""Share of the cards that are shown by their differences alone."""
ALL_ALONG = 0.25
"""Share of the cards beside which cards of the same condition are usual, where the well has any."""

Float32 = NDArray[np.float32]
Shown = tuple[Float32, Float32]


def shown_wells(seed: int, keep: Path | None) -> list[Shown]:
    """Return inputs and answers of a set of cards in each way that a field may show them; a well is shown in one way as a whole."""
    made = {name: np.asarray(values) for name, values in simulated_set(seed, keep).items()}
    answers = np.concatenate([made["severity"], made["named"]], axis=1).astype(np.float32)
    sends = made["sends"].astype(bool)
    lot = np.repeat(np.random.default_rng(seed).random(len(answers) // CARDS_A_WELL), CARDS_A_WELL)
    without = sends & (lot < LESS_SHOWN["unknown rods"])
    surface = ~without & (lot < LESS_SHOWN["unknown rods"] + LESS_SHOWN["surface"])
    pump = sends & (lot >= 1.0 - LESS_SHOWN["pump"])
    ways = (
        ("known", "both", np.ones(len(answers), bool)),
        ("unknown", "both", without),
        ("known", "surface", surface),
        ("unknown", "pump", pump),
        ("known", "pump", lot < LESS_SHOWN["computed pump"]),
    )
    return [(seen(made[rods][rows], view), answers[rows]) for rods, view, rows in ways]


def usual_cards(named: NDArray[np.bool_], lot: np.random.Generator) -> NDArray[np.intp]:
    """Choose for each card the cards of its well that stand for what is usual.

    Parameters
    ----------
    named : ndarray of bool, shape (n, conditions)
        Ten cards of each well one after another.
    lot : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (n, 3)
        One, two or three other cards; the first stands in for those that are left out.
    """
    count = len(named)
    first = np.arange(count) // CARDS_A_WELL * CARDS_A_WELL
    others = first[:, None] + np.arange(CARDS_A_WELL)
    order = lot.random((count, CARDS_A_WELL))
    faults = np.delete(named, c.FULL, axis=1)
    same = (faults[others] & faults[:, None]).any(axis=2)
    order += np.where(same | (lot.random((count, 1)) >= ALL_ALONG), 0.0, 1.0)
    order[others == np.arange(count)[:, None]] = np.inf
    chosen = np.take_along_axis(others, np.argsort(order, axis=1)[:, :3], axis=1)
    left_out = np.arange(3) >= lot.integers(1, 4, count)[:, None]
    return np.asarray(np.where(left_out, chosen[:, :1], chosen), np.intp)


def taught(shown: list[Shown], seed: int = 0) -> SeverityNetwork:
    """Teach the network.

    Parameters
    ----------
    shown : list of tuple of ndarray
        Inputs, shape (n, inputs), and answers, shape (n, 2 * conditions); ten cards of each well one after another.
    seed : int
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    x, y = (np.concatenate([part[place] for part in shown]) for place in (0, 1))
    network = untaught(x, compares=True)
    width, watched = len(network.inputs), len(network.watched)
    named = y[:, y.shape[1] // 2 :] > 0.5
    lot = np.random.default_rng(seed)
    model = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        alpha=1e-5,
        batch_size=512,
        random_state=seed,
        warm_start=True,
        n_iter_no_change=1_000,
        max_iter=1,
    )
    for step in STEPS:
        begin = time.perf_counter()
        usual = np.median(x[usual_cards(named, lot)], axis=1)
        given = network.prepared(x, usual)
        del usual
        for part in (given[:, :width], given[:, width + watched :]):
            part *= (lot.random(part.shape, dtype=np.float32) >= DROPPED) / np.float32(1.0 - DROPPED)
        given[lot.random(len(x)) < DIFFERENCES_ALONE, :width] = 0.0
        model.set_params(learning_rate_init=step).fit(given, y)
        print(
            f"step {step:g}: loss {model.loss_:.5f} after {time.perf_counter() - begin:.0f} s more",
            flush=True,
        )
    return with_layers(network, model)


def write_network(keep: Path | None) -> None:
    """Teach the network and write it into the package.

    Parameters
    ----------
    keep : Path, optional
        Folder of simulated sets.
    """
    seeds = range(FIRST_SEED, FIRST_SEED + SETS)
    network = taught([way for seed in seeds for way in shown_wells(seed, keep)])
    write(CHANGES_FILE, network, seeds)
