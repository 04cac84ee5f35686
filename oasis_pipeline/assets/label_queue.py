"""The asset ``clean/label_queue``.

Here: its declaration. Not here: which cards it holds (``operations.label_queue``).
"""

from __future__ import annotations

from typing import Any

from oasis_pipeline.assets.declaration import Run, all_days, kept, whole, whole_asset
from oasis_pipeline.operations.drift import CLASSIFIER, FEATURES
from oasis_pipeline.operations.label_queue import LABEL_QUEUE, queue_rows
from oasis_pipeline.operations.labels import disagreements
from oasis_pipeline.storage import ledger


@whole_asset(
    "clean/label_queue",
    inputs=[
        all_days("clean/dynapred"),
        whole("clean/dynalabel"),
        kept(FEATURES, f"models/{CLASSIFIER}"),
    ],
    code_version="2",
    description="Unlabelled cards, the most informative first: the model is unsure of them, they differ from "
    "labelled cards, and their wells have few labels. `oasis labels queue` shows it.",
    table=LABEL_QUEUE,
)
def label_queue(run: Run) -> dict[str, Any]:
    """Make ``clean.label_queue``."""
    rows = queue_rows(run.warehouse, run.store)
    with run.warehouse.transaction() as tx:
        changed = tx.replace_days(LABEL_QUEUE, rows, None, None).changed
        if changed:
            ledger.mark_changed(tx, LABEL_QUEUE.asset, {"": rows.num_rows})
    run.rows(rows.num_rows)
    return {
        "wells": len(rows["NodeID"].unique()),
        "wells_without_labels": len({row["NodeID"] for row in rows.to_pylist() if row["well_labels"] == 0}),
        "cards_that_people_disagree_on": len(disagreements(run.warehouse)),
    }
