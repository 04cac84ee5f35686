import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, f1_score

from oasis_pipeline.learning import scores

TRUTH = arrays(bool, st.tuples(st.integers(1, 30), st.just(3)))


@given(TRUTH, st.integers(0, 99))
def test_f1_and_average_precision_agree_with_scikit_learn(truth, seed):
    rng = np.random.default_rng(seed)
    proba = np.round(rng.random(truth.shape), 1)  # ties on purpose
    shown = proba > 0.5
    ours, theirs = scores.f1_per_class(truth, shown), f1_score(truth, shown, average=None, zero_division=0)
    precision = scores.average_precision(truth, proba)
    for k in range(3):
        if truth[:, k].any():
            assert ours[k] == pytest.approx(theirs[k])
            assert precision[k] == pytest.approx(average_precision_score(truth[:, k], proba[:, k]))
        else:
            assert np.isnan(ours[k])
            assert np.isnan(precision[k])


def test_an_abstention_is_a_miss():
    truth = np.array([[1, 0], [1, 0], [0, 1]], bool)
    assert scores.macro_f1(truth, truth) == 1
    silent = truth.copy()
    silent[0] = False
    assert scores.macro_f1(truth, silent) == pytest.approx((2 / 3 + 1) / 2)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.65, 0.65])
    correct = np.array([True, True, True, False])
    assert scores.calibration_error(confidence, correct) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)
    assert scores.calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_risk_falls_when_the_sure_cards_are_the_right_ones():
    coverage, risk = scores.risk_coverage(np.linspace(1, 0, 10), np.arange(10) < 5)
    np.testing.assert_allclose(coverage, np.arange(1, 11) / 10)
    np.testing.assert_allclose(risk, [0, 0, 0, 0, 0, 1 / 6, 2 / 7, 3 / 8, 4 / 9, 0.5])


def test_bootstrap_resamples_wells_not_cards():
    truth = np.repeat(np.eye(2, dtype=bool), 200, axis=0)
    shown = truth.copy()
    shown[::4] = ~shown[::4]
    cards = scores.bootstrap_macro_f1(truth, shown, np.arange(400), 0)
    in_wells = scores.bootstrap_macro_f1(truth, shown, np.arange(400) % 4, 0)
    assert cards[0] < scores.macro_f1(truth, shown) < cards[1]
    assert in_wells[1] - in_wells[0] > 3 * (cards[1] - cards[0])
    assert scores.bootstrap_macro_f1(truth, shown, np.arange(400), 0) == cards
    assert np.isnan(scores.bootstrap_macro_f1(truth, shown, np.zeros(400, np.int64), 0)).all()
    of_class = scores.bootstrap_class_f1(truth, shown, np.arange(400), 0)
    for (low, high), f1 in zip(of_class, scores.f1_per_class(truth, shown), strict=True):
        assert low < f1 < high
    assert np.isnan(scores.bootstrap_class_f1(truth, shown, np.zeros(400, np.int64), 0)).all()


@given(TRUTH, TRUTH)
def test_confusion_accounts_for_every_label(truth, shown):
    rows = min(len(truth), len(shown))
    truth, shown = truth[:rows], shown[:rows]
    table = scores.confusion(truth, shown)
    np.testing.assert_allclose(table.sum(axis=1), truth.sum(axis=0))
    np.testing.assert_array_equal(np.diag(table[:, :3]), (truth & shown).sum(axis=0))


def test_missed_labels_are_counted_by_their_reason():
    truth = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0]], bool)
    proba = np.array([[0.9, 0.2, 0.3], [0.7, 0.6, 0.1], [0.2, 0.1, 0.1], [0.1, 0.8, 0.1]])
    shown = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]], bool)
    why = scores.why_missed(truth, proba, shown)
    np.testing.assert_array_equal(why["blanked"], [0, 0, 1])
    np.testing.assert_array_equal(why["outranked"], [0, 0, 1])
    np.testing.assert_array_equal(why["unknown"], [1, 0, 0])
    np.testing.assert_array_equal(sum(why.values()), scores.counts(truth, shown)[2])
