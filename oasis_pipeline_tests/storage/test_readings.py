"""Readings into ``iot.rawdata``, by the one writer of service and intake."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from oasis_pipeline.schema import table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.partitions import ensure_days
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.readings import (
    CONFLICT,
    NEW,
    REPLACED,
    SAME,
    StoredReadings,
    UnknownModulesError,
    mark_readings,
    register_modules,
    store_readings,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RAWDATA = table("iot", "rawdata")


def rows(*given: tuple[str, datetime, dict[str, float]], **columns: Sequence[Any]) -> pa.Table:
    return pa.table(
        {
            "module_num": pa.array([each[0] for each in given], pa.string()),
            "timestamp": pa.array([each[1] for each in given], pa.timestamp("us", tz="UTC")),
            "measures": pa.array([json.dumps(each[2]) for each in given], pa.string()),
            **columns,
        }
    )


def store(warehouse: Warehouse, readings: pa.Table, **options: Any) -> StoredReadings:
    with warehouse.transaction() as tx:
        register_modules(tx, readings["module_num"].to_pylist())
        return store_readings(tx, readings, **options)


def stored(warehouse: Warehouse) -> list[dict[str, Any]]:
    found = warehouse.read(RAWDATA, where='true order by module_num, "timestamp"').to_pylist()
    return [{**row, "measures": json.loads(row["measures"])} for row in found]


def test_readings_are_stored_in_the_partition_of_their_day(warehouse: Warehouse) -> None:
    late = datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    given = rows(
        ("a", late, {"v": 1.5}), ("a", late + timedelta(microseconds=1), {}), ("b", NOON, {"v": -2, "w": 0})
    )
    done = store(warehouse, given)
    assert done.status.tolist() == [NEW, NEW, NEW]
    assert done.days == {date(2026, 3, 1): 2, date(2026, 3, 2): 1}
    assert [row["measures"] for row in stored(warehouse)] == [{"v": 1.5}, {}, {"v": -2, "w": 0}]
    counts = warehouse.query(
        "select tableoid::regclass::text as part, count(*) as n from iot.rawdata group by 1 order by 1"
    )
    assert counts.to_pylist() == [
        {"part": "iot.rawdata_20260301", "n": 2},
        {"part": "iot.rawdata_20260302", "n": 1},
    ]
    states = ledger.states(warehouse, ["iot/rawdata"])
    assert {key[1]: state.rows for key, state in states.items()} == {"2026-03-01": 2, "2026-03-02": 1}


def test_the_same_again_is_no_change_and_other_content_is_a_conflict(warehouse: Warehouse) -> None:
    store(warehouse, rows(("a", NOON, {"v": 1, "w": 2}), temperature=[20.0]))
    tick = ledger.states(warehouse)["iot/rawdata", "2026-03-01"].changed_tick
    again = store(warehouse, rows(("a", NOON, {"w": 2.0, "v": 1}), temperature=[20.0]))
    assert again.status.tolist() == [SAME]
    for other in (rows(("a", NOON, {"v": 1}), temperature=[20.0]), rows(("a", NOON, {"v": 1, "w": 2}))):
        done = store(warehouse, other)
        assert done.status.tolist() == [CONFLICT]
        assert done.days == {}
    assert stored(warehouse)[0]["temperature"] == 20.0
    assert ledger.states(warehouse)["iot/rawdata", "2026-03-01"].changed_tick == tick


def test_within_one_request_the_first_reading_of_a_key_is_kept(warehouse: Warehouse) -> None:
    done = store(warehouse, rows(("a", NOON, {"v": 1}), ("a", NOON, {"v": 2}), ("a", NOON, {"v": 1})))
    assert done.status.tolist() == [NEW, CONFLICT, SAME]
    assert stored(warehouse)[0]["measures"] == {"v": 1}


def test_unknown_modules_are_named_and_nothing_is_stored(warehouse: Warehouse) -> None:
    store(warehouse, rows(("known", NOON, {})))
    with (
        pytest.raises(UnknownModulesError, match="no module other, strange") as raised,
        warehouse.transaction() as tx,
    ):
        store_readings(
            tx, rows(("strange", NOON, {}), ("known", NOON + timedelta(1), {}), ("other", NOON, {}))
        )
    assert raised.value.modules == ["other", "strange"]
    assert len(stored(warehouse)) == 1


def test_a_newer_file_replaces_what_a_file_brought_and_an_older_one_does_not(warehouse: Warehouse) -> None:
    first, second = datetime(2026, 3, 2), datetime(2026, 3, 3)
    two = rows(("a", NOON, {"v": 1}), ("b", NOON, {"v": 1}))
    assert store(warehouse, two, file_stamp=first).status.tolist() == [NEW, NEW]
    newer = rows(("a", NOON, {"v": 2}), ("b", NOON, {"v": 1}), temperature=[None, None])
    done = store(warehouse, newer, file_stamp=second)
    assert done.status.tolist() == [REPLACED, SAME]
    assert (done.days, done.changed_days) == ({}, {date(2026, 3, 1): 1})
    assert [row["file_stamp"] for row in stored(warehouse)] == [second, second]
    older = rows(("a", NOON, {"v": 3}), ("b", NOON, {"v": 3}))
    assert store(warehouse, older, file_stamp=first).status.tolist() == [CONFLICT, CONFLICT]
    # an equal stamp: the later arrival
    assert store(warehouse, older.slice(0, 1), file_stamp=second).status.tolist() == [REPLACED]
    assert [row["measures"]["v"] for row in stored(warehouse)] == [3, 1]


def test_in_a_file_the_last_reading_of_a_key_counts(warehouse: Warehouse) -> None:
    given = rows(("a", NOON, {"v": 1}), ("a", NOON, {"v": 2}), ("b", NOON, {}))
    done = store(warehouse, given, file_stamp=datetime(2026, 3, 2))
    assert done.status.tolist() == [CONFLICT, NEW, NEW]
    assert stored(warehouse)[0]["measures"] == {"v": 2}


def test_a_file_never_replaces_what_the_service_took_in(warehouse: Warehouse) -> None:
    store(warehouse, rows(("a", NOON, {"v": 1})))
    done = store(warehouse, rows(("a", NOON, {"v": 2})), file_stamp=datetime(2027, 1, 1))
    assert done.status.tolist() == [CONFLICT]
    assert stored(warehouse)[0]["measures"] == {"v": 1}


def test_the_order_of_arrival_is_kept(warehouse: Warehouse) -> None:
    times = [NOON + timedelta(minutes=m) for m in (0, 10, 5, 15)]
    done = store(warehouse, rows(*(("a", time, {}) for time in times)), first_row=100)
    found = sorted(stored(warehouse), key=lambda row: row["received_row"])
    assert [row["timestamp"] for row in found] == times
    assert {row["received_at"] for row in found} == {done.received_at}
    assert found[0]["received_row"] == 100


def test_a_transaction_that_fails_leaves_nothing(warehouse: Warehouse) -> None:
    def store_and_fail() -> None:
        with warehouse.transaction() as tx:
            register_modules(tx, ["a"])
            store_readings(tx, rows(("a", NOON, {})))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        store_and_fail()
    assert stored(warehouse) == []
    assert ledger.states(warehouse) == {}
    assert store(warehouse, rows(("a", NOON, {}))).status.tolist() == [NEW]


def test_several_calls_in_one_transaction(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        register_modules(tx, ["a"])
        for minute in range(3):
            done = store_readings(tx, rows(("a", NOON + timedelta(minutes=minute), {}), ("a", NOON, {})))
            assert done.status.tolist() == [NEW, SAME]
    assert len(stored(warehouse)) == 3


def test_columns_that_are_none_and_missing_keys_are_refused(warehouse: Warehouse) -> None:
    with pytest.raises(StorageError, match="no column pressure"):
        store(warehouse, rows(("a", NOON, {}), pressure=[1.0]))
    nothing = pa.table({"module_num": ["a"], "timestamp": pa.nulls(1, pa.timestamp("us", tz="UTC"))})
    with pytest.raises(StorageError, match="without a value of timestamp"):
        store(warehouse, nothing)


def test_deleting_is_marked_with_fewer_rows(warehouse: Warehouse) -> None:
    store(warehouse, rows(("a", NOON, {}), ("b", NOON, {})))
    with warehouse.transaction() as tx:
        tx.execute("delete from iot.rawdata where module_num = 'a'")
        mark_readings(tx, {NOON.date(): -1})
    assert ledger.states(warehouse)["iot/rawdata", "2026-03-01"].rows == 1


def together(count: int, work: Callable[[int], None]) -> None:
    """Run work in threads that begin at once; raises what any of them raised."""
    faults: list[BaseException] = []
    gate = threading.Barrier(count)

    def body(number: int) -> None:
        try:
            gate.wait()
            work(number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def test_writers_at_once_share_days_and_keys_without_loss_or_double(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        register_modules(tx, [f"m{number}" for number in range(3)])
    rng = np.random.default_rng(5)
    sets = [rng.permutation(120)[:60] for _ in range(6)]
    statuses: dict[int, StoredReadings] = {}

    def work(number: int) -> None:
        given = rows(*((f"m{i % 3}", NOON + timedelta(hours=int(i)), {"i": int(i)}) for i in sets[number]))
        with warehouse.transaction() as tx:
            statuses[number] = store_readings(tx, given)

    together(6, work)
    keys = {int(i) for chosen in sets for i in chosen}
    assert len(stored(warehouse)) == len(keys)
    assert sum(done.count(NEW) for done in statuses.values()) == len(keys)
    assert all(done.count(CONFLICT) == 0 for done in statuses.values())
    held = {key[1]: state.rows for key, state in ledger.states(warehouse, ["iot/rawdata"]).items()}
    assert sum(held.values()) == len(keys)


def test_partitions_made_at_once_are_made_once(warehouse: Warehouse) -> None:
    days = [date(2026, 1, 1) + timedelta(days=i) for i in range(5)]
    made: list[date] = []

    def work(_: int) -> None:
        with warehouse.transaction() as tx:
            made.extend(ensure_days(tx, RAWDATA, days))

    together(4, work)
    assert sorted(made) == days


def test_a_making_waits_for_changes_that_are_marked_but_not_yet_visible(warehouse: Warehouse) -> None:
    order: list[str] = []
    marked, go = threading.Event(), threading.Event()

    def change() -> None:
        with warehouse.transaction() as tx:
            ledger.mark_changed(tx, "a/b", {"": 1})
            marked.set()
            go.wait(10)
            order.append("changed")

    thread = threading.Thread(target=change)
    thread.start()
    assert marked.wait(10)
    threading.Timer(0.3, go.set).start()
    with warehouse.transaction() as tx:
        began = ledger.begin_making(tx)
        order.append("begun")
    thread.join()
    assert order == ["changed", "begun"]
    assert ledger.states(warehouse)["a/b", ""].changed_tick < began
