"""How good shown labels and probabilities are.

Belongs here: figures from truth and prediction, on arrays. Does not belong here: making predictions on held-out cards
(``splits``) and putting figures side by side (``evaluation``).

Truth is multi-hot, shape (n, classes). An abstention shows no class, so it counts as a miss in every F1 here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating]

CALIBRATION_BINS = 10


def counts(truth: Bools, shown: Bools) -> tuple[Floats, Floats, Floats]:
    """Return true positives, false positives and false negatives of each class, each of shape (classes,)."""
    return (
        (truth & shown).sum(axis=0).astype(np.float64),
        (~truth & shown).sum(axis=0).astype(np.float64),
        (truth & ~shown).sum(axis=0).astype(np.float64),
    )


def why_missed(truth: Bools, proba: Floats, shown: Bools) -> dict[str, Floats]:
    """Count the missed labels of each class by the reason, each of shape (classes,).

    Returns
    -------
    dict
        ``unknown``: the card got no answer. ``blanked``: the class was the likeliest but one, yet not likely enough to be shown.
        ``outranked``: two other classes were likelier. Together they are the false negatives.
    """
    missed = truth & ~shown
    silent = missed & ~shown.any(axis=1, keepdims=True)
    place = np.argsort(np.argsort(-proba, axis=1, kind="stable"), axis=1)
    second = missed & ~silent & (place < 2)
    parts = {"unknown": silent, "blanked": second, "outranked": missed & ~silent & ~second}
    return {why: part.sum(axis=0).astype(np.float64) for why, part in parts.items()}


def f1_per_class(truth: Bools, shown: Bools) -> Floats:
    """Return F1 = 2 TP / (2 TP + FP + FN) of each class; NaN for a class that no card has."""
    return _f1(*counts(truth, shown))


def macro_f1(truth: Bools, shown: Bools) -> float:
    """Return the mean F1 over the classes that occur in the truth (0 if none does)."""
    return _macro(f1_per_class(truth, shown))


def average_precision(truth: Bools, proba: Floats) -> Floats:
    """Return the area under each class's precision-recall steps, shape (classes,); NaN for a class that no card has.

    Notes
    -----
    AP = sum over the cards of the class, by falling probability, of the precision down to that card, divided by their
    number; cards of equal probability are taken together.
    """
    result = np.full(truth.shape[1], np.nan)
    for k in range(truth.shape[1]):
        positives = int(truth[:, k].sum())
        if positives == 0:
            continue
        order = np.argsort(-proba[:, k], kind="stable")
        hits = truth[order, k]
        # Ties count as one step: precision is read at the last card of the tie.
        last_of_tie = np.append(np.diff(proba[order, k]) != 0, True)
        found = np.cumsum(hits)[last_of_tie]
        asked = np.flatnonzero(last_of_tie) + 1
        result[k] = float(np.sum(np.diff(found, prepend=0) * found / asked) / positives)
    return result


def best_class(truth: Bools, proba: Floats) -> tuple[Floats, Bools]:
    """Return the highest probability of each card, and whether that class is among its labels; both of shape (n,)."""
    first = proba.argmax(axis=1)
    rows = np.arange(len(proba))
    return proba[rows, first].astype(np.float64), truth[rows, first]


def reliability(
    confidence: Floats, correct: Bools, bins: int = CALIBRATION_BINS
) -> tuple[Floats, Floats, Floats]:
    """Compare stated and reached accuracy in equal bins of confidence.

    Returns
    -------
    stated, reached : ndarray, shape (bins,)
        Mean confidence and share of correct cards; NaN in empty bins.
    cards : ndarray, shape (bins,)
        Number of cards.
    """
    which = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    cards = np.bincount(which, minlength=bins).astype(np.float64)
    per = np.where(cards > 0, cards, np.nan)
    return (
        np.bincount(which, confidence, minlength=bins) / per,
        np.bincount(which, correct.astype(np.float64), minlength=bins) / per,
        cards,
    )


def calibration_error(confidence: Floats, correct: Bools, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error: mean |stated - reached| over bins, weighted by their cards."""
    if confidence.size == 0:
        return float("nan")
    stated, reached, cards = reliability(confidence, correct, bins)
    return float(np.nansum(np.abs(stated - reached) * cards) / cards.sum())


def risk_coverage(confidence: Floats, correct: Bools, steps: int = 10) -> tuple[Floats, Floats]:
    """Return how often the first label is wrong when only the surest cards are answered.

    Returns
    -------
    coverage : ndarray, shape (steps,)
        Share of cards answered, 1 / steps to 1.
    risk : ndarray, shape (steps,)
        Share of them whose first label is wrong.
    """
    coverage = np.arange(1, steps + 1) / steps
    if confidence.size == 0:
        return coverage, np.full(steps, np.nan)
    wrong = ~correct[np.argsort(-confidence, kind="stable")]
    answered = np.maximum(np.round(coverage * wrong.size).astype(np.int64), 1)
    return coverage, np.cumsum(wrong)[answered - 1] / answered


def risk_area(confidence: Floats, correct: Bools) -> float:
    """Return the area under the risk-coverage curve: the risk, averaged over every coverage from one card to all; NaN without cards."""
    if confidence.size == 0:
        return float("nan")
    wrong = ~correct[np.argsort(-confidence, kind="stable")]
    return float(np.mean(np.cumsum(wrong) / np.arange(1, wrong.size + 1)))


def bootstrap_macro_f1(
    truth: Bools, shown: Bools, wells: NDArray[np.int64], seed: int, draws: int = 500, share: float = 0.95
) -> tuple[float, float]:
    """Return the interval of macro F1 under resampling of whole wells; see `resampled_f1`."""
    f1 = resampled_f1(truth, shown, wells, seed, draws)
    present = ~np.isnan(f1)
    if not present.any():
        return float("nan"), float("nan")
    macro = np.where(present, f1, 0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return _interval(macro, share)


def bootstrap_class_f1(
    truth: Bools, shown: Bools, wells: NDArray[np.int64], seed: int, draws: int = 500, share: float = 0.95
) -> list[tuple[float, float]]:
    """Return the interval of each class's F1 under resampling of whole wells; see `resampled_f1`."""
    return [_interval(f1[~np.isnan(f1)], share) for f1 in resampled_f1(truth, shown, wells, seed, draws).T]


def _interval(values: Floats, share: float) -> tuple[float, float]:
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def resampled_f1(truth: Bools, shown: Bools, wells: NDArray[np.int64], seed: int, draws: int = 500) -> Floats:
    """Return each class's F1 under resampling of whole wells.

    Cards of a well resemble each other, so the wells, not the cards, are the independent draws.

    Parameters
    ----------
    truth, shown : ndarray of bool, shape (n, classes)
    wells : ndarray of int, shape (n,)
        Number of the card's well, 0 to wells - 1.
    seed, draws : int

    Returns
    -------
    ndarray, shape (draws, classes)
        NaN where a draw has no card of the class; all NaN if there are fewer than two wells.
    """
    n_wells = int(wells.max(initial=-1)) + 1
    if n_wells < 2:
        return np.full((draws, truth.shape[1]), np.nan)
    weights = (
        np.random.default_rng(seed)
        .multinomial(n_wells, np.full(n_wells, 1 / n_wells), size=draws)
        .astype(np.float64)
    )
    totals = []
    for part in (truth & shown, ~truth & shown, truth & ~shown):
        per_well = np.zeros((n_wells, truth.shape[1]))
        np.add.at(per_well, wells, part)
        totals.append(weights @ per_well)
    return _f1(*totals)


def confusion(truth: Bools, shown: Bools) -> NDArray[np.float64]:
    """Count which class was shown for which, shape (classes, classes + 1).

    A card counts once: what was shown rightly on the diagonal, the missed labels spread evenly over what was shown
    wrongly, or in the last column (nothing shown instead).
    """
    n_classes = truth.shape[1]
    result = np.zeros((n_classes, n_classes + 1))
    np.fill_diagonal(result, (truth & shown).sum(axis=0))
    missed, wrong = (truth & ~shown).astype(np.float64), (shown & ~truth).astype(np.float64)
    extra = wrong.sum(axis=1, keepdims=True)
    result[:, :n_classes] += missed.T @ (wrong / np.maximum(extra, 1))
    result[:, n_classes] = missed.T @ (extra[:, 0] == 0).astype(np.float64)
    return result


def _f1(tp: Floats, fp: Floats, fn: Floats) -> Floats:
    bottom = 2 * tp + fp + fn
    return np.where(tp + fn > 0, 2 * tp / np.where(bottom > 0, bottom, 1), np.nan)


def _macro(f1: Floats) -> float:
    present = f1[~np.isnan(f1)]
    return float(present.mean()) if present.size else 0.0
