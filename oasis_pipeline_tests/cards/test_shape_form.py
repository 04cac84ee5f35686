from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oasis_pipeline.cards.canonical import shape_form, shape_form_column, time_form_column
from oasis_pipeline.cards.codec import CardColumn, decode_blobs, pack_bytes
from oasis_pipeline.cards.geometry import area_in_lbf

from . import reference
from .strategies import STRANGE, any_columns, arrivals, arrive, clean_cards


def test_a_rectangle():
    """A full pump: the load changes while the position stands still, so each half has one load."""
    x = np.array([0, 0, 0, 10, 50, 90, 100, 100, 100, 90, 50, 10], np.float64)
    y = np.array([1, 2, 3, 3, 3, 3, 3, 2, 1, 1, 1, 1], np.float64)
    position, load = shape_form(x, y, points=10)
    np.testing.assert_allclose(position, [0, 25, 50, 75, 100, 100, 75, 50, 25, 0])
    np.testing.assert_allclose(load, [3] * 5 + [1] * 5)


def test_steps_back_and_rests_do_not_disturb():
    x = np.array([0, 10, 8, 20, 20, 30, 40, 39.5, 40, 20, 21, 10], np.float64)
    y = np.array([5, 6, 7, 8, 9, 10, 11, 11, 5, 4, 3, 2], np.float64)
    position, load = shape_form(x, y, points=10)
    np.testing.assert_allclose(position, [0, 10, 20, 30, 40, 40, 30, 20, 10, 0])
    # Up: at 10 the last point that got no further (8, load 7); at 20 the end of the rest. Down, from the bottom:
    # 21 at load 3 is the furthest so far, and 20 at load 4 adds nothing to it.
    np.testing.assert_allclose(load[:5], [5, 7, 9, 10, 11])
    np.testing.assert_allclose(load[5:], [5, 4 + 9 / 19, 2 + 10 / 11, 2, 5])


@given(clean_cards(min_points=10), st.integers(2, 30), arrivals)
def test_each_load_lies_on_its_half_of_the_card(card, half, arrival):
    position, load = shape_form(*arrive(card, **arrival), points=2 * half)
    x, y = (values.astype(np.float64).tolist() for values in card)
    backwards = [[values[0], *values[:0:-1], values[0]] for values in (x, y)]
    forwards = [[*values, values[0]] for values in (x, y)]
    grid = np.linspace(min(x), max(x), half)
    tolerance = {"rtol": 2e-3, "atol": 1e-3 * np.ptp(y)}
    np.testing.assert_allclose(position[:half], grid, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(position[half:], grid[::-1], rtol=1e-5, atol=1e-4)
    up = [reference.rising_load(*forwards, at) for at in grid]
    down = [reference.rising_load(*backwards, at) for at in grid]
    np.testing.assert_allclose(load[:half], up, **tolerance)
    np.testing.assert_allclose(load[half:], down[::-1], **tolerance)


@given(clean_cards(), arrivals)
def test_all_arrivals_of_a_card_have_one_shape(card, arrival):
    np.testing.assert_array_equal(shape_form(*arrive(card, **arrival)), shape_form(*card))


@given(any_columns(), st.sampled_from([4, 10, 50]))
def test_a_batch_is_its_cards_one_at_a_time(column, points):
    form = time_form_column(column)
    position, load = shape_form_column(form, points)
    assert position.shape == load.shape == (len(column), points)
    np.testing.assert_array_equal(np.isnan(load).all(axis=1), form.unusable != 0)
    np.testing.assert_array_equal(np.isnan(load).any(axis=1), form.unusable != 0)
    for index in range(len(column)):
        single = shape_form_column(column.take([index]), points)
        np.testing.assert_array_equal(single[0][0], position[index])
        np.testing.assert_array_equal(single[1][0], load[index])


@given(clean_cards(min_points=60), st.floats(0.1, 1.5))
def test_loads_stay_within_the_card_and_follow_its_scale(card, factor):
    x, y = (values.astype(np.float64) for values in card)
    position, load = shape_form(x, y)
    assert load.min() >= y.min() - 1e-9 * np.abs(y).max()
    assert load.max() <= y.max() + 1e-9 * np.abs(y).max()
    assert (position.min(), position.max()) == (x.min(), x.max())
    np.testing.assert_allclose(shape_form(factor * x, factor * y)[0], factor * position)


def test_a_coarse_position_keeps_the_shape():
    """Positions in steps of 0.4 in, as real surface cards have them."""
    phase = 2 * np.pi * np.arange(200) / 200
    x, y = 61 - 61 * np.cos(phase), 8_000 + 3_000 * np.tanh(3 * np.sin(phase))
    fine, coarse = shape_form(x, y)[1], shape_form(np.round(x / 0.4) * 0.4, y)[1]
    inner = np.r_[2:48, 52:98]
    np.testing.assert_allclose(coarse[inner], fine[inner], atol=0.02 * np.ptp(y))
    assert area_in_lbf(*shape_form(x, y)) == pytest.approx(area_in_lbf(x, y), rel=0.02)


def test_half_stroke_curves_survive():
    x = np.linspace(0.3, 99, 60)
    for values in (x, x[::-1]):
        position, load = shape_form(values, 5_000 + x)
        assert np.isfinite(position).all()
        assert np.isfinite(load).all()


def test_shapes_of_batches():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 2, 20))
    position, load = shape_form(x, y, points=6)
    assert position.shape == load.shape == (3, 2, 6)
    np.testing.assert_array_equal(load[2, 1], shape_form(x[2, 1], y[2, 1], points=6)[1])
    assert shape_form_column(CardColumn.from_rows([]))[0].shape == (0, 100)


@pytest.mark.parametrize("points", [0, 2, 7, -4])
def test_a_number_of_points_that_cannot_be_halved_is_refused(points):
    with pytest.raises(ValueError, match="even"):
        shape_form(np.arange(9.0), np.arange(9.0), points)


@pytest.mark.filterwarnings("error")
@given(st.lists(st.binary(max_size=240).map(lambda data: data[: len(data) // 8 * 8]), max_size=4))
@example(STRANGE)
def test_any_readable_blob_has_a_shape_or_none(blobs):
    column, _ = decode_blobs(*pack_bytes(blobs))
    position, load = shape_form_column(column, 8)
    assert not np.isinf(position).any()
    assert not np.isinf(load).any()
