"""Speed and memory of failure forecasts: windows and predictions of a thousand wells over a year, on one core."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import numpy as np

from oasis_pipeline.learning.failures.base import base_forecaster
from oasis_pipeline.learning.failures.channels import CHANNELS
from oasis_pipeline.learning.failures.forecaster import learnable
from oasis_pipeline.learning.failures.log import DAY_MS, FailureLog
from oasis_pipeline.learning.failures.windows import daily_rows

WELLS, DAYS, ROWS_A_DAY = 1_000, 365, 3
WELLS_AT_ONCE = 100


def rows() -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    forecaster, _ = base_forecaster()
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
    data, _ = learnable(daily, log, [str(number) for number in range(wells)], np.zeros(wells, np.int64))
    after_windows = time.process_time()
    forecaster.probabilities(data.features)
    return {
        "days": after_days - begin,
        "windows": after_windows - after_days,
        "predictions": time.process_time() - after_windows,
    }
