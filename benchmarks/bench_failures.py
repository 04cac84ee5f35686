"""Failure forecasts: speed and memory on one core, and with ``--cache DIR`` what they are worth on foreign fields.

``python -m benchmarks failures --cache DIR [--seeds 7101] [--judged] [--often] [--size 40 360]`` makes lifelike foreign fields, or reads those
kept in DIR, walks through them as the platform does, and judges beside trivial scores. ``--often`` takes the fields of the other benchmarks (40
wells over 120 days), whose failures come three times as often.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.foreign import DEVELOPMENT_SEEDS, JUDGED_SEEDS
from benchmarks.foreign.files import DAYS as DAYS_OF_FIELD
from benchmarks.foreign.files import LIFELIKE_DAYS
from benchmarks.foreign.files import WELLS as WELLS_OF_FIELD
from benchmarks.foreign_failures import (
    FIRST_DAYS,
    failure_days,
    judge_alarms,
    recall_within,
    reliability,
    trivial_scores,
    walk,
)
from oasis_pipeline.learning.failures.alarms import ALARM_HORIZON_DAYS
from oasis_pipeline.learning.failures.base import base_forecaster
from oasis_pipeline.learning.failures.causes import CAUSE_CHANNELS
from oasis_pipeline.learning.failures.channels import CHANNELS
from oasis_pipeline.learning.failures.forecaster import Learnable, learnable
from oasis_pipeline.learning.failures.log import DAY_MS, FailureLog
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS
from oasis_pipeline.learning.failures.windows import DailyRows, daily_rows

WELLS, DAYS, ROWS_A_DAY = 1_000, 365, 3
WELLS_AT_ONCE = 100


def rows(
    cache: Path | None = None,
    judged: bool = False,
    seeds: Sequence[int] = (),
    size: tuple[int, int] | None = None,
    often: bool = False,
) -> Iterator[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note.

    Parameters
    ----------
    cache : Path, optional
        Where foreign fields are kept; without it only speed and memory are measured.
    judged : bool
        Judged seeds instead of those for development.
    seeds : sequence of int
        These seeds instead.
    size : tuple of int, optional
        Wells and days of a foreign field.
    often : bool
        Fields whose failures come three times as often instead of lifelike ones.
    """
    yield from _speed()
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        size = size or (WELLS_OF_FIELD, DAYS_OF_FIELD if often else LIFELIKE_DAYS)
        for seed in seeds or (JUDGED_SEEDS if judged else DEVELOPMENT_SEEDS):
            yield from _worth(f"foreign {seed}", failure_days(seed, cache, size, not often))


def _worth(world: str, data: Learnable) -> Iterator[dict[str, Any]]:
    def row(name: str, figure: float, unit: str, note: str = "") -> dict[str, Any]:
        return {"name": f"{world}: {name}", "figure": figure, "unit": unit, "note": note}

    walked = walk(data)
    scores = {
        f"probability within {days} d": walked.failure[:, place]
        for place, days in enumerate(HORIZONS_DAYS)
        if days <= ALARM_HORIZON_DAYS
    }
    for name, score in (scores | trivial_scores(data)).items():
        found = recall_within(data, score)
        yield row(f"recall at 0.1 false alarms, {name}", found.recall, "", "threshold chosen in hindsight")
    alarm = HORIZONS_DAYS.index(ALARM_HORIZON_DAYS)
    raised = judge_alarms(
        data, walked.failure[:, alarm], walked.threshold, walked.probability[:, alarm].argmax(axis=1)
    )
    rate = raised.failures / len(data.well) * 365.25
    yield row(
        "alarms as raised, recall", raised.recall, "", f"{raised.failures} failures, {rate:.2f} a well-year"
    )
    yield row("alarms as raised, false ones", raised.false_per_well_month, "per well-month")
    yield row("alarms as raised, median lead", raised.lead_days, "d")
    yield row("alarms as raised, part right", raised.part_right, "", f"of {raised.caught} caught")
    for days in HORIZONS_DAYS[:3]:
        for when, first, last in (("first month", 0, FIRST_DAYS), ("later", FIRST_DAYS, 10**6)):
            said, true, error, count = reliability(walked, days, first, last)
            note = f"came true {100 * true:.1f} %, error of bins {100 * error:.1f} %, {count} well-days"
            yield row(f"said within {days} d, {when}", 100 * said, "%", note)


def _speed() -> list[dict[str, Any]]:
    forecaster = base_forecaster()
    rng = np.random.default_rng(7)
    _part(rng, forecaster, wells=2)
    seconds = {"days": 0.0, "windows": 0.0, "predictions": 0.0}
    for _ in range(WELLS // WELLS_AT_ONCE):
        for name, spent in _part(rng, forecaster, WELLS_AT_ONCE).items():
            seconds[name] += spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    note = f"{WELLS} wells x {DAYS} days, {ROWS_A_DAY} rows a day, {len(CHANNELS)} quantities, one core"
    table = [
        {"name": f"failures: {name}", "figure": round(spent, 1), "unit": "s", "note": note}
        for name, spent in seconds.items()
    ]
    total = sum(seconds.values())
    table.append(
        {
            "name": "failures: all three",
            "figure": round(total, 1),
            "unit": "s",
            "note": "the mark is 300 s on two cores",
        }
    )
    table.append(
        {
            "name": "failures: peak memory of the process",
            "figure": round(peak),
            "unit": "MB",
            "note": f"{WELLS_AT_ONCE} wells at a time",
        }
    )
    return table


def _part(rng: np.random.Generator, forecaster: Any, wells: int) -> dict[str, float]:
    """Processor time of some wells, s: waiting for the neighbours on the machine does not count."""
    count = wells * DAYS * ROWS_A_DAY
    well = np.repeat(np.arange(wells), DAYS * ROWS_A_DAY)
    time_ms = np.tile((np.arange(DAYS * ROWS_A_DAY) * DAY_MS) // ROWS_A_DAY, wells)
    columns = {name: rng.normal(size=count) for name in CHANNELS}
    failed = np.arange(0, wells, 2)
    start = rng.integers(50, 300, len(failed)) * DAY_MS
    log = FailureLog.of(
        failed, start, start + 3 * DAY_MS, start + 4 * DAY_MS, ["Pump"] * len(failed), forecaster.classes
    )
    begin = time.process_time()
    daily = daily_rows(well, time_ms, columns)
    after_days = time.process_time()
    looked_at = [CHANNELS.index(name) for name in CAUSE_CHANNELS]
    values = np.ascontiguousarray(daily.values[:, looked_at])
    daily = DailyRows(daily.well, daily.day, daily.time_ms, values, daily.count, CAUSE_CHANNELS)
    data, _ = learnable(daily, log, [str(number) for number in range(wells)], np.zeros(wells, np.int64))
    after_windows = time.process_time()
    forecaster.probabilities(data.features)
    return {
        "days": after_days - begin,
        "windows": after_windows - after_days,
        "predictions": time.process_time() - after_windows,
    }
