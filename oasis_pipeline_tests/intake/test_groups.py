"""Groups of wells: what files say, and what people choose by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import permutations

import pytest

from oasis_pipeline.intake import reload_days
from oasis_pipeline.intake.groups import choose_wells
from oasis_pipeline.schema import table
from oasis_pipeline_tests.intake.conftest import Field, csv

pytestmark = pytest.mark.server
HEADER = "NodeID,GroupName"


def groups(field: Field) -> list[tuple[str, str]]:
    rows = field.rows('SELECT "NodeID", "GroupName" FROM analysis.well_group ORDER BY 1, 2')
    return [(row["NodeID"], row["GroupName"]) for row in rows]


def tick(field: Field) -> int:
    found = field.values("SELECT changed_tick FROM oasis.asset_state WHERE asset = 'analysis/well_group'")
    return int(found[0]) if found else 0


def test_a_file_replaces_the_groups_of_each_well_it_names(field: Field) -> None:
    report = field.take(
        "Groups.E2E.20260101.0000.csv",
        HEADER,
        "A, Route  1 ",
        "a,Battery X",
        "B,Route 1",
        "B,",
        ",Route 1",
        "A,Route 1",
    )
    assert (report.files[0].stored, report.files[0].superseded, report.files[0].rejected) == (3, 1, 2)
    assert groups(field) == [("A", "Battery X"), ("A", "Route 1"), ("B", "Route 1")]
    before = tick(field)
    field.take("Groups.E2E.20260102.0000.csv", HEADER, "A,Route 2", "A,Battery X")
    assert groups(field) == [("A", "Battery X"), ("A", "Route 2"), ("B", "Route 1")]
    assert tick(field) > before
    before = tick(field)
    field.take("Groups.E2E.20260103.0000.csv", HEADER, "A,Route 2", "A,Battery X")
    assert tick(field) == before, "the same groups are no change"
    field.take("Groups.E2E.20260104.0000.csv", HEADER, "A," + "x" * 101)
    assert (
        "is longer than 100 characters"
        in field.values('SELECT "Reason" FROM xspoc.rejected ORDER BY "RejectedAt"')[-1]
    )
    assert ("A", "Route 2") in groups(field)


def test_files_in_any_order_leave_the_same_groups(new_field: Callable[[], Field]) -> None:
    drops = {
        "Groups.E2E.20260101.0000.csv": csv(HEADER, "A,1", "A,2", "B,1"),
        "Groups.E2E.20260102.0000.csv": csv(HEADER, "A,3"),
        "Groups.E2E.20260103.0000.csv": csv(HEADER, "A,2", "C,9"),
    }
    for order in list(permutations(drops))[::2]:
        field = new_field()
        for name in order:
            field.put(name, drops[name])
            field.run()
        assert groups(field) == [("A", "2"), ("B", "1"), ("C", "9")], order


def test_what_people_chose_stays_through_files_and_the_archive(field: Field) -> None:
    now = datetime(2026, 1, 2)
    field.take("Groups.E2E.20260101.0000.csv", HEADER, "A,Route 1", "B,Route 1")
    with field.warehouse.transaction() as tx:
        choose_wells(tx, "Mine", ["A", "B"], "dana", now)
        choose_wells(tx, "Route 1", ["A", "C"], "dana", now)
    assert groups(field) == [("A", "Mine"), ("A", "Route 1"), ("B", "Mine"), ("C", "Route 1")]
    field.take("Groups.E2E.20260103.0000.csv", HEADER, "A,Route 7", "B,Mine")
    kept = [("A", "Mine"), ("A", "Route 7"), ("B", "Mine"), ("C", "Route 1")]
    assert groups(field) == kept
    reload_days(field.warehouse, field.store, table("analysis", "well_group"), None, None)
    assert groups(field) == kept
    with field.warehouse.transaction() as tx:
        choose_wells(tx, "Mine", [], "dana", now)
    assert groups(field) == [("A", "Route 7"), ("C", "Route 1")]
