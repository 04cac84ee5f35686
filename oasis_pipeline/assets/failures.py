"""Assets that forecast failures: wells' days, forecasters, windows, run life, alarms and their backtest.

Here: definitions and what their metadata shows. What they read and write stands in ``well_days``, ``failure_forecasts``, ``run_life``
and ``alarms`` beside this module.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from oasis_pipeline.assets.alarms import ALARM, AlarmSummary, backtest, make_alarms
from oasis_pipeline.assets.common import (
    MEMORY_POOL,
    ONE_RUN,
    SCIENCE_OWNER,
    WAREHOUSE_POOL,
    days_of,
    making,
    marked_days,
    table_metadata,
)
from oasis_pipeline.assets.failure_forecasts import (
    FORECASTER,
    FORECASTER_ASSET,
    XPRED,
    LearnedForecasters,
    forecast_failures,
    learn_failure_forecasters,
)
from oasis_pipeline.assets.pictures import signals_of_alarms
from oasis_pipeline.assets.run_life import (
    RUN_LIFE,
    RUN_LIFE_ASSET,
    RUNLIFE,
    LearnedLives,
    learn_run_life,
    run_life_days,
)
from oasis_pipeline.assets.well_days import WELL_DAYS, WELL_DAYS_VERSION, well_day_tables, well_days_schema
from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION, LEAST_FAILURES
from oasis_pipeline.learning.failures.run_life import RUN_LIFE_VERSION
from oasis_pipeline.storage.resources import StoreResource, WarehouseResource

BACKTEST = "clean/alarm_backtest"
_ALL_DAYS = dg.AllPartitionMapping()


def build_failure_assets(days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Assets of failure forecasts.

    Parameters
    ----------
    days : PartitionsDefinition
        Day partitions.

    Returns
    -------
    list of AssetsDefinition
    """

    @dg.asset(
        key=["clean", "well_days"],
        group_name="clean",
        deps=[
            dg.AssetKey(["xspoc", "card"]),
            dg.AssetKey(["xspoc", "xdiagresults"]),
            dg.AssetKey(["clean", "carddiag"]),
            dg.AssetKey(["clean", "card_features"]),
        ],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "parquet"},
        description="The mean of each quantity of a well and day that failures are forecast from. One Parquet file a day in the "
        "object store.",
        metadata={
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(field.name, str(field.type)) for field in well_days_schema()]
            ),
        },
        io_manager_key="parquet_io",
        code_version=WELL_DAYS_VERSION,
        pool=MEMORY_POOL,
    )
    def well_days(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> Iterator[dg.Output[Iterator[pa.Table]]]:
        span, house, objects = days_of(context), warehouse.open(), store.open()
        with making(house, WELL_DAYS, span.keys) as done:
            tables = marked_days(house, objects, WELL_DAYS, well_day_tables(house, objects, span), done)
            yield dg.Output(tables, metadata={"version": WELL_DAYS_VERSION})

    @dg.asset(
        key=["models", FORECASTER],
        group_name="models",
        deps=[
            dg.AssetDep(dg.AssetKey(["clean", "well_days"]), partition_mapping=_ALL_DAYS),
            dg.AssetKey(["analysis", "failure_info"]),
        ],
        owners=[SCIENCE_OWNER],
        kinds={"python", "scikitlearn"},
        description="Forecasters of failures, one for each cut-off (the 1st and the 16th of a month), chosen by what was known "
        "then. One that rests on an unchanged past is kept.",
        code_version=FORECAST_VERSION,
        pool=MEMORY_POOL,
    )
    def failure_forecaster(warehouse: WarehouseResource, store: StoreResource) -> dg.MaterializeResult[None]:
        house = warehouse.open()
        with making(house, FORECASTER_ASSET, [""]):
            learned = learn_failure_forecasters(house, store.open())
        return dg.MaterializeResult(metadata=forecaster_metadata(learned))

    @dg.asset(
        key=["clean", "xpred"],
        group_name="clean",
        deps=[
            dg.AssetKey(["models", FORECASTER]),
            dg.AssetKey(["clean", "well_days"]),
            dg.AssetKey(["xspoc", "rods"]),
            dg.AssetKey(["analysis", "failure_info"]),
        ],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "postgres"},
        description="Probability of each failure class within 3, 7, 15 and 30 days after each well's day, by a model whose data lie "
        "before that day, or by the base model.",
        metadata=table_metadata(XPRED),
        pool=MEMORY_POOL,
    )
    def xpred(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, XPRED.asset, span.keys) as done:
            summary = forecast_failures(house, store.open(), span)
            done.rows.update(summary.rows_by_day)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": summary.rows,
                "rows_by_model": dict(summary.versions),
                "classes": summary.classes,
                "new_columns": summary.new_columns,
            }
        )

    @dg.asset(
        key=["models", RUN_LIFE],
        group_name="models",
        deps=[
            dg.AssetDep(dg.AssetKey(["clean", "well_days"]), partition_mapping=_ALL_DAYS),
            dg.AssetKey(["analysis", "failure_info"]),
        ],
        owners=[SCIENCE_OWNER],
        kinds={"python"},
        description="How long tubing, pumps and rods last: a Weibull distribution of each, at each cut-off, with censored lives.",
        code_version=RUN_LIFE_VERSION,
        pool=WAREHOUSE_POOL,
    )
    def run_life(warehouse: WarehouseResource, store: StoreResource) -> dg.MaterializeResult[None]:
        house = warehouse.open()
        with making(house, RUN_LIFE_ASSET, [""]):
            learned = learn_run_life(house, store.open())
        return dg.MaterializeResult(metadata=run_life_metadata(learned))

    @dg.asset(
        key=["clean", "runlife"],
        group_name="clean",
        deps=[
            dg.AssetKey(["models", RUN_LIFE]),
            dg.AssetKey(["clean", "well_days"]),
            dg.AssetKey(["analysis", "failure_info"]),
        ],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "postgres"},
        description="Median and 90 % interval of the remaining life of tubing, pump and rods of each well, day by day.",
        metadata=table_metadata(RUNLIFE),
        pool=WAREHOUSE_POOL,
    )
    def runlife(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, RUNLIFE.asset, span.keys) as done:
            done.rows.update(run_life_days(house, span))
        return dg.MaterializeResult(metadata={"dagster/partition_row_count": sum(done.rows.values())})

    @dg.asset(
        key=["clean", "alarm"],
        group_name="clean",
        deps=[dg.AssetDep(dg.AssetKey(["clean", "xpred"]), partition_mapping=_ALL_DAYS)],
        owners=[SCIENCE_OWNER],
        kinds={"python", "postgres"},
        description="Alarms of failures to come, one an event, with the reasons in words. What a person said of one stays.",
        metadata=table_metadata(ALARM),
        pool=WAREHOUSE_POOL,
    )
    def alarm(warehouse: WarehouseResource, store: StoreResource) -> dg.MaterializeResult[None]:
        house, objects = warehouse.open(), store.open()
        with making(house, ALARM.asset, [""]) as done:
            summary = make_alarms(house, objects)
            done.rows[""] = sum(summary.states.values())
        return dg.MaterializeResult(
            metadata={
                **alarm_metadata(summary),
                "signals": dg.MetadataValue.md(signals_of_alarms(house, summary.open_rows)),
            }
        )

    @dg.asset(
        key=["clean", "alarm_backtest"],
        group_name="clean",
        deps=[dg.AssetKey(["clean", "alarm"]), dg.AssetKey(["analysis", "failure_info"])],
        owners=[SCIENCE_OWNER],
        kinds={"python"},
        description="How the rule of alarms did on the past: failures caught, lead, false alarms, with the forecasts as they were.",
        pool=WAREHOUSE_POOL,
    )
    def alarm_backtest(warehouse: WarehouseResource, store: StoreResource) -> dg.MaterializeResult[None]:
        house = warehouse.open()
        with making(house, BACKTEST, [""]):
            figures = backtest(house, store.open())
        return dg.MaterializeResult(metadata=figures or {"said": "there are no forecasts yet"})

    return [well_days, failure_forecaster, xpred, run_life, runlife, alarm, alarm_backtest]


def forecaster_metadata(learned: LearnedForecasters) -> dict[str, Any]:
    """Say what was learned at which cut-off, and why it was chosen."""
    if not learned.cutoffs:
        return {"said": "there is no cut-off with enough history yet: the base model forecasts"}
    lines = ["| cut-off | chosen | known failures | log loss of each candidate |", "|---|---|---:|---|"]
    for cutoff, fitted in learned.fitted.items():
        losses = ", ".join(f"{name} {value:.4f}" for name, value in sorted(fitted.log_loss.items()))
        lines.append(f"| {cutoff} | {fitted.kind} | {fitted.failures} | {losses} |")
    said = {}
    if learned.failures < LEAST_FAILURES:
        said["said"] = (
            f"{learned.failures} failures are known: a field's own model is tried from {LEAST_FAILURES} on"
        )
    return {
        "cutoffs": len(learned.cutoffs),
        "learned": len(learned.fitted),
        "kept": learned.kept,
        "known_failures": learned.failures,
        "models": dg.MetadataValue.md("\n".join(lines)),
        **said,
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
        "dagster/row_count": sum(summary.states.values()),
        "changed": summary.changed,
        "states": dict(summary.states),
        "standing": dg.MetadataValue.md("\n".join(lines)),
    }
