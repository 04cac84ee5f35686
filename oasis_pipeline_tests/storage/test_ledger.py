"""Marks of what is up to date."""

from __future__ import annotations

import pytest

from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server


def test_changes_and_makings_are_ordered_by_ticks(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        began = ledger.begin_making(tx)
        changed = ledger.mark_changed(tx, "xspoc/card", {"2024-01-01": 3, "2024-01-02": None})
        ledger.mark_made(tx, "clean/dynapred", ["2024-01-01"], began, {"2024-01-01": 7})
        inside = ledger.states(tx)
    assert changed > began
    assert ledger.states(warehouse) == inside
    assert list(inside) == [
        ("clean/dynapred", "2024-01-01"),
        ("xspoc/card", "2024-01-01"),
        ("xspoc/card", "2024-01-02"),
    ]
    card, made = inside["xspoc/card", "2024-01-01"], inside["clean/dynapred", "2024-01-01"]
    assert (card.changed_tick, card.made_tick, card.rows, card.made_at) == (changed, 0, 3, None)
    assert (made.changed_tick, made.made_tick, made.rows, made.changed_at) == (0, began, 7, None)
    assert card.changed_at is not None
    assert card.changed_at.utcoffset() is not None
    assert ledger.states(warehouse, ["clean/dynapred"]) == {("clean/dynapred", "2024-01-01"): made}
    assert ledger.states(warehouse, []) == {}


def test_rows_stay_known_and_a_late_making_does_not_turn_back_the_tick(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        early, late = ledger.begin_making(tx), ledger.begin_making(tx)
        ledger.mark_changed(tx, "a/b", {"": 3})
        ledger.mark_changed(tx, "a/b", {"": None})
        ledger.mark_made(tx, "a/b", [""], late)
        ledger.mark_made(tx, "a/b", [""], early)
    state = ledger.states(warehouse)["a/b", ""]
    assert (state.made_tick, state.rows) == (late, 3)


def test_a_failure_stays_until_the_next_making(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_failed(tx, "a/b", ["2024-01-01", "2024-01-02"], "boo\nhoo")
        ledger.mark_made(tx, "a/b", ["2024-01-02"], ledger.begin_making(tx), 5)
    states = ledger.states(warehouse)
    assert states["a/b", "2024-01-01"].error == "boo hoo"
    assert states["a/b", "2024-01-01"].made_tick == 0
    assert (states["a/b", "2024-01-02"].error, states["a/b", "2024-01-02"].rows) == (None, 5)


def test_marks_vanish_with_their_transaction(warehouse: Warehouse) -> None:
    def fail() -> None:
        with warehouse.transaction() as tx:
            ledger.mark_changed(tx, "a/b", {"": 1})
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert ledger.states(warehouse) == {}


def test_no_partitions_are_no_marks(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, "a/b", {})
        ledger.mark_made(tx, "a/b", [], 1)
        ledger.mark_failed(tx, "a/b", [], "why")
    assert ledger.states(warehouse) == {}
