"""Rows of ``clean.xpred``: forecasters at their cut-offs, and what they say of each well and day.

Here: which cut-offs lack a forecaster, what is read, how answers become rows. Not here: the models (``learning.failures``).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.base import BASE_VERSION, base_forecaster
from oasis_pipeline.learning.failures.causes import CAUSE_CHANNELS
from oasis_pipeline.learning.failures.forecaster import (
    FORECAST_VERSION,
    Fitted,
    Forecaster,
    Learnable,
    fit_at,
    learnable,
)
from oasis_pipeline.learning.failures.log import Life
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS
from oasis_pipeline.learning.failures.packing import pack_forecaster, unpack_forecaster
from oasis_pipeline.learning.failures.walk_forward import cutoff_of, cutoffs
from oasis_pipeline.learning.failures.windows import MEMORY_DAYS, DailyRows
from oasis_pipeline.operations.days import Days, rows_by_day, store_days
from oasis_pipeline.operations.registry import (
    is_sound,
    load_artifact,
    model_row,
    newest_named,
    register_model,
)
from oasis_pipeline.operations.well_days import (
    failure_log,
    first_days,
    load_well_days,
    rods_changed,
)
from oasis_pipeline.schema import Column, Table, Type, arrow_schema, quote, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

XPRED = table("clean", "xpred")
XPRED_VERSION = f"1 of {BASE_VERSION}"
"""Raise the number when the same forecaster says something else of the same days."""

FORECASTER = "failure_forecaster"
FORECASTER_ASSET = f"models/{FORECASTER}"

_DAYS_AT_ONCE = 120
_NORMAL = "Normal"


@dataclass(frozen=True)
class Known:
    """What is read for forecasts of some days.

    Attributes
    ----------
    rows : DailyRows
    nodes : list of str
    data : Learnable
    life : Life
    """

    rows: DailyRows
    nodes: list[str]
    data: Learnable
    life: Life


def read_known(warehouse: Warehouse, store: ObjectStore, first: date, last: date) -> Known:
    """Read wells' days with what was known of failures.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    first, last : date
        Days, both included; features are complete from `MEMORY_DAYS` after the first, or where the data begin.

    Returns
    -------
    Known
    """
    rows, nodes = load_well_days(store, first, last, CAUSE_CHANNELS)
    log = failure_log(warehouse, nodes)
    data, life = learnable(rows, log, nodes, first_days(warehouse, nodes), *rods_changed(warehouse, nodes))
    return Known(rows, nodes, data, life)


def days_with_wells(warehouse: Warehouse) -> tuple[date, date] | None:
    """First and newest day of ``clean/well_days``, None without any."""
    days = [
        date.fromisoformat(partition)
        for (_, partition), state in ledger.states(warehouse, ["clean/well_days"]).items()
        if partition and state.rows
    ]
    return (min(days), max(days)) if days else None


def moment_ms(day: date) -> int:
    """First moment of a day, ms since 1970."""
    return int(np.datetime64(datetime.combine(day, time()), "ms").astype(np.int64))


@dataclass
class LearnedForecasters:
    """Summary of a materialization of the forecasters.

    Attributes
    ----------
    cutoffs : list of date
        All that are due.
    fitted : dict of date to Fitted
        Learned now.
    kept : int
        As they were, because nothing that they rest on has changed.
    failures : int
        Failures known of wells with data.
    """

    cutoffs: list[date] = field(default_factory=list)
    fitted: dict[date, Fitted] = field(default_factory=dict)
    kept: int = 0
    failures: int = 0


def learn_failure_forecasters(warehouse: Warehouse, store: ObjectStore) -> LearnedForecasters:
    """See to it that every cut-off has the forecaster that its past calls for.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore

    Returns
    -------
    LearnedForecasters
    """
    learned = LearnedForecasters()
    span = days_with_wells(warehouse)
    if span is None:
        return learned
    learned.cutoffs = cutoffs(*span)
    if not learned.cutoffs:
        return learned
    known = read_known(warehouse, store, span[0], learned.cutoffs[-1] - timedelta(days=1))
    learned.failures = len(known.data.log)
    for cutoff in learned.cutoffs:
        cutoff_ms = moment_ms(cutoff)
        version = f"{_prefix(cutoff)}{_digest(known, cutoff_ms)}"
        held = newest_named(warehouse, FORECASTER, _prefix(cutoff))
        if held is not None and held["version"] == version and is_sound(store, held):
            learned.kept += 1
            continue
        fitted = fit_at(known.data, cutoff_ms)
        data, sha256, manifest = pack_forecaster(
            fitted.forecaster,
            {
                "version": version,
                "cutoff": cutoff.isoformat(),
                "known_failures": fitted.failures,
                "log_loss": fitted.log_loss,
                "first_day": span[0].isoformat(),
                "last_day": (cutoff - timedelta(days=1)).isoformat(),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        register_model(
            warehouse,
            store,
            FORECASTER,
            data,
            sha256,
            manifest,
            is_base=False,
            in_use=cutoff == learned.cutoffs[-1],
        )
        learned.fitted[cutoff] = fitted
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, FORECASTER_ASSET, {cutoff.isoformat(): None for cutoff in learned.fitted})
    return learned


def _prefix(cutoff: date) -> str:
    return f"{FORECAST_VERSION}-{cutoff:%Y%m%d}-"


def _digest(known: Known, cutoff_ms: int) -> str:
    """Name what a forecaster rests on: the same past, the same name."""
    past = known.rows.time_ms < cutoff_ms
    log = known.data.log.known_at(cutoff_ms)
    log = log.take(np.isin(log.well, known.rows.well[past]))
    digest = hashlib.sha256(BASE_VERSION.encode())
    nodes = [known.nodes[number] for number in np.unique(known.rows.well[past]).tolist()]
    digest.update("\n".join(nodes).encode())
    for array in (
        known.rows.time_ms[past],
        known.data.features[past],
        log.start_ms,
        log.end_ms,
        log.known_ms,
        log.label,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update("\n".join(known.nodes[number] for number in log.well.tolist()).encode())
    return digest.hexdigest()[:8]


def _loaded(store: ObjectStore, row: dict[str, Any]) -> Forecaster:
    return load_artifact(store, row, unpack_forecaster, "forecast_version", FORECAST_VERSION)


def forecaster_named(warehouse: Warehouse, store: ObjectStore, version: str) -> Forecaster:
    """Load the forecaster of a ModelVersion, the base model's included.

    Raises
    ------
    ValueError
        If the registry has none of that name.
    """
    if version == BASE_VERSION:
        return base_forecaster()
    row = model_row(warehouse, FORECASTER, version)
    assert row is not None
    return _loaded(store, row)


@dataclass
class ForecastSummary:
    """Summary of a materialization of forecasts."""

    rows: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    rows_by_day: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    new_columns: list[str] = field(default_factory=list)


def forecast_failures(warehouse: Warehouse, store: ObjectStore, days: Days) -> ForecastSummary:
    """Forecast the wells' days of a range, and make the rows of these days exactly these.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    days : Days

    Returns
    -------
    ForecastSummary
    """
    summary = ForecastSummary()
    span = days_with_wells(warehouse)
    due = cutoffs(*span) if span else []
    first = days.first
    while first <= days.last:
        part = Days(first, min(first + timedelta(days=_DAYS_AT_ONCE - 1), days.last))
        known = read_known(warehouse, store, part.first - timedelta(days=MEMORY_DAYS), part.last)
        classes = [*known.data.log.classes]
        target, added = class_columns(warehouse, classes)
        summary.new_columns += added
        rows = _forecast_rows(warehouse, store, known, part, due, target)
        store_days(warehouse, target, rows, part)
        summary.rows += rows.num_rows
        summary.versions.update(rows["ModelVersion"].to_pylist())
        summary.rows_by_day.update(rows_by_day(rows))
        summary.classes = classes
        first = part.last + timedelta(days=1)
    return summary


def class_columns(warehouse: Warehouse, classes: list[str]) -> tuple[Table, list[str]]:
    """See to it that ``clean.xpred`` has a column for each class; none is ever dropped.

    Parameters
    ----------
    warehouse : Warehouse
    classes : list of str
        Classes known.

    Returns
    -------
    Table
        With the columns of all classes that ever were.
    list of str
        Columns that were added.
    """
    there = warehouse.query(
        "select column_name::text as name from information_schema.columns "
        "where table_schema = 'clean' and table_name = 'xpred' order by ordinal_position"
    )["name"].to_pylist()
    held = [name for name in there if name.startswith("Prob ") and name != f"Prob {_NORMAL}"]
    wanted = [f"Prob {name}" for name in classes if name != _NORMAL]
    added = [name for name in wanted if name not in held]
    columns = [
        Column(name, Type.FLOAT, "%", f"Probability of a failure of class {name.removeprefix('Prob ')}")
        for name in (*held, *added)
    ]
    with warehouse.transaction() as tx:
        extended = tx.add_columns(XPRED, columns)
        for name in added:
            # older rows come from models that knew no such class
            tx.execute(f"update {XPRED.full_name} set {quote(name)} = 0 where {quote(name)} is null")
        if added and tx.query("select to_regclass('clean.winpred') is not null as there")["there"][0].as_py():
            # the view has the columns of its materialization: without its mark it is made again
            tx.execute("comment on view clean.winpred is null")
        return extended, added


def _forecast_rows(
    warehouse: Warehouse, store: ObjectStore, known: Known, days: Days, due: list[date], target: Table
) -> pa.Table:
    schema = arrow_schema(target)
    wanted = np.flatnonzero(known.rows.day >= np.datetime64(days.first, "D").astype(np.int64))
    if wanted.size == 0:
        return schema.empty_table()
    classes = known.data.log.classes
    probability = np.zeros((wanted.size, len(HORIZONS_DAYS), len(classes) + 1))
    version = np.empty(wanted.size, object)
    day_of = known.rows.day[wanted]
    for number in np.unique(day_of).tolist():
        rows = np.flatnonzero(day_of == number)
        cutoff = cutoff_of(date(1970, 1, 1) + timedelta(days=number), due)
        held = newest_named(warehouse, FORECASTER, _prefix(cutoff)) if cutoff else None
        if held is None:
            model, version[rows] = base_forecaster(), BASE_VERSION
        else:
            model, version[rows] = _loaded(store, held), held["version"]
        said = model.probabilities(known.data.features[wanted[rows]])
        place = np.array([0, *(classes.index(name) + 1 for name in model.classes)])
        probability[np.ix_(rows, np.arange(len(HORIZONS_DAYS)), place)] = said
    # a well that is known to be down has had its failure
    down = known.life.down[wanted]
    probability[down >= 0] = 0.0
    probability[np.flatnonzero(down >= 0), :, down[down >= 0] + 1] = 1.0
    return _rows(known, wanted, probability, version, target)


def _rows(
    known: Known,
    wanted: NDArray[np.intp],
    probability: NDArray[np.float64],
    version: NDArray[Any],
    target: Table,
) -> pa.Table:
    horizons = len(HORIZONS_DAYS)
    names = [_NORMAL, *known.data.log.classes]
    percent = np.round(100.0 * probability.reshape(-1, len(names)), 3)
    # what rounding left over goes to Normal, so that a row sums to 100
    percent[:, 0] = np.round(100.0 - percent[:, 1:].sum(axis=1), 3)
    nodes = np.array(known.nodes, object)[known.rows.well[wanted]]
    columns: dict[str, Any] = {
        "NodeID": pa.array(np.repeat(nodes, horizons), pa.string()),
        "Date": pa.array(np.repeat(known.rows.time_ms[wanted], horizons).astype("datetime64[ms]")),
        "HorizonDays": np.tile(np.array(HORIZONS_DAYS, np.int64), wanted.size),
        "PredClass": pa.array(np.array(names, object)[percent.argmax(axis=1)], pa.string()),
        "FailureProb": np.round(percent[:, 1:].sum(axis=1), 3),
        "ModelVersion": pa.array(np.repeat(version, horizons), pa.string()),
    }
    columns |= {f"Prob {name}": percent[:, place] for place, name in enumerate(names)}
    for name in target.column_names:
        # a class that no longer occurs, after the rule file changed
        columns.setdefault(name, np.zeros(len(percent)))
    return pa.table({name: columns[name] for name in target.column_names}).cast(arrow_schema(target))
