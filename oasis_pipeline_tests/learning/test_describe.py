"""Statistics that describe values: against NumPy's, SciPy's and lifelines' own, and what holds for whatever values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from lifelines import KaplanMeierFitter
from scipy.stats import rankdata, spearmanr

from oasis_pipeline.learning.describe import (
    QUANTILES,
    deviations,
    medians_by_group,
    rank_correlations,
    ranks,
    summarize,
    survival,
)

ANY = st.one_of(st.floats(-1e150, 1e150), st.sampled_from([np.nan, np.inf, -np.inf]))
VALUES = npst.arrays(np.float64, st.integers(0, 80), elements=ANY)
MODEST = npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))


@given(VALUES)
def test_no_value_is_lost_between_the_bars_and_what_lies_beyond(values):
    found = summarize(values, bins=7)
    assert found.count == np.isfinite(values).sum()
    assert found.below + found.counts.sum() + found.above == found.count
    assert (found.counts >= 0).all()


@given(MODEST)
def test_quantiles_ascend_and_the_middle_one_is_the_median(values):
    found = summarize(values)
    assert list(found.quantiles) == sorted(found.quantiles)
    assert found.quantiles[QUANTILES.index(0.5)] == pytest.approx(np.median(values))


def test_a_constant_is_one_bar_in_the_middle():
    found = summarize(np.full(9, 3.0), bins=5)
    assert found.counts.tolist() == [0, 0, 9, 0, 0]
    assert found.low == found.high == 3.0
    assert summarize([], bins=5).count == 0


@given(npst.arrays(np.float64, st.integers(1, 40), elements=st.integers(-5, 5).map(float)))
def test_equal_values_share_the_mean_of_their_ranks(values):
    assert ranks(values).tolist() == rankdata(values).tolist()


def test_rank_correlations_are_spearmans_over_the_rows_that_have_both():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(200, 4))
    table[:, 1] = table[:, 0] ** 3
    table[:, 2] = np.round(table[:, 2])
    table[rng.random(200) < 0.3, 3] = np.nan
    found = rank_correlations(table)
    assert np.array_equal(found, found.T)
    assert np.allclose(np.diag(found), 1.0)
    assert found[0, 1] == pytest.approx(1.0)
    for one, other in ((0, 2), (0, 3), (2, 3)):
        rows = np.isfinite(table[:, [one, other]]).all(axis=1)
        assert found[one, other] == pytest.approx(spearmanr(table[rows, one], table[rows, other])[0])


def test_too_few_rows_or_a_constant_have_no_correlation():
    table = np.stack([np.arange(40.0), np.full(40, 2.0), np.where(np.arange(40) < 20, np.nan, 1.0)], axis=1)
    found = rank_correlations(table, least=30)
    assert found[0, 0] == pytest.approx(1.0)
    assert np.isnan(found[1:, 0]).all()
    assert np.isnan(found[2, 2])


@given(MODEST, st.data())
def test_medians_of_groups_are_those_of_each_group(values, data):
    group = data.draw(npst.arrays(np.int64, len(values), elements=st.integers(0, 3)))
    there = data.draw(npst.arrays(bool, len(values)))
    found = medians_by_group(np.where(there, values, np.nan), group, 5)
    for number in range(5):
        mine = values[(group == number) & there]
        if len(mine):
            assert found[number] == pytest.approx(np.median(mine))
        else:
            assert np.isnan(found[number])


@given(st.floats(0.01, 1e4), st.floats(-1e4, 1e4))
def test_deviations_do_not_depend_on_unit_and_zero(scale, shift):
    rng = np.random.default_rng(2)
    values, well = rng.normal(size=60), np.repeat([0, 1], 30)
    values[7] += 40.0
    plain, _ = deviations(values, well, 2)
    moved, middle = deviations(values * scale + shift, well, 2)
    assert np.allclose(plain, moved, rtol=1e-6, atol=1e-5)
    assert np.argmax(plain) == 7
    assert middle[0] == pytest.approx(np.median(values[:30]) * scale + shift)


def test_an_outlier_is_one_of_its_own_well_and_hides_neither_itself_nor_a_calm_well():
    rng = np.random.default_rng(3)
    well = np.repeat([0, 1, 2], 40)
    values = rng.normal([100.0, 500.0, 500.0], [1.0, 1.0, 1e-6], (40, 3)).T.ravel()
    values[0] = 500.0
    values[41] = 480.0
    values[90] += 0.01
    away, _ = deviations(values, well, 3)
    assert set(np.flatnonzero(np.abs(away) >= 6.0)) == {0, 41}
    few, _ = deviations(values[:9], well[:9], 3)
    assert np.isnan(few).all(), "too few to tell"
    steady = np.append(np.full(20, 5.0), 5.4)
    assert np.isnan(deviations(steady, np.zeros(21, int), 1)[0]).all()
    assert deviations(steady, np.zeros(21, int), 1, least_scale=0.1)[0][-1] == pytest.approx(4.0)


def test_survival_is_kaplan_and_meiers():
    rng = np.random.default_rng(4)
    days = np.round(rng.exponential(100.0, 60)) + 1.0
    failed = rng.random(60) < 0.7
    found = survival(days, failed)
    fitted = KaplanMeierFitter().fit(days, failed)
    assert found.share == pytest.approx(fitted.predict(found.days).to_numpy())
    assert found.median_days == fitted.median_survival_time_
    assert (found.ended, found.censored) == (failed.sum(), (~failed).sum())


def test_more_than_half_alive_have_no_median():
    found = survival([10.0, 20.0, 20.0, 20.0], [True, False, False, False])
    assert found.share.tolist() == [0.75]
    assert found.median_days is None
    assert survival([], []).median_days is None
