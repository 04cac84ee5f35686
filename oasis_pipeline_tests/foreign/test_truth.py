"""Scores on foreign fields."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.foreign_truth import (
    ONE_OF_TWO,
    WITHOUT,
    Answers,
    judge,
    quantity_errors,
    simulated_once,
    without,
)
from oasis_pipeline.learning import base

CLASSES = ("Fluid Pound", "Full Pump", "Wellbore Friction")


def cards(**columns: list[object]) -> pa.Table:
    n = len(columns["condition1"])
    given = {
        "NodeID": [f"W{k % 2}" for k in range(n)],
        "condition2": pa.array([None] * n, pa.string()),
        "full_pump_optional": [False] * n,
    }
    return pa.table(given | columns)


def answers(*shown: tuple[str, ...], surest: float = 0.9) -> Answers:
    hot = np.array([[name in pair for name in CLASSES] for pair in shown])
    proba = np.where(hot, surest, 0.02)
    return Answers(CLASSES, proba, hot, 1.0)


def test_a_habit_counts_neither_way() -> None:
    truth = cards(
        condition1=["Wellbore Friction", "Wellbore Friction", "Full Pump", "Fluid Pound"],
        full_pump_optional=[True, True, False, False],
    )
    with_full = answers(
        ("Wellbore Friction", "Full Pump"), ("Wellbore Friction",), ("Full Pump",), ("Fluid Pound",)
    )
    score = judge(truth, with_full)
    assert score.macro_f1 == 1
    assert score.coverage == 1
    assert score.calibration_error == pytest.approx(0.1)


def test_full_pump_alone_misses_what_is_there() -> None:
    truth = cards(condition1=["Wellbore Friction", "Full Pump"], full_pump_optional=[True, False])
    by_name = {each.name: each for each in judge(truth, answers(("Full Pump",), ("Full Pump",))).classes}
    assert by_name["Wellbore Friction"].recall == 0
    assert by_name["Full Pump"].precision == 1


def test_a_class_that_nobody_learned_counts() -> None:
    truth = cards(condition1=["Parted Rod", "Full Pump"])
    score = judge(truth, answers(("Full Pump",), ("Full Pump",)))
    assert score.macro_f1 == pytest.approx((0 + 2 / 3) / 2)
    assert {each.name for each in score.classes} == {"Parted Rod", "Full Pump"}


def test_nulls_count_only_where_there_is_a_truth() -> None:
    table = pa.table({"said p": pa.array([1.0, None, 5.0, 3.0]), "true p": pa.array([2.0, 2.0, None, 3.5])})
    errors, true, null = quantity_errors(table, "p", "true p")
    assert errors.tolist() == [-1.0, -0.5]
    assert true.tolist() == [2.0, 3.5]
    assert null == pytest.approx(1 / 3)


def test_a_part_is_taken_away_and_comes_back() -> None:
    for patches in (*WITHOUT.values(), ONE_OF_TWO):
        before = [getattr(place, name) for place, name, _ in patches]
        with without(patches):
            assert all(getattr(place, name) is instead for place, name, instead in patches)
        assert all(
            getattr(place, name) is kept for (place, name, _), kept in zip(patches, before, strict=True)
        )


def test_simulated_cards_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "simulated_background_set", lambda cards: [cards])
    with simulated_once():
        first = base.simulated_background_set(800)
        assert base.simulated_background_set(800) is first
        assert base.simulated_background_set(900) is not first
    assert base.simulated_background_set(800) is not first
