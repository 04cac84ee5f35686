"""Fluids: gravities, pressures, levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.physics import fluids
from oasis_pipeline.physics.rods import RodString


def test_oil_gravity() -> None:
    assert float(fluids.oil_gravity(10.0)) == pytest.approx(1.0)
    assert float(fluids.oil_gravity(35.0)) == pytest.approx(0.8498, abs=5e-5)


def test_mixture_is_by_volume() -> None:
    assert float(fluids.mixture_gravity(0.0, 1.1, 0.85)) == pytest.approx(0.85)
    assert float(fluids.mixture_gravity(100.0, 1.1, 0.85)) == pytest.approx(1.1)
    assert float(fluids.mixture_gravity(40.0, 1.0, 0.8)) == pytest.approx(0.88)


@given(
    st.floats(1.0, 4.0),
    st.floats(0.7, 1.2),
    st.floats(500.0, 12_000.0),
    st.floats(0.0, 500.0),
    st.floats(0.0, 1.0),
)
def test_intake_pressure_inverts_fluid_load(
    d: float, sg: float, depth: float, tubing: float, share: float
) -> None:
    discharge = float(fluids.discharge_pressure_psi(tubing, sg, depth))
    load = fluids.fluid_load_lbf(d, discharge, share * discharge)
    assert float(fluids.intake_pressure_psi(d, discharge, load)) == pytest.approx(share * discharge, abs=1e-6)


def test_negative_intake_pressure_is_kept() -> None:
    assert float(fluids.intake_pressure_psi(2.0, 1000.0, 4000.0)) < 0.0


def test_fluid_above_pump() -> None:
    assert float(fluids.fluid_above_pump_ft(50.0, 50.0, 0.85)) == 0.0
    assert float(fluids.fluid_above_pump_ft(20.0, 50.0, 0.85)) == 0.0
    assert float(fluids.fluid_above_pump_ft(50.0 + 433.333, 50.0, 1.0)) == pytest.approx(1000.0, abs=0.01)


def test_buoyancy_of_steel() -> None:
    string = RodString.from_sections([1000.0], [1.0])
    share = 1.0 - float(string.buoyant_weight_lbf(1.0)) / float(string.buoyant_weight_lbf(0.0))
    assert share == pytest.approx(62.4 / 490.0, abs=1e-9)
    assert share == pytest.approx(0.12735, abs=5e-6)


def test_valve_opens_at_the_top_when_full_and_at_the_liquid_when_the_gas_weighs_nothing() -> None:
    assert float(fluids.valve_opening_position(1.0, 0.3, 1.2)) == 1.0
    assert float(fluids.valve_opening_position(0.4, 0.0, 1.2)) == pytest.approx(0.4)


def test_batches_and_nan() -> None:
    out = fluids.discharge_pressure_psi(np.array([[100.0], [np.nan]]), np.array([0.8, 1.0, 1.2]), 5000.0)
    assert out.shape == (2, 3)
    assert np.isnan(out[1]).all()
    assert np.all(np.diff(out[0]) > 0)


@given(fill=st.floats(0.05, 1.0), ratio=st.floats(0.0, 0.6))
def test_the_liquid_is_found_back_from_where_the_valve_opens(fill: float, ratio: float) -> None:
    opening = fluids.valve_opening_position(fill, ratio, 1.18)
    assert fluids.liquid_fill(opening, ratio, 1.18) == pytest.approx(fill, abs=1e-9)
    assert fluids.liquid_fill(opening, ratio, 1.18) <= opening + 1e-12


def test_gas_that_fills_a_third_of_the_opening_is_no_liquid() -> None:
    # x = 1 - 0.4 (1 - (100/1850)^(1/1.2)) = 0.6352, physics notes, number 12
    assert fluids.liquid_fill(0.6352, 100.0 / 1850.0, 1.2) == pytest.approx(0.6, abs=1e-4)
    assert fluids.liquid_fill(1.0, 0.5, 1.2) == 1.0
    assert fluids.liquid_fill(0.5, 0.5, 1.2) == 0.0
