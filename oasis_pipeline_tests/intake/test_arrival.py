"""The rules of arrival: which rows stand in the table, and what is said of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oasis_pipeline.cards.codec import CardColumn, encode_blobs, encode_hex
from oasis_pipeline.intake import chunks
from oasis_pipeline.schema import CARD_BLOBS, DROP_KINDS, card_columns
from oasis_pipeline.settings import load_settings
from oasis_pipeline_tests.intake.conftest import Field, csv, hex_card

CARD = "CardData.E2E.20260110.1200.csv"
HEADER = "NodeID,Date,SPM,SurfaceCardB"
pytestmark = pytest.mark.server


def spm(field: Field) -> dict[str, float | None]:
    sql = """SELECT "NodeID" || ' ' || "Date"::text AS key, "SPM" FROM xspoc.card ORDER BY 1"""
    return {row["key"]: row["SPM"] for row in field.rows(sql)}


# NodeID


def test_nodeid_is_cleaned_and_matched_without_regard_to_case(field: Field) -> None:
    field.take(CARD, HEADER, "Well  #1 ,2026-01-10,1,", "WELL 1,2026-01-09,2,", " well\t1,2026-01-08,3,")
    assert spm(field) == {
        "Well 1 2026-01-08 00:00:00": 3,
        "Well 1 2026-01-09 00:00:00": 2,
        "Well 1 2026-01-10 00:00:00": 1,
    }


def test_without_welldetails_the_first_spelling_seen_stays(field: Field) -> None:
    field.take(CARD, HEADER, "Well A,2026-01-10,1,")
    field.take("WellTests.E2E.20260111.0000.csv", "NodeID,TestDate,OilRate", "WELL A,2026-01-10,5")
    assert field.values('SELECT "NodeID" FROM xspoc.welltest') == ["Well A"]


def test_the_spelling_of_welldetails_is_shown_everywhere(field: Field) -> None:
    field.put(CARD, csv(HEADER, "well a,2026-01-10,1,", "well a,2026-01-09,x,", "other,2026-01-08,1,"))
    field.put("Labels.E2E.20260110.1200.csv", csv("NodeID,Date,TrueLabel1", "well a,2026-01-10,Full Pump"))
    field.put(
        "Failures.E2E.20260110.1200.csv", csv("NodeID,Failure Start Date,Failures", "well a,2026-01-10,Rod")
    )
    field.put("Rods.E2E.20260110.1200.csv", csv("NodeID,RodNum,Length", "well a,1,100"))
    field.run()
    before = field.marks("xspoc/card")
    report = field.take("WellDetails.E2E.20260111.0000.csv", "NodeID,SPM", "Well A,7")
    tables = (
        "xspoc.card", "xspoc.rejected", "clean.dynalabel", "clean.dynalabel_history", "analysis.failure_info", "xspoc.rods",
        "xspoc.rods_history", "xspoc.welldetails", "xspoc.welldetails_history",
    )  # fmt: skip
    for table in tables:
        assert field.values(f'SELECT DISTINCT "NodeID" FROM {table} WHERE lower("NodeID") = \'well a\'') == [
            "Well A"
        ], table
    after = field.marks("xspoc/card")
    assert after["2026-01-10"] > before["2026-01-10"]
    assert after["2026-01-08"] == before["2026-01-08"]
    assert {"xspoc/card", "clean/dynalabel", "analysis/failure_info", "xspoc/rods"} < set(report.changed)


def test_in_a_pass_welldetails_go_first(field: Field) -> None:
    field.put(CARD, csv(HEADER, "well a,2026-01-10,1,"))
    field.put("WellDetails.E2E.20260111.0000.csv", csv("NodeID,SPM", "Well A,7"))
    report = field.run()
    assert [file.kind for file in report.files] == ["WellDetails", "CardData"]
    assert list(spm(field)) == ["Well A 2026-01-10 00:00:00"]


def test_the_spelling_of_older_welldetails_does_not_come_back(field: Field) -> None:
    field.take("WellDetails.E2E.20260111.0000.csv", "NodeID,SPM", "Well A,7")
    field.take("WellDetails.E2E.20260110.0000.csv", "NodeID,SPM", "WELL a,6")
    assert field.rows('SELECT "NodeID", "SPM" FROM xspoc.welldetails') == [{"NodeID": "Well A", "SPM": 7.0}]
    field.take("WellDetails.E2E.20260112.0000.csv", "NodeID,SPM", "WELL A,8")
    assert field.rows('SELECT "NodeID", "SPM" FROM xspoc.welldetails') == [{"NodeID": "WELL A", "SPM": 8.0}]


def test_a_card_under_another_spelling_is_the_same_key(field: Field) -> None:
    field.take(CARD, HEADER, "well a,2026-01-10,1,")
    report = field.take("CardData.E2E.20260110.1300.csv", HEADER, "#WELL A,2026-01-10,2,")
    assert spm(field) == {"well a 2026-01-10 00:00:00": 2}
    assert report.files[0].stored == 1


# Keys


def test_inside_one_file_the_last_row_wins(field: Field) -> None:
    report = field.take(CARD, HEADER, "A,2026-01-10,1,", "B,2026-01-10,5,", "A,2026-01-10,2,")
    assert spm(field) == {"A 2026-01-10 00:00:00": 2, "B 2026-01-10 00:00:00": 5}
    assert (report.files[0].stored, report.files[0].superseded) == (2, 1)


def test_the_row_of_the_newer_file_wins_whole_nulls_included(field: Field) -> None:
    field.take(CARD, HEADER, f"A,2026-01-10,1,{hex_card()}")
    field.take("CardData.E2E.20260110.1300.csv", "NodeID,Date,Fillage", "A,2026-01-10,90")
    row = field.rows('SELECT "SPM", "Fillage", surfcard_load, surfcard_fault FROM xspoc.card')[0]
    assert row == {"SPM": None, "Fillage": 90.0, "surfcard_load": None, "surfcard_fault": "no card"}


def test_an_older_file_that_arrives_later_never_overwrites(field: Field) -> None:
    field.take("CardData.E2E.20260110.1300.csv", HEADER, "A,2026-01-10,2,")
    before = field.marks("xspoc/card")
    report = field.take(CARD, HEADER, "A,2026-01-10,1,", "A,2026-01-09,1,")
    assert spm(field) == {"A 2026-01-09 00:00:00": 1, "A 2026-01-10 00:00:00": 2}
    assert (report.files[0].stored, report.files[0].superseded) == (1, 1)
    assert field.marks("xspoc/card")["2026-01-10"] == before["2026-01-10"]


def test_of_equal_stamps_the_later_arrival_wins(field: Field) -> None:
    field.take(CARD, HEADER, "A,2026-01-10,1,")
    report = field.take(CARD, HEADER, "A,2026-01-10,2,")
    assert spm(field) == {"A 2026-01-10 00:00:00": 2}
    names = field.values("SELECT source_file FROM oasis.file ORDER BY arrival")
    assert names[0] == CARD
    assert names[1] == report.files[0].source_file != CARD
    assert names[1].startswith("CardData.E2E.20260110.1200.")
    assert field.store.list("backup") == sorted(f"backup/CardData/{name}" for name in names)


def test_of_equal_stamps_in_one_pass_the_one_written_later_wins(field: Field) -> None:
    field.put(CARD, csv(HEADER, "A,2026-01-10,1,"), age_s=10)
    field.put(CARD + ".gz", csv(HEADER, "A,2026-01-10,2,"), age_s=20)
    field.run()
    assert spm(field) == {"A 2026-01-10 00:00:00": 1}


def test_a_newer_file_with_the_same_row_keeps_it_and_shields_it(field: Field) -> None:
    field.take(CARD, HEADER, "A,2026-01-10,1,")
    field.take("CardData.E2E.20260112.0000.csv", HEADER, "A,2026-01-10,1,")
    report = field.take("CardData.E2E.20260111.0000.csv", HEADER, "A,2026-01-10,9,")
    assert spm(field) == {"A 2026-01-10 00:00:00": 1}
    assert report.files[0].superseded == 1


def test_rerunning_a_file_changes_nothing(field: Field) -> None:
    lines = (HEADER, "A,2026-01-10,1,", "A,x,1,")
    field.take(CARD, *lines)
    before = [
        field.rows(f"SELECT *, xmin::text FROM {table}")
        for table in ("xspoc.card", "xspoc.rejected", "oasis.asset_state")
    ]
    report = field.take(CARD, *lines)
    assert report.files[0].already_loaded
    assert report.changed == {}
    assert before == [
        field.rows(f"SELECT *, xmin::text FROM {table}")
        for table in ("xspoc.card", "xspoc.rejected", "oasis.asset_state")
    ]
    assert not list(field.settings.drop.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(
                st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(0, 9)), min_size=1, max_size=6
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_files_in_any_order_leave_the_rows_of_the_rules(
    new_field: Callable[[], Field], drops: list[tuple[int, list[tuple[str, int, int]]]]
) -> None:
    field = new_field()
    expected: dict[str, tuple[int, int]] = {}
    contents: set[tuple[int, str]] = set()
    for minute, rows in drops:
        content = csv(HEADER, *(f"{node},2026-01-0{day},{value}," for node, day, value in rows))
        field.put(f"CardData.E2E.20260110.000{minute}.csv", content)
        report = field.run()
        assert report.files[0].already_loaded == ((minute, content) in contents)
        if (minute, content) not in contents:
            for node, day, value in rows:
                key = f"{node} 2026-01-0{day} 00:00:00"
                if minute >= expected.get(key, (-1, 0))[0]:
                    expected[key] = (minute, value)
        contents.add((minute, content))
    assert spm(field) == {key: value for key, (_, value) in expected.items()}


def test_the_last_row_wins_across_chunks_of_a_long_file(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    picks = rng.integers(0, 40, 600)
    lines = [f"W{pick},2026-01-10,{number}," for number, pick in enumerate(picks)]
    field.take("CardData.E2E.20260111.0000.csv", HEADER, "W0,2026-01-10,-1,")
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1 << 10)
    report = field.take("CardData.E2E.20260110.2300.csv", HEADER, *lines)
    expected = {f"W{pick} 2026-01-10 00:00:00": number for number, pick in enumerate(picks)}
    assert spm(field) == {**expected, "W0 2026-01-10 00:00:00": -1}
    assert (report.files[0].stored, report.files[0].superseded) == (
        len(expected) - 1,
        600 - len(expected) + 1,
    )


# Rejected rows


BAD_LINES = [
    (",2026-01-10,1,", "NodeID: is empty, and is part of the key"),
    ("#,2026-01-10,1,", "NodeID: is empty, and is part of the key"),
    ("A,,1,", "Date: is empty, and is part of the key"),
    ("A,NULL,1,", "Date: is empty, and is part of the key"),
    ("A,noon,1,", "Date: 'noon' is not a date (ISO or m/d/yyyy h:mm[:ss] [AM|PM])"),
    ("A,2026-01-10T13:00Z,1,", "Date: '2026-01-10 13:00:00' lies after the file's own stamp 2026-01-10 12:00"),
    ("A,2026-01-10 12:01,1,", "Date: '2026-01-10 12:01:00' lies after the file's own stamp 2026-01-10 12:00"),
    ("A,1999-12-31 23:59,1,", "Date: '1999-12-31 23:59:00' lies before 2000-01-01, the first day accepted"),
    ("A,2026-01-10,fast,", "SPM: 'fast' is not a number"),
    ("A,2026-01-10,inf,", "SPM: 'inf' is infinite"),
    ("A,2026-01-10,1,zz", "SurfaceCardB: is not hexadecimal"),
    ("A,2026-01-10,1,0y00000000", "SurfaceCardB: is not hexadecimal"),
    ("A,2026-01-10,1,000", "SurfaceCardB: has an odd number of hexadecimal digits"),
    ("A,2026-01-10,1,00000000", "SurfaceCardB: is not an even number of whole 4-byte floats"),
    ("A,2026-01-10,1,0000807f00000000", "SurfaceCardB: contains an infinite value"),
    ("A,2026-01-10,1", "3 fields where the header has 4"),
    ("A,2026-01-10,1,,", "5 fields where the header has 4"),
    (",soon,x,zz", "Date: 'soon' is not a date (ISO or m/d/yyyy h:mm[:ss] [AM|PM]); SPM: 'x' is not a number; "
                   "SurfaceCardB: is not hexadecimal; NodeID: is empty, and is part of the key"),
]  # fmt: skip


def test_a_row_that_can_not_be_used_is_rejected_with_every_reason_and_the_rest_loads(field: Field) -> None:
    bad = [line for line, _ in BAD_LINES]
    report = field.take(CARD, HEADER, "B,2026-01-10,1,", *bad, f"C,2026-01-10,2,{hex_card()}")
    assert field.rejects() == [(number, reason) for number, (_, reason) in enumerate(BAD_LINES, 2)]
    assert list(spm(field)) == ["B 2026-01-10 00:00:00", "C 2026-01-10 00:00:00"]
    file = report.files[0]
    assert (file.rows, file.stored, file.rejected) == (len(bad) + 2, 2, len(bad))


def test_a_faulty_blob_in_any_blob_column_rejects_the_row(field: Field) -> None:
    columns = list(CARD_BLOBS)
    lines = []
    for text in ("xyz", hex_card().upper()):
        lines += [f"A,2026-01-10 00:0{at}{',' * at},{text}{',' * (8 - at)}" for at in range(len(columns))]
    field.take(CARD, ",".join(["NodeID", "Date", *columns]), *lines)
    assert field.rejects() == [(at, f"{column}: is not hexadecimal") for at, column in enumerate(columns, 1)]
    for at, column in enumerate(columns):
        position, load = (c.name for c in card_columns(CARD_BLOBS[column]))
        stored = field.rows(f'SELECT {position} AS x, {load} AS y FROM xspoc.card ORDER BY "Date"')
        assert [row["x"] is not None for row in stored] == [other == at for other in range(len(columns))]
        row = stored[at]
        assert encode_hex(CardColumn.from_rows([(np.float32(row["x"]), np.float32(row["y"]))])) == [
            hex_card()
        ]


def test_a_time_within_the_minute_of_the_stamp_is_not_after_it(field: Field) -> None:
    field.take(CARD, HEADER, "A,2026-01-10 12:00:59.999,1,")
    assert field.rejects() == []


def test_rejected_rows_keep_what_could_be_read_and_the_row_as_it_came(field: Field) -> None:
    field.take(CARD, HEADER + ",Colour", "#A  1,1/9/2026 1:05 PM, x ,,red", "B,2026-01-10")
    rows = field.rows('SELECT * FROM xspoc.rejected ORDER BY "RowNumber"')
    assert [(row["Kind"], row["SourceFile"], row["RowNumber"]) for row in rows] == [
        ("CardData", CARD, 1),
        ("CardData", CARD, 2),
    ]
    assert (rows[0]["NodeID"], rows[0]["Date"]) == ("A 1", datetime(2026, 1, 9, 13, 5))
    assert (rows[1]["NodeID"], rows[1]["Date"]) == (None, None)
    raw = {"NodeID": "#A  1", "Date": "1/9/2026 1:05 PM", "SPM": " x ", "SurfaceCardB": "", "Colour": "red"}
    assert [json.loads(row["Raw"]) for row in rows] == [raw, {"line": "B,2026-01-10"}]
    assert all(row["RejectedAt"].tzinfo is not None for row in rows)


def test_a_nul_character_is_rejected_not_fatal(field: Field) -> None:
    field.take(
        CARD,
        "NodeID,Date,CardType,Note\x00",
        "A,2026-01-10,P\x00,\x00",
        "B\x00,2026-01-10,P,",
        "C,2026-01-10,P,",
    )
    assert [number for number, _ in field.rejects()] == [1, 2]
    assert list(spm(field)) == ["C 2026-01-10 00:00:00"]


def test_a_rejected_row_does_not_supersede_an_earlier_good_one(field: Field) -> None:
    field.take(CARD, HEADER, "A,2026-01-10,1,", "A,2026-01-10,x,")
    assert spm(field) == {"A 2026-01-10 00:00:00": 1}


TIMED = [
    ("XDiagResults", "NodeID,Date,FillagePct", "A,{},80"),
    ("XDiagRodResults", "NodeID,Date,RodNum,Loading", "A,{},1,70"),
    ("WellTests", "NodeID,TestDate,OilRate", "A,{},80"),
    ("Failures", "NodeID,Failure Start Date,Failures", "A,{},Rod"),
    ("Labels", "NodeID,Date,TrueLabel1", "A,{},Full Pump"),
]


def test_every_kind_with_a_time_refuses_the_future_and_a_bad_clock(field: Field) -> None:
    times = ("2026-01-10 12:01", "2026-01-10 12:00:59", "1970-01-01")
    for kind, header, line in TIMED:
        field.put(f"{kind}.E2E.20260110.1200.csv", csv(header, *(line.format(time) for time in times)))
    report = field.run()
    assert [number for number, _ in field.rejects()] == [1, 3] * len(TIMED)
    assert [file.stored for file in report.files] == [1] * len(TIMED)


def test_rows_before_oasis_start_are_rejected(field: Field) -> None:
    address = field.warehouse.address
    field.settings = load_settings(
        field.settings.home, host=address.host, db=address.db, start=date(2026, 1, 5)
    )
    field.take(CARD, HEADER, "A,2026-01-04 23:59:59,1,", "A,2026-01-05,2,")
    assert spm(field) == {"A 2026-01-05 00:00:00": 2}
    assert field.rejects()[0][1].endswith("lies before 2026-01-05, the first day accepted")


# Columns and cards


def test_every_column_of_every_kind_is_stored(field: Field) -> None:
    texts = {
        "TEXT": "text",
        "FLOAT": "1.5",
        "INT": "3",
        "BOOL": "true",
        "TIME": "2026-01-10 11:00",
        "UTC": "2026-01-10T11:00Z",
    }
    for drop in DROP_KINDS.values():
        line = [
            hex_card() if n in CARD_BLOBS else texts[drop.table.by_name[n].type.name] for n in drop.columns
        ]
        field.put(f"{drop.name}.E2E.20260110.1200.csv", csv(",".join(drop.columns), ",".join(line)))
    for file in field.run().files:
        assert (file.stored, file.missing_columns, file.ignored_columns) == (1, [], [])
    for drop in DROP_KINDS.values():
        stored = field.rows(f"SELECT * FROM {drop.table.full_name}")[0]
        # labels: the same text twice is one label; nobody gave a group by hand; a card without a fault has none
        empty = {name for name, value in stored.items() if value is None}
        assert empty == {"TrueLabel2", "given_by"} & set(stored) | {
            name for name in stored if name.endswith("_fault")
        }


def test_missing_columns_are_null_and_extra_ones_named(field: Field) -> None:
    report = field.take(CARD, "nodeid,Date,Colour,SPM", "A,2026-01-10,red,7")
    assert report.files[0].ignored_columns == ["Colour"]
    assert "Fillage" in report.files[0].missing_columns
    assert field.values("SELECT ignored_columns FROM oasis.file") == ["Colour"]
    assert field.rows('SELECT "SPM", "Fillage" FROM xspoc.card') == [{"SPM": 7.0, "Fillage": None}]


OF_NO_USE = [
    ([], "no card"),
    ([(0.0, 0.0)] * 10, "all zero"),
    ([(5.0, float(load)) for load in range(10)], "stroke 0"),
    ([(float(x), 100.0 + x) for x in range(7)], "fewer than 8 usable points"),
    ([(float("nan") if x < 3 else x, 100.0 + x) for x in range(10)], "more than 20 % NaN"),
    ([(float("nan") if x < 2 else x, 100.0 + x) for x in range(10)], None),
]


def test_cards_of_no_use_are_stored_as_they_came(field: Field) -> None:
    cards = [np.array(points, np.float32).reshape(-1, 2).T for points, _ in OF_NO_USE]
    texts = encode_hex(CardColumn.from_rows([(position, load) for position, load in cards]))
    field.take(CARD, HEADER, *(f"A,2026-01-10 00:0{at},1,{text}" for at, text in enumerate(texts)))
    rows = field.rows('SELECT * FROM xspoc.card ORDER BY "Date"')
    assert [row["surfcard_fault"] for row in rows] == [fault for _, fault in OF_NO_USE]
    for row, (position, load), (_, fault) in zip(rows, cards, OF_NO_USE, strict=True):
        np.testing.assert_array_equal(row["surfcard_position"] or [], position)
        np.testing.assert_array_equal(row["surfcard_load"] or [], load)
        extremes = [
            row[f"surfcard_{name}"] for name in ("pos_min_in", "pos_max_in", "load_min_lbf", "load_max_lbf")
        ]
        assert extremes == ([None] * 4 if fault else [2.0, 9.0, 102.0, 109.0])


def test_extremes_leave_out_lost_points(field: Field) -> None:
    phase = 2 * np.pi * np.arange(20) / 20
    position, load = 60 - 50 * np.cos(phase), 5000 + 1000 * np.sin(phase)
    position[7], load[7] = 0, 0
    card = encode_hex(CardColumn.from_rows([(position.astype(np.float32), load.astype(np.float32))]))[0]
    field.take(CARD, HEADER, f"A,2026-01-10,1,{card}")
    row = field.rows("SELECT surfcard_pos_min_in, surfcard_load_min_lbf FROM xspoc.card")[0]
    assert row["surfcard_pos_min_in"] == pytest.approx(10)
    assert row["surfcard_load_min_lbf"] == pytest.approx(4000)


def test_parquet_with_raw_blobs_and_typed_columns_equals_the_csv(new_field: Callable[[], Field]) -> None:
    one, other = new_field(), new_field()
    one.take(CARD, HEADER, f"A,2026-01-10 01:02:03.004,7.25,{hex_card()}", "B,2026-01-10,,")
    table = pa.table(
        {
            "NodeID": ["A", "B"],
            "Date": pa.array([datetime(2026, 1, 10, 1, 2, 3, 4000), datetime(2026, 1, 10)]),
            "SPM": [7.25, None],
            "SurfaceCardB": [bytes.fromhex(hex_card()), None],
        }
    )
    other.settings.drop.mkdir(parents=True)
    pq.write_table(table, other.settings.drop / CARD.replace(".csv", ".parquet"))
    other.run()
    assert one.rows("SELECT * FROM xspoc.card ORDER BY 1") == other.rows(
        "SELECT * FROM xspoc.card ORDER BY 1"
    )
    assert len(other.rows("SELECT * FROM xspoc.card")) == 2
    bad = table.set_column(3, "SurfaceCardB", pa.array([b"123", b""]))
    pq.write_table(bad, other.settings.drop / "CardData.E2E.20260111.0000.parquet")
    other.run()
    assert other.rejects() == [(1, "SurfaceCardB: is not an even number of whole 4-byte floats")]


# Ledger


def test_late_rows_mark_their_days_with_the_rows_they_hold_now(field: Field) -> None:
    field.take(CARD, HEADER, "A,2026-01-10,1,", "A,2026-01-09,1,")
    before = field.marks("xspoc/card")
    report = field.take(
        "CardData.E2E.20260113.0000.csv",
        HEADER,
        "A,2026-01-10,1,",
        "A,2026-01-09 05:00,2,",
        "A,2026-01-12,3,",
    )
    assert report.files[0].changed_days == {"xspoc/card": {date(2026, 1, 9): 1, date(2026, 1, 12): 1}}
    assert report.changed == {"xspoc/card": {"2026-01-09": 1, "2026-01-12": 1}}
    after = field.marks("xspoc/card")
    assert after["2026-01-10"] == before["2026-01-10"]
    assert after["2026-01-09"] > before["2026-01-09"]
    held = field.rows("SELECT partition, rows FROM oasis.asset_state WHERE asset = 'xspoc/card' ORDER BY 1")
    assert {row["partition"]: row["rows"] for row in held} == {
        "2026-01-09": 2,
        "2026-01-10": 1,
        "2026-01-12": 1,
    }


def test_the_first_day_moves_back_with_earlier_rows(field: Field) -> None:
    assert field.run().first_day is None
    assert not field.settings.first_day_file.exists()
    for day, first in (
        ("2026-01-09", "2026-01-09"),
        ("2026-01-10", "2026-01-09"),
        ("2026-01-02", "2026-01-02"),
    ):
        report = field.take(CARD, HEADER, f"A,{day},1,")
        assert str(report.first_day) == first == field.settings.first_day_file.read_text()
    field.settings.first_day_file.unlink()
    assert str(field.run().first_day) == "2026-01-02" == field.settings.first_day_file.read_text()


def test_blobs_come_back_bit_for_bit(field: Field) -> None:
    rng = np.random.default_rng(3)
    cards = CardColumn.from_rows([(rng.normal(50, 30, n).astype(np.float32), rng.normal(5000, 999, n).astype(np.float32))
                                  for n in (8, 200, 250, 1, 100)])  # fmt: skip
    lines = [f"A,2026-01-10 00:0{i},,{text}" for i, text in enumerate(encode_hex(cards))]
    field.take(CARD, HEADER, *lines)
    rows = field.rows('SELECT surfcard_position AS x, surfcard_load AS y FROM xspoc.card ORDER BY "Date"')
    back = CardColumn.from_rows([(np.float32(row["x"]), np.float32(row["y"])) for row in rows])
    assert encode_blobs(back)[0].tobytes() == encode_blobs(cards)[0].tobytes()


CASES = Path(__file__).parents[1] / "fixtures" / "cases"


def test_impossible_cards_are_stored_with_the_reason_and_counted(field: Field) -> None:
    file = next((CASES / "blob-impossible-values-stored-as-usable").glob("CardData*"))
    field.put(file.name, file.read_bytes())
    report = field.run()
    assert [done.stored for done in report.files] == [6]
    rows = field.rows("SELECT * FROM xspoc.card")
    assert all(row["surfcard_fault"] and row["surfcard_load"] for row in rows)
    assert all(row["surfcard_load_max_lbf"] is None for row in rows)
    assert sum("6 surfcard can't be used" in warning for warning in report.warnings) == 1


def test_a_padded_card_has_the_figures_of_the_plain_one(field: Field) -> None:
    file = next((CASES / "zero-padded-blob").glob("CardData*"))
    field.put(file.name, file.read_bytes())
    assert not [warning for warning in field.run().warnings if "can't be used" in warning]
    plain, padded = field.rows("SELECT * FROM xspoc.card ORDER BY cardinality(surfcard_load)")
    assert (len(plain["surfcard_load"]), len(padded["surfcard_load"])) == (134, 200)
    for name in ("pos_min_in", "pos_max_in", "load_min_lbf", "load_max_lbf"):
        assert plain[f"surfcard_{name}"] == padded[f"surfcard_{name}"]
    assert plain["surfcard_load_min_lbf"] > 10_000


def test_a_pump_card_of_positions_leaves_the_surface_card_usable(field: Field) -> None:
    file = next((CASES / "pump-card-load-equals-position").glob("CardData*"))
    field.put(file.name, file.read_bytes())
    report = field.run()
    rows = field.rows('SELECT * FROM xspoc.card ORDER BY "Date"')
    assert not any(row["surfcard_fault"] for row in rows)
    assert {row["pocdowncard_fault"] for row in rows} == {"no card", "no area: the loads are the positions"}
    assert all(row["pocdowncard_load_max_lbf"] is None for row in rows)
    assert any("5 pocdowncard can't be used" in warning for warning in report.warnings)
