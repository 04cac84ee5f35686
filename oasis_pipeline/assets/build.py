"""Every asset of one installation, with its checks and resources.

Here: `build_asset_definitions`, all that a run needs. Not here: jobs, schedules and sensors, which ``oasis_pipeline.definitions`` adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import day_partitions
from oasis_pipeline.assets.dbt import build_dbt_assets, prepare
from oasis_pipeline.assets.graph import build_checks, build_graph
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.first_days import read_first_day, read_first_reading_day


def build_asset_definitions(
    settings: Settings, *, last_day: date | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Make the assets of an installation.

    Parameters
    ----------
    settings : Settings
        The installation.
    last_day : date, optional
        Newest day of the data, where it may lie after today.
    resources : mapping, optional
        Resources that replace the standard ones, by name.

    Returns
    -------
    Definitions
        Works before any data has come: the days then begin today.
    """
    days = day_partitions(first_day_of(settings), last_day)
    reading_days = day_partitions(settings.start or read_first_reading_day(settings), last_day)
    return dg.Definitions(
        assets=[*build_graph(days, reading_days), *build_dbt_assets(prepare(settings), days)],
        asset_checks=build_checks(),
        resources={**build_resources(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


def first_day_of(settings: Settings) -> date | None:
    """First daily partition: ``OASIS_START``, else the first day of cards and vendor results, else None."""
    return settings.start or read_first_day(settings)
