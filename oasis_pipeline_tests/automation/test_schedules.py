"""When schedules run, and for which day they ask."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.schedules import build_schedules
from oasis_pipeline.definitions import build_definitions
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

ZONES = {"daily_partition": "America/Chicago", "weekly_training": "America/Chicago", "daily_readings": "UTC"}


def test_schedules_of_the_graph_run_by_the_fields_clock(tmp_path: Path) -> None:
    made = build_definitions(load_settings(tmp_path / "home", timezone="America/Chicago"))
    schedules = made.schedules or []
    assert {each.name: each.execution_timezone for each in schedules} == ZONES  # type: ignore[union-attr]


@pytest.mark.server
@pytest.mark.parametrize("zone", ["America/Chicago", "Pacific/Auckland", "UTC"])
def test_the_day_before_is_the_fields(settings: Settings, warehouse: Warehouse, zone: str) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, "xspoc/card", {"2026-03-05": 5})
    (schedule,) = [each for each in build_schedules(build_jobs(), zone) if each.name == "daily_partition"]
    local = datetime(2026, 3, 6, 3, 15, tzinfo=ZoneInfo(zone))
    for moment in (local, local.astimezone(ZoneInfo("UTC"))):
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_schedule_context(
                instance,
                scheduled_execution_time=moment,
                resources={"warehouse": build_resources(settings)["warehouse"]},
            ) as context,
        ):
            asked = schedule(context)
        assert isinstance(asked, dg.RunRequest), asked
        assert asked.partition_key == "2026-03-05"


@pytest.mark.server
def test_the_weekly_training_compares_with_the_earlier_method(
    settings: Settings, warehouse: Warehouse
) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, "xspoc/card", {"2026-03-05": 5})
    (schedule,) = [each for each in build_schedules(build_jobs(), "UTC") if each.name == "weekly_training"]
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime(2026, 3, 8, 4, 45, tzinfo=ZoneInfo("UTC")),
            resources={"warehouse": build_resources(settings)["warehouse"]},
        ) as context,
    ):
        asked = schedule(context)
    assert isinstance(asked, dg.RunRequest), asked
    train = build_definitions(settings).resolve_job_def("train")
    assert dg.validate_run_config(train, asked.run_config)["ops"]["models__dyna_classifier"]["config"] == {
        "compare_earlier_method": True
    }
