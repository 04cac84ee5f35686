"""The base model: learned on simulated cards, for a field without labels.

Belongs here: making the training set from the simulator, and the name of the result. Does not belong here: the simulator, and any
class name (they come with its cards).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.learning.artifact import load_model, make_manifest, save_model
from oasis_pipeline.learning.container import ArtifactError
from oasis_pipeline.learning.evaluation import Training, train_and_evaluate
from oasis_pipeline.learning.features import FEATURE_VERSION, feature_matrix, scale_free
from oasis_pipeline.learning.inputs import CardInputs, Findings
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.learning.usual import with_usual
from oasis_pipeline.physics.diagnosis import Cards, diagnose
from oasis_pipeline.physics.diagnosis.well import columns_of
from oasis_pipeline.simulation.cards import (
    FIELD_VERSION,
    JUDGED,
    VARIED,
    CardBatch,
    Circumstances,
    simulate_cards,
)
from oasis_pipeline.simulation.recorded import recorded_wells

BASE_FILE = Path(__file__).with_name("base.model")
"""The base model as it comes with the package, made by ``make models MODELS=classifier``."""

BASE_CARDS = 9_000
BASE_SEED = 20_260_101
LEAST_BACKGROUND, MOST_BACKGROUND = 800, 6_000
BACKGROUND_SEED = 20_260_102
_WIDE, _SHALLOW = 7, 11
_OWN_WORLDS = replace(VARIED, one_habit=True)
_FOLDS = 3
_TREES = 100


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


def read_base_model() -> tuple[bytes, str] | None:
    """Read the base model of the package.

    Returns
    -------
    tuple of (bytes, str) or None
        Artifact and its hash; None where another version of features or simulator made it, so that it has to be learned anew.
    """
    data = BASE_FILE.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        _, manifest = load_model(data, sha256)
    except ArtifactError:
        return None
    return (data, sha256) if manifest.get("version") == base_version() else None


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
    No bounds are given, so the model does not ask for any; it takes a surface card, a pump card, or both, with the equipment or
    without. A third of the cards is of plain wells, a third of wells in worlds of their own, and a third of shallow, slow ones of these,
    whose rods ring many times a stroke. It looks at shapes and at physical shares alone (`features.scale_free`): simulated wells need not
    have the size of the field's.
    """
    third = cards // 30 * 10
    learned = _simulated_set(
        [
            (cards - 2 * third, seed, JUDGED),
            (third, seed + _WIDE, _OWN_WORLDS),
            (third, seed + _SHALLOW, replace(_OWN_WORLDS, shallow=True)),
        ],
        progress,
    )
    return train_and_evaluate(
        learned.features,
        learned.labels,
        learned.wells,
        signatures=learned.signatures,
        seed=seed,
        trees=_TREES,
        count=_FOLDS,
        allowed=scale_free(),
    )


def pack_base_model(created: str, **more: Any) -> tuple[bytes, str]:
    """Learn the base model, and pack it with what it was made from.

    Parameters
    ----------
    created : str
        Time of training, ISO with zone.
    **more
        Further entries of the manifest.

    Returns
    -------
    tuple of (bytes, str)
        Artifact and its hash.
    """
    training = fit_base_model()
    manifest = make_manifest(
        wells=training.evaluation.wells,
        cards=training.evaluation.cards,
        first_day=None,
        last_day=None,
        simulated=True,
        metrics=training.evaluation.to_dict(),
        created=created,
        seed=BASE_SEED,
        version=base_version(),
        **more,
    )
    return save_model(training.model, manifest)


def background_cards(labelled: int) -> int:
    """Choose how many cards to simulate beside labelled ones: as many, so that a few labels do not wait for thousands."""
    return min(max(labelled, LEAST_BACKGROUND), MOST_BACKGROUND) // 10 * 10


def simulated_background_set(cards: int, seed: int = BACKGROUND_SEED) -> TrainingSet:
    """Simulate cards to learn from beside the labels of a field.

    Parameters
    ----------
    cards : int
        Simulated cards, ten a well; see `background_cards`.
    seed : int
        Same seed, same cards.

    Returns
    -------
    TrainingSet
    """
    half = cards // 20 * 10
    return _simulated_set([(cards - half, seed, JUDGED), (half, seed + _WIDE, _OWN_WORLDS)])


def _simulated_set(
    kinds: Sequence[tuple[int, int, Circumstances]], progress: Callable[[int, int], None] | None = None
) -> TrainingSet:
    """Simulate cards of several kinds of wells, each given by count, seed and circumstances.

    What a score means rests on all of them: plain wells are as clear as cards get, worlds of their own alone are harder than a field is.
    """
    batches = [
        simulate_cards(count, seed, circumstances=kind, progress=progress) for count, seed, kind in kinds
    ]
    parts = [mixed_training_set(batch) for batch in batches]
    texts = np.concatenate([batch.labels for batch in batches])
    before = np.cumsum([0, *(len(batch) for batch in batches)])
    return TrainingSet(
        features=np.concatenate([part.features for part in parts]),
        seed_features=np.concatenate([part.seed_features for part in parts]),
        signatures=np.concatenate([part.signatures for part in parts]),
        labels=encode_labels(texts[:, 0].tolist(), texts[:, 1].tolist()),
        wells=np.concatenate([part.wells + first for part, first in zip(parts, before, strict=False)]),
    )


def mixed_training_set(batch: CardBatch) -> TrainingSet:
    """Turn simulated cards into a training set in which the equipment of every second well is unknown, as in fields, and what is usual known."""
    known, unknown = (simulated_training_set(batch, rods=rods) for rods in (True, False))
    without = batch.well % 2 == 1
    features = np.where(without[:, None], unknown.features, known.features)
    return replace(known, features=with_usual(features, known.wells))


def simulated_training_set(
    batch: CardBatch, surface: bool = True, pump: bool = True, rods: bool = True
) -> TrainingSet:
    """Turn simulated cards into features and labels, by the way that real cards go.

    Parameters
    ----------
    batch : CardBatch
    surface, pump : bool
        Which cards are given; without the pump card there is no fillage either.
    rods : bool
        Whether the wells' equipment is known, so that surface cards are diagnosed.
    """
    sends = batch.has_pump_card if pump else np.zeros(len(batch), bool)
    forms = [
        time_form_column(laid_out(position, load, given))
        for position, load, given in (
            (batch.surface_position_in, batch.surface_load_lbf, np.full(len(batch), surface)),
            (batch.pump_position_in, batch.pump_load_lbf, sends),
        )
    ]
    spm = batch.known.spm
    findings = _findings(batch, spm) if surface and rods else None
    fillage = np.where(sends, batch.fillage_pct, np.nan)
    inputs = CardInputs.of(forms[0], forms[1], spm, fillage, findings=findings)
    return TrainingSet(
        feature_matrix(inputs.features()),
        inputs.seed_features(),
        inputs.signatures(),
        encode_labels(batch.labels[:, 0].tolist(), batch.labels[:, 1].tolist()),
        batch.well,
    )


def laid_out(
    position_in: NDArray[np.floating], load_lbf: NDArray[np.floating], given: NDArray[np.bool_]
) -> CardColumn:
    """Lay simulated cards end to end as they would arrive, float32.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (n, points)
    given : ndarray of bool, shape (n,)
        The others have no points.
    """
    counts = np.where(given, position_in.shape[1], 0)
    return CardColumn(
        position_in[given].astype(np.float32).reshape(-1),
        load_lbf[given].astype(np.float32).reshape(-1),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def _findings(batch: CardBatch, spm: NDArray[np.floating]) -> Findings:
    """Diagnose simulated cards with what the well file says of their wells."""
    _, first, well = np.unique(batch.well, return_index=True, return_inverse=True)
    wells = recorded_wells(batch.known.take(first))
    load = batch.surface_load_lbf.astype(np.float32).astype(np.float64)
    position = batch.surface_position_in.astype(np.float32).astype(np.float64)
    cards = Cards(
        position,
        load,
        spm=np.asarray(spm),
        well=well.reshape(-1),
        pump_position_in=batch.pump_position_in,
        pump_load_lbf=batch.pump_load_lbf,
    )
    return Findings(diagnose(cards, wells), columns_of(wells), well.reshape(-1))
