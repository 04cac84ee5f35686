"""Rows of ``clean.card_features``: cards of the warehouse to the columns that models learn from.

Here: what is read for `learning.features` and how its answer becomes a table. Not here: the features themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.assets.common import Days
from oasis_pipeline.cards.canonical import shape_form_column
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.learning.features import (
    FEATURE_VERSION,
    SHAPE_POINTS,
    CardContext,
    CardShapes,
    WellBounds,
    card_features,
    feature_names,
)
from oasis_pipeline.storage.postgres import Warehouse

USABLE_POINTS = """
    case when c.surfcard_fault is null then c.surfcard_position end as surface_position,
    case when c.surfcard_fault is null then c.surfcard_load end as surface_load,
    case when c.pocdowncard_fault is null then c.pocdowncard_position end as pump_position,
    case when c.pocdowncard_fault is null then c.pocdowncard_load end as pump_load
"""
"""Points of the two cards of a row of ``xspoc.card as c``, null where a card can't be used."""

CARD_INPUT_COLUMNS = f"""
    c."NodeID", c."Date", c."SPM", c."Fillage", {USABLE_POINTS},
    b.card as bounds_card, b.pos_min, b.pos_max, b.load_min, b.load_max
"""
"""What `CardInputs` takes, of ``xspoc.card as c`` and ``clean.dynabounds as b``."""

BOUNDS_JOIN = 'left join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date'

_CARDS = f"""
select {CARD_INPUT_COLUMNS}
from xspoc.card as c {BOUNDS_JOIN}
where c."Date" >= $1 and c."Date" < $2 and (c.surfcard_fault is null or c.pocdowncard_fault is null)
order by c."NodeID", c."Date"
"""


def features_schema() -> pa.Schema:
    """Arrow schema of the feature files.

    Returns
    -------
    pyarrow.Schema
        Keys, then one float column a feature; the feature version in the metadata.
    """
    fields = [
        pa.field("NodeID", pa.string(), nullable=False),
        pa.field("Date", pa.timestamp("ms"), nullable=False),
    ]
    fields += [pa.field(name, pa.float32()) for name in feature_names()]
    return pa.schema(fields, metadata={"feature_version": FEATURE_VERSION})


def feature_tables(warehouse: Warehouse, days: Days) -> Iterator[tuple[str, pa.Table]]:
    """Compute the features of some days, a day at a time, so that a year's backfill needs the memory of a day.

    Parameters
    ----------
    warehouse : Warehouse
        Where cards and bounds are read.
    days : Days
        The days.

    Yields
    ------
    tuple of (str, pyarrow.Table)
        Partition key and rows of `features_schema`, one for each card whose surface card or pump card is usable.
    """
    day = days.first
    while day <= days.last:
        yield day.isoformat(), _features_of(warehouse, day)
        day += timedelta(days=1)


def _features_of(warehouse: Warehouse, day: date) -> pa.Table:
    span = Days(day, day)
    rows = warehouse.query(_CARDS, (span.begin, span.end))
    if rows.num_rows == 0:
        return features_schema().empty_table()
    inputs = CardInputs.of(rows)
    columns = card_features(inputs.surface, inputs.pump, inputs.context)
    keys = [rows["NodeID"].combine_chunks(), rows["Date"].combine_chunks()]
    values = [pa.array(values, pa.float32(), from_pandas=True) for values in columns.values()]
    return pa.Table.from_arrays([*keys, *values], schema=features_schema())


@dataclass(frozen=True)
class CardInputs:
    """What the features of some cards are computed from.

    Attributes
    ----------
    surface, pump : CardShapes or None
        Shape forms; None where none of the rows has that card.
    context : CardContext
        Speed, fillage and bounds.
    """

    surface: CardShapes | None
    pump: CardShapes | None
    context: CardContext

    @classmethod
    def of(cls, rows: pa.Table) -> CardInputs:
        """Take them from rows of the warehouse with the columns of `CARD_INPUT_COLUMNS`."""
        bounds = WellBounds(
            pc.fill_null(pc.equal(rows["bounds_card"], "pocdowncard"), False).to_numpy(),
            *(_floats(rows[name]) for name in ("pos_min", "pos_max", "load_min", "load_max")),
        )
        context = CardContext(spm=_floats(rows["SPM"]), fillage_pct=_floats(rows["Fillage"]), bounds=bounds)
        return cls(_shapes(rows, "surface"), _shapes(rows, "pump"), context)


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


def _shapes(rows: pa.Table, card: str) -> CardShapes | None:
    cards = cards_of(rows[f"{card}_position"], rows[f"{card}_load"])
    if cards.offsets[-1] == 0:
        return None
    return CardShapes(*shape_form_column(cards, SHAPE_POINTS))


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    floats: np.ndarray = column.to_numpy().astype(np.float64)
    return floats
