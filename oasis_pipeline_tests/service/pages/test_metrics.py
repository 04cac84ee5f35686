"""``/metrics``: who may read it, its form, and that it says what the tables hold."""

from __future__ import annotations

import re

import pytest

from oasis_pipeline_tests.service.conftest import Service, basic
from oasis_pipeline_tests.service.pages.conftest import Asked

pytestmark = pytest.mark.server

TABLES = (
    "oasis.file, oasis.left_file, oasis.source_task, oasis.figure, oasis.alert, oasis.alert_delivery, oasis.asset_state, xspoc.card,"
    " xspoc.welltest, xspoc.xdiagresults"
)
ROWS = (
    "INSERT INTO oasis.file (source_file, kind, stamp, sha256, arrival, rows, stored, superseded, rejected, loaded_at, archived) VALUES"
    " ('a', 'CardData', '2026-03-01', '1', 1, 10, 7, 2, 1, to_timestamp(1000), true), ('b', 'CardData', '2026-03-02', '2', 2, 5, 5, 0, 0,"
    " to_timestamp(2000), true)",
    "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick, rows, changed_at, error) VALUES"
    " ('clean/x', '2026-03-01', 1, 1, 4, to_timestamp(100), NULL), ('clean/x', '2026-03-02', 1, 1, 6, to_timestamp(300), 'no'),"
    " ('xspoc/rods_history', '', 1, 1, 6, to_timestamp(300), NULL)",
    "INSERT INTO oasis.figure VALUES ('stale_partitions', '', 3, to_timestamp(400)), ('stale_partitions', 'clean/x', 3, to_timestamp(400))",
    "INSERT INTO oasis.source_task (source, task, at) VALUES ('x\"y\\z', 'sweep', to_timestamp(500))",
    "INSERT INTO oasis.alert (alert_id, kind, subject, level, title, body, facts, state, first_seen_at) VALUES"
    " ('1', 'disk', 'd', 'failure', '', '', '{}', 'open', now())",
    "INSERT INTO oasis.alert_delivery (alert_id, receiver, event, made_at, due_at, tries, error) VALUES ('1', 'crew', 'opened', now(), now(), 1,"
    " 'no'), ('1', 'late', 'opened', now(), now(), 0, NULL)",
    "INSERT INTO xspoc.card (\"NodeID\", \"Date\", file_stamp) VALUES ('A', (now() AT TIME ZONE 'UTC') - interval '1 hour', '2026-01-01')",
)


def read(text: str) -> dict[str, float]:
    """Name with labels -> value; every line has to be one of Prometheus's."""
    found: dict[str, float] = {}
    typed: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\["\\n])*"\})? (-?[0-9.e+]+)', line)
            assert match, line
            assert match[1] in typed
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


def test_figures_of_the_pipeline(service: Service, asked: Asked) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute(f"TRUNCATE {TABLES}")
        for statement in ROWS:
            tx.execute(statement)
    asked.statements.clear()
    answer = service.get("/metrics", role="viewer")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    figures = [sql for sql, _ in asked.statements if "oasis." in sql]
    assert len(figures) == 2, "cheap"
    found = read(answer.body.decode())
    wanted = {
        'oasis_files_in_total{kind="CardData"}': 2,
        'oasis_rows_in_total{kind="CardData"}': 12,
        'oasis_rows_superseded_total{kind="CardData"}': 2,
        'oasis_rows_rejected_total{kind="CardData"}': 1,
        'oasis_last_file_timestamp_seconds{kind="CardData"}': 2000,
        'oasis_asset_rows{asset="clean/x"}': 10,
        'oasis_asset_changed_timestamp_seconds{asset="clean/x"}': 300,
        'oasis_asset_failed_partitions{asset="clean/x"}': 1,
        'oasis_asset_stale_partitions{asset="clean/x"}': 3,
        "oasis_stale_counted_timestamp_seconds": 400,
        'oasis_source_last_read_timestamp_seconds{source="x\\"y\\\\z"}': 500,
        'oasis_alerts_open{level="failure"}': 1,
        'oasis_alerts_open{level="info"}': 0,
        'oasis_alert_messages_failing{receiver="crew"}': 1,
        'oasis_alert_messages_waiting{receiver="late"}': 1,
        "oasis_left_files": 0,
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert found['oasis_newest_row_age_seconds{table="xspoc.card"}'] == pytest.approx(3600, abs=60)
    assert not any("_history" in name for name in found)
    with service.warehouse.transaction() as tx:
        tx.execute(f"TRUNCATE {TABLES}")
    assert read(service.get("/metrics", role="viewer").body.decode())["oasis_left_files"] == 0


def test_runs_of_dagster(service: Service) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute("CREATE SCHEMA IF NOT EXISTS dagster")
        tx.execute(
            "CREATE TABLE dagster.runs (id bigserial, run_id text, pipeline_name text, status text, create_timestamp timestamp,"
            " start_time float8, end_time float8)"
        )
        tx.execute(
            "INSERT INTO dagster.runs (run_id, pipeline_name, status, create_timestamp, start_time, end_time) VALUES"
            " ('r1', 'intake', 'FAILURE', now(), 1, 2), ('r2', 'intake', 'SUCCESS', now(), 3, 4.5), ('r3', 'intake', 'STARTED', now(), 5, NULL)"
        )
    try:
        found = read(service.get("/metrics", role="viewer").body.decode())
    finally:
        with service.warehouse.transaction() as tx:
            tx.execute("DROP TABLE dagster.runs")
    assert found['oasis_job_succeeded{job="intake"}'] == 1
    assert found['oasis_job_seconds{job="intake"}'] == 1.5
    assert found['oasis_job_ended_timestamp_seconds{job="intake"}'] == 4.5


def test_readers_only(service: Service) -> None:
    assert service.get("/metrics", role=None).status == 401
    assert service.get("/metrics", role="device").status == 403
    assert service.get("/metrics", role=None, headers=basic("viewer")).status == 200
