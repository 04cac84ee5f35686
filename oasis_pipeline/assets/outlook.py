"""Assets that look ahead without failures: the next cards, cards that depart from their forecast, trends of the fleet.

Here: definitions. What they read and write stands in ``card_days``, ``card_forecasts`` and ``trend_rows`` beside this module.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from oasis_pipeline.assets.card_days import CARD_DAYS, card_day_tables, card_days_schema
from oasis_pipeline.assets.card_forecasts import (
    CARDANOMALY,
    CARDPRED,
    FORECASTER,
    MODEL_ASSET,
    LearnedForecasters,
    forecast_days,
    learn_forecasters,
    missing_cutoffs,
    score_days,
)
from oasis_pipeline.assets.common import (
    MEMORY_POOL,
    ONE_RUN,
    SCIENCE_OWNER,
    days_of,
    making,
    marked_days,
    table_metadata,
)
from oasis_pipeline.assets.pictures import cards_against_forecast
from oasis_pipeline.assets.trend_rows import TREND, trend_days
from oasis_pipeline.learning.card_forecast.learn import skill_of
from oasis_pipeline.learning.card_forecast.model import STATE_VERSION
from oasis_pipeline.storage.resources import StoreResource, WarehouseResource


def build_outlook_assets(days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Assets of card forecasts and trends.

    Parameters
    ----------
    days : PartitionsDefinition
        Day partitions.

    Returns
    -------
    list of AssetsDefinition
    """

    @dg.asset(
        key=["clean", "card_days"],
        group_name="clean",
        deps=[dg.AssetKey(["xspoc", "card"]), dg.AssetKey(["clean", "dynabounds"])],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "parquet"},
        description="The newest card and the mean card of each well and day, in inches and pounds: what cards are forecast "
        "from. One Parquet file a day in the object store.",
        metadata={
            "partition_column": "IssuedAt",
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(field.name, str(field.type)) for field in card_days_schema()]
            ),
        },
        io_manager_key="parquet_io",
        code_version=STATE_VERSION,
        pool=MEMORY_POOL,
    )
    def card_days(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> Iterator[dg.Output[Iterator[pa.Table]]]:
        span, house = days_of(context), warehouse.open()
        with making(house, CARD_DAYS, span.keys) as done:
            tables = marked_days(house, store.open(), CARD_DAYS, card_day_tables(house, span), done)
            yield dg.Output(tables, metadata={"state_version": STATE_VERSION})

    @dg.asset(
        key=["models", FORECASTER],
        group_name="models",
        deps=[dg.AssetDep(dg.AssetKey(["clean", "card_days"]), partition_mapping=dg.AllPartitionMapping())],
        owners=[SCIENCE_OWNER],
        kinds={"python"},
        description="Forecasters of cards, one for each Monday that has data after it, learned on what came before that "
        "Monday. A run learns those that are missing; with none missing, all of them again.",
        code_version=STATE_VERSION,
        pool=MEMORY_POOL,
    )
    def card_forecaster(warehouse: WarehouseResource, store: StoreResource) -> dg.MaterializeResult[None]:
        house, objects = warehouse.open(), store.open()
        missing = missing_cutoffs(house)
        with making(house, MODEL_ASSET, [cutoff.isoformat() for cutoff in missing]):
            learned = learn_forecasters(house, objects, missing)
        return dg.MaterializeResult(metadata=forecaster_metadata(learned))

    @dg.asset(
        key=["clean", "cardpred"],
        group_name="clean",
        deps=[
            dg.AssetKey(["models", FORECASTER]),
            dg.AssetKey(["clean", "card_days"]),
            dg.AssetKey(["xspoc", "rods"]),
            dg.AssetKey(["analysis", "failure_info"]),
        ],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "postgres"},
        description="The next cards of each well, 1, 3 and 7 days after its newest one, whole, in inches and pounds, with a band "
        "that nine in ten of their points lie in.",
        metadata=table_metadata(CARDPRED),
        pool=MEMORY_POOL,
    )
    def cardpred(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, CARDPRED.asset, span.keys) as done:
            summary = forecast_days(house, store.open(), span)
            done.rows.update(summary.rows_by_day)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": summary.rows,
                "wells": len(summary.wells),
                "model_versions": sorted(summary.versions),
            }
        )

    @dg.asset(
        key=["clean", "cardanomaly"],
        group_name="clean",
        deps=[dg.AssetKey(["clean", "cardpred"]), dg.AssetKey(["clean", "card_days"])],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "postgres"},
        description="Each card held against the newest forecast of an earlier day: how far off, how rare that is, and what "
        "departs most.",
        metadata=table_metadata(CARDANOMALY),
        pool=MEMORY_POOL,
    )
    def cardanomaly(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, CARDANOMALY.asset, span.keys) as done:
            summary = score_days(house, store.open(), span)
            done.rows.update(summary.rows_by_day)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": summary.cards,
                "anomalies": summary.anomalies,
                "cards_against_their_forecast": dg.MetadataValue.md(cards_against_forecast(house, span)),
            }
        )

    @dg.asset(
        key=["clean", "trend"],
        group_name="clean",
        deps=[dg.AssetKey(["clean", "xspoc"]), dg.AssetKey(["clean", "carddiag"])],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "postgres"},
        description="Fillage, speed and production of each well 1, 7, 14 and 30 days ahead, with a band; by the forecaster that did "
        "best in the field over the weeks before.",
        metadata=table_metadata(TREND),
        pool=MEMORY_POOL,
    )
    def trend(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, TREND.asset, span.keys) as done:
            summary = trend_days(house, span)
            done.rows.update(summary.rows_by_day)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": summary.rows,
                **{
                    f"methods_{name}": {f"{h} d": method for h, method in by_horizon.items()}
                    for name, by_horizon in summary.methods.items()
                },
            }
        )

    return [card_days, card_forecaster, cardpred, cardanomaly, trend]


def forecaster_metadata(learned: LearnedForecasters) -> dict[str, Any]:
    """Say what was learned, and how the last weeks before the newest cut-off were forecast."""
    shown: dict[str, Any] = {
        "model_version": learned.newest,
        "cutoffs": len(learned.cutoffs),
        "models_learned": len(learned.versions),
    }
    scores = {trial.hours: skill_of(trial) for trial in learned.trials}
    if not any(scores.values()):
        return {
            **shown,
            "learned_on": "simulated fields: there are too few days of cards before any Monday yet",
        }
    lines = [
        "| horizon | skill over persistence | 95 % interval over wells | week's median | persistence RMSE, lbf | pairs | wells |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for hours, score in scores.items():
        if score:
            lines.append(
                f"| {hours} h | {score['skill']:.3f} | {score['lower']:.3f} - {score['upper']:.3f} | {score['median_skill']:.3f} "
                f"| {score['persistence_rmse_lbf']:,.0f} | {score['pairs']:,} | {score['wells']:,} |"
            )
    return {**shown, "skill": dg.MetadataValue.md("\n".join(lines))}
