"""Rows of ``clean.dynapred``: features of stored cards to labels by a classifier of the registry.

Here: classifiers loaded and asked, the versions that days keep, rows made and stored. Not here: how a classifier comes about
(``training``), learning itself, and the registry (``registry``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.engine import LOCAL, Engine
from oasis_pipeline.learning.artifact import Model, load_model
from oasis_pipeline.learning.classifier import ClassifierModel
from oasis_pipeline.learning.features import FEATURE_VERSION, feature_names
from oasis_pipeline.learning.seed_method import SEED_FEATURE_VERSION
from oasis_pipeline.operations.days import Days, rows_by_day, store_days
from oasis_pipeline.operations.drift import CLASSIFIER, FEATURES
from oasis_pipeline.operations.features import FEATURES_VERSION, features_of
from oasis_pipeline.operations.registry import load_artifact, model_row
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.day_files import read_day
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

IN_USE = "in-use"
"""Asked for in place of a version: the model in use, and no version that the days keep."""

DYNAPRED = table("clean", "dynapred")
_COMPUTED = (FEATURE_VERSION, SEED_FEATURE_VERSION)
"""Feature versions that this release stores."""

PREDICTION_VERSION = "2"
"""Raise it when a model says something else of the same features."""

_STORE_DAYS = 31
"""Days of predictions held in memory before they are written."""


def taught_path(version: str) -> str:
    """Where the cards that taught a version stand: key, labels as they were, who gave them, and what the held-out fold said."""
    return f"models/{CLASSIFIER}/{version}.cards.parquet"


def load_classifier(store: ObjectStore, row: dict[str, Any]) -> Model:
    """Load a classifier by its row of the registry; see `load_artifact`."""
    return load_artifact(store, row, load_model, "feature_version", *_COMPUTED)


def matrix_for(model: Model, stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give of `STORED_FEATURES` those that a model takes: the earlier platform's method has its own."""
    ours = len(feature_names())
    return stored[:, :ours] if isinstance(model, ClassifierModel) else stored[:, ours:]


@dataclass
class PredictionSummary:
    """Summary of a prediction of some days.

    Attributes
    ----------
    model_versions : list of str
        Models that predicted, in order of their first day.
    rows : int
    by_day : dict of str to Counter
        Day with rows -> rows by Label1.
    model_of : dict of str to str
        Day with rows -> the model that predicted it.
    rows_by_day : dict of str to int
    notes : list of str
        What a person should know.
    """

    model_versions: list[str] = field(default_factory=list)
    rows: int = 0
    by_day: dict[str, Counter[str]] = field(default_factory=dict)
    model_of: dict[str, str] = field(default_factory=dict)
    rows_by_day: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def predict_days(
    warehouse: Warehouse, store: ObjectStore, days: Days, version: str | None = None, engine: Engine = LOCAL
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
        A model of the registry: the days keep it, whenever they are made again, until another one is asked for. `IN_USE` takes the
        model in use and ends that. By default each day is predicted by what was asked for it last, else by the model in use.
    engine : Engine
        Where the days are computed.

    Returns
    -------
    PredictionSummary

    Raises
    ------
    ValueError
        If there is no such model, or none at all yet.
    """
    used = model_row(warehouse, CLASSIFIER)
    if used is None:
        raise ValueError("there is no classifier yet: materialize models/dyna_classifier first")
    if version is not None:
        _ask(warehouse, days, version)
    asked = _asked(warehouse, days)
    summary = PredictionSummary()
    first = days.first
    while first <= days.last:
        span = Days(first, min(first + timedelta(days=_STORE_DAYS - 1), days.last))
        versions = {day: asked.get(day, used["version"]) for day in span.keys}
        models = {
            version: _model_of(
                store, used if version == used["version"] else model_row(warehouse, CLASSIFIER, version)
            )
            for version in dict.fromkeys(versions.values())
        }
        tables = []
        for day, rows in engine.each(span.keys, partial(_read_day, store, versions), _predict_day, models):
            if rows.num_rows:
                summary.by_day[day], summary.model_of[day] = (
                    Counter(rows["Label1"].to_pylist()),
                    versions[day],
                )
                if versions[day] not in summary.model_versions:
                    summary.model_versions.append(versions[day])
            tables.append(rows)
        rows = pa.concat_tables(tables)
        store_days(warehouse, DYNAPRED, rows, span)
        summary.rows += rows.num_rows
        summary.rows_by_day.update(rows_by_day(rows))
        first = span.last + timedelta(days=1)
    if asked:
        kept = ", ".join(sorted(set(asked.values())))
        summary.notes.append(f"{len(asked)} of the days keep the model that was asked for ({kept})")
    return summary


def check_fits(row: dict[str, Any]) -> None:
    """Raise ValueError where a classifier of the registry needs features that this release does not compute."""
    needs = (
        json.loads(row["manifest"])["feature_version"]
        if isinstance(row["manifest"], str)
        else row["manifest"]["feature_version"]
    )
    if needs not in _COMPUTED:
        raise ValueError(
            f"{row['version']} was learned on features {needs}, this release computes {FEATURE_VERSION}: it can't predict any more"
        )


def _ask(warehouse: Warehouse, days: Days, version: str) -> None:
    """Note, or end, that days keep a version."""
    if version != IN_USE:
        row = model_row(warehouse, CLASSIFIER, version)
        assert row is not None
        check_fits(row)
    with warehouse.transaction() as tx:
        tx.execute(
            "delete from oasis.prediction_request where day between $1::date and $2::date",
            (days.first, days.last),
        )
        if version != IN_USE:
            tx.execute(
                "insert into oasis.prediction_request (day, version, asked_at) select d::date, $3, now() "
                "from generate_series($1::date, $2::date, interval '1 day') as d",
                (days.first, days.last, version),
            )


def _asked(warehouse: Warehouse, days: Days) -> dict[str, str]:
    """Versions that days keep; one whose model can't predict any more, after an upgrade, has lapsed."""
    rows = warehouse.query(
        "select r.day::text as day, r.version from oasis.prediction_request r join oasis.model m on m.name = $3 "
        "and m.version = r.version and m.manifest ->> 'feature_version' = any($4::text[]) where r.day between $1::date and $2::date",
        (days.first, days.last, CLASSIFIER, list(_COMPUTED)),
    )
    return dict(zip(rows["day"].to_pylist(), rows["version"].to_pylist(), strict=True))


@lru_cache(maxsize=2)
def _taught(store: ObjectStore, version: str) -> pa.Table | None:
    """Keys of the cards whose labels a version has seen."""
    path = taught_path(version)
    return store.read_table(path, ["NodeID", "Date"]) if store.exists(path) else None


def _model_of(store: ObjectStore, row: dict[str, Any] | None) -> tuple[Model, pa.Table | None]:
    """A model, and the keys of the cards whose labels it has seen."""
    assert row is not None
    return load_classifier(store, row), _taught(store, row["version"])


def _read_day(store: ObjectStore, versions: Mapping[str, str], day: str) -> tuple[str, pa.Table]:
    features = read_day(store, FEATURES, date.fromisoformat(day), version=FEATURES_VERSION)
    return versions[day], pa.table({}) if features is None else features


def _predict_day(
    models: Mapping[str, tuple[Model, pa.Table | None]], inputs: tuple[str, pa.Table]
) -> pa.Table:
    schema = arrow_schema(DYNAPRED)
    version, features = inputs
    if features.num_rows == 0:
        return schema.empty_table()
    model, known = models[version]
    shown = model.predict(matrix_for(model, features_of(features)))
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
