"""Compare classifiers on the same held-out wells: on a drop folder with labels, or on simulated cards.

    python -m benchmarks.compare_classifiers --drop FOLDER [--groups FILE] [--repeats 3] [--fingerprints]
    python -m benchmarks.compare_classifiers --simulated 2000
    python -m benchmarks.compare_classifiers --judged
    python -m benchmarks.compare_classifiers --judged --mismatched

``--judged`` takes the simulated set whose size and seed were fixed before anything was tuned on it; with ``--mismatched`` models learn on
that set and are asked about as many cards of another simulator, whose seed was fixed with it.

``--fingerprints`` lets the models see what tells the recorder, not the pump: number of points and share of zero loads. Trees, MiniRocket and the
earlier platform's method get the two beside their features; the comparison of whole cards knows curves and sizes only.

Without ``--groups`` whole wells are held out. Where every card is its own well, a file with the columns NodeID and Group keeps
cards together that belong together. Every F1 counts Unknown as a miss.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import TimeForm, time_form_column
from oasis_pipeline.cards.codec import decode_hex, pack_bytes
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.learning import scores
from oasis_pipeline.learning.base import TrainingSet, simulated_training_set
from oasis_pipeline.learning.evaluation import (
    OURS,
    SEED,
    TRIVIAL,
    Candidate,
    Evaluation,
    ModelScore,
    compare,
    trivial_candidate,
)
from oasis_pipeline.learning.evidence import condition_columns
from oasis_pipeline.learning.features import (
    VIEWS,
    curve_columns,
    curve_groups,
    feature_matrix,
    feature_names,
    history_names,
    rows_with,
    scale_free,
    view_columns,
)
from oasis_pipeline.learning.fitting import fit, held_out_scores
from oasis_pipeline.learning.inputs import CardInputs
from oasis_pipeline.learning.labels import encode_labels, shown_classes
from oasis_pipeline.learning.repeats import weigh_repeats
from oasis_pipeline.learning.seed_method import fit_seed_method, train_seed_method
from oasis_pipeline.learning.splits import Folds, Scorer, Train, number_wells, out_of_fold
from oasis_pipeline.learning.trainer import TREES, trainer
from oasis_pipeline.simulation.cards import (
    JUDGED,
    JUDGED_CARDS,
    JUDGED_SEED,
    MISMATCHED,
    MISMATCHED_SEED,
    simulate_cards,
)

TREES_ALONE, CARDS_ALONE = "extra trees alone", "whole cards alone"
ROCKET, STACK = "MiniRocket + ridge", "stack: trees, whole cards, MiniRocket"
CURVES = 3  # of each card; its loads in ascending order and its sizes follow
ROCKET_POINTS, ROCKET_KERNELS = 50, 3_000
STACK_STEPS = 10
FINGERPRINTS = tuple(feature_names().index(name) for name in history_names()[:2])
"""Columns that take the two fingerprints: a drop folder without equipment leaves the history empty."""

_COLUMNS = {
    "CardData": {
        "NodeID": pa.string(),
        "Date": pa.string(),
        "SPM": pa.float64(),
        "Fillage": pa.float64(),
        "SurfaceCardB": pa.string(),
        "POCDownholeCardB": pa.string(),
    },
    "Labels": {name: pa.string() for name in ("NodeID", "Date", "TrueLabel1", "TrueLabel2")},
}


def read_drop(folder: Path, groups: Path | None, fingerprints: bool = False) -> TrainingSet:
    """Read the labelled cards of a drop folder, surface and pump card; with what tells their recorder, if asked."""
    cards, labels = _read(folder, "CardData"), _read(folder, "Labels")
    joined = labels.join(cards, ["NodeID", "Date"], join_type="inner")
    joined = joined.sort_by([("NodeID", "ascending"), ("Date", "ascending")])
    surface, pump = (_form(joined, name) for name in ("SurfaceCardB", "POCDownholeCardB"))
    inputs = CardInputs.of(surface, pump, _numbers(joined, "SPM"), _numbers(joined, "Fillage"))
    wells = np.array(joined["NodeID"].to_pylist())
    if groups is not None:
        table = csv.read_csv(groups)
        of_well = dict(zip(table["NodeID"].to_pylist(), table["Group"].to_pylist(), strict=True))
        wells = np.array([of_well[well] for well in wells])
    features, of_seed = feature_matrix(inputs.features()), inputs.seed_features()
    if fingerprints:
        seen = recorder(_column(joined, "SurfaceCardB"))
        features[:, list(FINGERPRINTS)] = seen
        of_seed = np.concatenate([of_seed, seen], axis=1)
    return TrainingSet(
        features,
        of_seed,
        inputs.signatures(),
        encode_labels(joined["TrueLabel1"].to_pylist(), joined["TrueLabel2"].to_pylist()),
        wells,
    )


def recorder(cards: CardColumn) -> NDArray[np.float32]:
    """Return number of points and share of zero loads of each card, shape (n, 2)."""
    card = np.repeat(np.arange(len(cards)), cards.counts)
    zeros = np.bincount(card, cards.load == 0, minlength=len(cards))
    return np.stack([cards.counts, zeros / np.maximum(cards.counts, 1)], axis=1).astype(np.float32)


def candidates(learned: TrainingSet, view: str) -> list[Candidate]:
    """Return the models that take part; all but the earlier platform's see the same features of one view."""
    columns = view_columns(view)
    columns = columns[np.isfinite(learned.features[:, columns]).any(axis=0)]
    small = learned.features[:, columns]
    ours = trainer(view, TREES, known=condition_columns(learned.labels.classes, view))
    repeats = weigh_repeats(learned.wells, learned.labels.multi_hot, learned.signatures)

    def together(
        truth: NDArray[np.bool_], folds: Folds, signatures: NDArray[np.float32] | None, seed: int
    ) -> NDArray[np.float32]:
        return held_out_scores(ours, learned.features, truth, folds, repeats, signatures, seed)[0]

    rocket = mini_rocket(view)

    def stacked(
        truth: NDArray[np.bool_], folds: Folds, signatures: NDArray[np.float32] | None, seed: int
    ) -> NDArray[np.float32]:
        members = [
            out_of_fold(train, learned.features, truth, folds, signatures, seed)
            for train in (ours, ours.comparing, rocket)
        ]
        return stack(np.stack(members), truth, folds)

    return [
        Candidate(OURS, learned.features, ours, held_out=together),
        Candidate(TREES_ALONE, learned.features, ours),
        Candidate(CARDS_ALONE, learned.features, ours.comparing),
        Candidate("extra trees, shape alone", learned.features, trainer(view, TREES, scale_free())),
        Candidate("random forest", small, label_sets(_random_forest)),
        Candidate("gradient boosting", small, label_sets(_boosting)),
        Candidate(ROCKET, learned.features, rocket),
        Candidate(STACK, learned.features, ours, held_out=stacked),
        Candidate(SEED, learned.seed_features, train_seed_method, calibrated=False),
        trivial_candidate(learned.labels),
    ]


def stack(members: NDArray[np.float32], truth: NDArray[np.bool_], folds: Folds) -> NDArray[np.float32]:
    """Average held-out scores of several models; each fold's weights are those of the best mean average precision on the others.

    Parameters
    ----------
    members : ndarray of float32, shape (models, n, classes)
    truth : ndarray of bool, shape (n, classes)
    folds : Folds

    Returns
    -------
    ndarray of float32, shape (n, classes)
    """
    steps = np.stack(np.meshgrid(*[np.arange(STACK_STEPS + 1)] * len(members), indexing="ij"), axis=-1)
    weights = steps.reshape(-1, len(members))
    weights = weights[weights.sum(axis=1) == STACK_STEPS].astype(np.float32) / STACK_STEPS
    known = np.isfinite(members).all(axis=(0, 2))
    result = members[0].copy()
    for fold in range(folds.count):
        here, others = folds.of_card == fold, known & (folds.of_card != fold)
        reached = [
            np.nanmean(scores.average_precision(truth[others], np.tensordot(share, members[:, others], 1)))
            for share in weights
        ]
        result[here] = np.tensordot(weights[int(np.argmax(reached))], members[:, here], 1)
    return np.asarray(result, np.float32)


def mini_rocket(view: str) -> Train:
    """Train ridge regression on MiniRocket's features of load and position in time, with the sizes of the cards beside them."""

    def train(x: NDArray[np.float32], y: NDArray[np.bool_], seed: int) -> Scorer:
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.preprocessing import StandardScaler
        from sktime.transformations.panel.rocket import MiniRocketMultivariate

        columns = curve_columns(view)
        groups = np.tile(curve_groups(), len(columns) // len(curve_groups()))
        # Loads in ascending order are left out: MiniRocket's own counts say much the same.
        curve = groups < CURVES
        beside = np.concatenate(
            [columns[groups > CURVES], [k for k in FINGERPRINTS if np.isfinite(x[:, k]).all()]]
        ).astype(int)
        starts = np.flatnonzero((np.diff(groups, prepend=-1) != 0) & curve)

        def series(table: NDArray[np.float32]) -> NDArray[np.float32]:
            values = np.nan_to_num(table[:, columns])
            channels = []
            for start in starts:
                stop = start + int(np.argmax(np.append(groups[start:] != groups[start], True)))
                part = values[:, start:stop]
                channels.append(np.repeat(part, ROCKET_POINTS // part.shape[1], axis=1))
            return np.stack(channels, axis=1)

        rocket = MiniRocketMultivariate(ROCKET_KERNELS, random_state=seed)
        made = np.asarray(rocket.fit_transform(series(x)))
        scale, sizes = StandardScaler().fit(made), StandardScaler().fit(np.nan_to_num(x[:, beside]))
        weight = np.sqrt(made.shape[1] / len(beside) / 8)

        def table(asked: NDArray[np.float32], found: NDArray[np.floating]) -> NDArray[np.floating]:
            own = sizes.transform(np.nan_to_num(asked[:, beside])).clip(-4, 4)
            return np.hstack([scale.transform(found), weight * own])

        sets, of_card = np.unique(y, axis=0, return_inverse=True)
        model = RidgeClassifierCV(np.logspace(1, 6, 11)).fit(table(x, made), of_card.reshape(-1))

        def score(asked: NDArray[np.float32]) -> NDArray[np.float64]:
            votes = 4.0 * model.decision_function(table(asked, np.asarray(rocket.transform(series(asked)))))
            share = np.exp(votes - votes.max(axis=1, keepdims=True))
            whole = share.sum(axis=1, keepdims=True)
            return np.asarray(share / whole @ sets[model.classes_].astype(float))

        return score

    return train


def label_sets(make: Callable[[int], Any]) -> Train:
    """Train one model on the sets of labels that occur; a class gets what the sets that hold it get."""

    def train(x: NDArray[np.float32], y: NDArray[np.bool_], seed: int) -> Scorer:
        sets, of_card = np.unique(y, axis=0, return_inverse=True)
        model = make(seed).fit(np.nan_to_num(x), of_card.reshape(-1))
        return lambda asked: model.predict_proba(np.nan_to_num(asked)) @ sets[model.classes_].astype(float)

    return train


def main() -> None:
    """Print the table of models and the table of classes, or both as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--drop", type=Path, help="folder with CardData and Labels files")
    source.add_argument("--judged", action="store_true", help="the simulated sets that models are judged on")
    source.add_argument("--simulated", type=int, metavar="CARDS", help="simulate this many cards")
    parser.add_argument("--groups", type=Path, help="csv with NodeID and Group")
    parser.add_argument(
        "--fingerprints",
        action="store_true",
        help="number of points and share of zero loads too (with --drop)",
    )
    parser.add_argument(
        "--mismatched",
        action="store_true",
        help="learn on the judged set, ask about another simulator's cards",
    )
    parser.add_argument(
        "--view", choices=VIEWS, help="cards that are looked at; the richest that all rows have by default"
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of the models to run")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", module=r"sklearn\.utils\.parallel")
    if (asked.fingerprints and asked.drop is None) or (asked.mismatched and not asked.judged):
        parser.error("--fingerprints goes with --drop, --mismatched with --judged")
    if asked.drop is not None:
        learned = read_drop(asked.drop, asked.groups, asked.fingerprints)
    elif asked.judged:
        learned = simulated_training_set(simulate_cards(JUDGED_CARDS, JUDGED_SEED, circumstances=JUDGED))
    else:
        learned = simulated_training_set(simulate_cards(asked.simulated, asked.seed, circumstances=JUDGED))
    if asked.mismatched:
        other = simulated_training_set(
            simulate_cards(JUDGED_CARDS, MISMATCHED_SEED, circumstances=MISMATCHED)
        )
        print(stand_mismatch(learned, other, asked.seed))
        return
    found = [view for view in VIEWS if rows_with(learned.features, view).all()]
    if not found or (asked.view and asked.view not in found):
        parser.error("not all labelled rows have a usable card of this view")
    chosen = candidates(learned, asked.view or found[0])
    if asked.only:
        chosen = [candidate for candidate in chosen if candidate.name in asked.only]
    result = compare(
        chosen,
        learned.labels,
        learned.wells,
        signatures=learned.signatures,
        seed=asked.seed,
        count=asked.folds,
        repeats=asked.repeats,
    )
    if asked.json:
        print(json.dumps(result.to_dict(), indent=1))
        return
    print(
        f"{result.cards} cards, {result.wells} wells, {result.folds} folds x {result.repeats}: {result.scheme}\n"
    )
    print(result.to_markdown())
    print(result.classes_to_markdown())
    print(recall_table(result))
    print(misses_table(result.models[0], result.classes))


def misses_table(model: ModelScore, classes: Sequence[str]) -> str:
    """Return one row a class: which share of its cards a model missed, and why."""
    lines = [
        f"| class | missed, {model.name} | Unknown | second, but not shown | two others likelier |",
        "|---|---|---|---|---|",
    ]
    for name in classes:
        row = model.per_class[name]
        why = " | ".join(f"{row[f'missed_{reason}']:.3f}" for reason in ("unknown", "blanked", "outranked"))
        lines.append(f"| {name} | {1 - row['recall']:.3f} | {why} |")
    return "\n".join(lines) + "\n"


def recall_table(result: Evaluation) -> str:
    """Return one row a class with the recall of each model."""
    head = ["class", *(f"recall, {model.name}" for model in result.models)]
    rows = [
        [name, *(f"{model.per_class[name]['recall']:.2f}" for model in result.models)]
        for name in result.classes
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def stand_mismatch(learned: TrainingSet, other: TrainingSet, seed: int) -> str:
    """Teach models on a set, and say how they do on the wells of another simulator.

    Parameters
    ----------
    learned, other : TrainingSet
        What is learned on, and what is asked about.
    seed : int

    Returns
    -------
    str
        One row a model, then one a class, in Markdown.
    """
    if other.labels.classes != learned.labels.classes:
        raise SystemExit("the two sets do not have the same classes")
    truth, wells = other.labels.multi_hot, number_wells(other.wells)
    model = fit(learned.features, learned.labels, learned.wells, signatures=learned.signatures, seed=seed)
    labels, proba = model.predict(other.features), model.predict_proba(other.features)
    shown = np.stack(
        [(labels["Label1"] == name) | (labels["Label2"] == name) for name in model.classes], axis=1
    )
    share = np.repeat(learned.labels.multi_hot.mean(axis=0)[None], len(truth), axis=0)
    earlier = fit_seed_method(learned.seed_features, learned.labels, seed).predict_proba(other.seed_features)
    answers = {
        OURS: (proba, shown),
        SEED: (earlier, shown_classes(earlier)),
        TRIVIAL: (share, shown_classes(share)),
    }
    lines = [
        f"Learned on {len(learned.wells)} cards of the judged set, asked about {len(truth)} cards of {wells.max() + 1} wells of another simulator\n",
        "| model | macro F1 | 95 % interval | mAP | calibration error | labels right | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (stated, hot) in answers.items():
        low, high = scores.bootstrap_macro_f1(truth, hot, wells, seed)
        error = scores.calibration_error(*scores.best_class(truth, stated))
        precision = np.nanmean(scores.average_precision(truth, stated))
        lines.append(
            f"| {name} | {scores.macro_f1(truth, hot):.3f} | {low:.3f} - {high:.3f} | {precision:.3f} | {error:.3f} | "
            f"{(truth == hot).all(axis=1).mean():.3f} | {hot.any(axis=1).mean():.3f} |"
        )
    lines += ["", "| class | cards | F1 | recall |", "|---|---|---|---|"]
    right, _, missed = scores.counts(truth, shown)
    for name, f1, hit, miss in zip(
        model.classes, scores.f1_per_class(truth, shown), right, missed, strict=True
    ):
        lines.append(f"| {name} | {hit + miss:.0f} | {f1:.2f} | {hit / (hit + miss):.2f} |")
    return "\n".join(lines) + "\n"


def _read(folder: Path, kind: str) -> pa.Table:
    files = sorted(folder.glob(f"{kind}.E2E.*.csv*"))
    if not files:
        raise SystemExit(f"no {kind} file in {folder}")
    options = csv.ConvertOptions(
        null_values=["", "NULL", "NA", "NaN"],
        strings_can_be_null=True,
        column_types=_COLUMNS[kind],
        include_columns=list(_COLUMNS[kind]),
        include_missing_columns=True,
    )
    return pa.concat_tables([csv.read_csv(file, convert_options=options) for file in files])


def _column(table: pa.Table, name: str) -> CardColumn:
    return decode_hex(*pack_bytes([text or "" for text in table[name].to_pylist()]))[0]


def _form(table: pa.Table, name: str) -> TimeForm:
    return time_form_column(_column(table, name))


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in table[name].to_pylist()], np.float64)


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(200, n_jobs=2, random_state=seed)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, random_state=seed)


if __name__ == "__main__":
    main()
