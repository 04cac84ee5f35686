"""Training the default card classifier: wells held out, shares, calibration.

The answers of a model's parts are averaged. With labels of many wells held-out wells choose the shares, and what does not help there is left
out; a few wells choose badly, so there the shares are fixed (`trainer.FEW_SHARES`), half of the answer is the package's network's
(`evidence`), and simulated cards of wells held out with them say what a score means.

Here: what a whole training does. Not here: how a part is trained (``trainer``), the model (``classifier``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.calibration import (
    Calibration,
    choose_threshold,
    fit_calibration,
    fit_shared_calibration,
)
from oasis_pipeline.learning.classifier import ClassifierModel, View, blend_scores
from oasis_pipeline.learning.evidence import condition_columns
from oasis_pipeline.learning.features import VIEWS, rows_with
from oasis_pipeline.learning.labels import Labels
from oasis_pipeline.learning.repeats import Repeats, weigh_repeats
from oasis_pipeline.learning.scores import average_precision
from oasis_pipeline.learning.splits import Folds, folds_by_well, out_of_fold, training_rows
from oasis_pipeline.learning.trainer import (
    FEW_SHARES,
    MIN_VIEW_CARDS,
    SIDE_TREES_SHARE,
    TREES,
    Background,
    Shares,
    few_wells,
    trainer,
)

_SIDE_FOLDS = 2
_LARGE = 600
_FEW_THRESHOLD = 0.25
_CLEARER = 1.4
"""What log odds by simulated wells are multiplied with: there each class is as usual as any other, many cards stand at the point at which it
is named, and worlds are as wide as can be; the cards of a field are clearer. Chosen on foreign fields (docs/classification.md)."""
_KERNEL_WEIGHTS = (0.0, 0.25, 0.5, 0.7, 0.85)
_CONTROLLER_SHARES = (0.0, 0.25, 0.5)
_LEAST_GAIN = 0.005


class NotEnoughLabelsError(ValueError):
    """The labels do not hold two classes with enough cards."""


@dataclass(frozen=True)
class Simulated:
    """What models said of simulated cards whose wells they had not seen, and what is true.

    Attributes
    ----------
    score : ndarray of float32, shape (m, classes)
    truth : ndarray of bool, shape (m, classes)
    wells : ndarray of int64, shape (m,)
    """

    score: NDArray[np.float32]
    truth: NDArray[np.bool_]
    wells: NDArray[np.int64]

    @classmethod
    def together(cls, parts: Sequence[Simulated]) -> Simulated | None:
        """Lay several together; None where there are none."""
        if not parts:
            return None
        return cls(
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.wells for part in parts]),
        )


@dataclass(frozen=True)
class OutOfFold:
    """What models that had not seen a card's well said about it.

    Attributes
    ----------
    score : ndarray of float32, shape (n, classes)
        Before calibration.
    folds : Folds
    repeats : Repeats, optional
        What each card counts in calibration; all alike by default.
    simulated : Simulated, optional
        What they said of simulated cards.
    rival : ndarray of int32, optional, shape (classes,)
        Classes that exclude each other (`evidence.Evidence`).
    """

    score: NDArray[np.float32]
    folds: Folds
    repeats: Repeats | None = None
    simulated: Simulated | None = None
    rival: NDArray[np.int32] | None = None


def fit(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
    *,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    trees: int = TREES,
) -> ClassifierModel:
    """Train the classifier.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        From `features.feature_matrix`.
    labels : Labels
        Of the same n cards; cards without a label, and rows without a card, are left out.
    wells : array_like, shape (n,)
        Well of each card: calibration rests on wells held out.
    days : array_like, optional
        Orders the cards, where there is only one well.
    signatures : ndarray of float32, optional, shape (n, points)
        From `features.card_signatures`: keeps doubles from being on both sides.
    seed : int
        The same seed, data and library versions give the same model, bit for bit.
    trees : int

    Returns
    -------
    ClassifierModel

    Raises
    ------
    NotEnoughLabelsError
        If there are not two classes to learn.
    """
    rows = usable_rows(features, labels)
    return fit_out_of_fold(
        features[rows],
        labels.take(rows),
        np.asarray(wells)[rows],
        days=None if days is None else np.asarray(days)[rows],
        signatures=None if signatures is None else signatures[rows],
        seed=seed,
        trees=trees,
    )[0]


def fit_out_of_fold(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
    *,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    trees: int = TREES,
    count: int | None = None,
    allowed: NDArray[np.bool_] | None = None,
    background: Background | None = None,
) -> tuple[ClassifierModel, OutOfFold]:
    """Train as `fit`, and return the scores of held-out wells too, so that an evaluation need not train again.

    Every card must have a label and at least one card here (`usable_rows`). Each row is scored by the view that will answer
    for rows like it. ``count`` is the number of folds, `default_folds` by default; ``allowed``, of shape (features,), tells which
    features may be used, all by default. Every model learns from ``background`` too; the threshold rests on the field's own cards alone,
    and so does calibration where the background tells no truth.
    """
    require_labels(labels)
    truth = labels.multi_hot
    folds = folds_by_well(wells, truth, count or default_folds(len(labels)), seed, days)
    repeats = weigh_repeats(wells, truth, signatures)
    score = np.repeat(truth.mean(axis=0, dtype=np.float32)[None], len(truth), axis=0)
    views: dict[str, View] = {}
    asked: list[Simulated] = []
    answered = np.zeros(len(truth), bool)
    offered = {name: np.flatnonzero(rows_with(features, name)) for name in VIEWS}
    least = min(MIN_VIEW_CARDS, max(rows.size for rows in offered.values()))
    for name, rows in offered.items():
        if rows.size < least:
            continue
        # A view that answers for no training card still gets its own, coarser, calibration.
        leads = bool((~answered[rows]).any())
        n_trees = trees if leads else max(1, round(trees * SIDE_TREES_SHARE))
        own = Folds(
            folds.of_card[rows] if leads else folds.of_card[rows] % _SIDE_FOLDS, folds.count, folds.scheme
        )
        known = condition_columns(labels.classes, name)
        train = trainer(name, n_trees, allowed, background, known)
        curves = None if signatures is None else signatures[rows]
        # a year of labels is hundreds of megabytes: no copy where all rows have the view's cards
        mine = features if len(rows) == len(features) else features[rows]
        hot, counted = truth[rows], repeats.take(rows)
        held_out, shares, simulated = held_out_scores(train, mine, hot, own, counted, curves, seed)
        judged = np.flatnonzero(np.isfinite(held_out).all(axis=1))
        view = train.learn(mine, hot, counted, shares, seed)
        if judged.size >= MIN_VIEW_CARDS:
            calibration, threshold = calibrate(held_out[judged], hot[judged], counted.take(judged), simulated)
            view = replace(view, calibration=calibration, abstain_threshold=threshold)
        views[name] = view
        if leads and simulated is not None:
            asked.append(simulated)
        new = judged[~answered[rows[judged]]]
        score[rows[new]] = held_out[new]
        answered[rows] = True
    model = ClassifierModel(labels.classes, labels.unlearned, views, truth.mean(axis=0, dtype=np.float32))
    excluded = next((view.evidence.rival for view in views.values() if view.evidence is not None), None)
    return model, OutOfFold(score, folds, repeats, Simulated.together(asked), excluded)


def calibrate(
    score: NDArray[np.float32],
    truth: NDArray[np.bool_],
    repeats: Repeats | None,
    simulated: Simulated | None = None,
) -> tuple[Calibration, float]:
    """Fit calibration and threshold to scores of held-out cards.

    Of many wells each class has its own curve, for which a well's repeats count as one card, around one of all cards. A few wells get
    one curve for all classes: with a well held out its classes are often without any label, so what is said of it is worse than
    what the model will say of the field. Simulated wells, each of which counts as much as a labelled one, tell there what a
    score means, and the threshold is fixed.
    """
    if repeats is None:
        calibration = fit_calibration(score, truth)
        return calibration, choose_threshold(calibration(score), truth)
    if not few_wells(repeats):
        calibration = fit_calibration(score, truth, repeats.well_weight, np.ones(len(truth)))
        taught = repeats.weight > 0
        return calibration, choose_threshold(calibration(score[taught]), truth[taught])
    if simulated is None:
        return fit_shared_calibration(score, truth), _FEW_THRESHOLD
    asked = fit_shared_calibration(
        np.concatenate([score, simulated.score]),
        np.concatenate([truth, simulated.truth]),
        np.concatenate([_one_a_well(repeats.well), _one_a_well(simulated.wells)]),
    )
    return Calibration(_CLEARER * asked.slope, _CLEARER * asked.offset), _FEW_THRESHOLD


def _one_a_well(wells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weigh cards so that those of a well count as one together."""
    _, number, cards = np.unique(wells, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / cards[number.reshape(-1)])


def held_out_scores(
    train: trainer,
    features: NDArray[np.float32],
    truth: NDArray[np.bool_],
    folds: Folds,
    repeats: Repeats,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.float32], Shares, Simulated | None]:
    """Score held-out cards by all parts of a model together.

    Parameters
    ----------
    train : trainer
    features : ndarray of float32, shape (n, features)
    truth : ndarray of bool, shape (n, classes)
    folds : Folds
    repeats : Repeats
    signatures, seed
        See `splits.out_of_fold`.

    Returns
    -------
    score : ndarray of float32, shape (n, classes)
        Each fold's shares are chosen on the other folds; NaN where nothing was left to train on.
    shares : Shares
        Chosen on all folds.
    simulated : Simulated or None
        Simulated cards of the background, wells held out with the folds; None where labels of many wells make them needless.
    """
    if few_wells(repeats):
        return _held_out_of_few(train, features, truth, folds, repeats, signatures, seed)
    score = out_of_fold(train, features, truth, folds, signatures, seed, repeats.weight)
    kernel_weight = controller_share = 0.0
    if train.asks_controller(features):
        second = out_of_fold(
            train.asking_controller, features, truth, folds, signatures, seed, repeats.weight
        )
        options = [blend_scores(score, second, share) for share in _CONTROLLER_SHARES]
        score, controller_share = _best_share(options, _CONTROLLER_SHARES, truth, folds, repeats)
    if train.compares(features):
        curves = out_of_fold(train.comparing, features, truth, folds, signatures, seed, repeats.weight)
        options = [blend_scores(score, curves, share) for share in _KERNEL_WEIGHTS]
        score, kernel_weight = _best_share(options, _KERNEL_WEIGHTS, truth, folds, repeats)
    return score, Shares(kernel_weight, controller_share), None


def _held_out_of_few(
    train: trainer,
    features: NDArray[np.float32],
    truth: NDArray[np.bool_],
    folds: Folds,
    repeats: Repeats,
    signatures: NDArray[np.float32] | None,
    seed: int,
) -> tuple[NDArray[np.float32], Shares, Simulated | None]:
    """Score held-out cards by models of fixed shares, and simulated cards of wells that the same models have not seen."""
    score = np.full(truth.shape, np.nan, np.float32)
    asked: list[Simulated] = []
    for fold in range(folds.count):
        held = np.flatnonzero(folds.of_card == fold)
        rows = training_rows(folds, fold, signatures, repeats.weight)
        if not held.size or not rows.size:
            continue
        # half of the trees rank cards as well, and this is most of a training's time
        part = replace(train, trees=max(1, round(train.trees * SIDE_TREES_SHARE)))
        others = train.background
        if others is not None:
            out = others.held_out(fold, folds.count)
            part, beside = replace(part, background=others.take(~out)), others.take(out)
        view = part.learn(features[rows], truth[rows], repeats.take(rows), FEW_SHARES, seed)
        score[held] = view.score(features[held])
        if others is not None and (seen := rows_with(beside.features, train.view)).any():
            beside = beside.take(seen)
            assert beside.wells is not None
            asked.append(Simulated(view.score(beside.features), beside.multi_hot, beside.wells))
    return score, FEW_SHARES, Simulated.together(asked)


def _best_share(
    options: Sequence[NDArray[np.float32]],
    shares: Sequence[float],
    truth: NDArray[np.bool_],
    folds: Folds,
    repeats: Repeats,
) -> tuple[NDArray[np.float32], float]:
    """Choose among held-out scores that a second opinion takes part in by several shares; each fold's is chosen on the other folds.

    Parameters
    ----------
    options : sequence of ndarray of float32, shape (n, classes)
        Scores by share, the first without the second opinion.
    shares : sequence of float
    truth : ndarray of bool, shape (n, classes)
    folds : Folds
    repeats : Repeats

    Returns
    -------
    score : ndarray of float32, shape (n, classes)
    share : float
        Chosen on all folds.
    """
    judged = np.isfinite(options[0]).all(axis=1) & (repeats.weight > 0)
    result = options[0].copy()

    def best(rows: NDArray[np.intp]) -> int:
        if len(rows) < MIN_VIEW_CARDS:
            return 0
        reached = [
            _mean_precision(option[rows], truth[rows], repeats.well_weight[rows]) for option in options
        ]
        first = int(np.argmax(reached))
        return first if reached[first] > reached[0] + _LEAST_GAIN else 0

    for fold in range(folds.count):
        here = folds.of_card == fold
        result[here] = options[best(np.flatnonzero(judged & ~here))][here]
    return result, shares[best(np.flatnonzero(judged))]


def _mean_precision(
    score: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float64]
) -> float:
    """Return the mean average precision, which needs no threshold and treats classes alike, as macro F1 does.

    On the real cards of the documentation the logarithmic loss chose less of the kernel than F1 wanted, and F1 itself jumped about.
    """
    precision = average_precision(truth, fit_calibration(score, truth, weight)(score))
    known = precision[np.isfinite(precision)]
    return float(known.mean()) if known.size else 0.0


def usable_rows(features: NDArray[np.float32], labels: Labels) -> NDArray[np.intp]:
    """Return the rows that can teach: those with a label and a card."""
    has_card = np.zeros(len(features), bool)
    for name in VIEWS:
        has_card |= rows_with(features, name)
    return np.flatnonzero(labels.labelled & has_card)


def default_folds(cards: int) -> int:
    """Return the number of folds: five for small sets, where every card counts, three for larger ones."""
    return 5 if cards < _LARGE else 3


def require_labels(labels: Labels) -> None:
    """Raise `NotEnoughLabelsError` unless there are two classes to learn."""
    learnable = np.count_nonzero(labels.multi_hot.any(axis=0))
    if learnable < 2:
        few = ", ".join(f"{name} ({count})" for name, count in labels.unlearned.items()) or "none"
        raise NotEnoughLabelsError(
            f"{learnable} class(es) with enough labelled, usable cards, two are needed; too few cards: {few}"
        )
