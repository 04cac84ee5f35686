import numpy as np
import pytest

from oasis_pipeline.learning.evidence import (
    Evidence,
    condition_columns,
    fit_evidence,
    labelled_wells,
    share_of,
)
from oasis_pipeline.learning.features import answer_columns, feature_names
from oasis_pipeline.learning.repeats import weigh_repeats

CLASSES = ("Fluid Pound", "Heavy Oil", "leak in  standing-valve")


def table(named, severity):
    """Features of which only the network's answers for the classes are known."""
    features = np.full((len(named), len(feature_names())), np.nan, np.float32)
    columns = condition_columns(CLASSES, "both")
    for k in (0, 2):
        features[:, columns[k]] = np.stack([named[:, k], severity[:, k]], axis=1)
    return features


def test_classes_are_found_among_the_conditions_without_regard_to_spelling():
    names = feature_names()
    columns = condition_columns(CLASSES, "surface")
    assert [names[c] for c in columns[0]] == ["surface_named_fluid_pound", "surface_severity_fluid_pound"]
    assert columns[1].tolist() == [-1, -1]
    assert names[columns[2, 1]] == "surface_severity_leak_in_standing_valve"
    assert set(columns[[0, 2]].ravel()) <= set(answer_columns("surface").tolist())


def test_one_labelled_well_moves_the_answer_a_little_and_ten_nearly_all_the_way():
    shares = share_of(1.0, np.array([0.0, 1.0, 3.0, 10.0, 1000.0]))
    assert shares[0] == 1.0
    assert 0.6 < shares[1] < 0.9
    assert shares[3] < 0.25
    assert shares[4] < 0.01


def test_the_answer_lies_between_both_and_keeps_what_the_network_does_not_know():
    named = np.array([[0.9, 0, 0.1], [0.02, 0, 0.5]])
    features = table(named, named)
    score = np.full((2, 3), 0.3, np.float32)
    coefficients = np.array([[1.0, 0.0, 0.0]] * 3)
    joined = Evidence(condition_columns(CLASSES, "both"), coefficients, np.array([0.5, 0.5, 0.0])).join(
        score, features
    )
    assert 0.3 < joined[0, 0] < 0.9
    assert 0.02 < joined[1, 0] < 0.3
    np.testing.assert_allclose(joined[:, 1:], 0.3)
    # a row that the network says nothing of keeps its score
    features[1] = np.nan
    again = Evidence(condition_columns(CLASSES, "both"), coefficients, np.full(3, 0.5)).join(score, features)
    np.testing.assert_allclose(again[1], 0.3)


def test_a_class_of_one_well_follows_the_others_and_one_of_many_speaks_for_itself():
    rng = np.random.default_rng(5)
    n = 600
    truth = rng.random((n, 3)) < 0.3
    named = np.where(truth, rng.uniform(0.6, 0.95, (n, 3)), rng.uniform(0.02, 0.3, (n, 3)))
    named[:, 2] = 1 - named[:, 2]  # the network is wrong about this one
    features = table(named, named)
    columns = condition_columns(CLASSES, "both")
    many = fit_evidence(features, truth, np.ones(n), columns)
    assert many[0, 0] > 0 > many[2, 0]
    few = fit_evidence(features, truth, np.full(n, 2.0 / n), columns)
    assert few[2, 0] > 0, "with hardly a well nothing is turned round"
    assert (many[1] == [1.0, 0.0, 0.0]).all()


def test_wells_are_counted_not_cards_and_slips_are_not_wells():
    rng = np.random.default_rng(6)
    well = np.repeat([0, 1, 2], 100)
    hot = np.zeros((300, 2), bool)
    hot[:, 0] = True
    hot[:100] = [False, True]
    hot[150] = [False, True]
    curves = (well[:, None] * 0.3 + rng.normal(0, 0.001, (300, 20))).astype(np.float32)
    count = labelled_wells(hot, weigh_repeats(well, hot, curves))
    assert count[0] == pytest.approx(2.0)
    assert 1.0 <= count[1] < 1.1


def test_unsound_arrays_are_told():
    columns = condition_columns(CLASSES, "both")
    good = Evidence(columns, np.zeros((3, 3)), np.zeros(3))
    good.check(len(feature_names()), 3)
    for bad in (
        Evidence(columns, np.zeros((3, 2)), np.zeros(3)),
        Evidence(columns, np.full((3, 3), np.nan), np.zeros(3)),
        Evidence(columns + 10_000, np.zeros((3, 3)), np.zeros(3)),
        Evidence(columns, np.zeros((3, 3)), np.full(3, 1.5)),
    ):
        with pytest.raises(ValueError, match=r"numbers|does not exist|between 0 and 1"):
            bad.check(len(feature_names()), 3)
