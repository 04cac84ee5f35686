"""Posts stored together: each as if it came alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.posts import Post, PostWriter

pytestmark = pytest.mark.server

START = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)


def post(*readings: tuple[str, int, float]) -> Post:
    n = len(readings)
    return Post(
        datetime(2026, 2, 1, tzinfo=UTC),
        [module for module, _, _ in readings],
        [START + timedelta(seconds=second) for _, second, _ in readings],
        [json.dumps({"V": value}).encode() for _, _, value in readings],
        [None] * n,
        [3.3] * n,
        ["it's \\ \u00e9"] * n,
    )


@pytest.fixture
def house(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    made = new_warehouse()
    with made.transaction() as tx:
        tx.execute("INSERT INTO iot.module (module_num) VALUES ('A'), ('B'), ('C')")
    return made


def rows(house: Warehouse) -> list[Any]:
    found = house.query(
        "SELECT module_num, extract(epoch FROM \"timestamp\" - '2026-01-31 23:59:58Z')::int AS s, (measures ->> 'V')::float8 AS v,"
        " description FROM iot.rawdata ORDER BY 1, 2"
    )
    return [(r["module_num"], r["s"], r["v"]) for r in found.to_pylist()]


def marks(house: Warehouse) -> dict[str, int]:
    found = house.query(
        "SELECT partition, rows FROM oasis.asset_state WHERE asset = 'iot/rawdata'"
    ).to_pylist()
    return {row["partition"]: row["rows"] for row in found}


def test_each_of_a_group_gets_what_it_would_have_got_alone(house: Warehouse) -> None:
    writer = PostWriter(house)
    first, bad, second, again, other = writer.store(
        [
            post(("A", 0, 1.0), ("A", 1, 1.0), ("B", 5, 2.0)),
            post(("A", 3, 1.0), ("nobody", 0, 1.0), ("nothing", 0, 1.0)),
            post(("C", 0, 1.0), ("C", 0, 1.0), ("C", 0, 9.0)),
            post(("A", 0, 1.0), ("A", 1, 1.0), ("B", 5, 2.0)),
            post(("A", 0, 7.0), ("A", 6, 1.0)),
        ]
    )
    assert (first.new, first.first_day, first.conflicts) == (3, START.date(), {})
    assert sorted(bad.unknown) == ["nobody", "nothing"]
    assert bad.new == 0
    assert second.new == 1
    assert list(second.conflicts) == [2]
    assert (again.new, again.conflicts) == (0, {}), "the same content"
    assert other.new == 1
    assert other.conflicts[0]["module_num"] == "A"
    assert json.loads(other.conflicts[0]["measures"]) == {"V": 1.0}
    assert other.conflicts[0]["timestamp"] == START
    assert rows(house) == [("A", 0, 1.0), ("A", 1, 1.0), ("A", 6, 1.0), ("B", 5, 2.0), ("C", 0, 1.0)]
    assert marks(house) == {"2026-01-31": 3, "2026-02-01": 2}
    before = house.query("SELECT * FROM oasis.asset_state").to_pylist()
    assert writer.store([post(("A", 0, 1.0), ("B", 5, 2.0))])[0].new == 0
    assert house.query("SELECT * FROM oasis.asset_state").to_pylist() == before, "no change, no mark"
    writer.close()


def test_a_module_that_is_gone_or_going_is_noticed_at_once(house: Warehouse) -> None:
    writer = PostWriter(house)
    assert writer.store([post(("A", 0, 1.0))])[0].new == 1
    with house.transaction() as tx:
        tx.execute("DELETE FROM iot.module WHERE module_num = 'A'")
        busy, free = writer.store([post(("A", 1, 1.0)), post(("B", 1, 1.0))])
        assert busy.busy
        assert free.new == 1, "who does not use that module does not wait for it"
    assert writer.store([post(("A", 1, 1.0))])[0].unknown == ["A"]
    with house.transaction() as tx:
        tx.execute("INSERT INTO iot.module (module_num) VALUES ('A')")
    assert writer.store([post(("A", 1, 1.0))])[0].new == 1
    writer.close()


def test_a_lost_connection_is_made_anew_and_a_lost_server_is_told(house: Warehouse) -> None:
    writer = PostWriter(house)
    writer.store([post(("A", 0, 1.0))])
    house.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    assert writer.store([post(("A", 1, 1.0))])[0].new == 1
    nowhere = PostWriter(Warehouse(house.address.__class__("/nowhere", db="x")))
    with pytest.raises(StorageError, match="does not answer") as error:
        nowhere.store([post(("A", 2, 1.0))])
    assert (error.value.sqlstate or "").startswith("08")
    writer.close()


def test_somebody_elses_transaction_is_not_waited_for_by_all(house: Warehouse) -> None:
    writer = PostWriter(house)
    writer.store([post(("B", 0, 1.0))])
    with closing(psycopg2.connect(house.address.uri())) as other, other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO iot.rawdata (module_num, timestamp, measures, received_at, received_row)"
            " VALUES ('A', '2026-01-31 23:59:59Z', '{}', now(), 0)"
        )
        with pytest.raises(StorageError) as error:
            writer.store([post(("A", 1, 1.0)), post(("B", 1, 1.0))])
        assert error.value.sqlstate == "55P03", "the service stores each alone then"
    writer.close()


def test_many_writers_with_the_same_readings_store_each_once(house: Warehouse) -> None:
    new: list[int] = []

    def run(number: int) -> None:
        writer = PostWriter(house)
        for k in range(20):
            new.extend(r.new for r in writer.store([post(("A", k, 1.0), ("B", k, 1.0)), post(("C", k, 1.0))]))
            time.sleep(0.001 * number)
        writer.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 60
    assert len(rows(house)) == 60
    assert sum(marks(house).values()) == 60
