"""The honest test of failure forecasts: what alarms caught, how early, how often for nothing, and what probabilities are worth.

Belongs here: figures of forecasts that were made for wells and days which their model had not seen. Does not belong here: making such
forecasts, and the fields they are made for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.alarms import (
    MONTH_DAYS,
    OUTCOME_DAYS,
    TRUE,
    alarm_outcomes,
    raise_alarms,
)
from oasis_pipeline.learning.failures.log import DAY_MS, FailureLog

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Forecast:
    """Forecasts of one field that are judged, rows in order of well and time.

    Attributes
    ----------
    well, time_ms, life : ndarray of int64, shape (n,)
    probability : ndarray, shape (n, horizons)
        Of a failure within each window.
    threshold : ndarray, shape (n,)
        In force at each row, of the alarm's window.
    announced : FailureLog
        Failures that something led up to; only these count as caught.
    sudden : FailureLog
        The others, told apart. An alarm before one of them counts as false: nothing could have told of it.
    end_ms : int
        Until when the truth is known.
    """

    well: Int64
    time_ms: Int64
    life: Int64
    probability: Float64
    threshold: Float64
    announced: FailureLog
    sudden: FailureLog
    end_ms: int


@dataclass(frozen=True)
class ByWell:
    """Counts of alarms by well, summed up to figures by `figures`.

    Attributes
    ----------
    months, announced, caught, sudden, sudden_caught, true, false : ndarray, shape (wells,)
    lead_days : list of ndarray
        Of the failures caught, by well.
    """

    months: Float64
    announced: Float64
    caught: Float64
    sudden: Float64
    sudden_caught: Float64
    true: Float64
    false: Float64
    lead_days: list[Float64]


@dataclass(frozen=True)
class Figures:
    """Figures of an alarm rule.

    Attributes
    ----------
    recall, precision, lead_days, false_per_well_month : float
        Share of announced failures caught; share of alarms that came true; median lead; false alarms.
    announced, caught, alarms, sudden, sudden_caught : int
    well_months : float
    """

    recall: float
    precision: float
    lead_days: float
    false_per_well_month: float
    announced: int
    caught: int
    alarms: int
    sudden: int
    sudden_caught: int
    well_months: float


def count_by_well(forecast: Forecast, threshold: Float64 | float, place: int) -> ByWell:
    """Raise alarms and count what came of them, well by well.

    Parameters
    ----------
    forecast : Forecast
    threshold : float or ndarray, shape (n,)
    place : int
        Which window's probability raises alarms.

    Returns
    -------
    ByWell
    """
    f = forecast
    wells = int(f.well.max(initial=-1)) + 1
    alarms = raise_alarms(f.well, f.time_ms, f.probability[:, place], f.life, threshold)
    of, raised = f.well[alarms.raised_row], f.time_ms[alarms.raised_row]
    outcome, _ = alarm_outcomes(of, raised, f.announced, f.end_ms)
    begin, end = (f.time_ms.min(), f.time_ms.max()) if len(f.time_ms) else (0, 0)
    leads: list[list[float]] = [[] for _ in range(wells)]
    counts = {name: np.zeros(wells) for name in ("announced", "caught", "sudden", "sudden_caught")}
    for kind, log in (("announced", f.announced), ("sudden", f.sudden)):
        for i in np.flatnonzero((log.start_ms > begin) & (log.start_ms <= end) & (log.well < wells)):
            well = int(log.well[i])
            counts[kind][well] += 1
            ahead = (log.start_ms[i] - raised[of == well]) / DAY_MS
            ahead = ahead[(ahead > 0.0) & (ahead <= OUTCOME_DAYS)]
            if ahead.size:
                counts["caught" if kind == "announced" else "sudden_caught"][well] += 1
                if kind == "announced":
                    leads[well].append(float(ahead.max()))
    return ByWell(
        np.bincount(f.well, minlength=wells) / MONTH_DAYS,
        counts["announced"],
        counts["caught"],
        counts["sudden"],
        counts["sudden_caught"],
        np.bincount(of[outcome == TRUE], minlength=wells).astype(np.float64),
        np.bincount(of[outcome != TRUE], minlength=wells).astype(np.float64),
        [np.array(values) for values in leads],
    )


def joined(parts: list[ByWell]) -> ByWell:
    """Lay the wells of several fields end to end."""
    names = ("months", "announced", "caught", "sudden", "sudden_caught", "true", "false")
    counts = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return ByWell(**counts, lead_days=[lead for part in parts for lead in part.lead_days])


def figures(counts: ByWell, wells: NDArray[np.intp] | None = None) -> Figures:
    """Sum counts up, of all wells or of those chosen (one may come twice)."""
    chosen = np.arange(len(counts.months)) if wells is None else wells
    total = {
        name: float(getattr(counts, name)[chosen].sum())
        for name in ("months", "announced", "caught", "sudden", "sudden_caught", "true", "false")
    }
    leads = np.concatenate([counts.lead_days[well] for well in chosen]) if len(chosen) else np.zeros(0)
    alarms = total["true"] + total["false"]
    return Figures(
        total["caught"] / total["announced"] if total["announced"] else float("nan"),
        total["true"] / alarms if alarms else float("nan"),
        float(np.median(leads)) if leads.size else float("nan"),
        total["false"] / total["months"] if total["months"] else float("nan"),
        int(total["announced"]),
        int(total["caught"]),
        int(alarms),
        int(total["sudden"]),
        int(total["sudden_caught"]),
        total["months"],
    )


def bootstrap(
    counts: ByWell, pick: Callable[[Figures], float], times: int = 500, seed: int = 0
) -> tuple[float, float]:
    """90 % interval of a figure, wells drawn with replacement.

    Parameters
    ----------
    counts : ByWell
    pick : callable
        From figures to the number.
    times : int
    seed : int

    Returns
    -------
    low, high : float
    """
    rng = np.random.default_rng(seed)
    count = len(counts.months)
    drawn = [pick(figures(counts, rng.integers(0, count, count))) for _ in range(times)]
    low, high = np.nanquantile(np.array(drawn), [0.05, 0.95])
    return float(low), float(high)


def curve(forecasts: list[Forecast], place: int, points: int = 40) -> list[Figures]:
    """Figures at every threshold, from the rarest alarms to the most frequent.

    Parameters
    ----------
    forecasts : list of Forecast
    place : int
        Which window's probability raises alarms.
    points : int

    Returns
    -------
    list of Figures
    """
    everything = np.concatenate([forecast.probability[:, place] for forecast in forecasts])
    thresholds = np.unique(np.quantile(everything, 1.0 - np.geomspace(3e-4, 0.6, points)))[::-1]
    return [
        figures(joined([count_by_well(forecast, float(t), place) for forecast in forecasts]))
        for t in thresholds
    ]


def best_within(points: list[Figures], false_per_well_month: float) -> Figures | None:
    """Figures of the highest recall within a budget of false alarms, None where no threshold stays within it."""
    allowed = [point for point in points if point.false_per_well_month <= false_per_well_month]
    return max(allowed, key=lambda point: point.recall, default=None)


def cost_curve(points: list[Figures], miss_cost: Float64) -> Float64:
    """Least cost per well-month at each price of a missed failure, in false alarms.

    Parameters
    ----------
    points : list of Figures
        From `curve`.
    miss_cost : ndarray, shape (k,)
        What a failure that nobody announced costs, a false alarm costing 1.

    Returns
    -------
    ndarray, shape (k, 2)
        With the best threshold for that price, and without any alarm.
    """
    rate = np.array([point.announced / point.well_months for point in points])
    missed = rate * np.array([1.0 - point.recall for point in points])
    false = np.array([point.false_per_well_month for point in points])
    with_alarms = (false + miss_cost[:, np.newaxis] * missed).min(axis=1)
    without = miss_cost * rate[0]
    return np.stack([np.minimum(with_alarms, without), without], axis=1)


def brier(probability: Float64, happened: NDArray[np.bool_]) -> tuple[float, float]:
    """Brier score, and that of stating the overall share for every row."""
    share = happened.mean() if happened.size else 0.0
    return float(np.mean((probability - happened) ** 2)), float(share * (1.0 - share))


def calibration(
    probability: Float64, happened: NDArray[np.bool_], edges: Float64 | None = None
) -> list[tuple[float, float, int]]:
    """Stated and observed share by bin: (mean probability, share, rows)."""
    bins = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0]) if edges is None else edges
    place = np.clip(np.searchsorted(bins, probability, side="right") - 1, 0, len(bins) - 2)
    return [
        (
            float(probability[place == k].mean()),
            float(happened[place == k].mean()),
            int((place == k).sum()),
        )
        for k in range(len(bins) - 1)
        if (place == k).any()
    ]
