"""Models of failures: trees as arrays, windows from hazards, the choice at a cut-off, artifacts, run life, alarms."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import WeibullFitter

from oasis_pipeline.learning.container import ArtifactError
from oasis_pipeline.learning.failures.alarms import (
    FALSE,
    NEVER_RAISED,
    OPEN,
    TRUE,
    alarm_outcomes,
    choose_threshold,
    foretold_days,
    raise_alarms,
)
from oasis_pipeline.learning.failures.causes import CauseHazards
from oasis_pipeline.learning.failures.forecaster import (
    Learnable,
    fit_at,
    fold_of,
)
from oasis_pipeline.learning.failures.hazard import base_rates, window_probabilities
from oasis_pipeline.learning.failures.log import DAY_MS, FailureLog
from oasis_pipeline.learning.failures.packing import pack_forecaster, unpack_forecaster
from oasis_pipeline.learning.failures.run_life import BASE, Lives, Weibull, fit_weibull, lives_at
from oasis_pipeline.learning.failures.walk_forward import cutoff_of, cutoffs
from studies.boosting import grow
from studies.covariates import Covariate, LeakError, concordance, fit_cox, usable
from studies.failure_evaluation import Forecast, count_by_well, figures

CLASSES = ("Pump", "Rod")
PARTS = ("BHA", "Pump", "Rod", "Tubing")


def ms(day: float) -> int:
    return int(day * DAY_MS)


@pytest.mark.parametrize("outputs", [2, 3])
def test_trees_as_arrays_say_what_scikit_learn_says(outputs: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(1)
    table = rng.normal(size=(600, 5)).astype(np.float32)
    table[rng.random(table.shape) < 0.2] = np.nan
    table[:, 3] = np.nan
    target = np.clip(np.round(np.nan_to_num(table[:, 0]) * 2), 0, outputs - 1).astype(np.int64)
    trees = grow(
        table,
        target,
        rounds=8,
        learning_rate=0.1,
        leaves=6,
        min_leaf=10,
        l2=1.0,
        share_of_features=1.0,
        seed=0,
    )
    theirs = HistGradientBoostingClassifier(
        max_iter=8, learning_rate=0.1, max_leaf_nodes=6, min_samples_leaf=10, l2_regularization=1.0,
        early_stopping=False, random_state=0,
    ).fit(table[:, [0, 1, 2, 4]], target)  # fmt: skip
    raw = trees.raw(table)
    proba = np.exp(raw - raw.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    assert proba == pytest.approx(theirs.predict_proba(table[:, [0, 1, 2, 4]]), abs=1e-9)
    with pytest.raises(ValueError, match="5 features"):
        trees.raw(table[:, :4])
    with pytest.raises(ValueError, match="child"):
        replace(trees, left=np.zeros_like(trees.left)).check()


@given(st.lists(st.floats(0.0, 0.5), min_size=8, max_size=8))
@settings(max_examples=50)
def test_windows_sum_to_one_and_grow_with_their_length(values: list[float]) -> None:
    proba = window_probabilities(np.array(values).reshape(1, 4, 2))
    assert proba.sum(axis=2) == pytest.approx(1.0)
    assert (np.diff(proba[0, :, 0]) <= 1e-12).all()
    assert (np.diff(proba[0, :, 1:], axis=0) >= -1e-12).all()


def test_base_rates_are_drawn_to_the_prior() -> None:
    nothing = base_rates(np.zeros(2), 0.0, np.full(2, 0.5))
    proba = window_probabilities(nothing.hazards(np.zeros((1, 1), np.float32)))
    assert 1.0 - proba[0, -1, 0] == pytest.approx(30 / 700, rel=0.05)
    seen = base_rates(np.array([10.0, 0.0]), 1000.0, np.full(2, 0.5))
    assert seen.rate_per_day[0] > 10 * seen.rate_per_day[1]


def field(seed: int = 0, wells: int = 24, days: int = 90) -> Learnable:
    """Wells of which a half fail now and then, each failure led up to by one column over ten days."""
    rng = np.random.default_rng(seed)
    well = np.repeat(np.arange(wells), days)
    day = np.tile(np.arange(days), wells)
    signal = rng.normal(0.0, 0.3, len(well))
    of, start = [], []
    for number in range(0, wells, 2):
        for moment in (20 + number % 11, 60 + number % 13):
            of.append(number)
            start.append(moment + 0.9)
            before = (well == number) & (day <= moment) & (day > moment - 10)
            signal[before] += np.linspace(0.5, 4.0, before.sum())
    names = [CLASSES[number // 2 % 2] for number in of]
    begin = np.array([ms(s) for s in start])
    log = FailureLog.of(of, begin, begin + ms(2), begin + ms(3), names, CLASSES)
    features = np.stack([signal, rng.normal(size=len(well))], axis=1).astype(np.float32)
    known = np.zeros(len(well), np.int64)
    for i in range(len(log)):
        known += (well == log.well[i]) & (day * DAY_MS + ms(0.5) >= log.known_ms[i])
    nodes = [f"W {number}" for number in range(wells)]
    return Learnable(well, day * DAY_MS + ms(0.5), features, ("a", "b"), known, fold_of(nodes), log)


def test_nothing_after_the_cutoff_counts() -> None:
    data, cutoff = field(), ms(75)
    fitted = fit_at(data, cutoff)
    # nothing among its columns tells of a cause: base rates are as good
    assert set(fitted.log_loss) == {"rates", "causes"}
    past = data.time_ms < cutoff
    cut = replace(
        data,
        well=data.well[past],
        time_ms=data.time_ms[past],
        features=data.features[past],
        life=data.life[past],
        log=data.log.known_at(cutoff),
    )
    again = fit_at(cut, cutoff)
    assert pack_forecaster(again.forecaster, {}) == pack_forecaster(fitted.forecaster, {})


def friction(wells: int = 24, days: int = 90, ends: bool = True) -> Learnable:
    """Wells of which a half bear friction that grows over ten days; it ends in a broken rod, or comes to nothing while other wells fail."""
    data = field(wells=wells, days=days)
    level = np.clip(np.nan_to_num(data.features[:, 0]) / 4.0, 0.0, 1.0)
    low = np.where(level > 0.3, 0.0, level)
    features = np.stack([level, low], axis=1).astype(np.float32)
    names = ("severity_wellbore_friction level", "severity_wellbore_friction low")
    log = data.log
    well = log.well if ends else (log.well + 1) % wells
    log = FailureLog.of(well, log.start_ms, log.end_ms, log.known_ms, ["Rod"] * len(log), PARTS)
    return replace(data, features=features, names=names, log=log)


def test_a_field_teaches_what_its_conditions_come_to() -> None:
    told = fit_at(friction(), ms(75))
    assert told.log_loss["causes"] < told.log_loss["rates"]
    assert 0.0 < told.forecaster.threshold < 1.0
    grown, none = np.array([[1.0, 0.0]], np.float32), np.zeros((1, 2), np.float32)
    said = told.forecaster.probabilities(grown)[0, 2]
    assert said[0] < 0.6
    assert said[1:].argmax() == PARTS.index("Rod")
    assert told.forecaster.probabilities(none)[0, 2, 0] > said[0] + 0.2
    # where friction comes to nothing it says less
    assert fit_at(friction(ends=False), ms(75)).forecaster.probabilities(grown)[0, 2, 0] > said[0] + 0.1
    assert fit_at(friction(), 0).forecaster.threshold == NEVER_RAISED


def test_artifacts_come_back_and_damaged_ones_do_not() -> None:
    fitted = fit_at(friction(), ms(75)).forecaster
    data, sha256, manifest = pack_forecaster(fitted, {"version": "v"})
    read, found = unpack_forecaster(data, sha256)
    rows = friction().features[:50]
    assert np.array_equal(read.probabilities(rows), fitted.probabilities(rows))
    assert found["version"] == manifest["version"] == "v"
    with pytest.raises(ArtifactError, match="SHA-256"):
        unpack_forecaster(data + b"x", sha256)
    short = replace(fitted, model=CauseHazards(fitted.model.rate_per_day[:-1], fitted.features))
    with pytest.raises(ArtifactError, match="causes and classes"):
        unpack_forecaster(*pack_forecaster(short, {})[:2])


def test_one_event_is_one_alarm() -> None:
    chance = np.array([0, 0.6, 0, 0.6, 0.7, 0.5, 0.9, 0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 0.8, 0.0])
    well = np.zeros(15, np.int64)
    life = np.array([0] * 13 + [1, 1])
    days = np.arange(15) * DAY_MS
    alarms = raise_alarms(well, days, chance, life, 0.5)
    assert alarms.raised_row.tolist() == [4, 12]
    assert alarms.closed_row.tolist() == [10, 13]
    assert alarms.by_event.tolist() == [False, True]
    # one row at the end of a well does not confirm one at the begin of the next
    two = np.array([0, 1])
    assert len(raise_alarms(two, two, np.array([0.9, 0.9]), np.zeros(2, np.int64), 0.5)) == 0


def test_an_alarm_that_did_not_come_true_ends_and_is_raised_anew_where_the_condition_stands() -> None:
    time_ms = np.arange(70) * DAY_MS
    chance = np.where(time_ms < 50 * DAY_MS, 0.9, 0.0)
    none = np.zeros(70, np.int64)
    alarms = raise_alarms(none, time_ms, chance, none, 0.5)
    assert alarms.raised_row.tolist() == [1, 33]
    # 30 days after it was raised it may still come true
    assert alarms.closed_row.tolist() == [32, 53]
    assert not alarms.by_event.any()


def test_an_alarm_foretells_the_next_failure_and_no_later_one() -> None:
    log = FailureLog.of(
        [0, 0, 1], [ms(20), ms(30), ms(40)], [ms(22), ms(32), ms(42)], [ms(23)] * 3, ["Pump"] * 3, CLASSES
    )
    of, raised = np.array([0, 0, 1, 1]), np.array([ms(12), ms(17), ms(5), ms(40)])
    days = foretold_days(of, raised, log)
    assert days[0] == 8.0
    assert np.isnan(days[1:]).all()
    assert foretold_days(of, np.array([ms(12), ms(25), ms(5), ms(40)]), log)[1] == 5.0


def test_outcomes_of_alarms() -> None:
    log = FailureLog.of(
        [0, 1], [ms(40), ms(20)], [ms(42), ms(22)], [ms(43), ms(23)], ["Pump", "Rod"], CLASSES
    )
    outcome, lead = alarm_outcomes(
        np.array([0, 0, 1, 1]), np.array([ms(5), ms(30), ms(21), ms(55)]), log, ms(60)
    )
    # well 1 was down already at the third, which nobody had told
    assert outcome.tolist() == [FALSE, TRUE, TRUE, OPEN]
    assert np.isnan(lead[2])
    assert lead[1] == 10.0


def test_the_threshold_stays_within_its_budget() -> None:
    rng = np.random.default_rng(3)
    well = np.repeat(np.arange(40), 120)
    time_ms = np.tile(np.arange(120), 40) * DAY_MS
    chance = rng.random(len(well))
    nothing = FailureLog.of([], [], [], [], [], CLASSES)
    life = np.zeros(len(well), np.int64)
    threshold = choose_threshold(well, time_ms, chance, chance * 0, life, nothing, ms(1000), budget=0.1)
    alarms = raise_alarms(well, time_ms, chance, life, threshold)
    assert 0 < len(alarms) <= 0.1 * len(well) / 30.4
    assert (
        choose_threshold(well[:0], time_ms[:0], chance[:0], chance[:0], life[:0], nothing, 0) == NEVER_RAISED
    )


def test_sudden_failures_are_told_apart() -> None:
    well, time_ms = np.zeros(60, np.int64), np.arange(60) * DAY_MS
    chance = np.where((np.arange(60) > 10) & (np.arange(60) < 20), 0.9, 0.0)[:, np.newaxis]

    def log(day: float) -> FailureLog:
        return FailureLog.of([0], [ms(day)], [ms(day + 1)], [ms(day + 1)], ["Pump"], CLASSES)

    nothing = FailureLog.of([], [], [], [], [], CLASSES)
    base = Forecast(well, time_ms, well, chance, np.full(60, 0.5), log(25), nothing, ms(200))
    hit = figures(count_by_well(base, 0.5, 0))
    assert (hit.recall, hit.precision, hit.lead_days) == (1.0, 1.0, 13.0)
    luck = figures(count_by_well(replace(base, announced=nothing, sudden=log(25)), 0.5, 0))
    assert luck.sudden_caught == 1
    assert luck.precision == 0.0


def test_remaining_life() -> None:
    memoryless = Weibull(1000.0, 1.0).remaining_days(np.array([0.0, 500.0]))
    assert memoryless[0, 0] == pytest.approx(1000 * np.log(2))
    assert memoryless[0] == pytest.approx(memoryless[1])
    worn = Weibull(1000.0, 3.0).remaining_days(np.array([0.0, 900.0]))
    assert worn[1, 0] < worn[0, 0]
    assert (worn[:, 1] < worn[:, 0]).all()
    assert (worn[:, 0] < worn[:, 2]).all()


def test_lives_are_fitted_with_censoring() -> None:
    rng = np.random.default_rng(5)
    true = 400.0 * rng.weibull(2.0, 800)
    seen = rng.uniform(0.0, 600.0, 800)
    fit = fit_weibull(Lives(np.minimum(true, seen), true <= seen))
    assert fit.scale_days == pytest.approx(400.0, rel=0.08)
    assert fit.shape == pytest.approx(2.0, rel=0.1)
    assert fit_weibull(Lives(true[:4], np.ones(4, bool))) is BASE


@pytest.mark.parametrize(("shape", "wells"), [(0.4, 30), (1.0, 40), (2.0, 400), (5.0, 30)])
def test_the_fit_of_lives_is_the_reference_library_s(shape: float, wells: int) -> None:
    rng = np.random.default_rng(8)
    true = 300.0 * rng.weibull(shape, wells)
    seen = rng.uniform(0.0, 600.0, wells)
    lives = Lives(np.maximum(np.minimum(true, seen), 0.01), true <= seen)
    reference = WeibullFitter().fit(lives.days, lives.failed)
    fit = fit_weibull(lives)
    assert fit.scale_days == pytest.approx(reference.lambda_, rel=1e-4)
    assert fit.shape == pytest.approx(reference.rho_, rel=1e-4)


def test_lives_that_no_shape_fits_best_are_the_base() -> None:
    same = Lives(np.full(20, 90.0), np.ones(20, bool))
    assert fit_weibull(same) is BASE


def test_lives_of_a_component_end_with_its_own_failures_only() -> None:
    log = FailureLog.of(
        [0, 0, 1], [ms(10), ms(30), ms(5)], [ms(12), ms(33), ms(6)], [ms(13), ms(34), ms(7)],
        ["Pump", "Rod", "Pump"], CLASSES,
    )  # fmt: skip
    lives = lives_at(log, "Pump", np.array([0, 0]), np.array([ms(40), ms(40)]), ms(50))
    assert sorted(zip(lives.days.tolist(), lives.failed.tolist(), strict=True)) == [
        (5.0, True), (10.0, True), (28.0, False), (34.0, False),
    ]  # fmt: skip


def test_averages_over_a_whole_run_are_refused_and_so_are_flags_made_of_them() -> None:
    begin, end = np.array([0, ms(100)]), np.array([ms(50), ms(300)])
    depth = Covariate("depth", np.array([5000.0, 6000.0]), begin)
    mean = Covariate("mean fillage over the run", np.array([50.0, np.nan]), end)
    missing = Covariate("mean fillage is missing", np.array([0.0, 1.0]), end)
    assert usable([depth], begin).shape == (2, 1)
    for late in (mean, missing):
        with pytest.raises(LeakError, match=late.name):
            fit_cox(np.array([50.0, 200.0]), np.array([True, True]), [depth, late], begin)


def test_cox_ranks_lives() -> None:
    rng = np.random.default_rng(2)
    wear = rng.normal(size=300)
    days = rng.exponential(np.exp(-wear)) * 300
    failed = rng.random(300) < 0.8
    known = np.zeros(300, np.int64)
    model = fit_cox(days, failed, [Covariate("wear", wear, known)], known)
    assert concordance(days, failed, model.risk(wear[:, np.newaxis])) > 0.65


def test_cutoffs_do_not_depend_on_when_the_data_end() -> None:
    all_of_them = cutoffs(date(2025, 1, 5), date(2025, 6, 30))
    assert all_of_them[0] == date(2025, 2, 1)
    assert [c for c in all_of_them if c <= date(2025, 3, 20)] == cutoffs(date(2025, 1, 5), date(2025, 3, 20))
    assert cutoff_of(date(2025, 3, 16), all_of_them) == date(2025, 3, 16)
    assert cutoff_of(date(2025, 3, 15), all_of_them) == date(2025, 3, 1)
    assert cutoff_of(date(2025, 1, 20), all_of_them) is None
