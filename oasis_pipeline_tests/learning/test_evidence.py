"""What the packaged network knows of classes without labels."""

import numpy as np
import pytest

from oasis_pipeline.learning.evidence import (
    Evidence,
    condition_columns,
    exclude_rivals,
    fit_evidence,
    rivals_of,
    rule_out_parted,
    share_of,
)
from oasis_pipeline.learning.features import answer_columns, feature_names

CLASSES = ("Fluid Pound", "Heavy Oil", "leak in  standing-valve")
NO_RIVALS = np.full(3, -1, np.int32)


def table(named, severity):
    """Features of which only the network's answers for the classes are known."""
    features = np.full((len(named), len(feature_names())), np.nan, np.float32)
    columns = condition_columns(CLASSES, "both")
    for k in (0, 2):
        features[:, columns[k]] = np.stack([named[:, k], named[:, k], severity[:, k], severity[:, k]], axis=1)
    return features


def test_classes_are_found_among_the_conditions_without_regard_to_spelling():
    names = feature_names()
    columns = condition_columns(CLASSES, "surface")
    assert [names[c] for c in columns[0]] == ["surface_named_fluid_pound", "surface_severity_fluid_pound"]
    assert columns[1].tolist() == [-1, -1]
    assert names[columns[2, 1]] == "surface_severity_leak_in_standing_valve"
    assert set(columns[[0, 2]].ravel()) <= set(answer_columns("surface").tolist())


def test_only_classes_that_the_network_knows_rest_on_it():
    assert share_of(condition_columns(CLASSES, "both")).tolist() == [0.5, 0.0, 0.5]


def test_with_both_cards_the_pump_card_is_asked_alone_too():
    names = feature_names()
    columns = condition_columns(CLASSES, "both")
    kinds = ("both_named", "pump_named", "both_severity", "pump_severity")
    assert [names[c] for c in columns[0]] == [f"{kind}_fluid_pound" for kind in kinds]
    features = np.full((1, len(names)), np.nan, np.float32)
    features[0, columns[0]] = 0.9, 0.1, 0.4, 0.6
    evidence = Evidence(columns, np.array([[1.0, 0.0, 0.0]] * 3), share_of(columns), NO_RIVALS)
    # the two logits cancel out, and half of a score's logit is left
    assert evidence.join(np.full((1, 3), 0.8, np.float32), features)[0, 0] == pytest.approx(2 / 3, abs=1e-3)


def test_the_answer_lies_between_both_and_keeps_what_the_network_does_not_know():
    named = np.array([[0.9, 0, 0.1], [0.02, 0, 0.5]])
    features = table(named, named)
    score = np.full((2, 3), 0.3, np.float32)
    coefficients = np.array([[1.0, 0.0, 0.0]] * 3)
    joined = Evidence(
        condition_columns(CLASSES, "both"), coefficients, np.array([0.5, 0.5, 0.0]), NO_RIVALS
    ).join(score, features)
    assert 0.3 < joined[0, 0] < 0.9
    assert 0.02 < joined[1, 0] < 0.3
    np.testing.assert_allclose(joined[:, 1:], 0.3)
    # a row that the network says nothing of keeps its score
    features[1] = np.nan
    again = Evidence(condition_columns(CLASSES, "both"), coefficients, np.full(3, 0.5), NO_RIVALS).join(
        score, features
    )
    np.testing.assert_allclose(again[1], 0.3)


def test_a_class_without_labels_follows_the_others():
    rng = np.random.default_rng(5)
    n = 600
    truth = rng.random((n, 3)) < 0.3
    named = np.where(truth, rng.uniform(0.6, 0.95, (n, 3)), rng.uniform(0.02, 0.3, (n, 3)))
    truth[:, 2] = False
    columns = condition_columns(CLASSES, "both")
    found = fit_evidence(table(named, named), truth, np.ones(n), columns)
    assert found[0, :2].sum() > 1, "the network is right about the labelled class"
    assert (found == found[0]).all()
    truth[:, 0] = ~truth[:, 0]
    assert fit_evidence(table(named, named), truth, np.ones(n), columns)[2, 0] < 0
    nothing = fit_evidence(table(named, named), np.zeros((n, 3), bool), np.ones(n), columns)
    assert (nothing == [1.0, 0.0, 0.0]).all()


def test_gas_interference_and_fluid_pound_share_one_stroke():
    classes = ("Fluid Pound", "GAS INTERFERENCE", "Full Pump")
    columns = condition_columns(classes, "both")
    rival = rivals_of(columns, np.eye(3, dtype=bool))
    assert rival.tolist() == [1, 0, -1]
    together = np.tile([True, True, False], (3, 1))
    slips = np.concatenate([np.repeat(np.eye(3, dtype=bool), 20, axis=0), together[:1]])
    assert rivals_of(columns, slips).tolist() == [1, 0, -1]
    assert rivals_of(columns, together).tolist() == [-1, -1, -1], "people of this field give both to one card"
    assert rivals_of(columns[:1], np.ones((1, 1), bool)).tolist() == [-1]

    proba = np.array([[0.9, 0.6, 0.8], [0.3, 0.5, 0.8], [0.2, 0.95, 0.1]], np.float32)
    expected = [[0.9, 0.1, 0.8], [0.3, 0.5, 0.8], [0.05, 0.95, 0.1]]
    np.testing.assert_allclose(exclude_rivals(proba, rival), expected, atol=1e-6)
    np.testing.assert_array_equal(exclude_rivals(proba, NO_RIVALS), proba)


def test_parted_rods_are_ruled_out_for_cards_of_full_height():
    classes = ("Fluid Pound", "PARTED rod")
    features = np.full((5, len(feature_names())), np.nan, np.float32)
    for name, values in (
        ("up_minus_down_lbf", [4300, 900, 1500, 4300, np.nan]),
        ("mean_load_lbf", [6050, 6050, 2000, 7000, np.nan]),
    ):
        features[:, feature_names().index(f"surface_{name}")] = values
    proba = np.tile(np.float32([0.02, 0.98]), (5, 1))
    found = rule_out_parted(proba, features, classes)
    assert found[:, 1].tolist() == pytest.approx([0.0, 0.98, 0.98, 0.98, 0.98])
    np.testing.assert_array_equal(found[:, 0], proba[:, 0])
    assert rule_out_parted(proba, features, ("Fluid Pound", "Heavy Oil")) is proba


def test_unsound_arrays_are_told():
    columns = condition_columns(CLASSES, "both")
    good = Evidence(columns, np.zeros((3, 3)), np.zeros(3), NO_RIVALS)
    good.check(len(feature_names()), 3)
    for bad in (
        Evidence(columns, np.zeros((3, 2)), np.zeros(3), NO_RIVALS),
        Evidence(columns, np.full((3, 3), np.nan), np.zeros(3), NO_RIVALS),
        Evidence(columns + 10_000, np.zeros((3, 3)), np.zeros(3), NO_RIVALS),
        Evidence(columns, np.zeros((3, 3)), np.zeros(3), np.full(3, 3, np.int32)),
        Evidence(columns, np.zeros((3, 3)), np.full(3, 1.5), NO_RIVALS),
    ):
        with pytest.raises(ValueError, match=r"numbers|does not exist|between 0 and 1"):
            bad.check(len(feature_names()), 3)
