"""Assets that forecast failures: wells' days, forecasters, windows, run life, alarms and their backtest.

Here: declarations and what their metadata shows. What they read and write stands in ``well_days``, ``failure_forecasts``, ``run_life``
and ``alarms`` of ``operations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from oasis_pipeline.assets.common import WAREHOUSE_POOL
from oasis_pipeline.assets.declaration import (
    Due,
    Run,
    all_days,
    day_asset,
    days_back,
    from_its_day,
    histories,
    kept,
    same_day,
    whole,
    whole_asset,
)
from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION
from oasis_pipeline.learning.failures.run_life import RUN_LIFE_VERSION
from oasis_pipeline.learning.failures.windows import MEMORY_DAYS
from oasis_pipeline.operations.alarm_decisions import ALARM
from oasis_pipeline.operations.alarms import ALARM_VERSION, AlarmSummary, backtest, make_alarms
from oasis_pipeline.operations.failure_forecasts import (
    FORECASTER_ASSET,
    XPRED,
    XPRED_VERSION,
    LearnedForecasters,
    forecast_failures,
    learn_failure_forecasters,
)
from oasis_pipeline.operations.pictures import signals_of_alarms
from oasis_pipeline.operations.run_life import (
    RUN_LIFE_ASSET,
    RUNLIFE,
    RUNLIFE_VERSION,
    LearnedLives,
    learn_run_life,
    run_life_days,
)
from oasis_pipeline.operations.well_days import (
    FEATURES,
    WELL_DAYS,
    WELL_DAYS_VERSION,
    well_day_tables,
    well_days_schema,
)

BACKTEST = "clean/alarm_backtest"


@day_asset(
    WELL_DAYS,
    inputs=[same_day("xspoc/card", "xspoc/xdiagresults", "clean/carddiag", FEATURES)],
    code_version=WELL_DAYS_VERSION,
    group="forecasts",
    description="The mean of each quantity of a well and day that failures are forecast from. One Parquet file a day in the "
    "object store.",
    columns=well_days_schema,
)
def well_days(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """Make ``clean/well_days``."""
    return well_day_tables(run.warehouse, run.store, run.days, run.engine)


@whole_asset(
    FORECASTER_ASSET,
    inputs=[all_days(WELL_DAYS), whole("analysis/failure_info"), kept("xspoc/rods_history")],
    due=Due.CUTOFFS,
    code_version=FORECAST_VERSION,
    description="Forecasters of failures, one for each cut-off (the 1st and the 16th of a month), fitted with what was known "
    "then. One that rests on an unchanged past is kept.",
)
def failure_forecaster(run: Run) -> dict[str, Any]:
    """Make ``models/failure_forecaster``."""
    return forecaster_metadata(learn_failure_forecasters(run.warehouse, run.store))


@day_asset(
    "clean/xpred",
    inputs=[
        days_back(MEMORY_DAYS + 1, WELL_DAYS),
        histories("rods"),
        from_its_day("analysis/failure_info", FORECASTER_ASSET),
    ],
    code_version=XPRED_VERSION,
    group="forecasts",
    description="Probability of each failure class within 3, 7, 15 and 30 days after each well's day, by a model whose data lie "
    "before that day, or by the base model.",
    table=XPRED,
)
def xpred(run: Run) -> dict[str, Any]:
    """Make ``clean.xpred``."""
    summary = forecast_failures(run.warehouse, run.store, run.days)
    run.rows(summary.rows_by_day)
    return {
        "rows_by_model": dict(summary.versions),
        "classes": summary.classes,
        "new_columns": summary.new_columns,
    }


@whole_asset(
    RUN_LIFE_ASSET,
    inputs=[all_days(WELL_DAYS), whole("analysis/failure_info"), kept("xspoc/card", "xspoc/xdiagresults")],
    due=Due.CUTOFFS,
    code_version=RUN_LIFE_VERSION,
    description="How long tubing, pumps and rods last: a Weibull distribution of each, at each cut-off, with censored lives.",
    pool=WAREHOUSE_POOL,
)
def run_life(run: Run) -> dict[str, Any]:
    """Make ``models/run_life``."""
    return run_life_metadata(learn_run_life(run.warehouse, run.store))


@day_asset(
    "clean/runlife",
    inputs=[same_day(WELL_DAYS), from_its_day("analysis/failure_info", RUN_LIFE_ASSET)],
    code_version=RUNLIFE_VERSION,
    group="forecasts",
    description="Median and 90 % interval of the remaining life of tubing, pump and rods of each well, day by day.",
    table=RUNLIFE,
    pool=WAREHOUSE_POOL,
)
def runlife(run: Run) -> None:
    """Make ``clean.runlife``."""
    run.rows(run_life_days(run.warehouse, run.days))


@whole_asset(
    "clean/alarm",
    inputs=[all_days("clean/xpred"), kept(FORECASTER_ASSET, WELL_DAYS, "analysis/failure_info")],
    code_version=ALARM_VERSION,
    group="forecasts",
    description="Failure alarms, one an event, with reasons in words. Decisions of people are kept.",
    table=ALARM,
)
def alarm(run: Run) -> dict[str, Any]:
    """Make ``clean.alarm``."""
    summary = make_alarms(run.warehouse, run.store)
    run.rows(sum(summary.states.values()))
    signals = dg.MetadataValue.md(signals_of_alarms(run.warehouse, summary.open_rows))
    return {**alarm_metadata(summary), "signals": signals}


@whole_asset(
    BACKTEST,
    inputs=[all_days("clean/xpred"), whole("clean/alarm", "analysis/failure_info")],
    code_version=ALARM_VERSION,
    group="forecasts",
    description="Backtest of the alarm rule: failures caught, lead time, false alarms, with the forecasts of their time.",
    pool=WAREHOUSE_POOL,
)
def alarm_backtest(run: Run) -> dict[str, Any]:
    """Make ``clean/alarm_backtest``."""
    return backtest(run.warehouse, run.store) or {"said": "there are no forecasts yet"}


def forecaster_metadata(learned: LearnedForecasters) -> dict[str, Any]:
    """Say what was learned at which cut-off, and why it was chosen."""
    if not learned.cutoffs:
        return {"said": "there is no cut-off with enough history yet: the base model forecasts"}
    lines = ["| cut-off | known failures | alarms from, % | log loss |", "|---|---:|---:|---|"]
    for cutoff, fitted in learned.fitted.items():
        losses = ", ".join(f"{name} {value:.4f}" for name, value in sorted(fitted.log_loss.items()))
        threshold = fitted.forecaster.threshold
        limit = f"{100 * threshold:.1f}" if threshold < 1.0 else "none"
        lines.append(f"| {cutoff} | {fitted.failures} | {limit} | {losses} |")
    return {
        "cutoffs": len(learned.cutoffs),
        "learned": len(learned.fitted),
        "kept": learned.kept,
        "known_failures": learned.failures,
        "models": dg.MetadataValue.md("\n".join(lines)),
    }


def run_life_metadata(learned: LearnedLives) -> dict[str, Any]:
    """Say the distributions of the newest cut-off."""
    if not learned.by_cutoff:
        return {"said": "there is no cut-off with enough history yet: the base distribution stands in"}
    newest = max(learned.by_cutoff)
    lines = ["| component | characteristic life, d | shape | |", "|---|---:|---:|---|"]
    for name, fit in learned.by_cutoff[newest].items():
        note = "base: too few failures" if fit.is_base else ""
        lines.append(f"| {name} | {fit.scale_days:,.0f} | {fit.shape:.2f} | {note} |")
    return {
        "cutoff": newest.isoformat(),
        "known_failures": learned.failures,
        "cutoffs_that_changed": len(learned.changed),
        "lives": dg.MetadataValue.md("\n".join(lines)),
    }


def alarm_metadata(summary: AlarmSummary) -> dict[str, Any]:
    """Count the alarms and list those that stand."""
    lines = ["| well | raised | class | % in 15 d | state | reason |", "|---|---|---|---:|---|---|"]
    newest = sorted(summary.open_rows, key=lambda row: row["RaisedAt"], reverse=True)[:30]
    lines += [
        f"| {row['NodeID']} | {row['RaisedAt']:%Y-%m-%d %H:%M} | {row['Class']} | {row['Prob']:.0f} | {row['State']} "
        f"| {row['Reason']} |"
        for row in newest
    ]
    return {
        "changed": summary.changed,
        "states": dict(summary.states),
        "standing": dg.MetadataValue.md("\n".join(lines)),
    }
