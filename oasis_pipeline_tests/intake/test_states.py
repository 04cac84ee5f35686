"""Equipment, labels and failures: what stands in force, and what is kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations

import openpyxl
import pytest

from oasis_pipeline.intake.failures import RuleFileError, read_rules, reduce_text
from oasis_pipeline_tests.intake.conftest import Field, csv

RODS = "NodeID,RodNum,Length,Diameter"
pytestmark = pytest.mark.server


def strings(field: Field, table: str = "rods") -> list[tuple[str, int, float]]:
    rows = field.rows(f'SELECT "NodeID", "RodNum", "Length" FROM xspoc.{table} ORDER BY 1, 2')
    return [(row["NodeID"], row["RodNum"], row["Length"]) for row in rows]


def history(field: Field) -> dict[str, list[float]]:
    sql = """SELECT "ValidFrom"::date::text AS since, array_agg("Length" ORDER BY "RodNum") AS lengths
             FROM xspoc.rods_history WHERE "NodeID" = 'A' GROUP BY 1 ORDER BY 1"""
    return {row["since"]: row["lengths"] for row in field.rows(sql)}


# Equipment


def test_a_rods_file_replaces_the_whole_string_of_each_well_it_names(field: Field) -> None:
    field.take("Rods.E2E.20260101.0000.csv", RODS, "A,1,100,1", "A,2,200,0.875", "A,3,300,0.75", "B,1,50,1")
    report = field.take("Rods.E2E.20260102.0000.csv", RODS, "A,1,150,1", "A,2,250,1")
    assert strings(field) == [("A", 1, 150), ("A", 2, 250), ("B", 1, 50)]
    assert report.files[0].stored == 2
    assert history(field) == {"2026-01-01": [100, 200, 300], "2026-01-02": [150, 250]}


def test_a_deviations_file_replaces_the_whole_survey(field: Field) -> None:
    header = "NodeID,MD,Inclination,Azimuth"
    field.take("Deviations.E2E.20260101.0000.csv", header, "A,0,0,0", "A,100.5,1,10", "A,200,2,20")
    field.take("Deviations.E2E.20260102.0000.csv", header, "A,0,0,0", "A,150,3,30")
    assert field.values('SELECT "MD" FROM xspoc.deviations ORDER BY 1') == [0, 150]
    assert len(field.values('SELECT "MD" FROM xspoc.deviations_history')) == 5


def test_files_in_any_order_leave_the_same_states(new_field: Callable[[], Field]) -> None:
    drops = {
        "Rods.E2E.20260101.0000.csv": csv(RODS, "A,1,100,1", "A,2,200,1"),
        "Rods.E2E.20260102.0000.csv": csv(RODS, "A,1,111,1"),
        "Rods.E2E.20260103.0000.csv": csv(RODS, "A,1,100,1", "A,2,200,1"),
    }
    for order in list(permutations(drops))[1::2]:
        field = new_field()
        for name in order:
            field.put(name, drops[name])
            field.run()
        assert strings(field) == [("A", 1, 100), ("A", 2, 200)], order
        assert history(field) == {"2026-01-01": [100, 200], "2026-01-02": [111], "2026-01-03": [100, 200]}, (
            order
        )


def test_an_older_state_that_arrives_later_only_adds_history(field: Field) -> None:
    field.take("WellDetails.E2E.20260103.0000.csv", "NodeID,PumpDepth", "A,5000", "B,6000")
    report = field.take("WellDetails.E2E.20260101.0000.csv", "NodeID,PumpDepth", "A,4000", "C,7000")
    assert (report.files[0].stored, report.files[0].superseded) == (1, 1)
    current = field.rows('SELECT "NodeID", "PumpDepth" FROM xspoc.welldetails ORDER BY 1')
    assert [tuple(row.values()) for row in current] == [("A", 5000), ("B", 6000), ("C", 7000)]
    kept = field.rows(
        'SELECT "ValidFrom", "PumpDepth" FROM xspoc.welldetails_history WHERE "NodeID" = \'A\' ORDER BY 1'
    )
    assert [tuple(row.values()) for row in kept] == [
        (datetime(2026, 1, 1), 4000),
        (datetime(2026, 1, 3), 5000),
    ]


def test_of_equal_stamps_the_later_state_replaces_the_earlier_whole(field: Field) -> None:
    field.take("Rods.E2E.20260101.0000.csv", RODS, "A,1,100,1", "A,2,200,1")
    field.take("Rods.E2E.20260101.0000.csv", RODS, "A,1,150,1")
    assert strings(field) == [("A", 1, 150)]
    assert history(field) == {"2026-01-01": [150]}


def test_the_same_state_again_is_kept_and_is_no_change(field: Field) -> None:
    field.take("PumpingUnits.E2E.20260101.0000.csv", "NodeID,UnitType,A", "A,Conventional,100")
    before = field.marks("xspoc/pumpingunits")
    report = field.take("PumpingUnits.E2E.20260105.0000.csv", "NodeID,UnitType,A", "A,Conventional,100")
    assert report.changed == {}
    assert field.marks("xspoc/pumpingunits") == before
    # another state between the two is a change, and lasts until the repeat
    report = field.take("PumpingUnits.E2E.20260103.0000.csv", "NodeID,UnitType,A", "A,Mark II,100")
    assert list(report.changed) == ["xspoc/pumpingunits"]
    assert field.values('SELECT "UnitType" FROM xspoc.pumpingunits_history ORDER BY "ValidFrom"') == [
        "Conventional",
        "Mark II",
        "Conventional",
    ]
    assert field.values('SELECT "UnitType" FROM xspoc.pumpingunits') == ["Conventional"]


def test_marks_tell_from_when_on_a_state_is_another_one(field: Field) -> None:
    header = "NodeID,PumpDepth"

    def marked(name: str, *rows: str) -> list[str]:
        before = field.marks("xspoc/welldetails_history")
        field.take(name, header, *rows)
        after = field.marks("xspoc/welldetails_history")
        return [day for day, tick in after.items() if tick != before.get(day)]

    # first states hold for all time before: from the first card of the well on, without cards from their own day
    field.take("CardData.E2E.20260115.0000.csv", "NodeID,Date,SPM", "A,2026-01-03,8", "B,2026-01-05,8")
    assert marked("WellDetails.E2E.20260110.0000.csv", "A,4000", "B,4000") == ["2026-01-03"]
    assert marked("WellDetails.E2E.20260110.0600.csv", "NEW,4000") == ["2026-01-10"]
    # a later state from its day on, the same again not at all
    assert marked("WellDetails.E2E.20260112.1200.csv", "A,4100", "B,4000") == ["2026-01-12"]
    assert marked("WellDetails.E2E.20260113.0000.csv", "A,4100", "B,4000") == []
    # late: between two states from its day on, before the first of B from the first card of B on
    assert marked("WellDetails.E2E.20260111.0000.csv", "A,4050") == ["2026-01-11"]
    assert marked("WellDetails.E2E.20260108.0000.csv", "B,3900") == ["2026-01-05"]
    # the same as what held then anyway
    assert marked("WellDetails.E2E.20260109.0000.csv", "A,4000", "B,3900") == []


def test_a_rejected_rod_refuses_the_string_of_its_well_and_is_told(field: Field) -> None:
    report = field.take("Rods.E2E.20260101.0000.csv", RODS, "A,1,100,1", "A,2,long,1", "B,1,50,1")
    assert strings(field) == [("B", 1, 50)]
    assert [number for number, _ in field.rejects()] == [1, 2]
    assert report.warnings == [
        "Rods.E2E.20260101.0000.csv: not all rows of A can be used, so none is: the earlier state of it is kept."
        " Correct the rows (see xspoc.rejected) and send them again"
    ]


def test_a_well_named_only_by_rejected_rows_keeps_its_string(field: Field) -> None:
    field.take("Rods.E2E.20260101.0000.csv", RODS, "A,1,100,1")
    field.take("Rods.E2E.20260102.0000.csv", RODS, "A,1,long,1")
    assert strings(field) == [("A", 1, 100)]


# Labels


def labels(field: Field) -> list[tuple[str, str | None]]:
    rows = field.rows('SELECT "TrueLabel1", "TrueLabel2" FROM clean.dynalabel ORDER BY "NodeID", "Date"')
    return [(row["TrueLabel1"], row["TrueLabel2"]) for row in rows]


LABELS = "NodeID,Date,TrueLabel1,TrueLabel2"


def test_the_newest_label_is_in_force_and_the_history_keeps_all(field: Field) -> None:
    field.take("Labels.E2E.20260102.0000.csv", LABELS, "A,2026-01-01,Full Pump,", "B,2026-01-01,Fluid Pound,")
    field.take("Labels.E2E.20260104.0000.csv", LABELS, "A,2026-01-01,Gas Interference,Full Pump")
    report = field.take("Labels.E2E.20260103.0000.csv", LABELS, "A,2026-01-01,Parted Rod,")
    assert labels(field) == [("Gas Interference", "Full Pump"), ("Fluid Pound", None)]
    assert report.files[0].superseded == 1
    assert report.changed == {}
    row = field.rows('SELECT "LabeledBy", "LabeledAt" FROM clean.dynalabel WHERE "NodeID" = \'A\'')[0]
    assert row == {"LabeledBy": "Labels.E2E.20260104.0000.csv", "LabeledAt": datetime(2026, 1, 4)}
    assert len(field.values("SELECT 1 FROM clean.dynalabel_history WHERE \"NodeID\" = 'A'")) == 3


def test_labels_are_trimmed_and_matched_to_the_first_spelling(field: Field) -> None:
    field.take(
        "Labels.E2E.20260102.0000.csv",
        LABELS,
        "A,2026-01-01, Full Pump ,",
        "B,2026-01-01,full pump,Worn Barrel",
    )
    field.take("Labels.E2E.20260103.0000.csv", LABELS, "C,2026-01-01,WORN BARREL,FULL PUMP")
    assert labels(field) == [("Full Pump", None), ("Full Pump", "Worn Barrel"), ("Worn Barrel", "Full Pump")]


def test_a_lone_second_label_becomes_the_first_and_none_at_all_is_rejected(field: Field) -> None:
    field.take(
        "Labels.E2E.20260102.0000.csv",
        LABELS,
        "A,2026-01-01,,Full Pump",
        "B,2026-01-01,NULL,",
        "C,2026-01-01,X,x",
    )
    assert labels(field) == [("Full Pump", None), ("X", None)]
    assert field.rejects() == [(2, "TrueLabel1, TrueLabel2: are both empty")]


def test_labels_for_cards_not_yet_here_wait(field: Field) -> None:
    field.take("Labels.E2E.20260102.0000.csv", LABELS, "A,2026-01-01,Full Pump,")
    assert labels(field) == [("Full Pump", None)]
    field.take("CardData.E2E.20260103.0000.csv", "NodeID,Date", "a,2026-01-01")
    joined = 'SELECT "TrueLabel1" FROM clean.dynalabel JOIN xspoc.card USING ("NodeID", "Date")'
    assert field.values(joined) == ["Full Pump"]


def test_the_same_labels_in_a_newer_file_are_no_reason_to_learn_again(field: Field) -> None:
    field.take("Labels.E2E.20260102.0000.csv", LABELS, "A,2026-01-01,Full Pump,")
    before = field.marks("clean/dynalabel")
    field.take("Labels.E2E.20260103.0000.csv", LABELS, "A,2026-01-01,full pump,")
    assert field.marks("clean/dynalabel") == before
    assert field.values('SELECT "LabeledBy" FROM clean.dynalabel') == ["Labels.E2E.20260103.0000.csv"]


# Failures

FAILURES = "NodeID,Failure Start Date,Failure End Date,Failures"


def failures(field: Field) -> list[tuple[str, datetime]]:
    rows = field.rows(
        'SELECT failure_class, known_from FROM analysis.failure_info ORDER BY "NodeID", "Failure Start Date"'
    )
    return [(row["failure_class"], row["known_from"]) for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tubing Leak by Rod wear", "Tubing"),
        ("PUMP - worn barrel, rod", "Pump"),
        ("Polished rod", "Rod"),
        ("bha", "BHA"),
        ("  Motor   burnt ", "Motor burnt"),
        ("", "Unknown"),
        (None, "Unknown"),
    ],
)
def test_failures_are_reduced_by_the_rules_in_their_order(
    text: str | None, expected: str, tmp_path: object
) -> None:
    assert reduce_text(text, read_rules(tmp_path)) == expected  # type: ignore[arg-type]


def test_a_failure_is_known_from_its_first_file_or_a_day_after_its_end(field: Field) -> None:
    field.take(
        "Failures.E2E.20260110.0600.csv", FAILURES, "A,2026-01-01,2026-01-05,Rod", "B,2026-01-08 10:00,,Pump"
    )
    assert failures(field) == [("Rod", datetime(2026, 1, 6)), ("Pump", datetime(2026, 1, 10, 6))]
    field.take("Failures.E2E.20260120.0600.csv", FAILURES, "B,2026-01-08 10:00,2026-01-15,Tubing")
    assert failures(field)[1] == ("Tubing", datetime(2026, 1, 10, 6))
    # an older file that comes late: it was known even earlier, and nothing else changes
    report = field.take("Failures.E2E.20260109.0600.csv", FAILURES, "B,2026-01-08 10:00,,Rod")
    assert failures(field)[1] == ("Tubing", datetime(2026, 1, 9, 6))
    assert report.files[0].superseded == 1


def test_failures_may_come_as_excel(field: Field) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (
        FAILURES.split(","),
        ["a", datetime(2026, 1, 1), datetime(2026, 1, 2), "Rod"],
        ["b", "x", None, "Rod"],
    ):
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    field.put("Failures.E2E.20260110.0600.xlsx", data.getvalue())
    report = field.run()
    assert (report.files[0].stored, report.files[0].rejected) == (1, 1)


def test_an_end_before_its_start_is_rejected_and_a_day_without_time_is_covered(field: Field) -> None:
    lines = (
        "A,2026-01-05 10:00,2026-01-05,Rod",
        "B,2026-01-05 10:00,2026-01-05 09:59,Rod",
        "C,2026-01-05,2026-01-04,Rod",
    )
    field.take("Failures.E2E.20260110.0600.csv", FAILURES, *lines)
    assert [number for number, _ in field.rejects()] == [2, 3]
    assert field.rejects()[0][1] == "Failure End Date: '2026-01-05 09:59:00' lies before Failure Start Date"


def test_a_failure_marks_the_days_of_its_old_and_new_span(field: Field) -> None:
    field.take(
        "CardData.E2E.20260111.0000.csv", "NodeID,Date", *(f"A,2026-01-{day:02d}" for day in range(1, 11))
    )
    field.take(
        "Failures.E2E.20260107.0000.csv", FAILURES, "A,2026-01-06 10:00,,Rod", "B,2025-12-31,2026-01-01,Rod"
    )
    first = field.marks("analysis/failure_info")
    assert list(first) == ["", "2025-12-31", "2026-01-01", *(f"2026-01-{day:02d}" for day in range(6, 11))]
    field.take("Failures.E2E.20260111.0000.csv", FAILURES, "A,2026-01-06 10:00,2026-01-07,Rod")
    second = field.marks("analysis/failure_info")
    assert {day for day in first if second[day] > first[day]} == {
        "",
        *(f"2026-01-{day:02d}" for day in range(6, 11)),
    }
    report = field.take("Failures.E2E.20260112.0000.csv", FAILURES, "A,2026-01-06 10:00,2026-01-07,Rod")
    assert report.changed == {}


def test_a_failure_of_ten_thousand_years_marks_only_days_so_far(field: Field) -> None:
    field.take("CardData.E2E.20260111.0000.csv", "NodeID,Date", "A,2026-01-10")
    field.take("Failures.E2E.20260112.0000.csv", FAILURES, "A,2026-01-09,9999-12-31,Rod", "A,2026-01-11,,Rod")
    assert list(field.marks("analysis/failure_info")) == ["", "2026-01-09", "2026-01-10"]


def test_the_users_own_rule_file_wins(field: Field) -> None:
    field.settings.home.mkdir(parents=True, exist_ok=True)
    own = field.settings.home / "failure_classes.toml"
    own.write_text('[[rule]]\ncontains = "motor"\nclass = "Surface"\n')
    field.take(
        "Failures.E2E.20260110.0600.csv",
        FAILURES,
        "A,2026-01-01,,Motor",
        "B,2026-01-01,,Rod",
        "C,2026-01-01,,ROD",
    )
    assert [name for name, _ in failures(field)] == ["Surface", "Rod", "Rod"]
    # a rule file that has changed counts for what is stored already, too
    own.write_text('[[rule]]\ncontains = "rod"\nclass = "Parted"\n')
    assert list(field.run().changed) == ["analysis/failure_info"]
    assert [name for name, _ in failures(field)] == ["Motor", "Parted", "Parted"]
    assert field.run().changed == {}
    own.write_text("[[rule]]\ncontains = 3\n")
    with pytest.raises(RuleFileError):
        read_rules(field.settings.home)
    report = field.take("Failures.E2E.20260111.0600.csv", FAILURES, "D,2026-01-01,,Motor")
    assert report.files == []
    assert "files of failures wait" in report.warnings[0]
    assert [path.name for path in field.settings.drop.iterdir()] == ["Failures.E2E.20260111.0600.csv"]


def test_known_from_never_moves_forward(field: Field) -> None:
    start = datetime(2026, 1, 1)
    known = []
    for day in (9, 5, 7):
        field.take(f"Failures.E2E.202601{day:02d}.0000.csv", FAILURES, f"A,{start.date()},,Rod {day}")
        known.append(failures(field)[0][1])
    assert known == [start + timedelta(days=day) for day in (8, 4, 4)]
