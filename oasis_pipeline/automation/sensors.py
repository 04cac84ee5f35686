"""Sensors: what runs because something arrived.

Both have a cursor and a bounded amount of work a tick, and are triggered by an edge: what failed is not tried again until
something changes, or the daily schedule comes by. A sensor that asked again for whatever is not there could start
the same failing run for weeks.
"""

import hashlib
from pathlib import Path

import dagster as dg

from oasis_pipeline.assets.dbt_project import VIEWS, views_current
from oasis_pipeline.automation.jobs import Jobs
from oasis_pipeline.automation.staleness import RULES, DayRange, current_plan, next_runs, wait_for_labels
from oasis_pipeline.intake.files import parse_name
from oasis_pipeline.storage.resources import StoreResource, WarehouseResource

RUNS_A_TICK = 4
"""A plan may fall into many ranges of days; the rest follows at the next tick."""

_ACTIVE = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
_TAG = "oasis/sensor"


def build_sensors(jobs: Jobs) -> list[dg.SensorDefinition]:
    """Make the sensors.

    Parameters
    ----------
    jobs : Jobs
        What they start.

    Returns
    -------
    list of SensorDefinition
    """

    @dg.sensor(
        name="new_drop_files",
        job=jobs.intake,
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts intake when the drop folder holds files that it did not hold at the last look.",
    )
    def new_drop_files(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource
    ) -> dg.SensorResult | dg.SkipReason:
        listing = drop_listing(warehouse.settings().drop)
        if not listing:
            return dg.SkipReason("the drop folder holds no file of a known kind")
        digest = hashlib.sha256("\n".join(listing).encode()).hexdigest()[:20]
        if digest == context.cursor:
            return dg.SkipReason("no file is new since the last look")
        if _active(context, "new_drop_files"):
            return dg.SkipReason("intake is at work")
        request = dg.RunRequest(run_key=f"drop:{digest}", tags={_TAG: "new_drop_files"})
        return dg.SensorResult(run_requests=[request], cursor=digest)

    @dg.sensor(
        name="stale_days",
        target=dg.AssetSelection.assets(
            *[asset.split("/") for asset in (*VIEWS, *(rule.asset for rule in RULES))]
        ),
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes days that got rows (late ones too) or whose inputs changed, with all that depends on them, and "
        "learns the classifier anew when enough labels have changed.",
    )
    def stale_days(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        house = warehouse.open()
        newest = house.query("select coalesce(max(changed_tick), 0) as tick from oasis.asset_state")["tick"][
            0
        ].as_py()
        tick, _, done = (context.cursor or "0:").partition(":")
        if _active(context, "stale_days"):
            return dg.SkipReason("earlier runs of this sensor are at work")
        asked = set(done.split(",")) if int(tick) == newest else set()
        plan = current_plan(house)
        wait_for_labels(plan, house, store.open())
        wanted = next_runs(plan) if plan else []
        if not views_current(house):
            wanted = [(VIEWS, None), *wanted]
        runs = [(assets, days, run_name(assets, days)) for assets, days in wanted]
        due = [run for run in runs if run[2] not in asked][:RUNS_A_TICK]
        if not due:
            return dg.SensorResult(
                skip_reason="nothing is stale that was not tried already",
                cursor=f"{newest}:{done}" if int(tick) == newest else f"{newest}:",
            )
        requests = [_request(assets, days, f"{newest}:{name}") for assets, days, name in due]
        return dg.SensorResult(
            run_requests=requests, cursor=f"{newest}:{','.join(sorted(asked | {run[2] for run in due}))}"
        )

    return [new_drop_files, stale_days]


def drop_listing(folder: Path) -> list[str]:
    """Files of a known kind in the drop folder, with size and time, so that a file that grew is new again."""
    found = []
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    for path in entries:
        if parse_name(path.name) is not None:
            try:
                stat = path.stat()
            except OSError:
                continue
            found.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}")
    return found


def run_name(assets: tuple[str, ...], days: DayRange | None) -> str:
    """Short name of a run, the same for the same assets and days."""
    text = f"{assets} {days.first if days else ''} {days.last if days else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _request(assets: tuple[str, ...], days: DayRange | None, key: str) -> dg.RunRequest:
    selection = [dg.AssetKey(asset.split("/")) for asset in assets]
    tags = {_TAG: "stale_days"}
    if days is None:
        return dg.RunRequest(run_key=key, asset_selection=selection, tags=tags)
    # a range also of one day: a key would be refused where the day came before the graph's first day, until it is reloaded
    tags["dagster/asset_partition_range_start"] = days.first.isoformat()
    tags["dagster/asset_partition_range_end"] = days.last.isoformat()
    return dg.RunRequest(run_key=key, asset_selection=selection, tags=tags)


def _active(context: dg.SensorEvaluationContext, sensor: str) -> bool:
    filters = dg.RunsFilter(tags={_TAG: sensor}, statuses=_ACTIVE)
    return bool(context.instance.get_runs(filters=filters, limit=1))
