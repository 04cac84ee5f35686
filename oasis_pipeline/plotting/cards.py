"""Pictures of dynamometer cards and of what was found in them.

Not here: scores of models (``plotting.learning``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from oasis_pipeline.plotting.colours import class_colours
from oasis_pipeline.plotting.style import (
    INK,
    MUTED,
    PUMP_COLOUR,
    SURFACE_COLOUR,
    grid,
    label_card,
    new_figure,
    tidy,
)


@dataclass(frozen=True)
class Picture:
    """One card to draw.

    Attributes
    ----------
    title : str
        Line above the card.
    surface, pump : tuple of array-like or None
        Position (in) and load (lbf) of the points.
    note : str
        Small line below the title.
    """

    title: str
    surface: tuple[ArrayLike, ArrayLike] | None = None
    pump: tuple[ArrayLike, ArrayLike] | None = None
    note: str = ""


def closed(points: ArrayLike) -> np.ndarray:
    """Repeat the first point at the end, so that the line closes."""
    values = np.asarray(points, dtype=float)
    return np.concatenate([values, values[:1]]) if len(values) else values


def draw_card(axes: Axes, picture: Picture, *, axis_labels: bool = True) -> None:
    """Draw the surface card and the pump card of one stroke.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    picture : Picture
        What to draw.
    axis_labels : bool
        Whether to write the names and units of the axes.
    """
    for card, colour in ((picture.surface, SURFACE_COLOUR), (picture.pump, PUMP_COLOUR)):
        if card is not None:
            position, load = closed(card[0]), closed(card[1])
            axes.plot(position, load / 1000.0, color=colour, linewidth=1.4, solid_joinstyle="round")
    label_card(axes, picture.title, picture.note, axis_labels=axis_labels)


def cards_grid(pictures: Sequence[Picture], columns: int = 4) -> Figure:
    """Draw cards side by side.

    Parameters
    ----------
    pictures : sequence of Picture
        At least one.
    columns : int
        Cards a row.

    Returns
    -------
    Figure
        Surface cards blue, pump cards red, with one legend.
    """
    figure, places = grid(len(pictures), columns, 3.0, 2.5)
    for picture, (axes, edge) in zip(pictures, places, strict=True):
        draw_card(axes, picture, axis_labels=edge)
    handles = [
        figure.axes[0].plot([], [], color=colour, label=name)[0]
        for colour, name, used in (
            (SURFACE_COLOUR, "surface card", any(p.surface is not None for p in pictures)),
            (PUMP_COLOUR, "pump card", any(p.pump is not None for p in pictures)),
        )
        if used
    ]
    figure.legend(handles=handles, loc="upper right", ncols=2, frameon=False, fontsize=8, labelcolor=MUTED)
    return figure


def class_shares(
    counts: Mapping[str, int], title: str = "Cards by class", colours: Mapping[str, str] | None = None
) -> Figure:
    """Draw how many cards fell into each class.

    Parameters
    ----------
    counts : mapping of str to int
        Cards by class.
    title : str
        Line above the picture.
    colours : mapping of str to str, optional
        Colour by class, where several pictures share one key.

    Returns
    -------
    Figure
    """
    ordered = sorted(counts.items(), key=lambda item: (item[0] == "Unknown", -item[1], item[0]))
    colours = colours or class_colours(counts)
    total = max(sum(counts.values()), 1)
    figure = new_figure(6.4, 0.32 * max(len(ordered), 1) + 0.9)
    axes = figure.add_subplot()
    names = [name for name, _ in ordered]
    values = [value for _, value in ordered]
    axes.barh(names, values, color=[colours[name] for name in names], height=0.7)
    for i, value in enumerate(values):
        axes.text(value, i, f"  {value:,} ({100 * value / total:.0f} %)", va="center", fontsize=8, color=INK)
    axes.invert_yaxis()
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max([*values, 1]) * 1.18)
    axes.tick_params(axis="y", labelsize=8.5, colors=INK)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    return figure
