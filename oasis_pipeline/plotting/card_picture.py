"""One well's card as a large SVG picture: the surface card above the pump card, with everything that it is held against.

Here: axes, the lines of both cards, load limits, load lines of the pump, permissible loads, bounds, the band of a forecast, set points of the
controller, and other cards laid over. Colours stand in CSS variables of the page. Not here: thumbnails (``svg``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.plotting.svg import Card, finite_points

WIDTH, LEFT, RIGHT = 560, 52, 8
TITLE, TICKS = 20, 26
NAME_HEIGHT = 13
SURFACE_HEIGHT, PUMP_HEIGHT = 230, 170
PIN_COLOURS = ("--pin-1", "--pin-2", "--pin-3", "--pin-4")
"""CSS variables of the cards that are laid over, in turn."""

MOST_POINTS = 200


@dataclass(frozen=True)
class Band:
    """Loads between which a card is forecast to lie.

    Attributes
    ----------
    card : str
        ``surface`` or ``pump``.
    position, lower, upper : array_like, shape (2 n,)
        Position (in), up the stroke and back, and loads (lbf).
    """

    card: str
    position: ArrayLike
    lower: ArrayLike
    upper: ArrayLike


@dataclass(frozen=True)
class Pin:
    """Another card, laid over.

    Attributes
    ----------
    name : str
        When it was taken.
    surface, pump : tuple of array_like, optional
    """

    name: str
    surface: Card | None
    pump: Card | None


@dataclass(frozen=True)
class CardPicture:
    """What is drawn.

    Attributes
    ----------
    surface, pump : tuple of array_like, optional
        Position (in) and load (lbf), in the order of the stroke; the pump card is that of the controller.
    computed : tuple of array_like, optional
        Pump card computed from the surface card; its load lines are then those of the diagnosis.
    bounds : tuple, optional
        Which card is bounded (``surface`` or ``pump``), least and greatest position (in), least and greatest load (lbf).
    band : Band, optional
    load_lines : tuple of float, optional
        Upper and lower load of the pump at rest, lbf.
    limits : tuple of float or None
        Low and high load limit of the controller, lbf.
    permissible : sequence of tuple of array_like
        Curves of permissible loads on the surface card: position, load.
    set_point : tuple of float, optional
        Pump-off set point: position and load in percent of the range of the surface card.
    pins : sequence of Pin
    title : str
        What a screen reader says.
    """

    surface: Card | None
    pump: Card | None
    bounds: tuple[str, float, float, float, float] | None = None
    band: Band | None = None
    load_lines: tuple[float | None, float | None] = (None, None)
    limits: tuple[float | None, float | None] = (None, None)
    permissible: Sequence[Card] = ()
    set_point: tuple[float, float] | None = None
    pins: Sequence[Pin] = field(default_factory=tuple)
    computed: Card | None = None
    title: str = "dynamometer card"


def picture_svg(picture: CardPicture) -> str:
    """Draw a card large.

    Parameters
    ----------
    picture : CardPicture

    Returns
    -------
    str
        An ``<svg>`` element with a ``viewBox``, for any width.
    """
    cards = {"surface": _usable(picture.surface), "pump": _usable(picture.pump)}
    pins = {
        "surface": [(pin, _usable(pin.surface)) for pin in picture.pins],
        "pump": [(pin, _usable(pin.pump)) for pin in picture.pins],
    }
    computed = _usable(picture.computed)
    shown = [
        (name, height)
        for name, height in (("surface", SURFACE_HEIGHT), ("pump", PUMP_HEIGHT))
        if cards[name] is not None
        or (name == "pump" and computed is not None)
        or any(points is not None for _, points in pins[name])
    ]
    head = (
        f'<svg class="card-picture" viewBox="0 0 {WIDTH} {{height}}" role="img" '
        f'aria-label="{escape(picture.title, quote=True)}">'
    )
    if not shown:
        return (
            head.format(height=60)
            + f'<text x="{WIDTH / 2}" y="34" text-anchor="middle" class="tick">no usable card</text></svg>'
        )
    every = [
        points
        for name, _ in shown
        for points in (cards[name], *(p for _, p in pins[name]))
        if points is not None
    ]
    edge = [points[0] for points in every]
    if picture.bounds is not None:
        edge.append(np.array(picture.bounds[1:3]))
    if computed is not None:
        edge.append(computed[0])
    x = _Scale(*_span(np.concatenate(edge)), LEFT, WIDTH - RIGHT)
    parts, top = [], 0
    for name, height in shown:
        own = computed if name == "pump" else None
        parts += _panel(picture, name, cards[name], own, pins[name], x, top + TITLE, top + TITLE + height)
        top += TITLE + height + 8
    parts += [
        f'<text x="{x(value):.1f}" y="{top + 6}" text-anchor="middle" class="tick">{value:,.0f}</text>'
        for value in _ticks(x.low, x.high, 7)
    ]
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{top + 24}" text-anchor="end" class="tick">position, in</text>'
    )
    return head.format(height=top + TICKS) + "".join(parts) + "</svg>"


class _Scale:
    """Values to pixels."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high, self._start = low, high, start
        self._rate = (stop - start) / max(high - low, 1e-9)

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) * self._rate

    def all(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._start + (values - self.low) * self._rate


def _panel(
    picture: CardPicture,
    name: str,
    card: NDArray[np.float64] | None,
    computed: NDArray[np.float64] | None,
    pins: Sequence[tuple[Pin, NDArray[np.float64] | None]],
    x: _Scale,
    top: float,
    bottom: float,
) -> list[str]:
    """One of the two cards with its axis of loads."""
    band = picture.band if picture.band is not None and picture.band.card == name else None
    bounds = picture.bounds if picture.bounds is not None and picture.bounds[0] == name else None
    lines = _lines(picture, name)
    loads = [points[1] for points in (card, computed, *(p for _, p in pins)) if points is not None]
    own = _span(np.concatenate(loads))
    reach = own[1] - own[0]
    if band is not None:
        loads += [np.asarray(band.lower, dtype=np.float64), np.asarray(band.upper, dtype=np.float64)]
    if bounds is not None:
        loads.append(np.array(bounds[3:5]))
    # a line far away would make the card small: it is left out and named in the table beside
    near = [(value, text, css) for value, text, css in lines if own[0] - reach < value < own[1] + reach]
    loads.append(np.array([value for value, _, _ in near]))
    low, high = _span(np.concatenate(loads))
    y = _Scale(low, high, bottom, top)
    parts = [
        f'<text x="{LEFT}" y="{top - 7}" class="panel-name">{"Surface card" if name == "surface" else "Pump card"}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{top - 7}" text-anchor="end" class="tick">load, 1,000 lbf</text>',
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH - RIGHT - LEFT}" height="{bottom - top}" class="frame"/>',
    ]
    if bounds is not None:
        left, right, under, over = x(bounds[1]), x(bounds[2]), y(bounds[3]), y(bounds[4])
        parts.append(
            f'<rect x="{left:.1f}" y="{over:.1f}" width="{right - left:.1f}" height="{under - over:.1f}" class="bounds">'
            "<title>bounds of this well's cards</title></rect>"
        )
    for value in _ticks(low, high, 5 if name == "surface" else 4):
        parts.append(
            f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" class="{"zero" if value == 0 else "gridline"}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" class="tick">{value / 1000:,.4g}</text>'
        )
    if band is not None:
        parts.append(_band(band, x, y))
    for value, text, css in near:
        parts.append(
            f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" class="{css}"><title>{text} {value:,.0f} lbf</title></path>'
        )
    if name == "surface":
        for curve in picture.permissible:
            points = _usable(curve)
            if points is not None:
                line = _line(points[:, (points[1] > low) & (points[1] < high)], x, y, closed=False)
                parts.append(f'<path d="{line}" class="permissible"><title>permissible load</title></path>')
    for number, (pin, points) in enumerate(pins):
        if points is not None:
            colour = PIN_COLOURS[number % len(PIN_COLOURS)]
            parts.append(
                f'<path d="{_line(points, x, y)}" class="pin" style="stroke:var({colour})"><title>{escape(pin.name)}</title></path>'
            )
    if card is not None:
        beside = " beside" if computed is not None else ""
        parts.append(f'<path d="{_line(card, x, y)}" class="line{beside}" style="stroke:var(--{name})"/>')
        # where the stroke begins, so that its direction can be seen
        parts.append(
            f'<circle cx="{x(card[0, 0]):.1f}" cy="{y(card[1, 0]):.1f}" r="3" fill="var(--{name})"><title>the stroke begins</title></circle>'
        )
    if computed is not None:
        parts.append(
            f'<path d="{_line(computed, x, y)}" class="line" style="stroke:var(--pump)"><title>computed from the surface card</title></path>'
        )
    if card is not None and name == "surface" and picture.set_point is not None:
        parts.append(_set_point(picture.set_point, card, x, y))
    # last, so that no line goes through them
    parts += _line_names([(y(value), text) for value, text, _ in near], top, bottom)
    return parts


def _line_names(lines: Sequence[tuple[float, str]], top: float, bottom: float) -> list[str]:
    """Names of level lines: the lowest line's below it, that of others above, turned round where the frame ends."""
    lowest = max((height for height, _ in lines), default=0.0)
    named = []
    for height, text in lines:
        below = len(lines) > 1 and height == lowest
        if height < top + NAME_HEIGHT + 2:
            below = True
        elif height > bottom - NAME_HEIGHT - 2:
            below = False
        place = height + NAME_HEIGHT if below else height - 4
        named.append(
            f'<text x="{WIDTH - RIGHT - 5}" text-anchor="end" y="{place:.1f}" class="line-name">{text}</text>'
        )
    return named


def _lines(picture: CardPicture, name: str) -> list[tuple[float, str, str]]:
    """Straight lines of a panel: load, name, CSS class."""
    if name == "surface":
        named = zip(picture.limits, ("low load limit", "high load limit"), strict=True)
        return [(value, text, "limit") for value, text in named if value is not None and np.isfinite(value)]
    named = zip(picture.load_lines, ("fluid load, up", "fluid load, down"), strict=True)
    return [(value, text, "load-line") for value, text in named if value is not None and np.isfinite(value)]


def _set_point(point: tuple[float, float], card: NDArray[np.float64], x: _Scale, y: _Scale) -> str:
    """The pump-off set point: the controller acts when the downstroke passes left of it."""
    low, span = card.min(axis=1), np.ptp(card, axis=1)
    across, up = x(low[0] + span[0] * point[0] / 100.0), y(low[1] + span[1] * point[1] / 100.0)
    return (
        f'<path d="M{across - 6:.1f} {up:.1f}h12m-6 -6v12" class="set-point"><title>pump-off set point: {point[0]:.0f} % of the stroke, '
        f"{point[1]:.0f} % of the load range</title></path>"
    )


def _band(band: Band, x: _Scale, y: _Scale) -> str:
    """A forecast as two strips, one up the stroke and one back."""
    position, lower, upper = (
        np.asarray(a, dtype=np.float64) for a in (band.position, band.lower, band.upper)
    )
    half = len(position) // 2
    parts = []
    for part in (slice(0, half), slice(half, None)):
        outline = np.concatenate(
            [
                np.stack([position[part], lower[part]]),
                np.stack([position[part], upper[part]])[:, ::-1],
            ],
            axis=1,
        )
        parts.append(_line(outline, x, y))
    return f'<path d="{"".join(parts)}" class="band"><title>forecast, 90 % band</title></path>'


def _line(points: NDArray[np.float64], x: _Scale, y: _Scale, *, closed: bool = True) -> str:
    if points.shape[1] < 2:
        return ""
    step = -(-points.shape[1] // MOST_POINTS)
    across, up = x.all(points[0, ::step]).tolist(), y.all(points[1, ::step]).tolist()
    return (
        "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(across, up, strict=True)) + ("Z" if closed else "")
    )


def _usable(card: Card | None) -> NDArray[np.float64] | None:
    if card is None:
        return None
    points = finite_points(card)
    return points if points.shape[1] > 1 else None


def _span(values: NDArray[np.float64]) -> tuple[float, float]:
    """Least and greatest value with a little room around them."""
    low, high = float(values.min()), float(values.max())
    room = 0.04 * max(high - low, 1.0)
    return low - room, high + room


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round values within a span, `most` at most."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(max(rough, 1e-9)))
    step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= rough)
    first = np.ceil(low / step)
    # no minus before a zero
    return [float(step * n) + 0.0 for n in np.arange(first, np.floor(high / step) + 1)]
