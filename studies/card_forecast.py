"""How well the next cards are forecast: skill by horizon, and coverage of the band, on simulated fields.

    python -m studies.card_forecast --cache FOLDER [--fields tuning|test]
    python -m studies.card_forecast --cache FOLDER --sktime WELLS | --neural | --picture FILE

Skill is 1 - RMSE / RMSE of persistence, over all points of all cards of the pairs (lbf). A pair has *changed* when a true severity
differs by 0.2 or more between the two cards. Intervals resample wells.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card_forecaster import FIRST_DAY, Prepared, prepare
from models.forecast_fields import TEST, TUNING, card_field
from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast import model as models
from oasis_pipeline.learning.card_forecast.anomaly import score_cards
from oasis_pipeline.learning.card_forecast.candidates import MEDIAN, Candidates, candidates_of
from oasis_pipeline.learning.card_forecast.history import LOADS, CardDays
from oasis_pipeline.simulation.conditions import PARTED

CHANGED = 0.2
BOOTSTRAPS = 500
GROUPS = ("all", "changed", "changed, no parted rods", "unchanged")


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
        "rods parted since": (before[:, PARTED] == 0) & (after[:, PARTED] > 0),
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
                "anomaly": score_cards(
                    known.newest[row] + pairs.change,
                    forecasts.state[row],
                    forecasts.half_width_lbf[row],
                    forecasts.departures[row],
                ).is_anomaly.astype(float),
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


def sktime_table(prepared: Prepared, wells: int, components: int = 6) -> None:
    """Fit sktime's forecasters one series at a time to principal components of the cards, and compare on the same issues.

    Every series is the history of one component of one well, a value a day, gaps carried forward; forecasts are issued every
    tenth day from the thirtieth on.
    """
    import warnings

    import pandas as pd
    from sktime.forecasting.exp_smoothing import ExponentialSmoothing
    from sktime.forecasting.naive import NaiveForecaster
    from sktime.forecasting.theta import ThetaForecaster

    days = prepared.days
    first = days.day - FIRST_DAY < 30
    centre = days.mean[first][:, LOADS].mean(axis=0)
    basis = np.linalg.svd(days.mean[first][:, LOADS] - centre, full_matrices=False)[2][:components]
    methods = {
        "sktime mean of 7 days": lambda: NaiveForecaster("mean", window_length=7),
        "sktime drift": lambda: NaiveForecaster("drift", window_length=20),
        "sktime theta": lambda: ThetaForecaster(deseasonalize=False),
        "sktime damped exponential smoothing": lambda: ExponentialSmoothing(trend="add", damped_trend=True),
    }
    begin = time.process_time()
    found, _ = learning.walk_forward(days, prepared.begin, models.base_forecaster())
    ours_seconds = time.process_time() - begin
    issued = (days.well < wells) & ((days.day - FIRST_DAY) % 10 == 0) & (days.day - FIRST_DAY >= 30)
    rows = np.flatnonzero(issued)
    seconds = dict.fromkeys(methods, 0.0)
    ahead = [hours // 24 for hours in models.HORIZONS_HOURS]
    predicted = {name: np.zeros((len(rows), len(ahead), 100), np.float32) for name in methods}
    for at, row in enumerate(rows.tolist()):
        mine = np.flatnonzero(
            (days.well == days.well[row])
            & (days.day <= days.day[row])
            & (days.day >= max(prepared.begin[row], days.day[row] - 59))
        )
        scores = (days.mean[mine][:, LOADS] - centre) @ basis.T
        index = pd.RangeIndex(days.day[mine[0]], days.day[row] + 1)
        daily = pd.DataFrame(scores, index=days.day[mine]).reindex(index).ffill()
        # what the components leave out stays as it was last
        rest = (days.newest[row, LOADS] - centre) - ((days.newest[row, LOADS] - centre) @ basis.T) @ basis
        for name, make in methods.items():
            begin = time.process_time()
            answer = np.empty((len(ahead), components))
            for column in range(components):
                series = daily[column].reset_index(drop=True).astype(float)
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        answer[:, column] = np.ravel(make().fit(series, fh=ahead).predict())
                except Exception:  # too few days since a workover for this method
                    answer[:, column] = series.iloc[-1]
            seconds[name] += time.process_time() - begin
            predicted[name][at] = answer @ basis + centre + rest
    print(f"\n{len(rows)} issues of {wells} wells, {components} components\n")
    print("| method | " + " | ".join(f"{h} h" for h in models.HORIZONS_HOURS) + " | s for 1,000 issues |")
    print("|---|" + "---|" * len(models.HORIZONS_HOURS) + "---:|")
    table: dict[str, list[str]] = {"forecast": [], **{name: [] for name in methods}}
    for place, hours in enumerate(models.HORIZONS_HOURS):
        pairs = learning.pair_days(days, hours)
        paired = np.isin(pairs.row, rows)
        row = pairs.row[paired]
        at = np.searchsorted(rows, row)
        actual = (days.newest[row] + pairs.change[paired])[:, LOADS]
        persistence = mean_square(pairs.change[paired][:, LOADS])
        for name in table:
            guess = found[place].state[row][:, LOADS] if name == "forecast" else predicted[name][at, place]
            value, low, high = skill(mean_square(actual - guess), persistence, days.well[row])
            table[name].append(f"{value:.3f} ({low:.3f} - {high:.3f})")
    for name, cells in table.items():
        cost = 1000 * (ours_seconds / len(days) if name == "forecast" else seconds[name] / len(rows))
        print(f"| {name} | " + " | ".join(cells) + f" | {cost:,.2f} |")


def neural_table(prepared: Prepared, order: int = 8, window: int = 5) -> None:
    """Try the earlier platform's method once: a network from five cards' elliptic Fourier descriptors to the later card's.

    Cards are scaled by their well's bounds of the training days; the first 60 days teach, the rest judges. The descriptors lose
    level and offset, so the newest card's centre is given back, which the earlier platform did not do.
    """
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    from oasis_pipeline.cards.canonical import shape_form
    from oasis_pipeline.cards.descriptors import elliptic_fourier, elliptic_fourier_constant, reconstruct
    from oasis_pipeline.learning.card_forecast.history import state_positions

    days = prepared.days
    taught = days.day - FIRST_DAY < 60
    low, high = np.zeros((len(days), 2)), np.ones((len(days), 2))
    position, load = state_positions(days.newest), days.newest[:, LOADS]
    for number in np.unique(days.well).tolist():
        mine = days.well == number
        for axis, values in enumerate((position, load)):
            low[mine, axis], high[mine, axis] = values[mine & taught].min(), values[mine & taught].max()
    scaled = [(v - low[:, [i]]) / (high - low)[:, [i]] for i, v in enumerate((position, load))]
    descriptors = elliptic_fourier(*scaled, order).reshape(len(days), -1)
    centre = elliptic_fourier_constant(*scaled)
    steps = np.arange(len(days))[:, None] - np.arange(window)[::-1]
    whole = (steps[:, 0] >= 0) & (days.well[np.maximum(steps[:, 0], 0)] == days.well)
    features = descriptors[np.maximum(steps, 0)].reshape(len(days), -1)

    def loads_of(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        x, y = reconstruct(values.reshape(-1, order, 4), 200, centre[rows])
        x = x * (high - low)[rows][:, :1] + low[rows][:, :1]
        y = y * (high - low)[rows][:, 1:] + low[rows][:, 1:]
        return np.asarray(shape_form(x, y, 100)[1])

    found, _ = learning.walk_forward(days, prepared.begin, models.base_forecaster())
    print("\n| horizon | network on descriptors | newest card by its descriptors | forecast |")
    print("|---|---|---|---|")
    for place, hours in enumerate(models.HORIZONS_HOURS):
        pairs = learning.pair_days(days, hours)
        later = np.searchsorted(
            days.well * 1e6 + days.time, days.well[pairs.row] * 1e6 + pairs.target_time - 1e-9
        )
        usable = whole[pairs.row]
        teach = usable & (pairs.target_time - FIRST_DAY < 60)
        judge = usable & (days.day[pairs.row] - FIRST_DAY >= 60)
        x, y = (
            StandardScaler().fit(features[pairs.row[teach]]),
            StandardScaler().fit(descriptors[later[teach]]),
        )
        network = MLPRegressor(hidden_layer_sizes=(100, 50), early_stopping=True, max_iter=60, random_state=0)
        network.fit(x.transform(features[pairs.row[teach]]), y.transform(descriptors[later[teach]]))
        row = pairs.row[judge]
        actual = (days.newest[row] + pairs.change[judge])[:, LOADS]
        persistence = mean_square(pairs.change[judge][:, LOADS])
        cells = []
        for guess in (
            loads_of(y.inverse_transform(network.predict(x.transform(features[row]))), row),
            loads_of(descriptors[row], row),
            found[place].state[row][:, LOADS],
        ):
            good = np.isfinite(guess).all(axis=1)
            value, low_end, high_end = skill(
                mean_square((actual - guess)[good]), persistence[good], days.well[row][good]
            )
            cells.append(f"{value:.3f} ({low_end:.3f} - {high_end:.3f})")
        print(f"| {hours} h | " + " | ".join(cells) + " |")


def write_picture(prepared: Prepared, target: Path, hours: int = 168) -> None:
    """Draw forecasts of a week over the cards that came, drawn at random from each group of pairs (seed 0)."""
    from oasis_pipeline.learning.card_forecast.history import state_positions
    from oasis_pipeline.plotting.forecasts import ForecastPicture, forecasts_grid
    from oasis_pipeline.plotting.style import png

    days = prepared.days
    found, _ = learning.walk_forward(days, prepared.begin, models.base_forecaster())
    forecasts = found[models.HORIZONS_HOURS.index(hours)]
    pairs = learning.pair_days(days, hours)
    groups = groups_of(prepared, pairs)
    parted = groups["changed"] & ~groups["changed, no parted rods"]
    rng = np.random.default_rng(0)
    pictures = []
    for title, group, count in (
        ("unchanged", groups["unchanged"], 3),
        ("changed", groups["changed, no parted rods"], 3),
        ("parted rods, before or after", parted, 2),
    ):
        there = np.flatnonzero(group & (days.day[pairs.row] - FIRST_DAY > 42))
        for at in rng.choice(there, min(count, len(there)), replace=False).tolist():
            row = int(pairs.row[at])
            state, half = forecasts.state[row], forecasts.half_width_lbf[row]
            came = days.newest[row] + pairs.change[at]
            pictures.append(
                ForecastPicture(
                    title,
                    state_positions(state),
                    state[LOADS],
                    state[LOADS] - half,
                    state[LOADS] + half,
                    actual=(state_positions(came), came[LOADS]),
                    issued=(state_positions(days.newest[row]), days.newest[row][LOADS]),
                    note=f"well {days.well[row]}, day {days.day[row] - FIRST_DAY}, {hours} h ahead",
                )
            )
    target.write_bytes(png(forecasts_grid(pictures), dpi=80))


def report_anomalies(result: dict) -> None:
    """Print which cards are called anomalies a day ahead."""
    columns = result[24]
    print("\nCalled an anomaly, 24 h ahead\n\n| cards | n | % |\n|---|---:|---:|")
    for group in (*GROUPS[1:], "rods parted since"):
        here = columns[f"in {group}"] > 0
        if here.any():
            print(f"| {group} | {here.sum():,} | {100 * columns['anomaly'][here].mean():.1f} |")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--fields", choices=("tuning", "test"), default="test")
    parser.add_argument("--sktime", type=int, metavar="WELLS", help="compare with sktime on so many wells")
    parser.add_argument("--neural", action="store_true", help="try the earlier platform's network")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw some forecasts of the first field")
    chosen = parser.parse_args()
    if chosen.picture:
        write_picture(prepare(card_field(*TEST[0], chosen.cache)), chosen.picture)
        return
    if chosen.sktime or chosen.neural:
        one = prepare(card_field(*TEST[0], chosen.cache))
        if chosen.sktime:
            sktime_table(one, chosen.sktime)
        if chosen.neural:
            neural_table(one)
        return
    fields = TUNING if chosen.fields == "tuning" else TEST
    for kind in dict.fromkeys(kind for kind, _ in fields):
        begin = time.process_time()
        prepared = [prepare(card_field(k, seed, chosen.cache)) for k, seed in fields if k == kind]
        result = evaluate(prepared)
        print(f"\n## {kind}, seeds {', '.join(str(s) for k, s in fields if k == kind)}")
        report(result, ["forecast", "last week's median", "drift"])
        report_anomalies(result)
        print(f"\n{time.process_time() - begin:.0f} s of processor time")


if __name__ == "__main__":
    main()
