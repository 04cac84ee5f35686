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


def test_a_bend_in_one_plane_is_its_change_of_inclination_and_a_turn_of_a_flat_well_that_of_azimuth() -> None:
    survey = Survey(np.array([0.0, 1000.0, 1100.0, 1200.0]), np.array([0.0, 0.0, 5.0, 5.0]), np.zeros(4))
    assert survey.dogleg_deg_per_100ft() == pytest.approx([0.0, 5.0, 0.0])
    flat = Survey(np.array([0.0, 50.0]), np.array([90.0, 90.0]), np.array([350.0, 10.0]))
    assert flat.dogleg_deg_per_100ft() == pytest.approx([40.0])
    # a straight slant well: the way along the horizontal and down are its cosines
    slant = Survey(np.array([0.0, 2000.0]), np.array([30.0, 30.0]), np.zeros(2))
    assert slant.departure_ft([1000.0, 2000.0]) == pytest.approx([500.0, 1000.0])
    assert slant.true_vertical_depth_ft(2000.0) == pytest.approx(2000.0 * np.cos(np.radians(30.0)))
