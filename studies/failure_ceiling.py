"""What could be had at most on the simulated fields: by one who knows each fault exactly, and by trees on the true severities.

    python -m studies.failure_ceiling [--kinds decoys] [--wells 400] [--fields 4] [--learned 8]
    python -m studies.failure_ceiling --test [--kinds decoys]
    python -m studies.failure_ceiling --small 24

Belongs here: fields without cards, of which there can be many, judged as ``studies.failure_forecast`` judges. The oracle is told
when each fault began, how it has grown up to the day, free of weather, and the laws that the simulator draws by; nobody who looks
at cards can do better. The trees see what the platform would see if its diagnosis were perfect, weather included.

``--test`` asks the oracle alone about the very fields of ``studies.failure_forecast``.

``--small`` asks what a small field teaches by itself: 40 wells x 60 days with decoys, gradient boosting on the true severities, whole wells held
out but the same days learned and judged, and a fixed rule on the highest severity.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from models.failure_fields import DAYS, JUDGED_DAYS, KINDS, TEST_SEEDS, WELLS
from oasis_pipeline.learning.failures.alarms import ALARM_HORIZON_DAYS
from oasis_pipeline.learning.failures.hazard import window_probabilities
from oasis_pipeline.learning.failures.log import DAY_MS
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, UNKNOWN, Outcomes, outcomes_at
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.episodes import FieldKind
from studies.boosted_hazards import BoostingOptions, fit_boosted
from studies.failure_days import CLASSES, Prepared, laid, severity_field
from studies.failure_evaluation import Forecast, best_within, curve
from studies.failure_futures import chance_of_failing

FIRST_DAY = 75
"""As the first day that ``studies.failure_forecast`` judges."""
JUDGED_FROM, LEARNED_FROM = 3_000, 2_000
"""First seeds; far from those of any field with cards."""
SMALL_FROM, SMALL_WELLS, SMALL_DAYS, SMALL_FIRST_DAY, SMALL_FOLDS = 5_000, 40, 60, 15, 3
BUDGETS = (0.02, 0.05, 0.1, 0.2, 0.4)
OPTIONS = BoostingOptions(rounds=300, leaves=12, min_leaf=300, share_of_features=0.4)


def small_field(seed: int) -> dict[str, Forecast]:
    """Forecast a small field with decoys by what it teaches itself, and by a fixed rule.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict of str to Forecast
        By method.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    field, _ = severity_field(FieldKind.DECOYS, seed, SMALL_WELLS)
    data = field.data
    day = data.time_ms / DAY_MS
    past, judged = day <= SMALL_DAYS, (day > SMALL_FIRST_DAY) & (day <= SMALL_DAYS)
    outcomes = outcomes_at(data.well[past], data.time_ms[past], data.log, SMALL_DAYS * DAY_MS)
    window = outcomes.window(ALARM_HORIZON_DAYS)
    fold = (np.random.default_rng(0).permutation(SMALL_WELLS) % SMALL_FOLDS)[data.well]
    said = {name: np.zeros((len(day), len(HORIZONS_DAYS))) for name in ("boosting", "hazards")}
    for number in range(SMALL_FOLDS):
        teach, ask = fold[past] != number, judged & (fold == number)
        known = teach & (window != UNKNOWN)
        failed = window[known] >= 0
        if failed.any() and not failed.all():
            plain = HistGradientBoostingClassifier(learning_rate=0.06, max_leaf_nodes=8, random_state=0)
            plain.fit(data.features[past][known], failed)
            said["boosting"][ask] = plain.predict_proba(data.features[ask])[:, 1:]
            own = Outcomes(
                outcomes.interval[teach], outcomes.days_to_failure[teach], outcomes.observed_days[teach]
            )
            trees = fit_boosted(data.features[past][teach], own, len(CLASSES), 0)
            said["hazards"][ask] = 1.0 - window_probabilities(trees.hazards(data.features[ask]))[:, :, 0]
    levels = [data.names.index(f"{name} level") for name in c.LABELS if name != c.LABELS[c.FULL]]
    worst = np.nan_to_num(data.features[:, levels]).max(axis=1)
    said["fixed rule"] = np.repeat(worst[:, np.newaxis], len(HORIZONS_DAYS), axis=1)
    return {name: _forecast(field, values, SMALL_FIRST_DAY, SMALL_DAYS) for name, values in said.items()}


def _forecast(
    field: Prepared, said: NDArray[np.float64], first: int = FIRST_DAY, last: int = JUDGED_DAYS
) -> Forecast:
    data, sudden = field.data, field.sudden
    judged = (data.time_ms > first * DAY_MS) & (data.time_ms <= last * DAY_MS)
    return Forecast(
        data.well[judged],
        data.time_ms[judged],
        data.life[judged],
        said[judged],
        np.full(np.count_nonzero(judged), 2.0),
        data.log.take(~sudden),
        data.log.take(sudden),
        DAYS * DAY_MS,
    )


def _print(name: str, forecasts: list[Forecast]) -> None:
    for place in range(3):
        points = curve(forecasts, place, 80)
        at = [best_within(points, budget) for budget in BUDGETS]
        cells = " | ".join("0" if point is None else f"{point.recall:.2f}" for point in at)
        tenth = at[2]
        rest = "" if tenth is None else f"{tenth.precision:.2f} | {tenth.lead_days:.1f}"
        print(f"| {name} | {HORIZONS_DAYS[place]} d | {cells} | {rest} |", flush=True)


def main() -> None:
    """Print a table for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kinds", type=FieldKind, nargs="+", default=list(KINDS))
    parser.add_argument("--wells", type=int, default=400)
    parser.add_argument("--fields", type=int, default=4, help="fields judged")
    parser.add_argument(
        "--learned", type=int, default=8, help="fields that the trees are learned on; 0 leaves them out"
    )
    parser.add_argument("--test", action="store_true", help="the test seeds with their own number of wells")
    parser.add_argument("--small", type=int, help="small fields that teach themselves; nothing else is done")
    asked = parser.parse_args()
    if asked.small is not None:
        small = [small_field(SMALL_FROM + number) for number in range(asked.small)]
        print("| | window | 0.02 | 0.05 | 0.1 | 0.2 | 0.4 | precision at 0.1 | median lead at 0.1, d |")
        print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        for name in small[0]:
            _print(name, [forecasts[name] for forecasts in small])
        return
    for kind in asked.kinds:
        seeds = TEST_SEEDS if asked.test else range(JUDGED_FROM, JUDGED_FROM + asked.fields)
        wells = WELLS if asked.test else asked.wells
        judged = [severity_field(kind, seed, wells) for seed in seeds]
        print(f"\n### {kind}, {len(seeds)} x {wells} wells\n")
        print("| | window | 0.02 | 0.05 | 0.1 | 0.2 | 0.4 | precision at 0.1 | median lead at 0.1, d |")
        print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        oracle = [
            _forecast(field, chance_of_failing(course, field.data.well, field.data.time_ms / DAY_MS, kind))
            for field, course in judged
        ]
        _print("oracle", oracle)
        if asked.learned == 0 or asked.test:
            continue
        learned = [severity_field(kind, LEARNED_FROM + n, asked.wells)[0].data for n in range(asked.learned)]
        outcomes = laid([outcomes_at(d.well, d.time_ms, d.log, (DAYS + 1) * DAY_MS) for d in learned])
        trees = fit_boosted(np.concatenate([d.features for d in learned]), outcomes, len(CLASSES), 0, OPTIONS)
        _print(
            "trees on true severities",
            [
                _forecast(field, 1.0 - window_probabilities(trees.hazards(field.data.features))[:, :, 0])
                for field, _ in judged
            ],
        )


if __name__ == "__main__":
    main()
