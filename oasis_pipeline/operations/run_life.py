"""Rows of ``clean.runlife``: the distribution of lives at each cut-off, and what is left at each well's age.

Here: what is read and how answers become rows. Not here: the distribution (``learning.failures.run_life``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from oasis_pipeline.learning.container import pack
from oasis_pipeline.learning.failures.log import DAY_MS
from oasis_pipeline.learning.failures.run_life import (
    BASE,
    BASE_VERSION,
    COMPONENTS,
    RUN_LIFE_VERSION,
    Weibull,
    begins_of,
    fit_weibull,
    lives_at,
)
from oasis_pipeline.learning.failures.walk_forward import cutoff_of, cutoffs
from oasis_pipeline.operations.days import Days, rows_by_day, store_days
from oasis_pipeline.operations.failure_forecasts import days_with_wells, moment_ms
from oasis_pipeline.operations.registry import newest_named, register_model
from oasis_pipeline.operations.well_days import failure_log
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

RUNLIFE = table("clean", "runlife")
RUNLIFE_VERSION = f"1 of {BASE_VERSION}"
"""Raise the number when the same lives come out otherwise."""

RUN_LIFE = "run_life"
RUN_LIFE_ASSET = f"models/{RUN_LIFE}"

_TIMES = """
select "NodeID", min("Date") as first, max("Date") as last from (
    select "NodeID", "Date" from xspoc.card where "Date" < $1
    union all
    select "NodeID", "Date" from xspoc.xdiagresults where "Date" < $1
) as rows group by 1 order by 1
"""

_DAYS = """
select "NodeID", max("Date") as "Date" from (
    select "NodeID", "Date" from xspoc.card where "Date" >= $1 and "Date" < $2
    union all
    select "NodeID", "Date" from xspoc.xdiagresults where "Date" >= $1 and "Date" < $2
) as rows group by "NodeID", "Date"::date order by 1, 2
"""


@dataclass
class LearnedLives:
    """Distributions by cut-off and component."""

    by_cutoff: dict[date, dict[str, Weibull]] = field(default_factory=dict)
    changed: list[date] = field(default_factory=list)
    failures: int = 0


def _ms(column: pa.ChunkedArray) -> Any:
    return column.to_numpy().astype("datetime64[ms]").astype(np.int64)


def learn_run_life(warehouse: Warehouse, store: ObjectStore) -> LearnedLives:
    """Fit the lives of each component at each cut-off that is due.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore

    Returns
    -------
    LearnedLives
    """
    learned = LearnedLives()
    span = days_with_wells(warehouse)
    for cutoff in cutoffs(*span) if span else []:
        cutoff_ms = moment_ms(cutoff)
        times = warehouse.query(_TIMES, (datetime.combine(cutoff, datetime.min.time()),))
        nodes = times["NodeID"].to_pylist()
        log = failure_log(warehouse, nodes)
        learned.failures = len(log)
        fits = {
            name: fit_weibull(lives_at(log, name, _ms(times["first"]), _ms(times["last"]), cutoff_ms))
            for name in COMPONENTS
        }
        learned.by_cutoff[cutoff] = fits
        numbers = [[fit.scale_days, fit.shape] for fit in fits.values()]
        digest = hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:8]
        version = f"{_prefix(cutoff)}{digest}"
        held = newest_named(warehouse, RUN_LIFE, _prefix(cutoff))
        if held is not None and held["version"] == version:
            continue
        manifest = {
            "version": version,
            "cutoff": cutoff.isoformat(),
            "components": list(COMPONENTS),
            "is_base": [fit.is_base for fit in fits.values()],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        data, sha256 = pack(RUN_LIFE, manifest, {"scale_shape": np.array(numbers)}, {"scale_shape": "<f8"})
        register_model(
            warehouse,
            store,
            RUN_LIFE,
            data,
            sha256,
            {**manifest, "scale_shape": numbers},
            is_base=all(fit.is_base for fit in fits.values()),
        )
        learned.changed.append(cutoff)
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, RUN_LIFE_ASSET, {cutoff.isoformat(): None for cutoff in learned.changed})
    return learned


def _prefix(cutoff: date) -> str:
    return f"{RUN_LIFE_VERSION}-{cutoff:%Y%m%d}-"


def run_life_days(warehouse: Warehouse, days: Days) -> dict[str, int]:
    """Forecast remaining lives for the wells' days of a range, and make the rows of these days exactly these.

    Parameters
    ----------
    warehouse : Warehouse
    days : Days

    Returns
    -------
    dict of str to int
        Rows by day.
    """
    span = days_with_wells(warehouse)
    due = cutoffs(*span) if span else []
    rows = warehouse.query(_DAYS, (days.begin, days.end))
    schema = arrow_schema(RUNLIFE)
    if rows.num_rows == 0:
        store_days(warehouse, RUNLIFE, schema.empty_table(), days)
        return {}
    times = warehouse.query(_TIMES, (days.end,))
    nodes = times["NodeID"].to_pylist()
    number = {node: place for place, node in enumerate(nodes)}
    log = failure_log(warehouse, nodes)
    well = np.array([number[node] for node in rows["NodeID"].to_pylist()], np.int64)
    time_ms = _ms(rows["Date"])
    day = time_ms // DAY_MS
    fits: dict[int, tuple[str, dict[str, Weibull]]] = {}
    for one in np.unique(day).tolist():
        cutoff = cutoff_of(date(1970, 1, 1) + timedelta(days=one), due)
        held = newest_named(warehouse, RUN_LIFE, _prefix(cutoff)) if cutoff else None
        if held is None:
            fits[one] = BASE_VERSION, dict.fromkeys(COMPONENTS, BASE)
        else:
            manifest = json.loads(held["manifest"])
            pairs = zip(manifest["components"], manifest["scale_shape"], strict=True)
            fits[one] = held["version"], {name: Weibull(*numbers) for name, numbers in pairs}
    parts = []
    for component in COMPONENTS:
        begin, seen = begins_of(log, component, well, time_ms, _ms(times["first"]))
        age = (time_ms - begin) / DAY_MS
        left = np.zeros((len(day), 3))
        version = np.empty(len(day), object)
        for one, (name, fitted) in fits.items():
            mine = day == one
            left[mine] = fitted[component].remaining_days(age[mine])
            version[mine] = name
        parts.append(
            pa.table(
                {
                    "NodeID": rows["NodeID"],
                    "Date": rows["Date"],
                    "Component": pa.repeat(pa.scalar(component), len(day)),
                    "age_days": np.round(age, 3),
                    "age_known": seen,
                    "median_days": np.round(left[:, 0], 1),
                    "lower_days": np.round(left[:, 1], 1),
                    "upper_days": np.round(left[:, 2], 1),
                    "ModelVersion": pa.array(version, pa.string()),
                }
            ).cast(schema)
        )
    found = pa.concat_tables(parts)
    store_days(warehouse, RUNLIFE, found, days)
    return rows_by_day(found)
