import hashlib
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oasis_pipeline.learning import artifact
from oasis_pipeline.learning.artifact import load_model, make_manifest, save_model
from oasis_pipeline.learning.container import ArtifactError
from oasis_pipeline.learning.evidence import Evidence, condition_columns, rivals_of
from oasis_pipeline.learning.fitting import fit
from oasis_pipeline.learning.seed_method import fit_seed_method

MANIFEST = make_manifest(wells=24, cards=240, first_day="2026-01-01", last_day="2026-01-10", simulated=False)


@pytest.fixture(scope="module")
def model(field):
    return fit(field.features, field.labels, field.wells, trees=3)


@pytest.fixture(scope="module")
def packed(model):
    return save_model(model, MANIFEST)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def rewrite(data, **replace):
    """The same archive with other members, or without those that are None."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            body = replace.get(name.split(".")[0], source.read(name))
            if body is not None:
                out.writestr(name, body)
    return target.getvalue()


def npy(array):
    body = io.BytesIO()
    np.save(body, array, allow_pickle=True)
    return body.getvalue()


def test_a_model_comes_back_as_it_was(model, packed, field):
    data, sha256 = packed
    loaded, manifest = load_model(data, sha256.upper())
    np.testing.assert_array_equal(loaded.predict_proba(field.features), model.predict_proba(field.features))
    assert loaded.classes == model.classes
    assert set(loaded.views) == {"both", "surface", "pump"}
    for name, view in loaded.views.items():
        assert view.abstain_threshold == model.views[name].abstain_threshold
    assert manifest["cards"] == 240
    assert manifest["classes"] == list(model.classes)
    assert save_model(model, MANIFEST) == packed


def test_what_the_package_knows_comes_back_too_and_is_checked(model, field):
    known = condition_columns(model.classes, "both")
    share = np.linspace(0.2, 0.9, len(model.classes))
    evidence = Evidence(
        known,
        np.tile([1.0, 0.5, 0.0], (len(known), 1)),
        share,
        rivals_of(known, np.eye(len(known), dtype=bool)),
    )
    views = {**model.views, "both": replace(model.views["both"], evidence=evidence)}
    with_evidence = replace(model, views=views)
    loaded, manifest = load_model(*save_model(with_evidence, MANIFEST))
    assert manifest["with_evidence"] == ["both"] + [
        name for name, view in model.views.items() if view.evidence and name != "both"
    ]
    answers = loaded.predict_proba(field.features)
    np.testing.assert_array_equal(answers, with_evidence.predict_proba(field.features))
    assert np.abs(answers - model.predict_proba(field.features)).max() > 0.01
    bad = replace(evidence, share=share + 1.0)
    data = save_model(replace(model, views={**views, "both": replace(views["both"], evidence=bad)}), MANIFEST)
    with pytest.raises(ArtifactError, match="evidence"):
        load_model(*data)


def test_the_seed_model_comes_back_too(field):
    model = fit_seed_method(field.seed_features, field.labels)
    loaded, _ = load_model(*save_model(model, MANIFEST))
    np.testing.assert_array_equal(
        loaded.predict_proba(field.seed_features), model.predict_proba(field.seed_features)
    )


def test_anybody_can_open_it(packed):
    with np.load(io.BytesIO(packed[0]), allow_pickle=False) as content:
        assert content["both_feature"].dtype == np.int16


def test_another_hash_is_refused_before_anything_is_read(packed):
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_model(packed[0], "0" * 64)
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_model(packed[0][:-1], packed[1])


def test_other_features_are_refused(packed, monkeypatch):
    monkeypatch.setitem(artifact._VERSIONS, "classifier", "card-999")
    with pytest.raises(ArtifactError, match="train it again"):
        load_model(*packed)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code from an artifact was run",))


@pytest.mark.parametrize(
    ("member", "body", "reason"),
    [
        ("both_feature", None, "damaged"),
        ("both_feature", npy(np.array([Bomb()], dtype=object)), "allowed is <i2"),
        ("pump_threshold", npy(np.zeros(3, np.float32)), "but 3 thresholds"),
        ("both_threshold", npy(np.zeros(3, np.float64)), "allowed is <f4"),
        ("both_roots", npy(np.array([0, 5], np.int32)), "roots"),
        ("both_slope", npy(np.array([1.0])), "calibration"),
        ("both_slope", npy(np.full(3, np.nan)), "calibration"),
        ("both_fill", npy(np.zeros(3, np.float32)), "filling values"),
        ("prior", npy(np.zeros(2, np.float32)), "class shares"),
        ("surface_leaf_value", npy(np.zeros((1, 3), np.uint8)), "leaf has no value"),
        ("both_leaf_value", npy(np.zeros((99999, 2), np.uint8)), "fit its classes"),
        ("both_right", b"no array", "damaged"),
        ("manifest", b"[]", "format"),
        ("manifest", b"{", "damaged"),
        ("manifest", b'{"format": 1, "kind": "pickle"}', "unknown kind"),
        ("manifest", b'{"format": 1, "kind": []}', "unknown kind"),
    ],
)
def test_a_hostile_archive_with_the_right_hash_is_refused(packed, member, body, reason):
    data = rewrite(packed[0], **{member: body})
    with pytest.raises(ArtifactError, match=reason):
        load_model(data, digest(data))


def test_a_loop_in_a_tree_is_refused(packed):
    with np.load(io.BytesIO(packed[0])) as content:
        right, feature = content["both_right"].copy(), content["both_feature"]
    node = int(np.flatnonzero(feature >= 0)[0])
    right[node] = node
    data = rewrite(packed[0], both_right=npy(right))
    with pytest.raises(ArtifactError, match="after its parent"):
        load_model(data, digest(data))


def test_a_header_cannot_ask_for_more_than_its_entry_holds(packed):
    body = npy(np.zeros(4, np.int32)).replace(b"(4,), }            ", b"(99999999999999,), }")
    assert b"99999999999999" in body
    data = rewrite(packed[0], both_roots=body)
    with pytest.raises(ArtifactError, match="size that it states"):
        load_model(data, digest(data))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_an_artifact_error_or_harmless(packed, field, data):
    """With the hash of the damaged bytes, so that the checks behind the hash are the ones that are tried."""
    body = bytearray(packed[0])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(body[: data.draw(st.sampled_from([len(body), len(body) // 2, len(body) - 9]))])
    try:
        loaded, _ = load_model(body, digest(body))
    except ArtifactError:
        return
    assert np.isfinite(loaded.predict_proba(field.features[:3])).all()


@given(st.binary(max_size=300))
def test_any_bytes_are_an_artifact_error(data):
    with pytest.raises(ArtifactError):
        load_model(data, digest(data))


def test_a_manifest_that_is_no_json_is_refused(model):
    with pytest.raises(ArtifactError, match="JSON"):
        save_model(model, {**MANIFEST, "metrics": {"f1": float("nan")}})
    with pytest.raises(ArtifactError, match="JSON"):
        save_model(model, {**MANIFEST, "extra": object()})
    json.dumps(MANIFEST)
