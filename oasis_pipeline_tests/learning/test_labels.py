import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oasis_pipeline.learning.labels import UNKNOWN, encode_labels, shown_classes, top_two


def test_first_spelling_wins_and_order_of_the_two_does_not_matter():
    labels = encode_labels(
        ["Fluid Pound", " fluid  POUND", "Gas", "GAS", None],
        [None, "Gas", "fluid pound", None, ""],
        min_cards=1,
    )
    assert labels.classes == ("Fluid Pound", "Gas")
    np.testing.assert_array_equal(labels.multi_hot, [[1, 0], [1, 1], [1, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(labels.labelled, [1, 1, 1, 1, 0])
    assert encode_labels(["gas"], spellings=["Gas Interference", "GAS"], min_cards=1).classes == ("GAS",)


def test_classes_with_fewer_than_five_cards_are_listed_not_learned():
    labels = encode_labels(["A"] * 5 + ["B"] * 4 + ["C"] * 6, ["C"] + [None] * 14)
    assert labels.classes == ("A", "C")
    assert labels.unlearned == {"B": 4}
    assert labels.labelled.all()
    assert not labels.multi_hot[5:9].any()
    assert labels.enough
    assert not encode_labels(["A"] * 9).enough


def test_the_same_text_twice_on_a_card_is_one_label():
    assert encode_labels(["A"] * 4, ["a"] * 4).unlearned == {"A": 4}


def test_unknown_from_a_person_teaches_nothing():
    labels = encode_labels(["unknown", "A"], min_cards=1)
    assert labels.classes == ("A",)
    assert not labels.labelled[0]


def test_top_two_by_hand():
    proba = np.array(
        [[0.7, 0.36, 0.1], [0.2, 0.1, 0.7], [0.2, 0.1, 0.15], [0.35, 0.5, 0.0], [0.5, 0.350049, 0.0]]
    )
    table = top_two(proba, ["A", "B", "C"], 0.25)
    assert table["Label1"].tolist() == ["A", "C", UNKNOWN, "B", "A"]
    assert table["Label2"].tolist() == ["B", None, None, None, None]
    np.testing.assert_array_equal(table["Prob1"], [70, 70, 20, 50, 50])
    np.testing.assert_array_equal(table["Prob2"], [36, 20, 15, 35, 35])


def test_one_class_has_no_second():
    table = top_two(np.array([[0.9]]), ["A"])
    assert table["Label1"].tolist() == ["A"]
    assert table["Label2"].tolist() == [None]
    assert np.isnan(table["Prob2"]).all()


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="second ones"):
        encode_labels(["A"], ["B", "C"])


@given(
    arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
)
def test_what_is_shown_is_what_is_scored(proba, threshold):
    classes = [f"class {k}" for k in range(proba.shape[1])]
    table, shown = top_two(proba, classes, threshold), shown_classes(proba, threshold)
    for row in range(len(proba)):
        named = {table["Label1"][row], table["Label2"][row]} - {None, UNKNOWN}
        assert named == {classes[k] for k in np.flatnonzero(shown[row])}
        if table["Label2"][row] is not None:
            assert table["Prob2"][row] > 35
            assert table["Prob1"][row] >= table["Prob2"][row]


def test_classes_that_others_teach_are_learned_without_a_card():
    texts = ["Full Pump"] * 5 + ["fluid pound"] * 2
    labels = encode_labels(texts, also=["Fluid Pound", "Parted  Rod"])
    assert labels.classes == ("Full Pump", "Parted Rod", "fluid pound")
    assert labels.multi_hot.sum(axis=0).tolist() == [5, 0, 2]
    assert labels.unlearned == {}
