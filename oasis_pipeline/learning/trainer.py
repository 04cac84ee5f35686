"""What trains the parts of one view: extra trees, trees on the controller's card, the kernel, the package's evidence.

Here: growing trees, and what is learned from beside a field's own cards. Not here: held-out wells, shares and calibration (``fitting``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.calibration import Calibration
from oasis_pipeline.learning.classifier import View, ask_controller
from oasis_pipeline.learning.evidence import Evidence, fit_evidence, rivals_of, share_of
from oasis_pipeline.learning.features import (
    controller_columns,
    curve_columns,
    feature_names,
    rows_with,
    rows_with_controller,
    view_columns,
)
from oasis_pipeline.learning.forest import Forest, forest_from_trees
from oasis_pipeline.learning.kernel import CurveKernel, fit_kernel
from oasis_pipeline.learning.repeats import Repeats
from oasis_pipeline.learning.splits import Scorer

TREES = 200
JOBS = 2
SIDE_TREES_SHARE = 0.5
MIN_VIEW_CARDS = 20
FEW_WELLS = 100
"""With labels of this many wells a field tells by itself what helps, and simulated cards are not asked any more."""
_UNTUNED_THRESHOLD = 0.35
_COLUMNS_AT_ONCE = 64
_COLUMNS_A_SPLIT, _COLUMNS_A_SPLIT_LARGE = 0.3, 0.1
_MANY = 5_000
"""Share of the columns that a split may choose from; among hundreds of related ones the usual square root finds the telling ones too
seldom (1,600 simulated cards: macro F1 0.837 with the root, 0.849 with 0.2 of them)."""
_COLUMNS_BESIDE, _MANY_BESIDE, _COLUMNS_BESIDE_FEW = 0.05, 2_000, 0.15
"""The same with thousands of simulated cards beside labels of few wells: on foreign fields better than 0.1, in half of the time. With fewer
they may choose from more: as good as with 0.3 within the noise of so few labels, in three quarters of the time."""


@dataclass(frozen=True)
class Background:
    """Cards that are learned from beside a field's own, and never judged: simulated ones.

    Attributes
    ----------
    features : ndarray of float32, shape (m, features)
    multi_hot : ndarray of bool, shape (m, classes)
        Of the field's classes.
    wells : ndarray of int64, optional, shape (m,)
        Well of each card whose labels are the truth, so that wells can be held out to tell what scores mean; -1 for labels that may be
        wrong. All are -1 by default.
    """

    features: NDArray[np.float32]
    multi_hot: NDArray[np.bool_]
    wells: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.multi_hot)

    def beside(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        weight: NDArray[np.float64],
        view: str,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
        """Append the cards that a view can learn from to others; each counts 1."""
        rows = rows_with(self.features, view)
        return (
            np.concatenate([features, self.features[rows]]),
            np.concatenate([multi_hot, self.multi_hot[rows]]),
            np.concatenate([weight, np.ones(int(rows.sum()))]),
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Background:
        """Return some of the cards."""
        return Background(
            self.features[rows], self.multi_hot[rows], None if self.wells is None else self.wells[rows]
        )

    def held_out(self, fold: int, count: int) -> NDArray[np.bool_]:
        """Tell which cards of simulated wells are held out in a fold, shape (m,)."""
        if self.wells is None:
            return np.zeros(len(self), bool)
        return np.asarray((self.wells >= 0) & (self.wells % count == fold))


@dataclass(frozen=True)
class Shares:
    """How much of an answer rests on what; 0 where held-out wells do not gain by it.

    Attributes
    ----------
    kernel : float
    controller : float
        Of the forest on the controller's pump card, in the trees' answer.
    """

    kernel: float = 0.0
    controller: float = 0.0


FEW_SHARES = Shares(kernel=0.25, controller=0.5)
"""Where labels of few wells can't choose and the package knows nothing of the classes; what it knows takes the place of both
(`evidence`). docs/classification.md has the figures."""


def few_wells(repeats: Repeats) -> bool:
    """Tell whether there are labels of so few wells that they can't choose between models."""
    return len(np.unique(repeats.well)) < FEW_WELLS


@dataclass(frozen=True)
class trainer:  # noqa: N801 - called like a function, see `splits.Train`
    """Trains the models of one view.

    Attributes
    ----------
    view : str
    trees : int
    allowed : ndarray of bool, optional, shape (features,)
    background : Background, optional
    known : ndarray of int32, optional, shape (classes, 2 * views)
        The classes that the package knows something of (`evidence.condition_columns`).
    """

    view: str
    trees: int
    allowed: NDArray[np.bool_] | None = None
    background: Background | None = None
    known: NDArray[np.int32] | None = None

    def grow(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> tuple[Forest, NDArray[np.float32]]:
        """Grow the forest, with what stands in for missing values."""
        features, multi_hot, weight = self._beside(features, multi_hot, weight)
        share = self._share_beside(features)
        return grow_forest(
            features,
            multi_hot,
            self.view,
            seed=seed,
            trees=self.trees,
            allowed=self.allowed,
            weight=weight,
            share=share,
        )

    def asks_controller(self, features: NDArray[np.float32]) -> bool:
        """Tell whether there are controllers' pump cards that tell something else than the view's own."""
        columns = controller_columns(self.view)
        if not columns.size or (self.allowed is not None and not self.allowed[columns].all()):
            return False
        return bool(rows_with_controller(features).sum() >= MIN_VIEW_CARDS)

    def grow_of_controller(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Forest | None:
        """Grow the forest on the controller's pump card alone, where there are any."""
        features, multi_hot, weight = self._beside(features, multi_hot, weight)
        rows = np.flatnonzero(rows_with_controller(features))
        if not rows.size:
            return None
        columns, trees = controller_columns(self.view), max(1, round(self.trees * SIDE_TREES_SHARE))
        share = _COLUMNS_A_SPLIT_LARGE if self._share_beside(features) == _COLUMNS_BESIDE else None
        return grow_forest(
            features[rows],
            multi_hot[rows],
            self.view,
            seed=seed,
            trees=trees,
            weight=weight[rows],
            columns=columns,
            share=share,
        )[0]

    def asking_controller(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Scorer:
        """Train the forest on the controller's pump card for `splits.out_of_fold`."""
        forest = self.grow_of_controller(features, multi_hot, seed, weight)
        if forest is None:
            return lambda asked: np.full((len(asked), multi_hot.shape[1]), np.nan, np.float32)
        return lambda asked: ask_controller(forest, asked)

    def compares(self, features: NDArray[np.float32]) -> bool:
        """Tell whether there are curves to compare that may be used."""
        columns = curve_columns(self.view)
        if self.allowed is not None and not self.allowed[columns].all():
            return False
        return bool(np.isfinite(features[:, columns]).all(axis=1).mean() >= 0.5)

    def compare(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> CurveKernel | None:
        """Learn from whole cards, where the features have curves that may be used."""
        if not self.compares(features):
            return None
        features, multi_hot, weight = self._beside(features, multi_hot, weight)
        return fit_kernel(features, multi_hot, self.view, seed, weight)

    def comparing(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Scorer:
        """Train the kernel for `splits.out_of_fold`."""
        kernel = self.compare(features, multi_hot, seed, weight)
        if kernel is None:
            share = multi_hot.mean(axis=0, dtype=np.float32)
            return lambda asked: np.repeat(share[None], len(asked), axis=0)
        return kernel.score

    def evidence(
        self, features: NDArray[np.float32], multi_hot: NDArray[np.bool_], repeats: Repeats
    ) -> Evidence | None:
        """Say what the package knows of the classes, where labels are of few wells; None where that is nothing."""
        if self.known is None or not few_wells(repeats) or not (share := share_of(self.known)).any():
            return None
        if self.allowed is not None and not self.allowed[self.known[self.known[:, 0] >= 0]].all():
            return None
        coefficients = fit_evidence(features, multi_hot, repeats.well_weight, self.known)
        return Evidence(self.known, coefficients, share, rivals_of(self.known, multi_hot))

    def learn(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        repeats: Repeats,
        shares: Shares,
        seed: int,
    ) -> View:
        """Train all parts of a view that have a share; it is not calibrated yet."""
        taught = np.flatnonzero(repeats.weight > 0)
        given = features[taught], multi_hot[taught], seed, repeats.weight[taught]
        evidence = self.evidence(features, multi_hot, repeats)
        if evidence is not None:
            shares = Shares()
        forest, fill = self.grow(*given)
        kernel = self.compare(*given) if shares.kernel else None
        asks = shares.controller and self.asks_controller(features)
        controller = self.grow_of_controller(*given) if asks else None
        return View(
            forest,
            fill,
            Calibration.none(multi_hot.shape[1]),
            _UNTUNED_THRESHOLD,
            kernel,
            shares.kernel if kernel else 0.0,
            evidence,
            controller,
            shares.controller if controller else 0.0,
        )

    def __call__(
        self,
        features: NDArray[np.float32],
        multi_hot: NDArray[np.bool_],
        seed: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Scorer:
        """Train the trees, and return the function that scores cards."""
        forest, fill = self.grow(features, multi_hot, seed, weight)
        return lambda asked: forest.mean_leaf(asked, fill=fill)

    def _share_beside(self, features: NDArray[np.float32]) -> float | None:
        if self.background is None:
            return None
        return _COLUMNS_BESIDE if len(features) >= _MANY_BESIDE else _COLUMNS_BESIDE_FEW

    def _beside(
        self, features: NDArray[np.float32], multi_hot: NDArray[np.bool_], weight: NDArray[np.float64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
        counts = np.ones(len(multi_hot)) if weight is None else weight
        if self.background is None:
            return features, multi_hot, counts
        return self.background.beside(features, multi_hot, counts, self.view)


def grow_forest(
    features: NDArray[np.float32],
    multi_hot: NDArray[np.bool_],
    view: str,
    *,
    seed: int = 0,
    trees: int = TREES,
    allowed: NDArray[np.bool_] | None = None,
    weight: NDArray[np.float64] | None = None,
    columns: NDArray[np.intp] | None = None,
    share: float | None = None,
) -> tuple[Forest, NDArray[np.float32]]:
    """Grow extra trees whose leaves hold the share of cards with each class.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        In the order of `features.feature_names`; rows that have the view's cards.
    multi_hot : ndarray of bool, shape (n, classes)
    view : str
        Whose columns the trees may ask for.
    seed, trees : int
    allowed : ndarray of bool, optional, shape (features,)
        Narrows the columns further.
    weight : ndarray of float64, optional, shape (n,)
        What each card counts; 1 by default.
    columns : ndarray of int, optional
        Which the trees may ask for instead of the view's.
    share : float, optional
        Of the columns that a split may choose from; by the number of cards by default.

    Returns
    -------
    forest : Forest
    fill : ndarray of float32, shape (features,)
        Medians that stand in for missing values.

    Notes
    -----
    Trees are split by whole sets of labels, so that "A with B" may differ from A and from B; the leaves then add up the
    sets that hold a class.
    """
    columns = view_columns(view) if columns is None else columns
    if allowed is not None:
        columns = columns[allowed[columns]]
    table, speaks, fill = _filled(features, columns)
    sets, of_card = np.unique(multi_hot, axis=0, return_inverse=True)
    if share is None:
        share = _COLUMNS_A_SPLIT if len(table) < _MANY else _COLUMNS_A_SPLIT_LARGE
    grown = _extra_trees(table, of_card.reshape(-1), trees, share, seed, weight)
    leaves = [tree.value[:, 0, :] @ sets.astype(np.float64) for tree in grown]
    return forest_from_trees(grown, leaves, len(feature_names()), speaks), fill


def _medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Medians of columns, NaN left out; each column has a value that is known."""
    ordered = np.sort(values, axis=0)  # NaN last
    known = np.isfinite(values).sum(axis=0)
    column = np.arange(values.shape[1])
    return np.asarray(
        (ordered[(known - 1) // 2, column] + ordered[known // 2, column]) / np.float32(2), np.float32
    )


def _extra_trees(
    table: NDArray[np.float32],
    target: NDArray[np.intp],
    trees: int,
    share: float,
    seed: int,
    weight: NDArray[np.float64] | None,
) -> list[Any]:
    """Grow the trees that scikit-learn's ``ExtraTreesClassifier`` would grow, without what it spends on each besides growing."""
    import sklearn
    from sklearn.tree import ExtraTreeClassifier

    draw = np.random.RandomState(seed)
    seeds = [int(draw.randint(np.iinfo(np.int32).max)) for _ in range(trees)]
    leaf = _leaf_size(len(table))

    def grow(seed: int) -> Any:
        with sklearn.config_context(skip_parameter_validation=True):
            tree = ExtraTreeClassifier(max_features=share, min_samples_leaf=leaf, random_state=seed)
            return tree.fit(table, target, sample_weight=weight, check_input=False).tree_

    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(grow, seeds))


def _filled(
    features: NDArray[np.float32], columns: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]]:
    """Return the columns that trees ask for without gaps, which these are, and the medians that stand in for missing values.

    Columns that say nothing are left out: they would crowd out the others when trees draw columns. Some columns at a time, for a year
    of labels is hundreds of megabytes.
    """
    fill = np.zeros(features.shape[1], np.float32)
    speaks = [columns[:0]]
    for part in _some_at_once(columns):
        values = features[:, part]
        known = np.isfinite(values).any(axis=0)
        fill[part[known]] = _medians(values[:, known])
        spread = np.ptp(np.where(np.isnan(values), fill[part], values), axis=0)
        speaks.append(part[known & (spread > 0)])
    chosen = np.concatenate(speaks)
    if not chosen.size:
        chosen = columns[:1]
    table = np.empty((len(features), len(chosen)), np.float32)
    for first, part in enumerate(_some_at_once(chosen)):
        values = features[:, part]
        begin = first * _COLUMNS_AT_ONCE
        table[:, begin : begin + len(part)] = np.where(np.isnan(values), fill[part], values)
    return table, chosen, fill


def _some_at_once(columns: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [columns[first : first + _COLUMNS_AT_ONCE] for first in range(0, len(columns), _COLUMNS_AT_ONCE)]


def _leaf_size(cards: int) -> int:
    """Let leaves grow with the data: full depth for hundreds of cards, small artifacts for tens of thousands."""
    return 1 if cards < 5_000 else 2 if cards < 20_000 else 3
