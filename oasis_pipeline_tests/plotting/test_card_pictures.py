from __future__ import annotations

import numpy as np

from oasis_pipeline.plotting.cards import Picture, cards_grid, class_shares, closed
from oasis_pipeline.plotting.colours import class_colours
from oasis_pipeline.plotting.style import data_uri, markdown, png

SQUARE = (np.array([0.0, 100.0, 100.0, 0.0]), np.array([10000.0, 10000.0, 5000.0, 5000.0]))


def test_a_card_is_drawn_closed_position_across_load_up_in_thousands() -> None:
    figure = cards_grid([Picture("A 1", surface=SQUARE, pump=(SQUARE[0], SQUARE[1] - 5000.0))])
    surface, pump = figure.axes[0].lines[:2]
    assert surface.get_xdata().tolist() == [0.0, 100.0, 100.0, 0.0, 0.0]
    assert surface.get_ydata().tolist() == [10.0, 10.0, 5.0, 5.0, 10.0]
    assert max(pump.get_ydata()) == 5.0
    assert figure.axes[0].get_title(loc="left") == "A 1"


def test_a_grid_has_a_place_for_every_card_and_a_legend_of_what_is_there() -> None:
    figure = cards_grid([Picture(f"card {i}", surface=SQUARE) for i in range(7)])
    assert len(figure.axes) == 7
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["surface card"]


def test_a_card_without_points_is_an_empty_frame() -> None:
    assert closed(np.array([])).size == 0
    assert png(cards_grid([Picture("nothing")])).startswith(b"\x89PNG")


def test_shares_are_sorted_with_unknown_last() -> None:
    figure = class_shares({"Unknown": 50, "Fluid Pound": 3, "Full Pump": 7})
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "Full Pump",
        "Fluid Pound",
        "Unknown",
    ]


def test_colours_do_not_depend_on_order() -> None:
    assert class_colours(["b", "a", "Unknown"]) == class_colours(["a", "Unknown", "b"])


def test_pictures_travel_as_text() -> None:
    figure = class_shares({"Full Pump": 1})
    assert data_uri(figure).startswith("data:image/png;base64,")
    assert markdown(figure, "shares").startswith("![shares](data:image/png")
