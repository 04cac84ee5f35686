"""What the package knows of conditions of which few wells of a field have labels, or none.

Belongs here: each class's own severity as evidence for it, and its share of the answer. Does not belong here: the network that gives
severities (``severities``), models that learn from labels (``forest``, ``kernel``), the curve from scores to probabilities
(``calibration``).

Labels of a dozen wells teach those wells: a class that one or two of them have is looked for in their sizes and controllers. The network was
taught by thousands of simulated wells, each in a world of its own, so there it is asked beside what was learned and counts as much.
Labels of many wells (`trainer.FEW_WELLS`) speak for themselves.

Where it is known what the well usually shows, the network that sees the card beside that is asked instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.calibration import fit_logistic, logit, sigmoid
from oasis_pipeline.learning.features import VIEWS, answer_columns, change_columns, feature_names
from oasis_pipeline.learning.severities import CONDITIONS

SHARE = 0.5
"""Of the network in the answer, where labels are of few wells."""

EXCLUSIVE = (("fluid_pound", "gas_interference"),)
"""Conditions of which a stroke has one at most: the load passes to the standing column at once, or gradually over gas."""

PARTED_STROKES = 0.65
"""Share of the mean load by which upstroke and downstroke of parted rods hardly ever differ, where the mean is above `PARTED_LOAD_LBF`: of
1,463 simulated and foreign cards of parted rods 10 do, 9 of them of one well."""

PARTED_LOAD_LBF = 3000.0
"""Mean polished-rod load below which little is left of a string, so that friction at the stuffing box can be most of it."""

SELDOM = 0.1
"""Share of the rarer class's cards that have both labels, up to which these are slips."""

_START = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Evidence:
    """The network's answers for the classes that it knows, as probabilities on a field.

    Attributes
    ----------
    columns : ndarray of int32, shape (classes, 2 * views)
        Features with the probabilities that a person would name the class, by each view that is asked, and then with its severities; -1
        where the network does not know it.
    coefficients : ndarray of float64, shape (classes, 3)
        Of the logit of the first, of the second, and what is added.
    share : ndarray of float64, shape (classes,)
        Of this evidence in the answer, 0 to 1.
    rival : ndarray of int32, shape (classes,)
        The class that a stroke can't have beside this one; -1 where there is none.
    """

    columns: NDArray[np.int32]
    coefficients: NDArray[np.float64]
    share: NDArray[np.float64]
    rival: NDArray[np.int32]

    def join(self, score: NDArray[np.floating], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mix scores with this evidence: the mean of their logits by its share.

        Parameters
        ----------
        score : ndarray, shape (n, classes)
            0 to 1.
        features : ndarray of float32, shape (n, features)

        Returns
        -------
        ndarray of float32, shape (n, classes)
            Scores stay what they are where the share is 0 or the network has no answer.
        """
        result = np.array(score, np.float32)
        for k in np.flatnonzero((self.share > 0) & (self.columns[:, 0] >= 0)):
            own = _design(features, self.columns[k]) @ self.coefficients[k]
            known = np.isfinite(own)
            share = self.share[k]
            mixed = (1.0 - share) * logit(np.asarray(score[:, k], np.float64)) + share * own
            result[known, k] = sigmoid(mixed[known])
        return result

    def check(self, n_features: int, classes: int) -> None:
        """Make sure that the arrays fit each other.

        Parameters
        ----------
        n_features, classes : int
            That there are.

        Raises
        ------
        ValueError
            With what is wrong.
        """
        views = max(self.columns.shape[-1] // 2, 1)
        for name, shape in (
            ("columns", (classes, 2 * views)),
            ("coefficients", (classes, 3)),
            ("share", (classes,)),
            ("rival", (classes,)),
        ):
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"{name} has no {shape} numbers")
        if self.columns.min(initial=-1) < -1 or self.columns.max(initial=-1) >= n_features:
            raise ValueError("a severity is a feature that does not exist")
        if self.rival.min(initial=-1) < -1 or self.rival.max(initial=-1) >= classes:
            raise ValueError("a rival is a class that does not exist")
        if self.share.min(initial=0.0) < 0 or self.share.max(initial=0.0) > 1:
            raise ValueError("a share is not between 0 and 1")


def exclude_rivals(proba: NDArray[np.float32], rival: NDArray[np.int32]) -> NDArray[np.float32]:
    """Lower the less likely of two classes that exclude each other to what the other leaves.

    Parameters
    ----------
    proba : ndarray of float32, shape (n, classes)
        Calibrated.
    rival : ndarray of int32, shape (classes,)
        See `Evidence`.

    Returns
    -------
    ndarray of float32, shape (n, classes)
    """
    result = proba.copy()
    for k in np.flatnonzero(rival >= 0):
        other = proba[:, rival[k]]
        result[:, k] = np.where(proba[:, k] < other, np.minimum(proba[:, k], 1.0 - other), proba[:, k])
    return result


def rule_out_parted(
    proba: NDArray[np.float32], features: NDArray[np.float32], classes: Sequence[str]
) -> NDArray[np.float32]:
    """Rule out parted rods for surface cards of full height: without fluid, only friction separates the strokes.

    A model that looks at shapes alone takes an unusual one, such as a rectangle, for parted rods whatever its height.

    Parameters
    ----------
    proba : ndarray of float32, shape (n, classes)
        Calibrated.
    features : ndarray of float32, shape (n, features)
    classes : sequence of str
        Matched without regard to case and punctuation.

    Returns
    -------
    ndarray of float32, shape (n, classes)
    """
    parted = np.array([_condition(name) == "parted_rod" for name in classes], bool)
    if not parted.any():
        return proba
    names = feature_names()
    between, mean = (
        features[:, names.index(f"surface_{name}")] for name in ("up_minus_down_lbf", "mean_load_lbf")
    )
    high = (mean > PARTED_LOAD_LBF) & (between > PARTED_STROKES * mean)
    return np.where(high[:, None] & parted, np.float32(0.0), proba)


def condition_columns(classes: Sequence[str], view: str) -> NDArray[np.int32]:
    """Find each class among the conditions that the network knows, shape (classes, 2 * views); -1 where it does not.

    Parameters
    ----------
    classes : sequence of str
        Matched without regard to case and punctuation.
    view : str
        With both cards the network is asked twice: about both, and about the pump card alone, where less depends on rods and unit.
    """
    asked = [answer_columns(name) for name in (("both", "pump") if view == "both" else (view,))]
    place = {name: k for k, name in enumerate(CONDITIONS)}
    result = np.full((len(classes), 2 * len(asked)), -1, np.int32)
    for number, text in enumerate(classes):
        k = place.get(_condition(text))
        if k is not None:
            result[number] = [columns[at] for at in (len(CONDITIONS) + k, k) for columns in asked]
    return result


def rivals_of(columns: NDArray[np.int32], truth: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Find the classes that exclude each other, shape (classes,); see `Evidence.rival`.

    Parameters
    ----------
    columns : ndarray of int32, shape (classes, 2 * views)
        Of `condition_columns`.
    truth : ndarray of bool, shape (n, classes)
        Labels; a pair that people have given to one card more than `SELDOM` does not exclude each other.
    """
    names, severity = feature_names(), columns[:, columns.shape[1] // 2]
    place = {
        condition: k
        for k in np.flatnonzero(severity >= 0)
        for condition in CONDITIONS
        if names[severity[k]].endswith(f"_{condition}")
    }
    rival = np.full(len(columns), -1, np.int32)
    for pair in EXCLUSIVE:
        if all(condition in place for condition in pair):
            first, second = (place[condition] for condition in pair)
            rarer = truth[:, [first, second]].sum(axis=0).min()
            if (truth[:, first] & truth[:, second]).sum() <= SELDOM * rarer:
                rival[first], rival[second] = second, first
    return rival


def fit_evidence(
    features: NDArray[np.float32],
    truth: NDArray[np.bool_],
    weight: NDArray[np.float64],
    columns: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Fit what the network's answers mean on a field: one logistic curve for all classes, from those that have labels.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    truth : ndarray of bool, shape (n, classes)
    weight : ndarray of float64, shape (n,)
        `Repeats.well_weight`.
    columns : ndarray of int32, shape (classes, 2 * views)

    Returns
    -------
    ndarray of float64, shape (classes, 3)
        See `Evidence`; the same for each class.
    """
    labelled = np.flatnonzero((columns[:, 0] >= 0) & truth.any(axis=0))
    shared = _START
    if labelled.size:
        design = np.concatenate([_design(features, columns[k]) for k in labelled])
        answers = np.concatenate([truth[:, k] for k in labelled]).astype(np.float64)
        known = np.isfinite(design).all(axis=1)
        shared = fit_logistic(
            design[known], answers[known], _START, 1.0, np.tile(weight, labelled.size)[known]
        )
    return np.repeat(shared[None], truth.shape[1], axis=0)


def share_of(columns: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the network's share in the answer for each class: half of it for those that it knows."""
    return np.where(columns[:, 0] >= 0, SHARE, 0.0)


def _condition(text: str) -> str:
    """Return a class's name as conditions are written."""
    return "_".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


@lru_cache(maxsize=1)
def _beside_usual() -> NDArray[np.intp]:
    """Return for each feature that is an answer the one that tells the same beside what the well usually shows; for others themselves."""
    place = np.arange(len(feature_names()))
    for view in VIEWS:
        place[answer_columns(view)] = change_columns(view)
    return place


def _design(features: NDArray[np.float32], columns: NDArray[np.int32]) -> NDArray[np.float64]:
    views = len(columns) // 2
    answers = features[:, columns]
    changed = features[:, _beside_usual()[columns]]
    answers = np.where(np.isfinite(changed).all(axis=1, keepdims=True), changed, answers).astype(np.float64)
    named, severity = answers[:, :views], answers[:, views:]
    return np.stack([logit(named).mean(axis=1), severity.mean(axis=1), np.ones(len(named))], axis=1)
