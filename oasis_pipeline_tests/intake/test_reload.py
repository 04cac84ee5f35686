"""Tables made again from the archive: as they were, or not at all."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from oasis_pipeline.intake import ArchiveError, reload_days
from oasis_pipeline.schema import DROP_KINDS, history_of, table
from oasis_pipeline.settings import load_settings
from oasis_pipeline_tests.intake.conftest import Field, csv, hex_card

CARD = "CardData.E2E.20260110.1200.csv"
HEADER = "NodeID,Date,SPM,SurfaceCardB"
CARDS = "SELECT * FROM xspoc.card ORDER BY 1, 2"
pytestmark = pytest.mark.server


def reload(
    field: Field, first: str | None, last: str | None, name: str = "card", schema: str = "xspoc"
) -> Any:
    days = [None if day is None else date.fromisoformat(day) for day in (first, last)]
    return reload_days(field.warehouse, field.store, table(schema, name), *days)


def test_days_come_back_from_the_archive_as_they_were(field: Field) -> None:
    field.take(
        "CardData.E2E.20260110.1300.csv",
        HEADER,
        f"a,2026-01-10,1,{hex_card()}",
        "a,2026-01-09,2,",
        "B,2026-01-10,x,",
    )
    field.take(CARD, HEADER, "a,2026-01-10,9,", "a,2026-01-10 01:00,3,")
    field.take(CARD, HEADER, "a,2026-01-10 01:00,4,")
    field.take("WellDetails.E2E.20260111.0000.csv", "NodeID,SPM", "A,7")
    before, marks = field.rows(CARDS), field.marks("xspoc/card")
    assert reload(field, "2026-01-09", "2026-01-10").changed == 0
    assert field.marks("xspoc/card") == marks
    field.rows("DELETE FROM xspoc.card RETURNING 1")
    field.rows(
        "INSERT INTO xspoc.card (\"NodeID\", \"Date\", file_stamp) VALUES ('Z', '2026-01-10', now()) RETURNING 1"
    )
    done = reload(field, "2026-01-10", "2026-01-10")
    assert (done.inserted, done.removed) == (2, 1)
    assert field.rows(CARDS) == [row for row in before if row["Date"].day == 10]
    assert field.marks("xspoc/card")["2026-01-10"] > marks["2026-01-10"]
    reload(field, None, None)
    assert field.rows(CARDS) == before


def test_a_row_once_rejected_stays_rejected_whatever_the_settings_are_now(field: Field) -> None:
    address = field.warehouse.address
    late = load_settings(field.settings.home, host=address.host, db=address.db, start=date(2026, 1, 10))
    usual, field.settings = field.settings, late
    field.take(CARD, HEADER, "A,2026-01-09,1,", "A,2026-01-10,2,")
    field.settings = usual
    assert reload(field, "2026-01-01", "2026-01-31").changed == 0
    assert len(field.rows(CARDS)) == 1


def test_all_is_left_as_it_is_if_the_archive_lacks_a_file(field: Field) -> None:
    field.take(CARD, HEADER, "A,2026-01-10,1,")
    field.store.put_bytes(f"backup/CardData/{CARD}", b"another")
    with pytest.raises(ArchiveError, match="is not the file that was loaded"):
        reload(field, "2026-01-10", "2026-01-10")
    field.store.delete(f"backup/CardData/{CARD}")
    with pytest.raises(ArchiveError, match="nothing was changed"):
        reload(field, "2026-01-10", "2026-01-10")
    field.rows("UPDATE oasis.file SET archived = false RETURNING 1")
    with pytest.raises(ArchiveError, match="not archived yet"):
        reload(field, "2026-01-10", "2026-01-10")
    assert len(field.rows(CARDS)) == 1


def test_what_is_not_made_from_drop_files_or_not_by_day_is_refused(field: Field) -> None:
    with pytest.raises(ValueError, match="not kept by day"):
        reload(field, "2026-01-01", "2026-01-01", "rods")
    with pytest.raises(ValueError, match="not loaded from drop files"):
        reload(field, "2026-01-01", "2026-01-01", "xspoc", "clean")


STATES = {
    "WellDetails": ("NodeID,PumpDepth", ["A,4000", "B,1"], ["A,5000"]),
    "Rods": ("NodeID,RodNum,Length", ["A,1,100", "A,2,200", "B,3,x"], ["A,1,150"]),
    "Deviations": ("NodeID,MD,Inclination", ["A,0,0", "A,10,1"], ["A,0,0"]),
    "PumpingUnits": ("NodeID,UnitType", ["A,Conventional"], ["A,Mark II"]),
    "Failures": (
        "NodeID,Failure Start Date,Failures",
        ["A,2026-01-02,Motor", "B,2026-01-03,ROD"],
        ["B,2026-01-03,Pump"],
    ),
    "Labels": (
        "NodeID,Date,TrueLabel1",
        ["A,2026-01-02,Full Pump", "B,2026-01-02,Gas"],
        ["A,2026-01-02,gas"],
    ),
}


def test_equipment_failures_and_labels_come_back_as_they_were(field: Field) -> None:
    field.settings.home.mkdir(parents=True, exist_ok=True)
    (field.settings.home / "failure_classes.toml").write_text(
        '[[rule]]\ncontains = "motor"\nclass = "Surface"\n'
    )
    for kind, (header, first, second) in STATES.items():
        field.put(f"{kind}.E2E.20260110.0000.csv", csv(header, *first))
        field.put(f"{kind}.E2E.20260112.0000.csv", csv(header, *second))
    field.run()
    by_hand = "'A', '2026-01-02', 'Parted Rod', NULL, 'somebody', '2026-01-11'"
    field.rows(f"INSERT INTO clean.dynalabel_history VALUES ({by_hand}) RETURNING 1")
    tables = [DROP_KINDS[kind].table for kind in STATES]
    every = [
        *tables,
        *(history_of(each) for each in tables if each.schema == "xspoc"),
        table("clean", "dynalabel_history"),
    ]

    def content() -> dict[str, Any]:
        return {
            each.name: field.rows(f"SELECT * FROM {each.full_name} AS t ORDER BY t::text") for each in every
        }

    before = content()
    for each in tables:
        marks = field.marks(each.asset), field.marks(f"{each.asset}_history")
        assert reload(field, None, None, each.name, each.schema).changed == 0, each.name
        assert (field.marks(each.asset), field.marks(f"{each.asset}_history")) == marks
    assert content() == before
    for each in tables:
        marks = field.marks(each.asset)
        field.rows(f"DELETE FROM {each.full_name} WHERE \"NodeID\" = 'A' RETURNING 1")
        assert reload(field, None, None, each.name, each.schema).inserted > 0
        assert field.marks(each.asset)[""] > marks[""]
    # a state that was lost from the history comes back with a mark from its day on, the first one for all time
    for since, day in (("2026-01-12", "2026-01-12"), ("2026-01-10", "")):
        marks = field.marks("xspoc/rods_history").get(day, 0)
        field.rows(f"DELETE FROM xspoc.rods_history WHERE \"ValidFrom\" = '{since}' RETURNING 1")
        reload(field, None, None, "rods")
        assert field.marks("xspoc/rods_history")[day] > marks
    after = content()
    # the class of a failure that had gone is the package's, until the next pass reduces it by the user's rules
    field.run()
    assert {**after, "failure_info": before["failure_info"]} == before
    assert content() == before
