"""Failures and workovers of wells as columns, and what of them was known at a time.

Belongs here: the difference between when something happened and when it was known, for one failure and for the life that a well is
in. Does not belong here: which text belongs to which class (``intake``).

Every time is in milliseconds since 1970, field's local time. Functions of "as known at" read nothing that became known
later, so that removing it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64 = NDArray[np.int64]

DAY_MS = 86_400_000
NEVER = np.iinfo(np.int64).max
"""End of a failure that is still open; the outcome that did not come."""
LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True)
class FailureLog:
    """Failures of some wells, n of them.

    Attributes
    ----------
    well : ndarray of int64, shape (n,)
        Number of the well.
    start_ms, end_ms, known_ms : ndarray of int64, shape (n,)
        Start, end (`NEVER` while open), and from when on the failure was known.
    label : ndarray of int64, shape (n,)
        Place in `classes`.
    classes : tuple of str
    """

    well: Int64
    start_ms: Int64
    end_ms: Int64
    known_ms: Int64
    label: Int64
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Count the failures."""
        return len(self.well)

    @classmethod
    def of(
        cls,
        well: ArrayLike,
        start_ms: ArrayLike,
        end_ms: ArrayLike,
        known_ms: ArrayLike,
        names: Sequence[str],
        classes: Sequence[str] = (),
    ) -> FailureLog:
        """Make a log in order of well and start.

        Parameters
        ----------
        well, start_ms, end_ms, known_ms : array_like, shape (n,)
        names : sequence of str
            Class of each failure.
        classes : sequence of str
            Classes to begin with; others follow in alphabetical order.
        """
        known = tuple(classes) + tuple(sorted({*names} - {*classes}))
        place = {name: number for number, name in enumerate(known)}
        wells, starts, ends, from_when = (
            np.asarray(values, np.int64) for values in (well, start_ms, end_ms, known_ms)
        )
        order = np.lexsort((starts, wells))
        labels = np.array([place[name] for name in names], np.int64)
        return cls(wells[order], starts[order], ends[order], from_when[order], labels[order], known)

    def known_at(self, cutoff_ms: int) -> FailureLog:
        """Keep what was known at a time."""
        return self.take(self.known_ms <= cutoff_ms)

    def take(self, rows: NDArray[np.bool_]) -> FailureLog:
        """Keep some failures; the classes stay."""
        return FailureLog(
            self.well[rows],
            self.start_ms[rows],
            self.end_ms[rows],
            self.known_ms[rows],
            self.label[rows],
            self.classes,
        )


@dataclass(frozen=True)
class Life:
    """The life that each of n rows is in, as known at the time of the row.

    Attributes
    ----------
    begin_ms : ndarray of int64, shape (n,)
        Newest end of a workover that was known; `LONG_AGO` where none was.
    failures : ndarray of int64, shape (n,)
        Failures of the well that were known.
    down : ndarray of int64, shape (n,)
        Class of the failure that the well was known to be down with, -1 where it was not.
    """

    begin_ms: Int64
    failures: Int64
    down: Int64


def life_of(
    well: Int64,
    time_ms: Int64,
    log: FailureLog,
    renewal_well: Int64 | None = None,
    renewal_ms: Int64 | None = None,
) -> Life:
    """Tell which life rows are in.

    Parameters
    ----------
    well, time_ms : ndarray of int64, shape (n,)
        Rows.
    log : FailureLog
        Failures; a workover ends a failure.
    renewal_well, renewal_ms : ndarray of int64, optional, shape (m,)
        Further workovers: a rod string or a pump that was changed, known when it was.

    Returns
    -------
    Life
    """
    begin = np.full(len(well), LONG_AGO)
    count = np.zeros(len(well), np.int64)
    down = np.full(len(well), -1, np.int64)
    rows_of = _rows_by_well(well)
    for i in range(len(log)):
        rows = rows_of.get(int(log.well[i]))
        if rows is None:
            continue
        times = time_ms[rows]
        known = times >= log.known_ms[i]
        count[rows] += known
        over = known & (times >= log.end_ms[i])
        begin[rows[over]] = np.maximum(begin[rows[over]], log.end_ms[i])
        down[rows[known & (times >= log.start_ms[i]) & (times < log.end_ms[i])]] = log.label[i]
    if renewal_well is not None and renewal_ms is not None:
        for number, moment in zip(renewal_well.tolist(), renewal_ms.tolist(), strict=True):
            rows = rows_of.get(number)
            if rows is not None:
                over = time_ms[rows] >= moment
                begin[rows[over]] = np.maximum(begin[rows[over]], moment)
    return Life(begin, count, down)


def _rows_by_well(well: Int64) -> dict[int, NDArray[np.intp]]:
    if len(well) == 0:
        return {}
    order = np.argsort(well, kind="stable")
    numbers, first = np.unique(well[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, first[1:]), strict=True))
