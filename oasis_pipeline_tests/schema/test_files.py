"""The reference of input files: complete, and what it shows is taken in as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from oasis_pipeline import decode_card
from oasis_pipeline.intake import take_in
from oasis_pipeline.schema import DROP_KINDS
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse

PAGE = Path(__file__).parents[2] / "docs" / "files.md"


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_every_kind_and_column_is_there() -> None:
    page = PAGE.read_text()
    for kind in DROP_KINDS.values():
        section = page.split(f"\n### {kind.name}\n")[1].split("\n### ")[0]
        assert [name for name in kind.columns if f"| `{name}` |" not in section] == []


def test_the_bytes_of_the_table_are_those_of_the_sample() -> None:
    blob = block("csv").split(",")[-1].strip()
    rows = dict(re.findall(r"\| ([^|]+) \| [^|]+ of point \d, \w+ \| `([0-9a-f]{8})` = ", PAGE.read_text()))
    n = len(bytes.fromhex(blob)) // 8
    for place, text in rows.items():
        start = place.split(" to ")[0]
        first = int(start) if start.isdigit() else 4 * n + int(start.partition("+")[2] or 0)
        assert bytes.fromhex(blob)[first : first + 4].hex() == text, place
    assert len(rows) == 4
    position, load = decode_card(blob).surface
    assert (position[0], load[0], position[1]) == (0.0, 6000.0, 30.0)


@pytest.mark.server
@pytest.mark.parametrize("shown", ["csv", "python"])
def test_what_is_shown_is_taken_in(
    shown: str, warehouse: Warehouse, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.drop.mkdir(parents=True)
    monkeypatch.chdir(settings.drop)
    if shown == "csv":
        Path("CardData.E2E.20250301.0600.csv").write_text(block("csv"))
    else:
        assert len(block("python").strip().splitlines()) <= 10
        exec(block("python"), {})
    report = take_in(warehouse, open_store(settings), settings)
    assert [(file.rows, file.stored, file.rejected) for file in report.files] == [(1, 1, 0)]
    row = warehouse.query("select * from xspoc.card").to_pylist()[0]
    assert row["surfcard_fault"] is None
    assert (row["NodeID"], row["SPM"], len(row["surfcard_load"])) == (
        "Well 1",
        8.0,
        8 if shown == "csv" else 200,
    )
    assert np.ptp(row["surfcard_position"]) == pytest.approx(120.0)
