"""What arrives, told to Dagster: events of partitions that intake, the live source or the data service changed.

Not here: what is materialized, which Dagster sees by itself.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import report_together
from oasis_pipeline.assets.factory import data_version_tags
from oasis_pipeline.assets.graph import BY_KEY, DAILY_VIEWS, evaluate
from oasis_pipeline.assets.views import observe_views
from oasis_pipeline.intake import PassReport
from oasis_pipeline.intake.sources import SourceReport
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import DROP_KINDS, Kind
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse


def record_intake(instance: dg.DagsterInstance, warehouse: Warehouse, report: PassReport) -> None:
    """Tell Dagster which partitions a pass of intake changed, with pictures, and check them.

    Parameters
    ----------
    instance : DagsterInstance
        Where to record.
    warehouse : Warehouse
        Where the rows are.
    report : PassReport
        What intake did.
    """
    states = ledger.states(warehouse, list(report.changed))
    for asset, partitions in report.changed.items():
        declared = BY_KEY[asset]
        days = sorted(partition for partition in partitions if partition)
        events: list[dg.AssetMaterialization] = []
        for partition, rows in sorted(partitions.items()):
            metadata: dict[str, Any] = {"rows_that_changed": rows or 0, "by": "intake"}
            if declared.partitioned and (held := states[asset, partition].rows) is not None:
                metadata["dagster/partition_row_count"] = held
            if days and partition == days[-1]:
                newest = date.fromisoformat(partition)
                for name, draw in declared.pictures.items():
                    metadata[name] = dg.MetadataValue.md(draw(warehouse, Days(newest, newest)))
            if partition and not declared.partitioned:
                continue  # failures know their days, which Dagster sees through their daily view
            events.append(
                dg.AssetMaterialization(
                    asset_key=dg.AssetKey(asset.split("/")),
                    partition=partition or None,
                    metadata=metadata,
                    tags=data_version_tags(states[asset, partition].data_version or 0),
                    description="rows arrived in the drop folder",
                )
            )
        report_together(instance, events)
        if days:
            span = Days(date.fromisoformat(days[0]), date.fromisoformat(days[-1]))
            for evaluation in evaluate(warehouse, asset, span):
                instance.report_runless_asset_event(evaluation)
    observe_views(instance, warehouse, DAILY_VIEWS)


def record_source(instance: dg.DagsterInstance, warehouse: Warehouse, report: SourceReport) -> None:
    """Tell Dagster which partitions an increment of the live source changed."""
    for done in report.passes:
        if done.changed:
            record_intake(instance, warehouse, done)
    record_empty_tables(instance)


def record_empty_tables(instance: dg.DagsterInstance) -> None:
    """Tell Dagster of tables of states that have no row yet: it would warn of them as never made at every backfill."""
    for kind in DROP_KINDS.values():
        key = dg.AssetKey([kind.table.schema, kind.table.name])
        if kind.table.kind is Kind.STATE and instance.get_latest_materialization_event(key) is None:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset_key=key, metadata={"dagster/row_count": 0}, description="no rows yet"
                )
            )
