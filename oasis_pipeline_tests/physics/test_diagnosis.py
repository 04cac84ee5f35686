"""The diagnosis: against the predictive model, what must not change it, and what happens when things are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import time_form
from oasis_pipeline.physics.diagnosis import Cards, Quality, Well, diagnose, diagnose_all, quantities
from oasis_pipeline.physics.diagnosis.pump_cards import CARD_DAMPING, CARD_HARMONICS
from oasis_pipeline.physics.diagnosis.quantities import PUMP_COLUMNS
from oasis_pipeline.physics.diagnosis.sensors import advance_position
from oasis_pipeline.physics.diagnosis.well import columns_of, quality_text
from oasis_pipeline.physics.fluids import plunger_area_in2
from oasis_pipeline.physics.report import reports
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import SimulatedCards, parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind
from oasis_pipeline.physics.wave_frequency import damping_per_s, pump_card
from oasis_pipeline.physics.well_path import Survey

RODS = RodString.from_sections([1690.0, 3310.0], [0.875, 0.75], ["D", "D"])
UNIT = PumpingUnit(
    UnitKind.CONVENTIONAL,
    a_in=129.0,
    c_in=111.09,
    i_in=111.0,
    k_in=151.34,
    p_in=114.0,
    r_in=42.0,
    gearbox_rating_in_lbf=456_000.0,
    structural_rating_lbf=30_500.0,
    counterbalance_moment_in_lbf=420_000.0,
)
DISCHARGE = 100.0 + 62.4 / 144.0 * 5000.0
WELL = Well(
    rods=RODS,
    unit=UNIT,
    plunger_diameter_in=1.75,
    plunger_length_in=48.0,
    clearance_in=0.005,
    pump_depth_ft=5000.0,
    fluid_sg=1.0,
    viscosity_cp=2.0,
    tubing_pressure_psi=100.0,
    casing_pressure_psi=50.0,
    tubing_anchored=True,
)
PRESSURE_BOUNDS = ("pump_intake_pressure_lower_psi", "pump_intake_pressure_upper_psi")
CASES = {
    "full": {},
    "pound": {"gas_fraction": 0.5, "intake_psi": 50.0},
    "gas": {"gas_fraction": 0.3, "intake_psi": 400.0},
    "tv": {"tv_leak_bpd": 80.0},
    "sv": {"sv_leak_bpd": 80.0},
    "free tubing": {"tubing_spring_lbf_per_in": 1500.0},
    "parted": {"parted_depth_ft": 3000.0},
    "drag": {"rod_drag_lbf": 600.0, "gas_fraction": 0.4},
}
NAMES = list(CASES)


@pytest.fixture(scope="module")
def simulated() -> SimulatedCards:
    fields = {name for case in CASES.values() for name in case}
    plain = parameters(1)
    values = {f: [CASES[n].get(f, float(plain[f][0])) for n in NAMES] for f in fields if f != "intake_psi"}
    intake = [CASES[n].get("intake_psi", 200.0) for n in NAMES]
    state = parameters(len(NAMES), spm=8.0, discharge_psi=DISCHARGE, intake_psi=intake, **values)
    return simulate(RODS, UNIT, state)


def cards_of(simulated: SimulatedCards) -> Cards:
    count = len(simulated.surface_position_in)
    return Cards(
        simulated.surface_position_in, simulated.surface_load_lbf, np.full(count, 8.0), np.full(count, 24.0)
    )


@pytest.fixture(scope="module")
def found(simulated: SimulatedCards) -> dict[str, np.ndarray]:
    return diagnose(cards_of(simulated), WELL)


def at(name: str) -> int:
    return NAMES.index(name)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("parted", "free tubing")])
def test_agrees_with_the_simulator(
    name: str, simulated: SimulatedCards, found: dict[str, np.ndarray]
) -> None:
    i, truth = at(name), simulated.truth
    assert found["fillage_pct"][i] == pytest.approx(truth["fillage_pct"][i], abs=2.5)
    # Friction along the rods is not in the wave equation without a survey: the plunger seems to go farther.
    more = 3.0 if name == "drag" else 0.0
    assert found["gross_stroke_in"][i] == pytest.approx(truth["gross_stroke_in"][i], abs=0.5 + more)
    assert found["net_stroke_in"][i] == pytest.approx(truth["net_stroke_in"][i], abs=2.5)
    assert found["pump_intake_pressure_psi"][i] == pytest.approx(
        truth["pump_intake_pressure_psi"][i], abs=60.0
    )
    assert found["pump_discharge_pressure_psi"][i] == pytest.approx(DISCHARGE, abs=0.1)
    assert found["polished_rod_power_hp"][i] == pytest.approx(truth["polished_rod_power_hp"][i], rel=2e-3)
    assert found["peak_gearbox_torque_in_lbf"][i] == pytest.approx(
        truth["peak_gearbox_torque_in_lbf"][i], rel=0.02
    )
    assert found["pump_card_source"][i] == "computed"


def test_leaks_are_told_apart(found: dict[str, np.ndarray]) -> None:
    assert found["tv_leak_bpd"][at("tv")] == pytest.approx(80.0, rel=0.35)
    assert found["sv_leak_bpd"][at("sv")] == pytest.approx(80.0, rel=0.35)
    for name in ("full", "pound", "gas"):
        assert found["tv_leak_bpd"][at(name)] < 15.0
        assert found["sv_leak_bpd"][at(name)] < 15.0
    assert "travelling valve or plunger passes" in found["report"][at("tv")]
    assert "standing valve passes" in found["report"][at("sv")]


def test_friction_is_seen_on_the_shelf(found: dict[str, np.ndarray], simulated: SimulatedCards) -> None:
    i = at("drag")
    assert found["friction_lbf"][i] == pytest.approx(simulated.truth["friction_lbf"][i], abs=120.0)
    assert "friction_assumed" not in found["quality"][i]
    assert "friction_assumed" in found["quality"][at("full")]


@pytest.mark.parametrize(
    ("gas", "intake", "friction"), [(0.5, 50.0, 150.0), (0.15, 400.0, 150.0), (0.3, 200.0, 450.0)]
)
def test_pressure_of_a_pump_that_is_not_full_does_not_hang_on_its_friction(
    gas: float, intake: float, friction: float
) -> None:
    state = parameters(
        1,
        spm=8.0,
        discharge_psi=DISCHARGE,
        gas_fraction=gas,
        intake_psi=intake,
        plunger_friction_lbf=friction,
        clearance_in=5.0,
    )
    found = diagnose(cards_of(simulate(RODS, UNIT, state)), WELL)
    assert "friction_assumed" not in found["quality"][0]
    assert found["pump_intake_pressure_psi"][0] == pytest.approx(intake, abs=20.0)


def test_a_pressure_that_friction_hides_is_null_and_never_zero() -> None:
    """A full pump shows no shelf, so its card can be higher than the discharge pressure makes it."""
    state = parameters(
        3,
        spm=8.0,
        discharge_psi=DISCHARGE,
        gas_fraction=0.0,
        intake_psi=np.array([20.0, 60.0, 900.0]),
        plunger_friction_lbf=np.array([900.0, 700.0, 100.0]),
        clearance_in=5.0,
    )
    found = diagnose(cards_of(simulate(RODS, UNIT, state)), WELL)
    for i in (0, 1):
        assert "pressure_unresolved" in found["quality"][i]
        for name in ("pump_intake_pressure_psi", "fluid_above_pump_ft", "fluid_level_ft"):
            assert np.isnan(found[name][i])
        assert found["pump_intake_pressure_lower_psi"][i] == 0.0
        text = reports(found)[i]
        assert (
            "can't be told more closely" if "friction_or_zero" in found["quality"][i] else "hides"
        ) in text
    assert "pressure_unresolved" not in found["quality"][2]
    assert found["pump_intake_pressure_psi"][2] == pytest.approx(900.0, abs=60.0)


def test_a_worn_barrel_shows_as_a_sag_where_more_leaks_than_the_plunger_sweeps() -> None:
    state = parameters(
        3,
        spm=8.0,
        discharge_psi=DISCHARGE,
        intake_psi=200.0,
        wear_leak_bpd=np.array([2000.0, 4000.0, 150.0]),
        wear_place=np.array([0.6, 0.5, 0.5]),
        wear_width=0.1,
    )
    simulated = simulate(RODS, UNIT, state)
    found = diagnose(cards_of(simulated), WELL)
    place = found["barrel_wear_in"] / found["gross_stroke_in"]
    assert place[:2] == pytest.approx([0.6, 0.5], abs=0.05)
    assert found["barrel_leak_bpd"][:2] == pytest.approx([2000.0, 4000.0], rel=0.3)
    assert "the barrel is worn" in found["report"][0]
    assert "passes more than the plunger displaces (" in found["report"][0]
    # Less than the plunger sweeps does not move the load: nothing on the card can tell it.
    assert found["barrel_leak_bpd"][2] == 0.0
    assert np.isnan(found["barrel_wear_in"][2])
    lost = found["net_displacement_bpd"][0] - found["inferred_production_bpd"][0]
    true_loss = found["net_displacement_bpd"][0] - simulated.truth["inferred_production_bpd"][0]
    assert 0.4 * true_loss < lost < 1.2 * true_loss


def test_no_sag_is_seen_where_there_is_no_wear(found: dict[str, np.ndarray]) -> None:
    for name in ("full", "pound", "gas", "tv", "sv", "drag", "free tubing"):
        assert found["barrel_leak_bpd"][at(name)] == 0.0, name


def test_free_tubing_is_seen_and_taken_out(simulated: SimulatedCards, found: dict[str, np.ndarray]) -> None:
    i = at("free tubing")
    assert found["tubing_movement_in"][i] == pytest.approx(simulated.truth["tubing_movement_in"][i], abs=0.7)
    steel = 0.25 * np.pi * (2.875**2 - 2.441**2)
    free = replace(WELL, tubing_anchored=False, tubing_od_in=2.875, tubing_id_in=2.441)
    stretch = columns_of([free]).stretch_in_per_lbf[0]
    assert stretch == pytest.approx(12.0 * 5000.0 / (30.5e6 * steel))
    known = diagnose(cards_of(simulated), free)
    assert known["net_stroke_in"][i] < known["gross_stroke_in"][i] - 1.0


def test_parted_rods_get_no_pump_quantities(found: dict[str, np.ndarray]) -> None:
    i = at("parted")
    assert "parted_rod" in found["quality"][i]
    for name in PUMP_COLUMNS:
        assert np.isnan(found[name][i]), name
    assert found["parted_depth_ft"][i] == pytest.approx(3000.0, rel=0.03)
    assert np.isfinite(found["pprl_lbf"][i])
    assert "look parted, at about" in found["report"][i]
    assert not any("parted_rod" in found["quality"][at(n)] for n in NAMES if n != "parted")


def test_start_of_the_card_does_not_matter(simulated: SimulatedCards, found: dict[str, np.ndarray]) -> None:
    cards = cards_of(simulated)
    turned = replace(
        cards,
        position_in=np.roll(cards.position_in, 71, axis=1),
        load_lbf=np.roll(cards.load_lbf, 71, axis=1),
    )
    again = diagnose(turned, WELL)
    for name, column in found.items():
        if column.dtype.kind == "f":
            assert np.allclose(again[name], column, rtol=1e-6, atol=1e-6, equal_nan=True), name
        else:
            assert np.array_equal(again[name], column), name


def test_any_arrival_of_a_card_gives_the_same_answer(
    simulated: SimulatedCards, found: dict[str, np.ndarray]
) -> None:
    clean = cards_of(simulated)
    rows = []
    for position, load in zip(clean.position_in, clean.load_lbf, strict=True):
        x, f = np.roll(position, -63)[::-1], np.roll(load, -63)[::-1]
        rows.append((np.append(x, x[0]), np.append(f, f[0])))
    form = time_form(np.stack([x for x, _ in rows]), np.stack([f for _, f in rows]))
    # The part of rods that carry nothing has too little work in it to tell the direction by.
    driven = np.array([n != "parted" for n in NAMES])
    assert form.direction_reversed[driven].all()
    assert form.closing_point_removed.all()
    again = diagnose(
        replace(clean, position_in=form.position_in.reshape(8, 200), load_lbf=form.load_lbf.reshape(8, 200)),
        WELL,
    )
    for name in ("fillage_pct", "net_stroke_in", "pump_intake_pressure_psi", "peak_gearbox_torque_in_lbf"):
        assert np.allclose(again[name][driven], found[name][driven], rtol=1e-6, equal_nan=True), name


def test_lost_points_are_bridged(simulated: SimulatedCards, found: dict[str, np.ndarray]) -> None:
    clean = cards_of(simulated)
    position, load = clean.position_in.copy(), clean.load_lbf.copy()
    position[:, [40, 41, 150]] = 0.0
    load[:, [40, 41, 150]] = 0.0
    form = time_form(position, load)
    assert np.all(form.points_mended == 3)
    again = diagnose(
        replace(clean, position_in=form.position_in.reshape(8, 200), load_lbf=form.load_lbf.reshape(8, 200)),
        WELL,
    )
    for name in ("full", "pound", "gas"):
        i = at(name)
        assert again["fillage_pct"][i] == pytest.approx(found["fillage_pct"][i], abs=1.0)
        assert again["pump_intake_pressure_psi"][i] == pytest.approx(
            found["pump_intake_pressure_psi"][i], abs=40.0
        )


def test_a_card_run_backward_shows_negative_work(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    out = diagnose(
        replace(cards, position_in=cards.position_in[:, ::-1], load_lbf=cards.load_lbf[:, ::-1]), WELL
    )
    assert np.all(out["polished_rod_power_hp"] < 0.0)


def test_splitting_a_taper_does_not_matter(simulated: SimulatedCards, found: dict[str, np.ndarray]) -> None:
    split = RodString.from_sections([1690.0, 1310.0, 2000.0], [0.875, 0.75, 0.75], ["D"] * 3)
    again = diagnose(cards_of(simulated), replace(WELL, rods=split))
    for name in ("fillage_pct", "net_stroke_in", "pump_intake_pressure_psi", "damping"):
        assert np.allclose(again[name], found[name], rtol=1e-6, equal_nan=True), name


def test_batch_equals_one_by_one(simulated: SimulatedCards, found: dict[str, np.ndarray]) -> None:
    cards = cards_of(simulated)
    other = replace(WELL, rods=RodString.from_sections([6000.0], [1.0]), unit=None)
    mixed = replace(cards, well=np.array([0, 1] * 4))
    many = diagnose(mixed, [WELL, other])
    for i in range(0, 8, 2):
        for name in ("fillage_pct", "fluid_load_lbf", "peak_gearbox_torque_in_lbf", "max_rod_load_pct"):
            assert many[name][i] == pytest.approx(found[name][i], rel=1e-9, nan_ok=True)
    assert np.isnan(many["peak_gearbox_torque_in_lbf"][1::2]).all()


def test_load_offset_is_found_and_leaves_the_pressure_alone(
    simulated: SimulatedCards, found: dict[str, np.ndarray]
) -> None:
    cards = cards_of(simulated)
    wrong = diagnose(replace(cards, load_lbf=cards.load_lbf + 900.0), WELL)
    for name in ("pound", "gas"):
        i = at(name)
        assert wrong["load_offset_lbf"][i] - found["load_offset_lbf"][i] == pytest.approx(900.0, abs=1.0)
        assert wrong["pump_intake_pressure_psi"][i] == pytest.approx(
            found["pump_intake_pressure_psi"][i], abs=2.0
        )
        assert "load_offset" in wrong["quality"][i]
        assert "load_offset" not in found["quality"][i]


@pytest.mark.parametrize("lag", [5.0, 8.0])
def test_phase_shift_is_found_and_corrected(
    lag: float, simulated: SimulatedCards, found: dict[str, np.ndarray]
) -> None:
    cards = cards_of(simulated)
    shifted = replace(cards, position_in=advance_position(cards.position_in, np.full(len(cards), -lag)))
    again = diagnose(shifted, WELL)
    i = at("full")
    assert again["position_phase_deg"][i] == pytest.approx(lag, abs=1.0)
    assert "phase_corrected" in again["quality"][i]
    assert again["pump_intake_pressure_psi"][i] == pytest.approx(
        found["pump_intake_pressure_psi"][i], abs=40.0
    )
    assert again["fillage_pct"][i] == pytest.approx(found["fillage_pct"][i], abs=2.0)
    assert "lags the load" in again["report"][i]
    assert np.nanmax(np.abs(found["position_phase_deg"])) == 0.0


def test_nothing_known_gives_what_the_surface_card_gives(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    bare = diagnose(replace(cards, spm=None, runtime_h_per_d=None), Well())
    assert np.allclose(bare["pprl_lbf"], cards.load_lbf.max(axis=1))
    assert np.allclose(bare["mprl_lbf"], cards.load_lbf.min(axis=1))
    for name in (*PUMP_COLUMNS, "peak_gearbox_torque_in_lbf", "polished_rod_power_hp", "max_rod_load_pct"):
        assert np.isnan(bare[name]).all(), name
    assert set(bare["pump_card_source"]) == {"none"}
    for code in ("no_rods", "no_unit", "no_spm", "no_plunger", "no_fluid_sg"):
        assert code in bare["quality"][0]
    assert "Not known: rods, pumping unit" in bare["report"][0]


@pytest.mark.parametrize(
    ("missing", "gone", "kept"),
    [
        (
            {"plunger_diameter_in": np.nan},
            ["pump_intake_pressure_psi", "inferred_production_bpd"],
            ["fillage_pct"],
        ),
        (
            {"fluid_sg": np.nan},
            ["pump_intake_pressure_psi", "fluid_level_ft", "load_offset_lbf"],
            ["fillage_pct"],
        ),
        ({"tubing_pressure_psi": np.nan}, ["pump_intake_pressure_psi"], ["fluid_load_lbf"]),
        ({"casing_pressure_psi": np.nan}, ["fluid_level_ft"], ["pump_intake_pressure_psi"]),
        ({"clearance_in": np.nan}, ["slippage_bpd"], ["inferred_production_bpd"]),
        ({"unit": None}, ["gearbox_load_pct", "best_counterbalance_lbf"], ["max_rod_load_pct"]),
        ({"rods": replace(RODS, tensile_psi=np.full(2, np.nan))}, ["max_rod_load_pct"], ["fillage_pct"]),
    ],
)
def test_each_missing_thing_takes_only_what_needs_it(
    missing: dict, gone: list[str], kept: list[str], simulated: SimulatedCards
) -> None:
    out = diagnose(cards_of(simulated), replace(WELL, **missing))
    i = at("gas")
    assert all(np.isnan(out[name][i]) for name in gone)
    assert all(np.isfinite(out[name][i]) for name in kept)


def test_controller_card_is_used_without_rods(simulated: SimulatedCards) -> None:
    cards = replace(
        cards_of(simulated),
        pump_position_in=simulated.pump_position_in,
        pump_load_lbf=simulated.pump_load_lbf - 700.0,
    )
    out = diagnose(cards, replace(WELL, rods=None))
    i = at("gas")
    assert out["pump_card_source"][i] == "poc"
    assert "poc_pump_card" in out["quality"][i]
    assert out["fillage_pct"][i] == pytest.approx(simulated.truth["fillage_pct"][i], abs=2.5)
    # Its zero is not known, so no offset is judged; the difference of the lines still counts.
    assert np.isnan(out["load_offset_lbf"][i])
    assert out["pump_intake_pressure_psi"][i] == pytest.approx(400.0, abs=60.0)


def test_open_and_empty_cards_are_survived(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    load = cards.load_lbf.copy()
    load[1] = np.nan
    load[2] = 8000.0
    position = cards.position_in.copy()
    position[3] = 0.0
    is_open = np.zeros(len(cards), dtype=bool)
    is_open[0] = True
    out = diagnose(replace(cards, position_in=position, load_lbf=load, is_open=is_open), WELL)
    assert np.isfinite(out["pprl_lbf"][0])
    assert np.isnan(out["fillage_pct"][:4]).all()
    assert np.isnan(out["polished_rod_power_hp"][0])
    assert "open_card" in out["quality"][0]
    assert "half a stroke" in out["report"][0]
    assert "no_surface_card" in out["quality"][1]
    assert "no_surface_card" in out["quality"][3]
    assert out["fillage_pct"][4] == pytest.approx(simulated.truth["fillage_pct"][4], abs=2.5)
    assert (
        len(
            diagnose(
                replace(cards, position_in=position[:0], load_lbf=load[:0], spm=None, runtime_h_per_d=None),
                WELL,
            )["report"]
        )
        == 0
    )


def test_cut_off_loads_are_noticed(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    limit = np.quantile(cards.load_lbf, 0.8, axis=1, keepdims=True)
    out = diagnose(replace(cards, load_lbf=np.minimum(cards.load_lbf, limit)), WELL)
    assert all("clipped_load" in q for q in out["quality"])


def test_rod_stress_of_each_taper(simulated: SimulatedCards) -> None:
    full = diagnose_all(cards_of(simulated), WELL)
    area = RODS.area_in2
    i = at("full")
    load = simulated.surface_load_lbf[i]
    assert full.rods["top_max_stress_psi"][i, 0] == pytest.approx(load.max() / area[0])
    assert full.rods["top_min_stress_psi"][i, 0] == pytest.approx(load.min() / area[0])
    # The top of the lower taper is the bottom of a string that ends there.
    upper = RodString.from_sections([1690.0], [0.875])
    weight = float(RODS.buoyant_weight_lbf(1.0))
    c = damping_per_s(RODS, full.columns["balance_damping"][i])
    _, below = pump_card(
        simulated.surface_position_in[i], load, upper, 8.0, c, buoyant_weight_lbf=weight, harmonics=60
    )
    hanging = RODS.taper_air_weight_lbf[1] * weight / float(RODS.air_weight_lbf)
    assert full.rods["top_max_stress_psi"][i, 1] * area[1] == pytest.approx(below.max() + hanging, rel=1e-6)
    bottom = full.rods["bottom_min_stress_psi"][i, 0] * area[0]
    assert bottom == pytest.approx(full.rods["top_min_stress_psi"][i, 1] * area[1])
    _, read = pump_card(
        simulated.surface_position_in[i], load, RODS, 8.0, c, buoyant_weight_lbf=weight, harmonics=60
    )
    assert full.rods["bottom_min_stress_psi"][i, 1] * area[1] == pytest.approx(read.min(), rel=1e-6)
    assert full.columns["max_rod_load_pct"][i] == pytest.approx(full.rods["loading_pct"][i].max())
    assert np.isnan(full.rods["loading_pct"][at("parted")]).all()
    assert np.isnan(full.columns["max_rod_load_pct"][at("parted")])


def test_survey_gives_depth_and_weight_along_the_path(simulated: SimulatedCards) -> None:
    path = Survey(np.array([0.0, 5000.0]), np.full(2, 20.0), np.zeros(2))
    slanted = columns_of([replace(WELL, survey=path)])
    assert slanted.vertical_depth_ft[0] == pytest.approx(5000.0 * np.cos(np.radians(20.0)), rel=1e-4)
    assert slanted.buoyant_weight_lbf[0] == pytest.approx(
        float(RODS.buoyant_weight_lbf(1.0)) * np.cos(np.radians(20.0)), rel=1e-4
    )
    plain = diagnose(cards_of(simulated), replace(WELL, survey=path))
    rubbed = diagnose(cards_of(simulated), replace(WELL, survey=path, friction_coefficient=0.15))
    i = at("full")
    assert "no_survey" not in plain["quality"][i]
    assert rubbed["pump_power_hp"][i] < plain["pump_power_hp"][i]


@pytest.mark.parametrize("damping", [0.0, 0.23])
def test_given_damping_is_used(simulated: SimulatedCards, damping: float) -> None:
    out = diagnose(cards_of(simulated), replace(WELL, damping=damping))
    assert np.all(out["damping"] == damping)
    assert np.all(out["balance_damping"] == damping)
    assert not any("damping" in q for q in out["quality"])


@pytest.mark.parametrize("asked", [None, 0.0, 0.05])
def test_pump_cards_are_given_with_little_damping_and_read_with_the_balance(
    simulated: SimulatedCards, asked: float | None
) -> None:
    usual = diagnose_all(cards_of(simulated), WELL)
    full = usual if asked is None else diagnose_all(cards_of(simulated), replace(WELL, card_damping=asked))
    damping = CARD_DAMPING if asked is None else asked
    assert np.all(full.columns["damping"] == damping)
    assert np.all(full.columns["balance_damping"] > CARD_DAMPING)
    i = at("pound")
    x, f = pump_card(
        simulated.surface_position_in[i],
        simulated.surface_load_lbf[i],
        RODS,
        8.0,
        damping_per_s(RODS, damping),
        buoyant_weight_lbf=float(RODS.buoyant_weight_lbf(1.0)),
        harmonics=CARD_HARMONICS,
    )
    np.testing.assert_allclose(full.pump_position_in[i], x, atol=1e-6)
    np.testing.assert_allclose(full.pump_load_lbf[i], f, atol=1e-4)
    # the convention changes the card and what is said of it, and nothing that is read
    of_the_card = {"damping", "card_friction_lbf", "report", *PRESSURE_BOUNDS}
    for name, column in full.columns.items():
        if name not in of_the_card:
            np.testing.assert_array_equal(column, usual.columns[name], err_msg=name)


def test_dry_friction_is_left_in_the_card_and_taken_out_of_the_fluid_load() -> None:
    friction = 400.0
    state = parameters(
        1, spm=8.0, discharge_psi=DISCHARGE, intake_psi=50.0, gas_fraction=0.5,
        plunger_friction_lbf=friction, damping_up=0.01, damping_down=0.01,
    )  # fmt: skip
    made = simulate(RODS, UNIT, state)
    full = diagnose_all(Cards(made.surface_position_in, made.surface_load_lbf, np.full(1, 8.0)), WELL)
    found = {name: column[0] for name, column in full.columns.items()}
    fluid = float(plunger_area_in2(1.75)) * (DISCHARGE - 50.0)
    assert found["fluid_load_lbf"] == pytest.approx(fluid, abs=80.0)
    assert found["card_friction_lbf"] == pytest.approx(friction, abs=60.0)
    assert found["pump_intake_pressure_psi"] == pytest.approx(50.0, abs=35.0)
    share = full.pump_position_in[0] - full.pump_position_in[0].min()
    share /= share.max()
    rising, load = np.gradient(share) > 0, full.pump_load_lbf[0]
    height = np.median(load[rising & (share > 0.4) & (share < 0.9)]) - np.median(
        load[~rising & (share > 0.05) & (share < 0.35)]
    )
    assert height == pytest.approx(fluid + 2.0 * friction, abs=150.0)
    assert "drawn with friction left in" in found["report"]


def test_doubt_of_the_intake_pressure_has_reference_numbers() -> None:
    one = np.ones(1)
    spread = quantities._pressure_spread_psi
    # 2 % of 5,000 lbf over 2 in2; 0.02 x 0.4333 psi/ft x 5,000 ft; 300 lbf over 2 in2
    assert spread(5000.0 * one, 0.0 * one, 2.0 * one, 0.0 * one) == pytest.approx(50.0)
    assert spread(0.0 * one, 0.0 * one, 2.0 * one, 5000.0 * one) == pytest.approx(43.33, abs=0.01)
    assert spread(0.0 * one, -300.0 * one, 2.0 * one, 0.0 * one) == pytest.approx(150.0)
    assert spread(0.0 * one, np.nan * one, 2.0 * one, 0.0 * one) == 0.0


@pytest.mark.parametrize("gain", [0.98, 1.02])
def test_bounds_of_the_intake_pressure_hold_a_wrong_gain_gravity_and_damping(
    simulated: SimulatedCards, gain: float
) -> None:
    cards = cards_of(simulated)
    told = [at(name) for name in ("full", "pound", "gas", "tv", "sv", "drag")]
    truth = simulated.truth["pump_intake_pressure_psi"][told]
    for gravity, damping in ((0.98, np.nan), (1.02, np.nan), (1.0, 0.0)):
        well = replace(WELL, fluid_sg=gravity, damping=damping)
        found = diagnose(replace(cards, load_lbf=cards.load_lbf * gain), well)
        low, high = (found[name][told] for name in PRESSURE_BOUNDS)
        assert np.all(low <= truth + 1.0)
        assert np.all(high >= truth - 1.0)
        # nothing that is clipped is told as a pressure
        assert not np.any(found["pump_intake_pressure_psi"] <= 0.0)


def test_production_needs_no_pressures(simulated: SimulatedCards, found: dict[str, np.ndarray]) -> None:
    blind = diagnose(cards_of(simulated), replace(WELL, fluid_sg=np.nan, tubing_pressure_psi=np.nan))
    i = at("full")
    assert np.isnan(blind["pump_discharge_pressure_psi"][i])
    assert blind["inferred_production_bpd"][i] == pytest.approx(found["inferred_production_bpd"][i], rel=0.1)


def test_a_leak_that_may_be_tubing_does_not_lower_the_production(simulated: SimulatedCards) -> None:
    i = at("tv")
    known = diagnose(cards_of(simulated), WELL)
    unknown = diagnose(cards_of(simulated), replace(WELL, tubing_anchored=None))
    assert unknown["tv_leak_bpd"][i] == pytest.approx(known["tv_leak_bpd"][i], rel=0.05)
    assert "leak_or_tubing" in unknown["quality"][i]
    assert "leak_or_tubing" not in known["quality"][i]
    more = unknown["inferred_production_bpd"][i] - known["inferred_production_bpd"][i]
    assert more == pytest.approx(0.5 * known["tv_leak_bpd"][i] - known["slippage_bpd"][i], abs=3.0)
    assert "the production is not lowered by it" in unknown["report"][i]


def test_noise_does_not_upset_it(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    rng = np.random.default_rng(4)
    noisy = replace(
        cards,
        position_in=cards.position_in + 0.1 * rng.normal(size=cards.position_in.shape),
        load_lbf=cards.load_lbf + 50.0 * rng.normal(size=cards.load_lbf.shape),
    )
    out = diagnose(noisy, WELL)
    for name in ("full", "pound", "gas"):
        i = at(name)
        assert out["fillage_pct"][i] == pytest.approx(simulated.truth["fillage_pct"][i], abs=4.0)
        assert out["pump_intake_pressure_psi"][i] == pytest.approx(
            simulated.truth["pump_intake_pressure_psi"][i], abs=120.0
        )


def test_quality_codes_are_spelled() -> None:
    codes = np.array([0, int(Quality.NO_RODS | Quality.LOW_RATE)], dtype=np.int64)
    assert list(quality_text(codes)) == ["", "no_rods; low_rate"]


def test_a_single_card_is_a_batch_of_one(simulated: SimulatedCards) -> None:
    batch = cards_of(simulated)
    one = diagnose(Cards(batch.position_in[0], batch.load_lbf[0]), WELL)
    among = diagnose(Cards(batch.position_in[:1], batch.load_lbf[:1]), WELL)
    for name, values in among.items():
        np.testing.assert_array_equal(one[name], values)


def test_wrong_input_is_refused(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    with pytest.raises(ValueError, match="counts 1 wells from 0"):
        diagnose(replace(cards, well=np.ones(len(cards), dtype=int)), WELL)
    with pytest.raises(ValueError, match="needs at least one well"):
        diagnose(cards, [])
    with pytest.raises(ValueError, match=r"must have the same shape, \(k, n\) or \(n,\)"):
        Cards(np.zeros((2, 3, 9)), np.zeros((2, 3, 9)))
    with pytest.raises(ValueError, match=r"must have the same shape"):
        Cards(np.zeros(9), np.zeros(10))
    with pytest.raises(ValueError, match="8 points or more"):
        Cards(np.zeros((1, 5)), np.zeros((1, 5)))
    with pytest.raises(ValueError, match="spm has shape"):
        Cards(np.zeros((2, 9)), np.zeros((2, 9)), np.zeros(3))
    with pytest.raises(ValueError, match="come together"):
        Cards(np.zeros((2, 9)), np.zeros((2, 9)), pump_load_lbf=np.zeros((2, 9)))


def test_garbage_never_breaks_it() -> None:
    rng = np.random.default_rng(11)
    position = rng.normal(size=(200, 40)) * 10.0 ** rng.uniform(-3, 6, (200, 1))
    load = rng.normal(size=(200, 40)) * 10.0 ** rng.uniform(-3, 6, (200, 1))
    position[:20] = np.round(position[:20])
    load[5:9] = load[5:9, :1]
    out = diagnose(Cards(position, load, np.full(200, 7.0)), WELL)
    assert len(out["report"]) == 200
    assert all(isinstance(text, str) and text for text in out["report"])


def test_a_zero_error_changes_neither_fillage_nor_fluid_load(simulated: SimulatedCards) -> None:
    cards, i = cards_of(simulated), at("full")
    shifts = np.array([-9000.0, -6000.0, -3000.0, -1500.0, 1500.0, 4000.0])
    many = Cards(
        np.repeat(cards.position_in[i : i + 1], 6, axis=0),
        cards.load_lbf[i] + shifts[:, None],
        np.full(6, 8.0),
    )
    found = diagnose(many, WELL)
    assert not any("parted_rod" in text for text in found["quality"])
    for name in ("fillage_pct", "fluid_load_lbf", "friction_lbf", "inferred_production_bpd"):
        np.testing.assert_allclose(found[name], found[name][0], rtol=1e-3)
    np.testing.assert_allclose(np.diff(found["load_offset_lbf"]), np.diff(shifts), atol=1.0)
    pressure = found["pump_intake_pressure_psi"]
    assert np.isnan(pressure[shifts < 0]).all()
    assert np.isfinite(pressure[shifts > 0]).all()
    truth = simulated.truth["pump_intake_pressure_psi"][i]
    assert (found["pump_intake_pressure_lower_psi"] <= truth).all()
    assert (found["pump_intake_pressure_upper_psi"] >= truth).all()


def test_loads_that_no_such_string_has_are_refused(simulated: SimulatedCards) -> None:
    cards = cards_of(simulated)
    for factor in (4.448, 0.004448, 0.001):
        found = diagnose(replace(cards, load_lbf=factor * cards.load_lbf), WELL)
        # in N, what is left of parted rods weighs no more than a string may
        told = np.array([name != "parted" or factor < 1.0 for name in NAMES])
        assert all("not_of_this_well" in text for text in found["quality"][told])
        assert all("parted" not in text and "check the units" in text for text in found["report"][told])
        assert np.isnan(found["fillage_pct"][told]).all()
        assert np.isnan(found["peak_gearbox_torque_in_lbf"][told]).all()
    found = diagnose(replace(cards, position_in=2.54 * cards.position_in), WELL)
    assert all("not_of_this_well" in text for text in found["quality"])


def test_runtime_that_no_day_has_is_unknown(simulated: SimulatedCards) -> None:
    cards, i = cards_of(simulated), at("full")
    hours = np.full(len(cards), 12.0)
    hours[[at("pound"), at("gas"), at("sv")]] = -1.0, 30.0, np.nan
    found, whole = diagnose(replace(cards, runtime_h_per_d=hours), WELL), diagnose(cards, WELL)
    assert found["inferred_production_bpd"][i] == pytest.approx(0.5 * whole["inferred_production_bpd"][i])
    for name in ("pound", "gas", "sv"):
        assert "runtime_unknown" in found["quality"][at(name)]
        assert found["inferred_production_bpd"][at(name)] == whole["inferred_production_bpd"][at(name)]
    assert "runtime_unknown" not in found["quality"][i]
