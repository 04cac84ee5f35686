"""Comparison of whole cards, and the reasons of a label."""

from dataclasses import replace

import numpy as np
import pytest

from oasis_pipeline.learning import kernel as k
from oasis_pipeline.learning.features import VIEWS, answer_columns, curve_columns, feature_names
from oasis_pipeline.learning.fitting import fit
from oasis_pipeline.learning.kernel import fit_kernel
from oasis_pipeline.learning.labels import encode_labels
from oasis_pipeline.learning.reasons import feature_groups, reasons


@pytest.fixture(scope="module")
def cards():
    """Two kinds that differ in the course of the load alone; descriptors say nothing."""
    rng = np.random.default_rng(4)
    kind = np.arange(80) % 2 == 0
    features = np.full((80, len(feature_names())), 1.0, np.float32)
    columns, names = curve_columns("surface"), feature_names()
    features[:, columns] = rng.normal(0, 0.1, (80, len(columns)))
    features[:, columns[:20]] += np.where(kind, 1.0, -1.0)[:, None]
    time, ordered = (
        columns[[f"surface_{part}_load" in names[k] for k in columns]] for part in ("time", "ordered")
    )
    features[:, ordered] = np.sort(features[:, time], axis=1)[:, 1::2]
    pump = [name.startswith("pump_") for name in names]
    features[:, pump] = np.nan
    return features, np.stack([kind, ~kind], axis=1)


def test_it_is_kernel_ridge_regression(cards):
    features, truth = cards
    found = fit_kernel(features, truth, "surface")
    scaled = (features[:, found.columns] - found.centre) * found.scale
    likeness = np.exp(-np.abs(scaled[:, None] - scaled[None]).sum(axis=2))
    target = truth[:, np.argsort([1, 0])].astype(float) if found.sets[0, 0] == 0 else truth.astype(float)
    weights = np.linalg.solve(likeness + k.RIDGE * np.eye(80), target - target.mean(axis=0))
    np.testing.assert_allclose(found.weights, weights, atol=2e-3)
    assert (found.score(features).argmax(axis=1) == truth.argmax(axis=1)).all()


def test_landmarks_answer_as_all_cards_do(cards, monkeypatch):
    features, truth = cards
    whole = fit_kernel(features, truth, "surface").score(features)
    monkeypatch.setattr(k, "LANDMARKS", 40)
    few = fit_kernel(features, truth, "surface", seed=1)
    assert len(few.landmarks) == 40
    np.testing.assert_array_equal(few.score(features).argmax(axis=1), whole.argmax(axis=1))
    assert np.abs(few.score(features) - whole).mean() < 0.05


def test_without_curves_there_is_none_and_a_missing_value_is_no_number(cards):
    features, truth = cards
    assert fit_kernel(features, truth, "both") is None
    found = fit_kernel(features, truth, "surface")
    asked = np.full((3, features.shape[1]), np.nan, np.float32)
    assert np.isfinite(found.score(asked)).all()
    assert found.score(asked[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("columns", np.array([-1], np.int32)),
        ("landmarks", np.zeros((2, 1), np.float32)),
        ("weights", np.full((80, 2), np.nan, np.float32)),
        ("sets", np.full((2, 2), 7, np.uint8)),
    ],
)
def test_unsound_arrays_are_refused(cards, part, value):
    found = fit_kernel(*cards, "surface")
    found.check(cards[0].shape[1])
    with pytest.raises(ValueError, match=r"."):
        replace(found, **{part: value}).check(cards[0].shape[1])


def test_the_kernel_joins_where_it_helps_and_its_curves_are_the_reason(cards):
    features, truth = cards
    labels = encode_labels(np.where(truth[:, 0], "A", "B").tolist())
    model = fit(features, labels, np.arange(80), trees=5)
    view = model.views["surface"]
    assert view.kernel is not None
    assert view.kernel_weight > 0
    assert (model.predict_proba(features).argmax(axis=1) == labels.multi_hot.argmax(axis=1)).all()
    found = reasons(model, features[:4])
    assert [row[0].what for row in found] == ["course of the whole surface card"] * 4
    assert all(row[0].points > 10 for row in found)
    with pytest.raises(ValueError, match="does not know"):
        reasons(model, features[:1], "C")
    assert reasons(model, np.full_like(features[:1], np.nan)) == [[]]


def test_every_feature_belongs_to_one_reason():
    columns = np.concatenate(list(feature_groups().values()))
    made_of_others = [answer_columns(view) for view in VIEWS]
    every = np.concatenate([columns, *made_of_others])
    assert sorted(every.tolist()) == list(range(len(feature_names())))
