"""Real and textbook cards, where the data folder is present."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import shape_form, shape_form_column, time_form, time_form_column
from oasis_pipeline.cards.codec import CardColumn, decode_hex, encode_hex, pack_bytes, usable
from oasis_pipeline.cards.descriptors import elliptic_fourier
from oasis_pipeline.cards.geometry import card_geometry


def read_texts(folder: Path, column: str) -> list[str]:
    texts = []
    for path in sorted(folder.glob("CardData.*.csv")):
        with path.open(newline="", encoding="utf-8") as lines:
            texts += [row[column] for row in csv.DictReader(lines)]
    return texts


@pytest.fixture(scope="module")
def surface_texts(shared_data):
    return read_texts(shared_data / "real-cards", "SurfaceCardB")


@pytest.fixture(scope="module")
def surface_cards(surface_texts):
    column, faults = decode_hex(*pack_bytes(surface_texts))
    assert not faults.any()
    return column


def test_all_real_surface_cards_decode_and_are_usable(surface_texts, surface_cards):
    assert len(surface_cards) == 596
    assert sorted(np.unique(surface_cards.counts).tolist()) == [200, 250]
    assert not usable(surface_cards).any()
    assert encode_hex(surface_cards) == [text.lower() for text in surface_texts]


def test_real_surface_cards_run_clockwise_from_the_bottom(surface_cards):
    form = time_form_column(surface_cards)
    assert not form.direction_reversed.any()
    # 67 cards of 200 points are padded to 250 with (0, 0), which are no points of the stroke; four others carry 50 points of
    # another curve.
    assert not form.points_mended.any()
    padded = np.array(
        [not row[1][-50:].any() and not row[0][-50:].any() for row in map(surface_cards.row, range(596))]
    )
    assert padded.sum() == 67
    assert (surface_cards.counts - form.column.counts)[padded].min() >= 50
    assert np.median((surface_cards.counts - form.column.counts)[~padded]) <= 1
    assert form.is_open.sum() == 4
    measured = card_geometry(form.column)
    assert (measured.area_in_lbf[~form.is_open] > 0).all()
    position, load = shape_form_column(form)
    assert np.isfinite(position).all()
    assert np.isfinite(load).all()
    shape_area = card_geometry(CardColumn.from_dense(position, load)).area_in_lbf
    ratio = (shape_area / measured.area_in_lbf)[~form.is_open]
    assert abs(np.median(ratio) - 1) < 0.005
    assert np.isfinite(elliptic_fourier(position, load, 5)).all()


@pytest.mark.parametrize(("start", "backwards"), [(0, True), (71, False), (140, True)])
def test_real_cards_have_one_time_form_whatever_the_arrival(surface_cards, start, backwards):
    """The closing point is taken off first: cards that rest show the same point twice at other seams too."""
    base = time_form_column(surface_cards)
    whole = np.flatnonzero(~base.is_open & ~resting(base.column))
    rows = []
    for index in whole:
        turned = [np.roll(values, -start) for values in base.column.row(index)]
        rows.append([values[::-1] if backwards else values for values in turned])
    again = time_form_column(CardColumn.from_rows(rows))
    assert whole.size > 100
    assert again.direction_reversed.tolist() == [backwards] * whole.size
    np.testing.assert_array_equal(again.position_in, base.column.take(whole).position)
    np.testing.assert_array_equal(again.load_lbf, base.column.take(whole).load)


def resting(column):
    """Tell cards with two equal points in a row, which any rotation may put at the seam."""
    flags = []
    for index in range(len(column)):
        x, y = column.row(index)
        flags.append(bool(np.any((x == np.roll(x, 1)) & (y == np.roll(y, 1)))))
    return np.array(flags)


@pytest.mark.parametrize("name", ["SurfaceCardB", "POCDownholeCardB"])
def test_half_stroke_curves_survive_and_are_told(shared_data, name):
    column, faults = decode_hex(*pack_bytes(read_texts(shared_data / "one-unit", name)))
    assert not faults.any()
    assert len(column) == 399
    assert not usable(column).any()
    form = time_form_column(column)
    assert form.is_open.all()
    assert not form.direction_reversed.any()
    # One or two came in cut open elsewhere: they start at their gap again, all others are as they were.
    assert np.count_nonzero(form.rotated_by) in (1, 2)
    for index in range(len(column)):
        x, y = form.column.row(index)
        np.testing.assert_array_equal(np.roll(y, form.rotated_by[index]), column.row(index)[1])
        assert abs(x[0] - x[-1]) > 0.9 * np.ptp(x)
    assert np.isfinite(shape_form_column(form)[1]).all()


def test_textbook_cards_are_whole_strokes_in_either_direction(shared_data):
    path = shared_data / "plate-cards" / "plate_reference_cards.json"
    cards = json.loads(path.read_text(encoding="utf-8"))
    assert len(cards) == 9
    for name, card in cards.items():
        x, y = np.array(card["position"]), np.array(card["load"])
        form = time_form(x, y)
        assert form.closing_point_removed.tolist() == [True], name
        assert form.points_mended.tolist() == [0], name
        assert not form.is_open[0], name
        backwards = time_form(x[::-1], y[::-1])
        assert bool(backwards.direction_reversed[0]) != bool(form.direction_reversed[0]), name
        np.testing.assert_array_equal(backwards.column.row(0), form.column.row(0), name)
        np.testing.assert_array_equal(shape_form(x[::-1], y[::-1]), shape_form(x, y), name)


def test_textbook_cards_are_told_apart_by_their_shape(shared_data):
    path = shared_data / "plate-cards" / "plate_reference_cards.json"
    cards = {
        name: (np.array(card["position"], dtype=float), np.array(card["load"], dtype=float))
        for name, card in json.loads(path.read_text(encoding="utf-8")).items()
    }

    def shape(x, y):
        x, y = shape_form(x, y)
        return elliptic_fourier((x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y), order=8).ravel()

    known = {name: shape(x, y) for name, (x, y) in cards.items()}
    rng = np.random.default_rng(4)
    for name, (x, y) in cards.items():
        others = [np.linalg.norm(known[name] - known[other]) for other in known if other != name]
        assert min(others) > 0.08, name
        same = {
            "reversed": (x[::-1], y[::-1]),
            "from another start": (np.roll(x[:-1], 7), np.roll(y[:-1], 7)),
            "in other units": (3.0 * x + 5.0, 200.0 * y + 1000.0),
        }
        for what, variant in same.items():
            assert np.linalg.norm(shape(*variant) - known[name]) < 1e-6, (name, what)
        for _ in range(5):
            noisy = shape(x, y + rng.normal(0.0, 0.005 * np.ptp(y), len(y)))
            distance = {other: np.linalg.norm(noisy - code) for other, code in known.items()}
            assert min(distance, key=distance.get) == name
