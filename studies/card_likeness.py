"""Compare measures of likeness between whole cards, in the kernel of the default model, on a drop folder with labels.

    python -m studies.card_likeness --drop FOLDER [--groups FILE] [--repeats 4] [--seed 0]

Every measure sees the curves that the features hold; only what is made of them differs. Folds, calibration and abstention are those of
``compare_classifiers``, and so are the figures. Curves are scaled by their spread over all cards, which no label enters.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare_classifiers import read_drop
from oasis_pipeline.compiled import compiled
from oasis_pipeline.learning.evaluation import Candidate, compare
from oasis_pipeline.learning.features import curve_columns, curve_groups
from oasis_pipeline.learning.kernel import RIDGE, SHARPNESS
from oasis_pipeline.learning.splits import Scorer, Train

Distances = NDArray[np.float64]
TIME_LOADS, TIME_POSITIONS, SHAPE_LOADS, ORDERED_LOADS, SIZES = range(5)
SHIFTS = (-2, -1, 0, 1, 2)  # fiftieths of a stroke


def parts_of(features: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return the curves of the surface cards, each over its spread: load and position in time, load by position, ordered loads, sizes."""
    curves = features[:, curve_columns("surface")].astype(np.float64)
    groups = curve_groups()
    parts = [curves[:, groups == group] for group in range(SIZES)]
    sizes = curves[:, groups >= SIZES]
    return [*(part / part.std() for part in parts), (sizes - sizes.mean(axis=0)) / sizes.std(axis=0)]


def apart(one: NDArray[np.float64], other: NDArray[np.float64] | None = None) -> Distances:
    """Return the mean absolute difference of all pairs of rows, shape (n, n)."""
    other = one if other is None else other
    return np.stack([np.abs(row - other).mean(axis=1) for row in one])


def measures(parts: list[NDArray[np.float64]]) -> Iterator[tuple[str, Distances]]:
    """Name each measure, and give the distances of all pairs of cards by it."""
    load, position, shape, ordered, sizes = parts
    in_time, by_position = apart(load) + 0.5 * apart(position), apart(shape)
    base = in_time + apart(sizes)
    yield "load by position counts in full", base + by_position
    yield "and loads in ascending order", base + by_position + apart(ordered)
    yield (
        "load by position counts half, loads in ascending order (default)",
        base + 0.5 * by_position + apart(ordered),
    )
    yield "the same to the power 0.8", (base + 0.5 * by_position + apart(ordered)) ** 0.8
    yield "the same without load by position", base + apart(ordered)
    shifted = np.min(
        [
            apart(load, np.roll(load, step, axis=1)) + 0.5 * apart(position, _late(position, step))
            for step in SHIFTS
        ],
        axis=0,
    )
    yield "nearest of five shifts in time", (shifted + shifted.T) / 2 + by_position + apart(sizes)
    both = np.stack([load, 0.5 * np.repeat(position, 2, axis=1)], axis=2)
    for width in (1, 3):
        warped = time_warping(both, width, 0.3)
        yield f"dynamic time warping, width {width}", warped + by_position + apart(sizes)
    for cost in (0.1, 0.5):
        moved = move_split_merge(load, cost, 4)
        yield (
            f"move-split-merge, cost {cost}",
            moved + 0.5 * apart(position) + by_position + apart(sizes),
        )
    outline = outlines(np.stack([load, np.repeat(position, 2, axis=1)], axis=2))
    yield "outlines beside the curves", outline + base + by_position
    yield "outlines instead of the curves", 3.0 * outline + apart(sizes)
    joined = outline + moved + 0.5 * (shifted + shifted.T) / 2 + by_position + apart(sizes)
    yield "outlines, move-split-merge and shifts, to the power 0.8", joined**0.8


def _late(position: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Shift positions, of which there are half as many as loads, by steps of the loads."""
    fine = np.stack([position, (position + np.roll(position, -1, axis=1)) / 2], axis=2).reshape(
        len(position), -1
    )
    return np.roll(fine, step, axis=1)[:, ::2]


@compiled
def time_warping(curves: Distances, width: int, penalty: float) -> Distances:
    """Return the least mean difference when steps of time may pair with others up to a width away, each such step with a penalty."""
    cards, points, channels = curves.shape
    result = np.zeros((cards, cards))
    for a in range(cards):
        for b in range(a):
            before = np.full(points + 1, np.inf)
            before[0] = 0.0
            for i in range(1, points + 1):
                here = np.full(points + 1, np.inf)
                for j in range(max(1, i - width), min(points, i + width) + 1):
                    step = 0.0
                    for k in range(channels):
                        step += abs(curves[a, i - 1, k] - curves[b, j - 1, k])
                    here[j] = step + min(before[j - 1], min(before[j], here[j - 1]) + penalty)
                before = here
            result[a, b] = result[b, a] = before[points] / points
    return result


@compiled
def move_split_merge(curves: Distances, cost: float, width: int) -> Distances:
    """Return what moves of values and splits and merges of steps cost at least (Stefan et al. 2013), over the number of steps."""
    cards, points = curves.shape
    result = np.zeros((cards, cards))
    for a in range(cards):
        for b in range(a):
            x, y = curves[a], curves[b]
            table = np.full((points, points), np.inf)
            table[0, 0] = abs(x[0] - y[0])
            for i in range(points):
                for j in range(max(0, i - width), min(points, i + width + 1)):
                    if i > 0 and j > 0:
                        table[i, j] = table[i - 1, j - 1] + abs(x[i] - y[j])
                    if i > 0:
                        step = table[i - 1, j] + _split(x[i], x[i - 1], y[j], cost)
                        table[i, j] = min(table[i, j], step)
                    if j > 0:
                        step = table[i, j - 1] + _split(y[j], y[j - 1], x[i], cost)
                        table[i, j] = min(table[i, j], step)
            result[a, b] = result[b, a] = table[points - 1, points - 1] / points
    return result


@compiled
def _split(new: float, last: float, other: float, cost: float) -> float:
    if last <= new <= other or last >= new >= other:
        return cost
    return cost + min(abs(new - last), abs(new - other))


@compiled
def outlines(curves: Distances) -> Distances:
    """Return the mean distance from the points of one card to the nearest of the other's, averaged over both directions."""
    cards, points, channels = curves.shape
    result = np.zeros((cards, cards))
    for a in range(cards):
        for b in range(cards):
            total = 0.0
            for i in range(points):
                nearest = np.inf
                for j in range(points):
                    step = 0.0
                    for k in range(channels):
                        step += abs(curves[a, i, k] - curves[b, j, k])
                    nearest = min(nearest, step)
                total += nearest
            result[a, b] = total / points
    return (result + result.T) / 2


def ridge(distances: Distances) -> Train:
    """Train kernel ridge regression on known distances; the "features" of a card are its row."""
    likeness = np.exp(-distances)

    def train(rows: NDArray[np.float32], multi_hot: NDArray[np.bool_], seed: int) -> Scorer:
        taught = rows[:, 0].astype(np.intp)
        sets, of_card = np.unique(multi_hot, axis=0, return_inverse=True)
        target = np.eye(len(sets))[of_card.reshape(-1)]
        among = likeness[np.ix_(taught, taught)] + RIDGE * np.eye(len(taught))
        weights = np.linalg.solve(among, target - target.mean(axis=0))

        def score(asked: NDArray[np.float32]) -> NDArray[np.float64]:
            known = likeness[np.ix_(asked[:, 0].astype(np.intp), taught)]
            votes = SHARPNESS * (known @ weights + target.mean(axis=0))
            share = np.exp(votes - votes.max(axis=1, keepdims=True))
            return np.asarray((share / share.sum(axis=1, keepdims=True)) @ sets.astype(float))

        return score

    return train


def main() -> None:
    """Print one row a measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drop", type=Path, required=True, help="folder with CardData and Labels files")
    parser.add_argument("--groups", type=Path, help="csv with NodeID and Group")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    learned = read_drop(asked.drop, asked.groups)
    rows = np.arange(len(learned.labels), dtype=np.float32)[:, None]
    result = compare(
        [Candidate(name, rows, ridge(distances)) for name, distances in measures(parts_of(learned.features))],
        learned.labels,
        learned.wells,
        signatures=learned.signatures,
        seed=asked.seed,
        count=asked.folds,
        repeats=asked.repeats,
    )
    print(
        f"{result.cards} cards, {result.wells} wells, {result.folds} folds x {result.repeats}: {result.scheme}\n"
    )
    print(result.to_markdown())


if __name__ == "__main__":
    main()
