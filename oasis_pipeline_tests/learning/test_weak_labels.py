from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oasis_pipeline.learning.background import Trial
from oasis_pipeline.learning.labels import encode_labels
from oasis_pipeline.learning.trainer import Background
from oasis_pipeline.learning.weak_labels import (
    CARDS_A_WELL,
    RULE_FILE,
    WEIGHT,
    RuleFileError,
    read_vendor_rules,
    translate,
    try_weak,
    weak_background,
)

from .conftest import Field

VENDOR_TEXTS = (
    "Gas interference",
    "High rod-tubing friction",
    "Incomplete pump fillage",
    "Full pump",
    "Worn pump barrel",
    "Fluid pound",
    "Bent pump barrel or sticking plunger",
    "Phase shift in dyno card",
    "Pump hitting down",
    "Pump hitting up",
    "Possible TV leak",
    "Possible SV leak",
)


def test_every_word_of_the_vendor_has_a_rule_and_every_label_is_one_of_the_platforms() -> None:
    from oasis_pipeline.simulation.conditions import LABELS

    rules = read_vendor_rules()
    assert set(rules) == {text.casefold() for text in VENDOR_TEXTS}
    assert {label for label in rules.values() if label} <= set(LABELS)


def test_texts_become_labels_and_a_text_that_says_two_things_spoils_its_card() -> None:
    rules = read_vendor_rules()
    first = [
        "Full pump",
        " fluid  POUND",
        "Incomplete pump fillage",
        "Phase shift in dyno card",
        "New words",
        None,
    ]
    second = ["Pump hitting up", None, "Possible TV leak", "", "Possible SV leak", None]
    assert translate(first, second, rules) == (
        ["Full Pump", "Fluid Pound", None, None, None, None],
        ["Pump Tagging Up", None, None, None, "Leak in Standing Valve", None],
    )


def test_a_rule_file_of_the_home_folder_takes_the_place_of_the_packages_own(tmp_path: Path) -> None:
    (tmp_path / RULE_FILE).write_text('[[rule]]\ntext = "Fluid pound"\nlabel = "Pumped off"\n')
    assert read_vendor_rules(tmp_path) == {"fluid pound": "Pumped off"}
    (tmp_path / RULE_FILE).write_text("[[rule]]\nlabel = 3")
    with pytest.raises(RuleFileError, match="correct it or remove it"):
        read_vendor_rules(tmp_path)


def weak_of(field: Field, texts: list[str | None], wells: np.ndarray, people: int):
    labels = field.labels.take(np.arange(people))
    return weak_background(field.features, texts, [None] * len(texts), wells, labels, field.wells[:people])


def test_weak_cards_come_from_wells_without_labels_are_few_and_spread(field: Field) -> None:
    texts: list[str | None] = ["Full Pump"] * 240
    weak = weak_of(field, texts, field.wells, 60)
    taken = field.wells[weak.rows]
    assert not set(taken) & set(field.wells[:60]), "no card of a well that people have labelled"
    assert len(weak.background) == int(WEIGHT * 60) == len(weak.rows)
    counts = np.bincount(taken)[np.unique(taken)]
    assert counts.max() - counts.min() <= 1, "evenly over wells"
    assert weak.wells == 18
    many = weak_of(field, texts, np.where(field.wells < 6, field.wells, 99), 60)
    assert len(many.background) == CARDS_A_WELL, "one well alone can't bring more"


def test_classes_that_no_person_uses_are_not_learned_from_the_vendor(field: Field) -> None:
    texts: list[str | None] = ["Strange", "full pump"] * 120
    weak = weak_of(field, texts, field.wells, 60)
    assert (weak.rows % 2 == 1).all()
    column = field.labels.classes.index("Full Pump")
    assert weak.background.multi_hot[:, column].all()
    assert len(weak_of(field, ["Strange"] * 240, field.wells, 60).background) == 0
    assert len(weak_of(field, [None] * 240, field.wells, 60).background) == 0


def test_only_weak_labels_that_help_held_out_wells_are_taken(field: Field) -> None:
    # leaks stand in one labelled well only: nothing that the other wells teach can find them there
    leak = field.labels.multi_hot[:, field.labels.classes.index("Leak")]
    people = np.flatnonzero((field.wells < 4) & (~leak | (field.wells == 0)))
    labels = field.labels.take(people)
    rest = np.arange(40, 240)
    right = Background(field.features[rest], field.labels.multi_hot[rest])
    wrong = Background(field.features[rest], np.roll(field.labels.multi_hot[rest], 1, axis=1))
    few = field.wells[people]
    helped = try_weak(field.features[people], labels, few, right)
    misled = try_weak(field.features[people], labels, few, wrong)
    assert helped.helps
    assert not misled.helps
    beside = try_weak(field.features[people], labels, few, wrong, beside=right)
    assert isinstance(beside, Trial)
    assert beside.without == pytest.approx(helped.beside), "with what is learned from anyway"


def test_weak_labels_take_the_spelling_of_people() -> None:
    people = encode_labels(["FLUID POUND"] * 5 + ["ok"] * 5, min_cards=5)
    weak = weak_background(
        np.zeros((6, 3), np.float32), ["Fluid Pound"] * 6, [None] * 6, list(range(6)), people, ["x"] * 10
    )
    assert weak.background.multi_hot[:, people.classes.index("FLUID POUND")].all()
    assert len(weak.background) == 5
