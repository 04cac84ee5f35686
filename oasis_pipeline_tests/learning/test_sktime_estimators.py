"""The platform's forecasters as sktime's: its own checks, and the same numbers as by the way that tables are made."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sktime.forecasting.base import BaseForecaster
from sktime.forecasting.compose import ForecastingPipeline
from sktime.split import ExpandingWindowSplitter
from sktime.utils.estimator_checks import check_estimator

from oasis_pipeline.learning.card_forecast.candidates import candidates_of
from oasis_pipeline.learning.card_forecast.history import CardDays
from oasis_pipeline.learning.card_forecast.model import HORIZONS_HOURS, base_forecaster, forecast_states
from oasis_pipeline.learning.sktime_estimators import CardForecaster, TrendForecaster
from oasis_pipeline.learning.trends import HORIZONS_DAYS, forecast_trends

BOTH = (TrendForecaster, CardForecaster)
RNG = np.random.default_rng(3)


def wells(values: NDArray[np.float64], first: str = "2026-01-01") -> pd.DataFrame:
    """Series of wells, (wells, days[, columns]), as a panel of sktime."""
    days = pd.period_range(first, periods=values.shape[1], freq="D")
    index = pd.MultiIndex.from_product([[f"W {n}" for n in range(len(values))], days], names=["well", "day"])
    return pd.DataFrame(values.reshape(len(index), -1), index)


def walk(count: int, days: int) -> NDArray[np.float64]:
    return 60.0 + np.cumsum(RNG.normal(0.0, 1.0, (count, days)), axis=1)


@pytest.mark.parametrize("forecaster", BOTH)
@pytest.mark.parametrize(
    "check",
    ["test_doctest_examples", "test_update_predict_single", "test_constructor"],
)
def test_some_of_sktimes_checks_pass(forecaster: type[BaseForecaster], check: str) -> None:
    run_checks(forecaster, tests_to_run=[check])


@pytest.mark.slow
@pytest.mark.parametrize("forecaster", BOTH)
def test_all_of_sktimes_checks_pass(forecaster: type[BaseForecaster]) -> None:
    run_checks(forecaster)


def run_checks(forecaster: type[BaseForecaster], **chosen: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(forecaster, raise_exceptions=False, verbose=False, **chosen)
    assert results
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


def test_trends_of_a_field_are_those_of_the_table() -> None:
    # the last day is a Monday, so that the table's choice of the week is made on that very day
    values = walk(20, 190)
    values[RNG.random(values.shape) < 0.1] = np.nan
    values[:, -1] = 50.0 + RNG.random(20)
    first_day = 20_458 - 189
    table = forecast_trends(values, first_day, 189, least=0.0, most=100.0)
    assert any(choice[0] != "median of 7 days" for choice in table.choices.values())

    forecaster = TrendForecaster(least=0.0, most=100.0).fit(wells(values))
    predicted = forecaster.predict(list(HORIZONS_DAYS)).to_numpy().reshape(20, -1)
    np.testing.assert_allclose(predicted, table.value[:, 0], rtol=1e-6)
    band = forecaster.predict_interval(list(HORIZONS_DAYS), coverage=0.9).to_numpy().reshape(20, -1, 2)
    np.testing.assert_allclose(band[..., 0], table.lower[:, 0], rtol=1e-6)
    np.testing.assert_allclose(band[..., 1], table.upper[:, 0], rtol=1e-6)


def test_a_wider_coverage_is_a_wider_band() -> None:
    forecaster = TrendForecaster().fit(wells(walk(30, 120)))
    widths = []
    for coverage in (0.5, 0.8, 0.9, 0.99):
        band = forecaster.predict_interval([1, 7], coverage=coverage).to_numpy()
        widths.append(band[:, 1] - band[:, 0])
    assert (np.diff(widths, axis=0) > 0.0).all()


def test_a_missing_newest_value_is_the_newest_that_is_known() -> None:
    values = walk(1, 60)
    shorter, missing = values.copy(), values.copy()
    shorter[0, -1] = values[0, -2]
    missing[0, -1] = np.nan
    answers = [TrendForecaster().fit(wells(given)).predict([1, 14]) for given in (shorter, missing)]
    pd.testing.assert_frame_equal(*answers)
    assert answers[0].notna().all(axis=None)


def test_an_update_is_a_fit_of_all() -> None:
    series = pd.Series(walk(1, 80)[0], pd.period_range("2026-01-01", periods=80, freq="D"))
    updated = TrendForecaster().fit(series[:60]).update(series[60:])
    pd.testing.assert_series_equal(updated.predict([1, 7]), TrendForecaster().fit(series).predict([1, 7]))


def test_it_goes_into_sktimes_own_tools() -> None:
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.forecasting.naive import NaiveForecaster

    series = pd.Series(walk(1, 90)[0], pd.period_range("2026-01-01", periods=90, freq="D"))
    folds = ExpandingWindowSplitter(fh=[1, 7], initial_window=60, step_length=10)
    for forecaster in (TrendForecaster(), NaiveForecaster(), ForecastingPipeline([("f", TrendForecaster())])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = evaluate(forecaster, folds, series)
        assert len(scores) == 3
        assert np.isfinite(scores["test_MeanAbsolutePercentageError"]).all()


def cards(count: int, days: int) -> NDArray[np.float64]:
    """Loads of cards, (wells, days, 100), that drift and jitter."""
    shape = 9_000.0 + 4_000.0 * np.sin(np.linspace(0.0, 2.0 * np.pi, 100))
    level = 100.0 * np.cumsum(RNG.normal(0.0, 1.0, (count, days, 1)), axis=1)
    return shape + level + RNG.normal(0.0, 60.0, (count, days, 100))


def test_cards_are_those_of_the_model_that_comes_with_the_package() -> None:
    loads = cards(3, 40)
    loads[1, 20:25] = np.nan
    known = np.isfinite(loads).all(axis=2)
    well, day = np.nonzero(known)
    states = np.concatenate([np.zeros((len(well), 2)), loads[known]], axis=1).astype(np.float32)
    days = CardDays(well, day, day.astype(np.float64), np.zeros(len(well), np.int64), states, states)
    newest = candidates_of(days, np.flatnonzero(day == 39))
    # three wells give too few pairs to learn from
    predicted = CardForecaster().fit(wells(loads)).predict([1, 3, 7]).to_numpy().reshape(3, 3, 100)
    for place, hours in enumerate(HORIZONS_HOURS):
        wanted = forecast_states(base_forecaster(), newest, hours)[:, 2:]
        np.testing.assert_allclose(predicted[:, place], wanted, rtol=1e-6)


def test_a_field_with_enough_cards_is_learned_from() -> None:
    few = CardForecaster().fit(wells(cards(2, 20)))
    many = CardForecaster().fit(wells(cards(12, 60)))
    assert few._model.is_base
    assert not many._model.is_base


def test_between_two_horizons_lies_what_lies_between_them() -> None:
    known = candidates_of(CardForecaster().fit(wells(cards(2, 30)))._days, np.array([29, 59]))
    model = base_forecaster()
    first, between, after = (forecast_states(model, known, hours) for hours in (24, 48, 72))
    # weights and the reach of slopes both change with the horizon: not on the line, but not outside of it by much
    reach = np.abs(after - first).max() + 1.0
    assert np.abs(between - 0.5 * (first + after)).max() < reach
    np.testing.assert_array_equal(forecast_states(model, known, 24.0), first)
    assert np.isfinite(forecast_states(model, known, 1000.0)).all()
