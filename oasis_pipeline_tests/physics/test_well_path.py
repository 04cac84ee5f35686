"""The survey: depths, curvature, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.physics.well_path import Survey

PATH = Survey(np.array([0.0, 1000.0, 2000.0, 5000.0]), np.array([0.0, 0.0, 30.0, 30.0]), np.zeros(4))


def test_true_vertical_depth() -> None:
    assert Survey(np.array([0.0, 5000.0]), np.full(2, 60.0), np.zeros(2)).true_vertical_depth_ft(
        4000.0
    ) == pytest.approx(2000.0, rel=1e-6)
    assert PATH.true_vertical_depth_ft(1000.0) == pytest.approx(1000.0, rel=1e-4)


@pytest.mark.parametrize(
    ("md", "inclination", "message"),
    [([0.0], [0.0], "two stations"), ([0.0, 0.0], [0.0, 1.0], "rising"), ([0.0, 1.0], [0.0], "equally long")],
)
def test_bad_surveys_are_refused(md: list[float], inclination: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Survey(np.array(md), np.array(inclination), np.zeros(len(md)))


def test_azimuth_through_north_is_a_small_turn() -> None:
    path = Survey(np.array([0.0, 1000.0]), np.full(2, 10.0), np.array([359.0, 1.0]))
    assert path.at(500.0)[2] == pytest.approx(np.radians(2.0) / 1000.0)
