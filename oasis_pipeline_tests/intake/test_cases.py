"""Small files that were lost or believed once, each with its whole kind: what other programs write, and strings that come in part."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oasis_pipeline.intake import reload_days
from oasis_pipeline.intake.labels import waiting_labels
from oasis_pipeline.schema import table
from oasis_pipeline_tests.intake.conftest import Field, hex_card

pytestmark = pytest.mark.server

CASES = Path(__file__).parent / "cases"


def put_case(field: Field, name: str) -> None:
    for path in sorted((CASES / name).glob("*.csv")):
        field.put(path.name, path.read_bytes())


# ---- rod strings and surveys


def rods(field: Field) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in field.rows('SELECT "NodeID", "Diameter" FROM xspoc.rods ORDER BY 1, "RodNum"'):
        found.setdefault(row["NodeID"], []).append(row["Diameter"])
    return found


def test_a_string_with_a_taper_that_can_not_be_read_leaves_the_one_before(field: Field) -> None:
    put_case(field, "rods-file-with-one-bad-row")
    report = field.run()
    assert rods(field) == {"WELL 7": [0.875, 0.75]}
    assert field.values('SELECT DISTINCT "ValidFrom" FROM xspoc.rods_history') == [datetime(2025, 1, 1, 0, 1)]
    assert [(file.stored, file.rejected) for file in report.files] == [(2, 0), (0, 2)]
    assert [reason.split(",")[0] for _, reason in field.rejects()] == [
        "Diameter: '7/8' is not a number",
        "another row of this well can't be used",
    ]
    assert any("not all rows of WELL 7 can be used" in line for line in report.warnings)
    before = field.rows("SELECT * FROM xspoc.rods ORDER BY 2")
    assert reload_days(field.warehouse, field.store, table("xspoc", "rods"), None, None).changed == 0
    assert field.rows("SELECT * FROM xspoc.rods ORDER BY 2") == before


@pytest.mark.parametrize(
    "bad",
    [
        "B,2,D,2500",  # names its well
        "2,D,2500,0.75",  # has lost it, and stands among rows of B
        ",2,D,2500,0.75",
        "B,,D,2500,0.75",
        "B,2,D,inf,0.75",
    ],
)
def test_only_the_well_whose_row_is_bad_is_refused(field: Field, bad: str) -> None:
    header = "NodeID,RodNum,Grade,Length,Diameter"
    field.take("Rods.E2E.20250101.0001.csv", header, "a,1,D,100,1", "b,1,D,100,1", "c,1,D,100,1")
    rows = ["A,1,D,100,2", "B,1,D,100,2", bad, "B,3,D,100,2", "C,1,D,100,2"]
    report = field.take("Rods.E2E.20250102.0001.csv", header, *rows)
    assert rods(field) == {"a": [2], "b": [1], "c": [2]}
    assert (report.files[0].stored, report.files[0].rejected) == (2, 3)
    assert reload_days(field.warehouse, field.store, table("xspoc", "rods"), None, None).changed == 0


def test_a_survey_is_taken_whole_or_not_at_all(field: Field) -> None:
    header = "NodeID,MD,Inclination,Azimuth"
    field.take("Deviations.E2E.20250101.0001.csv", header, "A,0,0,0", "A,100,1,0")
    field.take("Deviations.E2E.20250102.0001.csv", header, "A,0,0,0", "A,100,x,0", "A,200,2,0", "B,0,0,0")
    assert field.rows('SELECT "NodeID", "MD" FROM xspoc.deviations ORDER BY 1, 2') == [
        {"NodeID": "A", "MD": 0},
        {"NodeID": "A", "MD": 100},
        {"NodeID": "B", "MD": 0},
    ]


# ---- readings


def test_a_text_column_of_readings_is_named_and_left_out(field: Field) -> None:
    put_case(field, "readings-with-a-text-column")
    report = field.run()
    assert (report.files[0].stored, report.files[0].rejected) == (3, 0)
    assert report.files[0].ignored_columns == ["quality"]
    assert any("quality holds texts and no numbers" in line for line in report.warnings)
    measures = [
        json.loads(text) for text in field.values('SELECT measures FROM iot.rawdata ORDER BY "timestamp"')
    ]
    assert measures == [{"VBat": 12.5}, {"VBat": 12.6}, {"VBat": 12.4}]


def test_a_measure_with_a_text_among_numbers_is_a_measure(field: Field) -> None:
    lines = [
        "a,2025-01-05,1,GOOD,,",
        "b,2025-01-05,ERR,BAD,,",
        "c,2025-01-05,2,,,inf",
        "d,2025-01-05,2,GOOD,,",
    ]
    report = field.take("Readings.E2E.20250115.0100.csv", "module_num,timestamp,v,quality,empty,w", *lines)
    assert (report.files[0].stored, report.files[0].rejected) == (2, 2)
    assert field.rejects() == [(2, "v: 'ERR' is not a number"), (3, "w: 'inf' is infinite")]
    report = field.take("Readings.E2E.20250115.0101.csv", "module_num;timestamp;v", "d;2025-01-05;1,5")
    assert report.files[0].rejected == 1
    assert "has a comma" in field.rejects()[-1][1]


def test_readings_by_file_may_have_seconds_or_milliseconds_since_1970(field: Field) -> None:
    lines = [
        {"module_num": "a", "timestamp": 1736060400, "v": 1},
        {"module_num": "a", "timestamp": 1736060400250, "v": 2},
    ]
    field.put("Readings.E2E.20250115.0100.ndjson", "\n".join(map(json.dumps, lines)))
    assert field.run().files[0].stored == 2
    assert field.values('SELECT "timestamp" FROM iot.rawdata ORDER BY 1') == [
        datetime(2025, 1, 5, 7, tzinfo=UTC),
        datetime(2025, 1, 5, 7, 0, 0, 250_000, tzinfo=UTC),
    ]


# ---- what other programs write


def test_not_a_number_of_visual_basic_is_null_and_infinity_an_error(field: Field) -> None:
    put_case(field, "xdiag-visual-basic-nan")
    report = field.run()
    assert (report.files[0].stored, report.files[0].rejected) == (3, 1)
    assert field.values('SELECT "PumpIntakePressure" FROM xspoc.xdiagresults ORDER BY "NodeID"') == [
        None,
        None,
        12.5,
    ]
    assert field.rejects() == [(3, "PumpIntakePressure: '1.#INF' is infinite")]


def test_what_sql_server_and_postgresql_write_is_read(field: Field) -> None:
    put_case(field, "ssms-blob-and-dates")
    report = field.run()
    assert [(file.stored, file.rejected) for file in report.files] == [(6, 0), (1, 0), (0, 1)]
    rows = field.rows('SELECT "NodeID", "Date"::text AS t, cardinality(surfcard_load) AS n FROM xspoc.card')
    found = {row["NodeID"].removeprefix("S "): (row["t"], row["n"]) for row in rows}
    points = found["0x"][1]
    assert points
    assert found == {
        "0x": ("2025-01-02 06:00:00", points), "pg": ("2025-01-02 06:00:00", points), "none": ("2025-01-02 06:00:00", points),
        "date0": ("2025-01-05 07:00:00", points), "nnbsp": ("2025-01-05 07:00:00", points),
        "slash": ("2025-01-05 07:00:00", points), "utf16": ("2025-01-05 07:00:00", points),
    }  # fmt: skip
    assert "SPM: '8,1' has a comma" in field.rejects()[0][1]
    assert field.values("SELECT count(DISTINCT surfcard_load) FROM xspoc.card") == [1]


def test_times_with_a_zone_become_local_in_csv_and_parquet(field: Field) -> None:
    field.settings = field.settings.model_copy(update={"timezone": "America/Chicago"})
    field.take(
        "WellTests.E2E.20260110.1200.csv",
        "NodeID,TestDate,OilRate",
        "A,2026-01-01T12:00:00Z,1",
        "B,2026-01-01 12:00,1",
    )
    here = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    rows: dict[str, Any] = {
        "NodeID": ["C"],
        "TestDate": pa.array([here], pa.timestamp("us", tz="Europe/Berlin")),
        "OilRate": [1.0],
    }
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file)
    field.put("WellTests.E2E.20260110.1201.parquet", file.getvalue())
    field.run()
    expected = {"A": "2026-01-01 06:00:00", "B": "2026-01-01 12:00:00", "C": "2026-01-01 05:00:00"}
    found = field.rows('SELECT "NodeID", "TestDate"::text AS t FROM xspoc.welltest')
    assert {row["NodeID"]: row["t"] for row in found} == expected
    span = (datetime(2026, 1, 1).date(), datetime(2026, 1, 1).date())
    done = reload_days(
        field.warehouse, field.store, table("xspoc", "welltest"), *span, ZoneInfo("America/Chicago")
    )
    assert done.changed == 0


# ---- labels without their seconds

CARDS = "NodeID,Date,SurfaceCardB"


def labels(field: Field) -> dict[str, str]:
    found = field.rows('SELECT "Date"::text AS t, "TrueLabel1" AS l FROM clean.dynalabel ORDER BY 1')
    assert field.values(
        'SELECT count(*) FROM (SELECT "Date" FROM clean.dynalabel EXCEPT SELECT "Date" FROM clean.dynalabel_history) AS x'
    ) == [0]
    return {row["t"]: row["l"] for row in found}


def test_a_label_without_seconds_goes_to_the_one_card_of_its_minute(field: Field) -> None:
    cards = [
        f"A,2026-01-01 {time},{hex_card()}"
        for time in ("07:00:13.250", "08:00:01", "08:00:40", "09:00", "09:00:30", "10:00:05.5")
    ]
    field.take("CardData.E2E.20260102.0000.csv", CARDS, *cards)
    rows = [
        "1/1/2026 7:00,Fluid\u00a0Pound,",
        "1/1/2026 8:00,Full Pump,",
        "1/1/2026 9:00,Full Pump,",
        "2026-01-01 10:00:05,Full Pump,",
    ]
    report = field.take(
        "Labels.E2E.20260102.0001.csv", "NodeID,Date,TrueLabel1,TrueLabel2", *(f"a,{row}" for row in rows)
    )
    assert any("2 labels without seconds" in line for line in report.warnings)
    assert labels(field) == {
        "2026-01-01 07:00:13.25": "Fluid Pound",
        "2026-01-01 08:00:00": "Full Pump",  # two cards: it waits
        "2026-01-01 09:00:00": "Full Pump",  # the card of exactly that time
        "2026-01-01 10:00:05.5": "Full Pump",
    }
    assert [(each.node, each.time, each.cards) for each in waiting_labels(field.warehouse)] == [
        ("A", datetime(2026, 1, 1, 8), 2)
    ]
    assert reload_days(field.warehouse, field.store, table("clean", "dynalabel"), None, None).changed == 0


def test_a_label_that_waits_finds_the_card_that_comes_later(field: Field) -> None:
    field.take(
        "Labels.E2E.20260102.0001.csv",
        "NodeID,Date,TrueLabel1",
        "A,1/1/2026 7:00,Full Pump",
        "A,1/1/2026 8:00,Full Pump",
    )
    assert [each.cards for each in waiting_labels(field.warehouse)] == [0, 0]
    before = field.marks("clean/dynalabel")
    field.take("CardData.E2E.20260102.0002.csv", CARDS, f"a,2026-01-01 07:00:13,{hex_card()}")
    assert labels(field) == {"2026-01-01 07:00:13": "Full Pump", "2026-01-01 08:00:00": "Full Pump"}
    assert field.marks("clean/dynalabel") != before
    assert [each.time.hour for each in waiting_labels(field.warehouse)] == [8]
    # a newer label of the same card wins, however its time is written
    field.take(
        "Labels.E2E.20260103.0001.csv", "NodeID,Date,TrueLabel1", "A,2026-01-01 07:00:13,Gas Interference"
    )
    field.take("Labels.E2E.20260101.2301.csv", "NodeID,Date,TrueLabel1", "A,1/1/2026 7:00,Fluid Pound")
    assert labels(field)["2026-01-01 07:00:13"] == "Gas Interference"
