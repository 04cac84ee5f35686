"""The whole graph on one page.

``build_definitions`` makes a fresh ``Definitions``; nothing connects, reads a secret or touches the disk when this
module is imported. Dagster finds the code location through ``workspace.yaml`` and calls `definitions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from oasis_pipeline.assets.build import build_asset_definitions
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.schedules import build_schedules
from oasis_pipeline.automation.sensors import build_sensors
from oasis_pipeline.settings import Settings, load_settings


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
    jobs = build_jobs()
    started = dg.Definitions(
        jobs=jobs.all(),
        schedules=build_schedules(jobs, settings.timezone),
        sensors=build_sensors(jobs),
    )
    assets = build_asset_definitions(settings, last_day=last_day, resources=resources)
    return dg.Definitions.merge(assets, started)


@dg.definitions
def definitions() -> dg.Definitions:
    """Graph of the installation that the environment names."""
    return build_definitions()
