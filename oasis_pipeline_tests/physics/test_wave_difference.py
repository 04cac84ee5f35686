"""The finite-difference solver: parity with the other solver, order of accuracy, friction along a path, power balance."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.physics import wave_difference as fd
from oasis_pipeline.physics import wave_frequency
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import parameters, simulate
from oasis_pipeline.physics.torque import card_area_in_lbf
from oasis_pipeline.physics.unit import PumpingUnit
from oasis_pipeline.physics.well_path import Survey

from .wells import band_limited_card, random_string

STRING = RodString.from_sections([1690.0, 3310.0], [0.875, 0.75])
WEIGHT = float(STRING.buoyant_weight_lbf(0.9))


def test_parity_on_a_thousand_random_wells() -> None:
    rng = np.random.default_rng(20)
    worst_load = worst_position = 0.0
    for _ in range(1000):
        string = random_string(rng)
        position, load = band_limited_card(rng)
        spm, nu = rng.uniform(4.0, 12.0), rng.uniform(0.02, 0.4)
        c = float(wave_frequency.damping_per_s(string, nu))
        weight = float(string.buoyant_weight_lbf(1.0))
        x, f = wave_frequency.pump_card(position, load, string, spm, c, buoyant_weight_lbf=weight)
        x2, f2 = fd.pump_card(position, load, string, spm, c, buoyant_weight_lbf=weight)
        worst_load = max(worst_load, float(np.abs(f - f2).max() / np.ptp(f)))
        worst_position = max(worst_position, float(np.abs(x - x2).max() / np.ptp(x)))
    assert worst_load < 1e-3
    assert worst_position < 1e-3


@pytest.mark.parametrize(("scheme", "order"), [("compact", 4.0), ("published", 1.0)])
def test_order_of_convergence(scheme: str, order: float) -> None:
    position, load = band_limited_card(np.random.default_rng(2))
    _, f = wave_frequency.pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    wrong = [
        np.abs(
            fd.pump_card(
                position,
                load,
                STRING,
                8.0,
                0.5,
                buoyant_weight_lbf=WEIGHT,
                nodes=n,
                time_points=8 * n,
                scheme=scheme,
            )[1]
            - f
        ).max()
        for n in (50, 100)
    ]
    assert np.log2(wrong[0] / wrong[1]) == pytest.approx(order, abs=0.35)


def test_published_form_comes_near() -> None:
    position, load = band_limited_card(np.random.default_rng(2))
    _, f = wave_frequency.pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    _, f2 = fd.pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT, scheme="published")
    assert np.abs(f2 - f).max() < 0.02 * np.ptp(f)


def test_conventions_are_those_of_the_other_solver() -> None:
    position, load = band_limited_card(np.random.default_rng(7))
    options = {"buoyant_weight_lbf": WEIGHT, "load_offset_lbf": 300.0, "true_load": True}
    x, f = wave_frequency.pump_card(position, load, STRING, 8.0, 0.5, **options)
    x2, f2 = fd.pump_card(position, load, STRING, 8.0, 0.5, **options)
    assert np.allclose(x, x2, atol=0.05)
    assert np.allclose(f, f2, atol=1e-3 * np.ptp(f))


def test_batch_and_nan_rows() -> None:
    position, load = band_limited_card(np.random.default_rng(7))
    many = np.tile(load, (3, 1))
    many[1, 5] = np.nan
    x, f = fd.pump_card(
        np.tile(position, (3, 1)), many, STRING, [8.0, 8.0, 9.0], 0.5, buoyant_weight_lbf=WEIGHT
    )
    assert np.isnan(f[1]).all()
    for i, spm in ((0, 8.0), (2, 9.0)):
        alone = fd.pump_card(position, load, STRING, spm, 0.5, buoyant_weight_lbf=WEIGHT)
        assert np.allclose(f[i], alone[1], rtol=1e-9, atol=1e-6)
        assert np.allclose(x[i], alone[0], rtol=1e-9, atol=1e-9)


def survey(bend: float = 30.0, turn: float = 0.0) -> Survey:
    md = np.array([0.0, 1000.0, 2000.0, 5000.0])
    return Survey(md, np.array([0.0, 0.0, bend, bend]), np.array([0.0, 0.0, turn, turn]))


def test_vertical_survey_changes_nothing() -> None:
    position, load = band_limited_card(np.random.default_rng(9))
    plain = fd.pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    straight = Survey(np.array([0.0, 6000.0]), np.zeros(2), np.zeros(2))
    options = {"survey": straight, "friction_coefficient": 0.2, "buoyancy": 0.88}
    with_path = fd.pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT, **options)
    assert np.allclose(plain[0], with_path[0])
    assert np.allclose(plain[1], with_path[1])


def test_friction_along_the_path_takes_work_from_the_pump() -> None:
    state = parameters(1, spm=8.0, discharge_psi=2200.0, intake_psi=200.0)
    cards = simulate(STRING, PumpingUnit.simple_harmonic(100.0), state)
    args = (cards.surface_position_in, cards.surface_load_lbf, STRING, 8.0, 0.3)
    area = []
    for coefficient in (0.0, 0.1, 0.2):
        x, f = fd.pump_card(
            *args,
            buoyant_weight_lbf=WEIGHT,
            survey=survey(),
            friction_coefficient=coefficient,
            buoyancy=WEIGHT / float(STRING.air_weight_lbf),
        )
        area.append(float(card_area_in_lbf(x, f)[0]))
    assert area[0] > area[1] > area[2]
    # Straight slant of 30 degrees: side force is q sin(phi) for each foot, its work mu N 2 S.
    slant = Survey(np.array([0.0, 6000.0]), np.full(2, 30.0), np.zeros(2))
    x0, f0 = fd.pump_card(*args, buoyant_weight_lbf=WEIGHT)
    x1, f1 = fd.pump_card(
        *args,
        buoyant_weight_lbf=WEIGHT,
        survey=slant,
        friction_coefficient=0.1,
        buoyancy=WEIGHT / float(STRING.air_weight_lbf),
    )
    lost = float((card_area_in_lbf(x0, f0) - card_area_in_lbf(x1, f1))[0])
    assert lost == pytest.approx(
        0.1 * WEIGHT * np.sin(np.radians(30.0)) * 2.0 * 0.5 * (100.0 + np.ptp(x0)), rel=0.05
    )


def test_side_force_of_a_build_section() -> None:
    # Weight and tension oppose one another while the path builds, and add up while it drops.
    string = RodString.from_sections([5000.0], [0.875])
    grid = fd.make_grid(string, 100)
    building = fd.friction_nodes(string, grid, survey(), 0.2, 0.9)
    middle = np.argmin(np.abs(grid.node_depth_ft() - 1500.0))
    assert building[middle, 2] == pytest.approx(np.radians(30.0) / 1000.0)
    assert building[middle, 1] == pytest.approx(0.9 * 2.224 * np.sin(np.radians(15.0)), rel=0.01)
    assert building[0, 4] == pytest.approx(fd.axial_weight_lbf(string, survey(), 0.9), rel=1e-3)
    assert building[0, 4] < 0.9 * float(string.air_weight_lbf)
    turning = fd.friction_nodes(string, grid, survey(turn=90.0), 0.2, 0.9)
    assert turning[middle, 3] == pytest.approx(np.radians(90.0) / 1000.0 * np.sin(np.radians(15.0)), rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "wild"}, "not known"),
        ({"scheme": "published", "survey": survey()}, "needs scheme"),
        ({"nodes": 3, "time_points": 2000}, "unstable grid"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    position, load = band_limited_card(np.random.default_rng(7))
    with pytest.raises(ValueError, match=message):
        fd.pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT, **options)


def test_shapes_and_speeds_are_checked() -> None:
    with pytest.raises(ValueError, match="8 points or more"):
        fd.pump_card(np.zeros(7), np.zeros(7), STRING, 8.0, 0.5, buoyant_weight_lbf=0.0)
    with pytest.raises(ValueError, match="spm has to be positive"):
        fd.pump_card(np.zeros(10), np.zeros(10), STRING, -1.0, 0.5, buoyant_weight_lbf=0.0)
