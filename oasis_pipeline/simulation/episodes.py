"""Fields to test forecasts of failures on: faults come, grow, and end in a failure or without one.

Belongs here: the two kinds of such fields and what happens in their wells. Does not belong here: the demonstration's field
(`histories`), what a severity does to a card (`conditions`).

A well has what it always suffers from (its chronic conditions, with the weather of `histories`) and, now and then, an episode of
one fault: it begins at a moment, grows over two to six weeks to a peak, and ends. In a field without decoys every episode ends
in a failure; in one with decoys most end otherwise: they are mended without a record, fade, or stay for weeks and
fade. What ends in a failure grows as fast and starts as small as what does not; it tends to peak higher. Sudden failures come
beside, at a constant rate, and nothing announces them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.histories import SILENT_FAILURES, CardTimes, Failure, failures_of

FloatArray = NDArray[np.float64]


class FieldKind(StrEnum):
    """What the faults of a simulated field come to."""

    DEMONSTRATION = "demonstration"
    GROWING = "growing"
    DECOYS = "decoys"


FAULTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (c.TV, ("Pump - Traveling Valve",)),
    (c.SV, ("Pump - Standing Valve",)),
    (c.WORN, ("Pump - Barrel", "Pump - Plunger")),
    (c.FRICTION, ("Rod - Body Break", "Tubing - Hole", "Tubing - Split")),
    (c.VIBRATION, ("Polish Rod Break", "Rod - Coupling")),
    (c.DOWN, ("Rod - Coupling", "Pump - Plunger")),
    (c.TUBING, ("BHA - Tubing Anchor", "Tubing - Hole")),
)
"""Faults that grow, and what they may end in."""

CHRONIC = (c.POUND, c.GAS, c.FRICTION, c.UP, c.DOWN, c.VIBRATION, c.TUBING, c.TV, c.WORN)
"""What a well may suffer from all the time without failing of it."""

CHRONIC_SHARE = 0.5
SUDDEN_EVERY_DAYS = 400.0
GROWTH_DAYS = (12.0, 45.0)
FAILING_PEAK = (0.5, 0.95)
DECOY_PEAK = (0.3, 0.9)
FAILING_SHARE = {FieldKind.GROWING: 1.0, FieldKind.DECOYS: 0.25}
QUIET_DAYS = {FieldKind.GROWING: 60.0, FieldKind.DECOYS: 25.0}
"""Mean time from the end of an episode to the next one of the well."""

_RUN_IN_DAYS = 90.0


@dataclass(frozen=True)
class Episode:
    """One course of a fault, in days since the start of the field (it may have begun before).

    Attributes
    ----------
    well, fault : int
        Well, and column of the severities.
    begin_day, peak_day : float
        Grows from nothing to `peak` between them.
    end_day : float
        The fault stays at its peak until then.
    fade_days : float
        Time over which it goes back to nothing after that; 0 when it is mended or the well fails.
    peak, power : float
        Severity added at the peak, and the exponent of the growth.
    fails : bool
        Whether it ends in a failure, at `end_day`.
    """

    well: int
    fault: int
    begin_day: float
    peak_day: float
    end_day: float
    fade_days: float
    peak: float
    power: float
    fails: bool

    def severity(self, day: FloatArray) -> FloatArray:
        """Severity that the episode adds at some times, shape as given."""
        share = np.clip((day - self.begin_day) / (self.peak_day - self.begin_day), 0.0, 1.0)
        left = (
            np.clip(1.0 - (day - self.end_day) / self.fade_days, 0.0, 1.0)
            if self.fade_days > 0.0
            else (day < self.end_day).astype(np.float64)
        )
        return np.asarray(self.peak * share**self.power * left)


def plan_episodes(
    wells: int, days: int, kind: FieldKind, rng: np.random.Generator
) -> tuple[list[Episode], list[Failure]]:
    """Decide what happens in each well.

    Parameters
    ----------
    wells, days : int
        Size of the field.
    kind : FieldKind
        With or without decoys.
    rng : numpy.random.Generator

    Returns
    -------
    episodes : list of Episode
        Of those that touch the field's time.
    failures : list of Failure
        By well, then time. `warned` tells those that an episode ends in from the sudden ones.
    """
    episodes: list[Episode] = []
    failures: list[Failure] = []
    for well in range(wells):
        # The clock starts before the field does, so that episodes are under way on its first day.
        moment = -_RUN_IN_DAYS
        sudden = moment + rng.exponential(SUDDEN_EVERY_DAYS)
        while moment < days:
            begin = moment + rng.exponential(QUIET_DAYS[kind])
            fault, texts = FAULTS[int(rng.integers(len(FAULTS)))]
            fails = bool(rng.random() < FAILING_SHARE[kind])
            peak_day = begin + rng.uniform(*GROWTH_DAYS)
            peak = rng.uniform(*(FAILING_PEAK if fails else DECOY_PEAK))
            end, fade = peak_day, 0.0
            if not fails:
                course = rng.random()
                if course >= 0.4:
                    fade = rng.uniform(3.0, 12.0)
                if course >= 0.7:
                    end += rng.uniform(10.0, 30.0)
            power = rng.uniform(0.8, 2.0)
            text = texts[int(rng.integers(len(texts)))]
            if sudden < end:
                # A well that fails suddenly is worked over, and what was growing in it is gone.
                end, fade, fails, text = sudden, 0.0, False, str(rng.choice(SILENT_FAILURES))
            if end >= 0.0 and begin < end:
                episodes.append(Episode(well, fault, begin, peak_day, end, fade, peak, power, fails))
            moment = end + fade
            if fails or end == sudden:
                back = end + rng.uniform(1.8, 6.0)
                if 0.0 <= end < days:
                    part = float(rng.beta(1.4, 1.8))
                    onset = begin if fails else float("nan")
                    failures.append(Failure(well, text, end, back, fails, part, onset))
                moment = back
                sudden = back + rng.exponential(SUDDEN_EVERY_DAYS)
    return episodes, failures


def episode_card_times(
    wells: int,
    days: int,
    cards_per_day: int,
    episodes: list[Episode],
    failures: list[Failure],
    rng: np.random.Generator,
) -> CardTimes:
    """Lay out the cards of such a field with the severities of each.

    Parameters
    ----------
    wells, days, cards_per_day : int
        Size of the field.
    episodes, failures : list
        From `plan_episodes`.
    rng : numpy.random.Generator

    Returns
    -------
    CardTimes
        Ordered by time. About two cards in a hundred are missing, and none come from a well that is down, but for the
        one or two days that a unit runs on with parted rods.
    """
    parts: list[tuple[NDArray[np.int64], FloatArray, FloatArray, NDArray[np.int64]]] = []
    slots = days * cards_per_day
    for well in range(wells):
        level = np.zeros(len(c.LABELS))
        for column, most in ((c.POUND, 0.12), (c.GAS, 0.1), (c.FRICTION, 0.15), (c.TV, 0.06), (c.WORN, 0.06)):
            level[column] = rng.uniform(0.0, most)
        if rng.random() < CHRONIC_SHARE:
            level[CHRONIC[int(rng.integers(len(CHRONIC)))]] = rng.uniform(0.3, 0.65)
        # Inflow changes over months and fails nothing.
        drift = np.zeros(len(c.LABELS))
        drift[c.POUND if rng.random() < 0.5 else c.GAS] = rng.normal(0.0, 0.0015)
        day = (np.arange(slots) + 0.5) / cards_per_day + rng.uniform(-0.3, 0.3, slots) / cards_per_day
        base = np.clip(level + drift * day[:, np.newaxis], 0.0, 0.8)
        own = failures_of(failures, well)
        ends = np.array([failure.end_day for failure in own])
        done = np.searchsorted(ends, day, side="right").astype(np.int64)
        # A workover takes most of what was worn or badly spaced with it.
        renewed = np.array([c.TV, c.SV, c.WORN, c.UP, c.DOWN, c.VIBRATION])
        for number in range(1, len(own) + 1):
            base[np.ix_(done == number, renewed)] = rng.uniform(0.0, 0.1, len(renewed))
            base[done >= number, c.FRICTION] *= 0.7
        for episode in episodes:
            if episode.well == well:
                base[:, episode.fault] += episode.severity(day)
        # The weather lasts for days whatever the number of cards.
        keep = 0.8 ** (1.0 / cards_per_day)
        shocks = np.sqrt(1.0 - keep**2) * 0.06 * rng.standard_normal((slots, len(c.LABELS)))
        wander = np.zeros_like(shocks)
        for slot in range(1, slots):
            wander[slot] = keep * wander[slot - 1] + shocks[slot]
        jitter = 0.03 * rng.standard_normal(shocks.shape)
        severity = base + (wander + jitter) * np.clip(2.5 * base, 0.08, 1.0)
        severity[:, c.PARTED] = 0.0
        kept = rng.random(slots) >= 0.02
        for failure in own:
            down = (day >= failure.start_day) & (day < failure.end_day)
            if failure.text.split()[0] in ("Rod", "Polish"):
                run_on = min(2.0, 0.6 * (failure.end_day - failure.start_day))
                seen = down & (day < failure.start_day + run_on)
                severity[seen, c.PARTED] = c.NAMING_POINT + (1.0 - c.NAMING_POINT) * (
                    1.0 - failure.parted_share
                )
                down &= ~seen
            kept &= ~down
        parts.append((np.full(slots, well)[kept], day[kept], np.clip(severity[kept], 0.0, 1.0), done[kept]))
    columns = [np.concatenate([part[place] for part in parts]) for place in range(4)]
    order = np.lexsort((columns[0], columns[1]))
    well_of, day_of, severity_of, done_of = (column[order] for column in columns)
    severity_of[:, c.FULL] = c.fullness(severity_of)
    return CardTimes(well_of.astype(np.int64), day_of, severity_of, done_of.astype(np.int64))
