"""Damping by power balance: found where it can be, flagged where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.physics import power_balance as pb
from oasis_pipeline.physics import wave_frequency
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import parameters, simulate
from oasis_pipeline.physics.torque import card_area_in_lbf
from oasis_pipeline.physics.unit import PumpingUnit

from .wells import band_limited_card

STRING = RodString.from_sections([1690.0, 3310.0], [0.875, 0.75])
WEIGHT = float(STRING.buoyant_weight_lbf(0.9))


def power_case(intake: float, nu: float) -> tuple[pb.PowerBalance, float, float]:
    state = parameters(
        1,
        spm=8.0,
        discharge_psi=2200.0,
        intake_psi=intake,
        damping_up=nu,
        damping_down=nu,
        plunger_friction_lbf=0.0,
    )
    cards = simulate(STRING, PumpingUnit.simple_harmonic(100.0), state)
    balance = pb.power_balance_damping(
        cards.surface_position_in,
        cards.surface_load_lbf,
        STRING,
        8.0,
        buoyant_weight_lbf=float(STRING.buoyant_weight_lbf(1.0)),
        plunger_diameter_in=1.75,
        fluid_sg=1.0,
        lift_ft=(2200.0 - intake) / 0.4333,
    )
    return balance, float(wave_frequency.damping_per_s(STRING, nu)), float(np.ptp(cards.pump_position_in))


@pytest.mark.parametrize("nu", [0.06, 0.12, 0.2])
def test_power_balance_finds_the_damping(nu: float) -> None:
    balance, truth, stroke = power_case(200.0, nu)
    assert balance.converged[0]
    assert balance.iterations[0] < 15
    # The published constant takes a mean of two speeds; 20 % is what the method itself claims.
    assert balance.damping_per_s[0] == pytest.approx(truth, rel=0.25)
    assert balance.net_stroke_in[0] == pytest.approx(stroke, rel=0.03)


def test_power_balance_says_when_it_cannot() -> None:
    position, load = band_limited_card(np.random.default_rng(3))
    # The same card run backward gives back work: no damping explains that.
    area = float(card_area_in_lbf(position, load))
    cards = (position[::-1], load[::-1]) if area > 0 else (position, load)
    balance = pb.power_balance_damping(
        np.stack([cards[0]]),
        np.stack([cards[1]]),
        STRING,
        8.0,
        buoyant_weight_lbf=WEIGHT,
        plunger_diameter_in=1.75,
        fluid_sg=1.0,
        lift_ft=5000.0,
    )
    low = float(wave_frequency.damping_per_s(STRING, pb.POWER_BALANCE_BOUNDS[0]))
    assert not balance.converged[0]
    assert balance.damping_per_s[0] == pytest.approx(low)


def test_power_balance_stops_at_its_limit() -> None:
    state = parameters(1, spm=8.0, discharge_psi=2200.0, intake_psi=200.0)
    cards = simulate(STRING, PumpingUnit.simple_harmonic(100.0), state)
    balance = pb.power_balance_damping(
        cards.surface_position_in,
        cards.surface_load_lbf,
        STRING,
        8.0,
        buoyant_weight_lbf=WEIGHT,
        plunger_diameter_in=1.75,
        fluid_sg=1.0,
        lift_ft=4600.0,
        max_iterations=1,
        tolerance=1e-12,
    )
    assert balance.iterations[0] == 1
    assert not balance.converged[0]


def test_hydraulic_power() -> None:
    # 350 lb a barrel: 350 / (1440 x 33,000) = 7.365e-6
    assert float(pb.hydraulic_power_hp(100.0, 1.0, 5000.0)) == pytest.approx(3.68, abs=0.005)
