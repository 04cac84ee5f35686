"""Data-quality flags of readings.

Here: which values are stuck, filled in by a straight line, or a spike, where readings are lacking, and which times a module's clock got
wrong. Nothing is removed or changed. Not here: what is done with the flags.

Thresholds are module constants with the reason beside them. A value of exactly zero is never stuck: a solar panel at night, a stopped motor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.readings.series import MICROSECONDS

VALUE_FLAGS = ("stale", "interpolated", "spike", "gap_before")
CLOCK_FLAGS = ("clock_back", "clock_drift", "future")

Mask = NDArray[np.bool_]

STALE_RUN = 6
"""Equal values in a row from which on a run may be stuck."""
STALE_TIMES_USUAL = 4
"""It must also be so many times longer than the usual run of this series: a coarse sensor repeats itself all day."""
LINE_RUN = 6
"""Readings in a row between whose neighbours they lie exactly: of fewer, a coarse sensor on a ramp gives some."""
LINE_TOLERANCE = 1e-6
"""Slopes that differ by less than this share are one line; measured noise differs by far more."""
LINE_RISE = 10
"""Times the last decimal that a line has to rise from reading to reading."""
SPIKE_HALF_WIDTH = 3
SPIKE_SCALES = 8.0
"""Distance from the medians of the neighbours, in robust standard deviations of such distances over the series."""
GAP_STEPS = 3.0
"""Times the usual step."""
FUTURE_S = 60.0
LIVE_S = 900.0
"""A reading received within this time of its own stamp tells how far the module's clock is off; later ones were kept back."""
DRIFT_S_PER_H = 1.0
DRIFT_S = 5.0
"""Least change of the clock's offset over the readings that is told; a network's delays stay below."""
DRIFT_READINGS, DRIFT_HOURS = 20, 2.0


def value_flags(times_us: NDArray[np.int64], values: NDArray[np.float64]) -> dict[str, Mask]:
    """Flag the values of one measure of one module.

    Parameters
    ----------
    times_us : ndarray of int64, shape (n,)
        Ascending.
    values : ndarray of float64, shape (n,)
        Without NaN.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        ``stale``: in a run of one value other than zero that is too long for this series; ``interpolated``: on a straight line with its
        neighbours in a run of such readings; ``spike``: far from the readings around it; ``gap_before``: the time since
        the reading before is more than three usual steps.
    """
    stale = stale_values(values)
    return {
        "stale": stale,
        "interpolated": interpolated_values(times_us, values),
        "spike": spikes(values) & ~stale,
        "gap_before": gaps(times_us),
    }


def stale_values(values: NDArray[np.float64]) -> Mask:
    """Tell which values stand in a run that is stuck; see `value_flags`."""
    flags = np.zeros(values.size, np.bool_)
    if values.size < STALE_RUN:
        return flags
    edges = np.concatenate([[0], np.flatnonzero(np.diff(values) != 0) + 1, [values.size]])
    lengths, held = np.diff(edges), values[edges[:-1]] != 0
    usual = np.median(lengths[held]) if held.sum() > 1 else 1.0
    stuck = held & (lengths >= max(STALE_RUN, STALE_TIMES_USUAL * usual))
    return np.repeat(stuck, lengths)


def interpolated_values(times_us: NDArray[np.int64], values: NDArray[np.float64]) -> Mask:
    """Tell which values lie on a straight line that somebody drew; see `value_flags`.

    Values written with few decimals leave a line by up to half of the last one; a line is then told only where it rises by several of
    these from reading to reading, for a slow sensor of coarse steps is straight by itself.
    """
    flags = np.zeros(values.size, np.bool_)
    if values.size < LINE_RUN + 2:
        return flags
    steps = np.diff(times_us).astype(np.float64)
    rises = np.diff(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.where(steps > 0, rises / steps, np.nan)
    before, after = slopes[:-1], slopes[1:]
    quantum = max(_resolution(values), 8 * np.finfo(float).eps * float(np.abs(values).max()))
    allowed = LINE_TOLERANCE * np.minimum(np.abs(before), np.abs(after)) + 2 * quantum / np.minimum(
        steps[:-1], steps[1:]
    ).clip(1)
    least = LINE_RISE * quantum
    with np.errstate(invalid="ignore"):
        flags[1:-1] = (
            (np.abs(after - before) <= allowed) & (np.abs(rises[:-1]) > least) & (np.abs(rises[1:]) > least)
        )
    flags = _runs_of_at_least(flags, LINE_RUN)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    for low, high in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
        line = np.interp(times_us[low:high], times_us[[low - 1, high]], values[[low - 1, high]])
        rise = float(np.abs(rises[low - 1 : high]).min())
        if np.abs(values[low:high] - line).max() > 1.01 * quantum + LINE_TOLERANCE * rise:
            flags[low:high] = False
    return flags


def _resolution(values: NDArray[np.float64]) -> float:
    """Step in which values were written: 0.01 for two decimals; 0 if they have more than nine."""
    for decimals in range(10):
        scaled = values * 10.0**decimals
        if np.abs(scaled - np.round(scaled)).max() <= 1e-6 * max(1.0, float(np.abs(scaled).max()) * 1e-9):
            return float(10.0**-decimals)
    return 0.0


def spikes(values: NDArray[np.float64]) -> Mask:
    """Tell which values leave their neighbours and come back; see `value_flags`.

    A spike lies far from the median of the three readings before it and of the three after it, on the same side of both: a step, or two
    levels beside a gap, is none.
    """
    half = SPIKE_HALF_WIDTH
    if values.size < 2 * (2 * half + 1):
        return np.zeros(values.size, np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half, mode="reflect"), 2 * half + 1)
    before, after = windows[:, :half], windows[:, half + 1 :]
    distance = np.abs(values - np.median(np.concatenate([before, after], axis=1), axis=1))
    moved = distance[distance > 0]
    if moved.size == 0:
        return np.zeros(values.size, np.bool_)
    # of what moves at all: a series that is stuck for hours would make everything else a spike
    limit = SPIKE_SCALES * 1.4826 * np.median(moved)
    from_before, from_after = (values - np.median(side, axis=1) for side in (before, after))
    far: Mask = np.minimum(np.abs(from_before), np.abs(from_after)) > limit
    same_side: Mask = np.sign(from_before) == np.sign(from_after)
    return far & same_side


def gaps(times_us: NDArray[np.int64]) -> Mask:
    """Tell before which readings others are lacking; see `value_flags`."""
    flags = np.zeros(times_us.size, np.bool_)
    if times_us.size > 2:
        steps = np.diff(times_us)
        flags[1:] = steps > GAP_STEPS * np.median(steps)
    return flags


def clock_flags(
    times_us: NDArray[np.int64], received_us: NDArray[np.int64], received_row: NDArray[np.int64], live: Mask
) -> dict[str, Mask]:
    """Flag what a module's clock got wrong.

    Parameters
    ----------
    times_us : ndarray of int64, shape (n,)
        Stamps of the readings of one module, in any order.
    received_us, received_row : ndarray of int64, shape (n,)
        When they were taken in, and their place among those taken in at that time: the order of arrival.
    live : ndarray of bool, shape (n,)
        False for readings that came by file: how late they are says nothing about the clock.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        ``clock_back``: its stamp lies before that of a reading which the module had sent before (in the same request or file; or, of readings
        sent one by one, while they arrived in time); ``clock_drift``: the module's clock gains or loses over the readings; ``future``: the
        stamp lies after the receipt.
    """
    n = times_us.size
    lag_s = (received_us - times_us) / MICROSECONDS
    prompt = live & (np.abs(lag_s) <= LIVE_S)
    back = np.zeros(n, np.bool_)
    order = np.lexsort((received_row, received_us))
    # each receipt with its own readings; prompt readings also among one another
    edges = (
        np.concatenate([[0], np.flatnonzero(np.diff(received_us[order])) + 1, [n]]) if n else np.zeros(1, int)
    )
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if high - low > 1:
            _mark_steps_back(times_us, order[low:high], back)
    _mark_steps_back(times_us, order[prompt[order]], back)
    return {
        "clock_back": back,
        "clock_drift": prompt & _drifts(times_us[prompt], lag_s[prompt]),
        "future": live & (lag_s < -FUTURE_S),
    }


def _mark_steps_back(times_us: NDArray[np.int64], order: NDArray[np.int64], back: Mask) -> None:
    mine = times_us[order]
    back[order] |= mine < np.maximum.accumulate(mine) if mine.size else False


def _drifts(times_us: NDArray[np.int64], lag_s: NDArray[np.float64]) -> bool:
    """Whether the lag of receipts changes steadily: slope between the medians of the thirds at both ends."""
    if times_us.size < DRIFT_READINGS:
        return False
    order = np.argsort(times_us)
    hours, lag = times_us[order] / (3600 * MICROSECONDS), lag_s[order]
    third = hours.size // 3
    span = float(np.median(hours[-third:]) - np.median(hours[:third]))
    if hours[-1] - hours[0] < DRIFT_HOURS or span <= 0:
        return False
    slope = float(np.median(lag[-third:]) - np.median(lag[:third])) / span
    rest = lag - slope * (hours - hours[0])
    noise = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    change = abs(slope) * float(hours[-1] - hours[0])
    return abs(slope) >= DRIFT_S_PER_H and change >= max(DRIFT_S, 3 * noise)


def _runs_of_at_least(flags: Mask, length: int) -> Mask:
    """Keep runs of true of at least this length."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(flags)) + 1, [flags.size]])
    lengths = np.diff(edges)
    if flags.size == 0:
        return flags
    return np.repeat(flags[edges[:-1]] & (lengths >= length), lengths)
