"""Drift of the input: the cards of each day beside those of the time that the model in use has learned.

Here: which days are the reference, where it is kept, and what a run's days come to. Not here: the measure (``learning.drift``).

The reference is not the training sample itself but the whole field on the days that the labels come from. Labelled cards are chosen,
by the queue on purpose from the odd ones, and would differ from any ordinary day; what a warning should tell is that the
field, or its instruments, are no longer what they were when the labels were given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.learning.drift import (
    BINS,
    CARDS_A_WELL,
    Drift,
    Reference,
    make_reference,
    measure_drift,
    measured_features,
)
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.features import FEATURES_VERSION, STORED_FEATURES, features_of
from oasis_pipeline.storage.day_files import read_day, stored_days
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.versions import OtherVersionError

FEATURES = "clean/card_features"
CLASSIFIER = "dyna_classifier"

REFERENCE_DAYS = 20
"""Days of the reference at most; more say no more about a field."""

CHECKED_DAYS = 7
"""A backfill checks its newest days only: drift is a matter of now."""


@dataclass(frozen=True)
class DayDrift:
    """Drift of one day; None where it could not be measured."""

    day: date
    drift: Drift | None


def reference_path(version: str) -> str:
    """Where the reference of a version lies."""
    return f"models/{CLASSIFIER}/{version}.reference.parquet"


def keep_reference(store: ObjectStore, versions: Sequence[str], labelled_days: Sequence[date]) -> int:
    """Keep what the field looked like on the days that a model's labels come from.

    Parameters
    ----------
    store : ObjectStore
        Holds the features; gets the reference.
    versions : sequence of str
        Models that have learned from the same labels.
    labelled_days : sequence of date
        Days of the labelled cards; empty for a base model, whose reference are the newest days.

    Returns
    -------
    int
        Days of the reference; 0, and no file, where no day has features.
    """
    there = stored_days(store, FEATURES)
    wanted = sorted(set(there) & set(labelled_days)) or there[-REFERENCE_DAYS:]
    if not wanted:
        return 0
    wanted = [wanted[i] for i in np.unique(np.linspace(0, len(wanted) - 1, REFERENCE_DAYS).astype(int))]
    tables = [_few_a_well(rows) for day in wanted if (rows := _features_of(store, day)) is not None]
    if not tables:
        return 0
    rows = pa.concat_tables(tables)
    names = measured_features(STORED_FEATURES)
    reference = make_reference(_matrix(rows, names), names, rows["NodeID"].to_pylist())
    bins = [pa.array(np.ascontiguousarray(column)) for column in reference.bins.T]
    nodes = pa.array([reference.well_names[well] for well in reference.wells], pa.string())
    edges = json.dumps([[float(value) for value in row] for row in reference.edges])
    schema = pa.schema(
        [pa.field("NodeID", pa.string()), *(pa.field(name, pa.uint8()) for name in names)],
        metadata={"edges": edges},
    )
    for version in versions:
        store.write_table(reference_path(version), pa.Table.from_arrays([nodes, *bins], schema=schema))
    return len(tables)


def _features_of(store: ObjectStore, day: date) -> pa.Table | None:
    """Features of a day; None where another version has made them, which are about to be made anew."""
    try:
        return read_day(store, FEATURES, day, version=FEATURES_VERSION)
    except OtherVersionError:
        return None


def load_reference(store: ObjectStore, version: str) -> Reference | None:
    """Read the reference of a version; None where it has none."""
    if not store.exists(reference_path(version)):
        return None
    rows = store.read_table(reference_path(version))
    names = tuple(rows.column_names[1:])
    edges = np.array(json.loads(rows.schema.metadata[b"edges"]), np.float32).reshape(len(names), BINS - 1)
    nodes = rows["NodeID"].to_pylist()
    well_names = tuple(dict.fromkeys(nodes))
    number = {name: place for place, name in enumerate(well_names)}
    bins = np.stack([rows[name].to_numpy() for name in names], axis=1)
    return Reference(names, edges, bins, np.array([number[node] for node in nodes], np.int64), well_names)


def drift_of_days(store: ObjectStore, reference: Reference, days: Days) -> list[DayDrift]:
    """Measure the newest days of a range that have features.

    Parameters
    ----------
    store : ObjectStore
    reference : Reference
    days : Days

    Returns
    -------
    list of DayDrift
        At most `CHECKED_DAYS`, in order.
    """
    there = [day for day in stored_days(store, FEATURES) if days.first <= day <= days.last]
    found = []
    for day in there[-CHECKED_DAYS:]:
        stored = _features_of(store, day)
        if stored is None or not set(reference.names) <= set(STORED_FEATURES):
            continue  # the reference, or the day, is of another version
        rows = _few_a_well(stored)
        matrix = _matrix(rows, reference.names)
        found.append(DayDrift(day, measure_drift(reference, matrix, rows["NodeID"].to_pylist())))
    return found


def _few_a_well(rows: pa.Table) -> pa.Table:
    """Few cards of each well of a day, in order of time: features of a whole day of a large field fill the memory."""
    order = pc.sort_indices(rows.select(["NodeID", "Date"]), [("NodeID", "ascending"), ("Date", "ascending")])
    if rows.num_rows == 0:
        return rows
    codes = pc.rank(rows["NodeID"].take(order), tiebreaker="min").to_numpy()
    place = np.arange(rows.num_rows) - (codes.astype(np.int64) - 1)
    return rows.take(order.filter(pa.array(place < CARDS_A_WELL)))


def _matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return features_of(rows)[:, [STORED_FEATURES.index(name) for name in names]]


def days_of_cards(rows: pa.Table) -> list[date]:
    """Days of some cards, from their column Date, ascending."""
    return sorted(pc.unique(rows["Date"].cast(pa.date32(), safe=False)).to_pylist())
