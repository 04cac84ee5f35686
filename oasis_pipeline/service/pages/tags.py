"""Filters of the pages' templates.

Here: how figures, times and addresses are written on all pages. Not here: pictures (``cards``).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from urllib.parse import quote, urlencode

from django import template

register = template.Library()
NOTHING = "–"


@register.filter
def well_url(node: str) -> str:
    """Address of a well's page, whatever characters its NodeID has."""
    return "/well/" + quote(node, safe="")


@register.filter
def number(value: float | None, digits: int = 0) -> str:
    """A figure with thousands separated; a dash where there is none."""
    if value is None or value != value:
        return NOTHING
    text = f"{value:,.{digits}f}"
    return text[1:] if text.strip("-0.,") == "" and text.startswith("-") else text


@register.filter
def moment(value: datetime | None) -> str:
    """A moment of the field's local time, to the minute."""
    return NOTHING if value is None else f"{value:%Y-%m-%d %H:%M}"


@register.filter
def day(value: date | datetime | None) -> str:
    """A day in words."""
    return NOTHING if value is None else f"{value:%-d %b %Y}"


@register.filter
def hours(value: float | None) -> str:
    """A length of time in the unit that suits it, given in hours."""
    if value is None or value != value:
        return NOTHING
    if value < 0.99:
        return f"{60.0 * value:.0f} min"
    return f"{value:.0f} h" if value < 48.0 else f"{value / 24.0:.0f} d"


@register.filter
def words(code: str | None) -> str:
    """A code as words."""
    return (code or "").replace("_", " ")


@register.filter
def signed(value: float | None, digits: int = 0) -> str:
    """A change with its sign."""
    return NOTHING if value is None or value != value else f"{value:+z,.{digits}f}"


@register.filter
def percent(value: float | None, digits: int = 0) -> str:
    """A share, 0 to 1, in per cent; a dash where there is none."""
    text: str = number(None if value is None else 100.0 * value, digits)
    return text


@register.filter
def iso(value: datetime | None) -> str:
    """A moment as an address holds it."""
    return "" if value is None else value.isoformat()


@register.filter
def epoch(value: datetime) -> int:
    """Seconds since 1970 of a moment without a zone, for sliders and axes."""
    return int((value - datetime(1970, 1, 1)).total_seconds())


@register.filter
def share(percent: float | None) -> str:
    """A width in CSS, 100 % at most."""
    return "0" if percent is None or percent != percent else f"{min(max(percent, 0.0), 100.0):.1f}%"


@register.filter
def thousands(value: float | None, digits: int = 0) -> str:
    """A figure in thousands."""
    text: str = number(None if value is None else value / 1000.0, digits)
    return text


@register.filter
def brief(value: float | None) -> str:
    """A figure that is mostly a whole number: a decimal only where it has one."""
    text: str = number(value, 0 if value is None or value == round(value) else 1)
    return text


@register.filter
def figure(value: Any) -> str:
    """A measured value of any size, to four digits; a dash where there is none, texts and flags as they are."""
    if value is None or value != value:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e9 else f"{value:.4g}"


@register.filter
def is_text(value: Any) -> bool:
    """Whether it is a text, and no figure or list."""
    return isinstance(value, str)


@register.filter
def words_of(text: str) -> list[str]:
    """Words of a text, to go through in a template."""
    return text.split()


@register.filter
def note_url(node: str) -> str:
    """Where a note about a well is sent."""
    return "/note/" + quote(node, safe="")


@register.filter
def api_url(node: str, resource: str) -> str:
    """Address of a well's rows of a resource, as csv."""
    return f"/api/{resource}/?{urlencode({'NodeID': node, 'format': 'csv'})}"
