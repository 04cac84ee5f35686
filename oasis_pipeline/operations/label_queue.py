"""The queue of cards to label.

Here: candidates read, and the rows of ``clean.label_queue``. Not here: the order itself (``learning.label_queue``), the queue as people read
it, and what they have said about cards (``labels``).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from oasis_pipeline.learning.artifact import Model
from oasis_pipeline.learning.features import feature_names
from oasis_pipeline.learning.label_queue import order_to_label, standardised
from oasis_pipeline.operations.drift import CLASSIFIER, FEATURES, days_of_cards
from oasis_pipeline.operations.features import FEATURES_VERSION, features_of
from oasis_pipeline.operations.predictions import load_classifier, matrix_for
from oasis_pipeline.operations.registry import model_row
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.day_files import read_day
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

LABEL_QUEUE = table("clean", "label_queue")

QUEUE_LENGTH = 1200
"""More cards than a person labels in an hour."""

# What keeps the queue cheap on a field with millions of cards: it asks about the newest month, and looks closely at the least sure
# cards of each well only.
_DAYS = 31
_CARDS_A_WELL = 20
_CANDIDATES = 4000
_LABELLED = 2000
_SCALE = 1000

_UNSURE = """
with newest as (select max("Date") - make_interval(days => $1::int) as first from clean.dynapred),
labelled as (select "NodeID", count(*) as cards from clean.dynalabel group by "NodeID"),
ranked as (
    select p."NodeID", p."Date", p."Label1", p."Prob1", p."Label2", coalesce(l.cards, 0) as well_labels,
        row_number() over (partition by p."NodeID" order by p."Prob1", p."Date" desc) as place
    from clean.dynapred as p
    left join labelled as l on l."NodeID" = p."NodeID"
    where p."Date" > (select first from newest)
        and not exists (select from clean.dynalabel as d where d."NodeID" = p."NodeID" and d."Date" = p."Date")
)
select "NodeID", "Date", "Label1", "Prob1", "Label2", well_labels from ranked
where place <= $2::int order by place, "Prob1", "NodeID" limit $3::int
"""

_NEWEST_LABELLED = """
select l."NodeID", l."Date" from clean.dynalabel as l
join clean.dynapred as p on p."NodeID" = l."NodeID" and p."Date" = l."Date"
where l."Date"::date in (
    select distinct d."Date"::date from clean.dynalabel as d order by 1 desc limit $1::int
)
order by l."Date" desc, l."NodeID" limit $2::int
"""


def queue_rows(warehouse: Warehouse, store: ObjectStore, length: int = QUEUE_LENGTH) -> pa.Table:
    """Order the cards that should be labelled next.

    Parameters
    ----------
    warehouse : Warehouse
        Predictions, labels, the registry.
    store : ObjectStore
        Features and the model.
    length : int
        Cards at most.

    Returns
    -------
    pyarrow.Table
        Rows of ``clean.label_queue``; none where there are no predictions.
    """
    used = model_row(warehouse, CLASSIFIER)
    rows = warehouse.query(_UNSURE, (_DAYS, _CARDS_A_WELL, _CANDIDATES))
    if used is None or rows.num_rows == 0:
        return arrow_schema(LABEL_QUEUE).empty_table()
    model = load_classifier(store, used)
    keys = [rows.select(["NodeID", "Date"]), warehouse.query(_NEWEST_LABELLED, (_DAYS, _LABELLED))]
    # one reading of the stored days for both: days are wide
    found, everything, all_asked = _features_of(store, pa.concat_tables(keys), model)
    offered = found < rows.num_rows
    features, asked, taught = everything[offered], all_asked[offered], everything[~offered]
    rows = rows.take(pa.array(found[offered]))
    if rows.num_rows == 0:
        return arrow_schema(LABEL_QUEUE).empty_table()
    wells = rows["NodeID"].to_numpy(zero_copy_only=False)
    scale = everything[:: 1 + len(everything) // _SCALE]
    queue = order_to_label(
        model.predict_proba(asked),
        standardised(features, scale),
        wells,
        rows["well_labels"].to_numpy(),
        standardised(taught, scale),
        length,
    )
    distance = np.where(np.isfinite(queue.distance), queue.distance, np.nan)
    chosen = rows.take(pa.array(queue.rows))
    for name, values in (
        ("rank", np.arange(1, len(queue.rows) + 1)),
        ("score", np.round(queue.score, 6)),
        ("uncertainty_bits", np.round(queue.uncertainty, 4)),
        ("distance", np.round(distance, 4)),
        ("ModelVersion", np.full(len(queue.rows), used["version"], object)),
    ):
        chosen = chosen.append_column(name, pa.array(values, from_pandas=True))
    return chosen.select(list(LABEL_QUEUE.column_names)).cast(arrow_schema(LABEL_QUEUE))


def _features_of(
    store: ObjectStore, keys: pa.Table, model: Model
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of some cards: the rows of `keys` that have any, their matrix, shape (k, features), and what the model takes."""
    wanted = keys.append_column("place", pa.array(np.arange(keys.num_rows)))
    places: list[np.ndarray] = []
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for day in days_of_cards(keys):
        part = _of_day(store, day, wanted, model)
        if part is not None:
            places.append(part[0])
            parts.append(part[1:])
    if not parts:
        nothing = np.zeros((0, len(feature_names())), np.float32)
        return np.zeros(0, np.int64), nothing, nothing
    own, asked = (np.concatenate(side) for side in zip(*parts, strict=True))
    return np.concatenate(places), own, asked


def _of_day(
    store: ObjectStore, day: date, wanted: pa.Table, model: Model
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    rows = read_day(store, FEATURES, day, version=FEATURES_VERSION)
    if rows is None:
        return None
    own = rows.select(["NodeID", "Date"]).append_column("row", pa.array(np.arange(rows.num_rows)))
    kept = own.join(wanted, ["NodeID", "Date"], join_type="inner").sort_by("row")
    if kept.num_rows == 0:
        return None
    chosen = features_of(rows)[kept["row"].to_numpy()]
    return kept["place"].to_numpy(), chosen[:, : len(feature_names())], matrix_for(model, chosen)
