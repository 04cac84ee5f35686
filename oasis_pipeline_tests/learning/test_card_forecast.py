"""The forecast of the next cards: its parts on cards whose answer is known, and that nothing later gets into it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sktime.forecasting.trend import PolynomialTrendForecaster

from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast.anomaly import DEPARTURE_PROBABILITIES, departure, score_cards
from oasis_pipeline.learning.card_forecast.candidates import CANDIDATES, MEDIAN, candidates_of, rms
from oasis_pipeline.learning.card_forecast.history import (
    LOADS,
    POINTS,
    STATE_SIZE,
    CardDays,
    card_states,
    days_of_cards,
    state_positions,
)
from oasis_pipeline.learning.card_forecast.model import (
    HORIZONS_HOURS,
    band_lbf,
    base_forecaster,
    forecast_states,
    load_forecaster,
    save_forecaster,
)
from oasis_pipeline.learning.container import ArtifactError, pack
from oasis_pipeline_tests.fixtures.forecasts import FIRST_DAY, HALF, box_cards, made_up_days


def one_well(heights: list[float], gap_days: dict[int, int] | None = None) -> CardDays:
    """A card a day without noise, at noon; days may be left out."""
    position, load = box_cards(np.array(heights), np.random.default_rng(0))
    share = np.linspace(0.0, 1.0, HALF)
    box = np.concatenate([np.clip(share / 0.1, 0, 1), np.clip(1 - (1 - share) / 0.1, 0, 1)[::-1]])
    load = 3000.0 + np.array(heights)[:, None] * box
    times = FIRST_DAY + np.arange(len(heights)) + 0.5
    for at, days in (gap_days or {}).items():
        times[at:] += days
    return days_of_cards(np.zeros(len(heights)), times, card_states(position, load))


def test_a_state_keeps_position_level_and_offset() -> None:
    position, load = box_cards(np.array([5000.0, 800.0]), np.random.default_rng(1), low_lbf=-700.0)
    states = card_states(position, load)
    assert states.shape == (2, STATE_SIZE)
    np.testing.assert_allclose(state_positions(states), position, atol=1e-3)
    np.testing.assert_allclose(states[:, LOADS], load, rtol=1e-6)


def test_points_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="100 points"):
        card_states(np.zeros((1, 50)), np.zeros((1, 50)))


def test_a_day_is_its_mean_and_its_newest_card_however_many_came() -> None:
    states = np.arange(4, dtype=np.float32)[:, None] * np.ones(STATE_SIZE, np.float32)
    states[1] = np.nan
    days = days_of_cards([7, 7, 7, 7], [10.9, 10.5, 10.1, 12.0], states, [0, 0, 0, 1])
    assert days.day.tolist() == [10, 12]
    assert days.time.tolist() == [10.9, 12.0]
    assert days.newest[:, 5].tolist() == [0.0, 3.0]
    assert days.mean[:, 5].tolist() == [1.0, 3.0]
    assert days.kind.tolist() == [0, 1]


def test_a_steady_well_is_forecast_as_it_is() -> None:
    days = one_well([5000.0] * 30)
    known = candidates_of(days)
    assert np.abs(known.departures).max() < 1e-3
    for hours in HORIZONS_HOURS:
        state = forecast_states(base_forecaster(), known, hours)
        np.testing.assert_allclose(state, days.newest, atol=0.5)
        half = band_lbf(base_forecaster(), known, hours)
        assert (half > 0).all()
        assert np.median(half) < 500.0


def test_the_slope_is_that_of_sktimes_straight_line() -> None:
    rng = np.random.default_rng(3)
    heights = 5000.0 + 30.0 * np.arange(25) + rng.normal(0.0, 50.0, 25)
    known = candidates_of(one_well(heights.tolist()))
    top = LOADS.start + 20  # a point where the load is low + height
    for length in (5, 10, 20):
        fitted = PolynomialTrendForecaster(degree=1).fit(heights[-length:], fh=[1, 2])
        first, second = np.ravel(fitted.predict())
        ours = known.departures[-1, CANDIDATES.index(f"slope of {length} d"), top]
        assert ours == pytest.approx(second - first, abs=0.02)


def test_the_median_of_a_week_does_not_mind_one_odd_day() -> None:
    days = one_well([5000.0] * 20 + [50.0])
    known = candidates_of(days)
    level = known.newest[-1] + known.departures[-1, MEDIAN]
    np.testing.assert_allclose(level, days.newest[0], atol=0.1)
    assert known.oddness[-1] > 20.0
    # the newest card has collapsed: in a week it will as a rule be what it was, tomorrow as a rule not yet
    week = forecast_states(base_forecaster(), known, 168)[-1, LOADS].max()
    tomorrow = forecast_states(base_forecaster(), known, 24)[-1, LOADS].max()
    assert week > 7000.0
    assert tomorrow < 5000.0


def test_days_before_a_workover_do_not_count() -> None:
    days = one_well([9000.0] * 10 + [5000.0] * 3)
    begin = np.full(len(days), FIRST_DAY + 10)
    fresh = candidates_of(days, np.array([12]), begin[[12]])
    alone = candidates_of(one_well([5000.0] * 3))
    np.testing.assert_allclose(fresh.departures[0], alone.departures[-1], atol=1e-3)
    assert fresh.days[0] == 3
    assert fresh.noise_lbf[0] == pytest.approx(alone.noise_lbf[-1])


def test_days_of_another_card_do_not_count() -> None:
    position, load = box_cards(np.full(6, 5000.0), np.random.default_rng(0))
    load[:3] += 8000.0
    kind = np.array([1, 1, 1, 0, 0, 0])
    days = days_of_cards(np.zeros(6), FIRST_DAY + np.arange(6.0), card_states(position, load), kind)
    known = candidates_of(days)
    assert known.days.tolist() == [1, 2, 3, 1, 2, 3]
    assert np.abs(known.departures[3]).max() == 0.0


def test_a_gap_is_no_change() -> None:
    close = candidates_of(one_well([5000.0] * 12))
    apart = candidates_of(one_well([5000.0] * 12, {6: 9}))
    np.testing.assert_allclose(close.departures[-1], apart.departures[-1], atol=1e-3)


FIELD = made_up_days(8, 80, seed=5, collapses=True)
WALKED = learning.walk_forward(FIELD, None, base_forecaster())


@given(st.integers(1, 79))
@settings(max_examples=12)
def test_removing_all_that_came_later_changes_no_forecast(cut: int) -> None:
    kept = FIELD.day <= FIRST_DAY + cut
    forecasts, versions = learning.walk_forward(FIELD.take(kept), None, base_forecaster())
    for now, then in zip(forecasts, WALKED[0], strict=True):
        np.testing.assert_array_equal(now.state, then.state[kept])
        np.testing.assert_array_equal(now.half_width_lbf, then.half_width_lbf[kept])
    assert versions == [v for v, k in zip(WALKED[1], kept, strict=True) if k]


def test_the_field_has_forecasters_of_its_own_after_some_weeks_and_the_base_before() -> None:
    versions = WALKED[1]
    first = [v for v, day in zip(versions, FIELD.day, strict=True) if day < FIRST_DAY + 7]
    assert set(first) == {learning.BASE_VERSION}
    own = sorted(set(versions) - {learning.BASE_VERSION})
    assert len(own) > 5
    for version, day in zip(versions, FIELD.day, strict=True):
        if version != learning.BASE_VERSION:
            assert version == learning.version_of(learning.cutoff_of(int(day)))


def test_forecasts_beat_persistence_and_their_band_covers_nine_in_ten() -> None:
    days = made_up_days(15, 120, seed=8)
    forecasts, _ = learning.walk_forward(days, None, base_forecaster())
    for hours, found in zip(HORIZONS_HOURS, forecasts, strict=True):
        pairs = learning.pair_days(days, hours)
        later = days.newest[pairs.row] + pairs.change
        error = (later - found.state[pairs.row])[:, LOADS]
        covered = (np.abs(error) <= found.half_width_lbf[pairs.row]).mean()
        assert 0.87 < covered < 0.93
        assert rms(error.ravel()) < 0.93 * rms(pairs.change[:, LOADS].ravel())


def test_pairs_are_the_nearest_cards_of_the_horizon() -> None:
    days = one_well([5000.0] * 12, {6: 2})
    pairs = learning.pair_days(days, 72)
    for row, target in zip(pairs.row, pairs.target_time, strict=True):
        assert target - days.time[row] == pytest.approx(3.0, abs=0.5)
    assert 3 in set(range(12)) - set(pairs.row.tolist())  # three days after it is the gap


def test_cutoffs_are_mondays() -> None:
    from datetime import date, timedelta

    for number in range(14):
        day = date(2025, 1, 1) + timedelta(days=number)
        cutoff = learning.cutoff_date(day)
        assert cutoff.weekday() == 0
        assert 0 <= (day - cutoff).days < 7
        assert (
            date(1970, 1, 1) + timedelta(days=learning.cutoff_of((day - date(1970, 1, 1)).days))
        ) == cutoff


def test_a_forecaster_survives_its_artifact_and_others_are_refused() -> None:
    base = base_forecaster()
    data, sha256 = save_forecaster(base, {"state_version": "cards-1"})
    again, manifest = load_forecaster(data, sha256)
    assert again.version == manifest["version"] == base.version
    np.testing.assert_array_equal(again.weights, base.weights)
    assert base.is_base
    old, old_sha = save_forecaster(base, {"state_version": "cards-0"})
    with pytest.raises(ArtifactError, match="cards-0"):
        load_forecaster(old, old_sha)
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_forecaster(data, hashlib.sha256(b"other").hexdigest())
    other, other_sha = pack("forest", {}, {}, {})
    with pytest.raises(ArtifactError, match="not a card_forecaster"):
        load_forecaster(other, other_sha)


def test_a_forecaster_with_a_broken_array_is_refused() -> None:
    from dataclasses import replace

    base = base_forecaster()
    wrong = (replace(base, weights=base.weights[:, :3]), replace(base, widths=base.widths * np.nan))
    for model in wrong:
        with pytest.raises(ArtifactError):
            load_forecaster(*save_forecaster(model, {"state_version": "cards-1"}))


def test_departing_cards_are_found_and_said_in_words() -> None:
    position, load = box_cards(np.full(4, 5000.0), np.random.default_rng(2))
    forecast = card_states(position, load)
    state = forecast.copy()
    state[1, LOADS] += 900.0
    state[2, LOADS] = 3000.0
    state[3, LOADS.start + HALF :] -= 600.0
    half = np.full((4, POINTS), 100.0)
    quantiles = np.tile(np.linspace(0.2, 2.0, len(DEPARTURE_PROBABILITIES)), (4, 1))
    scored = score_cards(state, forecast, half, quantiles)
    assert scored.is_anomaly.tolist() == [False, True, True, True]
    assert scored.reason[0] == ""
    assert scored.reason[1] == "load 900 lbf above the forecast"
    assert "load range" in scored.reason[2]
    assert "load of the downstroke 600 lbf below" in scored.reason[3]
    assert scored.outside_pct.tolist() == [0.0, 100.0, pytest.approx(54, abs=4), 50.0]
    assert scored.rmse_lbf[1] == pytest.approx(900.0, rel=1e-3)
    assert departure(np.full((1, POINTS), 50.0), np.full((1, POINTS), 100.0))[0] == 0.5


def test_few_ordinary_cards_are_called_anomalies() -> None:
    days = made_up_days(15, 100, seed=9)
    forecasts, _ = learning.walk_forward(days, None, base_forecaster())
    pairs = learning.pair_days(days, 24)
    late = days.day[pairs.row] > FIRST_DAY + 60
    row = pairs.row[late]
    known = candidates_of(days)
    evidence = [learning.evidence_of(days, known, hours) for hours in HORIZONS_HOURS]
    model, trials = learning.learn(evidence, days, FIRST_DAY + 56, base_forecaster())
    scored = score_cards(
        days.newest[row] + pairs.change[late],
        forecasts[0].state[row],
        forecasts[0].half_width_lbf[row],
        np.tile(model.departures[0], (len(row), 1)),
    )
    assert scored.is_anomaly.mean() < 0.03
    assert learning.skill_of(trials[0])["skill"] > 0.0


def test_nothing_to_forecast_from_is_no_error() -> None:
    none = days_of_cards([], [], np.zeros((0, STATE_SIZE), np.float32))
    assert len(candidates_of(none)) == 0
    assert len(learning.pair_days(none, 24).row) == 0
    single = one_well([5000.0])
    forecasts, versions = learning.walk_forward(single, None, base_forecaster())
    np.testing.assert_allclose(forecasts[0].state, single.newest, atol=1e-3)
    assert versions == [learning.BASE_VERSION]
