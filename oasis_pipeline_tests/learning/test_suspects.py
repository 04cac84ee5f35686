from __future__ import annotations

import numpy as np

from oasis_pipeline.learning.evaluation import train_and_evaluate
from oasis_pipeline.learning.labels import Labels
from oasis_pipeline.learning.suspects import suspected_labels

from .conftest import Field


def planted(field: Field, share: float, seed: int) -> tuple[Labels, np.ndarray]:
    """The field's labels with some of them changed to another class, and which."""
    rng = np.random.default_rng(seed)
    labels = field.labels
    wrong = rng.random(len(labels)) < share
    multi_hot = labels.multi_hot.copy()
    for row in np.flatnonzero(wrong):
        has, lacks = np.flatnonzero(labels.multi_hot[row]), np.flatnonzero(~labels.multi_hot[row])
        multi_hot[row, rng.choice(has)] = False
        multi_hot[row, rng.choice(lacks)] = True
    return Labels(labels.classes, multi_hot, labels.labelled, {}), wrong


def test_planted_wrong_labels_are_found_on_wells_held_out(field: Field) -> None:
    labels, wrong = planted(field, 0.08, 4)
    training = train_and_evaluate(field.features, labels, field.wells, trees=30, count=3)
    found = suspected_labels(training.truth, training.proba, field.wells[training.rows])
    hits = wrong[training.rows[found.rows]]
    assert hits.mean() >= 0.8, "most suspects are wrong labels"
    assert hits.sum() >= 0.5 * wrong.sum(), "half of the wrong labels or more are suspected"
    truth = field.labels.multi_hot[training.rows[found.rows]][hits]
    assert truth[np.arange(hits.sum()), found.suggested[hits]].mean() >= 0.8, "the right class is suggested"


def test_labels_that_the_models_agree_with_are_not_suspected() -> None:
    given = np.eye(3, dtype=bool)[np.arange(60) % 3]
    found = suspected_labels(given, np.where(given, 0.9, 0.05))
    assert len(found.rows) == 0


def test_a_swapped_label_comes_before_a_doubtful_one() -> None:
    given = np.eye(3, dtype=bool)[np.arange(60) % 3]
    proba = np.where(given, 0.8, 0.1)
    proba[0], proba[1] = [0.02, 0.97, 0.01], [0.85, 0.08, 0.01]
    found = suspected_labels(given, proba)
    assert found.rows.tolist() == [0, 1]
    assert (found.doubted.tolist(), found.suggested.tolist()) == ([0, 1], [1, 0])
    assert found.doubt[0] > found.doubt[1]


def test_rare_classes_and_cards_without_a_model_stay_out() -> None:
    given = np.eye(2, dtype=bool)[np.array([0] * 20 + [1] * 3)]
    proba = np.tile([0.01, 0.99], (23, 1))
    assert len(suspected_labels(given, proba).rows) == 0, "a class of three cards proves nothing"
    assert len(suspected_labels(given, np.full((23, 2), np.nan)).rows) == 0
    assert len(suspected_labels(given[:0], proba[:0]).rows) == 0


def test_classes_that_the_models_can_not_tell_have_no_say() -> None:
    rng = np.random.default_rng(1)
    given = np.eye(3, dtype=bool)[np.arange(90) % 3]
    guesses = rng.dirichlet(np.ones(3), 90)
    assert len(suspected_labels(given, guesses).rows) <= 5, "guesses accuse nobody"
    # each class in one well: the models of the other wells have never seen it, and say another
    wells = np.arange(90) % 3
    assert len(suspected_labels(given, np.where(given, 0.01, 0.5), wells).rows) == 0
