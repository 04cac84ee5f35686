"""Pictures of sensor readings with their flags.

Here: drawing. Not here: which series are drawn, and the flags themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from oasis_pipeline.plotting.colours import class_colours
from oasis_pipeline.plotting.style import INK, MUTED, SURFACE_COLOUR, new_figure, tidy

Series = tuple[str, NDArray[np.float64], NDArray[np.float64], Mapping[str, NDArray[np.bool_]]]


def flagged_series(series: Sequence[Series]) -> Figure:
    """Draw series of one day under each other, flagged values in colour.

    Parameters
    ----------
    series : sequence of (title, hours, values, flags)
        Hours since midnight UTC, shape (n,); values, shape (n,); flags by name, each of shape (n,).

    Returns
    -------
    Figure
    """
    figure = new_figure(8.0, 1.7 * max(len(series), 1) + 0.4)
    colours = class_colours(name for _, _, _, flags in series for name in flags)
    for row, (title, hours, values, flags) in enumerate(series):
        axes = figure.add_subplot(len(series), 1, row + 1)
        axes.plot(hours, values, color=SURFACE_COLOUR, linewidth=0.8, marker=".", markersize=2)
        for name, mask in flags.items():
            if mask.any() and name != "gap_before":
                axes.plot(hours[mask], values[mask], ".", color=colours[name], markersize=5, label=name)
        for hour in hours[flags["gap_before"]] if "gap_before" in flags else ():
            axes.axvline(hour, color=MUTED, linewidth=0.6, linestyle=":")
        axes.set_xlim(0, 24)
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        tidy(axes)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7, frameon=False, loc="upper right", ncols=4)
        if row == len(series) - 1:
            axes.set_xlabel("hour of the day, UTC", fontsize=8, color=MUTED)
    return figure
