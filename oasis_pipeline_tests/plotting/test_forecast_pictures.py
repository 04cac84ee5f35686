"""Pictures of forecasts: what is drawn where."""

from __future__ import annotations

import numpy as np

from oasis_pipeline.plotting.forecasts import ForecastPicture, forecasts_grid
from oasis_pipeline.plotting.style import png

POSITION = np.array([0.0, 50.0, 100.0, 100.0, 50.0, 0.0])
LOAD = np.array([9000.0, 9000.0, 9000.0, 3000.0, 3000.0, 3000.0])


def test_a_forecast_is_drawn_with_its_band_and_what_came() -> None:
    picture = ForecastPicture(
        "load 500 lbf above the forecast", POSITION, LOAD, LOAD - 200.0, LOAD + 200.0,
        actual=(POSITION, LOAD + 500.0), issued=(POSITION, LOAD), note="A 1",
    )  # fmt: skip
    figure = forecasts_grid([picture] * 3, columns=2)
    assert len(figure.axes) == 3
    axes = figure.axes[0]
    issued, forecast, actual = axes.lines[:3]
    assert forecast.get_ydata().tolist() == [9.0, 9.0, 9.0, 3.0, 3.0, 3.0, 9.0]
    assert max(actual.get_ydata()) == 9.5
    assert max(issued.get_ydata()) == 9.0
    bands = [path.vertices[:, 1] for band in axes.collections[:2] for path in band.get_paths()]
    assert (bands[0].min(), bands[0].max()) == (8.8, 9.2)
    assert (bands[1].min(), bands[1].max()) == (2.8, 3.2)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["forecast", "90 % band", "card that came", "newest card at issue"]
    assert axes.get_title(loc="left") == "load 500 lbf above the forecast"


def test_a_forecast_without_anything_beside_it_is_drawn_too() -> None:
    figure = forecasts_grid([ForecastPicture("A 1", POSITION, LOAD, LOAD, LOAD)])
    assert "newest card at issue" not in [text.get_text() for text in figure.legends[0].get_texts()]
    assert png(figure).startswith(b"\x89PNG")
