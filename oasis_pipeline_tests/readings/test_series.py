from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.readings.series import Readings, concatenate, from_table, measure_columns

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**25), 10**25), st.none()
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), NUMBERS, max_size=4), max_size=8)


@given(OBJECTS)
def test_each_name_becomes_a_column(objects: list[dict[str, float | None]]) -> None:
    columns = measure_columns(pa.array([json.dumps(each) for each in objects], pa.string()))
    names = {name for each in objects for name in each}
    assert set(columns) <= names
    for row, each in enumerate(objects):
        for name in names:
            value = each.get(name)
            found = columns.get(name, np.full(len(objects), np.nan))[row]
            assert math.isnan(found) if value is None else found == float(value)
    assert list(columns) == sorted(columns)


def test_a_name_that_comes_late_and_whole_numbers_before_fractions() -> None:
    texts = ['{"v": 1}'] * 5000 + ['{"v": 1.5, "late": -2}', "{}", None]
    columns = measure_columns(pa.chunked_array([pa.array(texts, pa.string())]))
    assert columns["v"][5000] == 1.5
    assert columns["v"][0] == 1
    assert columns["late"][5000] == -2
    assert np.isnan(columns["late"][:5000]).all()


@pytest.mark.parametrize(
    "text", ['{"a": "x"}', '{"a": true}', '{"a": {"b": 1}}', "[1]", '{"a": "2026-01-01"}']
)
def test_what_is_no_object_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid number|an object of"):
        measure_columns(pa.array(['{"b": 1}', text]))


def test_readings_from_rows_and_parts() -> None:
    rows = pa.table(
        {"timestamp": pa.array([1_000, 2_000], pa.timestamp("ms", tz="UTC")), "measures": ['{"v": 1}', "{}"]}
    )
    readings = from_table(rows)
    assert readings.times_us.tolist() == [1_000_000, 2_000_000]
    both = concatenate([readings, Readings(np.array([3]), {"w": np.array([7.0])})])
    np.testing.assert_array_equal(both.measures["v"], [1, np.nan, np.nan])
    np.testing.assert_array_equal(both.measures["w"], [np.nan, np.nan, 7])
    with pytest.raises(ValueError, match="one value for each time"):
        Readings(np.array([1]), {"v": np.zeros(2)})
