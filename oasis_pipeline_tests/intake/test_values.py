"""Texts to values: every form the contract allows, and a reason for every other."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.intake import values


def parse(parser: Any, *texts: str | None) -> tuple[list[Any], list[str | None]]:
    """Values, and the reason of each text (None where there is none)."""
    faults = values.Faults(len(texts))
    result = parser(pa.array(texts, pa.string()), "C", faults)
    return result.to_pylist(), [faults.reason(row) if faults.bad[row] else None for row in range(len(texts))]


@pytest.mark.parametrize("text", ["", "  ", "NULL", "null", "NA", "na", "NaN", "nan", " Null ", None])
@pytest.mark.parametrize(
    "parser",
    [values.parse_numbers, values.parse_integers, values.parse_flags, values.parse_times, values.parse_text],
)
def test_empty_null_na_and_nan_are_null_in_any_case(parser: Any, text: str | None) -> None:
    # beside a text that can't be read, so that the slow way is taken too
    for beside in ("", "\x00x"):
        result, reasons = parse(parser, text, beside)
        assert result[0] is None
        assert reasons[0] is None


def test_numbers_are_double_precision() -> None:
    result, reasons = parse(
        values.parse_numbers, "1", " 2.5 ", "+3", "-4e-3", ".5", "5.", "0.1", "1e300", "-nan", "x"
    )
    assert result == [1.0, 2.5, 3.0, -0.004, 0.5, 5.0, 0.1, 1e300, None, None]
    assert reasons[:-1] == [None] * 9


@pytest.mark.parametrize("text", ["inf", "-Infinity", "+INF", "1e999", "-1e999"])
@pytest.mark.parametrize("beside", ["1", "x"])
def test_infinity_is_an_error(text: str, beside: str) -> None:
    result, reasons = parse(values.parse_numbers, text, beside)
    assert result[0] is None
    assert reasons[0] == f"C: '{text}' is infinite"


@pytest.mark.parametrize("text", ["abc", "1,5", "1 2", "0x10", "12in", "1e", "--1", "½", "1_000"])
def test_text_where_a_number_belongs_is_named(text: str) -> None:
    result, reasons = parse(values.parse_numbers, text, "7")
    assert result == [None, 7.0]
    assert reasons == [f"C: '{text}' is not a number", None]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_double_survives_its_text(numbers: list[float]) -> None:
    result, reasons = parse(values.parse_numbers, *map(repr, numbers))
    assert result == numbers
    assert not any(reasons)


@given(st.lists(st.text(), min_size=1))
def test_any_text_gives_a_value_a_null_or_a_reason(texts: list[str]) -> None:
    for parser in (values.parse_numbers, values.parse_integers, values.parse_flags, values.parse_times):
        result, reasons = parse(parser, *texts)
        for text, value, reason in zip(texts, result, reasons, strict=True):
            assert (value is None) or (reason is None)
            if value is None and reason is None:
                assert text.strip().lower().lstrip("+-") in values.NULLS
            if isinstance(value, float):
                assert math.isfinite(value)


@given(st.lists(st.text(alphabet="0123456789.eE+- infa", max_size=8), min_size=1))
def test_numbers_are_read_alike_alone_and_beside_others(texts: list[str]) -> None:
    together, reasons = parse(values.parse_numbers, *texts)
    apart = [parse(values.parse_numbers, text) for text in texts]
    assert together == [value for (value,), _ in apart]
    assert reasons == [reason for _, (reason,) in apart]


def test_whole_numbers() -> None:
    result, reasons = parse(values.parse_integers, "3", "3.0", "1e3", "-2", "2.5", "99999999999999999999")
    assert result == [3, 3, 1000, -2, None, None]
    assert reasons[4:] == [
        "C: '2.5' is not a whole number",
        "C: '99999999999999999999' is not a whole number",
    ]


def test_flags() -> None:
    result, reasons = parse(values.parse_flags, "true", "FALSE", "1", "0", "yes", "N", "-1", "1.0", "perhaps")
    assert result == [True, False, True, False, True, False, True, True, None]
    assert reasons[-1] == "C: 'perhaps' is neither true nor false"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02", datetime(2026, 1, 2)),
        ("2026-01-02 03:04", datetime(2026, 1, 2, 3, 4)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02 03:04:05.1", datetime(2026, 1, 2, 3, 4, 5, 100_000)),
        ("2026-01-02 03:04:05.123", datetime(2026, 1, 2, 3, 4, 5, 123_000)),
        ("2026-01-02 03:04:59.999999", datetime(2026, 1, 2, 3, 4, 59, 999_000)),
        ("2024-02-29", datetime(2024, 2, 29)),
        ("1/2/2026", datetime(2026, 1, 2)),
        ("1/2/2026 3:04", datetime(2026, 1, 2, 3, 4)),
        ("01/02/2026 13:04:05", datetime(2026, 1, 2, 13, 4, 5)),
        ("1/2/2026 3:04 PM", datetime(2026, 1, 2, 15, 4)),
        ("1/2/2026 3:04:05 am", datetime(2026, 1, 2, 3, 4, 5)),
        ("12/31/2025 12:00 AM", datetime(2025, 12, 31)),
        ("12/31/2025 12:00:01PM", datetime(2025, 12, 31, 12, 0, 1)),
        (" 2026-01-02 ", datetime(2026, 1, 2)),
    ],
)
def test_dates_iso_or_us_kept_to_the_millisecond(text: str, expected: datetime) -> None:
    assert parse(values.parse_times, text) == ([expected], [None])


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01", "2023-02-29", "2026-04-31", "13/2/2026", "1/2/2026 13:00 PM", "1/2/2026 0:30 AM", "2026-01-02 24:00",
        "2026-01-02 10:60", "1/2/26", "20260102", "tomorrow", "46023", "0000-01-01", "2026-01-02 10",
    ],
)  # fmt: skip
def test_what_is_no_date_is_named(text: str) -> None:
    assert parse(values.parse_times, text) == (
        [None],
        [f"C: '{text}' is not a date (ISO or m/d/yyyy h:mm[:ss] [AM|PM])"],
    )


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05Z", "2026-01-02 03:04+05:00", "2026-01-02T03:04:05.123-0700", "2026-01-02T03:04z"],
)
def test_a_zone_offset_is_named(text: str) -> None:
    (value,), (reason,) = parse(values.parse_times, text)
    assert value is None
    assert reason is not None
    assert "zone offset" in reason


@given(st.lists(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31))))
def test_any_time_survives_its_text(times: list[datetime]) -> None:
    expected = [time - timedelta(microseconds=time.microsecond % 1000) for time in times]
    assert parse(values.parse_times, *(time.isoformat() for time in times))[0] == expected
    us = [
        f"{t.month}/{t.day}/{t.year:04d} {t.hour % 12 or 12}:{t.minute:02d}:{t.second:02d} {t:%p}"
        for t in times
    ]
    assert parse(values.parse_times, *us)[0] == [time.replace(microsecond=0) for time in times]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WELL #1", "WELL 1"), ("  WELL \t 1\u00a0", "WELL 1"), ("#", ""), ("##A##", "A"), ("", ""), ("null", ""), ("A  # B", "A B"),
    ],
)  # fmt: skip
def test_nodeid_is_cleaned(text: str, expected: str) -> None:
    assert values.clean_node(text) == expected
    assert parse(values.parse_nodes, text) == ([expected or None], [None])


@given(st.text())
def test_cleaning_a_nodeid_twice_changes_nothing(text: str) -> None:
    once = values.clean_node(text)
    assert values.clean_node(once) == once
    assert "#" not in once


def test_a_nodeid_that_postgresql_or_an_index_can_not_hold_is_named() -> None:
    _, reasons = parse(values.parse_nodes, "A", "B\x00", "C" * 201, "A")
    assert [bool(reason) for reason in reasons] == [False, True, True, False]


def test_faults_of_a_row_are_all_told() -> None:
    faults = values.Faults(2)
    faults.add(np.array([False, True]), "SPM", "is not a number", pa.array(["1", "x"]))
    faults.add(np.array([False, True]), "Date", "is empty")
    assert faults.reason(1) == "SPM: 'x' is not a number; Date: is empty"
