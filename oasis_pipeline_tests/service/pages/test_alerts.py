"""The page of alerts: what is open, what could not be sent, and a file that can't be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oasis_pipeline_tests.service.conftest import Service

pytestmark = pytest.mark.server


@pytest.fixture
def alerts(service: Service) -> Iterator[Service]:
    with service.warehouse.transaction() as tx:
        tx.execute("TRUNCATE oasis.alert, oasis.alert_delivery")
    yield service
    (service.settings.home / "alerts.toml").unlink(missing_ok=True)


def test_nothing_is_open(alerts: Service) -> None:
    body = alerts.get("/alerts", role="viewer").body
    assert b"No alert is open" in body
    assert b"Nobody is told" in body
    assert alerts.get("/alerts", role="device").status == 403


def test_open_over_and_unsent(alerts: Service) -> None:
    (alerts.settings.home / "alerts.toml").write_text('[to.crew]\nurl = "json://user:hunter2@127.0.0.1"\n')
    with alerts.warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO oasis.alert (alert_id, kind, subject, well, level, title, body, facts, state, first_seen_at, opened_at, resolved_at)"
            " VALUES ('1', 'well_down', 'W <b>1</b>', 'W <b>1</b>', 'warning', 'W <b>1</b> is down', 'since today', '{}', 'open', now(), now(), NULL),"
            " ('2', 'disk', 'd', NULL, 'failure', 'the disk is full', '', '{}', 'resolved', now(), now(), now()),"
            " ('3', 'stale', 's', NULL, 'warning', 'not yet', '', '{}', 'pending', now(), NULL, NULL)"
        )
        tx.execute(
            "INSERT INTO oasis.alert_delivery (alert_id, receiver, event, made_at, due_at, tries, error)"
            " VALUES ('1', 'crew', 'opened', now(), now(), 3, 'no answer'), ('2', 'night', 'opened', now(), now(), 0, NULL)"
        )
    text = alerts.get("/alerts", role="viewer").body.decode()
    for part in (
        "Could not be sent",
        "no answer",
        "the disk is full",
        "To be sent",
        "W &lt;b&gt;1&lt;/b&gt; is down",
        "since today",
    ):
        assert part in text
    assert "not yet" not in text
    assert "<b>1</b> is down" not in text
    assert "hunter2" not in text
    (alerts.settings.home / "alerts.toml").write_text("[to.crew]\nurl = 'hunter2'\n")
    text = alerts.get("/alerts", role="viewer").body.decode()
    assert "Nobody is told: alerts.toml can&#x27;t be used: to.crew.url" in text
    assert "hunter2" not in text
