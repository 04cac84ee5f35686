"""The declared graph: every asset, in the order in which they are made.

Here: which modules declare assets, looking declarations up, and the definitions of all of them. Not here: any declaration, how one becomes
a definition (``factory``), and what is stale (``automation.staleness``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from oasis_pipeline.assets import (
    analysis,
    clean,
    decisions,
    failures,
    iot,
    label_queue,
    models,
    outlook,
    xspoc,
)
from oasis_pipeline.assets.checks import evaluate_checks
from oasis_pipeline.assets.declaration import Asset, Calendar, declared, in_order
from oasis_pipeline.assets.factory import build_asset_checks, build_assets
from oasis_pipeline.assets.specs import View, build_view, needed_views, spec_of
from oasis_pipeline.assets.views import observe_views
from oasis_pipeline.operations.days import Days
from oasis_pipeline.storage.postgres import Warehouse

MODULES = (xspoc, clean, outlook, failures, iot, models, label_queue, decisions, analysis)
"""Modules that declare assets; a new one is named here."""

# by module, so that the order of the graph does not hang on which of them somebody has imported first
_ALL = tuple(
    sorted(declared(), key=lambda asset: asset.body.__module__ if asset.body is not None else clean.__name__)
)

PARTITIONED: Mapping[str, bool] = {asset.key: asset.partitioned for asset in _ALL}
"""Asset -> whether it has a partition a day."""

SOURCES: tuple[Asset, ...] = tuple(asset for asset in _ALL if not asset.planned)
"""What arrives: by intake and the data service."""

GRAPH: tuple[Asset, ...] = in_order([asset for asset in _ALL if asset.planned])
"""What is made, in order of materialization."""

DAILY_VIEWS: tuple[View, ...] = needed_views(GRAPH, PARTITIONED)
"""Daily views of what has no days."""

BY_KEY: Mapping[str, Asset] = {asset.key: asset for asset in _ALL}

READING_ASSETS = tuple(asset.key for asset in GRAPH if asset.calendar is Calendar.READINGS)
"""What a day of sensor readings is made into."""

DAY_ASSETS_OF_CARDS = tuple(
    asset.key for asset in GRAPH if asset.partitioned and asset.calendar is Calendar.CARDS
)
"""What a day of cards is made into."""

MODELS = tuple(asset.key for asset in GRAPH if asset.group_name == "models")
"""What is learned."""


def build_graph(
    days: dg.PartitionsDefinition,
    reading_days: dg.PartitionsDefinition | None = None,
    assets: Sequence[Asset] = _ALL,
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Make Dagster's definitions of the graph, those of dbt apart.

    Parameters
    ----------
    days : PartitionsDefinition
        Day partitions of cards and vendor results.
    reading_days : PartitionsDefinition, optional
        Those of readings; the same by default.
    assets : sequence of Asset
        All by default.

    Returns
    -------
    list of AssetsDefinition or AssetSpec
    """
    days_of = {Calendar.CARDS: days, Calendar.READINGS: reading_days or days}
    outside = [asset for asset in assets if asset.body is None and not asset.planned]
    return [
        *(spec_of(asset, days_of, PARTITIONED) for asset in outside),
        *(build_view(view, days_of) for view in DAILY_VIEWS),
        *build_assets(assets, days_of, PARTITIONED, _tell),
    ]


def build_checks() -> list[dg.AssetChecksDefinition]:
    """Make the checks of all assets that are steps of their own."""
    return build_asset_checks(_ALL)


def evaluate(warehouse: Warehouse, asset: str, span: Days) -> list[dg.AssetCheckEvaluation]:
    """Run the checks of an asset outside of a Dagster run, for rows that intake has written.

    Parameters
    ----------
    warehouse : Warehouse
        Where to look.
    asset : str
        ``schema/table``.
    span : Days
        Days that intake has touched.

    Returns
    -------
    list of AssetCheckEvaluation
        To be reported to the instance; empty for a table without checks.
    """
    declared = BY_KEY[asset]
    return evaluate_checks(warehouse, asset, declared.table, declared.checks, span)


def _tell(context: dg.AssetExecutionContext, warehouse: Warehouse, asset: Asset) -> None:
    """Let Dagster see on which days a model that was learned anew counts."""
    observe_views(context.instance, warehouse, [view for view in DAILY_VIEWS if view.of == asset.key])
