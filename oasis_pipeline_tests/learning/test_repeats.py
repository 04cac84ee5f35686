import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.learning.repeats import weigh_repeats

POINTS = 20


def curves(kind, rng, spread=0.001):
    """Curves that resemble each other where their kind is the same."""
    shapes = np.random.default_rng(9).uniform(0, 1, (int(np.max(kind)) + 1, POINTS))
    return (shapes[kind] + rng.normal(0, spread, (len(kind), POINTS))).astype(np.float32)


def test_cards_that_are_their_wells_only_ones_count_one_each():
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 3, 50)
    found = weigh_repeats(np.arange(50), np.eye(3, dtype=bool)[kind], curves(kind, rng))
    np.testing.assert_array_equal(found.weight, 1.0)
    np.testing.assert_array_equal(found.well_weight, 1.0)


@given(runs=st.lists(st.integers(1, 60), min_size=1, max_size=6), limit=st.integers(1, 40))
def test_a_run_counts_as_its_limit_at_most_and_as_one_in_calibration(runs, limit):
    well = np.repeat(np.arange(len(runs)), runs)
    found = weigh_repeats(well, np.ones((len(well), 1), bool), limit=limit)
    np.testing.assert_allclose(np.bincount(well, found.weight), np.minimum(runs, limit))
    np.testing.assert_allclose(np.bincount(well, found.well_weight), 1.0)


def test_of_a_run_the_different_cards_are_learned_from():
    rng = np.random.default_rng(2)
    kind = np.zeros(300, int)
    kind[[40, 90, 250]] = [1, 2, 3]
    found = weigh_repeats(np.zeros(300), np.ones((300, 1), bool), curves(kind, rng), limit=5)
    assert {40, 90, 250} <= set(np.flatnonzero(found.weight > 0).tolist())


def test_a_label_that_the_look_alikes_deny_counts_little():
    rng = np.random.default_rng(3)
    hot = np.zeros((200, 2), bool)
    hot[:, 0] = True
    hot[[20, 120]] = [False, True]
    found = weigh_repeats(np.zeros(200), hot, curves(np.zeros(200, int), rng))
    right = hot[:, 0]
    assert found.agreement[right].min() > 0.8
    assert found.agreement[~right].max() < 0.3
    # of 198 cards a hundred are learned from: without the comparison the two slips would count 2 beside them
    assert found.weight[~right].sum() < 0.5
    assert found.weight[right].sum() > 90
    assert found.well_weight[~right].sum() == pytest.approx(found.agreement[~right].mean(), rel=0.3)


def test_cards_of_other_shapes_do_not_deny_a_label():
    rng = np.random.default_rng(4)
    kind = np.repeat([0, 1], [60, 3])
    found = weigh_repeats(np.zeros(63), np.eye(2, dtype=bool)[kind], curves(kind, rng))
    np.testing.assert_array_equal(found.agreement, 1.0)


def test_missing_curves_and_no_cards_are_no_error():
    hot = np.ones((30, 1), bool)
    bare = np.full((30, POINTS), np.nan, np.float32)
    found = weigh_repeats(np.zeros(30), hot, bare, limit=10)
    assert np.count_nonzero(found.weight) == 10
    assert len(weigh_repeats([], np.zeros((0, 2), bool)).weight) == 0
