"""The page of models: what stands in the registry, and who may choose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pytest

from oasis_pipeline.learning.drift import measured_features
from oasis_pipeline.learning.features import FEATURE_VERSION, feature_names
from oasis_pipeline.operations.drift import FEATURES, keep_reference
from oasis_pipeline.operations.features import FEATURES_VERSION, STORED_FEATURES, feature_rows
from oasis_pipeline.storage.day_files import day_path, stamped
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline_tests.service.conftest import Answer, Service

pytestmark = pytest.mark.server


def manifest(macro_f1: float, **more: Any) -> dict[str, Any]:
    score = {
        "name": "trees", "macro_f1": macro_f1, "macro_f1_low": 0.6, "macro_f1_high": 0.9, "coverage": 0.93, "first_label_right": 0.88,
        "calibration_error": 0.021, "mean_average_precision": 0.8, "risk_coverage": [[0.5, 0.0], [1.0, 0.12]],
        "reliability": [[0.55, 0.7, 20.0], [0.95, 0.97, 80.0]],
        "per_class": {"Full Pump": {"cards": 3.0, "recall": 1.0, "precision": 0.75, "f1": 0.86}},
    }  # fmt: skip
    baseline = {
        "name": "most frequent <label>",
        "macro_f1": 0.11,
        "mean_average_precision": 0.2,
        "calibration_error": 0.4,
    }
    return {
        "cards": 120, "wells": 9, "classes": ["Fluid Pound", "Full Pump"], "feature_version": FEATURE_VERSION,
        "metrics": {"scheme": "whole wells held out", "folds": 4, "models": [score, baseline]}, **more,
    }  # fmt: skip


@pytest.fixture
def registry(service: Service) -> Iterator[Service]:
    rows = [
        ("dyna_classifier", "card-old", manifest(0.71), False, 1),
        ("dyna_classifier", "card-used", manifest(0.78), True, 2),
        (
            "dyna_classifier",
            "card-worse",
            manifest(0.5, promotion={"promoted": False, "reason": "worse on <held-out> wells"}),
            False,
            3,
        ),
        ("dyna_classifier", "card-other", {**manifest(0.7), "feature_version": "card-0"}, False, 4),
        ("card_forecaster", "cards-2024", {"state_version": "cards-1", "rate": 0.125}, True, 2),
    ]
    with service.warehouse.transaction() as tx:
        tx.execute("TRUNCATE oasis.model")
        for name, version, told, used, day in rows:
            tx.execute(
                "INSERT INTO oasis.model VALUES ($1, $2, 'x', 'models/x', $3::text::jsonb, false, $4, $5)",
                (
                    name,
                    version,
                    json.dumps({**told, "version": version}),
                    used,
                    datetime(2024, 1, day, tzinfo=UTC),
                ),
            )
    yield service
    with service.warehouse.transaction() as tx:
        tx.execute("TRUNCATE oasis.model")


def use(service: Service, role: str, **form: str) -> Answer:
    session = {**service.log_in(role), "content-type": "application/x-www-form-urlencoded"}
    return service.post("/models/use", urlencode(form).encode(), role=None, headers=session)


def used(service: Service) -> list[str]:
    rows = service.warehouse.query(
        "select version from oasis.model where in_use and name = 'dyna_classifier'"
    )
    return rows["version"].to_pylist()


def test_an_empty_registry_says_what_to_do(service: Service) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute("TRUNCATE oasis.model")
    body = service.get("/models", role="viewer").body
    assert b"No model has been registered yet" in body
    assert b"oasis run" in body


def test_the_model_in_use_is_shown_beside_its_baselines(registry: Service) -> None:
    text = registry.get("/models", role="viewer").body.decode()
    assert "Classes of cards: card-used" in text
    assert "<b>0.780</b>" in text
    assert "most frequent &lt;label&gt;" in text
    assert "2.1 <small>points</small>" in text
    assert "12 % of all" in text, "the curve says in words what it shows"
    assert "55 % stated, 70 % right, 20 cards" in text
    assert "worse on &lt;held-out&gt; wells" in text
    assert "What it confuses" not in text, "nothing was kept of its answers"
    other = registry.get("/models?version=cards-2024&name=card_forecaster", role="viewer").body.decode()
    assert "Next cards: cards-2024" in other
    assert "<dt>rate</dt><dd>0.125</dd>" in other
    assert registry.get("/models?version=nothing", role="viewer").status == 404
    assert registry.get("/models?version=%00", role="viewer").status == 400


def test_what_a_model_confuses_comes_from_its_held_out_answers(registry: Service) -> None:
    pound, full = "Fluid Pound", "Full Pump"
    taught = pa.table(
        {
            "TrueLabel1": [pound, pound, full, full],
            "TrueLabel2": pa.array([None, full, None, None], pa.string()),
            "shown": [[pound], [full], [pound], []],
        }
    )
    open_store(registry.settings).write_table("models/dyna_classifier/card-used.cards.parquet", taught)
    text = registry.get("/models", role="viewer").body.decode()
    table = text[text.index('<table class="confusion">') :]
    table = table[: table.index("</table>")].replace("\n", "")
    lines = [part.split("</tr>")[0] for part in table.split('<th scope="row">')[1:]]
    cells = [[cell.split(">")[1] for cell in line.split("<td ")[1:]] for line in lines]
    cells = [[cell.removesuffix("</td") for cell in line] for line in cells]
    assert cells == [["1", "", "1"], ["1", "1", "1"]]


def test_only_administrators_choose_and_only_what_can_predict(registry: Service) -> None:
    assert b"Roll back to this" in registry.get("/models", role="admin").body
    for role in ("viewer", "engineer"):
        assert b'action="/models/use"' not in registry.get("/models", role=role).body
        assert use(registry, role, name="dyna_classifier", version="card-old").status == 403
    assert used(registry) == ["card-used"]
    answer = use(registry, "admin", name="dyna_classifier", version="card-old")
    assert (answer.status, answer.headers["location"]) == (303, "/models")
    assert used(registry) == ["card-old"]
    refused = use(registry, "admin", name="dyna_classifier", version="card-other")
    assert refused.status == 409
    assert b"predict any more" in refused.body
    assert use(registry, "admin", name="dyna_classifier", version="nothing").status == 409
    assert use(registry, "admin", name="card_forecaster", version="cards-2024").status == 400
    assert registry.get("/models/use", role="admin").status == 405
    assert used(registry) == ["card-old"]


def test_drift_is_measured_on_request(registry: Service) -> None:
    none = registry.get("/models/drift", role="viewer")
    assert b"Nothing to compare with" in none.body
    store = open_store(registry.settings)
    names = measured_features(feature_names())[:40]
    rng = np.random.default_rng(0)
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(10)]
    for number, day in enumerate(days):
        nodes = pa.array([f"W{n % 8}" for n in range(24)])
        moments = pa.array([datetime.combine(day, datetime.min.time())] * 24, pa.timestamp("ms"))
        # on the last day a load cell of every well reads something else
        features = np.full((24, len(STORED_FEATURES)), np.nan)
        features[:, [STORED_FEATURES.index(name) for name in names]] = rng.normal(
            50.0 * (number == 9), 1.0, (24, len(names))
        )
        rows = feature_rows(nodes, moments, features)
        store.write_table(day_path(FEATURES, day), stamped(rows, FEATURES_VERSION))
    assert keep_reference(store, ["card-used"], days[:8]) == 8
    assert b"Nothing could be measured" in registry.get("/models/drift", role="viewer").body, (
        "nothing is predicted"
    )
    with registry.warehouse.transaction() as tx:
        tx.execute(
            'INSERT INTO clean.dynapred ("NodeID", "Date", "Label1", "Prob1", "ModelVersion", in_training)'
            " VALUES ('W1', '2024-01-10 08:00', 'Full Pump', 90, 'card-used', false)"
        )
    text = registry.get("/models/drift", role="viewer").body.decode()
    lines = re.findall(r'<th scope="row">(.*?)</tr>', text, re.DOTALL)
    assert len(lines) == 7
    assert "9 Jan 2024" in lines[5]
    assert "24 cards, 8 wells" in lines[6]
    assert "<br>" not in lines[5]
    assert "<br>" in lines[6], "beyond its limit, with what moved most"
    assert registry.get("/models/drift", role="device").status == 403
