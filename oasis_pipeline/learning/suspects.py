"""Labels that are probably wrong: what models that had not seen a card's well say against its label.

Belongs here: confident learning for cards with several labels. Does not belong here: the probabilities (``evaluation`` makes them, wells
held out) and what is done about a suspect: only a person changes a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.splits import number_wells

_LEAST_CARDS, _LEAST_WELLS = 5, 5
_LEAST_DIFFERENCE = 0.1


@dataclass(frozen=True)
class Suspects:
    """Suspected wrong labels, the surest first; k of n cards.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
        Rows of the cards.
    doubt : ndarray, shape (k,)
        0 to 1: how far the suggested class is ahead of the doubted label.
    doubted : ndarray of int, shape (k,)
        Column of the label that is least believed.
    suggested : ndarray of int, shape (k,)
        Column of the class that the card more probably shows.
    """

    rows: NDArray[np.intp]
    doubt: NDArray[np.float64]
    doubted: NDArray[np.intp]
    suggested: NDArray[np.intp]


def suspected_labels(
    given: NDArray[np.bool_], proba: NDArray[np.floating], wells: ArrayLike | None = None
) -> Suspects:
    """Find cards whose label is probably wrong.

    Parameters
    ----------
    given : ndarray of bool, shape (n, classes)
        The labels as they were given.
    proba : ndarray, shape (n, classes)
        Probabilities from models that had seen neither the card nor its well; rows with NaN are left out.
    wells : array_like, optional, shape (n,)
        Well of each card: each well has the same say in what is usual. Each card by default.

    Returns
    -------
    Suspects

    Notes
    -----
    Confident learning (Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence Research 70) with each class as
    a question of its own, because cards have several labels. For each class the mean probability over the cards that carry it is
    what the model says when it believes in the class, and the mean over the cards that don't is what it says when it does not. A card is
    suspected when a class that it does not carry reaches the first, and a label that it does carry falls to the second or below:
    both, because either alone is often just a second label that somebody left out.

    A class that the models can't tell has no say, neither suggested nor doubted: one that fewer than five cards or five wells carry (where it
    is held out, nobody has seen it), or whose cards get hardly more of it than others do.
    """
    cards, classes = given.shape
    usable = np.isfinite(proba).all(axis=1) & given.any(axis=1)
    weight = np.where(usable, 1.0, 0.0)
    number = number_wells(np.arange(cards) if wells is None else wells) if cards else np.zeros(0, np.int64)
    weight /= np.maximum(np.bincount(number, weight)[number], 1)
    p = np.where(usable[:, None], proba, 0.0).astype(np.float64)
    believed, unbelieved = np.full(classes, np.inf), np.full(classes, -np.inf)
    for k in range(classes):
        carries, lacks = given[:, k] & usable, ~given[:, k] & usable
        if min(carries.sum(), lacks.sum()) < _LEAST_CARDS or len(np.unique(number[carries])) < _LEAST_WELLS:
            continue
        yes = np.average(p[carries, k], weights=weight[carries])
        no = np.average(p[lacks, k], weights=weight[lacks])
        if yes - no >= _LEAST_DIFFERENCE:
            believed[k], unbelieved[k] = yes, no
    missing = np.where(~given & (p >= believed), p, -np.inf)
    # how far below the usual "no" a label lies; only those at or below it are doubted
    wrong = np.where(given & (p <= unbelieved), p, np.inf)
    suggested, doubted = missing.argmax(axis=1), wrong.argmin(axis=1)
    every = np.arange(cards)
    found = usable & np.isfinite(missing[every, suggested]) & np.isfinite(wrong[every, doubted])
    rows = np.flatnonzero(found)
    doubt = p[rows, suggested[rows]] - p[rows, doubted[rows]]
    order = np.argsort(-doubt, kind="stable")
    rows = rows[order]
    return Suspects(rows, doubt[order], doubted[rows], suggested[rows])
