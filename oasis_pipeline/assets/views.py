"""Daily views of what has no days: telling Dagster when a rod string, a failure or a model counts otherwise on some days.

Here: which days, and the observations that say so. Not here: what a view is (``specs``), and the changes themselves, which stand in the
ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

import dagster as dg

from oasis_pipeline.assets.common import report_together
from oasis_pipeline.assets.declaration import Calendar, Reach
from oasis_pipeline.assets.factory import data_version_tags
from oasis_pipeline.assets.specs import View
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.ledger import State
from oasis_pipeline.storage.postgres import Warehouse


def versions_by_day(view: View, states: Mapping[str, State], days: Iterable[str]) -> dict[str, int]:
    """Tell the tick of what counts on each day.

    Parameters
    ----------
    view : View
    states : mapping of str to State
        Partition -> state in the ledger of what the view is of.
    days : iterable of str
        Ascending.

    Returns
    -------
    dict of str to int
        Days on which nothing counts are left out.
    """
    if view.reach is Reach.DAY:
        return {day: states[day].changed_tick for day in days if day in states}
    # the partition for all time is the empty text, which stands before every day; it counts for histories only
    for_all_time = view.key.endswith("_history")
    changes = sorted((day, state.changed_tick) for day, state in states.items() if day or for_all_time)
    newest = list(accumulate((tick for _, tick in changes), max))
    found: dict[str, int] = {}
    place = 0
    for day in days:
        while place < len(changes) and changes[place][0] <= day:
            place += 1
        if place:
            found[day] = newest[place - 1]
    return found


def observe_views(instance: dg.DagsterInstance, warehouse: Warehouse, views: Iterable[View]) -> None:
    """Report the days on which something counts otherwise than at the last report.

    Parameters
    ----------
    instance : DagsterInstance
        Where to report.
    warehouse : Warehouse
        Where the ledger stands.
    views : iterable of View
        Which.
    """
    wanted = [view for view in views if view.reach is not Reach.KEPT]
    if not wanted:
        return
    names = {view.key if view.key.endswith("_history") else view.of for view in wanted}
    states = ledger.states(warehouse, [*names, *Calendar.CARDS.value])
    days = sorted(
        {
            day
            for (asset, day), state in states.items()
            if asset in Calendar.CARDS.value and day and state.rows != 0
        }
    )
    for view in wanted:
        name = view.key if view.key.endswith("_history") else view.of
        mine = {day: state for (asset, day), state in states.items() if asset == name}
        versions = versions_by_day(view, mine, days)
        if versions:
            _observe(instance, view, versions)


def _observe(instance: dg.DagsterInstance, view: View, versions: Mapping[str, int]) -> None:
    key = dg.AssetKey(view.key.split("/"))
    seen = instance.fetch_observations(key, limit=1).records
    told = seen[0].event_log_entry.asset_observation if seen else None
    last = int((told.tags or {}).get("dagster/data_version", 0)) if told else 0
    news = sorted((version, day) for day, version in versions.items() if version > last)
    # of what was never told of only that it is there: nothing was made from another state
    report_together(
        instance,
        [
            dg.AssetObservation(key, partition=day, tags=data_version_tags(version))
            for version, day in (news if seen else news[-1:])
        ],
    )
