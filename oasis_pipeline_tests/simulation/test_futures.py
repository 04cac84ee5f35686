"""Futures that the ceiling of failure forecasts rests on: the simulator's law turned round says what the simulator does."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, UNKNOWN
from oasis_pipeline.simulation.episodes import FieldKind
from studies.failure_days import DAY_ERROR, WELL_ERROR, seen_by_network
from studies.failure_futures import chance_of_failing, course_of, drawn_futures, states_of

CLASSES = ("BHA", "Pump", "Rod", "Tubing")
WELLS, DAYS = 1_500, 150


@pytest.mark.parametrize("kind", [FieldKind.GROWING, FieldKind.DECOYS])
def test_drawn_futures_come_as_often_as_true_ones(kind: FieldKind) -> None:
    course = course_of(kind, 77, WELLS, DAYS)
    well, day = np.repeat(np.arange(WELLS), 25), np.tile(np.arange(0.5, 100.0, 4.0), WELLS)
    drawn = drawn_futures(course, well, day, kind, CLASSES, np.random.default_rng(0))
    states = states_of(course, well, day)
    to_failure = np.full(len(well), np.inf)
    for failure in course.failures:
        before = (well == failure.well) & (day < failure.start_day)
        to_failure[before] = np.minimum(to_failure[before], failure.start_day - day[before])
    level = np.full(len(well), -1.0)
    for row in np.flatnonzero(states.episode >= 0).tolist():
        level[row] = course.episodes[states.episode[row]].severity(day[row : row + 1])[0]
    chance = chance_of_failing(course, well, day, kind)
    assert (chance[states.episode < 0] == 0.0).all()
    for low, high in ((-1.0, 0.0), (0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.75), (0.75, 1.0)):
        rows = (level >= low) & (level < high) & ~states.inside
        for horizon in HORIZONS_DAYS:
            come = (to_failure[rows] <= horizon).mean()
            # days of a well share their outcome: four of them count as one
            spread = 3.0 * np.sqrt(max(come * (1.0 - come), 0.01) / (rows.sum() / 4.0)) + 0.005
            assert (drawn.window(horizon)[rows] >= 0).mean() == pytest.approx(come, abs=spread)
    assert (drawn.interval[states.inside] == UNKNOWN).all()


def test_errors_of_the_network_are_as_stated() -> None:
    well, day = np.repeat(np.arange(400), 100), np.tile(np.arange(100.0), 400)
    for level, mean in ((0.0, None), (0.4, 0.005), (0.6, 0.005)):
        seen = seen_by_network(np.full((len(well), 3), level), well, day, 3)
        assert ((seen >= 0.0) & (seen <= 1.0)).all()
        np.testing.assert_array_equal(seen, seen_by_network(np.full((len(well), 3), level), well, day, 3))
        if mean is None:
            assert seen.mean() < 0.05
            continue
        error = seen - level
        assert error.mean() == pytest.approx(mean, abs=0.01)
        assert error.std() == pytest.approx(np.hypot(WELL_ERROR, DAY_ERROR), rel=0.1)
        of_well = error.reshape(400, 100, 3).mean(axis=1)
        assert of_well.std() == pytest.approx(WELL_ERROR, rel=0.15)
