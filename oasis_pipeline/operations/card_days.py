"""Days of cards for the card forecast: cards of the warehouse to one row a well and day, and back to arrays.

Here: what is read for `learning.card_forecast.history`, and the Parquet files of ``clean/card_days``. Not here: forecasts
(``card_forecasts``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import shape_form_column
from oasis_pipeline.engine import LOCAL, Engine
from oasis_pipeline.learning.card_forecast.history import (
    POINTS,
    STATE_SIZE,
    CardDays,
    Float32,
    card_states,
    days_of_cards,
)
from oasis_pipeline.learning.card_forecast.model import STATE_VERSION
from oasis_pipeline.operations.days import Days
from oasis_pipeline.storage.card_points import cards_of
from oasis_pipeline.storage.day_files import read_days
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

CARD_DAYS = "clean/card_days"
KINDS = ("pocdowncard", "surfcard")
DAY_MS = 86_400_000

# the card of dynabounds: a well that has had a pump card is forecast by it alone
_CARDS = """
select c."NodeID", c."Date", b.card,
    case b.card when 'pocdowncard' then c.pocdowncard_position else c.surfcard_position end as position,
    case b.card when 'pocdowncard' then c.pocdowncard_load else c.surfcard_load end as load
from xspoc.card as c
join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date
where c."Date" >= $1 and c."Date" < $2
    and case b.card when 'pocdowncard' then c.pocdowncard_fault else c.surfcard_fault end is null
order by c."NodeID", c."Date"
"""


def card_days_schema() -> pa.Schema:
    """Arrow schema of the files: one row a well and day with a usable card."""
    state = pa.list_(pa.float32(), STATE_SIZE)
    return pa.schema(
        [
            pa.field("NodeID", pa.string(), nullable=False),
            pa.field("IssuedAt", pa.timestamp("ms"), nullable=False),
            pa.field("card", pa.string(), nullable=False),
            pa.field("newest", state, nullable=False),
            pa.field("mean", state, nullable=False),
        ]
    )


def states_of(warehouse: Warehouse, span: Days) -> tuple[pa.Table, Float32]:
    """Read the cards of some days that are forecast in their wells.

    Parameters
    ----------
    warehouse : Warehouse
        Cards and bounds.
    span : Days
        The days.

    Returns
    -------
    keys : pyarrow.Table
        ``NodeID``, ``Date``, ``card``, ordered by the first two.
    states : ndarray of float32, shape (rows, STATE_SIZE)
        NaN where a card can't be brought to shape form.
    """
    return _states(_read_span(warehouse, span))


def _read_span(warehouse: Warehouse, span: Days) -> pa.Table:
    return warehouse.query(_CARDS, (span.begin, span.end))


def _states(rows: pa.Table) -> tuple[pa.Table, Float32]:
    keys = rows.select(["NodeID", "Date", "card"])
    if rows.num_rows == 0:
        return keys, np.zeros((0, STATE_SIZE), np.float32)
    return keys, card_states(*shape_form_column(cards_of(rows["position"], rows["load"]), POINTS))


def card_day_tables(
    warehouse: Warehouse, days: Days, engine: Engine = LOCAL
) -> Iterator[tuple[str, pa.Table]]:
    """Sum up the cards of some days, a day a core at a time.

    Parameters
    ----------
    warehouse : Warehouse
        Cards and bounds.
    days : Days
        The days.
    engine : Engine
        Where they are computed.

    Yields
    ------
    tuple of (str, pyarrow.Table)
        Partition key and rows of `card_days_schema`.
    """
    read = partial(_read_day, warehouse)
    for day, rows in engine.each(days.dates, read, _rows_of, None):
        yield day.isoformat(), rows


def _read_day(warehouse: Warehouse, day: date) -> pa.Table:
    return _read_span(warehouse, Days(day, day))


def _rows_of(_shared: None, rows: pa.Table) -> pa.Table:
    schema = card_days_schema()
    keys, states = _states(rows)
    if keys.num_rows == 0:
        return schema.empty_table()
    names, well = np.unique(keys["NodeID"].to_numpy(zero_copy_only=False), return_inverse=True)
    time_ms = keys["Date"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    found = days_of_cards(well, time_ms / DAY_MS, states, _kind_numbers(keys["card"]))
    newest_ms = np.round(found.time * DAY_MS).astype(np.int64)
    return pa.table(
        [
            pa.array(names[found.well], pa.string()),
            pa.array(newest_ms.astype("datetime64[ms]")),
            pa.array([KINDS[kind] for kind in found.kind], pa.string()),
            *(
                pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), STATE_SIZE)
                for values in (found.newest, found.mean)
            ),
        ],
        schema=schema,
    )


def _kind_numbers(card: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.array([KINDS.index(name) for name in card.to_pylist()], np.int64)


def load_card_days(store: ObjectStore, first: date, last: date) -> tuple[CardDays, NDArray[np.object_]]:
    """Read days of cards back to arrays.

    Parameters
    ----------
    store : ObjectStore
        Where the files are.
    first, last : date
        Days, both included.

    Returns
    -------
    days : CardDays
        Ordered by well, then day.
    names : ndarray of str
        NodeID of each well number, ascending.
    """
    wanted = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    rows = read_days(store, CARD_DAYS, wanted, version=STATE_VERSION)
    if rows.num_rows == 0:
        none = np.zeros(0, np.int64)
        empty = np.zeros((0, STATE_SIZE), np.float32)
        return CardDays(none, none, np.zeros(0), none, empty, empty), np.zeros(0, object)
    names, well = np.unique(rows["NodeID"].to_numpy(zero_copy_only=False), return_inverse=True)
    time_ms = rows["IssuedAt"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    order = np.lexsort((time_ms, well))
    newest, mean = (
        rows[name].combine_chunks().flatten().to_numpy().reshape(-1, STATE_SIZE)[order]
        for name in ("newest", "mean")
    )
    return (
        CardDays(
            well[order].astype(np.int64),
            time_ms[order] // DAY_MS,
            time_ms[order] / DAY_MS,
            _kind_numbers(rows["card"])[order],
            newest,
            mean,
        ),
        names,
    )
