"""What is stale, made run by run in one process: by ``oasis run`` and by the jobs that sensors start.

Here: the runs of a pass, and what becomes of one that fails. Not here: what is stale (``staleness``), intake before it (``passes``), and how
an asset is made (``assets``).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg

from oasis_pipeline.assets.build import build_asset_definitions
from oasis_pipeline.assets.declaration import Calendar
from oasis_pipeline.assets.factory import step_name
from oasis_pipeline.assets.graph import BY_KEY, DAILY_VIEWS, GRAPH
from oasis_pipeline.assets.views import observe_views
from oasis_pipeline.automation.instance import PASS_TAG, end_runs_of_killed_passes, open_instance
from oasis_pipeline.automation.passes import one_pass_at_a_time
from oasis_pipeline.automation.plan import WHOLE, DayRange, Plan
from oasis_pipeline.automation.profile import Profile
from oasis_pipeline.automation.recording import record_empty_tables, record_intake
from oasis_pipeline.automation.staleness import current_plan, days_with_rows, next_runs, ranges
from oasis_pipeline.automation.summary import Advance, Failure, PassError, PassSummary
from oasis_pipeline.engine import open_engine
from oasis_pipeline.intake import PassReport
from oasis_pipeline.operations.dbt_project import VIEWS, views_current
from oasis_pipeline.operations.drift import CLASSIFIER, FEATURES
from oasis_pipeline.operations.home_files import take_home_files
from oasis_pipeline.operations.predictions import IN_USE, check_fits
from oasis_pipeline.operations.registry import model_row
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.first_days import read_first_day, read_first_reading_day
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.postgres import Warehouse

MOST_HALVES = 32
"""So many runs a pass spends on finding the days at fault of runs that failed: a fault of no single day is not looked for in a year of them."""

MAX_ROUNDS = 25
"""A pass asks for the plan anew after each round; what does not settle after this many is a fault of the rules."""


def predict_again(
    settings: Settings,
    version: str,
    first: date | None = None,
    last: date | None = None,
    *,
    advance: Advance = lambda what, done, total: None,
) -> PassSummary:
    """Make the predictions of days again with a chosen model, which the days keep from then on.

    Parameters
    ----------
    settings : Settings
        The installation.
    version : str
        A classifier of the registry, or ``in-use``: then the days go with the model in use again.
    first, last : date, optional
        Days, both included; all that have features by default.
    advance : callable
        Told what is being done, steps done and steps in all.

    Returns
    -------
    PassSummary
        Its runs; nothing is taken in.

    Raises
    ------
    ValueError
        If there is no such model, or it needs features of another release.
    PassError
        If the days could not be made.
    """
    with using_warehouse(settings) as warehouse, one_pass_at_a_time(warehouse.address):
        states = ledger.states(warehouse)
        row = model_row(warehouse, CLASSIFIER, None if version == IN_USE else version)
        if row is None:
            raise ValueError("there is no classifier yet: run `oasis run`")
        check_fits(row)
        days = [
            day
            for (asset, day), state in states.items()
            if asset == FEATURES
            and state.rows
            and (first is None or day >= first.isoformat())
            and (last is None or day <= last.isoformat())
        ]
        summary = PassSummary(PassReport())
        began = time.monotonic()
        graph = _Graph(settings, warehouse, days_with_rows(states))
        try:
            spans = ranges(days)
            for done, span in enumerate(spans):
                advance("predicting again", done, len(spans))
                config = {"clean__dynapred": {"config": {"model_version": version}}}
                summary.runs.append(graph.run(["clean/dynapred"], span, config))
        finally:
            summary.notes.extend(graph.notes)
            summary.failures.extend(graph.failures)
            graph.close()
        summary.raise_failures()
        summary.seconds["making"] = time.monotonic() - began
        return summary


def make_stale(
    settings: Settings,
    warehouse: Warehouse,
    summary: PassSummary,
    *,
    advance: Advance = lambda what, done, total: None,
    profile: Profile | None = None,
    instance: dg.DagsterInstance | None = None,
    plan_of: Callable[..., Plan] | None = None,
    until: float | None = None,
    after: Callable[[Sequence[str]], None] = lambda assets: None,
) -> None:
    """Materialize what is stale, run by run in this process; call it under the lock of a pass.

    Parameters
    ----------
    settings : Settings
        The installation.
    warehouse : Warehouse
        Its database.
    summary : PassSummary
        Gets the runs, notes and failures; what its intake changed is told to Dagster first.
    advance : callable
        Told what is being done, steps done and steps in all.
    profile : Profile, optional
        Gets the time of each part.
    instance : DagsterInstance, optional
        Where runs are kept; the installation's own is opened where none is given.
    plan_of : callable, optional
        Finds what to make, given ``since``, the begin of this pass; by default everything that is stale.
    until : float, optional
        Time of the monotonic clock after which no run begins.
    after : callable
        Told the assets of each run when it has ended.
    """
    since = ledger.clock(warehouse)
    summary.faulty_files = take_home_files(warehouse, settings.home)
    summary.notes += summary.faulty_files
    plan_of = plan_of or partial(current_plan, warehouse)
    plan = plan_of()
    if plan:
        # a cluster that is not there stops the pass, and not one run after the other
        open_engine(settings)
    sources = (*Calendar.CARDS.value, *Calendar.READINGS.value)
    graph = _Graph(settings, warehouse, days_with_rows(ledger.states(warehouse), sources), profile, instance)
    try:
        if summary.intake.changed:
            graph.record(summary.intake)
        if not views_current(warehouse):
            # Dagster compares only with what it saw before a partition was made: an upgraded home has rows and no intake
            observe_views(graph.instance, warehouse, DAILY_VIEWS)
            summary.runs.append(graph.run(VIEWS, None))
            record_empty_tables(graph.instance)
        order = [asset.key for asset in GRAPH]
        tried: set[tuple[tuple[str, ...], DayRange | None]] = set()
        halves_left = MOST_HALVES
        for _ in range(MAX_ROUNDS):
            # what failed in this pass waits by the ledger; a run that ended before the ledger knew is not tried twice
            due = [run for run in next_runs(plan) if run not in tried] if plan else []
            if not due:
                break
            queue = deque(due)
            while queue:
                assets, days = queue.popleft()
                if until is not None and time.monotonic() > until:
                    return
                advance("materializing", order.index(assets[-1]), len(order))
                failed = len(graph.failures)
                summary.runs.append(graph.run(assets, days))
                after(assets)
                if len(graph.failures) > failed:
                    tried.add((assets, days))
                    halves = graph.halves(failed, days) if halves_left > 1 else []
                    halves_left -= len(halves)
                    queue.extendleft(reversed(halves))
                    if not halves:
                        _forget_made_along(warehouse, plan, assets, days)
            plan = plan_of(since=since)
        else:
            left = ", ".join(sorted({*plan.days, *plan.whole}))
            raise PassError(f"still stale after {MAX_ROUNDS} rounds: {left}")
        if not views_current(warehouse) and not graph.failures:
            # a class of failure that came with this pass brought a column
            summary.runs.append(graph.run(VIEWS, None))
        for (asset, _), reason in plan.waiting.items():
            summary.waiting.setdefault(asset, reason)
    finally:
        summary.notes.extend(graph.notes)
        summary.failures.extend(graph.failures)
        graph.close()


def _forget_made_along(
    warehouse: Warehouse, plan: Plan, assets: Sequence[str], days: DayRange | None
) -> None:
    """Take back the failure of days that were current: they were to be made again only so that two runs are one."""
    keys = set(days.keys()) if days is not None else set()
    with warehouse.transaction() as tx:
        for asset in assets:
            ledger.forget_failures(tx, asset, keys & plan.current.get(asset, {}).keys())


class _Graph:
    """The definitions and the instance of this process, loaded once for all runs of a pass, and only when needed."""

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        days: Sequence[str],
        profile: Profile | None = None,
        instance: dg.DagsterInstance | None = None,
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.warehouse = warehouse
        self.last_day = date.fromisoformat(days[-1]) if days else None
        self.notes: list[str] = []
        self.failures: list[Failure] = []
        self._given = instance
        self._instance: dg.DagsterInstance | None = None
        self._job: dg.JobDefinition | None = None
        self._first: tuple[date | None, ...] = ()

    @property
    def instance(self) -> dg.DagsterInstance:
        if self._instance is None:
            self._instance = self._given or open_instance(self.settings, self.warehouse.address)
            end_runs_of_killed_passes(self._instance)
        return self._instance

    @property
    def job(self) -> dg.JobDefinition:
        first = read_first_day(self.settings), read_first_reading_day(self.settings)
        # readings of an earlier day may come by the data service while the pass is at work
        if self._job is None or self._first != first:
            began = time.monotonic()
            self._first = first
            definitions = build_asset_definitions(self.settings, last_day=self.last_day)
            self._job = definitions.resolve_implicit_global_asset_job_def()
            if self.profile is not None:
                self.profile.load_s += time.monotonic() - began
        return self._job

    def record(self, report: PassReport) -> None:
        """Tell Dagster what intake changed."""
        record_intake(self.instance, self.warehouse, report)

    def run(
        self, assets: Sequence[str], days: DayRange | None, ops: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make assets in one Dagster run, with the configuration of its steps; what fails is noted in `failures`."""
        job, began = self.job, time.monotonic()
        tags = dict(PASS_TAG)
        key: str | None = None
        if days is not None and days.first == days.last:
            key = days.first.isoformat()
        elif days is not None:
            tags["dagster/asset_partition_range_start"] = days.first.isoformat()
            tags["dagster/asset_partition_range_end"] = days.last.isoformat()
        with _quiet():
            result = job.execute_in_process(
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": dict(ops or {}),
                },
                instance=self.instance,
                asset_selection=[dg.AssetKey(name.split("/")) for name in assets],
                partition_key=key,
                tags=tags,
                raise_on_error=False,
            )
        seconds = time.monotonic() - began
        self._judge(result, assets, days)
        if self.profile is not None:
            self.profile.note_run(self.instance, result.run_id, seconds, self._rows(assets, days))
        return {
            "run_id": result.run_id,
            "assets": list(assets),
            "days": [days.first.isoformat(), days.last.isoformat()] if days else [WHOLE],
            "seconds": round(seconds, 2),
        }

    def _rows(self, assets: Sequence[str], days: DayRange | None) -> dict[str, int]:
        """Rows that each step's assets hold in the partitions of a run."""
        wanted = set(days.keys()) if days else {WHOLE}
        found: dict[str, int] = {}
        for (asset, partition), state in ledger.states(self.warehouse, list(assets)).items():
            if partition in wanted and state.rows is not None:
                step = _step_of(asset)
                found[step] = found.get(step, 0) + state.rows
        return found

    def _judge(self, result: dg.ExecuteInProcessResult, assets: Sequence[str], days: DayRange | None) -> None:
        before, blocked = len(self.failures), []
        for evaluation in result.get_asset_check_evaluations():
            if not evaluation.passed:
                name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
                text = f"check {name} {'failed' if evaluation.blocking else 'warns'}: {evaluation.description or 'see the asset in the web UI'}"
                self.notes.append(text)
                if evaluation.blocking:
                    blocked.append(evaluation)
        for event in result.all_events:
            note = event.materialization.metadata.get("note") if event.is_step_materialization else None
            if note is not None:
                self.notes.append(f"{', '.join(assets)}: {note.value}")
        if result.success:
            return
        span = (days.first.isoformat(), days.last.isoformat()) if days else (WHOLE,)
        made = {
            event.asset_key.to_user_string()
            for event in result.all_events
            if event.is_step_materialization and event.asset_key is not None
        }
        for evaluation in blocked:
            key = evaluation.asset_key.to_user_string()
            self.failures.append(
                Failure(key, span, f"check {evaluation.check_name}: {evaluation.description}")
            )
        for event in result.all_events:
            if event.is_step_failure and not blocked:
                reason = _root_cause(event)
                own = [key for key in assets if _step_of(key) == event.step_key] or [str(event.step_key)]
                self.failures += [Failure(key, span, reason, of_step=True) for key in own]
                self._keep([key for key in own if key in BY_KEY and key not in made], days, reason)
        if len(self.failures) == before:
            self.failures.append(
                Failure(", ".join(assets), span, f"see the run {result.run_id} in the web UI")
            )

    def halves(self, failed: int, days: DayRange | None) -> list[tuple[tuple[str, ...], DayRange]]:
        """Cut a run of days that failed into two, of the assets that failed; their failures from number `failed` on give way to those of the halves."""
        again = [each for each in self.failures[failed:] if each.of_step and each.asset in BY_KEY]
        if days is None or days.first == days.last or not again:
            return []
        self.failures[failed:] = [each for each in self.failures[failed:] if each not in again]
        wanted = {each.asset for each in again}
        with self.warehouse.transaction() as tx:
            for asset in wanted:
                ledger.count_failure_less(tx, asset, days.keys())
        middle = days.first + timedelta(days=(days.last - days.first).days // 2)
        assets = tuple(asset.key for asset in GRAPH if asset.key in wanted)
        return [
            (assets, DayRange(days.first, middle)),
            (assets, DayRange(middle + timedelta(days=1), days.last)),
        ]

    def _keep(self, assets: Sequence[str], days: DayRange | None, reason: str) -> None:
        """Enter failures into the ledger that happened before the body could."""
        states = ledger.states(self.warehouse, assets)
        partitions = days.keys() if days else [WHOLE]
        with self.warehouse.transaction() as tx:
            for asset in assets:
                known = (states.get((asset, partition)) for partition in partitions)
                if not any(state is not None and state.error for state in known):
                    ledger.mark_failed(tx, asset, partitions, reason)

    def close(self) -> None:
        """Let go of the instance's connections."""
        if self._instance is not None and self._given is None:
            self._instance.dispose()


def _step_of(asset: str) -> str:
    """Name of the step that makes an asset."""
    declared = BY_KEY.get(asset)
    if declared is None or declared.body is None:
        return "dbt_days" if declared is not None else "dbt_views"
    return step_name([each for each in GRAPH if each.body is declared.body])


def _root_cause(event: dg.DagsterEvent) -> str:
    error: Any = getattr(event.event_specific_data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error is not None else "failed"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dagster's and dbt's own lines off the terminal; they are in the run's event log."""
    loggers = [logging.getLogger(name) for name in ("dagster", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
