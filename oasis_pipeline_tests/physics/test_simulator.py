"""The predictive model against closed forms, conservation laws and numbers computed elsewhere."""

import numpy as np
import pytest

from oasis_pipeline.physics.rods import RodString, api_tapers
from oasis_pipeline.physics.simulator import (
    DEFAULTS,
    measured_motion_tables,
    parameters,
    simulate,
)
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind

AREA_IN2 = np.pi / 4.0 * 1.5**2
FO_LBF = 3098.25
DISCHARGE_PSI = 1850.0
SHM = PumpingUnit.simple_harmonic(54.0)
CONVENTIONAL = PumpingUnit(UnitKind.CONVENTIONAL, 210.0, 120.0, 120.0, 197.9, 144.5, 47.0)


def rod_76(feet=5000.0):
    diameters, shares = api_tapers("76", 1.5)
    return RodString.from_sections([feet * share for share in shares], diameters, ["D", "D"])


def stiff_rods():
    """Rods so short that the plunger moves as the polished rod does."""
    return RodString.from_sections([100.0], [1.0], ["D"], modulus_psi=[30.5e8])


def reference(count=1, **values):
    """The cross-checked run: 5,000 ft, 54 in, 16 spm, 1.5 in, load 3,098 lbf, an ideal pump."""
    ideal = {
        "spm": 16.0,
        "plunger_diameter_in": 1.5,
        "discharge_psi": DISCHARGE_PSI,
        "intake_psi": DISCHARGE_PSI - FO_LBF / AREA_IN2,
        "valve_drop_psi": 1.0,
        "plunger_friction_lbf": 0.0,
        "plunger_weight_lbf": 0.0,
        "liquid_modulus_psi": 1e6,
        "clearance_in": 1.0,
    }
    return parameters(count, **{**ideal, **values})


def run(conditions, rods=None, unit=SHM, **options):
    options = {"tolerance": 1e-6, "max_cycles": 80, **options}
    return simulate(rod_76() if rods is None else rods, unit, conditions, threads=1, **options)


def trapezoid_area(position, load):
    return float(np.sum(0.5 * (load + np.roll(load, -1)) * (np.roll(position, -1) - position)))


def test_cross_checked_run():
    rods = rod_76()
    cards = run(reference(), rods, nodes=200, tolerance=1e-4)
    skr = 54.0 / float(rods.stretch_in_per_lbf)
    weight = float(rods.buoyant_weight_lbf(1.0))
    result = cards.results[0]
    # Numbers of an independent computation with slightly other rod tables, hence one per cent.
    assert result["gross_stroke_in"] / 54.0 == pytest.approx(0.892, rel=0.01)
    assert (result["pprl_lbf"] - weight) / skr == pytest.approx(0.509, rel=0.02)
    assert (weight - result["mprl_lbf"]) / skr == pytest.approx(0.279, rel=0.02)
    assert result["pump_work_in_lbf"] == pytest.approx(149_176.0, rel=0.01)
    assert result["surface_work_in_lbf"] == pytest.approx(204_816.0, rel=0.01)


def test_pump_work_is_fluid_load_times_stroke():
    result = run(reference(), nodes=80).results[0]
    # What is over goes into the two valves and into squeezing the liquid.
    assert result["pump_work_in_lbf"] == pytest.approx(FO_LBF * result["gross_stroke_in"], rel=5e-3)


def test_energy_balances():
    conditions = reference(
        6,
        rod_drag_lbf=[0.0, 600.0, 0.0, 0.0, 300.0, 0.0],
        gas_fraction=[0.0, 0.0, 0.4, 0.0, 0.3, 0.0],
        tv_leak_bpd=[0.0, 0.0, 0.0, 120.0, 60.0, 0.0],
        stuffing_box_lbf=[0.0, 80.0, 0.0, 0.0, 40.0, 0.0],
        plunger_friction_lbf=[0.0, 150.0, 0.0, 0.0, 100.0, 0.0],
        damping_up=[0.1, 0.05, 0.1, 0.1, 0.2, 0.1],
        damping_down=[0.1, 0.25, 0.1, 0.1, 0.1, 0.1],
        parted_depth_ft=[np.inf, np.inf, np.inf, np.inf, np.inf, 2500.0],
    )
    cards = run(conditions, tolerance=5e-3)
    assert cards.results["steady"].all()
    assert np.abs(cards.energy_residual).max() < 1e-4
    assert (cards.results["viscous_work_in_lbf"] > 0.0).all()


def test_work_of_the_surface_card_is_the_work_that_was_counted():
    cards = run(reference(3, gas_fraction=[0.0, 0.3, 0.6]), surface_points=800, pump_points=800)
    for i in range(3):
        area = trapezoid_area(cards.surface_position_in[i], cards.surface_load_lbf[i])
        assert area == pytest.approx(cards.results["surface_work_in_lbf"][i], rel=3e-3)
        area = trapezoid_area(cards.pump_position_in[i], cards.pump_load_lbf[i])
        assert area == pytest.approx(cards.results["pump_work_in_lbf"][i], rel=1e-2)


def test_slow_pumping_has_the_static_card():
    rods = rod_76()
    cards = run(reference(spm=0.8), rods, tolerance=1e-3, nodes=60)
    stretch = FO_LBF * float(rods.stretch_in_per_lbf)
    assert cards.results["gross_stroke_in"][0] == pytest.approx(54.0 - stretch, rel=5e-3)
    weight = float(rods.buoyant_weight_lbf(1.0))
    assert cards.results["pprl_lbf"][0] == pytest.approx(weight + FO_LBF, rel=0.03)
    assert cards.results["mprl_lbf"][0] == pytest.approx(weight, rel=0.03)


def test_rods_with_a_free_end_answer_as_the_wave_equation_says():
    # 7/8 in rods in which sound travels at 16,300 ft/s, moved harmonically at 10 spm by 50 in.
    modulus, area = 30.5e6, np.pi / 4.0 * 0.875**2
    weight = modulus * area * 32.174 / 16_300.0**2
    rods = RodString.from_sections([5000.0], [0.875], weight_lb_per_ft=[weight], modulus_psi=[modulus])
    nu = 0.04
    conditions = reference(
        spm=10.0,
        parted_depth_ft=4999.0,
        parted_friction_lbf=0.0,
        damping_up=nu,
        damping_down=nu,
    )
    cards = run(
        conditions, rods, PumpingUnit.simple_harmonic(100.0), nodes=150, tolerance=1e-5, max_cycles=150
    )
    omega = 2.0 * np.pi * 10.0 / 60.0
    c = np.pi * 16_300.0 * nu / (2.0 * 5000.0)
    k = np.sqrt(omega**2 - 1j * omega * c) / 16_300.0
    gain = abs(1.0 / np.cos(k * 4999.0))
    force = abs(modulus * area * k / 12.0 * np.tan(k * 4999.0)) * 50.0
    assert cards.results["gross_stroke_in"][0] / 100.0 == pytest.approx(gain, rel=2e-3)
    assert 0.5 * (cards.results["pprl_lbf"][0] - cards.results["mprl_lbf"][0]) == pytest.approx(
        force, rel=0.01
    )
    # The same formulas without damping are the printed numbers of the undamped case.
    k0 = omega / 16_300.0
    assert 1.0 / np.cos(k0 * 5000.0) == pytest.approx(1.0539085, abs=1e-6)
    assert modulus * area * k0 / 12.0 * np.tan(k0 * 5000.0) * 50.0 == pytest.approx(1633.63, abs=0.01)


@pytest.mark.parametrize(
    ("fill", "intake", "discharge", "expected"),
    [(0.6, 100.0, 1850.0, 0.6352), (0.4, 50.0, 1850.0, 0.4296)],
)
def test_travelling_valve_opens_where_the_gas_law_says(fill, intake, discharge, expected):
    conditions = reference(
        spm=2.0,
        gas_fraction=1.0 - fill,
        gas_exponent=1.2,
        gas_mixing=0.0,
        clearance_in=0.01,
        intake_psi=intake - 14.7,
        discharge_psi=discharge - 14.7,
        liquid_modulus_psi=1e7,
        valve_drop_psi=0.1,
    )
    cards = run(conditions, stiff_rods(), nodes=4, tolerance=1e-4, surface_points=4000, pump_points=4000)
    assert cards.truth["fillage_pct"][0] == pytest.approx(100.0 * expected, abs=0.4)


def test_a_valve_leak_takes_the_load_when_the_plunger_outruns_it():
    # 100 bbl/d past a 1.5 in plunger, 54 in, 16 spm, harmonic: at a crank angle of 8.0747 degrees.
    conditions = reference(
        tv_leak_bpd=100.0, liquid_modulus_psi=1e7, clearance_in=0.05, damping_up=0.0, damping_down=0.0
    )
    cards = run(conditions, stiff_rods(), nodes=4, tolerance=1e-4, surface_points=4000, pump_points=4000)
    loaded = cards.barrel_pressure_psi[0] < conditions["intake_psi"][0] + 1.0
    assert 360.0 * int(np.argmax(loaded)) / 4000 == pytest.approx(8.0747, abs=0.35)


def test_the_model_converges_with_the_grid():
    def spectrum(nodes):
        cards = run(reference(), nodes=nodes, tolerance=1e-4)
        return np.fft.rfft(cards.surface_load_lbf[0])[:41] / 200.0

    finest = spectrum(400)
    wrong = [
        float(np.sqrt(2.0 * np.sum(np.abs(spectrum(nodes) - finest) ** 2))) / FO_LBF
        for nodes in (50, 100, 200)
    ]
    # First order, for the valves open and close between steps.
    assert wrong[0] < 0.03
    assert wrong[1] < 0.75 * wrong[0]
    assert wrong[2] < 0.75 * wrong[1]


def test_splitting_a_taper_changes_nothing():
    whole = rod_76()
    first, second = whole.length_ft
    split = RodString.from_sections(
        [first, 0.3 * second, 0.7 * second, 0.0], [0.875, 0.75, 0.75, 0.625], ["D", "D", "D", "D"]
    )
    one, other = run(reference(gas_fraction=0.3), whole), run(reference(gas_fraction=0.3), split)
    # Rounding moves a valve by a step now and then; nothing else may differ.
    assert other.surface_load_lbf == pytest.approx(one.surface_load_lbf, abs=0.003 * FO_LBF)


def test_a_batch_is_its_cards_one_by_one_whatever_the_threads():
    conditions = reference(5, gas_fraction=np.linspace(0.0, 0.6, 5), spm=np.linspace(6.0, 12.0, 5))
    rods, options = rod_76(), {"tolerance": 2e-3}
    together = simulate(rods, SHM, conditions, threads=3, **options)
    for i in range(5):
        alone = simulate(rods, SHM, conditions[i : i + 1], threads=1, **options)
        np.testing.assert_array_equal(alone.surface_load_lbf[0], together.surface_load_lbf[i])


def test_measured_motion_gives_the_card_of_the_unit_it_was_measured_on():
    samples = 27.0 * (1.0 - np.cos(2.0 * np.pi * np.arange(150) / 150))
    conditions = reference(gas_fraction=0.2)
    measured = simulate(rod_76(), None, conditions, measured_position_in=samples[np.newaxis], tolerance=1e-4)
    computed = simulate(rod_76(), SHM, conditions, tolerance=1e-4)
    # The tables agree to 1e-7 in; at the valves a step earlier or later may still make a difference.
    assert measured.surface_load_lbf == pytest.approx(computed.surface_load_lbf, abs=0.02 * FO_LBF)
    assert measured.results["surface_work_in_lbf"] == pytest.approx(
        computed.results["surface_work_in_lbf"], rel=1e-3
    )
    position, slope = measured_motion_tables(samples[np.newaxis])
    assert position[0].max() == pytest.approx(54.0, abs=1e-9)
    assert slope[0].max() == pytest.approx(27.0, abs=1e-9)


def test_motor_slip_slows_the_crank_under_load_and_keeps_the_pumping_speed():
    loaded = PumpingUnit(
        UnitKind.CONVENTIONAL,
        210.0,
        120.0,
        120.0,
        197.9,
        144.5,
        47.0,
        gearbox_rating_in_lbf=320_000.0,
        counterbalance_moment_in_lbf=800_000.0,
    )
    conditions = reference(2, spm=7.0, motor_slip=[0.0, 0.15])
    cards = run(conditions, None, loaded, tolerance=1e-5)
    assert cards.results["steady"].all()
    difference = np.abs(cards.surface_position_in[1] - cards.surface_position_in[0])
    assert 0.5 < difference.max() < 12.0
    assert np.ptp(cards.surface_position_in[1]) == pytest.approx(
        np.ptp(cards.surface_position_in[0]), rel=1e-3
    )
    assert np.isfinite(cards.truth["gearbox_load_pct"]).all()


def test_results_without_ratings_are_null_not_guessed():
    truth = run(reference(), tolerance=1e-3).truth
    for name in ("peak_gearbox_torque_in_lbf", "gearbox_load_pct", "structural_load_pct"):
        assert np.isnan(truth[name]).all()


@pytest.mark.parametrize(
    "broken",
    [
        lambda: parameters(1, no_such_thing=1.0),
        lambda: simulate(rod_76(), SHM, parameters(1, spm=0.0)),
        lambda: simulate(rod_76(), SHM, parameters(1, plunger_diameter_in=-1.0)),
        lambda: simulate(rod_76(), SHM, parameters(1, intake_psi=-20.0)),
        lambda: simulate(RodString.stack([rod_76()] * 2), SHM, parameters(3)),
        lambda: simulate(rod_76(), None, parameters(1)),
        lambda: simulate(rod_76(), SHM, parameters(1), surface_points=200, pump_points=90),
        lambda: simulate(rod_76(), SHM, np.zeros(3)),
    ],
)
def test_what_cannot_be_simulated_is_refused(broken):
    with pytest.raises(ValueError, match=r".+"):
        broken()


def test_every_parameter_has_a_finite_or_infinite_default():
    assert not any(np.isnan(value) for value in DEFAULTS.values())


@pytest.mark.parametrize("leak", ["tv_leak_bpd", "sv_leak_bpd"])
def test_a_leak_through_an_opening_balances_as_one_through_a_film_does(leak):
    cards = run(reference(2, leak_root_share=[0.0, 1.0], plunger_friction_lbf=50.0, **{leak: 60.0}))
    results = cards.results
    np.testing.assert_allclose(cards.energy_residual, 0.0, atol=2e-3)
    # what is drawn from the intake is what leaves into the tubing, but for what runs back through the travelling valve
    lost = (
        np.array([0.0, 0.0])
        if leak == "sv_leak_bpd"
        else results["pump_discharge_bpd"] - results["liquid_bpd"]
    )
    np.testing.assert_array_less(-1e-6, lost)
    # with the root more is lost at the small differences that a valve sees while the load passes over
    assert results["liquid_bpd"][1] < results["liquid_bpd"][0]


def test_a_knocking_pump_shakes_its_load_lines_and_the_energy_still_balances():
    cards = run(
        reference(2, knock_lbf=[0.0, 200.0], knock_harmonic=11.0, plunger_friction_lbf=50.0), nodes=100
    )
    np.testing.assert_allclose(cards.energy_residual, 0.0, atol=2e-3)
    spectrum = np.abs(np.fft.rfft(cards.pump_load_lbf, axis=1))[:, 11]
    assert spectrum[1] > 2.0 * spectrum[0]
