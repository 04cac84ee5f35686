"""Assets of the group ``clean`` that are not dbt's: bounds, diagnosis, features and predictions of cards.

Here: declarations. What they read and write stands in ``bounds``, ``diagnosis``, ``features`` and ``predictions`` of
``operations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from oasis_pipeline.assets.checks import COLUMNS, Check
from oasis_pipeline.assets.common import OWNER, WAREHOUSE_POOL
from oasis_pipeline.assets.declaration import Run, day_asset, days_back, histories, kept, same_day, source
from oasis_pipeline.assets.drift_check import NAME as DRIFT_CHECK
from oasis_pipeline.assets.drift_check import check_drift
from oasis_pipeline.assets.vendor_check import NAME as VENDOR_CHECK
from oasis_pipeline.assets.vendor_check import compare_with_vendor
from oasis_pipeline.operations.bounds import BOUNDS_VERSION, BOUNDS_WINDOW_DAYS, bounds_rows
from oasis_pipeline.operations.days import rows_by_day, store_days
from oasis_pipeline.operations.dbt_project import DAY_MODELS_VERSION
from oasis_pipeline.operations.diagnosis import (
    CARDDIAG,
    DIAGNOSIS_VERSION,
    RODDIAG,
    DiagnosisSummary,
    diagnosed_days,
    summaries_by_day,
)
from oasis_pipeline.operations.features import (
    FEATURES_VERSION,
    REACH_DAYS,
    STORED_FEATURES,
    feature_tables,
    features_of,
    features_schema,
)
from oasis_pipeline.operations.pictures import cards_by_label, diagnosed_examples, label_shares
from oasis_pipeline.operations.predictions import PREDICTION_VERSION, predict_days
from oasis_pipeline.operations.wells import EQUIPMENT
from oasis_pipeline.schema import table

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


source(
    "clean/xspoc",
    inputs=[same_day("xspoc/card", "xspoc/xdiagresults", "analysis/failure_info")],
    code_version=DAY_MODELS_VERSION,
    partitioned=True,
    table=table("clean", "xspoc"),
    description="Cards joined with vendor results and failures. Built by dbt.",
)


@day_asset(
    "clean/dynabounds",
    inputs=[days_back(BOUNDS_WINDOW_DAYS, "xspoc/card", "analysis/failure_info"), histories("rods")],
    code_version=BOUNDS_VERSION,
    description="Bounds of each well's cards as known at the end of each day: resistant to outlier cards, begun "
    "anew after a workover, never from later cards.",
    table=DYNABOUNDS,
    owner=OWNER,
    pool=WAREHOUSE_POOL,
    checks=(
        Check(
            "ordered",
            "bounds are in order and rest on at least one card",
            blocking=True,
            offenders='select * from clean.dynabounds where "Date" >= $1::timestamp and "Date" < $2::timestamp '
            "and not (pos_min <= pos_max and load_min <= load_max and n_cards >= 1)",
        ),
    ),
)
def dynabounds(run: Run) -> None:
    """Make ``clean.dynabounds``."""
    rows = bounds_rows(run.warehouse, run.days)
    store_days(run.warehouse, DYNABOUNDS, rows, run.days)
    run.rows(rows_by_day(rows))


_DIAGNOSED_FROM = (same_day("xspoc/card"), histories(*EQUIPMENT))


@day_asset(
    "clean/roddiag",
    inputs=_DIAGNOSED_FROM,
    code_version=DIAGNOSIS_VERSION,
    description="Stresses and loading of each taper, of every card whose pump card could be computed.",
    table=RODDIAG,
)
@day_asset(
    "clean/carddiag",
    inputs=_DIAGNOSED_FROM,
    code_version=DIAGNOSIS_VERSION,
    description="The physical diagnosis of every usable card: pump card by the wave equation, fillage, loads, pressures, "
    "leaks, torque and balance, with the equipment that the well had then, and a report in words.",
    table=CARDDIAG,
    checks=(
        Check(
            "every_usable_card",
            "every usable card has one diagnosis, and nothing else has one",
            offenders='select "NodeID", "Date" from xspoc.card c full join clean.carddiag d using ("NodeID", "Date") '
            'where "Date" >= $1 and "Date" < $2 and (d.quality is null and (surfcard_fault is null or '
            "pocdowncard_fault is null) or c.file_stamp is null or d.quality is not null and surfcard_fault is not null "
            "and pocdowncard_fault is not null)",
        ),
        Check(
            "possible",
            "fillage lies between 0 and 100, strokes are not negative, and the loads are in order",
            offenders='select "NodeID", "Date", fillage_pct, gross_stroke_in, net_stroke_in, pprl_lbf, mprl_lbf '
            'from clean.carddiag where "Date" >= $1 and "Date" < $2 and not (coalesce(fillage_pct, 0) between 0 and 100 '
            "and coalesce(gross_stroke_in, 0) >= 0 and coalesce(net_stroke_in, 0) >= 0 "
            "and coalesce(pprl_lbf >= mprl_lbf, true))",
        ),
        Check(
            VENDOR_CHECK,
            "the medians lie near those of the vendor's diagnosis, where there is one",
            judge=lambda warehouse, store, days: compare_with_vendor(warehouse, days),
        ),
    ),
)
def diagnose_cards(run: Run) -> None:
    """Make ``clean.carddiag`` and ``clean.roddiag``, or the one of them that is wanted."""
    wanted = [each for each in (CARDDIAG, RODDIAG) if each.asset in run.made]
    newest: dict[str, Any] = {}
    for days_found, found in diagnosed_days(run.warehouse, run.days, run.settings.card_damping, run.engine):
        for diagnosed in wanted:
            rows = found.cards if diagnosed is CARDDIAG else found.rods
            store_days(run.warehouse, diagnosed, rows, days_found)
            run.rows(rows_by_day(rows), diagnosed.asset)
        if CARDDIAG in wanted:
            for day, summary in summaries_by_day(found.cards).items():
                run.note(day, diagnosis_metadata(summary), CARDDIAG.asset)
                newest = {day: found.examples}
    for day, examples in newest.items():
        pictured = {"example_cards": dg.MetadataValue.md(diagnosed_examples(examples))}
        run.by_day[CARDDIAG.asset][day] = pictured | run.by_day[CARDDIAG.asset][day]


def diagnosis_metadata(summary: DiagnosisSummary) -> dict[str, Any]:
    """Tell medians and counts of a day."""
    lines = [f"| {name} | {count:,} |" for name, count in summary.counts.most_common()]
    return {
        **summary.medians(),
        "cards_by_quality": dg.MetadataValue.md("\n".join(["| code | cards |", "|---|---:|", *lines])),
    }


@day_asset(
    FEATURES,
    inputs=[
        same_day("xspoc/card", "clean/dynabounds", "clean/carddiag"),
        days_back(REACH_DAYS + 1, "xspoc/card", "clean/carddiag"),
        histories(*EQUIPMENT),
    ],
    code_version=FEATURES_VERSION,
    description="Features of each card: descriptors and curves, loads in pounds and relative to the well's bounds, "
    "rod weight and fluid load lines, the change since the days before and since what the well usually shows. One Parquet file a day in the object store.",
    columns=features_schema,
    checks=(Check(COLUMNS, "every row has its keys, and no feature is infinite", blocking=True),),
)
def card_features(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """Make ``clean/card_features``."""
    faults: dict[str, list[str]] = {}
    for day, rows in feature_tables(run.warehouse, run.days, run.engine):
        faults[day] = feature_faults(rows)
        yield day, rows
    run.check(COLUMNS, faults, blocking=True)


@day_asset(
    "clean/dynapred",
    inputs=[same_day(FEATURES), kept("models/dyna_classifier")],
    code_version=PREDICTION_VERSION,
    description="The class of every usable card with its calibrated probability, by the model in use.",
    table=DYNAPRED,
    config=PredictionConfig,
    kinds=frozenset({"python", "scikitlearn", "postgres"}),
    pictures={"example_cards": cards_by_label},
    checks=(
        Check(
            "probabilities",
            "probabilities lie between 0 and 100, the first is the greater, and a second label has more than 35",
            blocking=True,
            offenders='select * from clean.dynapred where "Date" >= $1 and "Date" < $2 and not ("Prob1" between 0 and 100 '
            'and coalesce("Prob2", 0) between 0 and "Prob1" and ("Label2" is null or "Prob2" > 35))',
        ),
        Check(
            "every_usable_card",
            "every usable card has one prediction, and nothing else has one",
            offenders='select "NodeID", "Date" from xspoc.card c full join clean.dynapred p using ("NodeID", "Date") '
            'where "Date" >= $1 and "Date" < $2 and (p."Label1" is null and (surfcard_fault is null or '
            'pocdowncard_fault is null) or c.file_stamp is null or p."Label1" is not null and surfcard_fault is not null '
            "and pocdowncard_fault is not null)",
        ),
        Check(
            DRIFT_CHECK,
            "the day's cards look like those of the time that the model in use has learned",
            judge=check_drift,
        ),
    ),
)
def dynapred(run: Run) -> dict[str, Any]:
    """Make ``clean.dynapred``."""
    summary = predict_days(run.warehouse, run.store, run.days, run.config.model_version, run.engine)
    run.rows(summary.rows_by_day)
    for day, counts in summary.by_day.items():
        run.note(day, {"counts": dict(counts), "model_version": summary.model_of[day]})
    newest = run.partitions[-1]
    run.note(newest, {"class_shares": dg.MetadataValue.md(label_shares(summary.by_day.get(newest, {})))})
    return {"kept_versions": "; ".join(summary.notes)} if summary.notes else {}


def feature_faults(rows: pa.Table) -> list[str]:
    """Say what is wrong with the features of a day: a key that is missing or a feature that is infinite."""
    faults = [
        f"{name} is missing in {rows[name].null_count} rows"
        for name in ("NodeID", "Date")
        if rows[name].null_count
    ]
    infinite = np.isinf(features_of(rows))
    for column in np.flatnonzero(infinite.any(axis=0)):
        places = np.flatnonzero(infinite[:, column])
        card = rows.slice(int(places[0]), 1).select(["NodeID", "Date"]).to_pylist()[0]
        faults.append(
            f"{STORED_FEATURES[column]} is infinite in {places.size} rows, the first of {card['NodeID']} on {card['Date']}"
        )
    return faults
