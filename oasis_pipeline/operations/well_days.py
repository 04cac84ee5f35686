"""Wells' days in the object store: what forecasts of failures are made from, and what is known of failures.

Here: reading rows of the warehouse into days, days back from their files, failures and rod strings that changed. Not here: which
quantities there are (``learning.failures.channels``), windows over days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.engine import LOCAL, Engine
from oasis_pipeline.learning.failures.channels import (
    CARD_COLUMNS,
    CHANNELS,
    DIAGNOSIS_COLUMNS,
    FEATURE_COLUMNS,
    VENDOR_COLUMNS,
    channel_columns,
)
from oasis_pipeline.learning.failures.log import NEVER, FailureLog
from oasis_pipeline.learning.failures.windows import DailyRows, daily_rows
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.features import FEATURES_VERSION, STORED_FEATURES, features_of
from oasis_pipeline.schema import quote
from oasis_pipeline.storage.day_files import read_day, read_days
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

WELL_DAYS = "clean/well_days"
WELL_DAYS_VERSION = "well-days-2"
FEATURES = "clean/card_features"

BASE_CLASSES = ("BHA", "Pump", "Rod", "Tubing")
"""Classes of the rule file that comes with the package, which the base model knows; others follow as they become known."""


def _columns(names: tuple[str, ...], alias: str) -> str:
    return ", ".join(f"{alias}.{quote(name)}" for name in names)


_ROWS = f"""
select coalesce(c."NodeID", x."NodeID") as "NodeID", coalesce(c."Date", x."Date") as "Date",
    {_columns(CARD_COLUMNS, "c")}, {_columns(VENDOR_COLUMNS, "x")}, {_columns(DIAGNOSIS_COLUMNS, "d")}
from (select * from xspoc.card where "Date" >= $1 and "Date" < $2) as c
full join (select * from xspoc.xdiagresults where "Date" >= $1 and "Date" < $2) as x
    on x."NodeID" = c."NodeID" and x."Date" = c."Date"
left join clean.carddiag as d on d."NodeID" = c."NodeID" and d."Date" = c."Date"
order by 1, 2
"""

_FAILURES = """
select "NodeID", "Failure Start Date" as start, "Failure End Date" as stop, known_from,
    coalesce(failure_class, 'Unknown') as name
from analysis.failure_info
order by 1, 2
"""

# a file repeats what has not changed
_RODS_CHANGED = """
select "NodeID", "ValidFrom"
from (
    select "NodeID", "ValidFrom", rods, lag(rods) over (partition by "NodeID" order by "ValidFrom") as rods_before
    from (
        select "NodeID", "ValidFrom",
            string_agg(concat_ws('/', "RodNum", "Grade", "Length", "Diameter"), ',' order by "RodNum") as rods
        from xspoc.rods_history group by 1, 2
    ) as states
) as strings
where rods_before <> rods
order by 1, 2
"""

_FIRST_DAYS = """
select "NodeID", min(day) as day from (
    select "NodeID", min("Date")::date as day from xspoc.card group by 1
    union all
    select "NodeID", min("Date")::date as day from xspoc.xdiagresults group by 1
) as firsts group by 1
"""


def well_days_schema() -> pa.Schema:
    """Arrow schema of the files.

    Returns
    -------
    pyarrow.Schema
        Keys, number of rows of the day, one float column a quantity.
    """
    fields = [
        pa.field("NodeID", pa.string(), nullable=False),
        pa.field("Date", pa.timestamp("ms"), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
    ]
    fields += [pa.field(name, pa.float32()) for name in CHANNELS]
    return pa.schema(fields)


def well_day_tables(
    warehouse: Warehouse, store: ObjectStore, days: Days, engine: Engine = LOCAL
) -> Iterator[tuple[str, pa.Table]]:
    """Sum up the rows of some days, a day a core at a time.

    Parameters
    ----------
    warehouse : Warehouse
        Cards, vendor results, diagnoses.
    store : ObjectStore
        Descriptors of cards.
    days : Days
    engine : Engine
        Where they are computed.

    Yields
    ------
    tuple of (str, pyarrow.Table)
        Partition key and rows of `well_days_schema`.
    """
    read = partial(_read_day, warehouse, store)
    for day, rows in engine.each(days.dates, read, _rows_of, None):
        yield day.isoformat(), rows


def _read_day(warehouse: Warehouse, store: ObjectStore, day: date) -> tuple[pa.Table, pa.Table | None]:
    span = Days(day, day)
    rows = warehouse.query(_ROWS, (span.begin, span.end))
    if rows.num_rows == 0:
        return rows, None
    return rows, read_day(store, FEATURES, day, version=FEATURES_VERSION)


def _rows_of(_shared: None, inputs: tuple[pa.Table, pa.Table | None]) -> pa.Table:
    schema = well_days_schema()
    rows, described = inputs
    if rows.num_rows == 0:
        return schema.empty_table()
    if described is not None:
        features = features_of(described)
        keys = {name: described[name].cast(rows.schema.field(name).type) for name in ("NodeID", "Date")}
        columns = {name: features[:, STORED_FEATURES.index(name)].copy() for name in FEATURE_COLUMNS}
        rows = rows.join(pa.table(keys | columns), ["NodeID", "Date"])
    names, well = np.unique(rows["NodeID"].to_numpy(zero_copy_only=False), return_inverse=True)
    moment = rows["Date"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    found = daily_rows(
        well,
        moment,
        channel_columns({name: rows[name].to_numpy().astype(np.float64) for name in rows.column_names[2:]}),
    )
    return pa.table(
        [
            pa.array(names[found.well], pa.string()),
            pa.array(found.time_ms.astype("datetime64[ms]")),
            pa.array(found.count),
            *(pa.array(found.values[:, place], from_pandas=True) for place in range(len(CHANNELS))),
        ],
        schema=schema,
    )


def load_well_days(
    store: ObjectStore, first: date, last: date, channels: tuple[str, ...] = CHANNELS
) -> tuple[DailyRows, list[str]]:
    """Read wells' days back.

    Parameters
    ----------
    store : ObjectStore
    first, last : date
        Both included.
    channels : tuple of str
        Quantities that are wanted.

    Returns
    -------
    rows : DailyRows
    nodes : list of str
        NodeID of each well number, ascending.

    Raises
    ------
    ValueError
        If the files are of another version.
    """
    wanted = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    columns = ["NodeID", "Date", "rows", *channels]
    rows = read_days(store, WELL_DAYS, wanted, columns, version=WELL_DAYS_VERSION)
    if rows.num_rows == 0:
        none = np.zeros(0, np.int64)
        return DailyRows(none, none, none, np.zeros((0, len(channels)), np.float32), none, channels), []
    names, well = np.unique(rows["NodeID"].to_numpy(zero_copy_only=False), return_inverse=True)
    moment = rows["Date"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    order = np.lexsort((moment, well))
    values = np.stack([rows[name].to_numpy() for name in channels], axis=1)[order]
    return (
        DailyRows(
            well[order].astype(np.int64),
            moment[order] // 86_400_000,
            moment[order],
            np.ascontiguousarray(values, np.float32),
            rows["rows"].to_numpy()[order],
            channels,
        ),
        [str(name) for name in names],
    )


def failure_log(warehouse: Warehouse, nodes: list[str]) -> FailureLog:
    """Read the failures of some wells.

    Parameters
    ----------
    warehouse : Warehouse
    nodes : list of str
        NodeID of each well number; failures of others are left out.

    Returns
    -------
    FailureLog
        Classes in the order in which they became known, so that a new one moves none.
    """
    number = {node: place for place, node in enumerate(nodes)}
    found = warehouse.query(_FAILURES).to_pylist()
    first_known: dict[str, tuple[object, str]] = {}
    for row in sorted(found, key=lambda row: (row["known_from"], row["name"])):
        first_known.setdefault(row["name"], (row["known_from"], row["name"]))
    others = [name for name in first_known if name not in BASE_CLASSES]
    mine = [row for row in found if row["NodeID"] in number]

    def ms(values: list[object]) -> NDArray[np.int64]:
        return np.array(values, "datetime64[ms]").astype(np.int64)

    ends = [row["stop"] for row in mine]
    return FailureLog.of(
        [number[row["NodeID"]] for row in mine],
        ms([row["start"] for row in mine]),
        np.where([end is None for end in ends], NEVER, ms(ends)),
        ms([row["known_from"] for row in mine]),
        [row["name"] for row in mine],
        (*BASE_CLASSES, *others),
    )


def rods_changed(warehouse: Warehouse, nodes: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Wells whose rod string differs from the one before, and when that was known.

    Returns
    -------
    well, time_ms : ndarray of int64
    """
    number = {node: place for place, node in enumerate(nodes)}
    rows = [row for row in warehouse.query(_RODS_CHANGED).to_pylist() if row["NodeID"] in number]
    return (
        np.array([number[row["NodeID"]] for row in rows], np.int64),
        np.array([row["ValidFrom"] for row in rows], "datetime64[ms]").astype(np.int64),
    )


def first_days(warehouse: Warehouse, nodes: list[str]) -> NDArray[np.int64]:
    """First day with a row of each well, since 1970, shape (wells,)."""
    known = {row["NodeID"]: row["day"] for row in warehouse.query(_FIRST_DAYS).to_pylist()}
    return np.array([known[node] for node in nodes], "datetime64[D]").astype(np.int64)
