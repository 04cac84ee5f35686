"""The base model: learned on simulated cards, for a field without labels.

Belongs here: making the training set from the simulator, and the name of the result. Does not belong here: the simulator, and any
class name (they come with its cards).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import shape_form
from oasis_pipeline.learning.evaluation import Training, train_and_evaluate
from oasis_pipeline.learning.features import (
    FEATURE_VERSION,
    SHAPE_POINTS,
    CardContext,
    CardShapes,
    card_features,
    card_signatures,
    feature_matrix,
    scale_free,
)
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.learning.seed_method import seed_features
from oasis_pipeline.simulation.cards import FIELD_VERSION, CardBatch, simulate_cards

BASE_CARDS = 3_000
BASE_SEED = 20_260_101
BACKGROUND_CARDS = 800
BACKGROUND_SEED = 20_260_102
_FOLDS = 3


@dataclass(frozen=True)
class TrainingSet:
    """Everything that a model of cards is trained on, n rows.

    Attributes
    ----------
    features : ndarray of float32, shape (n, features)
    seed_features : ndarray of float32, shape (n, 23)
    signatures : ndarray of float32, shape (n, points)
    labels : Labels
    wells : ndarray of int, shape (n,)
    """

    features: NDArray[np.float32]
    seed_features: NDArray[np.float32]
    signatures: NDArray[np.float32]
    labels: Labels
    wells: NDArray[np.int64]


def base_version(cards: int = BASE_CARDS, seed: int = BASE_SEED) -> str:
    """Return the ModelVersion of a base model: the same name is the same model."""
    return f"base-{FEATURE_VERSION}-sim{FIELD_VERSION}-{cards}-{seed}"


def fit_base_model(
    cards: int = BASE_CARDS, seed: int = BASE_SEED, progress: Callable[[int, int], None] | None = None
) -> Training:
    """Simulate cards and learn from them.

    Parameters
    ----------
    cards : int
        Simulated cards, ten a well.
    seed : int
        Same seed, same model.
    progress : callable, optional
        Called with (cards done, cards in all) while cards are simulated.

    Returns
    -------
    Training
        The model, and its figures on simulated wells that it had not seen (not a promise for real ones).

    Notes
    -----
    No bounds are given, so the model does not ask for any; it takes a surface card, a pump card, or both. It looks at
    shapes alone (`features.scale_free`): simulated wells need not have the size of the field's.
    """
    learned = simulated_training_set(simulate_cards(cards, seed, progress=progress))
    return train_and_evaluate(
        learned.features,
        learned.labels,
        learned.wells,
        signatures=learned.signatures,
        seed=seed,
        count=_FOLDS,
        allowed=scale_free(),
    )


def simulated_background_set(cards: int = BACKGROUND_CARDS, seed: int = BACKGROUND_SEED) -> TrainingSet:
    """Simulate cards to learn from beside the labels of a field.

    Parameters
    ----------
    cards : int
        Simulated cards, ten a well.
    seed : int
        Same seed, same cards.

    Returns
    -------
    TrainingSet
    """
    return simulated_training_set(simulate_cards(cards, seed))


def simulated_training_set(batch: CardBatch, surface: bool = True, pump: bool = True) -> TrainingSet:
    """Turn simulated cards into features and labels, by the way that real cards go.

    Parameters
    ----------
    batch : CardBatch
    surface, pump : bool
        Which cards are given; without the pump card there is no fillage either.
    """
    surface_shapes = _shapes(batch.surface_position_in, batch.surface_load_lbf) if surface else None
    pump_shapes = _shapes(batch.pump_position_in, batch.pump_load_lbf) if pump else None
    context = CardContext(spm=batch.wells.spm, fillage_pct=batch.fillage_pct if pump else None)
    return TrainingSet(
        feature_matrix(card_features(surface_shapes, pump_shapes, context)),
        seed_features(surface_shapes, pump_shapes),
        card_signatures(surface_shapes, pump_shapes),
        encode_labels(batch.labels[:, 0].tolist(), batch.labels[:, 1].tolist()),
        batch.well,
    )


def _shapes(position_in: NDArray[np.floating], load_lbf: NDArray[np.floating]) -> CardShapes:
    # Cards arrive as float32; simulated ones must not know more.
    return CardShapes(*shape_form(position_in.astype(np.float32), load_lbf.astype(np.float32), SHAPE_POINTS))
