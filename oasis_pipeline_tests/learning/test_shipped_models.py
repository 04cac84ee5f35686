"""The models that come with the package: made by the versions that the code has, and described by their manifests."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from models.__main__ import main
from models.provenance import provenance
from oasis_pipeline.learning import base
from oasis_pipeline.learning.artifact import load_model
from oasis_pipeline.learning.base import BASE_FILE
from oasis_pipeline.learning.card_forecast import model as card_forecast
from oasis_pipeline.learning.features import FEATURE_VERSION, INPUTS_VERSION, feature_names
from oasis_pipeline.learning.severities import CHANGES_FILE, NETWORK_FILE, unpack_network
from oasis_pipeline.simulation.cards import FIELD_VERSION


def network(file: Path) -> dict[str, Any]:
    sha256 = file.with_suffix(".sha256").read_text(encoding="ascii").strip()
    return unpack_network(file.read_bytes(), sha256)[1]


def card_forecasts() -> dict[str, Any]:
    data = resources.files("oasis_pipeline.learning.card_forecast").joinpath("base.model").read_bytes()
    return card_forecast.load_forecaster(data, hashlib.sha256(data).hexdigest())[1]


@pytest.mark.parametrize("file", [NETWORK_FILE, CHANGES_FILE])
def test_a_network_was_taught_by_this_simulator_on_these_features(file: Path) -> None:
    manifest = network(file)
    assert manifest.get("compares", False) is (file == CHANGES_FILE)
    assert manifest["feature_version"] == INPUTS_VERSION
    assert manifest["simulated"] is True
    assert manifest["simulator"] == FIELD_VERSION
    assert set(manifest["inputs"]) <= set(feature_names())
    assert manifest["cards"] > 0
    assert len(manifest["seeds"]) == 2


def test_the_model_of_card_forecasts_is_of_these_states() -> None:
    manifest = card_forecasts()
    assert manifest["state_version"] == card_forecast.STATE_VERSION
    assert manifest["version"] == f"base-{card_forecast.STATE_VERSION}"
    assert manifest["fields"]


def classifier() -> dict[str, Any]:
    data, sha256 = BASE_FILE.read_bytes(), hashlib.sha256(BASE_FILE.read_bytes()).hexdigest()
    return load_model(data, sha256)[1]


def test_the_base_classifier_is_the_one_that_this_code_would_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    found = base.read_base_model()
    assert found is not None, "make models MODELS=classifier"
    assert classifier()["version"] == base.base_version()
    monkeypatch.setattr(base, "FIELD_VERSION", "another simulator")
    assert base.read_base_model() is None


@pytest.mark.parametrize("manifest_of", [classifier, card_forecasts])
def test_what_a_manifest_says_of_its_making_is_what_the_code_has(manifest_of: Any) -> None:
    manifest = manifest_of()
    assert manifest.get("simulator", FIELD_VERSION) == FIELD_VERSION
    assert manifest.get("feature_version", FEATURE_VERSION) == FEATURE_VERSION
    for name, sha256 in manifest.get("rests_on", {}).items():
        assert name == NETWORK_FILE.name
        assert sha256 == hashlib.sha256(NETWORK_FILE.read_bytes()).hexdigest()


def test_a_model_made_now_says_what_it_was_made_with() -> None:
    said = provenance(NETWORK_FILE)
    assert set(said["libraries"]) == {"python", "numpy", "scikit-learn"}
    assert said["simulator"] == FIELD_VERSION
    assert said["feature_version"] == FEATURE_VERSION
    assert said["rests_on"] == {
        "severities.model": NETWORK_FILE.with_suffix(".sha256").read_text(encoding="ascii").strip()
    }


def test_a_model_that_there_is_not_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["trees"]) == 2
    assert "severities, changes, classifier, cards" in capsys.readouterr().err
