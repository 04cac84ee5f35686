"""Rows of ``clean.alarm``: the rule of ``learning.failures.alarms`` on the forecasts, beside what people said.

Here: what is read, how alarms of a materialization meet those that stand. Not here: the rule, and what a person may do (``alarm_decisions``).

A remake never takes back what a person said: an alarm keeps its AlarmID, its state and its note as long as the rule raises
one for the same event, and stays in the table when it no longer does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.alarms import (
    ALARM_HORIZON_DAYS,
    FALSE,
    MONTH_DAYS,
    OPEN,
    TRUE,
    Alarms,
    alarm_outcomes,
    foretold_days,
    raise_alarms,
)
from oasis_pipeline.learning.failures.log import life_of
from oasis_pipeline.learning.failures.reasons import reasons
from oasis_pipeline.learning.failures.windows import MEMORY_DAYS
from oasis_pipeline.operations.alarm_decisions import ALARM, decided_alarms
from oasis_pipeline.operations.failure_forecasts import forecaster_named, read_known
from oasis_pipeline.operations.well_days import BASE_CLASSES, failure_log
from oasis_pipeline.schema import arrow_schema
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

ALARM_VERSION = "3"
"""Raise it when the same forecasts raise other alarms."""

SAME_EVENT_DAYS = 7.0
"""Alarms of one well raised within so many days of each other are of the same event."""


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of the alarm's window, rows in order of well and time.

    Attributes
    ----------
    nodes : list of str
    well, time_ms, life : ndarray of int64, shape (n,)
    probability, threshold : ndarray, shape (n,)
        0 to 1.
    label, version : ndarray of str, shape (n,)
        Most probable class of failure, model.
    """

    nodes: list[str]
    well: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    life: NDArray[np.int64]
    probability: NDArray[np.float64]
    threshold: NDArray[np.float64]
    label: NDArray[Any]
    version: NDArray[Any]


@dataclass
class AlarmSummary:
    """Summary of a materialization of alarms."""

    states: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    raised: int = 0
    open_rows: list[dict[str, Any]] = field(default_factory=list)


def read_forecasts(warehouse: Warehouse, store: ObjectStore) -> Forecasts | None:
    """Read all forecasts of the alarm's window with the thresholds of their models.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore

    Returns
    -------
    Forecasts or None
        None where there are none.
    """
    columns = warehouse.query(
        "select column_name::text as name from information_schema.columns "
        "where table_schema = 'clean' and table_name = 'xpred' and column_name like 'Prob %' order by ordinal_position"
    )["name"].to_pylist()
    classes = [name for name in columns if name != "Prob Normal"]
    chosen = "".join(", {}".format('"' + name.replace('"', '""') + '"') for name in classes)
    rows = warehouse.query(
        f'select "NodeID", "Date", "FailureProb", "ModelVersion"{chosen} from clean.xpred '
        'where "HorizonDays" = $1 order by "NodeID", "Date"',
        (ALARM_HORIZON_DAYS,),
    )
    if rows.num_rows == 0:
        return None
    names, well = np.unique(rows["NodeID"].to_numpy(zero_copy_only=False), return_inverse=True)
    nodes = [str(name) for name in names]
    time_ms = rows["Date"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    order = np.lexsort((time_ms, well))
    well, time_ms = well[order].astype(np.int64), time_ms[order]
    versions = rows["ModelVersion"].to_numpy(zero_copy_only=False)[order]
    threshold = np.zeros(len(versions))
    for version in np.unique(versions.astype(str)).tolist():
        threshold[versions == version] = forecaster_named(warehouse, store, version).threshold
    life = life_of(well, time_ms, failure_log(warehouse, nodes))
    if classes:
        shares = np.stack([rows[name].to_numpy() for name in classes], axis=1)[order]
        label = np.array([name.removeprefix("Prob ") for name in classes], object)[
            np.nan_to_num(shares).argmax(axis=1)
        ]
    else:
        label = np.full(len(well), BASE_CLASSES[0], object)
    return Forecasts(
        nodes,
        well,
        time_ms,
        life.failures * 2 + (life.down >= 0),
        rows["FailureProb"].to_numpy()[order] / 100.0,
        threshold,
        label,
        versions,
    )


def alarms_of(found: Forecasts) -> Alarms:
    """Apply the rule; a well that is known to be down raises nothing."""
    silent = found.life % 2 == 1
    return raise_alarms(
        found.well, found.time_ms, np.where(silent, 0.0, found.probability), found.life, found.threshold
    )


def make_alarms(warehouse: Warehouse, store: ObjectStore) -> AlarmSummary:
    """Bring ``clean.alarm`` up to the forecasts.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore

    Returns
    -------
    AlarmSummary
    """
    summary = AlarmSummary()
    found = read_forecasts(warehouse, store)
    alarms = alarms_of(found) if found is not None else None
    with warehouse.transaction() as tx:
        tx.lock("alarms")
        stored = tx.query('select * from clean.alarm order by "RaisedAt", "AlarmID"').to_pylist()
        known = {row["AlarmID"] for row in stored}
        stored += [row for row in decided_alarms(tx) if row["AlarmID"] not in known]
        fresh: list[dict[str, Any]] = []
        if found is not None and alarms is not None:
            texts = _reasons(warehouse, store, found, alarms, stored)
            fresh = _fresh_rows(found, alarms, texts)
        rows = merged(stored, fresh, _newest(found))
        done = tx.upsert(ALARM, pa.Table.from_pylist(rows, schema=arrow_schema(ALARM)))
        if done.changed:
            ledger.mark_changed(tx, ALARM.asset, {"": len(rows)})
    summary.changed = done.changed
    summary.raised = len(fresh)
    summary.states.update(row["State"] for row in rows)
    summary.open_rows = [row for row in rows if row["State"] in ("open", "acknowledged")]
    return summary


_REASON_DAYS = 30


def _alarm_id(node: str, raised: datetime) -> str:
    return f"{node} {raised:%Y-%m-%d %H:%M:%S}"


def _moment(ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=ms)


def _newest(found: Forecasts | None) -> datetime | None:
    return _moment(int(found.time_ms.max())) if found is not None else None


def _fresh_rows(
    found: Forecasts, alarms: Alarms, texts: dict[tuple[str, datetime], str]
) -> list[dict[str, Any]]:
    rows = []
    for raised, closed in zip(alarms.raised_row.tolist(), alarms.closed_row.tolist(), strict=True):
        node, moment = found.nodes[found.well[raised]], _moment(int(found.time_ms[raised]))
        end = closed if closed >= 0 else int(np.searchsorted(found.well, found.well[raised], "right"))
        worst = raised + int(found.probability[raised:end].argmax())
        rows.append(
            {
                "AlarmID": _alarm_id(node, moment),
                "NodeID": node,
                "RaisedAt": moment,
                # conditions go on while an alarm stands: its worst day knows best what will fail
                "Class": str(found.label[worst]),
                "Prob": round(100.0 * float(found.probability[raised]), 3),
                "Reason": texts.get((node, moment), ""),
                "State": "open" if closed < 0 else "closed",
                "ClosedAt": None if closed < 0 else _moment(int(found.time_ms[closed])),
                "threshold": round(100.0 * float(found.threshold[raised]), 3),
                "ModelVersion": str(found.version[raised]),
                "decided_by": None,
                "decided_at": None,
                "note": None,
            }
        )
    return rows


def merged(
    stored: list[dict[str, Any]], fresh: list[dict[str, Any]], newest: datetime | None
) -> list[dict[str, Any]]:
    """Bring alarms of a materialization together with those that stand.

    Parameters
    ----------
    stored, fresh : list of dict
        Rows of ``clean.alarm``: as it is, and as the rule has them now.
    newest : datetime or None
        Time of the newest forecast.

    Returns
    -------
    list of dict
        All rows: none of the stored ones is missing. A stored alarm of the same event lends its AlarmID, its moment and what a
        person said; one that the rule no longer raises is closed.
    """
    by_node: dict[str, list[dict[str, Any]]] = {}
    for row in stored:
        by_node.setdefault(row["NodeID"], []).append(row)
    taken: set[str] = set()
    rows = []
    for row in fresh:
        same = [
            old
            for old in by_node.get(row["NodeID"], [])
            if old["AlarmID"] not in taken and _same_event(old, row)
        ]
        # what a person decided on goes first
        same.sort(key=lambda old: (old["decided_at"] is None, abs(old["RaisedAt"] - row["RaisedAt"])))
        if not same:
            rows.append(row)
            continue
        old = same[0]
        taken.add(old["AlarmID"])
        kept = dict(row, AlarmID=old["AlarmID"], Reason=row["Reason"] or old["Reason"])
        if old["decided_at"] is not None:
            kept |= {name: old[name] for name in ("decided_by", "decided_at", "note")}
            kept["RaisedAt"] = old["RaisedAt"]
            ended = old["State"] == "dismissed" or row["State"] == "open"
            kept["State"] = old["State"] if ended else "closed"
            if old["State"] == "closed":
                kept["State"], kept["ClosedAt"] = "closed", old["ClosedAt"]
        rows.append(kept)
    for old in stored:
        if old["AlarmID"] in taken:
            continue
        if old["State"] in ("open", "acknowledged"):
            old = dict(old, State="closed", ClosedAt=newest)
        rows.append(old)
    return rows


def _same_event(old: dict[str, Any], row: dict[str, Any]) -> bool:
    if abs(old["RaisedAt"] - row["RaisedAt"]) <= timedelta(days=SAME_EVENT_DAYS):
        return True
    far = datetime.max
    return bool(old["RaisedAt"] <= (row["ClosedAt"] or far) and row["RaisedAt"] <= (old["ClosedAt"] or far))


def _reasons(
    warehouse: Warehouse,
    store: ObjectStore,
    found: Forecasts,
    alarms: Alarms,
    stored: list[dict[str, Any]],
) -> dict[tuple[str, datetime], str]:
    """Reasons of the alarms that do not stand with one already, some days of alarms at a time."""
    told = {
        (row["NodeID"], row["RaisedAt"], row["ModelVersion"]): row["Reason"]
        for row in stored
        if row["Reason"]
    }
    texts: dict[tuple[str, datetime], str] = {}
    wanted: list[tuple[int, str, datetime, str]] = []
    for row in alarms.raised_row.tolist():
        key = found.nodes[found.well[row]], _moment(int(found.time_ms[row]))
        version = str(found.version[row])
        if (*key, version) in told:
            texts[key] = told[(*key, version)]
        else:
            wanted.append((int(found.time_ms[row]), *key, version))
    wanted.sort()
    first = 0
    while first < len(wanted):
        begin = wanted[first][2].date()
        last = first
        while last < len(wanted) and (wanted[last][2].date() - begin).days < _REASON_DAYS:
            last += 1
        texts |= _reasons_of(warehouse, store, wanted[first:last], begin, wanted[last - 1][2].date())
        first = last
    return texts


def _reasons_of(
    warehouse: Warehouse,
    store: ObjectStore,
    wanted: list[tuple[int, str, datetime, str]],
    first: date,
    last: date,
) -> dict[tuple[str, datetime], str]:
    known = read_known(warehouse, store, first - timedelta(days=MEMORY_DAYS), last)
    number = {node: place for place, node in enumerate(known.nodes)}
    place = {
        (well, moment): row
        for row, (well, moment) in enumerate(
            zip(known.rows.well.tolist(), known.rows.time_ms.tolist(), strict=True)
        )
    }
    texts: dict[tuple[str, datetime], str] = {}
    for version in sorted({item[3] for item in wanted}):
        mine = [item for item in wanted if item[3] == version and (number.get(item[1], -1), item[0]) in place]
        if not mine:
            continue
        rows = np.array([place[number[item[1]], item[0]] for item in mine])
        features = known.data.features[rows]
        age = features[:, known.data.names.index("age_days")]
        said = reasons(forecaster_named(warehouse, store, version), features, known.rows, rows, age)
        texts |= {(item[1], item[2]): text for item, text in zip(mine, said, strict=True)}
    return texts


def backtest(warehouse: Warehouse, store: ObjectStore) -> dict[str, Any]:
    """Tell how the rule did on the forecasts of the past, each by a model that came before it.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore

    Returns
    -------
    dict
        Empty where there are no forecasts; else well-months, failures, those caught, median lead, alarms that came true, that
        did not, that are not decided, and false ones per well-month.
    """
    found = read_forecasts(warehouse, store)
    if found is None:
        return {}
    alarms = alarms_of(found)
    log = failure_log(warehouse, found.nodes)
    rows = alarms.raised_row
    well, raised = found.well[rows], found.time_ms[rows]
    end = int(found.time_ms.max())
    outcome, _ = alarm_outcomes(well, raised, log, end)
    begin = found.time_ms.min()
    judged = (log.start_ms > begin) & (log.start_ms <= end)
    lead = foretold_days(well, raised, log)[judged]
    hits = lead[np.isfinite(lead)]
    months = len(found.well) / MONTH_DAYS
    return {
        "well_months": round(months, 1),
        "failures": int(judged.sum()),
        "failures_caught": int(hits.size),
        "median_lead_days": round(float(np.median(hits)), 1) if hits.size else None,
        "alarms_that_came_true": int((outcome == TRUE).sum()),
        "false_alarms": int((outcome == FALSE).sum()),
        "not_decided_yet": int((outcome == OPEN).sum()),
        "false_alarms_per_well_month": round(float((outcome == FALSE).sum() / months), 4),
    }
