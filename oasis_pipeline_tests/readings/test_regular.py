from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.readings.regular import regular_series


def test_intervals_are_means_and_the_fill_is_said() -> None:
    t = np.array([0, 5, 12, 45, 95])
    x = np.array([1.0, 3, 5, 8, 7])
    found = regular_series(t, x, 0, 100, 10, longest_fill=2)
    np.testing.assert_allclose(found.values, [2, 5, 6, 7, 8, *[np.nan] * 4, 7])
    assert found.fill.tolist() == [
        "measured",
        "measured",
        "linear",
        "linear",
        "measured",
        *["missing"] * 4,
        "measured",
    ]
    assert found.readings.tolist() == [2, 1, 0, 0, 1, 0, 0, 0, 0, 1]
    assert found.starts_us.tolist() == list(range(0, 100, 10))


def test_ends_are_not_filled_and_nothing_comes_of_nothing() -> None:
    found = regular_series(np.array([25]), np.array([4.0]), 0, 50, 10, longest_fill=9)
    assert found.fill.tolist() == ["missing", "missing", "measured", "missing", "missing"]
    assert np.isnan(regular_series(np.zeros(0, np.int64), np.zeros(0), 0, 50, 10).values).all()
    with pytest.raises(ValueError, match="divide"):
        regular_series(np.zeros(0, np.int64), np.zeros(0), 0, 50, 7)


@given(st.lists(st.tuples(st.integers(-20, 120), st.floats(-1e6, 1e6)), max_size=30), st.integers(0, 5))
def test_values_lie_between_those_measured(pairs: list[tuple[int, float]], longest: int) -> None:
    pairs.sort()
    t, x = np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.float64)
    found = regular_series(t, x, 0, 100, 10, longest)
    inside = x[(t >= 0) & (t < 100)]
    assert found.readings.sum() == inside.size
    values = found.values[found.fill != "missing"]
    assert np.isfinite(values).all()
    if values.size:
        slack = 1e-9 * (1 + np.abs(inside).max())
        assert inside.min() - slack <= values.min()
        assert values.max() <= inside.max() + slack
    assert np.isnan(found.values[found.fill == "missing"]).all()
