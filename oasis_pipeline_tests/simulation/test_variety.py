"""Worlds of their own for the wells that models are taught by."""

from dataclasses import replace

import numpy as np
import pytest

from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation import variety
from oasis_pipeline.simulation.cards import VARIED, simulate_cards
from oasis_pipeline.simulation.equipment import make_wells


@pytest.fixture(scope="module")
def batch():
    return simulate_cards(80, 9, cards_per_well=2, circumstances=VARIED)


def test_the_same_seed_gives_the_same_cards_of_finite_loads(batch):
    again = simulate_cards(80, 9, cards_per_well=2, circumstances=VARIED)
    np.testing.assert_array_equal(again.surface_load_lbf, batch.surface_load_lbf)
    np.testing.assert_array_equal(again.labels, batch.labels)
    assert np.isfinite(batch.surface_load_lbf).all()
    assert np.isfinite(batch.surface_position_in).all()
    sends = batch.has_pump_card
    assert 0 < sends.sum() < len(batch)
    assert np.isfinite(batch.pump_load_lbf[sends]).all()
    assert batch.steady.mean() > 0.7


def test_wells_keep_their_stroke_whatever_lifts_them():
    wells = make_wells(40, np.random.default_rng(1))
    worlds = variety.make_variety(40, np.random.default_rng(2))
    real, told = variety.motions(wells, worlds)
    for motion in (real, told):
        np.testing.assert_allclose(np.ptp(motion, axis=1), wells.stroke_in, rtol=0.02)
    np.testing.assert_allclose(real[:, 0], told[:, 0], atol=1e-9)
    assert worlds.belt.any()
    # a belt runs at one speed between its turns
    speed = np.diff(told[worlds.belt], axis=1)[:, 45:85]
    np.testing.assert_allclose(speed, np.repeat(speed[:, :1], speed.shape[1], axis=1), rtol=1e-6)


def test_a_filter_takes_what_is_fast_and_leaves_what_is_slow():
    turn = np.arange(200) * 2.0 * np.pi / 200
    slow, fast = 5.0 + 3.0 * np.sin(turn)[None], np.sin(40.0 * turn)[None]
    passed = variety.low_pass(slow + fast, np.array([10.0]))
    np.testing.assert_allclose(passed, slow + fast / np.sqrt(1.0 + 4.0**4), atol=0.01)


def test_people_name_conditions_from_their_own_points_on():
    severity = np.zeros((2, 12))
    severity[:, c.FRICTION] = 0.4
    points = np.full((2, 12), c.NAMING_POINT)
    points[1, c.FRICTION] = 0.5
    named = c.name_cards(severity, points, np.array([False, True]))
    assert named.tolist() == [["Wellbore Friction", ""], ["Full Pump", ""]]
    assert c.name_cards(severity)[1].tolist() == ["Full Pump", "Wellbore Friction"]


def test_one_habit_names_full_pump_beside_each_lone_fault(batch):
    same = simulate_cards(80, 9, cards_per_well=2, circumstances=replace(VARIED, one_habit=True))
    np.testing.assert_array_equal(same.surface_load_lbf, batch.surface_load_lbf)
    differ = (same.labels != batch.labels).any(axis=1)
    assert differ.any()
    assert (same.labels[differ, 0] == "Full Pump").all()
    np.testing.assert_array_equal(same.labels[differ, 1], batch.labels[differ, 0])
