"""``source.toml``: what it may say, what is refused, and units."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.mapping import (
    KINDS,
    TABLES,
    convert_cards,
    convert_values,
    factor,
    load_mapping,
    parse_mapping,
)

DOCS = Path(__file__).parents[3] / "docs"


def test_without_a_file_the_names_are_those_of_xspoc(tmp_path: Path) -> None:
    mapping = load_mapping(tmp_path)
    assert {kind: mapping.table_name(kind) for kind in KINDS} == {kind: TABLES.get(kind) for kind in KINDS}
    column = mapping.column("CardData", "SurfaceCardB")
    assert column is not None
    assert column.column == "SurfaceCardB"


def test_the_example_of_the_docs_can_be_read() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (DOCS / "live-source.md").read_text(), re.DOTALL)
    mapping = parse_mapping(text)
    assert mapping.timezone == "UTC"
    assert mapping.table_name("CardData") == "vDynoCards"
    assert mapping.table_name("XDiagResults") is None
    cards = mapping.column("CardData", "SurfaceCardB")
    assert cards is not None
    assert (cards.position_unit, cards.load_unit) == ("m", "kN")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "can't be used"),
        ("rows_per_secnd = 1", "rows_per_secnd"),
        ("batch_rows = 1", ">= 10"),
        ('timezone = "Mars/Olympus"', "timezone"),
        ("[tables.Cards]", "tables.Cards"),
        ('[tables.CardData.columns]\nSpm = "x"', "not a column of CardData"),
        ('[tables.CardData.columns]\nNodeID = ""', "part of the key"),
        ('[tables.CardData.columns]\nStrokeLength = { column = "x", unit = "bar" }', "none of in, ft, m"),
        ('[tables.CardData.columns]\nStrokeLength = { column = "x", load_unit = "kN" }', "is not a card"),
        ('[tables.CardData.columns]\nSurfaceCardB = { column = "x", unit = "kN" }', "is a card"),
        ('[tables.CardData.columns]\nCauseID = { column = "x", unit = "m" }', "no unit"),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=re.escape(said)):
        parse_mapping(text)


@pytest.mark.parametrize(
    ("unit", "own", "by"),
    [("m", "in", 39.37007874), ("m", "ft", 3.280839895), ("kN", "lbf", 224.8089431), ("bar", "psi", 14.50377377),
     ("kPa", "psi", 0.1450377377), ("m3/d", "bbl/d", 6.289810770), ("kW", "hp", 1.341022090), ("kN-m", "in-lbf", 8850.745791),
     ("min/d", "h/d", 1 / 60), (None, "in", 1.0), ("in", "in", 1.0)],
)  # fmt: skip
def test_factors(unit: str | None, own: str, by: float) -> None:
    assert factor(unit, own) == pytest.approx(by, rel=1e-9)


def test_values_that_are_no_numbers_stay_for_intake_to_judge() -> None:
    assert convert_values([1, None, "x", 2.5, True], 2.0) == [2.0, None, "x", 5.0, True]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_points_of_cards_are_converted_each_with_its_unit(values: list[float]) -> None:
    points = np.array([values, values[::-1]], "<f4")
    blob = points.tobytes()
    done = np.frombuffer(convert_cards([blob], 0.5, 3.0)[0], "<f4").reshape(2, -1)
    assert done[0] == pytest.approx(points[0] * 3.0, rel=1e-6, abs=1e-30)
    assert done[1] == pytest.approx(points[1] * 0.5, rel=1e-6, abs=1e-30)
    assert convert_cards(["0x" + blob.hex()], 0.5, 3.0) == convert_cards([blob], 0.5, 3.0)
    assert convert_cards([blob[:-1], None, "zz", blob], 1.0, 1.0) == [blob[:-1], None, "zz", blob]
    assert convert_cards([blob[:-1], None, "zz"], 2.0, 1.0) == [blob[:-1], None, "zz"]
