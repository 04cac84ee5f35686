"""The first day of the data, moved back when readings of an earlier one come.

Here: the note that the graph's calendar begins with, for readings. Not here: what intake notes of files.
"""

from __future__ import annotations

import fcntl
from datetime import date

from oasis_pipeline.home import make_home
from oasis_pipeline.intake.intake import read_first_day, write_first_day
from oasis_pipeline.settings import Settings

_noted: dict[str, date] = {}


def is_noted(settings: Settings, day: date) -> bool:
    """Whether there is nothing to note, as far as this process has seen."""
    noted = _noted.get(str(settings.first_day_file))
    return noted is not None and noted <= day


def note_first_day(settings: Settings, day: date) -> None:
    """Move the first day back to `day`, if it lies after that or is not known yet.

    Parameters
    ----------
    settings : Settings
    day : date
        Of a reading that is stored.
    """
    # the note only ever moves back, so what was once seen is good enough for days after it
    if is_noted(settings, day):
        return
    make_home(settings.home)
    with (settings.home / "first_day.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        noted = read_first_day(settings)
        if noted is None or day < noted:
            write_first_day(settings, day)
            noted = day
    _noted[str(settings.first_day_file)] = noted
