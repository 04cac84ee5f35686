"""Small made-up cards with clear classes: enough to learn from, quick to make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from oasis_pipeline.learning.features import (
    SHAPE_POINTS,
    CardShapes,
    card_features,
    card_signatures,
    feature_matrix,
)
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.learning.seed_method import seed_features

HALF = SHAPE_POINTS // 2


def make_shapes(kind: NDArray[np.int64], rng: np.random.Generator, scale: float = 1.0) -> CardShapes:
    """Boxes (0), boxes with a late unloading (1), boxes with a sagging upstroke (2), and both at once (3)."""
    n = len(kind)
    x = np.linspace(0, 1, HALF)
    severity = rng.uniform(0.5, 0.9, n)[:, None]
    up = np.clip(x / 0.08, 0, 1)[None] * np.ones((n, 1))
    down = np.clip(1 - (1 - x) / 0.08, 0, 1)[None] * np.ones((n, 1))
    late = np.clip((x[None] - (1 - severity)) / 0.08 + 1, 0, 1)
    down = np.where(np.isin(kind, [1, 3])[:, None], late, down)
    up = np.where(np.isin(kind, [2, 3])[:, None], up * (1 - 0.7 * severity * x[None] ** 2), up)
    stroke = rng.uniform(80, 180, n)[:, None]
    size = rng.uniform(3000, 9000, n)[:, None] * scale
    base = rng.uniform(2000, 9000, n)[:, None] * scale
    load = np.concatenate([up, down[:, ::-1]], axis=1)
    load = base + size * (load + rng.normal(0, 0.02, load.shape))
    position = np.concatenate([x, x[::-1]])[None] * stroke
    return CardShapes(position.astype(np.float32), load.astype(np.float32))


@dataclass(frozen=True)
class Field:
    surface: CardShapes
    pump: CardShapes
    features: NDArray[np.float32]
    seed_features: NDArray[np.float32]
    signatures: NDArray[np.float32]
    labels: Labels
    wells: NDArray[np.int64]


NAMES = [("Full Pump", None), ("Fluid Pound", None), ("Leak", None), ("Fluid Pound", "leak ")]


@pytest.fixture(scope="session")
def field() -> Field:
    """240 cards of 24 wells in three classes, some with two."""
    rng = np.random.default_rng(5)
    kind = rng.integers(0, 4, 240)
    surface, pump = make_shapes(kind, rng), make_shapes(kind, rng, 0.5)
    labels = encode_labels([NAMES[k][0] for k in kind], [NAMES[k][1] for k in kind])
    return Field(
        surface,
        pump,
        feature_matrix(card_features(surface, pump)),
        seed_features(surface, pump),
        card_signatures(surface, pump),
        labels,
        np.repeat(np.arange(24), 10),
    )
