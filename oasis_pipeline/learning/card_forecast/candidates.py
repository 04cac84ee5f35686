"""What a forecast is mixed from: levels, a robust level and slopes of a well's last days, and how noisy and how odd they are.

Belongs here: numbers that are computed from the days up to the one of issue, and from no later one. Does not belong here: weights
(``model``).

All candidates but the median are weighted sums of mean cards, so a chunk of rows is one product of matrices. The methods
are those that sktime fits one series at a time: `NaiveForecaster` (last, mean), exponential smoothing over a finite window, and
the line of `PolynomialTrendForecaster`; the benchmark compares both in quality and speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.card_forecast.history import LOADS, STATE_SIZE, CardDays, Float32, lay_out

Float64 = NDArray[np.float64]

LOOKBACK_DAYS = 28
"""Days that a forecast looks at, the day of issue included."""

STEP_DAYS = 3
"""Two days with cards this far apart or nearer tell how much a well's cards differ from day to day."""

REACH_DAYS = LOOKBACK_DAYS + STEP_DAYS
"""A row depends on this many days, its own included, and on no others."""

HALF_LIVES_DAYS = (0.7, 2.0, 5.0, 12.0)
MEDIAN_DAYS = 7
TREND_DAYS = (5, 10, 20)

CANDIDATES = (
    *(f"mean, half-life {days:g} d" for days in HALF_LIVES_DAYS),
    "median of a week",
    *(f"slope of {days} d" for days in TREND_DAYS),
)
"""Names in the order of the weights; each as a departure from the newest card."""

MEDIAN = len(HALF_LIVES_DAYS)

_CHUNK_ROWS = 1024
_LEAST_NOISE_SHARE = 0.01
_UNKNOWN_NOISE_SHARE = 0.03
_LEAST_RANGE_LBF = 50.0


@dataclass(frozen=True)
class Candidates:
    """What is known at the issue of each row.

    Attributes
    ----------
    newest : ndarray of float32, shape (n, STATE_SIZE)
        State of the newest card.
    departures : ndarray of float32, shape (n, len(CANDIDATES), STATE_SIZE)
        Levels less the newest card; slopes in units of the state per day.
    spread : ndarray of float32, shape (n, 100)
        Standard deviation (lbf) of each load over the window, around its drifting level.
    days : ndarray, shape (n,)
        Days with cards in the window.
    noise_lbf : ndarray, shape (n,)
        Typical rms distance of the mean cards of two neighbouring days.
    range_lbf : ndarray, shape (n,)
        Load range of the week's median card.
    oddness : ndarray, shape (n,)
        Rms distance of the newest card from the week's median, in units of the noise.
    drift : ndarray, shape (n,)
        Rms of the ten-day slope times ten days, in units of the noise.
    """

    newest: Float32
    departures: Float32
    spread: Float32
    days: Float64
    noise_lbf: Float64
    range_lbf: Float64
    oddness: Float64
    drift: Float64

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.newest)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        """Pick rows by mask or index."""
        return Candidates(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


def candidates_of(
    days: CardDays, rows: NDArray[np.int64] | None = None, begin: NDArray[np.int64] | None = None
) -> Candidates:
    """Compute the candidates at the issue of some rows.

    Parameters
    ----------
    days : CardDays
        Days of all wells; those before the asked ones are their history.
    rows : ndarray of int, shape (n,), optional
        Rows of `days` to forecast from; all by default.
    begin : ndarray of int, shape (n,), optional
        First day whose cards may count for each row: the day after the last workover known by then.

    Returns
    -------
    Candidates
        In the order of `rows`.
    """
    asked = np.arange(len(days)) if rows is None else np.asarray(rows, np.int64)
    start = np.full(len(asked), np.iinfo(np.int64).min // 2) if begin is None else begin
    if not len(asked):
        return _compute(days, np.zeros((0, LOOKBACK_DAYS), np.int64), np.zeros((0, LOOKBACK_DAYS), np.bool_))
    grid = lay_out(days)
    place = np.searchsorted(grid.wells, days.well[asked])
    lags = np.arange(LOOKBACK_DAYS)
    column = (days.day[asked] - grid.first_day)[:, None] - lags
    found = np.where(column >= 0, grid.row[place[:, None], np.maximum(column, 0)], -1)
    counts = (found >= 0) & (days.kind[found] == days.kind[asked][:, None])
    # the day of issue counts always: a workover on that very day leaves nothing else
    counts &= (days.day[asked][:, None] - lags >= start[:, None]) | (lags == 0)
    parts = [
        _compute(
            days, found[at : at + _CHUNK_ROWS], counts[at : at + _CHUNK_ROWS], start[at : at + _CHUNK_ROWS]
        )
        for at in range(0, len(asked), _CHUNK_ROWS)
    ]
    return Candidates(
        **{
            name: np.concatenate([getattr(p, name) for p in parts])
            for name in Candidates.__dataclass_fields__
        }
    )


def _compute(
    days: CardDays,
    found: NDArray[np.int64],
    counts: NDArray[np.bool_],
    start: NDArray[np.int64] | None = None,
) -> Candidates:
    newest = days.newest[found[:, 0]] if len(found) else np.zeros((0, STATE_SIZE), np.float32)
    # departures from the newest card, so that float32 keeps its digits in the sums
    window = np.where(counts[..., None], days.mean[found] - newest[:, None], np.float32(0.0))
    lags = np.arange(LOOKBACK_DAYS)
    here = counts.astype(np.float64)
    weights = np.stack(
        [
            *(here * 0.5 ** (lags / half) for half in HALF_LIVES_DAYS),
            *(_slope_weights(here, lags, length) for length in TREND_DAYS),
        ],
        axis=1,
    )
    weights[:, : len(HALF_LIVES_DAYS)] /= weights[:, : len(HALF_LIVES_DAYS)].sum(axis=2, keepdims=True)
    linear = weights.astype(np.float32) @ window
    median = _median(window[:, :MEDIAN_DAYS], counts[:, :MEDIAN_DAYS])
    departures = np.concatenate(
        [linear[:, : len(HALF_LIVES_DAYS)], median[:, None], linear[:, len(HALF_LIVES_DAYS) :]], axis=1
    )
    spread = _spread(window, weights[:, -1], here, linear[:, -1])
    load_range = np.maximum(np.ptp((newest + median)[:, LOADS], axis=1), _LEAST_RANGE_LBF).astype(np.float64)
    noise = _noise(days, found, counts, start, load_range)
    drift = rms(departures[:, CANDIDATES.index("slope of 10 d"), LOADS]) * 10.0 / noise
    return Candidates(
        newest, departures, spread, here.sum(axis=1), noise, load_range, rms(median[:, LOADS]) / noise, drift
    )


def rms(values: NDArray[np.floating]) -> Float64:
    """Root of the mean square over the last axis."""
    return np.asarray(np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=-1)))


def _slope_weights(here: Float64, lags: NDArray[np.int64], length: int) -> Float64:
    """Weights whose sum over the days is the least-squares slope per day; 0 with fewer than three days."""
    inside = here * (lags < length)
    count = inside.sum(axis=1, keepdims=True)
    centred = np.where(
        inside > 0, -lags + (inside * lags).sum(axis=1, keepdims=True) / np.maximum(count, 1), 0.0
    )
    square = np.square(centred).sum(axis=1, keepdims=True)
    return np.asarray(np.where(count >= 3, centred / np.maximum(square, 1e-9), 0.0))


def _median(window: Float32, counts: NDArray[np.bool_]) -> Float32:
    """Median over the days that count, shape (n, STATE_SIZE)."""
    ordered = np.sort(np.where(counts[..., None], window, np.float32(np.inf)), axis=1)
    count = counts.sum(axis=1)
    rows = np.arange(len(window))
    return np.asarray(0.5 * (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]), np.float32)


def _spread(window: Float32, slope_weights: Float64, here: Float64, slope: Float32) -> Float32:
    """Standard deviation of each load around the line of the longest trend window (the mean where there is no line)."""
    inside = here * (np.arange(LOOKBACK_DAYS) < TREND_DAYS[-1])
    count = inside.sum(axis=1)
    share = (inside / np.maximum(count, 1)[:, None]).astype(np.float32)[:, None]
    mean = (share @ window)[:, 0, LOADS]
    square = (share @ np.square(window[..., LOADS]))[:, 0]
    moved = (
        np.square(slope[:, LOADS])
        / np.maximum(count * np.square(slope_weights).sum(axis=1), 1e-12).astype(np.float32)[:, None]
    )
    variance = np.maximum(square - np.square(mean) - moved, 0.0)
    # two parameters were fitted to so many days
    return np.asarray(np.sqrt(variance * (count / np.maximum(count - 2, 1))[:, None]), np.float32)


def _noise(
    days: CardDays,
    found: NDArray[np.int64],
    counts: NDArray[np.bool_],
    start: NDArray[np.int64] | None,
    load_range: Float64,
) -> Float64:
    """Typical distance of neighbouring days: the median of the window, with a floor, and a share of the range where unknown."""
    if not len(found):
        return np.zeros(0)
    used = np.unique(found[counts])
    step = np.full(len(days), np.nan)
    before = np.maximum(used - 1, 0)
    near = (
        (used > 0)
        & (days.well[before] == days.well[used])
        & (days.kind[before] == days.kind[used])
        & (days.day[used] - days.day[before] <= STEP_DAYS)
    )
    step[used[near]] = rms((days.mean[used[near]] - days.mean[before[near]])[:, LOADS])
    steps = np.where(counts, step[found], np.nan)
    if start is not None:
        # a step over a workover is no noise
        earlier = days.day[np.maximum(found - 1, 0)]
        steps = np.where(earlier >= start[:, None], steps, np.nan)
    ordered = np.sort(steps, axis=1)
    known = np.isfinite(steps).sum(axis=1)
    middle = ordered[np.arange(len(found)), np.maximum(known - 1, 0) // 2]
    typical = np.where(known > 0, middle, _UNKNOWN_NOISE_SHARE * load_range)
    return np.asarray(np.hypot(typical, _LEAST_NOISE_SHARE * load_range))
