"""Learning the mixture walk-forward: the model of a cut-off knows nothing from that moment on.

Belongs here: pairs of a card and the one a horizon later, sums over pairs, weights and bands solved from them, and how well
that did on days that were still to come. Does not belong here: what a model is (``model``).

Cut-offs are Mondays. A forecast issued on a day comes from the model of the Monday on or before that day, learned on pairs whose
later card came before it. Simulated fields count as a fixed number of further pairs, so the first weeks of a field lean on
them and later ones hardly. Band widths come from forecasts of the last weeks that were made with the weights known then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.card_forecast.anomaly import DEPARTURE_PROBABILITIES, departure
from oasis_pipeline.learning.card_forecast.candidates import (
    CANDIDATES,
    MEDIAN,
    Candidates,
    candidates_of,
    rms,
)
from oasis_pipeline.learning.card_forecast.history import LOADS, POINTS, STATE_SIZE, CardDays, Float32
from oasis_pipeline.learning.card_forecast.model import (
    DRIFT_EDGES,
    HORIZONS_HOURS,
    LAST_ORDINARY,
    LEVELS,
    NOMINAL_PCT,
    SITUATIONS,
    STATE_VERSION,
    ForecastModel,
    at_horizon,
    band_lbf,
    band_scale,
    forecast_states,
    levels,
    situations,
)

Float64 = NDArray[np.float64]

TRAINING_DAYS = 182
"""What is older is forgotten: pumps, people and controllers change."""

REFIT_DAYS = 7
CALIBRATION_WEEKS = 8
TOLERANCE_HOURS = 12.0
"""The card of a horizon is the nearest one, at most this far off."""

ENOUGH_PAIRS = 200
"""Pairs a day apart that a field must have given before a model is called its own."""

TRAINING_WELLS = 100
"""Wells that a model is learned from where there are more: a hundred weights do not need thousands."""

BASE_PAIRS = 1000.0
_CHUNK_PAIRS = 4096
_BASE_BAND_PAIRS = 100.0
_POOL_PAIRS = 100.0
_POOL_PAIRS_ODD = 3.0
_RIDGE = 1e-3
_MONDAY = 4
"""Day number of the first Monday after 1970-01-01, a Thursday."""

BASE_VERSION = f"base-{STATE_VERSION}"


def cutoff_of(day: int) -> int:
    """Day number of the Monday on or before a day."""
    return day - (day - _MONDAY) % REFIT_DAYS


def cutoff_date(day: date) -> date:
    """Return the Monday on or before a day: the cut-off of the model that forecasts from it."""
    return day - timedelta(days=day.weekday())


def version_of(cutoff: int) -> str:
    """ModelVersion of the model with this cut-off."""
    return f"{STATE_VERSION}-{date(1970, 1, 1) + timedelta(days=cutoff)}"


@dataclass(frozen=True)
class Pairs:
    """Days with a card a horizon later.

    Attributes
    ----------
    row : ndarray of int, shape (n,)
        Row of the `CardDays` and `Candidates`.
    target_time : ndarray, shape (n,)
        Time of the later card, days since 1970.
    change : ndarray of float32, shape (n, STATE_SIZE)
        State of the later card less the newest state of the row.
    """

    row: NDArray[np.int64]
    target_time: Float64
    change: Float32


def pair_days(days: CardDays, hours: int) -> Pairs:
    """Pair each day with the newest card of the day that lies nearest to a horizon later.

    Parameters
    ----------
    days : CardDays
        Ordered by well, then day.
    hours : int
        Horizon.

    Returns
    -------
    Pairs
        A day without a card of the same kind within `TOLERANCE_HOURS` of the horizon is left out.
    """
    if not len(days):
        return Pairs(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, STATE_SIZE), np.float32))
    span = float(days.time.max() - days.time.min()) + 1000.0
    _, place = np.unique(days.well, return_inverse=True)
    line = place * span + (days.time - days.time.min())
    wanted = line + hours / 24.0
    right = (
        np.clip(np.searchsorted(line, wanted), 1, len(line) - 1) if len(line) > 1 else np.zeros(1, np.int64)
    )
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(line[left] - wanted) < np.abs(line[right] - wanted), left, right)
    good = np.abs(line[nearest] - wanted) <= TOLERANCE_HOURS / 24.0
    good &= (days.kind[nearest] == days.kind) & (nearest != np.arange(len(days)))
    row, later = np.flatnonzero(good), nearest[good]
    return Pairs(row, days.time[later], days.newest[later] - days.newest[row])


@dataclass(frozen=True)
class Evidence:
    """Products of each pair at one horizon, from which the weights of any cut-off are summed up.

    Attributes
    ----------
    pairs : Pairs
    issued : ndarray of int, shape (n,)
        Day of issue.
    known : Candidates
        Of all rows; `pairs.row` points into it.
    hours : int
        Horizon.
    gram, moment : ndarray, shapes (n, K, K) and (n, K)
    situation : ndarray of int, shape (n,)
    """

    pairs: Pairs
    issued: NDArray[np.int64]
    known: Candidates
    hours: int
    gram: Float64
    moment: Float64
    situation: NDArray[np.int64]


def evidence_of(days: CardDays, known: Candidates, hours: int) -> Evidence:
    """Compute the products of all pairs at a horizon.

    Parameters
    ----------
    days : CardDays
    known : Candidates
        Of all rows of `days`.
    hours : int
        Horizon.

    Returns
    -------
    Evidence

    Notes
    -----
    A pair counts in units of its well's noise, so that deep wells don't drown the others. Where the newest card is no odd one,
    a pair with a very large change (the rods part tomorrow) counts less: nothing known today tells of it, and a handful
    of them would decide the weights of all.
    """
    pairs = pair_days(days, hours)
    row = pairs.row
    situation = situations(known)[row]
    odd = situation // (len(DRIFT_EDGES) + 1) > LAST_ORDINARY
    kinds = len(CANDIDATES)
    gram, moment = np.empty((len(row), kinds, kinds)), np.empty((len(row), kinds))
    for first in range(0, len(row), _CHUNK_PAIRS):
        part = slice(first, first + _CHUNK_PAIRS)
        departures = _load_departures(known, row[part], hours)
        change = pairs.change[part, LOADS]
        tempered = np.where(odd[part], 0.0, np.square(rms(change) / 3.0))
        weight = 1.0 / (np.square(known.noise_lbf[row[part]]) + tempered) / POINTS
        gram[part] = (departures @ departures.transpose(0, 2, 1)) * weight[:, None, None]
        moment[part] = (departures @ change[..., None])[..., 0] * weight[:, None]
    return Evidence(pairs, days.day[row], known, hours, gram, moment, situation)


def _load_departures(known: Candidates, rows: NDArray[np.int64], hours: int) -> Float32:
    return np.ascontiguousarray(at_horizon(known.take(rows), hours)[..., LOADS])


def _sums(evidence: Evidence, chosen: NDArray[np.bool_]) -> tuple[Float64, Float64, Float64]:
    kinds = len(CANDIDATES)
    gram = np.zeros((SITUATIONS, kinds, kinds))
    moment = np.zeros((SITUATIONS, kinds))
    situation = evidence.situation[chosen]
    np.add.at(gram, situation, evidence.gram[chosen])
    np.add.at(moment, situation, evidence.moment[chosen])
    return gram, moment, np.bincount(situation, minlength=SITUATIONS).astype(np.float64)


def solve_weights(gram: Float64, moment: Float64, pairs: Float64) -> Float64:
    """Solve the weights of every situation, each drawn to those of its family (ordinary or odd) where pairs are few.

    Parameters
    ----------
    gram, moment, pairs : ndarray, shapes (S, K, K), (S, K), (S,)
        Sums over pairs.

    Returns
    -------
    ndarray, shape (S, K)
        Zeros (the newest card stays) for a family without a pair.
    """
    weights = np.zeros_like(moment)
    first_odd = (LAST_ORDINARY + 1) * (len(DRIFT_EDGES) + 1)
    for family, strength in (
        (slice(0, first_odd), _POOL_PAIRS),
        (slice(first_odd, SITUATIONS), _POOL_PAIRS_ODD),
    ):
        pooled = gram[family].sum(axis=0)
        if pairs[family].sum() == 0 or not pooled.any():
            continue
        least = 1e-9 * np.trace(pooled) * np.eye(len(pooled))
        common = np.linalg.solve(
            pooled + _RIDGE * np.diag(np.diag(pooled)) + least, moment[family].sum(axis=0)
        )
        weights[family] = common
        for at in range(*family.indices(SITUATIONS)):
            if pairs[at] > 0:
                mean = gram[at] / pairs[at]
                drawn = strength * 0.5 * (mean + np.diag(np.diag(mean)))
                weights[at] = np.linalg.solve(gram[at] + drawn + least, moment[at] + drawn @ common)
    return weights


@dataclass(frozen=True)
class Trial:
    """Forecasts of one horizon that were made with the weights known at the time, beside what came.

    Attributes
    ----------
    hours : int
    well : ndarray of int, shape (n,)
    error, persistence, median : ndarray, shape (n,)
        Mean square error (lbf squared) of the forecast, of the newest card, of the week's median.
    """

    hours: int
    well: NDArray[np.int64]
    error: Float64
    persistence: Float64
    median: Float64


def skill_of(trial: Trial, resamples: int = 500) -> dict[str, float]:
    """Skill over persistence with its 95 % interval over wells, that of the week's median, and what they rest on.

    Parameters
    ----------
    trial : Trial
    resamples : int
        Bootstrap samples of wells.

    Returns
    -------
    dict of str to float
        ``skill``, ``lower``, ``upper``, ``median_skill``, ``pairs``, ``wells``, ``persistence_rmse_lbf``; empty without
        a pair.
    """
    if not len(trial.well) or not trial.persistence.any():
        return {}
    wells, place = np.unique(trial.well, return_inverse=True)
    ours, persistence, median = (
        np.bincount(place, values) for values in (trial.error, trial.persistence, trial.median)
    )
    drawn = np.random.default_rng(0).integers(0, len(wells), (resamples, len(wells)))
    spread = 1.0 - np.sqrt(ours[drawn].sum(axis=1) / np.maximum(persistence[drawn].sum(axis=1), 1e-12))
    lower, upper = np.quantile(spread, [0.025, 0.975])
    return {
        "skill": round(float(1.0 - np.sqrt(ours.sum() / persistence.sum())), 4),
        "lower": round(float(lower), 4),
        "upper": round(float(upper), 4),
        "median_skill": round(float(1.0 - np.sqrt(median.sum() / persistence.sum())), 4),
        "pairs": len(trial.well),
        "wells": len(wells),
        "persistence_rmse_lbf": round(float(np.sqrt(persistence.sum() / len(trial.well))), 1),
    }


def learn(
    evidence: Sequence[Evidence],
    days: CardDays,
    cutoff: int,
    base: ForecastModel | None,
    wells: NDArray[np.int64] | None = None,
) -> tuple[ForecastModel, list[Trial]]:
    """Learn the model of a cut-off.

    Parameters
    ----------
    evidence : sequence of Evidence
        One a horizon, in the order of `HORIZONS_HOURS`; what lies at or after the cut-off is not looked at.
    days : CardDays
        What the evidence was computed from.
    cutoff : int
        Day number.
    base : ForecastModel or None
        Further evidence; None when the base model itself is learned.
    wells : ndarray of int, optional
        Wells to learn from; all by default.

    Returns
    -------
    model : ForecastModel
        The base model itself where the field has not given enough pairs by then.
    trials : list of Trial
        The last weeks before the cut-off, one entry a horizon.
    """
    known_by = [
        (e.pairs.target_time < cutoff) & (e.issued >= cutoff - TRAINING_DAYS) & (e.issued < cutoff)
        for e in evidence
    ]
    if wells is not None:
        known_by = [
            known & np.isin(days.well[e.pairs.row], wells)
            for e, known in zip(evidence, known_by, strict=True)
        ]
    if base is not None and known_by[0].sum() < ENOUGH_PAIRS:
        return base, []
    parts: dict[str, list[Any]] = {
        name: [] for name in ForecastModel.__dataclass_fields__ if name != "version"
    }
    trials = []
    for at, (e, known) in enumerate(zip(evidence, known_by, strict=True)):
        prior = _base_sums(base, at)
        sums = _sums(e, known)
        total = tuple(a + b for a, b in zip(prior, sums, strict=True))
        predicted = np.zeros((len(e.issued), POINTS), np.float32)
        tried = np.zeros(len(e.issued), np.bool_)
        for week in range(1, CALIBRATION_WEEKS + 1):
            begin = cutoff - REFIT_DAYS * week
            here = known & (e.issued >= begin) & (e.issued < begin + REFIT_DAYS)
            if not here.any():
                continue
            then = _sums(e, known & (e.pairs.target_time < begin))
            weights = solve_weights(*(a + b for a, b in zip(prior, then, strict=True)))
            picked = weights[e.situation[here]].astype(np.float32)
            predicted[here] = (picked[:, None] @ _load_departures(e.known, e.pairs.row[here], e.hours))[:, 0]
            tried |= here
        mine = e.known.take(e.pairs.row[tried])
        change = e.pairs.change[tried][:, LOADS]
        error = (change - predicted[tried]).astype(np.float64)
        profile, widths, counted = _band(error, mine, base, at)
        half = widths[levels(mine)][:, None] * band_scale(profile, mine)
        far = departure(error, half)
        ordinary = levels(mine) <= LAST_ORDINARY
        quantiles = (
            np.quantile(far[ordinary], DEPARTURE_PROBABILITIES)
            if ordinary.sum() >= ENOUGH_PAIRS or base is None
            else base.departures[at]
        )
        for name, value in (
            ("weights", solve_weights(*total)),
            ("gram", total[0]),
            ("moment", total[1]),
            ("pairs", total[2]),
            ("profile", profile),
            ("widths", widths),
            ("band_pairs", counted),
            ("departures", quantiles),
        ):
            parts[name].append(value)
        trials.append(
            Trial(
                HORIZONS_HOURS[at],
                days.well[e.pairs.row[tried]],
                np.square(error).mean(axis=1),
                np.square(rms(change)),
                np.square(rms(change - mine.departures[:, MEDIAN, LOADS])),
            )
        )
    version = BASE_VERSION if base is None else version_of(cutoff)
    return ForecastModel(version, **{name: np.array(values) for name, values in parts.items()}), trials


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one horizon for every row of some days.

    Attributes
    ----------
    state : ndarray of float32, shape (n, STATE_SIZE)
    half_width_lbf : ndarray of float32, shape (n, POINTS)
    departures : ndarray of float32, shape (n, Q)
        Quantiles of the departures of ordinary cards, by the model of each row.
    """

    state: Float32
    half_width_lbf: Float32
    departures: Float32


def walk_forward(
    days: CardDays, begin: NDArray[np.int64] | None, base: ForecastModel
) -> tuple[list[Forecasts], list[str]]:
    """Forecast from every day of a history, each with the model of its own cut-off.

    Parameters
    ----------
    days : CardDays
        Ordered by well, then day.
    begin : ndarray of int, shape (n,), optional
        First day whose cards may count for each row.
    base : ForecastModel
        For the days before the field has given enough.

    Returns
    -------
    forecasts : list of Forecasts
        One a horizon, in the order of `HORIZONS_HOURS`.
    versions : list of str
        ModelVersion of each row.
    """
    known = candidates_of(days, None, begin)
    evidence = [evidence_of(days, known, hours) for hours in HORIZONS_HOURS]
    count = len(days)
    found = [
        Forecasts(
            np.zeros((count, STATE_SIZE), np.float32),
            np.zeros((count, POINTS), np.float32),
            np.zeros((count, len(DEPARTURE_PROBABILITIES)), np.float32),
        )
        for _ in HORIZONS_HOURS
    ]
    versions = np.full(count, "", dtype=object)
    cutoffs = days.day - (days.day - _MONDAY) % REFIT_DAYS
    for cutoff in np.unique(cutoffs).tolist():
        rows = cutoffs == cutoff
        model = learn(evidence, days, cutoff, base)[0]
        mine = known.take(rows)
        for hours, forecasts in zip(HORIZONS_HOURS, found, strict=True):
            forecasts.state[rows] = forecast_states(model, mine, hours)
            forecasts.half_width_lbf[rows] = band_lbf(model, mine, hours)
            forecasts.departures[rows] = model.departures[HORIZONS_HOURS.index(hours)]
        versions[rows] = model.version
    return found, versions.tolist()


def _base_sums(base: ForecastModel | None, at: int) -> tuple[Float64, Float64, Float64]:
    """Evidence of the base model, as if it were `BASE_PAIRS` pairs."""
    kinds = len(CANDIDATES)
    if base is None:
        return np.zeros((SITUATIONS, kinds, kinds)), np.zeros((SITUATIONS, kinds)), np.zeros(SITUATIONS)
    share = BASE_PAIRS / max(float(base.pairs[at].sum()), 1.0)
    return base.gram[at] * share, base.moment[at] * share, base.pairs[at] * share


def _band(
    error: Float64, known: Candidates, base: ForecastModel | None, at: int
) -> tuple[Float64, Float64, Float64]:
    """Profile, half widths by level of oddness, and the pairs that they rest on."""
    ordinary = levels(known) <= LAST_ORDINARY
    # relative to the noise, and without the few cards that nobody could foresee
    relative = np.abs(error) / known.noise_lbf[:, None]
    if ordinary.sum() >= ENOUGH_PAIRS:
        profile = np.quantile(relative[ordinary], 0.68, axis=0)
    elif base is not None:
        profile = base.profile[at]
    else:
        profile = np.ones(POINTS)
    profile = np.maximum(profile, 0.05 * profile.mean() + 1e-6)
    score = np.abs(error) / band_scale(profile, known)
    level = levels(known)
    widths, counted = np.ones(LEVELS), np.zeros(LEVELS)
    for number in range(LEVELS):
        here = level == number
        counted[number] = here.sum()
        found = np.log(np.quantile(score[here], NOMINAL_PCT / 100.0)) if here.any() else 0.0
        if base is None:
            widths[number] = np.exp(found) if here.any() else np.nan
        else:
            before = np.log(base.widths[at][number])
            widths[number] = np.exp(
                (found * counted[number] + before * _BASE_BAND_PAIRS) / (counted[number] + _BASE_BAND_PAIRS)
            )
    if np.isnan(widths).any():
        widths = np.where(np.isnan(widths), np.nanmax(widths), widths)
    return profile, widths, counted
