"""What each labelled card counts: wells teach, not cards, and a hundred cards of one week of one well are hardly more than one.

Belongs here: weights of labelled cards, and which of a well's repeats are learned from. Does not belong here: which cards stand on both
sides of a division (``splits``), labels that a person should look at again (``suspects``).

A field's labels come in runs: somebody names all cards of a well for a month. Counted by cards, the well with the longest run decides
what its condition looks like, and its size, its controller and its neighbours in time are learned with it. So of a long run only the cards that
differ most are learned from. Short runs gain by that, and among them are slips: a card whose look-alikes in the same well carry
other labels counts less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.splits import number_wells

REPEATS = 100
"""Cards of one well with the same labels that are learned from, at most."""

LOOK_ALIKE = 0.03
"""Root-mean-square distance of two normalised load curves below which labels of one well are compared."""

_NEIGHBOURS = 10


@dataclass(frozen=True)
class Repeats:
    """How much each of n labelled cards tells.

    Attributes
    ----------
    well : ndarray of int64, shape (n,)
        Number of each card's well.
    agreement : ndarray of float64, shape (n,)
        Share of the card and its look-alikes in the well that have its labels, above 0 to 1.
    weight : ndarray of float64, shape (n,)
        For learning: a card's agreement; 0 for repeats that are not learned from.
    well_weight : ndarray of float64, shape (n,)
        For calibration: the cards of a well with the same labels count as one together.
    """

    well: NDArray[np.int64]
    agreement: NDArray[np.float64]
    weight: NDArray[np.float64]
    well_weight: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> Repeats:
        """Return what is known of some cards."""
        return Repeats(self.well[rows], self.agreement[rows], self.weight[rows], self.well_weight[rows])


def weigh_repeats(
    wells: ArrayLike,
    multi_hot: NDArray[np.bool_],
    signatures: NDArray[np.float32] | None = None,
    limit: int = REPEATS,
) -> Repeats:
    """Weigh labelled cards by what they add to others of their well.

    Parameters
    ----------
    wells : array_like, shape (n,)
    multi_hot : ndarray of bool, shape (n, classes)
    signatures : ndarray of float32, optional, shape (n, points)
        Normalised curves (`features.card_signatures`), by which cards differ. Without them all labels are believed alike, and evenly spaced
        repeats are learned from, in the order of the arrays.
    limit : int
        Cards of a well with the same labels that are learned from, at most.

    Returns
    -------
    Repeats
        A card that is its well's only one weighs 1 in both.
    """
    number = number_wells(wells)
    sets = np.unique(multi_hot, axis=0, return_inverse=True)[1].reshape(-1)
    group = np.unique(number * (int(sets.max(initial=0)) + 1) + sets, return_inverse=True)[1].reshape(-1)
    agreement = np.ones(len(number))
    if signatures is not None:
        for rows in _parts(number):
            agreement[rows] = _agreement(signatures[rows], sets[rows])
    weight, well_weight = np.zeros(len(number)), np.zeros(len(number))
    for rows in _parts(group):
        own = agreement[rows]
        well_weight[rows] = own / own.sum() * np.average(own, weights=own)
        chosen = _chosen(len(rows), limit, None if signatures is None else signatures[rows])
        weight[rows[chosen]] = own[chosen]
    return Repeats(number, agreement, weight, well_weight)


def _chosen(count: int, limit: int, curves: NDArray[np.float32] | None) -> NDArray[np.intp]:
    """Choose the cards of a group to learn from."""
    if count <= limit:
        return np.arange(count)
    if curves is None or not np.isfinite(curves).all():
        return np.linspace(0, count - 1, limit).round().astype(np.intp)
    return _most_different(curves, limit)


def _parts(number: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Return the rows of each number, ascending."""
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1) if len(order) else []


def _agreement(curves: NDArray[np.float32], sets: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compare each card's labels with those of its nearest look-alikes of the same well."""
    result = np.ones(len(curves))
    usable = np.flatnonzero(np.isfinite(curves).all(axis=1))
    if len(usable) < 2 or len(np.unique(sets[usable])) < 2:
        return result
    own = curves[usable] - curves[usable].mean(axis=0)
    square = np.einsum("ij,ij->i", own, own)
    of_card, near = sets[usable], min(_NEIGHBOURS + 1, len(usable))
    bound = LOOK_ALIKE**2 * own.shape[1]
    block = 1024
    for first in range(0, len(own), block):
        part = slice(first, first + block)
        distance = square[part, None] + square[None] - 2 * (own[part] @ own.T)
        # a card is its own nearest look-alike, whatever rounding says
        distance[np.arange(len(distance)), np.arange(first, first + len(distance))] = -1.0
        nearest = np.argpartition(distance, near - 1, axis=1)[:, :near]
        alike = np.take_along_axis(distance, nearest, axis=1) < bound
        same = alike & (of_card[nearest] == of_card[part, None])
        result[usable[part]] = same.sum(axis=1) / alike.sum(axis=1)
    return result


def _most_different(curves: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Take the card nearest to the mean, then again and again the one farthest from all taken (Gonzalez 1985)."""
    distance = np.square(curves - curves.mean(axis=0)).sum(axis=1)
    chosen = [int(np.argmin(distance))]
    distance = np.full(len(curves), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.square(curves - curves[chosen[-1]]).sum(axis=1))
        distance[chosen[-1]] = -1.0
        chosen.append(int(np.argmax(distance)))
    return np.sort(np.array(chosen, np.intp))
