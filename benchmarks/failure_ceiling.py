"""What could be had at most on the simulated fields: by one who knows each fault exactly, and by trees on the true severities.

    python -m benchmarks.failure_ceiling [--wells 400] [--fields 4] [--learned 8]

Belongs here: fields without cards, of which there can be many, judged as ``benchmarks.failure_forecast`` judges. The knower is told
when each fault began, how it has grown up to the day, free of weather, and the laws that the simulator draws by; nobody who looks
at cards can do better. The trees see what the platform would see if its diagnosis were perfect, weather included.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from benchmarks.base_failure_model import CLASSES, laid
from benchmarks.failure_fields import DAYS, JUDGED_DAYS, KINDS
from benchmarks.failure_futures import chance_of_failing, course_of
from oasis_pipeline.intake.failures import package_rules, reduce_text
from oasis_pipeline.learning.failures.evaluation import Forecast, best_within, curve
from oasis_pipeline.learning.failures.forecaster import Learnable, learnable
from oasis_pipeline.learning.failures.hazard import BoostingOptions, fit_boosted, window_probabilities
from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, outcomes_at
from oasis_pipeline.learning.failures.windows import daily_rows
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.episodes import FieldKind, episode_card_times

FIRST_DAY = 75
"""As the first day that ``benchmarks.failure_forecast`` judges."""
JUDGED_FROM, LEARNED_FROM = 3_000, 2_000
"""First seeds; far from those of any field with cards."""
BUDGETS = (0.02, 0.05, 0.1, 0.2, 0.4)
OPTIONS = BoostingOptions(rounds=300, leaves=12, min_leaf=300, share_of_features=0.4)


def severity_field(
    kind: FieldKind, seed: int, wells: int
) -> tuple[Learnable, NDArray[np.bool_], NDArray[np.float64]]:
    """Windows of the true severities of a field without cards, which failures are sudden, and what the knower says."""
    course = course_of(kind, seed, wells)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(6)[2])
    times = episode_card_times(wells, DAYS, 2, course.episodes, course.failures, rng)
    columns = {name: times.severity[:, place] for name, place in c.COLUMN.items()}
    rows = daily_rows(times.well, np.round(times.day * DAY_MS).astype(np.int64), columns)
    failures = course.failures
    start = np.array([round(failure.start_day * DAY_MS) for failure in failures], np.int64)
    open_ = np.array([failure.end_day + 1.0 >= DAYS for failure in failures], bool)
    end = np.array([round(failure.end_day * DAY_MS) for failure in failures], np.int64)
    known = np.array([(int(failure.end_day) + 2) * DAY_MS for failure in failures], np.int64)
    of = np.array([failure.well for failure in failures], np.int64)
    rules = package_rules()
    log = FailureLog.of(
        of,
        start,
        np.where(open_, NEVER, end),
        np.where(open_, DAYS * DAY_MS, known),
        [reduce_text(failure.text, rules) for failure in failures],
        CLASSES,
    )
    data, _ = learnable(rows, log, course.nodes, np.zeros(wells, np.int64))
    sudden = np.array([not failure.warned for failure in failures], bool)[np.lexsort((start, of))]
    return data, sudden, chance_of_failing(course, data.well, data.time_ms / DAY_MS, kind)


def _forecast(data: Learnable, sudden: NDArray[np.bool_], said: NDArray[np.float64]) -> Forecast:
    judged = (data.time_ms > FIRST_DAY * DAY_MS) & (data.time_ms <= JUDGED_DAYS * DAY_MS)
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
    parser.add_argument("--wells", type=int, default=400)
    parser.add_argument("--fields", type=int, default=4, help="fields judged")
    parser.add_argument(
        "--learned", type=int, default=8, help="fields that the trees are learned on; 0 leaves them out"
    )
    asked = parser.parse_args()
    for kind in KINDS:
        judged = [severity_field(kind, JUDGED_FROM + n, asked.wells) for n in range(asked.fields)]
        print(f"\n### {kind}, {asked.fields} x {asked.wells} wells\n")
        print("| | window | 0.02 | 0.05 | 0.1 | 0.2 | 0.4 | precision at 0.1 | median lead at 0.1, d |")
        print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        _print("knower", [_forecast(*one) for one in judged])
        if asked.learned == 0:
            continue
        learned = [severity_field(kind, LEARNED_FROM + n, asked.wells)[0] for n in range(asked.learned)]
        outcomes = laid([outcomes_at(d.well, d.time_ms, d.log, (DAYS + 1) * DAY_MS) for d in learned])
        trees = fit_boosted(np.concatenate([d.features for d in learned]), outcomes, len(CLASSES), 0, OPTIONS)
        _print(
            "trees on true severities",
            [
                _forecast(data, sudden, 1.0 - window_probabilities(trees.hazards(data.features))[:, :, 0])
                for data, sudden, _ in judged
            ],
        )


if __name__ == "__main__":
    main()
