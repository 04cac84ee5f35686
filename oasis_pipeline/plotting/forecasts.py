"""Pictures of forecast cards and trends, with their bands, beside what came.

Not here: cards by themselves (``plotting.cards``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from oasis_pipeline.plotting.cards import closed
from oasis_pipeline.plotting.style import (
    MUTED,
    PUMP_COLOUR,
    SURFACE_COLOUR,
    grid,
    label_card,
)

BAND_COLOUR = "#b9d2ea"
ISSUE_COLOUR = "#9aa5b1"


@dataclass(frozen=True)
class ForecastPicture:
    """One forecast to draw.

    Attributes
    ----------
    title, note : str
        Line above, and a small line below it.
    position_in, load_lbf, lower_lbf, upper_lbf : array-like, shape (points,)
        The forecast card, up the stroke and back, and its band.
    actual : tuple of array-like or None
        Position (in) and load (lbf) of the card that came.
    issued : tuple of array-like or None
        The card that was the newest when the forecast was made.
    """

    title: str
    position_in: ArrayLike
    load_lbf: ArrayLike
    lower_lbf: ArrayLike
    upper_lbf: ArrayLike
    actual: tuple[ArrayLike, ArrayLike] | None = None
    issued: tuple[ArrayLike, ArrayLike] | None = None
    note: str = ""


def draw_forecast(axes: Axes, picture: ForecastPicture, *, axis_labels: bool = True) -> None:
    """Draw a forecast card with its band, the card that came, and the one it was made from.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    picture : ForecastPicture
        What to draw.
    axis_labels : bool
        Whether to write the names and units of the axes.
    """
    position, load, lower, upper = (
        np.asarray(values, dtype=float)
        for values in (picture.position_in, picture.load_lbf, picture.lower_lbf, picture.upper_lbf)
    )
    half = len(position) // 2
    for part in (slice(0, half), slice(half, None)):
        axes.fill_between(
            position[part], lower[part] / 1000.0, upper[part] / 1000.0,
            color=BAND_COLOUR, linewidth=0, alpha=0.7, zorder=1,
        )  # fmt: skip
    if picture.issued is not None:
        x, y = (closed(values) for values in picture.issued)
        axes.plot(x, y / 1000.0, color=ISSUE_COLOUR, linewidth=1.0, linestyle=(0, (3, 2)), zorder=2)
    axes.plot(closed(position), closed(load) / 1000.0, color=SURFACE_COLOUR, linewidth=1.4, zorder=3)
    if picture.actual is not None:
        x, y = (closed(values) for values in picture.actual)
        axes.plot(x, y / 1000.0, color=PUMP_COLOUR, linewidth=1.2, zorder=4)
    label_card(axes, picture.title, picture.note, axis_labels=axis_labels)


def forecasts_grid(pictures: Sequence[ForecastPicture], columns: int = 4) -> Figure:
    """Draw forecasts side by side, with one legend.

    Parameters
    ----------
    pictures : sequence of ForecastPicture
        At least one.
    columns : int
        Pictures a row.

    Returns
    -------
    Figure
    """
    figure, places = grid(len(pictures), columns, 3.1, 2.6)
    for picture, (axes, edge) in zip(pictures, places, strict=True):
        draw_forecast(axes, picture, axis_labels=edge)
    first = figure.axes[0]
    handles = [
        first.plot([], [], color=SURFACE_COLOUR, label="forecast")[0],
        first.fill_between([], [], [], color=BAND_COLOUR, linewidth=0, label="90 % band"),
        first.plot([], [], color=PUMP_COLOUR, label="card that came")[0],
    ]
    if any(picture.issued is not None for picture in pictures):
        line = first.plot([], [], color=ISSUE_COLOUR, linestyle=(0, (3, 2)), label="newest card at issue")[0]
        handles.append(line)
    figure.legend(handles=handles, loc="upper right", ncols=4, frameon=False, fontsize=8, labelcolor=MUTED)
    return figure
