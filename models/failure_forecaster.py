"""Learn the base model of failures on simulated fields and put it into the package.

    python -m models.failure_forecaster
    python -m models.failure_forecaster --errors FOLDER

Belongs here: fields of severities, and from them to the artifact; a kept field (``models.failure_fields``) ready to be judged. The
fields that figures are told of are not among those that are learned on.

The model looks at the severities of ``learning.severities`` alone. What that network says of a card differs little from the truth, so wells need no
cards to learn from: the simulator's severities with such errors put on them will do, and of these wells there can be thousands.
``--errors`` prints the errors on the tuning fields, kept in a folder by ``models.failure_fields``; the constants below follow them.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.failure_fields import CARDS_PER_DAY, DAYS, KINDS, TUNING_SEEDS, FieldTables, kept_field
from models.failure_futures import Course, course_of, drawn_futures
from models.provenance import provenance
from oasis_pipeline.intake.failures import package_rules, reduce_text
from oasis_pipeline.learning.failures.alarms import (
    ALARM_HORIZON_DAYS,
    FALSE_ALARMS_PER_WELL_MONTH,
    MONTH_DAYS,
    FalseAlarms,
    false_alarm_rate,
    raise_alarms,
)
from oasis_pipeline.learning.failures.base import BASE_FILE, BASE_VERSION
from oasis_pipeline.learning.failures.boosting import BoostedTrees
from oasis_pipeline.learning.failures.channels import CHANNELS, SEVERITIES, SOURCE_COLUMNS, channel_columns
from oasis_pipeline.learning.failures.forecaster import (
    Forecaster,
    Learnable,
    cross_fitted,
    learnable,
)
from oasis_pipeline.learning.failures.hazard import BoostedHazards, BoostingOptions
from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog, Life
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, UNKNOWN, Outcomes
from oasis_pipeline.learning.failures.packing import pack_forecaster, told
from oasis_pipeline.learning.failures.windows import REACH_DAYS, DailyRows, daily_rows, feature_names
from oasis_pipeline.learning.severities import NETWORK_FILE
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.episodes import FieldKind, episode_card_times

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
OPTIONS = BoostingOptions(rounds=200, leaves=16, min_leaf=400, share_of_features=0.4)
"""More than a field's own trees can bear, as there are as many outcomes as days; chosen on the tuning fields."""
FIRST_SEED, FIELDS, WELLS_A_FIELD = 7_000, 8, 400
LEARNED_EVERY = 2
"""Of the days of a well every so many teach; neighbours say nearly the same."""
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


def laid(parts: list[Outcomes]) -> Outcomes:
    """Lay outcomes end to end."""
    return Outcomes(
        np.concatenate([part.interval for part in parts]),
        np.concatenate([part.days_to_failure for part in parts]),
        np.concatenate([part.observed_days for part in parts]),
    )


def expert(
    fields: list[tuple[FieldKind, Prepared, Course]], law: FieldKind, seed: int = 0
) -> tuple[tuple[BoostedHazards, ...], NDArray[np.float64]]:
    """Learn an expert on the days of all fields, with futures drawn by one law.

    Parameters
    ----------
    fields : list of (kind, Prepared, Course)
    law : FieldKind
    seed : int

    Returns
    -------
    members : tuple of BoostedHazards
    failure : ndarray, shape (n, horizons)
        Probability that each day of the fields was given by the member that had not seen its well.
    """
    rng = np.random.default_rng([seed, list(LAWS.values()).index(law)])
    features = np.concatenate([field.data.features for _, field, _ in fields])
    fold = np.concatenate([field.data.fold[field.data.well] for _, field, _ in fields])
    outcomes = laid(
        [
            drawn_futures(course, field.data.well, field.data.time_ms / DAY_MS, law, CLASSES, rng)
            for _, field, course in fields
        ]
    )
    silent = np.arange(len(features)) % LEARNED_EVERY > 0
    outcomes.interval[silent] = UNKNOWN
    found = cross_fitted(features, outcomes, fold, len(CLASSES), seed, OPTIONS)
    assert found is not None
    members, said = found
    return members, 1.0 - said[:, :, 0]


def in_columns(trees: BoostedTrees, columns: NDArray[np.intp], width: int) -> BoostedTrees:
    """Let trees take wider rows, in which their features stand at other places."""
    place = np.append(columns, -1)  # a leaf asks for none
    return replace(trees, feature=place[trees.feature].astype(np.int32), n_features=width)


def in_all_features(member: BoostedHazards, names: tuple[str, ...]) -> BoostedHazards:
    """Let a model of the severities' windows take all features that the platform has."""
    everything = feature_names(CHANNELS)
    columns = np.array([everything.index(name) for name in names])
    with_interval = np.append(columns, len(everything))
    which = member.which
    return replace(
        member,
        any_failure=in_columns(member.any_failure, with_interval, len(everything) + 1),
        which=None if which is None else in_columns(which, columns, len(everything)),
    )


def _false_alarms(
    fields: list[tuple[FieldKind, Prepared, Course]], failure: NDArray[np.float64], kind: FieldKind
) -> FalseAlarms:
    """False alarms in the fields of a kind by what truly came of them, at thresholds that are dense where alarms are rare.

    The first days of a field do not count: windows are short there, and alarms rarer than they will be. Alarms begin anew every
    `REACH_DAYS`, as they do for somebody who switches them on: the wells that are ill already raise theirs at once.
    """
    ends = np.cumsum([len(field.data.well) for _, field, _ in fields])
    parts = [
        (field, failure[end - len(field.data.well) : end])
        for (own, field, _), end in zip(fields, ends.tolist(), strict=True)
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


def learned(fields: list[tuple[FieldKind, Prepared, Course]]) -> tuple[Forecaster, dict[str, Any]]:
    """Learn the base model.

    Parameters
    ----------
    fields : list of (kind, Prepared, Course)

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
        members += [in_all_features(member, fields[0][1].data.names) for member in own]
    together = averaged(said)
    worst = FalseAlarms.worst([_false_alarms(fields, together, law) for law in LAWS.values()])
    threshold = worst.within(FALSE_ALARMS_PER_WELL_MONTH)
    names = tuple(feature_names(CHANNELS))
    return Forecaster(tuple(members), CLASSES, names, threshold, false_alarms=worst), experts


def main() -> None:
    """Learn and write, or print the network's errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--errors", type=Path, help="folder of the tuning fields; nothing is learned")
    folder: Path | None = parser.parse_args().errors
    if folder is not None:
        print_errors(folder)
        return
    write_base()


def write_base() -> None:
    """Learn the base model and write it into the package."""
    seeds = range(FIRST_SEED, FIRST_SEED + FIELDS)
    kinds = [KINDS[number % len(KINDS)] for number in range(FIELDS)]
    fields = [
        (kind, *severity_field(kind, seed, WELLS_A_FIELD, seen=True))
        for kind, seed in zip(kinds, seeds, strict=True)
    ]
    forecaster, experts = learned(fields)
    failures = sum(len(field.data.log) for _, field, _ in fields)
    packed, sha256, _ = pack_forecaster(
        forecaster,
        {
            "version": BASE_VERSION,
            "learned_on": "severities of simulated fields, half of them with decoys, each day with futures drawn by the simulator's law",
            "seeds": [seeds[0], seeds[-1]],
            "wells": sum(len(field.nodes) for _, field, _ in fields),
            "failures": failures,
            "experts": experts,
            # the errors on the severities are those of this network
            **provenance(NETWORK_FILE),
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
