"""Alarms by the API: acknowledged, dismissed, and what is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from oasis_pipeline_tests.service.conftest import Answer, Service, add_alarm

pytestmark = pytest.mark.server


def say(service: Service, alarm: str, what: str, body: Any = None, role: str = "engineer") -> Answer:
    return service.post(f"/api/alarm/{quote(alarm)}/{what}", body, role=role)


def history(service: Service) -> list[tuple[str, str, str | None]]:
    rows = service.get("/api/alarm_decision/", order_by="decided_at").json()
    return [(row["decision"], row["decided_by"], row["note"]) for row in rows]


def test_an_alarm_is_acknowledged_then_dismissed_and_both_are_kept(service: Service) -> None:
    alarm = add_alarm(service.warehouse, "Sable 24/24H #1 50%")
    first = say(service, alarm, "acknowledge")
    assert first.status == 200, first.body
    row = first.json()
    assert (row["AlarmID"], row["State"], row["decided_by"], row["note"]) == (
        alarm, "acknowledged", "engineer", None,
    )  # fmt: skip
    assert row["decided_at"].endswith("Z")
    assert say(service, alarm, "acknowledge", role="admin").json() == row, (
        "the same again: who was first stays"
    )
    noted = say(service, alarm, "acknowledge", {"note": "crew on  Tuesday"}).json()
    assert noted["note"] == "crew on Tuesday"
    gone = say(service, alarm, "dismiss", {"reason": "load cell"}, role="admin").json()
    assert (gone["State"], gone["decided_by"], gone["note"]) == ("dismissed", "admin", "load cell")
    assert service.get("/api/alarm/", State="dismissed").json() == [gone]
    assert history(service) == [
        ("acknowledged", "engineer", None),
        ("acknowledged", "engineer", "crew on Tuesday"),
        ("dismissed", "admin", "load cell"),
    ]
    (kept,) = service.get("/api/alarm_decision/", decision="dismissed").json()
    assert (kept["Prob"], kept["Class"], kept["NodeID"]) == (41.5, "Pump", "Sable 24/24H #1 50%"), (
        "the alarm as it stood when somebody judged it"
    )


def test_what_is_wrong_with_a_decision_is_said_and_nothing_is_kept(service: Service) -> None:
    alarm, ended = add_alarm(service.warehouse), add_alarm(service.warehouse, state="closed", day=1)
    cases: list[tuple[str, str, Any, int, str]] = [
        ("nothing", "acknowledge", None, 404, "no alarm"),
        (ended, "acknowledge", None, 409, "was closed"),
        (ended, "dismiss", {"reason": "sand"}, 409, "was closed"),
        (alarm, "dismiss", None, 400, "needs a reason"),
        (alarm, "dismiss", {"reason": " "}, 400, "needs a reason"),
        (alarm, "dismiss", {"note": "sand"}, 400, "is not a field"),
        (alarm, "dismiss", {"reason": 5}, 400, "is not text"),
        (alarm, "dismiss", {"reason": "x" * 1001}, 400, "1000 characters"),
        (alarm, "dismiss", [], 400, "must be an object"),
        (alarm, "acknowledge", b"{", 400, "not valid JSON"),
    ]
    for node, what, body, status, reason in cases:
        answer = say(service, node, what, body)
        assert (answer.status, reason in answer.body.decode()) == (status, True), (what, body, answer)
    assert service.get(f"/api/alarm/{quote(alarm)}/dismiss").status == 405
    assert history(service) == []
    (row,) = service.get("/api/alarm/", AlarmID=alarm).json()
    assert row["State"] == "open"


def test_a_session_needs_the_token_of_its_page(service: Service) -> None:
    alarm = quote(add_alarm(service.warehouse))
    session = service.log_in("engineer")
    bare = {"cookie": session["cookie"]}
    assert service.post(f"/api/alarm/{alarm}/acknowledge", None, role=None, headers=bare).status == 403
    assert service.post(f"/api/alarm/{alarm}/acknowledge", None, role=None, headers=session).status == 200
