"""Each fault of the predictive model does to the cards what it does in a well."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.physics.rods import RodString, api_tapers
from oasis_pipeline.physics.simulator import DEFAULTS, parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit

UNIT = PumpingUnit.simple_harmonic(120.0)
DIAMETERS, SHARES = api_tapers("86", 1.75)
RODS = RodString.from_sections([6000.0 * share for share in SHARES], DIAMETERS, ["D", "D", "D"])
AREA_IN2 = np.pi / 4.0 * 1.75**2
DISCHARGE_PSI, INTAKE_PSI = 2600.0, 150.0
FO_LBF = AREA_IN2 * (DISCHARGE_PSI - INTAKE_PSI)


def run(count=1, **values):
    values = {"spm": 7.0, "discharge_psi": DISCHARGE_PSI, "intake_psi": INTAKE_PSI, **values}
    return simulate(RODS, UNIT, parameters(count, **values))


def halves(cards, i):
    """Relative plunger positions (0 bottom, 1 top) and loads of the upstroke and the downstroke of the true pump card."""
    relative = cards.pump_position_in[i] - cards.barrel_position_in[i]
    relative = (relative - relative.min()) / np.ptp(relative)
    low, high = int(relative.argmin()), int(relative.argmax())
    order = (low + np.arange(100)) % 100
    turn = (high - low) % 100
    up, down = order[: turn + 1], order[turn:]
    return (relative[up], cards.pump_load_lbf[i][up]), (relative[down], cards.pump_load_lbf[i][down])


def test_a_full_pump_carries_the_fluid_load_up_and_nothing_down():
    cards = run()
    (x_up, up), (x_down, down) = halves(cards, 0)
    middle = (x_up > 0.2) & (x_up < 0.8)
    assert up[middle].mean() == pytest.approx(FO_LBF + 100.0, rel=0.03)
    assert down[(x_down > 0.2) & (x_down < 0.8)].mean() == pytest.approx(-100.0, abs=0.03 * FO_LBF)
    assert cards.truth["fillage_pct"][0] > 98.0
    # The pump lifts what it displaces.
    displacement = 0.116571 * cards.truth["net_stroke_in"][0] * 7.0 * 1.75**2
    assert cards.truth["inferred_production_bpd"][0] == pytest.approx(displacement, rel=0.02)


def test_fluid_pound_unloads_sharply_and_late():
    cards = run(gas_fraction=0.4, intake_psi=25.0, gas_mixing=0.0, gas_exponent=1.05)
    fill = cards.truth["fillage_pct"][0] / 100.0
    assert fill == pytest.approx(0.6, abs=0.04)
    _, (x, load) = halves(cards, 0)
    fo = cards.truth["fluid_load_lbf"][0]
    above, below = x[load > 0.75 * fo], x[load < 0.25 * fo]
    # Most of the load is still there just above the liquid and gone just below.
    assert above.min() < fill + 0.15
    assert below.max() > fill - 0.05


def test_gas_interference_unloads_gradually():
    pound = run(gas_fraction=0.5, intake_psi=25.0, gas_mixing=0.0, gas_exponent=1.05)
    gas = run(gas_fraction=0.5, intake_psi=600.0, gas_mixing=0.8, gas_exponent=1.2, clearance_in=8.0)

    def width(cards):
        _, (x, load) = halves(cards, 0)
        fo = cards.truth["fluid_load_lbf"][0]
        return x[load > 0.8 * fo].min() - x[load < 0.3 * fo].max()

    assert width(gas) > width(pound) + 0.05


def test_a_gas_locked_pump_lifts_nothing():
    # Clearance times (Pd / PIP)^(1/gamma) beyond the stroke: the gas is squeezed and let go, no valve opens.
    cards = run(gas_fraction=0.98, gas_mixing=1.0, intake_psi=60.0, clearance_in=20.0)
    assert cards.truth["inferred_production_bpd"][0] < 0.04 * 0.1166 * 120.0 * 7.0 * 1.75**2


@given(st.floats(0.0, 0.75))
@settings(max_examples=15)
def test_production_falls_with_the_gas_drawn_in(fraction):
    less = run(gas_fraction=fraction).truth["inferred_production_bpd"][0]
    more = run(gas_fraction=fraction + 0.1).truth["inferred_production_bpd"][0]
    assert more < less


def test_a_travelling_valve_leak_rounds_the_upstroke_only_and_takes_production():
    cards = run(3, tv_leak_bpd=[0.0, 250.0, 500.0])
    lost = cards.truth["inferred_production_bpd"]
    assert lost[0] > lost[1] > lost[2]
    assert cards.truth["tv_leak_bpd"] == pytest.approx([0.0, 250.0, 500.0])
    picked_up = []
    for i in range(3):
        (x, load), (x_down, down) = halves(cards, i)
        picked_up.append(x[np.argmax(load > 0.9 * FO_LBF)])
        assert down[(x_down > 0.2) & (x_down < 0.8)].mean() == pytest.approx(-100.0, abs=0.04 * FO_LBF)
    assert picked_up[0] < picked_up[1] < picked_up[2]
    (x, load), _ = halves(cards, 2)
    # It drops the load before the top, while the plunger slows down.
    assert load[(x > 0.95)].min() < 0.85 * FO_LBF


def test_a_standing_valve_leak_rounds_the_downstroke():
    cards = run(2, sv_leak_bpd=[0.0, 450.0])
    assert cards.truth["fillage_pct"][1] < cards.truth["fillage_pct"][0] - 2.0
    assert cards.truth["inferred_production_bpd"][1] < cards.truth["inferred_production_bpd"][0] - 50.0
    (x_up, up), (x, load) = halves(cards, 1)
    assert load[x < 0.02].max() > 0.1 * FO_LBF
    assert up[(x_up > 0.2) & (x_up < 0.8)].mean() == pytest.approx(FO_LBF + 100.0, rel=0.04)


def test_friction_fattens_the_surface_card_and_eats_stroke():
    cards = run(3, rod_drag_lbf=[0.0, 800.0, 1600.0])
    width = cards.results["surface_work_in_lbf"]
    assert width[0] < width[1] < width[2]
    assert (np.diff(cards.truth["gross_stroke_in"]) < 0.0).all()
    assert cards.results["dry_work_in_lbf"][2] > 800.0 * 0.5 * 120.0


def test_unanchored_tubing_moves_by_the_load_over_its_spring():
    spring = 700.0
    cards = run(2, tubing_spring_lbf_per_in=[np.inf, spring], spm=3.0, tubing_damping=0.8)
    assert cards.truth["tubing_movement_in"][0] == 0.0
    assert cards.truth["tubing_movement_in"][1] == pytest.approx(FO_LBF / spring, rel=0.06)
    # The plunger goes as far as before, but part of it with the barrel.
    assert cards.truth["net_stroke_in"][1] < cards.truth["net_stroke_in"][0] - 0.8 * FO_LBF / spring


def test_tagging_down_pushes_at_the_bottom_and_tagging_up_pulls_at_the_top():
    cards = run(3, tag_down_in=[0.0, 5.0, 0.0], tag_up_in=[0.0, 0.0, 5.0])
    free, down, up = cards.pump_load_lbf
    assert down.min() < free.min() - 0.1 * FO_LBF
    assert up.max() > free.max() + 0.1 * FO_LBF
    relative = cards.pump_position_in - cards.pump_position_in.min(axis=1, keepdims=True)
    stroke = np.ptp(cards.pump_position_in, axis=1)
    assert relative[1][down.argmin()] < 0.1 * stroke[1]
    assert relative[2][up.argmax()] > 0.9 * stroke[2]
    assert (stroke[1:] < stroke[0] - 2.0).all()


def test_parted_rods_hang_from_the_part_and_the_pump_is_unknown():
    depths = np.array([1200.0, 3500.0, 5900.0])
    cards = run(3, parted_depth_ft=depths, parted_friction_lbf=0.0, spm=4.0)
    ends = np.cumsum(RODS.length_ft)
    for i, depth in enumerate(depths):
        above = np.clip(np.minimum(ends, depth) - (ends - RODS.length_ft), 0.0, None)
        hanging = RodString(
            above, RODS.diameter_in, RODS.weight_lb_per_ft, RODS.modulus_psi, RODS.tensile_psi
        )
        assert cards.surface_load_lbf[i].mean() == pytest.approx(
            float(hanging.buoyant_weight_lbf(1.0)), rel=0.02
        )
        assert np.ptp(cards.surface_load_lbf[i]) < 0.35 * FO_LBF
    assert np.abs(cards.pump_load_lbf).max() < 1e-6
    for name in ("fillage_pct", "fluid_load_lbf", "pump_intake_pressure_psi", "net_stroke_in", "tv_leak_bpd"):
        assert np.isnan(cards.truth[name]).all()
    assert (cards.truth["inferred_production_bpd"] == 0.0).all()


def test_a_worn_barrel_sags_where_it_is_worn():
    cards = run(wear_leak_bpd=2200.0, wear_place=0.5, wear_width=0.1)
    (x, load), _ = halves(cards, 0)
    dip = load[(x > 0.45) & (x < 0.6)].min()
    assert dip < 0.8 * FO_LBF
    assert load[(x > 0.12) & (x < 0.25)].mean() > 0.95 * FO_LBF


def test_a_sticking_plunger_adds_load_up_and_takes_it_down_in_its_zone():
    cards = run(2, sticking_lbf=[0.0, 1200.0], sticking_place=0.5, sticking_width=0.08)
    (x_up, up), (x_down, down) = halves(cards, 1)
    assert up[np.abs(x_up - 0.5) < 0.05].max() > FO_LBF + 900.0
    assert down[np.abs(x_down - 0.5) < 0.05].min() < -900.0
    assert up[(x_up > 0.15) & (x_up < 0.2)].max() < FO_LBF + 400.0


def test_vibration_puts_waves_of_its_harmonic_on_the_surface_card():
    cards = run(2, vibration_in=[0.0, 0.4], vibration_harmonic=9.0)
    spectra = np.abs(np.fft.rfft(cards.surface_load_lbf, axis=1))
    assert spectra[1, 9] > 2.0 * spectra[0, 9]


_BOUNDS = {
    "gas_fraction": (0.0, 0.85),
    "intake_psi": (5.0, 1500.0),
    "gas_mixing": (0.0, 1.0),
    "clearance_in": (0.5, 15.0),
    "tv_leak_bpd": (0.0, 900.0),
    "sv_leak_bpd": (0.0, 900.0),
    "wear_leak_bpd": (0.0, 2500.0),
    "rod_drag_lbf": (0.0, 3000.0),
    "sticking_lbf": (0.0, 3000.0),
    "tag_down_in": (0.0, 12.0),
    "tag_up_in": (0.0, 12.0),
    "tubing_spring_lbf_per_in": (150.0, 5000.0),
    "spm": (1.5, 14.0),
    "damping_up": (0.0, 0.5),
    "damping_down": (0.0, 0.5),
    "parted_depth_ft": (10.0, 20_000.0),
    "liquid_modulus_psi": (5e4, 5e5),
    "valve_drop_psi": (0.5, 80.0),
    "vibration_in": (0.0, 1.0),
}


def test_bounds_are_parameters():
    assert set(_BOUNDS) <= set(DEFAULTS)


@given(st.integers(0, 2**31))
@settings(max_examples=25)
def test_any_mixture_of_faults_gives_a_finite_card(seed):
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(low, high, 4) for name, (low, high) in _BOUNDS.items()}
    cards = run(4, **values)
    for array in (
        cards.surface_load_lbf,
        cards.surface_position_in,
        cards.pump_load_lbf,
        cards.pump_position_in,
    ):
        assert np.isfinite(array).all()
    assert np.abs(cards.surface_load_lbf).max() < 2e5
    assert (cards.barrel_pressure_psi > -14.7).all()
    assert (cards.results["cycles"] <= 41).all()


def test_truth_has_the_same_names_for_every_condition():
    assert set(run().truth) == set(run(parted_depth_ft=2000.0).truth)
    assert {"fillage_pct", "net_stroke_in", "fluid_load_lbf", "pprl_lbf"} <= set(run().truth)
