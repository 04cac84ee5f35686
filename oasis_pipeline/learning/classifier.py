"""The default card classifier as it is applied: extra trees on descriptors and a kernel on whole cards, calibrated, with abstention.

Here: the model and its answers. Not here: how it is trained (``fitting``, ``trainer``), features, metrics, files. How it was chosen
stands in the project's documentation with the figures; ``benchmarks/compare_classifiers.py`` makes them again.

A model holds up to three views: one pair for rows with both cards, one for the surface card alone, one for the pump card alone, each with its
own calibration. One forest for all rows, taught by hiding cards, was tried: it was worse where a card is missing (1,600 simulated training
cards: macro F1 0.52 against 0.57 on surface cards alone, 0.65 against 0.68 on pump cards).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.calibration import Calibration
from oasis_pipeline.learning.evidence import Evidence, exclude_rivals, rule_out_parted
from oasis_pipeline.learning.features import FEATURE_VERSION, VIEWS, rows_with, rows_with_controller
from oasis_pipeline.learning.forest import Forest
from oasis_pipeline.learning.kernel import CurveKernel
from oasis_pipeline.learning.labels import top_two


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
            result = blend_scores(result, ask_controller(self.controller, features), self.controller_share)
        if self.kernel is not None:
            result = blend_scores(result, self.kernel.score(features), self.kernel_weight)
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
        return rule_out_parted(proba, features, self.classes), threshold


def blend_scores(
    score: NDArray[np.float32], second: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Mix two answers; one that the second has nothing to say to stays."""
    mixed = np.float32(1.0 - share) * score + np.float32(share) * second
    return np.where(np.isnan(second), score, mixed)


def ask_controller(forest: Forest, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ask the forest about the rows that have the controller's pump card; NaN for the others."""
    result = np.full((len(features), forest.leaf_value.shape[1]), np.nan, np.float32)
    rows = np.flatnonzero(rows_with_controller(features))
    if rows.size:
        result[rows] = forest.mean_leaf(features if rows.size == len(features) else features[rows])
    return result
