"""The whole graph on one page.

``build_definitions`` makes a fresh ``Definitions``; nothing connects, reads a secret or touches the disk when this
module is imported. Dagster finds the code location through ``workspace.yaml`` and calls `definitions`.
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
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.schedules import build_schedules
from oasis_pipeline.automation.sensors import build_sensors
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.first_days import read_first_day, read_first_reading_day


def build_definitions(
    settings: Settings | None = None,
    *,
    last_day: date | None = None,
    resources: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Make the graph of one installation.

    Parameters
    ----------
    settings : Settings, optional
        The installation; read from the environment if absent.
    last_day : date, optional
        Newest day of the data, where it may lie after today.
    resources : mapping, optional
        Resources that replace the standard ones, by name.

    Returns
    -------
    Definitions
        Works before any data has come: the days then begin today.
    """
    settings = settings or load_settings()
    days = day_partitions(first_day_of(settings), last_day)
    reading_days = day_partitions(settings.start or read_first_reading_day(settings), last_day)
    assets = [*build_graph(days, reading_days), *build_dbt_assets(prepare(settings), settings, days)]
    jobs = build_jobs()
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(),
        jobs=jobs.all(),
        schedules=build_schedules(jobs, settings.timezone),
        sensors=build_sensors(jobs),
        resources={**build_resources(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


def first_day_of(settings: Settings) -> date | None:
    """First daily partition: ``OASIS_START``, else the first day of cards and vendor results, else None."""
    return settings.start or read_first_day(settings)


@dg.definitions
def definitions() -> dg.Definitions:
    """Graph of the installation that the environment names."""
    return build_definitions()
