"""The tutorial from an own csv: its programs run, and what they and its tables write is taken in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-own-csv.md"


@pytest.mark.server
def test_what_the_tutorial_writes_is_taken_in_whole(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.drop.mkdir(parents=True)
    monkeypatch.chdir(settings.drop.parent)
    text = PAGE.read_text()
    sample, convert = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(sample, {})
    exec(convert.replace('"drop"', repr(str(settings.drop))), {})
    for name, table in re.findall(r"`(\w+\.E2E\.\d+\.\d+\.csv)`[^`]*```csv\n(.*?)```", text, re.DOTALL):
        (settings.drop / name).write_text(table)
    report = take_in(warehouse, open_store(settings), settings)
    assert {(file.kind, file.rows, file.stored, file.rejected) for file in report.files} == {
        ("CardData", 30, 30, 0),
        ("WellDetails", 3, 3, 0),
        ("Rods", 6, 6, 0),
    }
    (row,) = warehouse.query(
        "select count(*) as cards, count(surfcard_fault) as faults from xspoc.card"
    ).to_pylist()
    assert (row["cards"], row["faults"]) == (30, 0)
