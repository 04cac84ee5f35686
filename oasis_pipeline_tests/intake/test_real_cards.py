"""Real cards, where they are at hand: every row accounted for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oasis_pipeline_tests.intake.conftest import Field

pytestmark = pytest.mark.server


def drop(field: Field, folder: Path) -> None:
    field.settings.drop.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.E2E.*"):
        (field.settings.drop / path.name).write_bytes(path.read_bytes())


def test_labelled_cards_of_many_wells(field: Field, shared_data: Path) -> None:
    drop(field, shared_data / "real-cards")
    report = field.run()
    assert [(file.kind, file.rows, file.stored, file.superseded, file.rejected) for file in report.files] == [
        ("CardData", 596, 596, 0, 0),
        ("Labels", 596, 596, 0, 0),
    ]
    assert report.warnings == []
    points = "SELECT cardinality(surfcard_load) AS n, count(*) AS cards FROM xspoc.card GROUP BY 1 ORDER BY 1"
    assert [tuple(row.values()) for row in field.rows(points)] == [(200, 466), (250, 130)]
    labelled = 'SELECT count(*) FROM xspoc.card JOIN clean.dynalabel USING ("NodeID", "Date") WHERE surfcard_fault IS NULL'
    assert field.values(labelled) == [596]
    assert field.values('SELECT count(*) FROM clean.dynalabel WHERE "TrueLabel2" IS NOT NULL') == [48]


def test_repeated_cards_of_one_unit(field: Field, shared_data: Path) -> None:
    drop(field, shared_data / "one-unit")
    report = field.run()
    assert [(file.rows, file.stored, file.superseded, file.rejected) for file in report.files] == [
        (95, 89, 6, 0),
        (95, 86, 9, 0),
        (105, 47, 58, 0),
        (104, 62, 42, 0),
    ]
    by_day = 'SELECT "Date"::date::text AS day, count(*) AS n FROM xspoc.card GROUP BY 1 ORDER BY 1'
    assert {row["day"]: row["n"] for row in field.rows(by_day)} == {"2018-05-17": 162, "2018-06-12": 68}
    before = field.rows("SELECT * FROM xspoc.card ORDER BY 1, 2")
    # the files one by one, the newer first: the same rows stand in the end
    field.warehouse.query("DELETE FROM xspoc.card RETURNING 1")
    field.warehouse.query("DELETE FROM oasis.file RETURNING 1")
    shutil.rmtree(field.settings.drop)
    for path in sorted((shared_data / "one-unit").glob("*.E2E.*"), reverse=True):
        field.put(path.name, path.read_bytes())
        field.run()
    assert field.rows("SELECT * FROM xspoc.card ORDER BY 1, 2") == before
