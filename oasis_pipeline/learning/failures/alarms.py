"""From probabilities to a short list of alarms.

Belongs here: when an alarm is raised and when it ends, what came of it, and the choice of the threshold for a budget of false
alarms. Does not belong here: the probabilities, what people did with an alarm (``assets``).

One event is one alarm: while it stands, nothing more is raised for the well. It is raised when the probability has stayed at or above
the threshold over some rows, so that one odd day raises nothing, and ends when it has stayed below a lower threshold for
some, when a failure or a workover of the well becomes known, or when the days are over within which a failure was foretold: then it was
false, and where the condition still stands another is raised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.compiled import compiled
from oasis_pipeline.learning.failures.log import DAY_MS, LONG_AGO, FailureLog

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

ALARM_HORIZON_DAYS = 15
"""The window whose probability raises alarms."""
OUTCOME_DAYS = 30
"""An alarm came true if a failure began within so many days after it was raised."""
FALSE_ALARMS_PER_WELL_MONTH = 0.1
MONTH_DAYS = 365.25 / 12.0
CONFIRMING_ROWS = 2
CALM_ROWS = 4
LOWER_SHARE = 0.4
"""An alarm ends below this share of the threshold that raised it."""
NEVER_RAISED = 2.0
"""A threshold that no probability reaches."""

_CANDIDATES = 60


@dataclass(frozen=True)
class Alarms:
    """Alarms of some rows, m of them, in the order of the rows.

    Attributes
    ----------
    raised_row : ndarray of int64, shape (m,)
        Row at which it was raised.
    closed_row : ndarray of int64, shape (m,)
        Row at which it ended, -1 while it stands.
    by_event : ndarray of bool, shape (m,)
        Whether a failure or workover that became known ended it, not a probability that fell.
    """

    raised_row: Int64
    closed_row: Int64
    by_event: NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the alarms."""
        return len(self.raised_row)


def raise_alarms(
    well: Int64,
    time_ms: Int64,
    probability: Float64,
    life: Int64,
    threshold: Float64 | float,
    *,
    confirming_rows: int = CONFIRMING_ROWS,
    calm_rows: int = CALM_ROWS,
    lower_share: float = LOWER_SHARE,
) -> Alarms:
    """Raise and end alarms.

    Parameters
    ----------
    well, time_ms : ndarray of int64, shape (n,)
        Rows in order of well and time.
    probability : ndarray, shape (n,)
        Of a failure within the alarm's window, 0 to 1.
    life : ndarray of int64, shape (n,)
        Any number that changes when a failure or workover of the well becomes known.
    threshold : float or ndarray, shape (n,)
        Threshold in force at each row.
    confirming_rows, calm_rows : int
        Rows in a row at or above the threshold that raise an alarm, below the lower one that end it.
    lower_share : float
        The lower threshold as a share of that which raised the alarm.

    Returns
    -------
    Alarms
    """
    limits = np.broadcast_to(np.asarray(threshold, np.float64), probability.shape)
    raised, closed, by_event = _run(
        well,
        time_ms,
        probability,
        life,
        np.ascontiguousarray(limits),
        confirming_rows,
        calm_rows,
        lower_share,
    )
    return Alarms(raised, closed, by_event)


@compiled
def _run(
    well: Int64,
    time_ms: Int64,
    probability: Float64,
    life: Int64,
    limits: Float64,
    confirming_rows: int,
    calm_rows: int,
    lower_share: float,
) -> tuple[Int64, Int64, NDArray[np.bool_]]:
    rows = len(well)
    raised = np.empty(rows, np.int64)
    closed = np.empty(rows, np.int64)
    by_event = np.zeros(rows, np.bool_)
    count = 0
    standing = False
    above, calm = 0, 0
    lower = 0.0
    for row in range(rows):
        if row == 0 or well[row] != well[row - 1]:
            standing, above, calm = False, 0, 0
        elif life[row] != life[row - 1]:
            if standing:
                closed[count - 1] = row
                by_event[count - 1] = True
            standing, above, calm = False, 0, 0
        elif standing and time_ms[row] - time_ms[raised[count - 1]] > OUTCOME_DAYS * DAY_MS:
            closed[count - 1] = row
            standing, above, calm = False, 0, 0
        if standing:
            calm = calm + 1 if probability[row] < lower else 0
            if calm >= calm_rows:
                closed[count - 1] = row
                standing, above, calm = False, 0, 0
        else:
            above = above + 1 if probability[row] >= limits[row] else 0
            if above >= confirming_rows:
                raised[count] = row
                closed[count] = -1
                count += 1
                standing, calm = True, 0
                lower = lower_share * limits[row]
    return raised[:count].copy(), closed[:count].copy(), by_event[:count].copy()


TRUE, FALSE, OPEN = 1, 0, -1


def alarm_outcomes(
    well: Int64, raised_ms: Int64, log: FailureLog, end_ms: int, outcome_days: float = OUTCOME_DAYS
) -> tuple[Int64, Float64]:
    """Tell what came of alarms.

    Parameters
    ----------
    well, raised_ms : ndarray of int64, shape (m,)
        Alarms.
    log : FailureLog
        Failures that count.
    end_ms : int
        Until when failures are known.
    outcome_days : float
        How long an alarm has to come true.

    Returns
    -------
    outcome : ndarray of int64, shape (m,)
        `TRUE`, `FALSE`, or `OPEN` where that is not known yet.
    lead_days : ndarray, shape (m,)
        From the alarm to the failure; NaN where none came.
    """
    outcome = np.where(raised_ms + int(outcome_days * DAY_MS) <= end_ms, FALSE, OPEN)
    lead = np.full(len(well), np.nan)
    for i in range(len(log)):
        ahead = (log.start_ms[i] - raised_ms) / DAY_MS
        hit = (well == log.well[i]) & (ahead > 0.0) & (ahead <= outcome_days)
        # a well that is down already, which nobody had told yet: right, but nothing was foreseen
        down = (well == log.well[i]) & (ahead <= 0.0) & (raised_ms < log.end_ms[i])
        outcome[hit | down] = TRUE
        lead[hit] = np.fmin(lead[hit], ahead[hit])
    return outcome.astype(np.int64), lead


def foretold_days(well: Int64, raised_ms: Int64, log: FailureLog) -> Float64:
    """Tell how long before each failure an alarm told of it.

    Parameters
    ----------
    well, raised_ms : ndarray of int64, shape (m,)
        Alarms.
    log : FailureLog

    Returns
    -------
    ndarray, shape (failures,)
        From the first alarm that was raised within `OUTCOME_DAYS` before the failure, and after the well's failure before that; NaN where
        there was none.
    """
    days = np.full(len(log), np.nan)
    for i in range(len(log)):
        mine = log.well == log.well[i]
        before = log.start_ms[mine & (log.start_ms < log.start_ms[i])].max(initial=LONG_AGO)
        ahead = (log.start_ms[i] - raised_ms[(well == log.well[i]) & (raised_ms > before)]) / DAY_MS
        ahead = ahead[(ahead > 0.0) & (ahead <= OUTCOME_DAYS)]
        if ahead.size:
            days[i] = ahead.max()
    return days


def false_alarm_rate(
    well: Int64,
    time_ms: Int64,
    alarms: Alarms,
    chance: Float64,
    log: FailureLog,
    end_ms: int,
) -> float:
    """False alarms per well-month as far as they are known; one not decided yet counts by its chance to be false.

    Parameters
    ----------
    well, time_ms : ndarray of int64, shape (n,)
        Rows.
    alarms : Alarms
        Of these rows.
    chance : ndarray, shape (n,)
        Probability that a failure begins within `OUTCOME_DAYS` after each row.
    log : FailureLog
    end_ms : int
        Until when failures are known.

    Returns
    -------
    float
    """
    months = len(well) / MONTH_DAYS
    rows = alarms.raised_row
    outcome, _ = alarm_outcomes(well[rows], time_ms[rows], log, end_ms)
    undecided = outcome == OPEN
    # of the days within which it may come true some have gone by without a failure
    left = 1.0 - (end_ms - time_ms[rows[undecided]]) / (OUTCOME_DAYS * DAY_MS)
    false = np.count_nonzero(outcome == FALSE) + float(((1.0 - chance[rows[undecided]]) ** left).sum())
    return false / months if months else 0.0


def choose_threshold(
    well: Int64,
    time_ms: Int64,
    probability: Float64,
    chance: Float64,
    life: Int64,
    log: FailureLog,
    end_ms: int,
    *,
    budget: float = FALSE_ALARMS_PER_WELL_MONTH,
) -> float:
    """Find the lowest threshold whose alarms stay within a budget of false ones.

    A rate of a few well-months is easily too low by chance, so it counts one standard deviation higher.

    Parameters
    ----------
    well, time_ms : ndarray of int64, shape (n,)
        Rows in order of well and time, predicted by models that had not seen their wells.
    probability, chance : ndarray, shape (n,)
        Of a failure within the alarm's window, and within `OUTCOME_DAYS`.
    life : ndarray of int64, shape (n,)
        As `raise_alarms` takes it.
    log : FailureLog
        As known at `end_ms`.
    end_ms : int
    budget : float
        False alarms per well-month.

    Returns
    -------
    float
        `NEVER_RAISED` where no threshold stays within it.
    """
    if len(well) == 0:
        return NEVER_RAISED
    months = len(well) / MONTH_DAYS
    # quantiles are dense where alarms are rare
    shares = 1.0 - np.geomspace(1e-4, 0.6, _CANDIDATES)
    thresholds = np.quantile(probability, shares)
    found = NEVER_RAISED
    for threshold in np.unique(thresholds)[::-1]:
        alarms = raise_alarms(well, time_ms, probability, life, float(threshold))
        rate = false_alarm_rate(well, time_ms, alarms, chance, log, end_ms)
        if rate + np.sqrt(rate / months) > budget:
            break
        found = float(threshold)
    return found
