from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oasis_pipeline.readings.series import Readings
from oasis_pipeline.readings.spectrum import (
    SPECTRUM_FEATURES,
    _fft_shares,
    lomb_scargle,
    spectrum_features,
)
from oasis_pipeline.readings.windows import Window, data_batches, windows_schema

SECOND = 1_000_000


def features(times_s: NDArray[np.float64], x: NDArray[np.float64]) -> dict[str, float]:
    times = np.round(times_s * SECOND).astype(np.int64)
    found = spectrum_features(times, x, np.array([0, x.size]))
    return dict(zip(SPECTRUM_FEATURES, found[:, 0].tolist(), strict=True))


def test_a_sine_is_found_in_regular_and_in_irregular_readings() -> None:
    rng = np.random.default_rng(2)
    regular = np.arange(256) * 0.5
    irregular = np.sort(rng.uniform(0, 128, 256))
    for times, is_irregular in ((regular, 0), (irregular, 1)):
        x = 5 + 2 * np.sin(2 * np.pi * 0.25 * times + 0.3) + rng.normal(0, 0.1, times.size)
        found = features(times, x)
        assert found["irregular"] == is_irregular
        assert found["dominant_frequency_hz"] == pytest.approx(0.25, abs=found["frequency_resolution_hz"])
        assert found["frequency_resolution_hz"] == pytest.approx(1 / 128, rel=0.05)
        assert found["highest_frequency_hz"] == pytest.approx(1.0, rel=0.05)
        assert found["dominant_share"] > 0.3
        assert found["spectral_entropy"] < 0.8


def test_a_pure_line_of_regular_readings() -> None:
    t = np.arange(64) * 1.0
    found = features(t, 3 + np.cos(2 * np.pi * 10 / 64 * t))
    assert found["dominant_share"] == pytest.approx(1)
    for name in ("dominant_frequency_hz", "spectral_centroid_hz", "spectral_rolloff_hz"):
        assert found[name] == pytest.approx(10 / 64)
    assert found["spectral_spread_hz"] == pytest.approx(0, abs=1e-6)
    assert found["spectral_entropy"] == pytest.approx(0, abs=1e-9)
    assert [found[f"band_energy_{k}"] for k in (1, 2, 3, 4)] == pytest.approx([0, 1, 0, 0], abs=1e-9)


@given(st.integers(8, 70), st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6))
def test_the_periodogram_of_equal_steps_is_the_fft(n: int, seed: int, offset: float) -> None:
    x = np.random.default_rng(seed).normal(size=n) + offset
    by_fft = _fft_shares(x[None])[0]
    by_fft /= by_fft.sum()
    np.testing.assert_allclose(lomb_scargle(np.arange(n) / n, x, n // 2), by_fft, atol=1e-8)


@given(st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_the_periodogram_is_a_least_squares_fit(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    phase, x = np.sort(rng.uniform(0, 1, n)), rng.normal(size=n)
    found = lomb_scargle(phase, x, n // 4)
    for k in range(1, n // 4 + 1):
        design = np.stack([np.ones(n), np.cos(2 * np.pi * k * phase), np.sin(2 * np.pi * k * phase)], axis=1)
        rest = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
        assert found[k - 1] == pytest.approx(1 - rest.var() / x.var(), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_and_offset_change_nothing(seed: int, factor: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=40)
    for t in (np.arange(40.0), np.sort(rng.uniform(0, 40, 40))):
        before, after = features(t, x), features(t, x * factor + offset)
        assert before["irregular"] == after["irregular"]
        for name in ("spectral_centroid_hz", "spectral_entropy", "dominant_share"):
            assert after[name] == pytest.approx(before[name], rel=1e-4, abs=1e-7)


def test_shares_lie_between_0_and_1_and_bands_add_up() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(size=1000)
    times = np.cumsum(rng.integers(1, 10, 1000)) * SECOND
    found = dict(
        zip(SPECTRUM_FEATURES, spectrum_features(times, values, np.arange(0, 1001, 50)), strict=True)
    )
    bands = np.stack([found[f"band_energy_{k}"] for k in (1, 2, 3, 4)])
    np.testing.assert_allclose(bands.sum(axis=0), 1)
    assert ((found["spectral_entropy"] >= 0) & (found["spectral_entropy"] <= 1)).all()
    assert (found["spectral_centroid_hz"] <= found["highest_frequency_hz"]).all()


def test_few_constant_or_missing_values_have_no_spectrum() -> None:
    t = np.arange(20) * SECOND
    for x in (np.full(20, 0.1), np.where(np.arange(20) < 7, np.arange(20.0), np.nan), np.full(20, np.nan)):
        assert np.isnan(spectrum_features(t, x, np.array([0, 20]))).all()
    assert np.isnan(spectrum_features(t, np.arange(20.0), np.array([0, 7, 7, 20]))[:, :2]).all()


def test_a_value_that_is_missing_makes_the_steps_unequal() -> None:
    t, x = np.arange(32) * 1.0, np.sin(np.arange(32.0))
    assert features(t, x)["irregular"] == 0
    x[10] = np.nan
    assert features(t, x)["irregular"] == 1


def test_long_irregular_windows_say_how_high_they_look() -> None:
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.uniform(0.5, 1.5, 4000))
    found = features(t, np.sin(2 * np.pi * 0.01 * t) + rng.normal(0, 0.2, 4000))
    assert found["highest_frequency_hz"] == pytest.approx(1024 * found["frequency_resolution_hz"])
    assert found["dominant_frequency_hz"] == pytest.approx(0.01, abs=found["frequency_resolution_hz"])


def test_batches_carry_the_features_when_asked() -> None:
    readings = Readings(np.arange(64) * SECOND, {"v": np.sin(np.arange(64.0))})
    (plain,), (asked,) = (
        list(data_batches([readings], Window(count=32), frequency=f)) for f in (False, True)
    )
    assert "frequency_features" not in next(plain.records("m"))
    record = next(asked.records("m"))
    assert set(record["frequency_features"]) == set(SPECTRUM_FEATURES)
    assert record["frequency_features"]["irregular"] == [{"name": "v", "value": 0.0}]
    assert asked.to_arrow("m").schema == windows_schema()
