"""Texts to values: every form the contract allows, and a reason for every other."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

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


@pytest.mark.parametrize("text", ["abc", "1 2", "0x10", "12in", "1e", "--1", "½", "1_000"])
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


CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02 03:04+05:00", datetime(2026, 1, 1, 22, 4)),
        ("2026-01-02T03:04:05.123-0700", datetime(2026, 1, 2, 10, 4, 5, 123_000)),
        ("2026-01-02T03:04z", datetime(2026, 1, 2, 3, 4)),
        ("2026-07-02 03:04:05.1234567 -06:00", datetime(2026, 7, 2, 9, 4, 5, 123_000)),
        ("2026/7/2 03:04+00", datetime(2026, 7, 2, 3, 4)),
    ],
)
@pytest.mark.parametrize("zone", [UTC, CHICAGO, ZoneInfo("Asia/Kathmandu")])
def test_a_time_with_an_offset_becomes_the_fields_local_time(text: str, utc: datetime, zone: Any) -> None:
    parser = partial(values.parse_times, zone=zone)
    result, reasons = parse(parser, text, "2026-01-02 03:04")
    assert reasons == [None, None]
    assert result == [
        utc.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None),
        datetime(2026, 1, 2, 3, 4),
    ]


@given(
    st.lists(st.datetimes(min_value=datetime(1, 1, 4), max_value=datetime(9999, 12, 28)), max_size=5),
    st.sampled_from(["UTC", "America/Chicago", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(-18 * 60, 18 * 60),
)
def test_any_time_with_an_offset_is_converted_as_python_does_it(
    times: list[datetime], name: str, minutes: int
) -> None:
    zone = ZoneInfo(name)
    offset = timezone(timedelta(minutes=minutes))
    times = [time.replace(microsecond=time.microsecond // 1000 * 1000) for time in times]
    times = [time.replace(year=max(time.year, 1970)) for time in times if (time.month, time.day) != (2, 29)]
    texts = [time.replace(tzinfo=offset).isoformat() for time in times]
    expected = [time.replace(tzinfo=offset).astimezone(zone).replace(tzinfo=None) for time in times]
    assert parse(partial(values.parse_times, zone=zone), *texts)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jan  5 2025  7:00AM", datetime(2025, 1, 5, 7)),
        ("dec 31 2025 12:00PM", datetime(2025, 12, 31, 12)),
        ("Jan  5 2025  7:00:01:250PM", datetime(2025, 1, 5, 19, 0, 1, 250_000)),
        ("1/5/2025 7:00:00\u202fAM", datetime(2025, 1, 5, 7)),
        ("1/5/2025\u00a07:00", datetime(2025, 1, 5, 7)),
        ("2025/01/05 07:00:00", datetime(2025, 1, 5, 7)),
        ("2025/1/5", datetime(2025, 1, 5)),
    ],
)
def test_forms_of_sql_server_excel_and_windows(text: str, expected: datetime) -> None:
    assert parse(values.parse_times, text) == ([expected], [None])


@pytest.mark.parametrize(
    "text",
    ["5.1.2025 07:00", "05-01-2025", "Jam 5 2025", "Jan 32 2025", "2025/13/01", "20250105", "2025-01-05 07:00 +19:00",
     "2025-01-05 07:00 CST", "1736060400", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00+10:00"],
)  # fmt: skip
def test_a_time_that_can_be_mistaken_or_is_none_is_refused(text: str) -> None:
    (value,), (reason,) = parse(partial(values.parse_times, zone=CHICAGO), text)
    assert value is None
    assert reason is not None
    assert reason.startswith(f"C: '{text}' is not a date")


@pytest.mark.parametrize(
    "text", ["None", "(null)", "(NULL)", r"\N", "#N/A", "1.#QNAN", "-1.#IND", "1.#IND", "-1.#QNAN"]
)
def test_what_other_programs_write_for_nothing_is_null(text: str) -> None:
    for parser in (
        values.parse_numbers,
        values.parse_integers,
        values.parse_flags,
        values.parse_times,
        values.parse_text,
    ):
        assert parse(parser, text, "\x00")[0][0] is None
        assert parse(parser, f" {text}")[1] == [None]
    assert values.clean_node(text) == ""


def test_numbers_as_c_of_windows_prints_them() -> None:
    result, reasons = parse(values.parse_numbers, "1.#QNAN0", "-1.#IND00", "1.#INF", "-1.#INF00", "1.#J", "2")
    assert result == [None, None, None, None, None, 2]
    assert reasons[:2] == [None, None]
    assert [str(reason).split("' ")[1] for reason in reasons[2:5]] == [
        "is infinite",
        "is infinite",
        "is not a number",
    ]


@pytest.mark.parametrize("text", ["8,1", "1.234,5", "-1,234", "1,234,567"])
def test_a_comma_in_a_number_is_not_guessed_at(text: str) -> None:
    result, reasons = parse(values.parse_numbers, text, "7")
    assert result == [None, 7.0]
    assert (
        reasons[0] == f"C: '{text}' has a comma; numbers have a decimal point and no separators of thousands"
    )


def test_seconds_and_milliseconds_since_1970() -> None:
    moment = datetime(2025, 1, 5, 7, tzinfo=UTC)
    result, reasons = parse(
        values.parse_utc_times,
        "1736060400",
        "1736060400000",
        "1736060400.25",
        "1736060400123",
        "20250105",
        "946684799",
    )
    assert result == [
        moment, moment, moment.replace(microsecond=250_000), moment.replace(microsecond=123_000), None, None,
    ]  # fmt: skip
    assert [reason is None for reason in reasons] == [True] * 4 + [False] * 2


@given(st.integers(946_684_800, 9_999_999_999), st.integers(0, 999_999))
def test_any_moment_is_the_same_alone_and_in_a_column(seconds: int, micros: int) -> None:
    exact = seconds * 1_000_000 + micros // 1000 * 1000
    ms = seconds * 1000 + micros // 1000
    assert values.epoch_microseconds(seconds) == seconds * 1_000_000
    assert values.epoch_microseconds(ms) == exact
    (read,), _ = parse(values.parse_utc_times, str(ms))
    assert read == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=exact)


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
