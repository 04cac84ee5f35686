"""One production figure for each well and day out of three that contradict each other.

Here: the rate inferred from cards, approved well tests, the vendor's rate and the class of the card are held against each other; each
disagreement is one code and one sentence. Not here: how a rate is inferred from a card (``physics``).

All errors are taken as shares of the rate (logarithms), so that a rate is never negative and 10 % of a large well is as likely as 10 % of
a small one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float64]

Z90 = 1.6449
"""Half width of a 90 % interval in standard deviations."""

SMALLEST_BPD = 0.5
"""Rates below this are taken as this where a logarithm is needed, bbl/d."""


class Disagreement(IntFlag):
    """What contradicts what."""

    TEST_BELOW_INFERRED = 1
    TEST_ABOVE_INFERRED = 2
    CLASS_LEAK_UNSEEN = 4
    PARTED_CLASS_ONLY = 8
    PARTED_CARD_ONLY = 16
    VENDOR_BELOW_INFERRED = 32
    VENDOR_ABOVE_INFERRED = 64
    LOAD_AND_FILLAGE = 128


CODES: Mapping[Disagreement, str] = {
    Disagreement.TEST_BELOW_INFERRED: "test_below_inferred",
    Disagreement.TEST_ABOVE_INFERRED: "test_above_inferred",
    Disagreement.CLASS_LEAK_UNSEEN: "class_leak_unseen_by_timing",
    Disagreement.PARTED_CLASS_ONLY: "parted_by_class_only",
    Disagreement.PARTED_CARD_ONLY: "parted_by_card_only",
    Disagreement.VENDOR_BELOW_INFERRED: "vendor_below_inferred",
    Disagreement.VENDOR_ABOVE_INFERRED: "vendor_above_inferred",
    Disagreement.LOAD_AND_FILLAGE: "class_gas_unseen_by_fillage",
}
"""Code of each disagreement, as ``clean.wellstatus`` stores it."""

SENTENCES: Mapping[str, str] = {
    "test_below_inferred": "The well test is far below the rate inferred from the card.",
    "test_above_inferred": "The well test is far above the rate inferred from the card.",
    "class_leak_unseen_by_timing": "The card is classified as leaking, but the timing of the valves shows no leak.",
    "parted_by_class_only": "The card is classified as parted rods, but the pump card still carries fluid load.",
    "parted_by_card_only": "The pump card carries no fluid load, but the card is not classified as parted rods.",
    "vendor_below_inferred": "The vendor's rate is far below the rate inferred from the card.",
    "vendor_above_inferred": "The vendor's rate is far above the rate inferred from the card.",
    "class_gas_unseen_by_fillage": "The card is classified as gas interference or fluid pound, but the pump looks full.",
}
"""Sentence of each code."""

LEAKS = ("Leak in Traveling Valve", "Leak in Standing Valve", "Worn Pump Barrel")
PARTED = "Parted Rod"
STARVED = ("Gas Interference", "Fluid Pound")
FULL_FILLAGE_PCT = 92.0

TEST_SPREAD = 0.06
TEST_DRIFT_PER_DAY = 0.004
"""Standard deviation of a test, and what it gains a day since: wells change."""

CHANGED_SPREAD = 0.45
"""Added where the card's class is another one than on the day of the test."""

CLASS_SHARE_NEEDED = 50.0
"""A class counts from this probability on, percent."""

UNSEEN_LEAK_SHARE = 0.4
UNSEEN_LEAK_SPREAD = 0.8
"""What a pump whose class is a leak delivers of the inferred rate where neither valve timing nor a test measures the leak."""

INFERRED_SPREAD = 0.12
STARVED_SPREAD = 0.22
LEAK_SPREAD = 0.30
ASSUMED_SPREAD = 0.15
"""Standard deviation of the inferred rate: ordinary, of a starved pump, of a leaking one; added where run time is assumed."""

VENDOR_SPREAD = 0.30

BIAS_SPREAD = 0.25
"""How far the inferred rate of a well may be off for good: the prior of what its tests teach."""

BIAS_MEMORY_DAYS = 120.0
OTHER_CLASS_WEIGHT = 0.15
"""Weight of a test that was taken while the card showed another class."""

VALID = np.iinfo(np.int64).max
"""Day on which a good test becomes worthless."""

FAR = 2.2
"""A disagreement is named from so many standard deviations on."""

FAR_SHARE = 0.25
"""And from this share on (logarithm), so that no sentence speaks of a difference that changes nothing."""


@dataclass(frozen=True)
class Evidence:
    """What is known of the production of wells, one grid each.

    Attributes
    ----------
    inferred_bpd : ndarray, shape (wells, days)
        Median of the day's cards: liquid per day, run time counted; NaN on days without.
    leak_seen_bpd : ndarray, shape (wells, days)
        What the valve timing and the load line say that leaks at full pressure, bbl/d.
    displacement_bpd : ndarray, shape (wells, days)
        Displacement of the plunger's stroke in the run time.
    fillage_pct : ndarray, shape (wells, days)
        Fillage of the pump.
    runtime_assumed : ndarray of bool, shape (wells, days)
        Whether run time was not known and 24 h were taken.
    no_fluid_load : ndarray of bool, shape (wells, days)
        Whether the card says that no fluid is lifted (parted rods, no height of the pump card).
    label : ndarray of object, shape (wells, days)
        Class of the day; None without.
    label_pct : ndarray, shape (wells, days)
        Its probability.
    test_bpd : ndarray, shape (wells, days)
        Liquid rate of an approved test taken on that day while the well was not down; NaN on days without.
    test_void_day : ndarray of int64, shape (wells, days)
        Day from which on the test is known to be worthless, because the well was down; `VALID` for a good one.
    vendor_bpd : ndarray, shape (wells, days)
        The vendor's liquid rate; NaN on days without.
    run : ndarray of int64, shape (wells, days)
        Number of workovers before the day: tests of an earlier run say nothing of this one.
    """

    inferred_bpd: Grid
    leak_seen_bpd: Grid
    displacement_bpd: Grid
    fillage_pct: Grid
    runtime_assumed: NDArray[np.bool_]
    no_fluid_load: NDArray[np.bool_]
    label: NDArray[np.object_]
    label_pct: Grid
    test_bpd: Grid
    test_void_day: NDArray[np.int64]
    vendor_bpd: Grid
    run: NDArray[np.int64]


@dataclass(frozen=True)
class _Test:
    """One test: its day, logarithms of its rate and of the rate inferred that day, group of its class, run, and day of its end."""

    day: int
    rate: float
    inferred: float
    group: int
    run: int
    void_day: int


@dataclass(frozen=True)
class Production:
    """The reconciled rate of wells by day.

    Attributes
    ----------
    bpd, lower_bpd, upper_bpd : ndarray, shape (wells, days)
        Liquid rate and its 90 % interval; NaN where nothing tells it.
    source : ndarray of str, shape (wells, days)
        ``inferred`` (from the card alone), ``inferred_calibrated`` (corrected by the well's own tests), ``test``, ``vendor``,
        ``none_lifted`` (no fluid load: nothing is produced), or empty.
    disagreements : ndarray of int64, shape (wells, days)
        `Disagreement` flags.
    test_bpd, test_age_d : ndarray, shape (wells, days)
        Newest test of the run that was known at the end of the day, and its age.
    """

    bpd: Grid
    lower_bpd: Grid
    upper_bpd: Grid
    source: NDArray[np.str_]
    disagreements: NDArray[np.int64]
    test_bpd: Grid
    test_age_d: Grid


def _log(rate: Grid) -> Grid:
    """Logarithm of rates, none below `SMALLEST_BPD`; NaN stays NaN."""
    return np.asarray(np.log(np.maximum(rate, SMALLEST_BPD)))


def _absent(label: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.array([[value is None for value in row] for row in label], dtype=bool).reshape(label.shape)


def _is_one_of(label: NDArray[np.object_], percent: Grid, names: tuple[str, ...]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        likely = percent >= CLASS_SHARE_NEEDED
    return np.isin(np.where(_absent(label), "", label).astype(str), names) & likely


def reconcile_production(evidence: Evidence) -> Production:
    """Hold class, physical diagnosis, tests and vendor against each other.

    Parameters
    ----------
    evidence : Evidence
        A test counts from the day after it was taken.

    Returns
    -------
    Production
        Today's rate rests on today's cards; where there are none, on the newest test.
    """
    e = evidence
    wells, days = e.inferred_bpd.shape
    leaking = _is_one_of(e.label, e.label_pct, LEAKS)
    parted = _is_one_of(e.label, e.label_pct, (PARTED,))
    starved = _is_one_of(e.label, e.label_pct, STARVED)
    with np.errstate(invalid="ignore"):
        seen = e.leak_seen_bpd > np.maximum(0.05 * np.nan_to_num(e.displacement_bpd), 5.0)
        full = e.fillage_pct >= FULL_FILLAGE_PCT
    unseen = leaking & ~seen
    flags = np.zeros((wells, days), dtype=np.int64)
    flags[unseen & np.isfinite(e.inferred_bpd)] |= Disagreement.CLASS_LEAK_UNSEEN
    flags[parted & ~e.no_fluid_load & np.isfinite(e.inferred_bpd)] |= Disagreement.PARTED_CLASS_ONLY
    known_label = ~_absent(e.label)
    flags[e.no_fluid_load & known_label & ~parted] |= Disagreement.PARTED_CARD_ONLY
    flags[starved & full] |= Disagreement.LOAD_AND_FILLAGE

    spread = np.full((wells, days), INFERRED_SPREAD)
    spread[starved] = STARVED_SPREAD
    spread[leaking] = LEAK_SPREAD
    spread = np.hypot(spread, np.where(e.runtime_assumed, ASSUMED_SPREAD, 0.0))
    # the rate as the class lets one expect it, before any test
    prior_shift = np.where(unseen, np.log(UNSEEN_LEAK_SHARE), 0.0)
    prior_spread = np.where(unseen, UNSEEN_LEAK_SPREAD, BIAS_SPREAD)
    group = np.where(leaking, 1, np.where(starved, 2, 0))

    inferred = _log(e.inferred_bpd)
    vendor = _log(e.vendor_bpd)
    centre = np.full((wells, days), np.nan)
    deviation = np.full((wells, days), np.nan)
    source = np.full((wells, days), "", dtype="<U19")
    newest = np.full((wells, days), np.nan)
    age = np.full((wells, days), np.nan)
    tests: list[list[_Test]] = [[] for _ in range(wells)]
    test_wells, test_days = np.nonzero(np.isfinite(e.test_bpd))
    due: dict[int, list[int]] = {}
    for well, day in zip(test_wells.tolist(), test_days.tolist(), strict=True):
        due.setdefault(day, []).append(well)
    for day in range(days):
        shift, spread_of_shift, calibrated = _bias(tests, day, group[:, day], e.run[:, day])
        use = calibrated
        shift = np.where(use, shift, prior_shift[:, day])
        # tests of the same class replace the guess; a guess with one old test of another class stays a guess
        left = np.where(use, spread_of_shift, prior_spread[:, day])
        centre[:, day] = inferred[:, day] + shift
        deviation[:, day] = np.hypot(spread[:, day], left)
        some = np.isfinite(e.inferred_bpd[:, day])
        centre[~some, day] = np.nan
        source[some, day] = np.where(use[some], "inferred_calibrated", "inferred")
        rate, old, changed = _newest_test(tests, day, group[:, day], e.run[:, day])
        newest[:, day], age[:, day] = rate, old
        test_spread = np.sqrt(
            TEST_SPREAD**2 + (TEST_DRIFT_PER_DAY * old) ** 2 + np.where(changed, CHANGED_SPREAD, 0.0) ** 2
        )
        gap = _log(rate) - inferred[:, day]
        far = np.maximum(FAR * np.hypot(test_spread, spread[:, day]), FAR_SHARE)
        with np.errstate(invalid="ignore"):
            flags[(gap < -far) & some, day] |= Disagreement.TEST_BELOW_INFERRED
            flags[(gap > far) & some, day] |= Disagreement.TEST_ABOVE_INFERRED
        only_test = ~some & np.isfinite(rate)
        centre[only_test, day] = _log(rate)[only_test]
        deviation[only_test, day] = test_spread[only_test]
        source[only_test, day] = "test"
        for well in due.get(day, []):
            tests[well].append(
                _Test(
                    day,
                    float(np.log(max(e.test_bpd[well, day], SMALLEST_BPD))),
                    float(inferred[well, day]),
                    int(group[well, day]),
                    int(e.run[well, day]),
                    int(e.test_void_day[well, day]),
                )
            )
    only_vendor = np.isnan(centre) & np.isfinite(e.vendor_bpd)
    centre[only_vendor] = vendor[only_vendor]
    deviation[only_vendor] = VENDOR_SPREAD
    source[only_vendor] = "vendor"
    with np.errstate(invalid="ignore"):
        gap = vendor - centre
        far = np.maximum(FAR * np.hypot(VENDOR_SPREAD, deviation), 2.0 * FAR_SHARE)
        held = np.isfinite(e.inferred_bpd) & np.isfinite(e.vendor_bpd)
        flags[held & (gap < -far)] |= Disagreement.VENDOR_BELOW_INFERRED
        flags[held & (gap > far)] |= Disagreement.VENDOR_ABOVE_INFERRED
    bpd = np.exp(centre)
    lower, upper = np.exp(centre - Z90 * deviation), np.exp(centre + Z90 * deviation)
    # a disagreement with a fresh test is no matter of a few percent: the interval holds both
    test_far = (flags & (Disagreement.TEST_BELOW_INFERRED | Disagreement.TEST_ABOVE_INFERRED)) > 0
    lower = np.where(test_far, np.fmin(lower, 0.9 * newest), lower)
    upper = np.where(test_far, np.fmax(upper, 1.1 * newest), upper)
    both = e.no_fluid_load & parted
    either = (e.no_fluid_load | parted) & ~both
    raw = np.where(np.isfinite(e.inferred_bpd), e.inferred_bpd, np.nan_to_num(e.displacement_bpd))
    bpd = np.where(both | either, 0.0, bpd)
    lower = np.where(both | either, 0.0, lower)
    upper = np.where(both, 0.05 * raw, np.where(either, np.fmax(raw, 0.0), upper))
    source = np.where(both | either, "none_lifted", source)
    return Production(bpd, lower, upper, source, flags, newest, age)


def _bias(
    tests: list[list[_Test]],
    day: int,
    group: NDArray[np.int64],
    run: NDArray[np.int64],
) -> tuple[Grid, Grid, NDArray[np.bool_]]:
    """Learn from a well's tests how far its inferred rate is off: shift of the logarithm, what stays open, whether any test told."""
    wells = len(tests)
    shift, spread = np.zeros(wells), np.full(wells, BIAS_SPREAD)
    told = np.zeros(wells, dtype=bool)
    for well, known in enumerate(tests):
        total, precision, same = 0.0, 1.0 / BIAS_SPREAD**2, False
        for test in known:
            if test.run != run[well] or test.inferred != test.inferred or test.void_day <= day:
                continue
            alike = test.group == group[well]
            weight = np.exp((test.day - day) / BIAS_MEMORY_DAYS) / (TEST_SPREAD**2 + INFERRED_SPREAD**2)
            weight *= 1.0 if alike else OTHER_CLASS_WEIGHT
            total += weight * (test.rate - test.inferred)
            precision += weight
            same = same or alike
        if precision > 1.0 / BIAS_SPREAD**2 and (same or group[well] != 1):
            shift[well], spread[well], told[well] = total / precision, precision**-0.5, True
    return shift, spread, told


def _newest_test(
    tests: list[list[_Test]],
    day: int,
    group: NDArray[np.int64],
    run: NDArray[np.int64],
) -> tuple[Grid, Grid, NDArray[np.bool_]]:
    """Newest test of each well's present run: rate, age in days, whether the class has changed since."""
    wells = len(tests)
    rate, age = np.full(wells, np.nan), np.full(wells, np.nan)
    changed = np.zeros(wells, dtype=bool)
    for well, known in enumerate(tests):
        for test in reversed(known):
            if test.run != run[well]:
                break
            if test.void_day > day:
                rate[well], age[well] = np.exp(test.rate), day - test.day
                changed[well] = test.group != group[well]
                break
    return rate, age, changed


def disagreement_codes(flags: int) -> list[str]:
    """Spell out flags of `Disagreement` as codes."""
    return [code for flag, code in CODES.items() if flags & flag]
