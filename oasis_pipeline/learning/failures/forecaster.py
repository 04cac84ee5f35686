"""The forecaster of failures: a model, its threshold, and how both are fitted at a cut-off.

Belongs here: fitting at a cut-off, and the evidence for it. Does not belong here: the model (``causes``), the artifact (``packing``), which
cut-offs there are and which row gets which model (``walk_forward``), tables.

Failures are forecast by their causes, with rates moved by what the field has seen. The threshold of alarms follows from what is said of wells that
the rates had not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.alarms import (
    ALARM_HORIZON_DAYS,
    NEVER_RAISED,
    OUTCOME_DAYS,
    choose_threshold,
)
from oasis_pipeline.learning.failures.causes import SHARES, CauseHazards, fit_causes
from oasis_pipeline.learning.failures.hazard import base_rates, window_probabilities
from oasis_pipeline.learning.failures.log import DAY_MS, LONG_AGO, FailureLog, Life
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, UNKNOWN, Outcomes, outcomes_at
from oasis_pipeline.learning.failures.windows import DailyRows, feature_names, window_features

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

FORECAST_VERSION = "hazard-5"
"""Changes whenever features, outcomes or models are computed differently."""

FOLDS = 3

_ALARM = HORIZONS_DAYS.index(ALARM_HORIZON_DAYS)
_LONGEST = HORIZONS_DAYS.index(OUTCOME_DAYS)


@dataclass(frozen=True)
class Forecaster:
    """What predicts.

    Attributes
    ----------
    model : CauseHazards
    classes : tuple of str
        In the order of the hazards.
    features : tuple of str
        Names of the columns that it takes.
    threshold : float
        Alarms are raised where a failure within `ALARM_HORIZON_DAYS` is at least so probable.
    """

    model: CauseHazards
    classes: tuple[str, ...]
    features: tuple[str, ...]
    threshold: float = NEVER_RAISED

    def probabilities(self, features: Float32) -> Float64:
        """Return probabilities of windows, shape (n, horizons, classes + 1), Normal first."""
        return window_probabilities(self.model.hazards(features))


def learnable(
    rows: DailyRows,
    log: FailureLog,
    nodes: Sequence[str],
    first_day: Int64,
    renewal_well: Int64 | None = None,
    renewal_ms: Int64 | None = None,
) -> tuple[Learnable, Life]:
    """Bring rows to what is fitted and predicted on.

    Parameters
    ----------
    rows : DailyRows
    log : FailureLog
    nodes : sequence of str
        Name of each well that the rows count.
    first_day, renewal_well, renewal_ms
        See `windows.window_features`.

    Returns
    -------
    Learnable
    Life
    """
    features, life = window_features(rows, log, first_day, renewal_well, renewal_ms)
    known = np.where(life.begin_ms == LONG_AGO, 0, life.begin_ms // 1000) * 4096 + life.failures
    return (
        Learnable(
            rows.well,
            rows.time_ms,
            features,
            tuple(feature_names(rows.channels)),
            known,
            fold_of(nodes),
            log,
        ),
        life,
    )


def fold_of(nodes: Sequence[str], folds: int = FOLDS) -> Int64:
    """Deal wells into folds by their names alone, so that a new well moves no other."""
    return np.array([crc32(node.casefold().encode()) % folds for node in nodes], np.int64)


@dataclass(frozen=True)
class Learnable:
    """What a forecaster is fitted on: rows in order of well and time, with everything as known at their own time.

    Attributes
    ----------
    well, time_ms : ndarray of int64, shape (n,)
    features : ndarray of float32, shape (n, features)
    names : tuple of str
        Of the features.
    life : ndarray of int64, shape (n,)
        Changes where a failure or workover became known, see `alarms.raise_alarms`.
    fold : ndarray of int64, shape (wells,)
        Of each well.
    log : FailureLog
    """

    well: Int64
    time_ms: Int64
    features: Float32
    names: tuple[str, ...]
    life: Int64
    fold: Int64
    log: FailureLog


@dataclass(frozen=True)
class Fitted:
    """A forecaster with the evidence for it.

    Attributes
    ----------
    forecaster : Forecaster
    failures : int
        Known failures that it rests on.
    log_loss : dict of str to float
        Mean loss in the alarm's window of ``causes``, of wells that they had not seen, and of ``rates`` that look at no card.
    """

    forecaster: Forecaster
    failures: int
    log_loss: dict[str, float]


def fit_at(data: Learnable, cutoff_ms: int) -> Fitted:
    """Fit with what was known at a cut-off.

    Parameters
    ----------
    data : Learnable
        Rows after the cut-off, and failures that became known after it, are not looked at.
    cutoff_ms : int

    Returns
    -------
    Fitted
    """
    past = data.time_ms < cutoff_ms
    well, time_ms, life = (column[past] for column in (data.well, data.time_ms, data.life))
    features = data.features[past]
    log = data.log.known_at(cutoff_ms)
    log = log.take(np.isin(log.well, well))
    outcomes = outcomes_at(well, time_ms, log, cutoff_ms)
    failures = _failures_seen(well, time_ms, outcomes)
    # workovers that are known from before the data have no days to be counted against
    within = log.label[log.start_ms >= time_ms.min()] if len(well) else log.label[:0]
    counts = np.bincount(within, minlength=len(log.classes)).astype(np.float64)
    expected = np.array([SHARES.get(name, 0.0) for name in log.classes])
    rates = window_probabilities(base_rates(counts, float(len(well)), expected).hazards(features))
    causes, said = _by_causes(well, time_ms, features, outcomes, data, log)
    target = outcomes.window(ALARM_HORIZON_DAYS)
    known = target != UNKNOWN
    loss = {
        name: _log_loss(chance[known, _ALARM, 0], target[known] >= 0)
        for name, chance in (("rates", rates), ("causes", said))
    }
    failure = 1.0 - said[:, :, 0]
    threshold = choose_threshold(
        well, time_ms, failure[:, _ALARM], failure[:, _LONGEST], life, log, cutoff_ms
    )
    return Fitted(replace(causes, threshold=threshold), failures, loss)


def _by_causes(
    well: Int64, time_ms: Int64, features: Float32, outcomes: Outcomes, data: Learnable, log: FailureLog
) -> tuple[Forecaster, Float64]:
    """Hazards by cause of all wells, and what those of the other wells say of each."""

    def fitted(rows: NDArray[np.bool_]) -> Forecaster:
        model = fit_causes(
            features[rows], data.names, well[rows], time_ms[rows], _rows(outcomes, rows), log.classes
        )
        return Forecaster(model, log.classes, data.names)

    said = np.zeros((len(features), len(HORIZONS_DAYS), len(log.classes) + 1))
    fold = data.fold[well]
    for held in np.unique(fold).tolist():
        inside = fold == held
        said[inside] = fitted(~inside).probabilities(features[inside])
    return fitted(np.ones(len(well), bool)), said


def _failures_seen(well: Int64, time_ms: Int64, outcomes: Outcomes) -> int:
    """Count the failures that some row has among its outcomes."""
    rows = np.flatnonzero((outcomes.interval >= 0).any(axis=1))
    start = time_ms[rows] + np.round(outcomes.days_to_failure[rows] * DAY_MS).astype(np.int64)
    return len(np.unique(np.stack([well[rows], start], axis=1), axis=0))


def _rows(outcomes: Outcomes, rows: NDArray[np.bool_]) -> Outcomes:
    return Outcomes(outcomes.interval[rows], outcomes.days_to_failure[rows], outcomes.observed_days[rows])


def _log_loss(normal: Float64, failed: NDArray[np.bool_]) -> float:
    if len(normal) == 0:
        return 0.0
    chance = np.clip(np.where(failed, 1.0 - normal, normal), 1e-6, 1.0)
    return float(-np.log(chance).mean())
