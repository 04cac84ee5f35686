"""Failures by their causes: what each condition of a well does to each of its parts, beside failures that nothing announces.

Belongs here: how far a cause has gone on a day, hazards by cause and part, and what a field's own failures make of them. Does not belong
here: the choice between models (``forecaster``).

The hazard of a part is a sum: a rate that nothing announces, and one for each condition that wears on it, in proportion to how far the
condition has gone. So a field without history starts at published rates, a probability climbs only as far as its conditions carry
it, and the part that is likeliest to fail is the one that the conditions drive. Each rate has a gamma prior worth a few failures; what a
field sees moves it: failures that a condition led up to raise it, days with the condition and without a failure lower it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.hazard import INTERVAL_DAYS, chances
from oasis_pipeline.learning.failures.log import DAY_MS
from oasis_pipeline.learning.failures.outcomes import UNKNOWN, Outcomes

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

DRIVEN: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "leak_in_traveling_valve": {"Pump": 0.02},
        "leak_in_standing_valve": {"Pump": 0.02},
        "worn_pump_barrel": {"Pump": 0.02},
        "wellbore_friction": {"Rod": 0.015, "Tubing": 0.005},
        "tubing_movement": {"Tubing": 0.02},
        "pump_tagging_up": {"Rod": 0.005},
        "pump_tagging_down": {"Pump": 0.005, "Rod": 0.005},
        "excessive_vibration_of_the_rod": {"Rod": 0.01},
        "parted_rod": {"Rod": 0.15},
    }
)
"""Condition: part that it wears on, failures a day when it has gone all the way."""

UNANNOUNCED_SHARE = 0.5
"""Share of the published failures that no condition leads up to."""
DAYS_PER_FAILURE = 700.0
"""A rod-pumped well's run life in well-days, before a field has told its own."""
SHARES = MappingProxyType({"BHA": 0.02, "Pump": 0.38, "Rod": 0.33, "Tubing": 0.27})
"""Of failures that nothing announces, as published for 20,500 wells of the Permian Basin (ALEOC, 1990 to 1998); BHA is not told there."""

PRIOR_FAILURES = 2.0
"""What is known beforehand of each cause weighs as much as so many failures."""
STANDING = 0.1
"""A condition that has stood for long counts for so much of one that grew from nothing."""
_ROUNDS = 60

CAUSES = tuple(DRIVEN)
CAUSE_CHANNELS = (*(f"severity_{cause}" for cause in CAUSES), "parted_depth_ft")
"""The quantities of a well's day that are looked at."""


def cause_evidence(features: Float32, names: Sequence[str]) -> Float64:
    """Tell how far each cause has gone.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        From `windows.window_features`.
    names : sequence of str
        Of the features; a quantity that is not among them, or missing, tells nothing.

    Returns
    -------
    ndarray, shape (n, 1 + causes)
        0 to 1. First what is always there (1), then `CAUSES`: how far the severity has grown since its lowest since the workover, and a
        tenth of what stood there before; of parted rods what cards or the rods' weight tell, as no growth is needed there.
    """
    place = {name: number for number, name in enumerate(names)}

    def column(name: str) -> Float64:
        number = place.get(name)
        if number is None:
            return np.full(len(features), np.nan)
        return features[:, number].astype(np.float64)

    found = np.zeros((len(features), 1 + len(CAUSES)))
    found[:, 0] = 1.0
    for number, cause in enumerate(CAUSES, 1):
        level = np.clip(np.nan_to_num(column(f"severity_{cause} level")), 0.0, 1.0)
        if cause == "parted_rod":
            # a network is never sure that nothing has parted: little of it must weigh next to nothing
            found[:, number] = np.maximum(level**2, np.isfinite(column("parted_depth_ft level")))
            continue
        grown = np.clip(np.nan_to_num(level - column(f"severity_{cause} low")), 0.0, level)
        found[:, number] = grown + STANDING * (level - grown)
    return found


def prior_rates(classes: Sequence[str]) -> Float64:
    """Return failures a day at full evidence before a field has told its own, shape (1 + causes, classes)."""
    rates = np.zeros((1 + len(CAUSES), len(classes)))
    for place, name in enumerate(classes):
        rates[0, place] = UNANNOUNCED_SHARE * SHARES.get(name, 0.0) / DAYS_PER_FAILURE
        rates[1:, place] = [DRIVEN[cause].get(name, 0.0) for cause in CAUSES]
    return rates


def posterior_rates(
    prior: Float64, exposure: Float64, evidence: Float64, label: Int64, weight: Float64
) -> Float64:
    """Bring prior rates together with what a field has seen.

    First all rates together: they are raised or lowered by (prior failures + failures) / (prior failures + failures expected). Then each by
    itself: a failure is dealt out to the causes that were there, in proportion to what each made it likely, until nothing moves (EM).
    Given the shares, a rate is that of a Poisson process with a gamma prior: (prior failures + failures) / (prior days + days).

    Parameters
    ----------
    prior : ndarray, shape (1 + causes, classes)
        From `prior_rates`.
    exposure : ndarray, shape (1 + causes,)
        Days of evidence that were seen, those before failures included.
    evidence : ndarray, shape (m, 1 + causes)
        On days before failures.
    label : ndarray of int64, shape (m,)
        Class of the failure after each.
    weight : ndarray, shape (m,)
        Sums to 1 over the days of one failure.

    Returns
    -------
    ndarray, shape (1 + causes, classes)
    """
    level = (PRIOR_FAILURES + weight.sum()) / (PRIOR_FAILURES + float(exposure @ prior.sum(axis=1)))
    prior = level * prior
    total = prior.sum(axis=1)
    known = total > 0.0
    shape = PRIOR_FAILURES * prior / np.where(known, total, 1.0)[:, np.newaxis]
    days = PRIOR_FAILURES / np.where(known, total, np.inf) + exposure
    rates = prior
    dealt = np.zeros_like(prior)
    for _ in range(_ROUNDS if len(label) else 1):
        made = evidence * rates[:, label].T
        # a class that nothing is known of beforehand comes from what is always there
        made[made.sum(axis=1) <= 0.0, 0] = 1.0
        part = made / made.sum(axis=1, keepdims=True) * weight[:, np.newaxis]
        dealt = np.zeros_like(prior)
        np.add.at(dealt.T, label, part)
        rates = np.where(known[:, np.newaxis], (shape + dealt) / np.maximum(days, 1e-9)[:, np.newaxis], 0.0)
    return rates


@dataclass(frozen=True)
class CauseHazards:
    """Hazards by cause and part.

    Attributes
    ----------
    rate_per_day : ndarray, shape (1 + causes, classes)
        At full evidence; first what nothing announces.
    names : tuple of str
        Of the features.
    """

    rate_per_day: Float64
    names: tuple[str, ...]

    def hazards(self, features: Float32) -> Float64:
        """Return hazards, shape (n, intervals, classes)."""
        rate = cause_evidence(features, self.names) @ self.rate_per_day
        return chances(rate[:, np.newaxis, :], INTERVAL_DAYS[:, np.newaxis])


def fit_causes(
    features: Float32,
    names: tuple[str, ...],
    well: Int64,
    time_ms: Int64,
    outcomes: Outcomes,
    classes: Sequence[str],
) -> CauseHazards:
    """Let a field's own days move the rates.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    names : tuple of str
    well, time_ms : ndarray of int64, shape (n,)
    outcomes : Outcomes
        Of the same rows, as known at the cut-off.
    classes : sequence of str

    Returns
    -------
    CauseHazards
    """
    first = outcomes.interval[:, 0]
    evidence = cause_evidence(features, names)
    rows = np.flatnonzero(first >= 0)
    start = time_ms[rows] + np.round(outcomes.days_to_failure[rows] * DAY_MS).astype(np.int64)
    _, failure, days = np.unique(
        np.stack([well[rows], start], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return CauseHazards(
        posterior_rates(
            prior_rates(classes),
            evidence[first != UNKNOWN].sum(axis=0),
            evidence[rows],
            first[rows],
            1.0 / days[failure.reshape(-1)],
        ),
        names,
    )
