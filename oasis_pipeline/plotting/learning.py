"""Pictures of how a classifier did on held-out wells.

Belongs here: confusion and calibration, drawn with figure objects alone (no global state of pyplot), so that any thread may
draw. Does not belong here: computing what is drawn (``learning.scores``), pictures of cards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from oasis_pipeline.learning import scores
from oasis_pipeline.plotting.style import INK, MUTED, SURFACE_COLOUR, new_figure, tidy


def confusion_figure(truth: NDArray[np.bool_], shown: NDArray[np.bool_], classes: Sequence[str]) -> Figure:
    """Draw which class was shown for which, as shares of each class's cards.

    Parameters
    ----------
    truth, shown : ndarray of bool, shape (n, classes)
        Labels, and classes that were shown for held-out cards.
    classes : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = scores.confusion(truth, shown)
    cards = truth.sum(axis=0)
    share = table / np.maximum(cards, 1)[:, None]
    count = len(classes)
    figure = new_figure(2.6 + 0.62 * count, 2.2 + 0.5 * count)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in zip(*np.nonzero(share >= 0.005), strict=True):
        axes.text(
            column, row, f"{100 * share[row, column]:.0f}", ha="center", va="center", fontsize=8,
            color="white" if share[row, column] > 0.5 else INK,
        )  # fmt: skip
    axes.set_xticks(range(count + 1), [*classes, "nothing"], rotation=40, ha="right", fontsize=8)
    axes.set_yticks(
        range(count), [f"{name} ({n})" for name, n in zip(classes, cards, strict=True)], fontsize=8
    )
    axes.set_xlabel("shown")
    axes.set_ylabel("labelled (cards)")
    axes.set_title("Held-out wells: what was shown, percent of the cards of each class", fontsize=10)
    return figure


def risk_coverage_figure(truth: NDArray[np.bool_], proba: NDArray[np.floating], threshold: float) -> Figure:
    """Draw how often the first label is wrong when only the surest cards are answered, and where the model abstains.

    Parameters
    ----------
    truth : ndarray of bool, shape (n, classes)
    proba : ndarray, shape (n, classes)
        Calibrated probabilities of held-out cards.
    threshold : float
        Best probabilities below it are shown as ``Unknown``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    confidence, correct = scores.best_class(truth, proba)
    coverage, risk = scores.risk_coverage(confidence, correct, 50)
    figure = new_figure(4.6, 3.4)
    axes = figure.add_subplot()
    axes.plot(100 * coverage, 100 * risk, color=SURFACE_COLOUR)
    answered = float((confidence >= threshold).mean()) if confidence.size else 1.0
    axes.axvline(100 * answered, color=MUTED, linewidth=1)
    axes.text(100 * answered, axes.get_ylim()[1], "answered ", ha="right", va="top", fontsize=8, color=INK)
    axes.set_xlabel("cards answered, the surest first, %")
    axes.set_ylabel("Label1 wrong, %")
    axes.set_title(
        f"Held-out wells: mean risk {100 * scores.risk_area(confidence, correct):.1f} %", fontsize=10
    )
    tidy(axes)
    return figure


def calibration_figure(truth: NDArray[np.bool_], proba: NDArray[np.floating]) -> Figure:
    """Draw stated against reached accuracy of the most probable class, and how many cards lie where.

    Parameters
    ----------
    truth : ndarray of bool, shape (n, classes)
    proba : ndarray, shape (n, classes)
        Calibrated probabilities of held-out cards.

    Returns
    -------
    matplotlib.figure.Figure
    """
    confidence, correct = scores.best_class(truth, proba)
    stated, reached, cards = scores.reliability(confidence, correct)
    figure = new_figure(4.6, 4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
    upper.plot(100 * stated, 100 * reached, marker="o", color=SURFACE_COLOUR)
    upper.set_ylabel("right, %")
    upper.set_title(
        f"Held-out wells: calibration error {scores.calibration_error(confidence, correct):.3f}", fontsize=10
    )
    middle = (np.arange(len(cards)) + 0.5) / len(cards) * 100
    lower.bar(middle, cards, width=90 / len(cards), color=SURFACE_COLOUR)
    lower.set_ylabel("cards")
    lower.set_xlabel("Prob1, %")
    lower.set_xlim(0, 100)
    tidy(upper)
    tidy(lower)
    return figure
