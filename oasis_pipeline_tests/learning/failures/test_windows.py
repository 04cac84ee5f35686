"""Outcomes, lives and windows: what is known when, and that nothing later than a row moves it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.learning.failures.channels import CHANNELS, SOURCE_COLUMNS, channel_columns
from oasis_pipeline.learning.failures.log import DAY_MS, LONG_AGO, NEVER, FailureLog, life_of
from oasis_pipeline.learning.failures.outcomes import NO_FAILURE, UNKNOWN, outcomes_at
from oasis_pipeline.learning.failures.windows import (
    MEMORY_DAYS,
    MIDDLE_DAYS,
    STATISTICS,
    DailyRows,
    daily_rows,
    feature_names,
    window_features,
)


def ms(day: float) -> int:
    return int(day * DAY_MS)


def log_of(*failures: tuple[int, float, float | None, float, str]) -> FailureLog:
    return FailureLog.of(
        [f[0] for f in failures],
        [ms(f[1]) for f in failures],
        [NEVER if f[2] is None else ms(f[2]) for f in failures],
        [ms(f[3]) for f in failures],
        [f[4] for f in failures],
        ("Pump", "Rod"),
    )


def every_day(wells: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    well = np.repeat(np.arange(wells), days)
    return well, np.tile(np.arange(days) * DAY_MS + DAY_MS // 2, wells)


def test_windows_before_inside_and_after_a_failure() -> None:
    well, time_ms = every_day(1, 100)
    log = log_of((0, 50.0, 53.0, 54.0, "Rod"))
    outcomes = outcomes_at(well, time_ms, log, ms(100))
    three, thirty = outcomes.window(3), outcomes.window(30)
    assert three[49] == 1
    assert three[46] == NO_FAILURE
    assert thirty[20] == 1
    assert thirty[18] == NO_FAILURE
    # inside the failure there is no outcome: not Normal
    assert (three[50:53] == UNKNOWN).all()
    assert three[53] == NO_FAILURE
    # the last days before the data end are censored, not negative
    assert (three[-4:] == UNKNOWN).all()
    assert (thirty[-32:] == UNKNOWN).all()


def test_a_failure_counts_only_from_when_it_is_known() -> None:
    well, time_ms = every_day(1, 60)
    log = log_of((0, 50.0, 53.0, 54.0, "Pump"))
    before = outcomes_at(well, time_ms, log, ms(53.9))
    assert not (before.interval >= 0).any()
    # known, but days that stayed quiet could not be told yet from days of that age: neither teaches
    assert not (outcomes_at(well, time_ms, log, ms(54.0)).interval[49:] >= 0).any()
    after = outcomes_at(well, time_ms, log, ms(55.5))
    assert after.window(3)[49] == 0


def test_a_well_that_went_silent_teaches_no_quiet_days() -> None:
    time_ms = np.arange(40) * DAY_MS
    outcomes = outcomes_at(np.zeros(40, np.int64), time_ms, log_of(), ms(90))
    assert outcomes.window(7)[28] == NO_FAILURE
    assert (outcomes.window(7)[31:] == UNKNOWN).all()


def test_a_life_begins_when_the_workover_is_known() -> None:
    well, time_ms = every_day(2, 30)
    log = log_of((0, 10.0, 12.0, 15.0, "Pump"), (1, 20.0, None, 21.0, "Rod"))
    life = life_of(well, time_ms, log, np.array([1]), np.array([ms(5)]))
    assert (life.begin_ms[:15] == LONG_AGO).all()
    assert (life.begin_ms[15:30] == ms(12)).all()
    assert life.failures[29] == 1
    assert (life.begin_ms[35:] == ms(5)).all()
    assert life.down[49] == -1
    assert (life.down[51:] == 1).all()


def rows_of(values: np.ndarray, day: np.ndarray, wells: np.ndarray | None = None) -> DailyRows:
    return daily_rows(np.zeros(len(day)) if wells is None else wells, day * DAY_MS + 1000, {"a": values})


def test_statistics_of_a_straight_line() -> None:
    day = np.arange(60)
    features, _ = window_features(rows_of(2.0 * day + 5.0, day), log_of(), np.zeros(1, np.int64))
    row = dict(zip(feature_names(("a",)), features[-1].tolist(), strict=True))
    assert row["a level"] == pytest.approx(2 * 58 + 5)
    assert row["a mean"] == pytest.approx(2 * 52.5 + 5)
    assert row["a slope"] == pytest.approx(2.0, rel=1e-5)
    assert row["a long_slope"] == pytest.approx(2.0, rel=1e-5)
    # days 57..59 less days 15..45
    assert row["a change"] == pytest.approx(2 * (58 - 30))
    assert row["a spread"] == pytest.approx(2 * np.sqrt((14**2 - 1) / 12), rel=1e-5)
    assert row["age_days"] == pytest.approx(59 + 1000 / DAY_MS)
    assert row["age_known"] == 0.0
    assert row["days_with_data"] == 14


def test_history_begins_anew_after_a_workover() -> None:
    day = np.arange(60)
    values = np.where(day < 40, 100.0, 1.0)
    log = log_of((0, 37.0, 39.5, 41.0, "Pump"))
    features, _ = window_features(rows_of(values, day), log, np.zeros(1, np.int64))
    row = dict(zip(feature_names(("a",)), features[45].tolist(), strict=True))
    assert row["a mean"] == 1.0
    assert np.isnan(row["a change"])
    assert row["age_known"] == 1.0
    assert row["failures_before"] == 1.0
    still = dict(zip(feature_names(("a",)), features[40].tolist(), strict=True))
    assert still["a mean"] > 50.0


def test_the_lowest_level_is_remembered_for_months_and_never_past_a_workover() -> None:
    day = np.arange(400)
    values = np.where(day < 30, 0.1, 0.8)
    low = feature_names(("a",)).index("a low")
    features, _ = window_features(rows_of(values, day), log_of(), np.zeros(1, np.int64))
    # four days make a mean
    assert np.isnan(features[2, low])
    assert features[3, low] == pytest.approx(0.1)
    memory = MEMORY_DAYS - MIDDLE_DAYS
    assert features[29 + memory - 1, low] == pytest.approx(0.1)
    assert features[29 + memory, low] > 0.1
    assert features[399, low] == pytest.approx(0.8)
    # how much was read before makes no difference
    part, _ = window_features(rows_of(values[20:201], day[20:201]), log_of(), np.zeros(1, np.int64))
    assert part[-1, low] == features[200, low]
    log = log_of((0, 50.0, 52.0, 53.0, "Pump"))
    anew, _ = window_features(rows_of(values, day), log, np.zeros(1, np.int64))
    assert anew[60, low] == pytest.approx(0.8)


def test_missing_days_and_values_are_left_out() -> None:
    day = np.array([0, 1, 5, 6, 20, 21])
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, 7.0])
    features, _ = window_features(rows_of(values, day), log_of(), np.zeros(1, np.int64))
    row = dict(zip(feature_names(("a",)), features[-1].tolist(), strict=True))
    assert row["a level"] == 6.0
    assert row["a change"] == pytest.approx(6.0 - 2.0)
    assert row["days_with_data"] == 2
    assert np.isnan(row["a slope"])


series = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 70), st.floats(-1e4, 1e4) | st.just(float("nan"))),
    min_size=1,
    max_size=60,
)


@given(series, st.integers(0, 70), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=3))
@settings(max_examples=60)
def test_removing_what_came_later_changes_no_bit(
    points: list[tuple[int, int, float]], cut: int, failures: list[tuple[int, int]]
) -> None:
    well, day = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    time_ms, values = day * DAY_MS + 500, np.array([p[2] for p in points])
    log = log_of(*((w, d, d + 2.0, d + 3.0, "Pump") for w, d in sorted(set(failures))))
    first = np.zeros(3, np.int64)
    whole = daily_rows(well, time_ms, {"a": values})
    features, life = window_features(whole, log, first)
    kept = day <= cut
    limit = ms(cut + 1) - 1
    part = daily_rows(well[kept], time_ms[kept], {"a": values[kept]})
    fewer, shorter = window_features(part, log.known_at(limit), first)
    same = whole.day <= cut
    assert np.array_equal(features[same], fewer, equal_nan=True)
    assert np.array_equal(life.begin_ms[same], shorter.begin_ms)
    assert np.array_equal(life.down[same], shorter.down)


def test_the_damping_that_models_know_is_that_of_the_power_balance() -> None:
    assert channel_columns({"balance_damping": [0.12], "damping": [0.01]})["damping"] == 0.12
    assert "balance_damping" in SOURCE_COLUMNS
    assert "damping" not in SOURCE_COLUMNS


def test_channels_are_complete_whatever_columns_there_are() -> None:
    made = channel_columns({"tv_leak_bpd": [10.0, 5.0], "gross_displacement_bpd": [100.0, 0.0]})
    assert tuple(made) == CHANNELS
    assert made["tv_leak_share"][0] == pytest.approx(0.1)
    assert np.isnan(made["tv_leak_share"][1])
    assert np.isnan(made["SPM"]).all()
    assert "Label1" not in SOURCE_COLUMNS
    assert len(STATISTICS) == 7
