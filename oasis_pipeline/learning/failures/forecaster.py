"""The forecaster of failures: several hazard models that saw different wells, their threshold, and how one is chosen at a cut-off.

Belongs here: fitting at a cut-off, choosing by evidence. Does not belong here: the artifact (``packing``), which cut-offs there are and which row gets
which model (``walk_forward``), tables.

At a cut-off three candidates are compared by what they said of days whose outcome is known by then: base rates; the base model, learned on
simulated fields, with its level moved to the field's; and trees learned on the field's own days. No candidate has seen the well that it is
judged on. The base model holds experts, one for each kind of field; which of them stands for it, or all of them together, follows from
what the field's days came to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.alarms import (
    ALARM_HORIZON_DAYS,
    NEVER_RAISED,
    OUTCOME_DAYS,
    FalseAlarms,
    choose_threshold,
)
from oasis_pipeline.learning.failures.hazard import (
    BaseRates,
    BoostedHazards,
    BoostingOptions,
    NothingToLearnError,
    base_rates,
    fit_boosted,
    window_probabilities,
)
from oasis_pipeline.learning.failures.log import DAY_MS, LONG_AGO, FailureLog, Life
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, UNKNOWN, Outcomes, outcomes_at
from oasis_pipeline.learning.failures.windows import DailyRows, feature_names, window_features

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

FORECAST_VERSION = "hazard-3"
"""Changes whenever features, outcomes or models are computed differently."""

FOLDS = 3
LEAST_FAILURES = 8
"""Known failures from which a field's own trees are tried."""
LEAST_EVIDENCE = 5
"""Known failures from which a candidate may be preferred to the base model."""
EVIDENCE_ROWS = 15.0
"""Days of a well follow one another and share their outcome: so many intervals of them count as one witness for an expert."""
SURE = 0.75
"""Weight from which an expert stands alone for the base model."""
LEVEL_FAILURES = 8.0
"""The level of the base model is drawn to where it was as if by so many failures."""

OWN_OPTIONS = BoostingOptions()
"""How the trees of a field's own days are grown."""

_ALARM = HORIZONS_DAYS.index(ALARM_HORIZON_DAYS)
_LONGEST = HORIZONS_DAYS.index(OUTCOME_DAYS)


@dataclass(frozen=True)
class Forecaster:
    """What predicts.

    Attributes
    ----------
    members : tuple of BoostedHazards or BaseRates
        Their hazards are averaged.
    classes : tuple of str
        In the order of the hazards.
    features : tuple of str
        Names of the columns that it takes.
    threshold : float
        Alarms are raised where a failure within `ALARM_HORIZON_DAYS` is at least so probable.
    log_odds : float
        By how much the odds of a failure are moved.
    false_alarms : FalseAlarms or None
        What alarms by it came to on other fields, where that is known.
    """

    members: tuple[BoostedHazards | BaseRates, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    threshold: float = NEVER_RAISED
    log_odds: float = 0.0
    false_alarms: FalseAlarms | None = None

    def hazards(self, features: Float32) -> Float64:
        """Return hazards, shape (n, intervals, classes)."""
        mean = sum(member.hazards(features) for member in self.members) / len(self.members)
        return shifted(np.asarray(mean), self.log_odds)

    def probabilities(self, features: Float32) -> Float64:
        """Return probabilities of windows, shape (n, horizons, classes + 1), Normal first."""
        return window_probabilities(self.hazards(features))


def shifted(hazards: Float64, log_odds: float) -> Float64:
    """Move the odds of any failure, the shares of the classes left as they are."""
    if log_odds == 0.0:
        return hazards
    total = np.clip(hazards.sum(axis=2), 1e-12, 1.0 - 1e-12)
    odds = total / (1.0 - total) * np.exp(log_odds)
    return np.asarray(hazards * (odds / (1.0 + odds) / total)[:, :, np.newaxis])


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
    kind : str
        ``base``, ``rates`` or ``trees``.
    expert : str
        Which one stood for the base model; empty for all of them.
    failures : int
        Known failures that it rests on.
    log_loss : dict of str to float
        Mean loss of each candidate in the alarm's window, of wells that it had not seen.
    """

    forecaster: Forecaster
    kind: str
    expert: str
    failures: int
    log_loss: dict[str, float]


def fit_at(
    data: Learnable,
    cutoff_ms: int,
    base: Forecaster,
    experts: Mapping[str, Forecaster] = MappingProxyType({}),
    beforehand: Mapping[str, float] = MappingProxyType({}),
    seed: int = 0,
) -> Fitted:
    """Fit and choose with what was known at a cut-off.

    Parameters
    ----------
    data : Learnable
        Rows after the cut-off, and failures that became known after it, are not looked at.
    cutoff_ms : int
    base : Forecaster
        The base model.
    experts : mapping of str to Forecaster
        Its parts by kind of field, see `base.base_experts`.
    beforehand : mapping of str to float
        Weights of the experts before the field's days are looked at; 1 where none is given.
    seed : int

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
    counts = np.bincount(log.label, minlength=len(log.classes)).astype(np.float64)
    base_classes = base.classes
    expert = _sure_expert(experts, beforehand, features, outcomes)
    base = _in_classes(experts[expert] if expert else base, log.classes)
    candidates: dict[str, tuple[Forecaster, Float64]] = {}
    # only what was known at the cut-off may count: not how many classes there are by now
    expected = np.isin(log.classes, base_classes) / len(base_classes)
    rates = Forecaster((base_rates(counts, float(len(well)), expected),), log.classes, data.names)
    candidates["rates"] = rates, rates.probabilities(features)
    raw = base.hazards(features)
    target = outcomes.window(ALARM_HORIZON_DAYS)
    shift = _level(window_probabilities(raw)[:, _ALARM, 0], target) if failures else 0.0
    moved = replace(
        base,
        log_odds=base.log_odds + shift,
        false_alarms=base.false_alarms.moved(shift) if base.false_alarms is not None else None,
    )
    candidates["base"] = moved, window_probabilities(shifted(raw, shift))
    if failures >= LEAST_FAILURES:
        own = cross_fitted(features, outcomes, data.fold[well], len(log.classes), seed)
        if own is not None:
            candidates["trees"] = Forecaster(own[0], log.classes, data.names), own[1]
    known = target != UNKNOWN
    loss = {name: _log_loss(p[known, _ALARM, 0], target[known] >= 0) for name, (_, p) in candidates.items()}
    kind = "base" if failures < LEAST_EVIDENCE else min(loss, key=lambda name: (loss[name], name))
    chosen, said = candidates[kind]
    failure = 1.0 - said[:, :, 0]
    threshold = (
        choose_threshold(
            well,
            time_ms,
            failure[:, _ALARM],
            failure[:, _LONGEST],
            life,
            log,
            cutoff_ms,
            beforehand=chosen.false_alarms,
        )
        if kind != "rates"
        else NEVER_RAISED
    )
    return Fitted(replace(chosen, threshold=threshold), kind, expert, failures, loss)


def _sure_expert(
    experts: Mapping[str, Forecaster],
    beforehand: Mapping[str, float],
    features: Float32,
    outcomes: Outcomes,
) -> str:
    """Name the expert that what is known speaks for clearly, empty where none is."""
    row, interval = np.nonzero(outcomes.interval != UNKNOWN)
    if not experts or row.size == 0:
        return ""
    failed = outcomes.interval[row, interval] >= 0
    names = sorted(experts)
    evidence = []
    for name in names:
        hazard = experts[name].hazards(features).sum(axis=2)[row, interval]
        chance = np.clip(np.where(failed, hazard, 1.0 - hazard), 1e-6, 1.0)
        evidence.append(float(np.log(chance).sum()) / EVIDENCE_ROWS + np.log(beforehand.get(name, 1.0)))
    weight = np.exp(np.array(evidence) - max(evidence))
    weight /= weight.sum()
    best = int(weight.argmax())
    return names[best] if weight[best] >= SURE else ""


def cross_fitted(
    features: Float32,
    outcomes: Outcomes,
    fold: Int64,
    classes: int,
    seed: int,
    options: BoostingOptions = OWN_OPTIONS,
) -> tuple[tuple[BoostedHazards, ...], Float64] | None:
    """Learn one model a fold, on the other folds' wells.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    outcomes : Outcomes
        Of the same rows.
    fold : ndarray of int64, shape (n,)
    classes : int
    seed : int
    options : BoostingOptions

    Returns
    -------
    members : tuple of BoostedHazards
    said : ndarray, shape (n, horizons, classes + 1)
        What each said of its own fold.

    None where some fold's others hold nothing to learn from.
    """
    members = []
    said = np.zeros((len(features), len(HORIZONS_DAYS), classes + 1))
    for held in np.unique(fold).tolist():
        inside, outside = fold == held, fold != held
        try:
            member = fit_boosted(features[outside], _rows(outcomes, outside), classes, seed, options)
        except NothingToLearnError:
            return None
        members.append(member)
        said[inside] = window_probabilities(member.hazards(features[inside]))
    return (tuple(members), said) if len(members) > 1 else None


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


def _level(normal: Float64, target: Int64) -> float:
    """Move of the log-odds that makes the expected number of failures the observed one, drawn to none."""
    known = target != UNKNOWN
    chance = np.clip(1.0 - normal[known], 1e-9, 1.0 - 1e-9)
    if chance.size == 0:
        return 0.0
    logit = np.log(chance / (1.0 - chance))
    # a failure stands in as many rows as the window has days
    drawn = LEVEL_FAILURES * ALARM_HORIZON_DAYS
    wanted = np.count_nonzero(target[known] >= 0) + drawn
    low, high = -8.0, 8.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        expected = (1.0 / (1.0 + np.exp(-(logit + middle)))).sum()
        prior = 2.0 * drawn / (1.0 + np.exp(-middle))
        low, high = (middle, high) if expected + prior < wanted else (low, middle)
    return 0.5 * (low + high)


def _in_classes(base: Forecaster, classes: Sequence[str]) -> Forecaster:
    """Put the base model's classes into the order of others, which hold all of them."""
    if base.classes == tuple(classes):
        return base
    place = {name: number for number, name in enumerate(classes)}
    members: list[BoostedHazards | BaseRates] = []
    for member in base.members:
        if isinstance(member, BoostedHazards):
            moved = np.array([place[base.classes[number]] for number in member.taught], np.int64)
            members.append(
                BoostedHazards(member.any_failure, member.which, moved, len(classes), member.log_odds)
            )
        else:
            rate = np.zeros(len(classes))
            rate[[place[name] for name in base.classes]] = member.rate_per_day
            members.append(BaseRates(rate))
    return replace(base, members=tuple(members), classes=tuple(classes))
