"""The whole OpenAPI description against the service: nothing is a fault of the service, and no status comes that is not written there."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from oasis_pipeline_tests.service.conftest import EXAMPLES, Service

pytestmark = pytest.mark.server

USUAL, MANY = 4, 60


def run(service: Service, examples: int) -> dict[str, set[int]]:
    """Ask every operation with generated requests, right ones and wrong ones; statuses by operation."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis import GenerationMode

    service.post("/api/rawdata/", EXAMPLES["readings"])
    description = service.get("/api/openapi.json").json()
    seen: dict[str, set[int]] = {}
    steady = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    for found in schemathesis.openapi.from_dict(description).get_all_operations():
        operation = found.ok()
        answers = description["paths"][operation.path][operation.method]["responses"]
        ask = asker(service, answers, seen)
        for mode in GenerationMode:
            steady(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    return seen


def asker(service: Service, answers: Any, seen: dict[str, set[int]]) -> Any:
    """Function that sends a case and compares what comes with what is written."""
    import jsonschema_rs

    fits = jsonschema_rs.validator_for(answers["200"]["content"]["application/json"]["schema"])

    def ask(case: Any) -> None:
        answer = send(service, case)
        told = (case.as_curl_command(), answer.status, answer.body[:500])
        assert str(answer.status) in answers, told
        assert answer.status < 500, told
        if answer.status != 200:
            assert answer.json()["reason"], told
        elif answer.headers["content-type"] == "application/json":
            assert fits.is_valid(answer.json()), told
        else:
            assert answer.headers["content-type"] in answers["200"]["content"], told
        seen.setdefault(f"{case.method} {case.path}", set()).add(answer.status)

    return ask


def send(service: Service, case: Any) -> Any:
    """Send a generated case through the application."""
    made = case.as_transport_kwargs(base_url="http://localhost")
    pairs = [
        (str(name), "" if one is None else str(one))
        for name, value in (made.get("params") or {}).items()
        for one in (value if isinstance(value, list) else [value])
    ]
    query = "&".join("=".join(quote(part, safe="", errors="replace") for part in pair) for pair in pairs)
    body = made.get("data")
    if body is None and made.get("json") is not None:
        body = json.dumps(made["json"])
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    headers = {"content-type": case.media_type} if case.media_type and body is not None else {}
    path = case.formatted_path + (f"?{query}" if query else "")
    return service.ask(case.method, path, body if isinstance(body, bytes) else None, headers=headers)


def assert_fruitful(seen: dict[str, set[int]]) -> None:
    assert len(seen) >= 18
    assert sum(200 in statuses for statuses in seen.values()) >= 10, "some of what is right was generated"
    assert sum(400 in statuses for statuses in seen.values()) >= 10, "some of what is wrong was generated"


def test_every_operation_with_generated_requests(service: Service) -> None:
    assert_fruitful(run(service, USUAL))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_operation_with_many_generated_requests(service: Service) -> None:
    assert_fruitful(run(service, MANY))
