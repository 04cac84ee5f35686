"""Scores to probabilities that mean what they say, and the threshold below which a model abstains.

Belongs here: maps from a score to a probability, fitted on cards that the scoring model had not seen. Does not belong
here: how such scores are had (``splits``), measuring calibration (``scores``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.labels import shown_classes
from oasis_pipeline.learning.scores import macro_f1

_CLIP = 1e-3
_PRIOR = 5.0
_LEAST_SLOPE = 0.05
_STEPS = 30
_THRESHOLDS = np.round(np.arange(0.0, 0.61, 0.02), 2)
_F1_GIVEN_UP = 0.002


@dataclass(frozen=True)
class Calibration:
    """p = 1 / (1 + exp(-(slope logit(score) + offset))), one slope and offset a class.

    Attributes
    ----------
    slope, offset : ndarray of float64, shape (classes,)
    """

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __call__(self, score: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return probabilities for scores of shape (n, classes)."""
        slope, offset = self.slope.astype(np.float32), self.offset.astype(np.float32)
        return sigmoid(slope * logit(score.astype(np.float32, copy=False)) + offset)

    @classmethod
    def none(cls, classes: int) -> Calibration:
        """Return the map that changes nothing (but for scores of exactly 0 and 1)."""
        return cls(np.ones(classes), np.zeros(classes))


def fit_calibration(
    score: NDArray[np.floating],
    truth: NDArray[np.bool_],
    weight: NDArray[np.float64] | None = None,
    shared_weight: NDArray[np.float64] | None = None,
) -> Calibration:
    """Fit one logistic curve a class to scores of cards that the model had not seen.

    Parameters
    ----------
    score : ndarray, shape (n, classes)
        0 to 1.
    truth : ndarray of bool, shape (n, classes)
    weight : ndarray of float64, optional, shape (n,)
        What each card counts for the curve of its class (`repeats.Repeats.well_weight`); 1 by default.
    shared_weight : ndarray of float64, optional, shape (n,)
        What it counts for the curve of all classes together; `weight` by default.

    Returns
    -------
    Calibration

    Notes
    -----
    Platt's method, with a normal prior on slope and offset around the curve of all classes together: a class with few
    wells follows the others, one with many speaks for itself. Slopes stay positive, so the order of cards is kept.

    References
    ----------
    Platt, Probabilistic outputs for support vector machines, 1999.
    """
    z = np.asarray(logit(np.asarray(score, np.float64)), np.float64)
    y = np.asarray(truth, np.float64)
    counts = np.ones(len(z)) if weight is None else weight
    shared = _fit_shared(z, y, counts if shared_weight is None else shared_weight)
    design = np.stack([z, np.ones_like(z)], axis=-1)
    both = np.array([fit_logistic(design[:, k], y[:, k], shared, _PRIOR, counts) for k in range(z.shape[1])])
    return Calibration(np.maximum(both[:, 0], _LEAST_SLOPE), both[:, 1])


def fit_shared_calibration(
    score: NDArray[np.floating], truth: NDArray[np.bool_], weight: NDArray[np.float64] | None = None
) -> Calibration:
    """Fit one logistic curve for all classes, where there are too few wells for one a class; see `fit_calibration`."""
    z = np.asarray(logit(np.asarray(score, np.float64)), np.float64)
    counts = np.ones(len(z)) if weight is None else weight
    slope, offset = _fit_shared(z, np.asarray(truth, np.float64), counts)
    classes = z.shape[1]
    return Calibration(np.full(classes, max(slope, _LEAST_SLOPE)), np.full(classes, offset))


def _fit_shared(
    z: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    design = np.stack([z.ravel(), np.ones(z.size)], axis=-1)
    return fit_logistic(design, y.ravel(), np.array([1.0, 0.0]), 1.0, np.repeat(weight, z.shape[1]))


def choose_threshold(proba: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Choose below which best probability a model abstains.

    The largest threshold that costs at most 0.002 of macro F1 with every abstention counted as a miss: the model keeps
    silent only where its answers were as good as worthless.

    Parameters
    ----------
    proba : ndarray, shape (n, classes)
        Calibrated, of cards that the model had not seen.
    truth : ndarray of bool, shape (n, classes)
    """
    reached = np.array([macro_f1(truth, shown_classes(proba, threshold)) for threshold in _THRESHOLDS])
    return float(_THRESHOLDS[np.flatnonzero(reached >= reached.max() - _F1_GIVEN_UP)[-1]])


def fit_logistic(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    prior: NDArray[np.float64],
    precision: float,
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Maximise the logistic likelihood with a normal prior; the problem is convex, so a damped step always helps.

    Parameters
    ----------
    design : ndarray of float64, shape (n, k)
    y : ndarray of float64, shape (n,)
        0 or 1.
    prior : ndarray of float64, shape (k,)
        Mean of the prior.
    precision : float
        One over its variance.
    weight : ndarray of float64, shape (n,)
        What each row counts.

    Returns
    -------
    ndarray of float64, shape (k,)
    """

    def loss(w: NDArray[np.float64]) -> float:
        margin = design @ w
        own = float(weight @ (np.logaddexp(0.0, margin) - y * margin))
        return own + 0.5 * precision * float(np.sum((w - prior) ** 2))

    w, now = prior.copy(), loss(prior)
    for _ in range(_STEPS):
        p = sigmoid(design @ w)
        gradient = design.T @ (weight * (p - y)) + precision * (w - prior)
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + precision * np.eye(len(w))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (after := loss(w - size * step)) > now and size > 1e-6:
            size /= 2
        if now - after < 1e-9 * max(1.0, now):
            break
        w, now = w - size * step, after
    return w


def logit(score: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return log(p / (1 - p)) of scores, bent to within 0.001 and 0.999."""
    clipped = np.clip(score, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def sigmoid(value: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return 1 / (1 + exp(-value))."""
    return np.asarray(1 / (1 + np.exp(-value)))
