"""Every asset of one installation, with its checks and resources.

Here: `build_asset_definitions`, all that a run needs. Not here: jobs, schedules and sensors, which ``oasis_pipeline.definitions`` adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    assets = [*build_graph(days, reading_days), *build_dbt_assets(prepare(settings), days)]
    return dg.Definitions(
        assets=link_to_pages(assets, settings.pages_url) if settings.pages_url else assets,
        asset_checks=build_checks(),
        resources={**build_resources(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


PAGES = {
    "clean/wellstatus": "",
    "clean/worklist": "",
    "clean/setpoint": "",
    "clean/carddiag": "",
    "clean/dynapred": "",
    "xspoc/card": "",
    "clean/alarm": "alarms",
    "clean/xpred": "alarms",
    "clean/dynalabel": "label",
    "clean/label_queue": "label",
    "analysis/field_report": "analysis",
    "models/dyna_classifier": "models",
    "models/card_forecaster": "models",
    "models/failure_forecaster": "models",
    "iot/readings": "sensors",
    "iot/databatch": "sensors",
    "iot/profile": "sensors",
    "iot/regular": "sensors",
}
"""Asset -> path of the page that shows it to people; wells are found from the first one."""


def link_to_pages(assets: Sequence[Any], url: str) -> list[Any]:
    """Have the descriptions of assets link to the pages that show them."""

    def link(spec: dg.AssetSpec) -> dg.AssetSpec:
        path = PAGES.get(spec.key.to_user_string())
        if path is None:
            return spec
        # in the description, which Dagster shows first
        page = f"{url.rstrip('/')}/{path}"
        return spec.replace_attributes(description=f"{spec.description}\n\n[Open its page]({page})")

    return list(dg.map_asset_specs(link, assets))


def first_day_of(settings: Settings) -> date | None:
    """First daily partition: ``OASIS_START``, else the first day of cards and vendor results, else None."""
    return settings.start or read_first_day(settings)
