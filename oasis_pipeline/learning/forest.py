"""A forest of decision trees as plain arrays, and its prediction.

Belongs here: the arrays, the step from scikit-learn's trees to them, prediction, and the check that arrays from
elsewhere are a forest. Does not belong here: how trees are grown (scikit-learn does that), files (``artifact``).

Why not scikit-learn's own objects: they can be stored only by a format that names code to run (pickle), or one that hands
state from the file to compiled code unchecked (skops with the tree type trusted), and they predict slower. Arrays of numbers
run nothing, are checked in full, and outlive scikit-learn's versions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.compiled import compiled

_BLOCK_CARDS = 256  # cards that walk one tree together: their features and the tree stay in the core's cache
_LEAF_SCALE = 255.0


@dataclass(frozen=True)
class Forest:
    """Trees laid end to end, each in depth-first order: the left child of a node is the next node.

    Attributes
    ----------
    feature : ndarray of int16, shape (nodes,)
        Column that the node looks at; -1 marks a leaf.
    threshold : ndarray of float32, shape (nodes,)
        Values up to and including it go left.
    right : ndarray of int32, shape (nodes,)
        The right child, counted over the whole forest; of a leaf, its row in ``leaf_value``.
    leaf_value : ndarray of uint8, shape (leaves, outputs)
        Share of training cards in the leaf that have each class, times 255.
    roots : ndarray of int32, shape (trees + 1,)
        First node of each tree, and the number of nodes.
    n_features : int
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    right: NDArray[np.int32]
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
        self,
        features: NDArray[np.float32],
        first_tree: int = 0,
        trees: int | None = None,
        fill: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Average the leaves that cards fall into.

        Parameters
        ----------
        features : ndarray of float32, shape (n, n_features)
            NaN goes right everywhere; forests are grown without it.
        first_tree, trees : int
            Which trees to ask; all by default.
        fill : ndarray of float32, optional, shape (n_features,)
            What stands in for NaN.

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
        roots = self.roots[first_tree : first_tree + count]
        if fill is None:
            fill = np.full(self.n_features, np.nan, np.float32)
        asked = np.zeros(self.n_features + 1, bool)
        asked[self.feature] = True  # leaves, -1, mark the last one
        columns = np.flatnonzero(asked[:-1])
        place = np.full(self.n_features + 1, -1, np.int16)
        place[columns] = np.arange(len(columns), dtype=np.int16)
        _walk(
            table,
            fill.astype(np.float32, copy=False),
            columns,
            place[self.feature],
            self.threshold,
            self.right,
            self.leaf_value,
            roots,
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
        for name, dtype, axes in (
            ("feature", np.int16, 1),
            ("threshold", np.float32, 1),
            ("right", np.int32, 1),
            ("leaf_value", np.uint8, 2),
            ("roots", np.int32, 1),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != axes:
                raise ValueError(f"{name} has type {array.dtype} and {array.ndim} axes")
        if len(self.threshold) != nodes or len(self.right) != nodes:
            raise ValueError(
                f"{nodes} nodes, but {len(self.threshold)} thresholds and {len(self.right)} children"
            )
        roots = self.roots.astype(np.int64)
        if len(roots) < 2 or roots[0] != 0 or roots[-1] != nodes or np.any(np.diff(roots) < 1):
            raise ValueError("the roots do not divide the nodes into trees")
        if self.leaf_value.shape[1] < 1:
            raise ValueError("leaves have no output")
        leaf = self.feature < 0
        if np.any(self.feature >= self.n_features) or np.any(self.feature < -1):
            raise ValueError("a node looks at a feature that does not exist")
        if np.any(self.right[leaf] < 0) or np.any(self.right[leaf] >= len(self.leaf_value)):
            raise ValueError("a leaf has no value")
        inner = np.flatnonzero(~leaf)
        end = np.repeat(roots[1:], np.diff(roots))[inner]
        # The left child is the next node, so a right child after it leaves room for both.
        if np.any(self.right[inner] <= inner + 1) or np.any(self.right[inner] >= end):
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
        Grown depth first, as its forests are, on features without NaN.
    leaf_rows : list of ndarray, shape (nodes of that tree, outputs)
        Value of every node of each tree, 0 to 1; only those of leaves are kept.
    n_features : int
    columns : ndarray of int, optional
        The columns that the trees were grown on, where those were not all.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError
        If the trees are not in depth-first order.

    Notes
    -----
    scikit-learn compares float32 features with float64 thresholds. The largest float32 that is not above the threshold
    gives the same answer for every float32, so nothing is lost but half of the memory.
    """
    sizes = np.array([tree.node_count for tree in trees], np.int64)
    roots = np.concatenate([[0], np.cumsum(sizes)])
    feature, threshold, right, values = [], [], [], []
    n_leaves = 0
    for tree, rows, start in zip(trees, leaf_rows, roots[:-1].tolist(), strict=True):
        is_leaf = tree.children_left < 0
        inner = np.flatnonzero(~is_leaf)
        if np.any(tree.children_left[inner] != inner + 1):
            raise ValueError("the trees are not in depth-first order")
        column = np.where(is_leaf, 0, tree.feature)
        feature.append(np.where(is_leaf, -1, column if columns is None else columns[column]))
        threshold.append(_round_down(np.where(is_leaf, 0.0, tree.threshold)))
        right.append(np.where(is_leaf, n_leaves + np.cumsum(is_leaf) - 1, tree.children_right + start))
        values.append(np.round(rows[is_leaf] * _LEAF_SCALE).astype(np.uint8))
        n_leaves += int(is_leaf.sum())
    forest = Forest(
        np.concatenate(feature).astype(np.int16),
        np.concatenate(threshold),
        np.concatenate(right).astype(np.int32),
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


@compiled
def _child(
    block: NDArray[np.float32],
    card: np.uint64,
    node: np.uint64,
    feature: NDArray[np.int16],
    threshold: NDArray[np.float32],
    right: NDArray[np.int32],
) -> np.uint64:
    below = block[card, np.uint64(feature[node])] <= threshold[node]
    return node + np.uint64(1) if below else np.uint64(right[node])


@compiled
def _leaf(
    block: NDArray[np.float32],
    card: np.uint64,
    node: np.uint64,
    feature: NDArray[np.int16],
    threshold: NDArray[np.float32],
    right: NDArray[np.int32],
) -> np.uint64:
    while feature[node] >= 0:
        node = _child(block, card, node, feature, threshold, right)
    return node


@compiled
def _walk(
    table: NDArray[np.float32],
    fill: NDArray[np.float32],
    columns: NDArray[np.intp],
    feature: NDArray[np.int16],
    threshold: NDArray[np.float32],
    right: NDArray[np.int32],
    leaf_value: NDArray[np.uint8],
    roots: NDArray[np.int32],
    total: NDArray[np.float32],
) -> None:
    """Let cards walk the trees, four at a time: while one waits for memory, the steps of the others go on.

    A block of cards is copied first, with the columns that the forest asks for and no other, so that it stays in the core's cache.
    """
    cards, outputs = total.shape
    block = np.empty((_BLOCK_CARDS, len(columns)), np.float32)
    for first in range(0, cards, _BLOCK_CARDS):
        here = min(_BLOCK_CARDS, cards - first)
        for card in range(here):
            for place in range(len(columns)):
                value = table[first + card, columns[place]]
                block[card, place] = fill[columns[place]] if np.isnan(value) else value
        for tree in range(len(roots)):
            root = np.uint64(roots[tree])
            for card in range(0, here, 4):
                # The last ones walk beside themselves where there are fewer than four.
                a, b = np.uint64(card), np.uint64(min(card + 1, here - 1))
                c, d = np.uint64(min(card + 2, here - 1)), np.uint64(min(card + 3, here - 1))
                at_a, at_b, at_c, at_d = root, root, root, root
                while feature[at_a] >= 0 and feature[at_b] >= 0 and feature[at_c] >= 0 and feature[at_d] >= 0:
                    at_a = _child(block, a, at_a, feature, threshold, right)
                    at_b = _child(block, b, at_b, feature, threshold, right)
                    at_c = _child(block, c, at_c, feature, threshold, right)
                    at_d = _child(block, d, at_d, feature, threshold, right)
                at_a = _leaf(block, a, at_a, feature, threshold, right)
                at_b = _leaf(block, b, at_b, feature, threshold, right)
                at_c = _leaf(block, c, at_c, feature, threshold, right)
                at_d = _leaf(block, d, at_d, feature, threshold, right)
                for number in range(min(4, here - card)):
                    node = at_a if number == 0 else at_b if number == 1 else at_c if number == 2 else at_d
                    row = right[node]
                    for output in range(outputs):
                        total[first + card + number, output] += leaf_value[row, output]
