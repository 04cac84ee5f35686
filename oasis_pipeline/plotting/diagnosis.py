"""Pictures of diagnosed cards in the field's conventions: position across, load up, surface card above pump card.

Belongs here: cards with load lines, fillage and limits. Does not belong here: computing them (``physics``), plain cards
and classes (``plotting.cards``).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.diagnosis import CardDiagnosis, Well
from oasis_pipeline.plotting.cards import closed
from oasis_pipeline.plotting.style import (
    GRID,
    INK,
    MUTED,
    PUMP_COLOUR,
    SURFACE_COLOUR,
    grid,
    label_card,
    new_figure,
    tidy,
)

LINES_COLOUR = "#2f7d4f"
LIMIT_COLOUR = "#a3302c"

Card = tuple[ArrayLike, ArrayLike]

LISTED = (
    ("fillage_pct", "fillage", "%"),
    ("gross_stroke_in", "gross stroke", "in"),
    ("net_stroke_in", "net stroke", "in"),
    ("fluid_load_lbf", "fluid load", "lbf"),
    ("pump_intake_pressure_psi", "pump intake pressure", "psi"),
    ("pump_discharge_pressure_psi", "pump discharge pressure", "psi"),
    ("fluid_level_ft", "fluid level", "ft"),
    ("friction_lbf", "friction at the pump", "lbf"),
    ("card_friction_lbf", "friction in the pump card", "lbf"),
    ("tubing_movement_in", "tubing movement", "in"),
    ("inferred_production_bpd", "inferred production", "bbl/d"),
    ("slippage_bpd", "slippage", "bbl/d"),
    ("tv_leak_bpd", "travelling-valve leak", "bbl/d"),
    ("sv_leak_bpd", "standing-valve leak", "bbl/d"),
    ("barrel_leak_bpd", "leak through barrel wear", "bbl/d"),
    ("pprl_lbf", "peak polished-rod load", "lbf"),
    ("mprl_lbf", "minimum polished-rod load", "lbf"),
    ("polished_rod_power_hp", "polished-rod power", "hp"),
    ("peak_gearbox_torque_in_lbf", "peak gearbox torque", "in-lbf"),
    ("gearbox_load_pct", "gearbox load", "%"),
    ("counterbalance_lbf", "counterbalance effect", "lbf"),
    ("best_counterbalance_lbf", "best counterbalance", "lbf"),
    ("structural_load_pct", "structural load", "%"),
    ("max_rod_load_pct", "rod load, worst taper", "%"),
    ("parted_depth_ft", "rods parted at", "ft"),
    ("load_offset_lbf", "zero error of the pump card", "lbf"),
    ("damping", "damping of the pump card", ""),
    ("balance_damping", "damping by power balance", ""),
)
"""The main figures of a diagnosis: column of ``clean.carddiag``, its name for people, its unit."""


@dataclass(frozen=True)
class DiagnosedCard:
    """One card with what was found in it.

    Attributes
    ----------
    title, note : str
        Line above the picture, and a small line below that.
    surface, pump, second_pump : tuple of array-like or None
        Position (in) and load (lbf) in time form; the second pump card is the one by finite differences.
    findings : mapping of str to float
        Columns of ``clean.carddiag``; NaN or absent where unknown.
    limits : tuple of ndarray, optional
        Upper and lower permissible load (lbf) at the points of the surface card, NaN where there is none.
    structural_rating_lbf : float
        NaN where unknown.
    report : str
        The diagnosis in words.
    """

    title: str
    note: str = ""
    surface: Card | None = None
    pump: Card | None = None
    second_pump: Card | None = None
    findings: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    structural_rating_lbf: float = float("nan")
    report: str = ""

    @classmethod
    def of(cls, found: CardDiagnosis, well: Well, *, title: str, note: str = "") -> DiagnosedCard:
        """Take what is drawn from the diagnosis of one card."""
        rating = float("nan") if well.unit is None else float(np.asarray(well.unit.structural_rating_lbf))
        return cls(
            title,
            note,
            found.surface if len(found.surface[0]) else None,
            found.pump if len(found.pump[0]) else None,
            found.pump_fd if len(found.pump_fd[0]) else None,
            {name: value for name, value in found.findings.items() if isinstance(value, float)},
            found.limits,
            rating,
            found.report,
        )

    def found(self, name: str) -> float:
        """One finding, NaN where it is not known."""
        return float(self.findings.get(name, float("nan")))


def figure_text(name: str, value: float) -> str:
    """Write a figure with the digits that its size deserves."""
    if name in ("damping", "balance_damping"):
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def diagnosis_figure(card: DiagnosedCard) -> Figure:
    """Draw one card on a page of its own: surface card above pump card, the main figures beside, the report below.

    Parameters
    ----------
    card : DiagnosedCard

    Returns
    -------
    Figure
    """
    report = textwrap.wrap(card.report, 152)
    below = 0.2 * len(report) + (0.12 if report else 0.0)
    figure = new_figure(10.0, 6.6 + below)
    figure.set_layout_engine("none")
    height = 6.6 + below
    bottom, top = (below + 0.55) / height, 1.0 - 0.75 / height
    middle = bottom + 0.47 * (top - bottom)
    gap = 0.42 / height
    upper = figure.add_axes((0.075, middle + gap, 0.595, top - middle - gap))
    lower = figure.add_axes((0.075, bottom, 0.595, middle - bottom), sharex=upper)
    figure.text(0.035, 1.0 - 0.27 / height, card.title, fontsize=12, color=INK, va="center", weight="bold")
    if card.note:
        figure.text(0.035, 1.0 - 0.5 / height, card.note, fontsize=9, color=MUTED, va="center")
    _surface(upper, card)
    _pump(lower, card)
    for axes, drawn in ((upper, card.surface), (lower, card.pump)):
        if drawn is None:
            axes.set_yticks([])
            axes.grid(visible=False)
            axes.text(0.5, 0.5, "no card", transform=axes.transAxes, fontsize=9, color=MUTED, ha="center")
    lower.set_xlabel("position, in", fontsize=9, color=MUTED)
    for axes, name in ((upper, "polished rod"), (lower, "pump (effective load)")):
        axes.set_ylabel(f"{name}, 1,000 lbf", fontsize=9, color=MUTED)
        axes.yaxis.set_label_coords(-0.062, 0.5)
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            axes.legend(
                handles,
                labels,
                loc="lower right",
                bbox_to_anchor=(1.0, 1.0),
                ncols=4,
                frameon=False,
                fontsize=8,
                labelcolor=MUTED,
                handlelength=1.6,
                columnspacing=1.2,
                borderaxespad=0.1,
            )
    known = [(name, says, unit) for name, says, unit in LISTED if np.isfinite(card.found(name))]
    step = min(0.245 / height, (top - bottom) / max(len(known), 1))
    for i, (name, says, unit) in enumerate(known):
        y = top - (i + 0.5) * step
        figure.text(0.70, y, says, fontsize=8.5, color=MUTED, va="center")
        figure.text(
            0.93, y, figure_text(name, card.found(name)), fontsize=8.5, color=INK, ha="right", va="center"
        )
        figure.text(0.937, y, unit, fontsize=8.5, color=MUTED, va="center")
    for i, line in enumerate(report):
        figure.text(0.035, (below - 0.2 * i - 0.05) / height, line, fontsize=8.5, color=INK, va="center")
    return figure


def diagnosis_grid(cards: Sequence[DiagnosedCard], columns: int = 3) -> Figure:
    """Draw cards side by side, small: surface card, pump card, load lines and fillage.

    Parameters
    ----------
    cards : sequence of DiagnosedCard
        At least one.
    columns : int
        Cards a row.

    Returns
    -------
    Figure
    """
    figure, places = grid(len(cards), columns, 3.4, 3.1)
    for card, (axes, _) in zip(cards, places, strict=True):
        _surface(axes, card)
        _pump(axes, card)
        fillage, pressure = card.found("fillage_pct"), card.found("pump_intake_pressure_psi")
        words = [card.note] if card.note else []
        words += [f"{fillage:.0f} % filled"] if np.isfinite(fillage) else []
        words += [f"intake {pressure:,.0f} psi"] if np.isfinite(pressure) else []
        label_card(axes, card.title, ", ".join(words), axis_labels=True)
    return figure


def _surface(axes: Axes, card: DiagnosedCard) -> None:
    _frame(axes)
    if card.surface is None:
        return
    position, load = (np.asarray(values, dtype=np.float64) for values in card.surface)
    axes.plot(
        closed(position), closed(load) / 1000.0, color=SURFACE_COLOUR, linewidth=1.7, label="surface card"
    )
    low, high = load.min() / 1000.0, load.max() / 1000.0
    room = max(high - low, 0.1)
    rating = card.structural_rating_lbf / 1000.0
    shows_rating = np.isfinite(rating) and rating < high + 0.6 * room
    if card.limits is not None:
        label: str | None = "permissible load (gearbox)"
        for limit in card.limits:
            near = _inside(limit / 1000.0, low - 0.4 * room, high + 0.4 * room)
            if np.isfinite(near).any():
                axes.plot(
                    position, near, color=LIMIT_COLOUR, linewidth=1.1, linestyle=(0, (4, 2)), label=label
                )
                label = None
    if shows_rating:
        axes.axhline(rating, color=LIMIT_COLOUR, linewidth=1.1, linestyle=":", label="structural rating")
    if card.limits is not None or shows_rating:
        top = high + 0.35 * room
        axes.set_ylim(low - 0.35 * room, max(top, rating + 0.05 * room) if shows_rating else top)


def _inside(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Leave out what runs away toward the ends of the stroke."""
    with np.errstate(invalid="ignore"):
        return np.where((values > low) & (values < high), values, np.nan)


def _pump(axes: Axes, card: DiagnosedCard) -> None:
    _frame(axes)
    if card.pump is None:
        return
    position, load = (np.asarray(values, dtype=np.float64) for values in card.pump)
    axes.plot(closed(position), closed(load) / 1000.0, color=PUMP_COLOUR, linewidth=1.7, label="pump card")
    if card.second_pump is not None:
        x, f = (closed(values) for values in card.second_pump)
        axes.plot(
            x,
            f / 1000.0,
            color=INK,
            linewidth=0.9,
            linestyle=(0, (2, 3)),
            label="finite differences",
        )
    left, right = position.min(), position.max()
    upper, lower = card.found("fluid_load_upper_lbf"), card.found("fluid_load_lower_lbf")
    if np.isfinite(upper) and np.isfinite(lower):
        axes.hlines(
            [upper / 1000.0, lower / 1000.0],
            left,
            right,
            color=LINES_COLOUR,
            linewidth=1.0,
            label="load lines",
        )
    net = card.found("net_stroke_in")
    fillage = card.found("fillage_pct")
    if np.isfinite(net) and np.isfinite(fillage):
        bottom, top = load.min() / 1000.0, load.max() / 1000.0
        axes.vlines(left + net, bottom, top, color=INK, linewidth=1.0, linestyle=(0, (1, 1.5)))
        to_left = net > 0.3 * (right - left)
        axes.annotate(
            f"{fillage:.0f} %",
            (left + net, 0.5 * (bottom + top)),
            xytext=(-4 if to_left else 4, 0),
            textcoords="offset points",
            ha="right" if to_left else "left",
            va="center",
            fontsize=8,
            color=INK,
        )


def _frame(axes: Axes) -> None:
    tidy(axes)
    axes.axhline(0.0, color=GRID, linewidth=1.2, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
