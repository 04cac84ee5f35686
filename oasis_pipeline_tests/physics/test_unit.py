"""Kinematics of the pumping unit against the chain of API Spec 11E and against themselves."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oasis_pipeline.physics.unit import (
    PumpingUnit,
    UnitKind,
    bottom_crank_angle_rad,
    crank_angle_at_constant_speed,
    crank_angle_of_card,
    polished_rod_motion,
    stroke_in,
    top_crank_angle_rad,
)

CONVENTIONAL = PumpingUnit(UnitKind.CONVENTIONAL, 210.0, 120.0, 120.0, 197.9, 144.5, 47.0)
MARK_II = PumpingUnit(UnitKind.MARK_II, 201.0, 118.0, 150.0, 205.0, 150.0, 43.0, clockwise=False)
AIR = PumpingUnit(UnitKind.AIR_BALANCED, 190.0, 110.0, 110.0, 160.0, 120.0, 40.0)
ALL = pytest.mark.parametrize("unit", [CONVENTIONAL, MARK_II, AIR, PumpingUnit.simple_harmonic(54.0)])


def law_of_cosines(unit, theta):
    """API Spec 11E, rear mounted: position above the bottom and torque factor, degree by degree."""
    a, c, i, k, p, r = unit.a_in, unit.c_in, unit.i_in, unit.k_in, unit.p_in, unit.r_in
    theta_2 = 2.0 * math.pi - theta + math.asin(i / k)
    beta = math.acos((c * c + p * p - k * k - r * r + 2.0 * k * r * math.cos(theta_2)) / (2.0 * c * p))
    j = math.sqrt(c * c + p * p - 2.0 * c * p * math.cos(beta))
    chi = math.acos((c * c + j * j - p * p) / (2.0 * c * j))
    rho = math.asin(r * math.sin(theta_2) / j)
    psi = chi + rho
    # The inner angles of the quadrilateral of C, P, R and K sum to a full turn; alpha runs from R to P.
    alpha = beta + psi + theta_2 - 2.0 * math.pi
    bottom = math.acos((c * c + k * k - (p + r) ** 2) / (2.0 * c * k))
    return a * (bottom - psi), a * r / c * math.sin(alpha) / math.sin(beta)


def test_conventional_unit_equals_the_formulas_of_the_specification():
    theta = np.radians(np.arange(0.0, 360.0, 5.0))
    position, factor = polished_rod_motion(CONVENTIONAL, theta)
    expected = np.array([law_of_cosines(CONVENTIONAL, angle) for angle in theta])
    assert position == pytest.approx(np.maximum(expected[:, 0], 0.0), abs=1e-9)
    assert factor == pytest.approx(expected[:, 1], abs=1e-9)


@ALL
def test_torque_factor_is_the_slope_of_the_position(unit):
    theta = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    step = 1e-5
    ahead, _ = polished_rod_motion(unit, theta + step)
    behind, _ = polished_rod_motion(unit, theta - step)
    _, factor = polished_rod_motion(unit, theta)
    # At the very bottom the position is clipped at zero, half the difference is lost there.
    assert (ahead - behind) / (2.0 * step) == pytest.approx(factor, abs=2e-3)


@ALL
def test_dead_centres_are_the_ends_of_the_stroke(unit):
    position, factor = polished_rod_motion(
        unit, [float(bottom_crank_angle_rad(unit)), float(top_crank_angle_rad(unit))]
    )
    assert position == pytest.approx([0.0, float(stroke_in(unit))], abs=1e-9)
    assert factor == pytest.approx([0.0, 0.0], abs=1e-9)
    everywhere, _ = polished_rod_motion(unit, np.linspace(0.0, 2.0 * np.pi, 2000))
    assert everywhere.max() == pytest.approx(float(stroke_in(unit)), rel=1e-5)


def test_simple_harmonic_motion():
    theta = np.linspace(0.0, 7.0, 50)
    position, factor = polished_rod_motion(PumpingUnit.simple_harmonic(54.0), theta)
    assert position == pytest.approx(27.0 * (1.0 - np.cos(theta)))
    assert factor == pytest.approx(27.0 * np.sin(theta))


def test_the_work_of_a_constant_load_over_a_turn_is_nothing():
    for unit in (CONVENTIONAL, MARK_II, AIR):
        _, factor = polished_rod_motion(unit, np.linspace(0.0, 2.0 * np.pi, 720, endpoint=False))
        assert abs(factor.mean()) < 1e-9 * factor.max()


def test_rotation_mirrors_the_motion():
    theta = np.linspace(0.1, 6.0, 40)
    other = PumpingUnit(UnitKind.CONVENTIONAL, 210.0, 120.0, 120.0, 197.9, 144.5, 47.0, clockwise=False)
    forward, slope = polished_rod_motion(CONVENTIONAL, theta)
    backward, mirrored = polished_rod_motion(other, -theta)
    assert backward == pytest.approx(forward)
    assert mirrored == pytest.approx(-slope)


@given(
    st.floats(0.6, 1.6),
    st.floats(0.85, 1.15),
    st.floats(0.9, 1.1),
    st.sampled_from([CONVENTIONAL, MARK_II, AIR]),
)
def test_any_linkage_that_turns_moves_once_up_and_once_down(scale, pitman, beam, base):
    unit = PumpingUnit(
        base.kind,
        base.a_in * scale,
        base.c_in * scale * beam,
        base.i_in * scale,
        base.k_in * scale,
        base.p_in * scale * pitman,
        base.r_in * scale,
    )
    assume(np.isfinite(stroke_in(unit)))
    theta = crank_angle_at_constant_speed(unit, 360)
    position, factor = polished_rod_motion(unit, theta)
    assert (np.diff(np.sign(factor[1:])) != 0).sum() <= 2
    assert position.min() >= 0.0
    assert position.max() <= float(stroke_in(unit)) * (1.0 + 1e-9)


def test_a_linkage_that_cannot_turn_is_refused():
    with pytest.raises(ValueError, match="full circle"):
        polished_rod_motion(PumpingUnit(UnitKind.CONVENTIONAL, 210.0, 120.0, 120.0, 197.9, 60.0, 47.0), [0.0])


def test_a_batch_equals_its_units_one_by_one():
    units = [CONVENTIONAL, MARK_II, PumpingUnit.simple_harmonic(80.0), AIR]
    batch = PumpingUnit.stack(units)
    theta = np.linspace(0.0, 6.28, 33)
    position, factor = polished_rod_motion(batch, theta)
    assert batch.batch_shape == (4,)
    for row, unit in enumerate(units):
        alone = polished_rod_motion(unit, theta)
        assert position[row] == pytest.approx(alone[0])
        assert factor[row] == pytest.approx(alone[1])
    assert stroke_in(batch) == pytest.approx([float(stroke_in(unit)) for unit in units])
    assert stroke_in(batch.take([2])) == pytest.approx([80.0])


@ALL
def test_crank_angles_are_found_back_from_a_card(unit):
    theta = crank_angle_at_constant_speed(unit, 200)
    position, _ = polished_rod_motion(unit, theta)
    # The card's own ends stand for the dead centres, which lie up to half a point away.
    assert crank_angle_of_card(unit, position) == pytest.approx(theta, abs=0.02)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Conventional", UnitKind.CONVENTIONAL),
        ("C", UnitKind.CONVENTIONAL),
        ("Mark II", UnitKind.MARK_II),
        ("MARK-II", UnitKind.MARK_II),
        ("air balanced", UnitKind.AIR_BALANCED),
        ("SHM", UnitKind.SIMPLE_HARMONIC),
    ],
)
def test_unit_types_as_the_field_writes_them(text, kind):
    assert UnitKind.from_text(text) is kind


def test_an_unknown_unit_type_is_refused():
    with pytest.raises(ValueError, match="Rotaflex"):
        UnitKind.from_text("Rotaflex")
