"""Speed of the card forecast and of the trends on one core, beside sktime's one-series-at-a-time forecasters.

Cards are made-up states (noise about a level): how fast they are forecast does not depend on what they show. Quality is measured by
``python -m studies.card_forecast`` and ``python -m studies.trends``.
"""

from __future__ import annotations

import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast.candidates import candidates_of
from oasis_pipeline.learning.card_forecast.history import STATE_SIZE, CardDays
from oasis_pipeline.learning.card_forecast.model import (
    HORIZONS_HOURS,
    band_lbf,
    base_forecaster,
    forecast_states,
)
from oasis_pipeline.learning.trends import HORIZONS_DAYS, METHODS, forecast_trends

WELLS, DAYS = 100, 213
TREND_WELLS, TREND_DAYS = 1_000, 365
SKTIME_SERIES = 30


def rows() -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    rng = np.random.default_rng(0)
    days = _made_up(rng)
    base = base_forecaster()
    chosen = np.arange(0, len(days), 2)

    def forecast_all() -> None:
        known = candidates_of(days, chosen)
        for hours in HORIZONS_HOURS:
            forecast_states(base, known, hours)
            band_lbf(base, known, hours)

    def learn_one() -> None:
        known = candidates_of(days)
        evidence = [learning.evidence_of(days, known, hours) for hours in HORIZONS_HOURS]
        learning.learn(evidence, days, int(days.day.max()) + 1, base)

    values = 60.0 + np.cumsum(rng.normal(0.0, 0.3, (TREND_WELLS, TREND_DAYS)), axis=1)
    forecasting, learning_s = _seconds(forecast_all), _seconds(learn_one)
    trends = _seconds(lambda: forecast_trends(values, 20_094))
    fit = _sktime_seconds(values)
    issues = TREND_WELLS * TREND_DAYS
    return [
        {
            "name": "cards of a day to three forecasts with bands",
            "figure": len(chosen) / forecasting,
            "unit": "well-days/s",
            "note": f"1,000 wells x 365 days in {365_000 * forecasting / len(chosen):.0f} s, without reading and writing",
        },
        {
            "name": "learn the forecaster of a week",
            "figure": learning_s,
            "unit": "s",
            "note": f"{WELLS} wells x {DAYS} days, as many as are ever used",
        },
        {
            "name": "trends, choice and band included",
            "figure": issues / trends,
            "unit": "well-days/s",
            "note": f"one quantity, {len(METHODS)} methods, {len(HORIZONS_DAYS)} horizons; {TREND_WELLS:,} wells x {TREND_DAYS} days in {trends:.0f} s",
        },
        {
            "name": "sktime theta, one series at a time",
            "figure": 1.0 / fit,
            "unit": "series/s",
            "note": f"{issues * fit / 3600:.1f} h for the same {issues:,} issues, one method",
        },
        {
            "name": "ours : sktime",
            "figure": issues / trends * fit,
            "unit": "",
            "note": f"{len(METHODS)} methods against one",
        },
        {
            "name": "most memory of the process",
            "figure": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "unit": "MB",
            "note": "all of the above",
        },
    ]


def _made_up(rng: np.random.Generator) -> CardDays:
    level = rng.uniform(3000.0, 9000.0, (WELLS, 1, 1)) * rng.uniform(0.5, 1.0, (WELLS, 1, STATE_SIZE))
    states = (level + rng.normal(0.0, 150.0, (WELLS, DAYS, STATE_SIZE))).astype(np.float32)
    states = states.reshape(-1, STATE_SIZE)
    well, day = np.repeat(np.arange(WELLS), DAYS), np.tile(np.arange(20_094, 20_094 + DAYS), WELLS)
    return CardDays(well, day, day + 0.5, np.zeros(len(day), np.int64), states, states)


def _sktime_seconds(values: np.ndarray) -> float:
    import pandas as pd
    from sktime.forecasting.theta import ThetaForecaster

    series = [pd.Series(row[:56]) for row in values[:SKTIME_SERIES]]

    def fit_all() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for one in series:
                ThetaForecaster(deseasonalize=False).fit(one, fh=list(HORIZONS_DAYS)).predict()

    return _seconds(fit_all) / SKTIME_SERIES


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of a run, s: waiting for the neighbours on the machine does not count."""
    begin = time.process_time()
    work()
    return time.process_time() - begin
