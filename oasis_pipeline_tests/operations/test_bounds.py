"""Bounds of cards: the rule on arrays, and the rows of ``clean.dynabounds`` on a real PostgreSQL."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.cards.bounds import bounds_by_day, robust_bounds
from oasis_pipeline.operations.bounds import begin_of_history, bounds_rows
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.postgres import Warehouse

CARD = [0.0, 100.0, 5000.0, 15000.0]
NEVER = np.iinfo(np.int64).min // 2


def test_bounds_are_the_extremes_of_ordinary_cards() -> None:
    cards = np.array([CARD, [1.0, 99.0, 4800.0, 15200.0]])
    bounds, count = robust_bounds(cards)
    assert bounds.tolist() == [0.0, 100.0, 4800.0, 15200.0]
    assert count == 2


def test_one_wild_card_changes_nothing() -> None:
    cards = np.array([CARD] * 20 + [[0.0, 5000.0, -1e6, 1e6]])
    bounds, count = robust_bounds(cards)
    assert bounds.tolist() == CARD
    assert count == 20


def test_no_card_has_no_bounds() -> None:
    bounds, count = robust_bounds(np.empty((0, 4)))
    assert np.isnan(bounds).all()
    assert count == 0


extremes = st.lists(
    st.tuples(st.integers(0, 5), st.integers(90, 110), st.integers(4000, 6000), st.integers(14000, 16000)),
    min_size=1,
    max_size=30,
)


@given(extremes, st.integers(0, 29))
@settings(max_examples=60)
def test_later_cards_never_change_bounds(cards: list[tuple[int, int, int, int]], at: int) -> None:
    values = np.array(cards, dtype=float)
    day = np.arange(len(values))
    asked = np.array([min(at, len(values) - 1)])
    begin = np.array([NEVER])
    whole, n_whole = bounds_by_day(day, values, asked, begin, 90)
    cut, n_cut = bounds_by_day(day[day <= asked[0]], values[day <= asked[0]], asked, begin, 90)
    assert np.array_equal(whole, cut)
    assert n_whole[0] == n_cut[0]


@given(extremes)
@settings(max_examples=60)
def test_bounds_hold_the_middle_card_and_lie_within_all_cards(cards: list[tuple[int, int, int, int]]) -> None:
    values = np.array(cards, dtype=float)
    bounds, count = robust_bounds(values)
    assert 1 <= count <= len(values)
    middle = np.median(values, axis=0)
    assert (bounds[[0, 2]] <= middle[[0, 2]]).all()
    assert (bounds[[1, 3]] >= middle[[1, 3]]).all()
    assert (bounds[[0, 2]] >= values.min(axis=0)[[0, 2]]).all()
    assert (bounds[[1, 3]] <= values.max(axis=0)[[1, 3]]).all()


def test_a_window_and_a_workover_cut_off_older_cards() -> None:
    day = np.array([1, 2, 3, 50, 51])
    values = np.array([[0.0, 200.0, 0.0, 9.0]] * 3 + [CARD] * 2)
    windowed, _ = bounds_by_day(day, values, np.array([51]), np.array([NEVER]), 30)
    reset, count = bounds_by_day(day, values, np.array([51]), np.array([51]), 90)
    assert windowed[0].tolist() == CARD
    assert count[0] == 1
    assert reset[0].tolist() == CARD


def _store_cards(warehouse: Warehouse, rows: list[dict[str, object]]) -> None:
    card = table("xspoc", "card")
    with warehouse.transaction() as tx:
        tx.upsert(
            card,
            pa.Table.from_pylist(
                [{"file_stamp": datetime(2025, 6, 1), **row} for row in rows], schema=arrow_schema(card)
            ),
        )


def _card(
    well: str, when: datetime, prefix: str = "pocdowncard", load_max: float = 15000.0
) -> dict[str, object]:
    names = ("pos_min_in", "pos_max_in", "load_min_lbf", "load_max_lbf")
    values = (0.0, 100.0, 5000.0, load_max)
    return {
        "NodeID": well,
        "Date": when,
        **{f"{prefix}_{name}": value for name, value in zip(names, values, strict=True)},
    }


@pytest.mark.server
def test_each_day_knows_only_its_own_and_earlier_cards(warehouse: Warehouse) -> None:
    _store_cards(warehouse, [_card("A 1", datetime(2025, 3, d, 12), load_max=15000.0 + d) for d in (1, 2, 4)])
    rows = bounds_rows(warehouse, Days(date(2025, 3, 1), date(2025, 3, 5))).to_pylist()
    assert [(row["Date"], row["load_max"], row["n_cards"]) for row in rows] == [
        (date(2025, 3, 1), 15001.0, 1),
        (date(2025, 3, 2), 15002.0, 2),
        (date(2025, 3, 4), 15004.0, 3),
    ]


@pytest.mark.server
def test_pump_cards_bound_a_well_from_its_first_one_on(warehouse: Warehouse) -> None:
    _store_cards(
        warehouse,
        [
            _card("A 1", datetime(2025, 3, 1, 12), "surfcard"),
            {**_card("A 1", datetime(2025, 3, 2, 12), "surfcard"), **_card("A 1", datetime(2025, 3, 2, 12))},
            _card("B 2", datetime(2025, 3, 2, 12), "surfcard"),
        ],
    )
    rows = bounds_rows(warehouse, Days(date(2025, 3, 1), date(2025, 3, 2))).to_pylist()
    assert [(row["NodeID"], row["Date"].day, row["card"]) for row in rows] == [
        ("A 1", 1, "surfcard"),
        ("A 1", 2, "pocdowncard"),
        ("B 2", 2, "surfcard"),
    ]


@pytest.mark.server
def test_a_workover_counts_from_when_it_is_known_and_a_repeated_rod_file_is_none(
    warehouse: Warehouse,
) -> None:
    _store_cards(
        warehouse,
        [
            _card("A 1", datetime(2025, 3, d, 12), load_max=20000.0 if d < 5 else 15000.0)
            for d in range(1, 10)
        ],
    )
    failures, rods = table("analysis", "failure_info"), table("xspoc", "rods_history")
    failure = {
        "NodeID": "A 1",
        "Failure Start Date": datetime(2025, 3, 3),
        "Failure End Date": datetime(2025, 3, 4, 18),
        "failure_class": "Pump",
        "known_from": datetime(2025, 3, 7),
        "file_stamp": datetime(2025, 3, 7),
    }
    states = [
        {
            "NodeID": "A 1",
            "RodNum": 1,
            "Grade": "D",
            "Length": 3000.0,
            "Diameter": 0.875,
            "ValidFrom": datetime(2025, 3, d),
        }
        for d in (1, 6, 8)
    ]
    with warehouse.transaction() as tx:
        tx.upsert(failures, pa.Table.from_pylist([failure], schema=arrow_schema(failures)))
        tx.upsert(rods, pa.Table.from_pylist(states, schema=arrow_schema(rods)))
    rows = {
        row["Date"].day: row
        for row in bounds_rows(warehouse, Days(date(2025, 3, 1), date(2025, 3, 9))).to_pylist()
    }
    assert rows[6]["load_max"] == 20000.0, "the job of the 4th was not known on the 6th"
    assert rows[7]["load_max"] == 15000.0
    assert (rows[7]["n_cards"], rows[9]["n_cards"]) == (3, 5), (
        "the rod files of the 6th and 8th say nothing new"
    )


@pytest.mark.server
def test_history_begins_after_the_last_workover_known_on_a_day(warehouse: Warehouse) -> None:
    failures = table("analysis", "failure_info")
    failure = {
        "NodeID": "B 2",
        "Failure Start Date": datetime(2025, 3, 3),
        "Failure End Date": datetime(2025, 3, 4, 18),
        "failure_class": "Pump",
        "known_from": datetime(2025, 3, 7),
        "file_stamp": datetime(2025, 3, 7),
    }
    with warehouse.transaction() as tx:
        tx.upsert(failures, pa.Table.from_pylist([failure], schema=arrow_schema(failures)))
    first = int(np.datetime64("2025-03-06", "D").astype(int))
    nodes = np.array(["B 2", "A 1", "B 2", "A 1"], dtype=object)
    day = np.array([first, first, first + 1, first + 1])
    begin = begin_of_history(warehouse, nodes, day, Days(date(2025, 3, 6), date(2025, 3, 7)))
    assert begin[2] == first - 1, "known on the 7th, the job ended on the 4th"
    assert (begin[[0, 1, 3]] < 0).all()
