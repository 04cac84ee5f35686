import numpy as np
import pytest

from oasis_pipeline.cards.canonical import shape_form
from oasis_pipeline.learning.features import (
    CARDS,
    SHAPE_POINTS,
    TIME_POINTS,
    CardContext,
    CardShapes,
    WellBounds,
    block_names,
    card_features,
    card_signatures,
    controller_names,
    feature_matrix,
    feature_names,
)

from .conftest import make_shapes


def shapes(n=7, seed=0):
    rng = np.random.default_rng(seed)
    return make_shapes(rng.integers(0, 4, n), rng)


def test_columns_are_named_ordered_and_float32():
    columns = card_features(shapes(), shapes(seed=1))
    assert list(columns) == feature_names()
    assert len(set(columns)) == len(columns)
    assert {column.dtype for column in columns.values()} == {np.dtype(np.float32)}
    assert {column.shape for column in columns.values()} == {(7,)}


def test_a_rectangle_by_hand():
    half = SHAPE_POINTS // 2
    x = np.linspace(0, 100, half)
    card = CardShapes(
        np.concatenate([x, x[::-1]])[None],
        np.concatenate([np.full(half, 9000.0), np.full(half, 4000.0)])[None],
    )
    row = {name: float(column[0]) for name, column in card_features(card, None).items()}
    assert row["surface_stroke_in"] == 100
    assert (row["surface_mprl_lbf"], row["surface_pprl_lbf"]) == (4000, 9000)
    assert row["surface_mean_load_lbf"] == 6500
    assert row["surface_area_in_lbf"] == 100 * 5000
    assert row["surface_area_share"] == 1
    assert row["surface_range_to_mean"] == pytest.approx(5 / 6.5)
    assert row["surface_load_up_zone3_lbf"] == 9000
    assert row["surface_load_down_zone3_share"] == 0
    assert row["surface_up_bend_lbf"] == 0


def test_area_matches_the_geometry_of_the_card():
    rng = np.random.default_rng(3)
    t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    position = 60 * (1 - np.cos(t))[None]
    load = 8000 + 3000 * np.sin(t)[None] + rng.normal(0, 20, (1, 200))
    columns = card_features(CardShapes(*shape_form(position, load, SHAPE_POINTS)), None)
    assert columns["surface_area_in_lbf"][0] == pytest.approx(np.pi * 60 * 3000, rel=0.03)


def test_ordered_loads_do_not_ask_when_in_the_stroke_a_load_was_reached():
    t = np.linspace(0, 2 * np.pi, TIME_POINTS, endpoint=False)
    position = 60 * (1 - np.cos(t))[None]
    load = 8000 + 3000 * np.sin(t)[None] + 800 * np.sin(3 * t)[None]

    def row(load):
        shape = shape_form(position, load, SHAPE_POINTS)
        return card_features(CardShapes(*shape, time_position_in=position, time_load_lbf=load), None)

    def part(columns, name):
        return np.array(
            [column[0] for key, column in columns.items() if key.startswith(f"surface_{name}_load")]
        )

    as_it_is, late = row(load), row(np.roll(load, 7, axis=1))
    assert np.abs(part(as_it_is, "time") - part(late, "time")).max() > 0.3
    ordered = part(late, "ordered")
    np.testing.assert_allclose(ordered, part(as_it_is, "ordered"), atol=1e-5)
    assert (np.diff(ordered) >= 0).all()
    assert ordered[0] < -1 < 1 < ordered[-1]


def test_missing_cards_leave_their_block_empty_and_the_other_untouched():
    both = card_features(shapes(), shapes(seed=1))
    surface = card_features(shapes(), None)
    holes = shapes(seed=1)
    holes.position_in[2], holes.load_lbf[2] = np.nan, np.nan
    some = card_features(shapes(), holes)
    for name in block_names("pump"):
        assert np.isnan(surface[name]).all()
        assert np.isnan(some[name][2])
        np.testing.assert_array_equal(np.delete(some[name], 2), np.delete(both[name], 2))
    for name in block_names("surface"):
        np.testing.assert_array_equal(surface[name], both[name])


def test_the_controllers_card_has_its_own_block_beside_the_computed_one():
    rng = np.random.default_rng(8)
    computed, own = (make_shapes(np.array([0, 1, 2]), rng) for _ in range(2))
    beside = card_features(None, computed, CardContext(controller=own))
    alone, names = card_features(None, own), controller_names()
    for name in names:
        np.testing.assert_array_equal(beside[name], alone[name.replace("controller", "pump")])
    assert any((beside[name] != beside[name.replace("controller", "pump")]).any() for name in names)
    missing = CardShapes(np.full_like(own.position_in, np.nan), np.full_like(own.load_lbf, np.nan))
    without = card_features(None, computed, CardContext(controller=missing))
    assert all(np.isnan(without[name]).all() for name in names)
    assert np.isfinite(without["pump_area_share"]).all()


def test_a_card_does_not_depend_on_its_neighbours():
    many = shapes(50)
    one = CardShapes(many.position_in[17:18], many.load_lbf[17:18])
    together = feature_matrix(card_features(many, None))[17]
    np.testing.assert_allclose(feature_matrix(card_features(one, None))[0], together, rtol=1e-5, atol=1e-5)


def test_shares_do_not_change_with_unit_of_load():
    card = shapes(20)
    double = CardShapes(card.position_in, card.load_lbf * 2)
    a, b = card_features(card, None), card_features(double, None)
    for name in block_names("surface"):
        factor = 2 if name.endswith(("_lbf", "_lbf_in")) else 1
        np.testing.assert_allclose(b[name], factor * a[name], rtol=2e-3, atol=2e-3, err_msg=name)


def test_bounds_count_for_the_card_that_they_are_of():
    card, n = shapes(4), 4
    low, high = card.load_lbf.min(axis=1), card.load_lbf.max(axis=1)
    stroke = card.position_in.max(axis=1)
    bounds = WellBounds(np.array([True, True, False, False]), np.zeros(n), stroke, low, high)
    bounds.load_max_lbf[3] = np.nan
    columns = card_features(card, card, CardContext(bounds=bounds))
    for name, expected in (("pos_min", 0), ("pos_max", 1), ("load_min", 0), ("load_max", 1)):
        np.testing.assert_allclose(
            columns[f"pump_to_bounds_{name}"], [expected, expected, np.nan, np.nan], atol=1e-6
        )
        np.testing.assert_allclose(
            columns[f"surface_to_bounds_{name}"], [np.nan, np.nan, expected, np.nan], atol=1e-6
        )


@pytest.mark.parametrize("load", [0.0, 5000.0, -300.0])
def test_a_flat_card_gives_finite_numbers(load):
    half = SHAPE_POINTS // 2
    x = np.linspace(0, 100, half)
    card = CardShapes(np.concatenate([x, x[::-1]])[None], np.full((1, SHAPE_POINTS), load))
    columns = card_features(card, card)
    for card_name in CARDS:
        for name in block_names(card_name):
            if "_to_bounds_" not in name:
                assert np.isfinite(columns[name]).all(), name


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="points a card"):
        CardShapes(np.zeros((2, 60)), np.zeros((2, 60)))
    with pytest.raises(ValueError, match="differ"):
        CardShapes(np.zeros((2, 100)), np.zeros((3, 100)))
    with pytest.raises(ValueError, match="same rows"):
        card_features(shapes(3), shapes(4))
    with pytest.raises(ValueError, match="surface cards, pump cards"):
        card_features(None, None)
    with pytest.raises(ValueError, match="spm must have shape"):
        card_features(shapes(3), None, CardContext(spm=np.zeros(2)))
    columns = card_features(shapes(3), None)
    del columns["spm"]
    with pytest.raises(ValueError, match="'spm'"):
        feature_matrix(columns)


def test_signatures_take_the_surface_card_first():
    surface, pump = shapes(3), shapes(3, seed=1)
    surface.load_lbf[1] = np.nan
    found = card_signatures(surface, pump)
    np.testing.assert_array_equal(found[1], card_signatures(None, pump)[1])
    assert found.min() == 0
    assert found.max() == 1
