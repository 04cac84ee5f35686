"""How well fillage and production are forecast, beside the last value, on simulated fields.

    python -m studies.trends --cache FOLDER [--fields tuning|test]

Skill is 1 - RMSE / RMSE of the last value over all days whose later day has a value; intervals resample wells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.card_forecaster import FIRST_DAY
from models.forecast_fields import DAYS, TEST, TUNING, card_field
from oasis_pipeline.learning.trends import HORIZONS_DAYS, MEDIAN, METHODS, forecast, forecast_trends
from studies.card_forecast import skill

WARM_UP_DAYS = 42
"""Days left out of the scores: before them there is nothing to choose a method by."""

LIMITS = {"fillage_pct": 100.0, "production_bpd": None}


def daily(
    well: NDArray[np.int64], day: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Median of each day, shape (wells, days)."""
    grid = np.full((int(well.max()) + 1, DAYS), np.nan)
    number = np.floor(day).astype(np.int64)
    for one in np.unique(well).tolist():
        for at in np.unique(number[well == one]).tolist():
            grid[one, at] = np.median(values[(well == one) & (number == at)])
    return grid


def main() -> None:
    """Print a table a quantity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--fields", choices=("tuning", "test"), default="test")
    chosen = parser.parse_args()
    fields = TUNING if chosen.fields == "tuning" else TEST
    for name, most in LIMITS.items():
        parts: dict[int, list[NDArray[np.float64]]] = {h: [] for h in HORIZONS_DAYS}
        methods: list[str] = []
        for number, (kind, seed) in enumerate(fields):
            field = card_field(kind, seed, chosen.cache)
            grid = daily(field.well, field.day, field.quantities[name])
            found = forecast_trends(grid, FIRST_DAY, most=most)
            windows = sliding_window_view(
                np.concatenate([np.full((len(grid), 6), np.nan), grid], axis=1), 7, axis=1
            )
            median = forecast(windows, MEDIAN)
            methods += [
                "; after a jump ".join(found.choices[max(c for c, _ in found.choices), h])
                for h in HORIZONS_DAYS
            ]
            for place, ahead in enumerate(HORIZONS_DAYS):
                here = slice(WARM_UP_DAYS, DAYS - ahead)
                actual = grid[:, WARM_UP_DAYS + ahead :]
                value, lower, upper = (v[:, here, place] for v in (found.value, found.lower, found.upper))
                # what the last value itself would have been, whatever was chosen
                now = grid[:, here]
                good = np.isfinite(actual) & np.isfinite(now)
                wells = np.repeat(np.arange(len(grid))[:, None], actual.shape[1], axis=1) + 1000 * number
                columns = [
                    np.square(actual - now),
                    np.square(actual - value),
                    np.square(actual - median[:, here, place]),
                    (lower <= actual) & (actual <= upper),
                    wells,
                ]
                parts[ahead].append(np.stack([np.asarray(c, np.float64)[good] for c in columns]))
        print(f"\n## {name}, {chosen.fields} fields\n")
        print(
            "| horizon | n | RMSE of the last value | forecast | week's median | covered, % | chosen last |"
        )
        print("|---|---:|---:|---|---|---:|---|")
        for place, ahead in enumerate(HORIZONS_DAYS):
            now, ours, median_error, inside, well = np.concatenate(parts[ahead], axis=1)
            cells = []
            for errors in (ours, median_error):
                value, low, high = skill(errors, now, well.astype(np.int64))
                cells.append(f"{value:.3f} ({low:.3f} - {high:.3f})")
            used = ", ".join(sorted(set(methods[place :: len(HORIZONS_DAYS)])))
            print(
                f"| {ahead} d | {len(now):,} | {np.sqrt(now.mean()):.2f} | {cells[0]} | {cells[1]} "
                f"| {100 * inside.mean():.1f} | {used} |"
            )
    print(f"\nChosen from: {', '.join(m.name for m in METHODS)}")


if __name__ == "__main__":
    main()
