from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.cards.descriptors import elliptic_fourier, elliptic_fourier_constant, reconstruct

from . import reference
from .strategies import clean_cards


@given(clean_cards(min_points=8), st.integers(1, 10))
def test_against_the_fourier_integrals_of_each_segment(card, order):
    x, y = (values.astype(np.float64) / np.ptp(values) for values in card)
    expected = reference.elliptic_fourier(x.tolist(), y.tolist(), order)
    np.testing.assert_allclose(elliptic_fourier(x, y, order), expected, atol=1e-9)


def test_the_published_formula_on_a_square():
    """The sum over segments of Kuhl and Giardina, written out for one contour."""
    x, y = np.array([0.0, 0, 4, 4]), np.array([0.0, 2, 2, 0])
    dx, dy = np.diff(x, append=x[0]), np.diff(y, append=y[0])
    dt = np.hypot(dx, dy)
    t = np.concatenate([[0], np.cumsum(dt)])
    for n in (1, 2, 3):
        phase = 2 * np.pi * n * t / t[-1]
        factor = t[-1] / (2 * n**2 * np.pi**2)
        expected = [
            factor * np.sum(d / dt * np.diff(wave))
            for d in (dx, dy)
            for wave in (np.cos(phase), np.sin(phase))
        ]
        np.testing.assert_allclose(elliptic_fourier(x, y, 3)[n - 1], expected, atol=1e-12)


def test_a_circle_is_its_first_harmonic():
    phase = 2 * np.pi * np.arange(720) / 720
    coefficients = elliptic_fourier(3 * np.cos(phase), 3 * np.sin(phase), 4)
    np.testing.assert_allclose(coefficients[0], [3, 0, 0, 3], atol=1e-4)
    np.testing.assert_allclose(coefficients[1:], 0, atol=1e-4)


@given(clean_cards())
def test_closing_and_repeated_points_change_nothing(card):
    x, y = (values.astype(np.float64) / np.ptp(values) for values in card)
    expected = elliptic_fourier(x, y, 5)
    np.testing.assert_allclose(
        elliptic_fourier(np.append(x, x[0]), np.append(y, y[0]), 5), expected, atol=1e-12
    )
    np.testing.assert_allclose(elliptic_fourier(np.repeat(x, 2), np.repeat(y, 2), 5), expected, atol=1e-12)


@given(clean_cards(min_points=30))
def test_many_harmonics_give_the_contour_back(card):
    x, y = (values.astype(np.float64) / np.ptp(values) for values in card)
    t = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])))])
    at = t[-1] * np.arange(400) / 400
    expected = [np.interp(at, t, np.append(values, values[0])) for values in (x, y)]
    again = reconstruct(elliptic_fourier(x, y, 80), 400, elliptic_fourier_constant(x, y))
    np.testing.assert_allclose(again, expected, atol=0.02)


@given(clean_cards(), st.floats(-100, 100), st.floats(-100, 100))
def test_moving_the_card_moves_the_constant_only(card, right, up):
    x, y = (values.astype(np.float64) / np.ptp(values) for values in card)
    np.testing.assert_allclose(elliptic_fourier(x + right, y + up, 5), elliptic_fourier(x, y, 5), atol=1e-9)
    moved = np.add(elliptic_fourier_constant(x, y), (right, up))
    np.testing.assert_allclose(elliptic_fourier_constant(x + right, y + up), moved, atol=1e-9)


def test_the_constant_is_the_mean_over_the_length():
    """Of a triangle's outline: the middles of its sides (1.5, 0), (3, 2), (1.5, 2), weighted with 3, 4 and 5."""
    constant = elliptic_fourier_constant([0.0, 3, 3], [0.0, 0, 4])
    np.testing.assert_allclose(constant, [(3 * 1.5 + 4 * 3 + 5 * 1.5) / 12, (4 * 2 + 5 * 2) / 12])


def test_batches_of_any_shape():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 200, 120)).astype(np.float32)
    coefficients, constant = elliptic_fourier(x, y, 5), elliptic_fourier_constant(x, y)
    assert coefficients.shape == (3, 200, 5, 4)
    assert constant.shape == (3, 200, 2)
    np.testing.assert_allclose(coefficients[2, 150], elliptic_fourier(x[2, 150], y[2, 150], 5), rtol=1e-12)
    position, load = reconstruct(coefficients, 50, constant)
    assert position.shape == load.shape == (3, 200, 50)
    np.testing.assert_allclose(position[1, 7], reconstruct(coefficients[1, 7], 50, constant[1, 7])[0])


def test_contours_without_extent_and_with_gaps():
    assert not elliptic_fourier(np.full(10, 3.0), np.full(10, 4.0)).any()
    np.testing.assert_allclose(elliptic_fourier_constant(np.full(10, 3.0), np.full(10, 4.0)), [3, 4])
    x = np.arange(10.0)
    x[4] = np.nan
    assert np.isnan(elliptic_fourier(x, np.arange(10.0))).all()


def test_what_is_no_contour_is_refused():
    with pytest.raises(ValueError, match="agree"):
        elliptic_fourier(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="agree"):
        elliptic_fourier_constant(np.zeros((2, 0)), np.zeros((2, 0)))
    with pytest.raises(ValueError, match="order"):
        elliptic_fourier(np.zeros(3), np.zeros(3), 0)
    with pytest.raises(ValueError, match="order, 4"):
        reconstruct(np.zeros((5, 3)))
