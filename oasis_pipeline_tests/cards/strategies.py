"""Cards for the property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oasis_pipeline.cards.codec import CardColumn

finite_float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


SIGNALLING_NAN, SMALL, HUGE = b"\x00\x00\x81\x7f", b"\x07\x01\x02\x03", b"\xff\xff\x7f\x7f\xff\xff\x7f\xff"
STRANGE = [
    SIGNALLING_NAN * 6,
    (SIGNALLING_NAN + SMALL * 19) * 2,
    (SMALL + SIGNALLING_NAN + SMALL * 18) * 2,
    HUGE * 10,
]
finite_or_nan = finite_float32 | st.just(float("nan"))


@st.composite
def any_columns(draw, elements=finite_or_nan):
    """Any columns, missing cards among them, of any float32."""
    counts = draw(st.lists(st.integers(0, 12), max_size=6))
    total = sum(counts)
    position = draw(hnp.arrays(np.float32, total, elements=elements))
    load = draw(hnp.arrays(np.float32, total, elements=elements))
    return CardColumn(position, load, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


@st.composite
def marred_columns(draw):
    """Cards of up to 14 points between usable and not: of few values, any float32 and those that rules ask about."""
    counts = np.array(draw(st.lists(st.integers(0, 14), max_size=6)), np.int64)
    values = np.float32([*draw(st.lists(st.floats(width=32), max_size=4)), 0.0, np.nan, np.inf, 1e9])
    usual = np.float32(draw(st.sampled_from([[1.0, 40.0], [600.0, 900.0]])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.05, 0.1, 0.2, 1.0]))
    total = int(counts.sum())
    position, load = (
        np.where(rng.random(total) < share, rng.choice(values, total), rng.choice(usual, total))
        for _ in range(2)
    )
    lost = rng.random(total) < share / 2
    position[lost] = load[lost] = 0
    return CardColumn(position, load, np.concatenate([[0], np.cumsum(counts)]))


@st.composite
def clean_cards(draw, min_points=12, max_points=80):
    """One card in time form: clockwise, from the bottom, no two points alike, far from (0, 0)."""
    n = draw(st.integers(min_points, max_points))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    phase = 2 * np.pi * np.arange(n) / n
    stroke = draw(st.sampled_from([1.0, 64.0, 168.0, 300.0]))
    lift = draw(st.sampled_from([0.5, 2_000.0, 12_000.0]))
    position = stroke * (0.5 - 0.5 * np.cos(phase + 0.3 * rng.uniform(-1, 1) * np.sin(phase)))
    load = lift * (1.5 + np.tanh(4 * np.sin(phase)) + 0.2 * np.cos(3 * phase + rng.uniform(0, 6)))
    load += lift * rng.uniform(-0.05, 0.05, n)
    position, load = (
        (position + draw(st.sampled_from([0.0, 5.0]))).astype(np.float32),
        load.astype(np.float32),
    )
    start = int(position.argmin())
    return np.roll(position, -start), np.roll(load, -start)


def arrive(card, *, start=0, backwards=False, closed=False):
    """Return the card as another controller might send it."""
    arrived = []
    for values in card:
        turned = np.roll(values, -start)
        turned = turned[::-1] if backwards else turned
        arrived.append(np.append(turned, turned[:1]) if closed else turned)
    return tuple(arrived)


arrivals = st.fixed_dictionaries(
    {"start": st.integers(0, 200), "backwards": st.booleans(), "closed": st.booleans()}
)
