from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.learning.label_queue import order_to_label, standardised, uncertainty


def test_a_model_that_knows_is_not_unsure_and_one_that_does_not_is() -> None:
    sure, half = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert uncertainty(sure) == pytest.approx(0.0, abs=1e-6)
    assert uncertainty(half) == pytest.approx(2.0)
    assert uncertainty(np.array([[0.9, 0.1]])) < uncertainty(np.array([[0.7, 0.3]]))


def test_the_uncertain_card_comes_first_where_all_else_is_equal() -> None:
    proba = np.array([[0.99, 0.01], [0.5, 0.5], [0.9, 0.1]])
    space = np.array([[0.0], [1.0], [2.0]])
    taught = np.array([[10.0]])
    queue = order_to_label(proba, space, ["a", "b", "c"], [0, 0, 0], taught, 3)
    assert queue.rows[0] == 1
    assert sorted(queue.rows) == [0, 1, 2]


def test_doubles_of_a_chosen_card_wait() -> None:
    proba = np.array([[0.5], [0.5], [0.55]])
    space = np.array([[1.0], [1.0], [-1.0]])
    queue = order_to_label(proba, space, ["a", "b", "c"], [0, 0, 0], np.array([[0.0]]), 3)
    assert queue.rows.tolist()[1] == 2, (
        "the double of the first card waits for the other one, though that is surer"
    )


def test_wells_without_labels_go_first() -> None:
    proba, space = np.full((3, 1), 0.5), np.array([[1.0], [-1.0], [3.0]])
    queue = order_to_label(proba, space, ["much", "none", "little"], [9, 0, 2], np.array([[0.0]]), 3)
    assert queue.rows.tolist() == [1, 2, 0]


def test_a_queue_covers_wells_before_it_comes_back_to_one() -> None:
    rng = np.random.default_rng(1)
    wells = np.repeat(np.arange(12), 10)
    proba, space = rng.random((120, 3)), rng.normal(size=(120, 4))
    queue = order_to_label(proba, space, wells, np.zeros(120, int), space[:0], 12)
    assert len(set(wells[queue.rows])) >= 9


def test_a_well_that_is_strange_throughout_does_not_come_five_times_in_a_row() -> None:
    """One well of which the model knows nothing, and eight that it knows well."""
    wells = np.repeat(np.arange(9), 12)
    proba = np.where(wells == 0, 0.5, 0.999)[:, None]
    space = np.random.default_rng(3).normal(size=(108, 3)) * np.where(wells == 0, 5.0, 0.01)[:, None]
    queue = wells[order_to_label(proba, space, wells, np.zeros(108, int), space[:0], 60).rows]
    assert queue[0] == 0, "what it knows nothing of goes first"
    assert (queue[1:] != queue[:-1]).all()
    for first in range(len(queue) - 11):
        assert np.bincount(queue[first : first + 12]).max() <= 2, first
    assert (queue[:24] == 0).sum() == 4, "and as often as may be"


@given(st.lists(st.integers(1, 12), min_size=1, max_size=7), st.integers(0, 5))
def test_few_wells_take_turns_as_long_as_each_has_cards(cards: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    wells = np.repeat(np.arange(len(cards)), cards)
    count = len(wells)
    inputs = (rng.random((count, 2)), rng.normal(size=(count, 3)), wells, np.zeros(count, int))
    queue = wells[order_to_label(*inputs, np.zeros((0, 3)), count).rows]
    left = np.bincount(wells)
    for place, well in enumerate(queue):
        others = np.flatnonzero(left)
        assert place == 0 or well != queue[place - 1] or others.tolist() == [well]
        recent = np.bincount(queue[max(place - 11, 0) : place], minlength=len(cards))
        assert recent[well] < 2 or recent[well] <= min(
            (recent[o] for o in others if o != queue[place - 1]), default=99
        )
        left[well] -= 1


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5), st.integers(0, 3))
def test_a_queue_holds_each_card_once_and_is_repeatable(
    cards: int, limit: int, taught: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    inputs = (
        rng.random((cards, 2)),
        rng.normal(size=(cards, 3)),
        rng.integers(0, 4, cards),
        rng.integers(0, 9, cards),
        rng.normal(size=(taught, 3)),
    )
    queue = order_to_label(*inputs, limit)
    assert len(queue.rows) == min(cards, limit) == len(set(queue.rows.tolist()))
    assert np.array_equal(queue.rows, order_to_label(*inputs, limit).rows)
    assert ((queue.score >= 0) & (queue.score <= 1)).all()


def test_scales_missing_values_and_constants_do_not_matter_to_distances() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(50, 3))
    table[:, 2] = 7.0
    once, larger = standardised(table, table), standardised(table * [1, 1000, 1], table * [1, 1000, 1])
    np.testing.assert_allclose(once, larger, rtol=1e-5)
    assert (once[:, 2] == 0).all()
    table[0, 0] = np.nan
    assert standardised(table, table)[0, 0] == 0
    table[1, 1] = 1e9
    assert np.isfinite(standardised(table, table)).all()
