import csv
from pathlib import Path

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.cards.codec import decode_blobs, pack_bytes
from oasis_pipeline.learning import base
from oasis_pipeline.learning.artifact import load_model
from oasis_pipeline.learning.base import read_base_model
from oasis_pipeline.learning.features import block_names, feature_matrix, feature_names, scale_free
from oasis_pipeline.learning.inputs import CardInputs
from oasis_pipeline.simulation.cards import simulate_cards

CASES = Path(__file__).parents[1] / "fixtures" / "cases"


@pytest.fixture(scope="module")
def batch():
    return simulate_cards(160, 3, cards_per_well=4)


def test_simulated_cards_become_rows_with_what_was_asked_for(batch):
    both = base.simulated_training_set(batch)
    surface = base.simulated_training_set(batch, pump=False, rods=False)
    names = feature_names()
    pump = [names.index(name) for name in block_names("pump")]
    own = [names.index(name) for name in block_names("surface")]
    assert np.isnan(surface.features[:, pump]).all()
    assert np.isnan(surface.features[:, names.index("fillage_pct")]).all()
    np.testing.assert_array_equal(surface.features[:, own], both.features[:, own])
    assert len(both.labels) == len(both.wells) == 160


def test_the_base_model_does_not_look_at_size(monkeypatch, batch):
    monkeypatch.setattr(base, "simulate_cards", lambda cards, seed, circumstances, progress: batch)
    training = base.fit_base_model(160, 3)
    assert set(training.model.views) == {"both", "surface", "pump"}
    learned = base.mixed_training_set(batch)
    sized = learned.features.copy()
    sized[:, ~scale_free()] *= 3
    for view in training.model.views.values():
        np.testing.assert_array_equal(view.predict_proba(sized), view.predict_proba(learned.features))
    used = np.concatenate([view.forest.feature for view in training.model.views.values()])
    assert scale_free()[used[used >= 0]].all()


def test_scale_free_features_do_not_change_with_the_unit_of_load(batch):
    bigger = base.CardBatch(
        **{
            **{name: getattr(batch, name) for name in batch.__dataclass_fields__},
            "surface_load_lbf": batch.surface_load_lbf * 2,
            "pump_load_lbf": batch.pump_load_lbf * 2,
            "surface_position_in": batch.surface_position_in * 1.5,
            "pump_position_in": batch.pump_position_in * 1.5,
        }
    )
    a, b = (base.simulated_training_set(one, rods=False).features[:, scale_free()] for one in (batch, bigger))
    np.testing.assert_allclose(b, a, atol=0.03)


def test_another_set_has_another_name():
    assert base.base_version(10, 1) != base.base_version(10, 2) != base.base_version(20, 2)
    assert base.base_version().startswith("base-")


def test_a_card_drawn_by_hand_gets_no_class():
    with next((CASES / "pump-card-load-equals-position").glob("CardData*")).open() as file:
        blobs = [bytes.fromhex(row["SurfaceCardB"]) for row in csv.DictReader(file)]
    cards, _ = decode_blobs(*pack_bytes(blobs))
    none, _ = decode_blobs(*pack_bytes([b""] * len(blobs)))
    unknown = np.full(len(blobs), np.nan)
    inputs = CardInputs.of(time_form_column(cards), time_form_column(none), unknown + 9.1, unknown)
    found = read_base_model()
    assert found is not None
    features = feature_matrix(inputs.features())
    model, _ = load_model(*found)
    parted = model.classes.index("Parted Rod")
    assert model.views["surface"].predict_proba(features)[:, parted].min() > 0.5, "by shape alone"
    assert set(model.predict(features)["Label1"]) == {"Unknown"}
