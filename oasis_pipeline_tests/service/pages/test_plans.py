"""What pages ask of large tables goes by an index."""

from __future__ import annotations

import pytest

from oasis_pipeline_tests.service.conftest import Service
from oasis_pipeline_tests.service.pages.conftest import Asked

pytestmark = pytest.mark.server

LARGE = {"card", "carddiag", "dynapred", "dynabounds", "wellstatus", "dynalabel_history"}


def test_cards_of_labels_and_alarms_are_found_by_an_index(field: Service, asked: Asked) -> None:
    with field.warehouse.transaction() as tx:
        tx.execute(
            'insert into clean.alarm ("AlarmID", "NodeID", "RaisedAt", "Class", "Prob", "Reason", "State", threshold, "ModelVersion")'
            """ select "NodeID", "NodeID", '2025-03-01', 'Pump', 40, '', 'open', 30, 'b' from xspoc.node limit 60"""
        )
        tx.execute(
            'insert into clean.label_queue ("NodeID", "Date", rank, score, uncertainty_bits, well_labels, "Label1", "Prob1", "ModelVersion")'
            """ select "NodeID", "Date", row_number() over (), 1, 1, 0, 'Full Pump', 50, 'b' from xspoc.card limit 100"""
        )
    try:
        asked.statements.clear()
        for path, what in (("/alarms", '<tr class="alarm"'), ("/label?part=1", '<article class="to-label"')):
            answer = field.get(path, role="viewer")
            assert answer.status == 200, answer.body[:2000]
            assert answer.body.decode().count(what) >= 24
        assert asked.scans(field, LARGE) == []
    finally:
        with field.warehouse.transaction() as tx:
            tx.execute("truncate clean.label_queue, clean.alarm")
