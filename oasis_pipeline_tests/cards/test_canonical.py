from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from oasis_pipeline.cards.canonical import TimeForm, time_form, time_form_column
from oasis_pipeline.cards.codec import CardColumn, Unusable, decode_blobs, encode_blobs, pack_bytes

from . import reference
from .strategies import STRANGE, any_columns, arrivals, arrive, clean_cards


def test_a_card_read_backwards_from_the_top_and_closed():
    x = np.array([0, 1, 3, 4, 4.5, 4, 3, 1], np.float32)
    y = np.array([2, 9, 9, 9, 5, 1, 1, 1], np.float32)
    arrived = [np.append(np.roll(values, -4)[::-1], np.roll(values, -4)[::-1][:1]) for values in (x, y)]
    form = time_form(*arrived)
    np.testing.assert_array_equal(form.column.row(0), (x, y))
    assert form.closing_point_removed.tolist() == [True]
    assert form.direction_reversed.tolist() == [True]
    assert form.rotated_by.tolist() == [3]
    assert arrived[0][3] == x.min()
    assert form.points_mended.tolist() == [0]
    assert form.is_open.tolist() == [False]
    assert form.unusable.tolist() == [Unusable.USABLE]


@given(clean_cards(), arrivals)
def test_all_arrivals_of_a_card_give_the_same_bits(card, arrival):
    form = time_form(*arrive(card, **arrival))
    expected, _, _ = reference.time_form(*card)
    np.testing.assert_array_equal(np.transpose(form.column.row(0)), np.float32(expected))
    assert form.column.row(0)[0].dtype == np.float32
    assert form.closing_point_removed[0] == arrival["closed"]
    assert form.direction_reversed[0] == arrival["backwards"]


@given(clean_cards(), arrivals)
def test_the_changes_told_lead_back_to_the_card_that_came(card, arrival):
    arrived = arrive(card, **arrival)
    form = time_form(*arrived)
    x, y = form.column.row(0)
    n = x.size
    at = (form.rotated_by[0] + (-1 if form.direction_reversed[0] else 1) * np.arange(n)) % n
    np.testing.assert_array_equal(arrived[0][at], x)
    np.testing.assert_array_equal(arrived[1][at], y)
    assert n == arrived[0].size - form.closing_point_removed[0]


@given(
    clean_cards(min_points=20), st.sets(st.integers(0, 79), min_size=1, max_size=3), arrivals, st.booleans()
)
def test_marred_cards_keep_their_count_and_their_good_points(card, at, arrival, lost_as_zero):
    n = card[0].size
    at = sorted({index % n for index in at})
    bad = 0.0 if lost_as_zero else np.nan
    marred = [values.copy() for values in card]
    for values in marred:
        values[at] = bad
    # A ring that opens with NaN cannot be seen to be closed.
    assume(lost_as_zero or not arrival["closed"])
    # A point that was lost as (0, 0) at the end of a blob only fills the record up.
    arrived = arrive(marred, **arrival)
    assume(not lost_as_zero or (marred[0][-1] and arrived[0][-1]))
    form, again = time_form(*marred), time_form(*arrived)
    np.testing.assert_array_equal(form.column.row(0), again.column.row(0))
    assert form.points_mended[0] == again.points_mended[0]
    assert form.column.counts[0] == n
    assert form.direction_reversed[0] == 0
    x, y = (np.roll(values, form.rotated_by[0]) for values in form.column.row(0))
    good = np.setdiff1d(np.arange(n), at)
    np.testing.assert_array_equal((x[good], y[good]), (card[0][good], card[1][good]))
    assert np.isfinite(form.load_lbf).all()
    if not lost_as_zero:
        assert form.points_mended[0] == len(at)


def test_unusable_points_are_put_on_the_straight_line_in_time_around_the_end():
    x = np.array([2, np.nan, 5, 6, 7, 6.8, 6.5, 6, 5, 4, 3, 2.5, 2.25, np.nan, np.nan], np.float64)
    y = np.array([2, 9, 10, 9, 9, 9, 9, 9, 2, 2, 2, 2, 2, 100, 2], np.float64)
    form = time_form(np.roll(x, 1), np.roll(y, 1))
    x_mended, y_mended = (np.roll(values, form.rotated_by[0] - 1) for values in form.column.row(0))
    np.testing.assert_allclose(x_mended[[1, 13, 14]], [3.5, 2.25 - 0.25 / 3, 2.25 - 0.5 / 3])
    np.testing.assert_allclose(y_mended[[1, 13, 14]], [6, 2, 2])
    assert form.points_mended[0] == 3


def test_a_true_point_at_zero_stays():
    phase = 2 * np.pi * np.arange(12) / 12
    x = np.float32(50 - 50 * np.cos(phase))
    y = np.where(np.sin(phase) > 1e-9, np.float32(4_000), np.float32(0))
    form = time_form(x, y)
    assert (x[0], y[0]) == (0, 0)
    np.testing.assert_array_equal(form.column.row(0), (x, y))
    assert form.points_mended[0] == 0


def test_negative_loads_and_positions_are_left_alone():
    phase = 2 * np.pi * np.arange(50) / 50
    x, y = -5 - 4 * np.cos(phase), -900 + 300 * np.sin(phase)
    form = time_form(x, y)
    np.testing.assert_array_equal(form.column.row(0), (x, y))


def test_a_crossed_card_runs_the_way_its_work_says():
    # Two loops, the larger one clockwise: net work is positive in true time order.
    phase = 2 * np.pi * np.arange(100) / 100
    x = 50 - 50 * np.cos(phase)
    y = 5_000 + 1_000 * np.sin(2 * phase) + 400 * np.sin(phase)
    assert reference.ring_work(x, y) > 0
    assert not time_form(x, y).direction_reversed[0]
    assert time_form(x[::-1], y[::-1]).direction_reversed[0]
    np.testing.assert_array_equal(time_form(x[::-1], y[::-1]).column.row(0), time_form(x, y).column.row(0))


def test_a_card_without_area_keeps_its_direction():
    phase = 2 * np.pi * np.arange(100) / 100
    x = 50 - 50 * np.cos(phase)
    for y in (np.full(100, 5_000.0), 5_000 + 20 * x, 5_000 + 1_000 * np.sin(2 * phase)):
        assert not time_form(x, y).direction_reversed[0]
        assert not time_form(x[::-1], y[::-1]).direction_reversed[0]


@given(st.integers(0, 11), st.booleans())
def test_a_rest_at_the_bottom_ends_where_the_position_leaves_it(start, backwards):
    x = np.array([1, 1, 1, 2, 4, 6, 6.5, 6, 4, 3, 2, 1], np.float32)
    y = np.array([2, 5, 9, 9, 9, 9, 5, 1, 1.5, 1, 1, 1], np.float32)
    form = time_form(*arrive((x, y), start=start, backwards=backwards))
    np.testing.assert_array_equal(form.column.row(0), arrive((x, y), start=2))


@given(clean_cards(min_points=20), st.integers(2, 12), st.integers(2, 12), arrivals)
def test_coarse_cards_start_at_the_same_place_whatever_the_start(card, steps_x, steps_y, arrival):
    x, y = (
        np.round((values - values.min()) / np.ptp(values) * steps) + np.float32(1)
        for values, steps in zip(card, (steps_x, steps_y), strict=True)
    )
    # Two equal points at the seam look like a closing point.
    arrival = {**arrival, "closed": False}
    ends = [(a[0], b[0]) != (a[-1], b[-1]) for a, b in ((x, y), arrive((x, y), **arrival))]
    assume(all(ends) and abs(reference.ring_work(x, y)) > 0.01 * steps_x * steps_y)
    assume(np.abs(np.roll(x, -1) - x).max() <= steps_x / 2)
    expected, backwards, _ = reference.time_form(x, y)
    form = time_form(*arrive((x, y), **arrival))
    assert form.direction_reversed[0] == (backwards != arrival["backwards"])
    np.testing.assert_array_equal(np.transpose(form.column.row(0)), np.float32(expected))


def test_half_stroke_curves_survive_and_are_told():
    x = np.linspace(0.3, 99, 60)
    y = 12_000 + 3_000 * np.sin(x / 15)
    for start in (0, 17):
        form = time_form(np.roll(x, start), np.roll(y, start))
        assert form.is_open.tolist() == [True]
        assert not form.direction_reversed[0]
        np.testing.assert_array_equal(form.column.row(0), (x, y))


def test_unusable_cards_have_no_points_and_no_changes():
    phase = 2 * np.pi * np.arange(30) / 30
    good = (-np.cos(phase), 3 - np.sin(phase))
    column = CardColumn.from_rows([good, None, (np.ones(5), np.ones(5)), ([0, 1, 2, 0], [1, 2, 3, 1]), good])
    form = time_form_column(column)
    assert form.column.counts.tolist() == [30, 0, 0, 0, 30]
    for changes in (form.closing_point_removed, form.rotated_by, form.points_mended, form.direction_reversed):
        assert not changes[1:4].any()
    np.testing.assert_array_equal(form.column.row(0), form.column.row(4))
    assert form.direction_reversed[[0, 4]].all()


def test_any_batch_shape_is_flattened_in_order():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 3, 20))
    form = time_form(x, y)
    assert len(form.column) == 6
    np.testing.assert_array_equal(form.column.row(4), time_form(x[1, 1], y[1, 1]).column.row(0))
    with pytest.raises(ValueError, match="agree"):
        time_form(x, y[0])


def assert_same(form: TimeForm, index: int, single: TimeForm):
    np.testing.assert_array_equal(form.column.row(index), single.column.row(0))
    for name in TimeForm.__dataclass_fields__:
        if name != "column":
            assert getattr(form, name)[index] == getattr(single, name)[0], name


@given(st.lists(st.tuples(clean_cards(max_points=14), arrivals), max_size=6), any_columns())
def test_a_batch_is_its_cards_one_at_a_time(cards, others):
    rows = [arrive(card, **arrival) for card, arrival in cards]
    column = CardColumn.from_rows(rows + [others.row(index) for index in range(len(others))])
    form = time_form_column(column)
    for index in range(len(column)):
        assert_same(form, index, time_form_column(column.take([index])))


def test_more_cards_than_one_chunk_holds():
    phase = 2 * np.pi * np.arange(200) / 200
    shifts = np.arange(500)
    x = 50 - 50 * np.cos(phase + shifts[:, None] / 7)
    y = 5_000 + shifts[:, None] + 1_000 * np.sin(phase + shifts[:, None] / 7)
    form = time_form(x, y)
    for index in (0, 163, 164, 499):
        assert_same(form, index, time_form(x[index], y[index]))


@given(clean_cards(), arrivals)
def test_time_form_of_a_time_form_changes_nothing(card, arrival):
    once = time_form(*arrive(card, **arrival))
    twice = time_form_column(once.column)
    np.testing.assert_array_equal(twice.column.row(0), once.column.row(0))
    assert not twice.rotated_by.any()
    assert not twice.direction_reversed.any()


def test_the_input_is_never_written_to():
    phase = 2 * np.pi * np.arange(30) / 30
    x, y = np.cos(phase), np.sin(phase) + 3
    x[3] = np.nan
    x.setflags(write=False)
    y.setflags(write=False)
    assert time_form(x, y).points_mended[0] == 1
    assert np.isnan(x[3])


@pytest.mark.filterwarnings("error")
@given(st.lists(st.binary(max_size=240).map(lambda data: data[: len(data) // 8 * 8]), max_size=4))
@example(STRANGE)
def test_any_readable_blob_has_a_time_form_or_a_reason(blobs):
    column, _ = decode_blobs(*pack_bytes(blobs))
    form = time_form_column(column)
    np.testing.assert_array_equal(form.column.counts == 0, form.unusable != Unusable.USABLE)
    assert np.isfinite(form.load_lbf).all()
    assert np.isfinite(form.position_in).all()


@given(any_columns())
def test_cards_can_be_written_again(column):
    form = time_form_column(column)
    decoded, faults = decode_blobs(*encode_blobs(form.column))
    assert not faults.any()
    np.testing.assert_array_equal(decoded.load, form.load_lbf)
