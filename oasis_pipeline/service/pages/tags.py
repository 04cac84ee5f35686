"""Filters of the pages' templates.

Here: how figures, times and addresses are written on all pages. Not here: pictures (``cards``).
"""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import quote

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
    return NOTHING if value is None or value != value else f"{value:+,.{digits}f}"


@register.filter
def percent(value: float | None, digits: int = 0) -> str:
    """A share, 0 to 1, in per cent; a dash where there is none."""
    text: str = number(None if value is None else 100.0 * value, digits)
    return text


@register.filter
def brief(value: float | None) -> str:
    """A figure that is mostly a whole number: a decimal only where it has one."""
    text: str = number(value, 0 if value is None or value == round(value) else 1)
    return text


@register.filter
def figure(value: float | None) -> str:
    """A measured value of any size, to four digits; a dash where there is none."""
    if value is None or value != value:
        return NOTHING
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e9 else f"{value:.4g}"
