"""The default card classifier: extra trees on descriptors and a kernel on whole cards, calibrated, with abstention.

Belongs here: growing and applying this model. Does not belong here: features, metrics, files. How the model was chosen
stands in the project's documentation with the figures; ``benchmarks/compare_classifiers.py`` makes them again.

The answers are averaged. With labels of many wells held-out wells choose the shares, and what does not help there is left out; a few wells
choose badly, so there the shares are fixed (`FEW_SHARES`), half of the answer is the package's network's (`evidence`), and simulated cards of
wells held out with them say what a score means. A model holds up to three views: one pair for rows with both cards, one for the surface card alone, one for the pump card
alone, each with its own calibration. One forest for all rows, taught by hiding cards, was tried: it was worse where a card is
missing (1,600 simulated training cards: macro F1 0.52 against 0.57 on surface cards alone, 0.65 against 0.68 on pump cards).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.calibration import (
    Calibration,
    choose_threshold,
    fit_calibration,
    fit_shared_calibration,
)
from oasis_pipeline.learning.evidence import (
    Evidence,
    condition_columns,
    exclude_rivals,
    fit_evidence,
    rivals_of,
    share_of,
)
from oasis_pipeline.learning.features import (
    FEATURE_VERSION,
    VIEWS,
    controller_columns,
    curve_columns,
    feature_names,
    rows_with,
    rows_with_controller,
    view_columns,
)
from oasis_pipeline.learning.forest import Forest, forest_from_trees
from oasis_pipeline.learning.kernel import CurveKernel, fit_kernel
from oasis_pipeline.learning.labels import Labels, top_two
from oasis_pipeline.learning.repeats import Repeats, weigh_repeats
from oasis_pipeline.learning.scores import average_precision
from oasis_pipeline.learning.splits import Folds, Scorer, folds_by_well, out_of_fold, training_rows

TREES = 200
JOBS = 2
_SIDE_TREES_SHARE = 0.5
_SIDE_FOLDS = 2
_MIN_VIEW_CARDS = 20
FEW_WELLS = 100
"""With labels of this many wells a field tells by itself what helps, and simulated cards are not asked any more."""
_LARGE = 600
_UNTUNED_THRESHOLD, _FEW_THRESHOLD = 0.35, 0.25
_COLUMNS_A_SPLIT, _COLUMNS_A_SPLIT_LARGE = 0.3, 0.1
_MANY = 5_000
"""Share of the columns that a split may choose from; among hundreds of related ones the usual square root finds the telling ones too
seldom (1,600 simulated cards: macro F1 0.837 with the root, 0.849 with 0.2 of them)."""
_COLUMNS_BESIDE, _MANY_BESIDE, _COLUMNS_BESIDE_FEW = 0.05, 2_000, 0.15
"""The same with thousands of simulated cards beside labels of few wells: on foreign fields better than 0.1, in half of the time. With fewer
they may choose from more: as good as with 0.3 within the noise of so few labels, in three quarters of the time."""
_CLEARER = 1.4
"""What log odds by simulated wells are multiplied with: there each class is as usual as any other, many cards stand at the point at which it
is named, and worlds are as wide as can be; the cards of a field are clearer. Chosen on foreign fields (docs/classification.md)."""
_KERNEL_WEIGHTS = (0.0, 0.25, 0.5, 0.7, 0.85)
_CONTROLLER_SHARES = (0.0, 0.25, 0.5)
_LEAST_GAIN = 0.005


class NotEnoughLabelsError(ValueError):
    """The labels do not hold two classes with enough cards."""


@dataclass(frozen=True)
class View:
    """What was learned from rows with certain cards.

    Attributes
    ----------
    forest : Forest
        On all features; it asks only for those of its cards.
    fill : ndarray of float32, shape (features,)
        What stands in for a missing value: the median of the training cards, 0 where it asks for nothing.
    calibration : Calibration
    abstain_threshold : float
        Best probabilities below it are shown as ``Unknown``.
    kernel : CurveKernel, optional
        The second opinion.
    kernel_weight : float
        Its share of the score.
    evidence : Evidence, optional
        What the package knows of the classes, where labels of few wells do not replace it.
    controller : Forest, optional
        On the controller's own pump card alone, for rows that have one.
    controller_share : float
        Its share of the trees' score.
    """

    forest: Forest
    fill: NDArray[np.float32]
    calibration: Calibration
    abstain_threshold: float
    kernel: CurveKernel | None = None
    kernel_weight: float = 0.0
    evidence: Evidence | None = None
    controller: Forest | None = None
    controller_share: float = 0.0

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores before calibration, shape (n, classes)."""
        result = self.forest.mean_leaf(features, fill=self.fill)
        if self.controller is not None:
            result = _blend(result, _of_controller(self.controller, features), self.controller_share)
        if self.kernel is not None:
            result = _blend(result, self.kernel.score(features), self.kernel_weight)
        return result if self.evidence is None else self.evidence.join(result, features)

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities, shape (n, classes)."""
        proba = self.calibration(self.score(features))
        return proba if self.evidence is None else exclude_rivals(proba, self.evidence.rival)


@dataclass(frozen=True)
class ClassifierModel:
    """A trained classifier; nothing but numbers and names.

    Attributes
    ----------
    classes : tuple of str
        In the order of the probabilities.
    unlearned : dict of str to int
        Classes that had too few cards, and how many.
    views : dict of str to View
        By name (`features.VIEWS`); at least one.
    prior : ndarray of float32, shape (classes,)
        Share of the training cards that have each class.
    feature_version : str
    """

    classes: tuple[str, ...]
    unlearned: dict[str, int]
    views: dict[str, View]
    prior: NDArray[np.float32]
    feature_version: str = FEATURE_VERSION

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the calibrated probability of each class to be among a card's labels.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            As `features.feature_matrix` gives them; NaN where something is not known.

        Returns
        -------
        ndarray of float32, shape (n, classes)
            Rows need not sum to 1: a card may have two labels. A row with no card that the model knows gets the prior.
        """
        return self._answer(features)[0]

    def predict(self, features: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Return Label1, Prob1, Label2, Prob2 as `labels.top_two` chooses them."""
        proba, threshold = self._answer(features)
        return top_two(proba, self.classes, threshold)

    def _answer(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        proba = np.repeat(self.prior[None], len(features), axis=0)
        threshold = np.full(len(features), np.inf)
        open_rows = np.ones(len(features), bool)
        for name in VIEWS:
            if name in self.views:
                view, rows = self.views[name], open_rows & rows_with(features, name)
                open_rows &= ~rows
                if rows.all():
                    proba = view.predict_proba(features)
                elif rows.any():
                    proba[rows] = view.predict_proba(features[rows])
                threshold[rows] = view.abstain_threshold
        return proba, threshold


@dataclass(frozen=True)
class Background:
    """Cards that are learned from beside a field's own, and never judged: simulated ones.

    Attributes
    ----------
    features : ndarray of float32, shape (m, features)
    multi_hot : ndarray of bool, shape (m, classes)
        Of the field's classes.
    wells : ndarray of int64, optional, shape (m,)
        Well of each card whose labels are the truth, so that wells can be held out to tell what scores mean; -1 for labels that may be
        wrong. All are -1 by default.
    """

    features: NDArray[np.float32]
    multi_hot: NDArray[np.bool_]
    wells: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.multi_hot)

    def beside(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        weight: NDArray[np.float64],
        view: str,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
        """Append the cards that a view can learn from to others; each counts 1."""
        rows = rows_with(self.features, view)
        return (
            np.concatenate([features, self.features[rows]]),
            np.concatenate([multi_hot, self.multi_hot[rows]]),
            np.concatenate([weight, np.ones(int(rows.sum()))]),
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Background:
        """Return some of the cards."""
        return Background(
            self.features[rows], self.multi_hot[rows], None if self.wells is None else self.wells[rows]
        )

    def held_out(self, fold: int, count: int) -> NDArray[np.bool_]:
        """Tell which cards of simulated wells are held out in a fold, shape (m,)."""
        if self.wells is None:
            return np.zeros(len(self), bool)
        return np.asarray((self.wells >= 0) & (self.wells % count == fold))


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
        None if days is None else np.asarray(days)[rows],
        None if signatures is None else signatures[rows],
        seed,
        trees,
    )[0]


def fit_out_of_fold(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
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
    least = min(_MIN_VIEW_CARDS, max(rows.size for rows in offered.values()))
    for name, rows in offered.items():
        if rows.size < least:
            continue
        # A view that answers for no training card still gets its own, coarser, calibration.
        leads = bool((~answered[rows]).any())
        n_trees = trees if leads else max(1, round(trees * _SIDE_TREES_SHARE))
        own = Folds(
            folds.of_card[rows] if leads else folds.of_card[rows] % _SIDE_FOLDS, folds.count, folds.scheme
        )
        known = condition_columns(labels.classes, name)
        train = trainer(name, n_trees, allowed, background, known)
        curves = None if signatures is None else signatures[rows]
        mine, hot, counted = features[rows], truth[rows], repeats.take(rows)
        held_out, shares, simulated = held_out_scores(train, mine, hot, own, counted, curves, seed)
        judged = np.flatnonzero(np.isfinite(held_out).all(axis=1))
        view = train.learn(mine, hot, counted, shares, seed)
        if judged.size >= _MIN_VIEW_CARDS:
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


def few_wells(repeats: Repeats) -> bool:
    """Tell whether there are labels of so few wells that they can't choose between models."""
    return len(np.unique(repeats.well)) < FEW_WELLS


def _one_a_well(wells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weigh cards so that those of a well count as one together."""
    _, number, cards = np.unique(wells, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / cards[number.reshape(-1)])


@dataclass(frozen=True)
class Shares:
    """How much of an answer rests on what; 0 where held-out wells do not gain by it.

    Attributes
    ----------
    kernel : float
    controller : float
        Of the forest on the controller's pump card, in the trees' answer.
    """

    kernel: float = 0.0
    controller: float = 0.0


FEW_SHARES = Shares(kernel=0.25, controller=0.5)
"""Where labels of few wells can't choose and the package knows nothing of the classes; what it knows takes the place of both
(`evidence`). docs/classification.md has the figures."""


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
        options = [_blend(score, second, share) for share in _CONTROLLER_SHARES]
        score, controller_share = _best_share(options, _CONTROLLER_SHARES, truth, folds, repeats)
    if train.compares(features):
        curves = out_of_fold(train.comparing, features, truth, folds, signatures, seed, repeats.weight)
        options = [_blend(score, curves, share) for share in _KERNEL_WEIGHTS]
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
        part = replace(train, trees=max(1, round(train.trees * _SIDE_TREES_SHARE)))
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
        if len(rows) < _MIN_VIEW_CARDS:
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


def _blend(score: NDArray[np.float32], second: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Mix two answers; one that the second has nothing to say to stays."""
    mixed = np.float32(1.0 - share) * score + np.float32(share) * second
    return np.where(np.isnan(second), score, mixed)


def _of_controller(forest: Forest, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ask the forest about the rows that have the controller's pump card; NaN for the others."""
    result = np.full((len(features), forest.leaf_value.shape[1]), np.nan, np.float32)
    rows = np.flatnonzero(rows_with_controller(features))
    if rows.size:
        result[rows] = forest.mean_leaf(features if rows.size == len(features) else features[rows])
    return result


@dataclass(frozen=True)
class trainer:  # noqa: N801 - called like a function, see `splits.Train`
    """Trains the models of one view.

    Attributes
    ----------
    view : str
    trees : int
    allowed : ndarray of bool, optional, shape (features,)
    background : Background, optional
    known : ndarray of int32, optional, shape (classes, 2 * views)
        The classes that the package knows something of (`evidence.condition_columns`).
    """

    view: str
    trees: int
    allowed: NDArray[np.bool_] | None = None
    background: Background | None = None
    known: NDArray[np.int32] | None = None

    def grow(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> tuple[Forest, NDArray[np.float32]]:
        """Grow the forest, with what stands in for missing values."""
        features, multi_hot, weight = self._beside(features, multi_hot, weight)
        share = self._share_beside(features)
        return grow_forest(
            features, multi_hot, self.view, seed, self.trees, self.allowed, weight, share=share
        )

    def asks_controller(self, features: NDArray[np.float32]) -> bool:
        """Tell whether there are controllers' pump cards that tell something else than the view's own."""
        columns = controller_columns(self.view)
        if not columns.size or (self.allowed is not None and not self.allowed[columns].all()):
            return False
        return bool(rows_with_controller(features).sum() >= _MIN_VIEW_CARDS)

    def grow_of_controller(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Forest | None:
        """Grow the forest on the controller's pump card alone, where there are any."""
        features, multi_hot, weight = self._beside(features, multi_hot, weight)
        rows = np.flatnonzero(rows_with_controller(features))
        if not rows.size:
            return None
        columns, trees = controller_columns(self.view), max(1, round(self.trees * _SIDE_TREES_SHARE))
        share = _COLUMNS_A_SPLIT_LARGE if self._share_beside(features) == _COLUMNS_BESIDE else None
        return grow_forest(
            features[rows],
            multi_hot[rows],
            self.view,
            seed,
            trees,
            weight=weight[rows],
            columns=columns,
            share=share,
        )[0]

    def asking_controller(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Scorer:
        """Train the forest on the controller's pump card for `splits.out_of_fold`."""
        forest = self.grow_of_controller(features, multi_hot, seed, weight)
        if forest is None:
            return lambda asked: np.full((len(asked), multi_hot.shape[1]), np.nan, np.float32)
        return lambda asked: _of_controller(forest, asked)

    def compares(self, features: NDArray[np.float32]) -> bool:
        """Tell whether there are curves to compare that may be used."""
        columns = curve_columns(self.view)
        if self.allowed is not None and not self.allowed[columns].all():
            return False
        return bool(np.isfinite(features[:, columns]).all(axis=1).mean() >= 0.5)

    def compare(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> CurveKernel | None:
        """Learn from whole cards, where the features have curves that may be used."""
        if not self.compares(features):
            return None
        features, multi_hot, weight = self._beside(features, multi_hot, weight)
        return fit_kernel(features, multi_hot, self.view, seed, weight)

    def comparing(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Scorer:
        """Train the kernel for `splits.out_of_fold`."""
        kernel = self.compare(features, multi_hot, seed, weight)
        if kernel is None:
            share = multi_hot.mean(axis=0, dtype=np.float32)
            return lambda asked: np.repeat(share[None], len(asked), axis=0)
        return kernel.score

    def evidence(
        self, features: NDArray[np.float32], multi_hot: NDArray[np.bool_], repeats: Repeats
    ) -> Evidence | None:
        """Say what the package knows of the classes, where labels are of few wells; None where that is nothing."""
        if self.known is None or not few_wells(repeats) or not (share := share_of(self.known)).any():
            return None
        if self.allowed is not None and not self.allowed[self.known[self.known[:, 0] >= 0]].all():
            return None
        coefficients = fit_evidence(features, multi_hot, repeats.well_weight, self.known)
        return Evidence(self.known, coefficients, share, rivals_of(self.known, multi_hot))

    def learn(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        repeats: Repeats,
        shares: Shares,
        seed: int,
    ) -> View:
        """Train all parts of a view that have a share; it is not calibrated yet."""
        taught = np.flatnonzero(repeats.weight > 0)
        given = features[taught], multi_hot[taught], seed, repeats.weight[taught]
        evidence = self.evidence(features, multi_hot, repeats)
        if evidence is not None:
            shares = Shares()
        forest, fill = self.grow(*given)
        kernel = self.compare(*given) if shares.kernel else None
        asks = shares.controller and self.asks_controller(features)
        controller = self.grow_of_controller(*given) if asks else None
        return View(
            forest,
            fill,
            Calibration.none(multi_hot.shape[1]),
            _UNTUNED_THRESHOLD,
            kernel,
            shares.kernel if kernel else 0.0,
            evidence,
            controller,
            shares.controller if controller else 0.0,
        )

    def __call__(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Scorer:
        """Train the trees, and return the function that scores cards."""
        forest, fill = self.grow(features, multi_hot, seed, weight)
        return lambda asked: forest.mean_leaf(asked, fill=fill)

    def _share_beside(self, features: NDArray[np.float32]) -> float | None:
        if self.background is None:
            return None
        return _COLUMNS_BESIDE if len(features) >= _MANY_BESIDE else _COLUMNS_BESIDE_FEW

    def _beside(
        self, features: NDArray[np.float32], multi_hot: NDArray[np.bool_], weight: NDArray[np.float64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
        counts = np.ones(len(multi_hot)) if weight is None else weight
        if self.background is None:
            return features, multi_hot, counts
        return self.background.beside(features, multi_hot, counts, self.view)


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


def grow_forest(
    features: NDArray[np.float32],
    multi_hot: NDArray[np.bool_],
    view: str,
    seed: int = 0,
    trees: int = TREES,
    allowed: NDArray[np.bool_] | None = None,
    weight: NDArray[np.float64] | None = None,
    columns: NDArray[np.intp] | None = None,
    share: float | None = None,
) -> tuple[Forest, NDArray[np.float32]]:
    """Grow extra trees whose leaves hold the share of cards with each class.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        In the order of `features.feature_names`; rows that have the view's cards.
    multi_hot : ndarray of bool, shape (n, classes)
    view : str
        Whose columns the trees may ask for.
    seed, trees : int
    allowed : ndarray of bool, optional, shape (features,)
        Narrows the columns further.
    weight : ndarray of float64, optional, shape (n,)
        What each card counts; 1 by default.
    columns : ndarray of int, optional
        Which the trees may ask for instead of the view's.
    share : float, optional
        Of the columns that a split may choose from; by the number of cards by default.

    Returns
    -------
    forest : Forest
    fill : ndarray of float32, shape (features,)
        Medians that stand in for missing values.

    Notes
    -----
    Trees are split by whole sets of labels, so that "A with B" may differ from A and from B; the leaves then add up the
    sets that hold a class.
    """
    columns = view_columns(view) if columns is None else columns
    if allowed is not None:
        columns = columns[allowed[columns]]
    known = columns[np.isfinite(features[:, columns]).any(axis=0)]
    fill = np.zeros(features.shape[1], np.float32)
    fill[known] = _medians(features[:, known])
    table = _filled(features, fill)
    # Columns that say nothing would crowd out the others when trees draw columns.
    speaks = known[np.ptp(table[:, known], axis=0) > 0]
    if speaks.size == 0:
        speaks = columns[:1]
    sets, of_card = np.unique(multi_hot, axis=0, return_inverse=True)
    if share is None:
        share = _COLUMNS_A_SPLIT if len(table) < _MANY else _COLUMNS_A_SPLIT_LARGE
    grown = _extra_trees(
        np.ascontiguousarray(table[:, speaks]), of_card.reshape(-1), trees, share, seed, weight
    )
    leaves = [tree.value[:, 0, :] @ sets.astype(np.float64) for tree in grown]
    return forest_from_trees(grown, leaves, len(feature_names()), speaks), fill


def _medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Medians of columns, NaN left out; each column has a value that is known."""
    ordered = np.sort(values, axis=0)  # NaN last
    known = np.isfinite(values).sum(axis=0)
    column = np.arange(values.shape[1])
    return np.asarray(
        (ordered[(known - 1) // 2, column] + ordered[known // 2, column]) / np.float32(2), np.float32
    )


def _extra_trees(
    table: NDArray[np.float32],
    target: NDArray[np.intp],
    trees: int,
    share: float,
    seed: int,
    weight: NDArray[np.float64] | None,
) -> list[Any]:
    """Grow the trees that scikit-learn's ``ExtraTreesClassifier`` would grow, without what it spends on each besides growing."""
    import sklearn
    from sklearn.tree import ExtraTreeClassifier

    draw = np.random.RandomState(seed)
    seeds = [int(draw.randint(np.iinfo(np.int32).max)) for _ in range(trees)]
    leaf = _leaf_size(len(table))

    def grow(seed: int) -> Any:
        with sklearn.config_context(skip_parameter_validation=True):
            tree = ExtraTreeClassifier(max_features=share, min_samples_leaf=leaf, random_state=seed)
            return tree.fit(table, target, sample_weight=weight, check_input=False).tree_

    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(grow, seeds))


def _filled(features: NDArray[np.float32], fill: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isnan(features), fill, features)


def _leaf_size(cards: int) -> int:
    """Let leaves grow with the data: full depth for hundreds of cards, small artifacts for tens of thousands."""
    return 1 if cards < 5_000 else 2 if cards < 20_000 else 3
