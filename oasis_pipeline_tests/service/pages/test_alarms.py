"""The page of alarms: what is listed, how rows are answered, and its addresses."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from oasis_pipeline_tests.service.conftest import Answer, Service, add_alarm

pytestmark = pytest.mark.server
NODE = "Well <i>7</i>/8 'x' 100%"


def wells(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body[:2000]
    return [
        unescape(text) for text in re.findall(r"<td><a [^>]*><b>([^<]*)</b></a><div", answer.body.decode())
    ]


def decide(service: Service, session: dict[str, str], *, htmx: bool = True, **form: str) -> Answer:
    headers = {**session, "content-type": "application/x-www-form-urlencoded"}
    if htmx:
        headers["hx-request"] = "true"
    return service.post("/alarms/decide", urlencode(form).encode(), role=None, headers=headers)


def test_an_empty_warehouse_says_what_to_do(service: Service) -> None:
    body = service.get("/alarms", role="viewer").body
    assert b"Nothing is forecast yet" in body
    assert b"oasis run" in body


def test_alarms_are_listed_filtered_and_ordered(service: Service) -> None:
    add_alarm(service.warehouse, NODE, day=5)
    add_alarm(service.warehouse, "Well 2", "closed", day=7)
    add_alarm(service.warehouse, "Well 3", "acknowledged", day=6)
    assert wells(service.get("/alarms", role="viewer")) == ["Well 3", NODE]
    assert wells(service.get("/alarms?state=all", role="viewer")) == ["Well 2", "Well 3", NODE]
    assert wells(service.get("/alarms?state=closed", role="viewer")) == ["Well 2"]
    assert wells(service.get("/alarms?state=all&order=NodeID", role="viewer"))[-1] == NODE
    assert wells(service.get("/alarms?q=%3Ci%3E", role="viewer")) == [NODE]
    assert wells(service.get("/alarms?class=Pump&q=Well+3", role="viewer")) == ["Well 3"]
    nothing = service.get("/alarms?class=Rod", role="viewer")
    assert b"No alarm passes these filters" in nothing.body
    text = service.get("/alarms", role="viewer").body.decode()
    assert "<i>7</i>" not in text
    assert 'href="/well/Well%20%3Ci%3E7%3C%2Fi%3E%2F8%20%27x%27%20100%25"' in text
    export = unescape(re.search(r'href="(/api/alarm/[^"]*)"', text)[1])  # type: ignore[index]
    assert service.get(export, role="viewer").body.decode().count("\n") == 3, "the csv of the same rows"


def test_pages_follow_each_other(service: Service) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute(
            'INSERT INTO clean.alarm ("AlarmID", "NodeID", "RaisedAt", "Class", "Prob", "Reason", "State", threshold, "ModelVersion")'
            " SELECT 'a' || n, 'W ' || n, timestamp '2024-01-01' + n / 3 * interval '1 hour', 'Pump', 40, '', 'open', 30, 'b'"
            " FROM generate_series(1, 120) AS n"
        )
    for order in ("-RaisedAt", "-Prob", "NodeID"):
        path, seen = f"/alarms?order={order}", []
        while path:
            answer = service.get(path, role="viewer")
            seen += wells(answer)
            found = re.search(r'href="([^"]*)" rel="next"', answer.body.decode())
            path = "/alarms" + unescape(found[1]) if found else ""
        assert len(seen) == len(set(seen)) == 120, order


def test_a_row_is_acknowledged_and_dismissed_and_shows_who_said_what(service: Service) -> None:
    alarm = add_alarm(service.warehouse, NODE)
    session = service.log_in("engineer")
    row = decide(service, session, AlarmID=alarm, decision="acknowledged", note="crew <b>on</b> Tuesday")
    text = row.body.decode()
    assert row.status == 200
    assert text.lstrip().startswith("<tr")
    assert ">acknowledged</span>" in text
    assert "acknowledged by engineer" in text
    assert "crew &lt;b&gt;on&lt;/b&gt; Tuesday" in text
    refused = decide(service, session, AlarmID=alarm, decision="dismissed")
    assert refused.status == 200
    assert "needs a reason" in refused.body.decode(), "told in the row"
    plain = decide(
        service,
        session,
        htmx=False,
        AlarmID=alarm,
        decision="dismissed",
        note="sand",
        next="/alarms?state=open",
    )
    assert (plain.status, plain.headers["location"]) == (303, "/alarms?state=open")
    (kept,) = service.get("/api/alarm/", role="viewer").json()
    assert (kept["State"], kept["decided_by"], kept["note"]) == ("dismissed", "engineer", "sand")
    history = service.get("/alarms?state=dismissed", role="viewer").body.decode()
    assert history.index("dismissed by engineer") < history.index("acknowledged by engineer")
    away = decide(
        service, session, htmx=False, AlarmID=alarm, decision="acknowledged", next="//elsewhere.example"
    )
    assert away.headers["location"] == "/alarms"


def test_what_can_not_be_decided_is_told(service: Service) -> None:
    ended = add_alarm(service.warehouse, state="closed")
    session = service.log_in("engineer")
    assert decide(service, session, htmx=False, AlarmID=ended, decision="acknowledged").status == 409
    assert "was closed" in decide(service, session, AlarmID=ended, decision="acknowledged").body.decode()
    assert decide(service, session, AlarmID="nothing", decision="acknowledged").status == 404
    for form in (
        {"AlarmID": ended, "decision": "deleted"},
        {"AlarmID": "a\x00b", "decision": "acknowledged"},
        {"AlarmID": ended, "decision": "dismissed", "note": "x" * 1001},
        {},
    ):
        assert decide(service, session, **form).status == 400, form
    assert service.count("analysis.alarm_decision") == 0


def test_roles_and_hostile_parameters(service: Service) -> None:
    alarm = add_alarm(service.warehouse)
    assert b"Acknowledge</button>" in service.get("/alarms", role="engineer").body
    assert b"Acknowledge</button>" not in service.get("/alarms", role="viewer").body
    session = service.log_in("viewer")
    assert decide(service, session, AlarmID=alarm, decision="acknowledged").status == 403
    without = service.log_in("engineer")
    del without["x-csrftoken"]
    assert decide(service, without, AlarmID=alarm, decision="acknowledged").status == 403
    assert service.get("/alarms/decide", role="admin").status == 405
    for query in ("state=x", "order=State", "cursor=x", "q=%00", "class=%00"):
        assert service.get(f"/alarms?{query}", role="viewer").status == 400, query
    strange = service.get("/alarms?q=%22%3E%3Cscript%3E&class=%27%3B--", role="viewer")
    assert strange.status == 200
    assert b"<script>" not in strange.body
