"""How well the next cards are forecast: skill by horizon, and coverage of the band, on simulated fields.

    python -m benchmarks.card_forecast --cache FOLDER [--fields tuning|test] [--sktime N] [--neural]
    python -m benchmarks.card_forecast --cache FOLDER --base

Skill is 1 - RMSE / RMSE of persistence, over all points of all cards of the pairs (lbf). A pair has *changed* when a true severity
differs by 0.2 or more between the two cards. Intervals resample wells. ``--base`` learns the base model from the tuning fields and
writes it into the package.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.forecast_fields import TEST, TUNING, CardField, card_field
from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast import model as models
from oasis_pipeline.learning.card_forecast.candidates import MEDIAN, Candidates, candidates_of
from oasis_pipeline.learning.card_forecast.history import LOADS, CardDays, card_states, days_of_cards
from oasis_pipeline.simulation.conditions import PARTED

FIRST_DAY = 20_000
"""Day number of the first day of a simulated field."""

CHANGED = 0.2
BOOTSTRAPS = 500
GROUPS = ("all", "changed", "changed, no parted rods", "unchanged")


@dataclass(frozen=True)
class Prepared:
    """A field's days with the truth beside."""

    days: CardDays
    begin: NDArray[np.int64]
    severity: NDArray[np.float64]
    field: CardField


def prepare(field: CardField, first_well: int = 0) -> Prepared:
    """Sum a field up by day; a workover is known the day after the first card that follows it."""
    states = card_states(field.position_in, field.load_lbf)
    good = np.isfinite(states).all(axis=1)
    days = days_of_cards(field.well + first_well, field.day + FIRST_DAY, states)
    key = (field.well[good] + first_well) * 10_000_000 + np.floor(field.day[good]).astype(np.int64)
    newest = np.searchsorted(key, days.well * 10_000_000 + days.day - FIRST_DAY, side="right") - 1
    workovers = field.workovers[good][newest]
    begin = np.full(len(days), -(10**9))
    for at in np.flatnonzero(np.r_[False, (np.diff(days.well) == 0) & (np.diff(workovers) > 0)]).tolist():
        later = (days.well == days.well[at]) & (days.day > days.day[at])
        begin[later] = days.day[at]
    return Prepared(days, begin, field.severity[good][newest], field)


def joined(parts: list[Prepared]) -> tuple[CardDays, NDArray[np.int64]]:
    """Fields side by side."""
    names = CardDays.__dataclass_fields__
    days = CardDays(**{name: np.concatenate([getattr(p.days, name) for p in parts]) for name in names})
    return days, np.concatenate([p.begin for p in parts])


def write_base(cache: Path) -> None:
    """Learn the base model from the tuning fields, and write it into the package."""
    days, begin = joined(
        [prepare(card_field(kind, seed, cache), 1000 * at) for at, (kind, seed) in enumerate(TUNING)]
    )
    known = candidates_of(days, None, begin)
    evidence = [learning.evidence_of(days, known, hours) for hours in models.HORIZONS_HOURS]
    model, _ = learning.learn(evidence, days, int(days.day.max()) + 1, None)
    manifest = {
        "state_version": models.STATE_VERSION,
        "simulated": True,
        "fields": [f"{kind} {seed}" for kind, seed in TUNING],
        "pairs": len(evidence[0].issued),
    }
    data, sha256 = models.save_forecaster(model, manifest)
    target = Path(models.__file__).parent / "base.model"
    target.write_bytes(data)
    print(f"{target.name}: {len(data)} bytes, sha256 {sha256}")


def groups_of(prepared: Prepared, pairs: learning.Pairs) -> dict[str, NDArray[np.bool_]]:
    """Which pairs belong to which group."""
    later = np.searchsorted(
        prepared.days.well * 1e6 + prepared.days.time,
        prepared.days.well[pairs.row] * 1e6 + pairs.target_time - 1e-9,
    )
    before, after = prepared.severity[pairs.row], prepared.severity[later]
    changed = np.abs(after - before)[:, 1:].max(axis=1) >= CHANGED
    parted = (before[:, PARTED] > 0) | (after[:, PARTED] > 0)
    return {
        "all": np.ones(len(changed), bool),
        "changed": changed,
        "changed, no parted rods": changed & ~parted,
        "unchanged": ~changed,
    }


def skill(
    error: NDArray[np.float64], persistence: NDArray[np.float64], well: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Skill with its 95 % interval over wells, from mean square errors a pair."""
    if not len(error):
        return float("nan"), float("nan"), float("nan")
    _, place = np.unique(well, return_inverse=True)
    ours, theirs = np.bincount(place, error), np.bincount(place, persistence)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(ours), (BOOTSTRAPS, len(ours)))
    spread = 1.0 - np.sqrt(ours[drawn].sum(axis=1) / theirs[drawn].sum(axis=1))
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(1.0 - np.sqrt(ours.sum() / theirs.sum())), float(low), float(high)


def mean_square(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean square over the points."""
    return np.square(values, dtype=np.float64).mean(axis=-1)


def drift_forecast(days: CardDays, known: Candidates, hours: int) -> NDArray[np.float32]:
    """Newest card plus the well's mean change since its first card of the window, as `NaiveForecaster(strategy="drift")`."""
    return known.newest + known.departures[:, -1] * np.float32(hours / 24.0)


def evaluate(prepared: list[Prepared]) -> dict[int, dict[str, dict[str, NDArray[np.float64]]]]:
    """Errors of every method by horizon, with groups and coverage, over all fields."""
    result: dict[int, dict[str, list[NDArray[np.float64]]]] = {h: {} for h in models.HORIZONS_HOURS}
    for number, one in enumerate(prepared):
        found, versions = learning.walk_forward(one.days, one.begin, models.base_forecaster())
        known = candidates_of(one.days, None, one.begin)
        for hours, forecasts in zip(models.HORIZONS_HOURS, found, strict=True):
            pairs = learning.pair_days(one.days, hours)
            row, change = pairs.row, pairs.change[:, LOADS]
            newest = known.newest[row][:, LOADS]
            error = newest + change - forecasts.state[row][:, LOADS]
            columns = {
                "persistence": mean_square(change),
                "forecast": mean_square(error),
                "drift": mean_square(newest + change - drift_forecast(one.days, known, hours)[row][:, LOADS]),
                "last week's median": mean_square(change - known.departures[row, MEDIAN][:, LOADS]),
                "covered": (np.abs(error) <= forecasts.half_width_lbf[row]).mean(axis=1),
                "well": one.days.well[row] + 1000.0 * number,
                "base": np.array([versions[r].startswith("base-") for r in row], float),
                "day": (one.days.day[row] - FIRST_DAY).astype(float),
                "field": np.full(len(row), float(number)),
                **{f"in {k}": v.astype(float) for k, v in groups_of(one, pairs).items()},
            }
            for name, values in columns.items():
                result[hours].setdefault(name, []).append(values)
    return {h: {name: np.concatenate(v) for name, v in parts.items()} for h, parts in result.items()}


def report(result: dict, methods: list[str]) -> None:
    """Print skill and coverage."""
    for hours, columns in result.items():
        print(f"\n{hours} h\n")
        print("| pairs | n | RMSE of persistence, lbf | " + " | ".join(methods) + " | covered, % |")
        print("|---|---:|---:|" + "---|" * len(methods) + "---:|")
        for group in GROUPS:
            here = columns[f"in {group}"] > 0
            well = columns["well"][here].astype(np.int64)
            cells = []
            for method in methods:
                value, low, high = skill(columns[method][here], columns["persistence"][here], well)
                cells.append(f"{value:.3f} ({low:.3f} - {high:.3f})")
            rmse = np.sqrt(columns["persistence"][here].mean()) if here.any() else float("nan")
            print(
                f"| {group} | {here.sum():,} | {rmse:,.0f} | "
                + " | ".join(cells)
                + f" | {100 * columns['covered'][here].mean():.1f} |"
            )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--fields", choices=("tuning", "test"), default="test")
    parser.add_argument("--base", action="store_true")
    chosen = parser.parse_args()
    if chosen.base:
        write_base(chosen.cache)
        return
    fields = TUNING if chosen.fields == "tuning" else TEST
    for kind in dict.fromkeys(kind for kind, _ in fields):
        begin = time.process_time()
        prepared = [prepare(card_field(k, seed, chosen.cache)) for k, seed in fields if k == kind]
        result = evaluate(prepared)
        print(f"\n## {kind}, seeds {', '.join(str(s) for k, s in fields if k == kind)}")
        report(result, ["forecast", "last week's median", "drift"])
        print(f"\n{time.process_time() - begin:.0f} s of processor time")


if __name__ == "__main__":
    main()
