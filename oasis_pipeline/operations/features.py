"""Rows of ``clean.card_features``: cards of the warehouse to the columns that models learn from.

Here: what is read for `learning.inputs` and how the features become a table. Not here: the features themselves.

The physics comes from ``clean.carddiag`` of the same card, and from the equipment of its time for the pump card; the change since earlier
days from ``clean.carddiag`` of the days before, never of the card's own day. What a well usually shows is described anew from its cards of
`learning.usual.USUAL_DAYS` before, so that a day needs no features of other days.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.engine import LOCAL, Engine
from oasis_pipeline.learning.features import (
    FEATURE_VERSION,
    HISTORY_COLUMNS,
    History,
    WellBounds,
    feature_matrix,
    feature_names,
)
from oasis_pipeline.learning.inputs import CardInputs, Findings
from oasis_pipeline.learning.pump_features import DIAGNOSED
from oasis_pipeline.learning.seed_method import SEED_FEATURE_VERSION, seed_feature_names
from oasis_pipeline.learning.usual import LATE_DAYS, USUAL_DAYS, usual_columns
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.wells import EquipmentStates
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Transaction, Warehouse

STORED_FEATURES = (*feature_names(), *seed_feature_names())
"""Features in the order in which they are stored, those of the earlier platform's method last."""

FEATURES_VERSION = f"{FEATURE_VERSION} {SEED_FEATURE_VERSION} list"
"""Code version of the files: that of the features of both methods, and the form in which they are stored."""

HISTORY_DAYS = 7
"""Days before a card's day that its change is measured from."""

REACH_DAYS = max(HISTORY_DAYS, *USUAL_DAYS) + LATE_DAYS
"""Days before a card's day that its features look back on."""

_DIAGNOSED = sorted({*DIAGNOSED, *HISTORY_COLUMNS})

CARD_INPUT_COLUMNS = f"""
    c."NodeID", c."Date", c."SPM", c."Fillage", {USABLE_POINTS},
    b.card as bounds_card, b.pos_min, b.pos_max, b.load_min, b.load_max,
    {", ".join(f"d.{name} as found_{name}" for name in _DIAGNOSED)},
    {", ".join(f"p.{span}_{name}" for span in ("day", "week") for name in HISTORY_COLUMNS)}
"""
"""What `card_inputs` takes, of ``xspoc.card as c`` and the tables of `CARD_INPUT_JOINS`."""


def _medians(day: str) -> str:
    """Columns of the medians of the days before a day, of ``clean.carddiag as h``."""
    return ", ".join(
        f"percentile_cont(0.5) within group (order by h.{name}) "
        f'filter (where h."Date" >= {day} - {days}) as {span}_{name}'
        for span, days in (("day", 1), ("week", HISTORY_DAYS))
        for name in HISTORY_COLUMNS
    )


_DIAGNOSIS = 'left join clean.carddiag as d on d."NodeID" = c."NodeID" and d."Date" = c."Date"'

_OF_CARD = f"""
left join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date
{_DIAGNOSIS}
"""

CARD_INPUT_JOINS = f"""{_OF_CARD}
left join lateral (
    select {_medians('c."Date"::date')}
    from clean.carddiag as h
    where h."NodeID" = c."NodeID" and h."Date" < c."Date"::date and h."Date" >= c."Date"::date - {HISTORY_DAYS}
) as p on true
"""

_NO_PAST = ", ".join(f"null::float8 as {span}_{name}" for span in ("day", "week") for name in HISTORY_COLUMNS)

# the network that compares knows neither bounds nor the days before
_USUAL = f"""
with asked as ({{asked}}), wanted as (
    select a."NodeID", a.day, k.place, (
        select u."Date" from xspoc.card as u
        where u."NodeID" = a."NodeID" and u."Date" >= a.day - k.days - {LATE_DAYS} and u."Date" < a.day - k.days + 1
            and (u.surfcard_fault is null or u.pocdowncard_fault is null)
        order by u."Date" desc limit 1
    ) as "Date"
    from asked as a cross join (values {", ".join(f"({k}, {days})" for k, days in enumerate(USUAL_DAYS))}) as k (place, days)
)
select w.day::timestamp as asked_day, w.place, {CARD_INPUT_COLUMNS}
from wanted as w join xspoc.card as c on c."NodeID" = w."NodeID" and c."Date" = w."Date" {_DIAGNOSIS}
cross join (
    select null::text as card, null::float8 as pos_min, null::float8 as pos_max, null::float8 as load_min, null::float8 as load_max
) as b
cross join (select {_NO_PAST}) as p
order by c."NodeID", w.day, w.place
"""

_WELLS_OF_DAYS = (
    'select distinct "NodeID", "Date"::date as day from xspoc.card where "Date" >= $1 and "Date" < $2'
)

# of one day: the medians of the days before are those of all cards of a well
_CARDS = f"""
select {CARD_INPUT_COLUMNS}
from xspoc.card as c {_OF_CARD}
left join (
    select h."NodeID", {_medians("$1::date")}
    from clean.carddiag as h
    where h."Date" < $1 and h."Date" >= $1::date - {HISTORY_DAYS}
    group by 1
) as p on p."NodeID" = c."NodeID"
where c."Date" >= $1 and c."Date" < $2 and (c.surfcard_fault is null or c.pocdowncard_fault is null)
order by c."NodeID", c."Date"
"""


def features_schema() -> pa.Schema:
    """Arrow schema of the feature files.

    Returns
    -------
    pyarrow.Schema
        Keys, and a list of `STORED_FEATURES`, whose names are the field's metadata: a column for each takes six times as long to write
        and nine times as long to read.
    """
    return pa.schema(
        [
            pa.field("NodeID", pa.string(), nullable=False),
            pa.field("Date", pa.timestamp("ms"), nullable=False),
            pa.field(
                "features",
                pa.list_(pa.float32(), len(STORED_FEATURES)),
                nullable=False,
                metadata={"names": json.dumps(STORED_FEATURES)},
            ),
        ]
    )


def feature_rows(node: pa.Array, moment: pa.Array, features: NDArray[np.floating]) -> pa.Table:
    """Make rows of `features_schema`; what is not a valid number in float32, too large ones among them, is null: one card must not stop its field.

    Parameters
    ----------
    node, moment : pyarrow.Array
        ``NodeID`` and ``Date`` of n cards.
    features : ndarray, shape (n, STORED_FEATURES)
    """
    schema = features_schema()
    with np.errstate(over="ignore"):
        narrow = np.asarray(features, np.float32).ravel()
    values = pa.array(narrow, pa.float32(), mask=~np.isfinite(narrow))
    lists = pa.FixedSizeListArray.from_arrays(values, type=schema.field("features").type)
    return pa.Table.from_arrays([node, moment, lists], schema=schema)


def features_of(rows: pa.Table) -> NDArray[np.float32]:
    """Read the features out of rows of `features_schema`, shape (n, STORED_FEATURES); NaN where one is not known."""
    stored: NDArray[np.float32] = rows["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return stored.reshape(rows.num_rows, len(STORED_FEATURES))


def feature_tables(
    warehouse: Warehouse, days: Days, engine: Engine = LOCAL
) -> Iterator[tuple[str, pa.Table]]:
    """Compute the features of some days, a day a core at a time, so that a year's backfill needs the memory of these.

    Parameters
    ----------
    warehouse : Warehouse
        Where cards and bounds are read.
    days : Days
        The days.
    engine : Engine
        Where they are computed.

    Yields
    ------
    tuple of (str, pyarrow.Table)
        Partition key and rows of `features_schema`, one for each card whose surface card or pump card is usable.
    """
    equipment = EquipmentStates.of_cards(warehouse, days.begin - timedelta(days=REACH_DAYS), days.end)
    for day, rows in engine.each(days.dates, partial(_read_day, warehouse), _features_of, equipment):
        yield day.isoformat(), rows


def usual_rows(source: Warehouse | Transaction, asked: str, params: tuple[Any, ...] = ()) -> pa.Table:
    """Read the cards that stand for what is usual in wells on some days.

    Parameters
    ----------
    source : Warehouse or Transaction
    asked : str
        SQL with the wells, ``"NodeID"``, and the days, ``day``, each pair once.
    params : tuple
        Of it.

    Returns
    -------
    pyarrow.Table
        What `card_inputs` takes, with ``asked_day`` and ``place``, the number in `USUAL_DAYS`.
    """
    return source.query(_USUAL.format(asked=asked), params)


def _read_day(warehouse: Warehouse, day: date) -> tuple[pa.Table, pa.Table]:
    span = Days(day, day)
    limits = (span.begin, span.end)
    return warehouse.query(_CARDS, limits), usual_rows(warehouse, _WELLS_OF_DAYS, limits)


def _features_of(equipment: EquipmentStates, read: tuple[pa.Table, pa.Table]) -> pa.Table:
    rows, earlier = read
    if rows.num_rows == 0:
        return features_schema().empty_table()
    inputs = card_inputs(rows, equipment, earlier)
    features = np.concatenate([feature_matrix(inputs.features()), inputs.seed_features()], axis=1)
    return feature_rows(rows["NodeID"].combine_chunks(), rows["Date"].combine_chunks(), features)


def card_inputs(rows: pa.Table, equipment: EquipmentStates, earlier: pa.Table | None = None) -> CardInputs:
    """Gather what the features of some cards are computed from.

    Parameters
    ----------
    rows : pyarrow.Table
        One row or more with the columns of `CARD_INPUT_COLUMNS`.
    equipment : EquipmentStates
        Of their wells, over their times and those of the earlier cards.
    earlier : pyarrow.Table, optional
        From `usual_rows`; without it what is usual in the wells is not known.

    Returns
    -------
    CardInputs
    """
    bounds = WellBounds(
        pc.fill_null(pc.equal(rows["bounds_card"], "pocdowncard"), False).to_numpy(),
        *(_floats(rows[name]) for name in ("pos_min", "pos_max", "load_min", "load_max")),
    )
    now, day, week = (
        {name: _floats(rows[f"{span}_{name}"]) for name in HISTORY_COLUMNS}
        for span in ("found", "day", "week")
    )
    surface, pump = (
        time_form_column(cards_of(rows[f"{card}_position"], rows[f"{card}_load"]))
        for card in ("surface", "pump")
    )
    return CardInputs.of(
        surface,
        pump,
        _floats(rows["SPM"]),
        _floats(rows["Fillage"]),
        bounds=bounds,
        findings=_findings(rows, equipment),
        history=History(now, day, week),
        usual=None if earlier is None or not earlier.num_rows else _usual(rows, earlier, equipment),
    )


def _usual(rows: pa.Table, earlier: pa.Table, equipment: EquipmentStates) -> dict[str, np.ndarray]:
    """What the wells of some rows usually show, by the inputs of the network that compares."""
    columns = card_inputs(earlier, equipment).features(answered=False)
    place = {
        (node, day, number): row
        for row, (node, day, number) in enumerate(
            zip(
                earlier["NodeID"].to_pylist(),
                earlier["asked_day"].to_numpy().astype("datetime64[D]").tolist(),
                earlier["place"].to_pylist(),
                strict=True,
            )
        )
    }
    keys = list(
        zip(
            rows["NodeID"].to_pylist(),
            rows["Date"].to_numpy().astype("datetime64[D]").tolist(),
            strict=True,
        )
    )
    of_row = [
        np.array([place.get((*key, number), -1) for key in keys], np.intp)
        for number in range(len(USUAL_DAYS))
    ]
    return usual_columns(columns, of_row)


def _findings(rows: pa.Table, equipment: EquipmentStates) -> Findings:
    """What the diagnosis found of the cards, with the equipment that each well had at the time of its card."""
    which = equipment.index_all(rows)
    diagnosed = {name: _floats(rows[f"found_{name}"]) for name in DIAGNOSED}
    return Findings(diagnosed, equipment.columns(), which)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    floats: np.ndarray = column.to_numpy().astype(np.float64)
    return floats
