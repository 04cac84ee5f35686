"""Class, physics, tests and vendor held against each other."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.decisions.production import (
    CODES,
    SENTENCES,
    VALID,
    Disagreement,
    Evidence,
    disagreement_codes,
    reconcile_production,
)


def evidence(wells: int = 1, days: int = 10, **changed) -> Evidence:
    """Full pumps that lift 100 bbl/d, without tests."""
    shape = (wells, days)
    of = {
        "inferred_bpd": np.full(shape, 100.0),
        "leak_seen_bpd": np.zeros(shape),
        "displacement_bpd": np.full(shape, 110.0),
        "fillage_pct": np.full(shape, 98.0),
        "runtime_assumed": np.zeros(shape, bool),
        "no_fluid_load": np.zeros(shape, bool),
        "label": np.full(shape, "Full Pump", dtype=object),
        "label_pct": np.full(shape, 95.0),
        "test_bpd": np.full(shape, np.nan),
        "test_void_day": np.full(shape, VALID),
        "vendor_bpd": np.full(shape, np.nan),
        "run": np.zeros(shape, np.int64),
    }
    of.update({name: np.broadcast_to(np.asarray(value), shape).copy() for name, value in changed.items()})
    return Evidence(**of)


def with_test(rate: float, day: int, days: int = 10) -> np.ndarray:
    """One test of a well."""
    tests = np.full((1, days), np.nan)
    tests[0, day] = rate
    return tests


def test_a_full_pump_without_tests_makes_what_its_card_says():
    found = reconcile_production(evidence())
    assert np.allclose(found.bpd, 100.0)
    assert (found.source == "inferred").all()
    assert (found.lower_bpd < 82.0).all()
    assert (found.upper_bpd > 122.0).all()
    assert not found.disagreements.any()


def test_a_test_teaches_the_card_from_the_next_day_on():
    found = reconcile_production(evidence(test_bpd=with_test(80.0, 3)))
    assert np.allclose(found.bpd[0, :4], 100.0)
    assert (found.bpd[0, 4:] < 90.0).all()
    assert (found.source[0, 4:] == "inferred_calibrated").all()
    assert found.upper_bpd[0, 5] - found.lower_bpd[0, 5] < found.upper_bpd[0, 2] - found.lower_bpd[0, 2]


def test_many_tests_move_the_answer_all_the_way():
    tests = np.full((1, 60), np.nan)
    tests[0, 2:50:6] = 80.0
    found = reconcile_production(evidence(days=60, test_bpd=tests))
    assert found.bpd[0, -1] == pytest.approx(80.0, rel=0.03)


def test_a_test_far_below_the_card_is_said_and_lies_in_the_interval():
    found = reconcile_production(evidence(test_bpd=with_test(30.0, 3)))
    assert "test_below_inferred" in disagreement_codes(int(found.disagreements[0, 6]))
    assert found.lower_bpd[0, 6] <= 30.0 <= found.upper_bpd[0, 6]
    assert not found.disagreements[0, :4].any()


def test_a_test_of_a_well_that_was_down_is_dropped_once_that_is_known():
    void = np.full((1, 10), VALID)
    void[0, 3] = 6
    found = reconcile_production(evidence(test_bpd=with_test(60.0, 3), test_void_day=void))
    assert found.bpd[0, 5] < 90.0
    assert np.allclose(found.bpd[0, 6:], 100.0)
    assert np.isnan(found.test_bpd[0, 6:]).all()


def test_a_test_that_nothing_explains_is_said_and_hardly_believed_unless_the_vendor_agrees():
    alone = reconcile_production(evidence(test_bpd=with_test(2.0, 3)))
    assert alone.bpd[0, 6] > 80.0
    assert "test_below_inferred" in disagreement_codes(int(alone.disagreements[0, 6]))
    assert alone.lower_bpd[0, 6] <= 2.0
    no_card = np.full((1, 10), 100.0)
    no_card[0, 3] = np.nan
    tested_down = reconcile_production(evidence(inferred_bpd=no_card, test_bpd=with_test(2.0, 3)))
    assert tested_down.bpd[0, 6] > 80.0
    both = reconcile_production(evidence(test_bpd=with_test(20.0, 3), vendor_bpd=24.0))
    assert both.bpd[0, 6] < 35.0
    leaks = reconcile_production(evidence(test_bpd=with_test(20.0, 3), label="Leak in Standing Valve"))
    assert leaks.bpd[0, 4] < 30.0, "a leak that the card doesn't show explains it"


def test_the_vendor_weighs_in_and_a_contradiction_widens_and_is_said():
    alone = reconcile_production(evidence())
    agreed = reconcile_production(evidence(vendor_bpd=104.0))
    assert 100.0 < agreed.bpd[0, 0] < 104.0
    assert agreed.upper_bpd[0, 0] - agreed.lower_bpd[0, 0] < alone.upper_bpd[0, 0] - alone.lower_bpd[0, 0]
    apart = reconcile_production(evidence(vendor_bpd=40.0))
    assert 40.0 < apart.bpd[0, 0] < 100.0
    assert apart.lower_bpd[0, 0] < 50.0
    assert "vendor_below_inferred" in disagreement_codes(int(apart.disagreements[0, 0]))
    tests = np.full((1, 40), np.nan)
    tests[0, 2:38:6] = 100.0
    learned = reconcile_production(evidence(days=40, test_bpd=tests, vendor_bpd=60.0))
    assert learned.bpd[0, -1] == pytest.approx(100.0, rel=0.03), "tests teach how far the vendor is off too"


def test_a_rate_that_rests_on_a_guess_says_so_until_sources_agree():
    leaks = evidence(label="Leak in Standing Valve", leak_seen_bpd=40.0)
    assert disagreement_codes(int(reconcile_production(leaks).disagreements[0, 0])) == ["rate_unsure"]
    tested = reconcile_production(replace(leaks, test_bpd=with_test(100.0, 3)))
    assert not tested.disagreements[0, 4]
    assert tested.disagreements[0, 9], "a leak grows: an old test says little"


def test_tests_of_an_earlier_run_say_nothing_of_this_one():
    run = np.zeros((1, 10), np.int64)
    run[0, 5:] = 1
    found = reconcile_production(evidence(test_bpd=with_test(60.0, 3), run=run))
    assert found.bpd[0, 4] < 90.0
    assert np.allclose(found.bpd[0, 5:], 100.0)


def test_a_leak_that_only_the_class_sees_lowers_the_rate_and_widens_it():
    found = reconcile_production(evidence(label="Leak in Standing Valve"))
    assert (found.bpd < 70.0).all()
    assert (found.upper_bpd > 100.0).all()
    assert disagreement_codes(int(found.disagreements[0, 0])) == ["class_leak_unseen_by_timing"]


def test_a_leak_that_the_timing_measures_is_not_counted_twice():
    found = reconcile_production(evidence(label="Leak in Standing Valve", leak_seen_bpd=40.0))
    assert np.allclose(found.bpd, 100.0)
    assert (found.lower_bpd < 65.0).all()
    assert disagreement_codes(int(found.disagreements[0, 0])) == ["rate_unsure"]


def test_parted_rods_lift_nothing():
    found = reconcile_production(evidence(label="Parted Rod", no_fluid_load=True, inferred_bpd=np.nan))
    assert (found.bpd == 0.0).all()
    assert (found.source == "none_lifted").all()
    assert not found.disagreements.any()
    doubtful = reconcile_production(evidence(label="Parted Rod"))
    assert disagreement_codes(int(doubtful.disagreements[0, 0])) == ["parted_by_class_only"]
    assert (doubtful.upper_bpd >= 100.0).all()
    unconfirmed = reconcile_production(
        evidence(label="Parted Rod", inferred_bpd=np.nan, displacement_bpd=np.nan)
    )
    assert np.isnan(unconfirmed.bpd).all(), "a class alone is no rate"
    assert (unconfirmed.source == "").all()


def test_without_a_card_the_test_stands_and_without_both_the_vendor():
    nothing = np.full((1, 10), np.nan)
    by_test = reconcile_production(evidence(inferred_bpd=nothing, test_bpd=with_test(55.0, 3)))
    assert by_test.bpd[0, 5] == pytest.approx(55.0)
    assert by_test.source[0, 5] == "test"
    assert by_test.source[0, 2] == ""
    by_vendor = reconcile_production(evidence(inferred_bpd=nothing, vendor_bpd=70.0))
    assert by_vendor.bpd[0, 5] == pytest.approx(70.0)
    assert by_vendor.source[0, 5] == "vendor"


def test_every_disagreement_has_a_code_and_a_sentence():
    assert set(CODES) == set(Disagreement)
    assert set(CODES.values()) == set(SENTENCES)


RATES = st.one_of(st.just(float("nan")), st.floats(0.0, 2000.0))
LABELS = st.sampled_from(
    [None, "Full Pump", "Fluid Pound", "Parted Rod", "Worn Pump Barrel", "Something New"]
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_interval_holds_the_rate_and_the_past_is_not_changed_by_the_future(data):
    wells, days = 2, 6
    size = wells * days

    def grid(strategy, dtype=float):
        return np.array(data.draw(st.lists(strategy, min_size=size, max_size=size)), dtype=dtype).reshape(
            wells, days
        )

    whole = Evidence(
        inferred_bpd=grid(RATES),
        leak_seen_bpd=grid(RATES),
        displacement_bpd=grid(RATES),
        fillage_pct=grid(RATES),
        runtime_assumed=grid(st.booleans(), bool),
        no_fluid_load=grid(st.booleans(), bool),
        label=grid(LABELS, object),
        label_pct=grid(st.floats(0.0, 100.0)),
        test_bpd=grid(RATES),
        test_void_day=np.full((wells, days), VALID),
        vendor_bpd=grid(RATES),
        run=np.sort(grid(st.integers(0, 2), np.int64), axis=1),
    )
    found = reconcile_production(whole)
    known = np.isfinite(found.bpd)
    assert (found.source[known] != "").all()
    assert (found.lower_bpd[known] <= found.bpd[known] + 1e-9).all()
    assert (found.upper_bpd[known] >= found.bpd[known] - 1e-9).all()
    assert (found.bpd[known] >= 0.0).all()
    part = reconcile_production(
        replace(whole, **{f.name: getattr(whole, f.name)[:, :4] for f in fields(whole)})
    )
    assert np.array_equal(part.bpd, found.bpd[:, :4], equal_nan=True)
    assert np.array_equal(part.disagreements, found.disagreements[:, :4])
