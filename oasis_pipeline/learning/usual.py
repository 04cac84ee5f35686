"""What a well usually shows, so that a card can be seen beside it.

Belongs here: which earlier cards stand for what is usual, and the one card in their middle. Does not belong here: reading them
(``operations.features``), and what a change means (``severities``).

Wells differ in sensors, units and fluids, and fields in more than that; to a network that was taught elsewhere much of it looks like a
fault. It is there all the time, where most conditions come, grow or go. Cards of two, four and six weeks before are far enough from today
that a growing condition shows, and three of them stand a bad day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.features import compared_with, feature_names
from oasis_pipeline.learning.severities import CHANGES_FILE, package_network

Float32 = NDArray[np.float32]

USUAL_DAYS = (14, 28, 42)
"""Days before a card's day whose cards stand for what is usual."""

LATE_DAYS = 2
"""Where such a day has no card, one of so many days before it stands in."""


def usual_columns(earlier: Mapping[str, ArrayLike], of_row: Sequence[NDArray[np.intp]]) -> dict[str, Float32]:
    """Return what is usual for each row: the median of its earlier cards, input by input.

    Parameters
    ----------
    earlier : mapping of str to array_like, shape (m,)
        Features of earlier cards.
    of_row : sequence of ndarray of int, each of shape (n,)
        Which of them stand for what is usual in each row's well; -1 for none.

    Returns
    -------
    dict of str to ndarray of float32, shape (n,)
        The inputs of the network that compares; NaN in a row without earlier cards.
    """
    names = package_network(CHANGES_FILE).inputs
    table = np.array([np.asarray(earlier[name], np.float32) for name in names], np.float32).T
    return dict(zip(names, _middle(table, of_row).T, strict=True))


def with_usual(features: Float32, wells: NDArray[np.integer]) -> Float32:
    """Let simulated cards of a well, which have no order, stand for what is usual in each other's.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    wells : ndarray of int, shape (n,)
        Well of each card; cards of a well stand one after another.

    Returns
    -------
    ndarray of float32, shape (n, features)
        With the answers of the network that compares.
    """
    columns = dict(zip(feature_names(), features.T, strict=True))
    return compared_with(features, usual_columns(columns, next_of_well(wells, len(USUAL_DAYS))))


def next_of_well(wells: NDArray[np.integer], count: int) -> list[NDArray[np.intp]]:
    """Return the next cards of each card's well, round its end to its first; -1 where there are no further ones.

    Parameters
    ----------
    wells : ndarray of int, shape (n,)
        Cards of a well stand one after another.
    count : int
        How many of the next cards.

    Returns
    -------
    list of ndarray of int, each of shape (n,)
    """
    row = np.arange(len(wells))
    starts = np.flatnonzero(np.diff(wells, prepend=wells[:1] - 1))
    run = np.searchsorted(starts, row, side="right") - 1
    first, size = starts[run], np.diff(np.append(starts, len(wells)))[run]
    return [
        np.where(step < size, first + (row - first + step) % size, -1).astype(np.intp)
        for step in range(1, count + 1)
    ]


def _middle(table: Float32, of_row: Sequence[NDArray[np.intp]]) -> Float32:
    """Return the medians of some rows of a table, shape (n, inputs); what is not known is left out."""
    padded = np.concatenate([table, np.full((1, table.shape[1]), np.nan, np.float32)])
    ordered = np.stack([padded[rows] for rows in of_row])
    # by exchanges of whole tables, NaN last: few cards of many inputs take np.sort longer than all the rest
    for end in range(len(ordered) - 1, 0, -1):
        for first in range(end):
            pair = ordered[first], ordered[first + 1]
            ordered[first], ordered[first + 1] = np.fmin(*pair), np.maximum(*pair)
    known = np.isfinite(ordered).sum(axis=0)[None]
    low, high = (
        np.take_along_axis(ordered, np.maximum(place, 0), axis=0)[0]
        for place in ((known - 1) // 2, known // 2)
    )
    return np.asarray((low + high) / np.float32(2), np.float32)
