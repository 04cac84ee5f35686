"""Labels of experts, as they come over http.

Here: `POST /api/dynalabel/` and the page of labels, which go the way of a Labels file: the same rules for a row, the same spelling of wells and labels, the same
history and marks. Not here: those rules (``intake``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from oasis_pipeline.intake.chunks import Chunk, match_header
from oasis_pipeline.intake.files import DropName
from oasis_pipeline.intake.labels import DYNALABEL, load_labels, take_back_label
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.nodes import Spellings
from oasis_pipeline.intake.rules import Rules, last_of_each
from oasis_pipeline.schema import DROP_KINDS
from oasis_pipeline.service.readings import Body, Faults, decode_items
from oasis_pipeline.service.store import changing
from oasis_pipeline.service.warehouse import installation

KIND = DROP_KINDS["Labels"]


def store_labels(body: Body, labelled_by: str, now: datetime) -> tuple[list[dict[str, Any]], bool]:
    """Store the labels of a body, all or none.

    Parameters
    ----------
    body : Body
    labelled_by : str
        Who gives them.
    now : datetime
        The field's local time, without a zone: when they were given.

    Returns
    -------
    labels : list of dict
        Labels in force of these cards, in the order of the items.
    single : bool
        Whether the body was one object and no list.

    Raises
    ------
    ApiError
        400 with every fault of every item.
    """
    items, single, faults = decode_items(body)
    texts = [_texts(item, index, faults) for index, item in enumerate(items) if index not in faults.items]
    faults.raise_any()
    if not texts:
        return [], single
    stamp = _stamp(now)
    drop = DropName("", KIND, stamp, ".csv")
    columns = [pa.array([row[name] for row in texts], pa.string()) for name in KIND.columns]
    chunk = Chunk(match_header(KIND, KIND.columns), columns, np.arange(1, len(texts) + 1))
    checked = Rules(drop, installation().earliest_day, installation().zone).check(chunk)
    for number, reason in zip(checked.rejected.row_number, checked.rejected.reason, strict=True):
        faults.add(number - 1, reason.split(":", 1)[0], reason)
    faults.raise_any()
    with changing() as tx:
        # a label is given to the spelling of a well that a pass of intake may be changing
        tx.lock("intake")
        marks = Marks()
        shown = Spellings(tx).show(checked.rows["NodeID"])
        rows = checked.rows.set_column(checked.rows.schema.get_field_index("NodeID"), "NodeID", shown)
        load_labels(tx, last_of_each(rows, DYNALABEL.key), labelled_by, stamp, marks)
        marks.write(tx)
        found = tx.read(
            DYNALABEL, where='"NodeID" = ANY($1::text[])', params=(sorted(set(shown.to_pylist())),)
        )
    stands = {(row["NodeID"], row["Date"]): row for row in found.to_pylist()}
    keys = zip(shown.to_pylist(), checked.rows["Date"].to_pylist(), strict=True)
    return [stands[key] for key in keys], single


def take_back(node: str, time: datetime, labelled_by: str, now: datetime) -> bool:
    """Take back what somebody said of a card.

    Parameters
    ----------
    node : str
        Well in the shown spelling.
    time : datetime
        The card's.
    labelled_by : str
        Who takes back what he said himself.
    now : datetime
        The field's local time, without a zone.

    Returns
    -------
    bool
        Whether there was anything to take back.
    """
    with changing() as tx:
        tx.lock("intake")
        marks = Marks()
        done = take_back_label(tx, node, time, labelled_by, _stamp(now), marks)
        marks.write(tx)
    return done


def _stamp(now: datetime) -> datetime:
    return now.replace(microsecond=now.microsecond // 1000 * 1000, tzinfo=None)


def _texts(item: Any, index: int, faults: Faults) -> dict[str, str | None]:
    """The texts of an item, as they would stand in a file."""
    row: dict[str, str | None] = dict.fromkeys(KIND.columns)
    if not isinstance(item, dict):
        faults.add(index, None, "is not an object")
        return row
    for name, value in item.items():
        if name not in KIND.columns:
            faults.add(
                index, name[:100], f"is not a field of a label; the fields are {', '.join(KIND.columns)}"
            )
        elif value is not None and not isinstance(value, str):
            faults.add(index, name, "is not text")
        elif value is not None and ("\x00" in value or len(value) > 200):
            faults.add(index, name, "has more than 200 characters, or a NUL")
        else:
            row[name] = value
    return row
