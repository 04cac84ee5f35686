from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.cards.column import CardColumn, group_by_count

from .strategies import any_columns


def test_from_rows_lays_cards_end_to_end():
    column = CardColumn.from_rows([([1, 2], [3, 4]), None, (np.float32([5]), np.float32([6]))])
    assert len(column) == 3
    assert column.counts.tolist() == [2, 0, 1]
    assert column.position.tolist() == [1, 2, 5]
    assert [values.tolist() for values in column.row(0)] == [[1, 2], [3, 4]]
    assert [values.tolist() for values in column.row(-1)] == [[5], [6]]


def test_no_rows_make_an_empty_column():
    column = CardColumn.from_rows([])
    assert len(column) == 0
    assert list(group_by_count(column)) == []
    assert len(column.take([])) == 0


def test_precision_is_kept():
    assert CardColumn.from_rows([(np.float32([1]), np.float32([2]))]).position.dtype == np.float32
    assert CardColumn.from_rows([(np.float64([1]), np.float32([2]))]).load.dtype == np.float64
    assert (
        CardColumn.from_dense(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)).load.dtype
        == np.float32
    )


@pytest.mark.parametrize("rows", [[([1, 2], [3])], [([[1]], [[2]])]])
def test_rows_that_are_no_card_are_refused(rows):
    with pytest.raises(ValueError, match=r"card 0|one-dimensional"):
        CardColumn.from_rows(rows)


@pytest.mark.parametrize("offsets", [[1, 2], [0, 2, 1], [0, 1], []])
def test_offsets_that_do_not_fit_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets"):
        CardColumn(np.zeros(2, np.float32), np.zeros(2, np.float32), np.array(offsets, np.int64))


def test_dense_arrays_must_agree():
    with pytest.raises(ValueError, match="agree"):
        CardColumn.from_dense(np.zeros((2, 3)), np.zeros((2, 4)))


def test_an_index_out_of_range_is_an_error():
    column = CardColumn.from_rows([([1], [2])])
    with pytest.raises(IndexError):
        column.row(1)
    with pytest.raises(IndexError):
        column.take([1])
    with pytest.raises(IndexError):
        column.take(np.array([True, False]))


@given(any_columns(), st.data())
def test_take_is_row_by_row(column, data):
    indices = data.draw(st.lists(st.integers(0, max(len(column) - 1, 0)), max_size=8 if len(column) else 0))
    taken = column.take(indices)
    assert len(taken) == len(indices)
    for at, index in enumerate(indices):
        np.testing.assert_array_equal(taken.row(at), column.row(index))


@given(any_columns())
def test_groups_hold_every_card_with_points_once(column):
    seen = []
    for indices, position, load in group_by_count(column):
        seen.extend(indices.tolist())
        for at, index in enumerate(indices):
            np.testing.assert_array_equal((position[at], load[at]), column.row(index))
    assert sorted(seen) == np.flatnonzero(column.counts).tolist()
