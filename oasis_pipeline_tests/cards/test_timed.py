"""Cards at equally many points in time."""

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.cards.timed import time_curves


def card(points):
    turn = 2 * np.pi * np.arange(points) / points
    return 50 * (1 - np.cos(turn)), 9000 + 3000 * np.sin(turn)


def column(counts):
    cards = [card(count) if count else (np.empty(0), np.empty(0)) for count in counts]
    position, load = (np.concatenate([one[k] for one in cards]).astype(np.float32) for k in (0, 1))
    return CardColumn(position, load, np.concatenate([[0], np.cumsum(counts)]))


def test_cards_of_any_count_come_to_the_same_curve():
    position, load = time_curves(time_form_column(column([200, 250, 0, 120])), 200)
    assert position.shape == load.shape == (4, 200)
    for row in (0, 1, 3):
        np.testing.assert_allclose(position[row], card(200)[0], atol=0.1)
        np.testing.assert_allclose(load[row], card(200)[1], atol=5)
    assert np.isnan(load[2]).all()


def test_a_card_with_as_many_points_stays_as_it_is():
    form = time_form_column(column([200]))
    np.testing.assert_array_equal(time_curves(form, 200)[1][0], form.column.load)
    with pytest.raises(ValueError, match="2 points"):
        time_curves(form, 1)
