"""Learn the base model of failures on simulated fields and put it into the package.

    python -m benchmarks.base_failure_model --fields FOLDER

Belongs here: from kept fields (``benchmarks.failure_fields``) to the artifact. The fields that figures are told of are not among
them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.failure_fields import BASE_SEEDS, DAYS, KINDS, FieldTables, kept_field
from benchmarks.failure_futures import Course, course_of, drawn_futures
from oasis_pipeline.learning.failures.alarms import (
    ALARM_HORIZON_DAYS,
    FALSE_ALARMS_PER_WELL_MONTH,
    MONTH_DAYS,
    FalseAlarms,
    false_alarm_rate,
    raise_alarms,
)
from oasis_pipeline.learning.failures.base import BASE_FILE, BASE_VERSION
from oasis_pipeline.learning.failures.channels import CHANNELS, SOURCE_COLUMNS, channel_columns
from oasis_pipeline.learning.failures.forecaster import (
    Forecaster,
    Learnable,
    cross_fitted,
    learnable,
)
from oasis_pipeline.learning.failures.hazard import BoostedHazards, BoostingOptions
from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog, Life
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, Outcomes
from oasis_pipeline.learning.failures.packing import pack_forecaster, told
from oasis_pipeline.learning.failures.windows import REACH_DAYS, DailyRows, daily_rows
from oasis_pipeline.simulation.episodes import FieldKind

CLASSES = ("BHA", "Pump", "Rod", "Tubing")
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


LAWS = {"failing": FieldKind.GROWING, "lasting": FieldKind.DECOYS}
"""Expert: kind of field whose law its futures are drawn by."""
OPTIONS = BoostingOptions(rounds=160, leaves=8, min_leaf=60)
"""More than a field's own trees can bear, as there are as many outcomes as days; chosen on the tuning fields."""


def course_days(field: Prepared, course: Course) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Well in the order of the course, and day since the start of the field, of each row."""
    place = np.array([course.nodes.index(node) for node in field.nodes])
    return place[field.data.well], field.data.time_ms / DAY_MS - field.first_day


def laid(parts: list[Outcomes]) -> Outcomes:
    """Lay outcomes end to end."""
    return Outcomes(
        np.concatenate([part.interval for part in parts]),
        np.concatenate([part.days_to_failure for part in parts]),
        np.concatenate([part.observed_days for part in parts]),
    )


def expert(
    fields: list[tuple[FieldKind, int, Prepared]], law: FieldKind, seed: int = 0
) -> tuple[tuple[BoostedHazards, ...], NDArray[np.float64]]:
    """Learn an expert on the days of all fields, with futures drawn by one law.

    Parameters
    ----------
    fields : list of (kind, seed, Prepared)
    law : FieldKind
    seed : int

    Returns
    -------
    members : tuple of BoostedHazards
    failure : ndarray, shape (n, horizons)
        Probability that each day of the fields was given by the member that had not seen its well.
    """
    rng = np.random.default_rng([seed, list(LAWS.values()).index(law)])
    features = np.concatenate([field.data.features for _, _, field in fields])
    fold = np.concatenate([field.data.fold[field.data.well] for _, _, field in fields])
    courses = [course_of(kind, number) for kind, number, _ in fields]
    outcomes = laid(
        [
            drawn_futures(course, *course_days(field, course), law, CLASSES, rng)
            for (_, _, field), course in zip(fields, courses, strict=True)
        ]
    )
    found = cross_fitted(features, outcomes, fold, len(CLASSES), seed, OPTIONS)
    assert found is not None
    members, said = found
    return members, 1.0 - said[:, :, 0]


def _false_alarms(
    fields: list[tuple[FieldKind, int, Prepared]], failure: NDArray[np.float64], kind: FieldKind
) -> FalseAlarms:
    """False alarms in the fields of a kind by what truly came of them, at thresholds that are dense where alarms are rare.

    The first days of a field do not count: windows are short there, and alarms rarer than they will be. Alarms begin anew every
    `REACH_DAYS`, as they do for somebody who switches them on: the wells that are ill already raise theirs at once.
    """
    ends = np.cumsum([len(field.data.well) for _, _, field in fields])
    parts = [
        (field, failure[end - len(field.data.well) : end])
        for (own, _, field), end in zip(fields, ends.tolist(), strict=True)
        if own is kind
    ]
    everything = np.concatenate([said[:, _ALARM] for _, said in parts])
    thresholds = np.unique(np.quantile(everything, 1.0 - np.geomspace(1e-3, 0.6, 80)))
    stretch = [(field.data.time_ms - field.at(0)) // (REACH_DAYS * DAY_MS) for field, _ in parts]
    ripe = [(number > 0) & (number < DAYS // REACH_DAYS) for number in stretch]
    months = sum(np.count_nonzero(rows) for rows in ripe) / MONTH_DAYS
    rates = []
    for threshold in thresholds.tolist():
        false = 0.0
        for (field, said), number, rows in zip(parts, stretch, ripe, strict=True):
            well, time_ms = field.data.well[rows], field.data.time_ms[rows]
            log = field.data.log.take(~field.sudden)
            own = well * (DAYS // REACH_DAYS) + number[rows]
            alarms = raise_alarms(own, said[rows, _ALARM], field.data.life[rows], threshold)
            rate = false_alarm_rate(well, time_ms, alarms, said[rows, -1], log, field.at(DAYS))
            false += rate * len(well) / MONTH_DAYS
        rates.append(false / months)
    # a lower threshold may by chance give fewer
    return FalseAlarms(thresholds, np.maximum.accumulate(np.array(rates)[::-1])[::-1])


def averaged(failure: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Probabilities of windows by the mean hazard of several models, as `Forecaster` takes it; each of shape (n, horizons)."""
    hazards = []
    for said in failure:
        left = np.concatenate([np.ones((len(said), 1)), 1.0 - said], axis=1)
        hazards.append(1.0 - left[:, 1:] / np.maximum(left[:, :-1], 1e-12))
    return np.asarray(1.0 - np.cumprod(1.0 - np.mean(hazards, axis=0), axis=1))


def learned(fields: list[tuple[FieldKind, int, Prepared]]) -> tuple[Forecaster, dict[str, Any]]:
    """Learn the base model.

    Parameters
    ----------
    fields : list of (kind, seed, Prepared)

    Returns
    -------
    forecaster : Forecaster
        Of all experts together.
    experts : dict
        Of each: its members, threshold and false alarms, for the manifest.
    """
    members: list[BoostedHazards] = []
    experts: dict[str, Any] = {}
    said = []
    for name, law in LAWS.items():
        own, failure = expert(fields, law)
        said.append(failure)
        rates = _false_alarms(fields, failure, law)
        experts[name] = {
            "members": list(range(len(members), len(members) + len(own))),
            "threshold": rates.within(FALSE_ALARMS_PER_WELL_MONTH),
            "false_alarms": told(rates),
        }
        members += own
    together = averaged(said)
    worst = FalseAlarms.worst([_false_alarms(fields, together, law) for law in LAWS.values()])
    threshold = worst.within(FALSE_ALARMS_PER_WELL_MONTH)
    names = fields[0][2].data.names
    return Forecaster(tuple(members), CLASSES, names, threshold, false_alarms=worst), experts


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True, help="folder of benchmarks.failure_fields")
    folder: Path = parser.parse_args().fields
    fields = [(kind, seed, prepared(kept_field(kind, seed, folder))) for seed in BASE_SEEDS for kind in KINDS]
    forecaster, experts = learned(fields)
    failures = sum(len(field.data.log) for _, _, field in fields)
    packed, sha256, _ = pack_forecaster(
        forecaster,
        {
            "version": BASE_VERSION,
            "learned_on": "simulated fields, half of them with decoys, each day with futures drawn by the simulator's law",
            "seeds": list(BASE_SEEDS),
            "wells": sum(len(field.nodes) for _, _, field in fields),
            "failures": failures,
            "experts": experts,
        },
    )
    BASE_FILE.write_bytes(packed)
    BASE_FILE.with_suffix(".sha256").write_text(sha256 + "\n", encoding="ascii")
    thresholds = ", ".join(f"{name} {part['threshold']:.3f}" for name, part in experts.items())
    print(
        f"{BASE_FILE.name}: {len(packed) / 1e3:.0f} kB, thresholds {forecaster.threshold:.3f}, {thresholds}; "
        f"{len(fields)} fields with {failures} failures"
    )


if __name__ == "__main__":
    main()
