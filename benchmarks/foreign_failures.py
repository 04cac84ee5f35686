"""Failure forecasts on a foreign field: walked through time as the platform walks, and judged beside trivial methods.

Belongs here: from a field that was taken in to forecasts of every day by a model that came before it, and scores. Does not belong here: how the
field is made (``foreign``), how it is taken in (``foreign_truth``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.foreign_truth import kept_platform, warehouse_of
from oasis_pipeline.learning.failures.alarms import (
    FALSE_ALARMS_PER_WELL_MONTH,
    MONTH_DAYS,
    TRUE,
    alarm_outcomes,
    foretold_days,
    raise_alarms,
)
from oasis_pipeline.learning.failures.base import base_forecaster
from oasis_pipeline.learning.failures.causes import CAUSE_CHANNELS
from oasis_pipeline.learning.failures.forecaster import Forecaster, Learnable, fit_at, learnable
from oasis_pipeline.learning.failures.log import DAY_MS, FailureLog
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, UNKNOWN, outcomes_at
from oasis_pipeline.learning.failures.walk_forward import cutoff_of, cutoffs
from oasis_pipeline.learning.severities import CONDITIONS
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.failure_forecasts import moment_ms
from oasis_pipeline.operations.features import FEATURES_VERSION
from oasis_pipeline.operations.well_days import (
    FEATURES,
    WELL_DAYS,
    WELL_DAYS_VERSION,
    failure_log,
    first_days,
    load_well_days,
    rods_changed,
    well_day_tables,
)
from oasis_pipeline.storage.day_files import split_by_day, stamped, write_days

Float64 = NDArray[np.float64]
HARMLESS = ("full_pump", "fluid_pound", "gas_interference")
FIRST_DAYS = 30
"""The first month, in which a field has told next to nothing."""


def failure_days(seed: int, cache: Path, size: tuple[int, int], lifelike: bool = True) -> Learnable:
    """Return wells' days of a foreign field as the platform forecasts from.

    Parameters
    ----------
    seed : int
    cache : Path
        Where fields are kept.
    size : tuple of int
        Wells and days.
    lifelike : bool
        See `foreign.files.write_field`.

    Returns
    -------
    Learnable
    """
    folder = kept_platform(seed, cache, *size, lifelike=lifelike)
    found = pq.read_table(folder / "features.parquet")
    with warehouse_of(folder) as (warehouse, store):
        days = [day for day, _ in split_by_day(found, "Date")]
        span = Days(min(days), max(days))
        write_days(store, FEATURES, [stamped(found, FEATURES_VERSION)], days)
        for day, rows in well_day_tables(warehouse, store, span):
            if rows.num_rows:
                write_days(store, WELL_DAYS, [stamped(rows, WELL_DAYS_VERSION)], [date.fromisoformat(day)])
        daily, nodes = load_well_days(store, span.first, span.last, CAUSE_CHANNELS)
        log = failure_log(warehouse, nodes)
        data, _ = learnable(daily, log, nodes, first_days(warehouse, nodes), *rods_changed(warehouse, nodes))
    return data


@dataclass(frozen=True)
class Walked:
    """Forecasts of n well-days, each by the newest model before it.

    Attributes
    ----------
    data : Learnable
    probability : ndarray, shape (n, horizons, classes)
        Of a failure of each class within each window.
    threshold : ndarray, shape (n,)
        In force for alarms.
    """

    data: Learnable
    probability: Float64
    threshold: Float64

    @property
    def failure(self) -> Float64:
        """Probability of any failure, shape (n, horizons)."""
        return np.asarray(self.probability.sum(axis=2))


def walk(data: Learnable) -> Walked:
    """Forecast every day of a field as the platform does.

    Parameters
    ----------
    data : Learnable

    Returns
    -------
    Walked
    """
    day = data.time_ms // DAY_MS
    first, last = (date(1970, 1, 1) + timedelta(days=int(end)) for end in (day.min(), day.max()))
    due = cutoffs(first, last)
    packaged = base_forecaster()
    # a field may have fewer quantities than the packaged model looks at
    base = replace(packaged, model=replace(packaged.model, names=data.names), features=data.names)
    fitted = {cutoff: fit_at(data, moment_ms(cutoff)) for cutoff in due}
    probability = np.zeros((len(day), len(HORIZONS_DAYS), len(data.log.classes)))
    threshold = np.zeros(len(day))
    for number in np.unique(day).tolist():
        rows = np.flatnonzero(day == number)
        cutoff = cutoff_of(date(1970, 1, 1) + timedelta(days=number), due)
        model: Forecaster = fitted[cutoff].forecaster if cutoff else base
        place = np.array([data.log.classes.index(name) for name in model.classes])
        probability[np.ix_(rows, np.arange(len(HORIZONS_DAYS)), place)] = model.probabilities(
            data.features[rows]
        )[:, :, 1:]
        threshold[rows] = model.threshold
    return Walked(data, probability, threshold)


@dataclass(frozen=True)
class AlarmScore:
    """What alarms came to: share and number of failures, false alarms per well-month, median lead in days, share with the part right."""

    recall: float
    failures: int
    false_per_well_month: float
    lead_days: float
    part_right: float
    caught: int


def judge_alarms(
    data: Learnable, score: Float64, threshold: Float64 | float, part: NDArray[np.int64] | None = None
) -> AlarmScore:
    """Raise alarms by the platform's rule and count what came of them; every failure counts, also one that nothing announced.

    Parameters
    ----------
    data : Learnable
    score : ndarray, shape (n,)
    threshold : float or ndarray
    part : ndarray of int64, optional, shape (n,)
        Class that is likeliest to fail; an alarm says that of its worst day.

    Returns
    -------
    AlarmScore
    """
    log, end = data.log, int(data.time_ms.max())
    alarms = raise_alarms(data.well, data.time_ms, score, data.life, threshold)
    well, raised = data.well[alarms.raised_row], data.time_ms[alarms.raised_row]
    # an alarm of the last days counts too: a field's end is no excuse
    outcome, _ = alarm_outcomes(well, raised, log, end)
    leads, right = [], []
    judged = _within(log, data)
    days = foretold_days(well, raised, log)
    for i in judged[np.isfinite(days[judged])].tolist():
        leads.append(float(days[i]))
        # what the newest alarm before it said on its worst day
        newest = raised[(well == log.well[i]) & (raised < log.start_ms[i])].max()
        stood = np.flatnonzero(
            (data.well == log.well[i]) & (data.time_ms >= newest) & (data.time_ms < log.start_ms[i])
        )
        right.append(part is not None and part[stood[score[stood].argmax()]] == log.label[i])
    months = len(score) / MONTH_DAYS
    return AlarmScore(
        len(leads) / max(len(judged), 1),
        len(judged),
        float((outcome != TRUE).sum() / months),
        float(np.median(leads)) if leads else float("nan"),
        float(np.mean(right)) if right else float("nan"),
        len(leads),
    )


def recall_within(data: Learnable, score: Float64, budget: float = FALSE_ALARMS_PER_WELL_MONTH) -> AlarmScore:
    """Judge alarms at the one threshold that catches most within a budget: how well a score ranks, no more, as it is chosen in hindsight."""
    best = AlarmScore(0.0, len(_within(data.log, data)), 0.0, float("nan"), float("nan"), 0)
    for threshold in np.unique(np.quantile(score, 1.0 - np.geomspace(3e-4, 0.6, 60))):
        found = judge_alarms(data, score, float(threshold))
        if found.false_per_well_month <= budget and found.recall > best.recall:
            best = found
    return best


def _within(log: FailureLog, data: Learnable) -> NDArray[np.intp]:
    begin, end = data.time_ms.min(), data.time_ms.max()
    return np.flatnonzero((log.start_ms > begin) & (log.start_ms <= end))


def trivial_scores(data: Learnable) -> dict[str, Float64]:
    """Scores that need no model: none at all, the worst condition as cards show it, time since the newest workover."""

    def column(name: str) -> Float64:
        return np.nan_to_num(data.features[:, data.names.index(name)]).astype(np.float64)

    conditions: Sequence[str] = [name for name in CONDITIONS if name not in HARMLESS]
    return {
        "base rate": np.zeros(len(data.well)),
        "worst severity": np.max([column(f"severity_{name} level") for name in conditions], axis=0),
        "days since the workover": column("age_days"),
    }


def outcome_of(data: Learnable, horizon_days: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What came of each day within a window, and of which days that is known."""
    outcome = outcomes_at(data.well, data.time_ms, data.log, np.iinfo(np.int64).max // 2)
    return outcome.window(horizon_days), outcome.window(horizon_days) != UNKNOWN


def reliability(
    walked: Walked, horizon_days: int, first_day: int, last_day: int
) -> tuple[float, float, float, int]:
    """Return what was said and what came true, the error of five bins of equally many days, and the number of days.

    Parameters
    ----------
    walked : Walked
    horizon_days : int
    first_day, last_day : int
        Days since the field's first that count, the last one not.
    """
    data = walked.data
    window, known = outcome_of(data, horizon_days)
    day = (data.time_ms - data.time_ms.min()) / DAY_MS
    chosen = known & (day >= first_day) & (day < last_day)
    said = walked.failure[chosen, HORIZONS_DAYS.index(horizon_days)]
    true = window[chosen] >= 0
    bins = np.array_split(np.argsort(said, kind="stable"), 5)
    error = sum(len(rows) * abs(said[rows].mean() - true[rows].mean()) for rows in bins if len(rows))
    return float(said.mean()), float(true.mean()), float(error / max(len(said), 1)), int(chosen.sum())
