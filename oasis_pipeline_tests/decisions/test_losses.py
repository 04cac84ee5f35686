"""Attainable rate, and what of it is lost."""

import numpy as np
import pytest

from oasis_pipeline.decisions.losses import (
    DECLINE_PCT_PER_YEAR,
    attainable_rate,
    carry_known,
    lost_rate,
    smooth_recent,
)


def attainable(oil, run=None, displacement=100.0, sound=False):
    """Attainable rate of some wells."""
    oil = np.asarray(oil, float)
    shape = oil.shape
    return attainable_rate(
        oil,
        np.zeros(shape, np.int64) if run is None else run,
        np.broadcast_to(displacement, shape).astype(float),
        np.broadcast_to(sound, shape).astype(bool),
    )


def test_a_well_that_fell_could_make_what_it_made_less_decline():
    oil = np.concatenate([np.full(30, 24.0), np.full(10, 3.0)])[None, :]
    found = attainable(oil)
    assert found.basis[0, -1] == "own_past"
    yearly = 1.0 - DECLINE_PCT_PER_YEAR / 100.0
    assert 24.0 * yearly ** (40 / 365) < found.bpd[0, -1] <= 24.0
    lost, low, high = lost_rate(found, oil, 0.8 * oil, 1.2 * oil, np.zeros((1, 40), bool))
    assert lost[0, -1] == pytest.approx(20.5, abs=1.0)
    assert 0.0 < low[0, -1] < lost[0, -1] < high[0, -1]
    assert lost[0, 20] < 0.5


def test_one_lucky_card_is_not_attainable():
    oil = np.full((1, 40), 20.0)
    oil[0, 25] = 90.0
    assert attainable(oil).bpd[0, -1] < 21.0


def test_a_well_that_is_down_loses_all_of_it():
    oil = np.full((1, 20), 20.0)
    stopped = np.zeros((1, 20), bool)
    stopped[0, -1] = True
    found = attainable(oil)
    lost, _, _ = lost_rate(found, oil, oil, oil, stopped)
    assert lost[0, -1] == pytest.approx(found.bpd[0, -1])


def test_after_a_workover_the_pump_stands_in_for_the_past():
    oil = np.full((2, 30), 50.0)
    run = np.zeros((2, 30), np.int64)
    run[0, 28:] = 1
    found = attainable(oil, run, sound=True)
    assert found.basis[0, -1] == "pump_capacity"
    assert found.bpd[0, -1] == pytest.approx(
        50.0
    )  # 50 of 100 bbl/d displacement is what sound wells of this field deliver
    assert found.spread[0, -1] > found.spread[1, -1]


def test_what_is_learned_of_a_card_s_error_is_no_loss():
    thought = np.concatenate([np.full(20, 130.0), np.full(10, 100.0)])[None, :]
    adjustment = np.concatenate([np.zeros(20), np.full(10, np.log(100.0 / 130.0))])[None, :]
    shape = thought.shape
    given = np.zeros(shape, np.int64), np.full(shape, 200.0), np.zeros(shape, bool)
    assert attainable_rate(thought, *given).bpd[0, -1] > 125.0
    assert attainable_rate(thought, *given, adjustment).bpd[0, -1] == pytest.approx(100.0, rel=0.02)
    fell = thought.copy()
    fell[0, 25:] = 60.0
    assert attainable_rate(fell, *given, adjustment).bpd[0, -1] > 95.0, "what the card itself shows is one"


def test_values_are_carried_and_smoothed_only_forward():
    values = np.array([[np.nan, 1.0, np.nan, 3.0, np.nan]])
    assert carry_known(values)[0, 1:].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert np.isnan(carry_known(values)[0, 0])
    series = np.array([[10.0, 10.0, 99.0, 10.0, 10.0]])
    assert smooth_recent(series)[0].tolist() == [10.0, 10.0, 10.0, 10.0, 10.0]
    gone = np.array([[10.0] + [np.nan] * 8])
    assert np.isnan(smooth_recent(gone)[0, -1])
    assert smooth_recent(gone)[0, 5] == 10.0
