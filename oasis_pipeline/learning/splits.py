"""Which cards a model must not have seen when it is judged on others.

Belongs here: folds of whole wells, near-identical cards, and predictions for held-out cards. Does not belong here:
figures (``scores``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BY_WELL = "whole wells held out"
BY_TIME = "one well only: blocks of time held out"

NEAR_IDENTICAL = 0.005
"""Root-mean-square distance of two normalised load curves below which two cards are taken for the same card."""

_BLOCK = 2048

Scorer = Callable[[NDArray[np.float32]], NDArray[Any]]
"""Features to scores of shape (n, classes)."""

Train = Callable[..., Scorer]
"""(features, multi_hot, seed[, weight]) -> function from features to scores of shape (n, classes); the weight of each card is
handed over where cards are weighed."""


@dataclass(frozen=True)
class Folds:
    """Which fold each card is held out in.

    Attributes
    ----------
    of_card : ndarray of int64, shape (n,)
    count : int
    scheme : str
        What was held out, in words.
    """

    of_card: NDArray[np.int64]
    count: int
    scheme: str


def number_wells(wells: ArrayLike) -> NDArray[np.int64]:
    """Return the number of each card's well, 0 to wells - 1, in order of first appearance."""
    _, first, number = np.unique(np.asarray(wells), return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[number.reshape(-1)]


def folds_by_well(
    wells: ArrayLike,
    multi_hot: NDArray[np.bool_],
    count: int = 5,
    seed: int = 0,
    days: ArrayLike | None = None,
) -> Folds:
    """Divide cards into folds of whole wells that resemble each other in their classes.

    Parameters
    ----------
    wells : array_like, shape (n,)
        Well of each card.
    multi_hot : ndarray of bool, shape (n, classes)
    count : int
        Folds wanted; fewer if there are fewer wells.
    seed : int
        Breaks ties.
    days : array_like, optional, shape (n,)
        Orders the cards where there is only one well; their order in the arrays otherwise.

    Returns
    -------
    Folds

    Raises
    ------
    ValueError
        If there are fewer than two cards or folds.

    Notes
    -----
    Wells with the rarest classes are dealt first, each to the fold that most lacks what it brings (iterative
    stratification for several labels, Sechidis et al. 2011, with wells in place of cards).
    """
    number = number_wells(wells)
    n_cards, n_wells = number.size, int(number.max(initial=-1)) + 1
    if count < 2 or n_cards < 2:
        raise ValueError(f"{n_cards} cards cannot be divided into {count} folds")
    if n_wells == 1:
        order = np.argsort(np.arange(n_cards) if days is None else np.asarray(days), kind="stable")
        blocks = np.empty(n_cards, np.int64)
        count = min(count, n_cards)
        blocks[order] = np.arange(n_cards) * count // n_cards
        return Folds(blocks, count, BY_TIME)
    count = min(count, n_wells)
    # The size of a well is one more "class", so that folds come out equally large as well.
    brings = np.zeros((n_wells, multi_hot.shape[1] + 1))
    np.add.at(brings, number, np.concatenate([multi_hot, np.ones((n_cards, 1), bool)], axis=1))
    rarity = 1 / np.maximum(brings.sum(axis=0), 1)
    shuffled = np.random.default_rng(seed).permutation(n_wells)
    order = shuffled[np.argsort(-(brings * rarity).max(axis=1)[shuffled], kind="stable")]
    held = np.zeros((count, brings.shape[1]))
    fold_of_well = np.empty(n_wells, np.int64)
    for well in order:
        crowding = (held * brings[well] * rarity**2).sum(axis=1)
        fold = int(np.lexsort((held[:, -1], crowding))[0])
        fold_of_well[well] = fold
        held[fold] += brings[well]
    return Folds(fold_of_well[number], count, BY_WELL)


def near_identical(
    signatures: NDArray[np.float32], others: NDArray[np.float32], limit: float = NEAR_IDENTICAL
) -> NDArray[np.bool_]:
    """Tell which cards have a near-identical one among the others.

    Parameters
    ----------
    signatures, others : ndarray of float32, shapes (n, points), (m, points)
        Normalised curves; a row with NaN resembles nothing.
    limit : float
        Root-mean-square distance below which two are near-identical.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    usable = np.isfinite(others).all(axis=1)
    others = np.ascontiguousarray(others[usable])
    result = np.zeros(len(signatures), bool)
    if len(others) == 0:
        return result
    # |a - b|^2 = |a|^2 + |b|^2 - 2 ab; centred first, so that little is lost to rounding in float32.
    centre = others.mean(axis=0)
    others = others - centre
    other_square = np.einsum("ij,ij->i", others, others)
    bound = np.float32(limit**2 * signatures.shape[1])
    for first in range(0, len(signatures), _BLOCK):
        own = signatures[first : first + _BLOCK] - centre
        square = np.einsum("ij,ij->i", own, own)
        for start in range(0, len(others), _BLOCK):
            block = slice(start, start + _BLOCK)
            distance = square[:, None] + other_square[block] - 2 * (own @ others[block].T)
            result[first : first + _BLOCK] |= (distance < bound).any(axis=1)
    return result


def training_rows(
    folds: Folds,
    fold: int,
    signatures: NDArray[np.float32] | None,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """Return the cards to train on when a fold is held out: all others that count, but for the doubles of held-out ones."""
    held = folds.of_card == fold
    rows = np.flatnonzero(~held if weight is None else ~held & (weight > 0))
    if signatures is None:
        return rows
    return rows[~near_identical(signatures[rows], signatures[held])]


def out_of_fold(
    train: Train,
    features: NDArray[np.float32],
    multi_hot: NDArray[np.bool_],
    folds: Folds,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Score each card by a model that has seen neither its well nor a double of it.

    Parameters
    ----------
    train : callable
        See `Train`.
    features : ndarray of float32, shape (n, features)
    multi_hot : ndarray of bool, shape (n, classes)
    folds : Folds
    signatures : ndarray, optional, shape (n, points)
        Curves by which doubles are found.
    seed : int
    weight : ndarray of float64, optional, shape (n,)
        What each card counts in training; cards of weight 0 are not learned from. All alike by default.

    Returns
    -------
    ndarray of float32, shape (n, classes)
        NaN where nothing was left to train on.
    """
    result = np.full(multi_hot.shape, np.nan, np.float32)
    for fold in range(folds.count):
        held = np.flatnonzero(folds.of_card == fold)
        rows = training_rows(folds, fold, signatures, weight)
        given = () if weight is None else (weight[rows],)
        if held.size and rows.size:
            result[held] = train(features[rows], multi_hot[rows], seed, *given)(features[held])
    return result
