"""Set-point advice in cases whose answer is known, and what must hold for any well."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.decisions import setpoints
from oasis_pipeline.decisions.economics import Economics
from oasis_pipeline.decisions.inflow import Course
from oasis_pipeline.decisions.possible_wells import Past, Points
from oasis_pipeline.decisions.setpoint_reasons import say_missing, say_setpoint
from oasis_pipeline.decisions.setpoints import (
    EXPECTED_LIMIT_PCT,
    LIMIT_PCT,
    Setpoints,
    advise_setpoints,
    lacks,
)
from oasis_pipeline.decisions.well_response import (
    FIRST_SPM,
    NODES,
    QUANTITIES,
    SPM_RATIO,
    STATES,
    Response,
    Responses,
    can_respond,
)
from oasis_pipeline.physics.diagnosis import Well
from oasis_pipeline.physics.diagnosis.well import columns_of
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit

STROKE_IN, SPM, DIAMETER_IN = 100.0, 8.0, 1.75
WELL = Well(
    rods=RodString.from_sections([1900.0, 3100.0], [0.875, 0.75], ["D", "D"]),
    unit=PumpingUnit.simple_harmonic(
        STROKE_IN, gearbox_rating_in_lbf=400e3, structural_rating_lbf=25e3, counterbalance_moment_in_lbf=450e3
    ),
    plunger_diameter_in=DIAMETER_IN,
    pump_depth_ft=5000.0,
    fluid_sg=0.95,
    tubing_pressure_psi=100.0,
    casing_pressure_psi=30.0,
    tubing_anchored=True,
)
RESPONSES = Responses()


@cache
def response() -> Response:
    """Table of the well."""
    return RESPONSES.of(["well"], [WELL], np.array([STROKE_IN]), np.array([SPM]))


def of(count: int) -> Response:
    """The same table for some wells."""
    one = response()
    return Response(**{f.name: np.repeat(getattr(one, f.name), count, axis=0) for f in fields(Response)})


def points(count: int = 1, **values: Any) -> Points:
    """Wells with a full pump and much liquid over it, other values by name."""
    tables = of(count).at(np.full((count, 1), SPM))[:, 0, 1]
    full = {name: tables[:, k] for k, name in enumerate(QUANTITIES)}
    given = {
        "spm": SPM,
        "stroke_in": STROKE_IN,
        "run_h": 24.0,
        "fillage_pct": 99.0,
        "fillage_spread_pct": 2.0,
        "intake_psi": 700.0,
        "intake_lower_psi": 640.0,
        "intake_upper_psi": 760.0,
        "production_bpd": 230.0,
        "production_lower_bpd": 205.0,
        "production_upper_bpd": 255.0,
        "inferred_bpd": 230.0,
        "water_cut_pct": 60.0,
        "casing_psi": 30.0,
        "pprl_lbf": full["pprl_lbf"],
        "mprl_lbf": full["mprl_lbf"],
        "power_hp": full["work_in_lbf"] * SPM / 396_000.0,
        "torque_in_lbf": full["torque_in_lbf"],
        "gearbox_pct": full["torque_in_lbf"] / 4000.0,
        "structure_pct": full["pprl_lbf"] / 250.0,
        "rods_pct": full["rods_pct"],
        "damping": 0.12,
        "gas_exponent": 1.18,
        "pound_pct": 0.0,
        "gas_pct": 0.0,
        "course": str(Course.UNDECIDED),
        "may_rise": True,
        **values,
    }
    return Points(**{name: np.broadcast_to(np.asarray(value), (count,)) for name, value in given.items()})


EMPTIED = {
    "fillage_pct": 50.0,
    "intake_psi": 55.0,
    "intake_lower_psi": 20.0,
    "intake_upper_psi": 110.0,
    "production_bpd": 115.0,
    "production_lower_bpd": 103.0,
    "production_upper_bpd": 128.0,
    "inferred_bpd": 115.0,
    "pound_pct": 95.0,
}


def advise(given: Points, past: Past | None = None, economics: Economics | None = None) -> Setpoints:
    """Advise these wells."""
    count = len(given)
    return advise_setpoints(given, of(count), past or Past.none(count), economics or Economics())


def test_a_table_holds_what_the_simulator_says() -> None:
    table, node = response(), 10
    spm = FIRST_SPM * SPM_RATIO ** (table.first_node[0] + node)
    middle = parameters(
        1,
        spm=spm,
        damping_up=0.12,
        damping_down=0.12,
        plunger_diameter_in=DIAMETER_IN,
        fluid_gravity=0.95,
        discharge_psi=table.discharge_psi,
        intake_psi=table.low_intake_psi,
    )
    assert WELL.rods is not None
    fine = simulate(WELL.rods, WELL.unit, middle)
    coarse = dict(zip(QUANTITIES, table.values[0, node, STATES.index("full") + 1], strict=True))
    assert coarse["stroke_in"] == pytest.approx(fine.results["relative_stroke_in"][0], rel=0.01)
    assert coarse["pprl_lbf"] == pytest.approx(fine.results["pprl_lbf"][0], rel=0.01)
    assert coarse["work_in_lbf"] == pytest.approx(fine.results["surface_work_in_lbf"][0], rel=0.01)
    assert coarse["torque_in_lbf"] == pytest.approx(fine.results["peak_torque_in_lbf"][0], rel=0.03)


def test_tables_are_kept_and_meet_their_nodes() -> None:
    table = response()
    held = len(RESPONSES.kept)
    again = RESPONSES.of(["well", "well"], [WELL, WELL], np.array([STROKE_IN, np.nan]), np.array([SPM, SPM]))
    assert len(RESPONSES.kept) == held == NODES
    assert np.array_equal(again.values[1], table.values[0])
    speeds = FIRST_SPM * SPM_RATIO ** (table.first_node[0] + np.arange(NODES))
    assert table.at(speeds[None])[0] == pytest.approx(table.values[0])
    assert table.at(np.array([[0.1, 99.0]]))[0] == pytest.approx(table.values[0, [0, -1]]), "the ends hold"


def test_a_pump_that_empties_its_well_is_advised_fewer_strokes() -> None:
    given = points(**EMPTIED)
    found = advise(given)
    assert found.action[0] in ("slow_down", "lengthen_idle_time")
    strokes = found.spm[0] * found.run_h[0] / (SPM * 24.0)
    assert 0.5 <= strokes < 0.75, "half of them are enough"
    assert found.oil_bpd.mean[0] > -0.03 * 115.0 * 0.4
    assert found.gain_per_day.mean[0] > 0.0
    assert found.confidence_pct[0] > 90.0
    assert found.energy_kwh_d.mean[0] < 0.0
    assert found.fillage_pct[0] > 65.0
    assert found.off_pct[0] > 90.0
    text = say_setpoint(found, given, 0, "USD")
    assert "undecided by strokes" in text
    assert "empties the well" in text


def test_a_full_pump_with_liquid_over_it_is_advised_faster_until_a_limit_binds() -> None:
    free = advise(points())
    assert free.action[0] == "speed_up"
    assert free.oil_bpd.lower[0] > 0.0
    tight = points(gearbox_pct=96.5)
    bound = advise(tight)
    assert bound.action[0] == "none"
    assert bound.binding[0] == "gearbox"
    assert bound.spm[0] == SPM
    assert "the gearbox would not allow" in say_setpoint(bound, tight, 0, "USD")
    some = advise(points(gearbox_pct=85.0))
    assert SPM <= some.spm[0] <= free.spm[0]


def test_the_probability_of_a_gain_counts_what_the_model_may_err(monkeypatch: pytest.MonkeyPatch) -> None:
    sure = advise(points())
    assert sure.gain_per_day.lower[0] > 0.0
    assert sure.confidence_pct[0] > 95.0
    monkeypatch.setitem(setpoints.ERROR_SHARES, "oil", 0.7)
    found = advise(points())
    assert found.action[0] == "speed_up"
    assert found.gain_per_day.lower[0] < 0.0, "one in twenty is below the interval"
    assert 85.0 < found.confidence_pct[0] < 95.0


def test_gas_is_not_answered_by_fewer_strokes() -> None:
    gassy = {**EMPTIED, "intake_psi": 600.0, "intake_lower_psi": 540.0, "intake_upper_psi": 660.0}
    found = advise(points(**{**gassy, "pound_pct": 0.0, "gas_pct": 95.0}))
    assert found.off_pct[0] < 10.0
    assert found.action[0] not in ("slow_down", "lengthen_idle_time")


def test_strokes_decide_where_class_and_pressure_do_not() -> None:
    unknown = {**EMPTIED, "pound_pct": 50.0, "gas_pct": 50.0}
    for name in ("intake_psi", "intake_lower_psi", "intake_upper_psi"):
        unknown[name] = np.nan
    found = advise(points(3, **{**unknown, "course": [str(c) for c in Course]}))
    marches, jumps, undecided = found.off_pct
    assert marches > undecided > jumps
    assert marches > 95.0
    assert jumps < 10.0


def test_what_an_earlier_speed_did_decides() -> None:
    unknown = {**EMPTIED, "pound_pct": 50.0, "gas_pct": 50.0}
    for name in ("intake_psi", "intake_lower_psi", "intake_upper_psi"):
        unknown[name] = np.nan
    none = [np.nan, np.nan]
    same_rate = Past(*(np.array([v]) for v in ([6.0, 5.0], [24.0, 24.0], [68.0, 82.0], none, [115.0, 114.0])))
    less = Past(*(np.array([v]) for v in ([6.0, 5.0], [24.0, 24.0], [51.0, 52.0], none, [90.0, 76.0])))
    emptied, gassy = advise(points(**unknown), same_rate), advise(points(**unknown), less)
    assert emptied.off_pct[0] > 80.0
    assert emptied.action[0] in ("slow_down", "lengthen_idle_time")
    assert gassy.off_pct[0] < 20.0
    assert gassy.action[0] not in ("slow_down", "lengthen_idle_time")


def test_a_well_that_rests_though_full_is_advised_to_rest_less() -> None:
    found = advise(points(run_h=12.0, production_bpd=115.0, production_lower_bpd=103.0,
                          production_upper_bpd=128.0, inferred_bpd=115.0))  # fmt: skip
    assert found.action[0] in ("shorten_idle_time", "speed_up")
    assert found.spm[0] * found.run_h[0] > SPM * 12.0


def test_oil_that_is_worth_nothing_is_not_pumped_faster() -> None:
    found = advise(points(), economics=Economics(oil_price_per_bbl=0.0))
    assert found.action[0] in ("slow_down", "lengthen_idle_time")


def test_unknown_ratings_are_named_and_not_judged() -> None:
    given = points(gearbox_pct=np.nan, torque_in_lbf=np.nan, rods_pct=np.nan)
    found = advise(given)
    assert found.not_judged[0] == ("gearbox", "rods")
    assert found.action[0] == "speed_up"
    assert np.isnan(found.gearbox_pct.mean[0])
    assert "Not judged" in say_setpoint(found, given, 0, "USD")


def test_rows_of_a_batch_do_not_know_each_other() -> None:
    count = 37
    given = points(count, fillage_pct=np.where(np.arange(count) % 2, 99.0, np.nan))
    many, one = advise(given), advise(points())
    assert set(many.why_none[::2]) == {"missing"}
    assert np.all(many.spm[1::2] == one.spm[0])
    assert many.gain_per_day.mean[1::2] == pytest.approx(one.gain_per_day.mean[0])
    empty = advise(points(0))
    assert len(empty.spm) == 0


NUMBERS = [f.name for f in fields(Points) if f.name not in ("course", "may_rise")]


@settings(max_examples=25, deadline=None)
@given(
    lost=st.sets(st.sampled_from(NUMBERS)),
    bad=st.sampled_from([np.nan, np.inf, -1.0, 0.0]),
)
def test_nothing_that_is_missing_or_impossible_is_an_error(lost: set[str], bad: float) -> None:
    given = points(2)
    given = replace(given, **{name: np.array([bad, getattr(given, name)[1]]) for name in lost})
    found = advise(given)
    assert found.why_none[1] == "" or found.action[1] == "none"
    assert found.action[1] == advise(points()).action[0], "the other well doesn't mind"
    codes = lacks(given)[0]
    if codes:
        assert found.why_none[0] == "missing"
        assert found.action[0] == "none"
        assert np.isnan(found.oil_bpd.mean[0])
        assert say_missing(codes).startswith("No advice without")


@settings(max_examples=40, deadline=None)
@given(
    fillage=st.floats(5.0, 100.0),
    intake=st.floats(0.0, 1200.0),
    rate=st.floats(5.0, 400.0),
    run_h=st.floats(1.0, 24.0),
    loads=st.tuples(*[st.floats(30.0, 140.0)] * 3),
    classes=st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 100.0)),
    course=st.sampled_from([str(c) for c in Course]),
    may_rise=st.booleans(),
)
def test_an_advice_stays_inside_the_limits_and_gains(
    fillage: float,
    intake: float,
    rate: float,
    run_h: float,
    loads: tuple[float, float, float],
    classes: tuple[float, float],
    course: str,
    may_rise: bool,
) -> None:
    given = points(
        fillage_pct=fillage, intake_psi=intake, intake_lower_psi=intake - 60.0, intake_upper_psi=intake + 60.0,
        production_bpd=rate, production_lower_bpd=0.85 * rate, production_upper_bpd=1.2 * rate, inferred_bpd=rate, run_h=run_h,
        gearbox_pct=loads[0], structure_pct=loads[1], rods_pct=loads[2], pound_pct=classes[0], gas_pct=classes[1], course=course,
        may_rise=may_rise,
    )  # fmt: skip
    found = advise(given)
    assert found.why_none[0] != "missing"
    if found.action[0] == "none":
        assert (found.spm[0], found.run_h[0]) == (SPM, run_h)
        return
    assert found.gain_per_day.mean[0] > 0.0
    assert 0.0 < found.run_h[0] <= 24.0 + 1e-9
    for interval in (
        found.oil_bpd,
        found.gearbox_pct,
        found.structure_pct,
        found.rods_pct,
        found.gain_per_day,
    ):
        assert interval.lower[0] <= interval.mean[0] <= interval.upper[0]
    for load, interval in zip(loads, (found.gearbox_pct, found.structure_pct, found.rods_pct), strict=True):
        inside = (
            load + interval.upper[0] <= LIMIT_PCT + 1e-6 and load + interval.mean[0] <= EXPECTED_LIMIT_PCT
        )
        falls = interval.upper[0] <= 0.5 or (
            interval.mean[0] <= 0.0 and load + interval.upper[0] <= LIMIT_PCT + 1e-6
        )
        assert inside or falls
    if not may_rise:
        assert found.spm[0] * found.run_h[0] <= SPM * run_h + 1e-9


def test_a_well_file_that_lacks_something_is_told_by_codes() -> None:
    no_plunger = replace(WELL, plunger_diameter_in=float("nan"))
    found = can_respond(columns_of([WELL, replace(WELL, rods=None), no_plunger, Well()]))
    assert found[:3] == [[], ["no_rods"], ["no_plunger"]]
    assert found[3] == ["no_rods", "no_plunger", "no_fluid_sg", "no_depth", "no_tubing_pressure"]


def test_slower_all_day_instead_of_faster_part_of_it_is_called_slower() -> None:
    rests = {**EMPTIED, "fillage_pct": 62.0, "run_h": 16.0, "production_bpd": 95.0,
             "production_lower_bpd": 85.0, "production_upper_bpd": 106.0, "inferred_bpd": 95.0}  # fmt: skip
    found = advise(points(**rests))
    assert found.action[0] in ("slow_down", "lengthen_idle_time")
    assert found.spm[0] * found.run_h[0] < 1.1 * SPM * 16.0
