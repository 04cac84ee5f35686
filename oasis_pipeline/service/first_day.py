"""The first day of readings, kept up to what the data service stores and deletes.

Here: when the rule of ``storage.first_days`` is applied anew. Not here: the rule.
"""

from __future__ import annotations

import time
from datetime import date

from oasis_pipeline.service.warehouse import warehouse
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.first_days import note_first_days, read_first_reading_day

STRAY_SECONDS = 5.0
"""Readings that do not move the calendar may come by the thousand: so long after one of a day the rule is not applied for the next one."""

_noted: dict[str, date | None] = {}
_strays: dict[tuple[str, date], float] = {}


def is_noted(settings: Settings, day: date) -> bool:
    """Whether there is nothing to note, as far as this process has seen."""
    where = str(settings.home)
    noted = _noted.get(where)
    if noted is not None and noted <= day:
        return True
    return time.monotonic() - _strays.get((where, day), -STRAY_SECONDS) < STRAY_SECONDS


def note_first_day(settings: Settings, day: date) -> None:
    """Move the first day of readings back to `day`, if it lies after that and the rule lets it.

    Parameters
    ----------
    settings : Settings
    day : date
        Of a reading that is stored.
    """
    if is_noted(settings, day):
        return
    where = str(settings.home)
    # another process may have moved it
    noted = read_first_reading_day(settings) if settings.first_reading_day_file.exists() else None
    if noted is None or day < noted:
        note_again(settings)
        noted = read_first_reading_day(settings)
        if noted is not None and day < noted:
            _strays[where, day] = time.monotonic()
    _noted[where] = noted


def note_again(settings: Settings) -> None:
    """Apply the rule anew: readings have been deleted, or came of an earlier day.

    Parameters
    ----------
    settings : Settings
    """
    _noted.pop(str(settings.home), None)
    note_first_days(warehouse(), settings)
