"""Comparison of whole cards with known ones: kernel ridge regression on curves, as plain arrays.

Belongs here: fitting and applying this model, and the check that arrays from elsewhere are one. Does not belong here: the curves
(``features``), how its answer is joined with the trees' (``classifier``), files (``artifact``).

A card's likeness to a known one is exp(-d), d the mean absolute difference of their curves plus that of their sizes. Absolute differences
forgive a spike or a late valve in one part of the card, where squared ones let it outweigh all the rest; on few labels that was worth
more than any descriptor (``docs/classification.md``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.features import CARDS, curve_columns, curve_groups, curve_scales

LANDMARKS = 800
"""Known cards that others are compared with; more labelled cards than these still all teach (Nystroem's method)."""

RIDGE = 0.1
SHARPNESS = 6.0
_CARDS_AT_ONCE = 256


@dataclass(frozen=True)
class CurveKernel:
    """Known cards and what likeness to each says.

    Attributes
    ----------
    columns : ndarray of int32, shape (curves,)
        Which features are compared.
    centre, scale : ndarray of float32, shape (curves,)
        A feature x counts as (x - centre) scale; a missing one as 0.
    landmarks : ndarray of float32, shape (m, curves)
        The known cards, so scaled.
    weights : ndarray of float32, shape (m, sets)
    base : ndarray of float32, shape (sets,)
        Shares of the label sets among the training cards.
    sets : ndarray of uint8, shape (sets, classes)
        Which classes each label set holds.
    """

    columns: NDArray[np.int32]
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    weights: NDArray[np.float32]
    base: NDArray[np.float32]
    sets: NDArray[np.uint8]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, for storing."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score cards.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)

        Returns
        -------
        ndarray of float32, shape (n, classes)
            0 to 1: what the label sets with the class get, of one shared among all.
        """
        result = np.empty((len(features), self.sets.shape[1]), np.float32)
        classes = self.sets.astype(np.float32)
        for first in range(0, len(features), _CARDS_AT_ONCE):
            part = slice(first, first + _CARDS_AT_ONCE)
            likeness = _likeness(self._scaled(features[part]), self.landmarks)
            votes = np.float32(SHARPNESS) * (likeness @ self.weights + self.base)
            share = np.exp(votes - votes.max(axis=1, keepdims=True))
            result[part] = (share / share.sum(axis=1, keepdims=True)) @ classes
        return result

    def check(self, n_features: int) -> None:
        """Make sure that the arrays fit each other.

        Parameters
        ----------
        n_features : int
            Features that there are.

        Raises
        ------
        ValueError
            With what is wrong.
        """
        curves, (known, sets) = len(self.columns), self.weights.shape
        for name, shape in (
            ("columns", (curves,)),
            ("centre", (curves,)),
            ("scale", (curves,)),
            ("landmarks", (known, curves)),
            ("base", (sets,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, {shape} is needed")
        if min(curves, known, sets) < 1 or self.sets.ndim != 2 or len(self.sets) != sets:
            raise ValueError("there are no known cards or label sets")
        if self.columns.min() < 0 or self.columns.max() >= n_features:
            raise ValueError("a curve is made of a feature that does not exist")
        if self.sets.max() > 1:
            raise ValueError("a label set holds a class more than once")
        for name in ("centre", "scale", "landmarks", "weights", "base"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds something that is not a number")

    def _scaled(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = (features[:, self.columns] - self.centre) * self.scale
        return np.ascontiguousarray(np.nan_to_num(scaled, copy=False), np.float32)


def fit_kernel(
    features: NDArray[np.float32],
    multi_hot: NDArray[np.bool_],
    view: str,
    seed: int = 0,
    weight: NDArray[np.float64] | None = None,
) -> CurveKernel | None:
    """Learn from whole cards.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    multi_hot : ndarray of bool, shape (n, classes)
    view : str
        Whose curves are compared.
    seed : int
        Chooses the landmarks where there are more cards.
    weight : ndarray of float64, optional, shape (n,)
        What each card counts, above 0; 1 by default.

    Returns
    -------
    CurveKernel or None
        None where hardly any card has curves.

    Notes
    -----
    With K the likenesses of all n cards to the m landmarks and L those among the landmarks, the weights w solve
    (K' W K + r L) w = K' W (T - mean T), T the one-hot label sets and W the cards' weights on the diagonal; for m = n this is kernel
    ridge regression (Saunders et al. 1998).
    """
    columns = curve_columns(view)
    usable = np.flatnonzero(np.isfinite(features[:, columns]).all(axis=1))
    if len(usable) < max(2, 0.5 * len(features)):
        return None
    curves = features[np.ix_(usable, columns)].astype(np.float64)
    scale = _scales(curves)
    centre = curves.mean(axis=0)
    sets, of_card = np.unique(multi_hot[usable], axis=0, return_inverse=True)
    target = np.eye(len(sets))[of_card.reshape(-1)]
    counts = np.ones(len(usable)) if weight is None else np.asarray(weight, np.float64)[usable]
    base = np.average(target, axis=0, weights=counts)
    scaled = ((curves - centre) * scale).astype(np.float32)
    chosen = np.arange(len(scaled))
    if len(scaled) > LANDMARKS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(scaled), LANDMARKS, replace=False))
    landmarks = np.ascontiguousarray(scaled[chosen])
    among = _likeness(landmarks, landmarks).astype(np.float64)
    if len(chosen) == len(scaled):
        weights = np.linalg.solve(among + np.diag(RIDGE / counts), target - base)
    else:
        square = RIDGE * among + 1e-6 * np.eye(len(among))
        right = np.zeros((len(among), len(sets)))
        for first in range(0, len(scaled), _CARDS_AT_ONCE):
            part = slice(first, first + _CARDS_AT_ONCE)
            likeness = _likeness(np.ascontiguousarray(scaled[part]), landmarks).astype(np.float64)
            weighed = (likeness * counts[part, None]).T
            square += weighed @ likeness
            right += weighed @ (target[part] - base)
        weights = np.linalg.solve(square, right)
    return CurveKernel(
        columns.astype(np.int32),
        centre.astype(np.float32),
        scale.astype(np.float32),
        landmarks,
        weights.astype(np.float32),
        base.astype(np.float32),
        sets.astype(np.uint8),
    )


def _scales(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by what each curve column is multiplied: its share of the distance over the spread of its curve."""
    groups, share = curve_groups(), curve_scales().astype(np.float64)
    cards = curves.shape[1] // len(groups)
    assert cards <= len(CARDS), "curves of more cards than there are"
    parts = []
    for card in range(cards):
        block = curves[:, card * len(groups) : (card + 1) * len(groups)]
        spread = np.array([block[:, groups == group].std() for group in range(groups.max() + 1)])
        parts.append(np.where(spread[groups] > 1e-6, share / np.maximum(spread[groups], 1e-6), 0.0) / cards)
    return np.concatenate(parts)


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator, unused-ignore]
def _likeness(cards, landmarks):  # type: ignore[no-untyped-def]
    count, curves = cards.shape
    known = landmarks.shape[0]
    result = np.empty((count, known), np.float32)
    for first in range(0, count, 64):
        last = min(first + 64, count)
        for j in range(known):
            for i in range(first, last):
                total = np.float32(0.0)
                for k in range(curves):
                    total += abs(cards[i, k] - landmarks[j, k])
                result[i, j] = np.exp(-total)
    return result
