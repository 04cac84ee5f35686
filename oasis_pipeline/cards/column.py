"""The ragged batch type: a column of cards with different numbers of points.

Belongs here: :class:`CardColumn` and the two ways through it (groups of equal point count, ranges of points).
Does not belong here: bytes (``codec``), what makes a card usable (``quality``), geometry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]

__all__ = ["CardColumn", "FloatArray", "IntArray", "group_by_count"]


@dataclass(frozen=True, eq=False)
class CardColumn:
    """Many cards, laid end to end as in an Arrow list column.

    Attributes
    ----------
    position : ndarray of float32 (or float64), shape (total_points,)
        Positions, in.
    load : ndarray of the same type, shape (total_points,)
        Loads, lbf.
    offsets : ndarray of int64, shape (n + 1,)
        The points of card ``i`` are ``[offsets[i], offsets[i + 1])``; a card without points is a missing card.

    Raises
    ------
    ValueError
        If the offsets do not start at 0, decrease, or do not end at the number of points.
    """

    position: FloatArray
    load: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        """Check that the three arrays belong together."""
        offsets = self.offsets
        if offsets.ndim != 1 or offsets.size == 0 or offsets[0] != 0 or np.any(offsets[1:] < offsets[:-1]):
            raise ValueError("offsets must be one-dimensional, start at 0 and never decrease")
        if self.position.shape != (int(offsets[-1]),) or self.load.shape != self.position.shape:
            raise ValueError("position and load must be flat and end where the offsets end")

    def __len__(self) -> int:
        """Return the number of cards."""
        return self.offsets.size - 1

    @property
    def counts(self) -> IntArray:
        """Number of points of each card, shape (n,)."""
        return np.diff(self.offsets)

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[ArrayLike, ArrayLike] | None]) -> CardColumn:
        """Build a column from one (position, load) pair a card; ``None`` is a missing card.

        Parameters
        ----------
        rows : sequence of (position, load) or None
            One-dimensional and of equal length within a pair; in, lbf. Stored as float64 if any array is float64
            and as float32 otherwise.

        Raises
        ------
        ValueError
            If position and load of a card differ in length.
        """
        pairs = [(np.zeros(0, np.float32),) * 2 if row is None else tuple(map(_flat, row)) for row in rows]
        for index, (position, load) in enumerate(pairs):
            if position.size != load.size:
                raise ValueError(f"card {index}: {position.size} positions but {load.size} loads")
        offsets = np.zeros(len(pairs) + 1, np.int64)
        np.cumsum([position.size for position, _ in pairs], out=offsets[1:])
        if not pairs:
            return cls(np.zeros(0, np.float32), np.zeros(0, np.float32), offsets)
        dtype = np.result_type(np.float32, *(array.dtype for pair in pairs for array in pair if array.size))
        position_in = np.concatenate([position for position, _ in pairs]).astype(dtype, copy=False)
        load_lbf = np.concatenate([load for _, load in pairs]).astype(dtype, copy=False)
        return cls(position_in, load_lbf, offsets)

    @classmethod
    def from_dense(cls, position: ArrayLike, load: ArrayLike) -> CardColumn:
        """Build a column from arrays of shape (..., points); the batch axes are flattened in C order.

        Raises
        ------
        ValueError
            If the shapes differ or have no point axis.
        """
        position_in, load_lbf = _floating(position), _floating(load)
        if position_in.ndim == 0 or position_in.shape != load_lbf.shape:
            raise ValueError(f"shapes (..., points) must agree: {position_in.shape} and {load_lbf.shape}")
        dtype = np.result_type(position_in, load_lbf)
        n_cards = int(np.prod(position_in.shape[:-1]))
        offsets = np.arange(n_cards + 1, dtype=np.int64) * position_in.shape[-1]
        return cls(
            position_in.astype(dtype, copy=False).reshape(-1),
            load_lbf.astype(dtype, copy=False).reshape(-1),
            offsets,
        )

    def row(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Return (position, load) of one card as views, negative indices from the end."""
        index = range(len(self))[index]
        span = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.position[span], self.load[span]

    @overload
    def take(self, indices: NDArray[np.bool_]) -> CardColumn: ...
    @overload
    def take(self, indices: ArrayLike) -> CardColumn: ...
    def take(self, indices: ArrayLike) -> CardColumn:
        """Return the chosen cards, by integer indices (any order, repeats allowed) or by a boolean mask."""
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_:
            if chosen.shape != (len(self),):
                raise IndexError(f"mask of shape {chosen.shape} for {len(self)} cards")
            chosen = np.flatnonzero(chosen)
        chosen = np.arange(len(self))[chosen.astype(np.int64)]
        counts = self.counts[chosen]
        offsets = np.zeros(counts.size + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        points = point_indices(self.offsets[:-1][chosen], counts)
        return CardColumn(self.position[points], self.load[points], offsets)


def point_indices(starts: IntArray, counts: IntArray) -> IntArray:
    """Return the flat indices of the runs ``[starts[i], starts[i] + counts[i])``, end to end."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    return np.repeat(starts - (ends - counts), counts) + np.arange(total, dtype=np.int64)


def group_by_count(column: CardColumn) -> Iterator[tuple[IntArray, FloatArray, FloatArray]]:
    """Yield dense groups of cards with equal point count.

    Cards without points are left out. Groups that lie end to end in the column (the usual case: one count) are
    views and must not be written to.

    Yields
    ------
    indices : ndarray of int64, shape (k,)
        Which cards of the column, ascending.
    position, load : ndarray, shape (k, points)
        in, lbf.
    """
    counts = column.counts
    for count in np.unique(counts[counts > 0]).tolist():
        indices = np.flatnonzero(counts == count)
        starts = column.offsets[:-1][indices]
        yield indices, rows_at(column.position, starts, count), rows_at(column.load, starts, count)


def rows_at(flat: FloatArray, starts: IntArray, points: int) -> FloatArray:
    """Return runs of equal length of a flat array as rows: a view where they lie end to end, else a copy.

    Parameters
    ----------
    flat : ndarray, shape (total_points,)
    starts : ndarray of int64, shape (k,)
        Ascending, at least one.
    points : int
        Length of a run.

    Returns
    -------
    ndarray, shape (k, points)
    """
    first, last = int(starts[0]), int(starts[-1])
    if last - first == (starts.size - 1) * points:
        return flat[first : last + points].reshape(starts.size, points)
    return np.asarray(windows(flat, points)[starts])


def windows(flat: FloatArray, points: int) -> FloatArray:
    """View a flat array as all its runs of so many points, shape (size - points + 1, points).

    Taking rows of it, or setting some that do not overlap, is one block copy a row instead of an index a point.
    """
    return as_strided(flat, (flat.size - points + 1, points), flat.strides * 2)


def _flat(values: ArrayLike) -> FloatArray:
    array = _floating(values)
    if array.ndim != 1:
        raise ValueError(f"one card is one-dimensional, not of shape {array.shape}")
    return array


def _floating(values: ArrayLike) -> FloatArray:
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    return array
