"""Rows of ``clean.cardpred`` and ``clean.cardanomaly``, and the models that make them.

Here: models learned by cut-off and looked up, days of cards turned into forecasts, cards held against them. Not here: the method
(``learning.card_forecast``), days of cards (``card_days``).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast.anomaly import score_cards
from oasis_pipeline.learning.card_forecast.candidates import REACH_DAYS, Candidates, candidates_of
from oasis_pipeline.learning.card_forecast.history import POINTS, STATE_SIZE, CardDays, state_positions
from oasis_pipeline.learning.card_forecast.model import (
    HORIZONS_HOURS,
    STATE_VERSION,
    ForecastModel,
    band_lbf,
    base_forecaster,
    forecast_states,
    load_forecaster,
    save_forecaster,
)
from oasis_pipeline.operations.bounds import begin_of_history
from oasis_pipeline.operations.card_days import CARD_DAYS, DAY_MS, KINDS, load_card_days, states_of
from oasis_pipeline.operations.days import Days, rows_by_day, store_days
from oasis_pipeline.operations.registry import load_artifact, register_model
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

FORECASTER = "card_forecaster"
MODEL_ASSET = f"models/{FORECASTER}"
CARDPRED = table("clean", "cardpred")
CARDANOMALY = table("clean", "cardanomaly")

CARDPRED_VERSION = f"1 of {STATE_VERSION}"
ANOMALY_VERSION = "1"
"""Raise them when forecasts, or what is said of cards beside them, come out otherwise."""

OLDEST_FORECAST_DAYS = 9
"""A card is held against forecasts that are no older."""

_STORE_DAYS = 14
"""Days of forecasts held in memory before they are written."""

_LEARN_WEEKS = 13
"""Cut-offs learned from one reading of the days."""


@dataclass
class LearnedForecasters:
    """Summary of a materialization of the forecaster.

    Attributes
    ----------
    cutoffs : list of str
        Cut-offs seen to.
    versions : list of str
        Models learned; fewer where the field had not given enough by then.
    newest : str
        ModelVersion in use.
    trials : list of Trial
        Forecasts of the weeks before the newest cut-off, beside what came.
    """

    cutoffs: list[str]
    versions: list[str] = field(default_factory=list)
    newest: str = learning.BASE_VERSION
    trials: list[learning.Trial] = field(default_factory=list)


def missing_cutoffs(warehouse: Warehouse) -> list[date]:
    """Cut-offs whose models forecast from some day of cards and were not learned yet; all of them if none is missing."""
    states = ledger.states(warehouse, [CARD_DAYS, MODEL_ASSET])
    needed = {
        learning.cutoff_date(date.fromisoformat(partition))
        for asset, partition in states
        if asset == CARD_DAYS
    }
    made = {
        date.fromisoformat(partition)
        for (asset, partition), state in states.items()
        if asset == MODEL_ASSET
        and partition
        and state.made_tick
        and not state.error
        and state.code_version == STATE_VERSION
    }
    return sorted(needed - made) or sorted(needed)


def learn_forecasters(warehouse: Warehouse, store: ObjectStore, cutoffs: list[date]) -> LearnedForecasters:
    """Learn the models of some cut-offs, and register them.

    Parameters
    ----------
    warehouse : Warehouse
        Workovers; the registry.
    store : ObjectStore
        Days of cards; where the artifacts go.
    cutoffs : list of date
        Mondays.

    Returns
    -------
    LearnedForecasters
        A cut-off before which the field has not given enough gets no model: the base model serves.
    """
    done = LearnedForecasters([cutoff.isoformat() for cutoff in cutoffs])
    base = base_forecaster()
    known = _registered(warehouse)
    if base.version not in known:
        manifest = {"state_version": STATE_VERSION, "simulated": True, "created": _now()}
        data, sha256 = save_forecaster(base, manifest)
        register_model(
            warehouse, store, FORECASTER, data, sha256, {**manifest, "version": base.version},
            is_base=True, in_use=not known,
        )  # fmt: skip
    newest = max((version for version in known if not version.startswith("base-")), default="")
    for at in range(0, len(cutoffs), _LEARN_WEEKS):
        for model, trials, manifest in _learn_some(warehouse, store, cutoffs[at : at + _LEARN_WEEKS], base):
            data, sha256 = save_forecaster(model, manifest)
            in_use = model.version >= newest
            newest = max(newest, model.version)
            packed = {**manifest, "version": model.version}
            register_model(warehouse, store, FORECASTER, data, sha256, packed, is_base=False, in_use=in_use)
            done.versions.append(model.version)
            done.trials = trials
    done.newest = newest or base.version
    return done


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _learn_some(
    warehouse: Warehouse, store: ObjectStore, cutoffs: list[date], base: ForecastModel
) -> list[tuple[ForecastModel, list[learning.Trial], dict[str, Any]]]:
    first = cutoffs[0] - timedelta(days=learning.TRAINING_DAYS + REACH_DAYS)
    days, names = load_card_days(store, first, cutoffs[-1] - timedelta(days=1))
    if not len(days):
        return []
    # drawn by name, so that the same wells are drawn however much of the history is read
    rank = np.argsort([zlib.crc32(name.encode()) for name in names], kind="stable")
    drawn = {cutoff: _drawn(days, rank, _number(cutoff)) for cutoff in cutoffs}
    used = np.isin(days.well, np.unique(np.concatenate(list(drawn.values()))))
    days = days.take(used)
    begin = _begin(warehouse, days, names, Days(first, cutoffs[-1]))
    known = candidates_of(days, None, begin)
    evidence = [learning.evidence_of(days, known, hours) for hours in HORIZONS_HOURS]
    found = []
    for cutoff in cutoffs:
        model, trials = learning.learn(evidence, days, _number(cutoff), base, drawn[cutoff])
        if not model.is_base:
            mine = (days.day < _number(cutoff)) & (days.day >= _number(cutoff) - learning.TRAINING_DAYS)
            manifest = {
                "state_version": STATE_VERSION,
                "simulated": False,
                "created": _now(),
                "cutoff": cutoff.isoformat(),
                "wells": len(drawn[cutoff]),
                "well_days": int((mine & np.isin(days.well, drawn[cutoff])).sum()),
                "skill": {str(trial.hours): learning.skill_of(trial) for trial in trials},
            }
            found.append((model, trials, manifest))
    return found


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _drawn(days: CardDays, rank: NDArray[np.intp], cutoff: int) -> NDArray[np.int64]:
    there = np.unique(days.well[(days.day < cutoff) & (days.day >= cutoff - learning.TRAINING_DAYS)])
    return np.asarray(rank[np.isin(rank, there)][: learning.TRAINING_WELLS], np.int64)


def _begin(warehouse: Warehouse, days: CardDays, names: NDArray[np.object_], span: Days) -> NDArray[np.int64]:
    """First day whose cards count for each row, by the workovers known on the row's day."""
    return begin_of_history(warehouse, names[days.well], days.day, span)


def _registered(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    rows = warehouse.query("select * from oasis.model where name = $1", (FORECASTER,)).to_pylist()
    return {row["version"]: row for row in rows}


def _loaded(store: ObjectStore, row: dict[str, Any]) -> ForecastModel:
    return load_artifact(store, row, load_forecaster, "state_version", STATE_VERSION)


class _Models:
    """Models by day: that of the newest cut-off on or before it, else the base model."""

    def __init__(self, warehouse: Warehouse, store: ObjectStore) -> None:
        self.store = store
        self.rows = _registered(warehouse)
        prefix = f"{STATE_VERSION}-"
        self.own = sorted(version for version in self.rows if version.startswith(prefix))

    def of_day(self, day: int) -> ForecastModel:
        wanted = learning.version_of(learning.cutoff_of(day))
        before = [version for version in self.own if version <= wanted]
        if not before:
            return base_forecaster()
        row = self.rows[before[-1]]
        return _loaded(self.store, row)

    def of_version(self, version: str) -> ForecastModel:
        row = self.rows.get(version)
        return base_forecaster() if row is None else _loaded(self.store, row)


@dataclass
class ForecastSummary:
    """Summary of a forecast of some days."""

    rows: int = 0
    wells: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    rows_by_day: dict[str, int] = field(default_factory=dict)


def forecast_days(warehouse: Warehouse, store: ObjectStore, days: Days) -> ForecastSummary:
    """Forecast from the newest card of every well and day, and make the rows of these days exactly these.

    Parameters
    ----------
    warehouse : Warehouse
        Workovers, registry and ``clean.cardpred``.
    store : ObjectStore
        Days of cards and model artifacts.
    days : Days
        The days.

    Returns
    -------
    ForecastSummary
    """
    models = _Models(warehouse, store)
    summary = ForecastSummary()
    first = days.first
    while first <= days.last:
        span = Days(first, min(first + timedelta(days=_STORE_DAYS - 1), days.last))
        rows = _forecast_rows(warehouse, store, models, span)
        store_days(warehouse, CARDPRED, rows, span)
        summary.rows += rows.num_rows
        summary.wells.update(rows["NodeID"].unique().to_pylist())
        summary.versions.update(rows["ModelVersion"].unique().to_pylist())
        summary.rows_by_day.update(rows_by_day(rows, "IssuedAt"))
        first = span.last + timedelta(days=1)
    return summary


def _forecast_rows(warehouse: Warehouse, store: ObjectStore, models: _Models, span: Days) -> pa.Table:
    history, names = load_card_days(store, span.first - timedelta(days=REACH_DAYS - 1), span.last)
    asked = np.flatnonzero(history.day >= _number(span.first))
    if not len(asked):
        return arrow_schema(CARDPRED).empty_table()
    begin = _begin(warehouse, history, names, span)[asked]
    known = candidates_of(history, asked, begin)
    days = history.day[asked]
    parts = []
    for day in np.unique(days).tolist():
        here = days == day
        model = models.of_day(day)
        mine = known.take(here)
        parts += [_rows_at(model, mine, hours, history, asked[here], names) for hours in HORIZONS_HOURS]
    return pa.concat_tables(parts)


def _rows_at(
    model: ForecastModel,
    known: Candidates,
    hours: int,
    history: CardDays,
    rows: NDArray[np.int64],
    names: NDArray[np.object_],
) -> pa.Table:
    state = forecast_states(model, known, hours)
    half = band_lbf(model, known, hours)
    load = state[:, 2:]
    issued_ms = np.round(history.time[rows] * DAY_MS).astype(np.int64)
    count = len(rows)
    return pa.table(
        {
            "NodeID": pa.array(names[history.well[rows]], pa.string()),
            "IssuedAt": pa.array(issued_ms.astype("datetime64[ms]")),
            "HorizonHours": pa.array(np.full(count, hours, np.int64)),
            "card": pa.array([KINDS[kind] for kind in history.kind[rows]], pa.string()),
            "position_in": _lists(state_positions(state)),
            "load_lbf": _lists(load),
            "load_lower_lbf": _lists(load - half),
            "load_upper_lbf": _lists(load + half),
            "ModelVersion": pa.repeat(pa.scalar(model.version), count),
        }
    ).cast(arrow_schema(CARDPRED))


def _lists(values: NDArray[np.floating]) -> pa.ListArray:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel().astype(np.float32)))


_FORECASTS = """
select "NodeID", "IssuedAt", "HorizonHours", card, "ModelVersion", position_in, load_lbf, load_upper_lbf
from clean.cardpred where "IssuedAt" >= $1 and "IssuedAt" < $2 order by "NodeID", "IssuedAt", "HorizonHours"
"""


@dataclass
class AnomalySummary:
    """What holding cards against their forecasts came to."""

    cards: int = 0
    anomalies_by_day: dict[str, int] = field(default_factory=dict)
    rows_by_day: dict[str, int] = field(default_factory=dict)


def score_days(warehouse: Warehouse, store: ObjectStore, days: Days) -> AnomalySummary:
    """Hold every card of some days against the newest forecast of an earlier day, and write what comes of it.

    Parameters
    ----------
    warehouse : Warehouse
        Cards, forecasts, and ``clean.cardanomaly``.
    store : ObjectStore
        Model artifacts.
    days : Days
        The days.

    Returns
    -------
    AnomalySummary
        A card without a forecast of the last `OLDEST_FORECAST_DAYS` days has no row.
    """
    models = _Models(warehouse, store)
    summary = AnomalySummary()
    first = days.first
    while first <= days.last:
        span = Days(first, min(first + timedelta(days=_STORE_DAYS - 1), days.last))
        keys, states = states_of(warehouse, span)
        usable = np.isfinite(states).all(axis=1)
        keys, states = keys.filter(pa.array(usable)), states[usable]
        oldest = span.begin - timedelta(days=OLDEST_FORECAST_DAYS)
        forecasts = warehouse.query(_FORECASTS, (oldest, span.end))
        rows = pa.concat_tables([_anomaly_rows(models, key, keys, states, forecasts) for key in span.keys])
        store_days(warehouse, CARDANOMALY, rows, span)
        summary.cards += rows.num_rows
        counts, anomalies = rows_by_day(rows), rows_by_day(rows.filter(rows["is_anomaly"]))
        summary.rows_by_day.update(counts)
        summary.anomalies_by_day.update({day: anomalies.get(day, 0) for day in counts})
        first = span.last + timedelta(days=1)
    return summary


def _between(column: pa.ChunkedArray, begin: np.datetime64, end: np.datetime64) -> NDArray[np.bool_]:
    values = column.to_numpy().astype("datetime64[ms]")
    return np.asarray((values >= begin) & (values < end))


def _anomaly_rows(
    models: _Models, day: str, keys: pa.Table, states: NDArray[np.float32], forecasts: pa.Table
) -> pa.Table:
    """Rows of one day, out of the cards and forecasts of some more days."""
    schema = arrow_schema(CARDANOMALY)
    begin = np.datetime64(day, "ms")
    today = _between(keys["Date"], begin, begin + np.timedelta64(1, "D"))
    before = _between(forecasts["IssuedAt"], begin - np.timedelta64(OLDEST_FORECAST_DAYS, "D"), begin)
    keys, states, forecasts = keys.filter(pa.array(today)), states[today], forecasts.filter(pa.array(before))
    if keys.num_rows == 0 or forecasts.num_rows == 0:
        return schema.empty_table()
    horizons = len(HORIZONS_HOURS)
    # the forecasts of one issue stand together, in order of the horizons
    issue = forecasts.take(pa.array(np.arange(0, forecasts.num_rows, horizons)))
    names = [
        np.char.add(
            t["NodeID"].to_numpy(zero_copy_only=False).astype(str), t["card"].to_numpy(False).astype(str)
        )
        for t in (issue, keys)
    ]
    last = {name: at for at, name in enumerate(names[0].tolist())}
    newest = np.array([last.get(name, -1) for name in names[1].tolist()], np.int64)
    found = newest >= 0
    keys, states, newest = keys.filter(pa.array(found)), states[found], newest[found]
    if not len(newest):
        return schema.empty_table()
    issued = issue["IssuedAt"].to_numpy()[newest]
    elapsed = (keys["Date"].to_numpy() - issued) / np.timedelta64(1, "h")
    place = np.abs(elapsed[:, None] - np.array(HORIZONS_HOURS)).argmin(axis=1)
    chosen = forecasts.take(pa.array(newest * horizons + place))
    position, load, upper = (
        chosen[name].combine_chunks().flatten().to_numpy().reshape(-1, POINTS)
        for name in ("position_in", "load_lbf", "load_upper_lbf")
    )
    forecast = np.empty((len(load), STATE_SIZE), np.float32)
    forecast[:, 0], forecast[:, 1] = position[:, 0], position[:, POINTS // 2 - 1]
    forecast[:, 2:] = load
    versions = chosen["ModelVersion"].to_pylist()
    quantiles = np.array(
        [models.of_version(version).departures[at] for version, at in zip(versions, place, strict=True)]
    )
    scored = score_cards(states, forecast, upper - load, quantiles)
    return pa.table(
        {
            "NodeID": keys["NodeID"],
            "Date": keys["Date"],
            "IssuedAt": chosen["IssuedAt"],
            "HorizonHours": chosen["HorizonHours"],
            "departure": scored.departure,
            "rarity_pct": scored.rarity_pct,
            "outside_pct": scored.outside_pct,
            "rmse_lbf": scored.rmse_lbf,
            "is_anomaly": scored.is_anomaly,
            "reason": pa.array(scored.reason, pa.string()),
            "ModelVersion": chosen["ModelVersion"],
        }
    ).cast(schema)
