"""Failures in discrete time: the chance of each class in each interval after a day, given that none came before.

Belongs here: from rates to chances, from chances to probabilities of windows, and base rates. Does not belong here: what rates rest on
(``causes``), outcomes, the walk through time.

A window's probability is put together from its intervals, so that longer windows are never less probable than shorter ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

INTERVAL_DAYS = np.diff(np.array([0, *HORIZONS_DAYS])).astype(np.float64)


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


def chances(rate_per_day: Float64, days: Float64) -> Float64:
    """Chance of each class in an interval at constant rates.

    Parameters
    ----------
    rate_per_day : ndarray, shape (..., classes)
    days : ndarray
        Length of the interval; broadcasts with the rates.

    Returns
    -------
    ndarray, shape (..., classes)
        Sums to 1 - exp(-days times the sum of the rates).
    """
    total = rate_per_day.sum(axis=-1, keepdims=True)
    share = rate_per_day / np.where(total > 0.0, total, 1.0)
    return np.asarray(-np.expm1(-total * days) * share)


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
        each = chances(self.rate_per_day[np.newaxis, :], INTERVAL_DAYS[:, np.newaxis])
        return np.broadcast_to(each, (len(features), *each.shape)).copy()


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
