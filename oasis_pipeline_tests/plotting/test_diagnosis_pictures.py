from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oasis_pipeline.plotting.diagnosis import (
    LISTED,
    DiagnosedCard,
    diagnosis_figure,
    diagnosis_grid,
    figure_text,
)
from oasis_pipeline.plotting.style import png
from oasis_pipeline.schema import table

TURN = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False)
SURFACE = (50.0 - 50.0 * np.cos(TURN), 10_000.0 + 5_000.0 * np.sin(TURN))
PUMP = (45.0 - 40.0 * np.cos(TURN), np.where(np.sin(TURN) > 0.0, 5_000.0, -100.0))
CARD = DiagnosedCard(
    "A 1",
    "2025-03-01",
    SURFACE,
    PUMP,
    (PUMP[0], PUMP[1] + 10.0),
    {
        "fillage_pct": 60.0,
        "net_stroke_in": 48.0,
        "fluid_load_upper_lbf": 5_000.0,
        "fluid_load_lower_lbf": -100.0,
        "pprl_lbf": 15_000.0,
        "mprl_lbf": float("nan"),
    },
    limits=(
        np.where(np.sin(TURN) > 0.0, 16_000.0 / np.maximum(np.sin(TURN), 1e-9), np.nan),
        np.full(60, np.nan),
    ),
    structural_rating_lbf=16_500.0,
    report="The pump is poorly filled. " * 12,
)


def labels(figure: object) -> list[list[str]]:
    return [
        [text.get_text() for text in axes.get_legend().get_texts()]
        for axes in figure.axes
        if axes.get_legend()
    ]  # type: ignore[attr-defined]


def test_surface_card_stands_above_pump_card_on_one_scale_of_position() -> None:
    figure = diagnosis_figure(CARD)
    upper, lower = figure.axes
    assert upper.get_position().y0 > lower.get_position().y1
    assert upper.get_xlim() == lower.get_xlim()
    surface = next(line for line in upper.lines if line.get_label() == "surface card")
    assert max(surface.get_ydata()) == pytest.approx(15.0, abs=0.05)
    assert surface.get_xdata()[0] == surface.get_xdata()[-1]
    assert labels(figure) == [
        ["surface card", "permissible load (gearbox)", "structural rating"],
        ["pump card", "finite differences", "load lines"],
    ]
    assert [text.get_text() for text in lower.texts] == ["60 %"]
    mark = lower.collections[-1].get_segments()[0]
    assert mark[0][0] == pytest.approx(5.0 + 48.0)
    words = [text.get_text() for text in figure.texts]
    assert "15,000" in words
    assert "minimum polished-rod load" not in words
    assert words[0] == "A 1"
    assert upper.get_ylim()[1] < 30.0


def test_limits_that_are_far_away_are_not_drawn() -> None:
    far = replace(CARD, structural_rating_lbf=60_000.0, limits=(np.full(60, 90_000.0), np.full(60, np.nan)))
    assert labels(diagnosis_figure(far))[0] == ["surface card"]


@pytest.mark.parametrize("left_out", ["surface", "pump", "second_pump", "limits"])
def test_whatever_is_missing_is_left_out(left_out: str) -> None:
    figure = diagnosis_figure(replace(CARD, findings={}, report="", note="", **{left_out: None}))
    assert png(figure).startswith(b"\x89PNG")
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert ("no card" in words) == (left_out in ("surface", "pump"))


def test_a_grid_has_a_place_for_every_card() -> None:
    figure = diagnosis_grid([CARD] * 4 + [DiagnosedCard("empty")])
    assert len(figure.axes) == 5
    assert png(figure).startswith(b"\x89PNG")
    assert "60 % filled" in figure.axes[0].texts[-1].get_text()


def test_every_listed_figure_is_a_column_of_its_unit() -> None:
    columns = table("clean", "carddiag").by_name
    for name, _, unit in LISTED:
        assert columns[name].unit == unit


def test_figures_have_the_digits_they_deserve() -> None:
    assert figure_text("pprl_lbf", 15_234.5) == "15,234"
    assert figure_text("fillage_pct", 97.27) == "97.3"
    assert figure_text("damping", 0.01) == "0.01"
    assert figure_text("balance_damping", 0.1234) == "0.123"
