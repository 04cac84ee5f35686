import contextlib
import hashlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.learning import base, severities
from oasis_pipeline.learning.container import ArtifactError
from oasis_pipeline.learning.failures.channels import SEVERITIES, channel_columns
from oasis_pipeline.learning.features import (
    VIEWS,
    answer_columns,
    answered_again,
    feature_names,
    network_inputs,
    scale_free,
    view_columns,
)
from oasis_pipeline.learning.severities import CONDITIONS, answer_names, package_network
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.cards import JUDGED, simulate_cards


@pytest.fixture(scope="module")
def batch():
    return simulate_cards(240, 31, cards_per_well=4, circumstances=JUDGED)


@pytest.fixture(scope="module")
def features(batch):
    return base.simulated_training_set(batch).features


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(5)
    sizes = (5, 4, 2 * len(CONDITIONS))
    return severities.SeverityNetwork(
        ("a", "b", "c"),
        np.array([0, 2], np.int32),
        np.array([0.0, 1.0, 2.0], np.float32),
        np.array([1.0, 2.0, 0.5], np.float32),
        # halves and quarters are the same in half precision
        tuple((rng.integers(-4, 5, shape) / 4).astype(np.float32) for shape in itertools.pairwise(sizes)),
        tuple(np.full(size, 0.25, np.float32) for size in sizes[1:]),
    )


def test_conditions_are_those_of_the_simulator():
    assert tuple(name.lower().replace(" ", "_") for name in c.LABELS) == CONDITIONS


def test_the_network_looks_at_nothing_that_changes_with_a_wells_size():
    names = feature_names()
    inputs = [names.index(name) for name in package_network().inputs]
    curves = np.array(["_time_" in n or "_shape_" in n or "_ordered_" in n for n in names])
    assert (scale_free() | curves)[inputs].all()
    allowed = np.any([network_inputs(view) for view in VIEWS], axis=0)
    assert sorted(inputs) == np.flatnonzero(allowed).tolist()
    answers = np.concatenate([answer_columns(view) for view in VIEWS])
    assert not allowed[answers].any()


def test_severities_of_unseen_simulated_cards_are_found(batch, features):
    truth = batch.severity.copy()
    parted = truth[:, c.PARTED] >= c.NAMING_POINT
    truth[parted] = 0.0
    truth[parted, c.PARTED] = 1.0
    told = features[:, answer_columns("both")]
    rows = np.isfinite(told).all(axis=1)
    assert rows.mean() > 0.9
    stated, named = told[rows, : len(CONDITIONS)], told[rows, len(CONDITIONS) :]
    error = np.sqrt(((stated - truth[rows]) ** 2).mean(axis=0))
    assert (error < 0.5 * truth[rows].std(axis=0)).all()
    said = np.array([[name in row for name in c.LABELS] for row in batch.labels[rows]])
    assert ((named - said) ** 2).mean() < 0.25 * said.var(axis=0).mean()
    # with fewer cards it knows less
    alone = features[rows][:, answer_columns("surface")[: len(CONDITIONS)]]
    assert np.sqrt(((alone - truth[rows]) ** 2).mean()) > np.sqrt(((stated - truth[rows]) ** 2).mean())


def test_a_views_answers_tell_nothing_of_cards_that_it_does_not_see(features):
    names = feature_names()
    pump = [column for column, name in enumerate(names) if name.startswith(("pump_", "physics_", "fillage"))]
    hidden = features.copy()
    hidden[:, pump] = np.nan
    again = answered_again(hidden)
    surface = answer_columns("surface")
    np.testing.assert_array_equal(again[:, surface], features[:, surface])
    assert np.isnan(again[:, answer_columns("both")]).all()
    assert np.isnan(again[:, answer_columns("pump")]).all()
    for view in VIEWS:
        assert set(answer_columns(view)) <= set(view_columns(view))
        others = np.concatenate([answer_columns(other) for other in VIEWS if other != view])
        assert not set(others) & set(view_columns(view))


def test_the_answer_for_a_card_does_not_depend_on_the_others(features):
    np.testing.assert_array_equal(answered_again(features), features)
    for row in (0, 17, 239):
        np.testing.assert_array_equal(answered_again(features[row : row + 1]), features[row : row + 1])


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_whatever_is_missing_or_far_off_answers_stay_shares(seed, missing):
    rng = np.random.default_rng(seed)
    network = package_network()
    table = rng.standard_cauchy((3, len(network.inputs))).astype(np.float32) * 1e6
    table[rng.random(table.shape) < missing] = np.nan
    answers = network(table)
    assert ((answers >= 0.0) & (answers <= 1.0)).all()


def test_layers_by_hand(small):
    row = np.array([[0.5, np.nan, 3.0]], np.float32)
    bent = np.array([3 * np.tanh(0.5 / 3), 0.0, 3 * np.tanh(2.0 / 3), 0.0, 0.0])
    hidden = np.maximum(bent @ small.weights[0] + 0.25, 0.0)
    expected = np.clip(hidden @ small.weights[1] + 0.25, 0.0, 1.0)
    np.testing.assert_allclose(small(row)[0], expected, atol=6e-4)


def test_a_network_comes_back_as_it_was(small):
    data, sha256 = severities.pack_network(small, {"cards": 7})
    again, manifest = severities.unpack_network(data, sha256)
    assert manifest["cards"] == 7
    table = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(table), small(table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"watched": np.array([3], np.int32)}, "watched input"),
        ({"centre": np.zeros(2, np.float32)}, "do not fit"),
        ({"scale": np.array([1, 0, 1], np.float32)}, "not positive"),
        ({"centre": np.array([0, np.nan, 0], np.float32)}, "not a number"),
        ({"watched": np.array([0], np.int32)}, "layers do not fit"),
        ({"biases": (np.zeros(3, np.float32), np.zeros(24, np.float32))}, "layers do not fit"),
    ],
)
def test_an_unsound_network_is_refused(small, change, message):
    data, sha256 = severities.pack_network(replace(small, **change), {})
    with pytest.raises(ArtifactError, match=message):
        severities.unpack_network(data, sha256)


def test_a_network_with_too_few_answers_is_refused(small):
    short = replace(
        small,
        weights=(small.weights[0], small.weights[1][:, :5]),
        biases=(small.biases[0], small.biases[1][:5]),
    )
    data, sha256 = severities.pack_network(short, {})
    with pytest.raises(ArtifactError, match="gives 5 answers"):
        severities.unpack_network(data, sha256)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_file_is_refused(place, value):
    data = bytearray(severities.NETWORK_FILE.read_bytes())
    place %= len(data)
    if data[place] == value:
        return
    data[place] = value
    expected = severities.NETWORK_FILE.with_suffix(".sha256").read_text().strip()
    with pytest.raises(ArtifactError):
        severities.unpack_network(bytes(data), expected)
    # with a hash that was forged too it is an artifact error, or the byte was one that says nothing
    with contextlib.suppress(ArtifactError):
        severities.unpack_network(bytes(data), hashlib.sha256(data).hexdigest())


def test_a_wells_day_takes_the_severity_of_the_richest_view():
    place = CONDITIONS.index("tubing_movement")
    names = [answer_names(view)[place] for view in ("both", "surface", "pump")]
    made = channel_columns(
        {names[0]: [0.1, np.nan, np.nan], names[1]: [0.2, 0.3, np.nan], names[2]: [0.4, 0.5, 0.6]}
    )
    np.testing.assert_array_equal(made[SEVERITIES[place]], [0.1, 0.3, 0.6])
    assert np.isnan(made[SEVERITIES[0]]).all()
