"""Teach the network of severities on simulated cards and put it into the package.

    python -m models.severity_network [--sets 5] [--keep FOLDER]
    python -m models.severity_network --ask

Belongs here: the cards that it learns from, and learning. Does not belong here: its answers and its file (``learning.severities``). No seed
that anything is judged on is among its cards. ``--ask`` says how far off the package's network is on cards of other seeds.

Every card is shown several times, as fields show it: with the equipment known, without, the surface card alone, the pump card alone, be it the
controller's or one that was computed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.provenance import provenance
from oasis_pipeline.learning.base import simulated_training_set
from oasis_pipeline.learning.features import (
    CARDS,
    INPUTS_VERSION,
    VIEWS,
    answer_columns,
    controller_names,
    curve_names,
    feature_names,
    network_inputs,
)
from oasis_pipeline.learning.pump_features import physics_names
from oasis_pipeline.learning.severities import (
    CONDITIONS,
    NETWORK_FILE,
    SeverityNetwork,
    pack_network,
    unpack_network,
)
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.cards import JUDGED, MISMATCHED, VARIED, simulate_cards

FIRST_SEED, SETS, CARDS_A_SET = 1001, 5, 12_000
ASKED_SEEDS, ASKED_MISMATCHED, ASKED_CARDS = (76, 77), 79, 3_000
PLAIN_EVERY = 4
"""One set of so many is of plain wells, the others stand each in a world of their own."""
COMBINED = 0.5
"""Share of the cards with a second condition: a fault beside a pump that does not fill is as usual as one alone."""
HIDDEN = (512, 256)
PHASES = (*[(1e-3, 2)] * 3, *[(3e-4, 2)] * 2, *[(1e-4, 2)] * 2)
"""Step of Adam, and how many times all cards are gone through with it."""
DROPPED = 0.15
"""Share of the inputs that a card is shown without, others in each phase, so that no single one is relied on."""
LESS_SHOWN = {"unknown rods": 0.4, "surface": 0.4, "pump": 0.2, "computed pump": 0.4}
"""Share of the cards that are shown once more in this way; all are shown as they are, with the equipment."""

Float32 = NDArray[np.float32]


def lessons(seed: int, keep: Path | None) -> tuple[Float32, Float32]:
    """Simulate a set of cards as inputs and answers; read it where it was kept.

    Parameters
    ----------
    seed : int
    keep : Path, optional
        Folder of simulated sets.

    Returns
    -------
    inputs : ndarray of float32, shape (n, inputs)
    answers : ndarray of float32, shape (n, 2 * conditions)
        Severities, and whether each is named.
    """
    made = simulated_set(seed, keep)
    answers = np.concatenate([made["severity"], made["named"]], axis=1).astype(np.float32)
    sends, lot = made["sends"], np.random.default_rng(seed).random(len(answers))
    without = sends & (lot < LESS_SHOWN["unknown rods"])
    surface = ~without & (lot < LESS_SHOWN["unknown rods"] + LESS_SHOWN["surface"])
    pump = sends & (lot >= 1.0 - LESS_SHOWN["pump"])
    computed = lot < LESS_SHOWN["computed pump"]
    shown = [
        (seen(made["known"], "both"), answers),
        (seen(made["unknown"][without], "both"), answers[without]),
        (seen(made["known"][surface], "surface"), answers[surface]),
        (seen(made["unknown"][pump], "pump"), answers[pump]),
        (seen(made["known"][computed], "pump"), answers[computed]),
    ]
    return np.concatenate([x for x, _ in shown]), np.concatenate([y for _, y in shown])


def simulated_set(seed: int, keep: Path | None) -> dict[str, NDArray[np.generic]]:
    """Simulate a set of cards, ten of each well one after another; read it where it was kept.

    Parameters
    ----------
    seed : int
    keep : Path, optional
        Folder of simulated sets.

    Returns
    -------
    dict of str to ndarray
        ``known`` and ``unknown``, features with the equipment and without; ``severity``, ``named``, and ``sends``, whether the controller
        sends pump cards.
    """
    path = None if keep is None else keep / f"{seed}.npz"
    if path is None or not path.is_file():
        world = JUDGED if seed % PLAIN_EVERY == 0 else VARIED
        batch = simulate_cards(CARDS_A_SET, seed, combined_share=COMBINED, circumstances=world)
        known, unknown = (simulated_training_set(batch, rods=rods) for rods in (True, False))
        order = [known.labels.classes.index(name) for name in c.LABELS]
        made = {
            "known": known.features,
            "unknown": unknown.features,
            "severity": visible(batch.severity),
            "named": known.labels.multi_hot[:, order],
            "sends": batch.has_pump_card,
        }
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **made)
    else:
        with np.load(path) as kept:
            made = dict(kept)
    return made


def visible(severity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hide all other severities of wells whose rods have parted: no card shows them, and no person names them."""
    result = severity.copy()
    parted = severity[:, c.PARTED] >= c.NAMING_POINT
    result[parted] = 0.0
    result[parted, c.PARTED] = 1.0
    return result


def inputs() -> NDArray[np.intp]:
    """Return the features that the network looks at: those of any view."""
    return np.flatnonzero(np.any([network_inputs(view) for view in VIEWS], axis=0))


def seen(features: Float32, view: str) -> Float32:
    """Return the inputs with what a view does not see left out."""
    return np.where(network_inputs(view), features, np.nan)[:, inputs()].astype(np.float32)


def taught(x: Float32, y: Float32, seed: int = 0) -> SeverityNetwork:
    """Teach a network.

    Parameters
    ----------
    x : ndarray of float32, shape (n, inputs)
    y : ndarray of float32, shape (n, 2 * conditions)
    seed : int
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    # every phase ends when its rounds are over
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    network = untaught(x)
    table = network.prepared(x)
    model = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        alpha=1e-5,
        batch_size=512,
        random_state=seed,
        warm_start=True,
        n_iter_no_change=1_000,
    )
    lot, width = np.random.default_rng(seed), len(network.inputs)
    for step, rounds in PHASES:
        begin = time.perf_counter()
        given = table.copy()
        given[:, :width] *= (lot.random((len(x), width), dtype=np.float32) >= DROPPED) / np.float32(
            1.0 - DROPPED
        )
        model.set_params(learning_rate_init=step, max_iter=rounds).fit(given, y)
        print(
            f"step {step:g}: loss {model.loss_:.5f} after {time.perf_counter() - begin:.0f} s more",
            flush=True,
        )
    return with_layers(network, model)


def untaught(x: Float32, compares: bool = False) -> SeverityNetwork:
    """Return a network without layers that knows how its inputs are spread.

    Parameters
    ----------
    x : ndarray of float32, shape (n, inputs)
    compares : bool
        See `SeverityNetwork`.
    """
    names = [feature_names()[column] for column in inputs()]
    centre = np.nanmedian(x[::7], axis=0)
    low, high = np.nanpercentile(x[::7], [10, 90], axis=0)
    telling = [*(curve_names(card)[0] for card in CARDS), controller_names()[0], physics_names()[0]]
    return SeverityNetwork(
        tuple(names),
        np.array([names.index(name) for name in telling], np.int32),
        centre.astype(np.float32),
        # from the tenth to the ninetieth percentile of a normal distribution are two and a half deviations
        np.maximum((high - low) / 2.5, 1e-4).astype(np.float32),
        (),
        (),
        compares,
    )


def with_layers(network: SeverityNetwork, model: Any) -> SeverityNetwork:
    """Return a network with the layers that scikit-learn has taught."""
    return replace(
        network,
        weights=tuple(np.asarray(weight, np.float32) for weight in model.coefs_),
        biases=tuple(np.asarray(bias, np.float32) for bias in model.intercepts_),
    )


def ask() -> None:
    """Print the error of each severity on cards of other seeds, and of another simulator."""
    print(
        "| condition | " + " | ".join(f"{view}, root mean square" for view in VIEWS) + " | mismatched, both |"
    )
    print("|---|" + "---:|" * (len(VIEWS) + 1))
    own = [simulate_cards(ASKED_CARDS, seed, circumstances=JUDGED) for seed in ASKED_SEEDS]
    other = [simulate_cards(ASKED_CARDS, ASKED_MISMATCHED, circumstances=MISMATCHED)]
    columns = []
    for batches, views in ((own, VIEWS), (other, VIEWS[:1])):
        features = np.concatenate([simulated_training_set(batch).features for batch in batches])
        truth = np.concatenate([visible(batch.severity) for batch in batches])
        for view in views:
            stated = features[:, answer_columns(view)[: len(CONDITIONS)]]
            columns.append(np.sqrt(np.nanmean((stated - truth) ** 2, axis=0)))
    for place, name in enumerate(c.LABELS):
        print(f"| {name} | " + " | ".join(f"{column[place]:.3f}" for column in columns) + " |")
    print("| mean | " + " | ".join(f"{column.mean():.3f}" for column in columns) + " |")


def main() -> None:
    """Teach the network and write it, or ask it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=SETS, help=f"sets of {CARDS_A_SET} cards")
    parser.add_argument("--keep", type=Path, help="folder to keep simulated sets in")
    parser.add_argument("--ask", action="store_true", help="ask the package's network, teach nothing")
    asked = parser.parse_args()
    if asked.ask:
        ask()
        return
    write_network(asked.keep, asked.sets)


def write_network(keep: Path | None, sets: int = SETS) -> None:
    """Teach the network and write it into the package.

    Parameters
    ----------
    keep : Path, optional
        Folder to keep simulated sets in.
    sets : int
        Sets of `CARDS_A_SET` cards.
    """
    seeds = range(FIRST_SEED, FIRST_SEED + sets)
    parts = [lessons(seed, keep) for seed in seeds]
    x, y = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    parts.clear()
    network = taught(x, y)
    write(NETWORK_FILE, network, seeds)


def write(file: Path, network: SeverityNetwork, seeds: range) -> None:
    """Write a network, from which sets it was taught, and its hash into the package."""
    manifest = {
        "simulated": True,
        "cards": CARDS_A_SET * len(seeds),
        "seeds": [seeds[0], seeds[-1]],
        **provenance(),
        "feature_version": INPUTS_VERSION,
    }
    data, sha256 = pack_network(network, manifest)
    unpack_network(data, sha256)
    file.write_bytes(data)
    file.with_suffix(".sha256").write_text(f"{sha256}\n", encoding="ascii")
    print(f"{file.name}: {len(data) / 1e6:.2f} MB, taught by {manifest['cards']} cards")


if __name__ == "__main__":
    main()
