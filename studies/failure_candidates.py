"""Models that the forecaster is compared with: trivial ones, the earlier platform's two, linear hazards, segments.

Belongs here: what stands beside the forecaster in the test. Does not belong here: what forecasts (``forecaster``). Known weaknesses of the
earlier platform's methods are part of the yardstick; its different window lengths for training and prediction are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.hazard import (
    INTERVAL_DAYS,
    base_rates,
    window_probabilities,
)
from oasis_pipeline.learning.failures.log import DAY_MS, LONG_AGO
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, NO_FAILURE, UNKNOWN, Outcomes
from oasis_pipeline.learning.failures.windows import DailyRows
from studies.boosted_hazards import stacked

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

Predict = Callable[[Float32], Float64]
"""Features to the probability of a failure within each horizon, shape (n, horizons)."""

Candidate = Callable[[Float32, Outcomes, int], Predict]
"""(features, outcomes, seed) -> function that predicts."""

SEED_ONE_COLUMNS = ("PPRL", "MPRL", "NetProd", "FluidLoadonPump", "PumpIntakePressure")
SEED_TWO_COLUMNS = ("PPRL", "MPRL", "FluidLoadonPump", "PumpIntakePressure")


def trailing_means(rows: DailyRows, columns: tuple[str, ...], days: int) -> Float32:
    """Mean of some quantities over the days up to each row, shape (r, columns)."""
    values = rows.values[:, [rows.channels.index(name) for name in columns]]
    result = np.full(values.shape, np.nan, np.float32)
    for row in range(len(rows)):
        first = row
        while (
            first > 0
            and rows.well[first - 1] == rows.well[row]
            and rows.day[first - 1] > rows.day[row] - days
        ):
            first -= 1
        part = values[first : row + 1]
        there = np.isfinite(part)
        some = there.any(axis=0)
        result[row, some] = np.nansum(part[:, some], axis=0) / there[:, some].sum(axis=0)
    return result


def rates(features: Float32, outcomes: Outcomes, seed: int) -> Predict:
    """Base rate, whatever the features."""
    del features, seed
    first = outcomes.interval[:, 0]
    counts = np.array([np.count_nonzero(first >= 0) / INTERVAL_DAYS[0]])
    model = base_rates(counts, float(np.count_nonzero(first != UNKNOWN)), np.ones(1))
    return lambda rows: 1.0 - window_probabilities(model.hazards(rows))[:, :, 0]


def age(features: Float32, outcomes: Outcomes, seed: int) -> Predict:
    """Rate by time since the workover alone, in five bins; the features are that one column."""
    del seed
    edges = np.nanquantile(features[:, 0], [0.2, 0.4, 0.6, 0.8])
    first = outcomes.interval[:, 0]
    bins = np.searchsorted(edges, features[:, 0])
    table = np.zeros((5, len(HORIZONS_DAYS)))
    for place in range(5):
        mine = bins == place
        counts = np.array([np.count_nonzero(mine & (first >= 0)) / INTERVAL_DAYS[0]])
        model = base_rates(counts, float(np.count_nonzero(mine & (first != UNKNOWN))), np.ones(1))
        table[place] = 1.0 - window_probabilities(model.hazards(np.zeros((1, 1), np.float32)))[0, :, 0]
    return lambda rows: table[np.searchsorted(edges, rows[:, 0])]


def seed_method(horizon_days: int, extra: bool) -> Candidate:
    """Make one of the earlier platform's methods: balanced trees on trailing means, one window, rows with a null left out.

    Parameters
    ----------
    horizon_days : int
        3 for the first version, 15 for the second.
    extra : bool
        Extremely randomised trees (the second version) in place of a random forest.
    """

    def train(features: Float32, outcomes: Outcomes, seed: int) -> Predict:
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        target = outcomes.window(horizon_days)
        usable = (target != UNKNOWN) & np.isfinite(features).all(axis=1)
        grown = ExtraTreesClassifier if extra else RandomForestClassifier
        model = make_pipeline(StandardScaler(), grown(100, class_weight="balanced", random_state=seed)).fit(
            features[usable], target[usable]
        )
        classes = model[-1].classes_
        normal = np.flatnonzero(classes == NO_FAILURE)

        def predict(rows: Float32) -> Float64:
            whole = np.isfinite(rows).all(axis=1)
            said = np.zeros(len(rows))
            if whole.any():
                proba = model.predict_proba(rows[whole])
                said[whole] = 1.0 - (proba[:, normal[0]] if normal.size else 0.0)
            return np.repeat(said[:, np.newaxis], len(HORIZONS_DAYS), axis=1)

        return predict

    return train


def linear(features: Float32, outcomes: Outcomes, seed: int) -> Predict:
    """Discrete-time survival: logistic hazards of each interval on the same windows, missing values at their median."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    row, interval, outcome = stacked(features, outcomes)

    def table(rows: Float32, places: NDArray[np.integer]) -> Float32:
        return np.concatenate([rows, np.eye(len(INTERVAL_DAYS), dtype=np.float32)[places]], axis=1)

    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.002, max_iter=300),
    ).fit(table(features[row], interval), outcome >= 0)
    del seed

    def predict(rows: Float32) -> Float64:
        hazards = np.stack(
            [
                model.predict_proba(table(rows, np.full(len(rows), place)))[:, 1]
                for place in range(len(INTERVAL_DAYS))
            ],
            axis=1,
        )
        return 1.0 - window_probabilities(hazards[:, :, np.newaxis])[:, :, 0]

    return predict


@dataclass(frozen=True)
class Segments:
    """The fourteen days up to each row as series, for classifiers of time series.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, quantities, days)
        Days without data carry the value before.
    """

    values: Float32


def segments(
    rows: DailyRows, columns: tuple[str, ...], begin_ms: NDArray[np.int64], days: int = 14
) -> Segments:
    """Cut segments; one never reaches past the newest known workover."""
    place = [rows.channels.index(name) for name in columns]
    values = np.zeros((len(rows), len(columns), days), np.float32)
    for row in range(len(rows)):
        at = row
        for back in range(days):
            while (
                at > 0
                and rows.well[at - 1] == rows.well[row]
                and rows.day[at] > rows.day[row] - back
                and (begin_ms[row] == LONG_AGO or rows.day[at - 1] > begin_ms[row] // DAY_MS)
            ):
                at -= 1
            values[row, :, days - 1 - back] = np.nan_to_num(rows.values[at, place])
    return Segments(values)


def rocket(horizon_days: int = 15) -> Candidate:
    """Make sktime's MiniRocket with a ridge classifier, on flattened segments; its scores are only ranks."""

    def train(features: Float32, outcomes: Outcomes, seed: int) -> Predict:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sktime.transformations.panel.rocket import MiniRocketMultivariate

        target = outcomes.window(horizon_days)
        usable = target != UNKNOWN
        quantities = features.shape[1] // 14
        shape = (-1, quantities, 14)
        scale = (
            np.abs(features[usable]).mean(axis=0).reshape(1, quantities, 14).mean(axis=2, keepdims=True)
            + 1e-6
        )
        made = MiniRocketMultivariate(num_kernels=336, random_state=seed)
        learned = np.asarray(made.fit_transform(features[usable].reshape(shape) / scale))
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=200)).fit(
            learned, target[usable] >= 0
        )

        def predict(rows: Float32) -> Float64:
            said = model.predict_proba(np.asarray(made.transform(rows.reshape(shape) / scale)))[:, 1]
            return np.repeat(said[:, np.newaxis], len(HORIZONS_DAYS), axis=1)

        return predict

    return train
