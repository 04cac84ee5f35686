"""Faults of measurement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.physics.sensor_faults import lower_rate, measure, shift_phase

TIME = 2.0 * np.pi * np.arange(200) / 200
POSITION = 60.0 * (1.0 - np.cos(TIME))
LOAD = 9000.0 + 4000.0 * np.sin(TIME)


def test_sound_sensors_change_nothing():
    position, load = measure(POSITION, LOAD)
    np.testing.assert_array_equal(position, POSITION)
    np.testing.assert_array_equal(load, LOAD)


@given(st.floats(-5000.0, 5000.0))
def test_an_offset_shifts_only_the_mean(offset):
    _, load = measure(POSITION, LOAD, load_offset_lbf=offset)
    assert load - load.mean() == pytest.approx(LOAD - LOAD.mean(), abs=1e-6)
    assert load.mean() - LOAD.mean() == pytest.approx(offset, abs=1e-6)


@given(st.integers(-199, 199))
def test_a_phase_error_of_whole_points_rotates(points):
    assert shift_phase(POSITION, points * 360.0 / 200.0) == pytest.approx(np.roll(POSITION, points), abs=1e-9)


def test_a_phase_error_delays_the_position_against_the_load():
    position, load = measure(POSITION, LOAD, position_phase_deg=9.0)
    assert position == pytest.approx(60.0 * (1.0 - np.cos(TIME - np.radians(9.0))), abs=0.01)
    np.testing.assert_array_equal(load, LOAD)


def test_clipping_quantising_and_gain():
    position, load = measure(
        POSITION, LOAD, load_gain=1.1, high_clip_lbf=12_000.0, load_quantum_lbf=50.0, position_quantum_in=0.5
    )
    assert load.max() == 12_000.0
    assert (np.mod(load, 50.0) == 0.0).all()
    assert (np.mod(position, 0.5) == 0.0).all()


@given(st.integers(8, 200))
def test_a_low_rate_keeps_the_samples_and_draws_lines_between(samples):
    slow = lower_rate(LOAD, samples)
    assert slow.min() >= LOAD.min() - 1e-9
    assert slow.max() <= LOAD.max() + 1e-9
    assert slow[0] == pytest.approx(LOAD[0])
    spacing = 2.0 * np.pi / samples
    assert np.abs(slow - LOAD).max() <= 4000.0 * (spacing**2 / 8.0 + 1.2 * 2.0 * np.pi / 200)


def test_every_card_of_a_batch_has_its_own_faults():
    position, load = measure(
        np.stack([POSITION] * 3),
        np.stack([LOAD] * 3),
        load_offset_lbf=[0.0, 500.0, 0.0],
        samples=[np.inf, np.inf, 20.0],
    )
    np.testing.assert_array_equal(load[0], LOAD)
    assert load[1] == pytest.approx(LOAD + 500.0)
    assert np.abs(load[2] - LOAD).max() > 1.0
    np.testing.assert_array_equal(position[1], POSITION)


def test_noise_needs_a_source_of_randomness():
    with pytest.raises(ValueError, match="random"):
        measure(POSITION, LOAD, load_noise_lbf=10.0)
    _, load = measure(POSITION, LOAD, load_noise_lbf=10.0, rng=np.random.default_rng(1))
    assert 3.0 < (load - LOAD).std() < 20.0


def test_shapes_have_to_agree():
    with pytest.raises(ValueError, match="differ"):
        measure(POSITION, LOAD[:-1])
