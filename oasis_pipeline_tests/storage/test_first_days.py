"""First days: one old date makes no calendar years long, and each calendar follows its own rows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.assets.graph import GRAPH
from oasis_pipeline.automation.staleness import days_with_rows, stale
from oasis_pipeline.definitions import build_definitions
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.first_days import (
    JUMP,
    first_days,
    first_of,
    forget_gone_days,
    note_first_days,
    read_first_day,
    read_first_reading_day,
)
from oasis_pipeline.storage.postgres import Warehouse

DAYS = {(date(2026, 1, 1) + timedelta(days=i)).isoformat(): 10 for i in range(31)}


def test_the_rule() -> None:
    assert first_of({}) is None
    assert first_of({"2003-05-01": 0}) is None
    assert first_of(DAYS) == "2026-01-01"
    assert first_of({"2003-05-01": 3, **DAYS}) == "2026-01-01"
    assert first_of({"2003-05-01": 4, **DAYS}) == "2003-05-01", "4 of 314 are more than 1 %"
    assert first_of({"2003-05-01": 1, "2018-01-01": 1, **DAYS}) == "2026-01-01"
    assert first_of({"2025-01-01": 1, **DAYS}) == "2025-01-01", "a year is no jump"
    assert first_of({"2024-12-31": 1, **DAYS}) == "2026-01-01"
    assert first_of({"2003-05-01": 1}) == "2003-05-01", "there is nothing else"


@given(st.dictionaries(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 500), max_size=30))
def test_what_stays_out_is_little_and_far_away(counts: dict[date, int]) -> None:
    rows = {day.isoformat(): count for day, count in counts.items()}
    first = first_of(rows)
    held = sorted(day for day, count in rows.items() if count)
    assert (first is None) == (not held)
    if first is not None:
        before = [day for day in held if day < first]
        assert first in held
        if before:
            assert sum(rows[day] for day in before) < 0.01 * sum(rows.values())
            assert date.fromisoformat(first) - date.fromisoformat(before[-1]) > JUMP


def put(warehouse: Warehouse, asset: str, rows: dict[str, int]) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, asset, rows)


def code_version_of(asset: str) -> str | None:
    return next(each.code_version for each in GRAPH if each.key == asset)


def made(warehouse: Warehouse, asset: str, rows: dict[str, int]) -> None:
    with warehouse.transaction() as tx:
        tick = ledger.begin_making(tx)
        # by the code of now: what another version made is stale whatever its rows are
        ledger.mark_made(tx, asset, rows, tick, rows, code_version_of(asset))


def notes(settings: Settings) -> tuple[str, str]:
    return str(read_first_day(settings)), str(read_first_reading_day(settings))


@pytest.mark.server
def test_each_calendar_has_a_first_day_and_the_graph_follows(
    warehouse: Warehouse, settings: Settings
) -> None:
    put(warehouse, "iot/rawdata", {"2018-01-01": 5, "2018-01-02": 5})
    put(warehouse, "xspoc/welltest", {"2003-05-01": 1})
    put(warehouse, "analysis/failure_info", {"2001-05-01": 1})
    note_first_days(warehouse, settings)
    assert notes(settings) == ("None", "2018-01-01")
    assert (settings.home / "first_day.lock").stat().st_mode & 0o077 == 0, "who can open it can hold it"
    put(warehouse, "xspoc/card", {"2003-05-01": 1})
    note_first_days(warehouse, settings)
    assert notes(settings) == ("2003-05-01", "2018-01-01")
    put(warehouse, "xspoc/card", DAYS)
    first, moved = note_first_days(warehouse, settings)
    assert moved
    assert notes(settings) == ("2026-01-01", "2018-01-01")
    assert first[0].left_out == {"2003-05-01": 1}
    assert "1 row of 2003-05-01" in first[0].warning()
    assert "do not move the calendar" in first[0].why
    states = ledger.states(warehouse)
    assert days_with_rows(states) == sorted(DAYS)
    assert "2003-05-01" not in stale(states).days["clean/xspoc"]
    keys = {
        asset.key.to_user_string(): asset.partitions_def.get_first_partition_key()
        for asset in build_definitions(settings).resolve_asset_graph().asset_nodes
        if asset.partitions_def is not None
    }
    assert keys["clean/xspoc"] == keys["xspoc/card"] == "2026-01-01"
    assert keys["iot/readings"] == keys["iot/rawdata"] == "2018-01-01"
    put(warehouse, "xspoc/card", {"2003-05-01": 9})
    assert note_first_days(warehouse, settings)[1]
    assert notes(settings)[0] == "2003-05-01", "many by now"
    assert "2003-05-01" in stale(ledger.states(warehouse)).days["clean/xspoc"]
    chosen = settings.model_copy(update={"start": date(2020, 1, 1)})
    assert [(each.day, each.left_out) for each in first_days(warehouse, chosen)] == [
        (date(2020, 1, 1), {})
    ] * 2


@pytest.mark.server
def test_rows_that_are_removed_move_the_first_day_forward(warehouse: Warehouse, settings: Settings) -> None:
    rows = {"2025-12-01": 50, **DAYS}
    put(warehouse, "xspoc/card", rows)
    made(warehouse, "clean/xspoc", rows)
    note_first_days(warehouse, settings)
    assert notes(settings)[0] == "2025-12-01"
    warehouse.query(
        'INSERT INTO xspoc.card ("NodeID", "Date", file_stamp)'
        " SELECT 'A', d, d FROM generate_series('2026-01-01'::timestamp, '2026-01-31', '1 day') AS d RETURNING 1"
    )
    forget_gone_days(warehouse)  # its rows were deleted with SQL
    note_first_days(warehouse, settings)
    assert notes(settings)[0] == "2025-12-01", "what was made of them has to be made again first"
    assert stale(ledger.states(warehouse)).days["clean/xspoc"] == {"2025-12-01"}
    made(warehouse, "clean/xspoc", {"2025-12-01": 0})
    note_first_days(warehouse, settings)
    assert notes(settings)[0] == "2026-01-01"
    assert not stale(ledger.states(warehouse)).days.get("clean/xspoc")


@pytest.mark.server
def test_what_was_made_of_a_day_that_stays_out_keeps_nothing_busy(
    warehouse: Warehouse, settings: Settings
) -> None:
    put(warehouse, "xspoc/card", {"2003-05-01": 1})
    made(warehouse, "clean/xspoc", {"2003-05-01": 1})
    put(warehouse, "xspoc/card", DAYS)
    note_first_days(warehouse, settings)
    put(warehouse, "xspoc/card", {"2003-05-01": 2})
    note_first_days(warehouse, settings)
    assert notes(settings)[0] == "2026-01-01"
    assert stale(ledger.states(warehouse)).days["clean/xspoc"] == set(DAYS)
