"""Whether a day's cards still look like the field that a model has learned.

Belongs here: the reference sample of a model, and the distance of a day from it. Does not belong here: which days are looked at, and who is
warned.

A distance alone says little: a handful of cards, or cards of other wells, lie far from any sample by chance. So each well is compared with
itself (a well that the reference does not have, with all), each well weighs the same however many cards it has, and the same distance
is computed for days drawn from the reference itself, with the same wells and as many cards in a row of each. A day counts as
drifted only where it lies clearly beyond all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.compiled import compiled
from oasis_pipeline.learning.features import CARDS, curve_names
from oasis_pipeline.learning.splits import number_wells

BINS = 10
LEAST_WELLS = 5
"""A day, or a reference, with cards of fewer wells than this is not measured."""

CARDS_A_WELL = 5
"""More cards than this of one well say no more about the day."""

CHANGED = 0.3
"""Share of the wells that may have turned into what another well of the reference is: wells fall ill and are worked over."""

MODERATE = 0.1
"""Population stability index below which nobody need look, whatever the sample."""

_REFERENCE_CARDS = 40
_WELLS = 400
_DRAWS = 100
_MARGIN = 1.25
_FLOOR = 0.005


@dataclass(frozen=True)
class Reference:
    """Cards of the field that a model has learned, as bins.

    Attributes
    ----------
    names : tuple of str
        Features.
    edges : ndarray of float32, shape (features, BINS - 1)
        Quantiles of the reference, each well with the same weight; not falling.
    bins : ndarray of uint8, shape (m, features)
        Bin of each card of the reference; `BINS` where the feature is not known. Cards of a well follow each other in time.
    wells : ndarray of int64, shape (m,)
        Number of each card's well, not falling.
    well_names : tuple of str
        The wells by number.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float32]
    bins: NDArray[np.uint8]
    wells: NDArray[np.int64]
    well_names: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """How far a day lies from the reference.

    Attributes
    ----------
    cards, wells : int
        What the day had.
    index : dict of str to float
        Population stability index by group of features, mean over its features.
    limit : dict of str to float
        What days drawn from the reference itself reach at most, with a margin.
    feature : dict of str to str
        The feature of each group that moved most.
    """

    cards: int
    wells: int
    index: dict[str, float]
    limit: dict[str, float]
    feature: dict[str, str]

    @property
    def drifted(self) -> list[str]:
        """Groups beyond their limit, the farthest first."""
        beyond = [group for group, value in self.index.items() if value > self.limit[group]]
        return sorted(beyond, key=lambda group: -self.index[group] / self.limit[group])


def feature_group(name: str) -> str:
    """Say what a feature speaks of, told from its name: the groups that drift is reported in."""
    card = next((card for card in ("surface", "pump") if name.startswith(f"{card}_")), "")
    rest = name.removeprefix(f"{card}_")
    if not card:
        return "diagnosis" if name.startswith("physics_") else "well"
    if rest.endswith(("_lbf", "_in", "_lbf_in")):
        return f"{card} card, size"
    return f"{card} card, shape"


def measured_features(names: Sequence[str]) -> list[str]:
    """Return the features that drift is measured on.

    What leans on a well's past is not: changes since earlier days, and loads within bounds that are made of few cards in its first days. They
    say nothing of the day that the day's own do not say. Nor are the points of whole cards: the shape's descriptors move with them, and a hundred more columns would drown those.
    """
    points = {name for card in CARDS for name in curve_names(card)}
    past = ("history_", *(f"{card}_to_bounds_" for card in CARDS))
    return [name for name in names if not name.startswith(past) and name not in points]


def make_reference(features: NDArray[np.floating], names: ArrayLike, wells: ArrayLike) -> Reference:
    """Keep what a model's field looks like.

    Parameters
    ----------
    features : ndarray, shape (n, features)
        Cards of all wells of the field from the time that the model has learned; those of a well in order of time. NaN where
        something is not known.
    names : array_like of str, shape (features,)
    wells : array_like, shape (n,)

    Returns
    -------
    Reference
        Of at most 400 wells and 40 cards a well, chosen evenly.
    """
    features, own = np.asarray(features, np.float32), np.asarray(wells, object)
    number = number_wells(wells) if len(features) else np.zeros(0, np.int64)
    if number.size and number.max() >= _WELLS:
        kept = np.unique(np.linspace(0, number.max(), _WELLS).astype(np.int64))
        chosen = np.isin(number, kept)
        features, own, number = features[chosen], own[chosen], number_wells(number[chosen])
    rows = _evenly(number, _REFERENCE_CARDS)
    features, own, number = features[rows], own[rows], number[rows]
    weight = 1.0 / np.bincount(number)[number] if number.size else np.zeros(0)
    edges = np.stack(
        [_quantiles(column, weight) for column in features.T] if features.shape[1] else [np.zeros(BINS - 1)]
    ).astype(np.float32)
    last = np.flatnonzero(np.diff(number, append=-1))
    return Reference(
        tuple(str(name) for name in np.asarray(names, object)),
        edges,
        _binned(features, edges),
        number,
        tuple(str(name) for name in own[last]),
    )


def measure_drift(
    reference: Reference, features: NDArray[np.floating], wells: ArrayLike, seed: int = 0
) -> Drift | None:
    """Measure how far a day's cards lie from the reference.

    Parameters
    ----------
    reference : Reference
    features : ndarray, shape (n, features)
        The reference's features, in its order; cards of a well in order of time.
    wells : array_like, shape (n,)
    seed : int
        Of the days drawn from the reference.

    Returns
    -------
    Drift or None
        None where the day or the reference has cards of too few wells (`LEAST_WELLS`).

    Notes
    -----
    Population stability index: the sum over the bins of (day - reference) ln(day / reference), shares below 0.005 taken for
    0.005; bins are tenths of the reference, and one for what is not known. The limit of a group is the greatest of 100 drawn days,
    with a margin on top, and never below 0.1.
    """
    features = np.asarray(features, np.float32)
    number = number_wells(wells) if len(features) else np.zeros(0, np.int64)
    cards, n_wells = len(features), int(number.max(initial=-1)) + 1
    known_wells = int(reference.wells.max(initial=-1)) + 1
    if min(n_wells, known_wells) < LEAST_WELLS:
        return None
    rng = np.random.default_rng(seed)
    own = np.asarray(wells, object)
    if n_wells > _WELLS:
        chosen = np.isin(number, rng.choice(n_wells, _WELLS, replace=False))
        features, own, number = features[chosen], own[chosen], number_wells(number[chosen])
    rows = _evenly(number, CARDS_A_WELL)
    features, own, number = features[rows], own[rows], number[rows]
    sizes = np.bincount(number)
    first = np.searchsorted(reference.wells, np.arange(known_wells))
    length = np.bincount(reference.wells)
    place_of = {name: place for place, name in enumerate(reference.well_names)}
    # -1: a well that the reference does not have
    twin = np.array([place_of.get(str(name), -1) for name in own[np.cumsum(sizes) - 1]], np.int64)
    groups = np.array([feature_group(name) for name in reference.names])
    names = sorted(set(groups.tolist()))
    member = (groups[:, None] == np.array(names)).astype(np.float64)
    member /= member.sum(axis=0)
    expected = _expected(reference, twin, length)
    weight = 1.0 / sizes[number]
    index = _index(expected, _shares(_binned(features, reference.edges), np.arange(len(number)), weight))
    greatest = np.zeros(len(names))
    for _ in range(_DRAWS):
        other = (twin < 0) | (rng.random(len(sizes)) < CHANGED)
        drawn = np.where(other, rng.integers(known_wells, size=len(sizes)), twin)
        # cards in a row, as on a day: cards of a well that follow each other are much alike
        start = (rng.random(len(sizes)) * np.maximum(length[drawn] - sizes + 1, 1)).astype(np.int64)
        step = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        place = first[drawn][number] + np.minimum(start[number] + step, length[drawn][number] - 1)
        by_chance = _index(expected, _shares(reference.bins, place, weight))
        greatest = np.maximum(greatest, by_chance @ member)
    return Drift(
        cards,
        n_wells,
        dict(zip(names, (index @ member).tolist(), strict=True)),
        dict(zip(names, np.maximum(MODERATE, _MARGIN * greatest).tolist(), strict=True)),
        {
            group: reference.names[int(np.flatnonzero(groups == group)[index[groups == group].argmax()])]
            for group in names
        },
    )


def _expected(
    reference: Reference, twin: NDArray[np.int64], length: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shares that the reference's own cards of a day's wells have, shape (features, BINS + 1)."""
    weight = np.bincount(twin[twin >= 0], minlength=len(length)).astype(np.float64)
    weight += (twin < 0).sum() / len(length)
    return _shares(reference.bins, np.arange(len(reference.bins)), (weight / length)[reference.wells])


def _evenly(number: NDArray[np.int64], most: int) -> NDArray[np.intp]:
    """Rows sorted by well, at most so many of each, spread over its time."""
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number) if number.size else np.zeros(0, np.int64)
    place = np.arange(number.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = np.repeat(sizes, sizes)
    kept = (size <= most) | (place * most // np.maximum(size, 1) != (place + 1) * most // np.maximum(size, 1))
    return np.asarray(order[kept], np.intp)


def _quantiles(column: NDArray[np.float32], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(column)
    if not known.any():
        return np.zeros(BINS - 1)
    order = np.argsort(column[known], kind="stable")
    values, share = column[known][order], np.cumsum(weight[known][order])
    at = np.searchsorted(share, share[-1] * np.arange(1, BINS) / BINS)
    return np.asarray(values[np.minimum(at, len(values) - 1)], np.float64)


def _binned(features: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.uint8]:
    result = np.full(features.shape, BINS, np.uint8)
    for column, (values, limits) in enumerate(zip(features.T, edges, strict=True)):
        known = np.isfinite(values)
        # equal edges (a constant, or many equal values) leave bins empty in the day as in the reference
        result[known, column] = np.searchsorted(limits, values[known], side="left")
    return result


@compiled
def _shares(
    bins: NDArray[np.uint8], rows: NDArray[np.int64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of each bin among some rows, one more than once too, shape (features, BINS + 1)."""
    found = np.zeros((bins.shape[1], BINS + 1))
    for card in range(len(rows)):
        for feature in range(bins.shape[1]):
            found[feature, bins[rows[card], feature]] += weight[card]
    found /= weight.sum()
    return found


def _index(expected: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    e, f = np.maximum(expected, _FLOOR), np.maximum(found, _FLOOR)
    return np.asarray(((f - e) * np.log(f / e)).sum(axis=1))
