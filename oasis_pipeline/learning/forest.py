"""A forest of decision trees as plain arrays, and its prediction.

Belongs here: the arrays, the step from scikit-learn's trees to them, prediction, and the check that arrays from
elsewhere are a forest. Does not belong here: how trees are grown (scikit-learn does that), files (``artifact``).

Why not scikit-learn's own objects: they can be stored only by running code that the file names (pickle, or skops with a
list of trusted types whose state is still handed to compiled code unchecked), and predict slower. Arrays of numbers run nothing, are checked in
full, and outlive scikit-learn's versions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_BLOCK_CARDS = 64  # cards that walk one tree together: they and the tree's top stay in the core's cache
_LEAF_SCALE = 255.0


@dataclass(frozen=True)
class Forest:
    """Trees laid end to end; every node comes after its parent.

    Attributes
    ----------
    feature : ndarray of int32, shape (nodes,)
        Column that the node looks at; -1 marks a leaf.
    threshold : ndarray of float32, shape (nodes,)
        Values up to and including it go left.
    left, right : ndarray of int32, shape (nodes,)
        Children, counted over the whole forest. A leaf's ``left`` is its row in ``leaf_value``.
    missing_left : ndarray of bool, shape (nodes,)
        Whether NaN goes left.
    leaf_value : ndarray of uint8, shape (leaves, outputs)
        Share of training cards in the leaf that have each class, times 255.
    roots : ndarray of int32, shape (trees + 1,)
        First node of each tree, and the number of nodes.
    n_features : int
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    leaf_value: NDArray[np.uint8]
    roots: NDArray[np.int32]
    n_features: int

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.roots) - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, for storing."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "n_features"}

    def mean_leaf(
        self, features: NDArray[np.float32], first_tree: int = 0, trees: int | None = None
    ) -> NDArray[np.float32]:
        """Average the leaves that cards fall into.

        Parameters
        ----------
        features : ndarray of float32, shape (n, n_features)
            NaN is a missing value.
        first_tree, trees : int
            Which trees to ask; all by default.

        Returns
        -------
        ndarray of float32, shape (n, outputs)
            0 to 1.

        Raises
        ------
        ValueError
            If the number of features is not the forest's.
        """
        table = np.ascontiguousarray(features, np.float32)
        if table.ndim != 2 or table.shape[1] != self.n_features:
            raise ValueError(f"the forest takes {self.n_features} features, not {table.shape[1:]}")
        count = self.n_trees - first_tree if trees is None else trees
        total = np.zeros((len(table), self.leaf_value.shape[1]), np.float32)
        _walk(
            table,
            self.feature,
            self.threshold,
            self.left,
            self.right,
            self.missing_left,
            self.leaf_value,
            self.roots[first_tree : first_tree + count],
            total,
        )
        return total / np.float32(_LEAF_SCALE * count)

    def check(self) -> None:
        """Make sure that prediction ends and never leaves the arrays.

        Raises
        ------
        ValueError
            With what is wrong.
        """
        nodes = len(self.feature)
        want = {
            "feature": (np.int32, 1), "threshold": (np.float32, 1), "left": (np.int32, 1), "right": (np.int32, 1),
            "missing_left": (np.bool_, 1), "leaf_value": (np.uint8, 2), "roots": (np.int32, 1),
        }  # fmt: skip
        for name, (dtype, axes) in want.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != axes:
                raise ValueError(f"{name} has type {array.dtype} and {array.ndim} axes")
            if name not in ("leaf_value", "roots") and len(array) != nodes:
                raise ValueError(f"{name} has {len(array)} entries for {nodes} nodes")
        roots = self.roots.astype(np.int64)
        if len(roots) < 2 or roots[0] != 0 or roots[-1] != nodes or np.any(np.diff(roots) < 1):
            raise ValueError("the roots do not divide the nodes into trees")
        if self.leaf_value.shape[1] < 1:
            raise ValueError("leaves have no output")
        leaf = self.feature < 0
        if np.any(self.feature >= self.n_features) or np.any(self.feature < -1):
            raise ValueError("a node looks at a feature that does not exist")
        if np.any(self.left[leaf] < 0) or np.any(self.left[leaf] >= len(self.leaf_value)):
            raise ValueError("a leaf has no value")
        inner = np.flatnonzero(~leaf)
        end = np.repeat(roots[1:], np.diff(roots))[inner]
        for child in (self.left[inner], self.right[inner]):
            if np.any(child <= inner) or np.any(child >= end):
                raise ValueError("a child does not come after its parent in the same tree")
        if not np.isfinite(self.threshold[inner]).all():
            raise ValueError("a threshold is not a number")


def forest_from_trees(
    trees: list[Any],
    leaf_rows: list[NDArray[np.floating]],
    n_features: int,
    columns: NDArray[np.intp] | None = None,
) -> Forest:
    """Lay scikit-learn trees end to end.

    Parameters
    ----------
    trees : list of sklearn.tree._tree.Tree
    leaf_rows : list of ndarray, shape (nodes of that tree, outputs)
        Value of every node of each tree, 0 to 1; only those of leaves are kept.
    n_features : int
    columns : ndarray of int, optional
        The columns that the trees were grown on, where those were not all.

    Returns
    -------
    Forest

    Notes
    -----
    scikit-learn compares float32 features with float64 thresholds. The largest float32 that is not above the threshold
    gives the same answer for every float32, so nothing is lost but half of the memory.
    """
    sizes = np.array([tree.node_count for tree in trees], np.int64)
    roots = np.concatenate([[0], np.cumsum(sizes)])
    feature, threshold, left, right, missing, values = [], [], [], [], [], []
    n_leaves = 0
    for tree, rows, start in zip(trees, leaf_rows, roots[:-1].tolist(), strict=True):
        is_leaf = tree.children_left < 0
        count = int(is_leaf.sum())
        column = np.where(is_leaf, 0, tree.feature)
        feature.append(np.where(is_leaf, -1, column if columns is None else columns[column]))
        threshold.append(_round_down(np.where(is_leaf, 0.0, tree.threshold)))
        left.append(np.where(is_leaf, n_leaves + np.cumsum(is_leaf) - 1, tree.children_left + start))
        right.append(np.where(is_leaf, 0, tree.children_right + start))
        missing.append(np.asarray(tree.missing_go_to_left, bool) & ~is_leaf)
        values.append(np.round(rows[is_leaf] * _LEAF_SCALE).astype(np.uint8))
        n_leaves += count
    forest = Forest(
        np.concatenate(feature).astype(np.int32),
        np.concatenate(threshold),
        np.concatenate(left).astype(np.int32),
        np.concatenate(right).astype(np.int32),
        np.concatenate(missing),
        np.concatenate(values),
        roots.astype(np.int32),
        n_features,
    )
    forest.check()
    return forest


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    single = values.astype(np.float32)
    too_high = single.astype(np.float64) > values
    single[too_high] = np.nextafter(single[too_high], np.float32(-np.inf))
    return single


@numba.njit(cache=True, nogil=True)
def _walk(table, feature, threshold, left, right, missing_left, leaf_value, roots, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    cards, outputs = total.shape
    for first in range(0, cards, _BLOCK_CARDS):
        last = min(first + _BLOCK_CARDS, cards)
        for tree in range(len(roots)):
            for card in range(first, last):
                node = roots[tree]
                while feature[node] >= 0:
                    value = table[card, feature[node]]
                    goes_left = missing_left[node] if np.isnan(value) else value <= threshold[node]
                    node = left[node] if goes_left else right[node]
                row = left[node]
                for output in range(outputs):
                    total[card, output] += leaf_value[row, output]
