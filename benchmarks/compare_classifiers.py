"""Compare classifiers on the same held-out wells: on a drop folder with labels, or on simulated cards.

    python -m benchmarks.compare_classifiers --drop FOLDER [--groups FILE] [--repeats 3]
    python -m benchmarks.compare_classifiers --simulated 2000

Without ``--groups`` whole wells are held out. Where every card is its own well, a file with the columns NodeID and Group keeps
cards together that belong together. Every F1 counts Unknown as a miss.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import shape_form_column, time_form_column
from oasis_pipeline.cards.codec import decode_hex, pack_bytes
from oasis_pipeline.cards.timed import time_curves
from oasis_pipeline.learning.base import TrainingSet, simulated_training_set
from oasis_pipeline.learning.classifier import grow_forest
from oasis_pipeline.learning.evaluation import OURS, SEED, Candidate, compare, trivial_candidate
from oasis_pipeline.learning.features import (
    SHAPE_POINTS,
    TIME_POINTS,
    VIEWS,
    CardContext,
    CardShapes,
    card_features,
    card_signatures,
    feature_matrix,
    rows_with,
    scale_free,
    view_columns,
)
from oasis_pipeline.learning.labels import encode_labels
from oasis_pipeline.learning.seed_method import seed_features, train_seed_method
from oasis_pipeline.learning.splits import Train
from oasis_pipeline.simulation.cards import simulate_cards

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


def read_drop(folder: Path, groups: Path | None) -> TrainingSet:
    """Read the labelled cards of a drop folder, surface and pump card."""
    cards, labels = _read(folder, "CardData"), _read(folder, "Labels")
    joined = labels.join(cards, ["NodeID", "Date"], join_type="inner")
    joined = joined.sort_by([("NodeID", "ascending"), ("Date", "ascending")])
    surface, pump = (_shapes(joined, name) for name in ("SurfaceCardB", "POCDownholeCardB"))
    context = CardContext(spm=_numbers(joined, "SPM"), fillage_pct=_numbers(joined, "Fillage"))
    wells = np.array(joined["NodeID"].to_pylist())
    if groups is not None:
        table = csv.read_csv(groups)
        of_well = dict(zip(table["NodeID"].to_pylist(), table["Group"].to_pylist(), strict=True))
        wells = np.array([of_well[well] for well in wells])
    return TrainingSet(
        feature_matrix(card_features(surface, pump, context)),
        seed_features(surface, pump),
        card_signatures(surface, pump),
        encode_labels(joined["TrueLabel1"].to_pylist(), joined["TrueLabel2"].to_pylist()),
        wells,
    )


def candidates(learned: TrainingSet, view: str) -> list[Candidate]:
    """Return the models that take part; all but the earlier platform's see the same features of one view."""
    columns = view_columns(view)
    columns = columns[np.isfinite(learned.features[:, columns]).any(axis=0)]
    small = learned.features[:, columns]

    def extra_trees(allowed: NDArray[np.bool_] | None) -> Train:
        def train(x: NDArray[np.float32], y: NDArray[np.bool_], seed: int):  # type: ignore[no-untyped-def]
            forest, fill = grow_forest(x, y, view, seed, allowed=allowed)
            return lambda asked: forest.mean_leaf(np.where(np.isnan(asked), fill, asked))

        return train

    return [
        Candidate(OURS, learned.features, extra_trees(None)),
        Candidate("extra trees, shape alone", learned.features, extra_trees(scale_free())),
        Candidate("extra trees, one against the rest", small, one_vs_rest(_extra_trees)),
        Candidate("random forest", small, label_sets(_random_forest)),
        Candidate("gradient boosting", small, label_sets(_boosting)),
        Candidate(SEED, learned.seed_features, train_seed_method, calibrated=False),
        trivial_candidate(learned.labels),
    ]


def label_sets(make: Callable[[int], Any]) -> Train:
    """Train one model on the sets of labels that occur; a class gets what the sets that hold it get."""

    def train(x: NDArray[np.float32], y: NDArray[np.bool_], seed: int):  # type: ignore[no-untyped-def]
        sets, of_card = np.unique(y, axis=0, return_inverse=True)
        model = make(seed).fit(np.nan_to_num(x), of_card.reshape(-1))
        return lambda asked: model.predict_proba(np.nan_to_num(asked)) @ sets[model.classes_].astype(float)

    return train


def one_vs_rest(make: Callable[[int], Any]) -> Train:
    """Train one model a class."""

    def train(x: NDArray[np.float32], y: NDArray[np.bool_], seed: int):  # type: ignore[no-untyped-def]
        models = [make(seed).fit(np.nan_to_num(x), column) if column.any() else None for column in y.T]

        def score(asked: NDArray[np.float32]) -> NDArray[np.float64]:
            table = np.nan_to_num(asked)
            parts = [np.zeros(len(table)) if m is None else m.predict_proba(table)[:, -1] for m in models]
            return np.stack(parts, axis=1)

        return score

    return train


def main() -> None:
    """Print the table of models and the table of classes, or both as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--drop", type=Path, help="folder with CardData and Labels files")
    source.add_argument("--simulated", type=int, metavar="CARDS", help="simulate this many cards")
    parser.add_argument("--groups", type=Path, help="csv with NodeID and Group")
    parser.add_argument(
        "--view", choices=VIEWS, help="cards that are looked at; the richest that all rows have by default"
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of the models to run")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.drop is not None:
        learned = read_drop(asked.drop, asked.groups)
    else:
        learned = simulated_training_set(simulate_cards(asked.simulated, asked.seed))
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


def _shapes(table: pa.Table, name: str) -> CardShapes:
    column, _ = decode_hex(*pack_bytes([text or "" for text in table[name].to_pylist()]))
    form = time_form_column(column)
    return CardShapes(*shape_form_column(form, SHAPE_POINTS), *time_curves(form, TIME_POINTS))


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in table[name].to_pylist()], np.float64)


def _extra_trees(seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(200, n_jobs=2, random_state=seed)


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(200, n_jobs=2, random_state=seed)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, random_state=seed)


if __name__ == "__main__":
    main()
