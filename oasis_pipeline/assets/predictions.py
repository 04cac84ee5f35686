"""Rows of ``clean.dynapred`` and the classifiers that make them.

Here: training sets read, classifiers made and loaded, features turned into rows. Not here: learning itself, and the registry of
models (``registry``).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.assets.common import Days, rows_by_day, store_days
from oasis_pipeline.assets.features import CARD_INPUT_COLUMNS, CARD_INPUT_JOINS, card_inputs
from oasis_pipeline.assets.registry import model_row, register_model
from oasis_pipeline.learning.artifact import load_model, make_manifest, save_model
from oasis_pipeline.learning.background import FEW_WELLS, Trial, background_of, try_background
from oasis_pipeline.learning.classifier import Background, ClassifierModel
from oasis_pipeline.learning.container import ArtifactError
from oasis_pipeline.learning.evaluation import Training, train_and_evaluate
from oasis_pipeline.learning.features import FEATURE_VERSION, feature_matrix
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.io_managers import day_path
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

CLASSIFIER = "dyna_classifier"
DYNAPRED = table("clean", "dynapred")
_STORE_DAYS = 31
"""Days of predictions held in memory before they are written."""

# Spellings of labels in the order in which they first came: the first one is shown.
_LABELLED = f"""
select {CARD_INPUT_COLUMNS}, l."TrueLabel1", l."TrueLabel2"
from clean.dynalabel as l
join xspoc.card as c on c."NodeID" = l."NodeID" and c."Date" = l."Date"
{CARD_INPUT_JOINS}
where c.surfcard_fault is null or c.pocdowncard_fault is null
order by c."NodeID", c."Date"
"""


@dataclass(frozen=True)
class TrainedClassifier:
    """What a making of the classifier came to.

    Attributes
    ----------
    version : str
        As in ModelVersion.
    is_base : bool
        Whether it was learned on simulated cards only.
    labelled : int
        Labelled, usable cards at hand.
    unlearned : dict of str to int
        Classes with too few cards.
    training : Training or None
        The model with its evaluation; None for a base model.
    """

    version: str
    is_base: bool
    labelled: int
    unlearned: dict[str, int]
    training: Training | None = None


def train_classifier(warehouse: Warehouse, store: ObjectStore, *, seed: int = 0) -> TrainedClassifier:
    """Learn from all labelled cards, or, while there are too few labels, see to a base model.

    Parameters
    ----------
    warehouse : Warehouse
        Labels, cards, bounds; the registry.
    store : ObjectStore
        Where the artifact goes.
    seed : int
        Of the training.

    Returns
    -------
    TrainedClassifier
        Registered and in use.
    """
    rows = warehouse.query(_LABELLED)
    labels = encode_labels(rows["TrueLabel1"].to_pylist(), rows["TrueLabel2"].to_pylist())
    if not labels.enough:
        return _base_classifier(warehouse, store, labels)
    inputs = card_inputs(warehouse, rows)
    features = feature_matrix(inputs.features())
    wells = rows["NodeID"].to_numpy(zero_copy_only=False)
    days = rows["Date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    signatures = inputs.signatures()
    background, trial = _simulated_beside(features, labels, wells, days, signatures, seed)
    training = train_and_evaluate(
        features,
        labels,
        wells=wells,
        days=days,
        signatures=signatures,
        background=background,
        seed_features=inputs.seed_features(),
        seed=seed,
    )
    when = datetime.now(UTC)
    version = f"{FEATURE_VERSION}-{when:%Y%m%dT%H%M%S}"
    manifest = make_manifest(
        wells=training.evaluation.wells,
        cards=training.evaluation.cards,
        first_day=str(pc.min(rows["Date"]).as_py().date()),
        last_day=str(pc.max(rows["Date"]).as_py().date()),
        simulated=False,
        metrics=training.evaluation.to_dict(),
        created=when.isoformat(timespec="seconds"),
        seed=seed,
        version=version,
        unlearned_classes=labels.unlearned,
        simulated_cards_beside=0 if background is None else len(background),
        trial_of_simulated_cards=None if trial is None else asdict(trial),
    )
    _register(
        warehouse, store, training.model, manifest, is_base=False, cards=rows.select(["NodeID", "Date"])
    )
    return TrainedClassifier(version, False, int(labels.labelled.sum()), labels.unlearned, training)


def _simulated_beside(
    features: NDArray[np.float32],
    labels: Labels,
    wells: NDArray[Any],
    days: NDArray[np.int64],
    signatures: NDArray[np.float32],
    seed: int,
) -> tuple[Background | None, Trial | None]:
    """Simulated cards to learn from beside the labelled ones, if labels are few and the field's held-out wells say they help."""
    if len(np.unique(wells)) >= FEW_WELLS:
        return None, None
    from oasis_pipeline.learning import base

    simulated = base.simulated_background_set()
    background = background_of(simulated.features, simulated.labels, labels.classes)
    if len(background) == 0:
        return None, None
    trial = try_background(features, labels, wells, background, days, signatures, seed)
    return (background if trial.helps else None), trial


def _base_classifier(warehouse: Warehouse, store: ObjectStore, labels: Labels) -> TrainedClassifier:
    labelled = int(labels.labelled.sum())
    used = model_row(warehouse, CLASSIFIER)
    if used is None or (
        used["is_base"] and json.loads(used["manifest"])["feature_version"] != FEATURE_VERSION
    ):
        # the simulator's compiled code is not for every process that loads the graph
        from oasis_pipeline.learning import base

        training = base.fit_base_model()
        manifest = make_manifest(
            wells=training.evaluation.wells,
            cards=training.evaluation.cards,
            first_day=None,
            last_day=None,
            simulated=True,
            metrics=training.evaluation.to_dict(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seed=base.BASE_SEED,
            version=base.base_version(),
        )
        _register(warehouse, store, training.model, manifest, is_base=True, cards=None)
        used = model_row(warehouse, CLASSIFIER)
    assert used is not None
    return TrainedClassifier(used["version"], used["is_base"], labelled, labels.unlearned)


def _register(
    warehouse: Warehouse,
    store: ObjectStore,
    model: ClassifierModel,
    manifest: dict[str, Any],
    *,
    is_base: bool,
    cards: pa.Table | None,
) -> None:
    data, sha256 = save_model(model, manifest)
    packed = load_model(data, sha256)[1]
    if cards is not None:
        store.write_table(_cards_path(packed["version"]), cards)
    register_model(warehouse, store, CLASSIFIER, data, sha256, packed, is_base=is_base)


def _cards_path(version: str) -> str:
    return f"models/{CLASSIFIER}/{version}.cards.parquet"


@lru_cache(maxsize=2)
def _loaded(store: ObjectStore, path: str, sha256: str) -> ClassifierModel:
    model = load_model(store.get_bytes(path), sha256)[0]
    if not isinstance(model, ClassifierModel):
        raise ArtifactError(f"{path} holds another kind of model than the registry says")
    return model


@dataclass
class PredictionSummary:
    """What a prediction of some days came to."""

    model_version: str
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    rows_by_day: dict[str, int] = field(default_factory=dict)


def predict_days(
    warehouse: Warehouse, store: ObjectStore, days: Days, version: str | None = None
) -> PredictionSummary:
    """Predict every card of some days that has features, and make the rows of these days exactly these.

    Parameters
    ----------
    warehouse : Warehouse
        Registry and ``clean.dynapred``.
    store : ObjectStore
        Features and model artifacts.
    days : Days
        The days.
    version : str, optional
        A model of the registry; by default the one in use.

    Returns
    -------
    PredictionSummary

    Raises
    ------
    ValueError
        If there is no such model, or none at all yet.
    """
    row = model_row(warehouse, CLASSIFIER, version)
    if row is None:
        raise ValueError("there is no classifier yet: materialise models/dyna_classifier first")
    model = _loaded(store, row["path"], row["sha256"])
    known = (
        store.read_table(_cards_path(row["version"])) if store.exists(_cards_path(row["version"])) else None
    )
    summary = PredictionSummary(row["version"])
    first = days.first
    while first <= days.last:
        span = Days(first, min(first + timedelta(days=_STORE_DAYS - 1), days.last))
        rows = pa.concat_tables([_predict_day(store, model, day, row["version"], known) for day in span.keys])
        store_days(warehouse, DYNAPRED, rows, span)
        summary.rows += rows.num_rows
        summary.counts.update(rows["Label1"].to_pylist())
        summary.rows_by_day.update(rows_by_day(rows))
        first = span.last + timedelta(days=1)
    return summary


def _predict_day(
    store: ObjectStore, model: ClassifierModel, day: str, version: str, known: pa.Table | None
) -> pa.Table:
    schema = arrow_schema(DYNAPRED)
    path = day_path("clean/card_features", date.fromisoformat(day))
    if not store.exists(path):
        return schema.empty_table()
    features = store.read_table(path)
    columns = {name: features[name].to_numpy() for name in features.column_names[2:]}
    shown = model.predict(feature_matrix(columns))
    seen = np.zeros(features.num_rows, dtype=bool)
    if known is not None:
        order = features.select(["NodeID", "Date"]).append_column(
            "row", pa.array(np.arange(features.num_rows))
        )
        seen[order.join(known, ["NodeID", "Date"], join_type="left semi")["row"].to_numpy()] = True
    return pa.table(
        {
            "NodeID": features["NodeID"],
            "Date": features["Date"],
            **{name: pa.array(values, from_pandas=True) for name, values in shown.items()},
            "ModelVersion": pa.repeat(pa.scalar(version), features.num_rows),
            "in_training": seen,
        }
    ).cast(schema)
