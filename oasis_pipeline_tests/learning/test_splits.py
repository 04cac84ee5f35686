import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.learning.splits import (
    BY_TIME,
    BY_WELL,
    folds_by_well,
    near_identical,
    number_wells,
    out_of_fold,
    training_rows,
)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60), st.integers(2, 6), st.integers(0, 9))
def test_no_well_is_on_both_sides(wells, count, seed):
    multi_hot = np.random.default_rng(seed).random((len(wells), 3)) > 0.5
    folds = folds_by_well(wells, multi_hot, count, seed)
    assert folds.of_card.shape == (len(wells),)
    assert set(folds.of_card) <= set(range(folds.count))
    if len(set(wells)) > 1:
        assert folds.scheme == BY_WELL
        assert folds.count == min(count, len(set(wells)))
        for well in set(wells):
            assert len(set(folds.of_card[np.array(wells) == well])) == 1
        assert len(set(folds.of_card)) == folds.count
    else:
        assert folds.scheme == BY_TIME


def test_folds_have_alike_shares_of_the_classes():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 5, 400)
    multi_hot = np.eye(5, dtype=bool)[kind]
    folds = folds_by_well(np.arange(400), multi_hot, 5, 0)
    per_fold = np.array([multi_hot[folds.of_card == fold].sum(axis=0) for fold in range(5)])
    assert np.ptp(per_fold, axis=0).max() <= 2
    again = folds_by_well(np.arange(400), multi_hot, 5, 0)
    np.testing.assert_array_equal(folds.of_card, again.of_card)
    assert (folds_by_well(np.arange(400), multi_hot, 5, 1).of_card != folds.of_card).any()


def test_one_well_is_divided_in_blocks_of_time():
    days = np.array([5, 1, 3, 2, 4, 6])
    folds = folds_by_well(["A"] * 6, np.ones((6, 1), bool), 3, 0, days)
    np.testing.assert_array_equal(folds.of_card, [2, 0, 1, 0, 1, 2])


def test_nothing_to_divide_is_an_error():
    with pytest.raises(ValueError, match="cannot be divided"):
        folds_by_well(["A"], np.ones((1, 1), bool), 5)


def test_near_identical_cards_are_found_in_blocks():
    rng = np.random.default_rng(1)
    curves = rng.random((5000, 100)).astype(np.float32)
    others = rng.random((2500, 100)).astype(np.float32)
    others[2400] = curves[4321] + 0.004
    others[3] = curves[7] + 0.006
    others[5] = np.nan
    curves[9] = np.nan
    np.testing.assert_array_equal(np.flatnonzero(near_identical(curves, others)), [4321])


def test_doubles_of_held_out_cards_do_not_teach():
    curves = np.random.default_rng(1).random((6, 100)).astype(np.float32)
    curves[5] = curves[0]
    folds = folds_by_well([0, 0, 1, 1, 2, 2], np.ones((6, 1), bool), 3, 0)
    for fold in range(3):
        rows = training_rows(folds, fold, curves)
        held = np.flatnonzero(folds.of_card == fold)
        expected = set(range(6)) - set(held)
        expected -= {5} if 0 in held else {0} if 5 in held else set()
        assert set(rows) == expected


def test_every_card_is_scored_by_a_model_that_has_not_seen_its_well():
    wells = np.repeat(np.arange(8), 5)
    features = wells[:, None].astype(np.float32)
    folds = folds_by_well(wells, np.ones((40, 1), bool), 4, 0)

    def train(table, multi_hot, seed):
        seen = set(table[:, 0])
        return lambda asked: np.array([[well in seen] for well in asked[:, 0]], float)

    assert not out_of_fold(train, features, np.ones((40, 1), bool), folds).any()


def test_wells_are_numbered_by_appearance():
    np.testing.assert_array_equal(number_wells(["B", "A", "B", "C"]), [0, 1, 0, 2])
