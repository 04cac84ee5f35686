"""Models of failures in discrete time: the chance of each class in each interval after a day, given that none came before.

Belongs here: stacking rows and intervals, fitting, and from hazards to probabilities of windows. Does not belong here: features,
outcomes, the walk through time.

A window's probability is put together from its intervals, so that longer windows are never less probable than shorter ones, and
a row whose later intervals are not known yet still teaches its earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.boosting import BoostedTrees, grow
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, NO_FAILURE, UNKNOWN, Outcomes

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

INTERVAL_DAYS = np.diff(np.array([0, *HORIZONS_DAYS])).astype(np.float64)


class NothingToLearnError(ValueError):
    """The outcomes hold nothing that a model could be learned from."""


class Hazards(Protocol):
    """A fitted model: from features to hazards."""

    def hazards(self, features: Float32) -> Float64:
        """Return the hazard of each class in each interval, shape (n, intervals, classes)."""
        ...


Fit = Callable[[Float32, Outcomes, int, int], Hazards]
"""(features, outcomes, classes, seed) -> fitted model."""


def window_probabilities(hazards: Float64) -> Float64:
    """Put the probabilities of windows together.

    Parameters
    ----------
    hazards : ndarray, shape (n, intervals, classes)
        Of each interval, given that none came before.

    Returns
    -------
    ndarray, shape (n, horizons, classes + 1)
        Normal first; sums to 1.
    """
    any_class = np.clip(hazards.sum(axis=2), 0.0, 1.0)
    before = np.cumprod(np.concatenate([np.ones((len(hazards), 1)), 1.0 - any_class], axis=1), axis=1)
    classes = np.cumsum(hazards * before[:, :-1, np.newaxis], axis=1)
    return np.concatenate([before[:, 1:, np.newaxis], classes], axis=2)


def stacked(features: Float32, outcomes: Outcomes) -> tuple[NDArray[np.intp], Int64, Int64]:
    """Pair rows with the intervals whose outcome is known.

    Returns
    -------
    row, interval, outcome : ndarray
        Of each pair; the outcome is a class or `NO_FAILURE`.
    """
    row, interval = np.nonzero(outcomes.interval != UNKNOWN)
    return row, interval, outcomes.interval[row, interval]


@dataclass(frozen=True)
class BaseRates:
    """Each class at its rate, whatever the features say: the trivial model, and what stands in before there is a history.

    Attributes
    ----------
    rate_per_day : ndarray, shape (classes,)
    """

    rate_per_day: Float64

    def hazards(self, features: Float32) -> Float64:
        """Return hazards, shape (n, intervals, classes)."""
        total = self.rate_per_day.sum()
        share = self.rate_per_day / total if total > 0.0 else self.rate_per_day
        chance = 1.0 - np.exp(-total * INTERVAL_DAYS)
        return np.broadcast_to(
            chance[np.newaxis, :, np.newaxis] * share, (len(features), len(INTERVAL_DAYS), len(share))
        ).copy()


PRIOR_DAYS_PER_FAILURE = 700.0
"""A rod-pumped well's run life in well-days, for fields that have seen nothing yet; it weighs as one failure."""


def base_rates(failures_by_class: Float64, well_days: float, expected: Float64) -> BaseRates:
    """Rates of classes from counts, drawn towards one failure in `PRIOR_DAYS_PER_FAILURE`.

    Parameters
    ----------
    failures_by_class : ndarray, shape (classes,)
    well_days : float
    expected : ndarray, shape (classes,)
        Shares of the classes before anything is counted; sums to 1.

    Returns
    -------
    BaseRates
    """
    return BaseRates((failures_by_class + expected) / (well_days + PRIOR_DAYS_PER_FAILURE))


@dataclass(frozen=True)
class BoostedHazards:
    """Boosted trees: one set for whether a failure comes in an interval, one for its class if it does.

    Attributes
    ----------
    any_failure : BoostedTrees
        On the features and the number of the interval; outputs no failure, failure.
    which : BoostedTrees or None
        On the features; outputs the classes of `taught`; None where there is only one.
    taught : ndarray of int64
        Classes that occurred in training.
    classes : int
    log_odds : float
        Added to the odds of failure: days without one were thinned out in training.
    """

    any_failure: BoostedTrees
    which: BoostedTrees | None
    taught: Int64
    classes: int
    log_odds: float

    def hazards(self, features: Float32) -> Float64:
        """Return hazards, shape (n, intervals, classes)."""
        count, intervals = len(features), len(INTERVAL_DAYS)
        result = np.zeros((count, intervals, self.classes))
        share = np.ones((count, 1))
        if self.which is not None:
            raw = self.which.raw(features)
            share = np.exp(raw - raw.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
        for interval in range(intervals):
            column = np.full((count, 1), interval, np.float32)
            raw = self.any_failure.raw(np.concatenate([features, column], axis=1))
            odds = np.clip(raw[:, 1] - raw[:, 0] + self.log_odds, -30.0, 30.0)
            result[:, interval, self.taught] = share / (1.0 + np.exp(-odds))[:, np.newaxis]
        return result


@dataclass(frozen=True)
class BoostingOptions:
    """How trees are grown; chosen on the tuning fields."""

    rounds: int = 80
    learning_rate: float = 0.06
    leaves: int = 6
    min_leaf: int = 40
    l2: float = 5.0
    share_of_features: float = 0.2
    quiet_per_failed: float = 6.0


_CLASS_ROUNDS = 25


def fit_boosted(
    features: Float32,
    outcomes: Outcomes,
    classes: int,
    seed: int,
    options: BoostingOptions = BoostingOptions(),
) -> BoostedHazards:
    """Grow boosted trees on rows stacked with their intervals.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        NaN is missing, and trees learn which side it goes to.
    outcomes : Outcomes
        Of the same rows.
    classes : int
    seed : int
    options : BoostingOptions

    Returns
    -------
    BoostedHazards

    Raises
    ------
    NothingToLearnError
        If no failure, or no day without one, is known among the outcomes.
    """
    row, interval, outcome = stacked(features, outcomes)
    failed, quiet = np.flatnonzero(outcome >= 0), np.flatnonzero(outcome == NO_FAILURE)
    if failed.size == 0 or quiet.size == 0:
        raise NothingToLearnError("no failure is known yet")
    most = int(options.quiet_per_failed * failed.size)
    thinned = 1.0
    if quiet.size > most:
        thinned = quiet.size / most
        quiet = np.sort(np.random.default_rng(seed).choice(quiet, most, replace=False))
    kept = np.concatenate([failed, quiet])
    table = np.concatenate([features[row[kept]], interval[kept, np.newaxis].astype(np.float32)], axis=1)

    def grown(rows: Float32, target: Int64, rounds: int) -> BoostedTrees:
        return grow(
            rows,
            target,
            rounds=rounds,
            learning_rate=options.learning_rate,
            leaves=options.leaves,
            min_leaf=options.min_leaf,
            l2=options.l2,
            share_of_features=options.share_of_features,
            seed=seed,
        )

    any_failure = grown(table, (outcome[kept] >= 0).astype(np.int64), options.rounds)
    taught, target = np.unique(outcome[failed], return_inverse=True)
    which = None
    if len(taught) > 1:
        which = grown(features[row[failed]], target.reshape(-1).astype(np.int64), _CLASS_ROUNDS)
    return BoostedHazards(any_failure, which, taught.astype(np.int64), classes, -float(np.log(thinned)))
