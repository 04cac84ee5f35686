"""Speed of the card codec, the canonical forms and the descriptors, on one core, beside the plain form of the same.

The plain form handles one card at a time with NumPy, as such code is usually written; it is checked against the
batched form before anything is timed, so the two figures of a line are for the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import shape_form_column, time_form_column
from oasis_pipeline.cards.codec import (
    CardColumn,
    decode_blobs,
    decode_hex,
    encode_blobs,
    encode_hex,
    pack_bytes,
)
from oasis_pipeline.cards.descriptors import elliptic_fourier

Array = NDArray[Any]

N_CARDS = 20_000
N_PLAIN = 2_000
POINTS = 200
ORDER = 5
REPEATS = 5


def surface_cards(n_cards: int = N_CARDS, seed: int = 0) -> CardColumn:
    """Make surface cards as a field sends them.

    200 points, position to 0.01 in and load to 1 lbf, any first point; one card in ten runs backwards, one in five is
    closed, one in fifty has lost points at (0, 0), one in a hundred some NaN, one in ten rests at the bottom.
    """
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.arange(POINTS) / POINTS
    stroke, lift, fill = (
        rng.uniform(low, high, (n_cards, 1)) for low, high in ((64, 168), (2e3, 8e3), (0.3, 1))
    )
    position = stroke * (0.5 - 0.5 * np.cos(phase + 0.1 * np.sin(phase)))
    pounding = (phase < np.pi * (2 - fill)) & (phase > np.pi)
    load = 1.2 * lift + np.where(pounding, 0.8 * lift, lift * np.tanh(5 * np.sin(phase)))
    load += 0.15 * lift * np.sin(7 * phase + rng.uniform(0, 6, (n_cards, 1))) + rng.normal(0, 20, load.shape)
    resting = rng.random(n_cards) < 0.1
    position[resting] = np.maximum(position[resting], 0.01 * stroke[resting])
    position, load = np.round(position + 0.3, 2), np.round(load)
    rows = np.arange(n_cards)[:, None]
    turn = (rng.integers(0, POINTS, (n_cards, 1)) + np.arange(POINTS)) % POINTS
    turn = np.where(rng.random((n_cards, 1)) < 0.1, turn[:, ::-1], turn)
    position, load = position[rows, turn], load[rows, turn]
    closed = rng.random(n_cards) < 0.2
    for values in (position, load):
        values[closed, -1] = values[closed, 0]
        values[rng.random(n_cards) < 0.01, 50:53] = np.nan
    lost = rng.random(n_cards) < 0.02
    position[lost, 80] = load[lost, 80] = 0
    return CardColumn.from_dense(position.astype(np.float32), load.astype(np.float32))


def plain_decode(blob: bytes) -> tuple[Array, Array]:
    """Return (position, load) of one blob."""
    words = np.frombuffer(blob, "<f4")
    return words[words.size // 2 :], words[: words.size // 2]


def plain_time_form(position: Array, load: Array) -> tuple[Array, Array]:
    """Return one card in time form."""
    if position[0] == position[-1] and load[0] == load[-1]:
        position, load = position[:-1], load[:-1]
    n = position.size
    suspect = np.isnan(position) | np.isnan(load) | ((position == 0) & (load == 0))
    if suspect.any():
        good = np.flatnonzero(~suspect)
        filled = [np.interp(np.arange(n), good, values[good], period=n) for values in (position, load)]
        for at in np.flatnonzero((position == 0) & (load == 0)):
            left, right = good[good < at], good[good > at]
            ends = [left[-1] if left.size else good[-1], right[0] if right.size else good[0]]
            suspect[at] = any(
                abs(fill[at]) > max(0.1 * np.ptp(values[good]), abs(values[ends[1]] - values[ends[0]]))
                for fill, values in zip(filled, (position, load), strict=True)
            )
        position, load = (
            np.where(suspect, fill, values).astype(values.dtype)
            for fill, values in zip(filled, (position, load), strict=True)
        )
    work = np.sum(0.5 * (load + np.roll(load, -1)).astype(float) * (np.roll(position, -1) - position))
    if work < -1e-3 * np.ptp(position) * np.ptp(load):
        position, load = position[::-1], load[::-1]
    leaving = np.flatnonzero((position == position.min()) & (np.roll(position, -1) > position.min()))
    start = min(leaving, key=lambda at: load[at])
    return np.roll(position, -start), np.roll(load, -start)


def plain_shape_form(position: Array, load: Array, points: int = 100) -> tuple[Array, Array]:
    """Return the shape form of one card in time form."""
    half = points // 2
    grid = np.linspace(position.min(), position.max(), half)
    loads = []
    for x, y in ((position, load), (position[::-1], load[::-1])):
        if x is position:
            x, y = np.append(x, x[0]), np.append(y, y[0])
        else:
            x, y = np.append(x[-1], x), np.append(y[-1], y)
        reached = np.maximum.accumulate(x.astype(float))
        left = np.minimum(np.searchsorted(reached, grid, side="right"), np.argmax(reached)) - 1
        left[-1] = np.argmax(reached) - 1
        weight = (grid - reached[left]) / (reached[left + 1] - reached[left])
        loads.append(y[left] * (1 - weight) + y[left + 1] * weight)
    return np.concatenate([grid, grid[::-1]]), np.concatenate([loads[0], loads[1][::-1]])


def plain_elliptic_fourier(position: Array, load: Array, order: int = ORDER) -> Array:
    """Return the coefficients of one contour by the published sum."""
    dx, dy = np.diff(position, append=position[0]), np.diff(load, append=load[0])
    dt = np.hypot(dx, dy)
    moving = dt > 0
    dx, dy, dt = dx[moving], dy[moving], dt[moving]
    t = np.concatenate([[0.0], np.cumsum(dt)])
    result = np.empty((order, 4))
    for n in range(1, order + 1):
        phase = 2 * np.pi * n * t / t[-1]
        factor = t[-1] / (2 * n**2 * np.pi**2)
        waves = np.diff(np.cos(phase)), np.diff(np.sin(phase))
        result[n - 1] = [factor * np.sum(d / dt * wave) for d in (dx, dy) for wave in waves]
    return result


def rows() -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    column = surface_cards()
    data, offsets = encode_blobs(column)
    texts = encode_hex(column)
    text, text_offsets = pack_bytes(texts)
    form = time_form_column(column)
    shapes = shape_form_column(form)
    scaled = [(v - v.mean(axis=1, keepdims=True)) / np.ptp(v, axis=1, keepdims=True) for v in shapes]

    few = range(N_PLAIN)
    blobs = [data[offsets[i] : offsets[i + 1]].tobytes() for i in few]
    raw = [column.row(i) for i in few]
    timed = [form.column.row(i) for i in few]
    pairs = [(scaled[0][i].astype(float), scaled[1][i].astype(float)) for i in few]
    for i in few:
        np.testing.assert_array_equal(plain_time_form(*plain_decode(blobs[i])), timed[i])
        near = np.isclose(plain_shape_form(*timed[i])[1], shapes[1][i], rtol=1e-3)
        if near.mean() < 0.95:  # a grid position may fall on a vertical edge, where rounding chooses the side
            raise AssertionError(f"shape form of card {i} differs from the plain form")
        np.testing.assert_allclose(plain_elliptic_fourier(*pairs[i]), elliptic_fourier(*pairs[i]), atol=1e-9)

    blob_note = f"{POINTS}-point surface cards, {int(offsets[-1]) / N_CARDS:.0f} bytes each"
    cases: list[tuple[str, str, Callable[[], object], Callable[[], object]]] = [
        (
            "blobs to time form",
            blob_note,
            lambda: time_form_column(decode_blobs(data, offsets)[0]),
            lambda: [plain_time_form(*plain_decode(blob)) for blob in blobs],
        ),
        (
            "hex to time form",
            blob_note,
            lambda: time_form_column(decode_hex(text, text_offsets)[0]),
            lambda: [plain_time_form(*plain_decode(bytes.fromhex(texts[i]))) for i in few],
        ),
        (
            "decode blobs",
            blob_note,
            lambda: decode_blobs(data, offsets),
            lambda: [plain_decode(blob) for blob in blobs],
        ),
        (
            "decode hex",
            blob_note,
            lambda: decode_hex(text, text_offsets),
            lambda: [plain_decode(bytes.fromhex(texts[i])) for i in few],
        ),
        (
            "encode blobs",
            blob_note,
            lambda: encode_blobs(column),
            lambda: [np.concatenate([y, x]).astype("<f4").tobytes() for x, y in raw],
        ),
        (
            "encode hex",
            blob_note,
            lambda: encode_hex(column),
            lambda: [np.concatenate([y, x]).astype("<f4").tobytes().hex() for x, y in raw],
        ),
        (
            "time form to shape form",
            "100 points by position",
            lambda: shape_form_column(form),
            lambda: [plain_shape_form(*card) for card in timed],
        ),
        (
            f"descriptors, order {ORDER}",
            "elliptic Fourier, of the 100-point shape form, float64",
            lambda: elliptic_fourier(scaled[0], scaled[1], ORDER),
            lambda: [plain_elliptic_fourier(*pair) for pair in pairs],
        ),
    ]
    result: list[dict[str, Any]] = []
    for name, note, batched, plain in cases:
        figure = N_CARDS / best_time(batched)
        plain_figure = N_PLAIN / best_time(plain)
        result.append({"name": name, "figure": round(figure), "unit": "cards/s", "note": note})
        ratio = figure / plain_figure
        plain_note = f"the same, plain; the batch is {ratio:.1f} times as fast"
        result.append(
            {
                "name": f"{name}, one at a time",
                "figure": round(plain_figure),
                "unit": "cards/s",
                "note": plain_note,
            }
        )
    return result


def best_time(work: Callable[[], object]) -> float:
    """Return the shortest of some runs, s: the others measure the neighbours on the machine."""
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def main() -> None:
    """Print the table."""
    for row in rows():
        print(f"{row['name']:<40} {row['figure']:>12,} {row['unit']}  {row['note']}")


if __name__ == "__main__":
    main()
