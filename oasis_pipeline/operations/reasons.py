"""Why a stored card got its label.

Here: the stored features of a card and the model that is asked. Not here: how the answer is found (`learning.reasons`).

    from oasis_pipeline.operations.reasons import card_reasons
    card_reasons(warehouse, store, "WELL 1", datetime(2025, 1, 3, 4, 5))
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.learning.classifier import ClassifierModel
from oasis_pipeline.learning.reasons import Reason, reasons
from oasis_pipeline.operations.drift import FEATURES
from oasis_pipeline.operations.features import FEATURES_VERSION, features_of
from oasis_pipeline.operations.predictions import load_classifier, matrix_for
from oasis_pipeline.operations.registry import model_row
from oasis_pipeline.storage.day_files import read_day
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse


def card_reasons(
    warehouse: Warehouse,
    store: ObjectStore,
    node: str,
    when: datetime,
    *,
    label: str | None = None,
    version: str | None = None,
    count: int = 4,
) -> list[Reason]:
    """Say what spoke most for the label of one card.

    Parameters
    ----------
    warehouse, store : Warehouse, ObjectStore
    node : str
        NodeID as shown.
    when : datetime
        The card's Date.
    label : str, optional
        Another label than the most probable one.
    version : str, optional
        A model of the registry; the one in use by default.
    count : int

    Returns
    -------
    list of Reason
        The strongest first.

    Raises
    ------
    ValueError
        If there is no such model or it is of another kind, the card has no stored features, or the model does not know the label.
    """
    row = model_row(warehouse, "dyna_classifier", version)
    if row is None:
        raise ValueError("there is no classifier yet: materialize models/dyna_classifier first")
    model = load_classifier(store, row)
    if not isinstance(model, ClassifierModel):
        raise ValueError(f"{row['version']} is a model of another kind, which cannot give reasons")
    table = read_day(store, FEATURES, when.date(), version=FEATURES_VERSION)
    if table is not None:
        at = pa.scalar(when, table.schema.field("Date").type)
        table = table.filter(pc.and_(pc.equal(table["NodeID"], node), pc.equal(table["Date"], at)))
    if table is None or table.num_rows == 0:
        raise ValueError(f"there are no features of a card of {node!r} at {when}: materialize its day first")
    return reasons(model, matrix_for(model, features_of(table)), label, count)[0]
