"""Which model a row gets: cut-offs through time, so that no row is forecast by what came after it.

Belongs here: the calendar of cut-offs. Does not belong here: fitting (``forecaster``).

Cut-offs are the first moments of the 1st and the 16th of each month, not of a field's own age, so that a late row or an
earlier first day moves none of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta

LEAST_HISTORY_DAYS = 20
"""Days with data before the first cut-off of a field."""


def cutoffs(first_day: date, last_day: date) -> list[date]:
    """Days at whose first moment a model is fitted.

    Parameters
    ----------
    first_day, last_day : date
        First and newest day with data.

    Returns
    -------
    list of date
        Ascending; the newest is not after `last_day`.
    """
    found = []
    day = first_day + timedelta(days=LEAST_HISTORY_DAYS)
    while day <= last_day:
        if day.day in (1, 16):
            found.append(day)
        day += timedelta(days=1)
    return found


def cutoff_of(day: date, known: Sequence[date]) -> date | None:
    """Newest cut-off that lies before every row of a day but one at its very first moment, None before the first."""
    place = bisect_left(known, day + timedelta(days=1))
    return known[place - 1] if place else None
