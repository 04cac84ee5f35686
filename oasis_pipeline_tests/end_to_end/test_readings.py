"""Sensor readings through a whole pass: drop folder, data service's writer, Dagster, status."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from oasis_pipeline.assets.graph import READING_ASSETS
from oasis_pipeline.automation.instance import open_instance
from oasis_pipeline.automation.passes import run_pass
from oasis_pipeline.automation.staleness import current_plan
from oasis_pipeline.commands.status import asset_rows
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.readings import store_readings
from oasis_pipeline_tests.end_to_end.test_pass import own_environment

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    own_environment(monkeypatch)


def drop(settings: Settings, day: str, hours: int) -> Path:
    settings.drop.mkdir(parents=True, exist_ok=True)
    path = settings.drop / f"Readings.E2E.{day.replace('-', '')}.2359.csv"
    lines = [
        f"m1,{day} {hour:02}:{minute:02},{20 + hour},{hour * minute}"
        for hour in range(hours)
        for minute in (0, 30)
    ]
    path.write_text("\n".join(["module_num,timestamp,temperature,power_w", *lines, ""]))
    return path


def test_a_pass_makes_days_of_readings_and_late_ones_make_theirs_again(
    settings: Settings, warehouse: Warehouse
) -> None:
    drop(settings, "2026-02-27", 24)
    drop(settings, "2026-03-02", 24)
    first = run_pass(settings)
    # a field without cards: only the views, and the days that have readings
    made = [run for run in first.runs if set(run["assets"]) & set(READING_ASSETS)]
    assert [(run["assets"], run["days"]) for run in made] == [
        (list(READING_ASSETS), [day, day]) for day in ("2026-02-27", "2026-03-02")
    ]
    assert not current_plan(warehouse)
    assert [note for note in first.notes if "iot" in note] == []
    rows = {row["asset"]: row for row in asset_rows(ledger.states(warehouse), current_plan(warehouse))}
    assert (rows["iot/readings"]["done"], rows["iot/readings"]["rows"]) == (2, 96)
    assert (rows["iot/rawdata"]["rows"], rows["iot/rawdata"]["newest"]) == (96, "2026-03-02")
    assert {"iot/databatch", "iot/profile", "iot/regular", "iot/module"} <= set(rows)

    late = pa.table(
        {
            "module_num": ["m1"],
            "timestamp": [datetime(2026, 2, 27, 0, 15, tzinfo=UTC)],
            "measures": ['{"power_w": 1}'],
        }
    )
    with warehouse.transaction() as tx:
        store_readings(tx, late)
    second = run_pass(settings)
    assert [(run["assets"], run["days"]) for run in second.runs] == [
        (list(READING_ASSETS), ["2026-02-27"] * 2)
    ]
    assert run_pass(settings).runs == []
    with open_instance(settings, warehouse.address) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["iot", "rawdata"]))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == "2026-03-02"
