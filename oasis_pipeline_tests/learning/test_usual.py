"""What a well usually shows, and what the network makes of a card beside that."""

from dataclasses import replace

import numpy as np
import pytest

from models.change_network import CARDS_A_WELL, usual_cards
from oasis_pipeline.learning import base, severities
from oasis_pipeline.learning.evidence import Evidence, condition_columns, share_of
from oasis_pipeline.learning.features import (
    VIEWS,
    answered_again,
    change_columns,
    compared_with,
    feature_names,
    view_columns,
)
from oasis_pipeline.learning.severities import CHANGES_FILE, CONDITIONS, SeverityNetwork, package_network
from oasis_pipeline.learning.usual import next_of_well, usual_columns, with_usual
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.cards import JUDGED, simulate_cards


@pytest.fixture(scope="module")
def batch():
    return simulate_cards(160, 33, cards_per_well=4, circumstances=JUDGED)


@pytest.fixture(scope="module")
def features(batch):
    return base.simulated_training_set(batch).features


def columns_of(features):
    return dict(zip(feature_names(), features.T, strict=True))


def test_the_next_cards_of_a_well_go_round_and_never_leave_it():
    first, second, third = next_of_well(np.array([7, 7, 7, 2, 9, 9]), 3)
    assert first.tolist() == [1, 2, 0, -1, 5, 4]
    assert second.tolist() == [2, 0, 1, -1, -1, -1]
    assert third.tolist() == [-1] * 6


def test_usual_is_the_middle_of_what_is_known(features):
    name = package_network(CHANGES_FILE).inputs[0]
    columns = columns_of(features[:3])
    columns[name] = np.array([1.0, 5.0, 3.0], np.float32)
    of_row = [np.array(rows, np.intp) for rows in ([0, 0, -1], [1, -1, -1], [2, 1, -1])]
    found = usual_columns(columns, of_row)
    np.testing.assert_array_equal(found[name], [3.0, 3.0, np.nan])
    assert tuple(found) == package_network(CHANGES_FILE).inputs


def test_nothing_is_said_of_a_row_whose_well_is_new(features):
    of_row = [np.where(np.arange(len(features)) < 9, -1, 0)]
    found = compared_with(features, usual_columns(columns_of(features), of_row))
    for view in VIEWS:
        assert np.isnan(found[:9, change_columns(view)]).all()
        assert not np.isin(change_columns(view), view_columns(view)).any(), "no forest asks for it"
    assert np.isfinite(found[9:, change_columns("surface")]).all()
    rest = np.setdiff1d(
        np.arange(features.shape[1]), np.concatenate([change_columns(view) for view in VIEWS])
    )
    np.testing.assert_array_equal(found[:, rest], features[:, rest])
    assert np.isnan(answered_again(found)[:, change_columns("surface")]).all()


def test_the_network_ranks_simulated_cards_beside_others_of_their_well(batch, features):
    found = with_usual(features, batch.well)
    told = found[:, change_columns("both")]
    rows = np.isfinite(told).all(axis=1)
    assert rows.any()
    named = told[:, len(CONDITIONS) :]
    for place in (c.POUND, c.PARTED):
        truth = batch.labels == c.LABELS[place]
        yes, no = truth.any(axis=1) & rows, ~truth.any(axis=1) & rows
        assert np.median(named[yes, place]) > np.quantile(named[no, place], 0.9)


@pytest.fixture
def small():
    rng = np.random.default_rng(5)
    answers = 2 * len(CONDITIONS)
    return SeverityNetwork(
        ("a", "b"),
        np.array([1], np.int32),
        np.zeros(2, np.float32),
        np.ones(2, np.float32),
        ((rng.integers(-4, 5, (5, answers)) / 4).astype(np.float32),),
        (np.full(answers, 0.25, np.float32),),
        True,
    )


def test_a_network_that_compares_sees_differences_of_what_is_known_twice(small):
    now = np.array([[1.0, 2.0], [1.0, np.nan], [1.0, 2.0]], np.float32)
    usual = np.array([[1.0, 2.0], [0.0, 2.0], [np.nan, 0.0]], np.float32)
    seen = small.prepared(now, usual)
    bent = 3 * np.tanh(np.array([1.0, 2.0]) / 3)
    np.testing.assert_allclose(seen[:, 3:], [[0, 0], [bent[0], 0], [0, bent[1]]], atol=1e-6)
    np.testing.assert_allclose(seen[:, :3], [[*bent, 0], [bent[0], 0, 1], [*bent, 0]], atol=1e-6)
    data, sha256 = severities.pack_network(small, {})
    again = severities.unpack_network(data, sha256)[0]
    np.testing.assert_array_equal(again(now, usual), small(now, usual))
    data, sha256 = severities.pack_network(replace(small, compares=False), {})
    with pytest.raises(severities.ArtifactError, match="layers do not fit"):
        severities.unpack_network(data, sha256)


def test_evidence_asks_the_network_that_compares_where_it_has_an_answer():
    columns = condition_columns(("Fluid Pound",), "both")
    names = feature_names()
    features = np.full((2, len(names)), np.nan, np.float32)
    features[:, columns[0]] = 0.1
    features[1, [names.index(f"history_{names[column]}") for column in columns[0]]] = 0.9
    evidence = Evidence(columns, np.array([[1.0, 0.0, 0.0]]), share_of(columns) * 2, np.full(1, -1, np.int32))
    np.testing.assert_allclose(
        evidence.join(np.full((2, 1), 0.5, np.float32), features)[:, 0], [0.1, 0.9], atol=1e-6
    )


def test_usual_cards_of_the_teaching_are_others_of_the_well():
    rng = np.random.default_rng(3)
    named = rng.random((2_000, len(CONDITIONS))) < 0.15
    chosen = usual_cards(named, rng)
    own = np.arange(len(named))[:, None]
    assert (chosen // CARDS_A_WELL == own // CARDS_A_WELL).all()
    assert (chosen != own).all()
    many = [len(set(row)) for row in chosen.tolist()]
    assert set(many) == {1, 2, 3}
