"""Real run-to-failure data under the honest test: whole wells held out. The data are no part of the project.

Belongs here: reading the two sources, folds, printing. Does not belong here: models (``learning.failures``).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from studies.covariates import (
    Covariate,
    LeakError,
    concordance,
    fit_cox,
    usable,
)

FOLDS = 5
DOWN_ROWS = 13
"""Each hourly series ends in so many rows of zeros: the failure itself."""
_DAY_MS = 86_400_000
_INTERVAL_DAYS = 90.0

Float64 = NDArray[np.float64]


def _stamps(texts: list[str | None]) -> Float64:
    """Days since 1970 of US dates, NaN where there is none."""

    def day(text: str | None) -> float:
        if not text or text == "NA":
            return float("nan")
        return (datetime.strptime(text, "%m/%d/%Y %H:%M") - datetime(1970, 1, 1)).total_seconds() / 86_400.0

    return np.array([day(text) for text in texts])


def print_runs(data: Path) -> None:
    """Print the concordance of survival models on the table of runs, and what the guard says of averages over the run."""
    convert = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    table = csv.read_csv(data / "rod_runs.csv", convert_options=convert)

    def numbers(name: str) -> Float64:
        column = table[name]
        return column.cast(pa.float64()).to_numpy().astype(np.float64)

    well = np.array([str(value) for value in table["WELLNAME"].to_pylist()])
    text = {
        name: [None if v is None else str(v) for v in table[name].to_pylist()]
        for name in ("DTTMSPUD", "aRod_DTTMRUN", "aRod_DTTMPULL", "FAILUREDATE", "JobATub_DTTMRUN")
    }
    run, spud = _stamps(text["aRod_DTTMRUN"]), _stamps(text["DTTMSPUD"])
    pull, tubing = _stamps(text["aRod_DTTMPULL"]), _stamps(text["JobATub_DTTMRUN"])
    days, failed = numbers("DAYSTILFAIL"), numbers("HAS_FAILED") > 0
    good = np.isfinite(run) & np.isfinite(days) & (days > 0) & ~(pull < run)
    print(
        f"{len(well)} runs of {len(set(well))} wells, {int(good.sum())} usable, {int(failed[good].sum())} failed\n"
    )
    begin_ms = run * 1.0 * _DAY_MS
    past = _past(well, run, days, failed)
    installed = {
        "depth of the well": numbers("TDCALC"),
        "length of the rods": numbers("ROD_DEPTHBTM"),
        "length of the tubing": numbers("TUB_DEPTHBTM"),
        "age of the well": run - spud,
        "tubing is new": np.where(np.isfinite(tubing), np.abs(tubing - run) < 30, False).astype(float),
        "year": run / 365.25,
    }
    known = np.nan_to_num(begin_ms).astype(np.int64)
    sets = {
        "Cox, installation": installed,
        "Cox, installation and past failures": {**installed, **past},
    }
    fold = _folds(well)
    print("| model | concordance, wells held out | spread over folds |\n|---|---:|---|")
    print(
        f"| Kaplan-Meier: one curve for all | {concordance(days[good], failed[good], np.zeros(int(good.sum()))):.3f} | |"
    )
    for name, columns in sets.items():
        risks = np.full(len(days), np.nan)
        for held in range(FOLDS):
            inside, outside = good & (fold == held), good & (fold != held)
            own = [Covariate(each, values[outside], known[outside]) for each, values in columns.items()]
            model = fit_cox(days[outside], failed[outside], own, known[outside])
            risks[inside] = model.risk(np.stack([values[inside] for values in columns.values()], axis=1))
        _print_concordance(name, days, failed, risks, good, fold)
    both = {**installed, **past}
    risks = np.full(len(days), np.nan)
    features = np.stack(list(both.values()), axis=1).astype(np.float32)
    for held in range(FOLDS):
        inside, outside = good & (fold == held), good & (fold != held)
        risks[inside] = _boosted_risk(features[outside], days[outside], failed[outside], features[inside])
    _print_concordance(
        "discrete-time boosting, installation and past failures", days, failed, risks, good, fold
    )
    print()
    names = [name for name in table.column_names if name.startswith(("median_", "mean_"))]
    ended = np.where(np.isfinite(pull), pull, run + np.nan_to_num(days)) * _DAY_MS
    late = [Covariate(name, numbers(name)[good], ended[good].astype(np.int64)) for name in names]
    flags = [
        Covariate(f"{each.name} is missing", np.isnan(each.values).astype(float), each.known_ms)
        for each in late
    ]
    for title, columns in (("averages over the run", late), ("whether they are missing", flags)):
        try:
            usable(columns, known[good])
            print(f"{title}: taken")
        except LeakError as error:
            print(f"{title}: refused ({len(columns)} columns): {str(error)[:160]} ...")


def _past(
    well: NDArray[np.str_], run: Float64, days: Float64, failed: NDArray[np.bool_]
) -> dict[str, Float64]:
    """What was known of the well's earlier runs when each began."""
    count, mean, last = (np.full(len(well), np.nan) for _ in range(3))
    for name in np.unique(well):
        mine = np.flatnonzero(well == name)
        for row in mine:
            before = mine[(run[mine] + days[mine] <= run[row]) & failed[mine]]
            count[row] = len(before)
            if len(before):
                mean[row] = np.log(np.maximum(days[before], 1.0)).mean()
                last[row] = np.log(max(days[before][np.argmax(run[before])], 1.0))
    return {
        "earlier failures": count,
        "mean of earlier runs": mean,
        "run before": last,
    }


def _folds(well: NDArray[np.str_]) -> NDArray[np.int64]:
    names, number = np.unique(well, return_inverse=True)
    return (np.random.default_rng(0).permutation(len(names)) % FOLDS)[number]


def _boosted_risk(
    features: NDArray[np.float32], days: Float64, failed: NDArray[np.bool_], asked: NDArray[np.float32]
) -> Float64:
    """Boosted hazards of quarters, summed over the first two years: higher fails sooner."""
    from studies.boosting import grow

    last = np.floor(days / _INTERVAL_DAYS).astype(np.int64)
    row = np.repeat(np.arange(len(days)), np.minimum(last, 15) + 1)
    quarter = np.concatenate([np.arange(n) for n in np.minimum(last, 15) + 1])
    outcome = ((quarter == last[row]) & failed[row]).astype(np.int64)
    kept = (quarter < last[row]) | (outcome == 1)
    table = np.concatenate([features[row], quarter[:, np.newaxis].astype(np.float32)], axis=1)[kept]
    trees = grow(
        table,
        outcome[kept],
        rounds=60,
        learning_rate=0.05,
        leaves=5,
        min_leaf=40,
        l2=5.0,
        share_of_features=0.5,
        seed=0,
    )
    total = np.zeros(len(asked))
    for place in range(8):
        column = np.full((len(asked), 1), place, np.float32)
        raw = trees.raw(np.concatenate([asked, column], axis=1))
        total += 1.0 / (1.0 + np.exp(raw[:, 0] - raw[:, 1]))
    return total


def _print_concordance(
    name: str,
    days: Float64,
    failed: NDArray[np.bool_],
    risk: Float64,
    good: NDArray[np.bool_],
    fold: NDArray[np.int64],
) -> None:
    parts = [
        concordance(days[rows], failed[rows], risk[rows])
        for rows in (good & (fold == held) for held in range(FOLDS))
    ]
    print(f"| {name} | {np.mean(parts):.3f} | {min(parts):.3f} to {max(parts):.3f} |", flush=True)


def print_hourly(data: Path) -> None:
    """Print what trailing windows tell of the hourly series: area under the curve by horizon, and the last hours."""
    paths = sorted((data / "rod_pump").glob("*.csv.gz"))
    parts = []
    for number, path in enumerate(paths):
        table = csv.read_csv(path)
        values = np.stack(
            [
                table[name].cast(pa.float64()).to_numpy()
                for name in table.column_names
                if "time" not in name.lower()
            ],
            axis=1,
        )
        down = values[-DOWN_ROWS:]
        assert (down == 0.0).all(), f"{path.name} does not end in {DOWN_ROWS} rows of zeros"
        parts.append((number, values[:-DOWN_ROWS]))
    horizons = {"7 d": 168, "3 d": 72, "14 h": 14}
    features, left, well = [], [], []
    for number, values in parts:
        rows = len(values)
        if rows < 200:
            continue
        to_end = np.arange(rows, 0, -1)
        chosen = np.flatnonzero((to_end <= 24) | (np.arange(rows) % 12 == 0))
        chosen = chosen[chosen >= 170]
        features.append(_hourly_features(values, chosen))
        left.append(to_end[chosen])
        well.append(np.full(len(chosen), number))
    table_of, hours, wells = np.concatenate(features), np.concatenate(left), np.concatenate(well)
    print(
        f"{len(paths)} series, {len(set(wells.tolist()))} long enough, the last {DOWN_ROWS} rows of each left out\n"
    )
    print(
        "| failure within (3 and 7 d: the last day left out) | AUC, wells held out | 90 % interval, wells drawn anew | events |\n|---|---:|---|---:|"
    )
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    unique = np.unique(wells)
    fold = {int(name): place % 7 for place, name in enumerate(np.random.default_rng(0).permutation(unique))}
    of = np.array([fold[int(name)] for name in wells])
    for name, horizon in horizons.items():
        target = hours <= horizon
        # the ramp of the last hours is told apart: it would stand for most of the rows of the longer windows
        asked = (hours > 24) | (horizon < 24)
        said = np.zeros(len(hours))
        for held in range(7):
            # the days just outside of the window belong to neither side
            kept = asked & (of != held) & (target | (hours > 2 * horizon))
            model = HistGradientBoostingClassifier(
                max_iter=60,
                max_leaf_nodes=6,
                min_samples_leaf=40,
                learning_rate=0.06,
                early_stopping=False,
                random_state=0,
            )
            said[of == held] = model.fit(table_of[kept], target[kept]).predict_proba(table_of[of == held])[
                :, 1
            ]
        rng = np.random.default_rng(1)
        drawn = []
        for _ in range(200):
            rows = np.concatenate(
                [np.flatnonzero(asked & (wells == each)) for each in rng.choice(unique, len(unique))]
            )
            drawn.append(roc_auc_score(target[rows], said[rows]))
        low, high = np.quantile(drawn, [0.05, 0.95])
        print(
            f"| {name} | {roc_auc_score(target[asked], said[asked]):.3f} | {low:.3f} to {high:.3f} | {len(unique)} |",
            flush=True,
        )
        if horizon == 14:
            _print_last_hours(wells, hours, said)


def _print_last_hours(wells: NDArray[np.int64], hours: NDArray[np.int64], said: Float64) -> None:
    early = hours > 72
    months = sum(int(early[wells == name].sum()) * 12.0 / 730.5 for name in np.unique(wells))
    for budget in (0.1, 0.5):
        limits = np.sort(said[early])[::-1]
        limit = limits[min(int(budget * months), len(limits) - 1)]
        leads = [
            hours[(wells == name) & (hours <= 24) & (said > limit)].max(initial=0)
            for name in np.unique(wells)
        ]
        caught = [lead for lead in leads if lead]
        print(
            f"\nAlarm on the 14 h forecast with {budget} false rows per well-month (rows of 12 h): {len(caught)} of {len(leads)} "
            f"events, median lead {np.median(caught) if caught else float('nan'):.0f} h\n"
        )


def _hourly_features(values: Float64, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Means of the last 3, 12, 72 and 168 hours relative to the week before, and the last value, of each channel."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])

    def mean(hours: int) -> Float64:
        return (total[rows + 1] - total[rows + 1 - hours]) / hours

    week = mean(168)
    scale = np.abs(week) + 1.0
    return np.concatenate(
        [(mean(h) - week) / scale for h in (1, 3, 12, 72)] + [(mean(1) - mean(6)) / scale], axis=1
    ).astype(np.float32)
