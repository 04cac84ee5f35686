from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oasis_pipeline.cards.bounds import robust_bounds
from oasis_pipeline.cards.canonical import shape_form_column, time_form_column
from oasis_pipeline.cards.codec import CardColumn, Unusable, decode_blobs, decode_hex, pack_bytes, usable
from oasis_pipeline.cards.misfit import Expected, judge_cards, misfit_text, odd_for, units_of
from oasis_pipeline.simulation.cards import simulate_cards

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
csv.field_size_limit(10_000_000)


def cases(name: str, column: str = "SurfaceCardB") -> tuple[list[str], CardColumn, np.ndarray]:
    file = next((CASES / name).glob("CardData*.csv"))
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row.get(column)]
    cards, faults = decode_hex(*pack_bytes([row[column] for row in rows]))
    assert not faults.any()
    return [row["NodeID"] for row in rows], cards, np.array([float(row["StrokeLength"]) for row in rows])


def texts(cards: CardColumn, stroke: np.ndarray, *, pump: bool = False) -> list[str | None]:
    codes = judge_cards(cards, pump=pump, stroke_length_in=stroke)
    return [
        misfit_text(*cards.row(i), int(code), pump=pump, stroke_length_in=float(stroke[i])) if code else None
        for i, code in enumerate(codes)
    ]


def blob(*parts: np.ndarray, dtype: str = "<f4") -> CardColumn:
    column, faults = decode_blobs(*pack_bytes([np.concatenate(parts).astype(dtype).tobytes()]))
    assert not faults.any()
    return column


@st.composite
def true_cards(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions, loads and stroke of a card as a field sends it, from any start."""
    points = draw(st.integers(45, 200))
    stroke = draw(st.floats(40, 200))
    weight, lift = draw(st.floats(3_000, 15_000)), draw(st.floats(1_000, 6_000))
    phase = 2 * np.pi * np.arange(points) / points
    position = stroke * (0.5 - 0.5 * np.cos(phase + 0.1 * np.sin(phase))) + draw(st.sampled_from([0.5, 3.0]))
    load = weight + lift * np.tanh(5 * np.sin(phase)) / 2 + 0.1 * lift * np.cos(5 * phase)
    start = draw(st.integers(0, points - 1))
    return np.roll(position, start), np.roll(load, start), stroke


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("B bigendian", "big-endian"),
        ("B interleaved", "interleaved"),
        ("B positions first", "swapped"),
        ("B float64", "64-bit floats"),
        ("B metric", "positions in m and loads in kN"),
        ("B klbf", "klbf"),
    ],
)
def test_impossible_values_are_named(node: str, says: str) -> None:
    nodes, cards, stroke = cases("blob-impossible-values-stored-as-usable")
    text = dict(zip(nodes, texts(cards, stroke), strict=True))[node]
    assert text is not None
    assert says in text


def test_one_impossible_card_among_good_ones() -> None:
    nodes, cards, stroke = cases("one-impossible-card-stops-the-pass")
    found = dict(zip(nodes, texts(cards, stroke), strict=True))
    assert [node for node, text in found.items() if text] == ["POISON"]
    codes = time_form_column(cards).unusable
    np.testing.assert_array_equal(codes != 0, [node == "POISON" for node in nodes])


def test_a_pump_card_that_is_its_positions() -> None:
    _, cards, stroke = cases("pump-card-load-equals-position", "POCDownholeCardB")
    assert set(texts(cards, stroke, pump=True)) == {"no area: the loads are the positions"}
    _, cards, stroke = cases("pump-card-load-equals-position")
    assert set(texts(cards, stroke)) == {None}


@given(true_cards())
def test_a_true_card_is_usable(card: tuple[np.ndarray, np.ndarray, float]) -> None:
    x, y, stroke = card
    said = np.array([stroke, np.nan, 0.0, 1.3 * stroke])
    cards = CardColumn.from_rows([(x, y)] * 4)
    assert texts(cards, said) == [None] * 4
    assert texts(CardColumn.from_rows([(x, y - y.min() - 300)] * 4), said, pump=True) == [None] * 4


UNITS = {"m": 0.0254, "cm": 2.54, "mm": 25.4, "ft": 1 / 12}
LOADS = {"kN": 1 / 224.8089, "klbf": 0.001}


@given(true_cards(), st.sampled_from(sorted(UNITS)), st.sampled_from([1.0, *LOADS.values()]))
def test_other_units_of_positions_are_no_card_and_are_named(
    card: tuple[np.ndarray, np.ndarray, float], unit: str, load_unit: float
) -> None:
    x, y, stroke = card
    (text,) = texts(CardColumn.from_rows([(UNITS[unit] * x, load_unit * y)]), np.array([stroke]))
    assert text is not None
    assert f"positions in {unit}" in text


@given(true_cards(), st.sampled_from([*sorted(LOADS), "%"]))
def test_other_units_of_loads_are_no_card_and_are_named(
    card: tuple[np.ndarray, np.ndarray, float], unit: str
) -> None:
    x, y, stroke = card
    (text,) = texts(
        CardColumn.from_rows([(x, 100 * y / y.max() if unit == "%" else LOADS[unit] * y)]), np.array([stroke])
    )
    assert text is not None
    assert "impossible loads" in text
    assert unit in text


@given(true_cards(), st.sampled_from(["swapped", "interleaved", "pairs", ">f4", "<f8", ">f8"]))
def test_other_layouts_are_no_card(card: tuple[np.ndarray, np.ndarray, float], layout: str) -> None:
    x, y, stroke = card
    parts = {
        "swapped": (x, y),
        "interleaved": (np.stack([y, x], axis=1).ravel(),),
        "pairs": (np.stack([x, y], axis=1).ravel(),),
    }
    data = np.concatenate(parts.get(layout, (y, x))).astype(
        layout if "f" in layout and layout[0] in "<>" else "<f4"
    )
    cards, faults = decode_blobs(*pack_bytes([data.tobytes()]))
    # a pattern of bits that means infinity is refused as it comes
    assert faults[0] or judge_cards(cards, stroke_length_in=np.array([stroke]))[0] != Unusable.USABLE
    assert faults[0] or np.isfinite(shape_form_column(cards)[1]).all() or usable(cards)[0]


@given(st.integers(2, 4), true_cards())
def test_several_strokes_are_counted(many: int, card: tuple[np.ndarray, np.ndarray, float]) -> None:
    x, y, stroke = card
    cards = CardColumn.from_rows([(np.tile(x, many), np.tile(y, many))])
    (text,) = texts(cards, np.array([stroke]))
    assert text is not None
    assert f"goes up {many} times" in text


@given(
    true_cards(),
    st.sampled_from([1.0, -1.0, 0.4, 0.01, 40.0, 0.0]),
    st.sampled_from([0.0, 500.0]),
    st.booleans(),
)
def test_pump_cards_on_a_line_have_no_area(
    card: tuple[np.ndarray, np.ndarray, float], factor: float, shift: float, whole: bool
) -> None:
    x, _, stroke = card
    load = factor * x + shift
    cards = CardColumn.from_rows([(x, np.round(load) if whole and np.ptp(load) > 12 else load)])
    assert judge_cards(cards, pump=True, stroke_length_in=np.array([stroke])).tolist() in (
        [Unusable.NO_AREA],
        [Unusable.ALL_ZERO],
    )


@pytest.mark.parametrize("lift", [3.0, 30.0, 3_000.0])
def test_a_pump_card_in_whole_pounds_is_not_on_a_line(lift: float) -> None:
    phase = 2 * np.pi * np.arange(100) / 100
    x = 50 - 50 * np.cos(phase)
    cards = CardColumn.from_rows([(x, np.round(0.4 * x + lift * (np.sin(phase) > 0)))])
    assert judge_cards(cards, pump=True).tolist() == [Unusable.USABLE]


@given(
    true_cards(),
    st.integers(5, 120),
    st.sampled_from(["both", "behind", "between", "position held", "load held"]),
)
def test_filled_up_records_are_the_card_itself(
    card: tuple[np.ndarray, np.ndarray, float], zeros: int, how: str
) -> None:
    x, y = (part.astype(np.float32) for part in card[:2])
    fill, held = np.zeros(zeros), np.ones(zeros)
    # a half that ends near 0 by itself does not tell its zeros
    assume(how != "position held" or abs(y[-1]) > 0.2 * np.ptp(y))
    assume(how != "load held" or abs(x[-1]) > 0.2 * np.ptp(x))
    parts: dict[str, tuple[np.ndarray, ...]] = {
        "both": (y, fill, x, fill),
        "behind": (y, x, fill, fill),
        "between": (y, fill, fill, x),
        "position held": (y, fill, x, x[-1] * held),
        "load held": (y, y[-1] * held, x, fill),
    }
    column = blob(*parts[how])
    plain, padded = time_form_column(CardColumn.from_rows([(x, y)])), time_form_column(column)
    np.testing.assert_array_equal(plain.column.row(0), padded.column.row(0))
    np.testing.assert_array_equal(plain.points_mended, padded.points_mended)


def test_the_padded_card_of_the_vendor() -> None:
    _, cards, stroke = cases("zero-padded-blob")
    assert cards.counts.tolist() == [134, 200]
    assert texts(cards, stroke) == [None, None]
    form = time_form_column(cards)
    np.testing.assert_array_equal(form.column.row(0), form.column.row(1))


def test_a_rest_at_zero_is_no_padding() -> None:
    phase = 2 * np.pi * np.arange(100) / 100
    x = np.maximum(50 - 55 * np.cos(phase), 0)
    y = np.maximum(2_000 * np.sin(phase + 0.3), 0)
    start = 97
    resting = CardColumn.from_rows([(np.roll(x, -start), np.roll(y + 800, -start))])
    assert time_form_column(resting).column.counts.tolist() == [100]


def test_no_simulated_card_is_lost() -> None:
    batch = simulate_cards(150, 77, cards_per_well=5)
    stroke = np.ptp(batch.surface_position_in, axis=1)
    surface = CardColumn.from_dense(batch.surface_position_in, batch.surface_load_lbf)
    assert not judge_cards(surface, stroke_length_in=stroke).any()
    assert robust_bounds(np.array([[0.0, 1.0, 0.0, 1.0]]))[1] == 1


@pytest.mark.parametrize(
    ("scale", "says"),
    [((1, 1), None), ((1, 4.448), "N"), ((1, 0.004448), "kN"), ((1, 0.001), "klbf"), ((2.54, 1), "cm")],
)
def test_a_card_beside_its_well(scale: tuple[float, float], says: str | None) -> None:
    phase = 2 * np.pi * np.arange(100) / 100
    x, y = 60 - 60 * np.cos(phase), 11_000 + 3_000 * np.tanh(5 * np.sin(phase))
    well = Expected(rod_weight_lbf=8_000.0, fluid_load_lbf=5_000.0, strength_lbf=69_000.0, stroke_in=120.0)
    reason = odd_for(scale[0] * x, scale[1] * y, well)
    assert (reason is None) == (says is None)
    assert says is None or says in str(reason)
    assert says is None or any(
        says in unit for unit in units_of(scale[0] * x, scale[1] * y, stroke_in=120.0, whole_lbf=13_000.0)
    )
