"""Sensors: what runs because something arrived.

All have a cursor and a bounded amount of work a tick, and are triggered by an edge: what failed is tried again when something
changes, or after a time that grows with each failure (``staleness.retry_at``). A sensor that asked again for whatever is not there could
start the same failing run for weeks.
"""

import hashlib
import json
import time
from collections.abc import Collection
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from oasis_pipeline.assets.declaration import Calendar
from oasis_pipeline.assets.graph import READING_ASSETS
from oasis_pipeline.assets.resources import StoreResource, WarehouseResource
from oasis_pipeline.automation.alerts import attend
from oasis_pipeline.automation.jobs import Jobs, keys_of
from oasis_pipeline.automation.plan import DayRange
from oasis_pipeline.automation.staleness import (
    LONGEST_RETRY,
    States,
    next_runs,
    plan_unattended,
    ranges,
    stale,
)
from oasis_pipeline.intake import left_files
from oasis_pipeline.intake.drop_folder import judge, list_drop_folder
from oasis_pipeline.intake.sources import SourceError, open_sources
from oasis_pipeline.operations.dbt_project import views_current
from oasis_pipeline.operations.home_files import take_home_files
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.first_days import note_first_days

DAYS_A_TICK = 30
"""Days of readings that one tick starts; a backfill over years goes on with the next ticks."""

RETRY_S = 900
"""Between two passes for files that the one before left: what kept them out (a store that did not answer) may be over."""

QUIET_S = 600
"""Between two materializations of a day of readings that goes on changing."""

SOURCE_LONGEST_S = 1800
"""Longest pause between two looks at a source that does not answer."""

READINGS, MODULES = "iot/readings", "iot/module"

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
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts intake when the drop folder holds a settled file; files that a pass left there are tried again every "
        f"{RETRY_S // 60} minutes.",
    )
    def new_drop_files(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource
    ) -> dg.SensorResult | dg.SkipReason:
        settings = warehouse.settings()
        cursor = DropCursor.parse(context.cursor)
        try:
            found = judge(list_drop_folder(settings.drop, settings.field_now()).files, settings)
        except OSError as error:
            return dg.SkipReason(f"can't read the drop folder {settings.drop}: {error.strerror}")
        if not found.settled:
            cursor.digest = cursor.plain = ""
            names = ", ".join(file.drop.name for file, _, _ in found.waiting[:3])
            why = (
                f"still being written: {names}" if names else "the drop folder holds no file of a known kind"
            )
            return dg.SensorResult(skip_reason=why, cursor=str(cursor))
        if _active(context, "new_drop_files"):
            return dg.SkipReason("intake is at work")
        left = {row["fingerprint"] for row in left_files(warehouse.open(), settings.drop)}
        ready = [file.fingerprint for file in found.settled]
        if not cursor.ask(ready, left, time.time(), failed=_failed(context, "new_drop_files")):
            return dg.SkipReason(
                f"no new file since the last pass; files it left are tried again every {RETRY_S // 60} minutes, `oasis status` shows why"
            )
        request = dg.RunRequest(run_key=f"drop:{cursor.asked}:{cursor.digest}", tags={_TAG: "new_drop_files"})
        return dg.SensorResult(run_requests=[request], cursor=str(cursor))

    @dg.sensor(
        name="live_source",
        job=jobs.source,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts an increment of the live sources (OASIS_SOURCE_URL, OASIS_REMOTE_DROP) when a look at them finds new rows or files, or a sweep for "
        f"late rows is due. What does not answer is asked again after a time that doubles up to {SOURCE_LONGEST_S // 60} minutes.",
    )
    def live_source(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        settings = warehouse.settings()
        if settings.source_url is None and settings.remote_drop is None:
            return dg.SkipReason("no live source is configured (OASIS_SOURCE_URL, OASIS_REMOTE_DROP)")
        cursor = SourceCursor.parse(context.cursor)
        if _active(context, "live_source"):
            return dg.SkipReason("an increment is at work")
        cursor.take(_failed(context, "live_source"))
        why, faults = None, []
        try:
            sources = open_sources(settings, warehouse.open(), store.open())
            every_s = min(source.every_s for source in sources)
            if not cursor.due(every_s, time.time()):
                wait = f"the source is looked at every {every_s:g} s" + (
                    f", now every {cursor.pause_s(every_s):g} s after {cursor.failures} failures"
                    if cursor.failures
                    else ""
                )
                return dg.SensorResult(skip_reason=wait, cursor=str(cursor))
            with ExitStack() as opened:
                for source in sources:
                    opened.enter_context(closing(source))
                    try:
                        why = why or source.news()
                    except SourceError as error:
                        context.log.warning(str(error))
                        faults.append(error)
            if len(faults) == len(sources):
                raise faults[0]
        except SourceError as error:
            cursor.looked(time.time(), failed=True)
            context.log.warning(str(error))
            return dg.SensorResult(skip_reason=str(error), cursor=str(cursor))
        cursor.looked(time.time(), asked=why is not None)
        if why is None:
            return dg.SensorResult(
                skip_reason="; ".join(["nothing is new in the sources", *map(str, faults)]),
                cursor=str(cursor),
            )
        request = dg.RunRequest(run_key=f"source:{cursor.asked}", tags={_TAG: "live_source"})
        return dg.SensorResult(run_requests=[request], cursor=str(cursor))

    @dg.sensor(
        name="stale_days",
        job=jobs.stale,
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes stale days (late rows, changed upstream assets) and everything downstream of them, and trains the classifier "
        "when enough labels have changed. What a run of intake brings it materializes itself, as far as it gets in a minute.",
    )
    def stale_days(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        database = warehouse.open()
        note_first_days(database, warehouse.settings())
        for wrong in take_home_files(database, warehouse.settings().home):
            context.log.warning(wrong)
        newest = database.query(
            "select coalesce(max(greatest(changed_tick, failed_tick)), 0) as tick from oasis.asset_state"
        )["tick"][0].as_py()
        if _active(context, "stale_days", "new_drop_files", "live_source"):
            return dg.SkipReason("earlier runs are at work")
        cursor = DaysCursor.parse(context.cursor).at(newest, time.time())
        plan = plan_unattended(database, store.open())
        runs = next_runs(plan) if plan else []
        names = [run_name(assets, days) for assets, days in runs]
        if not views_current(database):
            names.append("views")
        name = _digest(names)
        if not names or name in cursor.asked:
            return dg.SensorResult(
                skip_reason="nothing is stale that was not tried already, or is to be tried again yet",
                cursor=str(cursor),
            )
        cursor.asked.add(name)
        request = dg.RunRequest(run_key=f"{cursor.key}:{name}", tags={_TAG: "stale_days"})
        return dg.SensorResult(run_requests=[request], cursor=str(cursor))

    @dg.sensor(
        name="stale_readings",
        job=jobs.readings,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes the days of sensor readings that changed, late ones too, and everything downstream of them: "
        f"at most {DAYS_A_TICK} days an evaluation, and a day that keeps changing every {QUIET_S // 60} minutes.",
    )
    def stale_readings(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource
    ) -> dg.SensorResult | dg.SkipReason:
        note_first_days(warehouse.open(), warehouse.settings())
        states = ledger.states(warehouse.open(), [*Calendar.READINGS.value, *READING_ASSETS, MODULES])
        cursor = ReadingsCursor.parse(context.cursor)
        events = changed_readings(states, cursor)
        if _active(context, "stale_readings"):
            due = []
        else:
            due = due_readings(states, cursor, time.time())
        requests = [
            _request(
                READING_ASSETS,
                span,
                f"{cursor.key(span)}:{run_name(READING_ASSETS, span)}",
                "stale_readings",
            )
            for span in ranges(due)
        ]
        skip = None if requests or events else "no day of readings is stale that was not tried already"
        return dg.SensorResult(
            run_requests=requests, asset_events=events, cursor=str(cursor), skip_reason=skip
        )

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks for what is wrong, or newly wrong with a well, and tells those who asked for it in alerts.toml. Starts nothing.",
    )
    def alerts(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SkipReason:
        report = attend(warehouse.open(), warehouse.settings())
        for fault in report.faults:
            context.log.warning(fault)
        return dg.SkipReason(str(report))

    return [new_drop_files, live_source, stale_days, stale_readings, alerts]


@dataclass
class DropCursor:
    """For which files the sensor of the drop folder has asked for a pass.

    Attributes
    ----------
    asked : int
        Passes asked for so far: each has a key of its own, for Dagster starts none for a key that it knows, and the very same file may be
        dropped again.
    digest, plain : str
        Of the files that the last one was asked for: with, and without what changes when a file is claimed and put back.
    at_s : float
        When, in seconds since 1970.
    """

    asked: int = 0
    digest: str = ""
    plain: str = ""
    at_s: float = 0.0

    @classmethod
    def parse(cls, text: str | None) -> "DropCursor":
        """Read it from what `str` has written, or an earlier release."""
        try:
            return cls(**json.loads(text or "{}"))
        except (ValueError, TypeError):
            return cls()

    def __str__(self) -> str:
        """As JSON."""
        return json.dumps(vars(self))

    def ask(self, ready: list[str], left: Collection[str], now_s: float, *, failed: bool = False) -> bool:
        """Decide whether a pass is due, and note it if so.

        Parameters
        ----------
        ready : list of str
            Fingerprints of the files that are settled.
        left : collection of str
            Fingerprints of those that the last pass left.
        now_s : float
            Seconds since 1970.
        failed : bool
            Whether the last pass ended in a failure: then the same files wait like those that were left.

        Returns
        -------
        bool
        """
        new = [file for file in ready if file not in left]
        digest = _digest(new or ready)
        plain = _digest([" ".join(file.split(" ")[:3]) for file in new or ready])
        known = not new or digest == self.digest or (failed and plain == self.plain)
        if known and 0 <= now_s - self.at_s < RETRY_S:
            return False
        self.asked, self.digest, self.plain, self.at_s = self.asked + 1, digest, plain, now_s
        return True


@dataclass
class SourceCursor:
    """When the live source was looked at, and how that went.

    Attributes
    ----------
    asked : int
        Increments asked for so far: each has a key of its own.
    at_s : float
        Last look, in seconds since 1970.
    failures : int
        Looks and increments that failed one after the other.
    open : bool
        Whether the outcome of the increment asked for last has not been counted yet.
    """

    asked: int = 0
    at_s: float = 0.0
    failures: int = 0
    open: bool = False

    @classmethod
    def parse(cls, text: str | None) -> "SourceCursor":
        """Read it from what `str` has written."""
        try:
            return cls(**json.loads(text or "{}"))
        except (ValueError, TypeError):
            return cls()

    def __str__(self) -> str:
        """As JSON."""
        return json.dumps(vars(self))

    def take(self, failed: bool) -> None:
        """Count the outcome of the increment asked for last, once."""
        if self.open:
            self.failures = self.failures + 1 if failed else 0
            self.open = False

    def pause_s(self, every_s: float) -> float:
        """Seconds between two looks."""
        return max(every_s, min(SOURCE_LONGEST_S, every_s * 2.0 ** min(self.failures, 20)))

    def due(self, every_s: float, now_s: float) -> bool:
        """Whether it is time to look; also when the clock was set back."""
        return not 0 <= now_s - self.at_s < self.pause_s(every_s)

    def looked(self, now_s: float, *, asked: bool = False, failed: bool = False) -> None:
        """Note a look."""
        self.at_s = now_s
        if failed:
            self.failures += 1
        elif asked:
            self.asked, self.open = self.asked + 1, True
        else:
            self.failures = 0


@dataclass
class DaysCursor:
    """What the sensor of days has asked for since the ledger last changed.

    Attributes
    ----------
    tick : int
        Newest tick of a change or a failure.
    since_s : float
        When this tick was first seen, seconds since 1970.
    asked : set of str
        Names of runs asked for since. A run that ended before the ledger knew of it is asked for again when something changes, or after
        `LONGEST_RETRY`.
    """

    tick: int = 0
    since_s: float = 0.0
    asked: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str | None) -> "DaysCursor":
        """Read it from what `str` has written; what an earlier release has written counts as nothing."""
        try:
            found = json.loads(text or "{}")
            return cls(int(found["tick"]), float(found["since_s"]), set(found["asked"]))
        except (ValueError, KeyError, TypeError):
            return cls()

    def at(self, tick: int, now_s: float) -> "DaysCursor":
        """Forget what was asked for if the ledger has changed since, or long ago."""
        if tick == self.tick and now_s - self.since_s < LONGEST_RETRY.total_seconds():
            return self
        return DaysCursor(tick, now_s)

    @property
    def key(self) -> str:
        """Begin of the keys of runs: Dagster starts each key once."""
        return f"{self.tick}:{self.since_s:.0f}"

    def __str__(self) -> str:
        """As JSON."""
        return json.dumps({"tick": self.tick, "since_s": self.since_s, "asked": sorted(self.asked)})


@dataclass
class ReadingsCursor:
    """What the sensor of readings has seen and asked for.

    Attributes
    ----------
    seen : int
        Newest tick of a change that was recorded.
    asked : dict of str to list
        Day -> newest tick of its inputs and time in seconds when it was last asked for.
    """

    seen: int = 0
    asked: dict[str, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "ReadingsCursor":
        """Read it from what `str` has written."""
        found = json.loads(text) if text else {}
        return cls(
            found.get("seen", 0), {day: (int(t), float(s)) for day, (t, s) in found.get("asked", {}).items()}
        )

    def key(self, span: DayRange) -> str:
        """Begin of the key of a run of days that were asked for just now."""
        tick, asked_at = self.asked[span.last.isoformat()]
        return f"{tick}:{asked_at:.0f}"

    def __str__(self) -> str:
        """As JSON."""
        return json.dumps({"seen": self.seen, "asked": self.asked})


def changed_readings(states: States, cursor: ReadingsCursor) -> list[dg.AssetMaterialization]:
    """Events for what the data service and intake have changed since the last look; moves the cursor on."""
    news = sorted(
        (state.changed_tick, asset, partition, state.rows)
        for (asset, partition), state in states.items()
        if asset in (*Calendar.READINGS.value, MODULES) and state.changed_tick > cursor.seen
    )[:DAYS_A_TICK]
    if news:
        cursor.seen = news[-1][0]
    return [
        dg.AssetMaterialization(
            asset_key=dg.AssetKey(asset.split("/")),
            partition=partition or None,
            metadata={} if rows is None else {"rows": rows},
            description="rows arrived by the data service or the drop folder",
        )
        for _, asset, partition, rows in news
    ]


def due_readings(states: States, cursor: ReadingsCursor, now_s: float) -> list[str]:
    """Choose the days of readings to make now, and note them in the cursor.

    Parameters
    ----------
    states : mapping of (asset, partition) to State
        The ledger of readings.
    cursor : ReadingsCursor
        Gets the days chosen; days that are up to date leave it.
    now_s : float
        Seconds since 1970.

    Returns
    -------
    list of str
        A day is due when it is stale and its readings changed after it was last asked for, or its materialization failed since; and
        not more than once in `QUIET_S`, for a module that sends by the minute changes its day by the minute. The newest days first,
        `DAYS_A_TICK` at most.
    """
    plan = stale(states, now=datetime.fromtimestamp(now_s, UTC))
    days = set().union(*(plan.days.get(asset, set()) for asset in READING_ASSETS))
    cursor.asked = {
        day: asked for day, asked in cursor.asked.items() if day in days or now_s - asked[1] < QUIET_S
    }
    due = []
    for day in sorted(days, reverse=True):
        tick = max(
            (
                states[asset, day].changed_tick
                for asset in (*Calendar.READINGS.value, READINGS)
                if (asset, day) in states
            ),
            default=0,
        )
        asked_tick, asked_at = cursor.asked.get(day, (-1, 0.0))
        failed = any(
            (state := states.get((asset, day))) is not None
            and state.failed_at is not None
            and state.failed_at.timestamp() >= asked_at
            for asset in READING_ASSETS
        )
        if (tick > asked_tick or failed) and now_s - asked_at >= QUIET_S:
            due.append(day)
            cursor.asked[day] = (tick, now_s)
        if len(due) == DAYS_A_TICK:
            break
    return sorted(due)


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:20]


def run_name(assets: tuple[str, ...], days: DayRange | None) -> str:
    """Short name of a run, the same for the same assets and days."""
    text = f"{assets} {days.first if days else ''} {days.last if days else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _request(assets: tuple[str, ...], days: DayRange, key: str, sensor: str) -> dg.RunRequest:
    tags = {_TAG: sensor}
    # a range also of one day: a key would be refused where the day came before the graph's first day, until it is reloaded
    tags["dagster/asset_partition_range_start"] = days.first.isoformat()
    tags["dagster/asset_partition_range_end"] = days.last.isoformat()
    return dg.RunRequest(run_key=key, asset_selection=keys_of(assets), tags=tags)


def _active(context: dg.SensorEvaluationContext, *sensors: str) -> bool:
    filters = dg.RunsFilter(tags={_TAG: list(sensors)}, statuses=_ACTIVE)
    return bool(context.instance.get_runs(filters=filters, limit=1))


def _failed(context: dg.SensorEvaluationContext, sensor: str) -> bool:
    """Whether the newest run of a sensor failed."""
    runs = context.instance.get_runs(filters=dg.RunsFilter(tags={_TAG: sensor}), limit=1)
    return bool(runs) and runs[0].status == dg.DagsterRunStatus.FAILURE
