"""Estimators that a site names in ``models.toml``: what is refused, and what they answer."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sktime.forecasting.base import BaseForecaster

from oasis_pipeline.learning.evaluation import Candidate, compare
from oasis_pipeline.learning.labels import encode_labels
from oasis_pipeline.learning.site_models import (
    ComparisonChoice,
    SiteModelError,
    SiteModels,
    TrendChoice,
    forecaster_of,
    parse_site_models,
    read_site_models,
    train_of,
)
from oasis_pipeline.learning.trends import HORIZONS_DAYS, WINDOW_DAYS

NAIVE = "sktime.forecasting.naive.NaiveForecaster"
NEIGHBOURS = "sktime.classification.distance_based.KNeighborsTimeSeriesClassifier"
EUCLIDEAN = {"distance": "euclidean"}
RNG = np.random.default_rng(5)


class Stumbling(BaseForecaster):  # type: ignore[misc]
    """A forecaster of a site's own that can't do what it is asked."""

    def _fit(self, y: object, X: object = None, fh: object = None) -> Stumbling:
        raise ZeroDivisionError("no season")


def test_a_file_names_a_forecaster_and_a_classifier(tmp_path: Path) -> None:
    assert read_site_models(tmp_path) == SiteModels()
    (tmp_path / "models.toml").write_text(
        f'[trend]\nforecaster = "{NAIVE}"\nparameters = {{ strategy = "drift" }}\n'
        f'[comparison]\nclassifier = "{NEIGHBOURS}"\n',
        encoding="utf-8-sig",  # as editors of Windows write it
    )
    found = read_site_models(tmp_path)
    assert found.trend == TrendChoice(NAIVE, {"strategy": "drift"})
    assert found.comparison.classifier == NEIGHBOURS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trend]\nforecaster = 3", "str"),
        ("[trend]\nname = 'x'", "name"),
        ("[trend", "models.toml"),
        ("[trend]\nforecaster = 'sktime.forecasting.nothing.Here'", "there is no class sktime.forecasting.nothing.Here"),
        ("[trend]\nforecaster = 'Naive'", "there is no class Naive"),
        ("[trend]\nforecaster = '.Naive'", "there is no class .Naive"),
        (f"[trend]\nforecaster = '{NEIGHBOURS}'", "is not a forecaster"),
        ("[trend]\nforecaster = 'os.getcwd'", "is not a forecaster"),
        (f"[comparison]\nclassifier = '{NAIVE}'", "is not a classifier"),
        (f"[trend]\nforecaster = '{NAIVE}'\nparameters = {{ season = 7 }}", "season"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_clear_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(SiteModelError) as refused:
        read_site_models(tmp_path)
    assert words in str(refused.value)
    assert "models.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SiteModelError):
        parse_site_models(text)


def test_a_named_forecaster_answers_for_every_window_with_enough_values() -> None:
    windows = RNG.normal(50.0, 2.0, (3, WINDOW_DAYS))
    windows[1, 10:30] = np.nan
    windows[2, :-3] = np.nan
    ask = forecaster_of(TrendChoice(NAIVE))
    found = ask(windows, np.array([20_000, 20_001, 20_002]))
    np.testing.assert_allclose(found[:2], np.repeat(windows[:2, -1:], len(HORIZONS_DAYS), axis=1))
    assert np.isnan(found[2]).all()


def test_it_sees_the_calendar() -> None:
    days = np.arange(20_000 - WINDOW_DAYS + 1, 20_001)
    window = 50.0 + (days % 7)
    ask = forecaster_of(TrendChoice(NAIVE, {"sp": 7}))
    (found,) = ask(window[None], np.array([20_000]))
    np.testing.assert_allclose(found, 50.0 + (20_000 + np.array(HORIZONS_DAYS)) % 7)


def test_a_window_that_it_stumbles_over_gets_no_answer_and_is_told() -> None:
    told: list[str] = []
    ask = forecaster_of(TrendChoice(f"{__name__}.Stumbling"), told.append)
    assert np.isnan(ask(np.ones((2, WINDOW_DAYS)), np.array([1, 2]))).all()
    assert told == ["ZeroDivisionError: no season"] * 2


def test_a_named_classifier_is_judged_on_wells_that_it_has_not_seen() -> None:
    cards, points = 80, 40
    first = np.array(["Fluid Pound", "Full Pump"], object)[np.arange(cards) % 2]
    curve = np.where(first[:, None] == "Full Pump", 1.0, np.linspace(0.0, 1.0, points))
    curves = np.stack(
        [curve + RNG.normal(0.0, 0.05, (cards, points)), np.full((cards, points), np.nan)], axis=1
    )
    labels = encode_labels(first.tolist(), [None] * cards)
    told: list[str] = []
    candidate = Candidate(
        NEIGHBOURS,
        curves.reshape(cards, -1).astype(np.float32),
        train_of(ComparisonChoice(NEIGHBOURS, EUCLIDEAN), 2, told.append),
    )
    result = compare([candidate], labels, [f"W {n // 10}" for n in range(cards)], count=2)
    assert result.model(NEIGHBOURS).macro_f1 > 0.95
    assert told == []

    wrong = ComparisonChoice("sktime.classification.kernel_based.RocketClassifier", {"num_kernels": -1})
    failed = Candidate("wrong", candidate.features, train_of(wrong, 2, told.append))
    assert (
        compare([failed], labels, [f"W {n // 10}" for n in range(cards)], count=2).model("wrong").macro_f1
        < 0.7
    )
    assert told
    assert told[0].startswith("sktime.classification.kernel_based.RocketClassifier: ")
