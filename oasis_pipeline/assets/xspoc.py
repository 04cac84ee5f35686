"""Assets that intake fills: the tables of the drop files' kinds.

Rows arrive by intake, which records a materialization of each day it touched. Materialising one of these assets by
hand loads its days (or, without partitions, all of it) again from the archive. Not here: reading and checking files.
"""

from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import ONE_RUN, OWNER, WAREHOUSE_POOL, days_of, table_metadata
from oasis_pipeline.assets.pictures import cards_of_days
from oasis_pipeline.intake import reload_days
from oasis_pipeline.schema import DROP_KINDS, DropKind, Kind
from oasis_pipeline.storage.resources import StoreResource, WarehouseResource


def build_xspoc_assets(days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Assets of all drop-file kinds.

    Parameters
    ----------
    days : PartitionsDefinition
        Partitions of the kinds with a time; equipment, failures and labels have none.

    Returns
    -------
    list of AssetsDefinition
    """
    return [
        _series_asset(kind, days) if kind.table.kind is Kind.SERIES else _state_asset(kind)
        for kind in DROP_KINDS.values()
        if not kind.open_columns  # readings: the data service writes that table too
    ]


def _series_asset(kind: DropKind, days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    table = kind.table

    @dg.asset(
        key=[table.schema, table.name],
        group_name=table.schema,
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[OWNER],
        kinds={"csv", "postgres"},
        description=f"{table.description} From {kind.name} files; made by hand, its days are loaded again from the archive.",
        metadata=table_metadata(table, drop_files=f"{kind.name}.E2E.<YYYYMMDD>.<HHMM>.csv"),
        pool=WAREHOUSE_POOL,
    )
    def series(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        done = reload_days(house, store.open(), table, span.first, span.last, warehouse.settings().zone)
        metadata: dict[str, Any] = {
            "dagster/partition_row_count": done.stored,
            "rows_that_changed": done.changed,
            "by": "archive",
        }
        if kind.name == "CardData":
            metadata["cards"] = dg.MetadataValue.md(cards_of_days(house, span))
        return dg.MaterializeResult(metadata=metadata)

    return series


def _state_asset(kind: DropKind) -> dg.AssetsDefinition:
    table = kind.table

    @dg.asset(
        key=[table.schema, table.name],
        group_name=table.schema,
        owners=[OWNER],
        kinds={"csv", "postgres"},
        description=f"{table.description} From {kind.name} files; made by hand, it is loaded again from the archive.",
        metadata=table_metadata(table, drop_files=f"{kind.name}.E2E.<YYYYMMDD>.<HHMM>.csv"),
        pool=WAREHOUSE_POOL,
    )
    def state(warehouse: WarehouseResource, store: StoreResource) -> dg.MaterializeResult[None]:
        done = reload_days(warehouse.open(), store.open(), table, None, None, warehouse.settings().zone)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": done.stored, "rows_that_changed": done.changed, "by": "archive"}
        )

    return state
