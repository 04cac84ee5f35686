"""Assets of the group ``clean`` that are not dbt's: bounds, diagnosis, features and predictions of cards.

Here: definitions. What they read and write stands in ``bounds``, ``diagnosis``, ``features`` and ``predictions`` beside
this module.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import dagster as dg
import numpy as np
import pyarrow as pa

from oasis_pipeline.assets.bounds import bounds_rows
from oasis_pipeline.assets.common import (
    MEMORY_POOL,
    ONE_RUN,
    OWNER,
    SCIENCE_OWNER,
    WAREHOUSE_POOL,
    days_of,
    making,
    marked_days,
    rows_by_day,
    store_days,
    table_metadata,
)
from oasis_pipeline.assets.diagnosis import CARDDIAG, RODDIAG, DiagnosisSummary, diagnosed_days
from oasis_pipeline.assets.features import feature_tables, features_schema
from oasis_pipeline.assets.pictures import cards_by_label, label_shares
from oasis_pipeline.assets.predictions import predict_days
from oasis_pipeline.assets.wells import EQUIPMENT
from oasis_pipeline.learning.features import FEATURE_VERSION
from oasis_pipeline.schema import table
from oasis_pipeline.storage.resources import StoreResource, WarehouseResource

DYNABOUNDS = table("clean", "dynabounds")
DYNAPRED = table("clean", "dynapred")
FEATURES = "clean/card_features"


class PredictionConfig(dg.Config):
    """What a prediction run may be told.

    Attributes
    ----------
    model_version : str or None
        Predict with this version instead of the one in use; the days keep it until another is asked for. ``in-use`` takes the
        model in use and ends that.
    """

    model_version: str | None = None


def build_clean_assets(days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Assets of bounds, diagnosis, features and predictions.

    Parameters
    ----------
    days : PartitionsDefinition
        Day partitions.

    Returns
    -------
    list of AssetsDefinition or AssetSpec
    """

    @dg.asset(
        key=["clean", "dynabounds"],
        group_name="clean",
        deps=[
            dg.AssetKey(["xspoc", "card"]),
            dg.AssetKey(["xspoc", "rods"]),
            dg.AssetKey(["analysis", "failure_info"]),
        ],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[OWNER],
        kinds={"python", "postgres"},
        description="Bounds of each well's cards as known at the end of each day: resistant to outlier cards, begun "
        "anew after a workover, never from later cards.",
        metadata=table_metadata(DYNABOUNDS),
        pool=WAREHOUSE_POOL,
    )
    def dynabounds(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, DYNABOUNDS.asset, span.keys) as done:
            rows = bounds_rows(house, span)
            changed = store_days(house, DYNABOUNDS, rows, span)
            done.rows.update(rows_by_day(rows))
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": rows.num_rows,
                "wells": len(rows["NodeID"].unique()),
                "days_that_changed": len(changed),
            }
        )

    @dg.multi_asset(
        name="diagnose_cards",
        specs=[
            dg.AssetSpec(
                ["clean", diagnosed.name],
                group_name="clean",
                deps=[
                    dg.AssetKey(["xspoc", name])
                    for name in ("card", "welldetails", "rods", "deviations", "pumpingunits")
                ],
                owners=[SCIENCE_OWNER],
                kinds={"python", "postgres"},
                description=description,
                metadata=table_metadata(diagnosed),
            )
            for diagnosed, description in (
                (
                    CARDDIAG,
                    "The physical diagnosis of every usable card: pump card by the wave equation, fillage, loads, pressures, "
                    "leaks, torque and balance, with the equipment that the well had then, and a report in words.",
                ),
                (
                    RODDIAG,
                    "Stresses and loading of each taper, of every card whose pump card could be computed.",
                ),
            )
        ],
        can_subset=True,
        partitions_def=days,
        backfill_policy=ONE_RUN,
        pool=MEMORY_POOL,
    )
    def diagnose_cards(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        span, house = days_of(context), warehouse.open()
        wanted = [
            t for t in (CARDDIAG, RODDIAG) if dg.AssetKey([t.schema, t.name]) in context.selected_asset_keys
        ]
        summary = DiagnosisSummary()
        with ExitStack() as stack:
            made = {t.asset: stack.enter_context(making(house, t.asset, span.keys)) for t in wanted}
            for days_found, found in diagnosed_days(house, span):
                for diagnosed in wanted:
                    rows = found.cards if diagnosed is CARDDIAG else found.rods
                    store_days(house, diagnosed, rows, days_found)
                    made[diagnosed.asset].rows.update(rows_by_day(rows))
                summary.add(found)
        for diagnosed in wanted:
            yield dg.MaterializeResult(
                asset_key=[diagnosed.schema, diagnosed.name],
                metadata={
                    "dagster/partition_row_count": sum(made[diagnosed.asset].rows.values()),
                    **(summary.metadata() if diagnosed is CARDDIAG else {}),
                },
            )

    @dg.asset(
        key=["clean", "card_features"],
        group_name="clean",
        deps=[
            dg.AssetKey(["xspoc", "card"]),
            dg.AssetKey(["clean", "dynabounds"]),
            dg.AssetKey(["clean", "carddiag"]),
            *(dg.AssetKey(["xspoc", name]) for name in EQUIPMENT),
        ],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "parquet"},
        description="What the classifiers see of each card: descriptors and curves, loads in pounds and relative to the well's bounds, "
        "rod weight and fluid load lines, the change since the days before. One Parquet file a day in the object store.",
        metadata={
            "feature_version": FEATURE_VERSION,
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(field.name, str(field.type)) for field in features_schema()]
            ),
        },
        io_manager_key="parquet_io",
        code_version=FEATURE_VERSION,
        pool=MEMORY_POOL,
        check_specs=[
            dg.AssetCheckSpec(
                "columns",
                asset=dg.AssetKey(["clean", "card_features"]),
                blocking=True,
                description="Every row has its keys, and no feature is infinite.",
            )
        ],
    )
    def card_features(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> Iterator[dg.Output[Iterator[pa.Table]] | dg.AssetCheckResult]:
        span, house = days_of(context), warehouse.open()
        with making(house, FEATURES, span.keys) as done:
            faults: list[str] = []

            def checked() -> Iterator[tuple[str, pa.Table]]:
                for day, rows in feature_tables(house, span):
                    faults.extend(feature_faults(day, rows))
                    yield day, rows
                if faults:
                    # the days stay unmade, so that the check blocks again as long as the fault lasts
                    raise dg.Failure(
                        "; ".join(faults[:5]), metadata={"faults": faults[:20]}, allow_retries=False
                    )

            tables = marked_days(house, store.open(), FEATURES, checked(), done)
            yield dg.Output(tables, metadata={"feature_version": FEATURE_VERSION})
            yield dg.AssetCheckResult(
                check_name="columns", passed=not faults, metadata={"faults": faults[:20]}
            )

    @dg.asset(
        key=["clean", "dynapred"],
        group_name="clean",
        deps=[dg.AssetKey(["models", "dyna_classifier"]), dg.AssetKey(["clean", "card_features"])],
        partitions_def=days,
        backfill_policy=ONE_RUN,
        owners=[SCIENCE_OWNER],
        kinds={"python", "scikitlearn", "postgres"},
        description="The class of every usable card with its calibrated probability, by the model in use.",
        metadata=table_metadata(DYNAPRED),
        pool=MEMORY_POOL,
    )
    def dynapred(
        context: dg.AssetExecutionContext,
        config: PredictionConfig,
        warehouse: WarehouseResource,
        store: StoreResource,
    ) -> dg.MaterializeResult[None]:
        span, house = days_of(context), warehouse.open()
        with making(house, DYNAPRED.asset, span.keys) as done:
            summary = predict_days(house, store.open(), span, config.model_version)
            done.rows.update(summary.rows_by_day)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": summary.rows,
                "model_version": ", ".join(summary.model_versions) or "none",
                **({"kept_versions": "; ".join(summary.notes)} if summary.notes else {}),
                "class_shares": dg.MetadataValue.md(label_shares(summary.counts)),
                "example_cards": dg.MetadataValue.md(cards_by_label(house, span)),
                "counts": summary.counts,
            }
        )

    return [dynabounds, diagnose_cards, card_features, dynapred]


def feature_faults(day: str, rows: pa.Table) -> list[str]:
    """Say what is wrong with the features of a day: a key that is missing or a feature that is infinite."""
    faults = [
        f"{day}: {name} is missing in {rows[name].null_count} rows"
        for name in ("NodeID", "Date")
        if rows[name].null_count
    ]
    for name in rows.column_names[2:]:
        infinite = np.flatnonzero(np.isinf(rows[name].to_numpy()))
        if infinite.size:
            card = rows.slice(int(infinite[0]), 1).select(["NodeID", "Date"]).to_pylist()[0]
            faults.append(
                f"{day}: {name} is infinite in {infinite.size} rows, the first of {card['NodeID']} on {card['Date']}"
            )
    return faults
