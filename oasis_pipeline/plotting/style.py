"""Inks, sizes and output of all pictures.

Not here: colours of classes (``colours``), any particular picture.
"""

from __future__ import annotations

import base64
import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

INK = "#1f2a37"
MUTED = "#6b7785"
GRID = "#e3e8ee"
SURFACE_COLOUR = "#1f5fa8"
PUMP_COLOUR = "#b3471d"

_LEFT, _RIGHT, _BOTTOM, _TOP = 0.55, 0.12, 0.48, 0.45
"""Inches around each picture of a `grid`, for its texts."""


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make an empty figure that belongs to nobody but the caller."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes) -> None:
    """Take away what does not inform: box, ticks, strong lines."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.grid(visible=True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def label_card(axes: Axes, title: str, note: str, *, axis_labels: bool) -> None:
    """Finish a small picture of cards: title, a note under it, few ticks, and the field's axes where they are wanted."""
    tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(title, fontsize=9, color=INK, loc="left", pad=14 if note else 5)
    if note:
        axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=7.5, color=MUTED, va="bottom")
    if axis_labels:
        axes.set_xlabel("position, in", fontsize=8, color=MUTED)
        axes.set_ylabel("load, 1,000 lbf", fontsize=8, color=MUTED)


def grid(
    count: int, columns: int, width_in: float, height_in: float
) -> tuple[Figure, list[tuple[Axes, bool]]]:
    """Make a figure of small pictures side by side.

    Parameters
    ----------
    count, columns : int
        Pictures, and pictures a row at most.
    width_in, height_in : float
        Of each picture.

    Returns
    -------
    figure : Figure
        With room for a legend.
    places : list of (Axes, bool)
        Of each picture, and whether it stands at the left or the lower edge, where axes are named.
    """
    columns = min(columns, max(count, 1))
    rows = -(-count // columns)
    width, height = width_in * columns, height_in * rows + 0.3
    figure = Figure(figsize=(width, height), facecolor="white")
    places = []
    for i in range(count):
        row, column = divmod(i, columns)
        # fixed margins: a layout that measures all texts takes as long as the drawing
        corner = (column * width_in + _LEFT) / width, ((rows - 1 - row) * height_in + _BOTTOM) / height
        size = (width_in - _LEFT - _RIGHT) / width, (height_in - _BOTTOM - _TOP) / height
        places.append((figure.add_axes((*corner, *size)), column == 0 or i >= count - columns))
    return figure, places


def png(figure: Figure, dpi: int = 90) -> bytes:
    """Render a figure."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib ships no types for what it draws with
    figure.set_dpi(dpi)
    # savefig would draw everything twice, the first time for the layout alone
    canvas.draw()
    buffer = io.BytesIO()
    Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).save(buffer, "png")
    return buffer.getvalue()


def data_uri(figure: Figure, dpi: int = 90) -> str:
    """Render a figure into an address that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(png(figure, dpi)).decode()


def markdown(figure: Figure, title: str, dpi: int = 60) -> str:
    """Render a figure as Markdown, small enough for an event log."""
    return f"![{title}]({data_uri(figure, dpi)})"
