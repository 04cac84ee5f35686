from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.cards.codec import CardColumn, Unusable, decode_blobs, pack_bytes, usable
from oasis_pipeline.cards.quality import unusable_points

from .strategies import STRANGE, arrivals, arrive, clean_cards, marred_columns

NAN = float("nan")


def state(position, load):
    return Unusable(usable(CardColumn.from_rows([(np.float32(position), np.float32(load))]))[0]).name


def ring(n, low=3_000.0):
    phase = 2 * np.pi * np.arange(n) / n
    return 50 - 50 * np.cos(phase), low + 2_000 + 2_000 * np.sin(phase)


def test_a_missing_card():
    assert usable(CardColumn.from_rows([None, ring(20)])).tolist() == [Unusable.NO_CARD, Unusable.USABLE]


@pytest.mark.parametrize(
    ("position", "load", "name"),
    [
        ([0] * 20, [0] * 20, "ALL_ZERO"),
        ([0.0] * 20, [-0.0] * 20, "ALL_ZERO"),
        ([0] * 19 + [NAN], [0] * 20, "ALL_ZERO"),
        ([NAN] * 20, [NAN] * 20, "TOO_MANY_NAN"),
        ([5] * 20, range(20), "ZERO_STROKE"),
        ([0] * 20, range(20), "ZERO_STROKE"),
        (range(7), range(1, 8), "TOO_FEW_POINTS"),
        (range(8), range(1, 9), "USABLE"),
    ],
)
def test_states(position, load, name):
    assert state(list(position), list(load)) == name


@pytest.mark.parametrize(("missing", "name"), [(4, "USABLE"), (5, "TOO_MANY_NAN")])
def test_one_point_in_five_may_be_missing(missing, name):
    x, y = ring(20)
    y[3 : 3 + missing] = NAN
    assert state(x, y) == name
    x, y = ring(20)
    x[3 : 3 + missing] = NAN
    assert state(x, y) == name


def test_lost_points_do_not_count_as_points():
    x, y = ring(9)
    assert state(x, y) == "USABLE"
    x[4] = y[4] = 0
    assert state(x, y) == "USABLE"
    x[6] = y[6] = 0
    assert state(x, y) == "TOO_FEW_POINTS"


def test_the_closing_point_is_no_point_of_its_own():
    assert state(range(7), range(1, 8)) == state([*range(7), 0], [*range(1, 8), 1]) == "TOO_FEW_POINTS"


def test_a_lost_sample_is_told_from_a_true_zero():
    surface_x, surface_y = ring(40)
    surface_x[11] = surface_y[11] = 0
    pump_x = ring(40)[0]
    lift = np.where((np.arange(40) > 0) & (np.arange(40) < 21), 3_000.0, 0.0)
    # A surface card that has lost its point at the bottom of the stroke, where the position is 0 in truth.
    bottom_x, bottom_y = ring(40)
    bottom_y[0] = 0
    cards = [(surface_x, surface_y), (pump_x, lift), (bottom_x, bottom_y), (pump_x, np.full(40, 5_000.0))]
    x, y = (np.array(part) for part in zip(*cards, strict=True))
    assert [np.flatnonzero(row).tolist() for row in unusable_points(x, y)] == [[11], [], [0], []]


def test_a_padded_tail_is_lost_and_a_rest_at_zero_is_not():
    x, y = ring(40)
    padded = np.append(x, np.zeros(10)), np.append(y, np.zeros(10))
    assert np.flatnonzero(unusable_points(padded[0][None], padded[1][None])[0]).tolist() == list(
        range(40, 50)
    )
    resting = np.append(x, np.zeros(10)), np.append(np.maximum(y - 5_000, 0), np.zeros(10))
    assert not unusable_points(resting[0][None], resting[1][None]).any()


@given(clean_cards(), st.integers(0, 200), arrivals, st.sampled_from([1.0, 0.0254, 4.4482]))
def test_the_rule_for_zeros_knows_neither_start_nor_direction_nor_unit(card, at, arrival, unit):
    x, y = (values.astype(np.float64) for values in card)
    x[at % x.size] = y[at % x.size] = 0
    first = unusable_points(x[None], y[None])[0]
    arrival = {**arrival, "closed": False}
    moved = unusable_points(*(unit * values[None] for values in arrive((x, y), **arrival)))[0]
    np.testing.assert_array_equal(arrive((first, first), **arrival)[0], moved)


def test_points_that_are_not_used_do_not_make_a_card_impossible():
    x, y = ring(40)
    infinite, huge, lost = (x.copy(), y.copy()), (x.copy(), y.copy()), (x + 600, y.copy())
    infinite[1][5] = np.inf
    huge[0][5], huge[1][5] = NAN, 1e9
    lost[0][5] = lost[1][5] = 0
    column = CardColumn.from_rows([infinite, huge, lost, (x, np.where(x > 90, 1e9, y))])
    codes = [Unusable.USABLE] * 3 + [Unusable.IMPOSSIBLE_LOAD]
    assert usable(column).tolist() == time_form_column(column).unusable.tolist() == codes


@given(marred_columns())
def test_a_batch_is_judged_as_its_cards_one_at_a_time(column):
    codes = usable(column)
    assert codes.tolist() == [int(usable(column.take([index]))[0]) for index in range(len(column))]
    np.testing.assert_array_equal(time_form_column(column).unusable, codes)


@pytest.mark.filterwarnings("error")
@given(st.lists(st.binary(max_size=160).map(lambda data: data[: len(data) // 8 * 8]), max_size=5))
@example(STRANGE)
def test_any_readable_blob_is_judged(blobs):
    column, _ = decode_blobs(*pack_bytes(blobs))
    assert set(usable(column).tolist()) <= set(Unusable)
