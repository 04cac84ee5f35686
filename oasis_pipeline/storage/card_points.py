"""Points of stored cards, for whoever draws or measures them.

Here: the expressions that read the points of usable cards, and their columns laid end to end. Not here: what makes a card usable (``intake``).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.cards.column import CardColumn

USABLE_POINTS = """
    case when c.surfcard_fault is null then c.surfcard_position end as surface_position,
    case when c.surfcard_fault is null then c.surfcard_load end as surface_load,
    case when c.pocdowncard_fault is null then c.pocdowncard_position end as pump_position,
    case when c.pocdowncard_fault is null then c.pocdowncard_load end as pump_load
"""
"""Points of the two cards of a row of ``xspoc.card as c``, null where a card can't be used."""


def cards_of(position: pa.ChunkedArray, load: pa.ChunkedArray) -> CardColumn:
    """Lay the points of two list columns end to end.

    Parameters
    ----------
    position, load : pyarrow.ChunkedArray of lists
        In, lbf; a null is a missing card.

    Returns
    -------
    CardColumn
    """
    offsets = np.zeros(len(load) + 1, dtype=np.int64)
    np.cumsum(pc.fill_null(pc.list_value_length(load), 0).to_numpy(), out=offsets[1:])
    flat = [
        pc.list_flatten(column).combine_chunks().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        for column in (position, load)
    ]
    return CardColumn(flat[0], flat[1], offsets)
