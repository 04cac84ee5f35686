"""The earlier platform's card classifier, kept as one of the models and as the yardstick of every comparison.

Belongs here: its features and its model, as they were. Does not belong here: improvements. Known weaknesses are part of
the yardstick: nothing is calibrated, Label1 is shown however unlikely it is, absolute size is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.descriptors import elliptic_fourier
from oasis_pipeline.cards.geometry import area_in_lbf, centroid
from oasis_pipeline.learning.features import SHAPE_POINTS, CardShapes, WellBounds
from oasis_pipeline.learning.forest import Forest, forest_from_trees
from oasis_pipeline.learning.labels import Labels, top_two
from oasis_pipeline.learning.splits import Scorer

SEED_FEATURE_VERSION = "seed-23"
TREES_PER_CLASS = 100
JOBS = 2
_ORDER = 5


@dataclass(frozen=True)
class SeedModel:
    """One random forest a class, one class against the rest.

    Attributes
    ----------
    classes : tuple of str
    unlearned : dict of str to int
    forest : Forest
        The forests of all classes end to end, each of `trees_per_class` trees with one output.
    trees_per_class : int
    feature_version : str
    """

    classes: tuple[str, ...]
    unlearned: dict[str, int]
    forest: Forest
    trees_per_class: int = TREES_PER_CLASS
    feature_version: str = SEED_FEATURE_VERSION

    def predict_proba(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each forest's share of votes, shape (n, classes), from features of shape (n, 23)."""
        return _ask(self.forest, len(self.classes), self.trees_per_class, features)

    def predict(self, features: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        """Return Label1, Prob1, Label2, Prob2; this model never abstains."""
        return top_two(self.predict_proba(features), self.classes)


def seed_features(
    surface: CardShapes | None, pump: CardShapes | None, bounds: WellBounds | None = None
) -> NDArray[np.float32]:
    """Compute the 23 features: elliptic Fourier descriptors of order 5, centroid, area.

    Parameters
    ----------
    surface, pump : CardShapes or None
        The pump card is taken, the surface card where there is none.
    bounds : WellBounds, optional
        Cards are scaled to their well's bounds, to their own extent where there are none of that card.

    Returns
    -------
    ndarray of float32, shape (n, 23)
        a1 b1 c1 d1 .. d5, centroid position and load, area; NaN where there is no card.

    Raises
    ------
    ValueError
        If no card is given.
    """
    given = [shapes for shapes in (surface, pump) if shapes is not None]
    if not given:
        raise ValueError("features need surface cards, pump cards, or both")
    rows = len(given[0])
    position, load = np.full((rows, SHAPE_POINTS), np.nan), np.full((rows, SHAPE_POINTS), np.nan)
    from_pump = np.zeros(rows, bool)
    for shapes, is_pump in ((surface, False), (pump, True)):
        if shapes is not None:
            here = shapes.present
            position[here], load[here], from_pump[here] = (
                shapes.position_in[here],
                shapes.load_lbf[here],
                is_pump,
            )
    usable = np.flatnonzero(np.isfinite(load).all(axis=1))
    result = np.full((rows, 4 * _ORDER + 3), np.nan, np.float32)
    if usable.size == 0:
        return result
    x, y = position[usable], load[usable]
    edges = np.stack([x.min(axis=1), x.max(axis=1), y.min(axis=1), y.max(axis=1)], axis=1)
    if bounds is not None:
        known = np.stack(
            [bounds.pos_min_in, bounds.pos_max_in, bounds.load_min_lbf, bounds.load_max_lbf], axis=1
        )[usable]
        same_card = np.asarray(bounds.of_pump_card, bool)[usable] == from_pump[usable]
        wide = (known[:, 1] > known[:, 0]) & (known[:, 3] > known[:, 2])
        edges = np.where((same_card & wide)[:, None], known, edges)
    low_x, high_x, low_y, high_y = edges.T[:, :, None]
    x = (x - low_x) / np.where(high_x > low_x, high_x - low_x, 1.0)
    y = (y - low_y) / np.where(high_y > low_y, high_y - low_y, 1.0)
    descriptors = elliptic_fourier(x, y, _ORDER).reshape(usable.size, -1)
    middle = np.stack(centroid(x, y), axis=1)
    result[usable] = np.concatenate([descriptors, middle, np.abs(area_in_lbf(x, y))[:, None]], axis=1)
    return result


def seed_feature_names() -> list[str]:
    """Return the names of the 23 features in their order."""
    outline = [f"seed_{letter}{order + 1}" for order in range(_ORDER) for letter in "abcd"]
    return [*outline, "seed_centroid_position", "seed_centroid_load", "seed_area"]


def fit_seed_method(features: NDArray[np.float32], labels: Labels, seed: int = 0) -> SeedModel:
    """Train the earlier platform's model.

    Parameters
    ----------
    features : ndarray of float32, shape (n, 23)
    labels : Labels
        Of the same cards; those without a label, and rows without a card, are left out.
    seed : int
        The original had none; here the same seed gives the same model.
    """
    rows = labels.labelled & np.isfinite(features).all(axis=1)
    forest = grow_seed_forests(features[rows], labels.multi_hot[rows], seed)
    return SeedModel(labels.classes, labels.unlearned, forest, TREES_PER_CLASS)


def grow_seed_forests(features: NDArray[np.float32], multi_hot: NDArray[np.bool_], seed: int = 0) -> Forest:
    """Grow one balanced random forest without bootstrap a class, laid end to end."""
    from sklearn import config_context
    from sklearn.ensemble import RandomForestClassifier

    trees, leaves = [], []
    for column in multi_hot.T:
        grower = RandomForestClassifier(
            TREES_PER_CLASS, class_weight="balanced", bootstrap=False, n_jobs=JOBS, random_state=seed
        )
        # over a thousand trees of a few hundred cards: checking each tree's arguments would take a sixth of the time
        with config_context(assume_finite=True, skip_parameter_validation=True):
            grower.fit(features, column)
        # A class that all or none of the cards have leaves the forest with a single output.
        has_class = np.asarray(grower.classes_, bool).astype(np.float64)[:, None]
        trees += [tree.tree_ for tree in grower.estimators_]
        leaves += [tree.tree_.value[:, 0, :] @ has_class for tree in grower.estimators_]
    return forest_from_trees(trees, leaves, features.shape[1])


def train_seed_method(features: NDArray[np.float32], multi_hot: NDArray[np.bool_], seed: int) -> Scorer:
    """Train for `splits.out_of_fold`."""
    forest = grow_seed_forests(features, multi_hot, seed)
    return lambda table: _ask(forest, multi_hot.shape[1], TREES_PER_CLASS, table)


def _ask(forest: Forest, classes: int, trees: int, features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([forest.mean_leaf(features, k * trees, trees) for k in range(classes)], axis=1)
