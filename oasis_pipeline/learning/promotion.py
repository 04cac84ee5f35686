"""Whether a newly trained model may take the place of the one in use.

Belongs here: the comparison of two models on cards of wells that neither had seen, and the decision. Does not belong here: which answers are
honest (see below; the registry's side keeps them), and the registry.

Every card is answered by each of the two models as if the card's well were new to it. The new model's answers come from its held-out
folds. The old one's come from the held-out folds of its own training, kept beside its artifact, for the cards that taught it, and from the
model itself for wells without any card that taught it. Cards of wells that taught the old model, but that got their label only later, have no honest
old answer and are left out. So no label is withheld from the training of either, which on a field with labels of a dozen wells would
cost more than the comparison is worth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning import scores
from oasis_pipeline.learning.splits import number_wells

LEAST_WELLS = 4
"""On fewer wells than this nothing can be said."""

SURE = 0.80
"""Share of the resampled fields in which a model has to be worse for it to count as worse.

A model trained on more labels is better as a rule; the comparison guards against the exception. With 0.5 every second harmless
retraining would be refused by chance, with 0.95 a field with labels of ten wells could hardly refuse any.
"""

_DRAWS = 1000


@dataclass(frozen=True)
class Comparison:
    """Two models on the same held-out wells.

    Attributes
    ----------
    cards, wells : int
        How many both could honestly answer.
    new, old : float
        Macro F1, an abstention counted as a miss.
    low, high : float
        95 % interval of new - old under resampling of wells; NaN on a single well.
    worse_share : float
        Share of the resampled fields in which the new model is worse; NaN on fewer than `LEAST_WELLS` wells.
    """

    cards: int
    wells: int
    new: float
    old: float
    low: float
    high: float
    worse_share: float

    @property
    def worse(self) -> bool:
        """Whether the new model is worse: on these wells, and with `SURE` of the resampled fields."""
        return self.new < self.old and self.worse_share >= SURE

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold."""
        plain = {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }
        return {**plain, "worse": self.worse}

    def in_words(self, old_version: str) -> str:
        """Say it in a sentence."""
        if self.cards == 0:
            return f"there is no card that {old_version} and the new model could both be asked honestly"
        return (
            f"macro F1 {self.new:.3f} against {self.old:.3f} of {old_version} on {self.cards:,} cards of {self.wells:,} "
            f"wells that neither had seen (difference {self.new - self.old:+.3f}, 95 % interval {self.low:+.3f} to {self.high:+.3f})"
        )


def compare_models(
    truth: NDArray[np.bool_],
    new_shown: NDArray[np.bool_],
    old_shown: NDArray[np.bool_],
    wells: ArrayLike,
    seed: int = 0,
) -> Comparison:
    """Compare what two models show for the same cards of wells that neither had seen.

    Parameters
    ----------
    truth, new_shown, old_shown : ndarray of bool, shape (n, classes)
        Labels in force, and shown classes (`labels.shown_classes`); no class where a model abstains.
    wells : array_like, shape (n,)
        Wells are resampled whole, the same for both models.
    seed : int

    Returns
    -------
    Comparison
    """
    cards = len(truth)
    if cards == 0:
        nan = float("nan")
        return Comparison(0, 0, nan, nan, nan, nan, nan)
    number = number_wells(wells)
    n_wells = int(number.max()) + 1
    new, old = scores.macro_f1(truth, new_shown), scores.macro_f1(truth, old_shown)
    if n_wells < 2:
        return Comparison(cards, n_wells, new, old, float("nan"), float("nan"), float("nan"))
    draws = (
        np.random.default_rng(seed)
        .multinomial(n_wells, np.full(n_wells, 1 / n_wells), size=_DRAWS)
        .astype(np.float64)
    )
    difference = _macro_f1(truth, new_shown, number, draws) - _macro_f1(truth, old_shown, number, draws)
    low, high = np.quantile(difference, [0.025, 0.975])
    worse = float((difference < 0).mean()) if n_wells >= LEAST_WELLS else float("nan")
    return Comparison(cards, n_wells, new, old, float(low), float(high), worse)


def _macro_f1(
    truth: NDArray[np.bool_],
    shown: NDArray[np.bool_],
    number: NDArray[np.int64],
    draws: NDArray[np.float64],
) -> NDArray[np.float64]:
    totals = []
    for part in (truth & shown, ~truth & shown, truth & ~shown):
        per_well = np.zeros((draws.shape[1], truth.shape[1]))
        np.add.at(per_well, number, part)
        totals.append(draws @ per_well)
    hit, extra, missed = totals
    present = hit + missed > 0
    f1 = np.where(present, 2 * hit / np.where(present, 2 * hit + extra + missed, 1), 0)
    return np.asarray(f1.sum(axis=1) / np.maximum(present.sum(axis=1), 1))
