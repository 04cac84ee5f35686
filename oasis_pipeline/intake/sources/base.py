"""What every live source is: the interface, its errors and its reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from oasis_pipeline.intake.intake import PassReport


class SourceError(RuntimeError):
    """A source can't be read as things stand; the message says what to do."""


@dataclass
class SourceReport:
    """What one increment, or one backfill, brought.

    Attributes
    ----------
    rows : dict of str to int
        Kind -> rows that were new or other than before.
    looked_at : int
        Rows that the source sent.
    passes : list of PassReport
        What intake made of them.
    notes : list of str
        What a person may want to know.
    sweep : bool
        Whether it looked far back, for new wells, and at equipment.
    """

    rows: dict[str, int] = field(default_factory=dict)
    looked_at: int = 0
    passes: list[PassReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sweep: bool = False


Progress = Callable[[str, int, int], None]
"""Called with what is being read, wells done, and wells in all (0: not known)."""


class Source(Protocol):
    """Where a field's rows come from by themselves; all that it brings goes through `intake.take_in`."""

    def news(self) -> str | None:
        """Say in a few words why an increment is due; None if it is not. Cheap."""
        ...

    def run(self) -> SourceReport:
        """Bring what is new or corrected; the same when it is run twice."""
        ...

    def backfill(self, first: date, last: date, progress: Progress | None = None) -> SourceReport:
        """Bring the history of a range of days, both included; goes on where an earlier one was cut off."""
        ...

    def check(self) -> dict[str, Any]:
        """Say what is there, what of it is mapped, and how its clock goes."""
        ...
