"""Daily forecasts of a well's fillage, speed and production, with a band, for a whole fleet at once.

Belongs here: forecasters on a grid of wells and days, the choice among them, and the band. Does not belong here: where daily values
come from (``assets``).

The forecasters are those of sktime - last value, mean, exponential smoothing, theta, damped trend - for fixed smoothing constants,
written for all wells and days at once and with gaps: sktime fits one series at a time, some 10 ms each, and a year of
1,000 wells is a million fits. The suite holds them against sktime's. Nothing is fitted to a single well: a grid of constants
stands for the fit, and what forecast best over the last weeks, of the whole field, at this horizon, is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Forecaster = Callable[[Floats, NDArray[np.int64]], Floats]
"""Windows of shape (n, days), NaN where a day has no value, and the day number of each one's last column -> forecasts of shape (n, horizons),
NaN where there is none."""

HORIZONS_DAYS = (1, 7, 14, 30)
NOMINAL_PCT = 90.0

WINDOW_DAYS = 56
"""Days that a forecast looks at, the day of issue included."""

CHOICE_DAYS = 56
"""A method is chosen, and the band set, by errors at the days of so long before a cut-off."""

REFIT_DAYS = 7
REACH_DAYS = WINDOW_DAYS + max(HORIZONS_DAYS) + CHOICE_DAYS + REFIT_DAYS
"""A row depends on this many days of the field, its own included, and on no others."""

ENOUGH_ERRORS = (100, 30)
"""Errors that a choice must rest on, on ordinary days and after a jump; before that the week's median and the last value
are used, with a band of `FIRST_WIDTH`."""

JUMP = 4.0
"""A value this many scales off the week's median is a jump: whether it stays or passes is learned apart."""

_MOST_ERROR = 30.0
"""One error counts as no more scales than this when methods are compared: a single day must not decide."""

FIRST_WIDTH = 3.0
_MONDAY = 4
_LEAST_SCALE_SHARE = 0.001
_CHUNK_WELLS = 64


@dataclass(frozen=True)
class Method:
    """A forecaster with its constants.

    Attributes
    ----------
    name : str
        As sktime's, with the constants.
    level : float
        Weight of the newest day in the level; 1 is the last value.
    trend : float
        Weight of the newest change in the trend; 0 for none.
    damping : float
        What is left of the trend a day later.
    theta : bool
        Whether half of the window's straight line is added.
    mean_days, median_days : int
        Mean or median of so many days instead.
    """

    name: str
    level: float = 1.0
    trend: float = 0.0
    damping: float = 1.0
    theta: bool = False
    mean_days: int = 0
    median_days: int = 0


MEDIAN = Method("median of 7 days", median_days=7)
LAST = Method("last value")
METHODS: tuple[Method, ...] = (
    LAST,
    MEDIAN,
    Method("mean of 14 days", mean_days=14),
    *(Method(f"exponential smoothing {a:g}", level=a) for a in (0.1, 0.3, 0.6)),
    *(Method(f"theta {a:g}", level=a, theta=True) for a in (0.1, 0.3, 0.6)),
    *(Method(f"damped trend {a:g}", level=a, trend=0.1, damping=0.9) for a in (0.3, 0.6)),
)


def cutoff_of(day: int) -> int:
    """Day number (since 1970) of the Monday on or before a day: what is chosen then holds for the week."""
    return day - (day - _MONDAY) % REFIT_DAYS


def forecast(windows: Floats, method: Method, horizons: Sequence[int] = HORIZONS_DAYS) -> Floats:
    """Forecast from windows of daily values.

    Parameters
    ----------
    windows : ndarray, shape (..., days)
        Values in order of time, the day of issue last; NaN where a day has none.
    method : Method
    horizons : sequence of int
        Days ahead.

    Returns
    -------
    ndarray, shape (..., horizons)
        NaN where the day of issue has no value.

    Notes
    -----
    Over a gap of g days the smoothing constant a becomes 1 - (1 - a)^g, and the trend is carried on, damped, so that a missing
    day is the same as a day that came as expected. Theta follows Hyndman and Billah, Unmasking the theta method,
    International Journal of Forecasting 19 (2003): smoothing, plus half of the slope of the straight line through the window.
    """
    ahead = np.asarray(horizons, np.float64)
    here = np.isfinite(windows[..., -1])
    if method.median_days:
        level = _masked_median(windows[..., -method.median_days :])
        answer = np.repeat(level[..., None], len(ahead), axis=-1)
    elif method.mean_days:
        part = windows[..., -method.mean_days :]
        known = np.isfinite(part)
        level = np.where(known, part, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
        answer = np.repeat(level[..., None], len(ahead), axis=-1)
    else:
        level, slope = _smooth(windows, method)
        if method.theta:
            answer = level[..., None] + _theta_drift(windows, method.level, ahead)
        else:
            steps = np.cumsum(method.damping ** np.arange(1, int(ahead.max()) + 1))[
                ahead.astype(np.int64) - 1
            ]
            answer = level[..., None] + slope[..., None] * steps
    return np.where(here[..., None], answer, np.nan)


def _smooth(windows: Floats, method: Method) -> tuple[Floats, Floats]:
    """Level and trend at the last day of each window; the first value of a window starts the level, without a trend."""
    shape = windows.shape[:-1]
    level, slope = np.full(shape, np.nan), np.zeros(shape)
    kept = np.zeros(shape)  # what is left of the old level since the last value
    for at in range(windows.shape[-1]):
        value = windows[..., at]
        known, started = np.isfinite(value), np.isfinite(level)
        slope = slope * method.damping
        expected = level + slope
        kept = np.where(started, (1.0 - method.level) * np.where(kept == 0.0, 1.0, kept), kept)
        update = known & started
        moved = np.where(update, expected + (1.0 - kept) * (value - expected), expected)
        if method.trend > 0.0:
            slope = np.where(update, slope + method.trend * (moved - level - slope), slope)
        level = np.where(known & ~started, value, moved)
        kept = np.where(known, 0.0, kept)
    return level, slope


def _theta_drift(windows: Floats, level: float, ahead: Floats) -> Floats:
    known = np.isfinite(windows)
    count = known.sum(axis=-1)
    index = np.arange(windows.shape[-1], dtype=np.float64)
    first = np.argmax(known, axis=-1)
    length = np.where(count > 0, windows.shape[-1] - first, 0)
    mean_index = (known * index).sum(axis=-1) / np.maximum(count, 1)
    centred = np.where(known, index - mean_index[..., None], 0.0)
    slope = (centred * np.where(known, windows, 0.0)).sum(axis=-1) / np.maximum(
        np.square(centred).sum(axis=-1), 1e-9
    )
    slope = np.where(count >= 3, 0.5 * slope, 0.0)
    lag = (1.0 - (1.0 - level) ** length) / level
    return np.asarray(slope[..., None] * (ahead - 1.0 + lag[..., None]))


def _masked_median(values: Floats) -> Floats:
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(values).sum(axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)
    picked = [np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (low, high)]
    return np.asarray(0.5 * (picked[0] + picked[1]))


@dataclass(frozen=True)
class Trends:
    """Forecasts of one quantity for every well and day.

    Attributes
    ----------
    value, lower, upper : ndarray, shape (wells, days, horizons)
        NaN on days without a value.
    choices : dict of (int, int) to tuple of str
        Methods by cut-off (day number) and horizon: on ordinary days, after a jump.
    """

    value: Floats
    lower: Floats
    upper: Floats
    choices: dict[tuple[int, int], tuple[str, str]]


def forecast_trends(
    values: Floats,
    first_day: int,
    asked_from: int = 0,
    least: float | None = 0.0,
    most: float | None = None,
    methods: Sequence[Method] = METHODS,
    *,
    forecaster: Forecaster | None = None,
    forecaster_name: str = "",
    horizons: Sequence[int] = HORIZONS_DAYS,
    nominal_pct: float = NOMINAL_PCT,
) -> Trends:
    """Forecast a quantity of a fleet walk-forward.

    Parameters
    ----------
    values : ndarray, shape (wells, days)
        Daily values; NaN where there is none.
    first_day : int
        Day number (since 1970) of the first column.
    asked_from : int
        First column that forecasts are wanted for; the columns before it are history.
    least, most : float, optional
        Limits of the quantity; a well whose own values of the window lie beyond is limited by these instead.
    methods : sequence of Method
        To choose from; the first weeks use the median of a week.
    forecaster : callable, optional
        Used instead of all methods; the median of a week stands in where it has no answer. As it may be slow, it is asked about the columns from
        `asked_from` on and, for the band, about one day a week before them.
    forecaster_name : str
        Its name in `Trends.choices`.
    horizons : sequence of int
        Days ahead.
    nominal_pct : float
        Share of the errors that the band holds.

    Returns
    -------
    Trends
        Of the columns from `asked_from` on. A column depends on the `REACH_DAYS` up to it only (for the usual horizons).
    """
    wells, days = values.shape
    count = len(horizons)
    # the days whose forecasts are wanted, and those before them whose errors tell which method to use
    since = max(0, asked_from - (CHOICE_DAYS + max(horizons) + REFIT_DAYS - 1))
    padded = np.concatenate([np.full((wells, WINDOW_DAYS - 1), np.nan), values], axis=1)
    # the first two serve before there is anything to choose by
    names = [MEDIAN, LAST]
    if forecaster is None:
        names += [m for m in methods if m not in (MEDIAN, LAST)]
    found = np.empty((len(names), wells, days - since, count), np.float32)
    scale, low, high = (np.empty((wells, days - since)) for _ in range(3))
    for at in range(0, wells, _CHUNK_WELLS):
        rows = slice(at, at + _CHUNK_WELLS)
        windows = sliding_window_view(padded[rows], WINDOW_DAYS, axis=1)[:, since:]
        for number, method in enumerate(names):
            found[number, rows] = forecast(windows, method, horizons)
        scale[rows] = _scale(windows)
        known = np.isfinite(windows)
        low[rows] = np.where(known, windows, np.inf).min(axis=-1, initial=np.inf if least is None else least)
        high[rows] = np.where(known, windows, -np.inf).max(axis=-1, initial=-np.inf if most is None else most)
    issued = np.arange(days - since) + since + first_day
    # the days whose errors count: with a slow forecaster the same Mondays whichever days a run asks for
    judged = np.full(days - since, True)
    if forecaster is not None:
        judged = (issued - _MONDAY) % REFIT_DAYS == 0
        wanted = judged | (issued - first_day >= asked_from)
        theirs = _ask(forecaster, padded, since, wanted, issued, count)
        found = np.concatenate([found, theirs[None]])
        names.append(Method(forecaster_name))
    low = np.where(np.isfinite(low) & (least is not None), low, -np.inf)[..., None]
    high = np.where(np.isfinite(high) & (most is not None), high, np.inf)[..., None]
    np.clip(found, low, high, out=found)
    jumped = np.abs(found[1, :, :, 0] - found[0, :, :, 0]) > JUMP * scale
    actual = np.full((wells, days - since, count), np.nan, np.float32)
    for place, ahead in enumerate(horizons):
        if days - since > ahead:
            actual[:, : days - since - ahead, place] = values[:, since + ahead :]
    relative = np.abs(actual - found) / scale[..., None].astype(np.float32)
    asked = slice(asked_from - since, None)
    situation = jumped[:, asked].astype(np.int64)
    first_choice = [0, 1] if forecaster is None else [2, 2]
    chosen = np.tile(np.array(first_choice), (days - asked_from, count, 1))
    width = np.full((days - asked_from, count, 2), FIRST_WIDTH * _normal_width(nominal_pct))
    choices: dict[tuple[int, int], tuple[str, str]] = {}
    numbers = np.arange(asked_from, days) + first_day
    cutoffs = numbers - (numbers - _MONDAY) % REFIT_DAYS
    for cutoff in np.unique(cutoffs).tolist():
        here = cutoffs == cutoff
        for place, ahead in enumerate(horizons):
            known = judged & (issued + ahead < cutoff) & (issued + ahead >= cutoff - CHOICE_DAYS)
            errors = relative[:, :, known, place]
            best = list(first_choice)
            for case in (0, 1):
                counted = np.isfinite(errors[best[case]]) & (jumped[:, known] == bool(case))
                if counted.sum() >= ENOUGH_ERRORS[case]:
                    if forecaster is None:
                        square = [np.square(np.minimum(e[counted], _MOST_ERROR)).mean() for e in errors]
                        best[case] = int(np.argmin(square))
                    width[here, place, case] = np.quantile(errors[best[case]][counted], nominal_pct / 100.0)
            chosen[here, place] = best
            choices[cutoff, ahead] = (names[best[0]].name, names[best[1]].name)
    well, column = np.arange(wells)[:, None], np.arange(days - asked_from)
    mine = chosen[column, :, situation]  # (wells, days, horizons)
    place_of = np.arange(count)
    value = found[:, :, asked][mine, well[..., None], column[:, None], place_of].astype(np.float64)
    if forecaster is not None:
        value = np.where(np.isfinite(value), value, found[0][:, asked])
    half = width[column, :, situation] * scale[:, asked, None]
    low, high = low[:, asked], high[:, asked]
    return Trends(value, np.clip(value - half, low, high), np.clip(value + half, low, high), choices)


def _normal_width(nominal_pct: float) -> float:
    """Width of a normal interval that holds a share, over that of the usual share."""
    wanted, usual = (
        NormalDist().inv_cdf(0.5 + 0.005 * min(share, 99.99)) for share in (nominal_pct, NOMINAL_PCT)
    )
    return wanted / usual


def _ask(
    forecaster: Forecaster,
    padded: Floats,
    since: int,
    wanted: NDArray[np.bool_],
    issued: NDArray[np.int64],
    count: int,
) -> NDArray[np.float32]:
    """Forecasts of a slow forecaster on the wanted days with a value, shape (wells, days, horizons), NaN elsewhere."""
    windows = sliding_window_view(padded, WINDOW_DAYS, axis=1)[:, since:]
    here = np.isfinite(windows[..., -1]) & wanted
    found = np.full((*here.shape, count), np.nan, np.float32)
    well, day = np.nonzero(here)
    if len(well):
        answer = np.asarray(forecaster(windows[well, day], issued[day]), np.float64)
        with np.errstate(over="ignore"):
            found[well, day] = np.where(np.isfinite(answer), answer, np.nan)
    return found


def _scale(windows: Floats) -> Floats:
    """How much a well's values move about: the mean absolute change between neighbouring values, with a floor."""
    known = np.isfinite(windows)
    count = known.sum(axis=-1)
    filled = np.where(known, windows, 0.0)
    mean = filled.sum(axis=-1) / np.maximum(count, 1)
    previous = np.where(known[..., :1], windows[..., :1], np.nan)[..., 0]
    total, steps = np.zeros(mean.shape), np.zeros(mean.shape)
    for at in range(1, windows.shape[-1]):
        value = windows[..., at]
        here = known[..., at]
        both = here & np.isfinite(previous)
        total = total + np.where(both, np.abs(value - previous), 0.0)
        steps = steps + both
        previous = np.where(here, value, previous)
    least = _LEAST_SCALE_SHARE * np.abs(mean) + 1e-6
    # a well with two values moves as it did once: four typical steps of half a percent stand beside
    return np.asarray((total + 4.0 * 5.0 * least) / (steps + 4.0) + least)
