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

from oasis_pipeline.decisions.losses import carry_known

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
    UNSURE = 256


CODES: Mapping[Disagreement, str] = {
    Disagreement.TEST_BELOW_INFERRED: "test_below_inferred",
    Disagreement.TEST_ABOVE_INFERRED: "test_above_inferred",
    Disagreement.CLASS_LEAK_UNSEEN: "class_leak_unseen_by_timing",
    Disagreement.PARTED_CLASS_ONLY: "parted_by_class_only",
    Disagreement.PARTED_CARD_ONLY: "parted_by_card_only",
    Disagreement.VENDOR_BELOW_INFERRED: "vendor_below_inferred",
    Disagreement.VENDOR_ABOVE_INFERRED: "vendor_above_inferred",
    Disagreement.LOAD_AND_FILLAGE: "class_gas_unseen_by_fillage",
    Disagreement.UNSURE: "rate_unsure",
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
    "rate_unsure": "The rate may be off by a third or more: no recent test of this condition.",
}
"""Sentence of each code."""

LEAKS = ("Leak in Traveling Valve", "Leak in Standing Valve", "Worn Pump Barrel")
PARTED = "Parted Rod"
STARVED = ("Gas Interference", "Fluid Pound")
FULL_FILLAGE_PCT = 92.0

TEST_SPREAD = 0.05
TEST_DRIFT_PER_DAY, LEAK_DRIFT_PER_DAY = 0.015, 0.05
"""Standard deviation of a test, and what it gains a day since: wells change, leaking ones faster."""

CHANGED_SPREAD = 0.45
"""Added where the card's class is another one than on the day of the test."""

CLASS_SHARE_NEEDED = 50.0
"""A class counts from this probability on, percent."""

UNSEEN_LEAK_SHARE = 0.4
UNSEEN_LEAK_SPREAD = 0.8
"""What a pump whose class is a leak delivers of the inferred rate where neither valve timing nor a test measures the leak."""

INFERRED_SPREAD = 0.035
STARVED_SPREAD = 0.08
LEAK_SPREAD = 0.20
ASSUMED_SPREAD = 0.15
"""Standard deviation of the inferred rate from day to day: ordinary, of a starved pump, of a leaking one; added where run time is assumed."""

VENDOR_SPREAD = 0.12
"""The same of the vendor's rate."""

BIAS_SPREAD, LEAK_BIAS_SPREAD, VENDOR_BIAS_SPREAD = 0.13, 0.35, 0.25
"""How far the inferred rate of a well, of one that leaks, and the vendor's may be off for good: the prior of what its tests teach."""

BIAS_MEMORY_DAYS = 120.0
OTHER_CLASS_WEIGHT = 0.15
"""Weight of a test that was taken while the card showed another class."""

ODD_SHIFT = 0.3
"""Where tests move the inferred rate by more than this (logarithm), the card misses something: the rest of its error grows by `ODD_SHARE` of
the shift, and the newest test counts beside."""
ODD_SHARE = 0.5

VALID = np.iinfo(np.int64).max
"""Day on which a good test becomes worthless."""

FAR = 2.2
"""A disagreement is named from so many standard deviations on."""

FAR_SHARE = 0.25
"""And from this share on (logarithm), so that no sentence speaks of a difference that changes nothing."""

DOUBTED = 1.1
"""A test that is off the card by more (logarithm, a factor of 3) is doubted unless something explains it."""

NAMED_SPREAD = 0.10
"""What the inferred rate may be off in a well before a test contradicts it."""

VENDOR_FAR = 0.45
"""The vendor's rate is called far off from this on (logarithm): a factor of 1.6."""

UNSURE_SPREAD = 0.17
"""A rate is called unsure from this standard deviation on: a 90 % interval of 76 to 132 %."""


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
    """One test: day, rate, rates of that day inferred and by the vendor (logarithms), class, run, day of its end, spread that doubt adds."""

    day: int
    rate: float
    inferred: float
    vendor: float
    group: int
    run: int
    void_day: int
    doubt: float


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
    adjustment : ndarray, shape (wells, days)
        Logarithm of `bpd` over the inferred rate, where it is an error of the card that tests and vendor have told; NaN where the pump leaks,
        where the card misses something, and without a card.
    """

    bpd: Grid
    lower_bpd: Grid
    upper_bpd: Grid
    source: NDArray[np.str_]
    disagreements: NDArray[np.int64]
    test_bpd: Grid
    test_age_d: Grid
    adjustment: Grid


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
    # how far the inferred rate is off as the class lets one expect it, before any test
    before = np.where(unseen, np.log(UNSEEN_LEAK_SHARE), 0.0)
    open_before = np.where(unseen, UNSEEN_LEAK_SPREAD, np.where(leaking, LEAK_BIAS_SPREAD, BIAS_SPREAD))
    group = np.where(leaking, 1, np.where(starved, 2, 0))

    inferred, vendor = _log(e.inferred_bpd), _log(e.vendor_bpd)
    # a well that is tested while it is down has no card of that day
    last = np.stack([carry_known(inferred), carry_known(vendor)])
    centre = np.full((wells, days), np.nan)
    deviation = np.full((wells, days), np.nan)
    source = np.full((wells, days), "", dtype="<U19")
    newest = np.full((wells, days), np.nan)
    age = np.full((wells, days), np.nan)
    adjustment = np.full((wells, days), np.nan)
    none, some_bias = np.zeros(wells), np.full(wells, VENDOR_BIAS_SPREAD)
    tests: list[list[_Test]] = [[] for _ in range(wells)]
    test_wells, test_days = np.nonzero(np.isfinite(e.test_bpd))
    due: dict[int, list[int]] = {}
    for well, day in zip(test_wells.tolist(), test_days.tolist(), strict=True):
        due.setdefault(day, []).append(well)
    for day in range(days):
        of_class, of_run = group[:, day], e.run[:, day]
        shift, left, told = _bias(
            tests, "inferred", day, of_class, of_run, before[:, day], open_before[:, day]
        )
        moved, open_vendor, _ = _bias(tests, "vendor", day, None, of_run, none, some_bias)
        rate, old, changed, doubt = _newest_test(tests, day, of_class, of_run)
        newest[:, day], age[:, day] = rate, old
        drift = np.where(leaking[:, day], LEAK_DRIFT_PER_DAY, TEST_DRIFT_PER_DAY)
        test_spread = np.sqrt(
            TEST_SPREAD**2 + (drift * old) ** 2 + np.where(changed, CHANGED_SPREAD, 0.0) ** 2
        )
        odd = told & (np.abs(shift) > ODD_SHIFT)
        left = np.hypot(left, np.where(odd, ODD_SHARE * shift, 0.0))
        carded = np.isfinite(e.inferred_bpd[:, day])
        use_test = np.isfinite(rate) & (odd | leaking[:, day] | ~carded)
        use_vendor = np.isfinite(e.vendor_bpd[:, day]) & (carded | ~np.isfinite(rate))
        centre[:, day], deviation[:, day] = _combined(
            np.stack([inferred[:, day] + shift, vendor[:, day] + moved, _log(rate)]),
            np.stack(
                [
                    np.hypot(spread[:, day], left),
                    np.hypot(VENDOR_SPREAD, open_vendor),
                    np.hypot(test_spread, doubt),
                ]
            ),
            np.stack([carded, use_vendor, use_test]),
        )
        plain = carded & ~odd & ~leaking[:, day]
        adjustment[plain, day] = (centre[:, day] - inferred[:, day])[plain]
        of_card = np.where(told, "inferred_calibrated", "inferred")
        source[:, day] = np.where(
            carded, of_card, np.where(use_test, "test", np.where(use_vendor, "vendor", ""))
        )
        gap = _log(rate) - inferred[:, day]
        far = np.maximum(FAR * np.hypot(test_spread, np.hypot(spread[:, day], NAMED_SPREAD)), FAR_SHARE)
        with np.errstate(invalid="ignore"):
            flags[(gap < -far) & carded, day] |= Disagreement.TEST_BELOW_INFERRED
            flags[(gap > far) & carded, day] |= Disagreement.TEST_ABOVE_INFERRED
        for well in due.get(day, []):
            tested = float(np.log(max(e.test_bpd[well, day], SMALLEST_BPD)))
            of_day = float(inferred[well, day]), float(vendor[well, day])
            tests[well].append(
                _Test(
                    day, tested, *of_day, int(of_class[well]), int(of_run[well]), int(e.test_void_day[well, day]),
                    _doubt(tested, float(last[0, well, day]), float(last[1, well, day]), leaks=bool(leaking[well, day])),
                )
            )  # fmt: skip
    with np.errstate(invalid="ignore"):
        gap = vendor - inferred
        held = np.isfinite(e.inferred_bpd) & np.isfinite(e.vendor_bpd)
        flags[held & (gap < -VENDOR_FAR)] |= Disagreement.VENDOR_BELOW_INFERRED
        flags[held & (gap > VENDOR_FAR)] |= Disagreement.VENDOR_ABOVE_INFERRED
        wide = np.isfinite(centre) & (deviation > UNSURE_SPREAD) & (flags == 0)
    flags[wide] |= Disagreement.UNSURE
    bpd = np.exp(centre)
    lower, upper = np.exp(centre - Z90 * deviation), np.exp(centre + Z90 * deviation)
    # a disagreement with a fresh test is no matter of a few percent: the interval holds both
    test_far = (flags & (Disagreement.TEST_BELOW_INFERRED | Disagreement.TEST_ABOVE_INFERRED)) > 0
    lower = np.where(test_far, np.fmin(lower, 0.9 * newest), lower)
    upper = np.where(test_far, np.fmax(upper, 1.1 * newest), upper)
    both = e.no_fluid_load & parted
    either = (e.no_fluid_load | parted) & ~both
    raw = np.where(np.isfinite(e.inferred_bpd), e.inferred_bpd, np.nan_to_num(e.displacement_bpd))
    # a class alone: where no pump card confirms it, another source may be right, and without one nothing is known
    unconfirmed = parted & ~e.no_fluid_load & ~np.isfinite(e.inferred_bpd)
    either &= ~unconfirmed | np.isfinite(bpd)
    raw = np.where(unconfirmed, np.fmax(raw, bpd), raw)
    bpd = np.where(both | either, 0.0, bpd)
    lower = np.where(both | either, 0.0, lower)
    upper = np.where(both, 0.05 * raw, np.where(either, np.fmax(raw, 0.0), upper))
    source = np.where(both | either, "none_lifted", source)
    adjustment[both | either] = np.nan
    return Production(bpd, lower, upper, source, flags, newest, age, adjustment)


def _combined(centre: Grid, spread: Grid, use: NDArray[np.bool_]) -> tuple[Grid, Grid]:
    """Weigh what several sources say by their errors, shape (sources, wells); sources that contradict each other widen what comes of it.

    Source: R. T. Birge, "The calculation of errors by the method of least squares", Physical Review 40 (1932) 207.
    """
    weight = np.where(use, 1.0 / spread**2, 0.0)
    total = weight.sum(axis=0)
    known = total > 0.0
    safe = np.where(known, total, 1.0)
    value = np.where(use, centre, 0.0)
    mean = (weight * value).sum(axis=0) / safe
    misfit = (weight * (value - mean) ** 2).sum(axis=0) / np.maximum(use.sum(axis=0) - 1, 1)
    deviation = np.sqrt(np.maximum(misfit, 1.0) / safe)
    return np.where(known, mean, np.nan), np.where(known, deviation, np.nan)


def _doubt(tested: float, inferred: float, vendor: float, *, leaks: bool) -> float:
    """Spread that doubt adds to a test which contradicts the card (logarithms): a well tested while it was down, or the wrong well.

    A leak that a card does not show explains a low test, and so does a vendor's rate that is nearer to it than to the card's.
    """
    gap = abs(tested - inferred)
    if leaks or not gap > DOUBTED or abs(tested - vendor) < abs(inferred - vendor):
        return 0.0
    return gap


def _bias(
    tests: list[list[_Test]],
    of: str,
    day: int,
    group: NDArray[np.int64] | None,
    run: NDArray[np.int64],
    before: Grid,
    open_before: Grid,
) -> tuple[Grid, Grid, NDArray[np.bool_]]:
    """Learn from a well's tests how far a rate is off: shift of the logarithm, what stays open, whether any test told.

    `of` names the rate (a field of `_Test`), `group` is today's class (None for a rate that does not rest on it), `before` and `open_before` what is thought of it without tests.
    """
    shift, spread = before.copy(), open_before.copy()
    told = np.zeros(len(tests), dtype=bool)
    noise = INFERRED_SPREAD if of == "inferred" else VENDOR_SPREAD
    for well, known in enumerate(tests):
        precision, same = float(open_before[well]) ** -2, False
        total = precision * float(before[well])
        leaks = group is not None and group[well] == 1
        for test in known:
            rate: float = getattr(test, of)
            if test.run != run[well] or rate != rate or test.void_day <= day:
                continue
            alike = group is None or test.group == group[well]
            if leaks and not alike:
                continue
            drift = LEAK_DRIFT_PER_DAY * (day - test.day) if leaks else 0.0
            weight = np.exp((test.day - day) / BIAS_MEMORY_DAYS) / (
                TEST_SPREAD**2 + noise**2 + drift**2 + test.doubt**2
            )
            weight *= 1.0 if alike else OTHER_CLASS_WEIGHT
            total += weight * (test.rate - rate)
            precision += weight
            same = True
        if same:
            shift[well], spread[well], told[well] = total / precision, precision**-0.5, True
    return shift, spread, told


def _newest_test(
    tests: list[list[_Test]],
    day: int,
    group: NDArray[np.int64],
    run: NDArray[np.int64],
) -> tuple[Grid, Grid, NDArray[np.bool_], Grid]:
    """Newest test of each well's present run: rate, age in days, whether the class has changed since, what doubt adds to its spread."""
    wells = len(tests)
    rate, age, doubt = np.full(wells, np.nan), np.full(wells, np.nan), np.zeros(wells)
    changed = np.zeros(wells, dtype=bool)
    for well, known in enumerate(tests):
        for test in reversed(known):
            if test.run != run[well]:
                break
            if test.void_day > day:
                rate[well], age[well], doubt[well] = np.exp(test.rate), day - test.day, test.doubt
                changed[well] = test.group != group[well]
                break
    return rate, age, changed, doubt


def disagreement_codes(flags: int) -> list[str]:
    """Spell out flags of `Disagreement` as codes."""
    return [code for flag, code in CODES.items() if flags & flag]
