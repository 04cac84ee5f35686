"""What Dagster knows of an asset before it is made: dependencies with partition mappings, daily views, metadata of the definition.

Not here: declarations (``declaration``), and how an asset is made (``factory``).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import OWNER, table_metadata
from oasis_pipeline.assets.declaration import Asset, Calendar, Input, Reach

DaysOf = Mapping[Calendar, dg.PartitionsDefinition]


@dataclass(frozen=True)
class View:
    """What of an input without days counts on a day, as an asset of its own that Dagster can compare day by day.

    Dagster compares an input without days as a whole. Through this view of it, a rod string that was run today makes no day before today
    stale, and a new model none that keeps the model it was made with.

    Attributes
    ----------
    key : str
        ``schema/name`` of the view.
    of : str
        The asset.
    reach : Reach
    calendar : Calendar
    """

    key: str
    of: str
    reach: Reach
    calendar: Calendar = Calendar.CARDS


def view_of(each: Input, calendar: Calendar = Calendar.CARDS) -> View:
    """Daily view of an input without days, for assets of a calendar."""
    if each.asset.endswith("_history"):
        return View(each.asset, each.asset.removesuffix("_history"), Reach.SINCE)
    ending = {Reach.SINCE: "so_far", Reach.KEPT: "kept"}.get(each.reach, "of_day")
    reach = Reach.DAY if each.reach is Reach.BACK else each.reach
    return View(f"{each.asset}_{ending}", each.asset, reach, calendar)


def needed_views(assets: Iterable[Asset], partitioned: Mapping[str, bool]) -> tuple[View, ...]:
    """Daily views that some assets need; `partitioned` tells which assets have days themselves."""
    found = [
        view_of(each, asset.calendar)
        for asset in assets
        for each in asset.inputs
        if each.reach is not Reach.WHOLE and not partitioned.get(each.asset, False)
    ]
    return tuple(dict.fromkeys(found))


def mapping_of(each: Input, by_day: bool) -> dg.PartitionMapping:
    """Partition mapping of an input with days, to an asset with days or without."""
    if not by_day:
        return dg.AllPartitionMapping()
    return dg.TimeWindowPartitionMapping(
        start_offset=1 - each.days, allow_nonexistent_upstream_partitions=each.days > 1
    )


def dependencies(asset: Asset, partitioned: Mapping[str, bool]) -> list[dg.AssetDep]:
    """Dagster's dependencies of an asset; `partitioned` tells which assets have days."""
    found: dict[str, dg.AssetDep] = {}
    for each in sorted(asset.inputs, key=lambda each: -each.days):
        name = each.asset
        if not partitioned.get(name, False) and each.reach is not Reach.WHOLE:
            name = view_of(each).key
        mapped = each.reach is not Reach.WHOLE
        if name not in found:
            found[name] = dg.AssetDep(
                dg.AssetKey(name.split("/")),
                partition_mapping=mapping_of(each, asset.partitioned) if mapped else None,
            )
    return list(found.values())


def definition_metadata(asset: Asset) -> dict[str, Any]:
    """Metadata of an asset's definition: columns, where its code is, where its days lie."""
    shown: dict[str, Any] = dict(asset.metadata)
    if asset.table is not None:
        shown |= table_metadata(asset.table)
    if asset.columns is not None:
        columns = [dg.TableColumn(each.name, str(each.type)) for each in asset.columns()]
        shown |= {
            "dagster/column_schema": dg.TableSchema(columns=columns),
            "partition_column": asset.partition_column,
            "code_version": asset.code_version,
        }
        if asset.group_column is not None:
            shown["group_column"] = asset.group_column
    if asset.body is not None:
        code = inspect.unwrap(asset.body).__code__
        reference = dg.LocalFileCodeReference(
            file_path=code.co_filename, line_number=code.co_firstlineno, label=asset.key
        )
        shown["dagster/code_references"] = dg.CodeReferencesMetadataValue(code_references=[reference])
    return shown


def freshness_of(asset: Asset) -> dg.FreshnessPolicy | None:
    """A field sends cards daily, a gateway by the minute: two days without news want a look."""
    if not asset.partitioned:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(hours=36))


def spec_of(asset: Asset, days: DaysOf, partitioned: Mapping[str, bool], **more: Any) -> dg.AssetSpec:
    """Dagster's specification of a declared asset."""
    return dg.AssetSpec(
        asset.asset_key,
        group_name=asset.group_name,
        deps=dependencies(asset, partitioned),
        owners=[asset.owner],
        kinds=set(asset.kinds)
        or {"python", "postgres" if asset.table else "parquet" if asset.columns else "python"},
        description=asset.description,
        metadata=definition_metadata(asset),
        code_version=asset.code_version or None,
        partitions_def=days[asset.calendar] if asset.partitioned else None,
        freshness_policy=freshness_of(asset),
        **more,
    )


def build_view(view: View, days: DaysOf) -> dg.AssetSpec:
    """Specification of a daily view."""
    says = {
        Reach.SINCE: f"What of {view.of} is known or in force on a day",
        Reach.DAY: f"What of {view.of} concerns a day",
        Reach.KEPT: f"What a day was made with of {view.of}, and keeps",
    }[view.reach]
    return dg.AssetSpec(
        dg.AssetKey(view.key.split("/")),
        group_name=view.key.split("/")[0],
        deps=[dg.AssetKey(view.of.split("/"))],
        partitions_def=days[view.calendar],
        owners=[OWNER],
        description=f"{says}. Not materialized: observed when it changes, so that Dagster compares {view.of} day by day.",
    )
