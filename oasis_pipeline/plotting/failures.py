"""Pictures of failure forecasts.

Belongs here: the signal of an alarm. Does not belong here: cards, and pictures of classifiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from matplotlib.figure import Figure

from oasis_pipeline.plotting.style import MUTED, SURFACE_COLOUR, new_figure, tidy


@dataclass(frozen=True)
class Signal:
    """The course of a well's probability up to now.

    Attributes
    ----------
    title : str
    times : sequence of datetime
    percent : sequence of float
        Of a failure within the alarm's window.
    threshold_pct : float
        In force when the alarm was raised.
    raised_at : datetime
    """

    title: str
    times: Sequence[datetime]
    percent: Sequence[float]
    threshold_pct: float
    raised_at: datetime


def signals_figure(signals: Sequence[Signal]) -> Figure:
    """Draw signals one below the other.

    Parameters
    ----------
    signals : sequence of Signal
        At least one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(6.4, 0.6 + 1.5 * len(signals))
    axes = figure.subplots(len(signals), 1, squeeze=False)[:, 0]
    for own, signal in zip(axes, signals, strict=True):
        own.plot(signal.times, signal.percent, color=SURFACE_COLOUR, linewidth=1.5)
        own.axhline(signal.threshold_pct, color=MUTED, linewidth=1, linestyle="--")
        own.axvline(signal.raised_at, color=MUTED, linewidth=1)
        own.set_ylim(0, 100)
        own.set_ylabel("%", fontsize=8)
        own.tick_params(labelsize=7)
        own.set_title(signal.title, fontsize=9, loc="left")
        tidy(own)
    return figure
