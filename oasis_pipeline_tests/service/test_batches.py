"""``/api/databatch/``: equal to a plain NumPy computation."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from oasis_pipeline_tests.service.conftest import EXAMPLES, Service

pytestmark = pytest.mark.server

MODULE = "34.B2.9F.A9"
START = datetime(2024, 3, 1, 23, 40, tzinfo=UTC)


@pytest.fixture
def readings(service: Service) -> list[dict[str, Any]]:
    """A night of readings across midnight, at odd times, some without one of two measures."""
    rng = np.random.default_rng(4)
    moments = np.cumsum(rng.uniform(20, 90, 157))
    items = []
    for i, seconds in enumerate(moments):
        measures = [{"name": "V", "value": float(rng.normal(3, 0.2))}]
        if i % 5:
            measures.append({"name": "Ä odd name", "value": float(rng.exponential())})
        stamp = (START + timedelta(seconds=float(seconds))).isoformat()
        items.append({"module": MODULE, "timestamp": stamp, "measures": measures, "temperature": 20})
    assert service.post("/api/rawdata/", [items[i] for i in rng.permutation(len(items))]).status == 200
    return items


def expected(items: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Features of one window, by feature and measure."""
    values: dict[str, list[float]] = {}
    for item in items:
        for measure in item["measures"]:
            values.setdefault(measure["name"], []).append(measure["value"])
    features: dict[str, dict[str, float | None]] = {}
    for name, plain in values.items():
        x = np.array(plain)
        d = x - x.mean()
        m2, m3, m4 = (np.mean(d**k) for k in (2, 3, 4))
        of_window = {
            "batch_mean": x.mean(),
            "batch_std": x.std(ddof=1) if x.size > 1 else None,
            "batch_rms": np.sqrt(np.mean(x**2)),
            "batch_kurtosis": m4 / m2**2 - 3 if m2 > 0 else None,
            "batch_skewness": m3 / m2**1.5 if m2 > 0 else None,
            "batch_min": x.min(),
            "batch_max": x.max(),
        }
        for feature, value in of_window.items():
            features.setdefault(feature, {})[name] = value
    return features


def assert_same(answer: dict[str, Any], items: list[dict[str, Any]]) -> None:
    assert answer["module_num"] == MODULE
    moments = [datetime.fromisoformat(item["timestamp"]) for item in items]
    assert datetime.fromisoformat(answer["starting_timestamp"]) == min(moments)
    assert datetime.fromisoformat(answer["ending_timestamp"]) == max(moments)
    wanted = expected(items)
    assert answer["time_features"].keys() == wanted.keys()
    for feature, by_name in wanted.items():
        got = {pair["name"]: pair["value"] for pair in answer["time_features"][feature]}
        assert got.keys() == by_name.keys()
        for name, value in by_name.items():
            if value is None:
                assert got[name] is None
            else:
                assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_count_windows(service: Service, readings: list[dict[str, Any]]) -> None:
    for size in (1, 7, 50, 157, 158):
        answers = service.get("/api/databatch/", module_num=MODULE, window_size=size).json()
        assert len(answers) == len(readings) // size
        for k, answer in enumerate(answers):
            assert_same(answer, readings[k * size : (k + 1) * size])


def test_time_windows_begin_at_multiples_since_midnight(
    service: Service, readings: list[dict[str, Any]]
) -> None:
    answers = service.get("/api/databatch/", module=MODULE, window="15min").json()
    groups: dict[Any, list[dict[str, Any]]] = {}
    for item in readings:
        moment = datetime.fromisoformat(item["timestamp"])
        minutes = (moment.hour * 60 + moment.minute) // 15
        groups.setdefault((moment.date(), minutes), []).append(item)
    assert len(answers) == len(groups) > 5
    for answer, items in zip(answers, groups.values(), strict=True):
        assert answer["window_size"] == "15min"
        assert_same(answer, items)


def test_filters_and_other_forms(service: Service, readings: list[dict[str, Any]]) -> None:
    middle = readings[100]["timestamp"]
    answers = service.get("/api/databatch/", module_num=MODULE, window_size=10, timestamp__gte=middle).json()
    assert len(answers) == 5
    assert_same(answers[0], readings[100:110])
    raw = service.get("/api/databatch/", module_num=MODULE, window_size=10, format="arrow").body
    table = pa.ipc.open_stream(io.BytesIO(raw)).read_all()
    assert table.num_rows == 15 * 2
    assert table.schema.names[:5] == [
        "module_num",
        "window",
        "starting_timestamp",
        "ending_timestamp",
        "measure",
    ]
    csv = service.get("/api/databatch/", module_num=MODULE, window_size=10, format="csv").body.decode()
    assert len(csv.splitlines()) == 31


def test_frequency_features_on_request(service: Service, readings: list[dict[str, Any]]) -> None:
    plain = service.get("/api/databatch/", module_num=MODULE, window_size=64).json()
    rich = service.get("/api/databatch/", module_num=MODULE, window_size=64, frequency="true").json()
    assert "frequency_features" not in plain[0]
    assert [pair["name"] for pair in rich[0]["frequency_features"]["dominant_frequency_hz"]] == [
        "V",
        "Ä odd name",
    ]
    assert [{k: v for k, v in row.items() if k != "frequency_features"} for row in rich] == plain


def test_the_first_services_example(service: Service) -> None:
    service.post("/api/rawdata/", EXAMPLES["readings"])
    (answer,) = service.get("/api/databatch/", window_size=4, module_num=MODULE).json()
    assert answer["starting_timestamp"] == "2018-01-01T00:07:37Z"
    assert answer["ending_timestamp"] == "2018-01-01T00:22:42Z"
    assert answer["time_features"]["batch_mean"] == [{"name": "VMPPT", "value": pytest.approx(3.2875)}]
    assert answer["time_features"]["batch_std"] == [{"name": "VMPPT", "value": pytest.approx(0.005)}]
    assert service.get("/api/databatch/", window_size=4, module_num="nobody").json() == []


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"window_size": 5}, "module_num is required"),
    ({"module_num": MODULE}, "either window_size"),
    ({"module_num": MODULE, "window_size": 5, "window": "15min"}, "either window_size"),
    ({"module_num": MODULE, "window_size": 0}, "holds 1 to"),
    ({"module_num": MODULE, "window_size": "x"}, "not a whole number"),
    ({"module_num": MODULE, "window": "fortnight"}, "not a valid window"),
    ({"module_num": MODULE, "window": "15"}, "length of time"),
    ({"module_num": MODULE, "window": "1h", "order_by": "timestamp"}, "no meaning"),
    ({"module_num": MODULE, "window": "1h", "frequency": "often"}, "true or false"),
    ({"module_num": [MODULE, "b"], "window": "1h"}, "twice"),
    ({"module_num": MODULE, "module": "b", "window": "1h"}, "module_num is required"),
    ({"module_num": MODULE, "window": "1h", "nonsense": "b"}, "not a field"),
]


def test_what_can_not_be_asked_is_a_reason(service: Service) -> None:
    for parameters, words in REFUSED:
        answer = service.get("/api/databatch/", **parameters)
        assert answer.status == 400, parameters
        assert words in answer.json()["reason"], parameters
