"""Dagster's instance of an installation: what killed runs leave in it."""

from __future__ import annotations

import time

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from oasis_pipeline.assets.common import MEMORY_POOL
from oasis_pipeline.automation.instance import PASS_TAG, end_runs_of_killed_passes, open_instance
from oasis_pipeline.automation.passes import one_pass_at_a_time
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse

STARTED, SUCCESS, CANCELED = (
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.CANCELED,
)


@pytest.mark.server
def test_killed_passes_leave_the_pools_free(settings: Settings, warehouse: Warehouse) -> None:
    with open_instance(settings, warehouse.address) as instance:
        pools = instance.event_log_storage
        pools.initialize_concurrency_limit_to_default(MEMORY_POOL)

        def run(status: dg.DagsterRunStatus, **tags: str) -> str:
            run_id = create_run_for_test(instance, status=status, tags=tags).run_id
            pools.claim_concurrency_slot(MEMORY_POOL, run_id, "a_step")
            return run_id

        killed, ended, others = run(STARTED, **PASS_TAG), run(SUCCESS), run(STARTED)
        assert {slot.run_id for slot in pools.get_concurrency_info(MEMORY_POOL).claimed_slots} == {
            killed,
            ended,
        }
        assert end_runs_of_killed_passes(instance) == 1
        assert pools.claim_concurrency_slot(MEMORY_POOL, others, "a_step").is_claimed
        assert {slot.run_id for slot in pools.get_concurrency_info(MEMORY_POOL).claimed_slots} == {others}
        statuses = [instance.get_run_by_id(each).status for each in (killed, ended, others)]  # type: ignore[union-attr]
        assert statuses == [CANCELED, SUCCESS, STARTED]
        assert end_runs_of_killed_passes(instance) == 0


@pytest.mark.server
def test_who_does_not_wait_is_told_whether_a_pass_is_alive(warehouse: Warehouse) -> None:
    with one_pass_at_a_time(warehouse.address) as first:
        assert first
        with one_pass_at_a_time(warehouse.address, wait=False) as second:
            assert not second
    with one_pass_at_a_time(warehouse.address, wait=False) as third:
        assert third


@pytest.mark.server
def test_connections_are_kept_replaced_when_cut_and_closed_at_the_end(
    settings: Settings, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if a connection had lain idle
    monkeypatch.setattr("oasis_pipeline.automation.dagster_storage._ASKED_S", 0.0)
    mine = "select count(*) as n from pg_stat_activity where application_name = '' and datname = current_database()"
    with open_instance(settings, warehouse.address) as instance:
        for _ in range(5):
            instance.get_runs(limit=1)
        assert warehouse.query(mine)["n"][0].as_py() <= 3
        cut = warehouse.query(
            "select pg_terminate_backend(pid) as cut from pg_stat_activity"
            " where application_name = '' and datname = current_database()"
        )
        assert cut.num_rows >= 1
        assert instance.get_runs(limit=1) == []
    end = time.monotonic() + 20
    while warehouse.query(mine)["n"][0].as_py():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.server
def test_each_planned_day_of_a_range_has_its_event(settings: Settings, warehouse: Warehouse) -> None:
    days = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-06")

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def first() -> None: ...

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run(), deps=[first])
    def second() -> None:
        raise ValueError

    job = dg.Definitions(assets=[first, second]).resolve_implicit_global_asset_job_def()
    span = {
        "dagster/asset_partition_range_start": "2025-01-02",
        "dagster/asset_partition_range_end": "2025-01-04",
    }
    with open_instance(settings, warehouse.address) as instance:
        run = job.execute_in_process(instance=instance, tags=span, raise_on_error=False)
        assert not run.success
        planned = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        told = [(event.asset_key, event.partition) for each in planned if (event := each.dagster_event)]
        keys = [f"2025-01-0{day}" for day in (2, 3, 4)]
        assert sorted(told) == sorted((asset, key) for asset in (first.key, second.key) for key in keys)
        assert {key for key in instance.all_asset_keys() if key in {first.key, second.key}} == {
            first.key,
            second.key,
        }
        assert instance.get_materialized_partitions(first.key) == set(keys)
        failed = instance.get_latest_materialization_event(second.key)
        assert failed is None
        status = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
            second.key
        )
        assert set(status) == set(keys), "Dagster's page shows these days as failed"
