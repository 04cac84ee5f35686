"""Failures by their causes: evidence, rates in closed form, and what an alarm says of its causes."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.learning.failures import causes as c
from oasis_pipeline.learning.failures.base import BASE_VERSION, base_forecaster
from oasis_pipeline.learning.failures.causes import (
    CAUSE_CHANNELS,
    CAUSES,
    DAYS_PER_FAILURE,
    DRIVEN,
    PRIOR_FAILURES,
    SHARES,
    UNANNOUNCED_SHARE,
    cause_evidence,
    posterior_rates,
    prior_rates,
)
from oasis_pipeline.learning.failures.reasons import course_of, reasons
from oasis_pipeline.learning.failures.windows import DailyRows, feature_names
from oasis_pipeline.learning.severities import CONDITIONS

PARTS = tuple(SHARES)
NAMES = tuple(feature_names(CAUSE_CHANNELS))


def day(**severities: tuple[float, float]) -> np.ndarray:
    """Features of a day with some conditions, each a level and the lowest that it has come from."""
    row = np.full((1, len(NAMES)), np.nan, np.float32)
    for name, (level, low) in severities.items():
        row[0, NAMES.index(f"severity_{name} level")] = level
        row[0, NAMES.index(f"severity_{name} low")] = low
    return row


def test_a_field_without_history_starts_at_published_rates() -> None:
    proba = base_forecaster().probabilities(day())
    rate = UNANNOUNCED_SHARE / DAYS_PER_FAILURE
    assert 1.0 - proba[0, :, 0] == pytest.approx(1.0 - np.exp(-rate * np.array([3, 7, 15, 30])))
    assert proba[0, 2, 1:] / proba[0, 2, 1:].sum() == pytest.approx(list(SHARES.values()))
    assert sum(SHARES.values()) == pytest.approx(1.0)
    assert BASE_VERSION.startswith("base-")


@pytest.mark.parametrize("cause", CAUSES)
def test_what_fails_is_what_the_condition_drives_and_the_climb_is_bounded(cause: str) -> None:
    assert cause in CONDITIONS
    proba = base_forecaster().probabilities(day(**{cause: (1.0, 0.0)}))[0]
    assert PARTS[proba[2, 1:].argmax()] == max(DRIVEN[cause], key=lambda part: DRIVEN[cause][part])
    most = sum(DRIVEN[cause].values()) + UNANNOUNCED_SHARE / DAYS_PER_FAILURE
    assert 1.0 - proba[2, 0] == pytest.approx(1.0 - np.exp(-15 * most))


def test_evidence_is_what_has_grown_and_missing_says_nothing() -> None:
    place = 1 + CAUSES.index("wellbore_friction")
    assert cause_evidence(day(wellbore_friction=(0.8, 0.2)), NAMES)[0, place] == pytest.approx(
        0.6 + 0.1 * 0.2
    )
    # what has stood for long counts for a tenth, what fades no less
    assert cause_evidence(day(wellbore_friction=(0.8, 0.9)), NAMES)[0, place] == pytest.approx(0.08)
    assert cause_evidence(day(wellbore_friction=(0.8, np.nan)), NAMES)[0, place] == pytest.approx(0.08)
    # a condition half as far makes half the hazard
    half = cause_evidence(day(wellbore_friction=(0.4, 0.0)), NAMES)[0, place]
    assert half == pytest.approx(cause_evidence(day(wellbore_friction=(0.8, 0.0)), NAMES)[0, place] / 2)
    assert cause_evidence(day(), NAMES)[0].tolist() == [1.0] + [0.0] * len(CAUSES)
    assert cause_evidence(np.zeros((2, 1), np.float32), ("a",))[:, 1:].sum() == 0.0
    parted = 1 + CAUSES.index("parted_rod")
    assert cause_evidence(day(parted_rod=(0.5, 0.5)), NAMES)[0, parted] == pytest.approx(0.25)
    by_weight = day()
    by_weight[0, NAMES.index("parted_depth_ft level")] = 3000.0
    assert cause_evidence(by_weight, NAMES)[0, parted] == 1.0


def test_a_field_that_has_seen_nothing_keeps_its_rates() -> None:
    prior = prior_rates(PARTS)
    none = np.zeros(0, np.int64)
    same = posterior_rates(
        prior, np.zeros(1 + len(CAUSES)), np.zeros((0, 1 + len(CAUSES))), none, none.astype(float)
    )
    assert same == pytest.approx(prior)


def test_rates_are_those_of_a_poisson_process_with_a_gamma_prior() -> None:
    prior = np.array([[0.001, 0.003]])
    seen = np.array([5.0, 1.0])
    label = np.repeat([0, 1], [5, 1])
    rates = posterior_rates(prior, np.array([3000.0]), np.ones((6, 1)), label, np.ones(6))
    a = PRIOR_FAILURES
    level = (a + 6) / (a + 3000 * 0.004)
    assert rates[0] == pytest.approx((a * np.array([0.25, 0.75]) + seen) / (a / (0.004 * level) + 3000))
    # two quiet years lower them
    quiet = posterior_rates(prior, np.array([3000.0]), np.zeros((0, 1)), label[:0], np.zeros(0))
    assert (quiet < prior).all()


def test_failures_are_dealt_out_to_the_causes_that_were_there() -> None:
    prior = prior_rates(PARTS)
    exposure = np.zeros(1 + len(CAUSES))
    exposure[0] = 4000.0
    friction, movement = (1 + CAUSES.index(name) for name in ("wellbore_friction", "tubing_movement"))
    exposure[[friction, movement]] = 100.0
    evidence = np.zeros((8, 1 + len(CAUSES)))
    evidence[:, 0], evidence[:, friction] = 1.0, 0.8
    rod = np.full(8, PARTS.index("Rod"))
    rates = posterior_rates(prior, exposure, evidence, rod, np.ones(8))
    assert rates[friction].sum() > 1.5 * prior[friction].sum()
    assert rates[movement].sum() < prior[movement].sum()
    assert rates[friction, PARTS.index("Rod")] > 5 * rates[friction, PARTS.index("Tubing")]


def test_a_class_that_nobody_knew_comes_from_what_is_always_there() -> None:
    classes = (*PARTS, "Polish")
    prior = prior_rates(classes)
    exposure = np.zeros(1 + len(CAUSES))
    exposure[0] = 1000.0
    one = np.zeros((1, 1 + len(CAUSES)))
    one[0, 0] = 1.0
    rates = posterior_rates(prior, exposure, one, np.array([4]), np.ones(1))
    assert rates[0, 4] > 0.0
    assert (rates[1:, 4] == 0.0).all()


def test_courses() -> None:
    days = np.arange(20)
    value = np.where(days < 11, 0.2, 0.2 + 0.5 * (days - 10) / 8)
    before, now, took = course_of(days, value)
    assert before == pytest.approx(0.2, abs=0.07)
    assert now == pytest.approx(value[-2])
    assert 7 <= took <= 9
    assert course_of(days, np.full(20, np.nan))[2] == 0


def test_an_alarm_names_the_condition_and_its_course() -> None:
    values = np.full((20, len(CAUSE_CHANNELS)), np.nan, np.float32)
    values[:, CAUSE_CHANNELS.index("severity_leak_in_standing_valve")] = np.repeat(
        [0.2, 0.45, 0.7], [11, 4, 5]
    )
    days = np.arange(20)
    rows = DailyRows(
        np.zeros(20, np.int64), days, days * 86_400_000, values, np.ones(20, np.int64), CAUSE_CHANNELS
    )
    features = day(leak_in_standing_valve=(0.7, 0.2))
    text = reasons(base_forecaster(), features, rows, np.array([19]), np.array([40.0]))[0]
    assert text == (
        "leak in the standing valve severity 0.2 to 0.7 in 8 days; 40 days since the workover or the first data"
    )
    assert (
        "no condition stands out"
        in reasons(base_forecaster(), day(), rows, np.array([19]), np.array([9.0]))[0]
    )
    values[:, CAUSE_CHANNELS.index("parted_depth_ft")] = 2500.0
    features[0, NAMES.index("parted_depth_ft level")] = 2500.0
    text = reasons(base_forecaster(), features, rows, np.array([19]), np.array([40.0]))[0]
    assert text.startswith("parted rods, by their weight at 2,500 ft")
    assert set(c.CAUSES) == set(DRIVEN)
