from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.learning.promotion import compare_models
from oasis_pipeline.learning.scores import macro_f1

WELLS = np.repeat(np.arange(12), 10)


def answers(right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.eye(3, dtype=bool)[np.arange(120) % 3]
    other = np.eye(3, dtype=bool)[(np.arange(120) + 1) % 3]
    return truth, np.where((rng.random(120) < right)[:, None], truth, other)


def test_a_clearly_worse_model_is_worse_and_a_better_one_is_not() -> None:
    truth, good = answers(0.9, 1)
    _, bad = answers(0.6, 2)
    assert compare_models(truth, bad, good, WELLS).worse
    better = compare_models(truth, good, bad, WELLS)
    assert not better.worse
    assert better.low > 0
    assert better.new == pytest.approx(macro_f1(truth, good))
    assert (better.cards, better.wells) == (120, 12)


def test_the_same_answers_are_no_difference() -> None:
    truth, shown = answers(0.8, 3)
    same = compare_models(truth, shown, shown, WELLS)
    assert (same.low, same.high, same.worse) == (0.0, 0.0, False)


def test_a_difference_within_chance_is_not_held_against_the_new_model() -> None:
    truth, shown = answers(0.8, 4)
    new = shown.copy()
    new[0] = np.roll(truth[0], 1)
    new[1] = truth[1]
    comparison = compare_models(truth, new, shown, WELLS)
    assert abs(comparison.new - comparison.old) < 0.02
    assert not comparison.worse


def test_worse_on_one_well_only_or_on_three_wells_is_not_enough() -> None:
    truth, good = answers(0.9, 5)
    _, bad = answers(0.2, 6)
    assert not compare_models(truth[:30], bad[:30], good[:30], WELLS[:30]).worse
    one_well = good.copy()
    one_well[:3] = bad[:3]
    assert compare_models(truth, one_well, good, WELLS).worse_share <= 0.8


def test_nothing_in_common_is_said_so_and_fits_into_json() -> None:
    none = np.zeros((0, 3), bool)
    empty = compare_models(none, none, none, [])
    assert not empty.worse
    assert empty.to_dict()["new"] is None
    assert "no card" in empty.in_words("old")
