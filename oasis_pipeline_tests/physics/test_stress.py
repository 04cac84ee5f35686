"""Modified Goodman diagram (the printed numbers are in test_oracles)."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.physics.stress import allowable_stress_psi, goodman_loading_pct


def test_compression_counts_as_no_load() -> None:
    assert (
        float(allowable_stress_psi(-5000.0, 90_000.0))
        == float(allowable_stress_psi(0.0, 90_000.0))
        == 22_500.0
    )
    assert float(goodman_loading_pct(-5000.0, 22_500.0, 90_000.0)) == pytest.approx(100.0)


def test_service_factor_scales_the_allowance() -> None:
    assert float(allowable_stress_psi(10_000.0, 115_000.0, 0.9)) == pytest.approx(0.9 * 34_375.0)


def test_no_room_left_is_infinite() -> None:
    assert float(goodman_loading_pct(60_000.0, 61_000.0, 90_000.0)) == np.inf


def test_unknown_grade_is_nan() -> None:
    assert np.isnan(goodman_loading_pct(1000.0, 20_000.0, np.nan))


def test_more_range_is_more_loading() -> None:
    loading = goodman_loading_pct(5000.0, np.linspace(10_000.0, 40_000.0, 7), 115_000.0)
    assert np.all(np.diff(loading) > 0)
