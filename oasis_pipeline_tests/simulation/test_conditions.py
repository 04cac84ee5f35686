"""Severities, names and histories."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.physics.unit import stroke_in
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.controller import VENDOR_TEXTS, vendor_conditions
from oasis_pipeline.simulation.equipment import make_wells, survey
from oasis_pipeline.simulation.histories import HABITS, card_times, failures_of, plan_failures


def severities(**named):
    row = np.zeros((1, len(c.LABELS)))
    for name, value in named.items():
        row[0, getattr(c, name)] = value
    return row


@pytest.mark.parametrize(
    ("severity", "labels"),
    [
        ({}, ["Full Pump", ""]),
        ({"POUND": 0.34}, ["Full Pump", ""]),
        ({"POUND": 0.35}, ["Fluid Pound", ""]),
        ({"FRICTION": 0.6}, ["Full Pump", "Wellbore Friction"]),
        ({"TV": 0.6}, ["Leak in Traveling Valve", ""]),
        ({"TV": 0.5, "SV": 0.7, "DOWN": 0.4}, ["Leak in Standing Valve", "Leak in Traveling Valve"]),
        ({"GAS": 0.9, "FRICTION": 0.5}, ["Gas Interference", "Wellbore Friction"]),
        ({"PARTED": 0.5, "GAS": 0.9}, ["Parted Rod", ""]),
        ({"WORN": 0.5}, ["Worn Pump Barrel", ""]),
    ],
)
def test_cards_are_named_as_a_careful_person_would(severity, labels):
    assert c.name_cards(severities(**severity))[0].tolist() == labels


@given(st.integers(0, 2**31))
@settings(max_examples=30)
def test_a_card_has_one_or_two_different_names(seed):
    severity = np.random.default_rng(seed).random((20, len(c.LABELS)))
    named = c.name_cards(severity)
    assert set(np.unique(named)) <= {*c.LABELS, ""}
    assert (named[:, 0] != "").all()
    assert (named[:, 0] != named[:, 1]).all()


def test_fullness_falls_as_the_pump_fails_to_fill():
    severity = np.vstack(
        [severities(), severities(POUND=0.4), severities(GAS=0.4, POUND=0.9), severities(PARTED=1.0)]
    )
    assert c.fullness(severity) == pytest.approx([1.0, 0.6, 0.1, 0.0])


def test_severities_have_to_fit_the_wells():
    wells = make_wells(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="wells"):
        c.condition_parameters(wells, severities(), np.random.default_rng(0))


def test_equipment_goes_together():
    wells = make_wells(60, np.random.default_rng(5))
    assert len(wells) == 60
    assert wells.rods.total_length_ft == pytest.approx(wells.depth_ft)
    assert stroke_in(wells.unit) == pytest.approx(wells.stroke_in, abs=0.06)
    assert (wells.vertical_depth_ft <= wells.depth_ft + 1e-6).all()
    assert (wells.flowing_psi < wells.discharge_psi).all()
    assert (wells.pumped_off_psi < wells.flowing_psi).all()
    assert (wells.spm * wells.stroke_in < 1400.0).all()
    # The strings can carry the fluid load with room to spare for dynamics.
    stress = wells.fluid_load_lbf + wells.rods.buoyant_weight_lbf(wells.fluid_gravity)
    assert (stress / wells.rods.area_in2[:, 0] < 45_000.0).all()


def test_wells_can_be_picked_and_get_other_plungers():
    wells = make_wells(5, np.random.default_rng(5))
    picked = wells.take([3, 3, 0]).with_plunger([1.25, 2.0, 1.5])
    assert picked.depth_ft.tolist() == wells.depth_ft[[3, 3, 0]].tolist()
    assert picked.plunger_diameter_in.tolist() == [1.25, 2.0, 1.5]
    assert picked.unit.batch_shape == (3,)


def test_a_survey_is_vertical_above_the_kickoff():
    measured, inclination, _, vertical = survey(6000.0, 3000.0, 10.0)
    assert measured[-1] == 6000.0
    assert (inclination[measured <= 3000.0] == 0.0).all()
    assert inclination[-1] == 10.0
    assert 2900.0 < 6000.0 - vertical[-1] + 2900.0 < 2950.0


def test_a_field_of_24_wells_and_30_days_has_every_class():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        failures = plan_failures(24, 30, rng)
        times = card_times(24, 30, 3, failures, rng)
        named = c.name_cards(times.severity)
        counts = {label: int((named == label).sum()) for label in c.LABELS}
        assert min(counts.values()) >= 5, (seed, counts)
        assert any(failure.warned for failure in failures)
        assert not all(failure.warned for failure in failures)


def test_histories_are_in_order_and_silent_while_a_well_is_down():
    rng = np.random.default_rng(3)
    failures = plan_failures(48, 60, rng)
    times = card_times(48, 60, 4, failures, rng)
    assert (np.diff(times.day) >= 0.0).all()
    assert ((times.severity >= 0.0) & (times.severity <= 1.0)).all()
    assert (times.day >= 0.0).all()
    assert (times.day < 60.0).all()
    parted = times.severity[:, c.PARTED] > 0.0
    for failure in failures:
        own = times.well == failure.well
        inside = own & (times.day >= failure.start_day) & (times.day < failure.end_day)
        assert (parted[inside]).all()
        if not failure.text.startswith(("Rod", "Polish")):
            assert not inside.any()
    down = np.zeros(len(times.day), dtype=bool)
    for failure in failures:
        down |= (
            (times.well == failure.well) & (times.day >= failure.start_day) & (times.day < failure.end_day)
        )
    assert not parted[~down].any()


def test_failures_of_a_well_do_not_overlap():
    failures = plan_failures(48, 400, np.random.default_rng(1))
    for well in range(48):
        own = failures_of(failures, well)
        assert all(a.end_day <= b.start_day for a, b in itertools.pairwise(own))
        assert all(failure.start_day < failure.end_day for failure in own)


def test_wear_grows_before_a_failure_with_warning_and_is_gone_after_it():
    rng = np.random.default_rng(0)
    well = next(i for i, habit in enumerate(HABITS) if habit.name == "valve wearing")
    failures = plan_failures(24, 60, rng)
    times = card_times(24, 60, 3, failures, rng)
    failure = failures_of(failures, well)[0]
    own = times.well == well
    leak = times.severity[:, c.TV]
    early = leak[own & (times.day < 4.0)].mean()
    late = leak[own & (times.day > failure.start_day - 3.0) & (times.day < failure.start_day)].mean()
    after = leak[own & (times.day > failure.end_day) & (times.day < failure.end_day + 5.0)].mean()
    assert late > early + 0.2
    assert after < late - 0.2


def test_the_vendor_is_often_right_and_sometimes_not():
    rng = np.random.default_rng(0)
    severity = np.repeat(severities(POUND=0.8), 400, axis=0)
    verdicts = vendor_conditions(severity, rng)
    right = np.isin(verdicts, VENDOR_TEXTS[c.POUND]).any(axis=1).mean()
    assert 0.75 < right < 0.999
