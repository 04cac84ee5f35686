"""Simulated cards beside the labelled ones: what a field with labels of a few wells can't teach by itself.

Belongs here: bringing simulated cards to a field's classes, and the test whether they help. Does not belong here: the simulator, and
models. Whether they help is asked of the field's own wells, held out: where the simulator differs too much from the
field, or the field has enough labels, they don't, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning import scores
from oasis_pipeline.learning.features import VIEWS, rows_with
from oasis_pipeline.learning.fitting import usable_rows
from oasis_pipeline.learning.labels import Labels, shown_classes
from oasis_pipeline.learning.repeats import weigh_repeats
from oasis_pipeline.learning.splits import folds_by_well, out_of_fold
from oasis_pipeline.learning.trainer import Background, trainer

_TRIAL_TREES = 40
_TRIAL_FOLDS = 3


@dataclass(frozen=True)
class Trial:
    """Whether simulated cards help.

    Attributes
    ----------
    without, beside : float
        Macro F1 on held-out wells of the field, learned from labels alone and with simulated cards beside them.
    """

    without: float
    beside: float

    @property
    def helps(self) -> bool:
        """Whether to learn with them."""
        return self.beside > self.without

    @property
    def reached(self) -> float:
        """The better of the two: what the next trial has to beat."""
        return max(self.without, self.beside)


def background_of(
    features: NDArray[np.float32], labels: Labels, classes: Sequence[str], wells: ArrayLike | None = None
) -> Background:
    """Keep the simulated cards that show nothing but classes of a field.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    labels : Labels
        Of the n simulated cards.
    classes : sequence of str
        Classes of the field; matched without regard to case.
    wells : array_like of int, optional, shape (n,)
        Of simulated cards, whose labels are the truth.

    Returns
    -------
    Background
        Of the same classes in the same order; without rows where none is shared.
    """
    place = {name.casefold(): column for column, name in enumerate(classes)}
    multi_hot = np.zeros((len(labels), len(classes)), bool)
    foreign = np.zeros(len(labels), bool)
    for column, name in enumerate(labels.classes):
        if name.casefold() in place:
            multi_hot[:, place[name.casefold()]] = labels.multi_hot[:, column]
        else:
            foreign |= labels.multi_hot[:, column]
    kept = ~foreign & multi_hot.any(axis=1)
    numbers = None if wells is None else np.asarray(wells, np.int64)[kept]
    return Background(features[kept], multi_hot[kept], numbers)


def try_background(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
    background: Background,
    *,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    anyway: Background | None = None,
    without: float | None = None,
) -> Trial:
    """Ask the field's held-out wells whether further cards help, with small forests.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    labels : Labels
    wells : array_like, shape (n,)
    background : Background
        From `background_of`.
    days, signatures : array_like, optional
        See `fitting.fit`.
    seed : int
    anyway : Background, optional
        What is learned from without it, beside the labelled cards.
    without : float, optional
        What an earlier trial with the same cards and seed found for that; it is not asked again then.

    Returns
    -------
    Trial
        Of the view that most labelled cards have.
    """
    rows = usable_rows(features, labels)
    view = max(VIEWS, key=lambda name: int(rows_with(features[rows], name).sum()))
    rows = rows[rows_with(features[rows], view)]
    truth = labels.multi_hot[rows]
    own_days = None if days is None else np.asarray(days)[rows]
    folds = folds_by_well(np.asarray(wells)[rows], truth, _TRIAL_FOLDS, seed, own_days)
    curves = None if signatures is None else signatures[rows]
    weight = weigh_repeats(np.asarray(wells)[rows], truth, curves).weight

    def macro_f1(beside: Background | None) -> float:
        train = trainer(view, _TRIAL_TREES, None, beside)
        score = out_of_fold(train, features[rows], truth, folds, curves, seed, weight)
        judged = np.isfinite(score).all(axis=1) & (weight > 0)
        return scores.macro_f1(truth[judged], shown_classes(score[judged]))

    return Trial(macro_f1(anyway) if without is None else without, macro_f1(background))
