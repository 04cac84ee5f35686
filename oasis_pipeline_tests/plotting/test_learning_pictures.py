import sys

import numpy as np
import pytest

from oasis_pipeline.plotting.learning import calibration_figure, confusion_figure

RNG = np.random.default_rng(0)
TRUTH = np.eye(3, dtype=bool)[RNG.integers(0, 3, 200)]
PROBA = np.clip(0.6 * TRUTH + RNG.random((200, 3)) * 0.4, 0, 1)


def test_confusion_shows_every_class_and_its_share():
    shown = TRUTH.copy()
    shown[TRUTH[:, 0]] = [False, True, False]
    shown[np.flatnonzero(TRUTH[:, 2])[:5]] = False
    figure = confusion_figure(TRUTH, shown, ["Alpha", "Beta", "Gamma"])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["Alpha", "Beta", "Gamma", "nothing"]
    shares = {text.get_position(): text.get_text() for text in axes.texts}
    assert shares[(1, 0)] == "100"
    assert (0, 0) not in shares
    assert float(shares[(3, 2)]) == pytest.approx(500 / TRUTH[:, 2].sum(), abs=0.5)


def test_calibration_draws_the_diagonal_and_the_reached_share(tmp_path):
    figure = calibration_figure(TRUTH, PROBA)
    diagonal, reached = figure.axes[0].lines
    np.testing.assert_array_equal(diagonal.get_ydata(), [0, 100])
    assert np.nanmax(reached.get_ydata()) <= 100
    figure.savefig(tmp_path / "calibration.png")
    assert (tmp_path / "calibration.png").stat().st_size > 5000


def test_an_empty_set_is_drawn_too():
    empty = np.zeros((0, 2), bool)
    assert confusion_figure(empty, empty, ["A", "B"]).axes
    assert calibration_figure(empty, np.zeros((0, 2))).axes


def test_drawing_does_not_touch_pyplot():
    before = "matplotlib.pyplot" in sys.modules
    confusion_figure(TRUTH, TRUTH, ["A", "B", "C"])
    assert ("matplotlib.pyplot" in sys.modules) == before
