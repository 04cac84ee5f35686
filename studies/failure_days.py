"""Simulated fields ready to be judged: kept fields with cards, and fields of severities without cards, of which there can be many.

    python -m studies.failure_days --errors FOLDER
    python -m studies.failure_days --walk SEED ...

Belongs here: from a field to the platform's windows. Does not belong here: making fields with cards (``models.failure_fields``), judging.

What the network of ``learning.severities`` says of a card differs little from the truth, so the simulator's severities with such errors put
on them stand in for cards. ``--errors`` prints the errors on the tuning fields, kept in a folder by ``models.failure_fields``; the
constants below follow them. ``--walk`` walks through fields of 60 wells without cards as the platform does, and tells what alarms came to.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign_failures import judge_alarms, walk
from models.failure_fields import CARDS_PER_DAY, DAYS, KINDS, TUNING_SEEDS, FieldTables, kept_field
from oasis_pipeline.intake.failures import package_rules, reduce_text
from oasis_pipeline.learning.failures.alarms import (
    ALARM_HORIZON_DAYS,
)
from oasis_pipeline.learning.failures.channels import CHANNELS, SEVERITIES, SOURCE_COLUMNS, channel_columns
from oasis_pipeline.learning.failures.forecaster import (
    Learnable,
    learnable,
)
from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog, Life
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, Outcomes
from oasis_pipeline.learning.failures.windows import DailyRows, daily_rows
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.episodes import FieldKind, episode_card_times
from studies.failure_futures import Course, course_of

CLASSES = ("BHA", "Pump", "Rod", "Tubing")
WALKED_WELLS = 60
_ALARM = HORIZONS_DAYS.index(ALARM_HORIZON_DAYS)


@dataclass(frozen=True)
class Prepared:
    """A field ready to learn from and to be judged on.

    Attributes
    ----------
    data : Learnable
    rows : DailyRows
    life : Life
    nodes : list of str
    sudden : ndarray of bool, shape (failures,)
        Of each failure of ``data.log``.
    first_day : int
        Since 1970.
    """

    data: Learnable
    rows: DailyRows
    life: Life
    nodes: list[str]
    sudden: NDArray[np.bool_]
    first_day: int

    def at(self, day: float) -> int:
        """Time of a day of the field, ms."""
        return int((self.first_day + day) * DAY_MS)


def prepared(field: FieldTables, truth: bool = False) -> Prepared:
    """Take a field's tables through the platform's windows.

    Parameters
    ----------
    field : FieldTables
    truth : bool
        Take the true severities in place of the platform's quantities: what could be had at most.

    Returns
    -------
    Prepared
    """
    cards, failures = field.cards, field.failures
    nodes = sorted(set(cards["NodeID"].to_pylist()))
    number = {node: place for place, node in enumerate(nodes)}

    def ms(column: NDArray[np.datetime64]) -> NDArray[np.int64]:
        return column.astype("datetime64[ms]").astype(np.int64)

    well = np.array([number[node] for node in cards["NodeID"].to_pylist()])
    if truth:
        columns = {name: cards[name].to_numpy() for name in cards.column_names if name.startswith("true ")}
    else:
        columns = channel_columns(
            {name: cards[name].to_numpy() for name in SOURCE_COLUMNS if name in cards.column_names}
        )
        assert tuple(columns) == CHANNELS
    rows = daily_rows(well, ms(cards["Date"].to_numpy()), columns)
    ends = failures["Failure End Date"].to_numpy()
    start, end = ms(failures["Failure Start Date"].to_numpy()), np.where(np.isnat(ends), NEVER, ms(ends))
    of = np.array([number[node] for node in failures["NodeID"].to_pylist()], np.int64)
    log = FailureLog.of(
        of,
        start,
        end,
        ms(failures["known_from"].to_numpy()),
        failures["failure_class"].to_pylist(),
        CLASSES,
    )
    first = np.full(len(nodes), np.iinfo(np.int64).max)
    np.minimum.at(first, rows.well, rows.day)
    data, life = learnable(rows, log, nodes, first)
    sudden = failures["sudden"].to_numpy(zero_copy_only=False)[np.lexsort((start, of))]
    return Prepared(data, rows, life, nodes, sudden, int(rows.day.min()))


ERROR_AT = (0.0, 0.075, 0.2, 0.3, 0.4, 0.6, 0.9)
ERROR_MEAN = (0.02, -0.015, -0.045, -0.035, 0.005, 0.005, -0.045)
WELL_ERROR, DAY_ERROR, FULL_FROM, LEAST_SHARE, KEPT_A_DAY = 0.075, 0.065, 0.3, 0.25, 0.8
"""How the network is off on the tuning fields: in the mean at a severity, and by standard deviations from severity `FULL_FROM` on, for
a well as a whole and for a day (correlated from day to day); less below, down to a share for what is hardly there."""


def seen_by_network(
    severity: NDArray[np.float64], well: NDArray[np.int64], day: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Put errors like the network's on true severities.

    Parameters
    ----------
    severity : ndarray, shape (n, conditions)
    well : ndarray of int64, shape (n,)
    day : ndarray, shape (n,)
        Within `DAYS`.
    seed : int

    Returns
    -------
    ndarray, shape (n, conditions)
    """
    rng = np.random.default_rng([seed, 9])
    shape = (int(well.max()) + 1, severity.shape[1])
    of_well = WELL_ERROR * rng.standard_normal(shape)
    of_day = np.empty((DAYS + 1, *shape))
    of_day[0] = DAY_ERROR * rng.standard_normal(shape)
    fresh = DAY_ERROR * np.sqrt(1.0 - KEPT_A_DAY**2)
    for number in range(1, DAYS + 1):
        of_day[number] = KEPT_A_DAY * of_day[number - 1] + fresh * rng.standard_normal(shape)
    share = np.clip(severity / FULL_FROM, LEAST_SHARE, 1.0)
    error = np.interp(severity, ERROR_AT, ERROR_MEAN) + share * (
        of_well[well] + of_day[np.clip(day.astype(np.int64), 0, DAYS), well]
    )
    return np.clip(severity + error, 0.0, 1.0)


def severity_field(kind: FieldKind, seed: int, wells: int, seen: bool = False) -> tuple[Prepared, Course]:
    """Lay out a field without cards.

    Parameters
    ----------
    kind : FieldKind
    seed : int
    wells : int
    seen : bool
        Whether the severities are as the network tells them, with its errors and under the platform's names, or the true ones.

    Returns
    -------
    Prepared
        Its days begin at 0.
    Course
    """
    course = course_of(kind, seed, wells)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(6)[2])
    times = episode_card_times(wells, DAYS, CARDS_PER_DAY, course.episodes, course.failures, rng)
    severity, names = times.severity, tuple(c.LABELS)
    if seen:
        names = SEVERITIES
        severity = seen_by_network(severity, times.well, times.day, seed)
    columns = {name: severity[:, place] for place, name in enumerate(names)}
    rows = daily_rows(times.well, np.round(times.day * DAY_MS).astype(np.int64), columns)
    failures = course.failures
    start = np.array([round(failure.start_day * DAY_MS) for failure in failures], np.int64)
    open_ = np.array([failure.end_day + 1.0 >= DAYS for failure in failures], bool)
    end = np.array([round(failure.end_day * DAY_MS) for failure in failures], np.int64)
    known = np.array([(int(failure.end_day) + 2) * DAY_MS for failure in failures], np.int64)
    of = np.array([failure.well for failure in failures], np.int64)
    rules = package_rules()
    log = FailureLog.of(
        of,
        start,
        np.where(open_, NEVER, end),
        np.where(open_, DAYS * DAY_MS, known),
        [reduce_text(failure.text, rules) for failure in failures],
        CLASSES,
    )
    data, life = learnable(rows, log, course.nodes, np.zeros(wells, np.int64))
    sudden = np.array([not failure.warned for failure in failures], bool)[np.lexsort((start, of))]
    return Prepared(data, rows, life, course.nodes, sudden, 0), course


def print_errors(folder: Path) -> None:
    """Print by how much the network is off on the tuning fields, by true severity, in means of a day."""
    parts = []
    for number, (kind, seed) in enumerate((kind, seed) for kind in KINDS for seed in TUNING_SEEDS):
        field = kept_field(kind, seed, folder)
        told, true = prepared(field).rows, prepared(field, truth=True).rows
        for place, name in enumerate(c.LABELS):
            if place in (c.FULL, c.PARTED):
                continue
            truth = true.values[:, true.channels.index(f"true {name}")]
            error = told.values[:, told.channels.index(SEVERITIES[place])] - truth
            same = np.append(False, told.well[1:] == told.well[:-1])
            before = np.where(same, np.roll(error, 1), np.nan)
            own = (number * len(c.LABELS) + place) * len(field.cards) + told.well
            parts.append(np.stack([own.astype(np.float64), truth, error, before], axis=1))
    everything = np.concatenate(parts)
    everything = everything[np.isfinite(everything[:, 2])]
    print("| severity | well-days | mean | of a well | of a day | correlation with the day before |")
    print("|---|---:|---:|---:|---:|---:|")
    for low, high in itertools.pairwise((0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)):
        rows = everything[(everything[:, 1] >= low) & (everything[:, 1] < high)]
        _, well, days = np.unique(rows[:, 0], return_inverse=True, return_counts=True)
        mean = np.bincount(well, rows[:, 2]) / days
        known = days >= 5  # fewer say nothing of a well
        follows = np.isfinite(rows[:, 3])
        print(
            f"| {low:g} to {high:g} | {len(rows)} | {rows[:, 2].mean():.3f} | {mean[known].std():.3f} "
            f"| {(rows[:, 2] - mean[well])[known[well]].std():.3f} | {np.corrcoef(rows[follows, 2], rows[follows, 3])[0, 1]:.2f} |"
        )


def print_walks(seeds: list[int]) -> None:
    """Print what alarms as raised came to on fields without cards, every failure counted."""
    print("| field | failures | recall | false ones per well-month | median lead, d | part right |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind, seed in itertools.product(KINDS, seeds):
        data = severity_field(kind, seed, WALKED_WELLS, seen=True)[0].data
        walked = walk(data)
        part = walked.probability[:, _ALARM].argmax(axis=1)
        a = judge_alarms(data, walked.failure[:, _ALARM], walked.threshold, part)
        print(
            f"| {kind.value} {seed} | {a.failures} | {a.recall:.2f} | {a.false_per_well_month:.3f} | {a.lead_days:.1f} "
            f"| {a.part_right:.2f} of {a.caught} |",
            flush=True,
        )


def laid(parts: list[Outcomes]) -> Outcomes:
    """Lay outcomes end to end."""
    return Outcomes(
        np.concatenate([part.interval for part in parts]),
        np.concatenate([part.days_to_failure for part in parts]),
        np.concatenate([part.observed_days for part in parts]),
    )


def main() -> None:
    """Print the network's errors, or what alarms come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--errors", type=Path, help="folder of the tuning fields")
    what.add_argument("--walk", type=int, nargs="+", metavar="SEED", help="of fields without cards")
    asked = parser.parse_args()
    if asked.walk:
        print_walks(asked.walk)
    else:
        print_errors(asked.errors)


if __name__ == "__main__":
    main()
