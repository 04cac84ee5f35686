"""Why a probability is high, in words: which conditions carry it, and the course that each took.

Belongs here: ranking causes by what they add to the hazard, courses, and sentences. Does not belong here: pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.causes import CAUSES, cause_evidence
from oasis_pipeline.learning.failures.forecaster import Forecaster
from oasis_pipeline.learning.failures.windows import MEMORY_DAYS, DailyRows

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

NAMED = 3
LEAST_SHARE = 0.1
"""A cause is named if it makes at least this share of the hazard."""
STEADY = 0.1
"""A severity that moved by less is called steady."""

WORDS = {
    "leak_in_traveling_valve": "leak in the travelling valve",
    "leak_in_standing_valve": "leak in the standing valve",
    "worn_pump_barrel": "worn pump barrel",
    "wellbore_friction": "wellbore friction",
    "tubing_movement": "tubing movement",
    "pump_tagging_up": "pump tagging up",
    "pump_tagging_down": "pump tagging down",
    "excessive_vibration_of_the_rod": "vibration of the rods",
    "parted_rod": "parted rods",
}
"""Cause: name in a sentence."""


def share_of_causes(forecaster: Forecaster, features: Float32) -> Float64:
    """Tell what each cause makes of the hazard.

    Parameters
    ----------
    forecaster : Forecaster
    features : ndarray of float32, shape (n, features)

    Returns
    -------
    ndarray, shape (n, causes)
        In the order of `causes.CAUSES`; what nothing announces makes the rest.
    """
    rate = cause_evidence(features, forecaster.features) * forecaster.model.rate_per_day.sum(axis=1)
    return np.asarray(rate[:, 1:] / np.maximum(rate.sum(axis=1, keepdims=True), 1e-12))


def course_of(day: NDArray[np.int64], value: NDArray[np.floating]) -> tuple[float, float, int]:
    """Tell where a quantity came from, where it is, and in how many days it got there.

    Parameters
    ----------
    day : ndarray of int64, shape (k,)
        Ascending; the last is now.
    value : ndarray, shape (k,)
        NaN where a day has none.

    Returns
    -------
    before, now : float
        Medians of up to three days; NaN where there is no value.
    days : int
        From the newest day at which it was as low as it had been, to now.
    """
    there = np.isfinite(value)
    day, value = day[there], value[there]
    if len(day) == 0:
        return float("nan"), float("nan"), 0
    smooth = np.array([np.median(value[max(0, k - 2) : k + 1]) for k in range(len(value))])
    now, low = float(smooth[-1]), float(smooth.min())
    begin = int(np.flatnonzero(smooth <= low + 0.1 * (now - low))[-1])
    return float(smooth[begin]), now, int(day[-1] - day[begin])


def reasons(
    forecaster: Forecaster,
    features: Float32,
    rows: DailyRows,
    row: NDArray[np.intp],
    age_days: NDArray[np.floating],
) -> list[str]:
    """Say what probabilities rest on.

    Parameters
    ----------
    forecaster : Forecaster
    features : ndarray of float32, shape (n, features)
    rows : DailyRows
        Days that the features were made of.
    row : ndarray of int, shape (n,)
        Place of each among `rows`.
    age_days : ndarray, shape (n,)
        Since the workover.

    Returns
    -------
    list of str
        One text each.
    """
    share = share_of_causes(forecaster, features)
    texts = []
    for number, at in enumerate(row.tolist()):
        since = rows.day[at] - min(MEMORY_DAYS, max(int(age_days[number]), 1))
        mine = np.flatnonzero((rows.well == rows.well[at]) & (rows.day > since) & (rows.day <= rows.day[at]))
        told = [
            _sentence(CAUSES[cause], rows, mine)
            for cause in np.argsort(-share[number], kind="stable")[:NAMED]
            if share[number, cause] >= LEAST_SHARE
        ] or ["no condition stands out"]
        texts.append(f"{'; '.join(told)}; {age_days[number]:.0f} days since the workover or the first data")
    return texts


def _sentence(cause: str, rows: DailyRows, mine: NDArray[np.intp]) -> str:
    name = WORDS[cause]
    if cause == "parted_rod":
        depth = rows.values[mine, rows.channels.index("parted_depth_ft")]
        known = depth[np.isfinite(depth)]
        if known.size:
            return f"{name}, by their weight at {known[-1]:,.0f} ft"
    before, now, days = course_of(rows.day[mine], rows.values[mine, rows.channels.index(f"severity_{cause}")])
    if not np.isfinite(now):
        return name
    if days == 0 or abs(now - before) < STEADY:
        return f"{name} severity {now:.1f}, steady"
    return f"{name} severity {before:.1f} to {now:.1f} in {days} day{'' if days == 1 else 's'}"
