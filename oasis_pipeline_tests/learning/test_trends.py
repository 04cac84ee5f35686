"""Forecasts of trends: held against sktime's forecasters, and that nothing later gets into them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sktime.forecasting.exp_smoothing import ExponentialSmoothing
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.theta import ThetaForecaster

from oasis_pipeline.learning.trends import (
    HORIZONS_DAYS,
    METHODS,
    REACH_DAYS,
    REFIT_DAYS,
    WINDOW_DAYS,
    Method,
    forecast,
    forecast_trends,
)

FIRST_DAY = 20_094


def series(seed: int, days: int = WINDOW_DAYS) -> pd.Series:
    return pd.Series(50.0 + np.cumsum(np.random.default_rng(seed).normal(0.0, 1.0, days)))


def predicted(forecaster: object, values: pd.Series) -> np.ndarray:
    return np.ravel(forecaster.fit(values, fh=list(HORIZONS_DAYS)).predict())  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", [0.1, 0.3, 0.6])
def test_smoothing_is_sktimes(level: float) -> None:
    values = series(1)
    theirs = ExponentialSmoothing(
        smoothing_level=level, optimized=False, initialization_method="known", initial_level=values[0]
    )
    ours = forecast(values.to_numpy(), Method("smoothing", level=level))
    np.testing.assert_allclose(ours, predicted(theirs, values), rtol=1e-10)


def test_the_damped_trend_is_sktimes() -> None:
    values = series(2)
    theirs = ExponentialSmoothing(
        trend="add", damped_trend=True, smoothing_level=0.3, smoothing_trend=0.1, damping_trend=0.9,
        optimized=False, initialization_method="known", initial_level=values[0], initial_trend=0.0,
    )  # fmt: skip
    ours = forecast(values.to_numpy(), Method("damped", level=0.3, trend=0.1, damping=0.9))
    np.testing.assert_allclose(ours, predicted(theirs, values[1:].reset_index(drop=True)), rtol=1e-10)


def test_theta_is_sktimes_but_for_one_step() -> None:
    values = series(3)
    theirs = ThetaForecaster(deseasonalize=False)
    answer = predicted(theirs, values)
    level = theirs._fitted_forecaster.params["smoothing_level"]
    ours = forecast(values.to_numpy(), Method("theta", level=level, theta=True))
    # sktime counts the drift from the day after the last one, the paper from the last one
    np.testing.assert_allclose(ours + theirs.trend_, answer, rtol=1e-4)


def test_last_value_and_mean_are_sktimes() -> None:
    values = series(4)
    np.testing.assert_allclose(
        forecast(values.to_numpy(), Method("last")), predicted(NaiveForecaster("last"), values)
    )
    np.testing.assert_allclose(
        forecast(values.to_numpy(), Method("mean", mean_days=14)),
        predicted(NaiveForecaster("mean", window_length=14), values),
    )


def test_a_missing_day_is_a_day_that_came_as_expected() -> None:
    values = series(5, 20).to_numpy().copy()
    smoothing = Method("smoothing", level=0.3)
    level = forecast(values[:-2], smoothing, horizons=(1,))[0]
    values[-2] = np.nan
    # after two days the newest value weighs as much as two values would
    expected = level + (1.0 - 0.7**2) * (values[-1] - level)
    assert forecast(values, smoothing, horizons=(1,))[0] == pytest.approx(expected)
    assert np.isfinite(forecast(values, Method("damped", level=0.3, trend=0.1, damping=0.9))).all()


def test_a_day_without_a_value_has_no_forecast() -> None:
    values = series(6).to_numpy().copy()
    values[-1] = np.nan
    for method in METHODS:
        assert np.isnan(forecast(values, method)).all()


def fleet(seed: int, wells: int = 12, days: int = 170) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = (
        60.0 + 10.0 * rng.normal(size=(wells, 1)) + np.cumsum(rng.normal(0.0, 0.3, (wells, days)), axis=1)
    )
    values += rng.normal(0.0, 2.0, values.shape)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


FLEET = fleet(1)
ALL = forecast_trends(FLEET, FIRST_DAY)


@given(st.integers(1, 169))
@settings(max_examples=12)
def test_removing_later_days_changes_no_forecast(cut: int) -> None:
    found = forecast_trends(FLEET[:, :cut], FIRST_DAY)
    for name in ("value", "lower", "upper"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ALL, name)[:, :cut])


def test_a_day_needs_no_more_than_its_reach() -> None:
    values = fleet(2, days=REACH_DAYS + 60)
    whole = forecast_trends(values, FIRST_DAY)
    start = 40
    part = forecast_trends(values[:, start:], FIRST_DAY + start, asked_from=REACH_DAYS - 1)
    for name in ("value", "lower", "upper"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:, start + REACH_DAYS - 1 :])


def test_the_band_covers_nine_in_ten_and_the_first_weeks_use_the_median() -> None:
    values = fleet(3, wells=40, days=250)
    found = forecast_trends(values, FIRST_DAY)
    for place, ahead in enumerate(HORIZONS_DAYS):
        actual = values[:, 100 + ahead :]
        upto = slice(100, values.shape[1] - ahead)
        known = np.isfinite(actual) & np.isfinite(found.value[:, upto, place])
        inside = (found.lower[:, upto, place] <= actual) & (actual <= found.upper[:, upto, place])
        assert 0.86 < inside[known].mean() < 0.94
    assert found.choices[FIRST_DAY, 7] == ("median of 7 days", "last value")
    assert found.choices[max(c for c, _ in found.choices), 1][0] not in ("last value", "median of 7 days")


def test_a_jump_that_stays_is_followed_where_jumps_stay() -> None:
    rng = np.random.default_rng(7)
    values = 60.0 + rng.normal(0.0, 1.0, (30, 150))
    for well in range(30):
        for day in range(10 + well % 7, 150, 20):
            values[well, day:] += rng.choice([-20.0, 20.0])
    found = forecast_trends(values, FIRST_DAY, least=None, most=200.0)
    last = max(c for c, _ in found.choices)
    after = found.choices[last, 1][1]
    assert after in ("last value", "exponential smoothing 0.6", "damped trend 0.6")
    jumped = np.flatnonzero(np.abs(np.diff(values[:, 129:137], axis=1)).max(axis=1) > 15.0)
    assert len(jumped) > 10
    for well in jumped:
        day = 130 + int(np.abs(np.diff(values[well, 129:137])).argmax())
        assert abs(found.value[well, day, 0] - values[well, day]) < 9.0


def test_forecasts_stay_within_the_limits_of_the_quantity() -> None:
    values = np.clip(fleet(4) + 35.0, 0.0, 100.0)
    found = forecast_trends(values, FIRST_DAY, most=100.0)
    assert np.nanmax(found.upper) <= 100.0
    falling = np.tile(np.linspace(40.0, 0.5, 120), (10, 1))
    assert np.nanmin(forecast_trends(falling, FIRST_DAY).lower) >= 0.0


def test_a_well_beyond_the_limit_keeps_its_own_values() -> None:
    values = np.tile(np.array([[-150.0], [40.0]]), (1, 80))
    found = forecast_trends(values, FIRST_DAY)
    np.testing.assert_allclose(found.value[0], -150.0)
    assert found.lower[1].min() >= 0.0


def last_value(windows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """A forecaster of somebody else."""
    return np.repeat(windows[:, -1:], len(HORIZONS_DAYS), axis=1)


def named_trends(values: np.ndarray, first_day: int, asked_from: int) -> tuple[np.ndarray, ...]:
    found = forecast_trends(values, first_day, asked_from, forecaster=last_value, forecaster_name="theirs")
    assert {name for names in found.choices.values() for name in names} == {"theirs"}
    return found.value, found.lower, found.upper


def test_a_day_comes_out_alike_alone_and_among_others() -> None:
    values = 60.0 + np.cumsum(np.random.default_rng(7).normal(size=(14, 150)), axis=1)
    values[np.random.default_rng(7).random(values.shape) < 0.1] = np.nan
    together = named_trends(values, 20_000, 150 - 2 * REFIT_DAYS)
    alone = named_trends(values, 20_000, 149)
    for many, one in zip(together, alone, strict=True):
        np.testing.assert_array_equal(many[:, -1:], one)


def test_the_band_of_a_named_forecaster_holds_what_it_says() -> None:
    values = 60.0 + np.cumsum(np.random.default_rng(7).normal(size=(60, 150)), axis=1)
    _, lower, upper = named_trends(values, 20_000, 125)
    for place, ahead in enumerate(HORIZONS_DAYS[:2]):
        actual = values[:, 125 + ahead :]
        inside = (lower[:, :-ahead, place] <= actual) & (actual <= upper[:, :-ahead, place])
        assert 0.85 < inside.mean() < 0.95


def test_where_it_has_no_answer_the_median_of_a_week_stands_in() -> None:
    values = np.random.default_rng(7).normal(50.0, 1.0, (4, 30))
    found = forecast_trends(
        values, 20_000, 29, forecaster=lambda windows, days: np.full((len(windows), 4), np.inf)
    )
    np.testing.assert_allclose(found.value[:, 0, 0], np.median(values[:, -7:], axis=1), rtol=1e-6)
