"""What is stale, as data: found by ``staleness``, made by ``materialize``, told by ``alerts``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

WHOLE = ""
"""Partition of an asset without partitions."""


@dataclass(frozen=True)
class DayRange:
    """Days from first to last, both included."""

    first: date
    last: date

    def keys(self) -> list[str]:
        """Partition keys of the range."""
        count = (self.last - self.first).days + 1
        return [(self.first + timedelta(days=i)).isoformat() for i in range(count)]


@dataclass
class Plan:
    """What is stale.

    Attributes
    ----------
    days : dict of str to set of str
        Stale partitions of each partitioned asset.
    whole : set of str
        Stale assets without partitions.
    waiting : dict of (str, str) to str
        Asset and partition that are stale and not due: why.
    upgraded : set of str
        Assets of `whole` that another code version made.
    last : set of str
        Assets of `whole` that are made after everything else: what reads them goes with what there is.
    current : dict of str to dict of str to int
        Partitions of assets that keep nothing of a model, that were made and are not stale, with their rows.
    """

    days: dict[str, set[str]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    waiting: dict[tuple[str, str], str] = field(default_factory=dict)
    upgraded: set[str] = field(default_factory=set)
    last: set[str] = field(default_factory=set)
    current: dict[str, dict[str, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.whole) or any(self.days.values())
