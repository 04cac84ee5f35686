"""Jobs that schedules, sensors and people start.

Here: what a job selects. Not here: when it runs.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import WAREHOUSE_POOL
from oasis_pipeline.assets.factory import data_version_tags
from oasis_pipeline.assets.graph import (
    BY_KEY,
    DAILY_VIEWS,
    DAY_ASSETS_OF_CARDS,
    MODELS,
    READING_ASSETS,
    evaluate,
)
from oasis_pipeline.assets.resources import StoreResource, WarehouseResource
from oasis_pipeline.assets.views import observe_views
from oasis_pipeline.intake import PassReport, take_in
from oasis_pipeline.intake.sources import SourceError, SourceReport, open_sources
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import DROP_KINDS, Kind
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse


@dataclass(frozen=True)
class Jobs:
    """The jobs, by what they are for.

    Attributes
    ----------
    intake : JobDefinition
        Takes in the drop folder.
    source : JobDefinition
        Brings what is new in the live sources.
    days : job
        Makes days out of what has arrived.
    train : job
        Learns the classifier anew.
    readings : job
        Makes days of sensor readings.
    """

    intake: dg.JobDefinition
    source: dg.JobDefinition
    days: Any
    train: Any
    readings: Any

    def all(self) -> list[Any]:
        """Every job."""
        return [self.intake, self.source, self.days, self.train, self.readings]


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
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset_key=dg.AssetKey(asset.split("/")),
                    partition=partition or None,
                    metadata=metadata,
                    tags=data_version_tags(states[asset, partition].data_version or 0),
                    description="rows arrived in the drop folder",
                )
            )
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


def intake_metadata(report: PassReport) -> dict[str, Any]:
    """Counts of a pass of intake, file by file."""
    rows = [
        dg.TableRecord(
            {
                "file": file.source_file,
                "rows": file.rows,
                "stored": file.stored,
                "superseded": file.superseded,
                "rejected": file.rejected,
                "ignored columns": ", ".join(file.ignored_columns),
            }
        )
        for file in report.files
    ]
    return {
        "files": len(report.files),
        "rows": sum(file.rows for file in report.files),
        "stored": sum(file.stored for file in report.files),
        "superseded": sum(file.superseded for file in report.files),
        "rejected": sum(file.rejected for file in report.files),
        "rejected_files": [f"{name}: {reason}" for name, reason in report.rejected_files],
        "warnings": report.warnings,
        "notes": report.notes,
        **({"by_file": dg.MetadataValue.table(rows)} if rows else {}),
    }


@dg.op(pool=WAREHOUSE_POOL, description="Take in every file of the drop folder: load, archive, delete.")
def take_in_files(context: dg.OpExecutionContext, warehouse: WarehouseResource, store: StoreResource) -> None:
    """Run one pass of intake and tell Dagster which days it touched."""
    report = take_in(warehouse.open(), store.open(), warehouse.settings())
    for warning in report.warnings:
        context.log.warning(warning)
    record_intake(context.instance, warehouse.open(), report)
    record_empty_tables(context.instance)
    context.add_output_metadata(intake_metadata(report))


@dg.op(pool=WAREHOUSE_POOL, description="Bring what is new or corrected in the live sources, and take it in.")
def read_source(context: dg.OpExecutionContext, warehouse: WarehouseResource, store: StoreResource) -> None:
    """Run one increment and tell Dagster which days it touched."""
    metadata: dict[str, Any] = {}
    faults: list[SourceError] = []
    sources = open_sources(warehouse.settings(), warehouse.open(), store.open())
    for source in sources:
        try:
            with closing(source):
                report = source.run()
        except SourceError as error:
            # the others go on; one that stays silent is told by an alert
            context.log.warning(str(error))
            faults.append(error)
            continue
        for note in report.notes:
            context.log.warning(note)
        record_source(context.instance, warehouse.open(), report)
        metadata[source.name] = {
            "rows": report.rows,
            "looked_at": report.looked_at,
            "sweep": report.sweep,
            "notes": report.notes,
        }
    context.add_output_metadata(metadata)
    if faults and len(faults) == len(sources):
        raise faults[0]


def build_jobs() -> Jobs:
    """Make the jobs."""

    @dg.job(name="intake", description="Take in the drop folder.")
    def intake() -> None:
        take_in_files()

    @dg.job(name="source", description="Bring what is new in the live sources.")
    def source() -> None:
        read_source()

    return Jobs(
        intake=intake,
        source=source,
        days=dg.define_asset_job(
            "days",
            selection=dg.AssetSelection.assets(*keys_of(DAY_ASSETS_OF_CARDS)),
            description="Materialize days: clean tables, bounds, diagnosis, features and predictions.",
        ),
        train=dg.define_asset_job(
            "train",
            selection=dg.AssetSelection.assets(*keys_of(MODELS)),
            description="Train every model: the classifier on all labels, forecasters at their cut-offs.",
        ),
        readings=dg.define_asset_job(
            "readings",
            selection=dg.AssetSelection.assets(*keys_of(READING_ASSETS)),
            description="Materialize days of sensor readings: flagged readings, batches, profiles and regular series.",
        ),
    )


def keys_of(assets: Sequence[str]) -> list[dg.AssetKey]:
    """Dagster's keys of assets."""
    return [dg.AssetKey(asset.split("/")) for asset in assets]
