"""The platform's own path on foreign fields: what it says of wells without labels, against the truth.

    python -m benchmarks.foreign_truth --cache DIR [--seeds 7101 ...]      makes the fields and takes them in, and keeps both

A field is taken in, diagnosed and described once, by the platform's own steps in a database of its own, and kept: ``DIR/foreign-SEED/drop`` and
``truth``, and in ``DIR/foreign-SEED/platform-VERSIONS`` the database, ``features.parquet`` (NodeID, Date, all features of each
card) and ``diagnosis.parquet`` (``clean.carddiag``). Whoever works on the learner needs the two files and
``truth/labels.parquet`` only; whoever changes diagnosis or features and not their versions deletes the folder first.

Belongs here: from files to the platform's answers, and scores on them. Does not belong here: how the field is made (``foreign``).
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.foreign import DEVELOPMENT_SEEDS
from benchmarks.foreign.conditions import CLASSES
from benchmarks.foreign.files import DAYS, WELLS, write_field
from oasis_pipeline.intake import take_in
from oasis_pipeline.learning import background, base, classifier, evidence, fitting, scores, trainer
from oasis_pipeline.learning.features import feature_names
from oasis_pipeline.learning.labels import encode_labels
from oasis_pipeline.learning.repeats import weigh_repeats
from oasis_pipeline.learning.splits import number_wells
from oasis_pipeline.operations import training
from oasis_pipeline.operations.bounds import BOUNDS_VERSION, bounds_rows
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.diagnosis import DIAGNOSIS_VERSION, diagnosed_days
from oasis_pipeline.operations.drift import CLASSIFIER
from oasis_pipeline.operations.features import FEATURES_VERSION, feature_tables, features_of
from oasis_pipeline.schema import table
from oasis_pipeline.settings import load_settings
from oasis_pipeline.simulation.cards import JUDGED
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.migrate import prepare
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FULL = "Full Pump"


@dataclass(frozen=True)
class TakenIn:
    """A foreign field as the platform holds it, and the truth.

    Attributes
    ----------
    folder : Path
        Where the platform's part is kept.
    cards : pyarrow.Table
        Columns of ``truth/cards.parquet``, those of ``clean.carddiag`` that are compared as ``said ...``; in the order of `features`.
    features : ndarray of float32, shape (n, features)
    """

    folder: Path
    cards: pa.Table
    features: NDArray[np.float32]

    def hidden(self) -> NDArray[np.intp]:
        """Return the rows of wells without labels."""
        return np.flatnonzero(~self.cards["labelled_well"].to_numpy())


COMPARED = ("pump_intake_pressure_psi", "inferred_production_bpd", "fillage_pct")


def kept_platform(
    seed: int,
    cache: Path,
    wells: int = WELLS,
    days: int = DAYS,
    lifelike: bool = False,
) -> Path:
    """Return the platform's folder of a field that was kept, or make it, take it in and keep it.

    Parameters
    ----------
    seed : int
    cache : Path
    wells, days : int
    lifelike : bool
        See `foreign.files.write_field`.

    Returns
    -------
    Path
        Beside ``drop`` and ``truth``.
    """
    size = "" if (wells, days) == (WELLS, DAYS) else f"-{wells}x{days}"
    field = cache / f"foreign-{seed}{size}{'-lifelike' if lifelike else ''}"
    if not (field / "truth").is_dir():
        making = cache / f".{field.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        write_field(making, seed, wells, days, lifelike)
        making.rename(field)
    versions = "-".join((DIAGNOSIS_VERSION, BOUNDS_VERSION, *FEATURES_VERSION.split()))
    folder = field / f"platform-{versions}"
    if not (folder / "features.parquet").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        _take(field / "drop", folder)
    return folder


def taken_in(seed: int, cache: Path, wells: int = WELLS, days: int = DAYS) -> TakenIn:
    """Read a field that was kept, or make it, take it in and keep it.

    Parameters
    ----------
    seed : int
    cache : Path
    wells, days : int

    Returns
    -------
    TakenIn
    """
    folder = kept_platform(seed, cache, wells, days)
    field = folder.parent
    found = pq.read_table(folder / "features.parquet")
    diagnosed = pq.read_table(folder / "diagnosis.parquet", columns=["NodeID", "Date", *COMPARED])
    diagnosed = diagnosed.rename_columns(["NodeID", "Date", *(f"said {name}" for name in COMPARED)])
    place = found.select(["NodeID", "Date"]).append_column("place", pa.array(np.arange(found.num_rows)))
    cards = pq.read_table(field / "truth" / "cards.parquet")
    for other in (diagnosed, place):
        cards = cards.join(other, ["NodeID", "Date"], join_type="inner")
    cards = cards.sort_by([("NodeID", "ascending"), ("Date", "ascending")])
    matrix = features_of(found)[:, : len(feature_names())]
    return TakenIn(folder, cards.drop_columns(["place"]), matrix[cards["place"].to_numpy()])


@contextmanager
def warehouse_of(folder: Path) -> Iterator[tuple[Warehouse, LocalStore]]:
    """Open the database and the store of a field that was taken in."""
    with embedded.lease(folder / "home" / "postgres") as server:
        address = replace(server, db="oasis")
        prepare(address)
        with closing(Warehouse(address)) as warehouse:
            yield warehouse, LocalStore(folder / "home" / "store")


def _take(drop: Path, folder: Path) -> None:
    """Take files in and make what the classifier is learned from, as ``oasis run`` does."""
    folder.mkdir(parents=True)
    features = []
    with warehouse_of(folder) as (warehouse, store):
        address = warehouse.address
        settings = load_settings(
            folder / "home",
            host=address.host,
            port=address.port,
            user=address.user,
            db=address.db,
            drop=folder / "drop",
        )
        shutil.copytree(drop, settings.drop)
        report = take_in(warehouse, store, settings)
        rejected = sum(file.rejected for file in report.files)
        if rejected or report.warnings:
            raise RuntimeError(f"{rejected} rows were rejected; {report.warnings}")
        days = _days(warehouse)
        for span, found in diagnosed_days(warehouse, days):
            store_days(warehouse, table("clean", "carddiag"), found.cards, span)
        store_days(warehouse, table("clean", "dynabounds"), bounds_rows(warehouse, days), days)
        for _, rows in feature_tables(warehouse, days):
            features.append(rows)
        diagnosis = warehouse.query('select * from clean.carddiag order by "NodeID", "Date"')
    pq.write_table(diagnosis, folder / "diagnosis.parquet")
    pq.write_table(pa.concat_tables(features), folder / "features.part")
    (folder / "features.part").rename(folder / "features.parquet")


def _days(warehouse: Warehouse) -> Days:
    row = warehouse.query(
        'select min("Date")::date as first, max("Date")::date as last from xspoc.card'
    ).to_pylist()[0]
    first, last = row["first"], row["last"]
    assert isinstance(first, date)
    assert isinstance(last, date)
    return Days(first, last)


@dataclass(frozen=True)
class Answers:
    """What a classifier says of n cards.

    Attributes
    ----------
    classes : tuple of str
    proba : ndarray, shape (n, classes)
        0 to 1.
    shown : ndarray of bool, shape (n, classes)
        The one or two labels that people see; none where it abstains.
    seconds : float
        Processor time of the training.
    """

    classes: tuple[str, ...]
    proba: Floats
    shown: Bools
    seconds: float


def learn(field: TakenIn) -> tuple[classifier.ClassifierModel, float]:
    """Learn from a field's labels as the platform does; the model and the processor time it took, s."""
    with warehouse_of(field.folder) as (warehouse, store):
        with warehouse.transaction() as tx:  # a first training, whatever was tried here before
            tx.execute("delete from oasis.model where name = $1", (CLASSIFIER,))
        began = time.process_time()
        trained = training.train_classifier(warehouse, store)
        seconds = time.process_time() - began
    if trained.training is None:
        raise RuntimeError("the field has too few labels to learn from")
    return trained.training.model, seconds


def ask(model: classifier.ClassifierModel, features: NDArray[np.float32], seconds: float) -> Answers:
    """Ask a model about n cards.

    Parameters
    ----------
    model : ClassifierModel
    features : ndarray of float32, shape (n, features)
    seconds : float
        That it took to learn.
    """
    labels, proba = model.predict(features), model.predict_proba(features)
    shown = np.stack(
        [(labels["Label1"] == name) | (labels["Label2"] == name) for name in model.classes], axis=1
    )
    return Answers(tuple(model.classes), np.asarray(proba, np.float64), shown, seconds)


def platform_answers(field: TakenIn, rows: NDArray[np.intp]) -> Answers:
    """Learn from a field's labels as the platform does, and ask about some cards.

    Parameters
    ----------
    field : TakenIn
    rows : ndarray of int
        Rows of `field.cards`.
    """
    model, seconds = learn(field)
    return ask(model, field.features[rows], seconds)


def _no_class_beside(*texts: Any, also: Any = (), **more: Any) -> Any:
    return encode_labels(*texts, **more)


_Patch = tuple[Any, str, Any]
_ALL_CARDS = partial(weigh_repeats, limit=10**9)
WITHOUT: Mapping[str, Sequence[_Patch]] = {
    "thinning of repeats": [
        (fitting, "weigh_repeats", _ALL_CARDS),
        (background, "weigh_repeats", _ALL_CARDS),
    ],
    "the network beside what was learned": [(evidence, "SHARE", 0.0)],
    "worlds of their own": [(base, "VARIED", JUDGED)],
    "what the well usually shows": [(evidence, "_beside_usual", lambda: np.arange(len(feature_names())))],
    "simulated cards": [(training, "_simulated_beside", lambda cards, seed: (cards, None, None))],
    "classes that nobody labelled": [(training, "encode_labels", _no_class_beside)],
    "simulated wells in calibration": [
        (trainer.Background, "held_out", lambda self, fold, count: np.zeros(len(self), bool))
    ],
}
"""Parts of the learner and what takes each away: object, attribute, what stands there instead. It learns again without each."""

ONE_OF_TWO: Sequence[_Patch] = [
    (classifier, "exclude_rivals", lambda proba, rival: proba),
    (evidence, "EXCLUSIVE", ()),
]
"""Takes away that a stroke has fluid pound or gas interference; a model that has learned can be asked without."""


@contextmanager
def without(patches: Sequence[_Patch]) -> Iterator[None]:
    """Take a part of the platform away."""
    with ExitStack() as stack:
        for place, name, instead in patches:
            stack.enter_context(patch.object(place, name, instead))
        yield


@contextmanager
def simulated_once() -> Iterator[None]:
    """Keep simulated cards from one training to the next: the same number of them are the same cards."""
    with without([(base, "simulated_background_set", cache(base.simulated_background_set))]):
        yield


@dataclass(frozen=True)
class ClassScore:
    """How one class did: cards and wells that have it in truth, recall, precision and F1 with its 95 % interval over wells."""

    name: str
    cards: int
    wells: int
    recall: float
    precision: float
    f1: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """How answers did against the truth.

    Attributes
    ----------
    macro_f1, low, high : float
        Mean F1 over the classes that occur, with the 95 % interval over wells.
    calibration_error : float
        Of the likeliest class.
    coverage : float
        Share of cards with an answer.
    classes : list of ClassScore
    """

    macro_f1: float
    low: float
    high: float
    calibration_error: float
    coverage: float
    classes: list[ClassScore]


def judge(cards: pa.Table, answers: Answers, seed: int = 0) -> Score:
    """Compare answers with what is true of a foreign field's cards.

    Parameters
    ----------
    cards : pyarrow.Table
        Rows of ``truth/cards.parquet``, n of them.
    answers : Answers
        Of the same cards.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Score
        Full Pump counts neither as right nor as wrong where it is a matter of habit (`full_pump_optional`).
    """
    classes = sorted({*CLASSES, *answers.classes})
    n = cards.num_rows
    truth, shown = np.zeros((n, len(classes)), bool), np.zeros((n, len(classes)), bool)
    proba = np.zeros((n, len(classes)))
    names = [cards[name].to_pylist() for name in ("condition1", "condition2")]
    for k, name in enumerate(classes):
        truth[:, k] = [name in pair for pair in zip(*names, strict=True)]
        if name in answers.classes:
            place = answers.classes.index(name)
            shown[:, k], proba[:, k] = answers.shown[:, place], answers.proba[:, place]
    optional = cards["full_pump_optional"].to_numpy()
    covered = shown.any(axis=1)
    full = classes.index(FULL)
    allowed = truth.copy()
    allowed[:, full] |= optional
    error = scores.calibration_error(*scores.best_class(allowed, proba))
    shown[optional, full] = False
    wells = number_wells(np.array(cards["NodeID"].to_pylist()))
    low, high = scores.bootstrap_macro_f1(truth, shown, wells, seed)
    right, false, missed = scores.counts(truth, shown)
    f1 = scores.f1_per_class(truth, shown)
    intervals = scores.bootstrap_class_f1(truth, shown, wells, seed)
    by_class = [
        ClassScore(
            name,
            int(truth[:, k].sum()),
            len(np.unique(wells[truth[:, k]])),
            float(right[k] / (right[k] + missed[k])) if right[k] + missed[k] else float("nan"),
            float(right[k] / (right[k] + false[k])) if right[k] + false[k] else float("nan"),
            float(f1[k]),
            *intervals[k],
        )
        for k, name in enumerate(classes)
        if truth[:, k].any() or shown[:, k].any()
    ]
    return Score(scores.macro_f1(truth, shown), low, high, float(error), float(covered.mean()), by_class)


def quantity_errors(cards: pa.Table, name: str, truth: str) -> tuple[Floats, Floats, float]:
    """Return errors and true values where both are known, and the share that the platform leaves null where there is a truth.

    Parameters
    ----------
    cards : pyarrow.Table
        Of a `TakenIn`.
    name : str
        Column of ``clean.carddiag``.
    truth : str
        Column of the truth.

    Returns
    -------
    errors, true : ndarray
    null : float
    """
    said = cards[f"said {name}"].to_numpy().astype(np.float64)
    true = cards[truth].to_numpy().astype(np.float64)
    known = np.isfinite(true)
    both = known & np.isfinite(said)
    return said[both] - true[both], true[both], float(1 - both.sum() / max(known.sum(), 1))


def main() -> None:
    """Make fields and keep them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder where fields are kept")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(DEVELOPMENT_SEEDS))
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    for seed in asked.seeds:
        began = time.perf_counter()
        field = taken_in(seed, asked.cache)
        print(
            f"{seed}: {field.cards.num_rows} cards in {field.folder}, {time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
