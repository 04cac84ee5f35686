"""Simulated cards under other circumstances than the plain ones."""

import numpy as np
import pytest

from oasis_pipeline.physics.unit import stroke_in
from oasis_pipeline.simulation.cards import MISMATCHED, PLAIN, Circumstances, simulate_cards


@pytest.fixture(scope="module")
def plain():
    return simulate_cards(24, 9, cards_per_well=2)


@pytest.fixture(scope="module")
def other():
    return simulate_cards(24, 9, cards_per_well=2, circumstances=MISMATCHED)


def test_plain_circumstances_change_nothing(plain):
    assert Circumstances() == PLAIN
    assert plain.has_pump_card.all()
    np.testing.assert_array_equal(plain.known.rods.length_ft, plain.wells.rods.length_ft)


def test_a_mismatch_is_in_the_wells_and_not_in_what_is_asked_of_them(plain, other):
    np.testing.assert_array_equal(other.severity, plain.severity)
    np.testing.assert_array_equal(other.labels, plain.labels)
    np.testing.assert_allclose(other.wells.damping_up, 1.6 * plain.wells.damping_up)
    np.testing.assert_array_equal(other.wells.rods.length_ft, plain.wells.rods.length_ft)
    ratio = other.known.rods.length_ft[:, 0] / other.wells.rods.length_ft[:, 0]
    np.testing.assert_allclose(np.abs(ratio - 1.0), 0.02, rtol=1e-9)
    assert np.any(
        other.wells.unit.r_in / other.wells.unit.k_in != plain.wells.unit.r_in / plain.wells.unit.k_in
    )
    np.testing.assert_allclose(stroke_in(other.wells.unit), plain.wells.stroke_in, rtol=2e-3)
    np.testing.assert_array_equal(other.known.unit.k_in, plain.wells.unit.k_in)


def test_wells_without_pump_cards_send_neither_card_nor_fillage(other):
    silent = ~other.has_pump_card
    assert 0 < silent.sum() < len(other)
    assert np.isnan(other.pump_load_lbf[silent]).all()
    assert np.isnan(other.fillage_pct[silent]).all()
    assert np.isfinite(other.pump_load_lbf[~silent]).all()
    assert np.isfinite(other.surface_load_lbf).all()
    # all cards of a well, or none
    assert all(len(set(silent[other.well == well])) == 1 for well in set(other.well))
