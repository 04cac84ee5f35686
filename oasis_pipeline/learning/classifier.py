"""The default card classifier: extra trees on the feature set, calibrated, with abstention.

Belongs here: growing and applying this model. Does not belong here: features, metrics, files. How the model was chosen
stands in the project's documentation with the figures; ``benchmarks/compare_classifiers.py`` makes them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.calibration import Calibration, choose_threshold, fit_calibration
from oasis_pipeline.learning.features import CARDS, FEATURE_VERSION, block_names, feature_names
from oasis_pipeline.learning.forest import Forest, forest_from_trees
from oasis_pipeline.learning.labels import Labels, top_two
from oasis_pipeline.learning.splits import Folds, folds_by_well, out_of_fold

TREES = 200
FOLDS = 5
JOBS = 2
_PREDICT_ROWS = 8192


class NotEnoughLabelsError(ValueError):
    """The labels do not hold two classes with enough cards."""


@dataclass(frozen=True)
class ClassifierModel:
    """A trained classifier; nothing but numbers and names.

    Attributes
    ----------
    classes : tuple of str
        In the order of the probabilities.
    unlearned : dict of str to int
        Classes that had too few cards, and how many.
    forest : Forest
    calibration : Calibration
    abstain_threshold : float
        Best probabilities below it are shown as ``Unknown``.
    feature_version : str
    """

    classes: tuple[str, ...]
    unlearned: dict[str, int]
    forest: Forest
    calibration: Calibration
    abstain_threshold: float
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
            Rows need not sum to 1: a card may have two labels.
        """
        return self.calibration(self.forest.mean_leaf(features))

    def predict(self, features: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Return Label1, Prob1, Label2, Prob2 as `labels.top_two` chooses them."""
        return top_two(self.predict_proba(features), self.classes, self.abstain_threshold)


@dataclass(frozen=True)
class OutOfFold:
    """What models that had not seen a card's well said about it.

    Attributes
    ----------
    score : ndarray of float32, shape (n, classes)
        Before calibration.
    folds : Folds
    """

    score: NDArray[np.float32]
    folds: Folds


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
        Of the same n cards; cards without a label are left out.
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
    return fit_out_of_fold(features, labels, wells, days, signatures, seed, trees)[0]


def fit_out_of_fold(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    trees: int = TREES,
    count: int = FOLDS,
) -> tuple[ClassifierModel, OutOfFold]:
    """Train as `fit`, and return the scores of the folds too, so that an evaluation need not train them again.

    All cards must be labelled here.
    """
    if not labels.labelled.all():
        rows = np.flatnonzero(labels.labelled)
        return fit_out_of_fold(
            features[rows], labels.take(rows), np.asarray(wells)[rows], None if days is None else np.asarray(days)[rows],
            None if signatures is None else signatures[rows], seed, trees, count,
        )  # fmt: skip
    require_labels(labels)
    folds = folds_by_well(wells, labels.multi_hot, count, seed, days)
    grow = partial(grow_forest, trees=trees)
    score = out_of_fold(
        lambda x, y, s: grow(x, y, s).mean_leaf, features, labels.multi_hot, folds, signatures, seed
    )
    calibration = fit_calibration(score, labels.multi_hot)
    model = ClassifierModel(
        labels.classes,
        labels.unlearned,
        grow(features, labels.multi_hot, seed),
        calibration,
        choose_threshold(calibration(score), labels.multi_hot),
    )
    return model, OutOfFold(score, folds)


def require_labels(labels: Labels) -> None:
    """Raise `NotEnoughLabelsError` unless there are two classes to learn."""
    if not labels.enough:
        few = ", ".join(f"{name} ({count})" for name, count in labels.unlearned.items()) or "none"
        raise NotEnoughLabelsError(
            f"{len(labels.classes)} class(es) with enough labelled cards, two are needed; too few cards: {few}"
        )


def grow_forest(
    features: NDArray[np.float32], multi_hot: NDArray[np.bool_], seed: int = 0, trees: int = TREES
) -> Forest:
    """Grow extra trees whose leaves hold the share of cards with each class.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        In the order of `features.feature_names`.
    multi_hot : ndarray of bool, shape (n, classes)
    seed, trees : int

    Notes
    -----
    Trees are split by whole sets of labels, so that "A with B" may differ from A and from B; the leaves then add up the
    sets that hold a class. Cards that have both a surface and a pump card enter a second time with something
    hidden, so that the trees learn what to do where only one card, no bounds, or no context is known.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    table, truth = _with_hidden_copies(features, multi_hot)
    sets, of_card = np.unique(truth, axis=0, return_inverse=True)
    grower = ExtraTreesClassifier(
        trees, min_samples_leaf=_leaf_size(len(table)), n_jobs=JOBS, random_state=seed
    )
    # Columns that say nothing (a card that no row has) would crowd out the others when trees draw columns.
    speaks = np.flatnonzero((_extreme(np.fmin, table) < _extreme(np.fmax, table)) | _partly_missing(table))
    if speaks.size == 0:
        speaks = np.array([0])
    grower.fit(table[:, speaks], of_card.reshape(-1))
    known = sets[grower.classes_].astype(np.float64)
    leaves = [tree.tree_.value[:, 0, :] @ known for tree in grower.estimators_]
    return forest_from_trees([tree.tree_ for tree in grower.estimators_], leaves, table.shape[1], speaks)


def _extreme(choose: np.ufunc, table: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(choose.reduce(table, axis=0))


def _partly_missing(table: NDArray[np.float32]) -> NDArray[np.bool_]:
    missing = np.isnan(table).mean(axis=0)
    return np.asarray((missing > 0) & (missing < 1))


def _leaf_size(cards: int) -> int:
    """Let leaves grow with the data: full depth for hundreds of cards, small artifacts for tens of thousands."""
    return 1 if cards < 5_000 else 2 if cards < 20_000 else 3


def _with_hidden_copies(
    features: NDArray[np.float32], multi_hot: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    index = {name: column for column, name in enumerate(feature_names())}
    blocks = [np.array([index[name] for name in block_names(card)]) for card in CARDS]
    own = [block[0] for block in blocks]
    both = np.flatnonzero(np.isfinite(features[:, own]).all(axis=1))
    if both.size == 0:
        return features, multi_hot
    copy = features[both]
    turn = np.arange(both.size)
    for which, block in enumerate(blocks):
        copy[np.ix_(turn % 2 == which, block)] = np.nan
    to_bounds = [column for name, column in index.items() if "_to_bounds_" in name]
    copy[np.ix_(turn // 2 % 2 == 0, to_bounds)] = np.nan
    copy[np.ix_(turn // 4 % 2 == 0, [index["spm"], index["fillage_pct"]])] = np.nan
    return np.concatenate([features, copy]), np.concatenate([multi_hot, multi_hot[both]])
