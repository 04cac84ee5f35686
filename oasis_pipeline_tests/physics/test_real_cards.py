"""Real cards through the diagnosis: survived, whatever they are, and said to be what they are."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import TimeForm, time_form_column
from oasis_pipeline.cards.codec import decode_hex, pack_bytes
from oasis_pipeline.cards.column import group_by_count
from oasis_pipeline.physics.diagnosis import Cards, Well, diagnose
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.unit import PumpingUnit

# Nothing is known of these wells; a plausible one stands in, so that every step runs.
STAND_IN = Well(
    rods=RodString.from_sections([2000.0, 2500.0], [0.875, 0.75], ["D", "D"]),
    unit=PumpingUnit.simple_harmonic(120.0),
    plunger_diameter_in=1.75,
    fluid_sg=0.95,
    tubing_pressure_psi=100.0,
    casing_pressure_psi=50.0,
    tubing_anchored=True,
)


def read(folder: Path, column: str = "SurfaceCardB") -> TimeForm:
    csv.field_size_limit(sys.maxsize)
    texts: list[str] = []
    for path in sorted(folder.glob("CardData*.csv")):
        with path.open(encoding="utf-8") as file:
            texts += [row[column] for row in csv.DictReader(file)]
    card_column, _ = decode_hex(*pack_bytes(texts))
    return time_form_column(card_column)


def run(form: TimeForm, well: Well) -> list[dict[str, np.ndarray]]:
    out = []
    for rows, position, load in group_by_count(form.column):
        if position.shape[1] < 8:
            continue
        cards = Cards(
            position.astype(float), load.astype(float), np.full(len(rows), 5.0), is_open=form.is_open[rows]
        )
        out.append(diagnose(cards, well))
    return out


@pytest.mark.parametrize("well", [Well(), STAND_IN], ids=["nothing known", "stand-in"])
def test_field_cards(shared_data: Path, well: Well) -> None:
    form = read(shared_data / "real-cards")
    found = run(form, well)
    assert sum(len(d["report"]) for d in found) == int(np.sum(form.unusable == 0)) > 500
    for d in found:
        assert all(d["report"])
        whole = np.array(["open_card" not in q for q in d["quality"]])
        assert np.isfinite(d["pprl_lbf"]).all()
        assert np.mean(d["polished_rod_power_hp"][whole] > 0) > 0.95
        filled = d["fillage_pct"][np.isfinite(d["fillage_pct"])]
        assert np.all((filled >= 0.0) & (filled <= 100.0))


def test_half_strokes_are_said_to_be_open(shared_data: Path) -> None:
    form = read(shared_data / "one-unit")
    for d in run(form, STAND_IN):
        assert all("open_card" in q for q in d["quality"])
        assert all("half a stroke" in text for text in d["report"])
        assert np.isnan(d["fillage_pct"]).all()
        assert np.isfinite(d["pprl_lbf"]).all()
