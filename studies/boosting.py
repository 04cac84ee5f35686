"""Boosted trees as plain arrays, and their prediction.

Belongs here: the arrays, the step from scikit-learn's histogram gradient boosting to them, prediction, and the check that arrays from
elsewhere are trees. Does not belong here: what is learned with them (``hazard``), files (``container``).

The reasons are those of ``learning.forest``: arrays run nothing, can be checked in full, and outlive scikit-learn's versions. Unlike
there, trees add up instead of voting, and a missing value has a side of its own at each node.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.compiled import compiled

_BLOCK_ROWS = 256


@dataclass(frozen=True)
class BoostedTrees:
    """Trees laid end to end.

    Attributes
    ----------
    feature : ndarray of int32, shape (nodes,)
        Column that the node looks at; -1 marks a leaf.
    threshold : ndarray of float64, shape (nodes,)
        Values up to and including it go left; of a leaf, what it adds.
    missing_left : ndarray of bool, shape (nodes,)
        Whether a missing value goes left.
    left, right : ndarray of int32, shape (nodes,)
        Children, counted over all trees; 0 in a leaf.
    roots : ndarray of int32, shape (trees + 1,)
        First node of each tree, and the number of nodes. Trees of one round follow one another, one an output.
    baseline : ndarray of float64, shape (outputs,)
        What every row starts from.
    n_features : int
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    baseline: NDArray[np.float64]
    n_features: int

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, for storing."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "n_features"}

    def raw(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        """Add up the leaves that rows fall into.

        Parameters
        ----------
        table : ndarray of float32, shape (n, n_features)
            NaN is missing.

        Returns
        -------
        ndarray of float64, shape (n, outputs)
            Logarithms of the outputs' shares, up to a constant of the row.

        Raises
        ------
        ValueError
            If the number of features is another.
        """
        rows = np.ascontiguousarray(table, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise ValueError(f"the trees take {self.n_features} features, not {rows.shape[1:]}")
        total = np.repeat(self.baseline[np.newaxis], len(rows), axis=0)
        _walk(
            rows,
            self.feature,
            self.threshold,
            self.missing_left,
            self.left,
            self.right,
            self.roots[:-1],
            total,
        )
        return total

    def check(self) -> None:
        """Make sure that prediction ends and never leaves the arrays.

        Raises
        ------
        ValueError
            With what is wrong.
        """
        nodes = len(self.feature)
        if any(len(getattr(self, name)) != nodes for name in ("threshold", "missing_left", "left", "right")):
            raise ValueError("the arrays of the nodes differ in length")
        roots = self.roots.astype(np.int64)
        outputs = len(self.baseline)
        if len(roots) < 2 or roots[0] != 0 or roots[-1] != nodes or np.any(np.diff(roots) < 1):
            raise ValueError("the roots do not divide the nodes into trees")
        if outputs < 2 or (len(roots) - 1) % outputs:
            raise ValueError("the trees are not a whole number of rounds")
        if np.any(self.feature >= self.n_features) or np.any(self.feature < -1):
            raise ValueError("a node looks at a feature that does not exist")
        inner = np.flatnonzero(self.feature >= 0)
        end = np.repeat(roots[1:], np.diff(roots))[inner]
        for children in (self.left, self.right):
            if np.any(children[inner] <= inner) or np.any(children[inner] >= end):
                raise ValueError("a child does not come after its parent in the same tree")
        if not (np.isfinite(self.threshold).all() and np.isfinite(self.baseline).all()):
            raise ValueError("a threshold is not a number")


def grow(
    table: NDArray[np.float32],
    target: NDArray[np.int64],
    *,
    rounds: int,
    learning_rate: float,
    leaves: int,
    min_leaf: int,
    l2: float,
    share_of_features: float,
    seed: int,
) -> BoostedTrees:
    """Grow trees with scikit-learn's histogram gradient boosting and take them over as arrays.

    Parameters
    ----------
    table : ndarray of float32, shape (n, features)
    target : ndarray of int, shape (n,)
        0 to outputs - 1, every one of them there.
    rounds, learning_rate, leaves, min_leaf, l2, share_of_features, seed
        As scikit-learn's ``max_iter``, ``learning_rate``, ``max_leaf_nodes``, ``min_samples_leaf``, ``l2_regularization``,
        ``max_features``, ``random_state``.

    Returns
    -------
    BoostedTrees

    Notes
    -----
    There are no weights on purpose: scikit-learn 1.9 then finds the bins of each column by weighted percentiles, which takes
    minutes where the trees take seconds. A class that was thinned out is corrected by a constant instead.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    # scikit-learn refuses a column in which every value is missing
    columns = np.flatnonzero(np.isfinite(table).any(axis=0))
    model = HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=min_leaf,
        l2_regularization=l2,
        max_features=share_of_features,
        early_stopping=False,
        random_state=seed,
    ).fit(table[:, columns], target)
    outputs = int(target.max()) + 1
    predictors = model._predictors
    baseline = np.asarray(model._baseline_prediction, np.float64).reshape(-1)
    if outputs == 2:
        # scikit-learn grows the trees of the second output alone; the first stays at nothing
        baseline = np.array([0.0, baseline[0]])
    parts = []
    first = 0
    roots = [0]
    for group in predictors:
        own = [None, group[0]] if outputs == 2 else list(group)
        for predictor in own:
            nodes = _leaf_of_nothing() if predictor is None else _nodes_of(predictor.nodes, first, columns)
            parts.append(nodes)
            first += len(nodes[0])
            roots.append(first)
    joined = [np.concatenate([part[place] for part in parts]) for place in range(5)]
    trees = BoostedTrees(
        joined[0].astype(np.int32),
        joined[1].astype(np.float64),
        joined[2].astype(np.bool_),
        joined[3].astype(np.int32),
        joined[4].astype(np.int32),
        np.array(roots, np.int32),
        baseline,
        table.shape[1],
    )
    trees.check()
    return trees


def _nodes_of(nodes: NDArray[np.void], first: int, columns: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
    leaf = nodes["is_leaf"].astype(bool)
    return (
        np.where(leaf, -1, columns[np.where(leaf, 0, nodes["feature_idx"])]),
        np.where(leaf, nodes["value"], np.minimum(nodes["num_threshold"], np.finfo(np.float64).max)),
        nodes["missing_go_to_left"].astype(bool),
        np.where(leaf, 0, nodes["left"].astype(np.int64) + first),
        np.where(leaf, 0, nodes["right"].astype(np.int64) + first),
    )


def _leaf_of_nothing() -> tuple[NDArray[Any], ...]:
    return (
        np.array([-1]),
        np.array([0.0]),
        np.array([False]),
        np.array([0]),
        np.array([0]),
    )


@compiled
def _walk(
    table: NDArray[np.float32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    missing_left: NDArray[np.bool_],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    roots: NDArray[np.int32],
    total: NDArray[np.float64],
) -> None:
    rows, outputs = total.shape
    for first in range(0, rows, _BLOCK_ROWS):
        last = min(first + _BLOCK_ROWS, rows)
        for tree in range(len(roots)):
            output = tree % outputs
            for row in range(first, last):
                node = roots[tree]
                column = feature[node]
                while column >= 0:
                    value = table[row, column]
                    if np.isnan(value):
                        node = left[node] if missing_left[node] else right[node]
                    elif value <= threshold[node]:
                        node = left[node]
                    else:
                        node = right[node]
                    column = feature[node]
                total[row, output] += threshold[node]
