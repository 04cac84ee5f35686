"""Simulated cards beside labelled ones: brought to the field's classes, and used only where held-out wells gain by them."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.learning.background import Trial, background_of, try_background
from oasis_pipeline.learning.evaluation import OURS_BESIDE_SIMULATED, train_and_evaluate
from oasis_pipeline.learning.features import feature_names, view_columns
from oasis_pipeline.learning.fitting import fit_out_of_fold
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.learning.trainer import Background
from oasis_pipeline.learning.weak_labels import joined

NAMES = feature_names()
SURFACE = view_columns("surface")


def cards(label: np.ndarray, rng: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    """Surface cards of which the first feature of the card tells the class, and a second one the well."""
    features = np.full((len(label), len(NAMES)), np.nan, np.float32)
    features[:, SURFACE] = rng.normal(size=(len(label), len(SURFACE))) * 0.1
    features[:, SURFACE[3]] = 3.0 * label + shift + rng.normal(size=len(label))
    return features


def field(wells_of_each: int, rng: np.random.Generator) -> tuple[np.ndarray, Labels, np.ndarray]:
    label = np.repeat([0, 1, 2], 12 * wells_of_each)
    wells = np.repeat(np.arange(3 * wells_of_each), 12)
    names = np.array(["Full Pump", "Fluid Pound", "Gas Interference"])
    return cards(label, rng), encode_labels(names[label].tolist()), wells


def test_only_cards_of_the_fields_classes_are_kept_in_its_order() -> None:
    simulated = encode_labels(
        ["fluid pound", "Full Pump", "Parted Rod", "Full Pump", "Full Pump"] * 5,
        [None, None, None, "Parted Rod", "Fluid Pound"] * 5,
    )
    features = np.arange(len(simulated), dtype=np.float32)[:, None]
    kept = background_of(features, simulated, ["Full Pump", "Fluid Pound", "Heavy Oil"])
    assert kept.features[:3, 0].tolist() == [0.0, 1.0, 4.0]
    assert kept.multi_hot[:3].tolist() == [[False, True, False], [True, False, False], [True, True, False]]
    assert len(kept) == 15
    assert len(background_of(features, simulated, ["Heavy Oil"])) == 0


def test_they_help_where_each_class_has_one_well_only() -> None:
    rng = np.random.default_rng(1)
    features, labels, wells = field(1, rng)
    simulated = np.tile([0, 1, 2], 60)
    # the alphabet orders classes: Fluid Pound, Full Pump, Gas Interference
    hot = np.eye(3, dtype=bool)[:, [1, 0, 2]][simulated]
    trial = try_background(features, labels, wells, Background(cards(simulated, rng), hot))
    assert trial.helps
    assert trial.without < 0.2, "a class whose only well is held out can't be learned from labels"
    assert trial.beside > 0.6


def test_they_are_left_out_where_they_are_wrong() -> None:
    rng = np.random.default_rng(2)
    features, labels, wells = field(6, rng)
    simulated = np.tile([0, 1, 2], 120)
    wrong = np.eye(3, dtype=bool)[(simulated + 1) % 3]
    trial = try_background(features, labels, wells, Background(cards(simulated, rng), wrong))
    assert not trial.helps
    assert not Trial(0.5, 0.5).helps


def test_a_model_learned_with_them_says_so_and_is_judged_on_the_fields_cards_alone() -> None:
    rng = np.random.default_rng(3)
    features, labels, wells = field(2, rng)
    simulated = np.tile([0, 1, 2], 40)
    background = Background(cards(simulated, rng), np.eye(3, dtype=bool)[:, [1, 0, 2]][simulated])
    training = train_and_evaluate(features, labels, wells, trees=20, background=background)
    assert training.evaluation.models[0].name == OURS_BESIDE_SIMULATED
    assert training.evaluation.cards == len(features) == len(training.proba)
    with pytest.raises(StopIteration):
        training.evaluation.model("extra trees")


def test_a_simulated_well_is_held_out_once_and_a_doubtful_label_never() -> None:
    sure = Background(np.zeros((6, 2), np.float32), np.ones((6, 2), bool), np.arange(6) // 2)
    both = joined(sure, Background(np.zeros((3, 2), np.float32), np.ones((3, 2), bool)))
    assert both.wells is not None
    out = np.stack([both.held_out(fold, 2) for fold in range(2)])
    assert out.sum(axis=0).tolist() == [1] * 6 + [0] * 3
    for fold in out:
        assert not set(both.wells[fold]) & set(both.wells[~fold])
    assert len(both.take(out[0])) == 4


def test_simulated_wells_tell_what_a_score_means_and_teach_a_class_that_nobody_labelled() -> None:
    rng = np.random.default_rng(4)
    names = np.array(["Fluid Pound", "Full Pump", "Gas Interference"])
    label = np.repeat([0, 1], 36)
    labels = encode_labels(names[label].tolist(), also=names.tolist())
    simulated = np.tile([0, 1, 2], 60)
    background = Background(cards(simulated, rng), np.eye(3, dtype=bool)[simulated], np.arange(180) // 3)
    wells = np.arange(72) // 12
    model, held_out = fit_out_of_fold(cards(label, rng), labels, wells, trees=20, background=background)
    assert held_out.simulated is not None
    assert sorted(held_out.simulated.wells.tolist()) == sorted((np.arange(180) // 3).tolist())
    assert len(set(model.views["surface"].calibration.slope.tolist())) == 1, "one curve for all classes"
    found = model.predict(cards(np.full(50, 2), rng))["Label1"]
    assert (found == "Gas Interference").mean() > 0.6
    # the same cards, their labels in doubt: they teach, and judge nothing
    doubted = Background(background.features, background.multi_hot)
    again, judged = fit_out_of_fold(cards(label, rng), labels, wells, trees=20, background=doubted)
    assert judged.simulated is None
    assert again.classes == model.classes
