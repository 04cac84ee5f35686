"""Schedules: what runs by the clock.

Not here: what runs because something arrived (``sensors``).
"""

from datetime import timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from oasis_pipeline.assets.declaration import Calendar
from oasis_pipeline.assets.factory import step_name
from oasis_pipeline.assets.graph import BY_KEY, DAY_ASSETS_OF_CARDS, MODELS
from oasis_pipeline.assets.resources import WarehouseResource
from oasis_pipeline.automation.jobs import Jobs, keys_of
from oasis_pipeline.automation.staleness import current_plan, days_with_rows
from oasis_pipeline.storage import ledger

CLASSIFIER = "models/dyna_classifier"


def _day_before(context: dg.ScheduleEvaluationContext, timezone: str) -> str:
    local = context.scheduled_execution_time.astimezone(ZoneInfo(timezone))
    return (local.date() - timedelta(days=1)).isoformat()


def build_schedules(jobs: Jobs, timezone: str = "UTC") -> list[dg.ScheduleDefinition]:
    """Make the schedules.

    Parameters
    ----------
    jobs : Jobs
        What they start.
    timezone : str
        The field's, by whose clock they run. Days of sensor readings are days of UTC, and so is their schedule.

    Returns
    -------
    list of ScheduleDefinition
    """

    @dg.schedule(
        name="daily_partition",
        job=jobs.days,
        cron_schedule="15 3 * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Materializes what is stale of yesterday when the day is over, including partitions that failed.",
    )
    def daily_partition(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        day = _day_before(context, timezone)
        database = warehouse.open()
        if day not in days_with_rows(ledger.states(database)):
            return dg.SkipReason(f"no rows of {day} have arrived")
        plan = current_plan(database, retry=True)
        stale = [asset for asset in DAY_ASSETS_OF_CARDS if day in plan.days.get(asset, ())]
        if not stale:
            return dg.SkipReason(f"{day} is made")
        return dg.RunRequest(run_key=f"day:{day}", partition_key=day, asset_selection=keys_of(stale))

    @dg.schedule(
        name="weekly_training",
        job=jobs.train,
        cron_schedule="45 4 * * 0",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Trains the classifier once a week, also when few labels have changed, with "
        "the vendor's labels of new cards. A model that is worse than the one in use is not promoted.",
    )
    def weekly_training(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        database = warehouse.open()
        if not days_with_rows(ledger.states(database)):
            return dg.SkipReason("no cards have arrived")
        stale = current_plan(database, retry=True).whole
        return dg.RunRequest(
            run_key=f"week:{_day_before(context, timezone)}",
            # the classifier in any case: the vendor says something of new cards each week
            asset_selection=keys_of([each for each in MODELS if each in stale or each == CLASSIFIER]),
            run_config={
                "ops": {step_name([BY_KEY[CLASSIFIER]]): {"config": {"compare_earlier_method": True}}}
            },
        )

    @dg.schedule(
        name="daily_readings",
        job=jobs.readings,
        cron_schedule="20 0 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Materializes yesterday's sensor readings (UTC) when the day is over; the sensor covers readings that arrive later.",
    )
    def daily_readings(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        day = _day_before(context, "UTC")
        if day not in days_with_rows(ledger.states(warehouse.open()), Calendar.READINGS.value):
            return dg.SkipReason(f"no readings of {day} have arrived")
        return dg.RunRequest(run_key=f"readings:{day}", partition_key=day)

    return [daily_partition, weekly_training, daily_readings]
