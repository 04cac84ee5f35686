from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.cards import geometry
from oasis_pipeline.cards.codec import CardColumn

from . import reference
from .strategies import arrivals, arrive, clean_cards

SQUARE = (np.array([0.0, 0, 4, 4]), np.array([1.0, 3, 3, 1]))  # clockwise from the lower left corner


def test_a_rectangle():
    assert geometry.area_in_lbf(*SQUARE) == 8
    assert geometry.area_in_lbf(*(values[::-1] for values in SQUARE)) == -8
    assert [float(value) for value in geometry.centroid(*SQUARE)] == [2, 2]
    assert [float(value) for value in geometry.bounds(*SQUARE)] == [0, 4, 1, 3]
    assert geometry.stroke_in(SQUARE[0]) == 4
    assert geometry.pprl_lbf(SQUARE[1]) == 3
    assert geometry.mprl_lbf(SQUARE[1]) == 1


def test_the_centroid_of_an_uneven_polygon():
    """An L of three unit squares: (0.5 + 0.5 + 1.5) / 3 in both directions."""
    x, y = np.array([[0.0, 0, 1, 1, 2, 2], [0, 2, 2, 1, 1, 0]])
    assert np.allclose(geometry.centroid(x, y), 2.5 / 3)
    assert geometry.area_in_lbf(x, y) == 3


def test_an_ellipse():
    phase = 2 * np.pi * np.arange(2_000) / 2_000
    x, y = 50 - 50 * np.cos(phase), 6_000 + 2_000 * np.sin(phase)
    assert geometry.area_in_lbf(x, y) == pytest.approx(np.pi * 50 * 2_000, rel=1e-5)
    np.testing.assert_allclose(geometry.centroid(x, y), [50, 6_000])


def test_without_area_the_centroid_is_the_mean_of_the_corners():
    x = np.array([0.0, 1, 2, 1])
    np.testing.assert_allclose(geometry.centroid(x, 3 * x), [1, 3])
    np.testing.assert_allclose(geometry.centroid(np.full(4, 2.0), np.full(4, 5.0)), [2, 5])


@given(clean_cards(), arrivals)
def test_area_and_centroid_do_not_depend_on_the_arrival(card, arrival):
    arrived = arrive(card, **arrival)
    x, y = (values.astype(np.float64) for values in card)
    area = reference.ring_work(x, y)
    sign = -1 if arrival["backwards"] else 1
    assert geometry.area_in_lbf(*arrived) == pytest.approx(sign * area, rel=1e-9)
    shift = (1_000.0, -20_000.0)
    moved = geometry.centroid(
        *(values.astype(np.float64) + by for values, by in zip(arrived, shift, strict=True))
    )
    expected = np.add(geometry.centroid(x, y), shift)
    np.testing.assert_allclose(moved, expected, rtol=1e-6, atol=1e-6)


@given(clean_cards(), st.integers(0, 100), st.booleans())
def test_whole_cards_are_not_open_and_their_halves_are(card, start, backwards):
    assert not geometry.is_open(arrive(card, start=start, backwards=backwards)[0])
    half = card[0][: int(card[0].argmax()) + 1]
    assert geometry.is_open(arrive((half, half), start=start, backwards=backwards)[0])


@given(st.lists(clean_cards(max_points=20), max_size=5))
def test_a_column_is_measured_as_its_cards(cards):
    table = geometry.card_geometry(CardColumn.from_rows([*cards, None]))
    for index, (x, y) in enumerate(cards):
        assert table.area_in_lbf[index] == geometry.area_in_lbf(x, y)
        assert (table.centroid_position_in[index], table.centroid_load_lbf[index]) == geometry.centroid(x, y)
        assert (table.position_min_in[index], table.position_max_in[index]) == (x.min(), x.max())
        assert (table.mprl_lbf[index], table.pprl_lbf[index]) == (y.min(), y.max())
        assert table.stroke_in[index] == geometry.stroke_in(x)
    assert np.isnan(table.area_in_lbf[-1])
    assert np.isnan(table.pprl_lbf[-1])
    assert not table.is_open[-1]


def test_batch_axes_stay():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4, 20))
    assert geometry.area_in_lbf(x, y).shape == (3, 4)
    np.testing.assert_allclose(geometry.area_in_lbf(x, y)[1, 2], geometry.area_in_lbf(x[1, 2], y[1, 2]))
    assert geometry.centroid(x, y)[0].shape == (3, 4)
    assert geometry.is_open(x).shape == (3, 4)
