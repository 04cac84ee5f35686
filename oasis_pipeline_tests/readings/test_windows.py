"""Windows equal a plain NumPy computation, whatever parts the readings come in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oasis_pipeline.readings.series import Readings
from oasis_pipeline.readings.windows import (
    TIME_FEATURES,
    Window,
    Windows,
    data_batches,
    iso,
    window_features,
    windows_schema,
)

HOUR = 3_600_000_000


def plain(values: NDArray[np.float64]) -> dict[str, float | None]:
    """The contract's features in as many words of NumPy."""
    deviations = values - values.mean()
    m2, m3, m4 = ((deviations**p).mean() for p in (2, 3, 4))
    same = bool((values == values[0]).all()) or m2 == 0
    return {
        "batch_mean": values.mean(),
        "batch_std": values.std(ddof=1) if values.size > 1 else None,
        "batch_rms": np.sqrt((values**2).mean()),
        "batch_kurtosis": None if same else m4 / m2**2 - 3,
        "batch_skewness": None if same else m3 / m2**1.5,
        "batch_min": values.min(),
        "batch_max": values.max(),
    }


def cut(readings: Readings, parts: list[int]) -> list[Readings]:
    edges = [0, *sorted(parts), len(readings)]
    return [readings.slice(low, high) for low, high in pairwise(edges)]


def agree(found: list[float | None], wanted: list[float | None], scale: float) -> None:
    assert [value is None for value in found] == [value is None for value in wanted]
    pairs = [(f, w) for f, w in zip(found, wanted, strict=True) if f is not None and w is not None]
    np.testing.assert_allclose([f for f, _ in pairs], [w for _, w in pairs], rtol=1e-7, atol=1e-9 * scale)


@given(data=st.data())
def test_windows_equal_a_plain_computation(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    steps = rng.choice([1, 1000, 60_000_000, HOUR, 30 * HOUR], n)
    times = np.cumsum(steps) + data.draw(st.sampled_from([0, -5 * HOUR, 1_772_000_000_000_000]))
    offset = data.draw(st.sampled_from([0.0, 3.3, -1e6, 1e9]))
    values = offset + rng.choice([0.0, 1.0, 1.5, -2.25, 7.0], n)
    second = np.where(rng.random(n) < 0.4, np.nan, rng.normal(size=n))
    readings = Readings(times, {"v": values, "w": second})
    window = Window.parse(data.draw(st.sampled_from(["1", "2", "7", "15min", "1h", "7h", "1d", "3d"])))
    parts = data.draw(st.lists(st.integers(0, n), max_size=4))
    found = [record for each in data_batches(cut(readings, parts), window) for record in each.records("m")]
    wanted = list(expected(readings, window))
    assert [(r["starting_timestamp"], r["ending_timestamp"]) for r in found] == [
        (iso(int(times[places[0]])), iso(int(times[places[-1]]))) for places in wanted
    ]
    for record, places in zip(found, wanted, strict=True):
        assert (record["module_num"], record["window_size"]) == ("m", str(window))
        given_names = [name for name in ("v", "w") if np.isfinite(readings.measures[name][places]).any()]
        for feature in TIME_FEATURES:
            assert [item["name"] for item in record["time_features"][feature]] == given_names
        for at, name in enumerate(given_names):
            mine = readings.measures[name][places]
            mine = mine[np.isfinite(mine)]
            features = plain(mine)
            agree(
                [record["time_features"][feature][at]["value"] for feature in TIME_FEATURES],
                [features[feature] for feature in TIME_FEATURES],
                float(np.abs(mine).max()) if name == "v" else 1.0,
            )
    json.dumps(found, allow_nan=False)


def expected(readings: Readings, window: Window) -> list[list[int]]:
    """Places of each window, one reading after the other."""
    n = len(readings)
    if window.count is not None:
        return [list(range(i, i + window.count)) for i in range(0, n - window.count + 1, window.count)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, time in enumerate(readings.times_us.tolist()):
        length = window.length_us or 1
        day, inside = divmod(time, 24 * HOUR)
        key = (day, inside // length) if length <= 24 * HOUR else (time // length,)
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def one(values: list[float]) -> dict[str, float]:
    _, features = window_features(np.array(values), np.array([0, len(values)]))
    return dict(zip(TIME_FEATURES, features[:, 0].tolist(), strict=True))


def test_reference_values() -> None:
    # by hand: mean 4, m2 = (9+1+1+0+9)/5 = 4, m3 = (-27-1-1+0+27)/5 = -0.4 ... of 1, 3, 3, 4, 7 less the mean 3.6
    x = np.array([1.0, 3, 3, 4, 7])
    found = one(x.tolist())
    assert found["batch_mean"] == pytest.approx(3.6)
    assert found["batch_std"] == pytest.approx(np.sqrt(4.8))
    assert found["batch_rms"] == pytest.approx(np.sqrt(84 / 5))
    d = x - 3.6
    assert found["batch_skewness"] == pytest.approx((d**3).mean() / 3.84**1.5)
    assert found["batch_kurtosis"] == pytest.approx((d**4).mean() / 3.84**2 - 3)
    assert (found["batch_min"], found["batch_max"]) == (1, 7)


def test_a_large_offset_costs_no_digits() -> None:
    small = np.random.default_rng(1).normal(size=1000)
    moved = one((small + 2.0**33).tolist())
    exact = one(((small + 2.0**33) - 2.0**33).tolist())
    for name in ("batch_std", "batch_skewness", "batch_kurtosis"):
        assert moved[name] == pytest.approx(exact[name], rel=1e-12)


def test_equal_values_have_no_deviation_and_no_shape() -> None:
    found = one([0.1] * 3)
    assert (found["batch_mean"], found["batch_std"], found["batch_min"]) == (0.1, 0.0, 0.1)
    assert np.isnan(found["batch_kurtosis"])
    assert np.isnan(found["batch_skewness"])
    assert np.isnan(one([5.0])["batch_std"])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_moving_and_stretching_the_values(values: list[float], offset: float, factor: float) -> None:
    before, after = one(values), one((np.array(values) * factor + offset).tolist())
    scale = float(np.abs(values).max()) * factor + abs(offset) + 1e-6
    assert after["batch_mean"] == pytest.approx(before["batch_mean"] * factor + offset, abs=1e-9 * scale)
    assert after["batch_std"] == pytest.approx(before["batch_std"] * factor, rel=1e-6, abs=1e-7 * scale)


def test_pieces_in_parallel_are_the_same_as_one() -> None:
    values = np.random.default_rng(0).normal(size=300_000)
    edges = np.arange(0, values.size + 1, 100)
    counts, features = window_features(values, edges)
    blocks = values.reshape(-1, 100)
    assert (counts == 100).all()
    np.testing.assert_allclose(features[0], blocks.mean(1), rtol=0, atol=1e-14)
    np.testing.assert_allclose(features[1], blocks.std(1, ddof=1), rtol=1e-12)


def test_readings_out_of_order_are_refused() -> None:
    back = [Readings(np.array([5, 3]), {}), Readings(np.array([5]), {}), Readings(np.array([3]), {})]
    for parts in (back[:1], back[1:]):
        with pytest.raises(ValueError, match="in order of time"):
            list(data_batches(parts, Window(count=1)))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("256", Window(count=256)),
        ("15min", Window(length_us=900_000_000)),
        (" 1H ", Window(length_us=HOUR)),
        ("90s", Window(length_us=90_000_000)),
        ("2 d", Window(length_us=48 * HOUR)),
    ],
)
def test_windows_in_words(text: str, window: Window) -> None:
    assert Window.parse(text) == window
    assert Window.parse(str(window)) == window


@pytest.mark.parametrize(
    "text", ["", "0", "-3", "1.5", "15", "h", "0min", "400d", "5 parsecs", "99999999999"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    if text == "15":
        assert Window.parse(text).count == 15
        return
    with pytest.raises(ValueError, match="window"):
        Window.parse(text)


def test_the_table_has_a_row_for_each_window_and_measure() -> None:
    readings = Readings(
        np.arange(4) * HOUR, {"v": np.arange(4.0), "w": np.array([1.0, np.nan, np.nan, np.nan])}
    )
    (windows,) = data_batches([readings], Window(count=2))
    assert isinstance(windows, Windows)
    table = windows.to_arrow("m")
    assert table.schema == windows_schema(frequency=False)
    assert table.select(["measure", "readings", "batch_mean"]).to_pylist() == [
        {"measure": "v", "readings": 2, "batch_mean": 0.5},
        {"measure": "w", "readings": 1, "batch_mean": 1.0},
        {"measure": "v", "readings": 2, "batch_mean": 2.5},
    ]


def test_times_are_written_with_z() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
    assert iso(int(at.timestamp()) * 1_000_000 + 5) == "2026-03-01T12:00:00.000005Z"
    assert iso(0) == "1970-01-01T00:00:00Z"
