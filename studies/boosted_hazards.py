"""Boosted trees on discrete-time hazards: what failures can be learned from in place of causes, once there are enough of them.

Belongs here: stacking rows and intervals, growing, and models that saw different wells. Does not belong here: the trees (``boosting``).

A row whose later intervals are not known yet still teaches its earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.hazard import INTERVAL_DAYS
from oasis_pipeline.learning.failures.outcomes import NO_FAILURE, UNKNOWN, Outcomes
from studies.boosting import BoostedTrees, grow

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class NothingToLearnError(ValueError):
    """The outcomes hold nothing that a model could be learned from."""


class Hazards(Protocol):
    """A fitted model: from features to hazards."""

    def hazards(self, features: Float32) -> Float64:
        """Return the hazard of each class in each interval, shape (n, intervals, classes)."""
        ...


Fit = Callable[[Float32, Outcomes, int, int], Hazards]
"""(features, outcomes, classes, seed) -> fitted model."""


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
