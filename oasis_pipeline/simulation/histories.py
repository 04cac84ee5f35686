"""What happens to the wells of a simulated field over time: faults that come and grow, failures, workovers.

Belongs here: severities by well and time, failures with their dates. What a severity does to a card is in `conditions`.

Each well has a habit (what it suffers from), day-to-day weather (an autoregressive wander), and card-to-card jitter. Faults
that wear parts grow until the well fails; other failures come without a sign on any card. While a well is down it sends no
cards, except that parted rods are noticed only after the unit has run on for a while. A workover resets wear and may change
the plunger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.simulation import conditions as c

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Habit:
    """What a well suffers from: start severities, growth per day of each, and how it ends if it does."""

    name: str
    base: dict[int, float]
    growth: dict[int, float]
    failure: str | None = None


HABITS: tuple[Habit, ...] = (
    Habit("healthy", {}, {}),
    Habit("pumped off", {c.POUND: 0.62}, {}),
    Habit("gassy", {c.GAS: 0.62}, {}),
    Habit("valve wearing", {c.TV: 0.2}, {c.TV: 0.04}, "Pump - Traveling Valve"),
    Habit("dragging", {c.FRICTION: 0.55}, {c.FRICTION: 0.004}, None),
    Habit("parting deep", {c.FRICTION: 0.3}, {c.FRICTION: 0.012}, "Rod - Body Break"),
    Habit("unanchored", {c.TUBING: 0.65}, {}),
    Habit("spaced low", {c.DOWN: 0.5}, {c.DOWN: 0.004}),
    Habit("healthy", {}, {}, None),
    Habit("spaced high", {c.UP: 0.52}, {}),
    Habit("standing valve", {c.SV: 0.25}, {c.SV: 0.016}, "Pump - Standing Valve"),
    Habit("shaking", {c.VIBRATION: 0.55}, {}),
    Habit("parting", {}, {}, "Rod - Coupling"),
    Habit("worn barrel", {c.WORN: 0.4}, {c.WORN: 0.006}, None),
    Habit("pumped off and leaking", {c.POUND: 0.6, c.TV: 0.3}, {c.TV: 0.008}),
    Habit("gassy and dragging", {c.GAS: 0.55, c.FRICTION: 0.45}, {}),
    Habit("tubing hole", {}, {}, "Tubing - Hole"),
    Habit("pumping off", {c.POUND: 0.1}, {c.POUND: 0.02}),
    Habit("healthy", {}, {}, None),
    Habit("both valves", {c.TV: 0.42, c.SV: 0.4}, {c.TV: 0.006, c.SV: 0.006}, None),
    Habit("gas coming", {c.GAS: 0.2}, {c.GAS: 0.014}),
    Habit("tagging and pounding", {c.POUND: 0.5, c.DOWN: 0.42}, {}),
    Habit("polished rod", {c.VIBRATION: 0.3}, {c.VIBRATION: 0.01}, "Polish Rod Break"),
    Habit("healthy", {}, {}, None),
)
"""A field takes them in this order again and again, so that 24 wells have them all."""

SILENT_FAILURES = (
    "Tubing - Split",
    "Pump - Plunger",
    "Rod - Coupling",
    "Tubing - Hole",
    "BHA - Tubing Anchor",
)


@dataclass(frozen=True)
class Failure:
    """A failure: well, class text, when it began and ended, in days since the start of the field.

    `warned` is False for a sudden one; `onset_day` is when what led to it began to grow, NaN where that is not known.
    """

    well: int
    text: str
    start_day: float
    end_day: float
    warned: bool
    parted_share: float
    onset_day: float = float("nan")


@dataclass(frozen=True)
class CardTimes:
    """Cards of a field in time order: well and time of each, its severities, and how often the well was worked over."""

    well: NDArray[np.int64]
    day: FloatArray
    severity: FloatArray
    workovers: NDArray[np.int64]


def plan_failures(wells: int, days: int, rng: np.random.Generator) -> list[Failure]:
    """Decide which wells fail, when and how.

    Wells whose habit ends in a failure do so in the course of 30 days; about one other well in twelve fails in 30 days without a
    sign. That is some ten times what a good field sees, so that a short demonstration has failures to learn from.
    """
    failures: list[Failure] = []
    for well in range(wells):
        habit = HABITS[well % len(HABITS)]
        moment = 0.0
        while True:
            if habit.failure is not None and not failures_of(failures, well):
                wait, text, warned = rng.uniform(13.0, 24.0), habit.failure, bool(habit.growth)
            else:
                wait, text, warned = rng.exponential(360.0), str(rng.choice(SILENT_FAILURES)), False
            moment += wait
            if moment >= days:
                break
            end = moment + rng.uniform(1.8, 6.0)
            # Rods part anywhere, more often in the upper half where they are loaded most.
            failures.append(Failure(well, text, moment, end, warned, float(rng.beta(1.4, 1.8))))
            moment = end
    return failures


def failures_of(failures: list[Failure], well: int) -> list[Failure]:
    """Pick the failures of one well, in order of time."""
    return [failure for failure in failures if failure.well == well]


def card_times(
    wells: int, days: int, cards_per_day: int, failures: list[Failure], rng: np.random.Generator
) -> CardTimes:
    """Lay out the cards of a field with the severities of each.

    Parameters
    ----------
    wells, days, cards_per_day : int
        Size of the field.
    failures : list of Failure
        From `plan_failures`.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    CardTimes
        Ordered by time. About two cards in a hundred are missing, and none come from a well that is down.
    """
    columns: list[tuple[int, float, FloatArray, int]] = []
    slots = days * cards_per_day
    for well in range(wells):
        habit = HABITS[well % len(HABITS)]
        own = failures_of(failures, well)
        base, growth = np.zeros(len(c.LABELS)), np.zeros(len(c.LABELS))
        spread = rng.uniform(0.85, 1.15)
        for column, value in habit.base.items():
            base[column] = value * spread
        for column, value in habit.growth.items():
            growth[column] = value * spread
        # Every well has a little of the common troubles.
        base[c.POUND] += rng.uniform(0.0, 0.08)
        base[c.GAS] += rng.uniform(0.0, 0.06)
        base[c.FRICTION] += rng.uniform(0.0, 0.12)
        base[c.TV] += rng.uniform(0.0, 0.06)
        wander = np.zeros(len(c.LABELS))
        times = (np.arange(slots) + 0.5) / cards_per_day + rng.uniform(-0.3, 0.3, slots) / cards_per_day
        missing = rng.random(slots) < 0.02
        shocks = rng.standard_normal((slots, len(c.LABELS)))
        jitter = rng.standard_normal((slots, len(c.LABELS)))
        keep = 0.92
        renewed = 0.0
        done = 0
        for slot, moment in enumerate(times):
            while done < len(own) and moment >= own[done].end_day:
                renewed = own[done].end_day
                done += 1
                for column in (c.TV, c.SV, c.WORN, c.UP, c.DOWN, c.VIBRATION):
                    base[column] = rng.uniform(0.0, 0.1)
                    growth[column] *= 0.4
                base[c.FRICTION] *= 0.7
                growth[c.FRICTION] *= 0.4
            wander = keep * wander + np.sqrt(1.0 - keep**2) * 0.05 * shocks[slot]
            down = done < len(own) and moment >= own[done].start_day
            parted = down and own[done].text.split()[0] in ("Rod", "Polish")
            # A unit with parted rods runs on until somebody looks, up to two days.
            noticed = (
                own[done].start_day + min(2.0, 0.6 * (own[done].end_day - own[done].start_day))
                if parted
                else 0.0
            )
            if missing[slot] or (down and not (parted and moment < noticed)):
                continue
            level = base + growth * (moment - renewed)
            # Weather scales with what is there: a healthy pump does not wander into a fault.
            severity = level + (wander + 0.025 * jitter[slot]) * np.clip(2.5 * level, 0.08, 1.0)
            if habit.base.get(c.POUND, 0.0) > 0.3:
                # A pumped-off well refills while the controller rests: the first cards after a rest are fuller.
                severity[c.POUND] -= 0.3 * float(rng.random() < 0.25) * rng.random()
            if not parted:
                severity[c.PARTED] = 0.0
            else:
                severity[c.PARTED] = c.NAMING_POINT + (1.0 - c.NAMING_POINT) * (1.0 - own[done].parted_share)
            columns.append((well, float(moment), np.clip(severity, 0.0, 1.0), done))
    columns.sort(key=lambda row: (row[1], row[0]))
    severity = np.array([row[2] for row in columns]).reshape(-1, len(c.LABELS))
    severity[:, c.FULL] = c.fullness(severity)
    return CardTimes(
        np.array([row[0] for row in columns], dtype=np.int64),
        np.array([row[1] for row in columns]),
        severity,
        np.array([row[3] for row in columns], dtype=np.int64),
    )
