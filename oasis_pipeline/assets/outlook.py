"""Assets that look ahead without failures: the next cards, cards that depart from their forecast, trends of the fleet.

Here: declarations. What they read and write stands in ``card_days``, ``card_forecasts`` and ``trends`` of ``operations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from oasis_pipeline.assets.checks import Check
from oasis_pipeline.assets.declaration import (
    Due,
    Run,
    all_days,
    day_asset,
    days_back,
    histories,
    kept,
    same_day,
    source,
    whole,
    whole_asset,
)
from oasis_pipeline.learning.card_forecast.candidates import REACH_DAYS
from oasis_pipeline.learning.card_forecast.learn import skill_of
from oasis_pipeline.learning.card_forecast.model import STATE_VERSION
from oasis_pipeline.learning.site_models import MODELS_FILE
from oasis_pipeline.learning.trends import REACH_DAYS as TREND_REACH_DAYS
from oasis_pipeline.operations.card_days import CARD_DAYS, card_day_tables, card_days_schema
from oasis_pipeline.operations.card_forecasts import (
    ANOMALY_VERSION,
    CARDANOMALY,
    CARDPRED,
    CARDPRED_VERSION,
    MODEL_ASSET,
    OLDEST_FORECAST_DAYS,
    LearnedForecasters,
    forecast_days,
    learn_forecasters,
    missing_cutoffs,
    score_days,
)
from oasis_pipeline.operations.home_files import FORECASTER, stored_forecaster
from oasis_pipeline.operations.pictures import cards_against_forecast
from oasis_pipeline.operations.trends import TREND, TREND_VERSION, trend_days

source(
    FORECASTER.asset,
    description=f"Forecaster of trends that {MODELS_FILE} in the home folder names; without a row, the platform's own.",
    partitioned=False,
    table=FORECASTER,
)


@day_asset(
    CARD_DAYS,
    inputs=[same_day("xspoc/card", "clean/dynabounds")],
    code_version=STATE_VERSION,
    group="forecasts",
    description="The newest card and the mean card of each well and day, in inches and pounds: what cards are forecast "
    "from. One Parquet file a day in the object store.",
    columns=card_days_schema,
    partition_column="IssuedAt",
)
def card_days(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """Make ``clean/card_days``."""
    return card_day_tables(run.warehouse, run.days, run.engine)


@whole_asset(
    MODEL_ASSET,
    inputs=[all_days(CARD_DAYS), kept("xspoc/rods_history", "analysis/failure_info")],
    due=Due.MONDAYS,
    partitions=lambda warehouse: [cutoff.isoformat() for cutoff in missing_cutoffs(warehouse)],
    code_version=STATE_VERSION,
    description="Card forecasters, one for each Monday with data after it, trained on data before that "
    "Monday. A run trains the missing ones, or all of them if none is missing.",
)
def card_forecaster(run: Run) -> dict[str, Any]:
    """Make ``models/card_forecaster``."""
    cutoffs = [date.fromisoformat(partition) for partition in run.partitions]
    return forecaster_metadata(learn_forecasters(run.warehouse, run.store, cutoffs))


@day_asset(
    "clean/cardpred",
    inputs=[
        days_back(REACH_DAYS, CARD_DAYS, "analysis/failure_info"),
        histories("rods"),
        kept(MODEL_ASSET),
    ],
    code_version=CARDPRED_VERSION,
    group="forecasts",
    description="Forecast cards of each well, 1, 3 and 7 days after its newest one, in inches and pounds, with a band "
    "that holds 90 % of the points.",
    table=CARDPRED,
    checks=(
        Check(
            "bands",
            "a forecast lies inside of its band, and every issue has all three horizons",
            blocking=True,
            offenders='select "NodeID", "IssuedAt", count(*) as horizons from clean.cardpred '
            'where "IssuedAt" >= $1 and "IssuedAt" < $2 '
            "group by 1, 2 having count(*) <> 3 or bool_or(load_lower_lbf[1] > load_lbf[1] or load_lbf[1] > load_upper_lbf[1] "
            "or cardinality(load_lbf) <> cardinality(position_in))",
        ),
    ),
)
def cardpred(run: Run) -> dict[str, Any]:
    """Make ``clean.cardpred``."""
    summary = forecast_days(run.warehouse, run.store, run.days)
    run.rows(summary.rows_by_day)
    return {"wells": len(summary.wells), "model_versions": sorted(summary.versions)}


@day_asset(
    "clean/cardanomaly",
    inputs=[same_day(CARD_DAYS), days_back(OLDEST_FORECAST_DAYS + 1, "clean/cardpred")],
    code_version=ANOMALY_VERSION,
    group="forecasts",
    description="Each card compared with the newest forecast of an earlier day: the difference, how rare it is, and what "
    "departs most.",
    table=CARDANOMALY,
    pictures={"cards_against_their_forecast": cards_against_forecast},
)
def cardanomaly(run: Run) -> None:
    """Make ``clean.cardanomaly``."""
    summary = score_days(run.warehouse, run.store, run.days)
    run.rows(summary.rows_by_day)
    for day, count in summary.anomalies_by_day.items():
        run.note(day, {"anomalies": count})


@day_asset(
    "clean/trend",
    inputs=[days_back(TREND_REACH_DAYS, "clean/xspoc", "clean/carddiag"), whole(FORECASTER.asset)],
    code_version=TREND_VERSION,
    group="forecasts",
    description="Fillage, speed and production of each well 1, 7, 14 and 30 days ahead, with a band; by the forecaster that did "
    f"best in the field over the weeks before, or the one that {MODELS_FILE} names.",
    table=TREND,
    checks=(
        Check(
            "bands",
            "a forecast lies inside of its band",
            blocking=True,
            offenders='select * from clean.trend where "IssuedAt" >= $1 and "IssuedAt" < $2 '
            "and not (lower <= value and value <= upper)",
        ),
    ),
)
def trend(run: Run) -> dict[str, Any]:
    """Make ``clean.trend``."""
    summary = trend_days(run.warehouse, run.days, stored_forecaster(run.warehouse))
    run.rows(summary.rows_by_day)
    shown: dict[str, Any] = {}
    if summary.faults:
        (most, count), *_ = summary.faults.most_common(1)
        shown["note"] = (
            f"the forecaster of {MODELS_FILE} had no answer {summary.faults.total():,} times, and the median of a week stands in; "
            f"{count:,} times: {most}"
        )
    return shown | {
        f"methods_{name}": {f"{h} d": method for h, method in by_horizon.items()}
        for name, by_horizon in summary.methods.items()
    }


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
