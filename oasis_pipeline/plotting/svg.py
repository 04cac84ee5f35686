"""Small pictures as SVG text, drawn without a plotting library: card thumbnails, courses, and the field day by day.

Here: what a page shows many of. Colours stand in CSS variables of the page (``--surface``, ``--pump``, ``--band``, ``--line``), so that
one picture fits light and dark pages. Not here: pictures of one card with its findings (``plotting.diagnosis``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.well_path import Survey

Card = tuple[ArrayLike, ArrayLike]

MOST_POINTS = 120
"""Points of a thumbnail's line: more are not seen."""


def card_svg(
    surface: Card | None,
    pump: Card | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    *,
    width: int = 132,
    height: int = 78,
    title: str = "",
) -> str:
    """Draw a card as a closed line, with the pump card and the well's bounds where they are given.

    Parameters
    ----------
    surface, pump : tuple of array_like, optional
        Position (in) and load (lbf) of the points, in the order of the stroke; points that are not finite are left out.
    bounds : tuple of float, optional
        Least and greatest position (in), least and greatest load (lbf).
    width, height : int
        Size in pixels.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element; an empty one where there is nothing to draw.
    """
    cards = [
        (name, finite_points(card))
        for name, card in (("surface", surface), ("pump", pump))
        if card is not None
    ]
    cards = [(name, points) for name, points in cards if points.shape[1] > 1]
    head = (
        f'<svg class="card" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title or "dynamometer card", quote=True)}">'
    )
    if not cards:
        return head + "</svg>"
    every = np.concatenate([points for _, points in cards], axis=1)
    if bounds is not None and np.isfinite(bounds).all():
        every = np.concatenate([every, np.array([[bounds[0], bounds[1]], [bounds[2], bounds[3]]])], axis=1)
    else:
        bounds = None
    low, span = every.min(axis=1), np.maximum(np.ptp(every, axis=1), 1e-9)

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (points - low[:, None]) / span[:, None]
        return np.stack([2.0 + share[0] * (width - 4.0), height - 2.0 - share[1] * (height - 4.0)])

    parts = [head]
    if bounds is not None:
        x, y = place(np.array([[bounds[0], bounds[1]], [bounds[3], bounds[2]]]))
        parts.append(
            f'<rect x="{x[0]:.1f}" y="{y[0]:.1f}" width="{x[1] - x[0]:.1f}" height="{y[1] - y[0]:.1f}" fill="var(--band)"/>'
        )
    if low[1] < 0.0 < low[1] + span[1]:
        zero = place(np.array([[low[0]], [0.0]]))[1, 0]
        parts.append(f'<path d="M2 {zero:.1f}H{width - 2}" stroke="var(--line)" stroke-width="1"/>')
    for name, points in cards:
        step = -(-points.shape[1] // MOST_POINTS)
        x, y = place(points[:, ::step])
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        parts.append(
            f'<path d="M{line}Z" fill="none" stroke="var(--{name})" stroke-width="1.5" stroke-linejoin="round"/>'
        )
    return "".join([*parts, "</svg>"])


def course_svg(
    values: ArrayLike, *, top: float | None = None, width: int = 96, height: int = 26, title: str = ""
) -> str:
    """Draw the course of a quantity as a line with its newest value marked; gaps stay gaps.

    Parameters
    ----------
    values : array_like, shape (n,)
        Equally spaced in time, NaN where there is none.
    top : float, optional
        Value at the upper edge; the greatest by default. The lower edge is 0.
    width, height : int
        Size in pixels.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    course = np.asarray(values, dtype=np.float64)
    head = (
        f'<svg class="course" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title or "course", quote=True)}">'
    )
    known = np.flatnonzero(np.isfinite(course))
    if not len(known):
        return head + "</svg>"
    most = max(top if top is not None else float(course[known].max()), 1e-9)
    x = 2.0 + np.arange(len(course)) * (width - 6.0) / max(len(course) - 1, 1)
    y = height - 3.0 - np.clip(course / most, 0.0, 1.0) * (height - 6.0)
    line = ""
    for place in known.tolist():
        joined = place > 0 and np.isfinite(course[place - 1])
        line += f"{'L' if joined else 'M'}{x[place]:.1f} {y[place]:.1f}"
    last = known[-1]
    return (
        f'{head}<path d="{line}" fill="none" stroke="var(--risk)" stroke-width="1.5"/>'
        f'<circle cx="{x[last]:.1f}" cy="{y[last]:.1f}" r="2.2" fill="var(--risk)"/></svg>'
    )


def days_svg(
    wells: Sequence[str],
    days: Sequence[str],
    label: NDArray[np.object_],
    colours: Mapping[str, str],
    marks: Mapping[tuple[int, int], str],
    *,
    cell: int = 14,
    name_width: int = 150,
    links: Sequence[str] = (),
) -> str:
    """Draw a field day by day: a row a well, a column a day, the colour of the class, and letters for events.

    Parameters
    ----------
    wells, days : sequence of str
        Names of rows, and ISO dates of columns.
    label : ndarray of object, shape (wells, days)
        Class; None where there was no card.
    colours : mapping of str to str
        Colour of each class.
    marks : mapping of (int, int) to str
        Text (a letter or two) in the cell of a well and a day, such as F for a failure.
    cell, name_width : int
        Sizes in pixels.
    links : sequence of str, optional
        Address of each well's page; its name leads there.

    Returns
    -------
    str
        An ``<svg>`` element; days in a row of one class are one rectangle.
    """
    width, height = name_width + cell * len(days) + 4, cell * (len(wells) + 1) + 8
    parts = [
        f'<svg class="days" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {role_of(links)} '
        'aria-label="Class of each well on each day">'
    ]
    every = max(1, -(-len(days) * cell // (14 * 60)) * 7)
    parts += [
        f'<text x="{name_width + cell * place}" y="10" class="tick">{escape(days[place][5:])}</text>'
        for place in range(0, len(days), every)
    ]
    for row, well in enumerate(wells):
        y = cell * (row + 1)
        name = f'<text x="0" y="{y + cell - 4}">{escape(well)}</text>'
        parts.append(f'<a href="{escape(links[row], quote=True)}">{name}</a>' if links else name)
        parts += [
            f'<rect x="{name_width + cell * start}" y="{y}" width="{cell * (stop - start) - 1}" height="{cell - 2}" '
            f'fill="{colours[kind]}"><title>{escape(well)}, {days[start]} to {days[stop - 1]}: {escape(kind)}</title></rect>'
            for start, stop, kind in _spans(label[row].tolist())
        ]
    for (row, day), text in marks.items():
        parts.append(
            f'<text x="{name_width + cell * day + cell // 2}" y="{cell * (row + 2) - 4}" class="mark">{escape(text)}</text>'
        )
    return "".join([*parts, "</svg>"])


SHARP_DOGLEG = 3.0
"""Degrees in 100 ft: where a path bends more, rods wear at the tubing."""


def path_svg(
    survey: Survey, marks: Sequence[tuple[str, float]] = (), *, width: int = 300, height: int = 260
) -> str:
    """Draw the path of a well as a vertical section, sharp bends in another colour.

    Parameters
    ----------
    survey : Survey
    marks : sequence of (str, float)
        What lies at a measured depth, ft, such as the end of a taper.
    width, height : int
        Size in pixels; the horizontal scale is stretched to it.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    inclination = np.nan_to_num(survey.inclination_deg)
    steepest = int(np.argmax(inclination))
    deepest, farthest = (
        float(survey.true_vertical_depth_ft(survey.md_ft)[-1]),
        float(survey.departure_ft(survey.md_ft)[-1]),
    )
    left, right, top, floor = 40.0, width - 90.0, 14.0, height - 18.0
    across, down = (right - left) / max(farthest, 0.1 * deepest, 1.0), (floor - top) / max(deepest, 1.0)

    def place(depth: ArrayLike) -> list[tuple[float, float]]:
        x, y = left + survey.departure_ft(depth) * across, top + survey.true_vertical_depth_ft(depth) * down
        return list(zip(np.atleast_1d(x).tolist(), np.atleast_1d(y).tolist(), strict=True))

    def line(points: Sequence[tuple[float, float]], colour: str) -> str:
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        return f'<path d="M{way}" fill="none" stroke="var(--{colour})" stroke-width="2"/>'

    said = f"path of the well, {inclination[steepest]:.1f} deg at most at {survey.md_ft[steepest]:,.0f} ft"
    parts = [
        f'<svg class="path" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{said}">',
        f'<text x="0" y="{top:.0f}" class="tick">0 ft</text><text x="0" y="{floor:.0f}" class="tick">{deepest:,.0f}</text>',
        f'<text x="{left:.0f}" y="{height - 4}" class="tick">{farthest:,.0f} ft along the horizontal</text>',
        line(place(np.linspace(0.0, survey.md_ft[-1], 120)), "surface"),
    ]
    for bend, begin, end in zip(
        survey.dogleg_deg_per_100ft(), survey.md_ft[:-1], survey.md_ft[1:], strict=True
    ):
        if bend > SHARP_DOGLEG:
            parts.append(line(place([begin, end]), "risk"))
    for name, depth in marks:
        ((x, y),) = place([depth])
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="var(--ink)"/><text x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def setpoint_svg(
    at: ArrayLike,
    change: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    allowed: ArrayLike,
    advised: float | None = None,
    *,
    name: str,
    unit: str,
    present: float,
    width: int = 300,
    height: int = 130,
) -> str:
    """Draw what a well would gain over a set point, with its interval; points that pass a limit in another colour.

    Parameters
    ----------
    at, change, lower, upper : array_like, shape (n,)
        Set point in ascending or descending order, expected change of oil and its interval, bbl/d.
    allowed : array_like of bool, shape (n,)
        Whether a point keeps every limit.
    advised : float, optional
        Set point that is advised.
    name, unit : str
        Of the set point.
    present : float
        Set point now.
    width, height : int
        Size in pixels.

    Returns
    -------
    str
        An ``<svg>`` element; empty with fewer than two points.
    """
    x, mean, low, high = (np.asarray(values, dtype=np.float64) for values in (at, change, lower, upper))
    order = np.flatnonzero(np.isfinite(x + mean + low + high))
    order = order[np.argsort(x[order], kind="stable")]
    x, mean, low, high = (values[order] for values in (x, mean, low, high))
    good = np.asarray(allowed, dtype=np.bool_)[order]
    if len(x) < 2:
        return ""
    bottom, top = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    left, right, ceiling, floor = 44.0, width - 8.0, 12.0, height - 30.0
    across, down = (
        (right - left) / max(float(x[-1] - x[0]), 1e-9),
        (floor - ceiling) / max(top - bottom, 1e-9),
    )

    def place(position: NDArray[np.float64], value: NDArray[np.float64]) -> list[str]:
        return [
            f"{left + (a - x[0]) * across:.1f} {floor - (v - bottom) * down:.1f}"
            for a, v in zip(position.tolist(), value.tolist(), strict=True)
        ]

    said = f"change of oil over {name}: from {mean[0]:+.1f} bbl/d at {x[0]:g} to {mean[-1]:+.1f} at {x[-1]:g} {unit}"
    band = "L".join([*place(x, high), *place(x[::-1], low[::-1])])
    zero = place(x[:1], np.zeros(1))[0].split()[1]
    parts = [
        f'<svg class="curve" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escape(said, quote=True)}">',
        f'<path d="M{band}Z" fill="var(--band)"/><path d="M{left} {zero}H{right}" stroke="var(--line)"/>',
        f'<path d="M{"L".join(place(x, mean))}" fill="none" stroke="var(--surface)" stroke-width="1.5"/>',
    ]
    parts += [
        f'<circle cx="{spot.split()[0]}" cy="{spot.split()[1]}" r="2" fill="var(--{"surface" if fits else "risk"})"/>'
        for spot, fits in zip(place(x, mean), good.tolist(), strict=True)
    ]
    lines, words = [], []
    for value, text, other in ((present, "now", advised), (advised, "advised", present)):
        if value is not None and x[0] <= value <= x[-1] and not (text == "advised" and value == present):
            spot = left + (value - x[0]) * across
            # away from the other line, so that neither word is crossed
            leftward = other is not None and other > value
            anchor = "end" if spot > right - 45.0 or (leftward and spot > left + 45.0) else "start"
            lines.append(
                f'<path d="M{spot:.1f} {ceiling}V{floor}" stroke="var(--ink)" stroke-dasharray="{"2 3" if text == "now" else "none"}"/>'
            )
            words.append(
                f'<text x="{spot + (-3 if anchor == "end" else 3):.1f}" y="{ceiling if text == "now" else ceiling + 12:.0f}" class="tick" text-anchor="{anchor}">{text}</text>'
            )
    parts += [*lines, *words]
    ticks = [
        (floor + 4 - (value - bottom) * down, f"{value:+.0f}")
        for value in dict.fromkeys((top, bottom))
        if value
    ]
    parts += [
        f'<text x="{left - 4}" y="{y:.0f}" class="tick" text-anchor="end">{text}</text>' for y, text in ticks
    ]
    parts.append(
        f'<text x="{left}" y="{floor + 13:.0f}" class="tick">{_short(x[0])}</text>'
        f'<text x="{right}" y="{floor + 13:.0f}" class="tick" text-anchor="end">{_short(x[-1])}</text>'
        f'<text x="{(left + right) / 2:.0f}" y="{height - 4}" class="tick" text-anchor="middle">{escape(name)}, {escape(unit)}</text></svg>'
    )
    return "".join(parts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100.0 else f"{value:g}"


def role_of(links: Sequence[str]) -> str:
    """Role of a picture as an attribute: a screen reader does not look for links inside of an image."""
    return f'role="{"group" if links else "img"}"'


def strip_svg(
    days: Sequence[str],
    label: Sequence[str | None],
    colours: Mapping[str, str],
    *,
    cell: int = 4,
    height: int = 9,
    title: str = "",
) -> str:
    """Draw the classes of one well day by day as a thin strip.

    Parameters
    ----------
    days : sequence of str
        ISO dates.
    label : sequence of str or None
        Class of each day; None where there was no card.
    colours : mapping of str to str
        Colour of each class.
    cell, height : int
        Width of a day and height, in pixels.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element; days in a row of one class are one rectangle.
    """
    width = cell * len(days)
    parts = [
        f'<svg class="strip" preserveAspectRatio="none" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title or "classes day by day", quote=True)}">'
    ]
    for start, stop, name in _spans(label):
        span = days[start] if stop == start + 1 else f"{days[start]} to {days[stop - 1]}"
        parts.append(
            f'<rect x="{cell * start}" width="{cell * (stop - start)}" height="{height}" fill="{colours.get(name, "var(--line)")}">'
            f"<title>{span}: {escape(name)}</title></rect>"
        )
    return "".join([*parts, "</svg>"])


def _spans(label: Sequence[str | None]) -> Iterator[tuple[int, int, str]]:
    """Days in a row of one class: first, one after the last, class."""
    start = 0
    for name, days in groupby(label):
        stop = start + sum(1 for _ in days)
        if name is not None:
            yield start, stop, name
        start = stop


def finite_points(card: Card) -> NDArray[np.float64]:
    """Points of a card that can be drawn.

    Parameters
    ----------
    card : tuple of array_like, shape (n,)
        Position (in), load (lbf).

    Returns
    -------
    ndarray of float, shape (2, m)
        Those of which both are finite.
    """
    points = np.array([np.asarray(axis, dtype=np.float64) for axis in card])
    return points[:, np.isfinite(points).all(axis=0)]
