"""Make the tables of ``docs/failure-forecast.md``: alarms on simulated fields, models side by side, real runs to failure.

    python -m studies.failure_forecast fields --fields FOLDER [--kinds growing decoys] [--seeds 901 902] [--models forecaster ...]
    python -m studies.failure_forecast runs --data FOLDER
    python -m studies.failure_forecast hourly --data FOLDER

``--fields`` is the folder of ``models.failure_fields``; ``--data`` holds run-to-failure data (not part of the project).

Belongs here: the walk through time with whole wells held out, and printing. Does not belong here: figures (``studies.failure_evaluation``).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.failure_fields import DAYS, JUDGED_DAYS, KINDS, TEST_SEEDS, kept_field
from oasis_pipeline.learning.failures.alarms import ALARM_HORIZON_DAYS, NEVER_RAISED
from oasis_pipeline.learning.failures.base import base_forecaster
from oasis_pipeline.learning.failures.forecaster import fit_at
from oasis_pipeline.learning.failures.hazard import window_probabilities
from oasis_pipeline.learning.failures.outcomes import (
    HORIZONS_DAYS,
    NO_FAILURE,
    UNKNOWN,
    Outcomes,
    outcomes_at,
)
from oasis_pipeline.learning.failures.windows import REACH_DAYS
from oasis_pipeline.simulation.conditions import FULL, LABELS
from oasis_pipeline.simulation.episodes import FieldKind
from studies import failure_candidates as c
from studies.boosted_hazards import fit_boosted
from studies.failure_days import Prepared, prepared
from studies.failure_evaluation import (
    ByWell,
    Figures,
    Forecast,
    best_within,
    bootstrap,
    brier,
    calibration,
    cost_curve,
    count_by_well,
    curve,
    figures,
    joined,
)

CUTOFFS = (30, 60)
"""Days at which models are fitted; each judges the days from `REACH_DAYS` later on, so that no window of a judged day touches
a day that was learned from."""
FOLDS = 3
PLACE = HORIZONS_DAYS.index(ALARM_HORIZON_DAYS)
MODELS = (
    "forecaster",
    "base",
    "trees",
    "linear",
    "rocket",
    "seed 1",
    "seed 2",
    "age",
    "rates",
    "oracle",
    "rule",
)
ON_TRUTH = ("oracle", "rule")
"""They see the true severities: boosting, and a fixed rule on the highest of them."""

Probability = NDArray[np.float64]


def _spans() -> list[tuple[int, int, int]]:
    """Cut-off, first and last day that it judges."""
    ends = [*(cutoff + REACH_DAYS for cutoff in CUTOFFS[1:]), JUDGED_DAYS]
    return [(cutoff, cutoff + REACH_DAYS, end) for cutoff, end in zip(CUTOFFS, ends, strict=True)]


def forecast_by(model: str, field: Prepared) -> Forecast:
    """Forecast the judged days of a field by one model: wells held out whole, learned on what was known at the cut-off."""
    data = field.data
    count = len(data.well)
    said = np.full((count, len(HORIZONS_DAYS)), np.nan)
    threshold = np.full(count, NEVER_RAISED)
    held_fold = np.random.default_rng(0).permutation(len(field.nodes)) % FOLDS
    base = base_forecaster()
    for cutoff, first, last in _spans():
        cutoff_ms = field.at(cutoff)
        judged = (data.time_ms > field.at(first)) & (data.time_ms <= field.at(last))
        for fold in range(FOLDS):
            outside = held_fold[data.well] != fold
            target = np.flatnonzero(judged & ~outside)
            past = np.flatnonzero(outside & (data.time_ms < cutoff_ms))
            if model == "base":
                said[target] = 1.0 - base.probabilities(data.features[target])[:, :, 0]
                threshold[target] = base.threshold
                continue
            if model == "forecaster":
                own = replace(
                    data,
                    well=data.well[outside],
                    time_ms=data.time_ms[outside],
                    features=data.features[outside],
                    life=data.life[outside],
                )
                fitted = fit_at(own, cutoff_ms).forecaster
                said[target] = 1.0 - fitted.probabilities(data.features[target])[:, :, 0]
                threshold[target] = fitted.threshold
                continue
            outcomes = outcomes_at(data.well[past], data.time_ms[past], data.log, cutoff_ms)
            predict = _fitted(model, field, past, outcomes)
            said[target] = predict(target)
    judged = np.isfinite(said[:, 0])
    return Forecast(
        data.well[judged],
        data.time_ms[judged],
        data.life[judged],
        said[judged],
        threshold[judged],
        data.log.take(~field.sudden),
        data.log.take(field.sudden),
        field.at(DAYS),
    )


_FAULT_LEVELS = {f"true {name} level" for place, name in enumerate(LABELS) if place != FULL}


def _fitted(
    model: str, field: Prepared, past: NDArray[np.intp], outcomes: Outcomes
) -> Callable[[NDArray[np.intp]], Probability]:
    data = field.data
    if model == "rule":
        levels = [n for n, name in enumerate(data.names) if name in _FAULT_LEVELS]
        worst = np.nan_to_num(data.features[:, levels]).max(axis=1)
        return lambda rows: np.repeat(worst[rows, np.newaxis], len(HORIZONS_DAYS), axis=1)
    if model in ("trees", "oracle"):
        hazards = fit_boosted(data.features[past], outcomes, len(data.log.classes), 0)
        return lambda rows: 1.0 - window_probabilities(hazards.hazards(data.features[rows]))[:, :, 0]
    table, candidate = _CANDIDATES[model]
    columns = table(field)
    predict = candidate(columns[past], outcomes, 0)
    return lambda rows: predict(columns[rows])


_CANDIDATES: dict[str, tuple[Callable[[Prepared], NDArray[np.float32]], c.Candidate]] = {
    "rates": (lambda field: field.data.features[:, :1], c.rates),
    "age": (lambda field: field.data.features[:, [field.data.names.index("age_days")]], c.age),
    "seed 1": (
        lambda field: c.trailing_means(field.rows, c.SEED_ONE_COLUMNS, 7),
        c.seed_method(3, extra=False),
    ),
    "seed 2": (
        lambda field: c.trailing_means(field.rows, c.SEED_TWO_COLUMNS, 15),
        c.seed_method(15, extra=True),
    ),
    "linear": (lambda field: field.data.features, c.linear),
    "rocket": (
        lambda field: c.segments(
            field.rows,
            (
                "tv_leak_share",
                "sv_leak_share",
                "friction_share",
                "load_range_share",
                "tubing_movement_share",
                "power_share",
            ),
            field.life.begin_ms,
        ).values.reshape(len(field.rows), -1),
        c.rocket(),
    ),
}


def _interval(counts: ByWell, pick: Callable[[Figures], float]) -> str:
    low, high = bootstrap(counts, pick)
    return f"{low:.2f} to {high:.2f}"


def print_fields(folder: Path, kinds: list[FieldKind], seeds: list[int], models: list[str]) -> None:
    """Print the tables of simulated fields."""
    for kind in kinds:
        print(f"\n### {kind}, seeds {', '.join(map(str, seeds))}\n")
        print(
            "| model | recall at 0.02 | 0.05 | 0.1 | 0.2 | 0.4 false alarms per well-month | AUC 15 d | Brier 15 d (trivial) | s |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---|---:|", flush=True)
        kept: dict[str, list[Forecast]] = {}
        for model in models:
            begin = time.process_time()
            forecasts = [
                forecast_by(model, prepared(kept_field(kind, seed, folder), truth=model in ON_TRUTH))
                for seed in seeds
            ]
            kept[model] = forecasts
            points = curve([_by_threshold(forecast) for forecast in forecasts], PLACE)
            at = [best_within(points, budget) for budget in (0.02, 0.05, 0.1, 0.2, 0.4)]
            cells = " | ".join("0" if point is None else f"{point.recall:.2f}" for point in at)
            chance, happened = _outcome_of_windows(forecasts)
            score, trivial = brier(chance, happened)
            print(
                f"| {model} | {cells} | {_auc(chance, happened):.3f} | {score:.4f} ({trivial:.4f}) "
                f"| {time.process_time() - begin:.0f} |",
                flush=True,
            )
        for model in ("forecaster", "base"):
            if model in kept:
                _print_rule(model, kept[model])


def _by_threshold(forecast: Forecast) -> Forecast:
    """Put the odds of each row in relation to the threshold in force, so that a curve moves all thresholds together.

    Without thresholds the probabilities stay.
    """
    if (forecast.threshold >= 1.0).all():
        return forecast
    chance = forecast.probability[:, PLACE]
    limit = np.minimum(forecast.threshold, 1.0 - 1e-6)
    odds = chance / np.maximum(1.0 - chance, 1e-9) * (1.0 - limit) / limit
    moved = forecast.probability.copy()
    moved[:, PLACE] = odds / (1.0 + odds)
    return replace(forecast, probability=moved)


def _outcome_of_windows(forecasts: list[Forecast]) -> tuple[Probability, NDArray[np.bool_]]:
    chance, happened = [], []
    for forecast in forecasts:
        both = np.zeros(len(forecast.well), bool)
        inside = np.zeros(len(forecast.well), bool)
        for log in (forecast.announced, forecast.sudden):
            outcome = outcomes_at(forecast.well, forecast.time_ms, log, forecast.end_ms, reporting_days=-40.0)
            both |= outcome.window(ALARM_HORIZON_DAYS) > NO_FAILURE
            inside |= (outcome.interval == UNKNOWN).all(axis=1)
        chance.append(forecast.probability[~inside, PLACE])
        happened.append(both[~inside])
    return np.concatenate(chance), np.concatenate(happened)


def _auc(chance: Probability, happened: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(happened, chance)) if 0 < happened.sum() < len(happened) else float("nan")


def _print_rule(model: str, forecasts: list[Forecast]) -> None:
    counts = joined([count_by_well(forecast, forecast.threshold, PLACE) for forecast in forecasts])
    found = figures(counts)
    print(f"\nAlarms of the {model} with the threshold chosen before (budget 0.1 per well-month):\n")
    print("| figure | | 90 % interval, wells drawn anew |")
    print("|---|---:|---|")
    print(
        f"| announced failures caught | {found.caught} of {found.announced} = {found.recall:.2f} | {_interval(counts, lambda f: f.recall)} |"
    )
    print(
        f"| alarms that came true | {found.precision:.2f} of {found.alarms} | {_interval(counts, lambda f: f.precision)} |"
    )
    print(f"| median lead, d | {found.lead_days:.1f} | {_interval(counts, lambda f: f.lead_days)} |")
    print(
        f"| false alarms per well-month | {found.false_per_well_month:.3f} of {found.well_months:.0f} well-months "
        f"| {_interval(counts, lambda f: f.false_per_well_month)} |"
    )
    print(
        f"| sudden failures with an alarm before, not claimed | {found.sudden_caught} of {found.sudden} | |"
    )
    chance, happened = _outcome_of_windows(forecasts)
    stated = ", ".join(
        f"{100 * a:.0f} % -> {100 * b:.0f} % ({n})" for a, b, n in calibration(chance, happened)
    )
    print(f"\nStated and observed share in 15 days (rows): {stated}")
    prices = np.array([1.0, 3.0, 10.0, 30.0])
    costs = cost_curve(curve([_by_threshold(forecast) for forecast in forecasts], PLACE), prices)
    told = ", ".join(f"{p:.0f}: {a:.2f} ({b:.2f})" for p, (a, b) in zip(prices, costs, strict=True))
    print(
        f"Cost per well-month in false alarms when a missed failure costs so many, best threshold (no alarms): {told}",
        flush=True,
    )


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fields = commands.add_parser("fields")
    fields.add_argument("--fields", type=Path, required=True)
    fields.add_argument("--kinds", type=FieldKind, nargs="+", default=list(KINDS))
    fields.add_argument("--seeds", type=int, nargs="+", default=list(TEST_SEEDS))
    fields.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    for name in ("runs", "hourly"):
        commands.add_parser(name).add_argument("--data", type=Path, required=True)
    asked = parser.parse_args()
    if asked.command == "fields":
        print_fields(asked.fields, asked.kinds, asked.seeds, asked.models)
    elif asked.command == "runs":
        from studies.run_to_failure import print_runs

        print_runs(asked.data)
    else:
        from studies.run_to_failure import print_hourly

        print_hourly(asked.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
