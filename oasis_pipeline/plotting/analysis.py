"""The report of a field's data, or of one well's, as HTML: the part that a web page and a file share, and the file around it.

Here: words, tables and pictures. Not here: what is read and counted (``operations.analysis_facts``), statistics (``learning.describe``). Pictures are SVG text in
the colours of the page around them, as in ``plotting.svg``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from html import escape
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import ArrayLike

from oasis_pipeline.plotting.documents import template
from oasis_pipeline.plotting.svg import role_of

if TYPE_CHECKING:
    from oasis_pipeline.learning.describe import Summary, Survival

NOTHING = "–"


def histogram_svg(
    summary: Summary, *, width: int = 220, height: int = 64, zero: bool = False, title: str = ""
) -> str:
    """Draw a distribution as bars, with its median marked.

    Parameters
    ----------
    summary : Summary
    width, height : int
        Size in pixels.
    zero : bool
        Whether to mark zero, where it lies within.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element; an empty one without values.
    """
    head = _head("histogram", width, height, title or "distribution")
    if not summary.count:
        return head + "</svg>"
    bins = len(summary.counts)
    most = max(int(summary.counts.max()), 1)
    step, floor = width / bins, height - 2.0
    parts = [head]
    for place, count in enumerate(summary.counts.tolist()):
        if count:
            tall = max(1.0, count / most * (height - 8.0))
            parts.append(
                f'<rect x="{place * step + 0.5:.1f}" y="{floor - tall:.1f}" width="{max(step - 1.0, 0.5):.1f}" height="{tall:.1f}" '
                'fill="var(--surface)" fill-opacity=".75"/>'
            )
    parts.append(f'<path d="M0 {floor}H{width}" stroke="var(--line)"/>')
    span = summary.high - summary.low
    if span > 0.0:
        marks = [(summary.quantiles[2], "var(--risk)")]
        if zero and summary.low < 0.0 < summary.high:
            marks.append((0.0, "var(--ink)"))
        for value, colour in marks:
            x = (value - summary.low) / span * width
            parts.append(f'<path d="M{x:.1f} 2V{floor}" stroke="{colour}" stroke-width="1.2"/>')
    return "".join([*parts, "</svg>"])


def bars_svg(counts: Sequence[int], names: Sequence[str], *, height: int = 20, title: str = "") -> str:
    """Draw counts as bars across, each with its name and figure.

    Parameters
    ----------
    counts : sequence of int
    names : sequence of str
    height : int
        Of a bar, in pixels.
    title : str
        What a screen reader says.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    width, named, told = 460, 130, 96
    most, total = max(max(counts, default=0), 1), max(sum(counts), 1)
    parts = [_head("bars", width, height * len(counts) + 2, title or "counts")]
    for row, (count, name) in enumerate(zip(counts, names, strict=True)):
        y = row * height
        long = count / most * (width - named - told)
        parts.append(f'<text x="{named - 8}" y="{y + height - 6}" text-anchor="end">{escape(name)}</text>')
        if count:
            parts.append(
                f'<rect x="{named}" y="{y + 3}" width="{max(long, 1.0):.1f}" height="{height - 6}" rx="2" fill="var(--surface)" fill-opacity=".75"/>'
            )
        parts.append(
            f'<text x="{named + long + 6:.1f}" y="{y + height - 6}" class="tick">{count:,} ({100 * count / total:.0f} %)</text>'
        )
    return "".join([*parts, "</svg>"])


def share_svg(share: float, *, bad: bool = False) -> str:
    """Draw a share, 0 to 1, as a small bar."""
    colour = "var(--risk)" if bad else "var(--surface)"
    wide = 100.0 * min(max(share, 0.0), 1.0)
    return (
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{100 * share:.0f} %"><rect width="100" height="8" '
        f'fill="var(--band)"/><rect width="{wide:.1f}" height="8" fill="{colour}"/></svg>'
    )


def coverage_svg(
    nodes: Sequence[str], bins: Sequence[str], counts: ArrayLike, *, links: Sequence[str] = ()
) -> str:
    """Draw when cards came: a row a well, a column a bin of days, the stronger the more cards, nothing where there are none.

    Parameters
    ----------
    nodes : sequence of str
        Wells.
    bins : sequence of str
        First day of each bin.
    counts : array_like of int, shape (wells, bins)
    links : sequence of str, optional
        Where each well's name leads.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    table = np.asarray(counts, np.int64).reshape(len(nodes), len(bins))
    cell, tall, named = max(8, min(30, 1000 // max(len(bins), 1))), 15, 150
    width, height = named + cell * len(bins) + 40, tall * (len(nodes) + 1) + 6
    usual = max(float(np.median(table[table > 0])) if (table > 0).any() else 1.0, 1.0)
    strength = np.clip(table / usual, 0.0, 1.0) * 0.75 + 0.2
    parts = [_head("days coverage", width, height, "Cards of each well over the period", links)]
    every = max(1, -(-62 // cell))
    parts += [
        f'<text x="{named + cell * place}" y="10" class="tick">{escape(bins[place][5:])}</text>'
        for place in range(0, len(bins), every)
    ]
    for row, node in enumerate(nodes):
        y = tall * (row + 1)
        name = (
            f'<text x="0" y="{y + tall - 4}">{escape(_short(node, 22))}<title>{escape(node)}</title></text>'
        )
        parts.append(f'<a href="{escape(links[row], quote=True)}">{name}</a>' if links else name)
        parts.append(f'<g fill="var(--surface)" transform="translate({named} {y})">')
        start = 0
        # days in a row with as many cards are one rectangle
        for count, group in groupby(table[row].tolist()):
            stop = start + len(list(group))
            if count:
                span = bins[start] if stop == start + 1 else f"{bins[start]} to {bins[stop - 1]}"
                parts.append(
                    f'<rect x="{cell * start}" width="{cell * (stop - start) - 1}" height="{tall - 3}" '
                    f'fill-opacity="{strength[row, start]:.2f}"><title>{escape(span)}: {count:,}</title></rect>'
                )
            start = stop
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def correlations_svg(names: Sequence[str], values: ArrayLike) -> str:
    """Draw correlations as a triangle of cells: blue together, red against each other, with two digits.

    Parameters
    ----------
    names : sequence of str
    values : array_like, shape (k, k)
        -1 to 1; NaN is left empty.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    table = np.asarray(values, np.float64)
    cell, named = 40, 112
    tall = 24
    width = named + cell * (len(names) - 1) + 100
    height = tall * len(names) + 4
    parts = [_head("correlations", width, height, "Rank correlations of quantities")]
    for row, name in enumerate(names):
        y = tall * row
        if row:
            parts.append(f'<text x="{named - 8}" y="{y + tall - 8}" text-anchor="end">{escape(name)}</text>')
        for column in range(row):
            # nothing is neither together nor against each other
            value = round(float(table[row, column]), 2) + 0.0
            x = named + cell * column
            if not np.isfinite(value):
                continue
            colour = "var(--surface)" if value >= 0.0 else "var(--pump)"
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{tall - 2}" fill="{colour}" fill-opacity="{abs(value) * 0.55:.2f}">'
                f"<title>{escape(names[column])} and {escape(name)}: {value:+.2f}</title></rect>"
                f'<text x="{x + cell / 2 - 1:.0f}" y="{y + tall - 8}" text-anchor="middle">{value:+.2f}</text>'
            )
        if row < len(names) - 1:
            parts.append(f'<text x="{named + cell * row + 4}" y="{y + tall - 8}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


_COMPONENT_COLOURS = ("var(--surface)", "var(--pump)", "var(--risk)", "var(--muted)")
_COMPONENT_DASHES = ("", "6 3", "2 3", "9 3 2 3")


def survival_svg(curves: Mapping[str, Survival], *, width: int = 460, height: int = 190) -> str:
    """Draw the share of components that reach an age, as steps.

    Parameters
    ----------
    curves : mapping of str to Survival
        By component; four at most are drawn.
    width, height : int
        Size in pixels.

    Returns
    -------
    str
        An ``<svg>`` element; empty text where no life has ended.
    """
    drawn = [(name, curve) for name, curve in curves.items() if len(curve.days)][: len(_COMPONENT_COLOURS)]
    if not drawn:
        return ""
    most = max(float(curve.days[-1]) for _, curve in drawn) * 1.05
    left, floor, top = 40.0, height - 24.0, 8.0
    right = width - 8.0
    parts = [_head("survival", width, height, "Share of components that reach an age")]
    for share in (0.0, 0.5, 1.0):
        y = floor - share * (floor - top)
        parts.append(
            f'<path d="M{left} {y:.1f}H{right}" stroke="var(--line)"/><text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end" class="tick">{100 * share:.0f} %</text>'
        )
    for place, (name, curve) in enumerate(drawn):
        path = f"M{left} {top}"
        for days, share in zip(curve.days.tolist(), curve.share.tolist(), strict=True):
            path += f"H{left + days / most * (right - left):.1f}V{floor - share * (floor - top):.1f}"
        dashes = f' stroke-dasharray="{_COMPONENT_DASHES[place]}"' if _COMPONENT_DASHES[place] else ""
        parts.append(
            f'<path d="{path}H{right}" fill="none" stroke="{_COMPONENT_COLOURS[place]}" stroke-width="1.8"{dashes}/>'
            f'<path d="M{left + 8 + 96 * place} {floor - 10}h22" stroke="{_COMPONENT_COLOURS[place]}" stroke-width="1.8"{dashes}/>'
            f'<text x="{left + 35 + 96 * place}" y="{floor - 6}">{escape(_short(name, 9))}</text>'
        )
    parts.append(
        f'<text x="{right}" y="{height - 6}" text-anchor="end" class="tick">{most:,.0f} days</text><text x="{left}" y="{height - 6}" class="tick">0</text>'
    )
    return "".join([*parts, "</svg>"])


def _head(kind: str, width: float, height: float, title: str, links: Sequence[str] = ()) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" {role_of(links)} '
        f'aria-label="{escape(title, quote=True)}">'
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def write_figure(value: float | None, digits: int | None = None) -> str:
    """Write a figure with thousands separated; three digits where none are asked for, a dash where there is no value."""
    if value is None or not np.isfinite(value):
        return NOTHING
    if digits is None:
        digits = 0 if abs(value) >= 100.0 or value == round(value) else 1 if abs(value) >= 10.0 else 2
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if text.strip("-0.,") == "" else text


def write_hours(value: float | None) -> str:
    """Write a length of time, given in hours, in the unit that suits it."""
    if value is None:
        return NOTHING
    if value < 0.99:
        return f"{60.0 * value:.0f} min"
    return f"{value:.1f} h" if value < 48.0 else f"{value / 24.0:.1f} d"


def write_day(value: date | datetime | None) -> str:
    """Write a day in words."""
    return NOTHING if value is None else f"{value:%-d %b %Y}"


_UNITS = ("_in_lbf", "_lbf", "_pct", "_psi", "_bpd", "_in", "_ft", "_hp")


def write_column(column: str) -> str:
    """Write a column's name in words, without the unit at its end."""
    unit = next((each for each in _UNITS if column.endswith(each)), "")
    return column.removesuffix(unit).replace("_", " ")


def _gap_names(edges: Sequence[float]) -> list[str]:
    names = [f"under {write_hours(edges[0])}"]
    names += [f"{write_hours(low)} to {write_hours(high)}" for low, high in pairwise(edges)]
    names.append(f"over {write_hours(edges[-1])}")
    return [name.replace(".0 ", " ") for name in names]


def render_body(
    facts: Mapping[str, Any],
    measured: Mapping[str, tuple[str, str]],
    gap_hours: Sequence[float],
    *,
    linked: bool,
) -> str:
    """Put the facts of a report into words, tables and pictures.

    Parameters
    ----------
    facts : mapping
        Of ``operations.analysis_facts.report_facts``.
    measured : mapping of str to (str, str)
        Name and unit of each quantity.
    gap_hours : sequence of float
        Edges of the classes of ``facts["cadence"]``.
    linked : bool
        Whether wells lead to their pages; a file that stands by itself has nowhere to lead.

    Returns
    -------
    str
        HTML without head and frame; everything that came from data is escaped.
    """
    scope = facts["scope"]
    period = {"from": scope.first.isoformat(), "to": scope.last.isoformat()}

    def analysis_url(node: str) -> str:
        return "/analysis?" + urlencode({**period, "well": node})

    def well_url(node: str, moment: datetime | None = None) -> str:
        at = f"?{urlencode({'card': moment.isoformat()})}" if moment is not None else ""
        return f"/well/{quote(node, safe='')}{at}"

    grid = facts["grid"]
    links = [analysis_url(node) for node in grid["nodes"]] if linked and scope.node is None else []
    lives = {row["component"]: row["life"] for row in facts["failures"] if row["life"] is not None}
    return template(__package__, "analysis_body.html").render(
        **facts,
        measured=measured,
        linked=linked,
        analysis_url=analysis_url,
        well_url=well_url,
        figure=write_figure,
        hours=write_hours,
        words=write_column,
        coverage=coverage_svg(grid["nodes"], grid["bins"], grid["counts"], links=links),
        cadence_svg=bars_svg(facts["cadence"], _gap_names(gap_hours), title="Time between two cards"),
        correlations_svg=correlations_svg([name for name, _ in measured.values()], facts["correlations"]),
        histogram=histogram_svg,
        share=share_svg,
        survival=survival_svg(lives),
        correlated=bool(
            np.isfinite(facts["correlations"][np.tril_indices(len(facts["correlations"]), -1)]).any()
        ),
    )


def title_of(scope: Any) -> str:
    """Headline of a report."""
    what = "The field's data" if scope.node is None else f"Data of {scope.node}"
    span = (
        write_day(scope.first)
        if scope.first == scope.last
        else f"{write_day(scope.first)} to {write_day(scope.last)}"
    )
    return f"{what}, {span}"


def render_document(body: str, title: str, footer: str) -> str:
    """Put the body of a report into a file that needs nothing else.

    Parameters
    ----------
    body : str
        Of `render_body`.
    title, footer : str
        Headline, and the line at the foot.

    Returns
    -------
    str
        HTML.
    """
    return template(__package__, "analysis.html").render(body=body, title=title, footer=footer)
