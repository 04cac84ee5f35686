"""Files of sensor readings: what is stored, what wins, and what becomes of the rest."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.reload import reload_days
from oasis_pipeline.intake.rules import Rules
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema import DROP_KINDS, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.first_days import read_first_day, read_first_reading_day
from oasis_pipeline.storage.readings import store_readings
from oasis_pipeline_tests.intake.conftest import Field, csv

pytestmark = pytest.mark.server

NAME = "Readings.E2E.20260302.1200.csv"
HEADER = "module_num,timestamp,temperature,voltage,description,VMPPT,current_a"
KIND = DROP_KINDS["Readings"]


def readings(field: Field) -> list[tuple[str, str, dict[str, float]]]:
    rows = field.rows('SELECT module_num, "timestamp"::text AS t, measures FROM iot.rawdata ORDER BY 1, 2')
    return [(row["module_num"], row["t"], json.loads(row["measures"])) for row in rows]


def test_each_further_column_is_a_measure_and_times_are_utc(field: Field) -> None:
    report = field.take(
        NAME, HEADER, " a ,2026-03-02 10:00,26,3.3,ok,3.29,", "b,2026-03-02T10:00:00.123456+02:00,,,,1e3,-0.5"
    )
    assert report.files[0].ignored_columns == []
    assert readings(field) == [
        ("a", "2026-03-02 10:00:00+00", {"VMPPT": 3.29}),
        ("b", "2026-03-02 08:00:00.123456+00", {"VMPPT": 1000, "current_a": -0.5}),
    ]
    row = field.rows("SELECT * FROM iot.rawdata WHERE module_num = 'a'")[0]
    assert (row["temperature"], row["voltage"], row["description"]) == (26, 3.3, "ok")
    assert row["file_stamp"] == datetime(2026, 3, 2, 12)


def test_modules_that_nobody_registered_are_registered_with_a_warning(field: Field) -> None:
    report = field.take(NAME, "module_num,timestamp,v", "a,2026-03-02,1", "b,2026-03-02,1", "a,2026-03-01,1")
    assert ["2 modules were registered with type unknown" in line for line in report.warnings] == [True]
    assert field.rows("SELECT module_num, module_type FROM iot.module ORDER BY 1") == [
        {"module_num": "a", "module_type": "unknown"},
        {"module_num": "b", "module_type": "unknown"},
    ]
    assert set(field.marks("iot/module")) == {""}
    field.put("Readings.E2E.20260302.1300.csv", csv("module_num,timestamp,v", "a,2026-03-02 11:00,1"))
    assert field.run().warnings == []


def test_rows_that_can_not_be_used_are_kept_with_their_reasons(field: Field) -> None:
    report = field.take(
        NAME,
        "module_num,timestamp,temperature,v,w",
        ",2026-03-02,,1,",
        "a,,,1,",
        "a,yesterday,,1,",
        "a,2026-03-02 11:00,warm,much,inf",
        "a,2026-03-03 12:01,,1,",
        "a,1999-12-31,,1,",
        "a,2026-03-03 12:00,,1,",
        "a,2026-03-02 11:00+99:00,,1,",
        f"{'x' * 101},2026-03-02,,1,",
    )
    assert (report.files[0].stored, report.files[0].rejected) == (1, 8)
    reasons = [reason for _, reason in field.rejects()]
    assert reasons[0] == "module_num: is empty, and is part of the key"
    assert reasons[1] == "timestamp: is empty, and is part of the key"
    assert "'yesterday' is not a time" in reasons[2]
    assert (
        reasons[3] == "temperature: 'warm' is not a number; v: 'much' is not a number; w: 'inf' is infinite"
    )
    assert "more than a day after the file's own stamp 2026-03-02 12:00" in reasons[4]
    assert reasons[5].endswith("lies before 2000-01-01, the first day accepted")
    assert "is not a time" in reasons[6]
    assert reasons[7].endswith("is longer than 100 characters")


def test_the_newer_file_wins_and_an_older_one_that_comes_later_does_not(field: Field) -> None:
    line = "a,2026-03-02 10:00,{}"
    field.take("Readings.E2E.20260302.1100.csv", "module_num,timestamp,v", line.format(1))
    tick = field.marks("iot/rawdata")
    newer = field.take("Readings.E2E.20260302.1200.csv", "module_num,timestamp,v", line.format(2))
    assert (newer.files[0].stored, newer.files[0].superseded) == (1, 0)
    assert newer.changed["iot/rawdata"] == {"2026-03-02": 1}
    assert field.marks("iot/rawdata")["2026-03-02"] > tick["2026-03-02"]
    older = field.take("Readings.E2E.20260302.1000.csv", "module_num,timestamp,v", line.format(3))
    assert (older.files[0].stored, older.files[0].superseded) == (0, 1)
    assert "iot/rawdata" not in older.changed
    assert readings(field)[0][2] == {"v": 2}
    assert ledger.states(field.warehouse)["iot/rawdata", "2026-03-02"].rows == 1


def test_what_the_service_took_in_stands_and_the_file_is_told_of_it(field: Field) -> None:
    given_rows = pa.table(
        {"module_num": ["a"], "timestamp": [datetime(2026, 3, 2, 10, tzinfo=UTC)], "measures": ['{"v": 1}']}
    )
    field.warehouse.query("INSERT INTO iot.module (module_num) VALUES ('a') RETURNING 1 AS n")
    with field.warehouse.transaction() as tx:
        store_readings(tx, given_rows)
    same = field.take("Readings.E2E.20260302.1100.csv", "module_num,timestamp,v", "a,2026-03-02 10:00,1.0")
    assert (same.files[0].stored, same.warnings) == (1, [])
    other = field.take("Readings.E2E.20260302.1200.csv", "module_num,timestamp,v", "a,2026-03-02 10:00,2")
    assert other.files[0].superseded == 1
    assert "1 readings differ from those that the data service stored" in other.warnings[0]
    assert readings(field)[0][2] == {"v": 1}


def test_within_a_file_the_last_row_of_a_key_counts_in_whatever_chunk(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["a,2026-03-02 10:00,1", "b,2026-03-02 10:00,1", "a,2026-03-02 10:00,2", "b,2026-03-02 10:00,1"]
    rows = [
        json.dumps(dict(zip(("module_num", "timestamp", "v"), line.split(","), strict=True)))
        for line in lines
    ]
    for chunk_bytes, stamp in ((1, "1100"), (1 << 20, "1200")):
        monkeypatch.setattr("oasis_pipeline.intake.chunks.CHUNK_BYTES", chunk_bytes)
        field.put(f"Readings.E2E.20260302.{stamp}.ndjson", csv(*rows))
        report = field.run()
        assert (report.files[0].stored, report.files[0].superseded) == (2, 2)
        assert [row[2] for row in readings(field)] == [{"v": 2}, {"v": 1}]


def test_a_file_again_changes_nothing_and_the_first_day_is_noted(field: Field) -> None:
    lines = csv("module_num,timestamp,v", "a,2026-02-27 10:00,1", "a,2026-03-02 10:00,1")
    field.put(NAME, lines)
    field.run()
    marks = field.marks("iot/rawdata")
    assert list(marks) == ["2026-02-27", "2026-03-02"]
    field.put(NAME, lines)
    assert field.run().files[0].already_loaded
    assert field.marks("iot/rawdata") == marks
    assert read_first_reading_day(field.settings) == date(2026, 2, 27)
    assert read_first_day(field.settings) is None


def test_the_four_forms_of_a_file_say_the_same(field: Field) -> None:
    when = datetime(2026, 3, 2, 10, 0, 0, 250_000, tzinfo=UTC)
    parquet = io.BytesIO()
    pq.write_table(
        pa.table(
            {"module_num": ["p"], "timestamp": pa.array([when], pa.timestamp("us", tz="UTC")), "v": [1.5]}
        ),
        parquet,
    )
    objects = [
        {"module_num": "n1", "timestamp": "2026-03-02T10:00:00.25Z", "v": 1.5},
        {"module_num": "n2", "timestamp": "2026-03-02T10:00:00.25Z", "measures": {"v": 1.5}},
        {
            "module_num": "n3",
            "timestamp": "2026-03-02T10:00:00.25Z",
            "measures": [{"name": "v", "value": 1.5}],
        },
    ]
    field.put("Readings.E2E.20260302.1200.csv", csv("module_num,timestamp,v", "c,2026-03-02 10:00:00.25,1.5"))
    field.put(
        "Readings.E2E.20260302.1201.csv.gz", csv("module_num,timestamp,v", "g,2026-03-02 10:00:00.25,1.5")
    )
    field.put("Readings.E2E.20260302.1202.parquet", parquet.getvalue())
    field.put("Readings.E2E.20260302.1203.ndjson", csv(*map(json.dumps, objects)))
    assert len(field.run().files) == 4
    assert field.values('SELECT DISTINCT "timestamp" FROM iot.rawdata') == [when]
    assert [(module, measures) for module, _, measures in readings(field)] == [
        (name, {"v": 1.5}) for name in ("c", "g", "n1", "n2", "n3", "p")
    ]


def test_lines_that_are_no_objects_are_rejected_one_by_one(field: Field) -> None:
    lines = [
        '{"module_num": "a", "timestamp": "2026-03-02", "v": 1}',
        "{broken",
        "[1]",
        "",
        '{"module_num": "a", "timestamp": "2026-03-02 01:00", "measures": 7}',
        '{"module_num": "a", "timestamp": "2026-03-02 01:00", "v": 1, "measures": {"v": 2}}',
        '{"module_num": "a", "timestamp": "2026-03-02 01:00", "v": {"deep": 1}}',
        '{"timestamp": "2026-03-02 02:00", "v": 1}',
    ]
    field.put("Readings.E2E.20260302.1200.ndjson", csv(*lines))
    report = field.run()
    assert (report.files[0].stored, report.files[0].rejected) == (1, 6)
    found = field.rejects()
    assert [number for number, _ in found] == [2, 3, 4, 5, 6, 7]
    assert [reason.split(":")[0] for _, reason in found] == [
        "is not valid JSON", "is not a JSON object", "measures are neither an object nor a list of name and value",
        "measure v is given twice", "v", "module_num",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (NAME, "module_num,v\na,1\n", "no column timestamp"),
        (
            NAME,
            "module_num,timestamp,v, v\na,2026-03-02,1,2\n",
            "measure v appears in the header more than once",
        ),
        (NAME.replace("csv", "ndjson"), "", "empty"),
        (NAME.replace("csv", "ndjson"), b'{"module_num": "\xff"}\n', "not UTF-8"),
        (NAME.replace("csv", "ndjson"), '{"module": "a"}\n', "no column module_num, timestamp"),
    ],
)
def test_files_that_can_not_be_read_are_moved_aside(
    field: Field, name: str, content: str | bytes, reason: str
) -> None:
    field.put(name, content)
    assert reason in field.run().rejected_files[0][1]


def test_columns_without_a_usable_name_are_ignored_and_named(field: Field) -> None:
    report = field.take(NAME, f"module_num,timestamp,,{'n' * 101}", "a,2026-03-02,1,2")
    assert report.files[0].ignored_columns == ["", "n" * 101]
    assert readings(field)[0][2] == {}


def test_days_of_readings_are_not_made_again_from_the_archive(field: Field) -> None:
    with pytest.raises(ValueError, match="not loaded from drop files alone"):
        reload_days(field.warehouse, field.store, table("iot", "rawdata"), date(2026, 3, 2), date(2026, 3, 2))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["module_num", "timestamp", "measures", "temperature", "v", "", "\x00"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(KEYS, JSON, max_size=5).map(json.dumps) | st.text(max_size=8), max_size=6))
def test_any_lines_are_read_and_checked_row_by_row_or_refused(lines: list[str]) -> None:
    drop = parse_name("Readings.E2E.20260302.1200.ndjson")
    assert drop is not None
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    numbers: list[Any] = []
    rules = Rules(drop, date(2000, 1, 1))
    try:
        for chunk in read_chunks(content, ".ndjson", KIND):
            checked = rules.check(chunk)
            assert checked.rows.num_rows + len(checked.rejected) == len(chunk) + len(chunk.malformed)
            assert all(isinstance(json.loads(text), dict) for text in checked.rows["measures"].to_pylist())
            numbers += [*chunk.row_numbers.tolist(), *(line.row_number for line in chunk.malformed)]
    except UnreadableFileError:
        return
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
