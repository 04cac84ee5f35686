"""What the package knows of a condition before any label, and how far a field's labels replace it.

Belongs here: each class's own severity as evidence for it, and its share of the answer. Does not belong here: the network that gives
severities (``severities``), models that learn from labels (``forest``, ``kernel``), the curve from scores to probabilities
(``calibration``).

A class that people have named in one well only can hardly be told from that well. For the conditions that the package's network knows it
has been told from thousands of simulated wells. So the answer for a class with n labelled wells rests on the network by the share
most * half / (half + n), and on what was learned from the labels by the rest: one labelled well moves it a little, ten nearly all the way. Which
``most`` is right is asked of held-out wells. Where the two disagree the mean of their logits is near neither, and the card more
likely gets no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.calibration import fit_logistic, logit, sigmoid
from oasis_pipeline.learning.features import answer_columns
from oasis_pipeline.learning.repeats import Repeats
from oasis_pipeline.learning.severities import CONDITIONS

HALF_WELLS = 3.0
"""Labelled wells of a class that halve the share of the network."""

_PRIOR = 5.0
_START = np.array([1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Evidence:
    """The network's answers for the classes that it knows, as probabilities on a field.

    Attributes
    ----------
    columns : ndarray of int32, shape (classes, 2)
        Features with the probability that a person would name the class, and with its severity; -1 where the network does not know it.
    coefficients : ndarray of float64, shape (classes, 3)
        Of the logit of the first, of the second, and what is added.
    share : ndarray of float64, shape (classes,)
        Of this evidence in the answer, 0 to 1.
    """

    columns: NDArray[np.int32]
    coefficients: NDArray[np.float64]
    share: NDArray[np.float64]

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
        for name, shape in (("columns", (classes, 2)), ("coefficients", (classes, 3)), ("share", (classes,))):
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"{name} has no {shape} numbers")
        if self.columns.min(initial=-1) < -1 or self.columns.max(initial=-1) >= n_features:
            raise ValueError("a severity is a feature that does not exist")
        if self.share.min(initial=0.0) < 0 or self.share.max(initial=0.0) > 1:
            raise ValueError("a share is not between 0 and 1")


def condition_columns(classes: Sequence[str], view: str) -> NDArray[np.int32]:
    """Find each class among the conditions that the network knows, shape (classes, 2); -1 where it does not.

    Parameters
    ----------
    classes : sequence of str
        Matched without regard to case and punctuation.
    view : str
    """
    columns = answer_columns(view)
    place = {name: k for k, name in enumerate(CONDITIONS)}
    result = np.full((len(classes), 2), -1, np.int32)
    for number, text in enumerate(classes):
        k = place.get("_".join("".join(c if c.isalnum() else " " for c in text.casefold()).split()))
        if k is not None:
            result[number] = columns[len(CONDITIONS) + k], columns[k]
    return result


def fit_evidence(
    features: NDArray[np.float32],
    truth: NDArray[np.bool_],
    weight: NDArray[np.float64],
    columns: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Fit what the network's answers mean on a field: a logistic curve a class, around the one of all classes.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    truth : ndarray of bool, shape (n, classes)
    weight : ndarray of float64, shape (n,)
        `Repeats.well_weight`: a class of few wells follows the others.
    columns : ndarray of int32, shape (classes, 2)

    Returns
    -------
    ndarray of float64, shape (classes, 3)
        See `Evidence`.
    """
    coefficients = np.repeat(_START[None], truth.shape[1], axis=0)
    designs, answers, weights = {}, {}, {}
    for k in np.flatnonzero(columns[:, 0] >= 0):
        design = _design(features, columns[k])
        known = np.isfinite(design).all(axis=1)
        designs[k], answers[k], weights[k] = design[known], truth[known, k].astype(np.float64), weight[known]
    if not designs:
        return coefficients
    together = [np.concatenate(list(part.values())) for part in (designs, answers, weights)]
    shared = fit_logistic(together[0], together[1], _START, 1.0, together[2])
    for k in designs:
        coefficients[k] = fit_logistic(designs[k], answers[k], shared, _PRIOR, weights[k])
    return coefficients


def labelled_wells(truth: NDArray[np.bool_], repeats: Repeats) -> NDArray[np.float64]:
    """Count the wells that show each class, shape (classes,); one whose labels its look-alikes deny counts less."""
    best = np.zeros((int(repeats.well.max(initial=-1)) + 1, truth.shape[1]))
    np.maximum.at(best, repeats.well, truth * (repeats.agreement**2)[:, None])
    return np.asarray(best.sum(axis=0))


def share_of(most: float, wells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the network's share in the answer for classes with so many labelled wells."""
    return np.asarray(most * HALF_WELLS / (HALF_WELLS + wells))


def _design(features: NDArray[np.float32], columns: NDArray[np.int32]) -> NDArray[np.float64]:
    named, severity = (features[:, column].astype(np.float64) for column in columns)
    return np.stack([logit(named), severity, np.ones(len(named))], axis=1)
