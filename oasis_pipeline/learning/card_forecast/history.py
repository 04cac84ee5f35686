"""What the forecast keeps of a well's days: the newest card and the mean card of each, in inches and pounds.

Belongs here: the state of a card, days out of cards, and the grid of wells and days that everything else works on. Does not
belong here: anything that is learned.

Cards come at irregular times, in bursts and with gaps. A day is the unit: its mean card stands for it however many cards
it had, a day without cards is missing, and the newest card is kept beside, because the forecast is made at its time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]
Float32 = NDArray[np.float32]

POINTS = 100
"""Points of the shape form, half of them on each half stroke."""

STATE_SIZE = POINTS + 2
"""Least and greatest position (in), then the loads (lbf) at equally spaced positions up and back."""

LOADS = slice(2, None)
"""The loads of a state."""


def card_states(position_in: ArrayLike, load_lbf: ArrayLike) -> Float32:
    """Reduce cards in shape form to states, which keep level and offset.

    Parameters
    ----------
    position_in, load_lbf : array_like, shape (..., POINTS)
        As `cards.canonical.shape_form` makes them.

    Returns
    -------
    ndarray of float32, shape (..., STATE_SIZE)
        NaN for a missing card.
    """
    position, load = np.asarray(position_in), np.asarray(load_lbf)
    if position.shape != load.shape or position.shape[-1] != POINTS:
        raise ValueError(
            f"states are made of {POINTS} points a card, not of {position.shape} and {load.shape}"
        )
    ends = np.stack([position[..., 0], position[..., POINTS // 2 - 1]], axis=-1)
    return np.concatenate([ends, load], axis=-1).astype(np.float32)


def state_positions(states: Floats) -> Floats:
    """Positions (in) that the loads of states belong to, shape (..., POINTS): up the stroke and back."""
    share = np.linspace(0.0, 1.0, POINTS // 2)
    low, high = states[..., :1], states[..., 1:2]
    rising = low * (1.0 - share) + high * share
    return np.asarray(np.concatenate([rising, rising[..., ::-1]], axis=-1))


@dataclass(frozen=True)
class CardDays:
    """Days of cards, one row for each well and day with a usable card.

    Attributes
    ----------
    well : ndarray of int, shape (n,)
        Number of the well.
    day : ndarray of int, shape (n,)
        Day number (days since 1970).
    time : ndarray of float64, shape (n,)
        Time of the newest card, in days since 1970.
    kind : ndarray of int, shape (n,)
        Which card of the well; days of another kind are no history of it.
    newest, mean : ndarray of float32, shape (n, STATE_SIZE)
        State of the newest card, mean of the states of the day.
    """

    well: NDArray[np.int64]
    day: NDArray[np.int64]
    time: NDArray[np.float64]
    kind: NDArray[np.int64]
    newest: Float32
    mean: Float32

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.well)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> CardDays:
        """Pick rows by mask or index."""
        return CardDays(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


def days_of_cards(
    well: ArrayLike, time: ArrayLike, states: Float32, kind: ArrayLike | None = None
) -> CardDays:
    """Sum up cards by well and day.

    Parameters
    ----------
    well : array_like of int, shape (n,)
        Number of the well.
    time : array_like of float, shape (n,)
        Days since 1970, or since any midnight.
    states : ndarray of float32, shape (n, STATE_SIZE)
        A card with a NaN is left out.
    kind : array_like of int, shape (n,), optional
        Which card; a day is of one kind, that of its newest card, and the others of the day don't count.

    Returns
    -------
    CardDays
        Ordered by well, then day.
    """
    wells, times = np.asarray(well, np.int64), np.asarray(time, np.float64)
    kinds = np.zeros(len(wells), np.int64) if kind is None else np.asarray(kind, np.int64)
    good = np.isfinite(states).all(axis=1)
    order = np.flatnonzero(good)[np.lexsort((times[good], wells[good]))]
    wells, times, kinds, states = wells[order], times[order], kinds[order], states[order]
    days = np.floor(times).astype(np.int64)
    if not len(days):
        return CardDays(wells, days, times, kinds, states, states)
    first = np.flatnonzero(np.r_[True, (np.diff(wells) != 0) | (np.diff(days) != 0)])
    group = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(days)]))
    last = np.r_[first[1:], len(days)] - 1
    counts = (kinds == kinds[last][group]).astype(np.float64)
    total = np.add.reduceat(states.astype(np.float64) * counts[:, None], first, axis=0)
    mean = (total / np.add.reduceat(counts, first)[:, None]).astype(np.float32)
    return CardDays(wells[last], days[last], times[last], kinds[last], states[last], mean)


@dataclass(frozen=True)
class Grid:
    """Days of cards laid out by well and calendar day.

    Attributes
    ----------
    first_day : int
        Day number of the first column.
    row : ndarray of int, shape (wells, days)
        Which row of the `CardDays` stands there, -1 where the well has no card that day.
    wells : ndarray of int, shape (wells,)
        Number of each well.
    """

    first_day: int
    row: NDArray[np.int64]
    wells: NDArray[np.int64]


def lay_out(days: CardDays) -> Grid:
    """Lay days out by well and calendar day."""
    wells, place = np.unique(days.well, return_inverse=True)
    first = int(days.day.min()) if len(days) else 0
    length = int(days.day.max()) - first + 1 if len(days) else 0
    row = np.full((len(wells), length), -1, np.int64)
    row[place, days.day - first] = np.arange(len(days))
    return Grid(first, row, wells)
