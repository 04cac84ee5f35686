"""Which cards a person should label next: the ones whose label would teach most.

Belongs here: how unsure a model is of a card, how little a card resembles those already labelled, and the order that follows. Does
not belong here: where cards are read and where the queue is kept.

Cards are taken one after another. Each time the card with the greatest product of three factors comes next: the model's uncertainty, the
distance to the nearest card that is labelled or already in the queue, and a weight that falls with the labels that its well has or
will have. The first finds what the model does not know, the second keeps one strange group of cards from filling the queue, the third
goes to other wells, because neighbouring cards of a well are nearly the same card. A well whose cards are all strange would still come again and
again, so no well comes twice in a row, or more than twice in twelve cards, while there are others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.splits import number_wells

_CLIP = 3.0
_LEAST_FACTOR = 0.05
_BLOCK = 2048
SPAN, MOST_OF_A_WELL = 12, 2
"""Of so many cards in a row at most so many are of one well, while other wells have any."""


@dataclass(frozen=True)
class Queue:
    """Cards in the order in which they should be labelled, k of n candidates.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
        Rows of the candidates.
    score : ndarray, shape (k,)
        Product of the three factors at the time of choice, 0 to 1; falls down the queue but for small steps.
    uncertainty : ndarray, shape (k,)
        Of `uncertainty`, bits.
    distance : ndarray, shape (k,)
        To the nearest labelled or earlier card, root-mean-square in robust standard deviations; infinity for the first card where
        none is labelled.
    """

    rows: NDArray[np.intp]
    score: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    distance: NDArray[np.float64]


def uncertainty(proba: NDArray[np.floating]) -> NDArray[np.float64]:
    """Say how little a model knows of each card.

    Parameters
    ----------
    proba : ndarray, shape (n, classes)
        Calibrated probability of each class to be among a card's labels.

    Returns
    -------
    ndarray, shape (n,)
        Entropy in bits, summed over the classes: a card may have several labels, so each class is a question of its own.
    """
    p = np.clip(np.asarray(proba, np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum(axis=1))


def standardised(features: NDArray[np.floating], reference: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring features to one scale, so that distances between cards mean something.

    Parameters
    ----------
    features : ndarray, shape (n, features)
        NaN where something is not known.
    reference : ndarray, shape (m, features)
        Cards that set the scale.

    Returns
    -------
    ndarray of float32, shape (n, features)
        Distance from the median in units of the interquartile range over 1.349, at most 3 either way, divided by the root of the
        number of features, so that the distance of two rows is a root-mean-square. Unknown values sit at the median; features without
        spread are 0.
    """
    known = np.isfinite(reference).any(axis=0)
    low, middle, high = np.zeros((3, reference.shape[1]))
    low[known], middle[known], high[known] = np.nanquantile(reference[:, known], [0.25, 0.5, 0.75], axis=0)
    scale = (high - low) / 1.349
    flat = scale <= 1e-9 * np.maximum(np.abs(middle), 1e-9)
    scaled = (features - middle) / np.where(flat, 1.0, scale)
    scaled = np.where(np.isfinite(scaled) & ~flat, scaled, 0.0)
    return np.asarray(np.clip(scaled, -_CLIP, _CLIP) / np.sqrt(max((~flat).sum(), 1)), np.float32)


def order_to_label(
    proba: NDArray[np.floating],
    space: NDArray[np.floating],
    wells: ArrayLike,
    well_labels: ArrayLike,
    labelled_space: NDArray[np.floating],
    limit: int,
) -> Queue:
    """Choose the cards to label next, in order.

    Parameters
    ----------
    proba : ndarray, shape (n, classes)
        What the model says of the candidates.
    space : ndarray, shape (n, dimensions)
        Candidates where distances mean something (`standardised`).
    wells : array_like, shape (n,)
        Well of each candidate.
    well_labels : array_like of int, shape (n,)
        Cards of its well that are labelled already.
    labelled_space : ndarray, shape (m, dimensions)
        Labelled cards in the same space; m may be 0.
    limit : int
        Length of the queue; shorter if there are fewer candidates.

    Returns
    -------
    Queue
        The same input gives the same queue.
    """
    cards = len(space)
    unsure = uncertainty(proba)
    number = number_wells(wells) if cards else np.zeros(0, np.int64)
    counts = np.asarray(well_labels, np.float64).copy()
    doubt = _LEAST_FACTOR + (1 - _LEAST_FACTOR) * unsure / max(float(unsure.max(initial=0.0)), 1e-12)
    points = np.asarray(space, np.float32)
    square = np.einsum("ij,ij->i", points, points)
    distance = _nearest(points, np.asarray(labelled_space, np.float32))
    finite = distance[np.isfinite(distance)]
    # far is as far as cards usually are from each other: beyond that, further away teaches nothing more
    far = float(np.median(finite)) if finite.size else float(np.median(_from_first(points)))
    left = np.ones(cards, bool)
    rows: list[int] = []
    scores, distances = [], []
    for _ in range(min(limit, cards)):
        novelty = np.clip(distance / max(far, 1e-12), _LEAST_FACTOR, 1.0)
        score = np.where(left & _may_follow(number, left, rows), doubt * novelty / (1.0 + counts), -1.0)
        best = int(score.argmax())
        rows.append(best)
        scores.append(score[best])
        distances.append(distance[best])
        left[best] = False
        counts[number == number[best]] += 1
        apart = square + square[best] - 2 * (points @ points[best])
        distance = np.minimum(distance, np.sqrt(np.maximum(apart, 0)))
    chosen = np.array(rows, np.intp)
    return Queue(chosen, np.array(scores, np.float64), unsure[chosen], np.array(distances, np.float64))


def _may_follow(number: NDArray[np.int64], left: NDArray[np.bool_], rows: list[int]) -> NDArray[np.bool_]:
    """Whether each card's well has a turn after the cards chosen so far; of those left at least one has."""
    wells = int(number.max(initial=-1)) + 1
    there = np.bincount(number[left], minlength=wells) > 0
    if not rows or there.sum() < 2:
        return np.ones(len(number), bool)
    recent = np.bincount(number[rows[1 - SPAN :]], minlength=wells).astype(np.float64)
    # the well of the card before comes last, whatever else
    recent[number[rows[-1]]] += SPAN
    most = max(MOST_OF_A_WELL - 1, recent[there].min())
    return np.asarray((recent <= most)[number])


def _from_first(points: NDArray[np.float32]) -> NDArray[np.float64]:
    if len(points) == 0:
        return np.ones(1)
    return np.asarray(np.linalg.norm(points - np.median(points, axis=0), axis=1), np.float64)


def _nearest(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    result = np.full(len(points), np.inf)
    if len(others) == 0:
        return result
    square = np.einsum("ij,ij->i", others, others)
    for first in range(0, len(points), _BLOCK):
        own = points[first : first + _BLOCK]
        apart = np.einsum("ij,ij->i", own, own)[:, None] + square - 2 * (own @ others.T)
        result[first : first + _BLOCK] = np.sqrt(np.maximum(apart.min(axis=1), 0))
    return result
