"""Balance of pump and reservoir against closed forms, and what consecutive strokes tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.decisions.inflow import Course, balance_rates, strokes_course, vogel_share


def test_vogel_at_both_ends_and_in_between() -> None:
    assert vogel_share([0.0, 500.0, 1000.0, 1200.0], 1000.0) == pytest.approx([1.0, 0.7, 0.0, 0.0])


@given(
    greatest=st.floats(20.0, 800.0),
    reservoir=st.floats(300.0, 4000.0),
    displacement=st.floats(10.0, 1200.0),
    duty=st.floats(0.2, 1.0),
)
def test_a_pump_without_gas_or_leak_against_the_closed_form(
    greatest: float, reservoir: float, displacement: float, duty: float
) -> None:
    floor = 50.0
    rate, intake, fill = balance_rates(greatest, reservoir, floor, 0.0, displacement, 0.0, 0.0, duty)
    most = greatest * float(vogel_share(floor, reservoir))
    if displacement * duty >= most:
        assert (float(rate), float(intake)) == pytest.approx((most, floor))
        assert float(fill) == pytest.approx(most / (displacement * duty))
        return
    ratio = (-0.2 + np.sqrt(0.04 + 3.2 * (1.0 - displacement * duty / greatest))) / 1.6
    assert float(rate) == pytest.approx(displacement * duty, rel=1e-3)
    assert float(intake) == pytest.approx(ratio * reservoir, abs=0.01 * reservoir)
    assert float(fill) == pytest.approx(1.0)


@given(
    gas=st.floats(0.0, 800.0),
    leak=st.floats(0.0, 60.0),
    slope=st.floats(0.0, 0.05),
    slower=st.floats(0.3, 0.99),
)
def test_a_slower_pump_never_makes_more_and_never_draws_deeper(
    gas: float, leak: float, slope: float, slower: float
) -> None:
    displacement = np.array([300.0, 300.0 * slower])
    rate, intake, fill = balance_rates(
        250.0, 1500.0, 60.0, gas, displacement, slope * displacement / 300, leak, 1.0
    )
    assert rate[1] <= rate[0] + 1e-3
    assert intake[1] >= intake[0] - 1e-2
    assert np.all((fill > 0.0) & (fill <= 1.0))


def test_what_is_not_known_stays_unknown_and_shapes_broadcast() -> None:
    rate, intake, fill = balance_rates(
        [[300.0], [np.nan]], 1500.0, 60.0, 0.0, [100.0, 200.0, 400.0], 0.0, 0.0, 1.0
    )
    assert rate.shape == intake.shape == fill.shape == (2, 3)
    assert np.isfinite(rate[0]).all()
    assert np.isnan(rate[1]).all()


@pytest.mark.parametrize(
    ("fillage", "course"),
    [
        ([95, 91, 86, 80, 75, 71], Course.MARCHES),
        ([60, 82, 55, 90, 64, 78], Course.JUMPS),
        ([80, 81, 80, 79, 80, 81], Course.UNDECIDED),
        ([95, 80, 65], Course.UNDECIDED),
        ([95, np.nan, np.nan, 80, np.nan, 65], Course.UNDECIDED),
        ([], Course.UNDECIDED),
    ],
)
def test_a_burst_of_cards(fillage: list[float], course: Course) -> None:
    moment = 8.0 * np.arange(len(fillage))
    assert strokes_course(moment, fillage) is course
    assert strokes_course(moment[::-1], fillage[::-1]) is course, "the order of rows says nothing"


def test_cards_of_different_hours_are_no_burst() -> None:
    assert strokes_course(3600.0 * np.arange(6), [95, 91, 86, 80, 75, 71]) is Course.UNDECIDED
