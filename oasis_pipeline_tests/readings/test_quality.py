"""Flags on made-up series, and on real ones with masks of what was made constant or filled in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oasis_pipeline.readings.quality import (
    clock_flags,
    gaps,
    interpolated_values,
    spikes,
    stale_values,
    value_flags,
)

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def times(n: int, step_us: int = 15 * MINUTE) -> NDArray[np.int64]:
    return 1_772_323_200_000_000 + np.arange(n) * step_us


def noisy(n: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return 5 + np.sin(np.arange(n) / 10) + rng.normal(0, 0.05, n)


def places(flags: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(flags).tolist()


def test_a_stuck_sensor_is_found_and_zero_is_normal() -> None:
    x = noisy(200)
    x[50:70] = x[50]
    x[100:150] = 0
    assert places(stale_values(x)) == list(range(50, 70))
    assert not stale_values(np.zeros(50)).any()
    assert stale_values(np.full(50, 3.3)).all()


def test_a_coarse_sensor_that_repeats_itself_is_not_stuck() -> None:
    x = np.repeat(np.arange(1, 30), 8).astype(float)
    assert not stale_values(x).any()
    x = np.concatenate([x, np.full(60, 77.0)])
    assert places(stale_values(x)) == list(range(232, 292))


def test_a_line_between_two_readings_is_found_but_for_its_ends() -> None:
    x = noisy(200)
    x[60:81] = np.interp(np.arange(60, 81), [60, 80], [x[60], x[80]])
    assert places(interpolated_values(times(200), x)) == list(range(61, 80))
    t = np.sort(np.random.default_rng(1).choice(times(5000, MINUTE), 200, replace=False))
    y = noisy(200)
    y[60:81] = np.interp(t[60:81], t[[60, 80]], y[[60, 80]])
    assert places(interpolated_values(t, y)) == list(range(61, 80))


def test_constants_and_short_ramps_are_no_lines() -> None:
    assert not interpolated_values(times(50), np.full(50, 3.3)).any()
    x = noisy(60)
    x[20:25] = [3.1, 3.2, 3.3, 3.4, 3.5]
    assert not interpolated_values(times(60), x).any()


def test_lines_written_with_few_decimals_are_found_and_coarse_sensors_are_no_lines() -> None:
    x = np.round(noisy(200) * 10, 2)
    x[60:81] = np.round(np.interp(np.arange(60, 81), [60, 80], [x[60], x[60] + 37.77]), 2)
    assert places(interpolated_values(times(200), x)) == list(range(61, 80))
    slow = np.round(20 + 5 * np.sin(np.arange(300) / 60), 1)
    assert not interpolated_values(times(300), slow).any()
    counter = np.arange(300) * 1.0
    assert not interpolated_values(times(300), counter).any()


def test_spikes_are_single_values_and_a_step_is_none() -> None:
    x = noisy(300)
    x[100] += 5
    x[200:] += 10
    assert places(spikes(x)) == [100]
    assert not spikes(np.full(100, 2.0)).any()


def test_a_long_stuck_run_makes_no_spikes_of_the_rest() -> None:
    x = noisy(300)
    x[50:250] = x[50]
    assert places(spikes(x)) == []
    x[10] += 5
    assert places(spikes(x)) == [10]


def test_gaps_stand_before_the_reading_that_ends_them() -> None:
    t = np.delete(times(100), [10, 50, 51, 52])
    assert places(gaps(t)) == [49]


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_flags_have_the_shape_of_the_readings_and_do_not_depend_on_units(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(1, 100, n)) * MINUTE
    x = rng.choice([0.0, 1.5, 2.0, 7.0], n)
    flags, scaled = value_flags(t, x), value_flags(t, x * 1024)
    for name, mask in flags.items():
        assert mask.shape == (n,)
        np.testing.assert_array_equal(mask, scaled[name])


def clock(t: NDArray[np.int64], received: NDArray[np.int64], live: bool = True) -> dict[str, list[int]]:
    flags = clock_flags(t, received, np.arange(t.size), np.full(t.size, live))
    return {name: places(mask) for name, mask in flags.items()}


def test_a_clock_that_steps_back_in_one_request() -> None:
    t = times(10, MINUTE)
    t[6:] -= 3 * MINUTE
    found = clock(t, np.full(10, t[5] + MINUTE))
    assert found["clock_back"] == [6, 7]
    assert clock(times(10), np.full(10, times(10)[-1]), live=False)["clock_back"] == []


def test_a_clock_that_steps_back_between_prompt_readings_and_readings_that_were_kept_back() -> None:
    true = times(60, MINUTE)
    t = true.copy()
    t[30:] -= 5 * MINUTE
    assert clock(t, true + 1_000_000)["clock_back"] == [30, 31, 32, 33]
    # kept back for hours and sent one by one after later ones: late, but the clock is right
    received = true + 1_000_000
    received[10:20] += 5 * HOUR
    assert clock(true, received)["clock_back"] == []


def test_a_clock_that_drifts_and_one_that_does_not() -> None:
    true = times(200, 5 * MINUTE)
    delay = np.random.default_rng(4).exponential(300_000, 200).astype(np.int64)
    hours = np.arange(200) * 5 / 60
    assert clock(true - (hours * 2e6).astype(np.int64), true + delay)["clock_drift"] == list(range(200))
    assert clock(true, true + delay)["clock_drift"] == []
    assert clock(true - (hours * 2e6).astype(np.int64), true + delay, live=False)["clock_drift"] == []


def test_a_stamp_after_its_receipt_lies_in_the_future() -> None:
    t = times(3)
    assert clock(t, t + np.array([0, -2 * MINUTE, 5]))["future"] == [1]
    empty = np.zeros(0, np.int64)
    assert all(not mask.size for mask in clock_flags(empty, empty, empty, empty.astype(bool)).values())


def real(
    folder: Path, name: str, mask: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    path = folder / "pv-quality" / name
    if not path.exists():
        pytest.skip("no pv-quality data")
    rows = pyarrow.csv.read_csv(path)
    rows = rows.filter(pc.is_valid(rows["value_normalized"]))
    t = np.asarray(rows["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy())
    return t, rows["value_normalized"].to_numpy(), rows[mask].to_numpy().astype(bool)


def scores(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    return float((found & truth).sum() / found.sum()), float((found & truth).sum() / truth.sum())


def test_stale_values_of_a_real_inverter(shared_data: Path) -> None:
    _, x, truth = real(shared_data, "ac_power_inv_2173_stale_data.csv", "stale_data_mask")
    precision, recall = scores(stale_values(x), truth)
    print(f"stale: precision {precision:.3f}, recall {recall:.3f}")
    assert precision >= 0.99
    assert recall >= 0.99


def test_interpolated_values_of_a_real_inverter(shared_data: Path) -> None:
    t, x, truth = real(shared_data, "ac_power_inv_2173_interpolated_data.csv", "interpolated_data_mask")
    precision, recall = scores(interpolated_values(t, x), truth)
    # a gap between zeros was filled with zeros, which at night is normal
    seen = truth & (x != 0)
    print(
        f"interpolated: precision {precision:.3f}, recall {recall:.3f} ({scores(interpolated_values(t, x), seen)[1]:.3f} of those not 0)"
    )
    assert precision >= 0.99
    assert recall >= 0.94
    assert scores(interpolated_values(t, x), seen)[1] >= 0.99


def test_nothing_is_flagged_in_the_untouched_series(shared_data: Path) -> None:
    path = shared_data / "pv-quality" / "ac_power_inv_2173.csv"
    if not path.exists():
        pytest.skip("no pv-quality data")
    rows = pyarrow.csv.read_csv(path)
    rows = rows.filter(pc.is_valid(rows["value_normalized"]))
    t = np.asarray(rows["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy())
    x = rows["value_normalized"].to_numpy()
    assert not stale_values(x).any()
    assert not interpolated_values(t, x).any()
