"""Torque, balance, permissible load, work of a card."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.physics import torque as gear
from oasis_pipeline.physics.unit import (
    PumpingUnit,
    UnitKind,
    crank_angle_at_constant_speed,
    crank_angle_of_card,
    polished_rod_motion,
    stroke_in,
)

CONVENTIONAL = PumpingUnit(
    UnitKind.CONVENTIONAL, a_in=129.0, c_in=111.09, i_in=111.0, k_in=151.34, p_in=114.0, r_in=42.0
)


def test_torque_work_equals_card_work() -> None:
    # Without balance, the crank's work over a turn is the card's area whatever the linkage.
    angle = crank_angle_at_constant_speed(CONVENTIONAL, 4000)
    position, factor = polished_rod_motion(CONVENTIONAL, angle)
    load = 12_000.0 + 4000.0 * np.sin(angle + 0.3)
    torque = gear.gearbox_torque_in_lbf(load, factor, angle, 0.0)
    assert torque.sum() * 2.0 * np.pi / 4000 == pytest.approx(
        float(gear.card_area_in_lbf(position, load)), rel=1e-5
    )


def test_tables_agree_with_the_linkage() -> None:
    units = PumpingUnit.stack([CONVENTIONAL, PumpingUnit.simple_harmonic(100.0)])
    tables = gear.MotionTables.of(units)
    for i, unit in enumerate([CONVENTIONAL, PumpingUnit.simple_harmonic(100.0)]):
        position = polished_rod_motion(unit, crank_angle_at_constant_speed(unit, 200))[0][None]
        angle, factor = tables.of_cards(position, np.array([i]))
        exact = crank_angle_of_card(unit, position)
        assert np.abs(np.sin(angle - exact)).max() < 2e-3
        assert np.abs(factor - polished_rod_motion(unit, exact)[1]).max() < 2e-3 * float(stroke_in(unit))
    # Starting anywhere in the stroke gives the same angles, apart from whole turns.
    turned, _ = tables.of_cards(np.roll(position, 37, axis=1), np.array([1]))
    assert np.abs(np.sin(np.roll(angle, 37, axis=1) - turned)).max() < 1e-6


def test_other_crank_hole_scales_the_torque_factor() -> None:
    tables = gear.MotionTables.of(PumpingUnit.stack([CONVENTIONAL]))
    position = polished_rod_motion(CONVENTIONAL, crank_angle_at_constant_speed(CONVENTIONAL, 200))[0][None]
    one, two = (tables.of_cards(k * position, np.array([0]))[1] for k in (1.0, 0.8))
    assert np.allclose(two, 0.8 * one)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_no_other_moment_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = 2.0 * np.pi * np.arange(120) / 120
    load = rng.uniform(5000.0, 20_000.0, (3, 120))
    factor = 50.0 * np.sin(angle)
    moment, torque = gear.best_moment_in_lbf(load, factor, angle, 5.0, 300.0)
    for share in (0.9, 0.99, 1.01, 1.1):
        other = np.abs(
            gear.gearbox_torque_in_lbf(
                load, factor, angle, share * moment, np.full(3, 5.0), np.full(3, 300.0)
            )
        ).max(axis=1)
        assert np.all(other >= torque * (1.0 - 1e-6))


def test_missing_loads_have_no_best_moment() -> None:
    angle = 2.0 * np.pi * np.arange(20) / 20
    moment, torque = gear.best_moment_in_lbf(np.full((1, 20), np.nan), np.sin(angle), angle)
    assert np.isnan(moment).all()
    assert np.isnan(torque).all()


def test_permissible_load_is_where_the_torque_is_the_rating() -> None:
    angle = crank_angle_at_constant_speed(CONVENTIONAL, 100)
    _, factor = polished_rod_motion(CONVENTIONAL, angle)
    upper, lower = gear.permissible_load_lbf(factor, angle, 400_000.0, 320_000.0, 3.0, 200.0)
    limit = np.where(np.isnan(upper), lower, upper)
    torque = gear.gearbox_torque_in_lbf(limit, factor, angle, 400_000.0, 3.0, 200.0)
    assert np.allclose(torque[np.isfinite(limit)], 320_000.0)
    assert not np.any(np.isfinite(upper) & np.isfinite(lower))


def test_counterbalance_effect() -> None:
    assert float(gear.counterbalance_effect_lbf(270_000.0, 27.0)) == pytest.approx(10_000.0)


def test_area_of_a_rectangle_and_its_sign() -> None:
    x = np.array([0.0, 0.0, 10.0, 10.0])
    f = np.array([0.0, 100.0, 100.0, 0.0])
    assert float(gear.card_area_in_lbf(x, f)) == pytest.approx(1000.0)
    assert float(gear.card_area_in_lbf(x[::-1], f[::-1])) == pytest.approx(-1000.0)
    assert float(gear.card_power_hp(x, f, 396.0)) == pytest.approx(1.0)
