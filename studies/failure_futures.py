"""What a simulated day could have come to: futures drawn from the simulator's own law, given what was going on in the well.

Belongs here: the law of ``simulation.episodes`` turned round, from the course of a fault so far to what may follow. It is for the ceiling
that the docs tell (``studies.failure_ceiling``).

A field has few failures, and all days that lead up to one share its outcome. The simulator's law allows better: the course of
an episode so far (when it began, its exponent, its steepness) leaves open how long it grows and whether it ends in a failure, and
how probable each is follows from the laws that it was drawn by. So every day can be given an outcome of its own. A model that
is learned with these learns the same probabilities as with the true outcomes, from many more of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.failure_fields import DAYS, WELLS
from oasis_pipeline.intake.failures import package_rules, reduce_text
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS, NO_FAILURE, UNKNOWN, Outcomes
from oasis_pipeline.simulation import tables
from oasis_pipeline.simulation.episodes import (
    DECOY_PEAK,
    FAILING_PEAK,
    FAILING_SHARE,
    FAULTS,
    GROWTH_DAYS,
    QUIET_DAYS,
    SUDDEN_EVERY_DAYS,
    Episode,
    FieldKind,
    plan_episodes,
)
from oasis_pipeline.simulation.histories import SILENT_FAILURES, Failure

Float64 = NDArray[np.float64]

_GRID = 240
_CYCLES = 3
"""Episodes that may come to an end within the longest window; each grows for twelve days or more."""


@dataclass(frozen=True)
class Course:
    """What goes on in the wells of a simulated field.

    Attributes
    ----------
    kind : FieldKind
    nodes : list of str
    episodes : list of Episode
    failures : list of Failure
    """

    kind: FieldKind
    nodes: list[str]
    episodes: list[Episode]
    failures: list[Failure]


def course_of(kind: FieldKind, seed: int, wells: int = WELLS, days: int = DAYS) -> Course:
    """Plan a field again, as `simulation.field.make_field` does, without its cards.

    Parameters
    ----------
    kind : FieldKind
    seed : int
    wells, days : int

    Returns
    -------
    Course
    """
    streams = np.random.SeedSequence(seed).spawn(6)
    episodes, failures = plan_episodes(wells, days, kind, np.random.default_rng(streams[1]))
    return Course(kind, tables.node_ids(wells, np.random.default_rng(streams[5])), episodes, failures)


@dataclass(frozen=True)
class States:
    """State of each of n well-days, free of weather and noise.

    Attributes
    ----------
    episode : ndarray of int64, shape (n,)
        Episode that is growing, -1 where none is.
    rest_days : ndarray, shape (n,)
        Until a fault that no longer grows has gone; 0 where there is none.
    inside : ndarray of bool, shape (n,)
        Whether the well is down.
    """

    episode: NDArray[np.int64]
    rest_days: Float64
    inside: NDArray[np.bool_]


def states_of(course: Course, well: NDArray[np.int64], day: Float64) -> States:
    """Look up what goes on.

    Parameters
    ----------
    course : Course
    well : ndarray of int64, shape (n,)
        In the order of ``course.nodes``.
    day : ndarray, shape (n,)
        Since the start of the field.

    Returns
    -------
    States
    """
    growing = np.full(len(well), -1, np.int64)
    rest = np.zeros(len(well))
    inside = np.zeros(len(well), bool)
    for number, episode in enumerate(course.episodes):
        own = (well == episode.well) & (day >= episode.begin_day)
        growing[own & (day < min(episode.peak_day, episode.end_day))] = number
        late = own & (day >= episode.peak_day) & (day < episode.end_day + episode.fade_days)
        rest[late] = (episode.end_day + episode.fade_days - day)[late]
    for failure in course.failures:
        inside |= (well == failure.well) & (day >= failure.start_day) & (day < failure.end_day)
    return States(growing, rest, inside)


def _weights(
    course: Course, states: States, day: Float64, law: FieldKind
) -> tuple[NDArray[np.intp], Float64, Float64]:
    """Rows with a growing fault, days that it may go on to grow, and the weight of each with a failure and without one."""
    rows = np.flatnonzero(states.episode >= 0)
    own = [course.episodes[number] for number in states.episode[rows].tolist()]
    begin, peak_day, peak, power = (
        np.array([getattr(episode, name) for episode in own])
        for name in ("begin_day", "peak_day", "peak", "power")
    )
    elapsed = day[rows] - begin
    # the first days say nothing of how long it will grow, and then any length is open
    grown = elapsed[:, np.newaxis] + (GROWTH_DAYS[1] - elapsed[:, np.newaxis]) * (
        (np.arange(_GRID) + 0.5) / _GRID
    )
    steepness = (grown / (peak_day - begin)[:, np.newaxis]) ** power[:, np.newaxis]
    reached = peak[:, np.newaxis] * steepness
    # a peak of its law, times what a step of the steepness is in steps of the peak
    share = FAILING_SHARE[law]
    weight = np.stack(
        [
            part * ((reached >= low) & (reached <= high)) / (high - low) * steepness
            for part, (low, high) in ((share, FAILING_PEAK), (1.0 - share, DECOY_PEAK))
        ],
        axis=2,
    )
    weight *= (grown >= GROWTH_DAYS[0])[:, :, np.newaxis]
    return rows, grown - elapsed[:, np.newaxis], weight


def drawn_futures(
    course: Course,
    well: NDArray[np.int64],
    day: Float64,
    law: FieldKind,
    classes: tuple[str, ...],
    rng: np.random.Generator,
) -> Outcomes:
    """Draw what comes of well-days, each by itself.

    Parameters
    ----------
    course : Course
    well, day : ndarray, shape (n,)
        See `states_of`.
    law : FieldKind
        Kind of field whose laws hold from the day on; it need not be the field's own.
    classes : tuple of str
        Classes of failures.
    rng : numpy.random.Generator

    Returns
    -------
    Outcomes
        Every interval is known, but in days inside a failure.
    """
    states = states_of(course, well, day)
    count = len(well)
    rules = package_rules()
    endings = [np.array([classes.index(reduce_text(text, rules)) for text in texts]) for _, texts in FAULTS]
    silent = np.array([classes.index(reduce_text(text, rules)) for text in SILENT_FAILURES])
    place_of_fault = {fault: place for place, (fault, _) in enumerate(FAULTS)}

    def ending(places: NDArray[np.int64]) -> NDArray[np.int64]:
        picks = rng.random(len(places))
        return np.array([endings[p][int(u * len(endings[p]))] for p, u in zip(places, picks, strict=True)])

    to_failure = np.full(count, np.inf)
    label = np.full(count, NO_FAILURE, np.int64)
    free = states.rest_days.copy()
    rows, ahead, weight = _weights(course, states, day, law)
    if rows.size:
        sums = np.cumsum(weight.reshape(len(rows), -1), axis=1)
        picked = (sums < (rng.random(len(rows)) * sums[:, -1])[:, np.newaxis]).sum(axis=1)
        picked = np.minimum(picked, 2 * _GRID - 1)
        left = ahead[np.arange(len(rows)), picked // 2]
        fails = (picked % 2 == 0) & (sums[:, -1] > 0.0)
        to_failure[rows[fails]] = left[fails]
        faults = np.array(
            [
                place_of_fault[course.episodes[number].fault]
                for number in states.episode[rows[fails]].tolist()
            ],
            np.int64,
        )
        label[rows[fails]] = ending(faults)
        # how a decoy goes on after its peak, as it is planned
        way = rng.random(len(rows))
        stays = np.where(way >= 0.4, rng.uniform(3.0, 12.0, len(rows)), 0.0) + np.where(
            way >= 0.7, rng.uniform(10.0, 30.0, len(rows)), 0.0
        )
        free[rows] = left + stays
    for _ in range(_CYCLES):
        end = free + rng.exponential(QUIET_DAYS[law], count) + rng.uniform(*GROWTH_DAYS, count)
        fails = (rng.random(count) < FAILING_SHARE[law]) & ~np.isfinite(to_failure)
        label[fails] = ending(rng.integers(len(FAULTS), size=int(fails.sum())))
        to_failure[fails] = end[fails]
        free = end
    sudden = rng.exponential(SUDDEN_EVERY_DAYS, count)
    first = sudden < to_failure
    label[first] = silent[rng.integers(len(silent), size=int(first.sum()))]
    to_failure = np.minimum(to_failure, sudden)
    interval = np.full((count, len(HORIZONS_DAYS)), NO_FAILURE, np.int64)
    begin = 0
    for place, horizon in enumerate(HORIZONS_DAYS):
        here = (to_failure > begin) & (to_failure <= horizon)
        interval[here, place] = label[here]
        interval[here, place + 1 :] = UNKNOWN
        begin = horizon
    interval[states.inside] = UNKNOWN
    return Outcomes(interval, to_failure, np.full(count, float(HORIZONS_DAYS[-1])))


def chance_of_failing(course: Course, well: NDArray[np.int64], day: Float64, law: FieldKind) -> Float64:
    """Probability that the growing fault ends in a failure within each horizon, for one who knows its course so far exactly.

    Parameters
    ----------
    course, well, day, law
        See `drawn_futures`.

    Returns
    -------
    ndarray, shape (n, horizons)
        0 where no fault is growing.
    """
    states = states_of(course, well, day)
    chance = np.zeros((len(well), len(HORIZONS_DAYS)))
    rows, ahead, weight = _weights(course, states, day, law)
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-300)
    for place, horizon in enumerate(HORIZONS_DAYS):
        chance[rows, place] = (weight[:, :, 0] * (ahead <= horizon)).sum(axis=1) / total
    return chance
